//! The event file of a live run inside the test.

use std::{path::Path, time::Duration};

use sigbox::{
    events::Event,
    trading::{Journal, JournalError, SEGMENT_BYTES},
};

/// The year 2100: later than every candle of a test.
pub(crate) const LATER_MS: i64 = 4_102_444_800_000;

/// Opens the event file at `path`. A lock is shared with every process that is being started at the moment, until it
/// has become the program it is to be; other tests start processes, so it may take a moment.
pub(crate) async fn journal<L: FnMut(&Event) + Clone>(path: &Path, listener: L) -> Journal<L> {
    for _ in 0..100 {
        match Journal::open(path, SEGMENT_BYTES, LATER_MS, listener.clone()) {
            Err(JournalError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return opened.expect("the events can be continued"),
        }
    }
    panic!("the events are in use for five seconds");
}
