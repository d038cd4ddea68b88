//! Deaths at every single step of a run, and at the steps of the restart after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fastrand::Rng;
use serde_json::Value;

use super::world::{End, Fate, Trades, World};
use crate::support::{audit, audit_with, first_difference, pair_of, slow_tests};

/// Everything that can happen in one day: entries at the market and with limits, orders that are filled, run out and
/// are refused when about to be filled, positions that end in every way, and three that want the same slots.
const TRADERS: [Trades; 4] = traders(false);

/// The same, and half of them remember something.
const REMEMBERING: [Trades; 4] = traders(true);

const fn traders(remembers: bool) -> [Trades; 4] {
    [
        Trades { name: "early", symbol: "BTCUSDT", every: 90, limit: Some(0.1), remembers },
        Trades { name: "market", symbol: "BTCUSDT", every: 70, limit: None, remembers: false },
        Trades { name: "limit", symbol: "ETHUSDT", every: 45, limit: Some(0.15), remembers: false },
        Trades { name: "other", symbol: "ETHUSDT", every: 55, limit: None, remembers },
    ]
}

fn undisturbed(traders: &'static [Trades], limit: u64) -> (World, u64) {
    let world = World::new(traders, limit);
    let fate = Arc::new(Fate::kind());
    assert_eq!(world.live(&fate), End::Through);
    (world, fate.steps())
}

/// Asserts that a run has come to the same events and documents; `what` was done to it.
fn assert_same(found: &World, expected: &World, what: &str) {
    let (found_events, expected_events) = (found.events(), expected.events());
    if let Some(difference) = first_difference(&found_events, &expected_events) {
        panic!("{what}: {difference}");
    }
    assert_eq!(found.documents(), expected.documents(), "{what}");
    audit(&found_events);
}

/// Asserts that the store holds what the events say is held.
fn assert_documents_follow(world: &World, what: &str) {
    let events = world.events();
    for (name, document) in world.documents() {
        let mut parts = name.split(['/', '_']);
        let (domain, symbol, strategy) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let (begins, ends) = match domain {
            "signal" => ("opened", ["closed", "closed"]),
            "schedule" => ("scheduled", ["opened", "cancelled"]),
            _ => continue,
        };
        let own = events.iter().filter(|event| event["symbol"] == symbol && event["strategyName"] == strategy);
        let last =
            own.filter(|event| event["action"] == begins || ends.iter().any(|end| event["action"] == *end)).last();
        let held = last.filter(|event| event["action"] == begins).map(|event| &event["signal"]["id"]);
        let stored: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(stored.get("id"), held, "{what}: {name}");
    }
}

#[test]
fn the_day_has_everything_in_it() {
    let (world, steps) = undisturbed(&REMEMBERING, 1);
    let events = world.events();
    audit_with(&events, &world.known());
    for action in ["scheduled", "opened", "closed", "cancelled", "risk_rejection", "partial_profit", "partial_loss"] {
        assert!(events.of(action).len() > 3, "{action}: {}", events.of(action).len());
    }
    for reason in ["take_profit", "stop_loss", "time_expired"] {
        assert!(events.of("closed").iter().any(|event| event["closeReason"] == reason), "{reason}");
    }
    for reason in ["timeout", "user"] {
        assert!(events.of("cancelled").iter().any(|event| event["reason"] == reason), "{reason}");
    }
    let remembered = events.of("opened").iter().filter(|event| event["signal"]["note"] != "").count();
    assert!(remembered > 3, "{remembered}");
    assert!(steps > 500, "{steps}");
}

/// Every step when there is time, with writes in one order, and one step in three with those in another. Otherwise so many
/// that together the tests meet most of them.
fn some_of(steps: u64, order: u64) -> impl Iterator<Item = u64> {
    let (first, apart) = match (slow_tests(), order) {
        (true, 0) => (0, 1),
        (true, order) => (order % 3, 3),
        (false, order) => (order, 7),
    };
    (first..steps).step_by(apart)
}

#[test]
fn a_death_at_any_step_changes_nothing_in_the_end() {
    for (limit, order) in [(1, 0), (2, 1), (1, 2)] {
        let (expected, steps) = undisturbed(&REMEMBERING, limit);
        for step in some_of(steps, order) {
            let world = World::new(&REMEMBERING, limit);
            assert_eq!(world.live(&Arc::new(Fate::dies_at(step, order))), End::Died, "step {step} of {steps}");
            assert_eq!(world.live(&Arc::new(Fate::kind())), End::Through);
            assert_same(&world, &expected, &format!("limit {limit}, order {order}, step {step} of {steps}"));
        }
    }
}

#[test]
fn many_deaths_in_a_row_change_nothing_in_the_end() {
    let (expected, steps) = undisturbed(&REMEMBERING, 1);
    for seed in 0..if slow_tests() { 150 } else { 30 } {
        let mut dice = Rng::with_seed(seed);
        let world = World::new(&REMEMBERING, 1);
        let mut deaths = 0;
        // Mostly soon after the start, where a restart puts things right.
        while world.live(&Arc::new(Fate::dies_at(dice.u64(0..steps) / dice.u64(1..60), seed))) == End::Died {
            deaths += 1;
        }
        assert_same(&world, &expected, &format!("seed {seed}, {deaths} deaths"));
    }
}

#[test]
fn a_store_that_fails_for_a_while_loses_nothing_and_opens_nothing() {
    let (expected, steps) = undisturbed(&TRADERS, 2);
    let ends = |world: &World| -> BTreeMap<String, Value> {
        let is_end = |event: &&Value| event["action"] == "closed" || event["reason"] == "price_reject";
        world.events().iter().filter(is_end).map(|event| (event["signal"]["id"].to_string(), event.clone())).collect()
    };
    let expected_ends = ends(&expected);
    let mut failures = 0;
    // Early enough that it answers again before the day is over.
    // Later than the start: a run does not start on a store that fails.
    for (step, length) in some_of(steps - 600, 3).map(|step| step.max(60)).zip([1, 6, 60, 300].into_iter().cycle()) {
        let world = World::new(&TRADERS, 2);
        let what = format!("from step {step} of {steps} for {length}");
        assert_eq!(world.live(&Arc::new(Fate::fails_at(step..step + length))), End::Through);
        let events = world.events();
        audit_with(&events, &world.known());

        let mut failing = BTreeSet::new();
        for event in events.iter() {
            let about = event["about"].as_str().map(str::to_owned);
            let pair = pair_of(event).map(|(strategy, symbol)| format!("{strategy} on {symbol}"));
            match (event["action"].as_str().unwrap(), about, pair) {
                ("store_failed", Some(about), _) => drop(failing.insert(about)),
                ("store_recovered", Some(about), _) => assert!(failing.remove(&about), "{what}: {event}"),
                ("opened" | "scheduled", _, Some(pair)) => assert!(!failing.contains(&pair), "{what}: {event}"),
                _ => {}
            }
        }
        failures += events.of("store_failed").len();
        assert!(failing.is_empty(), "{what}: {failing:?} never recovered");

        // Whatever was held ended as if nothing had been the matter: late perhaps, but at its own minute and price.
        for (id, end) in ends(&world) {
            assert!(expected_ends.get(&id).is_none_or(|expected| *expected == end), "{what}: {end}");
        }
        assert_documents_follow(&world, &what);
    }
    assert!(failures > 50, "the store failed: {failures}");
}
