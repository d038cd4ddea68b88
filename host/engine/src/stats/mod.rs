//! What a series of closed trades and ended orders amounts to (specification 11.3 to 11.5, as version 19.5 has it).
//!
//! ```text
//! Outcome ─► Tally ─► Summary: of everything, of a strategy, of a symbol, of a strategy on a symbol
//!                       ├─ Returns ─► Statistics ─► METRICS: a name, a unit and a number each
//!                       ├─ Orders, Levels, refusals
//!                       └─ Trend, where all trades are of one symbol
//! ```
//!
//! Everything is carried forward trade by trade, so no number depends on how many trades a list has room for (hazard
//! H-18); the medians alone keep eight bytes a trade. A number that a sample cannot carry is `None`, never zero:
//! ratios need [`ENOUGH`] trades, annual figures a span of [`LONG_ENOUGH_DAYS`] and at most [`MOST_TRADES_A_YEAR`].

mod equity;
mod metric;
mod orders;
mod returns;
mod sample;
mod statistics;
mod summary;
mod trade;
mod trend;

pub use self::{
    equity::Equity,
    metric::{Better, METRICS, Metric, Unit},
    orders::Orders,
    returns::Returns,
    sample::Sample,
    statistics::Statistics,
    summary::{LevelCounts, Part, Summary, Tally},
    trade::Trade,
    trend::{Direction, Trend, TrendLine},
};

/// Trades from which on ratios are computed.
pub const ENOUGH: u64 = 10;

/// Days from the first opening to the last close from which on anything is annualised.
pub const LONG_ENOUGH_DAYS: f64 = 14.0;

/// Trades a year beyond which nothing is annualised: compounding them over a year says nothing.
pub const MOST_TRADES_A_YEAR: f64 = 365.0;

/// A smaller divisor is rounding, not spread: nothing is divided by it.
const NEGLIGIBLE: f64 = 1e-9;

/// Milliseconds in a minute and a day, as divisors.
const MINUTE_MS: f64 = 60_000.0;
const DAY_MS: f64 = 86_400_000.0;

#[expect(clippy::cast_precision_loss, reason = "counts of trades stay far below 2^52")]
const fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "periods of time stay far below 2^52 milliseconds")]
const fn span_ms(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64
}
