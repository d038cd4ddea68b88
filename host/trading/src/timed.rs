//! Measures how long strategies take to answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sigbox_engine::{stats::Sample, trader::Answer};

use crate::{
    Setup,
    strategy::{LiveStrategy, Strategy},
};

/// A strategy whose answers are timed.
pub struct Timed<S> {
    strategy: S,
    stopwatch: Stopwatch,
}

/// Collects times, milliseconds. A clone is cheap and collects into the same sample.
#[derive(Clone, Debug)]
pub struct Stopwatch(Arc<Mutex<Sample>>);

/// How many times the sample has room for: two years of minutes, 8 MiB. A live run has no end, so its memory needs a
/// limit.
const ROOM: usize = 1 << 20;

impl Default for Stopwatch {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Sample::with_room(ROOM))))
    }
}

impl Stopwatch {
    /// Adds one time.
    pub fn add(&self, took: Duration) {
        // Adding to a sample cannot panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(took.as_secs_f64() * 1000.0);
    }

    /// What was added so far, milliseconds.
    #[must_use]
    pub fn sample(&self) -> Sample {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Strategy> Strategy for Timed<S> {
    fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        let asked = Instant::now();
        let answer = self.strategy.answer(now_ms, price);
        self.stopwatch.add(asked.elapsed());
        answer
    }
}

impl<S: LiveStrategy> LiveStrategy for Timed<S> {
    async fn answer_in_time(&mut self, now_ms: i64, price: f64) -> Answer {
        let asked = Instant::now();
        let answer = self.strategy.answer_in_time(now_ms, price).await;
        self.stopwatch.add(asked.elapsed());
        answer
    }
}

impl<S> Setup<S> {
    /// The same setup with every answer timed, and a stopwatch for each strategy name. All symbols of a strategy share
    /// it.
    #[must_use]
    pub fn timed(self) -> (Setup<Timed<S>>, BTreeMap<String, Stopwatch>) {
        let mut stopwatches: BTreeMap<String, Stopwatch> = BTreeMap::new();
        let timed = self.map(|pair, strategy| {
            let stopwatch = stopwatches.entry(pair.strategy.clone()).or_default().clone();
            Timed { strategy, stopwatch }
        });
        (timed, stopwatches)
    }
}
