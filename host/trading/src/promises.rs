//! Checks the promises of strategies. A strategy that has promised silence is asked about that time all the same, and a
//! promise that was wrong is named.
//!
//! The run itself keeps to every promise, right or wrong. What a strategy says in a time that it promised to be silent
//! in counts for nothing else, so the run has the events of one that checks nothing. It may have others if the answers
//! of the strategy depend on how often it is asked, or on what it remembers of those questions, or if it retires or breaks
//! down in that time.

use std::sync::{Arc, Mutex, PoisonError};

use sigbox_engine::{
    Interval, MINUTE_MS,
    signal::Pair,
    trader::{Answer, Quiet},
};

use crate::{
    Setup,
    row::{self, Asking, Promise, RowLength},
    setup::Assignment,
    strategy::{Question, Strategy},
};

/// How many wrong promises of a pair are named. A strategy that is wrong once is often wrong all the time.
const NAMED: usize = 5;

/// A strategy whose promises are checked.
pub struct Checked<S> {
    strategy: S,
    assignment: Assignment,
    /// How often it is asked without a promise.
    interval: Interval,
    /// The time between two boundaries at which the run asks, milliseconds.
    step_ms: i64,
    promises: Promises,
    row: Vec<Question>,
}

/// What is known of the promises of a run. A clone is cheap and knows the same.
#[derive(Clone, Debug, Default)]
pub struct Promises(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last_ms: i64,
    found: CheckedPromises,
}

/// What the check of all promises of a run found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedPromises {
    /// How many promises were made.
    pub made: u64,
    /// How many of them were wrong.
    pub wrong: u64,
    /// The wrong promises: the first few of each strategy on each symbol, in the order in which they were found.
    pub named: Vec<WrongPromise>,
    /// Questions that the run asked.
    pub asked: u64,
    /// Questions that the run did not ask because of a promise.
    pub saved: u64,
}

/// A promise of silence in whose time the strategy was not silent when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongPromise {
    /// Who made it.
    pub pair: Pair,
    /// The boundary at which it was made, milliseconds.
    pub made_ms: i64,
    /// What was promised.
    pub promise: Quiet,
    /// The first boundary at which the strategy was not silent, milliseconds.
    pub at_ms: i64,
    /// The average price at that boundary.
    pub price: f64,
    /// What it said: a trade that the run missed, or a failure. After a failure nobody knows whether it would have traded.
    pub answer: Answer,
}

impl Promises {
    /// No strategy is asked after the boundary `last_ms`, which is the end of the period of the run.
    pub fn end_at(&self, last_ms: i64) {
        self.change(|known| known.last_ms = last_ms);
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> CheckedPromises {
        self.change(|known| known.found.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        // No change can panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CheckedPromises {
    fn add(&mut self, wrong: WrongPromise) {
        self.wrong += 1;
        if self.named.iter().filter(|named| named.pair == wrong.pair).count() < NAMED {
            self.named.push(wrong);
        }
    }
}

impl<S: Strategy> Strategy for Checked<S> {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let answered = self.strategy.answer(row);
        let asked = answered.as_ref().map_or(row.len(), |(index, _)| index + 1);
        self.promises.change(|known| known.found.asked += asked as u64);
        if let Some((index, Answer::Quiet(promise))) = &answered {
            self.check(*promise, row[*index].now_ms);
        }
        answered
    }
}

impl<S: Strategy> Checked<S> {
    /// Asks about the time of a promise that was made at `made_ms`. All candles of a backtest are there already, and the
    /// strategy sees only those that had closed. A promise that it makes meanwhile replaces nothing: it would not have
    /// been asked.
    fn check(&mut self, promise: Quiet, made_ms: i64) {
        let Self { strategy, assignment, interval, step_ms, promises, row } = self;
        let Some(series) = assignment.market().series(&assignment.pair().symbol) else { return };
        let average_of = assignment.average_of();
        let last_ms = promises.change(|known| known.last_ms);
        let ends_ms = Promise::new(promise, made_ms).ends(series, average_of, last_ms);
        let last = ends_ms.map_or(last_ms, |ends_ms| ends_ms - MINUTE_MS);
        let asking = Asking { first: made_ms, step: *step_ms, last };
        let due_after = |asked_ms: i64| interval.slot(asked_ms).saturating_add(interval.ms());

        let (mut saved, mut wrong) = (0, None);
        let mut length = RowLength::new();
        let mut from_ms = due_after(made_ms);
        loop {
            row::fill(row, length.get(), from_ms, asking, (series, average_of), due_after);
            if row.is_empty() {
                break;
            }
            let answered = strategy.answer(row);
            length.asked(answered.is_some());
            let (index, answer) = answered.unwrap_or((row.len() - 1, Answer::Nothing));
            let Question { now_ms: at_ms, price, .. } = row[index];
            saved += index as u64 + 1;
            from_ms = due_after(at_ms);
            if let (None, Answer::Trade(_) | Answer::Failed(_)) = (&wrong, &answer) {
                let pair = assignment.pair().clone();
                wrong = Some(WrongPromise { pair, made_ms, promise, at_ms, price, answer });
            }
        }
        promises.change(|known| {
            known.found.made += 1;
            known.found.saved += saved;
            if let Some(wrong) = wrong {
                known.found.add(wrong);
            }
        });
    }
}

impl<S> Setup<S> {
    /// The same setup with every promise checked, and what is known of them. Only for a backtest. Call
    /// [`Promises::end_at`] before it runs.
    #[must_use]
    pub fn checked(self) -> (Setup<Checked<S>>, Promises) {
        let promises = Promises::default();
        let step_ms = self.frame().interval.ms();
        let checked = self.map(|assignment, interval, strategy| {
            let (assignment, promises) = (assignment.clone(), promises.clone());
            Checked { strategy, assignment, interval, step_ms, promises, row: Vec::new() }
        });
        (checked, promises)
    }
}

#[cfg(test)]
mod tests;
