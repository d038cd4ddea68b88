//! What the end-to-end tests share: the command, components, configurations, and an auditor of event files.

mod audit;
mod binary;
mod configuration;
mod events;
mod journal;
mod plugins;
mod workplace;

pub(crate) use self::{
    audit::audit,
    binary::{binary, repository},
    configuration::{Configuration, recipe},
    events::{Events, first_difference, pair_of},
    journal::journal,
    plugins::plugin,
    workplace::{Running, Workplace},
};

/// Whether there is time for the tests that take long: `SIGBOX_SLOW_TESTS=1`.
pub(crate) fn slow_tests() -> bool {
    std::env::var_os("SIGBOX_SLOW_TESTS").is_some_and(|value| value == "1")
}
