//! The record of what a live run has announced: its events as JSON Lines, each exactly once.
//!
//! After a crash the same candles give the same outcomes with the same ids. The journal knows which ids it has, so it
//! records no event twice. It also knows the last event of each trader and the last boundary that was reached. From
//! these follows what the four documents do not say: since when a trader has been flat, in which time slot it was asked
//! last, and which id it opened last. And it knows what each trader holds, so that a start can compare it with the
//! stores.
//!
//! [`Records`] keep the lines whole. When the file is full, or is moved away while a run writes to it, the record
//! continues in a new file. What a restart needs of the earlier ones is at the head of each file, a line for each
//! trader.
//!
//! The last boundary reached is kept in a file beside the events, `{events}.reached`, with its checksum. It is rewritten
//! in place and never synced. If the process is killed, the file has the newest boundary. If the machine loses power,
//! the file may have an older one or nothing, and strategies are asked again about the quiet minutes since.

mod record;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sigbox_engine::{MINUTE_MS, Outcome, signal::Pair};
use sigbox_events::{Event, Notice, Trade, reached_file};
use sigbox_files::{Damage, Disk, Records, RecordsError, Renewed};

use crate::sink::Sink;

pub use self::record::{Recall, Record};
pub(crate) use self::record::{Recorded, Signed};

/// An event file that can be appended to across restarts.
pub struct Journal<L> {
    /// The file as it was named, for messages.
    path: PathBuf,
    records: Records<Disk>,
    record: Record,
    /// Holds the boundary reached, as text; `None` when it cannot be opened.
    reached_file: Option<File>,
    /// The boundary an earlier run reached.
    reached_ms: Option<i64>,
    /// The time of the newest boundary, for what is noticed between two of them.
    now_ms: i64,
    /// What was wrong with the file when it was opened, until it is told.
    found: Vec<String>,
    /// Called with each event when it is recorded for the first time.
    listener: L,
}

/// The files of the record at `path`, oldest first: those that were full, and the one that is written to.
///
/// # Errors
/// When the folder cannot be read.
pub fn event_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    sigbox_files::segments(path)
}

/// When an event file is full, bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Why an event file cannot be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It cannot be opened or read.
    #[error("events {path}: {source}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: RecordsError,
    },
    /// Another process appends to it.
    #[error("events {path}: another process writes to this file; choose another one", path = .path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// It has no event. Nothing was changed.
    #[error("events {path}: holds something else, not events; choose another file", path = .path.display())]
    NotOurs {
        /// Which file.
        path: PathBuf,
    },
    /// It is a directory, a FIFO or a device.
    #[error("events {path}: not a regular file; choose another one", path = .path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
    },
}

impl JournalError {
    fn of(path: &Path, source: RecordsError) -> Self {
        let path = path.to_path_buf();
        match source {
            RecordsError::InUse { .. } => Self::InUse { path },
            RecordsError::NotOurs { .. } => Self::NotOurs { path },
            RecordsError::NotAFile { .. } => Self::NotAFile { path },
            source => Self::File { path, source },
        }
    }
}

impl<L: FnMut(&Event)> Journal<L> {
    /// Opens or creates the event file at `path` and reads what is in it. A last line without a line break is half an
    /// event of a run that was killed. It is cut off, and its event is told again. Lines that are no events are moved
    /// to `{events}.damaged`.
    ///
    /// `now_ms`: the time, or the end of the candles that are replayed. No boundary after it was reached.
    /// `segment_bytes`: when the file is full, and the record continues in a new one.
    ///
    /// # Errors
    /// When the file cannot be read, is in use, or holds something else.
    pub fn open(path: &Path, segment_bytes: u64, now_ms: i64, listener: L) -> Result<Self, JournalError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let mut record = Record::default();
        let learn = |line: &[u8]| record.learn(line).map_err(|error| error.to_string());
        let (records, found) = Records::open(Disk, absolute, "{\"id\":\"", segment_bytes, learn)
            .map_err(|source| JournalError::of(path, source))?;
        let found: Vec<String> = found.damaged.iter().map(|damage| damaged(path, damage)).collect();
        if !found.is_empty() {
            record.doubt();
        }
        let reached_path = reached_file(records.path());
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&reached_path);
        let mut reached_file = opened
            .inspect_err(|error| {
                let path = reached_path.display();
                tracing::warn!("the boundary reached cannot be noted in {path}: {error}");
            })
            .ok();
        let mut reached = String::new();
        // A file that cannot be read counts as empty.
        let _ = reached_file.as_mut().map(|file| file.read_to_string(&mut reached));
        let reached_ms = parse_reached(&reached).filter(|reached_ms| *reached_ms <= now_ms.max(record.newest_ms()));
        let path = path.to_path_buf();
        Ok(Self { path, records, record, reached_file, reached_ms, now_ms, found, listener })
    }

    /// What earlier runs recorded about a trader.
    #[must_use]
    pub fn recall(&self, pair: &Pair) -> Recall {
        let mut recall = self.record.recall(pair);
        if let Some(reached_ms) = self.reached_ms
            && recall.ask_from_ms.is_none_or(|ask_from_ms| ask_from_ms <= reached_ms)
        {
            // The trader has been flat since its last event. It was asked in every time slot, up to the one of this
            // boundary.
            recall.ask_from_ms = Some(reached_ms + MINUTE_MS);
            recall.asked_ms = Some(reached_ms);
        }
        recall
    }

    /// What its lines say.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Tells what was wrong with the file when it was opened.
    pub(crate) fn tell_found(&mut self) {
        for what in std::mem::take(&mut self.found) {
            self.notice(self.now_ms, None, &Notice::Record { what });
        }
    }

    /// Notes that what `pair` holds has ended without an event: a person decided so, or the store says it.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub(crate) fn end(&mut self, pair: &Pair) -> io::Result<()> {
        let before = self.record.clone();
        let Some(line) = self.record.end(pair, self.now_ms) else { return Ok(()) };
        self.append(&line).inspect_err(|_| self.record = before)
    }

    /// Forgets what the record says that `pair` holds, so that the store alone says it. The ids of its events stay.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub(crate) fn unlearn(&mut self, pair: &Pair) -> io::Result<()> {
        let before = self.record.clone();
        let Some(line) = self.record.unlearn(pair, self.now_ms) else { return Ok(()) };
        self.append(&line).inspect_err(|_| self.record = before)
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let Self { records, record, now_ms, .. } = self;
        let renewed = records.append(line, &mut || record.head(*now_ms))?;
        self.tell_renewed(renewed);
        Ok(())
    }

    /// Looks whether the file is still where it was, and goes on in a new one if not.
    fn check(&mut self) {
        let Self { records, record, now_ms, .. } = self;
        match records.check(&mut || record.head(*now_ms)) {
            Ok(renewed) => self.tell_renewed(renewed),
            Err(error) => tracing::error!("the event record cannot go on: {error}"),
        }
    }

    fn tell_renewed(&mut self, renewed: Vec<Renewed>) {
        for renewed in renewed {
            let what = renewed.in_words(&self.path);
            if let Renewed::Full { .. } = renewed {
                tracing::info!("{what}");
            } else {
                self.notice(self.now_ms, None, &Notice::Record { what });
            }
        }
    }
}

impl<L: FnMut(&Event)> Sink for Journal<L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        let Some(event) = Event::of(pair, outcome) else { return Ok(()) };
        if self.record.has(pair, &event.id) {
            return Ok(());
        }
        let line = event.to_json();
        self.append(&line)?;
        let signal = event.signal.as_ref().map(|signal| (signal.id, signal.terms.scheduled_at));
        let known = self.record.of(pair);
        known.add(event.id.clone(), Some(event.action), signal, line.as_bytes());
        known.add_trade(Trade::of(outcome));
        (self.listener)(&event);
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self { records, record, now_ms, .. } = self;
        let renewed = records.sync(&mut || record.head(*now_ms))?;
        self.tell_renewed(renewed);
        Ok(())
    }

    fn reached(&mut self, now_ms: i64) {
        let Some(file) = &mut self.reached_file else { return };
        let written = file.rewind().and_then(|()| file.write_all(reached_line(now_ms).as_bytes()));
        if let Err(error) = written {
            tracing::warn!("the boundary reached could not be noted: {error}");
        }
    }

    fn decided(&mut self, now_ms: i64, _: Duration) {
        self.now_ms = now_ms;
        self.check();
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        if let Err(error) = self.append(&notice.to_json(at_ms, pair)) {
            tracing::error!("a notice could not be recorded: {error}");
        }
        match (pair, notice) {
            (None, Notice::Reconciled(verdict)) if verdict.is_clean() => tracing::info!("{notice}"),
            (Some(pair), _) => tracing::warn!("{pair}: {notice}"),
            (None, _) => tracing::warn!("{notice}"),
        }
    }
}

/// `1704067200000 1a2b3c4d`: the boundary, and the checksum of its digits. It is always as long, because it is written
/// over in place.
fn reached_line(now_ms: i64) -> String {
    let mut line = format!("{now_ms:013}");
    let checksum = crc32fast::hash(line.as_bytes());
    let _ = writeln!(line, " {checksum:08x}");
    line
}

/// The boundary in such a line. A line that was torn, or was written by something else, says nothing.
fn parse_reached(line: &str) -> Option<i64> {
    let reached_ms = line.split(' ').next()?.parse().ok()?;
    (reached_line(reached_ms) == line).then_some(reached_ms)
}

fn damaged(path: &Path, damage: &Damage) -> String {
    let Damage { line, reason, .. } = damage;
    format!(
        "{path}:{line}: not an event ({reason}); the line was moved to {path}.damaged. What a trader has held since is \
         what its store has",
        path = path.display()
    )
}
