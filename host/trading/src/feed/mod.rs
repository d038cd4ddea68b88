//! Where a live run's candles come from.

mod klines;
mod replay;

use std::time::Duration;

use sigbox_engine::Candle;

pub use klines::{FetchFileError, FetchOrder, FetchProgress, Fetched, KlinesFeed, KlinesSettings, fetch_file};
pub use replay::ReplayFeed;

use sigbox_events::Notice;
use sigbox_market::Market;

/// A source of candles as they close.
///
/// A feed adds candles to the market, each once, in order, and none before it has closed; and it says when there is a
/// boundary to decide. It may add several candles of a symbol before one boundary, after an outage, or none, while a
/// symbol cannot be fetched.
pub trait Feed: Send {
    /// Fills the market with history. `wanted` has, by symbol, the opening time of the oldest candle that is needed to
    /// judge what an earlier run left behind; `None` where nothing was. Called once, before `next`.
    ///
    /// # Errors
    /// When the run cannot start without what is missing.
    fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// How long a boundary may wait for strategies that take their time, before it goes on without them; `None`: as
    /// long as they take, because time waits as well.
    fn patience(&self) -> Option<Duration>;

    /// Waits until there is a boundary to decide and adds the candles that closed until then. `Ok(None)`: there will
    /// be none any more. Trouble that passes is reported through `notices`, not as an error.
    ///
    /// # Errors
    /// When there is no use in going on.
    fn next(
        &mut self,
        market: &Market,
        notices: &mut Vec<Notice>,
    ) -> impl Future<Output = Result<Option<Boundary>, FeedError>> + Send;
}

/// A minute boundary to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// When, milliseconds since the Unix epoch: every candle that closed until then counts.
    pub now_ms: i64,
    /// Whether it is still time to enter at the prices of `now_ms`. After an outage positions are judged on what was
    /// missed, but nothing is opened in the past.
    pub fresh: bool,
}

/// Why a feed cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Candles that are needed are not to be had.
    #[error("candles of {symbol}: {problem}")]
    Candles {
        /// The symbol.
        symbol: String,
        /// What is missing, and what to do.
        problem: String,
    },
}

/// The part of `candles` that opened at or after `from_ms`.
fn since(candles: &[Candle], from_ms: i64) -> &[Candle] {
    &candles[candles.partition_point(|candle| candle.open_time_ms < from_ms)..]
}
