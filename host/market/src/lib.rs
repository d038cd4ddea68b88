//! The candles of a run, and the rule for which of them may be seen at a given time. This crate has no clock, network,
//! thread or wasm.
//!
//! [`candles`] reads, checks, converts and generates candles. A [`Series`](candles::Series) is the candles of one
//! symbol, without gaps. A [`Market`] is the series of all symbols, shared by all code that reads them.

#![warn(missing_docs)]

pub mod candles;
pub mod digest;
mod market;

pub use self::market::{Look, Market, SharedSeries};
