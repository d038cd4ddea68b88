//! A live run: a run over candles as they close, whose state is kept in stores.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sigbox_engine::{Interval, Outcome, Settings, State, signal::Pair, trader::Memory};
use sigbox_events::{Event, IncidentKind, Notice};
use sigbox_market::Market;
use tokio::sync::watch;

use crate::{
    Frame, RunError, Setup,
    desk::{Desk, Entries, Seat},
    feed::{Boundary, Feed, FeedError},
    journal::{Journal, Recall},
    keeper::{Failures, Keeper},
    reconcile::in_words,
    restore::Restorer,
    rows::{order_document, position_document, slot_entry},
    sink::{Silence, Sink},
    start::{self, Held},
    store::{OnCorrupt, Stores},
    strategy::LiveStrategy,
    strategy_memory::StoredMemory,
};

/// How a live run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// What to do with stored documents that cannot be understood.
    pub on_corrupt: OnCorrupt,
    /// How long after the question an answer may still open a trade.
    pub max_entry_delay: Duration,
    /// How far strategies look back, minutes. Older candles are dropped when no position or order needs them any more.
    pub lookback_minutes: u32,
    /// What to do at the start when a trader that the setup does not name holds something.
    pub orphans: Orphans,
    /// The time at the start, milliseconds; for candles that are replayed, the time at which they end. A stored row of
    /// a later time is impossible.
    pub now_ms: i64,
}

impl LiveOptions {
    /// The usual options of a run that starts at `now_ms`: corrupt documents are set aside, trades are opened within half
    /// a minute, strategies look back a day and an hour, and what is left of other traders is watched.
    #[must_use]
    pub const fn at(now_ms: i64) -> Self {
        Self {
            on_corrupt: OnCorrupt::Quarantine,
            max_entry_delay: Duration::from_secs(30),
            lookback_minutes: 1500,
            orphans: Orphans::Watch,
            now_ms,
        }
    }
}

/// What to do about traders that hold something and that the setup does not name: their strategy was renamed or removed,
/// or their symbol was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// Watch what they hold to its end. Nothing is opened for them.
    #[default]
    Watch,
    /// Refuse to start.
    Refuse,
}

/// Whether and how a live run is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// End after the boundary being decided. What is held stays in the stores, and a restart resumes it.
    Now,
    /// Open nothing new, and end when no position is open. Orders that wait are left as they are.
    WhenFlat,
}

/// A live run: its candles come from a feed, and its state is kept in stores.
pub struct Live<S, F> {
    desk: Desk<S>,
    feed: F,
    market: Market,
    lookback_minutes: usize,
    /// The newest boundary; before the first one, the time of the start.
    now_ms: i64,
}

/// The stored state of one trader, for a program that only looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredState {
    /// The trader's strategy, symbol, exchange and frame.
    pub pair: Pair,
    /// The position or order that it holds, or neither.
    pub state: State,
}

impl StoredState {
    /// The row as it is stored; `None` when flat.
    #[must_use]
    pub fn row(&self) -> Option<serde_json::Value> {
        let document = match &self.state {
            State::Idle => return None,
            State::Scheduled(order) => order_document(&self.pair, order),
            State::Open(position) => position_document(&self.pair, position),
        };
        serde_json::from_slice(&document).ok()
    }
}

/// Reads what the stores hold for `pairs` and changes nothing, so it may be done while a run is under way.
///
/// # Errors
/// When a store cannot be read, or a document cannot be understood or belongs to another trader.
pub async fn stored_state(stores: &Stores, settings: &Settings, pairs: &[Pair]) -> Result<Vec<StoredState>, RunError> {
    let restorer = Restorer { stores, settings, on_corrupt: OnCorrupt::Halt, now_ms: 0, latest_ms: i64::MAX };
    let mut found = Vec::new();
    for pair in pairs {
        found.push(StoredState { pair: pair.clone(), state: restorer.look(pair).await? });
    }
    Ok(found)
}

/// Reads what the strategy of `pair` remembers, by name, and changes nothing.
///
/// # Errors
/// When the store cannot be read, or the document cannot be understood or belongs to another trader.
pub async fn stored_memory(
    stores: &Stores,
    settings: &Settings,
    pair: &Pair,
) -> Result<BTreeMap<String, Vec<u8>>, RunError> {
    let restorer = Restorer { stores, settings, on_corrupt: OnCorrupt::Halt, now_ms: 0, latest_ms: i64::MAX };
    Ok(restorer.memory(pair, &mut Silence).await?.map(StoredMemory::values).unwrap_or_default())
}

impl<S: LiveStrategy, F: Feed> Live<S, F> {
    /// Restores what an earlier run left behind, compares it with the record of events, and gets the candles needed to
    /// go on from there.
    ///
    /// # Errors
    /// When the setup contradicts itself, a store cannot be read or written, a document belongs to another trader or
    /// cannot be understood and the run is to halt then, a trader that the setup does not name holds something and the
    /// run is to refuse then, or the candles of a symbol are missing and nothing is held on the other symbols.
    pub async fn start<L: FnMut(&Event)>(
        mut setup: Setup<S>,
        stores: Stores,
        mut feed: F,
        options: LiveOptions,
        journal: &mut Journal<L>,
    ) -> Result<Self, RunError> {
        if *setup.frame() != Frame::default() {
            return Err(RunError::Setup("a live run has no frame; leave it out".to_owned()));
        }
        let average_of = setup.settings().avg_price_candles_count as usize;
        let market = setup.market().clone();
        let intervals: BTreeMap<Pair, Interval> =
            setup.seats().iter().map(|seat| (seat.assignment.pair().clone(), seat.interval)).collect();

        journal.tell_found();
        let Held { states, others } = start::held(&mut setup, &stores, &options, journal).await?;
        let mut memories = BTreeMap::new();
        let mut recalls = BTreeMap::new();
        for (pair, state) in states {
            let recall = journal.recall(&pair);
            let interval = intervals.get(&pair).copied().unwrap_or(Interval::MINUTE);
            memories.insert(pair.clone(), remember(state, &recall, interval));
            recalls.insert(pair, recall);
        }
        let (mut seats, mut profiles) = setup.into_seats(memories)?;
        for (profile, others) in profiles.iter_mut().zip(others) {
            profile.others = others;
        }

        // A position is judged again on every candle since it was opened, because its extremes are not stored.
        let mut wanted: BTreeMap<String, Option<i64>> = BTreeMap::new();
        for seat in &mut seats {
            let from_ms = seat.held_from_ms();
            seat.next_open_ms = from_ms.unwrap_or_default();
            let oldest = wanted.entry(seat.pair().symbol.clone()).or_default();
            *oldest = match (*oldest, from_ms) {
                (Some(oldest), Some(from_ms)) => Some(oldest.min(from_ms)),
                (one, other) => one.or(other),
            };
            let recalled = recalls.get(seat.pair()).and_then(|recall| recall.ask_from_ms);
            // What a strategy remembers says that it was asked so far. The last of these questions may be asked again.
            seat.ask_from_ms = recalled.max(seat.memory.asked_ms()).unwrap_or(i64::MIN);
        }
        let missing = feed.prepare(&market, &wanted.into_iter().collect::<Vec<_>>()).await?;
        // A run that does not start leaves what it holds to nobody. So one symbol without candles keeps it from starting
        // only if nothing is held on the others.
        let is_missing = |symbol: &str| missing.iter().any(|missing| missing.symbol() == symbol);
        let is_needed =
            seats.iter().any(|seat| *seat.trader.state() != State::Idle && !is_missing(&seat.pair().symbol));
        for missing in missing {
            let on_symbol = |seat: &Seat<S>| seat.pair().symbol == missing.symbol();
            let is_configured = seats.iter().any(|seat| seat.strategy.is_some() && on_symbol(seat));
            if is_configured && !is_needed {
                return Err(missing.into());
            }
            if is_configured {
                let held = seats.iter().filter(|seat| on_symbol(seat) && *seat.trader.state() != State::Idle);
                let held =
                    held.map(|seat| format!("; nobody watches {} of {}", in_words(seat.trader.state()), seat.pair()));
                let error = format!("{}{}", missing.problem(), held.collect::<String>());
                let symbol = missing.symbol().to_owned();
                journal.notice(options.now_ms, None, &Notice::FeedFailed { symbol, error });
            }
            if is_configured && !matches!(missing, FeedError::Never { .. }) {
                // The feed asks again. What is held is judged on all its candles when they have come.
                continue;
            }
            // What a trader holds keeps its slot.
            for seat in seats.extract_if(.., |seat| on_symbol(seat)) {
                if seat.strategy.is_none() {
                    let (held, unwatched) = (in_words(seat.trader.state()), Some(missing.to_string()));
                    journal.notice(options.now_ms, Some(seat.pair()), &Notice::Orphan { held, unwatched });
                }
                for profile in &seat.profiles {
                    let slot = seat.trader.state().position().map(|position| slot_entry(seat.pair(), position));
                    profiles[*profile].others.extend(slot);
                }
            }
        }
        for seat in &mut seats {
            seat.is_restored_order = matches!(seat.trader.state(), State::Scheduled(_));
            // A crash may have come before this event was told. If it was told, the journal skips it.
            if let State::Open(position) = seat.trader.state() {
                seat.owed.push(Outcome::Opened { position: position.clone() });
                seat.tell_owed(options.now_ms, journal);
            }
        }
        let keeper = Keeper::new(stores, seats.iter().map(|seat| seat.pair().clone()).collect());
        let mut desk = Desk::new(seats, profiles, Some(keeper), average_of, None);
        desk.patience = feed.patience();
        desk.late_after = feed.patience().map(|_| options.max_entry_delay);
        desk.reassert_slots(options.now_ms).await?;
        let LiveOptions { lookback_minutes, now_ms, .. } = options;
        Ok(Self { desk, feed, market, lookback_minutes: lookback_minutes as usize, now_ms })
    }

    /// Trades until the feed ends or `stop` says so.
    ///
    /// # Errors
    /// When the feed cannot go on, another host has claimed a store, or an event cannot be recorded. What is held stays
    /// in the stores.
    pub async fn run(mut self, sink: &mut dyn Sink, mut stop: watch::Receiver<Stop>) -> Result<(), RunError> {
        let mut notices: Vec<Notice> = Vec::new();
        let ended: Result<(), RunError> = loop {
            if let Some(refusal) = self.desk.keeper.as_ref().and_then(Keeper::fenced) {
                break Err(refusal.into());
            }
            let asked = *stop.borrow_and_update();
            if asked == Stop::Now || (asked == Stop::WhenFlat && !self.desk.holds_positions()) {
                break Ok(());
            }
            let next = tokio::select! {
                next = self.feed.next(&self.market, &mut notices) => next,
                answered = self.desk.late_answer() => {
                    // Its own time limit says whether it is fresh.
                    let entries = entries(*stop.borrow(), true);
                    self.desk.admit_late(answered, entries, sink).await;
                    continue;
                }
                Ok(()) = stop.changed() => continue,
            };
            let Boundary { now_ms, fresh } = match next {
                Ok(Some(boundary)) => boundary,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            };
            self.now_ms = now_ms;
            for notice in notices.drain(..) {
                sink.notice(now_ms, None, &notice);
            }
            self.desk.tell_orders(now_ms, sink);
            let entries = entries(*stop.borrow(), fresh);
            let begun = Instant::now();
            self.desk.boundary(now_ms, entries, sink).await;
            sink.decided(now_ms, begun.elapsed());
            for incident in self.desk.keeper.iter().flat_map(Keeper::incidents) {
                // An instance that broke down, or a store that was away, may have come back without what it had.
                self.desk.is_doubtful |= matches!(incident.kind, IncidentKind::Restarted | IncidentKind::Resumed);
                sink.notice(now_ms, None, &Notice::Store(incident));
            }
            if entries == Entries::Open {
                sink.reached(now_ms);
            }
            self.let_go();
        };
        let kept = self.end(sink).await;
        ended?;
        kept
    }

    /// Makes sure that everything is kept, and closes the stores.
    async fn end(&mut self, sink: &mut dyn Sink) -> Result<(), RunError> {
        if self.desk.keeper.as_ref().and_then(Keeper::fenced).is_none() {
            self.desk.is_doubtful = true;
            self.desk.settle(self.now_ms, sink).await;
        }
        let mut not_kept = self.desk.not_kept();
        not_kept.extend(sink.sync().err().map(|error| format!("the event record: {error}")));
        if let Some(keeper) = &self.desk.keeper {
            keeper.close().await;
        }
        for what in &not_kept {
            tracing::error!("not kept: {what}");
        }
        if not_kept.is_empty() { Ok(()) } else { Err(RunError::NotKept(not_kept)) }
    }

    /// Drops the candles that are not needed any more, at least a day of them at a time.
    fn let_go(&self) {
        let kept = self.lookback_minutes.saturating_add(DAY);
        let symbols = self.market.symbols().filter_map(|symbol| Some((symbol, self.market.series(symbol)?)));
        for (symbol, series) in symbols.filter(|(_, series)| series.read().len() >= kept.saturating_add(DAY)) {
            series.let_go(kept, self.desk.needed_from_ms(symbol));
        }
    }
}

/// The minutes of a day. So many candles are kept beyond the look-back of the strategies, because a slow strategy looks
/// back from the boundary at which it was asked. And at least so many are dropped at a time, because each drop moves
/// all candles that stay.
const DAY: usize = 24 * 60;

/// What a boundary may begin.
const fn entries(stop: Stop, fresh: bool) -> Entries {
    match stop {
        Stop::No if fresh => Entries::Open,
        Stop::No => Entries::Late,
        Stop::Now | Stop::WhenFlat => Entries::Stopped,
    }
}

/// The memory of a trader that holds `state`.
fn remember(state: State, recall: &Recall, interval: Interval) -> Memory {
    let (asked_ms, opened) = match &state {
        State::Idle => (recall.asked_ms, None),
        State::Scheduled(order) => (Some(order.signal.scheduled_at_ms), None),
        State::Open(position) => (Some(position.signal.scheduled_at_ms), Some(position.signal.id.clone())),
    };
    Memory {
        state,
        asked_slot_ms: asked_ms.map(|asked_ms| interval.slot(asked_ms)),
        last_opened_id: opened.or_else(|| recall.last_opened_id.clone()),
    }
}

impl<S: LiveStrategy> Desk<S> {
    /// Tells the orders that an earlier run left: a crash may have come before they were told. This happens at the first
    /// boundary at which the candles of their average price are there, which is before they are judged.
    fn tell_orders(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        for seat in self.seats.iter_mut().filter(|seat| seat.is_restored_order) {
            let State::Scheduled(order) = seat.trader.state() else {
                seat.is_restored_order = false;
                continue;
            };
            if let Some(price) = seat.series.average_price(order.signal.scheduled_at_ms, self.average_of) {
                seat.owed.push(Outcome::Scheduled { order: order.clone(), price });
                seat.is_restored_order = false;
                seat.tell_owed(now_ms, sink);
            }
        }
    }

    /// Writes the slots of every profile again, from what was restored (hazard H-11).
    async fn reassert_slots(&mut self, now_ms: i64) -> Result<(), RunError> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let all = 0..self.profiles.len();
        let failed = keeper.write_slots(all, &self.claims(), &self.profiles, &Failures::new(), now_ms).await;
        failed.into_iter().min_by_key(|(profile, _)| *profile).map_or(Ok(()), |(_, error)| Err(error.into()))
    }
}
