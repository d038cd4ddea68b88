//! `sigbox report`, and the reports `sigbox backtest` and `sigbox live` write when they are done.
//!
//! All of them are made from the event file and the record beside it, so it makes no difference when a report is made,
//! or by which command. Only the run itself knows how long things took, so a later report does not say it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sigbox::{
    config::Config,
    job,
    market::Market,
    trading::{Stopwatch, event_files},
};
use sigbox_events::{Kind, RunRecord, reached_file};
use sigbox_report::{Ledger, LedgerError, Report, Timing, csv, html, json, markdown, text};

use crate::{
    args::{self, Format},
    bars,
    exit::Usage,
    table,
};

pub(crate) fn run(command: &args::Report) -> anyhow::Result<()> {
    let config = || Config::load(&command.config.path);
    let events = match &command.events {
        Some(events) => events.clone(),
        None => job::events_file(&config()?),
    };
    let market = |report: &Report| match config() {
        Ok(config) => bars::market(&config, report),
        Err(error) => bars::none(&error),
    };
    let formats = &command.format;
    match &command.out {
        None if formats.is_empty() => {
            let report = read(&events)?;
            print_table(&report);
        }
        None => {
            let report = full(&events, formats, Vec::new(), market)?;
            for file in write(formats, &events, |format| Ok(render(&report, format)))? {
                println!("Report: {}", file.display());
            }
        }
        Some(out) => {
            let [format] = formats[..] else {
                let message = "--out takes one report; name one --format, or leave --out away to write each beside the \
                               events";
                return Err(Usage(message.to_owned()).into());
            };
            let report = full(&events, formats, Vec::new(), market)?;
            let text = render(&report, format);
            if out.as_os_str() == "-" {
                io::stdout().lock().write_all(text.as_bytes())?;
            } else {
                fs::write(out, text).with_context(|| format!("report {}", out.display()))?;
                println!("Report: {}", out.display());
            }
        }
    }
    Ok(())
}

/// Writes reports beside the events of a run that has just ended. `market` gives the run's candles, and is called only
/// if a report draws them.
pub(crate) fn after(
    events: &Path,
    formats: &[Format],
    timings: Vec<Timing>,
    market: impl FnOnce(&Report) -> Market,
) -> anyhow::Result<Vec<PathBuf>> {
    if formats.is_empty() {
        return Ok(Vec::new());
    }
    let report = full(events, formats, timings, market)?;
    write(formats, events, |format| Ok(render(&report, format)))
}

/// How long the answers of each strategy took.
pub(crate) fn answer_timings(answers: &BTreeMap<String, Stopwatch>) -> impl Iterator<Item = Timing> {
    answers.iter().map(|(strategy, stopwatch)| Timing {
        of: format!("get-signal of {strategy}"),
        milliseconds: stopwatch.sample(),
    })
}

/// The report, with everything that `formats` show.
fn full(
    events: &Path,
    formats: &[Format],
    timings: Vec<Timing>,
    market: impl FnOnce(&Report) -> Market,
) -> anyhow::Result<Report> {
    let mut report = Report { timings, ..read(events)? };
    if formats.contains(&Format::Html) {
        report.bars = bars::of(&report, &market(&report));
    }
    Ok(report)
}

/// The report that follows from the events and the record beside them.
fn read(events: &Path) -> anyhow::Result<Report> {
    let named = || format!("events {}", events.display());
    let file = match open_all(events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = "run `sigbox live`, or name the events of a backtest with --events";
            return Err(Usage(format!("there is no {}; {message}", events.display())).into());
        }
        Err(error) => return Err(LedgerError::from(error)).with_context(named),
    };
    let ledger = Ledger::read(BufReader::new(file)).with_context(named)?;
    if ledger.torn {
        tracing::warn!("{}: the last line is half an event and is not counted", events.display());
    }
    let run = RunRecord::read(events)?.unwrap_or_else(|| {
        tracing::warn!("{}: nothing is known of the run but its events", events.display());
        unknown(events, &ledger)
    });
    let run = RunRecord { period_ms: run.period_ms.or(ledger.span_ms), ..run };
    let (tally, trades) = (ledger.tally, ledger.trades);
    Ok(Report { run, tally, trades, bars: BTreeMap::new(), timings: Vec::new() })
}

/// The event file, after the files of the same record that were full.
fn open_all(events: &Path) -> io::Result<Box<dyn Read>> {
    let newest: Box<dyn Read> = Box::new(File::open(events)?);
    let full = event_files(events)?.into_iter().rev().skip(1);
    full.map(File::open).try_fold(newest, |later, file| Ok(Box::new(file?.chain(later)) as Box<dyn Read>))
}

/// The record of a run of which only the events are known.
fn unknown(events: &Path, ledger: &Ledger) -> RunRecord {
    RunRecord {
        // Only a live run notes how far it is.
        kind: if reached_file(events).exists() { Kind::Live } else { Kind::Backtest },
        exchange: ledger.exchange.clone(),
        frame: ledger.frame.clone(),
        period_ms: None,
        version: String::new(),
        configuration: String::new(),
        components: Vec::new(),
        sources: Vec::new(),
        events: events.display().to_string(),
    }
}

/// Writes a report in each of `formats` beside `file`, as `render` makes it, and returns the paths.
pub(crate) fn write(
    formats: &[Format],
    file: &Path,
    render: impl Fn(Format) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for format in [Format::Html, Format::Markdown, Format::Json, Format::Csv] {
        if formats.contains(&format) {
            let file = file.with_file_name(match format {
                Format::Html => "report.html",
                Format::Markdown => "report.md",
                Format::Json => "report.json",
                Format::Csv => "report.csv",
            });
            fs::write(&file, render(format)?).with_context(|| format!("report {}", file.display()))?;
            written.push(file);
        }
    }
    Ok(written)
}

fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Html => html(report),
        Format::Markdown => markdown(report),
        Format::Json => json(report),
        Format::Csv => csv(report),
    }
}

fn print_table(report: &Report) {
    let RunRecord { kind, period_ms, .. } = report.run;
    let kind = match kind {
        Kind::Backtest => "Backtest",
        Kind::Live => "Live",
    };
    match period_ms {
        Some((from_ms, to_ms)) => println!("{kind}, {} to {}", text::time(from_ms), text::time(to_ms)),
        None => println!("{kind}, nothing happened yet"),
    }
    print!("{}", table::of(&report.tally));
}
