//! Replacing a file all or nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use super::error::FileError;
use super::layer::FileLayer;
use super::name::{TEMP_DIGITS, TEMP_PREFIX};

/// Puts `bytes` at `directory/file_name`. Whatever happens, a reader finds the old content or the new one. The content
/// is durable on return; the name becomes durable with the next fsync of `directory`, which is left to the caller.
///
/// A failed fsync of the temp file does not taint a later attempt: that writes the content again, to another file,
/// and never trusts pages which the kernel may have marked clean without having written them.
pub(crate) fn replace<L: FileLayer>(
    layer: &L,
    directory: &Path,
    file_name: &str,
    bytes: &[u8],
) -> Result<(), FileError> {
    let temp = directory.join(temp_name(file_name));
    let target = directory.join(file_name);
    let replaced = write_durably(layer, &temp, bytes)
        .and_then(|()| layer.rename(&temp, &target).map_err(FileError::io("replace", &target)));
    if replaced.is_err() {
        // Best effort: what stays behind is swept when the entity is next made ready.
        let _ = layer.remove_file(&temp);
    }
    replaced
}

fn write_durably<L: FileLayer>(layer: &L, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = layer.create_new(path).map_err(FileError::io("create", path))?;
    layer.write_all(&mut file, bytes).map_err(FileError::io("write", path))?;
    layer.sync_file(&file).map_err(FileError::io("fsync", path))
}

/// `.tmp-{12 random hexadecimal digits}-{file name}`, as in the reference.
fn temp_name(file_name: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    let digits = format!("{random:016x}");
    format!("{TEMP_PREFIX}{}-{file_name}", &digits[..TEMP_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temp_names_look_like_the_references_and_differ() {
        let name = temp_name("BTCUSDT.json");
        let digits = name.strip_prefix(".tmp-").unwrap().strip_suffix("-BTCUSDT.json").unwrap();
        assert_eq!(digits.len(), 12, "{name}");
        assert!(digits.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{name}");
        assert_ne!(name, temp_name("BTCUSDT.json"));
    }
}
