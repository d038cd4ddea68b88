//! What a run was, kept beside its events in `{events}.run`.
//!
//! A report is often made later, when the configuration, the candles and the plugins are others. What it takes to repeat
//! a run is what they were when it ran, and only the run itself knows that.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use sigbox::{
    candles::{Recipe, Series},
    config::{CandleSource, Config, Strategy, settings_without_secrets, text_without_secrets},
    plugin::StrategyInstance,
    run::Setup,
};
use sigbox_report::{Component, Kind, Run, Source, text};

/// A record that is no record.
#[derive(Debug)]
pub(crate) struct RecordError {
    file: PathBuf,
    reason: String,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, reason) = (self.file.display(), &self.reason);
        write!(f, "{file} does not say what run it was ({reason}); move it away to make a report without that")
    }
}

impl std::error::Error for RecordError {}

/// Where the record of the run with these events is.
fn file_of(events: &Path) -> PathBuf {
    let mut file = events.as_os_str().to_owned();
    file.push(".run");
    file.into()
}

/// What is known of a run before it begins. `period_ms`: of a backtest.
pub(crate) fn describe(
    config: &Config,
    kind: Kind,
    period_ms: Option<(i64, i64)>,
    components: Vec<Component>,
    sources: Vec<Source>,
    events: &Path,
) -> Run {
    Run {
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

/// The components that decide, in the order of the configuration.
pub(crate) fn components(config: &Config, setup: &Setup<StrategyInstance>) -> Vec<Component> {
    components_with(config, |strategy| {
        let seat = setup.seats.iter().find(|seat| seat.strategy_name == strategy.name)?;
        Some(seat.strategy.sha256())
    })
}

/// The components that decide, by the digest of each.
pub(crate) fn components_with<'a>(config: &Config, sha256: impl Fn(&Strategy) -> Option<&'a str>) -> Vec<Component> {
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
pub(crate) fn sources<'a>(config: &Config, candles: impl IntoIterator<Item = &'a (String, Series)>) -> Vec<Source> {
    let source = |(symbol, series): &'a (String, Series)| {
        let span_ms = (series.first_open_ms()?, series.end_ms()?);
        Some(Source {
            symbol: symbol.clone(),
            from: config.candles.sources.get(symbol).map(from).unwrap_or_default(),
            sha256: series.sha256(),
            candles: series.len(),
            span_ms,
        })
    };
    candles.into_iter().filter_map(source).collect()
}

fn from(source: &CandleSource) -> String {
    match source {
        CandleSource::File(path) => path.display().to_string(),
        CandleSource::Generated(Recipe { seed, start_ms, minutes, price, volatility_percent }) => format!(
            "generated: seed {seed}, {minutes} minutes from {}, price {price}, volatility {volatility_percent} %",
            text::time(*start_ms)
        ),
    }
}

/// Keeps what is known of a run beside its events, in place of what was known of an earlier one.
pub(crate) fn keep(events: &Path, run: &Run) -> io::Result<()> {
    // A device or a pipe has no place beside it.
    if !events.is_file() {
        return Ok(());
    }
    let file = file_of(events);
    let mut unfinished = file.clone().into_os_string();
    unfinished.push(".tmp");
    fs::write(&unfinished, serde_json::to_string_pretty(run)? + "\n")?;
    fs::rename(unfinished, file)
}

/// What is known of the run with these events; `None` when nothing is.
pub(crate) fn read(events: &Path) -> Result<Option<Run>, RecordError> {
    let file = file_of(events);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError { file, reason: error.to_string() }),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| RecordError { file, reason: error.to_string() })
}
