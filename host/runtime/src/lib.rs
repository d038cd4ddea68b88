//! sigbox as a library: makes and carries out a run, from a configuration or from parts of your own.
//!
//! If you have a `sigbox.toml`, call [`job`]: it makes a run and carries it out, as the command does. If not, put the
//! parts together yourself. This is the whole host on a page: a sandboxed strategy, candles, a backtest and its result.
//!
//! ```no_run
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! | example | what it shows |
//! |---|---|
//! | `embed` | a backtest of a sandboxed strategy: the page above |
//! | `live` | a live run of a strategy in Rust on recorded candles, its state in files, stopped and resumed |
//! | `own_store` | a [`Store`](trading::store::Store) of your own behind the same run |
//! | `own_feed` | a [`Feed`](trading::feed::Feed) of your own: candles from any source |
//! | `native` | a strategy in Rust without a sandbox, timed |
//! | `candles` | candles of a configuration, written to a file |
//!
//! Each crate below is a module here: [`engine`] has the rules, [`events`] the events and their files, [`market`] the
//! candles, [`trading`] the loop and the state it keeps, [`sandbox`] the plugins.

#![warn(missing_docs)]

pub use sigbox_engine as engine;
pub use sigbox_events as events;
pub use sigbox_market as market;
pub use sigbox_sandbox as sandbox;
pub use sigbox_trading as trading;

pub mod assemble;
pub mod binding;
pub mod config;
pub mod job;
pub mod plugin_source;
pub mod sweep;

mod error_kind;

pub use self::error_kind::ErrorKind;
