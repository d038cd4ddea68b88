//! Trades, reports and sweeps for tests.

use std::collections::BTreeMap;

use sigbox_engine::{
    MINUTE_MS, Side,
    outcome::CloseReason,
    stats::{Metric, Returns, Tally, Trade},
};
use sigbox_events::{Component, Kind, RunRecord, Source};

use crate::{Report, Sweep, SweepRow, TradeRow};

/// 2023-11-20T00:00:00Z, near the end of a year, so that trades are in more than one year.
pub(crate) const START_MS: i64 = 1_700_438_400_000;

/// `count` trades of the pairs in turn, one after another, the same for the same seed.
pub(crate) fn trades(seed: u64, count: usize, pairs: &[(&str, &str)]) -> Vec<TradeRow> {
    let mut dice = Dice(seed);
    let mut at_ms = START_MS;
    (0..count)
        .map(|index| {
            let (strategy, symbol) = pairs[index % pairs.len()];
            let scheduled_ms = at_ms;
            let opened_ms = scheduled_ms + dice.below(30) * MINUTE_MS;
            let closed_ms = opened_ms + (1 + dice.below(180)) * MINUTE_MS;
            at_ms = closed_ms + dice.below(20) * MINUTE_MS;
            let side = if dice.below(2) == 0 { Side::Long } else { Side::Short };
            let open_price = 40_000.0 + dice.number() * 1_000.0;
            let result_percent = if dice.below(50) == 0 { 0.0 } else { dice.number() * 1.5 };
            let towards = |percent: f64| match side {
                Side::Long => open_price * (1.0 + percent / 100.0),
                Side::Short => open_price * (1.0 - percent / 100.0),
            };
            TradeRow {
                id: format!("made-up:{strategy}:{symbol}:{scheduled_ms}"),
                strategy: strategy.to_owned(),
                symbol: symbol.to_owned(),
                side,
                scheduled_ms,
                open_price,
                take_profit: towards(1.8),
                stop_loss: towards(-1.6),
                multiplier: 1.0,
                cost: 100.0,
                note: String::new(),
                trade: Trade {
                    opened_ms,
                    closed_ms,
                    reason: CloseReason::ALL[usize::try_from(dice.below(5)).unwrap()],
                    close_price: towards(result_percent),
                    result_percent,
                    result_cost: result_percent,
                    peak_percent: Some(result_percent.max(0.0) + 0.1),
                    fall_percent: Some(result_percent.min(0.0) - 0.1),
                },
            }
        })
        .collect()
}

/// Knuth's linear congruential generator: enough for tests.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> i64 {
        i64::try_from(self.next() % limit).unwrap()
    }

    /// From -1 to 1.
    fn number(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() % 2_000_001).unwrap()) / 1_000_000.0 - 1.0
    }
}

/// A sweep over two settings, the same each time.
pub(crate) fn sweep(metric: &'static Metric, fast: &[u32], slow: &[u32]) -> Sweep {
    let row = |fast: u32, slow: u32| {
        let mut returns = Returns::default();
        for row in trades(u64::from(fast * 1000 + slow), 60, &[("sma-cross", "BTCUSDT")]) {
            returns.add(&row.trade);
        }
        SweepRow {
            strategy: "sma-cross".to_owned(),
            symbol: "BTCUSDT".to_owned(),
            frame: String::new(),
            settings: format!(r#"{{"fast":{fast},"slow":{slow}}}"#),
            outcome: Ok(returns.statistics()),
        }
    };
    let rows = fast.iter().flat_map(|fast| slow.iter().map(|slow| row(*fast, *slow))).collect();
    Sweep { run: run(), metric, rows }
}

/// The record of a run.
pub(crate) fn run() -> RunRecord {
    RunRecord {
        kind: Kind::Backtest,
        exchange: "made-up".to_owned(),
        frame: String::new(),
        period_ms: None,
        version: "0.1.0".to_owned(),
        configuration: "[exchange]\nname = \"made-up\"\n".to_owned(),
        components: vec![Component {
            strategy: "sma-cross".to_owned(),
            plugin: "plugins/strategies/sma-cross".to_owned(),
            sha256: "a".repeat(64),
            settings: r#"{"fast":20}"#.to_owned(),
        }],
        sources: vec![Source {
            symbol: "BTCUSDT".to_owned(),
            from: "data/BTCUSDT.csv".to_owned(),
            sha256: "b".repeat(64),
            candles: 1440,
            span_ms: (START_MS, START_MS + 1440 * MINUTE_MS),
        }],
        events: "dump/backtest/events.jsonl".to_owned(),
    }
}

/// A report of `count` trades of the pairs in turn.
pub(crate) fn report(seed: u64, count: usize, pairs: &[(&str, &str)]) -> Report {
    let trades = trades(seed, count, pairs);
    let mut tally = Tally::default();
    for row in &trades {
        tally.close(&row.strategy, &row.symbol, &row.trade);
    }
    Report { run: run(), tally, trades, bars: BTreeMap::new(), timings: Vec::new() }
}
