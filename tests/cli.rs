//! The command: what it prints, what it refuses, and with which exit code.

mod bindings;
mod candles;
mod configuration;
mod documentation;
mod plugins;
mod promises;
mod state;
mod wit;

use crate::support::{Configuration, Workplace};

/// Runs a backtest that must fail with `code` and exactly `message`, whose lines have their temporary directory cut.
fn assert_refused(workplace: &Workplace, arguments: &[&str], code: i32, message: &str) {
    let finished = workplace.run(arguments);
    let root = format!("{}/", workplace.path("").display()).replace("//", "/");
    let said = finished.stderr.replace(&root, "");
    assert_eq!((finished.code(), said.trim_end()), (Some(code), message), "{arguments:?}: {finished:?}");
    assert_eq!(finished.stdout, "", "{arguments:?}: what failed has no result");
}

/// A workplace whose configuration is fine.
fn fine() -> Workplace {
    Workplace::new(&Configuration::sma_cross(1))
}
