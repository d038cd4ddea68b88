//! What a strategy has asked the host to remember.
//!
//! ```text
//! asked at 12:05 ─► set, remove (staged) ─► answered: commit ─► the document is written ─► the answer counts
//!                                        └► breakdown: discard
//! ```
//!
//! The document is written before the answer counts. It has what is remembered since that question, and how to undo what
//! the question changed. A crash may come after the document was written and before anything came of the answer. Then
//! the question is asked again, and it finds what it found the first time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sigbox_engine::signal::Pair;

use crate::rows::RowFault;

/// How many bytes one trader may have remembered. Each name counts 64 more.
pub const STRATEGY_MEMORY_BYTES: usize = 16 << 10;

/// What a name costs besides its own bytes.
const BYTES_PER_NAME: usize = 64;

/// What one trader has remembered. A clone is cheap and shows the same.
#[derive(Clone, Debug, Default)]
pub struct StrategyMemory(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    values: BTreeMap<String, Value>,
    /// What the question being asked has changed; `None`: removed.
    staged: BTreeMap<String, Option<Value>>,
    /// What is remembered, with what is staged, bytes.
    bytes: usize,
    /// The boundary of the last question that changed something.
    asked_ms: Option<i64>,
    /// What that question has replaced.
    undo: BTreeMap<String, Option<Value>>,
    /// The store may have something else.
    is_unwritten: bool,
}

/// The bytes of a value; Base64 in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value(Vec<u8>);

/// What is remembered, as it is stored.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    symbol: String,
    strategy_name: String,
    exchange_name: String,
    asked_at: i64,
    values: BTreeMap<String, Value>,
    undo: BTreeMap<String, Option<Value>>,
}

/// The document of a strategy's memory that was read, and can be taken over.
#[derive(Debug, PartialEq)]
pub(crate) struct StoredMemory(Document);

/// Something does not fit into a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes to remember; a strategy has {STRATEGY_MEMORY_BYTES} for each symbol")]
pub struct MemoryFull {
    /// How many bytes it would have with it.
    pub bytes: usize,
}

impl StrategyMemory {
    /// What is kept under `name`, as the question being asked sees it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().seen(name).map(|Value(value)| value.clone())
    }

    /// Keeps `value` under `name` if the question being asked ends well.
    ///
    /// # Errors
    /// When it does not fit. Nothing has changed then.
    pub fn set(&self, name: String, value: Vec<u8>) -> Result<(), MemoryFull> {
        let mut remembered = self.lock();
        let bytes = remembered.bytes - remembered.cost(&name) + cost(&name, &value);
        if bytes > STRATEGY_MEMORY_BYTES {
            return Err(MemoryFull { bytes });
        }
        remembered.bytes = bytes;
        remembered.staged.insert(name, Some(Value(value)));
        Ok(())
    }

    /// Removes what is kept under `name` if the question being asked ends well.
    pub fn remove(&self, name: &str) {
        let mut remembered = self.lock();
        // Names that are not there are not staged: a guest could name any number of them.
        remembered.bytes -= remembered.cost(name);
        if remembered.values.contains_key(name) {
            remembered.staged.insert(name.to_owned(), None);
        } else {
            remembered.staged.remove(name);
        }
    }

    /// The question at `asked_ms` has ended well.
    pub fn commit(&self, asked_ms: i64) {
        let mut remembered = self.lock();
        let staged = std::mem::take(&mut remembered.staged);
        let changes = staged.into_iter().filter(|(name, value)| remembered.values.get(name) != value.as_ref());
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return;
        }
        remembered.asked_ms = Some(asked_ms);
        remembered.undo = remembered.put(changes);
        remembered.is_unwritten = true;
    }

    /// The question being asked has not ended well.
    pub fn discard(&self) {
        let mut remembered = self.lock();
        if !std::mem::take(&mut remembered.staged).is_empty() {
            remembered.count();
        }
    }

    /// The boundary of the last question that changed something.
    pub(crate) fn asked_ms(&self) -> Option<i64> {
        self.lock().asked_ms
    }

    /// Undoes what the question at `asked_ms` changed: it is asked again, or its answer does not count.
    pub(crate) fn take_back(&self, asked_ms: i64) {
        let mut remembered = self.lock();
        if remembered.asked_ms == Some(asked_ms) {
            let undo = std::mem::take(&mut remembered.undo);
            remembered.put(undo);
            remembered.is_unwritten = true;
        }
    }

    /// Whether the store may not have the document.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.lock().is_unwritten
    }

    /// The document that the store does not have; `None`: it has it. From now on it counts as written.
    pub(crate) fn take_unwritten(&self, pair: &Pair) -> Option<Vec<u8>> {
        let mut remembered = self.lock();
        let asked_at = remembered.asked_ms.filter(|_| remembered.is_unwritten)?;
        remembered.is_unwritten = false;
        let (values, undo) = (remembered.values.clone(), remembered.undo.clone());
        Some(Document { asked_at, values, undo, ..Document::of(pair) }.to_json())
    }

    /// The store may not have the document: it was not written, or was lost.
    pub(crate) fn doubt(&self) {
        self.lock().is_unwritten = true;
    }

    /// Takes over what an earlier run stored.
    pub(crate) fn restore(&self, StoredMemory(document): StoredMemory) {
        let Document { asked_at, values, undo, .. } = document;
        let mut remembered = self.lock();
        *remembered = Remembered { values, asked_ms: Some(asked_at), undo, ..Remembered::default() };
        remembered.count();
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // What is done under this lock cannot panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Document {
    /// An empty one.
    fn of(pair: &Pair) -> Self {
        Self {
            symbol: pair.symbol.clone(),
            strategy_name: pair.strategy.clone(),
            exchange_name: pair.exchange.clone(),
            asked_at: 0,
            values: BTreeMap::new(),
            undo: BTreeMap::new(),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers")
    }
}

impl StoredMemory {
    /// Reads the document of `pair`; `None`: there is nothing to remember.
    pub(crate) fn parse(document: &[u8], pair: &Pair) -> Result<Option<Self>, RowFault> {
        let parsed: Option<Document> =
            serde_json::from_slice(document).map_err(|error| RowFault::Corrupt(error.to_string()))?;
        let Some(parsed) = parsed else { return Ok(None) };
        let Document { symbol, strategy_name, exchange_name, .. } = &parsed;
        if (symbol, strategy_name, exchange_name) != (&pair.symbol, &pair.strategy, &pair.exchange) {
            let [exchange, strategy, symbol] = [exchange_name, strategy_name, symbol].map(Clone::clone);
            return Err(RowFault::Foreign { exchange, strategy, symbol });
        }
        Ok(Some(Self(parsed)))
    }

    /// The same for another trader.
    pub(crate) fn document_of(self, pair: &Pair) -> Vec<u8> {
        let Document { asked_at, values, undo, .. } = self.0;
        Document { asked_at, values, undo, ..Document::of(pair) }.to_json()
    }

    /// The boundary of the last question that changed something.
    pub(crate) const fn asked_ms(&self) -> i64 {
        self.0.asked_at
    }

    /// What is remembered, by name.
    pub(crate) fn values(self) -> BTreeMap<String, Vec<u8>> {
        self.0.values.into_iter().map(|(name, Value(value))| (name, value)).collect()
    }
}

impl Remembered {
    fn seen(&self, name: &str) -> Option<&Value> {
        self.staged.get(name).map_or_else(|| self.values.get(name), Option::as_ref)
    }

    /// What `name` costs now.
    fn cost(&self, name: &str) -> usize {
        self.seen(name).map_or(0, |Value(value)| cost(name, value))
    }

    /// Replaces values, and returns those that were there.
    fn put(&mut self, changes: impl IntoIterator<Item = (String, Option<Value>)>) -> BTreeMap<String, Option<Value>> {
        let mut replaced = BTreeMap::new();
        for (name, value) in changes {
            let before = match value {
                Some(value) => self.values.insert(name.clone(), value),
                None => self.values.remove(&name),
            };
            replaced.insert(name, before);
        }
        self.count();
        replaced
    }

    fn count(&mut self) {
        self.bytes = self.values.iter().map(|(name, Value(value))| cost(name, value)).sum();
    }
}

fn cost(name: &str, value: &[u8]) -> usize {
    name.len() + value.len() + BYTES_PER_NAME
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair;

    fn text(memory: &StrategyMemory, name: &str) -> Option<String> {
        memory.get(name).map(|value| String::from_utf8(value).unwrap())
    }

    fn stored(memory: &StrategyMemory) -> StrategyMemory {
        let document = memory.take_unwritten(&pair("a")).unwrap();
        let read = StrategyMemory::default();
        read.restore(StoredMemory::parse(&document, &pair("a")).unwrap().unwrap());
        read
    }

    #[test]
    fn a_question_counts_whole_or_not_at_all() {
        let memory = StrategyMemory::default();
        memory.set("a".to_owned(), b"1".to_vec()).unwrap();
        memory.set("b".to_owned(), b"1".to_vec()).unwrap();
        assert_eq!(text(&memory, "a").as_deref(), Some("1"), "a question sees what it has set");
        memory.discard();
        assert_eq!((text(&memory, "a"), memory.take_unwritten(&pair("a"))), (None, None));

        memory.set("a".to_owned(), b"1".to_vec()).unwrap();
        memory.set("b".to_owned(), b"1".to_vec()).unwrap();
        memory.commit(5);
        memory.set("a".to_owned(), b"2".to_vec()).unwrap();
        memory.remove("b");
        memory.set("c".to_owned(), b"2".to_vec()).unwrap();
        assert_eq!(text(&memory, "b"), None);
        memory.commit(6);

        let all = |memory: &StrategyMemory| ["a", "b", "c"].map(|name| text(memory, name).unwrap_or_default());
        assert_eq!(all(&memory), ["2", "", "2"]);
        let restarted = stored(&memory);
        assert_eq!(all(&restarted), ["2", "", "2"]);
        restarted.take_back(7);
        assert_eq!(all(&restarted), ["2", "", "2"], "another question");
        restarted.take_back(6);
        assert_eq!(all(&restarted), ["1", "1", ""], "the same question");
        assert_eq!(all(&stored(&restarted)), ["1", "1", ""], "and so it is written");
        restarted.set("a".to_owned(), b"3".to_vec()).unwrap();
        restarted.commit(6);
        restarted.take_back(6);
        assert_eq!(all(&restarted), ["1", "1", ""]);
    }

    #[test]
    fn what_stays_as_it_is_is_not_written() {
        let memory = StrategyMemory::default();
        memory.set("a".to_owned(), b"1".to_vec()).unwrap();
        memory.commit(5);
        assert!(memory.take_unwritten(&pair("a")).is_some());
        memory.set("a".to_owned(), b"1".to_vec()).unwrap();
        memory.remove("nothing");
        memory.commit(6);
        assert_eq!((memory.take_unwritten(&pair("a")), memory.asked_ms()), (None, Some(5)));
        memory.doubt();
        assert!(memory.take_unwritten(&pair("a")).is_some(), "a store that was away may have lost it");
    }

    #[test]
    fn a_memory_has_a_size() {
        let memory = StrategyMemory::default();
        let most = STRATEGY_MEMORY_BYTES - BYTES_PER_NAME - 1;
        memory.set("a".to_owned(), vec![0; most]).unwrap();
        assert_eq!(memory.set("a".to_owned(), vec![0; most + 1]), Err(MemoryFull { bytes: STRATEGY_MEMORY_BYTES + 1 }));
        assert_eq!(memory.set("b".to_owned(), vec![]).unwrap_err().bytes, STRATEGY_MEMORY_BYTES + 65);
        memory.set("a".to_owned(), vec![]).unwrap();
        memory.set("b".to_owned(), vec![0; 8000]).unwrap();
        memory.discard();
        memory.set("a".to_owned(), vec![1; most]).unwrap();
        memory.commit(1);
        memory.remove("a");
        memory.remove("a");
        memory.set("b".to_owned(), vec![0; most]).unwrap();
        memory.commit(2);
        memory.take_back(2);
        assert!(memory.get("b").is_none() && memory.get("a").unwrap().len() == most);
        memory.set("a".to_owned(), vec![0; most]).unwrap();
        // Names that are not there leave nothing behind.
        for name in 0..1000 {
            memory.remove(&format!("{name}"));
        }
        assert_eq!(memory.lock().staged.len(), 1);
    }

    #[test]
    fn a_document_of_another_trader_or_of_nobody_is_told_apart() {
        let memory = StrategyMemory::default();
        memory.set("a".to_owned(), b"\x00\xff".to_vec()).unwrap();
        memory.commit(5);
        let document = memory.take_unwritten(&pair("a")).unwrap();
        let parse = |document: &[u8]| StoredMemory::parse(document, &pair("b"));
        assert!(matches!(parse(&document), Err(RowFault::Foreign { strategy, .. }) if strategy == "a"));
        assert_eq!(parse(b"null").unwrap(), None);
        assert!(matches!(parse(b"{}"), Err(RowFault::Corrupt(_))));
        let torn = String::from_utf8(document).unwrap().replace("AP8=", "AP8");
        assert!(matches!(StoredMemory::parse(torn.as_bytes(), &pair("a")), Err(RowFault::Corrupt(_))));
    }
}
