//! The loop of a run: what happens at a minute boundary, in a backtest and in live trading alike.
//!
//! ```text
//! boundary(now) ─► 1 judge    positions and orders, on every candle that has closed (pure, candle by candle, in order)
//!                  2 keep     changed documents, durable before memory changes (live only)
//!                  3 commit   memory = next state
//!                  4 ask      the strategies of traders that are flat and due
//!                  5 admit    their answers, in order; the risk rules count what the earlier answers opened
//!                  6 keep, commit
//! ```
//!
//! An outcome that begins an order or a position is told after its document is written. Otherwise a crash could leave
//! an announced position that was never stored. Every other outcome is told *before* its documents change: when the
//! document of a position is cleared, nothing is left from which its end could be derived. After a crash in between,
//! the same candles give the same outcomes with the same ids, and the sink skips those that it already has.
//!
//! Invariants:
//! 1. A trader's next candle is judged only when the state before it is durable and committed.
//! 2. A trader whose store or sink fails keeps its state in memory, opens nothing, and judges the same candle again
//!    later. A beginning that could not be told is owed, and told at a later boundary before anything else of the trader.
//! 3. A strategy is asked at a boundary only after its trader has judged every candle up to that boundary.

#[cfg(test)]
mod tests;

use std::{
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sigbox_engine::{
    MINUTE_MS, Outcome, Outcomes, State, Trader,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    signal::Pair,
    trader::{Answer, Bar, Next},
};
use sigbox_events::{Notice, Trade};
use sigbox_market::SharedSeries;
use tokio::time::{Instant, timeout_at};

use crate::{
    StrategyMemory, Trades,
    keeper::{Change, Failures, Keeper},
    lanes::{self, Course},
    reconcile::in_words,
    risk::{Claim, Profile},
    row::{self, Ahead, Asking, Promise, RowLength},
    sink::Sink,
    store::StoreError,
    strategy::{LiveStrategy, Question, Strategy},
};

/// What a boundary may begin.
///
/// The enum is as wide as a register. A single byte would be stored in a future and read back as a part of a wider
/// value, and the processor would wait for that at every minute of a backtest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Entries {
    /// Strategies are asked.
    Open,
    /// Strategies are not asked; orders that wait may still be filled.
    Late,
    /// Nothing may begin. Orders that wait are left as they are, to be judged after a restart.
    Stopped,
}

/// Everything that trades in one run.
pub(crate) struct Desk<S> {
    pub(crate) seats: Vec<Seat<S>>,
    pub(crate) profiles: Vec<Profile>,
    /// Writes changes to the stores; `None` in a backtest, which keeps nothing.
    pub(crate) keeper: Option<Keeper>,
    /// Candles in the average price.
    pub(crate) average_of: usize,
    /// The last boundary of the period being tested.
    pub(crate) frame_end_ms: Option<i64>,
    /// How long a live boundary waits for answers; `None`: as long as they take.
    pub(crate) patience: Option<Duration>,
    /// How long after the question an answer may still open a trade; `None`: always.
    pub(crate) late_after: Option<Duration>,
    /// A store was away for a while, so it may have come back without what it had.
    pub(crate) is_doubtful: bool,
    thinking: FuturesUnordered<BoxFuture<'static, Answered<S>>>,
    scratch: Scratch,
}

/// A strategy that has answered, with its answer.
pub(crate) struct Answered<S> {
    seat: usize,
    asked_ms: i64,
    asked_at: Instant,
    price: f64,
    strategy: S,
    answer: Answer,
}

/// One trader with its strategy and its candles.
pub(crate) struct Seat<S> {
    pub(crate) trader: Trader,
    /// `None` while the strategy works on its answer.
    pub(crate) strategy: Option<S>,
    pub(crate) series: SharedSeries,
    /// Indices of the risk profiles it is subject to.
    pub(crate) profiles: Vec<usize>,
    /// Opening time of the next candle on which the position or order is judged. It has no meaning while the trader is
    /// flat.
    pub(crate) next_open_ms: i64,
    /// The first boundary at which the strategy may be asked. At earlier ones it was asked before a restart.
    pub(crate) ask_from_ms: i64,
    /// What the strategy has said of the time to come. Only in a backtest, and only while the trader is flat.
    pub(crate) ahead: Option<Ahead>,
    /// How much the strategy is asked at once in a backtest.
    pub(crate) row_length: RowLength,
    /// The strategy has promised to have nothing to say for a while.
    pub(crate) promise: Option<Promise>,
    /// The last trades, which the strategy may read.
    pub(crate) trades: Trades,
    /// What the strategy has asked to be remembered. Only a live run keeps it.
    pub(crate) memory: StrategyMemory,
    /// A write failed, so the store may not hold what the trader holds.
    pub(crate) unsettled: bool,
    /// Whether it has an order of an earlier run that this run has not told.
    pub(crate) is_restored_order: bool,
    /// What began and could not be told yet, in order. The documents are durable. Nothing later is told before it.
    pub(crate) owed: Vec<Outcome>,
}

/// A decision that is not yet written to the stores and not yet committed.
struct Draft {
    seat: usize,
    next: Next,
    /// The range of its outcomes in `Scratch::outcomes`.
    outcomes: Range<usize>,
    /// Opening time of the candle that was judged; `None` when the decision came from an answer.
    judged_open_ms: Option<i64>,
}

/// Buffers that are used again, so that a boundary does not allocate memory.
#[derive(Default)]
struct Scratch {
    drafts: Vec<Draft>,
    outcomes: Vec<Outcome>,
    holders: Holders,
    row: Vec<Question>,
}

/// How many traders of each risk profile hold a position or an order, or are about to. They are counted when a rule
/// first asks. After that, each new draft updates the counts.
#[derive(Default)]
struct Holders {
    /// Empty until the traders are counted.
    by_profile: Vec<usize>,
    /// How many drafts the counts include.
    drafts: usize,
}

impl Holders {
    fn forget(&mut self) {
        self.by_profile.clear();
        self.drafts = 0;
    }
}

impl<S> Desk<S> {
    pub(crate) fn new(
        seats: Vec<Seat<S>>,
        profiles: Vec<Profile>,
        keeper: Option<Keeper>,
        average_of: usize,
        frame_end_ms: Option<i64>,
    ) -> Self {
        Self {
            seats,
            profiles,
            keeper,
            average_of,
            frame_end_ms,
            patience: None,
            late_after: None,
            is_doubtful: false,
            thinking: FuturesUnordered::new(),
            scratch: Scratch::default(),
        }
    }

    /// Whether any trader holds a position or has an order waiting.
    pub(crate) fn holds_anything(&self) -> bool {
        self.seats.iter().any(|seat| !matches!(seat.trader.state(), State::Idle))
    }

    /// Whether any trader holds a position.
    pub(crate) fn holds_positions(&self) -> bool {
        self.seats.iter().any(|seat| matches!(seat.trader.state(), State::Open(_)))
    }

    /// The next time at which something can happen: at once while a trader holds a position or has an order waiting,
    /// else when the first strategy is due.
    #[inline]
    pub(crate) fn due_ms(&self) -> i64 {
        let due_ms = |seat: &Seat<S>| match seat.trader.state() {
            State::Idle => match &seat.ahead {
                Some(ahead) => ahead.at_ms,
                None => seat.trader.due_ms().max(seat.ask_from_ms),
            },
            State::Scheduled(_) | State::Open(_) => i64::MIN,
        };
        self.seats.iter().map(due_ms).min().unwrap_or(i64::MAX)
    }

    /// Opening time of the oldest candle of `symbol` that is still needed to judge a position or an order, or for the
    /// average price of that candle. A time in the far future when none is needed.
    pub(crate) fn needed_from_ms(&self, symbol: &str) -> i64 {
        let behind = |seat: &&Seat<S>| seat.pair().symbol == symbol && !matches!(seat.trader.state(), State::Idle);
        let next_open_ms = self.seats.iter().filter(behind).map(|seat| seat.next_open_ms).min().unwrap_or(i64::MAX);
        next_open_ms.saturating_sub(i64::try_from(self.average_of).unwrap_or(i64::MAX).saturating_mul(MINUTE_MS))
    }

    /// Judges each trader on its next candle. Returns true when a trader may have one more candle to judge.
    fn judge(&mut self, now_ms: i64, entries: Entries, sink: &mut dyn Sink) -> bool {
        let mut behind = false;
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            match seat.trader.state() {
                // A flat trader has nothing to judge.
                State::Idle => continue,
                State::Scheduled(_) if entries == Entries::Stopped => continue,
                State::Scheduled(_) | State::Open(_) if seat.next_open_ms >= now_ms || seat.is_behind() => continue,
                State::Scheduled(_) | State::Open(_) => {}
            }
            let Scratch { drafts, outcomes, holders, .. } = &mut self.scratch;
            let mut risk = Gate { seats: &self.seats, profiles: &self.profiles, drafts, holders, asking: index };
            let first = outcomes.len();
            let mut told = Told { pair: seat.pair(), trades: &seat.trades, sink: &mut *sink };
            let out: &mut dyn Outcomes = if self.keeper.is_some() { outcomes } else { &mut told };
            let judged = seat.judge(self.average_of, self.frame_end_ms, &mut risk, out);
            let Some((next, open_ms)) = judged else { continue };
            self.decide(index, next, first, Some(open_ms));
            behind |= open_ms + MINUTE_MS < now_ms;
        }
        behind
    }

    #[inline]
    fn admit(&mut self, index: usize, now_ms: i64, price: f64, answer: Answer, sink: &mut dyn Sink) {
        if let Answer::Quiet(quiet) = answer {
            self.seats[index].promise = Some(Promise::new(quiet, now_ms));
        }
        let Self { seats, profiles, keeper, scratch: Scratch { drafts, outcomes, holders, .. }, .. } = self;
        let mut risk = Gate { seats, profiles, drafts, holders, asking: index };
        let first = outcomes.len();
        let mut told = Told { pair: seats[index].pair(), trades: &seats[index].trades, sink };
        let out: &mut dyn Outcomes = if keeper.is_some() { outcomes } else { &mut told };
        let next = seats[index].trader.admit(now_ms, price, answer, &mut risk, out);
        self.decide(index, next, first, None);
    }

    /// Without a keeper, commits the decision at once; its outcomes are told already. With a keeper, drafts the
    /// decision; its outcomes are those from `first` on.
    #[inline]
    fn decide(&mut self, seat: usize, next: Next, first: usize, judged_open_ms: Option<i64>) {
        let Scratch { drafts, outcomes, holders, .. } = &mut self.scratch;
        if self.keeper.is_some() {
            drafts.push(Draft { seat, next, outcomes: first..outcomes.len(), judged_open_ms });
            return;
        }
        if next.state.is_some() {
            holders.forget();
        }
        self.seats[seat].commit(next, judged_open_ms);
    }

    /// What every trader holds or, with a draft, is about to hold.
    pub(crate) fn claims(&self) -> Vec<Claim<'_>> {
        let held = self.seats.iter().map(|seat| {
            let Seat { trader, profiles, .. } = seat;
            Claim { trader, state: trader.state(), profiles }
        });
        let mut claims: Vec<Claim<'_>> = held.collect();
        for draft in &self.scratch.drafts {
            if let Some(state) = &draft.next.state {
                claims[draft.seat].state = state;
            }
        }
        claims
    }

    /// Writes the drafts to the stores, commits them, and tells the outcomes that begin something.
    async fn conclude(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let Some(keeper) = &self.keeper else { return };
        let mut failed = self.keep(keeper, now_ms, sink).await;
        let Scratch { drafts, outcomes, holders, .. } = &mut self.scratch;
        for draft in drafts.drain(..) {
            let seat = &mut self.seats[draft.seat];
            if let Some(error) = failed.remove(&draft.seat) {
                seat.unsettled = true;
                let notice = Notice::StoreFailed { error };
                sink.notice(now_ms, Some(seat.trader.pair()), &notice);
                continue;
            }
            let outcomes = &outcomes[draft.outcomes];
            for trade in outcomes.iter().filter_map(Trade::of) {
                seat.trades.add(trade);
            }
            // `keep` told the other outcomes before it wrote the documents.
            if seat.begins(&draft.next) {
                seat.owed.extend(outcomes.iter().cloned());
                seat.tell_owed(now_ms, sink);
            }
            seat.commit(draft.next, draft.judged_open_ms);
        }
        outcomes.clear();
        holders.forget();
    }

    /// Makes the drafts durable: first the event record of those that begin nothing, then the documents. Returns the
    /// seats for which that failed, with the reason.
    async fn keep(&self, keeper: &Keeper, now_ms: i64, sink: &mut dyn Sink) -> Failures {
        let mut failed = Failures::new();
        let mut changes = Vec::new();
        for draft in &self.scratch.drafts {
            let seat = &self.seats[draft.seat];
            if !seat.begins(&draft.next) {
                let outcomes = &self.scratch.outcomes[draft.outcomes.clone()];
                let told = outcomes.iter().try_for_each(|outcome| sink.tell(seat.trader.pair(), outcome));
                if let Err(error) = told {
                    failed.insert(draft.seat, format!("the event record: {error}"));
                    continue;
                }
            }
            if let Some(after) = &draft.next.state {
                let change = Change { seat: draft.seat, before: seat.trader.state(), after };
                if change.is_durable() {
                    changes.push(change);
                }
            }
        }
        if changes.is_empty() {
            return failed;
        }
        // If a trader was not flat, the record is synced before its documents change: afterwards its event could not be
        // derived again. A trader that was flat only gets new documents, and a restart tells their events again.
        let clears = changes.iter().any(|change| !matches!(change.before, State::Idle));
        if clears && let Err(error) = sink.sync() {
            failed.extend(changes.iter().map(|change| (change.seat, format!("the event record: {error}"))));
            return failed;
        }
        keeper.keep(&changes, &self.claims(), &self.profiles, failed, now_ms).await
    }

    /// Makes up for what failed: tells what is owed, and writes the documents of unsettled traders again. A trader whose
    /// store takes them trades on.
    ///
    /// A store that comes back from an outage may have lost what it had. So every held document is compared then, and
    /// not only those of unsettled traders.
    pub(crate) async fn settle(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let Some(keeper) = &self.keeper else { return };
        for seat in self.seats.iter_mut().filter(|seat| !seat.owed.is_empty()) {
            seat.tell_owed(now_ms, sink);
        }
        if self.is_doubtful {
            for seat in &self.seats {
                seat.memory.doubt();
            }
        }
        // What a strategy remembers that has not answered yet is written when it has.
        let answered = (0..self.seats.len()).filter(|index| self.seats[*index].strategy.is_some());
        for (index, error) in self.keep_memories(keeper, answered, now_ms).await {
            tracing::warn!("{}: what it remembers is still not kept: {error}", self.seats[index].pair());
        }
        let unsettled: Vec<usize> = (0..self.seats.len()).filter(|index| self.seats[*index].unsettled).collect();
        if !unsettled.is_empty() {
            let failed = keeper.rewrite(&unsettled, &self.claims(), &self.profiles, now_ms).await;
            for index in &unsettled {
                let seat = &mut self.seats[*index];
                match failed.get(index) {
                    None => {
                        seat.unsettled = false;
                        self.is_doubtful = true;
                        sink.notice(now_ms, Some(seat.trader.pair()), &Notice::StoreRecovered);
                    }
                    Some(error) => tracing::warn!("{}: still not kept: {error}", seat.trader.pair()),
                }
            }
        }
        if self.is_doubtful {
            self.reassert(&unsettled, now_ms, sink).await;
        }
    }

    /// Compares the documents of every trader that holds something with what it holds, and writes those again that a
    /// store has lost. Those of `written` have just been written. Stays doubtful as long as a store cannot be read.
    async fn reassert(&mut self, written: &[usize], now_ms: i64, sink: &mut dyn Sink) {
        let Some(keeper) = &self.keeper else { return };
        let held = |index: &usize| {
            let seat = &self.seats[*index];
            !matches!(seat.trader.state(), State::Idle) && !seat.unsettled && !written.contains(index)
        };
        let held: Vec<usize> = (0..self.seats.len()).filter(held).collect();
        if held.is_empty() {
            self.is_doubtful = false;
            return;
        }
        let (lost, failed) = keeper.reassert(&held, &self.claims(), &self.profiles, now_ms).await;
        self.is_doubtful = !failed.is_empty();
        for index in lost {
            let seat = &self.seats[index];
            let held = in_words(seat.trader.state());
            let notice = Notice::Rebuilt { held, found: "older documents, or none".to_owned() };
            sink.notice(now_ms, Some(seat.pair()), &notice);
        }
        for (index, error) in failed {
            let seat = &mut self.seats[index];
            if !std::mem::replace(&mut seat.unsettled, true) {
                sink.notice(now_ms, Some(seat.trader.pair()), &Notice::StoreFailed { error });
            }
        }
    }

    /// Writes what strategies have remembered since it was written last. Returns the seats for which that failed.
    async fn keep_memories(
        &self,
        keeper: &Keeper,
        seats: impl Iterator<Item = usize>,
        now_ms: i64,
    ) -> Vec<(usize, StoreError)> {
        let unwritten: Vec<usize> = seats.filter(|index| self.seats[*index].memory.is_unwritten()).collect();
        if unwritten.is_empty() {
            return Vec::new();
        }
        let documents = unwritten.into_iter().filter_map(|index| {
            let Seat { memory, trader, .. } = &self.seats[index];
            memory.take_unwritten(trader.pair()).map(|document| (index, document))
        });
        let failed = keeper.keep_memories(documents, now_ms).await;
        for (index, _) in &failed {
            self.seats[*index].memory.doubt();
        }
        failed
    }

    /// What is not kept: for each trader whose store or event record is behind what it holds, a line for people.
    pub(crate) fn not_kept(&self) -> Vec<String> {
        let behind = self.seats.iter().filter(|seat| seat.is_behind());
        let line = |seat: &Seat<S>| {
            let whose = if seat.unsettled { "store" } else { "event record" };
            let (pair, state) = (seat.pair(), seat.trader.state());
            match state {
                State::Idle => format!("{pair} holds nothing, and its {whose} may say that it does"),
                State::Scheduled(_) | State::Open(_) => {
                    format!("{pair} holds {}, and its {whose} does not have it", in_words(state))
                }
            }
        };
        behind.map(line).collect()
    }
}

/// A backtest: strategies answer at once, and nothing is kept.
impl<S: Strategy> Desk<S> {
    /// Judges every candle that has closed at `now_ms`, as far as the series have it. Then admits the answers of this
    /// minute. Flat traders are asked ahead of it. Only for a desk without a keeper.
    pub(crate) fn boundary_at_once(&mut self, now_ms: i64, asking: Asking, sink: &mut dyn Sink) {
        while self.judge(now_ms, Entries::Open, sink) {}
        let each = sink.hears_ticks();
        for index in 0..self.seats.len() {
            let (seat, row) = (&mut self.seats[index], &mut self.scratch.row);
            seat.ask_ahead(now_ms, asking, self.average_of, each, row);
            if let Some(Ahead { price, answer, .. }) = seat.ahead.take_if(|ahead| ahead.at_ms == now_ms) {
                self.admit(index, now_ms, price, answer, sink);
                let (seat, row) = (&mut self.seats[index], &mut self.scratch.row);
                seat.ask_ahead(now_ms + MINUTE_MS, asking, self.average_of, each, row);
            }
        }
    }

    /// Does everything that happens at boundaries from the first one at which strategies may be asked to the last one
    /// before `stop_ms`, on several threads. Only for a desk without a keeper that has not begun, and a sink that does
    /// not hear ticks. `progress` is called now and then with the boundary that is reached; it may stop the run.
    pub(crate) fn run_ahead(
        &mut self,
        threads: NonZeroUsize,
        asking: Asking,
        stop_ms: i64,
        sink: &mut dyn Sink,
        progress: impl FnMut(i64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Self { seats, profiles, average_of, frame_end_ms, .. } = self;
        let course = Course { profiles, average_of: *average_of, frame_end_ms: *frame_end_ms, asking, stop_ms };
        let pairs: Vec<Pair> = seats.iter().map(|seat| seat.pair().clone()).collect();
        let tell = |seat: usize, outcome: &Outcome| tell(sink, &pairs[seat], outcome);
        match lanes::run(std::mem::take(seats), &course, threads, tell, progress) {
            Some(ran) => {
                *seats = ran;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}

impl<S: Strategy> Seat<S> {
    /// Asks the strategy of a flat trader about the time from `from_ms` on, if that is not known yet. `each`: every
    /// question is asked by itself, because somebody hears of each. `row` is a buffer.
    pub(crate) fn ask_ahead(
        &mut self,
        from_ms: i64,
        asking: Asking,
        average_of: usize,
        each: bool,
        row: &mut Vec<Question>,
    ) {
        if self.ahead.is_some() || !matches!(self.trader.state(), State::Idle) {
            return;
        }
        let mut from_ms = from_ms.max(self.trader.due_ms()).max(self.ask_from_ms);
        let (length, trader) = (if each { 1 } else { self.row_length.get() }, &self.trader);
        if let Some(mut promise) = self.promise.take() {
            let ends_ms = promise.ends(&self.series, average_of, asking.last).unwrap_or(i64::MAX);
            from_ms = row::after_silence(from_ms, ends_ms, asking, |asked_ms| trader.due_after(asked_ms));
        }
        row::fill(row, length, from_ms, asking, (&self.series, average_of), |asked_ms| trader.due_after(asked_ms));
        self.ahead = Some(match (row.last(), &mut self.strategy) {
            (Some(last), Some(strategy)) => {
                let answered = strategy.answer(row);
                self.row_length.asked(answered.is_some());
                let (Question { now_ms, price, .. }, answer) =
                    answered.map_or((*last, Answer::Nothing), |(index, answer)| (row[index], answer));
                Ahead { at_ms: now_ms, price, answer }
            }
            (None, _) | (_, None) => Ahead::NEVER,
        });
    }
}

/// A live run: strategies may take their time, and every change is kept.
impl<S: LiveStrategy> Desk<S> {
    /// Judges every candle that has closed at `now_ms`, as far as the series have it. Then asks the strategies that are
    /// due, all together, if `entries` allow it. Every change is kept.
    pub(crate) async fn boundary(&mut self, now_ms: i64, entries: Entries, sink: &mut dyn Sink) {
        self.settle(now_ms, sink).await;
        loop {
            let behind = self.judge(now_ms, entries, sink);
            self.conclude(now_ms, sink).await;
            if !behind {
                break;
            }
        }
        if entries == Entries::Open {
            self.ask_together(now_ms, sink).await;
        }
    }

    /// Asks all strategies at once and admits their answers in the order of the seats, so that a fast strategy does not
    /// take the risk slot of a slow one. A strategy that has not answered when the patience ends continues, and the
    /// others do not wait for it.
    async fn ask_together(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let asked_at = Instant::now();
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if !seat.is_due(now_ms) {
                continue;
            }
            if seat.is_quiet(now_ms, self.average_of) {
                seat.ask_from_ms = seat.trader.due_after(now_ms);
                continue;
            }
            let bar = seat.series.read().bar(now_ms, self.average_of).map(|(candle, price)| (*candle, price));
            let Some((candle, price)) = bar else { continue };
            let Some(mut strategy) = seat.strategy.take() else { continue };
            seat.memory.take_back(now_ms);
            self.thinking.push(Box::pin(async move {
                let answer = strategy.answer_in_time(Question { now_ms, price, candle }).await;
                Answered { seat: index, asked_ms: now_ms, asked_at, price, strategy, answer }
            }));
        }
        let mut answers: Vec<Answered<S>> = Vec::new();
        let until = self.patience.map(|patience| asked_at + patience);
        while let Some(answered) = match until {
            None => self.thinking.next().await,
            Some(until) => timeout_at(until, self.thinking.next()).await.ok().flatten(),
        } {
            answers.push(answered);
        }
        answers.sort_by_key(|answered| answered.seat);
        self.keep_remembered(&mut answers, now_ms).await;
        for answered in answers {
            self.take(answered, sink);
        }
        self.conclude(now_ms, sink).await;
    }

    /// Waits for the next answer of a strategy that had not answered at its boundary. Waits forever if there is no such
    /// strategy.
    pub(crate) async fn late_answer(&mut self) -> Answered<S> {
        match self.thinking.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// Admits a late answer. A trade that comes too late to enter becomes a failed answer. While nothing new may begin, the
    /// answer is dropped: a run that drains would otherwise open a position, and never end.
    pub(crate) async fn admit_late(&mut self, answered: Answered<S>, entries: Entries, sink: &mut dyn Sink) {
        let asked_ms = answered.asked_ms;
        if entries == Entries::Stopped {
            let seat = &mut self.seats[answered.seat];
            seat.memory.take_back(asked_ms);
            seat.strategy = Some(answered.strategy);
            return;
        }
        let mut answers = [answered];
        self.keep_remembered(&mut answers, asked_ms).await;
        for answered in answers {
            self.take(answered, sink);
        }
        self.conclude(asked_ms, sink).await;
    }

    /// Makes durable what the strategies have remembered while they answered. If that fails, the answer is a failed one:
    /// after a crash, the strategy would not know what led to its trade.
    async fn keep_remembered(&self, answers: &mut [Answered<S>], now_ms: i64) {
        let Some(keeper) = &self.keeper else { return };
        let seats = answers.iter().map(|answered| answered.seat);
        for (index, error) in self.keep_memories(keeper, seats, now_ms).await {
            for answered in answers.iter_mut().filter(|answered| answered.seat == index) {
                self.seats[index].memory.take_back(answered.asked_ms);
                answered.answer = Answer::Failed(format!("what it remembers could not be kept: {error}"));
            }
        }
    }

    /// Puts a strategy back in its seat and admits its answer.
    fn take(&mut self, answered: Answered<S>, sink: &mut dyn Sink) {
        let Answered { seat, asked_ms, asked_at, price, strategy, answer } = answered;
        self.seats[seat].strategy = Some(strategy);
        let late = asked_at.elapsed();
        let answer = match (answer, self.late_after) {
            (Answer::Trade(_), Some(late_after)) if late > late_after => Answer::Failed(format!(
                "answered {} s after it was asked, when it was too late to enter ([live] max-entry-delay-seconds)",
                late.as_secs()
            )),
            (answer, _) => answer,
        };
        self.admit(seat, asked_ms, price, answer, sink);
    }
}

/// The risk rules of one trader. They count what all other traders hold or are about to hold.
struct Gate<'a, S> {
    seats: &'a [Seat<S>],
    profiles: &'a [Profile],
    drafts: &'a [Draft],
    holders: &'a mut Holders,
    asking: usize,
}

impl<S> RiskGate for Gate<'_, S> {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        let asking = &self.seats[self.asking];
        // An order that is about to be filled is not counted against itself.
        let own = usize::from(!matches!(asking.trader.state(), State::Idle));
        for index in &asking.profiles {
            let Profile { rules, others, .. } = &self.profiles[*index];
            check_rules(rules, request, self.holders(*index) - own + others.len())?;
        }
        Ok(())
    }
}

impl<S> Gate<'_, S> {
    /// How many traders of `profile` hold something, or are about to.
    fn holders(&mut self, profile: usize) -> usize {
        let Holders { by_profile, drafts: counted } = &mut *self.holders;
        let subject = |seat: &Seat<S>, profile: usize| seat.profiles.contains(&profile);
        if by_profile.is_empty() {
            let holding = |seat: &&Seat<S>| !matches!(seat.trader.state(), State::Idle);
            let count = |profile| self.seats.iter().filter(holding).filter(|seat| subject(seat, profile)).count();
            by_profile.extend((0..self.profiles.len()).map(count));
        }
        for draft in &self.drafts[*counted..] {
            let seat = &self.seats[draft.seat];
            let Some(next) = &draft.next.state else { continue };
            let change = |count: usize| match (seat.trader.state(), next) {
                (State::Idle, State::Scheduled(_) | State::Open(_)) => count + 1,
                (State::Scheduled(_) | State::Open(_), State::Idle) => count - 1,
                (State::Idle, State::Idle)
                | (State::Scheduled(_) | State::Open(_), State::Scheduled(_) | State::Open(_)) => count,
            };
            for (_, count) in by_profile.iter_mut().enumerate().filter(|(profile, _)| subject(seat, *profile)) {
                *count = change(*count);
            }
        }
        *counted = self.drafts.len();
        by_profile[profile]
    }
}

/// Tells an outcome of a backtest to the sink, and only logs a failure: a sink of a backtest reports its failure at the
/// end.
fn tell(sink: &mut dyn Sink, pair: &Pair, outcome: &Outcome) {
    if let Err(error) = sink.tell(pair, outcome) {
        tracing::error!("an event could not be recorded: {error}");
    }
}

/// Tells the outcomes of a backtest to the sink, and notes its trades.
struct Told<'a> {
    pair: &'a Pair,
    trades: &'a Trades,
    sink: &'a mut dyn Sink,
}

impl Outcomes for Told<'_> {
    fn add(&mut self, outcome: Outcome) {
        if let Some(trade) = Trade::of(&outcome) {
            self.trades.add(trade);
        }
        tell(self.sink, self.pair, &outcome);
    }

    fn tick(&mut self, tick: &Outcome) {
        if self.sink.hears_ticks() {
            tell(self.sink, self.pair, tick);
        }
    }
}

impl<S> Seat<S> {
    /// Tells what is owed, in order, as far as the record takes it.
    pub(crate) fn tell_owed(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let pair = self.trader.pair();
        let told = self.owed.iter().map_while(|outcome| match sink.tell(pair, outcome) {
            Ok(()) => Some(()),
            Err(error) => {
                let error = format!("the event record: {error}");
                sink.notice(now_ms, Some(pair), &Notice::StoreFailed { error });
                None
            }
        });
        let told = told.count();
        self.owed.drain(..told);
    }

    /// Whether the decision begins an order or a position that was not there before.
    fn begins(&self, next: &Next) -> bool {
        let Some(next) = &next.state else { return false };
        match (self.trader.state(), next) {
            (State::Idle, State::Scheduled(_) | State::Open(_)) | (State::Scheduled(_), State::Open(_)) => true,
            (State::Idle | State::Scheduled(_) | State::Open(_), State::Idle)
            | (State::Scheduled(_) | State::Open(_), State::Scheduled(_))
            | (State::Open(_), State::Open(_)) => false,
        }
    }

    /// What the next candle does to the order or the position, and when that candle opens; `None`: it is not there.
    #[inline]
    pub(crate) fn judge(
        &self,
        average_of: usize,
        frame_end_ms: Option<i64>,
        risk: &mut dyn RiskGate,
        out: &mut dyn Outcomes,
    ) -> Option<(Next, i64)> {
        let candles = self.series.read();
        let (candle, average) = candles.bar(self.next_open_ms + MINUTE_MS, average_of)?;
        let next = self.trader.step(Bar { candle, average, frame_end_ms }, risk, out);
        Some((next, candle.open_time_ms))
    }

    /// Makes a decision current. `judged_open_ms`: the opening time of the candle that was judged; `None` when the
    /// decision came from an answer.
    #[inline]
    pub(crate) fn commit(&mut self, next: Next, judged_open_ms: Option<i64>) {
        let born = self.begins(&next);
        self.trader.commit(next);
        if let Some(open_ms) = judged_open_ms {
            self.next_open_ms = open_ms + MINUTE_MS;
        } else if born {
            // After a late answer, the candles since the question must still be judged.
            self.next_open_ms = self.held_from_ms().unwrap_or(self.next_open_ms);
        }
    }

    /// Opening time of the first candle on which the position or order is judged; `None` when flat.
    pub(crate) fn held_from_ms(&self) -> Option<i64> {
        match self.trader.state() {
            State::Idle => None,
            State::Scheduled(order) => Some(order.signal.scheduled_at_ms),
            State::Open(position) => Some(position.judged_from_ms),
        }
    }

    fn is_due(&self, now_ms: i64) -> bool {
        self.trader.is_due(now_ms) && now_ms >= self.ask_from_ms && !self.is_behind()
    }

    /// Whether the strategy has promised to have nothing to say at `now_ms`.
    fn is_quiet(&mut self, now_ms: i64, average_of: usize) -> bool {
        let Some(promise) = &mut self.promise else { return false };
        if promise.ends(&self.series, average_of, now_ms).is_some() {
            self.promise = None;
        }
        self.promise.is_some()
    }

    /// Whether the store or the event record is behind what the trader holds.
    const fn is_behind(&self) -> bool {
        self.unsettled || !self.owed.is_empty()
    }

    /// The strategy, symbol, exchange and frame of the trader.
    pub(crate) const fn pair(&self) -> &Pair {
        self.trader.pair()
    }
}
