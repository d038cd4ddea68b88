//! The loop: the same traders over recorded candles, or over candles as they close. No wasm.
//!
//! ```text
//! Setup ─┬─► Backtest            recorded candles, nothing kept ─┐
//!        └─► Live + Stores + Feed  candles as they close, kept ──┴─► Desk::boundary ─► Sink
//! ```
//!
//! [`Backtest`] and [`Live`] differ in the parts they put together: where candles come from, whether state is kept, who
//! is told. What happens at a boundary is one piece of code (`desk.rs`), and what a candle does is the engine's.
//!
//! Somebody else provides the strategies: anything that implements [`Strategy`]. Somebody else may provide a
//! [`Store`](store::Store) or a [`Feed`](feed::Feed) as well.

#![warn(missing_docs)]

mod setup;

mod backtest;
mod live;

mod desk;
mod risk;
mod strategy;
mod timed;

mod keeper;
mod restore;
mod rows;

mod aside;
mod journal;
mod sink;

pub mod feed;
pub mod store;

mod error;

pub use self::{
    aside::Aside,
    backtest::{Backtest, Frame, Progress},
    error::RunError,
    journal::{Journal, JournalError, Recall},
    live::{Live, LiveOptions, Stop, StoredState, stored_state},
    risk::Profile,
    setup::{Assignment, SeatSetup, Setup},
    sink::{Silence, Sink},
    strategy::{LiveStrategy, Native, Strategy},
    timed::{Stopwatch, Timed},
};
