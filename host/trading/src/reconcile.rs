//! The record of events against the stores: what a trader holds, when the two are compared at a start.
//!
//! A beginning is recorded after its document is written, and an end before its document is cleared. So when the two
//! differ by one step, a crash came between, and the run goes on from there. Everything else shows that one of them has
//! lost something: a store that came back empty or older, a volume that is not mounted, a file that was removed.
//!
//! | the record says | the store has | it is |
//! |---|---|---|
//! | nothing, or lines after it were damaged | anything | what the store has |
//! | signal a is held | a | agreed; if they differ in a price or a time: a contradiction |
//! | order a waits | position a | what the store has: the event of its opening is told again |
//! | position a is open | order a | what the record has: the store is older |
//! | a is held | nothing, or a signal before a | what the record has: the store lost it |
//! | a is held | a signal after a | a contradiction |
//! | a has ended | a, or a signal before a | flat: it is cleared, and not judged again |
//! | a has ended | a signal after a | what the store has: its beginning is told again |
//!
//! A trader holds one thing at a time. So a signal that was proposed before another one of the same trader has ended.

#[cfg(test)]
mod tests;

use sigbox_engine::{Settings, Signal, State, signal::Pair};

use crate::{
    journal::{Recorded, Signed},
    rows::{RowFault, parse_beginning},
};

/// What a trader holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reconciled {
    /// What the store has. `known`: the record says the same.
    Kept { state: State, known: bool },
    /// What the record has. The store lost it.
    Lost { held: State },
    /// Nothing. What the store has is left over from a signal that has ended.
    Over { reason: String },
    /// Nobody knows.
    Contradiction { record: String, store: String },
}

/// Compares what the record says of `pair` with the state in its store.
pub(crate) fn reconcile(recorded: Recorded, stored: State, pair: &Pair, settings: &Settings) -> Reconciled {
    match recorded {
        Recorded::Unknown | Recorded::Doubtful(_) => Reconciled::Kept { state: stored, known: false },
        Recorded::Ended(ended) => match signal(&stored) {
            Some(signal) if signal.id == ended.id => {
                Reconciled::Over { reason: format!("the event record says that signal {} has ended", ended.id) }
            }
            Some(signal) if signal.scheduled_at_ms < ended.scheduled_at_ms => Reconciled::Over {
                reason: format!("the event record has a later signal {} of the trader, which has ended too", ended.id),
            },
            Some(_) => Reconciled::Kept { state: stored, known: false },
            None => Reconciled::Kept { state: stored, known: true },
        },
        Recorded::Held { signal: by_record, was_ordered, beginning } => {
            match parse_beginning(&beginning, was_ordered, pair, settings) {
                Ok(held) => compare(&by_record, held, stored),
                Err(fault) => against_an_unclear_record(&by_record, &fault, stored),
            }
        }
    }
}

fn compare(by_record: &Signed, held: State, stored: State) -> Reconciled {
    let Some(in_store) = signal(&stored) else { return Reconciled::Lost { held } };
    if in_store.id != by_record.id {
        return if in_store.scheduled_at_ms < by_record.scheduled_at_ms {
            Reconciled::Lost { held }
        } else {
            Reconciled::Contradiction { record: in_words(&held), store: in_words(&stored) }
        };
    }
    match (&held, &stored) {
        (State::Open(_), State::Scheduled(_)) => Reconciled::Lost { held },
        _ if is_same(&held, &stored) => Reconciled::Kept { state: stored, known: true },
        _ => Reconciled::Contradiction { record: in_words(&held), store: in_words(&stored) },
    }
}

/// The record says that something is held, but the event that began it breaks today's rules. If the store has it, the
/// store decides.
fn against_an_unclear_record(by_record: &Signed, fault: &RowFault, stored: State) -> Reconciled {
    match signal(&stored) {
        Some(signal) if signal.id == by_record.id => Reconciled::Kept { state: stored, known: true },
        _ => Reconciled::Contradiction {
            record: format!("signal {} ({})", by_record.id, fault.describe()),
            store: in_words(&stored),
        },
    }
}

/// Whether both are the same signal, ordered at the same time at the same prices. Fields that a row need not have are not compared: what they are by
/// default may have changed since.
pub(crate) fn is_same(held: &State, stored: &State) -> bool {
    let (Some(one), Some(other)) = (signal(held), signal(stored)) else { return false };
    let prices = |signal: &Signal| (signal.price_open, signal.price_take_profit, signal.price_stop_loss);
    let opened = |state: &State| state.position().map(|position| position.pending_at_ms);
    (&one.id, one.side, one.scheduled_at_ms) == (&other.id, other.side, other.scheduled_at_ms)
        && prices(one) == prices(other)
        && (opened(held).is_none() || opened(held) == opened(stored))
}

pub(crate) fn signal(state: &State) -> Option<&Signal> {
    match state {
        State::Idle => None,
        State::Scheduled(order) => Some(&order.signal),
        State::Open(position) => Some(&position.signal),
    }
}

/// `nothing`, or `position x (long from 100, take-profit 110, stop-loss 90)`.
pub(crate) fn in_words(state: &State) -> String {
    let Some(Signal { id, side, price_open, price_take_profit, price_stop_loss, .. }) = signal(state) else {
        return "nothing".to_owned();
    };
    let what = if state.position().is_some() { "position" } else { "order" };
    let side = side.name();
    format!("{what} {id} ({side} from {price_open}, take-profit {price_take_profit}, stop-loss {price_stop_loss})")
}
