//! The start of a run: reads the documents of an earlier run and reconciles them.

#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use futures_util::{StreamExt as _, stream};
use sigbox_engine::{Order, Outcome, Position, Settings, SharedPosition, State, signal::Pair};
use sigbox_events::Notice;
use sigbox_market::candles::iso_8601;

use crate::{
    RunError,
    keeper::SIDE_BY_SIDE,
    rows::{FLAT, RowFault, SlotEntry, parse_order, parse_position, parse_slots, restore_levels},
    sink::{Silence, Sink},
    store::{Address, Domain, FENCED, OnCorrupt, StoreError, Stores},
    strategy_memory::StoredMemory,
};

/// Reads what the stores hold. It changes two things only: it clears the document of an order that has become a
/// position (a crash left the row in two homes), and it moves a corrupt document aside if `on_corrupt` says so.
pub(crate) struct Restorer<'a> {
    pub(crate) stores: &'a Stores,
    pub(crate) settings: &'a Settings,
    pub(crate) on_corrupt: OnCorrupt,
    pub(crate) now_ms: i64,
    /// No position was opened and no order accepted after this time. A row that says so is impossible: it would never
    /// be judged.
    pub(crate) latest_ms: i64,
}

impl Restorer<'_> {
    /// The states of `pairs` at the end of the earlier run, in the order of `pairs`. The pairs are read side by side.
    /// Their notices reach `sink` in the order of `pairs`, also when one pair keeps the run from starting.
    ///
    /// # Errors
    /// Those of the first pair that cannot be restored.
    pub(crate) async fn states(&self, pairs: &[Pair], sink: &mut dyn Sink) -> Result<Vec<State>, RunError> {
        self.side_by_side(pairs, sink, async |pair, notes| self.state(pair, notes).await).await
    }

    /// What `read` finds for each of `pairs`, several at a time.
    async fn side_by_side<T>(
        &self,
        pairs: &[Pair],
        sink: &mut dyn Sink,
        read: impl AsyncFn(&Pair, &mut Notes) -> Result<T, RunError>,
    ) -> Result<Vec<T>, RunError> {
        let restored = stream::iter(pairs).map(async |pair| {
            let mut notes = Notes::default();
            (read(pair, &mut notes).await, notes)
        });
        let restored: Vec<_> = restored.buffered(SIDE_BY_SIDE).collect().await;
        let told = restored.into_iter().map(|(found, Notes(notes))| {
            for (at_ms, pair, notice) in notes {
                sink.notice(at_ms, pair.as_ref(), &notice);
            }
            found
        });
        told.collect::<Vec<_>>().into_iter().collect()
    }

    /// What `pair` held at the end of the earlier run: its position, its order, or nothing.
    ///
    /// # Errors
    /// When a store cannot be read, a row belongs to another trader, or a document is corrupt and the run is to halt.
    async fn state(&self, pair: &Pair, sink: &mut dyn Sink) -> Result<State, RunError> {
        for domain in [Domain::Signal, Domain::Schedule, Domain::Partial] {
            let Address { domain: name, entity_name, .. } = Address::of_pair(domain, pair);
            // `initial` is always true: this process does not know whether an earlier one used the entity. The store
            // knows.
            self.stores.of(domain).wait_for_init(&name, &entity_name, true).await?;
        }
        let position = self.read(Domain::Signal, pair, sink, |document| self.position(document, pair)).await?.flatten();
        let order = self.read(Domain::Schedule, pair, sink, |document| self.order(document, pair)).await?.flatten();
        Ok(match (position, order) {
            (None, None) => State::Idle,
            (None, Some(order)) => State::Scheduled(order),
            (Some(position), None) => State::Open(self.with_levels(pair, position, sink).await?),
            (Some(position), Some(order)) => {
                let at = Address::of_pair(Domain::Schedule, pair);
                if order.signal.id == position.signal.id {
                    // A crash came between the two writes of an activation: the order has become the position.
                    self.stores.schedule.write_value(&at, FLAT, self.now_ms).await?;
                } else {
                    let reason = format!("a position {} is open, so no order can wait", position.signal.id);
                    self.set_aside(Domain::Schedule, &at, Some(pair), reason, sink).await?;
                }
                State::Open(self.with_levels(pair, position, sink).await?)
            }
        })
    }

    fn position(&self, document: &[u8], pair: &Pair) -> Result<Option<Position>, RowFault> {
        let position = parse_position(document, pair, self.settings)?;
        let newest_ms = position.as_ref().map(|position| position.judged_from_ms.max(position.signal.scheduled_at_ms));
        self.in_time(newest_ms)?;
        Ok(position)
    }

    fn order(&self, document: &[u8], pair: &Pair) -> Result<Option<Order>, RowFault> {
        let order = parse_order(document, pair, self.settings)?;
        self.in_time(order.as_ref().map(|order| order.signal.scheduled_at_ms))?;
        Ok(order)
    }

    fn in_time(&self, newest_ms: Option<i64>) -> Result<(), RowFault> {
        match newest_ms {
            Some(newest_ms) if newest_ms > self.latest_ms => {
                Err(RowFault::Corrupt(format!("it has a time that has not come yet, {}", iso_8601(newest_ms))))
            }
            _ => Ok(()),
        }
    }

    async fn with_levels(
        &self,
        pair: &Pair,
        mut position: Position,
        sink: &mut dyn Sink,
    ) -> Result<SharedPosition, RunError> {
        let mut restored = position.clone();
        let read = self.read(Domain::Partial, pair, sink, |document| restore_levels(document, &mut restored)).await?;
        if read.is_some() {
            position = restored;
        }
        Ok(Arc::new(position))
    }

    /// What the documents say now that `pair` holds. It prepares no store and corrects no document. It moves no
    /// document aside as long as `on_corrupt` is [`OnCorrupt::Halt`].
    ///
    /// # Errors
    /// When a store cannot be read, or a document cannot be understood or belongs to another trader.
    pub(crate) async fn look(&self, pair: &Pair) -> Result<State, RunError> {
        let sink = &mut Silence;
        let signal = self.read(Domain::Signal, pair, sink, |document| self.position(document, pair));
        if let Some(position) = signal.await?.flatten() {
            return Ok(State::Open(self.with_levels(pair, position, sink).await?));
        }
        let schedule = self.read(Domain::Schedule, pair, sink, |document| self.order(document, pair));
        Ok(schedule.await?.flatten().map_or(State::Idle, State::Scheduled))
    }

    /// What the strategies of `pairs` have remembered, in the order of `pairs`; `None` where there is nothing.
    ///
    /// # Errors
    /// Those of the first pair whose document cannot be read, belongs to another trader, or is corrupt when the run is to
    /// halt then.
    pub(crate) async fn memories(
        &self,
        pairs: &[Pair],
        sink: &mut dyn Sink,
    ) -> Result<Vec<Option<StoredMemory>>, RunError> {
        self.side_by_side(pairs, sink, async |pair, notes| {
            let Address { domain, entity_name, .. } = Address::of_pair(Domain::Memory, pair);
            self.stores.memory.wait_for_init(&domain, &entity_name, true).await?;
            self.memory(pair, notes).await
        })
        .await
    }

    /// What the strategy of `pair` has remembered. It prepares no store.
    ///
    /// # Errors
    /// As [`memories`](Self::memories).
    pub(crate) async fn memory(&self, pair: &Pair, sink: &mut dyn Sink) -> Result<Option<StoredMemory>, RunError> {
        let parse = |document: &[u8]| {
            let memory = StoredMemory::parse(document, pair)?;
            self.in_time(memory.as_ref().map(StoredMemory::asked_ms))?;
            Ok(memory)
        };
        Ok(self.read(Domain::Memory, pair, sink, parse).await?.flatten())
    }

    /// The slots that are stored for a risk profile.
    pub(crate) async fn slots(&self, profile: &str, sink: &mut dyn Sink) -> Result<Vec<SlotEntry>, RunError> {
        let at = Address::of_profile(profile);
        self.stores.risk.wait_for_init(&at.domain, &at.entity_name, true).await?;
        let Some(document) = self.stores.risk.read_value(&at).await? else { return Ok(Vec::new()) };
        match parse_slots(&document) {
            Ok(slots) => Ok(slots),
            Err(fault) => {
                self.set_aside(Domain::Risk, &at, None, fault.describe(), sink).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Of the `stored` slots of a risk profile, those whose traders are not in `own` and whose positions are still open.
    /// A slot without a position is left over from a crash. It is dropped, because it would block the limit forever
    /// (hazard H-26).
    pub(crate) async fn other_slots(
        &self,
        profile: &str,
        stored: Vec<SlotEntry>,
        own: &[Pair],
        sink: &mut dyn Sink,
    ) -> Result<Vec<SlotEntry>, RunError> {
        let mut others = Vec::new();
        for (key, slot) in stored {
            let owner = slot.owner(&key);
            if own.iter().any(|pair| same_owner(pair, &owner)) {
                continue;
            }
            if self.holds_position(&owner).await? {
                others.push((key, slot));
            } else {
                sink.notice(self.now_ms, None, &Notice::SlotDropped { profile: profile.to_owned(), key });
            }
        }
        Ok(others)
    }

    async fn holds_position(&self, owner: &Pair) -> Result<bool, RunError> {
        let at = Address::of_pair(Domain::Signal, owner);
        self.stores.signal.wait_for_init(&at.domain, &at.entity_name, false).await?;
        let document = self.stores.signal.read_value(&at).await?;
        // A document that cannot be understood may be a position, so the slot stays.
        Ok(document.is_some_and(|document| {
            !matches!(parse_position(&document, owner, self.settings), Ok(None) | Err(RowFault::Foreign { .. }))
        }))
    }

    /// Reads and parses one document of a pair; `None` when there is none, or when it was moved aside.
    async fn read<T>(
        &self,
        domain: Domain,
        pair: &Pair,
        sink: &mut dyn Sink,
        parse: impl FnOnce(&[u8]) -> Result<T, RowFault>,
    ) -> Result<Option<T>, RunError> {
        let at = Address::of_pair(domain, pair);
        let Some(document) = self.stores.of(domain).read_value(&at).await? else { return Ok(None) };
        match parse(&document) {
            Ok(value) => Ok(Some(value)),
            Err(RowFault::Foreign { exchange, strategy, symbol }) => Err(RunError::ForeignRow {
                document: self.name(domain, &at),
                found: format!("strategy {strategy} on {symbol}, exchange {exchange}"),
                expected: format!("strategy {} on {}, exchange {}", pair.strategy, pair.symbol, pair.exchange),
            }),
            Err(fault) => {
                self.set_aside(domain, &at, Some(pair), fault.describe(), sink).await?;
                Ok(None)
            }
        }
    }

    async fn set_aside(
        &self,
        domain: Domain,
        at: &Address,
        pair: Option<&Pair>,
        reason: String,
        sink: &mut dyn Sink,
    ) -> Result<(), RunError> {
        let document = self.name(domain, at);
        match self.on_corrupt {
            OnCorrupt::Halt => Err(RunError::CorruptState { document, reason }),
            OnCorrupt::Quarantine => {
                let moved_to = self.stores.of(domain).quarantine(at).await?;
                sink.notice(self.now_ms, pair, &Notice::Quarantined { document, moved_to, reason });
                Ok(())
            }
        }
    }

    fn name(&self, domain: Domain, at: &Address) -> String {
        let Address { domain: name, entity_name, entity_id } = at;
        format!("{name} {entity_name}/{entity_id} in {}", self.stores.of(domain).describe())
    }
}

/// Notices that are collected first and told later.
#[derive(Default)]
struct Notes(Vec<(i64, Option<Pair>, Notice)>);

impl Sink for Notes {
    /// There are no outcomes before a run has started.
    fn tell(&mut self, _: &Pair, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        self.0.push((at_ms, pair.cloned(), notice.clone()));
    }
}

pub(crate) fn same_owner(pair: &Pair, owner: &Pair) -> bool {
    (&pair.symbol, &pair.strategy, &pair.exchange) == (&owner.symbol, &owner.strategy, &owner.exchange)
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        let is_fenced = error.code == FENCED;
        if is_fenced { Self::Fenced(Box::new(error)) } else { Self::Store(Box::new(error)) }
    }
}
