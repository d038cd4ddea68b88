//! From a configuration to the parts of a run.

mod kit;
mod stores;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    time::Duration,
};

use sigbox_engine::Settings;
use sigbox_market::{
    Market,
    candles::{CandleFileError, Gaps, RecipeError, Series, SeriesError, generate, read_candles},
};
use sigbox_sandbox::{PluginError, Sandbox, Session, StrategyInstance, StrategyPlugin};
use sigbox_trading::{Profile, SeatSetup, Setup, feed::KlinesSettings, store::StoreOpenError};

use crate::{
    binding::BindingError,
    config::{CandleSource, Config, Live, Strategy},
    plugin_source::PluginSourceError,
};

pub use self::{
    kit::tested_backend,
    stores::{Access, Opener, stores},
};

/// Turns what a configuration calls a plugin into a component file: [`crate::plugin_source::resolve`], usually.
pub type Resolve<'a> = dyn FnMut(&Path) -> Result<PathBuf, PluginSourceError> + Send + 'a;

/// A variable of the environment, for secrets: `std::env::var(name).ok()`, usually.
pub type Variable<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// Why a configuration cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A candle file cannot be used.
    #[error(transparent)]
    CandleFile(#[from] CandleFileError),
    /// A recipe for candles cannot be followed.
    #[error("[candles.generate.{symbol}]: {source}")]
    Recipe {
        /// The symbol.
        symbol: String,
        /// Why.
        source: RecipeError,
    },
    /// Candles do not make a series.
    #[error("candles of {symbol}: {source}")]
    Series {
        /// The symbol.
        symbol: String,
        /// Why.
        source: SeriesError,
    },
    /// A plugin cannot be built.
    #[error(transparent)]
    Source(#[from] PluginSourceError),
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A persistence plugin cannot be used; the message names the domains that need it.
    #[error("[persistence] {domains}: {source}")]
    Store {
        /// The domains bound to it.
        domains: String,
        /// Why.
        source: Box<Self>,
    },
    /// There is no store of that name.
    #[error("there is no store {0:?}: it must be \"file\", \"memory\" or the name of a [stores.NAME]")]
    NoStore(String),
    /// State would be left behind in another store.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// A secret is not where the configuration says.
    #[error("[stores.{store}] secret {secret}: {reason}")]
    Secret {
        /// The store.
        store: String,
        /// The secret's name.
        secret: String,
        /// Where it was looked for and what was found.
        reason: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] StoreOpenError),
}

/// The candles `[candles]` describes, by symbol.
///
/// # Errors
/// When a file cannot be read or a recipe cannot be followed.
pub fn candles(config: &Config) -> Result<Vec<(String, Series)>, AssembleError> {
    let sources = config.candles.sources.iter();
    sources
        .map(|(symbol, source)| {
            let candles = match source {
                CandleSource::File(path) => read_candles(path, config.candles.gaps)?,
                CandleSource::Generated(recipe) => {
                    generate(recipe).map_err(|source| AssembleError::Recipe { symbol: symbol.clone(), source })?
                }
            };
            let series =
                Series::new(candles).map_err(|source| AssembleError::Series { symbol: symbol.clone(), source })?;
            Ok((symbol.clone(), series))
        })
        .collect()
}

/// How an exchange is asked for candles, by what `[live]`, `[engine]` and `[candles]` say.
#[must_use]
pub fn klines(live: &Live, engine: &Settings, gaps: Gaps) -> KlinesSettings {
    KlinesSettings {
        base_url: live.base_url.clone(),
        request_timeout: live.request_timeout,
        settle: live.settle,
        history_minutes: live.history_minutes,
        max_entry_delay: live.max_entry_delay,
        retry_count: engine.get_candles_retry_count,
        retry_delay: Duration::from_millis(engine.get_candles_retry_delay_ms),
        gaps,
        anomaly_factor: engine.get_candles_price_anomaly_threshold_factor,
        anomaly_min_for_median: engine.get_candles_min_candles_for_median as usize,
        average_of: engine.avg_price_candles_count as usize,
    }
}

/// Everything that trades, each strategy started on each of its symbols. `frame`: the name of the period, if one is
/// being tested. With a deterministic sandbox this never waits.
///
/// # Errors
/// When a plugin cannot be built, loaded or started.
pub async fn setup(
    config: &Config,
    sandbox: &Sandbox,
    market: Market,
    frame: Option<&str>,
    resolve: &mut Resolve<'_>,
) -> Result<Setup<StrategyInstance>, AssembleError> {
    let plugins = plugins(config, sandbox, resolve)?;
    let mut seats = Vec::new();
    for strategy in &config.strategies {
        for symbol in &strategy.symbols {
            let plugin = &plugins[strategy.plugin.as_path()];
            seats.push(seat(config, strategy, symbol, plugin, &market, frame).await?);
        }
    }
    Ok(trading(config, market, seats))
}

/// Each plugin the strategies name, compiled once.
pub(crate) fn plugins<'c>(
    config: &'c Config,
    sandbox: &Sandbox,
    resolve: &mut Resolve<'_>,
) -> Result<BTreeMap<&'c Path, StrategyPlugin>, AssembleError> {
    let mut plugins = BTreeMap::new();
    for strategy in &config.strategies {
        if let Entry::Vacant(place) = plugins.entry(strategy.plugin.as_path()) {
            place.insert(StrategyPlugin::load(sandbox, &resolve(&strategy.plugin)?)?);
        }
    }
    Ok(plugins)
}

/// A strategy, started on one symbol.
pub(crate) async fn seat(
    config: &Config,
    strategy: &Strategy,
    symbol: &str,
    plugin: &StrategyPlugin,
    market: &Market,
    frame: Option<&str>,
) -> Result<SeatSetup<StrategyInstance>, PluginError> {
    let session = Session {
        strategy: strategy.name.clone(),
        symbol: symbol.to_owned(),
        exchange: config.exchange_name.clone(),
        frame: frame.map(str::to_owned),
        settings: strategy.settings.clone(),
        market: market.clone(),
        average_of: config.engine.avg_price_candles_count as usize,
    };
    let instance = plugin.start(session).await?;
    Ok(SeatSetup {
        strategy_name: strategy.name.clone(),
        symbol: symbol.to_owned(),
        interval: strategy.interval.unwrap_or_else(|| instance.interval()),
        strategy: instance,
        risk: strategy.risk.clone(),
    })
}

/// What trades in a run of these seats.
pub(crate) fn trading<S>(config: &Config, market: Market, seats: Vec<SeatSetup<S>>) -> Setup<S> {
    Setup {
        exchange: config.exchange_name.clone(),
        settings: config.engine.clone(),
        market,
        profiles: config.risk.iter().map(|risk| Profile::new(risk.name.clone(), risk.rules.clone())).collect(),
        seats,
    }
}
