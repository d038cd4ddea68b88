//! Asking a strategy ahead of time. A flat trader depends on nobody until it enters, so a backtest asks about many
//! minutes in a row, and goes on to the first one that has an answer.
//!
//! How long rows are follows from the candles and the answers alone, never from time or threads. It changes nothing
//! that a trader does, but where the market ends a run early, a strategy may have been asked about later minutes.

use sigbox_engine::{
    MINUTE_MS,
    trader::{Answer, Quiet},
};
use sigbox_market::SharedSeries;

use crate::strategy::Question;

/// The first row after an answer. Most strategies trade seldom; one that trades at once wastes little.
const FIRST: usize = 16;

/// The longest row: what the module that asks a plugin has room for.
const LONGEST: usize = 512;

/// When strategies may be asked in a backtest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// The first boundary, milliseconds.
    pub(crate) first: i64,
    /// The time from one boundary to the next, milliseconds.
    pub(crate) step: i64,
    /// No boundary after it, milliseconds.
    pub(crate) last: i64,
}

impl Asking {
    /// The first boundary at `at_ms` or later at which strategies may be asked.
    #[inline]
    fn at_or_after(&self, at_ms: i64) -> Option<i64> {
        let since_ms = at_ms.saturating_sub(self.first).max(0);
        let over_ms = if self.step == MINUTE_MS { 0 } else { since_ms % self.step };
        let wait_ms = if over_ms == 0 { 0 } else { self.step - over_ms };
        let boundary_ms = self.first.saturating_add(since_ms).saturating_add(wait_ms);
        Some(boundary_ms).filter(|boundary_ms| *boundary_ms <= self.last)
    }
}

/// What a strategy has said of the time to come: nothing before `at_ms`, and then `answer`.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) at_ms: i64,
    /// The average price at `at_ms`.
    pub(crate) price: f64,
    pub(crate) answer: Answer,
}

impl Ahead {
    /// There is nobody to ask, or no time left to ask about.
    pub(crate) const NEVER: Self = Self { at_ms: i64::MAX, price: f64::NAN, answer: Answer::Nothing };
}

/// How long the next row of a trader is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLength(usize);

impl RowLength {
    pub(crate) const fn new() -> Self {
        Self(FIRST)
    }

    pub(crate) const fn get(self) -> usize {
        self.0
    }

    /// A row was asked; `answered`: one of its questions had an answer.
    pub(crate) fn asked(&mut self, answered: bool) {
        self.0 = if answered { FIRST } else { (2 * self.0).min(LONGEST) };
    }
}

/// A promise of a strategy, and how far it has been kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    quiet: Quiet,
    /// Up to this boundary, the market has stayed in the band.
    checked_ms: i64,
}

impl Promise {
    /// `asked_ms`: the boundary at which it was made.
    pub(crate) const fn new(quiet: Quiet, asked_ms: i64) -> Self {
        Self { quiet, checked_ms: asked_ms }
    }

    /// The first boundary up to `until_ms` at which the strategy is to be asked again; `None`: the promise still holds
    /// there. A candle that is not known any more ends it.
    pub(crate) fn ends(&mut self, series: &SharedSeries, average_of: usize, until_ms: i64) -> Option<i64> {
        let series = series.read();
        while self.checked_ms < until_ms {
            let boundary_ms = self.checked_ms + MINUTE_MS;
            if !series.bar(boundary_ms, average_of).is_some_and(|(candle, price)| self.quiet.holds(candle, price)) {
                return Some(boundary_ms);
            }
            self.checked_ms = boundary_ms;
        }
        None
    }
}

/// From when on a strategy is asked that is silent until `ends_ms`. A question that it would have been asked before counts
/// as asked. So a strategy that is asked every five minutes is asked at the same boundaries with and without a promise.
pub(crate) fn after_silence(mut from_ms: i64, ends_ms: i64, asking: Asking, due_after: impl Fn(i64) -> i64) -> i64 {
    while let Some(asked_ms) = asking.at_or_after(from_ms).filter(|asked_ms| *asked_ms < ends_ms) {
        from_ms = due_after(asked_ms);
    }
    from_ms
}

/// Fills `row` with the next questions, at most `length` of them: the first is not before `from_ms`, and each of the
/// others not before `due_after` the one before. Where there is no average price nothing is asked.
pub(crate) fn fill(
    row: &mut Vec<Question>,
    length: usize,
    from_ms: i64,
    asking: Asking,
    (series, average_of): (&SharedSeries, usize),
    due_after: impl Fn(i64) -> i64,
) {
    row.clear();
    let series = series.read();
    let mut from_ms = from_ms;
    while row.len() < length
        && let Some(now_ms) = asking.at_or_after(from_ms)
    {
        from_ms = match series.bar(now_ms, average_of) {
            None => now_ms + MINUTE_MS,
            Some((candle, price)) => {
                row.push(Question { now_ms, price, candle: *candle });
                due_after(now_ms)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_asked_at_steps_from_the_first_boundary() {
        /// When it is asked from, and the boundary that comes of it, minutes.
        type Cases<'a> = &'a [(i64, Option<i64>)];
        let minute = |minute: i64| minute * MINUTE_MS;
        let cases: [(i64, i64, Cases<'_>); 3] = [
            (3, 1, &[(-5, Some(3)), (0, Some(3)), (3, Some(3)), (4, Some(4)), (20, Some(20)), (21, None)]),
            (3, 5, &[(0, Some(3)), (4, Some(8)), (8, Some(8)), (9, Some(13)), (17, Some(18)), (19, None)]),
            (3, 60, &[(0, Some(3)), (4, None)]),
        ];
        for (first, step, expected) in cases {
            let asking = Asking { first: minute(first), step: minute(step), last: minute(20) };
            for (at, boundary) in expected {
                assert_eq!(asking.at_or_after(minute(*at)), boundary.map(minute), "{step} from {first}, at {at}");
            }
        }
    }

    #[test]
    fn rows_grow_while_there_is_no_answer() {
        let mut length = RowLength::new();
        let mut lengths = Vec::new();
        for answered in [false, false, false, false, false, false, false, true, false] {
            lengths.push(length.get());
            length.asked(answered);
        }
        assert_eq!(lengths, [16, 32, 64, 128, 256, 512, 512, 512, 16]);
    }
}
