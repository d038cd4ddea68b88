//! The data that the scripts of a run's page draw. Numbers are in columns and rounded to what an eye can tell, so that
//! thousands of trades stay small. The other reports have every digit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use sigbox_engine::{Candle, MINUTE_MS, Side, outcome::CloseReason, signal::Pair};

use crate::{
    Bars, Report, TradeRow, clock,
    curve::Grid,
    histogram::{Bin, Histogram},
    parts::Part,
    text,
};

/// All data of the page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data<'a> {
    curves: Option<Curves>,
    /// The ranges: from, to, how many trades.
    distribution: Vec<(f64, f64, u64)>,
    symbols: Vec<Symbol<'a>>,
    /// The strategy, and the symbol's place in `symbols`.
    pairs: Vec<(&'a str, usize)>,
    reasons: [&'static str; 5],
    /// Each remark once.
    notes: Vec<String>,
    /// How many trades.
    count: usize,
    trades: Trades<'a>,
}

/// Curves over the same times.
#[derive(Serialize)]
struct Curves {
    /// The first point, seconds since 1970; the step is in seconds too.
    start: i64,
    step: i64,
    /// One for each part, in the order of the parts.
    of: Vec<CurveData>,
}

#[derive(Serialize)]
struct CurveData {
    equity: Vec<f64>,
    drawdown: Vec<f64>,
    money: Vec<f64>,
}

#[derive(Serialize)]
struct Symbol<'a> {
    name: &'a str,
    /// The decimals of its prices.
    decimals: i32,
    bars: Option<BarsData>,
}

/// Times in seconds.
#[derive(Default, Serialize)]
struct BarsData {
    interval: String,
    time: Vec<i64>,
    open: Vec<f64>,
    high: Vec<f64>,
    low: Vec<f64>,
    close: Vec<f64>,
}

/// The trades, with a column for each field. Times and durations are in seconds, results in percent.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trades<'a> {
    pair: Column<usize>,
    /// 0 is long, 1 is short.
    side: Column<u8>,
    opened: Column<i64>,
    held: Column<i64>,
    waited: Column<i64>,
    open: Column<f64>,
    close: Column<f64>,
    take_profit: Column<f64>,
    stop_loss: Column<f64>,
    result: Column<f64>,
    money: Column<f64>,
    peak: Column<Option<f64>>,
    fall: Column<Option<f64>>,
    reason: Column<usize>,
    cost: Column<f64>,
    leverage: Column<f64>,
    note: Column<usize>,
    /// `None` for the usual id, which follows from the other columns.
    id: Column<Option<&'a str>>,
    /// The bars in which the trade was opened and closed, if both exist.
    from: Column<Option<usize>>,
    to: Column<Option<usize>>,
}

/// The values of a column. If all of them are the same, only that value is written.
struct Column<T>(Vec<T>);

/// The most points of one curve, and of all curves together.
const MOST_POINTS: usize = 1000;
const MOST_POINTS_IN_ALL: usize = 10_000;

/// The most bars of all symbols together. If there are more, several are drawn as one.
const MOST_BARS: usize = 8000;

/// The most characters of a remark, because strategies may write whole pages.
const MOST_NOTE: usize = 200;

impl<'a> Data<'a> {
    pub(super) fn of(report: &'a Report, parts: &[Part<'_>]) -> Self {
        let names = symbols(report);
        let bars: usize = report.bars.values().map(|bars| bars.bars.len()).sum();
        let together = bars.div_ceil(MOST_BARS).max(1);
        let drawn = |name: &&str| report.bars.get(*name).map(|bars| Drawn::of(bars, together));
        let drawn: Vec<Option<Drawn>> = names.iter().map(drawn).collect();
        let decimals: Vec<i32> = names.iter().map(|name| decimals(report, name)).collect();

        let mut pairs: BTreeMap<(&str, usize), usize> = BTreeMap::new();
        let mut notes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut trades = Trades::default();
        for row in &report.trades {
            let symbol = names.binary_search(&row.symbol.as_str()).expect("it is one of them");
            let next = pairs.len();
            let pair = *pairs.entry((&row.strategy, symbol)).or_insert(next);
            let next = notes.len();
            let note = *notes.entry(&row.note).or_insert(next);
            trades.add(report, row, pair, note, drawn[symbol].as_ref(), decimals[symbol]);
        }

        let results = report.trades.iter().map(|row| row.trade.result_percent);
        let symbol = |((name, drawn), decimals): ((&'a str, Option<Drawn>), i32)| {
            let bars = drawn.map(|drawn| drawn.data(decimals));
            Symbol { name, decimals, bars }
        };
        let bin = |Bin { from, to, count }| (rounded(from, 9), rounded(to, 9), count);
        Self {
            curves: Curves::of(report, parts),
            distribution: Histogram::of(results).bins.into_iter().map(bin).collect(),
            symbols: names.into_iter().zip(drawn).zip(decimals).map(symbol).collect(),
            pairs: in_order(pairs),
            reasons: CloseReason::ALL.map(super::reason),
            notes: in_order(notes).into_iter().map(shortened).collect(),
            count: report.trades.len(),
            trades,
        }
    }
}

impl Curves {
    fn of(report: &Report, parts: &[Part<'_>]) -> Option<Self> {
        let opened = report.trades.iter().map(|row| row.trade.opened_ms).min()?;
        let closed = report.trades.iter().map(|row| row.trade.closed_ms).max()?;
        let (from_ms, to_ms) = report.run.period_ms.unwrap_or((opened, closed));
        let most_points = MOST_POINTS.min(MOST_POINTS_IN_ALL / parts.len());
        let grid = Grid::over(from_ms.min(opened), to_ms.max(closed), most_points);
        let curve = |part: &Part<'_>| {
            let of_part = report.trades.iter().filter(|row| part.has(row));
            let curve = grid.curve(of_part.map(|row| &row.trade));
            let each = |numbers: Vec<f64>, decimals| numbers.into_iter().map(|it| rounded(it, decimals)).collect();
            CurveData {
                equity: each(curve.equity, 5),
                drawdown: each(curve.drawdown_percent, 2),
                money: each(curve.result_cost, 2),
            }
        };
        Some(Self {
            start: seconds(grid.start_ms()),
            step: grid.step_ms() / 1000,
            of: parts.iter().map(curve).collect(),
        })
    }
}

/// Bars as they are drawn.
struct Drawn {
    step_ms: i64,
    bars: Vec<Candle>,
}

impl Drawn {
    /// Merges each `together` bars into one.
    fn of(bars: &Bars, together: usize) -> Self {
        let merge = |bars: &[Candle]| Candle {
            high: bars.iter().map(|bar| bar.high).fold(f64::MIN, f64::max),
            low: bars.iter().map(|bar| bar.low).fold(f64::MAX, f64::min),
            close: bars[bars.len() - 1].close,
            volume: bars.iter().map(|bar| bar.volume).sum(),
            ..bars[0]
        };
        let step_ms = bars.interval.ms().saturating_mul(i64::try_from(together).unwrap_or(i64::MAX));
        Self { step_ms, bars: bars.bars.chunks(together).map(merge).collect() }
    }

    /// The last bar that had opened at `at_ms`; `None` before the first bar and after the end of the last one.
    fn place(&self, at_ms: i64) -> Option<usize> {
        let end_ms = self.bars.last()?.open_time_ms.saturating_add(self.step_ms);
        let opened = self.bars.partition_point(|bar| bar.open_time_ms <= at_ms);
        opened.checked_sub(1).filter(|_| at_ms < end_ms)
    }

    fn data(&self, decimals: i32) -> BarsData {
        #[expect(clippy::cast_precision_loss, reason = "a bar is short")]
        let minutes = (self.step_ms / MINUTE_MS) as f64;
        let mut data = BarsData { interval: text::duration(minutes), ..BarsData::default() };
        for bar in &self.bars {
            data.time.push(seconds(bar.open_time_ms));
            data.open.push(rounded(bar.open, decimals));
            data.high.push(rounded(bar.high, decimals));
            data.low.push(rounded(bar.low, decimals));
            data.close.push(rounded(bar.close, decimals));
        }
        data
    }
}

impl<'a> Trades<'a> {
    fn add(
        &mut self,
        report: &'a Report,
        row: &'a TradeRow,
        pair: usize,
        note: usize,
        drawn: Option<&Drawn>,
        decimals: i32,
    ) {
        let TradeRow { trade, .. } = row;
        self.pair.push(pair);
        self.side.push(u8::from(row.side == Side::Short));
        self.opened.push(seconds(trade.opened_ms));
        self.held.push(seconds(trade.closed_ms) - seconds(trade.opened_ms));
        self.waited.push(seconds(trade.opened_ms) - seconds(row.scheduled_ms));
        self.open.push(rounded(row.open_price, decimals));
        self.close.push(rounded(trade.close_price, decimals));
        self.take_profit.push(rounded(row.take_profit, decimals));
        self.stop_loss.push(rounded(row.stop_loss, decimals));
        self.result.push(rounded(trade.result_percent, 4));
        self.money.push(rounded(trade.result_cost, 4));
        self.peak.push(trade.peak_percent.map(|percent| rounded(percent, 3)));
        self.fall.push(trade.fall_percent.map(|percent| rounded(percent, 3)));
        self.reason
            .push(CloseReason::ALL.iter().position(|reason| *reason == trade.reason).expect("it is one of them"));
        self.cost.push(rounded(row.cost, 2));
        self.leverage.push(rounded(row.multiplier, 2));
        self.note.push(note);
        self.id.push(Some(row.id.as_str()).filter(|id| *id != usual_id(report, row)));
        let place = |at_ms| drawn.and_then(|drawn| drawn.place(at_ms));
        let (from, to) = place(trade.opened_ms).zip(place(trade.closed_ms)).unzip();
        self.from.push(from);
        self.to.push(to);
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Column<T> {
    fn push(&mut self, value: T) {
        self.0.push(value);
    }
}

impl<T: PartialEq + Serialize> Serialize for Column<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [first, rest @ ..] if rest.iter().all(|value| value == first) => first.serialize(serializer),
            values => values.serialize(serializer),
        }
    }
}

/// All symbols with bars or trades, by name.
pub(super) fn symbols(report: &Report) -> Vec<&str> {
    let of_trades = report.trades.iter().map(|row| row.symbol.as_str());
    let names: BTreeSet<&str> = report.bars.keys().map(String::as_str).chain(of_trades).collect();
    names.into_iter().collect()
}

/// The id of a signal to which the strategy gave none.
fn usual_id(report: &Report, row: &TradeRow) -> String {
    let TradeRow { symbol, strategy, .. } = row;
    let pair = Pair {
        symbol: symbol.clone(),
        strategy: strategy.clone(),
        exchange: report.run.exchange.clone(),
        frame: report.run.frame.clone(),
    };
    pair.signal_id(row.scheduled_ms)
}

/// The keys in the order of their numbers.
fn in_order<K>(numbered: BTreeMap<K, usize>) -> Vec<K> {
    let mut keys: Vec<(K, usize)> = numbered.into_iter().collect();
    keys.sort_by_key(|(_, number)| *number);
    keys.into_iter().map(|(key, _)| key).collect()
}

/// How many decimals the prices of a symbol have, as far as seven digits show.
fn decimals(report: &Report, symbol: &str) -> i32 {
    let bars = report.bars.get(symbol).map_or(&[][..], |bars| &bars.bars);
    let of_trades = report.trades.iter().filter(|row| row.symbol == symbol).map(|row| row.open_price);
    let largest = bars.iter().map(|bar| bar.high).chain(of_trades).filter(|it| it.is_finite()).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a number is small")]
    let whole_digits = if largest > 0.0 { largest.log10().floor() as i32 + 1 } else { 1 };
    let most = (7 - whole_digits).clamp(0, 12);
    let fits = |decimals: &i32| bars.iter().all(|bar| rounded(bar.close, *decimals) == bar.close);
    if bars.is_empty() { most } else { (0..most).find(fits).unwrap_or(most) }
}

fn rounded(number: f64, decimals: i32) -> f64 {
    let power = 10_f64.powi(decimals);
    let rounded = (number * power).round() / power;
    if rounded.is_finite() { rounded } else { number }
}

fn seconds(at_ms: i64) -> i64 {
    clock::possible(at_ms).div_euclid(1000)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_NOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
