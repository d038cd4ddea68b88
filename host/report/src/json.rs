//! A report as JSON, for programs.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use sigbox_engine::{
    outcome::{CancelReason, CloseReason},
    state::Levels,
    stats::{LevelCounts, METRICS, Orders, Sample, Statistics, Trend, TrendLine, Unit},
};
use sigbox_events::RunRecord;

use crate::{
    Report, Timing, TradeRow,
    rows::{Row, Rows},
};

/// The report as one JSON object. A number that the trades do not give is `null`, never zero and never absent.
#[must_use]
pub fn json(report: &Report) -> String {
    #[derive(Serialize)]
    struct Json<'a> {
        run: &'a RunRecord,
        #[serde(flatten)]
        rows: Rows<'a>,
        trades: Vec<Trade<'a>>,
        timings: Vec<Times<'a>>,
    }
    let json = Json {
        run: &report.run,
        rows: Rows::of(&report.tally),
        trades: report.trades.iter().map(Trade::of).collect(),
        timings: report.timings.iter().map(Times::of).collect(),
    };
    serde_json::to_string_pretty(&json).expect("keys are texts and numbers are finite or null") + "\n"
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("total", &self.total)?;
        map.serialize_entry("strategies", &self.strategies)?;
        map.serialize_entry("symbols", &self.symbols)?;
        map.serialize_entry("pairs", &self.pairs)?;
        map.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            strategy_name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            symbol: Option<&'a str>,
            trades: u64,
            wins: u64,
            losses: u64,
            win_rate: Option<f64>,
            total_pnl: f64,
            average_pnl: Option<f64>,
            best_pnl: Option<f64>,
            worst_pnl: Option<f64>,
            max_drawdown: Option<f64>,
            closed_by: BTreeMap<&'static str, u64>,
            scheduled: u64,
            cancelled: u64,
            risk_rejections: u64,
            invalid_signals: u64,
            strategy_failures: u64,
            metrics: Metrics<'a>,
            orders: OrderRates,
            levels: LevelRates,
            rejections: &'a BTreeMap<String, u64>,
            /// Only a part on one symbol has a trend.
            #[serde(skip_serializing_if = "Option::is_none")]
            trend: Option<Line<'a>>,
        }
        let Self { strategy, symbol, summary, statistics, trend } = self;
        Json {
            strategy_name: *strategy,
            symbol: *symbol,
            trades: statistics.trades,
            wins: statistics.wins,
            losses: statistics.losses,
            win_rate: statistics.win_rate,
            total_pnl: statistics.total_pnl.unwrap_or(0.0),
            average_pnl: statistics.average_pnl,
            best_pnl: statistics.best_pnl,
            worst_pnl: statistics.worst_pnl,
            max_drawdown: statistics.max_drawdown,
            closed_by: CloseReason::ALL.into_iter().map(CloseReason::name).zip(summary.closed_by).collect(),
            scheduled: summary.orders.scheduled,
            cancelled: summary.orders.cancelled(),
            risk_rejections: summary.rejections(),
            invalid_signals: summary.invalid,
            strategy_failures: summary.failed,
            metrics: Metrics(statistics),
            orders: OrderRates::of(&summary.orders),
            levels: LevelRates {
                profit: by_level(&summary.profit_levels),
                loss: by_level(&summary.loss_levels),
                breakeven: summary.breakevens,
            },
            rejections: &summary.rejected,
            trend: trend.map(Line),
        }
        .serialize(serializer)
    }
}

/// Every metric by its name.
struct Metrics<'a>(&'a Statistics);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(METRICS.len()))?;
        for metric in &METRICS {
            let value = metric.of(self.0);
            match metric.unit {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was made of a count")]
                Unit::Count => map.serialize_entry(metric.name, &value.map(|count| count as u64))?,
                Unit::Percent | Unit::Gain | Unit::Money | Unit::Ratio | Unit::Minutes => {
                    map.serialize_entry(metric.name, &value)?;
                }
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderRates {
    scheduled: u64,
    activated: u64,
    cancelled: u64,
    cancelled_by: BTreeMap<&'static str, u64>,
    activation_rate: Option<f64>,
    cancellation_rate: Option<f64>,
    avg_activation_minutes: Option<f64>,
    avg_wait_minutes: Option<f64>,
}

impl OrderRates {
    fn of(orders: &Orders) -> Self {
        Self {
            scheduled: orders.scheduled,
            activated: orders.activated,
            cancelled: orders.cancelled(),
            cancelled_by: CancelReason::ALL.into_iter().map(CancelReason::name).zip(orders.cancelled_by).collect(),
            activation_rate: orders.activation_rate(),
            cancellation_rate: orders.cancellation_rate(),
            avg_activation_minutes: orders.average_activation_minutes(),
            avg_wait_minutes: orders.average_wait_minutes(),
        }
    }
}

#[derive(Serialize)]
struct LevelRates {
    profit: BTreeMap<u8, u64>,
    loss: BTreeMap<u8, u64>,
    breakeven: u64,
}

fn by_level(counts: &LevelCounts) -> BTreeMap<u8, u64> {
    Levels::ALL.into_iter().zip(*counts).collect()
}

/// The trend of prices; `null` when there are too few prices.
struct Line<'a>(&'a Trend);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json {
            direction: &'static str,
            /// Percent a day.
            slope: f64,
            confidence: f64,
            /// Percent.
            median_step: f64,
            buyer_pressure: f64,
            seller_pressure: f64,
            buyer_strength: f64,
            seller_strength: f64,
        }
        let json = |line: TrendLine| Json {
            direction: line.direction.name(),
            slope: line.slope_percent,
            confidence: line.confidence,
            median_step: line.median_step_percent,
            buyer_pressure: line.buyer_pressure,
            seller_pressure: 1.0 - line.buyer_pressure,
            buyer_strength: line.buyer_strength,
            seller_strength: 1.0 - line.buyer_strength,
        };
        self.0.line().map(json).serialize(serializer)
    }
}

/// A trade, with the names that events use.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trade<'a> {
    id: &'a str,
    strategy_name: &'a str,
    symbol: &'a str,
    position: &'static str,
    scheduled_at: i64,
    pending_at: i64,
    close_timestamp: i64,
    price_open: f64,
    price_take_profit: f64,
    price_stop_loss: f64,
    price_close: f64,
    close_reason: &'static str,
    multiplier: f64,
    cost: f64,
    pnl_percentage: f64,
    pnl_cost: f64,
    peak_pnl: Option<f64>,
    fall_pnl: Option<f64>,
    note: &'a str,
}

impl<'a> Trade<'a> {
    fn of(row: &'a TradeRow) -> Self {
        Self {
            id: &row.id,
            strategy_name: &row.strategy,
            symbol: &row.symbol,
            position: row.side.name(),
            scheduled_at: row.scheduled_ms,
            pending_at: row.trade.opened_ms,
            close_timestamp: row.trade.closed_ms,
            price_open: row.open_price,
            price_take_profit: row.take_profit,
            price_stop_loss: row.stop_loss,
            price_close: row.trade.close_price,
            close_reason: row.trade.reason.name(),
            multiplier: row.multiplier,
            cost: row.cost,
            pnl_percentage: row.trade.result_percent,
            pnl_cost: row.trade.result_cost,
            peak_pnl: row.trade.peak_percent,
            fall_pnl: row.trade.fall_percent,
            note: &row.note,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Times<'a> {
    of: &'a str,
    count: u64,
    total_ms: f64,
    average_ms: Option<f64>,
    min_ms: Option<f64>,
    max_ms: Option<f64>,
    std_dev_ms: Option<f64>,
    median_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl<'a> Times<'a> {
    fn of(Timing { of, milliseconds }: &'a Timing) -> Self {
        let (min_ms, max_ms) = milliseconds.extremes().unzip();
        let [median_ms, p95_ms, p99_ms] = percentiles(milliseconds);
        Self {
            of,
            count: milliseconds.len(),
            total_ms: milliseconds.sum(),
            average_ms: milliseconds.mean(),
            min_ms,
            max_ms,
            std_dev_ms: milliseconds.deviation(),
            median_ms,
            p95_ms,
            p99_ms,
        }
    }
}

/// The median, the 95th percentile and the 99th percentile.
pub(crate) fn percentiles(sample: &Sample) -> [Option<f64>; 3] {
    sample.percentiles([50.0, 95.0, 99.0]).map_or([None; 3], |found| found.map(Some))
}
