//! The one loop: what happens at a minute boundary, in a backtest and in live trading alike.
//!
//! ```text
//! boundary(now) ─► 1 judge    every candle that has closed, on what is held (pure, candle by candle, in order)
//!                  2 keep     changed documents, durable before memory changes (live only)
//!                  3 commit   memory = next state
//!                  4 ask      strategies that are flat and due
//!                  5 admit    their answers, in order, each under the risk rules the earlier ones left
//!                  6 keep, commit
//! ```
//!
//! Outcomes are told once they are durable. An outcome that ends something is told *before* its document is cleared,
//! because afterwards nothing is left to derive it from; one that begins something is told after its document is
//! written, because a beginning that is not durable must not have happened. After a crash in between, the same candles
//! give the same outcomes with the same ids, and the sink knows which it has already.
//!
//! Invariants:
//! 1. A trader's next candle is judged only when the state before it is durable and committed.
//! 2. A trader whose store fails keeps its memory, opens nothing, and judges the same candle again later.
//! 3. A strategy is asked only at a boundary its trader has judged every candle up to.

use std::{ops::Range, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sigbox_engine::{
    MINUTE_MS, Outcome, Outcomes, State, Trader,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    signal::Pair,
    trader::{Answer, Bar, Next},
};
use sigbox_events::Notice;
use sigbox_market::SharedSeries;
use tokio::time::{Instant, timeout_at};

use crate::{
    keeper::{Change, Failures, Keeper},
    risk::{Claim, Profile},
    sink::Sink,
    strategy::{LiveStrategy, Strategy},
};

/// What a boundary may begin. As wide as a register: a byte that is stored in a future and read back as part of one makes
/// the processor wait, every minute of a backtest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Entries {
    /// Strategies are asked.
    Open,
    /// Strategies are not asked; orders that wait may still be filled.
    Late,
    /// Nothing: orders that wait are left alone, to be judged after a restart.
    Stopped,
}

/// Everything that trades in one run.
pub(crate) struct Desk<S> {
    pub(crate) seats: Vec<Seat<S>>,
    pub(crate) profiles: Vec<Profile>,
    /// Where changes are kept; a backtest keeps nothing.
    pub(crate) keeper: Option<Keeper>,
    /// Candles in the average price.
    pub(crate) average_of: usize,
    /// The last boundary of the period being tested.
    pub(crate) frame_end_ms: Option<i64>,
    /// How long a live boundary waits for answers; `None`: as long as they take.
    pub(crate) patience: Option<Duration>,
    /// How long after the question a trade may still be entered; `None`: always.
    pub(crate) late_after: Option<Duration>,
    thinking: FuturesUnordered<BoxFuture<'static, Answered<S>>>,
    scratch: Scratch,
}

/// A strategy that is done thinking.
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
    /// `None` while it is thinking.
    pub(crate) strategy: Option<S>,
    pub(crate) series: SharedSeries,
    /// Indices of the risk profiles it is subject to.
    pub(crate) profiles: Vec<usize>,
    /// Opening time of the next candle to judge what is held on. Says nothing while nothing is held.
    pub(crate) next_open_ms: i64,
    /// The strategy is not asked at boundaries before this one: it was, before a restart.
    pub(crate) ask_from_ms: i64,
    /// The store failed and may not hold what the trader holds.
    pub(crate) unsettled: bool,
}

/// A decision that has not been kept and committed yet.
struct Draft {
    seat: usize,
    next: Next,
    /// Which of the collected outcomes are its own.
    outcomes: Range<usize>,
    /// The candle it judged, if it did: the next one comes after.
    judged_open_ms: Option<i64>,
}

/// Buffers, kept so that a boundary allocates nothing.
#[derive(Default)]
struct Scratch {
    drafts: Vec<Draft>,
    outcomes: Vec<Outcome>,
    holders: Holders,
}

/// How many traders of each risk profile hold something or are about to: counted when a rule first asks, and kept up
/// with the drafts that follow.
#[derive(Default)]
struct Holders {
    /// Empty: not counted.
    by_profile: Vec<usize>,
    /// How many drafts have been taken into account.
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

    /// When something can happen next: at once, while anybody holds something or has an order waiting, else when the first
    /// strategy is due.
    #[inline]
    pub(crate) fn due_ms(&self) -> i64 {
        let due_ms = |seat: &Seat<S>| match seat.trader.state() {
            State::Idle => seat.trader.due_ms().max(seat.ask_from_ms),
            State::Scheduled(_) | State::Open(_) => i64::MIN,
        };
        self.seats.iter().map(due_ms).min().unwrap_or(i64::MAX)
    }

    /// When the oldest candle of `symbol` opened that something held there has still to be judged on, or averaged over for
    /// that; `i64::MAX` when nothing is.
    pub(crate) fn needed_from_ms(&self, symbol: &str) -> i64 {
        let behind = |seat: &&Seat<S>| seat.pair().symbol == symbol && !matches!(seat.trader.state(), State::Idle);
        let next_open_ms = self.seats.iter().filter(behind).map(|seat| seat.next_open_ms).min().unwrap_or(i64::MAX);
        next_open_ms.saturating_sub(i64::try_from(self.average_of).unwrap_or(i64::MAX).saturating_mul(MINUTE_MS))
    }

    /// Decides what the next candle does to each trader. True when there may be a trader with another one to judge.
    fn judge(&mut self, now_ms: i64, entries: Entries, sink: &mut dyn Sink) -> bool {
        let mut behind = false;
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            match seat.trader.state() {
                // A flat trader has nothing to be judged on.
                State::Idle => continue,
                State::Scheduled(_) if entries == Entries::Stopped => continue,
                State::Scheduled(_) | State::Open(_) if seat.next_open_ms >= now_ms || seat.unsettled => continue,
                State::Scheduled(_) | State::Open(_) => {}
            }
            let candles = seat.series.read();
            let Some((candle, average)) = candles.bar(seat.next_open_ms + MINUTE_MS, self.average_of) else { continue };
            let bar = Bar { candle, average, frame_end_ms: self.frame_end_ms };
            let Scratch { drafts, outcomes, holders } = &mut self.scratch;
            let mut risk = Gate { seats: &self.seats, profiles: &self.profiles, drafts, holders, asking: index };
            let first = outcomes.len();
            let mut told = Told { pair: seat.pair(), sink: &mut *sink };
            let out: &mut dyn Outcomes = if self.keeper.is_some() { outcomes } else { &mut told };
            let next = seat.trader.step(bar, &mut risk, out);
            let open_ms = candle.open_time_ms;
            drop(candles);
            self.decide(index, next, first, Some(open_ms));
            behind |= open_ms + MINUTE_MS < now_ms;
        }
        behind
    }

    #[inline]
    fn admit(&mut self, index: usize, now_ms: i64, price: f64, answer: Answer, sink: &mut dyn Sink) {
        let Self { seats, profiles, keeper, scratch: Scratch { drafts, outcomes, holders }, .. } = self;
        let mut risk = Gate { seats, profiles, drafts, holders, asking: index };
        let first = outcomes.len();
        let mut told = Told { pair: seats[index].pair(), sink };
        let out: &mut dyn Outcomes = if keeper.is_some() { outcomes } else { &mut told };
        let next = seats[index].trader.admit(now_ms, price, answer, &mut risk, out);
        self.decide(index, next, first, None);
    }

    /// Makes a decision current at once where nothing is kept, whose outcomes have been told; elsewhere it is drafted, and
    /// its outcomes are those from `first` on.
    #[inline]
    fn decide(&mut self, seat: usize, next: Next, first: usize, judged_open_ms: Option<i64>) {
        let Scratch { drafts, outcomes, holders } = &mut self.scratch;
        if self.keeper.is_some() {
            drafts.push(Draft { seat, next, outcomes: first..outcomes.len(), judged_open_ms });
            return;
        }
        if next.state.is_some() {
            holders.forget();
        }
        self.seats[seat].commit(next, judged_open_ms);
    }

    /// What every trader holds, or is about to hold.
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

    /// Keeps, commits and tells what was drafted.
    async fn conclude(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let Some(keeper) = &self.keeper else { return };
        let mut failed = self.keep(keeper, now_ms, sink).await;
        let Scratch { drafts, outcomes, holders } = &mut self.scratch;
        for draft in drafts.drain(..) {
            let seat = &mut self.seats[draft.seat];
            if let Some(error) = failed.remove(&draft.seat) {
                seat.unsettled = true;
                let notice = Notice::StoreFailed { error };
                sink.notice(now_ms, Some(seat.trader.pair()), &notice);
                continue;
            }
            // What ends, or begins nothing, was told before it was kept.
            if seat.begins(&draft.next) {
                let mut told = Told { pair: seat.pair(), sink };
                outcomes[draft.outcomes].iter().for_each(|outcome| told.tell(outcome));
            }
            seat.commit(draft.next, draft.judged_open_ms);
        }
        outcomes.clear();
        holders.forget();
    }

    /// Makes what was drafted durable: first the record of what ends, then the documents. Returns the seats for which
    /// that failed, with the reason.
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
        // Who was flat has told nothing that its documents would not tell again.
        let clears = changes.iter().any(|change| !matches!(change.before, State::Idle));
        if clears && let Err(error) = sink.sync() {
            failed.extend(changes.iter().map(|change| (change.seat, format!("the event record: {error}"))));
            return failed;
        }
        failed.extend(keeper.keep(&changes, &self.claims(), &self.profiles, now_ms).await);
        failed
    }

    /// Writes what traders hold to stores that failed before; those that take it trade on.
    async fn settle(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let Some(keeper) = &self.keeper else { return };
        let unsettled: Vec<usize> = (0..self.seats.len()).filter(|index| self.seats[*index].unsettled).collect();
        if unsettled.is_empty() {
            return;
        }
        let failed = keeper.rewrite(&unsettled, &self.claims(), &self.profiles, now_ms).await;
        for index in unsettled {
            let seat = &mut self.seats[index];
            match failed.get(&index) {
                None => {
                    seat.unsettled = false;
                    sink.notice(now_ms, Some(seat.trader.pair()), &Notice::StoreRecovered);
                }
                Some(error) => tracing::warn!("{}: still not kept: {error}", seat.trader.pair()),
            }
        }
    }
}

/// A backtest: strategies answer at once, and nothing is kept.
impl<S: Strategy> Desk<S> {
    /// Judges every candle closed at `now_ms` that is there, then, where `entries` allow it, asks whoever is due. For where
    /// nothing is kept.
    pub(crate) fn boundary_at_once(&mut self, now_ms: i64, entries: Entries, sink: &mut dyn Sink) {
        while self.judge(now_ms, entries, sink) {}
        if entries == Entries::Open {
            self.ask_in_turn(now_ms, sink);
        }
    }

    /// Asks every trader that is due, one after the other.
    fn ask_in_turn(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        for index in 0..self.seats.len() {
            let seat = &mut self.seats[index];
            if !seat.is_due(now_ms) {
                continue;
            }
            let Some(price) = seat.series.average_price(now_ms, self.average_of) else { continue };
            let Some(strategy) = &mut seat.strategy else { continue };
            let answer = strategy.answer(now_ms, price);
            self.admit(index, now_ms, price, answer, sink);
        }
    }
}

/// A live run: strategies may take their time, and every change is kept.
impl<S: LiveStrategy> Desk<S> {
    /// Judges every candle closed at `now_ms` that is there, then, where `entries` allow it, asks whoever is due. What
    /// changes is kept, and everybody is asked together.
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

    /// Asks all at once and admits in order, so that timing decides nobody's slot. Whoever is not done when patience
    /// ends thinks on without holding the others up.
    async fn ask_together(&mut self, now_ms: i64, sink: &mut dyn Sink) {
        let asked_at = Instant::now();
        for (index, seat) in self.seats.iter_mut().enumerate() {
            if !seat.is_due(now_ms) {
                continue;
            }
            let Some(price) = seat.series.average_price(now_ms, self.average_of) else { continue };
            let Some(mut strategy) = seat.strategy.take() else { continue };
            self.thinking.push(Box::pin(async move {
                let answer = strategy.answer_in_time(now_ms, price).await;
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
        for answered in answers {
            self.take(answered, sink);
        }
        self.conclude(now_ms, sink).await;
    }

    /// The next answer of a strategy that thought on after its boundary; never, while none does.
    pub(crate) async fn late_answer(&mut self) -> Answered<S> {
        match self.thinking.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// Admits a late answer, if it is still time for it.
    pub(crate) async fn admit_late(&mut self, answered: Answered<S>, sink: &mut dyn Sink) {
        let asked_ms = answered.asked_ms;
        self.take(answered, sink);
        self.conclude(asked_ms, sink).await;
    }

    /// Puts a strategy back in its seat and decides what becomes of its answer.
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

/// The risk rules one trader is subject to, over what all the others hold or are about to hold.
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

/// Tells outcomes at once that need not be in the record before anything else happens: in live trading a birth is durable
/// in its store already and told again after a restart, so a sink that fails here loses nothing for good; in a backtest sinks
/// report their failure at the end.
struct Told<'a> {
    pair: &'a Pair,
    sink: &'a mut dyn Sink,
}

impl Told<'_> {
    fn tell(&mut self, outcome: &Outcome) {
        if let Err(error) = self.sink.tell(self.pair, outcome) {
            tracing::error!("an event could not be recorded: {error}");
        }
    }
}

impl Outcomes for Told<'_> {
    fn add(&mut self, outcome: Outcome) {
        self.tell(&outcome);
    }

    fn tick(&mut self, tick: &Outcome) {
        if self.sink.hears_ticks() {
            self.tell(tick);
        }
    }
}

impl<S> Seat<S> {
    /// Whether something begins with a decision: an order or a position that was not there before.
    fn begins(&self, next: &Next) -> bool {
        let Some(next) = &next.state else { return false };
        match (self.trader.state(), next) {
            (State::Idle, State::Scheduled(_) | State::Open(_)) | (State::Scheduled(_), State::Open(_)) => true,
            (State::Idle | State::Scheduled(_) | State::Open(_), State::Idle)
            | (State::Scheduled(_) | State::Open(_), State::Scheduled(_))
            | (State::Open(_), State::Open(_)) => false,
        }
    }

    /// Makes a decision current, which came of the candle opened at `judged_open_ms`, or of an answer.
    #[inline]
    fn commit(&mut self, next: Next, judged_open_ms: Option<i64>) {
        let born = self.begins(&next);
        self.trader.commit(next);
        if let Some(open_ms) = judged_open_ms {
            self.next_open_ms = open_ms + MINUTE_MS;
        } else if born {
            // After a late answer, the candles since the question have still to be judged.
            self.next_open_ms = self.held_from_ms().unwrap_or(self.next_open_ms);
        }
    }

    /// Opening time of the first candle that what is held is judged on; `None` when flat.
    pub(crate) fn held_from_ms(&self) -> Option<i64> {
        match self.trader.state() {
            State::Idle => None,
            State::Scheduled(order) => Some(order.signal.scheduled_at_ms),
            State::Open(position) => Some(position.judged_from_ms),
        }
    }

    fn is_due(&self, now_ms: i64) -> bool {
        self.trader.is_due(now_ms) && now_ms >= self.ask_from_ms && !self.unsettled
    }

    /// Who trades what.
    pub(crate) const fn pair(&self) -> &Pair {
        self.trader.pair()
    }
}
