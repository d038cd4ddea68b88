//! The recorded runs as files: from the archives of this folder, or from a directory of the same layout.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

/// The archives, each holding the folder of its name.
const ARCHIVES: [(&str, &[u8]); 3] = [
    ("candles", include_bytes!("candles.tar.zst")),
    ("scenarios", include_bytes!("scenarios.tar.zst")),
    ("traces", include_bytes!("traces.tar.zst")),
];

/// Contents by path, such as `traces/random-000.json`.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Everything the archives hold.
pub(super) fn packed() -> io::Result<Files> {
    let mut files = Files::new();
    for (_, archive) in ARCHIVES {
        for entry in tar::Archive::new(zstd::Decoder::new(archive)?).entries()? {
            let mut entry = entry?;
            if entry.header().entry_type().is_file() {
                let path = entry.path()?.to_string_lossy().into_owned();
                let mut contents = Vec::new();
                entry.read_to_end(&mut contents)?;
                files.insert(path, contents);
            }
        }
    }
    Ok(files)
}

/// The files of the same folders under `root`. Without candles that scenarios share there may be no folder of them.
pub(super) fn unpacked(root: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for (folder, _) in ARCHIVES {
        if folder == "candles" && !root.join(folder).exists() {
            continue;
        }
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().extension() == Some("json".as_ref()) {
                files.insert(format!("{folder}/{name}"), fs::read(entry.path())?);
            }
        }
    }
    Ok(files)
}
