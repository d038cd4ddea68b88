//! The data of a report, before it becomes a page.

use std::collections::BTreeMap;

use sigbox_engine::{
    Candle, Interval, Side,
    stats::{Sample, Tally, Trade},
};
use sigbox_events::RunRecord;

/// Everything that the report of a run shows.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which run it was, and what is needed to repeat it.
    pub run: RunRecord,
    /// The totals, by part.
    pub tally: Tally,
    /// Closed positions, in the order in which they were closed.
    pub trades: Vec<TradeRow>,
    /// Prices to draw, by symbol. A symbol without them has no price chart.
    pub bars: BTreeMap<String, Bars>,
    /// How long things took.
    pub timings: Vec<Timing>,
}

/// A closed position, with everything that a report shows of it.
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

/// Prices to draw, few enough for a page even over a long period.
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
    /// The kind of thing: `get-signal of sma-cross`.
    pub of: String,
    /// How long it took each time, milliseconds.
    pub milliseconds: Sample,
}
