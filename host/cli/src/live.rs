//! `sigbox live`.

use std::{path::PathBuf, time::Duration};

use sigbox::{
    assemble::{self, Access},
    candles::Series,
    config::{Config, Feed as FeedChoice},
    feed::{Feed, KlinesFeed, KlinesSettings, ReplayFeed},
    market::Market,
    plugin::Mode,
    run::{Event, Journal, Live, LiveOptions, Stop},
};
use tokio::sync::watch;

use crate::{announce::Announcer, args, interrupts::Interrupts, plugins};

pub(crate) fn run(command: &args::Live) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(trade(command, &config));
    // A request to an exchange may be under way; nobody waits for its answer any more.
    runtime.shutdown_timeout(Duration::ZERO);
    done
}

async fn trade(command: &args::Live, config: &Config) -> anyhow::Result<()> {
    let stop = stop_on_signals(command.drain)?;
    let announcer = Announcer::start();
    let done = trade_until(command, config, stop, announcer.listener()).await;
    announcer.finish();
    done
}

async fn trade_until(
    command: &args::Live,
    config: &Config,
    stop: watch::Receiver<Stop>,
    announce: impl FnMut(&Event),
) -> anyhow::Result<()> {
    let events = command.events.clone().unwrap_or_else(|| events_file(config));
    match config.live.feed {
        FeedChoice::Replay => {
            let candles = assemble::candles(config)?;
            let market = Market::new(candles.iter().map(|(symbol, _)| (symbol.clone(), Series::empty())));
            let journal = Journal::open(&events, announce)?;
            let ask_from = flat_since(config, &journal);
            let feed = ReplayFeed::new(candles, config.live.speed, ask_from, config.engine.clone());
            start(config, market, feed, journal, stop).await
        }
        FeedChoice::Klines => {
            let symbols = symbols(config);
            let market = Market::new(symbols.iter().map(|symbol| (symbol.clone(), Series::empty())));
            let journal = Journal::open(&events, announce)?;
            let feed = KlinesFeed::new(klines(config), symbols);
            start(config, market, feed, journal, stop).await
        }
    }
}

async fn start<F: Feed, L: FnMut(&Event)>(
    config: &Config,
    market: Market,
    feed: F,
    mut journal: Journal<L>,
    stop: watch::Receiver<Stop>,
) -> anyhow::Result<()> {
    let sandbox = plugins::sandbox(Mode::Live, &config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let stores = assemble::stores(config, Access::Own, &sandbox, &mut resolve).await?;
    let setup = assemble::setup(config, &sandbox, market, None, &mut resolve).await?;
    let options =
        LiveOptions { on_corrupt: config.persistence.on_corrupt, max_entry_delay: config.live.max_entry_delay };
    let live = Live::start(setup, stores, feed, options, &mut journal).await?;
    Ok(live.run(&mut journal, stop).await?)
}

fn klines(config: &Config) -> KlinesSettings {
    let (live, engine) = (&config.live, &config.engine);
    KlinesSettings {
        base_url: live.base_url.clone(),
        request_timeout: live.request_timeout,
        settle: live.settle,
        history_minutes: live.history_minutes,
        max_entry_delay: live.max_entry_delay,
        retry_count: engine.get_candles_retry_count,
        retry_delay: Duration::from_millis(engine.get_candles_retry_delay_ms),
        gaps: config.candles.gaps,
        anomaly_factor: engine.get_candles_price_anomaly_threshold_factor,
        anomaly_min_for_median: engine.get_candles_min_candles_for_median as usize,
        average_of: engine.avg_price_candles_count as usize,
    }
}

/// The default event file: beside the state it belongs to.
fn events_file(config: &Config) -> PathBuf {
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
