//! The segments of a record: the files that became full, and their names.
//!
//! `events.jsonl` is written to; `events.000001.jsonl` is the first segment, `events.000002.jsonl` the next.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::layer::Disk;
use crate::record_layer::RecordLayer;

const DIGITS_MIN: usize = 6;

/// The files of the record at `path`, an absolute path, oldest first. The last one is `path` itself, if it exists.
///
/// A segment whose records are all in the file at `path` too is left out: it was being made when its process died.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn segments(path: &Path) -> io::Result<Vec<PathBuf>> {
    segments_on(&Disk, path)
}

pub(super) fn segments_on<L: RecordLayer>(layer: &L, path: &Path) -> io::Result<Vec<PathBuf>> {
    let path = match layer.resolve(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        resolved => resolved?,
    };
    let mut files: Vec<_> = numbered(layer, &path)?.into_iter().map(|(_, segment)| segment).collect();
    match layer.status(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        status => status?,
    };
    if let Some(newest) = files.last()
        && is_in(layer, newest, &path)?
    {
        files.pop();
    }
    files.push(path);
    Ok(files)
}

/// The newest segment, if the file at `path` has all its records too.
pub(super) fn unfinished<L: RecordLayer>(layer: &L, path: &Path) -> io::Result<Option<PathBuf>> {
    match numbered(layer, path)?.pop() {
        Some((_, newest)) if is_in(layer, &newest, path)? => Ok(Some(newest)),
        _ => Ok(None),
    }
}

/// The name of the next segment.
pub(super) fn next<L: RecordLayer>(layer: &L, path: &Path) -> io::Result<PathBuf> {
    let number = numbered(layer, path)?.last().map_or(1, |(number, _)| number + 1);
    let (before, after) = around_number(path);
    let mut name = before;
    name.push(format!("{number:0DIGITS_MIN$}"));
    name.push(after);
    Ok(path.with_file_name(name))
}

/// The segments with their numbers, ascending.
fn numbered<L: RecordLayer>(layer: &L, path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let directory = path.parent().expect("an absolute path of a file");
    let names = match layer.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let around = around_number(path);
    let number = |name: OsString| Some((number(&around, &name)?, directory.join(name)));
    let mut segments: Vec<_> = names.into_iter().filter_map(number).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// What is before and after the number in the name of a segment.
fn around_number(path: &Path) -> (OsString, OsString) {
    let (mut before, mut after) = (path.file_stem().unwrap_or_default().to_owned(), OsString::new());
    before.push(".");
    if let Some(extension) = path.extension() {
        after.push(".");
        after.push(extension);
    }
    (before, after)
}

fn number((before, after): &(OsString, OsString), name: &OsStr) -> Option<u64> {
    let name = name.as_encoded_bytes().strip_prefix(before.as_encoded_bytes())?;
    let digits = name.strip_suffix(after.as_encoded_bytes())?;
    if digits.len() < DIGITS_MIN || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the file at `path` has all that the segment has. Where links are missing a segment is a copy, so their numbers
/// do not tell.
fn is_in<L: RecordLayer>(layer: &L, segment: &Path, path: &Path) -> io::Result<bool> {
    let (part, whole) = (layer.status(segment)?, layer.status(path)?);
    if !part.is_file || !whole.is_file || part.bytes > whole.bytes {
        return Ok(false);
    }
    Ok(part.id.is_some() && part.id == whole.id || layer.read(path)?.starts_with(&layer.read(segment)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_its_number_before_the_extension() {
        for (path, first) in [
            ("/d/events.jsonl", "events.000001.jsonl"),
            ("/d/a.b.jsonl", "a.b.000001.jsonl"),
            ("/d/events", "events.000001"),
            ("/d/.hidden", ".hidden.000001"),
        ] {
            let around = around_number(Path::new(path));
            assert_eq!(number(&around, OsStr::new(first)), Some(1), "{path}");
            assert_eq!(number(&around, OsStr::new(&first.replace("000001", "1234567"))), Some(1_234_567), "{path}");
            for other in ["x", "00001", "00000x", "-00001", "99999999999999999999"] {
                assert_eq!(number(&around, OsStr::new(&first.replace("000001", other))), None, "{path} {other}");
            }
        }
    }

    #[test]
    fn the_segments_are_in_the_order_of_their_numbers_and_the_file_is_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("events.jsonl");
        assert_eq!(segments(&path).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(segments(&path.join("missing/events.jsonl")).unwrap(), Vec::<PathBuf>::new());
        for name in ["events.1000000.jsonl", "events.000002.jsonl", "events.000010.jsonl", "other.000001.jsonl"] {
            std::fs::write(path.with_file_name(name), name).unwrap();
        }
        std::fs::write(&path, "now").unwrap();
        let names = |files: Vec<PathBuf>| -> Vec<_> {
            files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let three = ["events.000002.jsonl", "events.000010.jsonl", "events.1000000.jsonl"];
        assert_eq!(names(segments(&path).unwrap()), [&three[..], &["events.jsonl"]].concat());
        assert!(next(&Disk, &path).unwrap().ends_with("events.1000001.jsonl"));

        std::fs::write(path.with_file_name("events.1000000.jsonl"), "no").unwrap();
        assert_eq!(names(segments(&path).unwrap()), [&three[..2], &["events.jsonl"]].concat());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(names(segments(&path).unwrap()), three);
    }
}
