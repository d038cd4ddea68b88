//! A live run of a configuration.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sigbox_engine::{Outcome, signal::Pair};
use sigbox_events::{Event, Kind, Source};
use sigbox_market::Market;
use sigbox_sandbox::{self as sandbox, Sandbox};
use sigbox_trading::{
    Journal, Live, LiveOptions, Sink, Stop, Stopwatch,
    feed::{Feed, KlinesFeed, ReplayFeed},
    store::Stores,
};
use tokio::sync::watch;

use super::{JobError, record};
use crate::{
    assemble::{self, Access, Resolve, Variable},
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

/// Trades until the feed ends or `stop` asks for the end. `listener` is called for each event when it is recorded for the first time.
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
    let job = Job { config, events, take_over, sandbox, resolve, variable };
    match config.live.feed {
        config::Feed::Replay => {
            let candles = assemble::candles(config)?;
            let sources = record::sources(config, &candles);
            let market = Market::growing(candles.iter().map(|(symbol, _)| symbol.clone()));
            let journal = Journal::open(events, listener)?;
            let feed = ReplayFeed::new(candles, config.live.speed, flat_since(config, &journal), config.engine.clone());
            job.trade(market, feed, journal, sources, stop).await
        }
        config::Feed::Klines => {
            let symbols = symbols(config);
            let market = Market::growing(symbols.iter().cloned());
            let journal = Journal::open(events, listener)?;
            let settings = assemble::klines(&config.live, &config.engine, config.candles.gaps);
            job.trade(market, KlinesFeed::new(settings, symbols), journal, Vec::new(), stop).await
        }
    }
}

/// The parts of a live run that do not depend on the feed.
struct Job<'j, 'r, 'v> {
    config: &'j Config,
    events: &'j Path,
    take_over: bool,
    sandbox: &'j Sandbox<sandbox::Live>,
    resolve: &'j mut Resolve<'r>,
    variable: &'j Variable<'v>,
}

impl Job<'_, '_, '_> {
    async fn trade<F: Feed, L: FnMut(&Event<'_>)>(
        self,
        market: Market,
        feed: F,
        journal: Journal<L>,
        sources: Vec<Source>,
        stop: watch::Receiver<Stop>,
    ) -> Result<LiveDone, JobError> {
        let access = Access::Own { take_over: self.take_over };
        let stores = assemble::stores(self.config, access, self.sandbox, self.resolve, self.variable).await?;
        let done = self.trade_in(stores.clone(), market, feed, journal, sources, stop).await;
        // A run that could not start has not closed them. What it claimed is released here.
        stores.close().await;
        done
    }

    async fn trade_in<F: Feed, L: FnMut(&Event<'_>)>(
        self,
        stores: Stores,
        market: Market,
        feed: F,
        mut journal: Journal<L>,
        sources: Vec<Source>,
        stop: watch::Receiver<Stop>,
    ) -> Result<LiveDone, JobError> {
        let Job { config, events, sandbox, resolve, .. } = self;
        let setup = assemble::live_setup(config, sandbox, market, resolve).await?;
        let options = LiveOptions {
            on_corrupt: config.persistence.on_corrupt,
            max_entry_delay: config.live.max_entry_delay,
            // A strategy must find as much history at every question as at its first one, and as many candles as it may
            // ask for in one call.
            lookback_minutes: config.live.history_minutes.max(config.limits.candles_per_call),
        };
        // This process owns the stores and the journal now, so the record of another process's run is never replaced.
        let run = record::describe(config, Kind::Live, None, record::components(config, &setup), sources, events);
        run.keep(events).map_err(|source| JobError::Events { file: events.to_path_buf(), source })?;
        let (setup, answers) = setup.timed();
        let live = Live::start(setup, stores, feed, options, &mut journal).await?;
        let boundaries = Stopwatch::default();
        live.run(&mut (journal, Boundaries(boundaries.clone())), stop).await?;
        Ok(LiveDone { boundaries, answers })
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
    let pairs = config.strategies.iter().flat_map(|strategy| strategy.symbols.iter().map(move |s| (&strategy.name, s)));
    let since = pairs.map(|(strategy, symbol)| journal.recall(&config.exchange_name, strategy, symbol).ask_from_ms);
    // `None` is the least: a trader that never did anything has to be asked from the start.
    since.min().flatten()
}
