//! A file of records, one a line. A failed write does not spoil it.
//!
//! A process that is killed, a machine that loses power and a full disk leave part of a line. If the next record were glued
//! to it, no later start could read the file. So the file is cut back to its last whole record before anything else is
//! written: at the start, and after a failed write.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
};

/// A file open for reading and appending.
pub(super) struct Records {
    file: File,
    /// The length of the file up to the end of its last whole record.
    whole_bytes: u64,
    /// A write failed, so there may be part of a record after the whole ones.
    is_torn: bool,
}

/// Why the records of a file could not be read.
pub(super) enum Unread<E> {
    /// The file cannot be read, or cut back.
    Io(io::Error),
    /// What `each` said of a record, and the record's line, from 1.
    Record(usize, E),
}

impl Records {
    /// Calls `each` with every whole record of `file`, without looking into it, and cuts off what follows the last one.
    pub(super) fn open<E>(mut file: File, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Self, Unread<E>> {
        let mut reader = BufReader::new(&mut file);
        // Bytes, not text: what is torn may be torn in the middle of a character.
        let (mut whole_bytes, mut number, mut line) = (0_u64, 0, Vec::new());
        loop {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line).map_err(Unread::Io)?;
            if !line.ends_with(b"\n") {
                break;
            }
            number += 1;
            whole_bytes += bytes as u64;
            each(&line).map_err(|error| Unread::Record(number, error))?;
        }
        drop(reader);
        let mut records = Self { file, whole_bytes, is_torn: true };
        records.cut_back().map_err(Unread::Io)?;
        Ok(records)
    }

    /// Appends `record`, which has no line break.
    ///
    /// # Errors
    /// When not all of it may have been written. Nothing of it is left then, or the next record is refused too.
    pub(super) fn append(&mut self, record: &str) -> io::Result<()> {
        self.cut_back()?;
        let mut line = String::with_capacity(record.len() + 1);
        line.push_str(record);
        line.push('\n');
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.is_torn = true;
            // At once, because the process may end before the next record. If this fails, the next record tries again.
            let _ = self.cut_back();
            return Err(error);
        }
        self.whole_bytes += line.len() as u64;
        Ok(())
    }

    /// Makes every record appended so far durable.
    ///
    /// # Errors
    /// When they may not be.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut_back(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.whole_bytes)?;
            self.file.seek(SeekFrom::End(0))?;
            self.is_torn = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::OpenOptions, path::Path};

    use super::*;

    fn open(path: &Path) -> (Records, Vec<String>) {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).unwrap();
        let mut read = Vec::new();
        let records = Records::open(file, |record| {
            read.push(String::from_utf8(record.to_vec()).unwrap());
            Ok::<_, ()>(())
        });
        (records.ok().unwrap(), read)
    }

    /// Wherever the last record is torn, in the middle of a character too, the whole ones are read and the next one follows
    /// them.
    #[test]
    fn a_record_torn_anywhere_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let torn = "{\"note\":\"héllo — ✓\"}\n".as_bytes();
        for length in 0..torn.len() {
            fs::write(&path, [b"{\"a\":1}\n{\"b\":2}\n", &torn[..length]].concat()).unwrap();
            let (mut records, read) = open(&path);
            assert_eq!(read, ["{\"a\":1}\n", "{\"b\":2}\n"], "{length} bytes");
            records.append("{\"c\":3}").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n", "{length} bytes");
        }
    }

    #[test]
    fn what_a_failed_write_leaves_is_cut_off_before_the_next_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let (mut records, _) = open(&path);
        records.append("{\"a\":1}").unwrap();

        // A handle that may only read lets nothing be written, and nothing be cut off either.
        let writable = std::mem::replace(&mut records.file, File::open(&path).unwrap());
        records.append("{\"lost\":1}").unwrap_err();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"lo").unwrap();
        records.append("{\"lost\":2}").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"lo", "it cannot be cut back yet");

        records.file = writable;
        records.append("{\"b\":2}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
        drop(records);
        assert_eq!(open(&path).1, ["{\"a\":1}\n", "{\"b\":2}\n"]);
    }

    #[test]
    fn a_record_that_is_refused_is_named_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        fs::write(&path, "a\nb\nc\n").unwrap();
        let file = OpenOptions::new().read(true).append(true).open(&path).unwrap();
        let refused = Records::open(file, |record| if record == b"b\n" { Err("no") } else { Ok(()) });
        assert!(matches!(refused, Err(Unread::Record(2, "no"))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\nc\n", "nothing is cut off then");
    }
}
