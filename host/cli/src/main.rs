//! The `sigbox` command: parses, prints and maps exit codes. All other work is done in the library.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this crate is for")]

mod announce;
mod args;
mod backtest;
mod bars;
mod candles;
mod exit;
mod init;
mod interpreters;
mod interrupts;
mod live;
mod plugin;
mod plugins;
mod promises;
mod report;
mod state;
mod sweep;
mod table;
mod wit;

use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let quiet = match args.command {
        Command::Live(_) => "info",
        // The conformance kit provokes failures, so warnings about them are not shown.
        Command::Plugin(_) => "error",
        Command::Backtest(_)
        | Command::Sweep(_)
        | Command::Report(_)
        | Command::State(_)
        | Command::Init(_)
        | Command::Candles(_)
        | Command::Wit(_) => "warn",
    };
    let filter = EnvFilter::try_from_env("SIGBOX_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A line that cannot be written is lost. Reporting this on standard error, which cannot be written, would
        // panic.
        .log_internal_errors(false)
        .init();

    let done = match args.command {
        Command::Backtest(command) => backtest::run(&command),
        Command::Sweep(command) => sweep::run(&command),
        Command::Live(command) => live::run(&command),
        Command::Report(command) => report::run(&command),
        Command::State(command) => state::run(&command),
        Command::Init(command) => init::run(&command),
        Command::Candles(command) => candles::run(&command),
        Command::Plugin(command) => plugin::run(&command),
        Command::Wit(command) => wit::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", explain(&error));
            exit::code(&error)
        }
    }
}

/// The error with its causes, without the causes that it already quotes.
fn explain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        quoting if quoting.contains(&cause) => said,
        context => format!("{context}: {cause}"),
    })
}
