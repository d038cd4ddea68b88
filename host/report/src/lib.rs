//! Reports: the results of a run, as a web page, Markdown, JSON and CSV.
//!
//! ```text
//! event file ─► Ledger: trades, counts ─┐
//! candles, configuration, components ───┴─► Report ─► html | markdown | json | csv
//! ```
//!
//! A report depends only on what was recorded. Nothing here runs a strategy, reads a clock or opens a file, so the same
//! event file of a backtest, or journal of a live run, always gives the same page.

#![warn(missing_docs)]

mod clock;
mod csv;
mod curve;
mod histogram;
mod html;
mod json;
mod ledger;
#[cfg(test)]
mod made_up;
mod markdown;
mod model;
mod months;
mod parts;
mod rows;
mod sweep;

pub mod text;

pub use self::{
    csv::{cell, csv},
    html::{html, sweep_html},
    json::json,
    ledger::{Ledger, LedgerError},
    markdown::markdown,
    model::{Bars, Report, Timing, TradeRow},
    rows::{KEY_METRICS, Row, Rows},
    sweep::{Sweep, SweepRow, sweep_markdown},
};
