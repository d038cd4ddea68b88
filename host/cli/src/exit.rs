//! Exit codes: what kind of thing went wrong.

use std::{fmt, process::ExitCode};

use sigbox::{
    assemble::AssembleError,
    binding::CopyError,
    candles::CandleFileError,
    config::ConfigError,
    feed::FetchFileError,
    plugin::PluginError,
    plugin_source::PluginSourceError,
    run::{JournalError, RunError},
    walk::{Failure, ResultsError},
};
use sigbox_report::LedgerError;

use crate::{candles::Problems, plugin::Failed, record::RecordError};

const UNFORESEEN: u8 = 1;
const CONFIGURATION: u8 = 2;
const PLUGIN: u8 = 3;
const CANDLES: u8 = 4;
const STATE: u8 = 5;
const FAILED: u8 = 6;
/// What shells say of a command that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// The code for `error`, by the kind of its innermost known cause. Documented in the help text.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(error.chain().find_map(known).unwrap_or(UNFORESEEN))
}

/// What was asked for cannot be: something to change on the command line.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An interrupt ended it before it was done.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) String);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

fn known(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if error.is::<Interrupted>() {
        return Some(INTERRUPTED);
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return known(match failure {
            Failure::Plugin(error) => error,
            Failure::Run(error) => error,
        });
    }
    if error.is::<ConfigError>() || error.is::<Usage>() {
        return Some(CONFIGURATION);
    }
    if error.is::<PluginSourceError>() || error.is::<PluginError>() {
        return Some(PLUGIN);
    }
    if error.is::<JournalError>()
        || error.is::<CopyError>()
        || error.is::<ResultsError>()
        || error.is::<LedgerError>()
        || error.is::<RecordError>()
    {
        return Some(STATE);
    }
    if error.is::<Failed>() {
        return Some(FAILED);
    }
    if error.is::<FetchFileError>() || error.is::<Problems>() {
        return Some(CANDLES);
    }
    if let Some(error) = error.downcast_ref::<CandleFileError>() {
        return Some(match error {
            CandleFileError::Exists { .. } | CandleFileError::Ending { .. } => CONFIGURATION,
            CandleFileError::Unwritable { .. } => UNFORESEEN,
            _ => CANDLES,
        });
    }
    if let Some(error) = error.downcast_ref::<AssembleError>() {
        return Some(match error {
            AssembleError::Store { source, .. } => return known(&**source),
            AssembleError::NoStore(_) | AssembleError::Secret { .. } => CONFIGURATION,
            AssembleError::CandleFile(_) | AssembleError::Recipe { .. } | AssembleError::Series { .. } => CANDLES,
            AssembleError::Source(_) | AssembleError::Plugin(_) => PLUGIN,
            AssembleError::DataDir(_) | AssembleError::Binding(_) => STATE,
        });
    }
    error.downcast_ref::<RunError>().map(|error| match error {
        RunError::MissingCandle { .. } | RunError::AnomalousCandle { .. } | RunError::Feed(_) => CANDLES,
        RunError::Frame(_) | RunError::Setup(_) => CONFIGURATION,
        RunError::Store(_) | RunError::ForeignRow { .. } | RunError::CorruptState { .. } | RunError::Record(_) => STATE,
    })
}
