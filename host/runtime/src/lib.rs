//! sigbox: the outside world of the engine, as a library.

#![warn(missing_docs)]

pub mod assemble;
pub mod binding;
pub mod candles;
pub mod config;
mod digest;
pub mod feed;
pub mod kit;
pub mod market;
pub mod plugin;
pub mod plugin_source;
pub mod run;
pub mod store;
pub mod walk;
