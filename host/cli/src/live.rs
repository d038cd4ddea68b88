//! `sigbox live`.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use sigbox::{
    assemble::{self, Access},
    config::{Config, Feed as FeedChoice},
    feed::{Feed, KlinesFeed, ReplayFeed},
    market::Market,
    plugin::Mode,
    run::{Event, Journal, Live, LiveOptions, Sink, Stop, Stopwatch},
};
use sigbox_engine::{Outcome, signal::Pair};
use sigbox_report::{Kind, Report, Source, Timing, text};
use tokio::sync::watch;

use crate::{announce::Announcer, args, bars, interrupts::Interrupts, plugins, record, report};

/// Threads for what waits for a disk. It does most with so many fsyncs at once, and less with more (`bench/README.md`).
const DISK_THREADS: usize = 64;

pub(crate) fn run(command: &args::Live) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let events = command.events.clone().unwrap_or_else(|| events_file(&config));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(DISK_THREADS).build()?;
    let done = runtime.block_on(trade(&config, &events, command.drain));
    // A request to an exchange may be under way; nobody waits for its answer any more.
    runtime.shutdown_timeout(Duration::ZERO);
    let timings = done?;
    for Timing { of, milliseconds } in &timings {
        if let Some([median, p99, most]) = milliseconds.percentiles([50.0, 99.0, 100.0]) {
            let [median, p99, most] = [median, p99, most].map(|time| text::short_time(Some(time)));
            tracing::info!("{of}: {} times, median {median}, 99 % within {p99}, at most {most}", milliseconds.len());
        }
    }
    let market = |report: &Report| bars::market(report, || Ok(assemble::candles(&config)?));
    for file in report::after(&events, &command.report, timings, market)? {
        // Whoever read the events may have gone.
        let _ = writeln!(io::stdout(), "Report: {}", file.display());
    }
    Ok(())
}

/// Trades until the run ends, and tells how long things took.
async fn trade(config: &Config, events: &Path, drain: bool) -> anyhow::Result<Vec<Timing>> {
    let stop = stop_on_signals(drain)?;
    let announcer = Announcer::start();
    let done = trade_until(config, events, stop, announcer.listener()).await;
    announcer.finish();
    done
}

async fn trade_until(
    config: &Config,
    events: &Path,
    stop: watch::Receiver<Stop>,
    announce: impl FnMut(&Event),
) -> anyhow::Result<Vec<Timing>> {
    match config.live.feed {
        FeedChoice::Replay => {
            let candles = assemble::candles(config)?;
            let sources = record::sources(config, &candles);
            let market = Market::growing(candles.iter().map(|(symbol, _)| symbol.clone()));
            let journal = Journal::open(events, announce)?;
            let ask_from = flat_since(config, &journal);
            let feed = ReplayFeed::new(candles, config.live.speed, ask_from, config.engine.clone());
            start(config, market, feed, (events, journal), sources, stop).await
        }
        FeedChoice::Klines => {
            let symbols = symbols(config);
            let market = Market::growing(symbols.iter().cloned());
            let journal = Journal::open(events, announce)?;
            let settings = assemble::klines(&config.live, &config.engine, config.candles.gaps);
            let feed = KlinesFeed::new(settings, symbols);
            start(config, market, feed, (events, journal), Vec::new(), stop).await
        }
    }
}

async fn start<F: Feed, L: FnMut(&Event)>(
    config: &Config,
    market: Market,
    feed: F,
    (events, mut journal): (&Path, Journal<L>),
    sources: Vec<Source>,
    stop: watch::Receiver<Stop>,
) -> anyhow::Result<Vec<Timing>> {
    let sandbox = plugins::sandbox(Mode::Live, &config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let stores = assemble::stores(config, Access::Own, &sandbox, &mut resolve, &plugins::variable).await?;
    let setup = assemble::setup(config, &sandbox, market, None, &mut resolve).await?;
    let options = LiveOptions {
        on_corrupt: config.persistence.on_corrupt,
        max_entry_delay: config.live.max_entry_delay,
        // What a strategy finds at its first question it finds at every one, and as many candles as it may ask for.
        lookback_minutes: config.live.history_minutes.max(config.limits.candles_per_call),
    };
    // Everything here is this process's own now, the events too.
    let run = record::describe(config, Kind::Live, None, record::components(config, &setup), sources, events);
    record::keep(events, &run).with_context(|| format!("events {}", events.display()))?;
    let (setup, answers) = setup.timed();
    let live = Live::start(setup, stores, feed, options, &mut journal).await?;
    let boundaries = Stopwatch::default();
    live.run(&mut (journal, Boundaries(boundaries.clone())), stop).await?;
    let boundaries = Timing { of: "a boundary until its last decision".to_owned(), milliseconds: boundaries.sample() };
    Ok([boundaries].into_iter().chain(report::answer_timings(&answers)).collect())
}

/// Times boundaries.
struct Boundaries(Stopwatch);

impl Sink for Boundaries {
    fn tell(&mut self, _: &Pair, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn decided(&mut self, _: i64, took: Duration) {
        self.0.add(took);
    }
}

/// The default event file: beside the state it belongs to.
pub(crate) fn events_file(config: &Config) -> PathBuf {
    config.persistence.data_dir.join("events.jsonl")
}

/// What is traded, each symbol once, ascending.
fn symbols(config: &Config) -> Vec<String> {
    let mut symbols: Vec<String> = config.strategies.iter().flat_map(|strategy| strategy.symbols.clone()).collect();
    symbols.sort();
    symbols.dedup();
    symbols
}

/// The first boundary at which some trader may still have to be asked.
fn flat_since<L: FnMut(&Event)>(config: &Config, journal: &Journal<L>) -> Option<i64> {
    let pairs = config.strategies.iter().flat_map(|strategy| strategy.symbols.iter().map(move |s| (&strategy.name, s)));
    let since = pairs.map(|(strategy, symbol)| journal.recall(&config.exchange_name, strategy, symbol).ask_from_ms);
    // None comes first: a trader that never did anything has to be asked from the start.
    since.min().flatten()
}

/// Watches for interrupts: the first one stops, at once or when flat; a second one stops at once.
fn stop_on_signals(drain: bool) -> anyhow::Result<watch::Receiver<Stop>> {
    let (sender, receiver) = watch::channel(Stop::No);
    let mut interrupts = Interrupts::new()?;
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
        sender.closed().await;
    });
    Ok(receiver)
}
