//! The events and the record of a run: one line of JSON for each event, and one file that says which run it was.
//!
//! ```text
//! Outcome ─► Event  ─┐                      ┌─► Head, TraderLine ─► the journal's memory, a report
//! Notice ────────────┴─► a line of JSON ────┴─► Head, HostLine   ─► what happened to a store
//! ```
//!
//! [`Action`] has every name that an event can have; no other code in the workspace spells one. [`Event`] and
//! [`Notice`] write lines, and [`Head`], [`TraderLine`] and [`HostLine`] read them. [`RunRecord`] is the file beside
//! the events that says what is needed to repeat the run.

#![warn(missing_docs)]

mod action;
mod behind;
mod carried;
mod event;
mod json;
mod line;
mod notice;
mod number;
mod run_record;
mod trade;
mod writer;

use std::path::{Path, PathBuf};

pub use self::{
    action::Action,
    behind::Behind,
    carried::Carried,
    event::{Event, ExtremeRow, PnlRow, PublicRow, Terms},
    line::{Head, HostLine, PnlLine, SignalLine, TraderLine},
    notice::{Incident, IncidentKind, Notice, Verdict},
    number::Number,
    run_record::{Component, Kind, RunRecord, RunRecordError, Source},
    trade::Trade,
    writer::EventWriter,
};

/// The file beside `events` in which a live run notes the last boundary it decided.
#[must_use]
pub fn reached_file(events: &Path) -> PathBuf {
    beside(events, ".reached")
}

/// `events` with `ending` after its whole name.
fn beside(events: &Path, ending: &str) -> PathBuf {
    let mut file = events.as_os_str().to_owned();
    file.push(ending);
    file.into()
}
