//! The rules of sigbox: how a signal is validated, opened, watched and closed.
//!
//! There is no clock, disk, network, thread, async or wasm in this crate, and no randomness: every function maps its
//! arguments to its result, times are arguments, and `no_std` keeps it so. A backtest and a live run call the very
//! same functions with the very same candles, which is why they give the same trades.
//!
//! The life of a signal, by file:
//!
//! | file | what it holds |
//! |---|---|
//! | [`candle`] | a closed bar, and which bars are impossible |
//! | [`interval`] | `1m` … `1d`, and where their slots begin |
//! | [`price`] | the average price every decision is made at |
//! | [`settings`] | fees, limits and distances, with the reference's defaults |
//! | [`signal`] | a strategy's untrusted proposal, and the validated signal made from it |
//! | [`validate`] | the rules between the two, in order of precedence |
//! | [`pnl`] | profit and loss, effective entry, liquidation price |
//! | [`risk`] | what a risk rule sees, the built-in rules, their refusals |
//! | [`state`] | idle, scheduled, open: each owning only its own data |
//! | [`trader`] | the transitions: one closed candle, or one answer of a strategy, at a time |
//! | [`outcome`] | what a transition did, as data |
//! | [`stats`] | what a series of closed trades amounts to |
//!
//! All times are milliseconds since the Unix epoch, UTC. All arithmetic is IEEE 754 binary64 in the order the
//! specification writes it, so results compare bit for bit.

#![no_std]
// The prelude above is a guard, not a wish to run without an operating system: it makes clocks, files, the
// environment and the randomly ordered `HashMap` compile errors.
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod candle;
pub mod interval;
pub mod outcome;
pub mod pnl;
pub mod price;
pub mod risk;
pub mod settings;
pub mod signal;
pub mod state;
pub mod stats;
pub mod trader;
pub mod validate;

pub use candle::{Candle, MINUTE_MS};
pub use interval::Interval;
pub use outcome::{Outcome, Outcomes};
pub use settings::Settings;
pub use signal::{Proposal, Side, Signal};
pub use state::{Order, Position, SharedPosition, State};
pub use trader::Trader;
