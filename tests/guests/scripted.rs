//! The strategy that replays a script.

use serde_json::{Value, json};
use sigbox_engine::MINUTE_MS;

use super::field::{ASKED_MS, Trading, backtest, deterministic, start, tight};
use crate::support::plugin;

/// What happened, without the ticks at which nothing did.
fn replay(script: Value) -> Vec<String> {
    let component = plugin("strategies/scripted");
    let record = backtest(&deterministic(tight()), &[Trading { name: "a", component: &component, settings: script }]);
    let quiet = |outcome: &&str| !outcome.starts_with("Idle") && !outcome.starts_with("Active");
    record.of("a").into_iter().filter(quiet).map(str::to_owned).collect()
}

/// Why a script is refused.
fn refusal(script: &Value) -> String {
    let component = plugin("strategies/scripted");
    let started = start(&deterministic(tight()), &component, "a", script);
    started.err().expect("the script is refused").to_string()
}

#[test]
fn the_first_entry_whose_time_has_come_answers() {
    let at = |minute: i64| *ASKED_MS + minute * MINUTE_MS;
    let events = replay(json!({ "signals": [
        { "at": at(1), "throw": "first" },
        { "at": at(1), "until": at(3), "throw": "second" },
        { "at": at(5), "until": at(6) },
        { "at": at(6), "throw": "never" },
    ] }));
    let expected = [(1, "first"), (2, "second"), (3, "second")].map(|(minute, message)| {
        format!("StrategyFailed {{ message: \"get-signal failed: throw: {message}\", at_ms: {} }}", at(minute))
    });
    assert_eq!(events, expected);
}

#[test]
fn a_dto_becomes_the_signal_it_describes() {
    let events = replay(json!({ "signals": [{ "at": *ASKED_MS, "dto": {
        "id": "mine", "symbol": "BTCUSDT", "position": "short", "priceOpen": 45000, "priceTakeProfit": 44000.5,
        "priceStopLoss": 46000, "minuteEstimatedTime": 10, "cost": 50, "multiplier": 2, "isolated": false,
        "note": "n é中\n",
    } }] }));
    assert!(events[0].starts_with("Scheduled { order: Order { signal: Signal { id: \"mine\", "), "{}", events[0]);
    for part in [
        "side: Short",
        "price_open: 45000.0",
        "price_take_profit: 44000.5",
        "price_stop_loss: 46000.0",
        "minute_estimated_time: 10.0",
        "cost: 50.0",
        "multiplier: 2.0",
        "isolated: false",
        "note: \"n é中\\n\"",
    ] {
        assert!(events[0].contains(part), "{part} in {}", events[0]);
    }
}

#[test]
fn numbers_json_cannot_write_are_texts() {
    let events = replay(json!({ "signals": [{ "at": *ASKED_MS, "dto": {
        "position": "long", "priceTakeProfit": "NaN", "priceStopLoss": "-Infinity", "minuteEstimatedTime": "Infinity",
    } }] }));
    assert!(events[0].starts_with("Invalid { violations: [PriceNotFinite(TakeProfit), PriceNotFinite(StopLoss)"));
    assert!(events[0].contains("LifetimeInfinite"), "{}", events[0]);
}

#[test]
fn a_script_with_a_mistake_is_refused_with_the_place() {
    let cases = [
        (json!({ "signal": [] }), "unknown field `signal`, expected `signals`"),
        (json!({ "signals": [{ "at": 2, "until": 1 }] }), "signals[0]: until is before at"),
        (
            json!({ "signals": [{ "at": 2, "throw": "x", "dto": {
                "position": "long", "priceTakeProfit": 1, "priceStopLoss": 1 } }] }),
            "signals[0]: has both dto and throw; an entry answers one way",
        ),
        (
            json!({ "signals": [{ "at": 2, "dto": {
                "position": "long", "priceTakeProfit": "1", "priceStopLoss": 1 } }] }),
            "\"1\" is no number; besides numbers there are \"NaN\", \"Infinity\" and \"-Infinity\"",
        ),
    ];
    for (script, expected) in cases {
        let message = refusal(&script);
        assert!(message.starts_with("plugin a: start failed: settings: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
