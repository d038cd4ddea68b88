//! The clock of the feed. It is a trait, so that tests do not have to wait for minutes to pass.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Tells the time and waits.
#[async_trait]
pub(super) trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. It may jump, in both directions.
    fn now_ms(&self) -> i64;

    /// Waits for `duration`, even if the clock is set meanwhile.
    async fn sleep(&self, duration: Duration);
}

/// The clock of this machine.
pub(super) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        Timestamp::now().as_millisecond()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
