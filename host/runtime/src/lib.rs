//! sigbox, as a library: from a configuration, or from parts of your own, to a run.
//!
//! Whoever has a `sigbox.toml` calls [`job`]: it puts a run together and carries it out, as the command does. Whoever has
//! something else puts the parts together. This is the whole host on a page: a sandboxed strategy, candles, a backtest, and
//! what happened.
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
//! | `own_feed` | a [`Feed`](trading::feed::Feed) of your own: candles from wherever they come |
//! | `native` | a strategy in Rust without a sandbox, timed |
//! | `candles` | candles of a configuration, written to a file |
//!
//! Each crate below is a module here: [`engine`] decides, [`events`] tells, [`market`] has the candles, [`trading`] is the
//! loop and what it keeps, [`sandbox`] runs plugins.

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
