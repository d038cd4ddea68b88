//! The transitions of one strategy on one symbol.
//!
//! A [`Trader`] is driven by two questions, in this order at every minute boundary: [`Trader::step`], what does the
//! candle that has just closed do to an order or a position, and, when flat and [due](Trader::is_due),
//! [`Trader::admit`], what becomes of the strategy's answer. Neither changes the trader: they return the next state
//! and fill in the outcomes. [`Trader::commit`] makes a state current once it is durable, so that a failed write
//! leaves memory as it was (hazard H-15).
//!
//! Invariants:
//! 1. A candle is judged at most once by the same state, in order of time, and never before it has closed.
//! 2. The arms of the two `match`es are in order of precedence; where two rules apply, the first wins.
//! 3. At most one order or position exists per trader; while one does, the strategy is not asked.

use alloc::{borrow::Cow, string::String, sync::Arc, vec::Vec};

use crate::{
    candle::{Candle, MINUTE_MS},
    interval::Interval,
    outcome::{CancelReason, CloseReason, Direction, Outcome, Outcomes},
    risk::{RiskGate, RiskRequest},
    settings::Settings,
    signal::{Pair, Proposal, Side, Signal},
    state::{Extreme, Levels, Order, Position, SharedPosition, State, Stop},
    validate::{Violation, violations},
};

/// One strategy on one symbol.
#[derive(Clone, Debug)]
pub struct Trader {
    pair: Pair,
    interval: Interval,
    settings: Arc<Settings>,
    memory: Memory,
}

/// Everything a trader remembers between two boundaries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What is held.
    pub state: State,
    /// Start of the interval slot the strategy was last asked in; `None`: ask at once.
    pub asked_slot_ms: Option<i64>,
    /// The id opened last: it is not opened again until another one was (specification 2.2).
    pub last_opened_id: Option<String>,
}

/// What a decision makes of a trader, once it is durable and [committed](Trader::commit).
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// What is held then; `None`: what is held now.
    pub state: Option<State>,
    /// As in [`Memory`].
    pub asked_slot_ms: Option<i64>,
}

/// A candle that has just closed, as a trader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// The candle.
    pub candle: &'a Candle,
    /// Average price of the window that ends with it.
    pub average: f64,
    /// The last boundary of the period being tested; whatever is still held when a later candle closes, ends.
    pub frame_end_ms: Option<i64>,
}

/// What a strategy answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// No trade now.
    Nothing,
    /// No trade now, and a promise to have none for a while.
    Quiet(Quiet),
    /// A trade.
    Trade(Proposal),
    /// It could not answer: its own refusal, a trap, a timeout. For people.
    Failed(String),
}

/// A strategy's promise to have nothing to say for a while, as long as the market stays in a band. While it holds, the
/// strategy need not be asked. A bound that is not finite is no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    /// When the promise ends, milliseconds.
    pub until_ms: i64,
    /// The lowest price that keeps it.
    pub below: f64,
    /// The highest price that keeps it.
    pub above: f64,
}

impl Quiet {
    /// Whether the promise still holds at the boundary at which `candle` closed, when the average price was `price`.
    #[must_use]
    #[inline]
    pub fn holds(&self, candle: &Candle, price: f64) -> bool {
        let closed_ms = candle.open_time_ms + MINUTE_MS;
        closed_ms < self.until_ms
            && !(self.below.is_finite() && candle.low.min(price) < self.below)
            && !(self.above.is_finite() && candle.high.max(price) > self.above)
    }
}

impl Trader {
    /// A trader that remembers `memory`.
    #[must_use]
    pub const fn new(pair: Pair, interval: Interval, settings: Arc<Settings>, memory: Memory) -> Self {
        Self { pair, interval, settings, memory }
    }

    /// Who trades what.
    #[must_use]
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// What is held now.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.memory.state
    }

    /// Whether the strategy is to be asked at `now_ms`: it is flat and the interval's slot is a new one.
    #[must_use]
    #[inline]
    pub fn is_due(&self, now_ms: i64) -> bool {
        let asked = |slot_ms: i64| (slot_ms..slot_ms.saturating_add(self.interval.ms())).contains(&now_ms);
        matches!(self.memory.state, State::Idle) && !self.memory.asked_slot_ms.is_some_and(asked)
    }

    /// When the strategy is to be asked next, should it stay flat: at the end of the slot it was last asked in.
    #[must_use]
    #[inline]
    pub fn due_ms(&self) -> i64 {
        self.memory.asked_slot_ms.map_or(i64::MIN, |slot_ms| slot_ms.saturating_add(self.interval.ms()))
    }

    /// When the strategy is to be asked next after it was asked at `asked_ms` and stayed flat.
    #[must_use]
    #[inline]
    pub const fn due_after(&self, asked_ms: i64) -> i64 {
        self.interval.slot(asked_ms).saturating_add(self.interval.ms())
    }

    /// Makes `next` current. Call it once `next` is durable.
    #[inline]
    pub fn commit(&mut self, next: Next) {
        let Memory { state, asked_slot_ms, last_opened_id } = &mut self.memory;
        *asked_slot_ms = next.asked_slot_ms;
        if let Some(next) = next.state {
            if let (State::Idle | State::Scheduled(_), State::Open(position)) = (&*state, &next) {
                *last_opened_id = Some(position.signal.id.clone());
            }
            *state = next;
        }
    }

    /// What the closed candle does to the order or the position held (specification 5, as version 19.5 judges it).
    #[inline]
    pub fn step(&self, bar: Bar<'_>, risk: &mut dyn RiskGate, out: &mut dyn Outcomes) -> Next {
        let state = match &self.memory.state {
            State::Idle => None,
            State::Scheduled(order) => self.step_order(order, bar, risk, out),
            State::Open(position) => self.step_position(position, bar, out),
        };
        Next { state, asked_slot_ms: self.memory.asked_slot_ms }
    }

    fn step_order(
        &self,
        order: &Order,
        bar: Bar<'_>,
        risk: &mut dyn RiskGate,
        out: &mut dyn Outcomes,
    ) -> Option<State> {
        let Bar { candle, average, frame_end_ms } = bar;
        let signal = &order.signal;
        let at_ms = candle.open_time_ms;
        let waited_ms = at_ms - signal.scheduled_at_ms;
        let adverse = adverse_extreme(signal.side, candle);
        let cancel = |reason, price| Outcome::Cancelled { order: order.clone(), reason, at_ms, price };

        if frame_end_ms.is_some_and(|end| at_ms > end)
            || waited_ms >= i64::from(self.settings.schedule_await_minutes) * MINUTE_MS
        {
            out.add(cancel(CancelReason::Timeout, average));
            Some(State::Idle)
        } else if signal.side.fallen_to(adverse, signal.price_stop_loss) {
            out.add(cancel(CancelReason::PriceReject, average));
            Some(State::Idle)
        } else if signal.side.fallen_to(adverse, signal.price_open) {
            let request = RiskRequest {
                pair: &self.pair,
                now_ms: at_ms,
                current_price: signal.price_open,
                side: signal.side,
                price_open: signal.price_open,
                price_take_profit: signal.price_take_profit,
                price_stop_loss: signal.price_stop_loss,
            };
            if let Err(rejection) = risk.check(&request) {
                out.add(Outcome::Rejected { rejection, at_ms, price: signal.price_open });
                out.add(cancel(CancelReason::User, average));
                return Some(State::Idle);
            }
            let position = Arc::new(Position::open(Arc::clone(signal), at_ms, at_ms + MINUTE_MS, &self.settings));
            out.add(Outcome::Opened { position: Arc::clone(&position) });
            Some(State::Open(position))
        } else {
            out.tick(&Outcome::Waiting { at_ms, price: average });
            None
        }
    }

    fn step_position(&self, position: &SharedPosition, bar: Bar<'_>, out: &mut dyn Outcomes) -> Option<State> {
        let Bar { candle, average, frame_end_ms } = bar;
        let signal = &position.signal;
        let at_ms = candle.open_time_ms;

        let end = if frame_end_ms.is_some_and(|end| at_ms > end)
            || position.expires_at_ms().is_some_and(|expiry| at_ms >= expiry)
        {
            Some((CloseReason::TimeExpired, average))
        } else if signal.side.fallen_to(adverse_extreme(signal.side, candle), position.stop.price()) {
            match position.stop {
                Stop::Loss(price) => Some((CloseReason::StopLoss, price)),
                Stop::Liquidation(price) => Some((CloseReason::Liquidation, price)),
            }
        } else if signal.side.reached(average, signal.price_take_profit) {
            Some((CloseReason::TakeProfit, signal.price_take_profit))
        } else {
            None
        };

        if let Some((reason, price)) = end {
            let mut position = Arc::clone(position);
            match position.extreme_at(price, at_ms) {
                Some(Beyond::Peak(peak)) => Arc::make_mut(&mut position).peak = peak,
                Some(Beyond::Fall(fall)) => Arc::make_mut(&mut position).fall = fall,
                None => {}
            }
            out.add(Outcome::Closed { position, reason, at_ms, price });
            return Some(State::Idle);
        }
        self.watch(position, average, at_ms, out).map(State::Open)
    }

    /// The side effects of holding on: extremes, breakeven and levels, each reported once (specification 4.4 and 7).
    /// Most minutes have none, because everything between the worst and the best price so far has been reported. So the
    /// position is copied only when the first one comes.
    fn watch(
        &self,
        position: &SharedPosition,
        price: f64,
        at_ms: i64,
        out: &mut dyn Outcomes,
    ) -> Option<SharedPosition> {
        if position.is_between_extremes(price) {
            out.tick(&Outcome::Active { at_ms, price });
            return None;
        }
        let mut next = Cow::Borrowed(position);
        let signal = &position.signal;
        let entry = position.terms.entry;
        let gain = signal.side.gain(entry, price);
        // Towards profit and towards loss the same things happen; at the entry price itself, none.
        match position.extreme_at(price, at_ms) {
            Some(Beyond::Peak(peak)) => {
                changed(&mut next).peak = peak;
                out.add(Outcome::HighestProfit { position: Arc::clone(&next) });
            }
            Some(Beyond::Fall(fall)) => {
                changed(&mut next).fall = fall;
                out.add(Outcome::MaxDrawdown { position: Arc::clone(&next) });
            }
            None => {}
        }
        out.tick(&Outcome::Active { at_ms, price });
        if gain > 0.0 {
            if !next.breakeven && signal.side.reached(price, self.breakeven_price(signal.side, entry)) {
                changed(&mut next).breakeven = true;
                out.add(Outcome::Breakeven { position: Arc::clone(&next), at_ms, price });
            }
            let progress = progress_percent(gain, signal.side.gain(entry, signal.price_take_profit));
            report_levels(&mut next, Direction::Profit, progress, at_ms, price, out);
        } else if gain < 0.0 {
            let progress = progress_percent(-gain, -signal.side.gain(entry, signal.price_stop_loss));
            report_levels(&mut next, Direction::Loss, progress, at_ms, price, out);
        }
        match next {
            Cow::Borrowed(_) => None,
            Cow::Owned(next) => Some(next),
        }
    }

    fn breakeven_price(&self, side: Side, entry: f64) -> f64 {
        let settings = &self.settings;
        let percent = (settings.percent_slippage + settings.percent_fee) * 2.0 + settings.breakeven_threshold;
        match side {
            Side::Long => entry * (1.0 + percent / 100.0),
            Side::Short => entry * (1.0 - percent / 100.0),
        }
    }

    /// What becomes of the strategy's answer at `now_ms`, when the average price was `price` (specification 2).
    #[inline]
    pub fn admit(
        &self,
        now_ms: i64,
        price: f64,
        answer: Answer,
        risk: &mut dyn RiskGate,
        out: &mut dyn Outcomes,
    ) -> Next {
        match answer {
            Answer::Nothing | Answer::Quiet(_) => {}
            Answer::Failed(message) => out.add(Outcome::StrategyFailed { message, at_ms: now_ms }),
            Answer::Trade(proposal) => {
                if let Some(next) = self.consider(now_ms, price, proposal, risk, out) {
                    return next;
                }
            }
        }
        out.tick(&Outcome::Idle { at_ms: now_ms, price });
        Next { state: None, asked_slot_ms: Some(self.interval.slot(now_ms)) }
    }

    /// What becomes of a proposal; `None`: it is not accepted, and the slot is used up.
    #[inline(never)]
    fn consider(
        &self,
        now_ms: i64,
        price: f64,
        proposal: Proposal,
        risk: &mut dyn RiskGate,
        out: &mut dyn Outcomes,
    ) -> Option<Next> {
        let at_ms = now_ms;
        match &proposal {
            Proposal { symbol: Some(symbol), .. } if *symbol != self.pair.symbol => {
                out.add(Outcome::SymbolMismatch { symbol: symbol.clone(), at_ms });
                return None;
            }
            Proposal { id: Some(id), .. } if Some(id) == self.memory.last_opened_id.as_ref() => return None,
            Proposal { .. } => {}
        }
        let request = RiskRequest::propose(&self.pair, now_ms, price, &proposal);
        if let Err(rejection) = risk.check(&request) {
            out.add(Outcome::Rejected { rejection, at_ms, price });
            out.add(Outcome::Idle { at_ms, price });
            // Risk may be free again at the next boundary, so the slot is not used up.
            return Some(Next { state: None, asked_slot_ms: None });
        }
        let state = match self.enter(proposal, now_ms, price) {
            Ok(state) => state,
            Err(violations) => {
                out.add(Outcome::Invalid { violations, at_ms });
                return None;
            }
        };
        match &state {
            State::Idle => return None,
            State::Open(position) => out.add(Outcome::Opened { position: Arc::clone(position) }),
            State::Scheduled(order) => out.add(Outcome::Scheduled { order: order.clone(), price }),
        }
        Some(Next { state: Some(state), asked_slot_ms: Some(self.interval.slot(now_ms)) })
    }

    /// The state a proposal leads to: open at once at the market or at a limit the market has reached, else an order.
    fn enter(&self, proposal: Proposal, now_ms: i64, price: f64) -> Result<State, Vec<Violation>> {
        let side = proposal.side;
        let immediate = proposal.price_open.is_none_or(|open| side.fallen_to(price, open));
        let open = proposal.price_open.unwrap_or(price);
        let signal = Signal::draft(proposal, &self.pair, now_ms, open, &self.settings);
        let violations = violations(&signal, immediate.then_some(price), &self.settings);
        if !violations.is_empty() {
            return Err(violations);
        }
        let signal = Arc::new(signal);
        Ok(if immediate {
            State::Open(Arc::new(Position::open(signal, now_ms, now_ms, &self.settings)))
        } else {
            State::Scheduled(Order { signal })
        })
    }
}

/// The price of the candle that hurts `side` most.
const fn adverse_extreme(side: Side, candle: &Candle) -> f64 {
    match side {
        Side::Long => candle.low,
        Side::Short => candle.high,
    }
}

/// How much of `distance` has been covered, percent from 0 to 100; a stop at or beyond the entry counts as covered
/// (hazard H-13).
fn progress_percent(covered: f64, distance: f64) -> f64 {
    if distance <= 0.0 { 100.0 } else { (covered / distance * 100.0).clamp(0.0, 100.0) }
}

/// A position to change, which is a copy from the first change on.
fn changed<'a>(position: &'a mut Cow<'_, SharedPosition>) -> &'a mut Position {
    Arc::make_mut(position.to_mut())
}

fn report_levels(
    position: &mut Cow<'_, SharedPosition>,
    direction: Direction,
    progress: f64,
    at_ms: i64,
    price: f64,
    out: &mut dyn Outcomes,
) {
    let reported = match direction {
        Direction::Profit => position.profit_levels,
        Direction::Loss => position.loss_levels,
    };
    for level in Levels::up_to(progress).without(reported).iter() {
        match direction {
            Direction::Profit => changed(position).profit_levels.insert(level),
            Direction::Loss => changed(position).loss_levels.insert(level),
        }
        out.add(Outcome::Level { position: Arc::clone(position), direction, level, at_ms, price });
    }
}

/// A price beyond the best or the worst so far.
enum Beyond {
    Peak(Extreme),
    Fall(Extreme),
}

impl Position {
    /// Whether `price` is better than the worst and worse than the best so far.
    fn is_between_extremes(&self, price: f64) -> bool {
        let side = self.signal.side;
        side.gain(self.fall.price, price) > 0.0 && side.gain(self.peak.price, price) < 0.0
    }

    /// The extreme that `price` is, if it lies beyond the one so far; a peak only counts once it has earned its costs.
    fn extreme_at(&self, price: f64, at_ms: i64) -> Option<Beyond> {
        let side = self.signal.side;
        let gain = side.gain(self.terms.entry, price);
        let extreme = || Extreme { price, at_ms, pnl: self.terms.at(price) };
        if gain > 0.0 && side.gain(self.peak.price, price) > 0.0 {
            Some(extreme()).filter(|peak| peak.pnl.percentage > 0.0).map(Beyond::Peak)
        } else if gain < 0.0 && side.gain(self.fall.price, price) < 0.0 {
            Some(Beyond::Fall(extreme()))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_percentage_wherever_the_level_lies() {
        let cases = [(0.0, 4.0, 0.0), (1.0, 4.0, 25.0), (9.0, 4.0, 100.0), (1.0, 0.0, 100.0), (1.0, -2.0, 100.0)];
        for (covered, distance, percent) in cases {
            assert_eq!(progress_percent(covered, distance), percent, "{covered} of {distance}");
        }
    }
}
