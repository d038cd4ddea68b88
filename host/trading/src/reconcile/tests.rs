//! What a start makes of each thing the record can say, beside each thing the store can have.
//!
//! The record: `x@0 waits`, `x@0 open` (at minute 0; filled: `x@0 open filled 2`), `x@0 ended`, `x@0 doubtful`, nothing.
//! The store: as the scenes of other tests say it.

use serde_json::Value;
use sigbox_engine::{Outcome, Position};
use sigbox_events::Event;

use super::*;
use crate::testing::{at, held, number, pair, settings, state};

fn recorded(text: &str) -> Recorded {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [signal, what, rest @ ..] = &words[..] else { return Recorded::Unknown };
    let (id, minute) = signal.split_once('@').unwrap();
    let scheduled_at_ms = at(number(minute));
    let signal = Signed { id: id.to_owned(), scheduled_at_ms };
    let pair = pair("a");
    let price = rest.iter().find_map(|word| word.strip_prefix("open=")).unwrap_or("100");
    let outcome = match *what {
        "ended" => return Recorded::Ended(signal),
        "doubtful" => return Recorded::Doubtful(signal),
        "waits" => {
            let order = state(&pair, &format!("waiting id={id} @{minute} open={price}")).order().cloned().unwrap();
            Outcome::Scheduled { order, price: 100.0 }
        }
        "open" => {
            let open = state(&pair, &format!("open id={id} @{minute} open={price}"));
            let filled = rest.iter().position(|word| *word == "filled").map(|index| at(number(rest[index + 1])));
            let mut position: Position = open.position().cloned().unwrap();
            position.pending_at_ms = filled.unwrap_or(scheduled_at_ms);
            Outcome::Opened { position: position.into() }
        }
        _ => panic!("{what:?} is nothing a record says"),
    };
    let event: Value = serde_json::from_str(&Event::of(&pair, &outcome).unwrap().to_json()).unwrap();
    Recorded::Held { signal, was_ordered: rest.contains(&"filled"), beginning: event }
}

#[track_caller]
fn check(record: &str, store: &str, expected: &str) {
    let pair = pair("a");
    let found = match reconcile(recorded(record), state(&pair, store), &pair, &settings()) {
        Reconciled::Kept { state, known } => format!("{} {}", if known { "agreed" } else { "new" }, held(&state)),
        Reconciled::Lost { held: state } => format!("lost {}", held(&state)),
        Reconciled::Over { reason } => format!("over: {reason}"),
        Reconciled::Contradiction { record, store } => format!("contradiction: {record} / {store}"),
    };
    assert!(found.starts_with(expected), "{record} | {store}\nfound    {found}\nexpected {expected}");
}

#[test]
fn what_one_step_apart_is_came_from_a_crash() {
    check("", "flat", "new flat");
    check("", "open id=x", "new open 100");
    check("", "waiting id=x", "new waiting 100");
    check("x@0 waits", "waiting id=x", "agreed waiting 100");
    check("x@0 open", "open id=x", "agreed open 100");
    check("x@0 open", "open id=x +10", "agreed open 100 +10");
    // The order was filled, and the event of it is told again.
    check("x@0 waits", "open id=x", "agreed open 100");
    // The event of a beginning comes after its document.
    check("x@0 ended", "open id=y @5", "new open 100");
    check("x@0 ended", "waiting id=y @1", "new waiting 100");
    // The event of an end comes before its document is cleared.
    check("x@0 ended", "open id=x", "over: the event record says that signal x has ended");
    check("x@0 ended", "waiting id=x", "over: the event record says that signal x has ended");
    check("x@0 ended", "flat", "agreed flat");
}

#[test]
fn what_a_store_has_lost_is_what_the_record_has() {
    check("x@0 open", "flat", "lost open 100");
    check("x@0 waits open=99", "flat", "lost waiting 99");
    // An older state of the store.
    check("x@0 open filled 2", "waiting id=x", "lost open 100");
    check("x@5 open open=98", "open id=w @0", "lost open 98");
    check("x@5 waits", "waiting id=w @0", "lost waiting 100");
    check("x@5 ended", "open id=w @0", "over: the event record has a later signal x");
}

#[test]
fn what_nobody_can_tell_is_a_contradiction() {
    check(
        "x@0 open",
        "open id=x open=99",
        "contradiction: position x (long from 100, take-profit 200, stop-loss 50) / position x (long from 99,",
    );
    check("x@0 open", "open id=x sl=49", "contradiction");
    check("x@0 open", "open id=x short", "contradiction");
    check("x@0 open filled 2", "open id=x", "contradiction");
    check("x@0 waits", "waiting id=x tp=201", "contradiction");
    // A later signal, of which the record knows nothing though it still has an earlier one.
    check("x@0 open", "open id=y @5", "contradiction");
    check("x@0 waits", "open id=y @5", "contradiction");
}

#[test]
fn a_damaged_record_leaves_it_to_the_store() {
    check("x@0 doubtful", "flat", "new flat");
    check("x@0 doubtful", "open id=x", "new open 100");
    check("x@0 doubtful", "open id=y @5", "new open 100");
}

/// The event of a beginning that breaks the rules, as nobody could have written it.
#[test]
fn an_event_that_makes_no_row_leaves_it_to_the_store_that_has_the_signal() {
    let Recorded::Held { signal, was_ordered, mut beginning } = recorded("x@0 open") else { unreachable!() };
    beginning["signal"]["originalPriceStopLoss"] = 1000.into();
    let record = Recorded::Held { signal, was_ordered, beginning };
    let (pair, settings) = (pair("a"), settings());
    let same = reconcile(record.clone(), state(&pair, "open id=x"), &pair, &settings);
    assert!(matches!(same, Reconciled::Kept { known: true, .. }), "{same:?}");
    let nothing = reconcile(record, State::Idle, &pair, &settings);
    let Reconciled::Contradiction { record, store } = nothing else { panic!("{nothing:?}") };
    assert!(record.starts_with("signal x (it breaks the rules"), "{record}");
    assert_eq!(store, "nothing");
}
