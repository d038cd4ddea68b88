//! A candle file that grows at its end. Its last line may be cut off at any moment.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sigbox_engine::Candle;

use super::{
    csv::{self, HEADER, written},
    file::{CandleFileError, Gapless, Gaps, flat_after, folder_of},
};

/// A CSV file in the form that [`write_candles`](super::write_candles) gives it. Candles are added as they come. No
/// other process can add to the file meanwhile.
///
/// If the process is killed, the whole lines that were added are found again; a line that was cut off is not. Minutes
/// without trades at the end do not count: they may be the beginning of a filled gap whose end was never written. The
/// next candles take their place.
pub struct GrowingFile {
    path: PathBuf,
    /// The open file, locked; `None` until the first candle is written.
    file: Option<File>,
    candles: Vec<Candle>,
    /// How many of `candles` count.
    kept: usize,
    /// How many bytes of the file hold the header and the candles that count.
    bytes: u64,
}

/// Why a file cannot grow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrowingFileError {
    /// It cannot be read or written, or a row of it cannot be used.
    #[error(transparent)]
    File(#[from] CandleFileError),
    /// Another process is adding to it.
    #[error("{} is being written by another process; wait for it, or name another file", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is CSV of another form.
    #[error(
        "{} was not written by sigbox, and is left as it is; name another file, or make one from it with `sigbox candles \
         convert`",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// Bytes, more than any line that is written.
const LONGEST_LINE: u64 = 512;

impl GrowingFile {
    /// Opens the file at `path`, if it exists, and finds out up to where it is whole. Does not change the file.
    ///
    /// # Errors
    /// When it cannot be opened or read, is in use, or has another form.
    pub fn open(path: &Path) -> Result<Self, GrowingFileError> {
        let path = path.to_owned();
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, file: None, candles: Vec::new(), kept: 0, bytes: 0 });
            }
            Err(source) => return Err(CandleFileError::Unreadable { path, source }.into()),
        };
        lock(&file, &path)?;
        let whole_lines =
            whole_lines(&file).map_err(|source| CandleFileError::Unreadable { path: path.clone(), source })?;
        let Some(bytes) = whole_lines else { return Err(GrowingFileError::Foreign { path }) };
        let mut lines = (&file).take(bytes);
        let mut read = Gapless::new(Gaps::Refuse);
        csv::each_row(&path, &mut lines, |place, row| read.add(place, row))?;
        let candles = match read.finish(&path) {
            Err(CandleFileError::Empty { .. }) => Vec::new(),
            candles => candles?,
        };
        let mut growing = Self { path, file: Some(file), kept: candles.len(), candles, bytes };
        growing.discount_untraded_end()?;
        Ok(growing)
    }

    /// The candles that count: all but the minutes without trades at the end.
    #[must_use]
    pub fn candles(&self) -> &[Candle] {
        &self.candles[..self.kept]
    }

    /// All candles of the file.
    #[must_use]
    pub fn all_candles(&self) -> &[Candle] {
        &self.candles
    }

    /// When its last candle closed, traded or not; `None` if it has none.
    #[must_use]
    pub fn end_ms(&self) -> Option<i64> {
        self.candles.last().map(Candle::close_time_ms)
    }

    /// Adds `candles`. They must follow the candles that count; this is not checked. After success, neither a kill of
    /// the process nor a loss of power loses them.
    ///
    /// # Errors
    /// When they cannot be written, or it is not certain that they are on disk.
    pub fn append(&mut self, candles: &[Candle]) -> Result<(), GrowingFileError> {
        if candles.is_empty() {
            return Ok(());
        }
        let mut lines = if self.bytes == 0 { format!("{HEADER}\n") } else { String::new() };
        lines.extend(candles.iter().map(line));
        self.write(&lines, File::sync_data)?;
        self.candles.truncate(self.kept);
        self.candles.extend_from_slice(candles);
        self.kept = self.candles.len();
        Ok(())
    }

    /// Removes the file. Its candles must have been written elsewhere.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<(), GrowingFileError> {
        fs::remove_file(&self.path).map_err(|source| CandleFileError::Unwritable { path: self.path, source }.into())
    }

    /// `sync` makes the file durable.
    fn write(&mut self, lines: &str, sync: fn(&File) -> io::Result<()>) -> Result<(), GrowingFileError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let folder = self.path.parent().unwrap_or(Path::new(""));
                // This fails if another process has made the file meanwhile. The file then belongs to that process.
                let made = fs::create_dir_all(folder)
                    .and_then(|()| OpenOptions::new().read(true).append(true).create_new(true).open(&self.path))
                    .map_err(|source| CandleFileError::Unwritable { path: self.path.clone(), source })?;
                lock(&made, &self.path)?;
                // The name must survive a loss of power too. On other systems, a folder cannot be opened.
                if cfg!(unix) {
                    File::open(folder_of(&self.path))
                        .and_then(|folder| folder.sync_all())
                        .map_err(|source| CandleFileError::Unwritable { path: self.path.clone(), source })?;
                }
                self.file.insert(made)
            }
        };
        let mut written = || {
            file.set_len(self.bytes)?;
            file.write_all(lines.as_bytes())?;
            sync(file)
        };
        let written: io::Result<()> = written();
        if written.is_err() {
            // After a failed fsync the lines can be read, but may not be on disk, and no later fsync would put them
            // there. So nobody may find them. They are written again by whoever goes on.
            let _ = file.set_len(self.bytes);
        }
        written.map_err(|source| CandleFileError::Unwritable { path: self.path.clone(), source })?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Excludes the minutes without trades at the end from the candles that count. Checks that these minutes and the
    /// candle before them were written in the form of this module, because their number of bytes is computed from that
    /// form.
    fn discount_untraded_end(&mut self) -> Result<(), GrowingFileError> {
        let untraded = self.candles.windows(2).rev().take_while(|pair| pair[1] == flat_after(&pair[0], 1)).count();
        self.kept = self.candles.len() - untraded;
        let end: String = self.candles[self.kept.saturating_sub(1)..].iter().map(line).collect();
        let discounted: usize = self.candles[self.kept..].iter().map(|candle| line(candle).len()).sum();
        if !self.ends_with(&end).map_err(|source| CandleFileError::Unreadable { path: self.path.clone(), source })? {
            return Err(GrowingFileError::Foreign { path: self.path.clone() });
        }
        self.bytes -= discounted as u64;
        Ok(())
    }

    fn ends_with(&self, end: &str) -> io::Result<bool> {
        let (Some(mut file), Some(start)) = (self.file.as_ref(), self.bytes.checked_sub(end.len() as u64)) else {
            return Ok(false);
        };
        let mut found = Vec::with_capacity(end.len());
        file.seek(SeekFrom::Start(start))?;
        file.take(end.len() as u64).read_to_end(&mut found)?;
        Ok(found == end.as_bytes())
    }
}

fn line(candle: &Candle) -> String {
    written(candle) + "\n"
}

fn lock(file: &File, path: &Path) -> Result<(), GrowingFileError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(GrowingFileError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(CandleFileError::Unwritable { path: path.to_owned(), source }.into()),
    }
}

/// How many bytes of `file` are whole lines, the header included; `None` if the file has another form. The next read
/// begins at the beginning of the file.
///
/// A loss of power can leave zeros where lines should be, any number of them, with lines after them. So what follows the
/// first zero does not count.
fn whole_lines(mut file: &File) -> io::Result<Option<u64>> {
    let header = format!("{HEADER}\n");
    let mut reader = BufReader::new(file);
    let mut beginning = Vec::with_capacity(header.len());
    (&mut reader).take(header.len() as u64).read_to_end(&mut beginning)?;
    let whole = if beginning == header.as_bytes() {
        let (mut read, mut whole) = (header.len() as u64, header.len() as u64);
        loop {
            let bytes = reader.fill_buf()?;
            let text = bytes.iter().position(|byte| *byte == 0).map_or(bytes, |zero| &bytes[..zero]);
            if let Some(last) = text.iter().rposition(|byte| *byte == b'\n') {
                whole = read + last as u64 + 1;
            }
            read += text.len() as u64;
            let (length, is_end) = (bytes.len(), text.len() < bytes.len() || bytes.is_empty());
            reader.consume(length);
            if is_end {
                break;
            }
        }
        (read - whole <= LONGEST_LINE).then_some(whole)
    } else {
        // If there is less than the header, it can still be a header that was cut off.
        let text = beginning.iter().position(|byte| *byte == 0).unwrap_or(beginning.len());
        header.as_bytes().starts_with(&beginning[..text]).then_some(0)
    };
    file.rewind()?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candles::{Existing, Recipe, generate, write_candles};
    use tempfile::TempDir;

    /// Candles of which some have no trades, among them the last three.
    fn candles() -> Vec<Candle> {
        let recipe =
            Recipe { seed: 3, start_ms: 1_704_067_200_000, minutes: 40, price: 100.0, volatility_percent: 1.0 };
        let mut candles = generate(&recipe).unwrap();
        for index in [0, 20, 21, 37, 38, 39] {
            candles[index] = flat_after(&candles[index.max(1) - 1], i64::from(index > 0));
        }
        candles
    }

    fn open(path: &Path) -> GrowingFile {
        GrowingFile::open(path).unwrap()
    }

    #[test]
    fn it_grows_to_the_file_that_is_written_at_once() {
        let directory = TempDir::new().unwrap();
        let (path, whole) = (directory.path().join("growing.csv"), directory.path().join("whole.csv"));
        write_candles(&whole, &candles(), Existing::Keep).unwrap();
        for pieces in [1, 3, 7, 40] {
            for chunk in candles().chunks(pieces) {
                let mut growing = open(&path);
                let next = growing.candles().last().map_or(i64::MIN, Candle::close_time_ms);
                // The minutes without trades at the end are added again.
                let again: Vec<Candle> = candles()
                    .into_iter()
                    .filter(|candle| {
                        candle.open_time_ms >= next && candle.open_time_ms <= chunk[chunk.len() - 1].open_time_ms
                    })
                    .collect();
                growing.append(&again).unwrap();
                assert_eq!(growing.end_ms(), Some(chunk[chunk.len() - 1].close_time_ms()));
            }
            assert!(fs::read(&path).unwrap() == fs::read(&whole).unwrap(), "{pieces}");
            open(&path).remove().unwrap();
        }
    }

    #[test]
    fn wherever_it_was_cut_off_it_goes_on_from_what_is_whole() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("growing.csv");
        write_candles(&path, &candles(), Existing::Keep).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut growing = open(&path);
            let kept = growing.candles().len();
            assert_eq!(growing.candles(), &candles()[..kept], "{length}");
            assert_eq!(fs::metadata(&path).unwrap().len(), length as u64, "opening changes nothing");
            let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
            assert!(kept < 38 && kept <= lines, "{length}: no line was cut off, and the end is traded");
            growing.append(&candles()[kept..]).unwrap();
            drop(growing);
            assert!(fs::read(&path).unwrap() == whole, "{length}");
        }
        // After a loss of power, zeros may stand where lines should be, and whole lines after them.
        let half = whole.len() / 2;
        for (zeros, after) in [(1, 0), (100, 0), (512, 0), (513, 0), (100_000, 0), (400, half + 400), (1, half + 1)] {
            for kept_bytes in [0, 5, half] {
                let rest = if after > 0 { &whole[after..] } else { &[] };
                fs::write(&path, [&whole[..kept_bytes], &vec![0; zeros], rest].concat()).unwrap();
                let mut growing = open(&path);
                let kept = growing.candles().len();
                growing.append(&candles()[kept..]).unwrap();
                drop(growing);
                assert!(fs::read(&path).unwrap() == whole, "{zeros} zeros after {kept_bytes} bytes");
            }
        }
    }

    #[test]
    fn what_could_not_be_made_durable_is_not_found_again() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("growing.csv");
        let mut growing = open(&path);
        growing.append(&candles()[..5]).unwrap();
        let whole = fs::read(&path).unwrap();
        let lines: String = candles()[5..9].iter().map(line).collect();
        growing.write(&lines, |_| Err(io::Error::other("the disk is broken"))).unwrap_err();
        assert!(fs::read(&path).unwrap() == whole);
        growing.append(&candles()[5..9]).unwrap();
        drop(growing);
        assert_eq!(open(&path).all_candles(), &candles()[..9]);
    }

    #[test]
    fn a_file_of_another_form_is_left_as_it_is() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("growing.csv");
        let foreign = [
            "open_time,open,high,low,close,volume,trades\n1704067200000,1,1,1,1,1,7\n",
            "1704067200000,1,1,1,1,1\n",
            "open_time,open,high,low,close,volume\r\n1704067200000,1,1,1,1,1\r\n",
            "open_time,open,high,low,close,volume\n1704067200000,1.00,1,1,1,1\n",
            "open_time,open,high,low,close,volume\n2024-01-01T00:00:00Z,1,1,1,1,1\n",
            "something else",
        ];
        for content in foreign {
            fs::write(&path, content).unwrap();
            let refused = GrowingFile::open(&path).map(|_| ()).unwrap_err();
            assert!(matches!(refused, GrowingFileError::Foreign { .. }), "{content}: {refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        let broken = format!("{HEADER}\n1704067200000,1,1,1,1,1\n1704067200000,1,1,1,1,1\n");
        fs::write(&path, broken).unwrap();
        let refused = GrowingFile::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(
            refused.ends_with("growing.csv:3: 2024-01-01T00:00:00Z is there twice; remove one of the rows"),
            "{refused}"
        );
    }

    #[test]
    fn one_process_at_a_time_adds_to_it() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("growing.csv");
        let (mut first, mut second) = (open(&path), open(&path));
        first.append(&candles()[..5]).unwrap();
        let refused = second.append(&candles()[..5]).unwrap_err();
        assert!(matches!(refused, GrowingFileError::File(CandleFileError::Unwritable { .. })), "{refused}");
        assert!(matches!(GrowingFile::open(&path), Err(GrowingFileError::InUse { .. })));
        drop(first);
        assert_eq!(open(&path).candles(), &candles()[..5]);
    }
}
