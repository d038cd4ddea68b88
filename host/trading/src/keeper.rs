//! The keeper: writes the documents of a run to the stores, in an order that survives every crash.
//!
//! One transition changes documents of several domains, and no store promises to write two of them all or nothing. This
//! order makes every crash harmless (hazards H-08, H-11):
//!
//! 1. First the documents that hold something new: the row of a position, the row of an order, the levels.
//! 2. Then the slots of the risk profiles. They follow from the rows, and the next start writes them again.
//! 3. Last the documents that are cleared: of an order that has ended, of a position that was closed.
//!
//! A crash between 1 and 3 leaves a row in two homes, never in none. If a row is in both homes at a start, it is the
//! position.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::OnceLock};

use futures_util::{StreamExt as _, stream};
use sigbox_engine::{Position, State, signal::Pair};
use sigbox_events::Incident;

use crate::{
    risk::{Claim, Profile},
    rows::{
        FLAT, SlotEntry, has_levels, levels_document, order_document, position_document, slot_entry, slots_document,
    },
    store::{Address, Domain, FENCED, StoreError, Stores},
};

/// A transition that is about to be committed.
pub(crate) struct Change<'a> {
    pub(crate) seat: usize,
    pub(crate) before: &'a State,
    pub(crate) after: &'a State,
}

impl Change<'_> {
    /// Whether it changes any document.
    pub(crate) fn is_durable(&self) -> bool {
        match (self.before, self.after) {
            (State::Open(before), State::Open(after)) => levels_differ(before, after),
            (State::Idle, State::Idle) | (State::Scheduled(_), State::Scheduled(_)) => false,
            (State::Idle | State::Scheduled(_) | State::Open(_), _) => true,
        }
    }

    /// The documents that hold something new after it.
    fn births(&self, pair: &Pair) -> Vec<Write> {
        let mut writes = Vec::new();
        match (self.before, self.after) {
            (State::Idle, State::Scheduled(order)) => {
                writes.push(Write::new(Domain::Schedule, pair, order_document(pair, order)));
            }
            (State::Idle | State::Scheduled(_), State::Open(position)) => {
                writes.push(Write::new(Domain::Signal, pair, position_document(pair, position)));
            }
            (State::Open(before), State::Open(after)) if levels_differ(before, after) => {
                writes.push(Write::new(Domain::Partial, pair, levels_document(Some(after))));
            }
            (State::Idle | State::Scheduled(_) | State::Open(_), _) => {}
        }
        writes
    }

    /// The documents that say "nothing here" after it.
    fn clears(&self, pair: &Pair) -> Vec<Write> {
        match (self.before, self.after) {
            (State::Scheduled(_), State::Idle | State::Open(_)) => {
                vec![Write::new(Domain::Schedule, pair, FLAT.to_vec())]
            }
            (State::Open(position), State::Idle) => {
                // The row is cleared last. While it is there, a restart closes the position again, with or without its
                // levels.
                let levels = has_levels(position).then(|| Write::new(Domain::Partial, pair, levels_document(None)));
                levels.into_iter().chain([Write::new(Domain::Signal, pair, FLAT.to_vec())]).collect()
            }
            (State::Idle | State::Scheduled(_) | State::Open(_), _) => Vec::new(),
        }
    }

    /// Whether it changes the slots of the risk profiles.
    fn moves_slots(&self) -> bool {
        self.before.position().is_some() != self.after.position().is_some()
    }
}

fn levels_differ(before: &Position, after: &Position) -> bool {
    (before.profit_levels, before.loss_levels) != (after.profit_levels, after.loss_levels)
}

/// One document to be written.
struct Write {
    domain: Domain,
    at: Address,
    document: Vec<u8>,
}

impl Write {
    fn new(domain: Domain, pair: &Pair, document: Vec<u8>) -> Self {
        Self { domain, at: Address::of_pair(domain, pair), document }
    }
}

/// Seats whose documents are not known to be durable, and why.
pub(crate) type Failures = BTreeMap<usize, String>;

/// How many calls of stores may be under way at the same time. There are more calls than a disk has threads, so no
/// thread waits for the next call. There are not many more, because a backend takes one call after the other, and the
/// last call must not wait past its time limit.
pub(crate) const SIDE_BY_SIDE: usize = 256;

/// Writes the changes of a run's traders to the stores.
pub(crate) struct Keeper {
    stores: Stores,
    pairs: Vec<Pair>,
    /// The first change that was refused because another host has claimed a store.
    fenced: OnceLock<StoreError>,
}

impl Keeper {
    /// `pairs`: one for each seat, in the order of the seats.
    pub(crate) const fn new(stores: Stores, pairs: Vec<Pair>) -> Self {
        Self { stores, pairs, fenced: OnceLock::new() }
    }

    /// Writes every document that changes, stage by stage; within a stage, all traders side by side. Returns the seats
    /// whose change is not known to be durable. `claims`: one for each seat, with the state that is about to be
    /// current. `failed`: seats whose change failed before, which is not among `changes`.
    pub(crate) async fn keep(
        &self,
        changes: &[Change<'_>],
        claims: &[Claim<'_>],
        profiles: &[Profile],
        mut failed: Failures,
        now_ms: i64,
    ) -> Failures {
        let births = changes.iter().map(|change| (change.seat, change.births(&self.pairs[change.seat])));
        note(&mut failed, self.write_side_by_side(births, now_ms).await);

        let is_moved = |profile| {
            changes.iter().any(|change| change.moves_slots() && claims[change.seat].profiles.contains(&profile))
        };
        let moved = (0..profiles.len()).filter(|profile| is_moved(*profile));
        for (profile, error) in self.write_slots(moved, claims, profiles, &failed, now_ms).await {
            let subject = changes.iter().filter(|change| claims[change.seat].profiles.contains(&profile));
            note(&mut failed, subject.map(|change| (change.seat, Err(error.clone()))));
        }

        let kept = changes.iter().filter(|change| !failed.contains_key(&change.seat));
        let clears = kept.map(|change| (change.seat, change.clears(&self.pairs[change.seat])));
        let cleared = self.write_side_by_side(clears, now_ms).await;
        note(&mut failed, cleared);
        failed
    }

    /// Writes every document of these seats again, from the states in `claims`. Returns the seats whose documents are
    /// still not known to be durable.
    pub(crate) async fn rewrite(
        &self,
        seats: &[usize],
        claims: &[Claim<'_>],
        profiles: &[Profile],
        now_ms: i64,
    ) -> Failures {
        let mut failed = Failures::new();
        let documents = seats.iter().map(|seat| (*seat, documents(&self.pairs[*seat], claims[*seat].state)));
        note(&mut failed, self.write_side_by_side(documents, now_ms).await);

        let written = |seat: &usize| !failed.contains_key(seat);
        let concerns = |profile| seats.iter().any(|seat| written(seat) && claims[*seat].profiles.contains(&profile));
        let concerned: Vec<usize> = (0..profiles.len()).filter(|profile| concerns(*profile)).collect();
        for (profile, error) in self.write_slots(concerned, claims, profiles, &Failures::new(), now_ms).await {
            let subject = seats.iter().filter(|seat| claims[**seat].profiles.contains(&profile));
            note(&mut failed, subject.map(|seat| (*seat, Err(error.clone()))));
        }
        failed
    }

    /// Writes the slots of the profiles `of`: one for each open position. The change of a seat in `failed` is not kept,
    /// so its slot is that of the state before. Returns the profiles for which that failed.
    pub(crate) async fn write_slots(
        &self,
        of: impl IntoIterator<Item = usize>,
        claims: &[Claim<'_>],
        profiles: &[Profile],
        failed: &Failures,
        now_ms: i64,
    ) -> Vec<(usize, StoreError)> {
        let document = |profile: usize| {
            let Profile { name, others, .. } = &profiles[profile];
            let own = claims
                .iter()
                .enumerate()
                .filter(|(_, claim)| claim.profiles.contains(&profile))
                .map(|(seat, claim)| {
                    (claim, if failed.contains_key(&seat) { claim.trader.state() } else { claim.state })
                })
                .filter_map(|(claim, state)| Some(slot_entry(claim.trader.pair(), state.position()?)));
            let slots: Vec<SlotEntry> = others.iter().cloned().chain(own).collect();
            Write { domain: Domain::Risk, at: Address::of_profile(name), document: slots_document(&slots) }
        };
        let writes = of.into_iter().map(|profile| (profile, vec![document(profile)]));
        let written = self.write_side_by_side(writes, now_ms).await;
        written.into_iter().filter_map(|(profile, written)| Some((profile, written.err()?))).collect()
    }

    /// Writes several lists of documents side by side. The documents of one list are written in their order, because a
    /// later one may clear what an earlier one replaces.
    async fn write_side_by_side(
        &self,
        lists: impl Iterator<Item = (usize, Vec<Write>)>,
        now_ms: i64,
    ) -> Vec<(usize, Result<(), StoreError>)> {
        let written = lists.map(async |(index, list)| (index, self.write_all(list, now_ms).await));
        stream::iter(written).buffer_unordered(SIDE_BY_SIDE).collect().await
    }

    async fn write_all(&self, writes: Vec<Write>, now_ms: i64) -> Result<(), StoreError> {
        for Write { domain, at, document } in writes {
            let written = self.stores.of(domain).write_value(&at, &document, now_ms).await;
            if let Err(error) = &written
                && error.code == FENCED
            {
                // The first one stays.
                let _ = self.fenced.set(error.clone());
            }
            written?;
        }
        Ok(())
    }

    /// Writes what strategies remember, each the document of its seat. Returns the seats for which that failed.
    pub(crate) async fn keep_memories(
        &self,
        documents: impl Iterator<Item = (usize, Vec<u8>)>,
        now_ms: i64,
    ) -> Vec<(usize, StoreError)> {
        let writes =
            documents.map(|(seat, document)| (seat, vec![Write::new(Domain::Memory, &self.pairs[seat], document)]));
        let written = self.write_side_by_side(writes, now_ms).await;
        written.into_iter().filter_map(|(seat, written)| Some((seat, written.err()?))).collect()
    }

    /// Reads every document of these seats, and writes those again that are not what `claims` say. Returns the seats
    /// that had such a document, and those whose documents are not known to be durable.
    pub(crate) async fn reassert(
        &self,
        seats: &[usize],
        claims: &[Claim<'_>],
        profiles: &[Profile],
        now_ms: i64,
    ) -> (Vec<usize>, Failures) {
        let read = seats.iter().map(async |seat| {
            for Write { domain, at, document } in documents(&self.pairs[*seat], claims[*seat].state) {
                let found = self.stores.of(domain).read_value(&at).await?;
                // A document that was never written says the same as one that says "nothing here".
                if found.as_deref().unwrap_or(empty(domain)) != document {
                    return Ok((*seat, true));
                }
            }
            Ok::<_, StoreError>((*seat, false))
        });
        let read: Vec<_> = stream::iter(read).buffered(SIDE_BY_SIDE).collect().await;
        let mut failed = Failures::new();
        let mut lost = Vec::new();
        for (seat, read) in seats.iter().zip(read) {
            match read {
                Ok((seat, true)) => lost.push(seat),
                Ok((_, false)) => {}
                Err(error) => drop(failed.insert(*seat, error.to_string())),
            }
        }
        failed.extend(self.rewrite(&lost, claims, profiles, now_ms).await);
        // The slots follow from the rows, so they are not compared but written.
        let all = 0..profiles.len();
        for (profile, error) in self.write_slots(all, claims, profiles, &Failures::new(), now_ms).await {
            let subject = seats.iter().filter(|seat| claims[**seat].profiles.contains(&profile));
            note(&mut failed, subject.map(|seat| (*seat, Err(error.clone()))));
        }
        lost.retain(|seat| !failed.contains_key(seat));
        (lost, failed)
    }

    /// The refusal of a change, once another host has claimed a store. Nothing can be kept from then on.
    pub(crate) fn fenced(&self) -> Option<StoreError> {
        self.fenced.get().cloned()
    }

    /// The incidents of the stores since the last call.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.stores.incidents()
    }

    /// Closes the stores.
    pub(crate) async fn close(&self) {
        self.stores.close().await;
    }
}

/// Writes every document of `pair`, which holds `state`, as far as the stores do not have it.
pub(crate) async fn write_documents(
    stores: &Stores,
    pair: &Pair,
    state: &State,
    now_ms: i64,
) -> Result<(), StoreError> {
    for Write { domain, at, document } in documents(pair, state) {
        let found = stores.of(domain).read_value(&at).await?;
        if found.as_deref().unwrap_or(empty(domain)) != document {
            stores.of(domain).write_value(&at, &document, now_ms).await?;
        }
    }
    Ok(())
}

/// The document of a pair that holds nothing.
fn empty(domain: Domain) -> &'static [u8] {
    if domain == Domain::Partial { b"{}" } else { FLAT }
}

/// Every document of a trader that holds `state`. Documents that hold something are written before those that are
/// cleared, so a crash in between leaves a row in two homes, never in none.
fn documents(pair: &Pair, state: &State) -> Vec<Write> {
    let signal = state.position().map_or(FLAT.to_vec(), |position| position_document(pair, position));
    let schedule = state.order().map_or(FLAT.to_vec(), |order| order_document(pair, order));
    let mut writes = vec![
        Write::new(Domain::Signal, pair, signal),
        Write::new(Domain::Schedule, pair, schedule),
        Write::new(Domain::Partial, pair, levels_document(state.position())),
    ];
    writes.sort_by_key(|write| write.document == FLAT);
    writes
}

/// Adds failures. If a seat has several, the first one stays.
fn note(failed: &mut Failures, results: impl IntoIterator<Item = (usize, Result<(), StoreError>)>) {
    for (seat, result) in results {
        if let Err(error) = result {
            failed.entry(seat).or_insert_with(|| error.to_string());
        }
    }
}
