//! sigbox as its users meet it. Each module is a subject.

mod backends;
mod backtest;
mod cli;
mod conformance;
mod crash;
mod features;
mod guests;
mod house;
mod kit;
#[cfg(unix)]
mod languages;
mod live_scale;
mod peers;
mod report;
#[cfg(unix)]
mod report_page;
#[cfg(unix)]
mod servers;
#[cfg(unix)]
mod signals;
mod simulation;
mod support;
mod sweep;
mod vectors;
