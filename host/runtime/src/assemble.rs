//! From a configuration to the parts of a run.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sigbox_engine::Settings;

use crate::{
    binding::{BindingError, Bindings, Moved},
    candles::{CandleFileError, Gaps, RecipeError, Series, SeriesError, generate, read_candles},
    config::{CandleSource, Config, Live, SecretSource, StoreChoice, StorePlugin, Strategy},
    feed::KlinesSettings,
    market::Market,
    plugin::{PluginError, PluginStore, Sandbox, Secret, Session, StoreBinding, StrategyInstance, StrategyPlugin},
    plugin_source::PluginSourceError,
    run::{Domain, Profile, SeatSetup, Setup, Stores},
    store::{FileStore, MemoryStore, Store, StoreOpenError},
};

/// Turns what a configuration calls a plugin into a component file: [`crate::plugin_source::resolve`], usually.
pub type Resolve<'a> = dyn FnMut(&Path) -> Result<PathBuf, PluginSourceError> + Send + 'a;

/// A variable of the environment, for secrets: `std::env::var(name).ok()`, usually.
pub type Variable<'a> = dyn Fn(&str) -> Option<String> + Sync + 'a;

/// Why a configuration cannot be put together.
#[derive(Debug, thiserror::Error)]
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

/// What stores are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To run: the data directory belongs to this process until it ends.
    Own,
    /// To look at what a run holds, also while it is under way.
    Look,
}

/// The store of each domain. Domains with the same choice share one. `sandbox` is a live one.
///
/// With [`Access::Own`], the data directory is this process's own from here on, whatever is kept in it, and the stores
/// are those of the last run or have what those had.
///
/// # Errors
/// When the data directory is in use, a persistence plugin cannot start, or state would be left behind; the message
/// names the domains.
pub async fn stores(
    config: &Config,
    access: Access,
    sandbox: &Sandbox,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Stores, AssembleError> {
    let mut opener = Opener::new(config, access, sandbox, resolve, variable)?;
    if access == Access::Look {
        return opener.open_all().await;
    }
    let data_dir = &config.persistence.data_dir;
    let (before, now) = (Bindings::recorded(data_dir)?, Bindings::of(config));
    let moved = opener.moved(&before, &now).await?;
    let stores = opener.open_all().await?;
    for moved in moved {
        moved.is_in(stores.of(moved.domain())).await?;
    }
    if before != now {
        now.record(data_dir)?;
    }
    Ok(stores)
}

/// Opens stores by their names in the configuration, each once.
pub struct Opener<'a, 's> {
    config: &'a Config,
    sandbox: &'a Sandbox,
    resolve: &'a mut Resolve<'s>,
    variable: &'a Variable<'s>,
    opened: Vec<(StoreChoice, Arc<dyn Store>)>,
    /// The files of the data directory, which is this process's own or only looked at.
    files: Arc<dyn Store>,
}

impl<'a, 's> Opener<'a, 's> {
    /// `sandbox` is a live one. With [`Access::Own`], takes possession of the data directory.
    ///
    /// # Errors
    /// When the data directory is in use or cannot be used.
    pub fn new(
        config: &'a Config,
        access: Access,
        sandbox: &'a Sandbox,
        resolve: &'a mut Resolve<'s>,
        variable: &'a Variable<'s>,
    ) -> Result<Self, AssembleError> {
        let data_dir = &config.persistence.data_dir;
        let files: Arc<dyn Store> = Arc::new(match access {
            Access::Own => FileStore::open(data_dir)?,
            Access::Look => FileStore::look_only(data_dir)?,
        });
        Ok(Self { config, sandbox, resolve, variable, files, opened: Vec::new() })
    }

    async fn open_all(&mut self) -> Result<Stores, AssembleError> {
        let persistence = &self.config.persistence;
        let mut stores = Vec::new();
        for domain in Domain::ALL {
            let choice = persistence.choice(domain);
            stores.push(self.open(choice).await.map_err(|source| {
                let bound = Domain::ALL.into_iter().filter(|domain| persistence.choice(*domain) == choice);
                let domains: Vec<&str> = bound.map(Domain::name).collect();
                AssembleError::Store { domains: domains.join(", "), source: Box::new(source) }
            })?);
        }
        let [signal, schedule, risk, partial] = <[_; 4]>::try_from(stores).ok().expect("there are four domains");
        // What is wrapped was opened first.
        let closing = self.opened.iter().rev().map(|(_, store)| Arc::clone(store)).collect();
        Ok(Stores { data_dir: Some(Arc::clone(&self.files)), signal, schedule, risk, partial, closing })
    }

    /// Reads what must not be left behind where domains were kept before. The old stores are closed again: the new ones
    /// may be in the same places.
    async fn moved(&mut self, before: &Bindings, now: &Bindings) -> Result<Vec<Moved>, AssembleError> {
        let mut moved = Vec::new();
        let config = before.in_place_of(self.config);
        let mut old = Opener {
            config: &config,
            sandbox: self.sandbox,
            resolve: &mut *self.resolve,
            variable: self.variable,
            files: Arc::clone(&self.files),
            opened: Vec::new(),
        };
        for (domain, choice) in now.changed_since(before) {
            let store = old.open(choice).await;
            let store = store.map_err(|error| BindingError::unknown(self.config, domain, choice, error))?;
            let read = Moved::read(self.config, domain, choice, &store).await;
            moved.push(read.map_err(|error| BindingError::unknown(self.config, domain, choice, error))?);
        }
        for (choice, store) in old.opened.into_iter().rev() {
            if choice != StoreChoice::File {
                store.close().await;
            }
        }
        Ok(moved)
    }

    /// The store called `choice`, with whatever it wraps.
    ///
    /// # Errors
    /// When there is no such store, it is in use, or it cannot start.
    pub async fn open(&mut self, choice: &StoreChoice) -> Result<Arc<dyn Store>, AssembleError> {
        if let Some((_, store)) = self.opened.iter().find(|(known, _)| known == choice) {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn Store> = match choice {
            StoreChoice::File => Arc::clone(&self.files),
            StoreChoice::Memory => Arc::new(MemoryStore::new()),
            StoreChoice::Plugin(name) => {
                let Some(plugin) = self.config.stores.get(name) else {
                    return Err(AssembleError::NoStore(name.clone()));
                };
                let over = match &plugin.over {
                    // The configuration has no circles.
                    Some(over) => Some(Box::pin(self.open(over)).await?),
                    None => None,
                };
                Arc::new(self.start(name, plugin, over).await?)
            }
        };
        self.opened.push((choice.clone(), Arc::clone(&store)));
        Ok(store)
    }

    /// Lets go of every store that was opened, wrappers first.
    pub async fn close(self) {
        for (_, store) in self.opened.iter().rev() {
            store.close().await;
        }
        self.files.close().await;
    }

    async fn start(
        &mut self,
        name: &str,
        plugin: &StorePlugin,
        over: Option<Arc<dyn Store>>,
    ) -> Result<PluginStore, AssembleError> {
        let binding = store_binding(name, plugin, over, self.variable)?;
        let file = (self.resolve)(&plugin.plugin)?;
        Ok(PluginStore::start(self.sandbox, &file, binding).await?)
    }
}

/// What the plugin called `name` is bound with, with the secrets themselves.
pub(crate) fn store_binding(
    name: &str,
    plugin: &StorePlugin,
    over: Option<Arc<dyn Store>>,
    variable: &Variable<'_>,
) -> Result<StoreBinding, AssembleError> {
    let StorePlugin { plugin: _, settings, secrets, network, directories, over: _ } = plugin;
    let secret = |(secret, source): (&String, &SecretSource)| {
        let found = read_secret(source, variable).map_err(|reason| AssembleError::Secret {
            store: name.to_owned(),
            secret: secret.clone(),
            reason,
        })?;
        Ok((secret.clone(), Secret::from(found)))
    };
    Ok(StoreBinding {
        name: name.to_owned(),
        settings: settings.clone(),
        secrets: secrets.iter().map(secret).collect::<Result<_, AssembleError>>()?,
        network: network.clone(),
        directories: directories.clone(),
        over,
    })
}

/// A secret, without the line end editors put at the end of a file.
fn read_secret(source: &SecretSource, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => variable(name).ok_or_else(|| format!("{source} is not set")),
        SecretSource::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{source} cannot be read: {error}"))?;
            Ok(text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
        }
    }
}
