//! What a wrapper may reach of the store that it wraps.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sigbox_events::Incident;

use super::{Address, Apart, Domain, Store, StoreError};

/// A store without some of the domains: a wrapper reaches only the domains that it is bound to. Otherwise the
/// wrapper of one domain could read and replace what the store under it keeps of another. Every other name of a domain
/// is let through, because a wrapper may keep documents of its own.
pub struct BoundStore {
    store: Arc<dyn Store>,
    bound: Vec<Domain>,
}

impl BoundStore {
    /// `store`, of which only the domains in `bound` can be reached.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, bound: Vec<Domain>) -> Self {
        Self { store, bound }
    }

    #[expect(clippy::result_large_err, reason = "the error of a store, as every call of one has it")]
    fn check(&self, domain: &str, entity_name: &str, entity_id: &str) -> Result<(), StoreError> {
        let is_denied = |denied: &Domain| denied.name() == domain && !self.bound.contains(denied);
        if !Domain::ALL.iter().any(is_denied) {
            return Ok(());
        }
        let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
        let message = format!("a wrapper that is not bound to {domain} does not reach it");
        Err(StoreError::new(self.store.describe(), Address { domain, entity_name, entity_id }, message))
    }

    #[expect(clippy::result_large_err, reason = "the error of a store, as every call of one has it")]
    fn check_at(&self, at: &Address) -> Result<(), StoreError> {
        self.check(&at.domain, &at.entity_name, &at.entity_id)
    }
}

#[async_trait]
impl Store for BoundStore {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn max_value_bytes(&self) -> u64 {
        self.store.max_value_bytes()
    }

    fn time_limit(&self) -> Duration {
        self.store.time_limit()
    }

    fn apart(&self) -> Apart<'_> {
        self.store.apart()
    }

    fn incidents(&self) -> Vec<Incident> {
        self.store.incidents()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        self.check(domain, entity_name, "")?;
        self.store.wait_for_init(domain, entity_name, initial).await
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        self.check_at(at)?;
        self.store.read_value(at).await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.check_at(at)?;
        self.store.has_value(at).await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        self.check_at(at)?;
        self.store.write_value(at, value, when_ms).await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.check_at(at)?;
        self.store.remove_value(at).await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        self.check(domain, entity_name, "")?;
        self.store.keys(domain, entity_name).await
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        self.check_at(at)?;
        self.store.quarantine(at).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn at(domain: &str) -> Address {
        let (entity_name, entity_id) = ("BTCUSDT_s".to_owned(), "BTCUSDT".to_owned());
        Address { domain: domain.to_owned(), entity_name, entity_id }
    }

    #[tokio::test]
    async fn only_domains_that_are_bound_are_reached() {
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
        inner.write_value(&at("signal"), b"{}", 0).await.unwrap();
        let store = BoundStore::new(Arc::clone(&inner), vec![Domain::Partial]);
        let denied = |result: Result<(), StoreError>| {
            let error = result.unwrap_err();
            assert!(error.message == "a wrapper that is not bound to signal does not reach it", "{error}");
        };
        denied(store.wait_for_init("signal", "BTCUSDT_s", true).await);
        denied(store.read_value(&at("signal")).await.map(drop));
        denied(store.has_value(&at("signal")).await.map(drop));
        denied(store.write_value(&at("signal"), b"null", 0).await);
        denied(store.remove_value(&at("signal")).await.map(drop));
        denied(store.keys("signal", "BTCUSDT_s").await.map(drop));
        denied(store.quarantine(&at("signal")).await.map(drop));
        assert_eq!(inner.read_value(&at("signal")).await.unwrap().unwrap(), b"{}");

        // What it is bound to, and a domain of its own.
        for domain in ["partial", "keys of the wrapper"] {
            store.write_value(&at(domain), b"[]", 0).await.unwrap();
            assert_eq!(inner.read_value(&at(domain)).await.unwrap().unwrap(), b"[]");
        }
    }
}
