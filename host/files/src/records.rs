//! Records: a file of JSON objects, one a line, that is appended to and that no fault spoils.
//!
//! Each record has a checksum as its last field, so the file stays JSON Lines and each line can be verified.
//!
//! | a fault | what is done |
//! |---|---|
//! | a write fails, or a process dies in it | the file is cut back to its last whole record before anything else is written |
//! | an fsync fails | the handle is never trusted again: what is in doubt is written to a new file from memory |
//! | a line is damaged | it is moved to `{path}.damaged`, with its place and the reason |
//! | the file is deleted, moved, replaced or cut by someone else | the records continue in a new file, which begins with a head |
//! | the file is full | it becomes a [segment](segments()), and a new file begins with a head |
//!
//! The head is what a reader needs of all records before; the caller makes it. Each new file is written under a temp
//! name, fsynced, locked and renamed to the path. So a file at the path always has a whole first record or is empty,
//! except when an earlier version of this program wrote it.
//!
//! The crate assumes of an append that it leaves the bytes before it alone, even if the power fails. See the
//! [crate page](crate) for the other assumptions.

mod line;
mod segments;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};
use std::mem;
use std::path::{Path, PathBuf};

use crate::atomic::{is_temp_name_of, temp_name};
use crate::documents::make_dir;
use crate::error::FileError;
use crate::layer::{DirSyncError, FileLayer};
use crate::quarantine::has_no_links;
use crate::record_layer::{FileId, RecordLayer, Status};

use self::line::Mark;
pub use self::segments::segments;

/// An append first makes durable what is in memory, if it is more than this.
const UNSYNCED_BYTES_MAX: usize = 1 << 20;

/// How many bytes are read and written at once where a file is copied.
const CHUNK_BYTES: usize = 1 << 16;

/// Gives the records that a new file begins with.
pub type MakeHead<'a> = &'a mut dyn FnMut() -> Vec<String>;

/// An append-only file of records, locked for this process as long as this value exists. Every call blocks until the
/// disk has answered.
#[derive(Debug)]
pub struct Records<L: RecordLayer> {
    layer: L,
    /// Without symbolic links, so that a rename replaces the file and not the link.
    path: PathBuf,
    directory: PathBuf,
    file: L::File,
    id: Option<FileId>,
    segment_bytes: u64,
    /// The file is full from this length on.
    full_bytes: u64,
    /// The length of the file up to the end of its last whole line.
    whole_bytes: u64,
    /// The whole lines in the file.
    lines: u64,
    /// The length up to which the file is durable.
    synced_bytes: u64,
    /// The bytes of the file from `synced_bytes` to `whole_bytes`. They are written again if an fsync fails.
    unsynced: Vec<u8>,
    /// A write failed, so there may be part of a line after the whole ones.
    is_torn: bool,
    /// The file was cut back since the last fsync.
    is_cut_back: bool,
    /// An fsync failed, so a new file is written before anything else.
    in_doubt: bool,
    /// Damaged lines that are still in the file.
    damaged: Vec<DamagedLine>,
    /// A name that was given to this file as a segment, before the change to the next file failed.
    unfinished_segment: Option<PathBuf>,
    /// What the caller has not been told yet.
    untold: Vec<Renewed>,
}

/// What was wrong with a file when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The damaged lines. They are in `{path}.damaged` now, or will be before the next record is written.
    pub damaged: Vec<Damage>,
    /// The length of the half record at the end, which was cut off.
    pub cut_bytes: u64,
}

/// Where a damaged line was, and what was wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its line, from 1.
    pub line: u64,
    /// Where it began in the file, in bytes from 0.
    pub offset: u64,
    /// Why it is no record.
    pub reason: String,
}

#[derive(Clone, Debug)]
struct DamagedLine {
    damage: Damage,
    /// Its length, with its line break.
    bytes: u64,
    is_set_aside: bool,
}

/// What happened to the file at the path since the last call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// It was deleted or moved away. The records continue in a new file.
    Moved,
    /// Another file was put in its place. The records continue in a new file. The other one was kept under this name,
    /// or it was empty.
    Replaced {
        /// The name that it has now.
        aside: Option<PathBuf>,
    },
    /// It was cut off. The records continue in a new file. What was left of the old one was kept under this name, or
    /// it was empty.
    Truncated {
        /// The name that it has now.
        aside: Option<PathBuf>,
    },
    /// It was full and is this segment now. The records continue in a new file.
    Full {
        /// The segment.
        segment: PathBuf,
    },
    /// It is full, but no other file could be begun. The records continue in it, and this is tried again later.
    StillFull {
        /// Why.
        reason: String,
    },
    /// Something else had appended to it. These bytes were moved to `{path}.damaged`.
    Mixed {
        /// How many.
        bytes: u64,
    },
}

impl Renewed {
    /// A message for a person; `path` is the file's.
    #[must_use]
    pub fn in_words(&self, path: &Path) -> String {
        let path = path.display();
        let aside = |aside: &Option<PathBuf>| match aside {
            Some(aside) => format!("; what was there is {} now", aside.display()),
            None => String::new(),
        };
        match self {
            Self::Moved => format!("{path} was deleted or moved away; the record goes on in a new file"),
            Self::Replaced { aside: to } => {
                format!("{path} was replaced by another file; the record goes on in a new one{}", aside(to))
            }
            Self::Truncated { aside: to } => {
                format!("{path} was cut off; the record goes on in a new file{}", aside(to))
            }
            Self::Full { segment } => {
                format!("{path} was full and is {} now; the record goes on in a new file", segment.display())
            }
            Self::StillFull { reason } => format!("{path} is full, and no new file could be begun: {reason}"),
            Self::Mixed { bytes } => {
                format!("something else wrote {bytes} bytes into {path}; they were moved to {path}.damaged")
            }
        }
    }
}

/// Why records cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process holds the lock of the file.
    #[error("{path}: another process writes to this file; choose another one", path = .path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// Not one line of the file is a record of ours. Nothing was changed.
    #[error("{path}: holds something else, not records of this kind; choose another file", path = .path.display())]
    NotOurs {
        /// Which file.
        path: PathBuf,
    },
    /// There is no regular file at the path, but for example a directory or a FIFO.
    #[error("{path}: not a regular file; choose another one", path = .path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
    },
    /// The text is not a JSON object on one line.
    #[error("not a JSON object on one line: {record}")]
    NotARecord {
        /// The text.
        record: String,
    },
}

impl From<RecordsError> for io::Error {
    /// An error of the kind that the operating system gave, with the whole message.
    fn from(error: RecordsError) -> Self {
        let kind = match &error {
            RecordsError::File(FileError::Io { source, .. } | FileError::DirectorySync { source, .. }) => source.kind(),
            RecordsError::NotARecord { .. } => ErrorKind::InvalidInput,
            RecordsError::InUse { .. } => ErrorKind::WouldBlock,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

type Result<T, E = RecordsError> = std::result::Result<T, E>;

/// What there is at the path, as far as it is not what this process has written.
enum Surprise {
    Missing,
    /// Another file, or something that is no file.
    Other(Status),
    Shorter(Status),
    Longer(Status),
}

/// A file under a temp name: its content is durable, and it is locked.
struct NewFile<F> {
    temp: PathBuf,
    file: F,
    id: Option<FileId>,
    bytes: u64,
    lines: u64,
}

impl<L: RecordLayer> Records<L> {
    /// Opens the file at `path`, an absolute path, or makes it and the directories above it. Calls `each` with every
    /// whole line in order, its checksum and line break included; a line that `each` refuses counts as damaged.
    ///
    /// A half record at the end is cut off. Damaged lines are moved to `{path}.damaged`: JSON Lines with the fields
    /// `file`, `line`, `offset`, `bytes`, `reason` and `text`, in which the NUL bytes at both ends are left out. If the
    /// disk does not let them be moved, the file can be read all the same, and they are moved before the next record is
    /// written.
    ///
    /// `beginning`: how every record begins. A file that has nothing but half a record is ours if it begins so.
    ///
    /// A file that is longer than `segment_bytes` is full. Lines without a checksum, from an earlier version, are
    /// records if `each` takes them.
    ///
    /// # Errors
    /// When the file cannot be made, opened or read, is in use, is no regular file, or holds no record of ours.
    pub fn open(
        layer: L,
        path: PathBuf,
        beginning: &str,
        segment_bytes: u64,
        each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(Self, Found)> {
        let path = find_or_make(&layer, path)?;
        let directory = path.parent().expect("a file is in a directory").to_owned();
        let (file, status) = open_locked(&layer, &path)?;
        let scan = scan(&layer, &file, u64::MAX, each).map_err(FileError::io("read", &path))?;
        let is_half = scan.lines == 0 && has_beginning(&scan.torn, beginning.as_bytes());
        if scan.bytes > 0 && !scan.is_ours && !scan.is_blank && !is_half {
            return Err(RecordsError::NotOurs { path });
        }
        let found = Found {
            damaged: scan.damaged.iter().map(|line| line.damage.clone()).collect(),
            cut_bytes: scan.bytes - scan.whole_bytes,
        };
        let mut records = Self {
            layer,
            path,
            directory,
            file,
            id: status.id,
            segment_bytes,
            full_bytes: segment_bytes,
            whole_bytes: scan.whole_bytes,
            lines: scan.lines,
            synced_bytes: scan.whole_bytes,
            unsynced: Vec::new(),
            is_torn: found.cut_bytes > 0,
            is_cut_back: false,
            in_doubt: false,
            damaged: scan.damaged,
            unfinished_segment: None,
            untold: Vec::new(),
        };
        records.remove_temp_files()?;
        records.unfinished_segment = segments::unfinished(&records.layer, &records.path)
            .map_err(FileError::io("look for segments of", &records.path))?;
        // What was read may be in memory only, if the process that wrote it died before its fsync.
        records.in_doubt =
            records.layer.sync_file(&records.file).is_err() || sync_dir(&records.layer, &records.directory).is_err();
        // The records are read. If the disk refuses to be written to now, the next record says so.
        let _ = records.mend();
        Ok((records, found))
    }

    /// Where the file is, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `record`, a JSON object on one line. It is durable after the next [`sync`](Self::sync).
    ///
    /// Returns what had happened to the file at the path. `head` gives the records that a new file begins with.
    ///
    /// # Errors
    /// When the record was not appended. Nothing of it will be read then, except if the process dies before the next
    /// call that succeeds.
    pub fn append(&mut self, record: &str, head: MakeHead<'_>) -> Result<Vec<Renewed>> {
        if !line::is_record(record) {
            return Err(RecordsError::NotARecord { record: record.to_owned() });
        }
        self.prepare(head)?;
        if self.whole_bytes >= self.full_bytes {
            self.rotate(head)?;
        }
        if self.unsynced.len() >= UNSYNCED_BYTES_MAX {
            self.sync_file()?;
        }
        let line_at = self.unsynced.len();
        line::push(&mut self.unsynced, record);
        let appended = if self.whole_bytes == 0 { self.rewrite() } else { self.write(line_at) };
        if let Err(error) = appended {
            self.unsynced.truncate(line_at);
            return Err(error);
        }
        // The record is in the file. If the file's name is not durable, the next call says so.
        let _ = self.settle();
        Ok(mem::take(&mut self.untold))
    }

    /// Makes every record appended so far durable. Returns what had happened to the file at the path.
    ///
    /// # Errors
    /// When a record may not be durable.
    pub fn sync(&mut self, head: MakeHead<'_>) -> Result<Vec<Renewed>> {
        self.prepare(head)?;
        self.sync_file()?;
        Ok(mem::take(&mut self.untold))
    }

    /// Looks whether the file is still at the path and as it was left, and puts it right if not. Returns what had
    /// happened to it.
    ///
    /// # Errors
    /// When it could not be put right.
    pub fn check(&mut self, head: MakeHead<'_>) -> Result<Vec<Renewed>> {
        self.prepare(head)?;
        Ok(mem::take(&mut self.untold))
    }

    /// Makes sure that the next line can be written: the path names the file, the file is as it was left, and nothing
    /// is in doubt.
    fn prepare(&mut self, head: MakeHead<'_>) -> Result<()> {
        match self.look()? {
            None => {}
            Some(Surprise::Longer(status)) => self.set_foreign_bytes_aside(status.bytes)?,
            Some(surprise) => self.renew(&surprise, head)?,
        }
        self.mend()
    }

    /// One question to the operating system, because this is done before each record.
    fn look(&self) -> Result<Option<Surprise>> {
        let status = match self.layer.status(&self.path) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Surprise::Missing)),
            Err(error) => return Err(FileError::io("look at", &self.path)(error).into()),
        };
        Ok(if !status.is_file || status.id != self.id {
            Some(Surprise::Other(status))
        } else if status.bytes < self.whole_bytes {
            Some(Surprise::Shorter(status))
        } else if status.bytes > self.whole_bytes && !self.is_torn {
            Some(Surprise::Longer(status))
        } else {
            None
        })
    }

    /// Puts right what an earlier fault has left.
    fn mend(&mut self) -> Result<()> {
        self.forget_unfinished_segment()?;
        self.cut_back()?;
        if self.in_doubt || !self.damaged.is_empty() {
            self.rewrite()?;
            self.settle()?;
        }
        Ok(())
    }

    /// Cuts off what a failed write has left after the last whole record.
    fn cut_back(&mut self) -> Result<()> {
        if self.is_torn {
            self.layer.truncate(&self.file, self.whole_bytes).map_err(FileError::io("cut back", &self.path))?;
            self.is_torn = false;
            self.is_cut_back = true;
        }
        Ok(())
    }

    /// Writes the line that begins at `line_at` in the unsynced bytes.
    fn write(&mut self, line_at: usize) -> Result<()> {
        let line = &self.unsynced[line_at..];
        if let Err(error) = self.layer.write_all(&mut self.file, line) {
            self.is_torn = true;
            // At once, because the process may end before the next record. If this fails, the next record tries again.
            let _ = self.cut_back();
            return Err(FileError::io("write", &self.path)(error).into());
        }
        self.whole_bytes += line.len() as u64;
        self.lines += 1;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<()> {
        if self.unsynced.is_empty() && !self.is_cut_back {
            return Ok(());
        }
        if let Err(error) = self.layer.sync_data(&self.file) {
            self.in_doubt = true;
            return Err(FileError::io("fsync", &self.path)(error).into());
        }
        self.synced_bytes = self.whole_bytes;
        self.unsynced.clear();
        self.is_cut_back = false;
        Ok(())
    }

    /// Replaces the file by one with the same records: the durable ones as they are read from it, the others from
    /// memory. Damaged lines are left out after they were set aside. The name is in doubt until [`settle`](Self::settle).
    fn rewrite(&mut self) -> Result<()> {
        let read = |error| FileError::io("read", &self.path)(error);
        let scan = scan(&self.layer, &self.file, self.synced_bytes, |_| Ok(())).map_err(read)?;
        if scan.whole_bytes < self.synced_bytes {
            let cut_off = io::Error::new(ErrorKind::UnexpectedEof, "it is shorter than what was made durable");
            return Err(FileError::io("read", &self.path)(cut_off).into());
        }
        for line in scan.damaged {
            if !self.damaged.iter().any(|known| known.damage.offset == line.damage.offset) {
                self.damaged.push(line);
            }
        }
        self.damaged.sort_unstable_by_key(|line| line.damage.offset);
        self.set_damaged_lines_aside()?;

        let new = self.write_new(|records, new| {
            let mut kept_from = 0;
            let whole = [(records.synced_bytes, 0)];
            let damaged = records.damaged.iter().map(|line| (line.damage.offset, line.bytes)).chain(whole);
            for (kept_to, left_out) in damaged {
                copy(&records.layer, &records.file, kept_from..kept_to, new)
                    .map_err(FileError::io("copy", &records.path))?;
                kept_from = kept_to + left_out;
            }
            new.lines = scan.lines - records.damaged.len() as u64;
            new.write(&records.layer, &records.unsynced)
        })?;
        self.rename_over(&new)?;
        self.continue_in(new);
        Ok(())
    }

    /// Makes the name of a new file durable.
    fn settle(&mut self) -> Result<()> {
        if self.in_doubt {
            sync_dir(&self.layer, &self.directory)?;
            self.in_doubt = false;
        }
        Ok(())
    }

    /// Continues in a new file, because the file at the path is not the one that was left there.
    fn renew(&mut self, surprise: &Surprise, head: MakeHead<'_>) -> Result<()> {
        let is_cut = matches!(surprise, Surprise::Shorter(_));
        if !is_cut {
            let _ = self.cut_back();
        }
        if !is_cut && !self.in_doubt {
            // The records that are not durable yet are where the file was moved to, or nowhere if it was deleted.
            let _ = self.sync_file();
        }
        make_dir(&self.layer, &self.directory)?;
        let (aside, _lock) = match surprise {
            Surprise::Missing => (None, None),
            Surprise::Other(status) | Surprise::Shorter(status) => {
                // The lock is kept until the file has its place. If another process has it, that process has the path.
                let lock = if is_cut || !status.is_file { None } else { self.lock_other()? };
                let is_empty = status.is_file && status.bytes == 0;
                (if is_empty { None } else { Some(self.keep_aside()?) }, lock)
            }
            Surprise::Longer(_) => unreachable!("a longer file is kept"),
        };
        let head = lines(head())?;
        let new = self.write_new(|records, new| {
            // What is not durable elsewhere comes first, because the head tells what was so after it.
            new.write(&records.layer, &records.unsynced)?;
            new.write(&records.layer, &head)
        })?;
        self.rename_over(&new)?;
        self.begin(new);
        self.untold.push(match surprise {
            Surprise::Shorter(_) => Renewed::Truncated { aside },
            Surprise::Other(_) => Renewed::Replaced { aside },
            _ => Renewed::Moved,
        });
        self.settle()
    }

    /// Locks the file at the path, which is not ours. A file that cannot be opened or locked is no reason to stop.
    fn lock_other(&self) -> Result<Option<L::File>> {
        let Ok(other) = self.layer.open_to_append(&self.path) else { return Ok(None) };
        match self.layer.try_lock(&other) {
            Err(TryLockError::WouldBlock) => Err(RecordsError::InUse { path: self.path.clone() }),
            _ => Ok(Some(other)),
        }
    }

    /// Gives what is at the path the name `{path}.replaced-N` too, or instead.
    fn keep_aside(&self) -> Result<PathBuf> {
        for number in 1_u64.. {
            let aside = with_suffix(&self.path, &format!(".replaced-{number}"));
            match self.layer.status(&aside) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(FileError::io("look at", &aside)(error).into()),
                Ok(_) => continue,
            }
            let kept = match self.layer.hard_link(&self.path, &aside) {
                // A directory has no second name.
                Err(error) if has_no_links(error.kind()) => self.layer.rename(&self.path, &aside),
                linked => linked,
            };
            match kept {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::io("set aside", &self.path)(error).into()),
                Ok(()) => {
                    sync_dir(&self.layer, &self.directory)?;
                    return Ok(aside);
                }
            }
        }
        unreachable!("there are more numbers than files")
    }

    /// Makes the full file a segment, and continues in a new one. The path names a whole file at any time. If only the
    /// new file cannot be begun, the old one is continued.
    fn rotate(&mut self, head: MakeHead<'_>) -> Result<()> {
        self.sync_file()?;
        let head = lines(head())?;
        let begun = self
            .write_new(|records, new| new.write(&records.layer, &head))
            .and_then(|new| self.name_segment(&new).map(|segment| (new, segment)));
        match begun {
            Ok((new, segment)) => {
                self.begin(new);
                self.untold.push(Renewed::Full { segment });
                self.settle()
            }
            Err(error) if self.in_doubt || self.unfinished_segment.is_some() => Err(error),
            Err(error) => {
                self.full_bytes = self.whole_bytes + self.segment_bytes / 8 + 1;
                self.untold.push(Renewed::StillFull { reason: error.to_string() });
                Ok(())
            }
        }
    }

    /// Gives the file the name of the next segment, and then the path to the new one.
    fn name_segment(&mut self, new: &NewFile<L::File>) -> Result<PathBuf> {
        let named = self.try_name_segment(new);
        if named.is_err() {
            let _ = self.layer.remove_file(&new.temp);
            // If this fails, it is tried again before the next record.
            let _ = self.forget_unfinished_segment();
        }
        named
    }

    /// Takes the name of a segment away from the file that is still written to. The file must not grow before, because
    /// a segment can be a copy.
    fn forget_unfinished_segment(&mut self) -> Result<()> {
        if let Some(segment) = &self.unfinished_segment {
            let status = self.layer.status(&self.path).map_err(FileError::io("look at", &self.path))?;
            // Otherwise the new file has taken the path, although an error was reported.
            if status.id == self.id {
                remove_if_there(&self.layer, segment)?;
                sync_dir(&self.layer, &self.directory)?;
            }
            self.unfinished_segment = None;
        }
        Ok(())
    }

    fn try_name_segment(&mut self, new: &NewFile<L::File>) -> Result<PathBuf> {
        let segment =
            segments::next(&self.layer, &self.path).map_err(FileError::io("look for segments of", &self.path))?;
        match self.layer.hard_link(&self.path, &segment) {
            Err(error) if has_no_links(error.kind()) => {
                let copied = self.write_new_unlocked(|records, new| {
                    copy(&records.layer, &records.file, 0..records.whole_bytes, new)
                        .map_err(|error| FileError::io("copy", &records.path)(error).into())
                })?;
                self.unfinished_segment = Some(segment.clone());
                self.layer.rename(&copied.temp, &segment).map_err(|error| {
                    let _ = self.layer.remove_file(&copied.temp);
                    FileError::io("name", &segment)(error)
                })?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(FileError::io("name", &segment)(error).into());
            }
            linked => {
                self.unfinished_segment = Some(segment.clone());
                linked.map_err(FileError::io("name", &segment))?;
            }
        }
        // The segment has its name for good before the file loses its own.
        if let Err(error) = sync_dir(&self.layer, &self.directory) {
            self.in_doubt = true;
            return Err(error);
        }
        self.rename_over(new)?;
        self.unfinished_segment = None;
        Ok(segment)
    }

    /// Moves what something else appended to `{path}.damaged`, and cuts it off.
    fn set_foreign_bytes_aside(&mut self, bytes: u64) -> Result<()> {
        let mut tail = Vec::new();
        FileReader::new(&self.layer, &self.file, self.synced_bytes..bytes)
            .read_to_end(&mut tail)
            .map_err(FileError::io("read", &self.path))?;
        // If it is between our own bytes, all of them are set aside and ours are written again from memory.
        let (foreign, line, offset) = match tail.strip_prefix(&*self.unsynced) {
            Some(foreign) => (foreign, self.lines + 1, self.whole_bytes),
            None => {
                self.in_doubt = true;
                let unsynced_lines = self.unsynced.iter().filter(|byte| **byte == b'\n').count() as u64;
                (&*tail, self.lines - unsynced_lines + 1, self.synced_bytes)
            }
        };
        let damage = Damage { line, offset, reason: "appended by something else".to_owned() };
        self.add_to_damaged_file(&self.damaged_entry(&damage, foreign))?;
        self.untold.push(Renewed::Mixed { bytes: bytes - self.whole_bytes });
        self.is_torn = true;
        Ok(())
    }

    fn set_damaged_lines_aside(&mut self) -> Result<()> {
        let mut entries = Vec::new();
        for line in self.damaged.iter().filter(|line| !line.is_set_aside) {
            let (offset, mut text) = (line.damage.offset, Vec::new());
            FileReader::new(&self.layer, &self.file, offset..offset + line.bytes)
                .read_to_end(&mut text)
                .map_err(FileError::io("read", &self.path))?;
            entries.extend(self.damaged_entry(&line.damage, &text));
        }
        if !entries.is_empty() {
            self.add_to_damaged_file(&entries)?;
        }
        for line in &mut self.damaged {
            line.is_set_aside = true;
        }
        Ok(())
    }

    fn damaged_entry(&self, damage: &Damage, text: &[u8]) -> Vec<u8> {
        let entry = serde_json::json!({
            "file": self.path.to_string_lossy(),
            "line": damage.line,
            "offset": damage.offset,
            "bytes": text.len(),
            "reason": damage.reason,
            "text": String::from_utf8_lossy(text).trim_matches(['\0', '\n']),
        });
        format!("{entry}\n").into_bytes()
    }

    /// Appends `entries` to `{path}.damaged`, durably.
    fn add_to_damaged_file(&self, entries: &[u8]) -> Result<()> {
        let path = with_suffix(&self.path, ".damaged");
        match self.layer.create_new(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(FileError::io("create", &path)(error).into());
            }
            _ => {}
        }
        let mut file = self.layer.open_to_append(&path).map_err(FileError::io("open", &path))?;
        let scan = scan(&self.layer, &file, u64::MAX, |_| Ok(())).map_err(FileError::io("read", &path))?;
        if scan.bytes > scan.whole_bytes {
            // Half an entry, of lines that are still in their file.
            self.layer.truncate(&file, scan.whole_bytes).map_err(FileError::io("cut back", &path))?;
        }
        self.layer.write_all(&mut file, entries).map_err(FileError::io("write", &path))?;
        self.layer.sync_file(&file).map_err(FileError::io("fsync", &path))?;
        sync_dir(&self.layer, &self.directory)
    }

    /// Writes a file under a temp name, makes its content durable and locks it.
    fn write_new(&self, write: impl FnOnce(&Self, &mut NewFile<L::File>) -> Result<()>) -> Result<NewFile<L::File>> {
        self.write_new_unlocked(|records, new| {
            records.layer.try_lock(&new.file).map_err(|error| FileError::io("lock", &new.temp)(error.into()))?;
            write(records, new)
        })
    }

    fn write_new_unlocked(
        &self,
        write: impl FnOnce(&Self, &mut NewFile<L::File>) -> Result<()>,
    ) -> Result<NewFile<L::File>> {
        let temp = self.directory.join(temp_name(self.file_name()));
        let written = self.layer.create_new(&temp).map_err(FileError::io("create", &temp)).and_then(|_| {
            let file = self.layer.open_to_append(&temp).map_err(FileError::io("open", &temp))?;
            let id = self.layer.status_of(&file).map_err(FileError::io("look at", &temp))?.id;
            Ok(NewFile { temp: temp.clone(), file, id, bytes: 0, lines: 0 })
        });
        let written = written.map_err(RecordsError::from).and_then(|mut new| {
            write(self, &mut new)?;
            self.layer.sync_file(&new.file).map_err(FileError::io("fsync", &temp))?;
            Ok(new)
        });
        if written.is_err() {
            // If this fails too, the next start removes it.
            let _ = self.layer.remove_file(&temp);
        }
        written
    }

    /// Gives a new file its place at the path.
    fn rename_over(&self, new: &NewFile<L::File>) -> Result<()> {
        let Err(error) = self.layer.rename(&new.temp, &self.path) else { return Ok(()) };
        // A rename may report an error and be done, for example over a network.
        if new.id.is_some() && self.layer.status(&self.path).is_ok_and(|status| status.id == new.id) {
            return Ok(());
        }
        let _ = self.layer.remove_file(&new.temp);
        Err(FileError::io("replace", &self.path)(error).into())
    }

    /// Takes a new file, which has its place at the path, for the old one. Its name is in doubt.
    fn continue_in(&mut self, new: NewFile<L::File>) {
        self.file = new.file;
        self.id = new.id;
        self.whole_bytes = new.bytes;
        self.synced_bytes = new.bytes;
        self.lines = new.lines;
        self.unsynced.clear();
        self.damaged.clear();
        self.is_torn = false;
        self.is_cut_back = false;
        self.in_doubt = true;
    }

    /// Like [`continue_in`](Self::continue_in), for a file that begins with a head.
    fn begin(&mut self, new: NewFile<L::File>) {
        // A long head must not make the file full at once.
        self.full_bytes = self.segment_bytes.max(2 * new.bytes);
        self.unfinished_segment = None;
        self.continue_in(new);
    }

    /// Removes the files that a process that died has left under temp names.
    fn remove_temp_files(&self) -> Result<()> {
        let names = self.layer.list(&self.directory).map_err(FileError::io("list", &self.directory))?;
        for name in names.iter().filter(|name| is_temp_name_of(name, self.file_name())) {
            // Such a file harms nothing.
            let _ = self.layer.remove_file(&self.directory.join(name));
        }
        Ok(())
    }

    fn file_name(&self) -> &OsStr {
        self.path.file_name().expect("a path of a file")
    }
}

impl<F> NewFile<F> {
    fn write<L: FileLayer<File = F>>(&mut self, layer: &L, lines: &[u8]) -> Result<()> {
        if !lines.is_empty() {
            layer.write_all(&mut self.file, lines).map_err(FileError::io("write", &self.temp))?;
            self.bytes += lines.len() as u64;
            self.lines += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        Ok(())
    }
}

/// The lines of the records of a head.
fn lines(records: Vec<String>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        if !line::is_record(&record) {
            return Err(RecordsError::NotARecord { record });
        }
        line::push(&mut lines, &record);
    }
    Ok(lines)
}

/// Makes the file at `path` if nothing is there, and returns its path without symbolic links. Nothing is opened that is
/// no regular file: opening a FIFO would wait for its other end.
fn find_or_make<L: RecordLayer>(layer: &L, path: PathBuf) -> Result<PathBuf> {
    if let Some(directory) = path.parent() {
        make_dir(layer, directory)?;
    }
    match layer.status(&path) {
        Ok(status) if !status.is_file => return Err(RecordsError::NotAFile { path }),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => match layer.create_new(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(FileError::io("create", &path)(error).into());
            }
            _ => {}
        },
        Err(error) => return Err(FileError::io("look at", &path)(error).into()),
    }
    Ok(layer.resolve(&path).map_err(FileError::io("look at", &path))?)
}

/// Opens the file at `path` and locks it.
fn open_locked<L: RecordLayer>(layer: &L, path: &Path) -> Result<(L::File, Status)> {
    // The process that holds the lock may put another file at the path just before it ends. Then the lock is that of a
    // file without a name.
    const ATTEMPTS: usize = 10;
    for _ in 0..ATTEMPTS {
        let file = layer.open_to_append(path).map_err(FileError::io("open", path))?;
        match layer.try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(FileError::io("lock", path)(error).into()),
        }
        let status = layer.status_of(&file).map_err(FileError::io("look at", path))?;
        if layer.status(path).map_err(FileError::io("look at", path))?.id == status.id {
            return Ok((file, status));
        }
    }
    Err(RecordsError::InUse { path: path.to_owned() })
}

fn sync_dir<L: FileLayer>(layer: &L, path: &Path) -> Result<()> {
    layer.sync_dir(path).map_err(|(DirSyncError::NotTried(error) | DirSyncError::Failed(error))| {
        FileError::io("fsync directory", path)(error).into()
    })
}

fn remove_if_there<L: FileLayer>(layer: &L, path: &Path) -> Result<()> {
    match layer.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(FileError::io("remove", path)(error).into()),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// What is in a file.
struct Scan {
    bytes: u64,
    whole_bytes: u64,
    lines: u64,
    damaged: Vec<DamagedLine>,
    /// What follows the last whole line.
    torn: Vec<u8>,
    /// A line is a record, or has a checksum.
    is_ours: bool,
    /// There are only NUL bytes. A power failure can leave them.
    is_blank: bool,
}

/// Whether `bytes` begins as `beginning` does, as far as it goes.
fn has_beginning(bytes: &[u8], beginning: &[u8]) -> bool {
    let length = bytes.len().min(beginning.len());
    bytes[..length] == beginning[..length]
}

/// Calls `each` with the whole lines in the first `bytes` of a file.
fn scan<L: RecordLayer>(
    layer: &L,
    file: &L::File,
    bytes: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), String>,
) -> io::Result<Scan> {
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, FileReader::new(layer, file, 0..bytes));
    let mut scan = Scan {
        bytes: 0,
        whole_bytes: 0,
        lines: 0,
        damaged: Vec::new(),
        torn: Vec::new(),
        is_ours: false,
        is_blank: true,
    };
    // Bytes, not text: what is torn may be torn in the middle of a character.
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        scan.bytes += read;
        scan.is_blank = scan.is_blank && line.iter().all(|byte| *byte == 0);
        let Some(text) = line.strip_suffix(b"\n") else {
            scan.torn = line;
            return Ok(scan);
        };
        scan.lines += 1;
        let mark = line::mark(text);
        let understood = match mark {
            Mark::Wrong => Err("its checksum is that of another line".to_owned()),
            _ if !text.starts_with(b"{") || !text.ends_with(b"}") => Err("it is not a JSON object".to_owned()),
            _ => each(&line),
        };
        scan.is_ours |= mark != Mark::Missing || understood.is_ok();
        if let Err(reason) = understood {
            let damage = Damage { line: scan.lines, offset: scan.whole_bytes, reason };
            scan.damaged.push(DamagedLine { damage, bytes: read, is_set_aside: false });
        }
        scan.whole_bytes += read;
    }
}

/// Appends a part of a file to a new one.
fn copy<L: RecordLayer>(
    layer: &L,
    from: &L::File,
    part: std::ops::Range<u64>,
    to: &mut NewFile<L::File>,
) -> io::Result<()> {
    let mut reader = FileReader::new(layer, from, part);
    let mut chunk = vec![0; CHUNK_BYTES];
    while !reader.part.is_empty() {
        let read = reader.read(&mut chunk)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        layer.write_all(&mut to.file, &chunk[..read])?;
        to.bytes += read as u64;
    }
    Ok(())
}

/// Reads a part of a file.
struct FileReader<'a, L: RecordLayer> {
    layer: &'a L,
    file: &'a L::File,
    part: std::ops::Range<u64>,
}

impl<'a, L: RecordLayer> FileReader<'a, L> {
    fn new(layer: &'a L, file: &'a L::File, part: std::ops::Range<u64>) -> Self {
        Self { layer, file, part }
    }
}

impl<L: RecordLayer> Read for FileReader<'_, L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.part.end - self.part.start).unwrap_or(usize::MAX);
        let bytes = buffer.len().min(left);
        let read = self.layer.read_at(self.file, self.part.start, &mut buffer[..bytes])?;
        self.part.start += read as u64;
        Ok(read)
    }
}
