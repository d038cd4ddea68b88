//! Days of made-up markets and strategies, a seed each, and an auditor who works out from the candles what must have
//! happened.
//!
//! `SIGBOX_SLOW_TESTS=1` runs many seeds; `SIGBOX_SIM_SEED=<number>` runs one. A test that fails names its seed: add it
//! to [`FAILED_ONCE`], so that it is run from then on.

mod ideas;
mod market;
mod run;

use std::{collections::BTreeSet, env};

use serde_json::{Value, json};
use sigbox_engine::{Interval, MINUTE_MS};

use self::run::Simulation;
use crate::support::{Events, fault, first_difference, slow_tests};

/// Seeds that showed a fault once.
const FAILED_ONCE: [u64; 0] = [];

const DAYS: usize = 2;

fn seeds() -> Vec<u64> {
    match env::var("SIGBOX_SIM_SEED") {
        Ok(seed) => vec![seed.parse().unwrap_or_else(|_| panic!("SIGBOX_SIM_SEED={seed} is no whole number"))],
        Err(_) => FAILED_ONCE.into_iter().chain(0..if slow_tests() { 200 } else { 12 }).collect(),
    }
}

fn on_each_simulation(test: impl Fn(Simulation) -> Result<(), String>) {
    for seed in seeds() {
        test(Simulation::new(seed, DAYS)).unwrap_or_else(|fault| panic!("SIGBOX_SIM_SEED={seed}: {fault}"));
    }
}

/// How often a backtest of this seed asks.
fn frame_interval(seed: u64) -> Interval {
    let names = ["1m", "1m", "5m", "1h"];
    names[usize::try_from(seed % 4).expect("less than four")].parse().expect("an interval")
}

#[test]
fn a_backtest_is_what_its_candles_say() {
    on_each_simulation(|simulation| {
        let interval = frame_interval(simulation.seed);
        fault(&simulation.backtest(interval), &simulation.known_of_backtest(interval))
    });
}

#[test]
fn a_live_run_is_its_backtest() {
    on_each_simulation(|simulation| {
        let (tested, traded) = (simulation.backtest(Interval::MINUTE), simulation.live());
        fault(&traded, &simulation.known())?;
        // The candle after the last boundary ends what a backtest still holds; a live run goes on.
        let last_ms = simulation.last_asked_ms();
        let (tested, traded) = (tested.before(last_ms), traded.before(last_ms));
        if tested.of("closed").len() < 20 {
            return Err(format!("there is little to compare: {tested:?}"));
        }
        first_difference(&traded, &tested).map_or(Ok(()), Err)
    });
}

#[test]
fn a_run_to_a_time_is_the_beginning_of_a_longer_one() {
    on_each_simulation(|simulation| {
        let whole = simulation.backtest(Interval::MINUTE);
        let minutes = 300 + usize::try_from(simulation.seed % 97).expect("less than 97") * 25;
        let begun = simulation.first(minutes);
        let (first, last_ms) = (begun.backtest(Interval::MINUTE), begun.last_asked_ms());
        fault(&first, &begun.known_of_backtest(Interval::MINUTE))?;
        first_difference(&first.before(last_ms), &whole.before(last_ms)).map_or(Ok(()), Err)
    });
}

#[test]
fn everything_that_can_happen_does() {
    let mut seen = BTreeSet::new();
    for seed in 0..12 {
        for event in Simulation::new(seed, DAYS).backtest(frame_interval(seed)).iter() {
            let reason = [&event["closeReason"], &event["reason"]].into_iter().find_map(Value::as_str);
            seen.insert(reason.or(event["action"].as_str()).expect("an event says what happened").to_owned());
        }
    }
    let expected = [
        "breakeven",
        "highest_profit",
        "invalid_signal",
        "liquidation",
        "max_drawdown",
        "opened",
        "partial_loss",
        "partial_profit",
        "price_reject",
        "risk_rejection",
        "scheduled",
        "stop_loss",
        "strategy_failed",
        "symbol_mismatch",
        "take_profit",
        "time_expired",
        "timeout",
        "user",
    ];
    assert!(seen.iter().eq(&expected), "{seen:?}");
}

/// What is done to one event, if it can be done to it.
type Falsify = fn(event: &Value) -> Option<Falsified>;

enum Falsified {
    Changed(Value),
    TakenOut,
}

/// The event with something else in it.
fn with(event: &Value, change: impl FnOnce(&mut Value)) -> Option<Falsified> {
    let mut changed = event.clone();
    change(&mut changed);
    (changed != *event).then_some(Falsified::Changed(changed))
}

/// Nothing in the place of an event of this action.
fn without(event: &Value, action: &str) -> Option<Falsified> {
    (event["action"] == action).then_some(Falsified::TakenOut)
}

fn nudged(number: &Value, share: f64) -> Value {
    let number = number.as_f64().expect("a number");
    json!(number + number.abs() * share)
}

#[test]
fn whatever_is_falsified_is_found() {
    let falsifications: [(&str, Falsify); 17] = [
        ("a price", |event| {
            let price = event["currentPrice"].as_f64()?;
            with(event, |event| event["currentPrice"] = json!(price.next_up()))
        }),
        ("a time", |event| {
            let at_ms = event["timestamp"].as_i64().filter(|_| event["signal"].is_object())?;
            with(event, |event| event["timestamp"] = json!(at_ms + MINUTE_MS))
        }),
        ("a closing time", |event| {
            let at_ms = event["closeTimestamp"].as_i64()?;
            with(event, |event| event["closeTimestamp"] = json!(at_ms - MINUTE_MS))
        }),
        ("no close", |event| without(event, "closed")),
        ("no cancel", |event| without(event, "cancelled")),
        ("no opening", |event| without(event, "opened")),
        ("no level", |event| event["level"].is_u64().then_some(Falsified::TakenOut)),
        ("no breakeven", |event| without(event, "breakeven")),
        ("no peak", |event| without(event, "highest_profit")),
        ("no fall", |event| without(event, "max_drawdown")),
        ("a level", |event| {
            let level = event["level"].as_u64()?;
            with(event, |event| event["level"] = json!(level + 10))
        }),
        ("a reason", |event| {
            event["closeReason"].as_str()?;
            let other = if event["closeReason"] == "stop_loss" { "time_expired" } else { "stop_loss" };
            with(event, |event| event["closeReason"] = json!(other))
        }),
        ("a result", |event| {
            let result = event["pnl"]["pnlPercentage"].as_f64()?;
            with(event, |event| event["pnl"]["pnlPercentage"] = json!(result + 1e-9))
        }),
        ("an amount", |event| {
            let pnl = event["signal"]["pnl"].get("pnlCost").filter(|_| event["pnl"].is_object())?;
            let nudged = nudged(pnl, 1e-9);
            with(event, |event| event["signal"]["pnl"]["pnlCost"] = nudged)
        }),
        ("an entry", |event| {
            event["pnl"].as_object()?;
            let nudged = nudged(&event["signal"]["priceOpen"], 4.0 * f64::EPSILON);
            with(event, |event| event["signal"]["priceOpen"] = nudged)
        }),
        ("a best point", |event| {
            event["pnl"].as_object()?;
            let nudged = nudged(&event["signal"]["peakProfit"]["price"], 1e-15);
            with(event, |event| event["signal"]["peakProfit"]["price"] = nudged)
        }),
        ("a stop", |event| {
            let stop = event["signal"].get("priceStopLoss")?;
            let nudged = nudged(stop, 0.01);
            with(event, |event| {
                event["signal"]["priceStopLoss"] = nudged.clone();
                event["signal"]["originalPriceStopLoss"] = nudged;
            })
        }),
    ];
    let simulation = Simulation::new(1, DAYS).first(600);
    let (events, known) = (simulation.backtest(Interval::MINUTE), simulation.known_of_backtest(Interval::MINUTE));
    fault(&events, &known).expect("it is as it was written");
    let lines = events.lines();
    for (what, falsify) in falsifications {
        let mut tried = 0;
        for (place, event) in events.iter().enumerate() {
            let Some(changed) = falsify(event) else { continue };
            // Every one of few, and some of many.
            tried += 1;
            if tried > 10 && tried % 61 != 0 {
                continue;
            }
            let changed = match changed {
                Falsified::Changed(event) => event.to_string(),
                Falsified::TakenOut => String::new(),
            };
            let mut falsified = lines.clone();
            falsified[place] = &changed;
            falsified.retain(|line| !line.is_empty());
            let found = fault(&Events::parse(&falsified.join("\n")), &known);
            assert!(found.is_err(), "{what} was falsified and not found: {event}");
        }
        assert!(tried > 0, "there is no event in which to falsify {what}");
    }
}
