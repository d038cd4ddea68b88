//! A backtest: a run over recorded candles.

use std::{collections::BTreeMap, num::NonZeroUsize, ops::ControlFlow};

use sigbox_engine::{Interval, MINUTE_MS};
use sigbox_market::candles::{AnomalousCandle, iso_8601};

use crate::{RunError, Setup, desk::Desk, row::Asking, sink::Sink, strategy::Strategy};

/// The period of a backtest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `frameName` of rows and events; may be empty.
    pub name: String,
    /// The first boundary at which strategies may be asked, rounded down to the minute. `None`: the first one that has
    /// enough candles before it for the average price.
    pub start_ms: Option<i64>,
    /// The last boundary at which strategies may be asked. `None`: the latest one that leaves a candle to end what is
    /// still held.
    pub end_ms: Option<i64>,
    /// The time between two boundaries at which strategies may be asked, counted from the start.
    pub interval: Interval,
}

impl Default for Frame {
    fn default() -> Self {
        Self { name: String::new(), start_ms: None, end_ms: None, interval: Interval::MINUTE }
    }
}

/// How far a backtest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Minutes done.
    pub done: u64,
    /// Minutes in all.
    pub total: u64,
}

/// The time between two reports of progress, in time of the candles. Reports are so rare that they cost almost nothing.
/// They are so frequent that a run stops at once, even if its strategy takes a millisecond for each minute.
const REPORT_EVERY_MS: i64 = 512 * MINUTE_MS;

/// A run over recorded candles. It runs as fast as possible, and its state is kept nowhere.
pub struct Backtest<S> {
    desk: Desk<S>,
    threads: NonZeroUsize,
    start_ms: i64,
    /// The last boundary at which strategies may be asked.
    end_ms: i64,
    step_ms: i64,
    /// The first candle that no average price may contain (specification 3.4), and its symbol.
    anomaly: Option<(String, AnomalousCandle)>,
    /// The symbol whose candles end first, and when they end.
    covered_until: (String, i64),
}

impl<S: Strategy> Backtest<S> {
    /// Prepares a run of `setup` over its frame.
    ///
    /// # Errors
    /// When the candles do not cover the frame, or the setup contradicts itself.
    pub fn new(setup: Setup<S>) -> Result<Self, RunError> {
        let average_of = setup.settings().avg_price_candles_count;
        let settings = setup.settings().clone();
        let frame = setup.frame().clone();
        let (seats, profiles) = setup.into_seats(BTreeMap::new())?;
        if seats.is_empty() {
            return Err(RunError::Setup("there is no strategy to test".to_owned()));
        }
        let mut first_possible = i64::MIN;
        let mut covered_until = (String::new(), i64::MAX);
        for seat in &seats {
            let series = seat.series.read();
            let (Some(first), Some(end)) = (series.first_open_ms(), series.end_ms()) else {
                return Err(RunError::Frame(format!("{}: there are no candles of the symbol", seat.pair())));
            };
            first_possible = first_possible.max(first + i64::from(average_of) * MINUTE_MS);
            if end < covered_until.1 {
                covered_until = (seat.pair().symbol.clone(), end);
            }
        }
        let last_possible = covered_until.1;
        let start_ms = frame.start_ms.map_or(first_possible, |start| start - start.rem_euclid(MINUTE_MS));
        if start_ms < first_possible {
            return Err(RunError::Frame(format!(
                "the frame starts at {}, but the average price needs {average_of} candles before it, so it can start \
                 at {} at the earliest",
                iso_8601(start_ms),
                iso_8601(first_possible)
            )));
        }
        if start_ms > last_possible {
            return Err(RunError::Frame(format!(
                "the frame starts at {}, but the candles end at {}",
                iso_8601(start_ms),
                iso_8601(last_possible)
            )));
        }
        // A candle that opens after the end of the frame ends what is still held. So the frame ends before the last
        // candle opens.
        let frame_end_ms = frame.end_ms.unwrap_or(last_possible - 2 * MINUTE_MS);
        if frame_end_ms < start_ms {
            return Err(RunError::Frame(format!(
                "the frame ends at {}, before it starts at {}: there is nothing to test",
                iso_8601(frame_end_ms),
                iso_8601(start_ms)
            )));
        }
        let step_ms = frame.interval.ms();
        let end_ms = frame_end_ms - (frame_end_ms - start_ms).rem_euclid(step_ms);
        let anomalies = seats.iter().filter_map(|seat| {
            let series = seat.series.read();
            let before_ms = start_ms - (i64::from(average_of) + 1) * MINUTE_MS;
            let candle = AnomalousCandle::first(series.after(before_ms, i64::MAX, usize::MAX), &settings)?;
            Some((seat.pair().symbol.clone(), candle))
        });
        let anomaly = anomalies.min_by_key(|(_, candle)| candle.reached_ms);
        let desk = Desk::new(seats, profiles, None, average_of as usize, Some(end_ms));
        Ok(Self { desk, threads: NonZeroUsize::MIN, start_ms, end_ms, step_ms, anomaly, covered_until })
    }

    /// The same run on so many threads, if it has as many traders; without this, on one. The result is the same. A sink
    /// that hears ticks hears them on one thread.
    #[must_use]
    pub fn threads(self, threads: NonZeroUsize) -> Self {
        Self { threads, ..self }
    }

    /// The first and the last boundary at which strategies may be asked, milliseconds.
    #[must_use]
    pub const fn period_ms(&self) -> (i64, i64) {
        (self.start_ms, self.end_ms)
    }

    /// Runs to the end, or until `progress` breaks. Must not be called inside an async runtime: a sandboxed strategy
    /// is called synchronously.
    ///
    /// # Errors
    /// When a candle is missing or anomalous. What happened before that candle has been told.
    pub fn run(
        mut self,
        sink: &mut dyn Sink,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), RunError> {
        let minute_of = |now_ms: i64| ((now_ms - self.start_ms) / MINUTE_MS).unsigned_abs();
        let total = minute_of(self.end_ms) + 1;
        let mut now_ms = self.start_ms;
        let mut report_ms = self.start_ms;
        // The loop skips minutes at which no strategy is due and nothing is held. It must not skip the minute at which
        // an anomalous or missing candle ends the run.
        let anomaly_ms = self.anomaly.as_ref().map_or(i64::MAX, |(_, candle)| candle.reached_ms);
        let stop_ms = anomaly_ms.min(self.covered_until.1 + MINUTE_MS);
        let last_ms = self.end_ms.min(stop_ms - 1);
        let asking = Asking { first: self.start_ms, step: self.step_ms, last: last_ms };
        if self.threads > NonZeroUsize::MIN && self.desk.seats.len() > 1 && !sink.hears_ticks() {
            let on = |now_ms: i64| progress(Progress { done: minute_of(now_ms.min(self.end_ms).min(stop_ms)), total });
            if self.desk.run_ahead(self.threads, asking, stop_ms, sink, on).is_break() {
                return Ok(());
            }
            // What is left are the candles at which the market ends the run.
            now_ms = now_ms.max(stop_ms);
        }
        while now_ms <= self.end_ms || self.desk.holds_anything() {
            if now_ms >= report_ms {
                report_ms = now_ms + REPORT_EVERY_MS;
                if progress(Progress { done: minute_of(now_ms).min(total), total }).is_break() {
                    return Ok(());
                }
            }
            if let Some((symbol, candle)) = self.anomaly.take_if(|(_, candle)| candle.reached_ms <= now_ms) {
                return Err(RunError::AnomalousCandle { symbol, candle });
            }
            self.desk.boundary_at_once(now_ms, asking, sink);
            if now_ms > self.covered_until.1 {
                let (symbol, open_ms) = self.covered_until;
                return Err(RunError::MissingCandle { symbol, open_ms });
            }
            now_ms = self.desk.due_ms().min(stop_ms).max(now_ms + MINUTE_MS);
        }
        let _ = progress(Progress { done: total, total });
        Ok(())
    }
}
