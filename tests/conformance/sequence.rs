//! Section 13.5, first part: signals one after the other, and side by side on several symbols.
//!
//! Every story here is told by a backtest and by a live run, and must be the same ([`Scene::story`]).

use serde_json::Value;

use super::stage::{BTC, ETH, Scene, World, scene};
use crate::support::{Configuration, Workplace, plugin};

/// An hour at 100, with 102 in the fifth minute of every ten and a touch of 99 in the last.
fn swings() -> Scene {
    let ten = "100 * 4 | 102 | 100 * 4 | 100 99 100";
    scene(&format!("{} | 100 * 10", [ten; 6].join(" | ")))
}

/// Specification: S-SEQ-01, S-SEQ-06.
#[test]
fn winners_losers_and_orders_of_both_sides_follow_each_other() {
    let script = "1: long tp=102 sl=98; 6: long open=99 tp=101.5 sl=98 id=2; 16: short tp=98 sl=102 id=3; \
                  26: short open=101.5 tp=100.5 sl=103 id=4; 41: long tp=104 sl=98 life=5 id=5";
    let expected = [
        "1 opened 100",
        "4 take_profit 102",
        "6 scheduled 99",
        "9 opened 99",
        "14 take_profit 101.5",
        "16 opened 100",
        "24 stop_loss 102",
        "26 scheduled 101.5",
        "34 opened 101.5",
        "35 take_profit 100.5",
        "41 opened 100",
        "46 time_expired 100",
    ];
    assert_eq!(swings().trades(script).story(), expected);
}

/// The signs of the results, in the order of the closes.
fn signs(scene: &Scene) -> Vec<f64> {
    let told = scene.backtest();
    let closed = told.events("closed");
    closed.iter().map(|closed| closed["pnl"]["pnlPercentage"].as_f64().expect("a result").signum()).collect()
}

/// Specification: S-SEQ-02.
#[test]
fn three_winners() {
    let scene = swings().trades("1: long tp=102 sl=98; 11: long tp=102 sl=98 id=2; 21: long tp=102 sl=98 id=3");
    let won = ["1 opened 100", "4 take_profit 102", "11 opened 100", "14 take_profit 102", "21 opened 100"];
    assert_eq!(scene.story()[..5], won);
    assert_eq!(scene.story()[5..], ["24 take_profit 102"]);
    assert_eq!(signs(&scene), [1.0; 3]);
}

/// Specification: S-SEQ-03.
#[test]
fn three_losers() {
    let scene = swings().trades("1: short tp=98 sl=102; 6: long tp=103 sl=99 id=2; 11: short tp=98 sl=102 id=3");
    let lost = ["1 opened 100", "4 stop_loss 102", "6 opened 100", "9 stop_loss 99", "11 opened 100"];
    assert_eq!(scene.story()[..5], lost);
    assert_eq!(scene.story()[5..], ["14 stop_loss 102"]);
    assert_eq!(signs(&scene), [-1.0; 3]);
}

/// Specification: S-SEQ-04, S-SEQ-05.
#[test]
fn a_position_lives_as_long_as_it_says() {
    for (life, end) in [(5, "6 time_expired 100"), (120, "121 time_expired 100")] {
        let flat = scene("100 * 200").trades(&format!("1: long tp=104 sl=97 life={life}"));
        assert_eq!(flat.story(), ["1 opened 100", end]);
    }
}

/// Specification: S-SEQ-07, S-SEQ-08.
#[test]
fn of_two_quick_ones_the_second_waits_for_the_end_of_the_first() {
    let cases = [
        ("1: long tp=102 sl=98; 2..6: long tp=105 sl=98 id=2", "4 take_profit 102"),
        ("1: short tp=98 sl=102; 2..6: short tp=100.5 sl=105 id=2", "4 stop_loss 102"),
    ];
    for (script, end) in cases {
        assert_eq!(swings().trades(script).story()[..3], ["1 opened 100", end, "5 opened 102"], "{script}");
    }
}

/// Specification: S-SEQ-10.
#[test]
fn an_expiry_before_a_winner_two_rapid_longs_and_three_of_each_kind() {
    let expiry = "1: long tp=104 sl=98 life=8; 11: long tp=102 sl=98 id=2";
    let expected = ["1 opened 100", "9 time_expired 100", "11 opened 100", "14 take_profit 102"];
    assert_eq!(swings().trades(expiry).story(), expected);

    let rapid = "1: long tp=102 sl=98 life=1; 2: long tp=102 sl=98 life=1 id=2";
    let expected = ["1 opened 100", "2 time_expired 100"];
    assert_eq!(swings().trades(rapid).story(), expected, "at minute 2 the first one is still held");
    let rapid = "1: long tp=102 sl=98 life=1; 3: long tp=102 sl=98 life=1 id=2";
    let expected = ["1 opened 100", "2 time_expired 100", "3 opened 100", "4 time_expired 102"];
    assert_eq!(swings().trades(rapid).story(), expected);

    let mixed = "1: long tp=102 sl=98; 6: long tp=103 sl=99 id=2; 11: long tp=103 sl=98 life=2 id=3";
    let expected =
        ["1 opened 100", "4 take_profit 102", "6 opened 100", "9 stop_loss 99", "11 opened 100", "13 time_expired 100"];
    assert_eq!(swings().trades(mixed).story(), expected);
}

const SOL: &str = "SOLUSDT";

/// Specification: S-PAR-01, S-PAR-02.
#[test]
fn each_symbol_has_a_story_of_its_own() {
    let script = "1: long tp=102 sl=99 life=10";
    let scene = scene("100 * 5 | 102 | 100 * 20").market(ETH, "100 * 7 | 98 | 100 * 18").market(SOL, "100 * 26");
    let scene = [BTC, ETH, SOL].into_iter().fold(scene, |scene, symbol| scene.trader("a", symbol, script));
    scene.story();
    let told = scene.backtest();
    for (symbol, end) in [(BTC, "5 take_profit 102"), (ETH, "7 stop_loss 99"), (SOL, "11 time_expired 100")] {
        assert_eq!(told.story_of("a", symbol), ["1 opened 100", end], "{symbol}");
        let closed = told.events("closed");
        let own = closed.iter().find(|closed| closed["symbol"] == symbol).expect("it closed");
        assert!(own["signal"]["id"].as_str().is_some_and(|id| id.contains(symbol)), "{own}");
    }
}

/// Specification: S-PAR-03.
#[test]
fn results_by_strategy_and_symbol_are_those_of_each_alone() {
    let slow = "settings = { fast = 20, slow = 60 }";
    let fast = "settings = { fast = 5, slow = 20 }";
    let market = Configuration::new().generated(BTC, 3, 2).generated(ETH, 4, 2);
    let component = plugin("strategies/sma-cross");
    let result = |configuration: Configuration| -> Value {
        let workplace = Workplace::new(&configuration);
        serde_json::from_str(&workplace.succeed(&["backtest", "--json"]).stdout).expect("the result is JSON")
    };
    let together =
        market.clone().strategy("slow", &component, &[BTC, ETH], slow).strategy("fast", &component, &[BTC, ETH], fast);
    let together = result(together);
    assert_eq!(together["pairs"].as_array().map(Vec::len), Some(4));
    for pair in together["pairs"].as_array().expect("a list") {
        let (name, symbol) = (pair["strategyName"].as_str().expect("a name"), pair["symbol"].as_str().expect("a name"));
        let settings = if name == "slow" { slow } else { fast };
        let alone = result(market.clone().strategy(name, &component, &[symbol], settings));
        assert_eq!(alone["pairs"], Value::from(vec![pair.clone()]), "{name} on {symbol}");
        assert!(pair["trades"].as_u64() > Some(3), "{pair}");
    }
}

/// Specification: S-PAR-04.
#[test]
fn on_a_store_of_ones_own_too() {
    let markets = scene("100 * 5 | 102 | 100 * 20").market(ETH, "100 * 7 | 98 | 100 * 18");
    let traders =
        [("a", BTC, "1: long tp=102 sl=99"), ("a", ETH, "1: long tp=102 sl=99"), ("b", ETH, "2: short tp=98.5 sl=102")];
    let all =
        traders.into_iter().fold(markets.clone(), |scene, (name, symbol, script)| scene.trader(name, symbol, script));
    let told = World::new().live(&all);
    for (name, symbol, script) in traders {
        let alone = World::new().live(&markets.clone().trader(name, symbol, script));
        assert_eq!(told.story_of(name, symbol), alone.story(), "{name} on {symbol}");
        assert_eq!(alone.story().len(), 2, "{alone:?}");
    }
}
