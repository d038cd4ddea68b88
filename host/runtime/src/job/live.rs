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
};
use tokio::sync::watch;

use super::{JobError, record};
use crate::{
    assemble::{self, Access, Resolve, Variable},
    config::{self, Config},
};

/// What a live run leaves besides its events.
pub struct LiveDone {
    /// How long boundaries took, from when their candles were there to their last decision.
    pub boundaries: Stopwatch,
    /// How long answers took, by strategy.
    pub answers: BTreeMap<String, Stopwatch>,
}

/// Where a live run records its events unless somebody says otherwise: beside the state they belong to.
#[must_use]
pub fn events_file(config: &Config) -> PathBuf {
    config.persistence.data_dir.join("events.jsonl")
}

/// Trades until the feed ends or `stop` says so. `events`: the journal, continued where there is one. `listener` hears of each event when it is recorded for the first time.
///
/// # Errors
/// When the configuration cannot be put together, what an earlier run left behind cannot be restored, or there is no use
/// in going on. What is held is in the stores.
pub async fn live(
    config: &Config,
    events: &Path,
    sandbox: &Sandbox<sandbox::Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
    listener: impl FnMut(&Event<'_>),
    stop: watch::Receiver<Stop>,
) -> Result<LiveDone, JobError> {
    let job = Job { config, events, sandbox, resolve, variable };
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

/// What is the same whatever the feed.
struct Job<'j, 'r, 'v> {
    config: &'j Config,
    events: &'j Path,
    sandbox: &'j Sandbox<sandbox::Live>,
    resolve: &'j mut Resolve<'r>,
    variable: &'j Variable<'v>,
}

impl Job<'_, '_, '_> {
    async fn trade<F: Feed, L: FnMut(&Event<'_>)>(
        self,
        market: Market,
        feed: F,
        mut journal: Journal<L>,
        sources: Vec<Source>,
        stop: watch::Receiver<Stop>,
    ) -> Result<LiveDone, JobError> {
        let Job { config, events, sandbox, resolve, variable } = self;
        let stores = assemble::stores(config, Access::Own, sandbox, resolve, variable).await?;
        let setup = assemble::live_setup(config, sandbox, market, resolve).await?;
        let options = LiveOptions {
            on_corrupt: config.persistence.on_corrupt,
            max_entry_delay: config.live.max_entry_delay,
            // What a strategy finds at its first question it finds at every one, and as many candles as it may ask for.
            lookback_minutes: config.live.history_minutes.max(config.limits.candles_per_call),
        };
        // The stores and the journal are this process's own now, so no record of another run is replaced.
        let run = record::describe(config, Kind::Live, None, record::components(config, &setup), sources, events);
        run.keep(events).map_err(|source| JobError::Events { file: events.to_path_buf(), source })?;
        let (setup, answers) = setup.timed();
        let live = Live::start(setup, stores, feed, options, &mut journal).await?;
        let boundaries = Stopwatch::default();
        live.run(&mut (journal, Boundaries(boundaries.clone())), stop).await?;
        Ok(LiveDone { boundaries, answers })
    }
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

/// What is traded, each symbol once, ascending.
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
    // None comes first: a trader that never did anything has to be asked from the start.
    since.min().flatten()
}
