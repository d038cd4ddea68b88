//! `sigbox backtest`.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use sigbox::{
    config::Config,
    job::{BacktestDone, BacktestJob, Extras},
    sandbox::Deterministic,
    trading::Stopwatch,
};
use sigbox_engine::stats::Sample;
use sigbox_report::{Rows, Timing, text};

use crate::{args, plugins, promises, report, table};

pub(crate) fn run(command: &args::Backtest) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let sandbox = plugins::sandbox::<Deterministic>(&config.limits, config.cache_dir.as_ref())?;
    let job = BacktestJob::new(&config, &sandbox, &mut plugins::resolver())?;
    let market = job.market().clone();
    let events = (!command.no_events).then_some(command.events.as_path());
    let bar = progress_bar();
    // Timing costs time, and only reports show durations.
    let extras = Extras { timed: !command.report.is_empty(), promises: command.check_promises };
    let done = job.run(events, extras, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let done = done?;
    let reports = report::after(&command.events, &command.report, timings(done.took, &done.answers), |_| market)?;
    if command.json {
        print_json(&done, events, &reports)?;
    } else {
        print_table(&done, events, &reports);
    }
    Ok(done.promises.as_ref().map_or(Ok(()), promises::judge)?)
}

fn timings(took: Duration, answers: &BTreeMap<String, Stopwatch>) -> Vec<Timing> {
    let mut run = Sample::default();
    run.add(took.as_secs_f64() * 1000.0);
    let run = Timing { of: "the run".to_owned(), milliseconds: run };
    [run].into_iter().chain(report::answer_timings(answers)).collect()
}

fn print_json(done: &BacktestDone, events: Option<&Path>, reports: &[PathBuf]) -> anyhow::Result<()> {
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
        #[serde(skip_serializing_if = "Option::is_none")]
        promises: Option<promises::Json<'a>>,
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
        promises: done.promises.as_ref().map(promises::Json::of),
        rows: Rows::of(&done.tally),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &json)?;
    Ok(writeln!(out)?)
}

fn print_table(done: &BacktestDone, events: Option<&Path>, reports: &[PathBuf]) {
    let (start, end) = (text::time(done.period_ms.0), text::time(done.period_ms.1));
    let minutes = done.minutes().unsigned_abs();
    println!("{start} to {end}, {} minutes", HumanCount(minutes));
    print!("{}", table::of(&done.tally));
    let seconds = done.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let rate = (minutes as f64 / seconds.max(1e-9)) as u64;
    println!("Ran in {seconds:.3} s, {} candles a second.", HumanCount(rate));
    if let Some(promises) = &done.promises {
        promises::print(promises);
    }
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
