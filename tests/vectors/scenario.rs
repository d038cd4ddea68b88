//! What a scenario says, in the engine's own types.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, json};
use sigbox_engine::{
    Candle, Interval, MINUTE_MS, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    signal::Pair,
    trader::Answer,
};

/// One scenario file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scenario {
    pub name: String,
    pub symbol: String,
    pub candles: CandleSource,
    pub frame: Frame,
    pub strategy: Script,
    pub config: Map<String, Value>,
    #[serde(default)]
    pub config_unchecked: bool,
    pub risk: Option<Risk>,
}

impl Scenario {
    /// Who trades. Only the symbol is the scenario's own.
    pub(super) fn pair(&self) -> Pair {
        Pair {
            symbol: self.symbol.clone(),
            strategy: "strategy".to_owned(),
            exchange: "exchange".to_owned(),
            frame: "frame".to_owned(),
        }
    }
}

/// Where the candles are.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CandleSource {
    Shared { file: String },
    Inline(Vec<(i64, f64, f64, f64, f64, f64)>),
}

/// A file of candles that several scenarios share.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CandleSet {
    start_timestamp: i64,
    step_ms: i64,
    columns: [String; 5],
    rows: Vec<[f64; 5]>,
}

/// The grid of ticks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame {
    pub start_date: Timestamp,
    pub end_date: Timestamp,
    #[serde(deserialize_with = "interval")]
    pub interval: Interval,
}

/// How often the strategy is asked, and what it answers.
#[derive(Clone, Deserialize)]
pub(super) struct Script {
    #[serde(deserialize_with = "interval")]
    pub interval: Interval,
    signals: Vec<Entry>,
}

/// The answer from `at` to `until`, both included; `until` is `at` where it is absent.
#[derive(Clone, Deserialize)]
struct Entry {
    at: Timestamp,
    until: Option<Timestamp>,
    dto: Option<Map<String, Value>>,
    throw: Option<String>,
}

/// The rules of a scenario's risk profile.
#[derive(Deserialize)]
pub(super) struct Risk {
    pub rules: Vec<ScenarioRule>,
}

/// One rule, and how it reports.
#[derive(Deserialize)]
pub(super) struct ScenarioRule {
    #[serde(flatten)]
    kind: RuleKind,
    via: Via,
    id: Option<String>,
    note: String,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum RuleKind {
    RejectPosition {
        #[serde(deserialize_with = "named_side")]
        position: Side,
    },
    MaxActive {
        limit: usize,
    },
    MinRewardRisk {
        value: f64,
    },
    RejectWindow {
        from: Timestamp,
        to: Timestamp,
    },
    RejectFirst {
        n: usize,
    },
    MaxPrice {
        value: f64,
    },
    Always,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Via {
    String,
    Object,
    Throw,
}

/// A rule of a scenario: one of the engine's own, or one that only tests need.
pub(super) enum Check {
    Rule(NamedRule),
    /// Refuses the first checks of a run.
    First {
        checks: usize,
        note: String,
    },
}

impl CandleSet {
    /// The candles.
    pub(super) fn candles(self) -> Vec<Candle> {
        assert_eq!(self.columns, ["open", "high", "low", "close", "volume"], "the columns of a candle set");
        assert_eq!(self.step_ms, MINUTE_MS, "the step of a candle set");
        let times = (0..).map(|row| self.start_timestamp + row * MINUTE_MS);
        times
            .zip(&self.rows)
            .map(|(time, &[open, high, low, close, volume])| candle(time, open, high, low, close, volume))
            .collect()
    }
}

impl CandleSource {
    /// The candles: its own, or those of one of the `sets`.
    pub(super) fn resolve(&self, sets: &BTreeMap<&str, Vec<Candle>>) -> Vec<Candle> {
        match self {
            Self::Shared { file } => {
                let set = file.strip_prefix("../candles/").and_then(|name| sets.get(name));
                set.unwrap_or_else(|| panic!("there is no set of candles {file}")).clone()
            }
            Self::Inline(rows) => rows.iter().map(|row| candle(row.0, row.1, row.2, row.3, row.4, row.5)).collect(),
        }
    }
}

const fn candle(open_time_ms: i64, open: f64, high: f64, low: f64, close: f64, volume: f64) -> Candle {
    Candle { open_time_ms, open, high, low, close, volume }
}

impl Frame {
    /// The first tick, milliseconds.
    pub(super) fn first_ms(&self) -> i64 {
        Interval::MINUTE.slot(self.start_date.as_millisecond())
    }

    /// The last tick, milliseconds.
    pub(super) fn last_ms(&self) -> i64 {
        self.next_after_ms(self.end_date.as_millisecond()) - self.interval.ms()
    }

    /// The first tick after `at_ms`, as if the frame had no end.
    pub(super) fn next_after_ms(&self, at_ms: i64) -> i64 {
        let passed = (at_ms - self.first_ms()).div_euclid(self.interval.ms());
        self.first_ms() + (passed + 1) * self.interval.ms()
    }

    /// Whether there is a tick at this boundary.
    pub(super) fn ticks_at(&self, now_ms: i64) -> bool {
        now_ms <= self.last_ms() && (now_ms - self.first_ms()) % self.interval.ms() == 0
    }
}

impl Script {
    /// The answer at `now_ms`.
    pub(super) fn answer(&self, now_ms: i64) -> Answer {
        match self.entry_at(now_ms) {
            Some(Entry { throw: Some(message), .. }) => Answer::Failed(message.clone()),
            Some(Entry { dto: Some(dto), .. }) => Answer::Trade(proposal(dto).0),
            Some(Entry { dto: None, throw: None, .. }) | None => Answer::Nothing,
        }
    }

    /// Whether the answer at `now_ms` has values that a typed strategy cannot give.
    pub(super) fn is_untyped_at(&self, now_ms: i64) -> bool {
        self.entry_at(now_ms).is_some_and(Entry::is_untyped)
    }

    /// The settings with which the component `scripted` gives the same answers.
    pub(super) fn settings(&self) -> Value {
        let entries = self.signals.iter().map(|entry| {
            let (at_ms, until_ms) = entry.span_ms();
            let mut written = json!({ "at": at_ms, "until": until_ms });
            if let Some(message) = &entry.throw {
                written["throw"] = json!(message);
            } else if let Some(dto) = &entry.dto {
                written["dto"] = dto_of(&proposal(dto).0);
            }
            written
        });
        json!({ "signals": entries.collect::<Vec<_>>() })
    }

    fn entry_at(&self, now_ms: i64) -> Option<&Entry> {
        self.signals.iter().find(|entry| {
            let (from_ms, until_ms) = entry.span_ms();
            (from_ms..=until_ms).contains(&now_ms)
        })
    }
}

impl Entry {
    fn span_ms(&self) -> (i64, i64) {
        let from_ms = self.at.as_millisecond();
        (from_ms, self.until.map_or(from_ms, Timestamp::as_millisecond))
    }

    fn is_untyped(&self) -> bool {
        self.throw.is_none() && self.dto.as_ref().is_some_and(|dto| proposal(dto).1)
    }
}

/// The proposal a dto amounts to, and whether it has values that a typed strategy cannot give. One that has is made
/// unusable, because that is what it was to the reference.
fn proposal(dto: &Map<String, Value>) -> (Proposal, bool) {
    let mut fields = Fields { dto, untyped: false };
    let mut proposal = Proposal {
        id: fields.optional("id", text),
        symbol: fields.optional("symbol", text),
        side: fields.required("position", side).unwrap_or(Side::Long),
        price_open: fields.optional("priceOpen", number),
        price_take_profit: fields.required("priceTakeProfit", number).unwrap_or(f64::NAN),
        price_stop_loss: fields.required("priceStopLoss", number).unwrap_or(f64::NAN),
        minute_estimated_time: fields.optional("minuteEstimatedTime", number),
        cost: fields.optional("cost", number),
        multiplier: fields.optional("multiplier", number),
        isolated: fields.optional("isolated", Value::as_bool),
        note: fields.optional("note", text),
    };
    if fields.untyped {
        proposal.minute_estimated_time = Some(f64::NAN);
    }
    (proposal, fields.untyped)
}

/// A proposal as a dto again, with numbers that JSON cannot write as texts.
fn dto_of(proposal: &Proposal) -> Value {
    let written = |number: f64| match number {
        number if number.is_finite() => json!(number),
        number if number.is_nan() => json!("NaN"),
        number if number > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    };
    json!({
        "id": proposal.id,
        "symbol": proposal.symbol,
        "position": proposal.side.name(),
        "priceOpen": proposal.price_open.map(written),
        "priceTakeProfit": written(proposal.price_take_profit),
        "priceStopLoss": written(proposal.price_stop_loss),
        "minuteEstimatedTime": proposal.minute_estimated_time.map(written),
        "cost": proposal.cost.map(written),
        "multiplier": proposal.multiplier.map(written),
        "isolated": proposal.isolated,
        "note": proposal.note,
    })
}

/// Reads a dto, and remembers whether something in it had the wrong type.
struct Fields<'a> {
    dto: &'a Map<String, Value>,
    untyped: bool,
}

impl Fields<'_> {
    fn required<T>(&mut self, key: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.optional(key, read);
        self.untyped |= value.is_none();
        value
    }

    /// An explicit *undefined* is as good as absent.
    fn optional<T>(&mut self, key: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
        let given = self.dto.get(key).filter(|value| value.get("$undef").is_none())?;
        let value = read(given);
        self.untyped |= value.is_none();
        value
    }
}

fn side(value: &Value) -> Option<Side> {
    match value.as_str()? {
        "long" => Some(Side::Long),
        "short" => Some(Side::Short),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(String::from)
}

fn number(value: &Value) -> Option<f64> {
    match value.get("$num").and_then(Value::as_str) {
        Some(special) => special.parse().ok(),
        None => value.as_f64(),
    }
}

impl ScenarioRule {
    /// What the rule looks at, and what it reports: only an object has an id.
    pub(super) fn check(&self) -> Check {
        let rule = match &self.kind {
            RuleKind::RejectPosition { position } => Rule::RejectSide(*position),
            RuleKind::MaxActive { limit } => Rule::MaxActive(*limit),
            RuleKind::MinRewardRisk { value } => Rule::MinRewardRisk(*value),
            RuleKind::RejectWindow { from, to } => Rule::RejectWindow(from.as_millisecond(), to.as_millisecond()),
            RuleKind::RejectFirst { n } => return Check::First { checks: *n, note: self.note.clone() },
            RuleKind::MaxPrice { value } => Rule::MaxPrice(*value),
            RuleKind::Always => Rule::MaxActive(0),
        };
        let id = match self.via {
            Via::Object => self.id.clone(),
            Via::String | Via::Throw => None,
        };
        Check::Rule(NamedRule { rule, id, note: self.note.clone() })
    }
}

/// The settings a scenario runs with, or the names of those that are refused, in alphabetical order.
pub(super) fn settings(scenario: &Scenario) -> Result<Settings, Vec<String>> {
    let mut settings = Settings::default();
    let mut refused: Vec<String> = Vec::new();
    for (name, value) in &scenario.config {
        // A value its field cannot hold is refused by whoever reads the configuration.
        if set(&mut settings, name, value).is_none() {
            refused.push(name.clone());
        }
    }
    if !scenario.config_unchecked {
        refused.extend(settings.problems().iter().map(|problem| format!("CC_{}", problem.name.to_uppercase())));
    }
    refused.sort();
    refused.dedup();
    if refused.is_empty() { Ok(settings) } else { Err(refused) }
}

fn set(settings: &mut Settings, name: &str, value: &Value) -> Option<()> {
    let whole = || value.as_u64().and_then(|value| u32::try_from(value).ok());
    match name {
        "CC_SCHEDULE_AWAIT_MINUTES" => settings.schedule_await_minutes = whole()?,
        "CC_AVG_PRICE_CANDLES_COUNT" => settings.avg_price_candles_count = whole()?,
        "CC_PERCENT_SLIPPAGE" => settings.percent_slippage = number(value)?,
        "CC_PERCENT_FEE" => settings.percent_fee = number(value)?,
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT" => settings.min_takeprofit_distance_percent = number(value)?,
        "CC_MIN_STOPLOSS_DISTANCE_PERCENT" => settings.min_stoploss_distance_percent = number(value)?,
        "CC_MAX_STOPLOSS_DISTANCE_PERCENT" => settings.max_stoploss_distance_percent = number(value)?,
        "CC_MAX_SIGNAL_LIFETIME_MINUTES" => settings.max_signal_lifetime_minutes = number(value)?,
        "CC_MAX_SIGNAL_GENERATION_SECONDS" => settings.max_signal_generation_seconds = whole()?,
        "CC_GET_CANDLES_RETRY_COUNT" => settings.get_candles_retry_count = whole()?,
        "CC_GET_CANDLES_RETRY_DELAY_MS" => settings.get_candles_retry_delay_ms = value.as_u64()?,
        "CC_GET_CANDLES_PRICE_ANOMALY_THRESHOLD_FACTOR" => {
            settings.get_candles_price_anomaly_threshold_factor = number(value)?;
        }
        "CC_GET_CANDLES_MIN_CANDLES_FOR_MEDIAN" => settings.get_candles_min_candles_for_median = whole()?,
        "CC_BREAKEVEN_THRESHOLD" => settings.breakeven_threshold = number(value)?,
        "CC_POSITION_ENTRY_COST" => settings.position_entry_cost = number(value)?,
        "CC_ENABLE_LONG_SIGNAL" => settings.enable_long_signal = value.as_bool()?,
        "CC_ENABLE_SHORT_SIGNAL" => settings.enable_short_signal = value.as_bool()?,
        "CC_SIGNAL_LEVERAGE_MULTIPLIER" => settings.signal_leverage_multiplier = number(value)?,
        "CC_SIGNAL_ISOLATED_MARGIN" => settings.signal_isolated_margin = value.as_bool()?,
        // How the reference pages its requests. Nothing here is paged, and results must not depend on it.
        "CC_MAX_CANDLES_PER_REQUEST" => {}
        _ => panic!("the scenario sets {name}, which is not a setting known here"),
    }
    Some(())
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn named_side<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Side, D::Error> {
    let name = Value::deserialize(deserializer)?;
    side(&name).ok_or_else(|| D::Error::custom(format!("{name} is not a side")))
}
