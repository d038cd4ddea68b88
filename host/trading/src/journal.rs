//! The record of what a live run has announced: its events as JSON Lines, each exactly once.
//!
//! After a crash the same candles give the same outcomes with the same ids. The journal knows which ids it has, so it
//! records no event twice. It also knows the last event of each trader and the last boundary that was reached. From
//! these follows what the four documents do not say: since when a trader has been flat, in which time slot it was asked
//! last, and which id it opened last.
//!
//! The last boundary reached is kept in a file beside the events, `{events}.reached`. It is rewritten in place and
//! never synced. If the process is killed, the file has the newest boundary. If the machine loses power, the file may
//! have an older one, and strategies are asked again about the quiet minutes since.

mod records;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use sigbox_engine::{MINUTE_MS, Outcome, signal::Pair};
use sigbox_events::{Action, Event, Head, Notice, TraderLine, reached_file};

use self::records::{Records, Unread};
use crate::sink::Sink;

/// What an earlier run's events say about a trader that is flat now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// The first boundary at which it has not been asked, as far as the events tell.
    pub ask_from_ms: Option<i64>,
    /// A time inside the time slot in which it was asked last; `None`: ask at once.
    pub asked_ms: Option<i64>,
    /// The id of the position that it opened last.
    pub last_opened_id: Option<String>,
}

/// An event file that can be appended to across restarts.
pub struct Journal<L> {
    records: Records,
    /// Holds the boundary reached, as text.
    reached_file: File,
    /// The boundary an earlier run reached.
    reached_ms: Option<i64>,
    /// For each trader, the events of its current or last signal and the events after it.
    known: BTreeMap<Who, Known>,
    /// Called with each event when it is recorded for the first time.
    listener: L,
}

/// Exchange, strategy and symbol.
type Who = (String, String, String);

#[derive(Clone, Debug, Default)]
struct Known {
    ids: HashSet<String>,
    signal_id: Option<String>,
    /// Whether the order or position of that signal is held.
    held: bool,
    recall: Recall,
}

/// Why an event file cannot be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It cannot be opened or read.
    #[error("events {path}: {source}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not an event. Only the last line can be half an event, and that one is dropped.
    #[error(
        "events {path}:{line}: not an event ({reason}); the file is what a restart knows of announced events, so put \
         the line right or start a new file",
        path = .path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// Another process appends to it.
    #[error("events {path}: another process writes to this file; choose another one", path = .path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
}

impl<L: FnMut(&Event)> Journal<L> {
    /// Opens or creates the event file at `path` and reads what is in it. A last line without a line break is half an
    /// event of a run that was killed. It is cut off, and its event is told again.
    ///
    /// # Errors
    /// When the file cannot be read, is in use, or has a line that is not an event.
    pub fn open(path: &Path, listener: L) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_path_buf(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        file.try_lock().map_err(|_| JournalError::InUse { path: path.to_path_buf() })?;
        let mut known = BTreeMap::new();
        let records = Records::open(file, |line| learn(&mut known, line)).map_err(|unread| match unread {
            Unread::Io(source) => io(source),
            Unread::Record(line, error) => {
                JournalError::Line { path: path.to_path_buf(), line, reason: error.to_string() }
            }
        })?;

        let mut reached_file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(reached_file(path))
            .map_err(io)?;
        let mut reached = String::new();
        // A file that cannot be read or has no number counts as empty.
        let _ = reached_file.read_to_string(&mut reached);
        let reached_ms = reached.trim().parse().ok();
        Ok(Self { records, reached_file, reached_ms, known, listener })
    }

    /// What earlier runs recorded about a trader.
    #[must_use]
    pub fn recall(&self, exchange: &str, strategy: &str, symbol: &str) -> Recall {
        let who = (exchange.to_owned(), strategy.to_owned(), symbol.to_owned());
        let mut recall = self.known.get(&who).map(|known| known.recall.clone()).unwrap_or_default();
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
}

impl Known {
    /// Notes an event. When a new signal begins, the ids of the old one are forgotten: no candle gives those events
    /// again.
    fn add(&mut self, id: String, action: Option<Action>, signal_id: Option<&str>) {
        if let Some(signal_id) = signal_id
            && action.is_some_and(Action::is_beginning)
            && self.signal_id.as_deref() != Some(signal_id)
        {
            self.signal_id = Some(signal_id.to_owned());
            self.ids.clear();
            self.held = true;
        } else if signal_id.is_none() && !self.held {
            // The trader was flat and was asked again. So the document of its last position is cleared, and no candle
            // gives the events of that position again.
            self.ids.clear();
        }
        if action.is_some_and(Action::is_end) {
            self.held = false;
        }
        self.ids.insert(id);
    }
}

/// Adds one line of an earlier run to `known`.
fn learn(known: &mut BTreeMap<Who, Known>, line: &[u8]) -> serde_json::Result<()> {
    let head = Head::parse(line)?;
    if !head.is_of_trader() {
        return Ok(());
    }
    let TraderLine { exchange_name, strategy_name, symbol, signal, .. } = TraderLine::parse(line)?;
    let action = head.action();
    let who = (exchange_name.into_owned(), strategy_name.into_owned(), symbol.into_owned());
    let known = known.entry(who).or_default();
    known.add(head.id.into_owned(), action, signal.as_ref().map(|signal| &*signal.id));
    // The trader may be asked again one minute after the event, whatever the event is. The time of a close or cancel is
    // the opening time of the candle that decided it, and the boundary at which this candle closed may ask. The time of
    // every other event of a flat trader is the boundary of the decision, and the boundary after it may ask.
    known.recall.ask_from_ms = Some(head.timestamp + MINUTE_MS);
    match (action, signal) {
        (Some(Action::Opened), Some(signal)) => known.recall.last_opened_id = Some(signal.id.into_owned()),
        (Some(Action::Closed | Action::Cancelled), Some(signal)) => known.recall.asked_ms = signal.scheduled_at,
        (Some(Action::InvalidSignal | Action::StrategyFailed | Action::SymbolMismatch), _) => {
            known.recall.asked_ms = Some(head.timestamp);
        }
        // A refusal by the risk rules does not use up the time slot.
        (Some(Action::RiskRejection), _) => known.recall.asked_ms = None,
        _ => {}
    }
    Ok(())
}

impl<L: FnMut(&Event)> Sink for Journal<L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        let Some(event) = Event::of(pair, outcome) else { return Ok(()) };
        let who = (pair.exchange.clone(), pair.strategy.clone(), pair.symbol.clone());
        let known = self.known.entry(who).or_default();
        if known.ids.contains(&event.id) {
            return Ok(());
        }
        self.records.append(&event.to_json())?;
        known.add(event.id.clone(), Some(event.action), event.signal.as_ref().map(|signal| signal.id));
        (self.listener)(&event);
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        self.records.sync()
    }

    fn reached(&mut self, now_ms: i64) {
        let written = self.reached_file.rewind().and_then(|()| writeln!(self.reached_file, "{now_ms:013}"));
        if let Err(error) = written {
            tracing::warn!("the boundary reached could not be noted: {error}");
        }
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        if let Err(error) = self.records.append(&notice.to_json(at_ms, pair)) {
            tracing::error!("a notice could not be recorded: {error}");
        }
        match pair {
            Some(pair) => tracing::warn!("{pair}: {notice}"),
            None => tracing::warn!("{notice}"),
        }
    }
}
