//! Jobs: each makes a run from a configuration and carries it out, for the command and for other programs, such as a
//! server.
//!
//! The caller of a job decides some things (the sandbox, how plugins are built, where events go, when to stop). The job
//! does the rest: it reads the candles, starts the strategies, opens the stores, chooses the feed, keeps the record of
//! the run beside its events and runs to the end. It returns what a report needs besides the events.

mod backtest;
mod live;
mod record;
mod state;

use std::{
    io,
    path::{Path, PathBuf},
};

use sigbox_trading::{JournalError, RunError};

use crate::{assemble::AssembleError, config::ConfigError};

pub use self::{
    backtest::{BacktestDone, BacktestJob, Extras},
    live::{LiveDone, LiveStart, events_file, live},
    record::{recorded_market, sweep_record},
    state::{check_state, decide_state, rebind_state},
};

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The configuration does not describe such a run.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The parts of the run could not be made from the configuration.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The event file of a live run cannot be continued.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The events, or the record beside them, cannot be written.
    #[error("events {file}: {source}", file = .file.display())]
    Events {
        /// The event file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run could not start, or a live run could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A backtest stopped before its end.
    #[error("the run stopped{}: {source}", until_then(events.as_deref()))]
    Stopped {
        /// The file of the events until then, if events were written.
        events: Option<PathBuf>,
        /// Why.
        source: RunError,
    },
}

fn until_then(events: Option<&Path>) -> String {
    events.map(|events| format!("; the events until then are in {}", events.display())).unwrap_or_default()
}
