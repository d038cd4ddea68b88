//! The result of a backtest, for people and for programs.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use jiff::Timestamp;
use serde::Serialize;
use sigbox::run::Sink;
use sigbox_engine::{
    Outcome,
    outcome::CloseReason,
    signal::Pair,
    stats::{Part, Summary, Tally},
};

/// Adds up what it is told.
#[derive(Default)]
pub(crate) struct Counting(pub(crate) Tally);

impl Sink for Counting {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.0.add(pair, outcome);
        Ok(())
    }
}

/// Everything a finished backtest has to show.
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// First and last boundary.
    pub(crate) period_ms: (i64, i64),
    /// Time in the run itself, without reading, building and compiling.
    pub(crate) took: Duration,
    pub(crate) events: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
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
}

impl<'a> Row<'a> {
    fn new(strategy_name: Option<&'a str>, symbol: Option<&'a str>, summary: &Summary) -> Self {
        let statistics = summary.returns.statistics();
        Self {
            strategy_name,
            symbol,
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
        }
    }
}

impl Report {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for (strategy, symbols) in &self.tally.pairs {
            for (symbol, Part { summary, .. }) in symbols {
                rows.push(Row::new(Some(strategy), Some(symbol), summary));
            }
        }
        rows
    }

    fn candles(&self) -> i64 {
        (self.period_ms.1 - self.period_ms.0) / 60_000 + 1
    }

    pub(crate) fn print_json(&self, out: &mut impl io::Write) -> anyhow::Result<()> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            start_timestamp: i64,
            end_timestamp: i64,
            minutes: i64,
            run_seconds: f64,
            events: String,
            total: Row<'a>,
            pairs: Vec<Row<'a>>,
        }
        let json = Json {
            start_timestamp: self.period_ms.0,
            end_timestamp: self.period_ms.1,
            minutes: self.candles(),
            run_seconds: self.took.as_secs_f64(),
            events: self.events.display().to_string(),
            total: Row::new(None, None, &self.tally.total),
            pairs: self.rows(),
        };
        serde_json::to_writer_pretty(&mut *out, &json)?;
        Ok(writeln!(out)?)
    }

    pub(crate) fn print_table(&self) {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "strategy",
            "symbol",
            "trades",
            "win rate",
            "PnL",
            "average",
            "best",
            "worst",
            "drawdown",
            "take profit",
            "stop loss",
            "expired",
            "liquidated",
        ]);
        let mut rows = self.rows();
        if rows.len() != 1 {
            rows.push(Row::new(Some("all"), None, &self.tally.total));
        }
        for row in &rows {
            let closed = CloseReason::ALL.map(|reason| row.closed_by[reason.name()].to_string());
            let numbers = [
                row.trades.to_string(),
                percent(row.win_rate, false),
                percent(Some(row.total_pnl), true),
                percent(row.average_pnl, true),
                percent(row.best_pnl, true),
                percent(row.worst_pnl, true),
                percent(row.max_drawdown, false),
            ];
            let names = [row.strategy_name.unwrap_or_default(), row.symbol.unwrap_or_default()].map(Cell::new);
            let numbers =
                numbers.into_iter().chain(closed).map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
            table.add_row(names.into_iter().chain(numbers));
        }
        let (start, end) = (iso(self.period_ms.0), iso(self.period_ms.1));
        println!("{start} to {end}, {} minutes\n{table}", grouped(self.candles().unsigned_abs()));
        println!("PnL is the sum of the trades' results after fees and slippage, each in percent of what it staked.");
        let total = &self.tally.total;
        for (count, what) in [
            (total.orders.scheduled, "limit orders accepted"),
            (total.orders.cancelled(), "limit orders cancelled"),
            (total.rejections(), "signals refused by risk rules"),
            (total.invalid, "invalid signals"),
            (total.failed, "answers that failed"),
        ] {
            if count > 0 {
                println!("{} {what}", grouped(count));
            }
        }
        let seconds = self.took.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate"
        )]
        let rate = (self.candles() as f64 / seconds.max(1e-9)) as u64;
        println!("Ran in {seconds:.3} s, {} candles a second.", grouped(rate));
        println!("Every event: {}", self.events.display());
    }
}

fn percent(value: Option<f64>, signed: bool) -> String {
    match value {
        None => "N/A".to_owned(),
        Some(value) if signed => format!("{value:+.2} %"),
        Some(value) => format!("{value:.2} %"),
    }
}

fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
