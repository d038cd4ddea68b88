//! What is held at a start: the stores and the record of events, compared and put right.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use sigbox_engine::{MINUTE_MS, Settings, State, signal::Pair};
use sigbox_events::{Event, Notice, Verdict};

use crate::{
    LiveOptions, RunError, Setup, index,
    journal::{Journal, Record, Recorded},
    keeper::write_documents,
    live::Orphans,
    reconcile::{Reconciled, in_words, is_same, reconcile},
    restore::Restorer,
    rows::{FLAT, SlotEntry},
    sink::Sink,
    store::{Address, Domain, StoreError, Stores},
};

/// What the traders of a run hold at its start.
pub(crate) struct Held {
    /// The state of each trader of the run, with those that are only watched.
    pub(crate) states: BTreeMap<Pair, State>,
    /// For each risk profile of the run, the slots of traders that are not in the run.
    pub(crate) others: Vec<Vec<SlotEntry>>,
}

/// A clock may be slow by so much.
const LEEWAY_MS: i64 = 5 * MINUTE_MS;

/// Reads what the stores have for the traders of `setup` and for those that an earlier run had, compares it with the
/// record of events, and puts right what a crash or a store left wrong.
///
/// A trader for which both contradict each other is taken out of `setup`. A trader that holds something and that `setup`
/// does not name is added to it without a strategy.
pub(crate) async fn held<S, L: FnMut(&Event)>(
    setup: &mut Setup<S>,
    stores: &Stores,
    options: &LiveOptions,
    journal: &mut Journal<L>,
) -> Result<Held, RunError> {
    let &LiveOptions { on_corrupt, now_ms, .. } = options;
    let settings = setup.settings().clone();
    let latest_ms = now_ms.max(journal.record().newest_ms()).saturating_add(LEEWAY_MS);
    let restorer = Restorer { stores, settings: &settings, on_corrupt, now_ms, latest_ms };
    let configured = setup.pairs();

    let mut slots = Vec::new();
    for profile in setup.profiles() {
        slots.push(restorer.slots(&profile.name, journal).await?);
    }
    let stored_states = restorer.states(&configured, journal).await?;
    let mut start = Start { stores, settings: &settings, now_ms, verdict: Verdict::default(), journal };
    let mut states = BTreeMap::new();
    for (pair, stored) in configured.iter().zip(stored_states) {
        match start.settle(pair, stored).await? {
            Some(state) => drop(states.insert(pair.clone(), state)),
            None => setup.leave_out(pair),
        }
    }

    let asked = setup.pairs();
    for (seat, memory) in setup.seats().iter().zip(restorer.memories(&asked, start.journal).await?) {
        if let Some(memory) = memory {
            seat.assignment.memory().restore(memory);
        }
        seat.assignment.trades().restore(start.journal.record().trades(seat.assignment.pair()));
    }

    index::prepare(stores).await?;
    let mut in_slots = Vec::new();
    for (key, slot) in slots.iter().flatten() {
        in_slots.push(slot.owner(key));
    }
    let others = others(stores, start.journal.record(), in_slots, &configured, setup.exchange()).await?;
    let mut indexed: BTreeSet<index::Entry> =
        configured.iter().map(|pair| (pair.symbol.clone(), pair.strategy.clone())).collect();
    for pair in others {
        let held = match restorer.states(std::slice::from_ref(&pair), start.journal).await {
            Ok(mut states) => start.settle(&pair, states.pop().unwrap_or_default()).await?,
            // The row of another exchange is in its place.
            Err(error @ RunError::ForeignRow { .. }) => {
                start.orphan(&pair, "something".to_owned(), Some(error.to_string()));
                None
            }
            Err(error) => return Err(error),
        };
        if matches!(held, Some(State::Idle)) {
            continue;
        }
        indexed.insert((pair.symbol.clone(), pair.strategy.clone()));
        let Some(state) = held else { continue };
        let adopted = |(by, other): (&Pair, &State)| by.symbol == pair.symbol && is_same(other, &state);
        if let Some((by, _)) = states.iter().find(|(by, other)| adopted((by, other))) {
            // A crash came before the documents of the trader that held it were cleared.
            start.clear(&pair, &state, format!("{by} has adopted it")).await?;
            continue;
        }
        if options.orphans == Orphans::Refuse {
            let held = in_words(&state);
            return Err(RunError::Orphan(format!("{pair} still holds {held}, but is not in the configuration")));
        }
        let unwatched = (setup.market().series(&pair.symbol).is_none())
            .then(|| format!("this run has no candles of {}", pair.symbol));
        let is_watched = unwatched.is_none();
        start.orphan(&pair, in_words(&state), unwatched);
        if is_watched {
            let has_slot = |slots: &Vec<SlotEntry>| slots.iter().any(|(key, slot)| slot.owner(key) == pair);
            let profiles = setup.profiles().iter().zip(&slots).filter(|(_, slots)| has_slot(slots));
            let risk = profiles.map(|(profile, _)| profile.name.clone()).collect();
            setup.watch(pair.clone(), risk);
            states.insert(pair, state);
        }
    }
    // The index has a trader before the trader can hold anything.
    index::write(stores, &indexed, now_ms).await?;

    let Start { verdict, .. } = start;
    if !verdict.is_empty() {
        journal.notice(now_ms, None, &Notice::Reconciled(verdict));
    }
    let own: Vec<Pair> = states.keys().cloned().collect();
    let mut others = Vec::new();
    for (profile, stored) in setup.profiles().iter().zip(slots) {
        others.push(restorer.other_slots(&profile.name, stored, &own, journal).await?);
    }
    Ok(Held { states, others })
}

/// The traders that are not in `configured` and that hold something, in a store or by the record, as far as that can be
/// told by looking.
///
/// # Errors
/// When a store cannot be read.
pub async fn held_by_others(stores: &Stores, record: &Record, configured: &[Pair]) -> Result<Vec<Pair>, StoreError> {
    let exchange = configured.first().map(|pair| pair.exchange.as_str()).unwrap_or_default();
    let mut holding: BTreeSet<Pair> = record.holding().collect();
    for pair in others(stores, record, Vec::new(), configured, exchange).await? {
        for domain in [Domain::Signal, Domain::Schedule] {
            let at = Address::of_pair(domain, &pair);
            if stores.of(domain).read_value(&at).await?.is_some_and(|document| document != FLAT) {
                holding.insert(pair.clone());
            }
        }
    }
    holding.retain(|pair| !configured.contains(pair));
    Ok(holding.into_iter().collect())
}

/// The traders that may hold something and that are not in `configured`.
async fn others(
    stores: &Stores,
    record: &Record,
    in_slots: Vec<Pair>,
    configured: &[Pair],
    exchange: &str,
) -> Result<BTreeSet<Pair>, StoreError> {
    let indexed = index::read(stores).await?.into_iter().map(|(symbol, strategy)| Pair {
        symbol,
        strategy,
        exchange: exchange.to_owned(),
        frame: String::new(),
    });
    let mut others: BTreeSet<Pair> = indexed.chain(record.holding()).chain(in_slots).collect();
    others.retain(|pair| !configured.contains(pair));
    Ok(others)
}

/// A comparison under way.
struct Start<'a, L> {
    stores: &'a Stores,
    settings: &'a Settings,
    now_ms: i64,
    verdict: Verdict,
    journal: &'a mut Journal<L>,
}

impl<L: FnMut(&Event)> Start<'_, L> {
    /// Compares what the store has of `pair` with the record, and puts it right. `None`: they contradict each other.
    async fn settle(&mut self, pair: &Pair, stored: State) -> Result<Option<State>, RunError> {
        let recorded = self.journal.record().says(pair);
        let is_doubtful = matches!(recorded, Recorded::Doubtful(_));
        let found = in_words(&stored);
        let state = match reconcile(recorded, stored, pair, self.settings) {
            Reconciled::Kept { state, known } => {
                self.verdict.agreed += usize::from(known && state != State::Idle);
                if is_doubtful && state == State::Idle {
                    // Otherwise the next start would take it for held, because the damaged lines are gone then.
                    self.journal.end(pair)?;
                }
                state
            }
            Reconciled::Lost { held } => {
                write_documents(self.stores, pair, &held, self.now_ms).await?;
                self.verdict.rebuilt += 1;
                self.notice(pair, &Notice::Rebuilt { held: in_words(&held), found });
                held
            }
            Reconciled::Over { reason } => {
                write_documents(self.stores, pair, &State::Idle, self.now_ms).await?;
                self.verdict.cleared += 1;
                self.notice(pair, &Notice::Cleared { found, reason });
                State::Idle
            }
            Reconciled::Contradiction { record, store } => {
                self.verdict.stopped += 1;
                self.notice(pair, &Notice::Contradiction { record, store });
                return Ok(None);
            }
        };
        self.verdict.held += usize::from(state != State::Idle);
        Ok(Some(state))
    }

    async fn clear(&mut self, pair: &Pair, state: &State, reason: String) -> Result<(), RunError> {
        self.journal.end(pair)?;
        write_documents(self.stores, pair, &State::Idle, self.now_ms).await?;
        self.verdict.cleared += 1;
        self.verdict.held -= 1;
        self.notice(pair, &Notice::Cleared { found: in_words(state), reason });
        Ok(())
    }

    fn orphan(&mut self, pair: &Pair, held: String, unwatched: Option<String>) {
        self.verdict.orphans += 1;
        self.notice(pair, &Notice::Orphan { held, unwatched });
    }

    fn notice(&mut self, pair: &Pair, notice: &Notice) {
        self.journal.notice(self.now_ms, Some(pair), notice);
    }
}
