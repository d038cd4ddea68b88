//! `[[strategies]]`: the strategies, and the symbols each of them trades.

use std::path::PathBuf;

use serde_json::{Map, Number, Value};
use sigbox_engine::Interval;
use toml::{
    Spanned,
    de::{DeString, DeValue},
};

use super::{
    candles::{Candles, no_candles},
    live::{Feed, Live},
    reader::{Section, Taken},
    risk::RiskProfile,
    value::{Name, SignalInterval},
};

/// One strategy on one or more symbols.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// Unique; `strategyName` of rows and events.
    pub name: String,
    /// A component, or a folder to build one from. It existed when the file was read.
    pub plugin: PathBuf,
    /// How often it is asked; `None`: as often as the plugin says.
    pub interval: Option<Interval>,
    /// The symbols it trades, in the order of the file. Never empty, each symbol once.
    pub symbols: Vec<String>,
    /// Names of the risk profiles that its signals must pass, in the order in which they are checked. Each profile
    /// exists.
    pub risk: Vec<String>,
    /// A JSON object, handed to the plugin as it is.
    pub settings: String,
}

/// Reads the strategies. They refer to the other sections, which are read before them.
pub(super) fn read(root: &Section<'_>, candles: &Candles, live: &Live, profiles: &[RiskProfile]) -> Vec<Strategy> {
    let mut taken = Taken::default();
    let strategies = root.sections("strategies", "[[strategies]]", |section| Strategy {
        name: taken.required_name(section),
        plugin: section.plugin("plugin").unwrap_or_default(),
        interval: section.get::<SignalInterval>("interval").map(|interval| interval.0),
        symbols: read_symbols(section, candles, live),
        risk: read_profile_names(section, profiles),
        settings: read_settings(section),
    });
    root.require_items("strategies", "the file names no strategy; add a [[strategies]] with name, plugin and symbols");
    strategies
}

fn read_symbols(section: &Section<'_>, candles: &Candles, live: &Live) -> Vec<String> {
    let key = "symbols";
    let symbols = section.list::<Name>(key);
    section.require_items(key, "symbols must name at least one symbol, such as [\"BTCUSDT\"]");
    let mut taken = Taken::default();
    for symbol in &symbols {
        taken.take(section, &symbol.value.0, symbol.offset, "symbol");
        // A live run gets these candles from the exchange. A backtest needs them here, and checks that itself.
        if live.feed == Feed::Replay && !candles.sources.contains_key(&symbol.value.0) {
            section.report(symbol.offset, format!("needs candles, but {}", no_candles(&symbol.value.0)));
        }
    }
    symbols.into_iter().map(|symbol| symbol.value.0).collect()
}

fn read_profile_names(section: &Section<'_>, profiles: &[RiskProfile]) -> Vec<String> {
    let names = section.list::<Name>("risk");
    let mut taken = Taken::default();
    for name in &names {
        taken.take(section, &name.value.0, name.offset, "risk profile");
        if !profiles.iter().any(|profile| profile.name == name.value.0) {
            section.report(name.offset, format!("risk names {:?}, but there is no such [[risk]]", name.value.0));
        }
    }
    names.into_iter().map(|name| name.value.0).collect()
}

fn read_settings(section: &Section<'_>) -> String {
    json_object(section, section.entries("settings", "{ }")).to_string()
}

fn json_object<'a>(
    section: &Section<'_>,
    entries: impl IntoIterator<Item = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)>,
) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.get_ref().to_string(), json(section, value)));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// The TOML value as JSON. Times become texts. The parser limits how deep values are nested.
pub(super) fn json(section: &Section<'_>, value: &Spanned<DeValue<'_>>) -> Value {
    let number = |number: Option<Number>| {
        number.map_or_else(
            || {
                let shown = section.shown(value);
                section
                    .report(value.span().start, format!("settings must hold only what JSON can write; found {shown}"));
                Value::Null
            },
            Value::Number,
        )
    };
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            number(i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Number::from))
        }
        DeValue::Float(float) => number(float.as_str().parse().ok().and_then(Number::from_f64)),
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(section, item)).collect()),
        DeValue::Table(table) => json_object(section, table),
    }
}
