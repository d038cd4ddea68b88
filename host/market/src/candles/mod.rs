//! Candles: how they are read, checked, converted, generated and kept.
//!
//! ```text
//! a file | generate | an exchange ─► Series, one a symbol ─► Market ─► windows of closed candles
//! ```
//!
//! All candles are one-minute candles. Higher intervals are made from them, once for each series. These rules hold:
//!
//! 1. A [`Series`] has no gap, no duplicate, no disorder and no impossible bar, because it cannot be built with one.
//!    Sources report these faults at their place in the file, and repair nothing unless they are asked to.
//! 2. [`Series::closed_before`] alone decides what is visible at a given time. No window has a candle that is still
//!    forming.
//! 3. A window of exact length is given whole or not at all: an older window never takes its place (specification 3.2).

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
