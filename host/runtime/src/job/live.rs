//! A live run of a configuration.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sigbox_engine::{Outcome, signal::Pair};
use sigbox_events::{Event, Kind, Source};
use sigbox_market::{
    Market,
    candles::{Gaps, Series},
};
use sigbox_sandbox::{self as sandbox, Sandbox};
use sigbox_trading::{
    Journal, JournalError, Live, LiveOptions, RunError, Sink, Stop, Stopwatch,
    feed::{Feed, KlinesFeed, ReplayFeed},
    held_by_others,
    store::Stores,
};
use tokio::sync::watch;

use super::{JobError, record};
use crate::{
    assemble::{self, Access, Resolve, Variable},
    binding::pairs,
    config::{self, Config},
};

/// The result of a live run, besides its events.
pub struct LiveDone {
    /// How long boundaries took, from the arrival of their candles to their last decision.
    pub boundaries: Stopwatch,
    /// How long answers took, by strategy.
    pub answers: BTreeMap<String, Stopwatch>,
}

/// The default event file of a live run: beside the state that the events belong to.
#[must_use]
pub fn events_file(config: &Config) -> PathBuf {
    config.persistence.data_dir.join("events.jsonl")
}

/// How a live run starts.
#[derive(Clone, Copy, Debug)]
pub struct LiveStart<'e> {
    /// The journal; an existing one is continued.
    pub events: &'e Path,
    /// Whether it takes over the stores that another host holds.
    pub take_over: bool,
}

/// Trades until the feed ends or `stop` asks for the end. `listener` is called for each event when it is recorded for
/// the first time.
///
/// # Errors
/// When the parts of the run cannot be made, the state of an earlier run cannot be restored, or the run cannot
/// continue. Orders and positions are kept in the stores.
pub async fn live(
    config: &Config,
    start: LiveStart<'_>,
    sandbox: &Sandbox<sandbox::Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
    listener: impl FnMut(&Event<'_>),
    stop: watch::Receiver<Stop>,
) -> Result<LiveDone, JobError> {
    let LiveStart { events, take_over } = start;
    let access = Access::Own { take_over };
    match config.live.feed {
        config::Feed::Replay => {
            let candles = assemble::candles(config)?;
            let sources = record::sources(config, &candles);
            let market = Market::growing(candles.iter().map(|(symbol, _)| symbol.clone()));
            let now_ms = end_ms(&candles);
            let journal = open(config, events, now_ms, listener)?;
            let stores = assemble::stores(config, access, journal.record(), sandbox, resolve, variable).await?;
            let feed = ReplayFeed::new(candles, config.live.speed, flat_since(config, &journal), config.engine.clone());
            let job = Job { config, events, sandbox, resolve, now_ms, stores };
            job.trade(market, feed, journal, sources, stop).await
        }
        config::Feed::Klines => {
            let now_ms = unix_ms();
            let journal = open(config, events, now_ms, listener)?;
            let stores = assemble::stores(config, access, journal.record(), sandbox, resolve, variable).await?;
            // What an earlier run left behind is watched, so its candles are needed too.
            let mut symbols = symbols(config);
            match held_by_others(&stores, journal.record(), &pairs(config)).await {
                Ok(others) => symbols.extend(others.into_iter().map(|pair| pair.symbol)),
                Err(error) => {
                    stores.close().await;
                    return Err(RunError::from(error).into());
                }
            }
            symbols.sort();
            symbols.dedup();
            let market = Market::growing(symbols.iter().cloned());
            // `gaps` is about files. A position must be watched also after minutes that the exchange will never have.
            let settings = assemble::klines(&config.live, &config.engine, Gaps::Fill);
            let job = Job { config, events, sandbox, resolve, now_ms, stores };
            job.trade(market, KlinesFeed::new(settings, symbols), journal, Vec::new(), stop).await
        }
    }
}

fn open<L: FnMut(&Event<'_>)>(
    config: &Config,
    events: &Path,
    now_ms: i64,
    listener: L,
) -> Result<Journal<L>, JournalError> {
    Journal::open(events, config.live.segment_bytes, now_ms, listener)
}

/// The time at which a run would start now: by this machine's clock, or where the candles end that are replayed.
pub(super) fn now_ms(config: &Config) -> Result<i64, JobError> {
    Ok(match config.live.feed {
        config::Feed::Replay => end_ms(&assemble::candles(config)?),
        config::Feed::Klines => unix_ms(),
    })
}

fn end_ms(candles: &[(String, Series)]) -> i64 {
    candles.iter().filter_map(|(_, series)| series.end_ms()).max().unwrap_or_else(unix_ms)
}

/// The time by this machine's clock.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The parts of a live run that do not depend on the feed.
struct Job<'j, 'r> {
    config: &'j Config,
    events: &'j Path,
    sandbox: &'j Sandbox<sandbox::Live>,
    resolve: &'j mut Resolve<'r>,
    now_ms: i64,
    stores: Stores,
}

impl Job<'_, '_> {
    async fn trade<F: Feed, L: FnMut(&Event<'_>)>(
        self,
        market: Market,
        feed: F,
        journal: Journal<L>,
        sources: Vec<Source>,
        stop: watch::Receiver<Stop>,
    ) -> Result<LiveDone, JobError> {
        let stores = self.stores.clone();
        let done = self.trade_in_stores(market, feed, journal, sources, stop).await;
        // A run that could not start has not closed them. What it claimed is released here.
        stores.close().await;
        done
    }

    async fn trade_in_stores<F: Feed, L: FnMut(&Event<'_>)>(
        self,
        market: Market,
        feed: F,
        mut journal: Journal<L>,
        sources: Vec<Source>,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<LiveDone, JobError> {
        let Job { config, events, sandbox, resolve, now_ms, stores } = self;
        let setup = assemble::live_setup(config, sandbox, market, resolve).await?;
        let options = LiveOptions {
            on_corrupt: config.persistence.on_corrupt,
            max_entry_delay: config.live.max_entry_delay,
            // A strategy must find as much history at every question as at its first one, and as many candles as it may
            // ask for in one call.
            lookback_minutes: config.live.history_minutes.max(config.limits.candles_per_call),
            orphans: config.live.orphans,
            now_ms,
        };
        // This process owns the stores and the journal now, so the record of another process's run is never replaced.
        let run = record::describe(config, Kind::Live, None, record::components(config, &setup), sources, events);
        // A report can do without it, but what is held cannot do without a run: the disk may be full.
        if let Err(error) = run.keep(events) {
            tracing::warn!("what a report needs to know of this run could not be kept beside the events: {error}");
        }
        let (setup, answers) = setup.timed();
        let boundaries = Stopwatch::default();
        let live = tokio::select! {
            live = Live::start(setup, stores, feed, options, &mut journal) => live?,
            // The exchange or a store may make a start wait for long. What a start leaves half done is what a crash
            // would leave, and the next start goes on from there.
            () = until_now(&mut stop) => return Ok(LiveDone { boundaries, answers }),
        };
        live.run(&mut (journal, Boundaries(boundaries.clone())), stop).await?;
        Ok(LiveDone { boundaries, answers })
    }
}

/// Waits until the run is to end now. If nobody can say so any more, it waits for ever.
async fn until_now(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A sink that records how long each boundary took.
struct Boundaries(Stopwatch);

impl Sink for Boundaries {
    fn tell(&mut self, _: &Pair, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn decided(&mut self, _: i64, took: Duration) {
        self.0.add(took);
    }
}

/// The traded symbols, each once, ascending.
fn symbols(config: &Config) -> Vec<String> {
    let mut symbols: Vec<String> = config.strategies.iter().flat_map(|strategy| strategy.symbols.clone()).collect();
    symbols.sort();
    symbols.dedup();
    symbols
}

/// The first boundary at which some trader may still have to be asked.
fn flat_since<L: FnMut(&Event<'_>)>(config: &Config, journal: &Journal<L>) -> Option<i64> {
    let since = pairs(config).into_iter().map(|pair| journal.recall(&pair).ask_from_ms);
    // `None` is the least: a trader that never did anything has to be asked from the start.
    since.min().flatten()
}
