//! The command line.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};
use sigbox::{
    config::is_base_url,
    market::candles::{self, Gaps, parse_minute},
    trading::{Source, store::Domain},
};
use sigbox_engine::{Interval, interval::UnknownInterval, stats::Metric};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    something unforeseen
  2    the command line or the configuration is wrong
  3    a plugin cannot be built, loaded or started
  4    candles are missing or wrong, or the feed failed
  5    stored state cannot be read, written or trusted
  6    a plugin failed a test
  7    another host holds the state, or has taken it over
  130  interrupted before it was done; the same command goes on

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
    #[command(name = "walk")]
    Sweep(Sweep),
    /// Trade candles as they close, keeping state that survives every crash.
    Live(Live),
    /// Show what a run was worth, from its events.
    Report(Report),
    /// Look at the state a live run keeps.
    State(State),
    /// Write a commented configuration that runs as it is.
    Init(Init),
    /// Get, check and convert candle files.
    Candles(Candles),
    /// Put a persistence plugin to the test.
    Plugin(Plugin),
    /// Write the contract that plugins are built against.
    #[command(subcommand)]
    Wit(Wit),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Wit {
    /// Write the WIT files of the newest track, with everything that a tool needs beside them.
    Export(WitExport),
}

#[derive(Debug, Arguments)]
pub(crate) struct WitExport {
    /// The folder to write to; it must be missing or empty.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Arguments)]
pub(crate) struct Backtest {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Where every event is written, one JSON object a line.
    #[arg(long, value_name = "FILE", default_value = "dump/backtest/events.jsonl")]
    pub(crate) events: PathBuf,
    /// Write no events: only the result is shown.
    #[arg(long, conflicts_with_all = ["events", "report"])]
    pub(crate) no_events: bool,
    /// Check every promise of silence: ask the strategy in that time too, and name each promise that was wrong. The
    /// events stay the same; with a wrong promise the command fails.
    #[arg(long)]
    pub(crate) check_promises: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Reports to write beside the events when the run is done, separated by commas.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) report: Vec<Format>,
}

#[derive(Debug, Arguments)]
pub(crate) struct Sweep {
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
    /// Claim a store that another host holds. What that host writes from then on is refused, even if it still runs.
    #[arg(long)]
    pub(crate) take_over: bool,
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
    /// Show which store keeps what, whether it answers, and what happened to it last.
    Stores(StateShow),
    /// Copy the state from one store to another, and read it back. Nobody may be trading meanwhile.
    Copy(StateCopy),
    /// Say that the stores of the last run are gone for ever, and that the configured ones keep the state from now on.
    /// Nobody may be trading meanwhile.
    Rebind(StateRebind),
    /// Compare the event record with the stores, as a start does, without starting or changing anything.
    Check(StateCheck),
    /// Say which is true where the event record and the store contradict each other. Nobody may be trading meanwhile.
    Repair(StateRepair),
    /// Give what a strategy holds to another one, such as the same one under its new name. Nobody may be trading meanwhile.
    Adopt(StateAdopt),
    /// Say that a position was closed at the exchange by hand, or an order cancelled. Nobody may be trading meanwhile.
    Close(StateClose),
    /// Drop what a strategy holds, without a result. Nobody may be trading meanwhile.
    Forget(StateForget),
    /// Show what a strategy remembers on a symbol, or clear it.
    Memory(StateMemory),
}

#[derive(Debug, Arguments)]
pub(crate) struct StateCheck {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The event file. Default: events.jsonl in the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateRebind {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The event file. Default: events.jsonl in the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
}

/// Which trader it is about.
#[derive(Debug, Arguments)]
pub(crate) struct Holder {
    /// The strategy's name, also of one that the configuration does not have any more.
    pub(crate) strategy: String,
    /// The symbol.
    pub(crate) symbol: String,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The event file. Default: events.jsonl in the data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateMemory {
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// Clear it. Nobody may be trading meanwhile.
    #[arg(long)]
    pub(crate) clear: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "clear")]
    pub(crate) json: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateRepair {
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// Which of the two is right: record or store.
    #[arg(long, value_name = "SIDE", value_parser = side)]
    pub(crate) by: Source,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateAdopt {
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// The strategy that holds it from now on.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) strategy: String,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateClose {
    #[command(flatten)]
    pub(crate) holder: Holder,
    /// The price at which it was closed.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    pub(crate) price: f64,
}

#[derive(Debug, Arguments)]
pub(crate) struct StateForget {
    #[command(flatten)]
    pub(crate) holder: Holder,
}

fn side(name: &str) -> Result<Source, &'static str> {
    match name {
        "record" => Ok(Source::Record),
        "store" => Ok(Source::Store),
        _ => Err("it is record or store"),
    }
}

fn price(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|price: &f64| price.is_finite() && *price > 0.0).ok_or("not a price above 0")
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
pub(crate) struct StateCopy {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The store to read: "file" or the name of a [stores.NAME].
    #[arg(long, value_name = "STORE")]
    pub(crate) from: String,
    /// The store to write. The same one again, with --replace, writes everything anew.
    #[arg(long, value_name = "STORE")]
    pub(crate) to: String,
    /// Copy only this: signal, schedule, risk, partial or memory. Can be repeated [default: all].
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub(crate) domain: Vec<Domain>,
    /// Write documents whatever is there, also over others and over the same.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Claim a store that another host holds. What that host writes from then on is refused, even if it still runs.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn domain(name: &str) -> Result<Domain, String> {
    let known = Domain::ALL.into_iter().find(|domain| domain.name() == name);
    known.ok_or_else(|| "must be signal, schedule, risk, partial or memory".to_owned())
}

#[derive(Debug, Arguments)]
pub(crate) struct Init {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE", default_value = "sigbox.toml")]
    pub(crate) file: PathBuf,
    /// The strategy to start with: a folder with its source, or a .wasm file.
    #[arg(long, value_name = "PATH", default_value = "plugins/strategies/sma-cross")]
    pub(crate) plugin: String,
    /// Write nothing, and print the JSON Schema of such a file: with it, editors complete keys and mark mistakes.
    #[arg(long, conflicts_with_all = ["file", "plugin"])]
    pub(crate) schema: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Candles {
    #[command(subcommand)]
    pub(crate) command: CandlesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CandlesCommand {
    /// Fetch the candles of a symbol from an exchange into a file, or go on with it.
    Fetch(CandlesFetch),
    /// Look through candle files for everything that is wrong with them.
    Check(CandlesCheck),
    /// Make another candle file from one: CSV from Parquet, a part of it, or a higher interval.
    Convert(CandlesConvert),
}

#[derive(Debug, Arguments)]
pub(crate) struct CandlesFetch {
    /// As the exchange names it, such as BTCUSDT.
    pub(crate) symbol: String,
    /// When the first candle opens: a date, or a time such as 2024-01-31T12:00Z.
    #[arg(long, value_name = "TIME", value_parser = minute)]
    pub(crate) from: i64,
    /// When the last candle closes. Default: the newest that has closed.
    #[arg(long, value_name = "TIME", value_parser = minute)]
    pub(crate) to: Option<i64>,
    /// Where they go: a file that ends in .csv or .parquet. One that a fetch has left there goes on.
    #[arg(long, value_name = "FILE", value_parser = candle_file)]
    pub(crate) out: PathBuf,
    /// What to do about minutes the exchange does not have: refuse or fill. Default: what the configuration says.
    #[arg(long, value_parser = gaps)]
    pub(crate) gaps: Option<Gaps>,
    /// The exchange: what comes before /api/v3/klines. Default: what the configuration says, or else Binance.
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) base_url: Option<String>,
    /// The configuration, for [live], [engine] and [candles]. Default: sigbox.toml, if it is there.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub(crate) struct CandlesCheck {
    /// CSV or Parquet. Without any, those of the configuration.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct CandlesConvert {
    /// One-minute candles, CSV or Parquet.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; its ending, .csv or .parquet, says how.
    #[arg(value_name = "OUT", value_parser = candle_file)]
    pub(crate) output: PathBuf,
    /// What to do about minutes that are missing: refuse or fill.
    #[arg(long, default_value = "refuse", value_parser = gaps)]
    pub(crate) gaps: Gaps,
    /// When the first candle opens: a date, or a time such as 2024-01-31T12:00Z.
    #[arg(long, value_name = "TIME", value_parser = minute)]
    pub(crate) from: Option<i64>,
    /// When the last minute closes.
    #[arg(long, value_name = "TIME", value_parser = minute)]
    pub(crate) to: Option<i64>,
    /// The interval of the candles to write, such as 5m or 1h; only whole ones are.
    #[arg(long, default_value = "1m", value_parser = interval)]
    pub(crate) interval: Interval,
    /// Replace OUT if it exists.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Arguments)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    pub(crate) command: PluginCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Run the conformance kit: what every persistence plugin must do, case by case.
    ///
    /// It writes under names nobody else uses and removes them, so it can be run against a server that holds other
    /// documents.
    Test(PluginTest),
}

#[derive(Debug, Arguments)]
pub(crate) struct PluginTest {
    /// A .wasm file, or a folder with its source.
    #[arg(value_name = "PLUGIN", required_unless_present = "list")]
    pub(crate) plugin: Option<PathBuf>,
    /// What it is bound with: the keys of a [stores.NAME] section, at the top of the file, without plugin. It must have
    /// one of them. Default: nothing.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Run only the cases with NAME in their names; can be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Where the results are written as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print JSON: every case with its outcome and the reason.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the cases and run none.
    #[arg(long, conflicts_with_all = ["plugin", "config", "junit", "json"])]
    pub(crate) list: bool,
}

fn minute(text: &str) -> Result<i64, &'static str> {
    parse_minute(text).ok_or("not a whole minute such as 2024-01-31 or 2024-01-31T12:00Z, from 1970 to 9998")
}

fn candle_file(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    candles::Format::of_ending(&path).ok_or("it must end in .csv or .parquet, which says how to write it")?;
    Ok(path)
}

fn gaps(text: &str) -> Result<Gaps, &'static str> {
    match text {
        "refuse" => Ok(Gaps::Refuse),
        "fill" => Ok(Gaps::Fill),
        _ => Err("it is refuse or fill"),
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    text.parse().map_err(|error: UnknownInterval| error.to_string())
}

fn base_url(text: &str) -> Result<String, &'static str> {
    if is_base_url(text) { Ok(text.to_owned()) } else { Err("not a URL such as https://api.binance.com") }
}

#[derive(Debug, Arguments)]
pub(crate) struct ConfigFile {
    /// The configuration.
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = "sigbox.toml")]
    pub(crate) path: PathBuf,
}
