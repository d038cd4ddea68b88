//! A store in memory, for tests and for runs whose state may be lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Address, Apart, Store, StoreError};

/// Keeps documents as long as the value lives. A "durable" write here only means that the next read of this store sees
/// it.
///
/// Accepts every address, however long or strange, and never refuses a write.
#[derive(Debug, Default)]
pub struct MemoryStore {
    documents: Mutex<BTreeMap<Address, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn documents(&self) -> MutexGuard<'_, BTreeMap<Address, Vec<u8>>> {
        // Every change below is one call on the map, so a panic elsewhere cannot have left it half done.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn apart(&self) -> Apart<'_> {
        Apart::Lock
    }

    async fn wait_for_init(&self, _domain: &str, _entity_name: &str, _initial: bool) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.documents().get(at).cloned())
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        Ok(self.documents().contains_key(at))
    }

    async fn write_value(&self, at: &Address, value: &[u8], _when_ms: i64) -> Result<(), StoreError> {
        self.documents().insert(at.clone(), value.to_vec());
        Ok(())
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        Ok(self.documents().remove(at).is_some())
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let first =
            Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() };
        let documents = self.documents();
        let of_the_entity = documents
            .range(first..)
            .map(|(at, _)| at)
            .take_while(|at| at.domain == domain && at.entity_name == entity_name);
        Ok(of_the_entity.map(|at| at.entity_id.clone()).collect())
    }

    /// Moves the document to a domain of its own, `.quarantine/{domain}`, where it can still be read.
    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        let mut documents = self.documents();
        let Some(document) = documents.remove(at) else {
            let message = "there is no document to set aside".to_owned();
            return Err(StoreError::new(self.describe(), at.clone(), message));
        };
        let aside = (1..=u64::MAX)
            .map(|number| Address {
                domain: format!(".quarantine/{}", at.domain),
                entity_name: at.entity_name.clone(),
                entity_id: format!("{}.{number}", at.entity_id),
            })
            .find(|aside| !documents.contains_key(aside))
            .expect("there are fewer than 2^64 documents");
        let place = format!("memory, {} {}/{}", aside.domain, aside.entity_name, aside.entity_id);
        documents.insert(aside, document);
        Ok(place)
    }

    /// Nothing to flush; the documents go when the store is dropped.
    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(domain: &str, entity_id: &str) -> Address {
        Address { domain: domain.to_owned(), entity_name: "BTCUSDT_a".to_owned(), entity_id: entity_id.to_owned() }
    }

    #[tokio::test]
    async fn a_document_set_aside_can_still_be_read() {
        let store = MemoryStore::new();
        for document in ["first", "second"] {
            store.write_value(&at("signal", "BTCUSDT"), document.as_bytes(), 0).await.unwrap();
            store.quarantine(&at("signal", "BTCUSDT")).await.unwrap();
        }
        let first = store.read_value(&at(".quarantine/signal", "BTCUSDT.1")).await.unwrap();
        let second = store.read_value(&at(".quarantine/signal", "BTCUSDT.2")).await.unwrap();
        assert_eq!((first, second), (Some(b"first".to_vec()), Some(b"second".to_vec())));
    }

    #[tokio::test]
    async fn setting_nothing_aside_says_what_is_missing() {
        let error = MemoryStore::new().quarantine(&at("signal", "BTCUSDT")).await.unwrap_err();
        assert_eq!(error.to_string(), "memory: signal BTCUSDT_a/BTCUSDT: there is no document to set aside");
        assert!(!error.retryable);
    }
}
