//! `sigbox live`.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use sigbox::{
    config::Config,
    job::{self, LiveDone, LiveStart},
    sandbox::Live,
    trading::Stop,
};
use sigbox_report::{Timing, text};
use tokio::sync::watch;

use crate::{
    announce::Announcer,
    args, bars,
    interrupts::{self, HangUps, Interrupts},
    plugins, report,
};

/// Threads that wait for a disk. A disk does most with this many fsyncs at once, and less with more
/// (`bench/README.md`).
const DISK_THREADS: usize = 64;

pub(crate) fn run(command: &args::Live) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let events = command.events.clone().unwrap_or_else(|| job::events_file(&config));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(DISK_THREADS).build()?;
    let done = runtime.block_on(trade(&config, command, &events));
    // A request to an exchange may still be in progress; its answer is not needed.
    runtime.shutdown_timeout(Duration::ZERO);
    let timings = done?;
    for Timing { of, milliseconds } in &timings {
        if let Some([median, p99, most]) = milliseconds.percentiles([50.0, 99.0, 100.0]) {
            let [median, p99, most] = [median, p99, most].map(|time| text::short_time(Some(time)));
            tracing::info!("{of}: {} times, median {median}, 99 % within {p99}, at most {most}", milliseconds.len());
        }
    }
    for file in report::after(&events, &command.report, timings, |report| bars::market(&config, report))? {
        // The reader of standard output may be gone, which is no error.
        let _ = writeln!(io::stdout(), "Report: {}", file.display());
    }
    Ok(())
}

/// Trades until the run ends, and returns how long things took.
async fn trade(config: &Config, command: &args::Live, events: &Path) -> anyhow::Result<Vec<Timing>> {
    let stop = stop_on_signals(command.drain)?;
    let start = LiveStart { events, take_over: command.take_over };
    let announcer = Announcer::start();
    let done = trade_until(config, start, stop, &announcer).await;
    announcer.finish();
    let LiveDone { boundaries, answers } = done?;
    let boundaries = Timing { of: "a boundary until its last decision".to_owned(), milliseconds: boundaries.sample() };
    Ok([boundaries].into_iter().chain(report::answer_timings(&answers)).collect())
}

async fn trade_until(
    config: &Config,
    start: LiveStart<'_>,
    stop: watch::Receiver<Stop>,
    announcer: &Announcer,
) -> anyhow::Result<LiveDone> {
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let (mut resolve, listener) = (plugins::resolver(), announcer.listener());
    Ok(job::live(config, start, &sandbox, &mut resolve, &plugins::variable, listener, stop).await?)
}

/// Watches for interrupts. The first one stops the run after the boundary being decided. With `drain`, the first one
/// stops the run when no position is open, and the second one after the boundary. One more ends the process, because a
/// strategy may compute for minutes before it answers.
fn stop_on_signals(drain: bool) -> anyhow::Result<watch::Receiver<Stop>> {
    let (sender, receiver) = watch::channel(Stop::No);
    let mut interrupts = Interrupts::new()?;
    let mut hang_ups = HangUps::new()?;
    tokio::spawn(async move {
        loop {
            hang_ups.next().await;
            tracing::info!(
                "SIGHUP: an event file that was moved or cut off goes on in a new one at the next minute; the \
                 configuration is read at the next start"
            );
        }
    });
    tokio::spawn(async move {
        interrupts.next().await;
        if drain {
            tracing::info!(
                "stopping: nothing new is opened; ends when no position is open. Interrupt again to end now"
            );
            let _ = sender.send(Stop::WhenFlat);
            interrupts.next().await;
        }
        tracing::info!("stopping: what is held stays in the store, and the next start resumes it");
        let _ = sender.send(Stop::Now);
        tokio::select! {
            () = interrupts.next() => interrupts::end_now(),
            () = sender.closed() => {}
        }
    });
    Ok(receiver)
}
