//! Records of runs: makes a [`RunRecord`] from a configuration and its parts, and finds the candles that a record
//! names.

use std::path::Path;

use sigbox_events::{Component, Kind, RunRecord, Source};
use sigbox_market::{
    Market,
    candles::{Recipe, Series, iso_8601},
};
use sigbox_sandbox::StrategyInstance;
use sigbox_trading::Setup;

use crate::{
    assemble::{self, AssembleError},
    config::{CandleSource, Config, Strategy, settings_without_secrets, text_without_secrets},
    sweep::Sweep,
};

/// The record of a run that is about to begin. `period_ms`: the period of a backtest.
pub(super) fn describe(
    config: &Config,
    kind: Kind,
    period_ms: Option<(i64, i64)>,
    components: Vec<Component>,
    sources: Vec<Source>,
    events: &Path,
) -> RunRecord {
    RunRecord {
        kind,
        exchange: config.exchange_name.clone(),
        frame: match kind {
            Kind::Backtest => config.frame.name.clone(),
            Kind::Live => String::new(),
        },
        period_ms,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        configuration: text_without_secrets(&config.text),
        components,
        sources,
        events: events.display().to_string(),
    }
}

/// The record of a sweep. The file of its `results` takes the place of a backtest's events.
#[must_use]
pub fn sweep_record(config: &Config, sweep: &Sweep<'_>, results: &Path) -> RunRecord {
    let components = components_with(config, |strategy| sweep.component_sha256(strategy));
    let sources = sweep.market().symbols().filter_map(|symbol| {
        let series = sweep.market().series(symbol)?.read();
        source(config, symbol, &series)
    });
    describe(config, Kind::Backtest, None, components, sources.collect(), results)
}

/// The candles of a recorded run, read again as `config` describes them now, for the charts of a report. Candles that
/// have changed since the run are left out: a chart of other prices than the run traded on is worse than no chart.
///
/// # Errors
/// When the candles of the configuration cannot be read.
pub fn recorded_market(config: &Config, run: &RunRecord) -> Result<Market, AssembleError> {
    let candles = if run.sources.is_empty() { Vec::new() } else { assemble::candles(config)? };
    Ok(Market::new(candles.into_iter().filter(|(symbol, series)| {
        let Some(source) = run.sources.iter().find(|source| source.symbol == *symbol) else { return false };
        let same = source.sha256 == series.sha256();
        if !same {
            tracing::warn!("the report has no prices of {symbol}: its candles are not those of the run any more");
        }
        same
    })))
}

/// The components of the strategies, in the order of the configuration.
pub(super) fn components<M>(config: &Config, setup: &Setup<StrategyInstance<M>>) -> Vec<Component> {
    components_with(config, |strategy| {
        let seat = setup.seats().iter().find(|seat| seat.assignment.pair().strategy == strategy.name)?;
        Some(seat.strategy.sha256())
    })
}

/// The components of the strategies; `sha256` gives the digest of each.
fn components_with<'a>(config: &Config, sha256: impl Fn(&Strategy) -> Option<&'a str>) -> Vec<Component> {
    let component = |strategy: &Strategy| {
        Some(Component {
            strategy: strategy.name.clone(),
            plugin: strategy.plugin.display().to_string(),
            sha256: sha256(strategy)?.to_owned(),
            settings: settings_without_secrets(&strategy.settings),
        })
    };
    config.strategies.iter().filter_map(component).collect()
}

/// Where the candles came from, by symbol.
pub(super) fn sources(config: &Config, candles: &[(String, Series)]) -> Vec<Source> {
    candles.iter().filter_map(|(symbol, series)| source(config, symbol, series)).collect()
}

fn source(config: &Config, symbol: &str, series: &Series) -> Option<Source> {
    let span_ms = (series.first_open_ms()?, series.end_ms()?);
    Some(Source {
        symbol: symbol.to_owned(),
        from: config.candles.sources.get(symbol).map(from).unwrap_or_default(),
        sha256: series.sha256(),
        candles: series.len(),
        span_ms,
    })
}

fn from(source: &CandleSource) -> String {
    match source {
        CandleSource::File(path) => path.display().to_string(),
        CandleSource::Generated(Recipe { seed, start_ms, minutes, price, volatility_percent }) => format!(
            "generated: seed {seed}, {minutes} minutes from {}, price {price}, volatility {volatility_percent} %",
            iso_8601(*start_ms)
        ),
    }
}
