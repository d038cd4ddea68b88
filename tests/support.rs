//! What the end-to-end tests share: the command, components, configurations, and an auditor of event files.

mod audit;
mod binary;
mod configuration;
mod counted;
mod events;
mod journal;
mod plugins;
mod workplace;

pub(crate) use self::{
    audit::{Known, Period, audit, audit_with, fault},
    binary::{binary, repository},
    configuration::{Configuration, recipe},
    counted::Counted,
    events::{Events, first_difference, of_traders, pair_of},
    journal::{LATER_MS, journal},
    plugins::plugin,
    workplace::{Finished, Running, Workplace, files_below},
};

/// Whether there is time for the tests that take long: `SIGBOX_SLOW_TESTS=1`.
pub(crate) fn slow_tests() -> bool {
    std::env::var_os("SIGBOX_SLOW_TESTS").is_some_and(|value| value == "1")
}

/// Says loudly that something was not tested because a program is missing. Continuous integration has them all: there
/// it is a failure.
#[cfg(unix)]
pub(crate) fn not_run(what: &str, program: &str) {
    use std::{env, io::Write as _};

    let ci = ["SIGBOX_CI", "CI"].iter().any(|name| env::var_os(name).is_some());
    assert!(!ci, "{what} was not tested: {program} is not on PATH");
    // Not `eprintln`, which is only shown of tests that fail.
    let said = format!("NOT TESTED: {what}: {program} is not on PATH\n");
    let _ = std::io::stderr().write_all(said.as_bytes());
}
