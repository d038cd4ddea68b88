//! sigbox: the outside world of the engine, as a library.

#![warn(missing_docs)]

pub mod candles;
pub mod store;
