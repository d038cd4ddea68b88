//! Exit codes: what kind of thing went wrong.

use std::{fmt, process::ExitCode};

use sigbox::ErrorKind;
use sigbox_report::LedgerError;

use crate::{candles::Problems, plugin::Failed};

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
    if error.is::<Usage>() {
        return Some(CONFIGURATION);
    }
    if error.is::<LedgerError>() {
        return Some(STATE);
    }
    if error.is::<Failed>() {
        return Some(FAILED);
    }
    if error.is::<Problems>() {
        return Some(CANDLES);
    }
    ErrorKind::of(error).map(|kind| match kind {
        ErrorKind::Configuration => CONFIGURATION,
        ErrorKind::Plugin => PLUGIN,
        ErrorKind::Candles => CANDLES,
        ErrorKind::State => STATE,
        _ => UNFORESEEN,
    })
}
