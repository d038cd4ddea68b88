//! Plugins: WebAssembly components in a sandbox. No other crate of the workspace uses wasmtime.
//!
//! ```text
//! Sandbox<Deterministic | Live>      an engine, limits, compiled code on disk
//!   └─ a role: its world, its context, its link
//!        strategy   StrategyPlugin ─► StrategyInstance, one per strategy and symbol
//!        backend    PluginStore, one long-lived supervised instance
//! ```
//!
//! A role is a set of capabilities. Each role has its own WIT world, its own context (what one instance is and what it
//! has) and its own `link`. An import that the role's world does not have does not link. A breakdown of a guest is an
//! error of that guest only: the host drops the instance, and the next call gets a fresh one. The caller of a guest
//! validates everything that the guest returns.
//!
//! The mode of a sandbox is a type. A [`Deterministic`] strategy answers a synchronous call and can be backtested; the
//! calls of a [`Live`] strategy are asynchronous.

#![warn(missing_docs)]

mod bindings;
mod cache;
mod contract;
mod error;
mod growth;
mod guest;
pub mod limits;
mod mode;
mod program;
mod roles;
mod sandbox;
mod secret;
mod size;
mod text;

pub use self::{
    error::{Breakdown, PluginError},
    limits::Limits,
    mode::{Deterministic, Live, Mode},
    program::{Program, SourceFile, Text},
    roles::{
        backend::{Descriptor, Endpoint, EndpointError, Grant, PluginStore, Probe},
        strategy::{StrategyInstance, StrategyPlugin},
    },
    sandbox::Sandbox,
    secret::Secret,
};
