//! One record as a line: its JSON object, with a checksum as the last field.
//!
//! The checksum is found by its place at the end of the line, so no JSON is parsed to check it.

/// What follows a record's other fields: `,"crc32":"9a3f01bc"}`.
const FIELD: &[u8] = b"\"crc32\":\"";
const DIGITS: usize = 8;
const END: &[u8] = b"\"}";

/// What the end of a line says about the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It has a checksum, and the line is as it was written.
    Right,
    /// It has a checksum of another line.
    Wrong,
    /// It has no checksum, as in the files of earlier versions.
    Missing,
}

/// Whether `text` may be a record: a JSON object without a line break. What is between its braces is not looked into.
pub(super) fn is_record(text: &str) -> bool {
    let text = text.as_bytes();
    (text.starts_with(b"{\"") && text.ends_with(b"}") || text == b"{}") && !text.contains(&b'\n')
}

/// Appends the line of `record` to `lines`.
pub(super) fn push(lines: &mut Vec<u8>, record: &str) {
    let record = record.as_bytes();
    let checksum = crc32fast::hash(record);
    lines.reserve(record.len() + 1 + FIELD.len() + DIGITS + END.len());
    lines.extend_from_slice(&record[..record.len() - 1]);
    if record.len() > 2 {
        lines.push(b',');
    }
    lines.extend_from_slice(FIELD);
    lines.extend((0..DIGITS).rev().map(|digit| b"0123456789abcdef"[(checksum >> (4 * digit) & 15) as usize]));
    lines.extend_from_slice(END);
    lines.push(b'\n');
}

/// Looks at the checksum of a line without its line break.
pub(super) fn mark(line: &[u8]) -> Mark {
    let Some(field_at) = line.len().checked_sub(FIELD.len() + DIGITS + END.len()) else { return Mark::Missing };
    let (before, field) = line.split_at(field_at);
    let Some(digits) = field.strip_prefix(FIELD).and_then(|rest| rest.strip_suffix(END)) else { return Mark::Missing };
    let written = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before.strip_suffix(b",").unwrap_or(before));
    hasher.update(b"}");
    if written == Some(hasher.finalize()) { Mark::Right } else { Mark::Wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: &str) -> String {
        let mut lines = Vec::new();
        push(&mut lines, record);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_is_the_record_with_one_more_field() {
        // The two checksums were computed with Python's zlib.
        assert_eq!(line(r#"{"a":1}"#), "{\"a\":1,\"crc32\":\"561bacaf\"}\n");
        assert_eq!(line("{}"), "{\"crc32\":\"a3a6bf43\"}\n");
        let read: serde_json::Value = serde_json::from_str(&line(r#"{"a":"é\n"}"#)).unwrap();
        assert_eq!(read["a"], "é\n");
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for record in [r#"{"id":"a","n":1}"#, "{}"] {
            let line = line(record);
            let line = line.trim_end().as_bytes();
            assert_eq!(mark(line), Mark::Right);
            let checksum_at = line.len() - DIGITS - END.len();
            for place in (0..line.len()).filter(|place| *place < checksum_at - FIELD.len() || *place >= checksum_at) {
                let mut changed = line.to_vec();
                changed[place] ^= 1;
                assert_ne!(mark(&changed), Mark::Right, "{}", String::from_utf8_lossy(&changed));
            }
        }
    }

    #[test]
    fn a_line_without_a_checksum_at_its_end_has_none() {
        for line in ["", "{}", r#"{"crc32":"00000000","a":1}"#, r#"{"a":",crc32:00000000"}"#] {
            assert_eq!(mark(line.as_bytes()), Mark::Missing, "{line}");
        }
        assert_eq!(mark(br#"{"a":1,"crc32":"0000zzzz"}"#), Mark::Wrong);
    }

    #[test]
    fn only_an_object_on_one_line_is_a_record() {
        for record in ["{}", r#"{"a":1}"#] {
            assert!(is_record(record), "{record}");
        }
        for other in ["", "{", "[]", "1", "{ }", "{\"a\":\n1}", r#"{"a":1"#] {
            assert!(!is_record(other), "{other}");
        }
    }
}
