//! A clock that obeys.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sigbox_test_exchange::{LocalExchange, START_MS};

use super::Clock;

/// Time passes when somebody sleeps, and then at once.
pub(super) struct TestClock {
    now_ms: AtomicI64,
    pub(super) sleeps: Mutex<Vec<Duration>>,
    /// By how much the next sleep is too long, as when the machine is put to sleep meanwhile.
    pub(super) oversleep_ms: AtomicI64,
}

impl TestClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicI64::new(START_MS), sleeps: Mutex::default(), oversleep_ms: AtomicI64::new(0) })
    }

    pub(super) fn advance_ms(&self, by_ms: i64) {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// An exchange with the time of this clock.
    pub(super) async fn exchange(self: &Arc<Self>) -> Arc<LocalExchange> {
        let clock = Arc::clone(self);
        LocalExchange::start(move || clock.now_ms()).await
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    async fn sleep(&self, duration: Duration) {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap();
        self.sleeps.lock().unwrap().push(duration);
        self.advance_ms(duration_ms + self.oversleep_ms.swap(0, Ordering::SeqCst));
        tokio::task::yield_now().await;
    }
}
