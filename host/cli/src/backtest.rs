//! `sigbox backtest`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use sigbox::{
    assemble,
    config::Config,
    market::Market,
    plugin::Mode,
    run::{Aside, Backtest, EventWriter, Setup, Stopwatch, Strategy},
};
use sigbox_engine::{
    MINUTE_MS,
    stats::{Sample, Tally},
};
use sigbox_report::{Kind, Rows, Timing, text};

use crate::{args, plugins, record, report, table};

pub(crate) fn run(command: &args::Backtest) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    config.check_backtest()?;
    let sandbox = plugins::sandbox(Mode::Deterministic, &config.limits, config.cache_dir.as_ref())?;
    let candles = assemble::candles(&config)?;
    let sources = record::sources(&config, &candles);
    let market = Market::new(candles);
    let frame_name = Some(config.frame.name.as_str()).filter(|name| !name.is_empty());
    let mut resolve = plugins::resolver();
    let setup = assemble::setup(&config, &sandbox, market.clone(), frame_name, &mut resolve)
        .now_or_never()
        .expect("a deterministic sandbox never waits")?;
    let components = record::components(&config, &setup);
    let events = (!command.no_events).then_some(command.events.as_path());
    let keep = |events: &Path, period_ms| {
        let run = record::describe(&config, Kind::Backtest, Some(period_ms), components, sources, events);
        record::keep(events, &run)
    };

    // Nobody pays for durations that nobody asked for.
    let (done, answers) = if command.report.is_empty() {
        (execute(&config, setup, events, keep)?, BTreeMap::new())
    } else {
        let (setup, answers) = setup.timed();
        (execute(&config, setup, events, keep)?, answers)
    };
    let reports = report::after(&command.events, &command.report, timings(done.took, &answers), |_| market)?;
    if command.json {
        print_json(&done, events, &reports)
    } else {
        print_table(&done, events, &reports);
        Ok(())
    }
}

/// What a run gave.
struct Done {
    tally: Tally,
    /// First and last boundary.
    period_ms: (i64, i64),
    /// Time in the run itself, without reading, building and compiling.
    took: Duration,
}

impl Done {
    fn minutes(&self) -> i64 {
        (self.period_ms.1 - self.period_ms.0) / MINUTE_MS + 1
    }
}

/// Runs `setup`, writing its events if they are to be written. `keep` is told the file once it is there, and the period.
fn execute<S: Strategy>(
    config: &Config,
    setup: Setup<S>,
    events: Option<&Path>,
    keep: impl FnOnce(&Path, (i64, i64)) -> io::Result<()>,
) -> anyhow::Result<Done> {
    let backtest = Backtest::new(setup, &config.frame)?;
    let period_ms = backtest.period_ms();

    let written = || format!("events {}", events.unwrap_or(Path::new("")).display());
    let open = |file: &Path| {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let writer = EventWriter::new(File::create(file)?);
        keep(file, period_ms)?;
        Aside::new(writer)
    };
    let writer = events.map(open).transpose().with_context(written)?;
    let mut sink = (Tally::default(), writer);

    let bar = progress_bar();
    let started = Instant::now();
    let outcome = backtest.run(&mut sink, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    let (tally, writer) = sink;
    if let Some(writer) = writer {
        writer.finish().and_then(EventWriter::finish).with_context(written)?;
    }
    let took = started.elapsed();
    bar.finish_and_clear();
    outcome.with_context(|| match events {
        Some(events) => format!("the run stopped; the events until then are in {}", events.display()),
        None => "the run stopped".to_owned(),
    })?;
    Ok(Done { tally, period_ms, took })
}

fn timings(took: Duration, answers: &BTreeMap<String, Stopwatch>) -> Vec<Timing> {
    let mut run = Sample::default();
    run.add(took.as_secs_f64() * 1000.0);
    let run = Timing { of: "the run".to_owned(), milliseconds: run };
    [run].into_iter().chain(report::answer_timings(answers)).collect()
}

fn print_json(done: &Done, events: Option<&Path>, reports: &[PathBuf]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        start_timestamp: i64,
        end_timestamp: i64,
        minutes: i64,
        run_seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        events: Option<String>,
        reports: Vec<String>,
        #[serde(flatten)]
        rows: Rows<'a>,
    }
    let json = Json {
        start_timestamp: done.period_ms.0,
        end_timestamp: done.period_ms.1,
        minutes: done.minutes(),
        run_seconds: done.took.as_secs_f64(),
        events: events.map(|events| events.display().to_string()),
        reports: reports.iter().map(|file| file.display().to_string()).collect(),
        rows: Rows::of(&done.tally),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &json)?;
    Ok(writeln!(out)?)
}

fn print_table(done: &Done, events: Option<&Path>, reports: &[PathBuf]) {
    let (start, end) = (text::time(done.period_ms.0), text::time(done.period_ms.1));
    let minutes = done.minutes().unsigned_abs();
    println!("{start} to {end}, {} minutes", HumanCount(minutes));
    print!("{}", table::of(&done.tally));
    let seconds = done.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let rate = (minutes as f64 / seconds.max(1e-9)) as u64;
    println!("Ran in {seconds:.3} s, {} candles a second.", HumanCount(rate));
    if let Some(events) = events {
        println!("Every event: {}", events.display());
    }
    for file in reports {
        println!("Report: {}", file.display());
    }
}

fn progress_bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos}/{human_len} minutes, {eta} left")
            .expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}
