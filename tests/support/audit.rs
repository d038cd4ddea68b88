//! What may never be in an event file, whatever happened while it was written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Events, events::PairName, pair_of};

/// What a strategy on a symbol holds, by its events: the id of a signal.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Order(String),
    Position(String),
}

/// Replays the events and panics at the first that cannot follow from those before it: two positions at once, the end
/// of something that never began, anything twice.
pub(crate) fn audit(events: &Events) {
    let mut ids = BTreeSet::new();
    let mut opened = BTreeSet::new();
    let mut levels = BTreeSet::new();
    let mut pairs: BTreeMap<PairName, (Held, i64)> = BTreeMap::new();
    for event in events.iter() {
        let Some(pair) = pair_of(event) else { continue };
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text is missing in {event}")).to_owned();
        let (id, action) = (text(&event["id"]), text(&event["action"]));
        assert!(ids.insert(id), "told twice: {event}");

        let (held, last_ms) = pairs.entry(pair).or_insert((Held::Nothing, i64::MIN));
        let at_ms = event["timestamp"].as_i64().expect("every event has a time");
        assert!(at_ms >= *last_ms, "it happened before the event before it: {event}");
        *last_ms = at_ms;

        let signal = || text(&event["signal"]["id"]);
        let next = match (&*held, action.as_str()) {
            (Held::Nothing, "scheduled") => Held::Order(signal()),
            (Held::Nothing, "opened") => Held::Position(signal()),
            (Held::Order(order), "opened") if *order == signal() => Held::Position(signal()),
            (Held::Order(order), "cancelled") if *order == signal() => Held::Nothing,
            (Held::Position(position), "closed") if *position == signal() => Held::Nothing,
            (Held::Position(position), "partial_profit" | "partial_loss") if *position == signal() => {
                let level = event["level"].as_u64().expect("a level is a number");
                assert!(levels.insert((signal(), action.clone(), level)), "a level passed twice: {event}");
                Held::Position(signal())
            }
            (Held::Position(position), "breakeven" | "highest_profit" | "max_drawdown") if *position == signal() => {
                Held::Position(signal())
            }
            (Held::Nothing, "risk_rejection" | "invalid_signal" | "strategy_failed" | "symbol_mismatch") => {
                Held::Nothing
            }
            // The rules are asked again when an order is filled.
            (Held::Order(order), "risk_rejection") => Held::Order(order.clone()),
            (held, _) => panic!("this cannot happen to {held:?}: {event}"),
        };
        if action == "opened" {
            assert!(opened.insert(signal()), "opened twice: {event}");
        }
        *held = next;
    }
}
