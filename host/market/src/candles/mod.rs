//! Candles: where they come from and how they are kept.
//!
//! ```text
//! a file | generate | an exchange ─► Series, one a symbol ─► Market ─► windows of closed candles
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

mod check;
mod convert;
mod growing;

mod file;

mod columns;
mod csv;
mod parquet;
mod time;

mod anomaly;
mod generate;

pub use self::{
    anomaly::{AnomalousCandle, anomaly},
    check::{FileCheck, FileProblem, check_file},
    convert::{Conversion, convert},
    file::{
        CandleFileError, ColumnProblem, Existing, Format, Gaps, Place, RowProblem, read_candles, read_csv,
        remove_left_behind, write_candles, write_csv,
    },
    generate::{Recipe, RecipeError, generate},
    growing::{GrowingFile, GrowingFileError},
    parquet::is_written_here,
    series::{Series, SeriesError},
    time::{iso_8601, parse_minute},
};
