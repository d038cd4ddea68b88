//! Plugins: WebAssembly components in a sandbox. Nothing else in the workspace knows wasmtime.
//!
//! ```text
//! Sandbox<Deterministic | Live>      an engine, limits, compiled code on disk
//!   └─ a role: its world, its context, its link
//!        strategy   StrategyPlugin ─► StrategyInstance, one per strategy and symbol
//!        backend    PluginStore, one long-lived supervised instance
//! ```
//!
//! A role is a set of capabilities. Each has its own WIT world, its own context (what one instance is and has) and its own
//! `link`, and what its world does not import does not link. Whatever a guest does, its breakdown is an error on that
//! guest: the instance is dropped, and the next call gets a fresh one. Everything guests return is validated by whoever
//! asked.
//!
//! The mode of a sandbox is a type. A [`Deterministic`] strategy answers without waiting and can be backtested; a [`Live`]
//! one is waited for.

#![warn(missing_docs)]

mod bindings;
mod cache;
mod contract;
mod error;
mod growth;
mod guest;
pub mod limits;
mod mode;
mod roles;
mod sandbox;
mod secret;
mod text;

pub use self::{
    error::{Breakdown, PluginError},
    limits::Limits,
    mode::{Deterministic, Live, Mode},
    roles::{
        backend::{Descriptor, Endpoint, EndpointError, Grant, PluginStore, Probe},
        strategy::{StrategyInstance, StrategyPlugin},
    },
    sandbox::Sandbox,
    secret::Secret,
};
