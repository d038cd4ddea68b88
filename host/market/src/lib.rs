//! The candles of a run, and what of them may be seen at a time. No clock, network, thread or wasm.
//!
//! [`candles`] reads, checks, converts and generates them; a [`Series`](candles::Series) is the candles of one symbol
//! without gaps; a [`Market`] is the series of all symbols, shared by everything that looks at them.

#![warn(missing_docs)]

pub mod candles;
pub mod digest;
mod market;

pub use self::market::{Look, Market, SharedSeries};
