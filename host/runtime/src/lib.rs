//! sigbox, as a library: from a configuration to a run.

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
pub mod walk;

mod error_kind;

pub use self::error_kind::ErrorKind;
