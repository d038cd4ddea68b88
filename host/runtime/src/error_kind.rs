//! Kinds of errors, for callers that act on them: exit codes of the command, status codes of a server.

use std::error::Error;

use sigbox_events::RunRecordError;
use sigbox_market::candles::CandleFileError;
use sigbox_sandbox::PluginError;
use sigbox_trading::{JournalError, RunError, feed::FetchFileError, store::FENCED};

use crate::{
    assemble::AssembleError,
    binding::CopyError,
    config::ConfigError,
    job::JobError,
    plugin_source::PluginSourceError,
    sweep::{Failure, ResultsError},
};

/// The kind of an error, which says what must be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is impossible: the configuration or the request must change.
    Configuration,
    /// A plugin cannot be built, loaded or used.
    Plugin,
    /// Candles are missing or unusable.
    Candles,
    /// Stored data cannot be read, written or trusted: documents, events, results.
    State,
    /// Another host holds the state, or has taken it over.
    Fenced,
    /// Anything else, such as a full disk.
    Other,
}

impl ErrorKind {
    /// The kind of `error`; `None` for an error that is not of this library. In a chain of causes, call it for each
    /// error, outermost first, and take the first kind.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<JobError>() {
            return Some(match error {
                JobError::Config(error) => return Self::of(error),
                JobError::Assemble(error) => return Self::of(error),
                JobError::Journal(error) => return Self::of(error),
                JobError::Run(error) | JobError::Stopped { source: error, .. } => return Self::of(error),
                JobError::Events { .. } => Self::Other,
            });
        }
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return match failure {
                Failure::Plugin(error) => Self::of(error),
                Failure::Run(error) => Self::of(error),
            };
        }
        if let Some(error) = error.downcast_ref::<AssembleError>() {
            return Some(match error {
                AssembleError::Store { source, .. } => return Self::of(&**source),
                AssembleError::NoStore(_) | AssembleError::Secret { .. } => Self::Configuration,
                AssembleError::CandleFile(_) | AssembleError::Recipe { .. } | AssembleError::Series { .. } => {
                    Self::Candles
                }
                AssembleError::Source(_) | AssembleError::Plugin(_) => Self::Plugin,
                AssembleError::Held { .. } => Self::Fenced,
                AssembleError::Claim(error) if error.code == FENCED => Self::Fenced,
                AssembleError::DataDir(_)
                | AssembleError::Binding(_)
                | AssembleError::HostId { .. }
                | AssembleError::Claim(_) => Self::State,
            });
        }
        if let Some(error) = error.downcast_ref::<RunError>() {
            return Some(match error {
                RunError::MissingCandle { .. } | RunError::AnomalousCandle { .. } | RunError::Feed(_) => Self::Candles,
                RunError::Frame(_) | RunError::Setup(_) => Self::Configuration,
                RunError::Fenced(_) => Self::Fenced,
                RunError::Store(_)
                | RunError::ForeignRow { .. }
                | RunError::CorruptState { .. }
                | RunError::Orphan(_)
                | RunError::NotKept(_)
                | RunError::Record(_) => Self::State,
                _ => Self::Other,
            });
        }
        if let Some(error) = error.downcast_ref::<CandleFileError>() {
            return Some(match error {
                CandleFileError::Exists { .. } | CandleFileError::Ending { .. } => Self::Configuration,
                CandleFileError::Unwritable { .. } => Self::Other,
                _ => Self::Candles,
            });
        }
        let kinds = [
            (error.is::<ConfigError>(), Self::Configuration),
            (error.is::<PluginSourceError>() || error.is::<PluginError>(), Self::Plugin),
            (error.is::<FetchFileError>(), Self::Candles),
            (error.is::<JournalError>() || error.is::<RunRecordError>(), Self::State),
            (error.is::<CopyError>() || error.is::<ResultsError>(), Self::State),
        ];
        kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
    }
}
