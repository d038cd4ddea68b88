//! Feeds: the sources of candles of a live run.

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
/// A feed adds each candle to the market once, in order, and never before it has closed. It also says when there is a
/// boundary to decide. Before one boundary it may add several candles of a symbol, after an outage, or none, while the
/// symbol cannot be fetched.
pub trait Feed: Send {
    /// Fills the market with history. `wanted` has, for each symbol, the opening time of the oldest candle that is
    /// needed to judge the positions and orders of an earlier run; `None` when there are none. Called once, before
    /// `next`.
    ///
    /// Returns what is wrong with the symbols that have no candles, or not the wanted ones. If the run goes on, the feed
    /// goes on without those of [`FeedError::Never`], and asks for the candles of the others again.
    ///
    /// # Errors
    /// When the feed can give no candles at all.
    fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> impl Future<Output = Result<Vec<FeedError>, FeedError>> + Send;

    /// How long a boundary waits for the answers of strategies before it goes on without them. `None`: until all have
    /// answered, because the time of the candles stands still meanwhile.
    fn patience(&self) -> Option<Duration>;

    /// Waits until there is a boundary to decide, and adds the candles that closed until then. `Ok(None)`: there are no
    /// more boundaries. A problem that may pass is reported through `notices`, not as an error.
    ///
    /// # Errors
    /// When the feed cannot go on.
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
    /// Whether trades may still be opened at the prices of `now_ms`. After an outage, positions are judged on the
    /// missed candles, but nothing is opened in the past.
    pub fresh: bool,
}

/// Why a feed cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Candles that are needed cannot be fetched or are missing.
    #[error("candles of {symbol}: {problem}")]
    Candles {
        /// The symbol.
        symbol: String,
        /// What is missing, and what to do.
        problem: String,
    },
    /// Candles that are needed will not come: the source does not know the symbol, or has none so old.
    #[error("candles of {symbol}: {problem}")]
    Never {
        /// The symbol.
        symbol: String,
        /// What is missing, and what to do.
        problem: String,
    },
}

impl FeedError {
    /// The symbol that it is about.
    #[must_use]
    pub fn symbol(&self) -> &str {
        match self {
            Self::Candles { symbol, .. } | Self::Never { symbol, .. } => symbol,
        }
    }

    /// What is missing, and what to do.
    pub(crate) fn problem(&self) -> &str {
        match self {
            Self::Candles { problem, .. } | Self::Never { problem, .. } => problem,
        }
    }
}

/// The part of `candles` that opened at or after `from_ms`.
fn since(candles: &[Candle], from_ms: i64) -> &[Candle] {
    &candles[candles.partition_point(|candle| candle.open_time_ms < from_ms)..]
}
