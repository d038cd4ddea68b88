//! Exit codes: one for each kind of error.

use std::{fmt, process::ExitCode};

use sigbox::ErrorKind;
use sigbox_report::LedgerError;

use crate::{candles::Problems, plugin::Failed, promises::WrongPromises, state::NotKept};

const UNFORESEEN: u8 = 1;
const CONFIGURATION: u8 = 2;
const PLUGIN: u8 = 3;
const CANDLES: u8 = 4;
const STATE: u8 = 5;
const FAILED: u8 = 6;
const FENCED: u8 = 7;
/// The code that shells give to a command that Ctrl-C ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// The code for `error`: that of the first cause whose kind is known, outermost first. The help text lists the codes.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(error.chain().find_map(known).unwrap_or(UNFORESEEN))
}

/// The error when the command line asks for something that is not possible.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The error when an interrupt ended a command before it was done.
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
    if error.is::<LedgerError>() || error.is::<NotKept>() {
        return Some(STATE);
    }
    if error.is::<Failed>() || error.is::<WrongPromises>() {
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
        ErrorKind::Fenced => FENCED,
        _ => UNFORESEEN,
    })
}
