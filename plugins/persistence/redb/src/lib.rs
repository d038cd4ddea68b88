//! Documents in one redb database in a granted folder.

mod database;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use redb::Error;
use sigbox_sdk::{
    export_backend,
    persistence::{Address, Backend, Descriptor, Failure, Page, config, refuse_unknown_settings},
};

use self::database::{At, Database};

/// The file, as the plugin sees it, unless the setting `path` says otherwise.
const DEFAULT_PATH: &str = "/data/sigbox.redb";

/// Bytes of one document. The pages of a transaction are in memory until it is committed.
const MAX_VALUE_BYTES: u64 = 4 << 20;

struct Redb {
    path: PathBuf,
    /// `None` after an error of the disk, from when on redb refuses the file until it is opened again.
    database: Option<Database>,
}

impl Redb {
    fn call<T>(&mut self, call: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, Failure> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::open(&self.path).map_err(|error| failure(&self.path, &error))?,
        };
        let outcome = call(&database);
        if !matches!(outcome, Err(Error::Io(_) | Error::PreviousIo | Error::LockPoisoned(_))) {
            self.database = Some(database);
        }
        outcome.map_err(|error| failure(&self.path, &error))
    }
}

impl Backend for Redb {
    fn describe() -> Descriptor {
        Descriptor {
            name: "redb".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: format!("redb database {} of the plugin", path().display()),
            features: Vec::new(),
            max_value_bytes: MAX_VALUE_BYTES,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        refuse_unknown_settings(&["path"])?;
        let path = path();
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            return Err(no_folder(&path, folder));
        }
        let database = Database::open(&path).map_err(|error| failure(&path, &error))?;
        Ok(Self { path, database: Some(database) })
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.call(|database| database.read(parts(at)))
    }

    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.call(|database| database.has(parts(at)))
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.call(|database| database.write(parts(at), &value))
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.call(|database| database.remove(parts(at)))
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let (entity_ids, more) = self.call(|database| database.keys(domain, entity_name, cursor, limit as usize))?;
        let next = entity_ids.last().filter(|_| more).cloned();
        Ok(Page { entity_ids, next })
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self.database.take() {
            None => Ok(()),
            Some(database) => database.close().map_err(|error| failure(&self.path, &error)),
        }
    }
}

fn path() -> PathBuf {
    config::get("path").unwrap_or_else(|| DEFAULT_PATH.to_owned()).into()
}

fn no_folder(path: &Path, folder: &Path) -> Failure {
    let (path, folder) = (path.display(), folder.display());
    let grant = format!("grant one: directories = {{ \"{folder}\" = \"some/folder\" }}");
    Failure::give_up("denied", format!("there is no folder {folder} for {path} (setting path); {grant}"))
}

fn parts(at: &Address) -> At<'_> {
    (&at.domain, &at.entity_name, &at.entity_id)
}

fn failure(path: &Path, error: &Error) -> Failure {
    let message = format!("{}: {error}", path.display());
    match error {
        Error::Io(error) => failure_of_disk(message, error),
        Error::PreviousIo | Error::LockPoisoned(_) => Failure::retry("unavailable", message),
        Error::Corrupted(_) => Failure::give_up("corrupt", format!("{message}; put back a copy of the file")),
        Error::TableDoesNotExist(_) | Error::TableTypeMismatch { .. } => {
            Failure::give_up("corrupt", format!("{message}; it is a database of something else: choose another path"))
        }
        Error::UpgradeRequired(_) => Failure::give_up("unsupported", message),
        Error::ValueTooLarge(_) => Failure::give_up("too-large", message),
        _ => Failure::give_up("other", message),
    }
}

fn failure_of_disk(message: String, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::InvalidData => Failure::give_up("corrupt", format!("{message}; choose another path")),
        ErrorKind::IsADirectory => Failure::give_up("other", format!("{message}; choose another path")),
        ErrorKind::PermissionDenied => Failure::retry("denied", message),
        _ => Failure::retry("unavailable", message),
    }
}

export_backend!(Redb);
