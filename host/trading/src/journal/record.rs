//! What the lines of an event record say of each trader.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs, io,
    path::Path,
};

use serde_json::Value;
use sigbox_engine::{MINUTE_MS, signal::Pair};
use sigbox_events::{Action, Carried, Head, Trade, TraderLine};

use crate::trades;

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

/// What the record says that a trader holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Recorded {
    /// The record does not say.
    Unknown,
    /// Its last signal has ended.
    Ended(Signed),
    /// It holds the order or position of its last signal.
    Held {
        signal: Signed,
        was_ordered: bool,
        /// The event that began it.
        beginning: Value,
    },
    /// It held the order or position of this signal. But later lines were damaged, and its end may be among them.
    Doubtful(Signed),
}

/// A signal by its id, and when it was proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) scheduled_at_ms: i64,
}

/// What the lines of an event record say.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// For each trader, the events of its current or last signal and the events after it.
    known: BTreeMap<Pair, Known>,
    /// The newest time of a trader's event.
    newest_ms: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) ids: HashSet<String>,
    /// The current or last signal.
    signal: Option<KnownSignal>,
    recall: Recall,
    /// Its last trades, oldest first.
    trades: VecDeque<Trade>,
    /// Lines of the file were damaged after the last one of this trader, so its end may be among them.
    is_doubtful: bool,
}

#[derive(Clone, Debug)]
struct KnownSignal {
    id: String,
    scheduled_at_ms: i64,
    /// Whether it was an order that waited.
    was_ordered: bool,
    /// The line of the event that began the order or position that is held; `None`: it has ended.
    beginning: Option<Vec<u8>>,
}

impl Record {
    /// Reads the event record at `path` without changing it, also while a run writes to it. Lines that are no events are
    /// passed over. A file that is not there says nothing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut record = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            // A damaged line is told by the run that sets it aside.
            let _ = record.learn(line);
        }
        Ok(record)
    }

    /// Adds one line of an earlier run.
    ///
    /// # Errors
    /// When it is not an event.
    pub(super) fn learn(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let head = Head::parse(line)?;
        if head.action() == Some(Action::CarriedOver) {
            let carried = Carried::parse(line)?;
            let [exchange, strategy, symbol] = [&carried.exchange_name, &carried.strategy_name, &carried.symbol];
            self.known.insert(trader(exchange, strategy, symbol), carried.into());
            return Ok(());
        }
        if !head.is_of_trader() {
            return Ok(());
        }
        let parsed = TraderLine::parse(line)?;
        let action = head.action();
        let trade = if action == Some(Action::Closed) { Trade::of_line(&parsed) } else { None };
        let TraderLine { exchange_name, strategy_name, symbol, signal, .. } = parsed;
        self.newest_ms = self.newest_ms.max(Some(head.timestamp));
        let known = self.known.entry(trader(&exchange_name, &strategy_name, &symbol)).or_default();
        let of_signal = signal.as_ref().map(|signal| (&*signal.id, signal.scheduled_at.unwrap_or(head.timestamp)));
        known.add(head.id.into_owned(), action, of_signal, line);
        known.add_trade(trade);
        // The trader may be asked again one minute after the event, whatever the event is. The time of a close or
        // cancel is the opening time of the candle that decided it, and the boundary at which this candle closed may
        // ask. The time of every other event of a flat trader is the boundary of the decision, and the boundary after
        // it may ask.
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

    /// Notes that lines were damaged: what began before may have ended in one of them.
    pub(super) fn doubt(&mut self) {
        self.known.values_mut().for_each(|known| known.is_doubtful = true);
    }

    pub(super) fn of(&mut self, pair: &Pair) -> &mut Known {
        // Most events are of a trader that is known, so its names need not be copied.
        if !self.known.contains_key(pair) {
            self.known.insert(pair.clone(), Known::default());
        }
        self.known.get_mut(pair).expect("it is there now")
    }

    /// Whether the event of that id is recorded, as far as the same candles could give it again.
    pub(super) fn has(&self, pair: &Pair, id: &str) -> bool {
        self.known.get(pair).is_some_and(|known| known.ids.contains(id))
    }

    pub(super) fn recall(&self, pair: &Pair) -> Recall {
        self.known.get(pair).map(|known| known.recall.clone()).unwrap_or_default()
    }

    /// The last trades of `pair`, oldest first.
    pub(crate) fn trades(&self, pair: &Pair) -> VecDeque<Trade> {
        self.known.get(pair).map(|known| known.trades.clone()).unwrap_or_default()
    }

    /// The newest time of a trader's event, milliseconds.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.newest_ms.unwrap_or(i64::MIN)
    }

    /// What the record says that `pair` holds.
    pub(crate) fn says(&self, pair: &Pair) -> Recorded {
        let Some(known) = self.known.get(pair) else { return Recorded::Unknown };
        let Some(signal) = &known.signal else { return Recorded::Unknown };
        let signed = Signed { id: signal.id.clone(), scheduled_at_ms: signal.scheduled_at_ms };
        match signal.beginning() {
            None => Recorded::Ended(signed),
            Some(_) if known.is_doubtful => Recorded::Doubtful(signed),
            Some(beginning) => Recorded::Held { signal: signed, was_ordered: signal.was_ordered, beginning },
        }
    }

    /// Whether it says something of any trader, and nothing in it is in doubt because of damaged lines.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        !self.known.is_empty() && self.known.values().all(|known| !known.is_doubtful)
    }

    /// The traders that hold something by the record.
    pub fn holding(&self) -> impl Iterator<Item = Pair> {
        let holding = self.known.iter().filter(|(_, known)| known.holds() && !known.is_doubtful);
        holding.map(|(pair, _)| pair.clone())
    }

    /// Notes that what `pair` holds has ended without an event. Returns the line that says so; `None` when nothing is
    /// held.
    pub(super) fn end(&mut self, pair: &Pair, at_ms: i64) -> Option<String> {
        let known = self.known.get_mut(pair).filter(|known| known.holds())?;
        known.signal.as_mut()?.beginning = None;
        known.is_doubtful = false;
        Some(known.carried(pair).to_json(at_ms))
    }

    /// Forgets the signal of `pair`. Returns the line that says so; `None` when nothing is known of it.
    pub(super) fn unlearn(&mut self, pair: &Pair, at_ms: i64) -> Option<String> {
        let known = self.known.get_mut(pair)?;
        known.signal = None;
        known.is_doubtful = false;
        Some(known.carried(pair).to_json(at_ms))
    }

    /// The records with which a new file begins, so that a restart knows by it all that it would know by this one.
    pub(super) fn head(&self, at_ms: i64) -> Vec<String> {
        self.known.iter().map(|(pair, known)| known.carried(pair).to_json(at_ms)).collect()
    }
}

/// A trader by its names. A live run has no frame.
fn trader(exchange: &str, strategy: &str, symbol: &str) -> Pair {
    let [exchange, strategy, symbol] = [exchange, strategy, symbol].map(str::to_owned);
    Pair { symbol, strategy, exchange, frame: String::new() }
}

impl KnownSignal {
    fn beginning(&self) -> Option<Value> {
        self.beginning.as_ref().and_then(|line| serde_json::from_slice(line).ok())
    }
}

impl Known {
    /// Notes an event. When a new signal begins, the ids of the old one are forgotten: no candle gives those events
    /// again. `signal`: its id, and when it was proposed. `line`: the event.
    pub(super) fn add(&mut self, id: String, action: Option<Action>, signal: Option<(&str, i64)>, line: &[u8]) {
        self.is_doubtful = false;
        match (signal, action) {
            (Some((signal_id, scheduled_at_ms)), Some(action)) if action.is_beginning() => {
                let is_same = |known: &KnownSignal| known.id == signal_id;
                let mut was_ordered = action == Action::Scheduled;
                match self.signal.as_ref().filter(|known| is_same(known)) {
                    Some(known) => was_ordered |= known.was_ordered,
                    None => self.ids.clear(),
                }
                let (id, beginning) = (signal_id.to_owned(), Some(line.to_vec()));
                self.signal = Some(KnownSignal { id, scheduled_at_ms, was_ordered, beginning });
            }
            // The trader was flat and was asked again. So the document of its last position is cleared, and no candle
            // gives the events of that position again.
            (None, _) if !self.holds() => self.ids.clear(),
            _ => {}
        }
        if action.is_some_and(Action::is_end)
            && let Some(known) = &mut self.signal
        {
            known.beginning = None;
        }
        self.ids.insert(id);
    }

    /// Notes the trade that ended with the event, if one did.
    pub(super) fn add_trade(&mut self, trade: Option<Trade>) {
        if let Some(trade) = trade {
            trades::add(&mut self.trades, trade);
        }
    }

    fn holds(&self) -> bool {
        self.signal.as_ref().is_some_and(|signal| signal.beginning.is_some())
    }

    fn carried(&self, Pair { symbol, strategy, exchange, .. }: &Pair) -> Carried<'static> {
        let Self { ids, signal, recall, trades, is_doubtful: _ } = self;
        let mut event_ids: Vec<String> = ids.iter().cloned().collect();
        event_ids.sort_unstable();
        Carried {
            exchange_name: exchange.clone().into(),
            strategy_name: strategy.clone().into(),
            symbol: symbol.clone().into(),
            event_ids,
            signal_id: signal.as_ref().map(|signal| signal.id.clone()),
            scheduled_at: signal.as_ref().map(|signal| signal.scheduled_at_ms),
            was_ordered: signal.as_ref().is_some_and(|signal| signal.was_ordered),
            beginning: signal.as_ref().and_then(KnownSignal::beginning),
            ask_from: recall.ask_from_ms,
            asked: recall.asked_ms,
            last_opened_id: recall.last_opened_id.clone(),
            trades: trades.iter().cloned().collect(),
        }
    }
}

impl From<Carried<'_>> for Known {
    fn from(carried: Carried<'_>) -> Self {
        let Carried {
            event_ids,
            signal_id,
            scheduled_at,
            was_ordered,
            beginning,
            ask_from,
            asked,
            last_opened_id,
            trades,
            ..
        } = carried;
        let signal = signal_id.zip(scheduled_at).map(|(id, scheduled_at_ms)| {
            let beginning = beginning.map(|beginning| beginning.to_string().into_bytes());
            KnownSignal { id, scheduled_at_ms, was_ordered, beginning }
        });
        let recall = Recall { ask_from_ms: ask_from, asked_ms: asked, last_opened_id };
        Self { ids: event_ids.into_iter().collect(), signal, recall, trades: trades.into(), is_doubtful: false }
    }
}
