//! Replacement of a file, all or nothing.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use super::error::FileError;
use super::layer::FileLayer;
use super::name::{TEMP_DIGITS, TEMP_PREFIX};

/// Writes `bytes` to `directory/file_name`. Even after a failure, a reader finds the whole old content or the whole new
/// content. The content is durable on return. The name is not: the caller must fsync `directory`.
///
/// A later attempt is safe after a failed fsync of the temp file. It writes the content again, to another file, because
/// the kernel may have marked the pages of the failed file clean without writing them.
pub(crate) fn replace<L: FileLayer>(
    layer: &L,
    directory: &Path,
    file_name: &OsStr,
    bytes: &[u8],
) -> Result<(), FileError> {
    let temp = directory.join(temp_name(file_name));
    let target = directory.join(file_name);
    let replaced = write_durably(layer, &temp, bytes)
        .and_then(|()| layer.rename(&temp, &target).map_err(FileError::io("replace", &target)));
    if replaced.is_err() {
        // If this fails too, the temp file is removed when the entity is next made ready.
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
pub(crate) fn temp_name(file_name: &OsStr) -> OsString {
    let random = RandomState::new().build_hasher().finish();
    let digits = format!("{random:016x}");
    let mut name = OsString::from(format!("{TEMP_PREFIX}{}-", &digits[..TEMP_DIGITS]));
    name.push(file_name);
    name
}

/// Whether `name` is a temp name of a file of this name.
pub(crate) fn is_temp_name_of(name: &OsStr, file_name: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(TEMP_PREFIX.as_bytes());
    let digits = rest.and_then(|rest| rest.strip_suffix(file_name.as_encoded_bytes())?.strip_suffix(b"-"));
    digits.is_some_and(|digits| digits.len() == TEMP_DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temp_names_look_like_the_references_and_differ() {
        let file_name = OsStr::new("BTCUSDT.json");
        let name = temp_name(file_name).into_string().unwrap();
        let digits = name.strip_prefix(".tmp-").unwrap().strip_suffix("-BTCUSDT.json").unwrap();
        assert_eq!(digits.len(), 12, "{name}");
        assert!(digits.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f')), "{name}");
        assert_ne!(name, temp_name(file_name).into_string().unwrap());
        assert!(is_temp_name_of(OsStr::new(&name), file_name));
        for other in [".tmp--BTCUSDT.json", ".tmp-0123456789ag-BTCUSDT.json", ".tmp-0123456789ab-a-BTCUSDT.json"] {
            assert!(!is_temp_name_of(OsStr::new(other), file_name), "{other}");
        }
    }
}
