//! What `bench/peers` compares is the same work: the plain loop, the strategy compiled into the engine and the sandboxed
//! component make the same trades, with the same result.

use std::ops::ControlFlow;

use serde_json::Value;
use sigbox::market::{
    Market,
    candles::{Series, generate},
};
use sigbox_engine::{Candle, stats::Tally};

use crate::support::{Configuration, Workplace, plugin, recipe};

#[path = "../host/runtime/examples/native.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod native;
#[path = "../bench/peers/plain/src/sma_cross.rs"]
#[expect(unreachable_pub, clippy::cast_precision_loss, reason = "it is written for another crate")]
mod plain;

const DAYS: usize = 8;

#[test]
fn the_plain_loop_the_native_strategy_and_the_component_make_the_same_trades() {
    let candles = generate(&recipe(7, DAYS)).unwrap();
    let market = Market::new([("BTCUSDT".to_owned(), Series::new(candles.clone()).unwrap())]);
    for every_minutes in [1, 5] {
        let plain = plain::run(&candles, every_minutes);
        let interval = format!("{every_minutes}m");

        let mut tally = Tally::default();
        let backtest = native::backtest(&market, interval.parse().unwrap()).unwrap();
        backtest.run(&mut tally, |_| ControlFlow::Continue(())).unwrap();
        let native = tally.total.returns.statistics();

        let settings = format!(
            "interval = \"{interval}\"\n\
             settings = {{ fast = 20, slow = 60, take-profit-percent = 1.0, stop-loss-percent = 0.5, minutes = 240 }}"
        );
        let configuration = Configuration::new()
            .generated("BTCUSDT", 7, DAYS)
            .strategy("sma-cross", &plugin("strategies/sma-cross"), &["BTCUSDT"], &settings)
            .section("[engine]\nmin-stoploss-distance-percent = 0.4");
        let said = Workplace::new(&configuration).succeed(&["backtest", "--json"]).stdout;
        let total = &serde_json::from_str::<Value>(&said).unwrap()["total"];

        assert!(plain.trades > 20, "{} trades are enough to compare", plain.trades);
        assert_eq!(native.trades, u64::from(plain.trades), "every {interval}");
        assert_eq!(total["trades"], plain.trades, "every {interval}");
        let component_pnl = total["totalPnl"].as_f64().unwrap();
        assert_eq!(native.total_pnl, Some(component_pnl), "every {interval}");
        // Sums that run on have other last bits than sums made anew.
        assert!((plain.pnl_percent - component_pnl).abs() < 1e-6, "every {interval}: {} {total}", plain.pnl_percent);
    }
}
