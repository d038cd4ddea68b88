//! Plugins: WebAssembly components in a sandbox.
//!
//! A [`Sandbox`] compiles components and keeps the compiled code on disk. A [`StrategyPlugin`] makes one instance per
//! strategy and symbol; a [`PluginStore`] is a persistence backend served by one long-lived instance. Whatever a guest
//! does, its breakdown is an error on that guest: the instance is dropped, the next call gets a fresh one.
//!
//! Guests can reach `sigbox:host` and a WASI without files, network, arguments or environment, but for the directories
//! and the network a backend was granted. Everything they return is validated by whoever asked.

mod backend;
mod bindings;
mod cache;
mod call;
mod contract;
mod error;
mod growth;
mod host;
mod http;
pub mod limits;
mod look_up;
mod network;
mod probe;
mod sandbox;
mod secret;
mod strategy;
mod text;
mod wasi;
mod wrapped;

pub use backend::{PluginStore, StoreBinding};
pub use error::{Breakdown, PluginError};
pub use limits::Limits;
pub use network::{Endpoint, EndpointError};
pub use probe::{Descriptor, Probe};
pub use sandbox::{Mode, Sandbox};
pub use secret::Secret;
pub use strategy::{Session, StrategyInstance, StrategyPlugin};
