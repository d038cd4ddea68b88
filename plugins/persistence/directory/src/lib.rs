//! Documents as files in a granted folder, where and as the host's own file store keeps them.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use sigbox_files::{At, Disk, Documents, FileError};
use sigbox_sdk::{
    export_backend,
    persistence::{
        Address, Backend, Descriptor, Failure, Page, config,
        logging::{Level, log},
        refuse_unknown_settings,
    },
};

/// The granted folder, as the plugin sees it, unless the setting `path` says otherwise.
const DEFAULT_PATH: &str = "/data";

/// Bytes of one document. A page of the largest JSON anybody keeps here has some thousand.
const MAX_VALUE_BYTES: u64 = 4 << 20;

struct Directory {
    documents: Documents<Disk>,
}

impl Backend for Directory {
    fn describe() -> Descriptor {
        Descriptor {
            name: "directory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: format!("files under {} of the plugin", root().display()),
            features: Vec::new(),
            max_value_bytes: MAX_VALUE_BYTES,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        refuse_unknown_settings(&["path"])?;
        let root = root();
        if !root.is_dir() {
            return Err(no_folder(&root));
        }
        let documents = Documents::not_made(Disk, root).telling(|path, error| {
            log(Level::Warn, "sweep", &format!("the unfinished write {} stays: {error}", path.display()));
        });
        Ok(Self { documents })
    }

    fn wait_for_init(&mut self, domain: &str, entity_name: &str, _: bool) -> Result<(), Failure> {
        self.documents.prepare(domain, entity_name).map_err(|error| failure(&error))
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.documents.read(place(at)).map_err(|error| failure(&error))
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.documents.write(place(at), &value).map_err(|error| failure(&error))
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.documents.remove(place(at)).map_err(|error| failure(&error))
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let mut ids = self.documents.keys(domain, entity_name).map_err(|error| failure(&error))?;
        let start = cursor.map_or(0, |cursor| ids.partition_point(|id| id.as_str() <= cursor));
        let mut entity_ids = ids.split_off(start);
        let more = entity_ids.len() > limit as usize;
        entity_ids.truncate(limit as usize);
        let next = entity_ids.last().filter(|_| more).cloned();
        Ok(Page { entity_ids, next })
    }
}

fn root() -> PathBuf {
    config::get("path").unwrap_or_else(|| DEFAULT_PATH.to_owned()).into()
}

fn no_folder(root: &Path) -> Failure {
    let root = root.display();
    let grant = format!("grant one: directories = {{ \"{root}\" = \"some/folder\" }}");
    Failure::give_up("denied", format!("there is no folder {root} (setting path); {grant}"))
}

fn place(at: &Address) -> At<'_> {
    At { domain: &at.domain, entity_name: &at.entity_name, entity_id: &at.entity_id }
}

fn failure(error: &FileError) -> Failure {
    let code = match error {
        FileError::Name(_) => "too-large",
        FileError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => "denied",
        FileError::Io { source, .. } if source.kind() == ErrorKind::InvalidFilename => "too-large",
        FileError::Io { .. } => "unavailable",
        _ => "other",
    };
    if error.is_retryable() {
        Failure::retry(code, error.to_string())
    } else {
        Failure::give_up(code, error.to_string())
    }
}

export_backend!(Directory);
