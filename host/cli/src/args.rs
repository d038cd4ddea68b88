//! The command line.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};
use sigbox_engine::stats::Metric;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something unforeseen
  2    the command line or the configuration is wrong
  3    a plugin cannot be built, loaded or started
  4    candles are missing or wrong, or the feed failed
  5    stored state cannot be read, written or trusted
  130  a sweep was interrupted; the same command goes on

Environment:
  SIGBOX_LOG  what is logged to standard error, such as \"warn\" or \"info,plugin=debug\"";

/// Runs trading strategies and storage backends as sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "sigbox", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the strategies over recorded candles and show what they would have earned.
    Backtest(Backtest),
    /// Compare strategies and their settings over recorded candles, on all cores.
    Walk(Walk),
    /// Trade candles as they close, keeping state that survives every crash.
    Live(Live),
    /// Show what a run was worth, from its events.
    Report(Report),
    /// Look at the state a live run keeps.
    State(State),
    /// Write a commented configuration that runs as it is.
    Init(Init),
}

#[derive(Debug, Arguments)]
pub(crate) struct Backtest {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Where every event is written, one JSON object a line.
    #[arg(long, value_name = "FILE", default_value = "dump/backtest/events.jsonl")]
    pub(crate) events: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Reports to write beside the events when the run is done, separated by commas.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) report: Vec<Format>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Walk {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// What to rank by, such as totalPnl. Default: what the configuration says.
    #[arg(long, value_name = "NAME", value_parser = metric)]
    pub(crate) metric: Option<&'static Metric>,
    /// Runs at a time. Default: one for each core.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Where finished runs are kept. What is there already is not run again, so an interrupted sweep goes on.
    #[arg(long, value_name = "FILE", default_value = "dump/walk/results.jsonl")]
    pub(crate) results: PathBuf,
    /// How many rows a table has at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
    /// Print the result as JSON, with every run.
    #[arg(long)]
    pub(crate) json: bool,
    /// Reports to write beside the results when all is done, separated by commas.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) report: Vec<Format>,
}

fn metric(name: &str) -> Result<&'static Metric, String> {
    Metric::rankable().find(|metric| metric.name == name).ok_or_else(|| {
        let names: Vec<_> = Metric::rankable().map(|metric| metric.name).collect();
        format!("nothing can be ranked by it; there are {}", names.join(", "))
    })
}

#[derive(Debug, Arguments)]
pub(crate) struct Live {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Where every event is written, one JSON object a line; a restart goes on in the same file. Default: events.jsonl
    /// in the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// On the first interrupt, open nothing new and exit when the open positions have closed; a second one exits at
    /// once. Without it, the first one does.
    #[arg(long)]
    pub(crate) drain: bool,
    /// Reports to write beside the events when the run ends, separated by commas.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) report: Vec<Format>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The events of a backtest or of live runs, even while one is under way. Default: events.jsonl in the data
    /// directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Reports to write, separated by commas. Without it, a table is printed.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) format: Vec<Format>,
    /// Where to write the report, - for standard output. Default: beside the events, as report.html, report.md,
    /// report.json or report.csv.
    #[arg(long, value_name = "FILE", requires = "format")]
    pub(crate) out: Option<PathBuf>,
}

/// What a report can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Html,
    Markdown,
    Json,
    Csv,
}

#[derive(Debug, Arguments)]
pub(crate) struct State {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Show the position or order of every strategy on every symbol.
    Show(StateShow),
    /// Print where the state of each strategy on each symbol is kept.
    Path(StateShow),
}

#[derive(Debug, Arguments)]
pub(crate) struct StateShow {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Init {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE", default_value = "sigbox.toml")]
    pub(crate) file: PathBuf,
    /// The strategy to start with: a folder with its source, or a .wasm file.
    #[arg(long, value_name = "PATH", default_value = "plugins/strategies/sma-cross")]
    pub(crate) plugin: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct ConfigFile {
    /// The configuration.
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = "sigbox.toml")]
    pub(crate) path: PathBuf,
}
