//! The error of a run: why it could not start or go on.

use sigbox_market::candles::{AnomalousCandle, iso_8601};

use crate::{feed::FeedError, store::StoreError};

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A candle that is needed is missing.
    #[error("there is no candle of {symbol} that opens at {}; the candles end or have a gap there", iso_8601(*open_ms))]
    MissingCandle {
        /// The symbol.
        symbol: String,
        /// When it would open.
        open_ms: i64,
    },
    /// A price of a candle is absurdly far below its neighbours.
    #[error("candles of {symbol}: {candle}")]
    AnomalousCandle {
        /// The symbol.
        symbol: String,
        /// Which candle.
        candle: AnomalousCandle,
    },
    /// The period does not fit the candles.
    #[error("{0}")]
    Frame(String),
    /// The setup contradicts itself.
    #[error("{0}")]
    Setup(String),
    /// A store cannot be used.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// Another host has claimed a store of this run, and holds the state since then.
    #[error("another host has taken over the state, so this run has ended: {0}")]
    Fenced(Box<StoreError>),
    /// A stored row belongs to another exchange, strategy or symbol. It is left as it is.
    #[error(
        "{document} belongs to {found}, but {expected} would use it; rename the strategy or the exchange, or choose \
         another [persistence] data-dir. Nothing was changed"
    )]
    ForeignRow {
        /// Which document.
        document: String,
        /// The trader that it belongs to.
        found: String,
        /// The trader that would use it.
        expected: String,
    },
    /// A stored document cannot be understood, and the configuration says to halt then.
    #[error(
        "{document} cannot be understood: {reason}; put it right, or move it away to go on as flat \
         ([persistence] on-corrupt = \"halt\")"
    )]
    CorruptState {
        /// Which document.
        document: String,
        /// Why.
        reason: String,
    },
    /// The configuration does not name a trader that holds something, and says to refuse to start then.
    #[error(
        "{0}; name it in the configuration again, or decide what becomes of it with `sigbox state adopt`, `close` or \
         `forget` ([live] orphans = \"refuse\")"
    )]
    Orphan(String),
    /// The run has ended, and a store or the event record does not have what is held.
    #[error("not everything is kept: {}; put the store right and start again before anything else is changed", .0.join("; "))]
    NotKept(Vec<String>),
    /// The feed cannot go on.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Events could not be recorded.
    #[error("the event record cannot be written: {0}")]
    Record(#[from] std::io::Error),
}
