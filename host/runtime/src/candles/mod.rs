//! Candles: where they come from and how they are kept.
//!
//! ```text
//! read_csv | generate | an exchange ─► Series, one a symbol ─► Market ─► windows of closed candles
//! ```
//!
//! Everything is one-minute candles; higher intervals are made from them, once a series. What holds:
//!
//! 1. A [`Series`] has no gap, no duplicate, no disorder and no impossible bar, because it cannot be built with one.
//!    Sources report these faults where they stand in the file; nothing repairs them unasked.
//! 2. What is visible at a time is decided by [`Series::closed_before`] and nowhere else. No function hands out a
//!    candle that is still forming.
//! 3. A window of exact length is all there or not there: nobody gets an older one in its place (specification 3.2).

mod series;

mod higher;

mod csv;
mod time;

mod anomaly;
mod generate;

pub(crate) use self::time::iso_8601;
pub use self::{
    anomaly::{AnomalousCandle, anomaly},
    csv::{CandleFileError, Gaps, RowProblem, read_csv, write_csv},
    generate::{Recipe, RecipeError, generate},
    series::{Series, SeriesError},
};
