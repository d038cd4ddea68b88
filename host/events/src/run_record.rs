//! The record of a run, kept beside its events in `{events}.run`.
//!
//! A report is often made later, when the configuration, the candles and the plugins have changed. To repeat the run,
//! they must be as they were when it ran, and only the run itself knows that.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::beside;

/// Which run it was, and what is needed to repeat it. The run writes it beside its events as JSON, because a later
/// report cannot know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Recorded candles, or candles as they closed.
    pub kind: Kind,
    /// `exchangeName` of its events.
    #[serde(rename = "exchangeName")]
    pub exchange: String,
    /// `frameName` of its events; may be empty.
    #[serde(rename = "frameName")]
    pub frame: String,
    /// First and last boundary, milliseconds. Of a live run: its first and its last event.
    pub period_ms: Option<(i64, i64)>,
    /// The version of sigbox.
    pub version: String,
    /// The configuration, as it was written.
    pub configuration: String,
    /// The components of the strategies.
    pub components: Vec<Component>,
    /// Where the candles came from.
    pub sources: Vec<Source>,
    /// The event file, as it was named.
    pub events: String,
}

/// The kind of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Over recorded candles.
    Backtest,
    /// Over candles as they closed.
    Live,
}

/// The component of a strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The strategy's name.
    #[serde(rename = "strategyName")]
    pub strategy: String,
    /// What the configuration calls it.
    pub plugin: String,
    /// SHA-256 of the component, in hexadecimal.
    pub sha256: String,
    /// Its settings, a JSON object.
    pub settings: String,
}

/// Where the candles of a symbol came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The symbol.
    pub symbol: String,
    /// A file, or a recipe.
    pub from: String,
    /// SHA-256 of the candles, in hexadecimal. It is the same whatever file they were in.
    pub sha256: String,
    /// How many candles.
    pub candles: usize,
    /// When the first one opened and the last one closed, milliseconds.
    pub span_ms: (i64, i64),
}

/// A file that should be a [`RunRecord`] and is not one.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} does not say what run it was ({reason}); move it away to make a report without that",
    file = .file.display()
)]
pub struct RunRecordError {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl RunRecord {
    /// Writes the record beside `events`, in place of the record of an earlier run. If the events go to a device or a
    /// pipe, there is no place beside them, and nothing is written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, events: &Path) -> io::Result<()> {
        if !events.is_file() {
            return Ok(());
        }
        let file = beside(events, ".run");
        let unfinished = beside(&file, ".tmp");
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, file)).inspect_err(|_| {
            // Half a record is of no use, and the disk may be full.
            let _ = fs::remove_file(&unfinished);
        })
    }

    /// The record of the run with these `events`; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is no record.
    pub fn read(events: &Path) -> Result<Option<Self>, RunRecordError> {
        let file = beside(events, ".run");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RunRecordError { file, reason: error.to_string() }),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| RunRecordError { file, reason: error.to_string() })
    }
}
