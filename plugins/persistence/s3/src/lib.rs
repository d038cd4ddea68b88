//! Documents as objects of an S3-compatible store: one document, one object. README.md says how it is bound, what it
//! needs and what it promises.
//!
//! Everything but the component itself and its way to the network also compiles natively.

pub mod answer;
pub mod bucket;
pub mod documents;
pub mod key;
pub mod request;
pub mod settings;

#[cfg(target_family = "wasm")]
mod component;
#[cfg(target_family = "wasm")]
mod outgoing;
