//! A report for tests: made up, small, and with something in every part of it.

use std::collections::BTreeMap;

use sigbox_engine::{
    Side,
    outcome::{CancelReason, CloseReason, Direction},
    stats::{Sample, Tally, Trade},
};
use sigbox_events::{Component, Kind, RunRecord, Source};
use sigbox_report::{Report, Timing, TradeRow};

/// 2024-01-01T00:00:00Z.
const START_MS: i64 = 1_704_067_200_000;
const HOUR_MS: i64 = 3_600_000;

/// Fourteen trades of `alpha`, three of `beta`, and what became of their orders.
pub(super) fn report() -> Report {
    let mut tally = Tally::default();
    let mut trades = Vec::new();
    let results = [0.5, -0.25, 0.75, 0.25, -0.5, 1.0, -0.25, -0.25, 0.5, 1.25, -0.75, 0.25, 0.0, 0.5];
    for (index, result) in (0..).zip(results) {
        trades.push(trade("alpha", "BTCUSDT", index, result));
    }
    for (index, result) in (0..).zip([-1.0, 2.0, 0.125]) {
        trades.push(trade("beta", if index < 2 { "BTCUSDT" } else { "ETHUSDT" }, index, result));
    }
    trades.sort_by_key(|row| row.trade.closed_ms);
    for row in &trades {
        tally.close(&row.strategy, &row.symbol, &row.trade);
    }
    tally.each("alpha", "BTCUSDT", |summary| {
        (0..4).for_each(|_| summary.orders.schedule());
        summary.orders.activate(90_000);
        summary.orders.cancel(CancelReason::Timeout, 7_200_000);
        summary.orders.cancel(CancelReason::User, 60_000);
        summary.breakevens += 3;
        for level in [10, 20, 30] {
            summary.pass(Direction::Profit, level);
        }
        summary.pass(Direction::Loss, 10);
        summary.reject("at most three positions");
        summary.reject("at most three positions");
        summary.reject("too-dear");
    });
    tally.each("beta", "ETHUSDT", |summary| {
        summary.invalid += 2;
        summary.failed += 1;
    });
    let times = |times: &[f64]| {
        let mut sample = Sample::default();
        for time in times {
            sample.add(*time);
        }
        sample
    };
    Report {
        run: RunRecord {
            kind: Kind::Backtest,
            exchange: "binance".to_owned(),
            frame: "January".to_owned(),
            period_ms: Some((START_MS, START_MS + 31 * 24 * HOUR_MS)),
            version: "0.1.0".to_owned(),
            configuration: "[frame]\nname = \"January\"\n".to_owned(),
            components: vec![Component {
                strategy: "alpha".to_owned(),
                plugin: "strategies/alpha".to_owned(),
                sha256: "00".repeat(32),
                settings: r#"{"fast":20}"#.to_owned(),
            }],
            sources: vec![Source {
                symbol: "BTCUSDT".to_owned(),
                from: "data/BTCUSDT.csv".to_owned(),
                sha256: "11".repeat(32),
                candles: 44_640,
                span_ms: (START_MS, START_MS + 31 * 24 * HOUR_MS),
            }],
            events: "dump/backtest/events.jsonl".to_owned(),
        },
        tally,
        trades,
        bars: BTreeMap::new(),
        timings: vec![
            Timing { of: "the run".to_owned(), milliseconds: times(&[1234.5]) },
            Timing { of: "get-signal of alpha".to_owned(), milliseconds: times(&[0.0004, 0.25, 2.0, 0.5]) },
        ],
    }
}

fn trade(strategy: &str, symbol: &str, index: i64, result_percent: f64) -> TradeRow {
    let opened_ms = START_MS + index * 48 * HOUR_MS;
    #[expect(clippy::cast_precision_loss, reason = "a few trades")]
    let close_price = 100.0 * (0.02 * index as f64).exp();
    TradeRow {
        id: format!("binance:{strategy}:{symbol}:{opened_ms}"),
        strategy: strategy.to_owned(),
        symbol: symbol.to_owned(),
        side: if index % 2 == 0 { Side::Long } else { Side::Short },
        scheduled_ms: opened_ms - 30_000 * (index % 3),
        open_price: 100.0,
        take_profit: 103.0,
        stop_loss: 0.1 + 0.2,
        multiplier: 1.0,
        cost: 100.0,
        note: String::new(),
        trade: Trade {
            opened_ms,
            closed_ms: opened_ms + HOUR_MS / 2,
            reason: CloseReason::ALL[usize::try_from(index % 5).unwrap()],
            close_price,
            result_percent,
            result_cost: result_percent,
            peak_percent: Some(result_percent.max(0.0) + 0.1),
            fall_percent: Some(result_percent.min(0.0) - 0.1),
        },
    }
}
