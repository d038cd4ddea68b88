//! Write sigbox plugins in Rust.
//!
//! Choose the world with a feature and build for `wasm32-wasip2`; the result is the component sigbox loads.
//!
//! * `strategy`: implement [`strategy::Strategy`] and name it in [`export_strategy!`].
//! * `persistence`: implement [`persistence::Backend`] and name it in [`export_backend!`].

#[cfg(feature = "persistence")]
pub mod persistence;
#[cfg(feature = "strategy")]
pub mod strategy;
