//! The loop of a run: the same traders over recorded candles, or over candles as they close. This crate has no wasm.
//!
//! ```text
//! Setup ─┬─► Backtest            recorded candles, nothing kept ─┐
//!        └─► Live + Stores + Feed  candles as they close, kept ──┴─► Desk::boundary ─► Sink
//! ```
//!
//! [`Backtest`] and [`Live`] are made of different parts: the source of candles, whether state is kept, and the sink.
//! Both use the same code for a boundary (`desk.rs`), and the code of the engine for what a candle does to a trader.
//!
//! The caller provides the strategies: anything that implements [`Strategy`] or [`LiveStrategy`]. The caller may also
//! provide a [`Store`](store::Store) or a [`Feed`](feed::Feed).

#![warn(missing_docs)]

mod setup;

mod backtest;
mod live;

mod desk;
mod promises;
mod risk;
mod row;
mod strategy;
mod strategy_memory;
mod timed;
mod trades;

mod decide;
pub mod index;
mod keeper;
mod lanes;
mod reconcile;
mod restore;
mod rows;
mod start;

mod aside;
mod journal;
mod sink;

pub mod feed;
pub mod http;
pub mod store;

mod error;

#[cfg(test)]
mod testing;

pub use self::{
    aside::Aside,
    backtest::{Backtest, Frame, Progress},
    decide::{Comparison, Decision, Finding, Source, compare, decide},
    error::RunError,
    journal::{Journal, JournalError, Recall, Record, SEGMENT_BYTES, event_files},
    live::{Live, LiveOptions, Orphans, Stop, StoredState, stored_memory, stored_state},
    promises::{Checked, CheckedPromises, Promises, WrongPromise},
    risk::Profile,
    setup::{Assignment, SeatSetup, Setup},
    sink::{Silence, Sink},
    start::held_by_others,
    strategy::{LiveStrategy, Native, Question, Strategy},
    strategy_memory::{MemoryFull, STRATEGY_MEMORY_BYTES, StrategyMemory},
    timed::{Stopwatch, Timed},
    trades::Trades,
};
