//! sigbox as its users meet it. Each module is a subject.

mod backtest;
mod cli;
mod conformance;
mod crash;
mod features;
mod guests;
#[cfg(unix)]
mod signals;
mod support;
mod vectors;
