//! `sigbox.toml`: what a person can say about a run.
//!
//! ```text
//! text ─► reader: tables, places, problems ─► one file a section ─► Config, or every problem with its line
//! ```
//!
//! Unknown keys are refused everywhere, so a typo is never a silent default. Paths in the file are relative to its
//! folder. What the file leaves out has a default, and [`template()`] shows them all.

mod candles;
mod engine;
mod error;
mod frame;
mod kit;
mod limits;
mod live;
mod persistence;
mod reader;
mod risk;
mod schema;
mod secrets;
mod strategies;
mod sweep;
mod template;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sigbox_engine::Settings;
use sigbox_sandbox::Limits;
use sigbox_trading::Frame;

use self::{
    reader::{Reader, Section},
    value::Name,
};

pub use self::{
    candles::{CandleSource, Candles},
    error::{ConfigError, ConfigProblem},
    kit::KitFile,
    live::{Feed, Live, is_base_url},
    persistence::{Persistence, SecretSource, StoreChoice, StorePlugin},
    risk::RiskProfile,
    schema::schema,
    secrets::{settings_without_secrets, text_without_secrets},
    strategies::Strategy,
    sweep::{Axis, Sweep},
    template::template,
};

/// Everything a file says, checked, with defaults in place of what it does not say.
///
/// Paths are absolute, or relative to the current directory if the file's own path was.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it was read from, for messages.
    pub file: PathBuf,
    /// `exchangeName` of rows and events.
    pub exchange_name: String,
    /// The candles of a backtest, and those the live replay feed replays.
    pub candles: Candles,
    /// What trades what. Never empty.
    pub strategies: Vec<Strategy>,
    /// The risk profiles strategies refer to.
    pub risk: Vec<RiskProfile>,
    /// The period of a backtest.
    pub frame: Frame,
    /// What a sweep compares.
    pub sweep: Sweep,
    /// Which store keeps which domain.
    pub persistence: Persistence,
    /// The persistence plugins that domains are bound to.
    pub stores: BTreeMap<String, StorePlugin>,
    /// How a live run is fed.
    pub live: Live,
    /// Fees, limits and distances; they can be used as they are.
    pub engine: Settings,
    /// What one instance of a plugin may use up.
    pub limits: Limits,
    /// Where compiled plugins are kept; none: they are compiled at every start.
    pub cache_dir: Option<PathBuf>,
    /// The file, as it was written.
    pub text: String,
}

/// The exchange most candle files come from.
const EXCHANGE_NAME: &str = "binance";

impl Config {
    /// Reads `file`.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or says something that cannot be. All problems are listed at once, unless
    /// it is not TOML: then only the first.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let text = fs::read_to_string(file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::NotFound(file.to_owned()),
            _ => ConfigError::Read { file: file.to_owned(), source },
        })?;
        Self::parse(&text, file)
    }

    /// Reads `text` as if it were in `file`, which messages name and to whose folder paths are relative. Looks whether
    /// the plugins are there.
    ///
    /// # Errors
    /// As [`Config::load`], without the reading.
    pub fn parse(text: &str, file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let reader = Reader::new(text, file);
        let config = reader.read(|root| Self::read(file, root));
        let problems = reader.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { text: text.to_owned(), ..config }),
            _ => Err(ConfigError::Invalid(problems)),
        }
    }

    fn read(file: &Path, root: &Section<'_>) -> Self {
        let exchange_name =
            root.section("exchange", "[exchange]", |section| section.or("name", Name(EXCHANGE_NAME.into())).0);
        let candles = candles::read(root);
        let risk = risk::read(root);
        let stores = persistence::read_stores(root);
        let live = live::read(root);
        let engine = engine::read(root);
        let (limits, cache_dir) = limits::read(root, &engine);
        let strategies = strategies::read(root, &candles, &live, &risk);
        let frame = frame::read(root);
        Self {
            file: file.to_owned(),
            exchange_name,
            sweep: sweep::read(root, &strategies, &candles, &frame),
            strategies,
            frame,
            persistence: persistence::read(root, &stores),
            candles,
            risk,
            stores,
            live,
            engine,
            limits,
            cache_dir,
            text: String::new(),
        }
    }

    /// Whether there are candles for a backtest. With the replay feed this has been checked already: it needs the same
    /// ones. A file for an exchange's feed may do without.
    ///
    /// # Errors
    /// Every symbol a strategy trades and `[candles]` does not have, on line 1: the remedy is not where the symbol is.
    pub fn check_backtest(&self) -> Result<(), ConfigError> {
        let missing = |(strategy, symbol): (&Strategy, &String)| {
            let message = format!(
                "a backtest of {:?} on {symbol} needs candles, but {}",
                strategy.name,
                candles::no_candles(symbol)
            );
            (!self.candles.sources.contains_key(symbol)).then(|| ConfigProblem {
                file: self.file.clone(),
                line: 1,
                message,
            })
        };
        let pairs = self.strategies.iter().flat_map(|strategy| strategy.symbols.iter().map(move |s| (strategy, s)));
        let problems: Vec<_> = pairs.filter_map(missing).collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Whether there are candles for a sweep.
    ///
    /// # Errors
    /// As [`Config::check_backtest`]; symbols of `[walk]` have been checked already.
    pub fn check_sweep(&self) -> Result<(), ConfigError> {
        if self.sweep.symbols.is_empty() { self.check_backtest() } else { Ok(()) }
    }
}
