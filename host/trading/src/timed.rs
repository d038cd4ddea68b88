//! Measures how long strategies take to answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sigbox_engine::{stats::Sample, trader::Answer};

use crate::{
    Setup,
    strategy::{LiveStrategy, Question, Strategy},
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
        self.add_shared(took, 1);
    }

    /// Adds the time that `count` answers took together: each of them took its share.
    fn add_shared(&self, took: Duration, count: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a row has a few hundred questions")]
        let each_ms = took.as_secs_f64() * 1000.0 / count as f64;
        // Adding to a sample cannot panic.
        let mut sample = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            sample.add(each_ms);
        }
    }

    /// What was added so far, milliseconds.
    #[must_use]
    pub fn sample(&self) -> Sample {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Strategy> Strategy for Timed<S> {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let asked = Instant::now();
        let answer = self.strategy.answer(row);
        self.stopwatch.add_shared(asked.elapsed(), answer.as_ref().map_or(row.len(), |(index, _)| index + 1));
        answer
    }
}

impl<S: LiveStrategy> LiveStrategy for Timed<S> {
    async fn answer_in_time(&mut self, question: Question) -> Answer {
        let asked = Instant::now();
        let answer = self.strategy.answer_in_time(question).await;
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
        let timed = self.map(|assignment, _, strategy| {
            let stopwatch = stopwatches.entry(assignment.pair().strategy.clone()).or_default().clone();
            Timed { strategy, stopwatch }
        });
        (timed, stopwatches)
    }
}
