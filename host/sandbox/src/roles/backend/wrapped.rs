//! The store a wrapper wraps: the host's side of its import `sigbox:persistence/store`.

use std::sync::Arc;

use sigbox_trading::store::{Address, Store, StoreError};

use super::context::BackendContext;
use crate::bindings::wrapper::sigbox::persistence::store as wit;

type Answer<T> = wasmtime::Result<Result<T, wit::Failure>>;

impl BackendContext {
    fn wrapped(&self) -> wasmtime::Result<Arc<dyn Store>> {
        // A component that imports this store is loaded only if there is one.
        self.shared.over.clone().ok_or_else(|| wasmtime::Error::msg("there is no store to wrap"))
    }
}

impl wit::Host for BackendContext {
    async fn describe(&mut self) -> wasmtime::Result<wit::Descriptor> {
        let store = self.wrapped()?;
        Ok(wit::Descriptor {
            name: "store".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: store.describe(),
            features: Vec::new(),
            max_value_bytes: store.max_value_bytes(),
            extra: None,
        })
    }

    async fn start(&mut self) -> Answer<()> {
        Ok(Ok(()))
    }

    async fn wait_for_init(&mut self, domain: String, entity_name: String, initial: bool) -> Answer<()> {
        Ok(answer(self.wrapped()?.wait_for_init(&domain, &entity_name, initial).await))
    }

    async fn read_value(&mut self, at: wit::Address) -> Answer<Option<Vec<u8>>> {
        Ok(answer(self.wrapped()?.read_value(&lift(at)).await))
    }

    async fn has_value(&mut self, at: wit::Address) -> Answer<bool> {
        Ok(answer(self.wrapped()?.has_value(&lift(at)).await))
    }

    async fn write_value(&mut self, at: wit::Address, value: Vec<u8>, when_ms: u64) -> Answer<()> {
        let when_ms = i64::try_from(when_ms).unwrap_or(i64::MAX);
        Ok(answer(self.wrapped()?.write_value(&lift(at), &value, when_ms).await))
    }

    async fn remove_value(&mut self, at: wit::Address) -> Answer<bool> {
        Ok(answer(self.wrapped()?.remove_value(&lift(at)).await))
    }

    async fn keys(
        &mut self,
        domain: String,
        entity_name: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Answer<wit::Page> {
        let ids = self.wrapped()?.keys(&domain, &entity_name).await;
        Ok(answer(ids.map(|ids| {
            let mut rest = ids.into_iter().filter(|id| cursor.as_ref().is_none_or(|cursor| id > cursor)).peekable();
            let entity_ids: Vec<String> = rest.by_ref().take(limit as usize).collect();
            let next = rest.peek().and_then(|_| entity_ids.last().cloned());
            wit::Page { entity_ids, next }
        })))
    }

    async fn close(&mut self) -> Answer<()> {
        Ok(Ok(()))
    }
}

fn lift(at: wit::Address) -> Address {
    let wit::Address { domain, entity_name, entity_id } = at;
    Address { domain, entity_name, entity_id }
}

fn answer<T>(answered: Result<T, StoreError>) -> Result<T, wit::Failure> {
    answered.map_err(|StoreError { store, code, message, retryable, retry_after, at: _ }| wit::Failure {
        code,
        message: format!("{store}: {message}"),
        retryable,
        retry_after_ms: retry_after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX)),
        extra: None,
    })
}
