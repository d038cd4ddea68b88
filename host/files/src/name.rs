//! File names of documents: turns an address into a path below the data directory, and a file name back into an id.
//!
//! Ordinary names are not changed, so a file written by the reference at the seed's version is found at its own path.
//! Only characters that could leave the directory, or be taken for something else, are percent-encoded: separators,
//! control characters, `%` itself, and a leading `.`, which belongs to `.`, `..`, temp files, the lock and the
//! quarantine. The encoding is one-to-one, so two addresses never share a path (hazards H-23 and H-51). There is one
//! exception: on a file system that ignores case, or treats other characters as special, names that differ only in
//! these share a path.

use std::fmt::Write;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::At;

/// The end of every document's file name.
const EXTENSION: &str = ".json";

/// The beginning of every temp file's name, as in the reference. No encoded name starts with a dot.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";

/// Number of random hexadecimal digits in a temp file's name, as in the reference.
pub(crate) const TEMP_DIGITS: usize = 12;

/// The longest name, in bytes, that the usual file systems take.
const NAME_BYTES_MAX: usize = 255;

/// The longest file name of a document, in bytes: the name of its temp file, `.tmp-{12 digits}-{name}`, must be legal
/// too. The document's name in the quarantine is not longer than the temp file's.
const FILE_NAME_BYTES_MAX: usize = NAME_BYTES_MAX - TEMP_PREFIX.len() - TEMP_DIGITS - 1;

/// The encoding of the empty name. No other name has it, because in other names two digits follow each `%`.
const EMPTY: &str = "%";

/// Why an address cannot be turned into a path. A long name is refused and not cut, because two cut names could be the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} is too long for a file name: {length} bytes when encoded, at most {limit} fit; choose a shorter name")]
pub struct NameError {
    part: &'static str,
    length: usize,
    limit: usize,
}

impl At<'_> {
    /// The document's file, relative to the data directory.
    ///
    /// # Errors
    /// When a part is too long for a file name.
    pub fn path(self) -> Result<PathBuf, NameError> {
        Ok(entity_dir(self.domain, self.entity_name)?.join(file_name(self)?))
    }
}

/// The directory of an entity's documents, relative to the data directory: `{domain}/{entity_name}`.
pub(crate) fn entity_dir(domain: &str, entity_name: &str) -> Result<PathBuf, NameError> {
    let domain = within("the domain", encode(domain), NAME_BYTES_MAX)?;
    let entity_name = within("the entity name", encode(entity_name), NAME_BYTES_MAX)?;
    Ok(PathBuf::from(domain).join(entity_name))
}

/// The file name of a document in its entity's directory: `{entity_id}.json`.
pub(crate) fn file_name(at: At<'_>) -> Result<String, NameError> {
    within("the entity id", encode(at.entity_id) + EXTENSION, FILE_NAME_BYTES_MAX)
}

/// The entity id that a file name stands for; `None` when no document can have that file name.
pub(crate) fn entity_id(file_name: &str) -> Option<String> {
    let encoded = file_name.strip_suffix(EXTENSION)?;
    let decoded = match encoded {
        EMPTY => String::new(),
        _ => percent_decode_str(encoded).decode_utf8().ok()?.into_owned(),
    };
    // A file name in another encoding than ours is no document: its id leads to another file, which may be listed too.
    (encode(&decoded) == encoded).then_some(decoded)
}

/// The file name of a document in the quarantine: `{entity_id}.{unix ms}.json`, and at later attempts, when that name
/// is taken, `{entity_id}.{unix ms}-{attempt}.json`.
pub(crate) fn quarantine_name(at: At<'_>, unix_ms: u64, attempt: u32) -> String {
    let encoded = encode(at.entity_id);
    match attempt {
        0 => format!("{encoded}.{unix_ms}{EXTENSION}"),
        _ => format!("{encoded}.{unix_ms}-{attempt}{EXTENSION}"),
    }
}

fn within(part: &'static str, name: String, limit: usize) -> Result<String, NameError> {
    if name.len() <= limit { Ok(name) } else { Err(NameError { part, length: name.len(), limit }) }
}

fn encode(name: &str) -> String {
    if name.is_empty() {
        return EMPTY.to_owned();
    }
    let mut encoded = String::with_capacity(name.len());
    for (index, character) in name.char_indices() {
        let could_leave_or_collide =
            matches!(character, '/' | '\\' | '%') || character.is_control() || (index == 0 && character == '.');
        if could_leave_or_collide {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
            }
        } else {
            encoded.push(character);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: &[(&str, &str)] = &[
        ("BTCUSDT", "BTCUSDT"),
        ("BTCUSDT_my-strategy.v2", "BTCUSDT_my-strategy.v2"),
        ("BTC:USDT perp", "BTC:USDT perp"),
        ("стратегия", "стратегия"),
        ("策略", "策略"),
        ("con", "con"),
        ("", "%"),
        ("%", "%25"),
        (".", "%2E"),
        ("..", "%2E."),
        ("../x", "%2E.%2Fx"),
        (".tmp-000000000000-x", "%2Etmp-000000000000-x"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("a%2Fb", "a%252Fb"),
        ("a\0b", "a%00b"),
        ("a\nb\u{7f}\u{85}", "a%0Ab%7F%C2%85"),
    ];

    fn id(entity_id: &str) -> At<'_> {
        At { domain: "signal", entity_name: "e", entity_id }
    }

    #[test]
    fn ordinary_names_stay_readable_and_hostile_ones_stay_inside() {
        for (name, encoded) in NAMES {
            assert_eq!(encode(name), *encoded);
            assert_eq!(entity_id(&format!("{encoded}.json")).as_deref(), Some(*name));
        }
    }

    #[test]
    fn names_that_are_not_ours_are_not_ids() {
        for file_name in ["x", "x.txt", ".json", ".hidden.json", ".tmp-0123456789ab-x.json", "%41.json", "%2f.json"] {
            assert_eq!(entity_id(file_name), None, "{file_name}");
        }
        assert_eq!(entity_id("%FF.json"), None, "not UTF-8");
    }

    #[test]
    fn names_that_do_not_fit_are_refused_by_name_and_length() {
        assert_eq!(file_name(id(&"x".repeat(232))).unwrap().len(), FILE_NAME_BYTES_MAX);
        let cases = [
            (file_name(id(&"x".repeat(233))).unwrap_err(), "the entity id", 238, 237),
            (file_name(id(&"/".repeat(100))).unwrap_err(), "the entity id", 305, 237),
            (entity_dir(&"d".repeat(256), "e").unwrap_err(), "the domain", 256, 255),
            (entity_dir("d", &"é".repeat(128)).unwrap_err(), "the entity name", 256, 255),
        ];
        for (error, part, length, limit) in cases {
            let message = format!(
                "{part} is too long for a file name: {length} bytes when encoded, at most {limit} fit; choose a \
                 shorter name"
            );
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn the_longest_name_fits_into_the_quarantine_too() {
        let year_5000_ms = 95_617_584_000_000;
        assert!(quarantine_name(id(&"x".repeat(232)), year_5000_ms, 99).len() <= NAME_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn every_name_is_one_harmless_path_component_and_comes_back(name in any::<String>()) {
            let encoded = encode(&name);
            prop_assert_eq!(std::path::Path::new(&encoded).components().count(), 1);
            prop_assert!(!encoded.starts_with('.'));
            prop_assert!(!encoded.contains(['/', '\\', '\0']));
            prop_assert_eq!(entity_id(&format!("{encoded}.json")), Some(name));
        }
    }
}
