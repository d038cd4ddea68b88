//! Decisions of a person about what a trader holds, made while no run is under way.
//!
//! Each decision is recorded before the documents that hold something are cleared, like the end of a position. After a
//! crash in between, the next start finishes it.

#[cfg(test)]
mod tests;

use std::io;

use sigbox_engine::{
    Outcome, Settings, State,
    outcome::{CancelReason, CloseReason},
    signal::Pair,
};
use sigbox_events::{Event, Notice};

use crate::{
    RunError,
    journal::{Journal, Record, Recorded},
    keeper::write_documents,
    reconcile::{Reconciled, in_words, reconcile},
    restore::Restorer,
    rows::{FLAT, parse_beginning},
    sink::{Silence, Sink},
    store::{Address, Domain, OnCorrupt, Stores},
};

/// What a person decided about the position or order of a trader.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Another strategy holds it from now on, on the same symbol.
    Adopt {
        /// The name of that strategy.
        strategy: String,
    },
    /// It was closed at the exchange, at this price. An order was cancelled.
    Close {
        /// The price.
        price: f64,
    },
    /// It does not exist any more, and its result is not known.
    Forget,
    /// What the strategy remembers is dropped. What it holds stays.
    ClearMemory,
    /// The event record and the store contradict each other, and this one is right.
    Repair {
        /// Which one.
        by: Source,
    },
}

/// One of the two that say what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The event record.
    Record,
    /// The store.
    Store,
}

/// How the event record and the store compare for one trader.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The trader.
    pub pair: Pair,
    /// What it holds, as the next start will take it. For a contradiction: what the store has.
    pub state: State,
    /// What the comparison shows.
    pub finding: Finding,
}

/// What the comparison of the event record with the store of a trader shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// They agree, or differ as a crash leaves them.
    Kept,
    /// The store has lost what the record has.
    Lost {
        /// What the store has.
        found: String,
    },
    /// The store still has what has ended.
    Over {
        /// What the store has.
        found: String,
        /// Why it has ended.
        reason: String,
    },
    /// They contradict each other.
    Contradiction {
        /// What the record has.
        record: String,
        /// What the store has.
        store: String,
    },
}

/// Compares the event record with the stores for each of `pairs`, and changes nothing.
///
/// # Errors
/// When a store cannot be read, or a document cannot be understood or belongs to another trader.
pub async fn compare(
    stores: &Stores,
    settings: &Settings,
    record: &Record,
    pairs: &[Pair],
) -> Result<Vec<Comparison>, RunError> {
    let restorer = Restorer { stores, settings, on_corrupt: OnCorrupt::Halt, now_ms: 0, latest_ms: i64::MAX };
    let mut compared = Vec::new();
    for pair in pairs {
        let in_store = restorer.look(pair).await?;
        let found = in_words(&in_store);
        let (state, finding) = match reconcile(record.says(pair), in_store.clone(), pair, settings) {
            Reconciled::Kept { state, .. } => (state, Finding::Kept),
            Reconciled::Lost { held } => (held, Finding::Lost { found }),
            Reconciled::Over { reason } => (State::Idle, Finding::Over { found, reason }),
            Reconciled::Contradiction { record, store } => (in_store, Finding::Contradiction { record, store }),
        };
        compared.push(Comparison { pair: pair.clone(), state, finding });
    }
    Ok(compared)
}

/// Carries out `decision` about what `pair` holds at `now_ms`, and returns what was done, for people. The caller owns the
/// stores and the journal.
///
/// # Errors
/// When there is nothing to decide about, or a store or the journal cannot be read or written.
pub async fn decide<L: FnMut(&Event)>(
    stores: &Stores,
    settings: &Settings,
    journal: &mut Journal<L>,
    pair: &Pair,
    decision: &Decision,
    now_ms: i64,
) -> Result<String, RunError> {
    let desk = Decider { stores, settings, pair, now_ms };
    if *decision == Decision::ClearMemory {
        return desk.clear_memory(journal).await;
    }
    let compared = compare(stores, settings, journal.record(), std::slice::from_ref(pair)).await?;
    let Some(Comparison { state, finding, .. }) = compared.into_iter().next() else {
        return Err(RunError::Setup(format!("{pair} cannot be looked up")));
    };
    if let Decision::Repair { by } = decision {
        return desk.repair(journal, *by, state).await;
    }
    if let Finding::Contradiction { record, store } = &finding {
        return Err(RunError::Setup(format!(
            "{pair}: the event record has {record}, and the store has {store}; say first which is true, with `sigbox \
             state repair`"
        )));
    }
    if state == State::Idle {
        return Err(RunError::Setup(format!("{pair} holds nothing")));
    }
    let held = in_words(&state);
    match decision {
        Decision::Adopt { strategy } => desk.adopt(journal, strategy, &state).await,
        Decision::Close { price } => {
            let (reason, at_ms, price) = (CloseReason::Closed, now_ms, *price);
            desk.owe_nothing(journal, &state)?;
            let outcome = match state {
                State::Open(position) => Outcome::Closed { position, reason, at_ms, price },
                State::Scheduled(order) => Outcome::Cancelled { order, reason: CancelReason::User, at_ms, price },
                State::Idle => unreachable!("checked above"),
            };
            journal.tell(pair, &outcome)?;
            desk.finish(journal, format!("{held} was closed by hand at {price}")).await
        }
        Decision::Forget => {
            journal.end(pair)?;
            desk.finish(journal, format!("{held} was forgotten")).await
        }
        Decision::Repair { .. } | Decision::ClearMemory => unreachable!("done above"),
    }
}

struct Decider<'a> {
    stores: &'a Stores,
    settings: &'a Settings,
    pair: &'a Pair,
    now_ms: i64,
}

impl Decider<'_> {
    /// Records what was decided, and clears the documents of the trader.
    async fn finish<L: FnMut(&Event)>(&self, journal: &mut Journal<L>, decision: String) -> Result<String, RunError> {
        journal.notice(self.now_ms, Some(self.pair), &Notice::Decided { decision: decision.clone() });
        journal.sync()?;
        write_documents(self.stores, self.pair, &State::Idle, self.now_ms).await?;
        Ok(decision)
    }

    /// Tells the beginning of what is held, if a crash came before it was told.
    fn owe_nothing<L: FnMut(&Event)>(&self, journal: &mut Journal<L>, held: &State) -> io::Result<()> {
        match held {
            State::Open(position) => journal.tell(self.pair, &Outcome::Opened { position: position.clone() }),
            State::Scheduled(order) => {
                let (order, price) = (order.clone(), order.signal.price_open);
                journal.tell(self.pair, &Outcome::Scheduled { order, price })
            }
            State::Idle => Ok(()),
        }
    }

    async fn adopt<L: FnMut(&Event)>(
        &self,
        journal: &mut Journal<L>,
        strategy: &str,
        state: &State,
    ) -> Result<String, RunError> {
        let to = Pair { strategy: strategy.to_owned(), ..self.pair.clone() };
        if to == *self.pair {
            return Err(RunError::Setup(format!("{to} has it already")));
        }
        let there = compare(self.stores, self.settings, journal.record(), std::slice::from_ref(&to)).await?;
        if let Some(holds) = there.iter().find(|there| there.state != State::Idle || there.finding != Finding::Kept) {
            let holds = in_words(&holds.state);
            return Err(RunError::Setup(format!("{to} already has {holds}; it can hold one thing at a time")));
        }
        // The new documents come first: after a crash in between, the next start finds both, and clears the old one.
        write_documents(self.stores, &to, state, self.now_ms).await?;
        self.give_memory(&to).await?;
        journal.end(self.pair)?;
        self.finish(journal, format!("{} was adopted by {strategy}", in_words(state))).await
    }

    /// Gives what the strategy remembers to the one that adopts from it, unless that one remembers something itself.
    async fn give_memory(&self, to: &Pair) -> Result<(), RunError> {
        let restorer = self.restorer();
        if let Some(memory) = restorer.memory(self.pair, &mut Silence).await?
            && restorer.memory(to, &mut Silence).await?.is_none()
        {
            let (at, document) = (Address::of_pair(Domain::Memory, to), memory.document_of(to));
            self.stores.memory.write_value(&at, &document, self.now_ms).await?;
        }
        Ok(())
    }

    async fn clear_memory<L: FnMut(&Event)>(&self, journal: &mut Journal<L>) -> Result<String, RunError> {
        let at = Address::of_pair(Domain::Memory, self.pair);
        self.stores.memory.wait_for_init(&at.domain, &at.entity_name, false).await?;
        if self.stores.memory.read_value(&at).await?.is_none_or(|document| document == FLAT) {
            return Err(RunError::Setup(format!("{} remembers nothing", self.pair)));
        }
        let decision = "what it remembers was cleared".to_owned();
        journal.notice(self.now_ms, Some(self.pair), &Notice::Decided { decision: decision.clone() });
        journal.sync()?;
        self.stores.memory.write_value(&at, FLAT, self.now_ms).await?;
        Ok(decision)
    }

    async fn repair<L: FnMut(&Event)>(
        &self,
        journal: &mut Journal<L>,
        by: Source,
        stored: State,
    ) -> Result<String, RunError> {
        let state = match (by, journal.record().says(self.pair)) {
            (Source::Store, _) => {
                journal.unlearn(self.pair)?;
                stored
            }
            (Source::Record, Recorded::Held { was_ordered, beginning, .. }) => {
                parse_beginning(&beginning, was_ordered, self.pair, self.settings).map_err(|fault| {
                    RunError::Setup(format!("{}: the event record cannot be used: {}", self.pair, fault.describe()))
                })?
            }
            (Source::Record, Recorded::Ended(_)) => State::Idle,
            (Source::Record, Recorded::Unknown | Recorded::Doubtful(_)) => {
                return Err(RunError::Setup(format!("{}: the event record does not say what it holds", self.pair)));
            }
        };
        let whose = match by {
            Source::Record => "event record",
            Source::Store => "store",
        };
        let decision = format!("repaired: it has {}, as the {whose} says", in_words(&state));
        journal.notice(self.now_ms, Some(self.pair), &Notice::Decided { decision: decision.clone() });
        journal.sync()?;
        write_documents(self.stores, self.pair, &state, self.now_ms).await?;
        Ok(decision)
    }

    const fn restorer(&self) -> Restorer<'_> {
        let Self { stores, settings, now_ms, .. } = self;
        Restorer { stores, settings, on_corrupt: OnCorrupt::Halt, now_ms: *now_ms, latest_ms: i64::MAX }
    }
}
