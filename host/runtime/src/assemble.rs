//! Assembly: makes the parts of a run from a configuration.

mod claim;
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
use sigbox_sandbox::{Deterministic, Live, Mode, PluginError, Program, Sandbox, StrategyInstance, StrategyPlugin};
use sigbox_trading::{
    Profile, SeatSetup, Setup,
    feed::KlinesSettings,
    store::{StoreError, StoreOpenError},
};

use crate::{
    binding::BindingError,
    config::{self, CandleSource, Config, Strategy},
    plugin_source::{PluginSourceError, Role},
};

pub(crate) use self::stores::{Claim, NewBinding, claim};
pub use self::{
    claim::{KeptApart, kept_apart},
    kit::tested_backend,
    stores::{Access, Opener, stores},
};

/// A function that turns the path of a plugin in a configuration into a program, usually
/// [`crate::plugin_source::program`].
pub type Resolve<'a> = dyn FnMut(&Path, Role) -> Result<Program, PluginSourceError> + Send + 'a;

/// A function that reads a variable of the environment, for secrets, usually `std::env::var(name).ok()`.
pub type Variable<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// Why the parts of a run cannot be made from a configuration.
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
    /// The id of the data directory cannot be read or made.
    #[error("{file} {reason}", file = .file.display())]
    HostId {
        /// The file with the id.
        file: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Another host holds a store.
    #[error(
        "{store} is held by {owner} since {since}. If that host runs, stop it first; an orderly stop releases the store. \
         If it is gone for good or cannot be stopped, start with --take-over: from then on, nothing that it writes is \
         accepted"
    )]
    Held {
        /// The store, as it describes itself.
        store: String,
        /// The host, as it describes itself.
        owner: String,
        /// When it claimed the store, by its own clock.
        since: String,
    },
    /// A store could not be claimed.
    #[error(transparent)]
    Claim(Box<StoreError>),
}

impl From<StoreError> for AssembleError {
    fn from(error: StoreError) -> Self {
        Self::Claim(Box::new(error))
    }
}

/// The candles that `[candles]` describes, by symbol.
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

/// How an exchange is asked for candles, according to `[live]`, `[engine]` and `[candles]`.
#[must_use]
pub fn klines(live: &config::Live, engine: &Settings, gaps: Gaps) -> KlinesSettings {
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

/// The setup of a backtest, with each strategy started on each of its symbols.
///
/// # Errors
/// When a plugin cannot be built, loaded or started.
pub fn backtest_setup(
    config: &Config,
    sandbox: &Sandbox<Deterministic>,
    market: Market,
    resolve: &mut Resolve<'_>,
) -> Result<Setup<StrategyInstance<Deterministic>>, AssembleError> {
    let plugins = strategy_plugins(config, sandbox, resolve)?;
    let mut setup = empty_setup(config, market).over(config.frame.clone());
    for (strategy, symbol) in pairs(config) {
        let plugin = &plugins[strategy.plugin.as_path()];
        let instance = plugin.start(setup.assign(&strategy.name, symbol), &strategy.settings)?;
        setup = setup.seat(seat(strategy, instance));
    }
    Ok(setup)
}

/// The setup of a live run, with each strategy started on each of its symbols.
///
/// # Errors
/// When a plugin cannot be built, loaded or started.
pub async fn live_setup(
    config: &Config,
    sandbox: &Sandbox<Live>,
    market: Market,
    resolve: &mut Resolve<'_>,
) -> Result<Setup<StrategyInstance<Live>>, AssembleError> {
    let plugins = strategy_plugins(config, sandbox, resolve)?;
    let mut setup = empty_setup(config, market);
    for (strategy, symbol) in pairs(config) {
        let plugin = &plugins[strategy.plugin.as_path()];
        let instance = plugin.start(setup.assign(&strategy.name, symbol), &strategy.settings).await?;
        setup = setup.seat(seat(strategy, instance));
    }
    Ok(setup)
}

/// Each strategy with each of its symbols, in the order of the configuration.
fn pairs(config: &Config) -> impl Iterator<Item = (&Strategy, &str)> {
    config.strategies.iter().flat_map(|strategy| strategy.symbols.iter().map(move |symbol| (strategy, symbol.as_str())))
}

/// The plugins of all strategies, each compiled once.
pub(crate) fn strategy_plugins<'c, M: Mode>(
    config: &'c Config,
    sandbox: &Sandbox<M>,
    resolve: &mut Resolve<'_>,
) -> Result<BTreeMap<&'c Path, StrategyPlugin<M>>, AssembleError> {
    let mut plugins = BTreeMap::new();
    for strategy in &config.strategies {
        if let Entry::Vacant(place) = plugins.entry(strategy.plugin.as_path()) {
            place.insert(StrategyPlugin::load(sandbox, resolve(&strategy.plugin, Role::Strategy)?)?);
        }
    }
    Ok(plugins)
}

/// The seat of a strategy that was started, with the interval and the risk profiles of its section of the
/// configuration.
pub(crate) fn seat<M>(strategy: &Strategy, instance: StrategyInstance<M>) -> SeatSetup<StrategyInstance<M>> {
    let seat = instance.seat();
    SeatSetup { interval: strategy.interval.unwrap_or(seat.interval), risk: strategy.risk.clone(), ..seat }
}

/// A setup with the engine's settings and the risk profiles of a configuration, and without a seat.
pub(crate) fn empty_setup<S>(config: &Config, market: Market) -> Setup<S> {
    let setup = Setup::new(&config.exchange_name, market, config.engine.clone());
    config.risk.iter().fold(setup, |setup, risk| setup.profile(Profile::new(risk.name.clone(), risk.rules.clone())))
}
