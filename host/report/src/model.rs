//! What a report shows, before it is a page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sigbox_engine::{
    Candle, Interval, Side,
    stats::{Sample, Tally, Trade},
};

/// Everything a run has to show.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which run it was, and what it takes to repeat it.
    pub run: Run,
    /// The totals, by part.
    pub tally: Tally,
    /// Closed positions, in the order in which they were closed.
    pub trades: Vec<TradeRow>,
    /// Prices to draw, by symbol. A symbol without them has no price chart.
    pub bars: BTreeMap<String, Bars>,
    /// How long things took.
    pub timings: Vec<Timing>,
}

/// Which run it was, and what it takes to repeat it. As JSON it is kept beside the events: what a run was is known to
/// that run, not to whoever makes a report of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Recorded candles, or candles as they closed.
    pub kind: Kind,
    /// `exchangeName` of its events.
    #[serde(rename = "exchangeName")]
    pub exchange: String,
    /// `frameName` of its events; may be empty.
    #[serde(rename = "frameName")]
    pub frame: String,
    /// First and last boundary, milliseconds. Of a live run: its first and its last event.
    pub period_ms: Option<(i64, i64)>,
    /// The version of sigbox.
    pub version: String,
    /// The configuration, as it was written.
    pub configuration: String,
    /// The components that decided.
    pub components: Vec<Component>,
    /// Where the candles came from.
    pub sources: Vec<Source>,
    /// The event file, as it was named.
    pub events: String,
}

/// What kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Over recorded candles.
    Backtest,
    /// Over candles as they closed.
    Live,
}

/// A component that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The strategy's name.
    #[serde(rename = "strategyName")]
    pub strategy: String,
    /// What the configuration calls it.
    pub plugin: String,
    /// SHA-256 of the component, in hexadecimal.
    pub sha256: String,
    /// Its settings, a JSON object.
    pub settings: String,
}

/// Where the candles of a symbol came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The symbol.
    pub symbol: String,
    /// A file, or a recipe.
    pub from: String,
    /// SHA-256 over the candles, in hexadecimal, whatever file they were in.
    pub sha256: String,
    /// How many.
    pub candles: usize,
    /// When the first one opened and the last one closed, milliseconds.
    pub span_ms: (i64, i64),
}

/// A closed position, with what people want to know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TradeRow {
    /// The signal's id.
    pub id: String,
    /// The strategy.
    pub strategy: String,
    /// The symbol.
    pub symbol: String,
    /// Direction.
    pub side: Side,
    /// When it was ordered, milliseconds; the same as when it was opened if it did not wait.
    pub scheduled_ms: i64,
    /// Entry price of the order.
    pub open_price: f64,
    /// Take-profit level.
    pub take_profit: f64,
    /// Stop-loss level.
    pub stop_loss: f64,
    /// Leverage.
    pub multiplier: f64,
    /// Amount invested, quote currency.
    pub cost: f64,
    /// The strategy's remark.
    pub note: String,
    /// Times, exit and results.
    pub trade: Trade,
}

/// Prices to draw: few enough for a page, whatever the period.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What each bar covers.
    pub interval: Interval,
    /// The bars, oldest first.
    pub bars: Vec<Candle>,
}

/// How long one kind of thing took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Of what: `get-signal of sma-cross`.
    pub of: String,
    /// Each time, milliseconds.
    pub milliseconds: Sample,
}
