//! `sigbox walk`: a parameter sweep.

mod result;

use std::{
    io,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sigbox::{
    assemble,
    config::Config,
    job::sweep_record,
    market::Market,
    sandbox::Deterministic,
    sweep::{Progress, Sweep},
};

use self::result::SweepResult;
use crate::{args, exit::Interrupted, interrupts, plugins, table::shown};

pub(crate) fn run(command: &args::Sweep) -> anyhow::Result<()> {
    let mut config = Config::load(&command.config.path)?;
    config.check_sweep()?;
    let metric = command.metric.unwrap_or(config.sweep.metric);
    config.sweep.metric = metric;
    let sandbox = plugins::sandbox::<Deterministic>(&config.limits, config.cache_dir.as_ref())?;
    let candles = assemble::candles(&config)?;
    let sweep = Sweep::new(&config, &sandbox, Market::new(candles), &mut plugins::resolver())?;
    let jobs = command.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);

    let interrupted = interrupts::flag()?;
    let bar = progress_bar();
    let started = Instant::now();
    let mut last = None;
    let rows = sweep.run(&command.results, jobs, |progress| {
        show(&bar, &progress, last.is_none());
        if let Some(best) = progress.best {
            bar.set_message(format!(", best {} {}", metric.label, shown(metric, Some(best))));
        }
        last = Some(progress);
        if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    let Some(rows) = rows else {
        let (done, total) = last.map_or((0, 0), |last| (last.done, last.total));
        let message = format!(
            "interrupted after {done} of {total} runs; they are kept in {}, and the same command goes on from there",
            command.results.display()
        );
        return Err(Interrupted(message).into());
    };

    let run = sweep_record(&config, &sweep, &command.results);
    let result = SweepResult { run, metric, rows, top: command.top };
    let written = result.write(&command.report, &command.results)?;
    if command.json {
        result.print_json(&mut io::stdout().lock())?;
    } else {
        result.print_tables();
    }
    for file in written {
        eprintln!("Report: {}", file.display());
    }
    if let Some(last) = last {
        eprintln!("{}", said_of(&last, started.elapsed(), command));
    }
    result.fail_if_all_failed()
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {human_pos}/{human_len} runs, {per_sec}, {eta} left{msg}",
    )
    .expect("the template is valid");
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, progress: &Progress, is_first: bool) {
    bar.set_length(progress.total as u64);
    bar.set_position(progress.done as u64);
    if is_first {
        // The runs of an earlier sweep must not count for the speed of this one.
        bar.reset_eta();
    }
}

/// The line after the result: how many runs there were, and how long they took.
fn said_of(progress: &Progress, took: Duration, command: &args::Sweep) -> String {
    let ran = progress.done - progress.kept;
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = ran as f64 / seconds.max(1e-9);
    let ran = HumanCount(ran as u64);
    let results = command.results.display();
    let kept = match progress.kept {
        0 => format!("They are kept in {results}."),
        kept => format!("{} more were in {results} already.", HumanCount(kept as u64)),
    };
    format!("Ran {ran} in {seconds:.3} s, {rate:.1} a second. {kept}")
}
