//! Rows put into the data directory by hand, as a crash or the reference left them.

use serde_json::{Value, json};
use sigbox_engine::{Candle, MINUTE_MS};

use crate::support::{Configuration, Workplace, audit, plugin, recipe};

const SEED: u64 = 21;
const DAYS: usize = 2;

/// A strategy that needs more candles than there are, so that it never trades, on an exchange of the reference's documents.
fn configuration() -> Configuration {
    Configuration::new()
        .generated("BTCUSDT", SEED, DAYS)
        .strategy("a", &plugin("strategies/sma-cross"), &["BTCUSDT"], "risk = [\"shared\"]\nsettings = { slow = 2900 }")
        .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 3 }]\n[exchange]\nname = \"ex\"")
}

/// The candle that opens after so many minutes.
fn candle(minute: usize) -> Candle {
    sigbox::market::candles::generate(&recipe(SEED, DAYS)).unwrap()[minute]
}

/// A row with the fields the reference wrote at the version of the seed, and no other (specification 10.1). Its times
/// are off the minute, as those of a clock are.
fn row(candle: &Candle, late_ms: i64, is_scheduled: bool) -> Value {
    let at_ms = candle.open_time_ms + late_ms;
    json!({
        "id": "6fe27730-124e-4000-a509-cf7b79f1c000",
        "priceOpen": candle.open,
        "position": "long",
        "note": "n",
        "priceTakeProfit": candle.open * 1.01,
        "priceStopLoss": candle.open * 0.99,
        "minuteEstimatedTime": 60,
        "symbol": "BTCUSDT",
        "exchangeName": "ex",
        "strategyName": "a",
        "frameName": "",
        "scheduledAt": at_ms,
        "pendingAt": at_ms,
        "_isScheduled": is_scheduled,
    })
}

const SIGNAL: &str = "dump/data/signal/BTCUSDT_a/BTCUSDT.json";
const SCHEDULE: &str = "dump/data/schedule/BTCUSDT_a/BTCUSDT.json";
const PARTIAL: &str = "dump/data/partial/BTCUSDT_a/levels.json";
const RISK: &str = "dump/data/risk/shared/positions.json";

/// A place where the run before had come to the 310th minute.
fn workplace(configuration: &Configuration) -> Workplace {
    let workplace = Workplace::new(configuration);
    workplace.write("dump/data/events.jsonl.reached", candle(310).open_time_ms.to_string());
    workplace
}

/// What the command shows of the only strategy.
fn shown(workplace: &Workplace) -> Value {
    let said = workplace.succeed(&["state", "show", "--json"]).stdout;
    let shown: Value = serde_json::from_str(&said).unwrap();
    shown.as_array().unwrap()[0].clone()
}

/// Specification: V-PER-03.
#[test]
fn a_position_of_the_reference_is_traded_to_its_end() {
    let workplace = workplace(&configuration());
    let opened = candle(300);
    let row = row(&opened, 11_949, false);
    workplace.write(SIGNAL, row.to_string());
    workplace.write(SCHEDULE, "null");
    let slot =
        json!([["a_ex_BTCUSDT", {"strategyName": "a", "exchangeName": "ex", "openTimestamp": row["pendingAt"]}]]);
    workplace.write(RISK, slot.to_string());
    let all_levels = [10, 20, 30, 40, 50, 60, 70, 80, 90];
    workplace.write(
        PARTIAL,
        json!({(row["id"].as_str().unwrap()): {"profitLevels": all_levels, "lossLevels": []}}).to_string(),
    );

    let held = shown(&workplace);
    assert_eq!(held["state"], "open");
    assert_eq!(held["row"]["pendingAt"], row["pendingAt"]);
    assert_eq!(held["row"]["priceTakeProfit"], row["priceTakeProfit"]);

    workplace.succeed(&["live"]);
    let events = workplace.live_events();
    audit(&events);
    let closed = events.of("closed");
    assert_eq!(closed.len(), 1, "{events:#?}");
    assert_eq!(closed[0]["signal"]["id"], row["id"]);
    assert_eq!(closed[0]["signal"]["note"], "n");
    let held_for_ms = closed[0]["timestamp"].as_i64().unwrap() - opened.open_time_ms;
    assert!((MINUTE_MS..=62 * MINUTE_MS).contains(&held_for_ms), "{held_for_ms}");
    assert_eq!(events.of("partial_profit").len(), 0, "those levels were told by the reference");
    let documents = workplace.documents();
    assert_eq!(documents["signal/BTCUSDT_a/BTCUSDT.json"], "null");
    assert_eq!(documents["risk/shared/positions.json"], "[]");
    assert_eq!(documents["partial/BTCUSDT_a/levels.json"], "{}");
}

#[test]
fn an_order_of_the_reference_waits_on() {
    let workplace = workplace(&configuration());
    let mut row = row(&candle(300), 0, true);
    // Nobody sells so cheaply within two hours.
    for (price, factor) in [("priceOpen", 0.95), ("priceTakeProfit", 0.95), ("priceStopLoss", 0.95)] {
        row[price] = (row[price].as_f64().unwrap() * factor).into();
    }
    workplace.write(SCHEDULE, row.to_string());
    assert_eq!(shown(&workplace)["state"], "scheduled");
    workplace.succeed(&["live"]);
    let events = workplace.live_events();
    audit(&events);
    let cancelled = events.of("cancelled");
    assert_eq!(cancelled.len(), 1, "{events:#?}");
    assert_eq!(cancelled[0]["reason"], "timeout");
    assert_eq!(cancelled[0]["timestamp"].as_i64().unwrap(), row["scheduledAt"].as_i64().unwrap() + 120 * MINUTE_MS);
    assert_eq!(workplace.read(SCHEDULE), "null");
}

/// Specification: L-REC-15.
#[test]
fn a_row_found_in_both_homes_is_the_open_position() {
    for look_first in [false, true] {
        let workplace = workplace(&configuration());
        let candle = candle(300);
        workplace.write(SCHEDULE, row(&candle, 0, true).to_string());
        workplace.write(SIGNAL, row(&candle, 0, false).to_string());
        if look_first {
            let before = workplace.documents();
            assert_eq!(shown(&workplace)["state"], "open");
            assert_eq!(workplace.documents(), before, "looking changes nothing");
        }
        workplace.succeed(&["live"]);
        let events = workplace.live_events();
        audit(&events);
        assert_eq!(events.of("closed").len(), 1);
        assert_eq!((events.of("scheduled").len(), events.of("cancelled").len()), (0, 0));
        assert_eq!((workplace.read(SCHEDULE), workplace.read(SIGNAL)), ("null".to_owned(), "null".to_owned()));
    }
}

#[test]
fn an_order_beside_the_position_of_another_signal_is_set_aside() {
    let workplace = workplace(&configuration());
    let mut order = row(&candle(200), 0, true);
    order["id"] = "another".into();
    workplace.write(SCHEDULE, order.to_string());
    workplace.write(SIGNAL, row(&candle(300), 0, false).to_string());
    workplace.succeed(&["live"]);
    let events = workplace.live_events();
    let notices = events.of("state_quarantined");
    assert_eq!(notices.len(), 1, "{events:#?}");
    let message = notices[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("schedule BTCUSDT_a/BTCUSDT in files under dump/data cannot be understood"),
        "{message}"
    );
    assert!(
        message.contains("(a position 6fe27730-124e-4000-a509-cf7b79f1c000 is open, so no order can wait)"),
        "{message}"
    );
    assert_eq!(events.of("closed").len(), 1);
    audit(&events);
}

/// Specification: L-REC-22.
#[test]
fn a_slot_without_a_position_is_dropped_and_one_with_a_position_counts() {
    let strategy = |settings: &str| {
        Configuration::new()
            .generated("BTCUSDT", SEED, DAYS)
            .strategy("a", &plugin("strategies/sma-cross"), &["BTCUSDT"], &format!("risk = [\"shared\"]\n{settings}"))
            .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 1 }]\n[exchange]\nname = \"ex\"")
    };
    let others = json!([["b_ex_BTCUSDT", {"strategyName": "b", "exchangeName": "ex", "openTimestamp": 1}]]).to_string();
    for b_holds_a_position in [false, true] {
        let workplace = workplace(&strategy(""));
        workplace.write(RISK, &others);
        if b_holds_a_position {
            let mut row = row(&candle(300), 0, false);
            row["strategyName"] = "b".into();
            workplace.write("dump/data/signal/BTCUSDT_b/BTCUSDT.json", row.to_string());
        }
        workplace.succeed(&["live"]);
        let events = workplace.live_events();
        audit(&events);
        let (opened, dropped) = (events.of("opened").len(), events.of("slot_dropped"));
        let slots = workplace.read(RISK);
        if b_holds_a_position {
            // Nobody configures b, so what it holds is watched to its end. Until then the only slot is taken.
            assert_eq!((events.of("orphan_found").len(), dropped.len()), (1, 0));
            let opened: Vec<_> = events.of("opened").iter().map(|event| event["strategyName"].clone()).collect();
            assert_eq!(opened[0], "b");
            let ended =
                events.of("closed").iter().find(|event| event["strategyName"] == "b").unwrap()["timestamp"].clone();
            let first = events.of("opened")[1]["timestamp"].as_i64().unwrap();
            assert!(first > ended.as_i64().unwrap(), "the only slot is taken");
            assert!(!slots.contains("b_ex_BTCUSDT"), "{slots}");
        } else {
            assert!(opened > 3, "the slot is free");
            let message = "risk profile shared: the slot b_ex_BTCUSDT has no open position and was dropped";
            assert_eq!(dropped[0]["message"], message);
            assert!(!slots.contains("b_ex_BTCUSDT"), "{slots}");
        }
    }
}
