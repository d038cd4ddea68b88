//! What may never be in an event file, whatever the candles were and whatever happened while it was written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Events, events::PairName, pair_of};

/// What a strategy on a symbol holds, by its events: the id of a signal.
#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Order(String),
    Position(String),
}

/// Replays the events up to the first that cannot follow from those before it: two positions at once, the end of
/// something that never began, anything twice, more than `max_active` orders and positions in all.
pub(super) fn check(events: &Events, max_active: Option<usize>) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    let mut opened = BTreeSet::new();
    let mut last_opened: BTreeMap<PairName, String> = BTreeMap::new();
    let mut levels = BTreeSet::new();
    let mut pairs: BTreeMap<PairName, (Held, i64)> = BTreeMap::new();
    for event in events.iter() {
        let Some(pair) = pair_of(event) else { continue };
        let ensure = |holds: bool, fault: &str| if holds { Ok(()) } else { Err(format!("{fault}: {event}")) };
        let text =
            |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("a text is missing: {event}"));
        let (id, action) = (text(&event["id"])?, text(&event["action"])?);
        ensure(ids.insert(id), "told twice")?;

        let (held, last_ms) = pairs.entry(pair.clone()).or_insert((Held::Nothing, i64::MIN));
        let at_ms = event["timestamp"].as_i64().ok_or_else(|| format!("it has no time: {event}"))?;
        ensure(at_ms >= *last_ms, "it happened before the event before it")?;
        *last_ms = at_ms;

        let about = event["signal"]["id"].as_str().unwrap_or_default().to_owned();
        // A strategy may use a name again, but not for the signal of another time.
        let signal = (pair.clone(), about.clone(), event["signal"]["scheduledAt"].as_i64());
        let next = match (&*held, action.as_str()) {
            (Held::Nothing, "scheduled") => Held::Order(about.clone()),
            (Held::Nothing, "opened") => Held::Position(about.clone()),
            (Held::Order(order), "opened") if *order == about => Held::Position(about.clone()),
            (Held::Order(order), "cancelled") if *order == about => Held::Nothing,
            (Held::Position(position), "closed") if *position == about => Held::Nothing,
            (Held::Position(position), "partial_profit" | "partial_loss") if *position == about => {
                ensure(levels.insert((signal.clone(), action.clone(), event["level"].as_u64())), "passed twice")?;
                Held::Position(about.clone())
            }
            (Held::Position(position), "breakeven" | "highest_profit" | "max_drawdown") if *position == about => {
                Held::Position(about.clone())
            }
            (Held::Nothing, "risk_rejection" | "invalid_signal" | "strategy_failed" | "symbol_mismatch") => {
                Held::Nothing
            }
            // The rules are asked again when an order is filled.
            (Held::Order(order), "risk_rejection") => Held::Order(order.clone()),
            (held, _) => return Err(format!("this cannot happen to {held:?}: {event}")),
        };
        *held = next;
        if action == "opened" {
            ensure(opened.insert(signal), "opened twice")?;
            let last = last_opened.insert(pair, about.clone());
            ensure(last.is_none_or(|last| last != about), "the id opened last is opened again")?;
        }
        let active = pairs.values().filter(|(held, _)| !matches!(held, Held::Nothing)).count();
        ensure(max_active.is_none_or(|limit| active <= limit), "more is held than the risk rules allow")?;
    }
    Ok(())
}
