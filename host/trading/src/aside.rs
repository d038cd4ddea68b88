//! A sink that tells another sink on a thread of its own.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use sigbox_engine::{Outcome, signal::Pair};

use crate::sink::Sink;

/// How many outcomes are handed over together. If they were handed over one by one, that would cost more than it saves.
const BATCH: usize = 256;

/// How many batches may wait. So a run that is faster than its sink uses at most a megabyte for them.
const WAITING: usize = 8;

type Batch = Vec<(Arc<Pair>, Outcome)>;

/// Tells another sink on a thread of its own, so that a backtest does not wait while its events are written.
///
/// It does not hand over ticks at which nothing happened. A failure of the other sink is returned by [`Aside::finish`],
/// not by `tell`.
pub struct Aside<K> {
    batch: Batch,
    /// Every pair that had an outcome. The batches share these pairs instead of copying them.
    pairs: BTreeMap<Pair, Arc<Pair>>,
    batches: SyncSender<Batch>,
    thread: JoinHandle<io::Result<K>>,
}

impl<K: Sink + Send + 'static> Aside<K> {
    /// Starts the thread that tells `sink`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(sink: K) -> io::Result<Self> {
        let (batches, handed_over) = sync_channel(WAITING);
        let thread =
            thread::Builder::new().name("sigbox-events".to_owned()).spawn(move || tell_all(sink, handed_over))?;
        Ok(Self { batch: Vec::with_capacity(BATCH), pairs: BTreeMap::new(), batches, thread })
    }

    /// Waits until everything is told, and gives the sink back.
    ///
    /// # Errors
    /// The first failure of the sink; what came after it was not told.
    ///
    /// # Panics
    /// When the sink has panicked.
    pub fn finish(mut self) -> io::Result<K> {
        self.hand_over();
        drop(self.batches);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<K> Aside<K> {
    fn hand_over(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        // If this fails, the thread has ended after a failure of the sink, which `finish` returns.
        let _ = self.batches.send(batch);
    }
}

impl<K> Sink for Aside<K> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        if outcome.is_uneventful() {
            return Ok(());
        }
        let pair = match self.pairs.get(pair) {
            Some(pair) => Arc::clone(pair),
            None => {
                let shared = Arc::new(pair.clone());
                self.pairs.insert(pair.clone(), Arc::clone(&shared));
                shared
            }
        };
        self.batch.push((pair, outcome.clone()));
        if self.batch.len() == BATCH {
            self.hand_over();
        }
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}

fn tell_all<K: Sink>(mut sink: K, batches: Receiver<Batch>) -> io::Result<K> {
    for (pair, outcome) in batches.into_iter().flatten() {
        sink.tell(&pair, &outcome)?;
    }
    Ok(sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects prices, and fails at one of them.
    struct Heard(Vec<f64>, f64);

    impl Sink for Heard {
        fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
            let Outcome::StrategyFailed { message, .. } = outcome else { panic!("not handed on: {outcome:?}") };
            let price: f64 = message.parse().unwrap();
            if price == self.1 {
                return Err(io::Error::other(format!("{pair}: enough")));
            }
            self.0.push(price);
            Ok(())
        }
    }

    fn tell(fails_at: f64) -> io::Result<Heard> {
        let pair = Pair { symbol: "S".into(), strategy: "s".into(), exchange: "x".into(), frame: String::new() };
        let mut aside = Aside::new(Heard(Vec::new(), fails_at)).unwrap();
        for number in 0..3 * BATCH + 7 {
            aside.tell(&pair, &Outcome::Idle { at_ms: 0, price: 1.0 }).unwrap();
            aside.tell(&pair, &Outcome::StrategyFailed { message: number.to_string(), at_ms: 0 }).unwrap();
        }
        aside.finish()
    }

    #[test]
    fn everything_is_told_in_order_and_ticks_are_not() {
        let heard = tell(f64::NAN).unwrap().0;
        assert_eq!(heard.len(), 3 * BATCH + 7);
        assert!(heard.is_sorted());
    }

    #[test]
    fn a_failure_of_the_sink_is_known_at_the_end() {
        assert_eq!(tell(300.0).map(|heard| heard.0).unwrap_err().to_string(), "s on S: enough");
    }
}
