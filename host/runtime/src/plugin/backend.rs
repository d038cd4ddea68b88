//! Persistence backends as components.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use wasmtime::component::InstancePre;

use super::{
    PluginError, Sandbox,
    bindings::persistence::{Backend, BackendPre, exports::sigbox::persistence::store as wit},
    contract,
    error::Breakdown,
    host::{Grant, Host},
    sandbox::one_line,
};
use crate::store::{Address, Store, StoreError};

/// Ids asked for per page of a listing.
const PAGE: u32 = 1000;

/// What a persistence plugin is bound with.
#[derive(Clone, Debug, Default)]
pub struct StoreBinding {
    /// The store's name in the configuration.
    pub name: String,
    /// Settings, for `sigbox:host/config`.
    pub settings: BTreeMap<String, String>,
    /// Secrets granted by name.
    pub secrets: BTreeMap<String, String>,
}

/// A [`Store`] served by one long-lived instance of a component. Calls go through it one at a time, in the order they
/// were made. An instance that breaks down is replaced and the call repeated once; which entities were made ready is
/// kept here, so that a fresh instance is told again.
pub struct PluginStore {
    sandbox: Sandbox,
    binding: StoreBinding,
    pre: BackendPre<Host>,
    summary: String,
    running: Mutex<Supervised>,
}

#[derive(Default)]
struct Supervised {
    instance: Option<Running>,
    /// Entities the current instance was told of, by domain and entity name.
    ready: Vec<Entity>,
}

/// Domain and entity name. Shared, because a call owns its arguments.
type Entity = Arc<(String, String)>;

struct Running {
    store: wasmtime::Store<Host>,
    backend: Backend,
}

/// One call on whichever instance is running. Boxed and owning its arguments, because it may be made twice.
trait Call<T>:
    for<'a> Fn(
        &'a wit::Guest,
        &'a mut wasmtime::Store<Host>,
    ) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
    + Send
    + Sync
{
}

impl<T, F> Call<T> for F where
    F: for<'a> Fn(
            &'a wit::Guest,
            &'a mut wasmtime::Store<Host>,
        ) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
        + Send
        + Sync
{
}

/// How one attempt at a call failed.
enum Failed {
    /// The backend said no.
    Refused(wit::Failure),
    /// The instance is gone.
    Broke(Breakdown),
}

impl PluginStore {
    /// Compiles the component at `path`, or finds its compiled code, checks that it is a backend and starts it. The
    /// sandbox must be [`Mode::Live`](super::Mode::Live).
    ///
    /// # Errors
    /// When the file cannot be read, is not a component, does not fit `sigbox:persistence`, or cannot start.
    pub async fn start(sandbox: &Sandbox, path: &Path, binding: StoreBinding) -> Result<Self, PluginError> {
        let component = sandbox.component(path)?;
        let contract_error = |mismatch| PluginError::Contract { path: path.to_path_buf(), mismatch };
        contract::export(&component, &sandbox.engine, contract::PERSISTENCE, "read-value").map_err(contract_error)?;
        let pre: InstancePre<Host> = sandbox.linker.instantiate_pre(&component).map_err(|error| {
            contract_error(contract::explain_imports(&component, &sandbox.engine, &one_line(&error)))
        })?;
        let pre = BackendPre::new(pre)
            .map_err(|error| contract_error(contract::explain_export(contract::PERSISTENCE, &one_line(&error))))?;

        let mut started = Self {
            sandbox: sandbox.clone(),
            binding,
            pre,
            summary: String::new(),
            running: Mutex::new(Supervised::default()),
        };
        let plugin = started.binding.name.clone();
        let (descriptor, running) = started.instantiate().await.map_err(|failed| match failed {
            Failed::Refused(failure) => PluginError::Refused {
                plugin: plugin.clone(),
                function: "start",
                code: failure.code,
                message: failure.message,
            },
            Failed::Broke(breakdown) => PluginError::Broke { plugin: plugin.clone(), function: "start", breakdown },
        })?;
        started.summary = format!("{plugin} ({} {}: {})", descriptor.name, descriptor.version, descriptor.summary);
        started.running.get_mut().instance = Some(running);
        Ok(started)
    }

    fn timeout(&self) -> Duration {
        self.sandbox.limits.store_timeout
    }

    async fn instantiate(&self) -> Result<(wit::Descriptor, Running), Failed> {
        let grant = Grant {
            plugin: self.binding.name.clone(),
            config: self.binding.settings.clone(),
            secrets: self.binding.secrets.clone(),
            ..Grant::default()
        };
        let host = Host::new(grant, self.sandbox.limits.clone(), false);
        let mut store = self.sandbox.store(host).map_err(|error| Failed::Broke(Breakdown::Trap(error.to_string())))?;
        let backend = self
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| Failed::Broke(self.sandbox.breakdown(&store, &error)))?;
        let mut running = Running { store, backend };
        let descriptor = self
            .attempt(&mut running, &|guest, store| Box::pin(async move { guest.call_describe(store).await.map(Ok) }))
            .await?;
        self.attempt(&mut running, &|guest, store| Box::pin(guest.call_start(store))).await?;
        Ok((descriptor, running))
    }

    /// One call on one instance.
    async fn attempt<T>(&self, running: &mut Running, call: &dyn Call<T>) -> Result<T, Failed> {
        let Running { store, backend } = running;
        store.data_mut().begin_call(0);
        let call = call(backend.sigbox_persistence_store(), store);
        match tokio::time::timeout(self.timeout(), call).await {
            Err(_) => Err(Failed::Broke(Breakdown::Timeout(self.timeout()))),
            Ok(Err(error)) => Err(Failed::Broke(self.sandbox.breakdown(store, &error))),
            Ok(Ok(Err(failure))) => Err(Failed::Refused(failure)),
            Ok(Ok(Ok(value))) => Ok(value),
        }
    }

    /// Makes a call, on a fresh instance if there is none, and once more if the instance breaks down under it: calls
    /// carry no handles and are safe to repeat.
    async fn call<T>(&self, at: &Address, call: &dyn Call<T>) -> Result<T, StoreError> {
        let mut supervised = self.running.lock().await;
        let mut last = None;
        for _ in 0..2 {
            match self.call_once(&mut supervised, call).await {
                Ok(value) => return Ok(value),
                Err(Failed::Refused(failure)) => return Err(self.refused(at, &failure)),
                Err(Failed::Broke(breakdown)) => {
                    supervised.instance = None;
                    tracing::warn!(target: "plugin", plugin = self.binding.name, "the store broke: {breakdown}");
                    last = Some(breakdown);
                }
            }
        }
        let message = last.map_or_else(String::new, |breakdown| format!("the plugin broke down twice: it {breakdown}"));
        Err(StoreError { store: self.summary.clone(), at: at.clone(), message, retryable: true })
    }

    async fn call_once<T>(&self, supervised: &mut Supervised, call: &dyn Call<T>) -> Result<T, Failed> {
        let Supervised { instance, ready } = supervised;
        if instance.is_none() {
            let (_, mut running) = self.instantiate().await?;
            for entity in &*ready {
                self.attempt(&mut running, &wait_for_init(entity, false)).await?;
            }
            *instance = Some(running);
        }
        let running = instance.as_mut().expect("it was put there a line ago");
        self.attempt(running, call).await
    }

    fn refused(&self, at: &Address, failure: &wit::Failure) -> StoreError {
        StoreError {
            store: self.summary.clone(),
            at: at.clone(),
            message: format!("{}: {}", failure.code, failure.message),
            retryable: failure.retryable,
        }
    }
}

fn wait_for_init(entity: &Entity, initial: bool) -> impl Call<()> {
    let entity = Arc::clone(entity);
    move |guest: &wit::Guest, store: &mut wasmtime::Store<Host>| {
        let entity = Arc::clone(&entity);
        Box::pin(async move { guest.call_wait_for_init(store, &entity.0, &entity.1, initial).await })
    }
}

fn lower(at: &Address) -> Arc<wit::Address> {
    let Address { domain, entity_name, entity_id } = at.clone();
    Arc::new(wit::Address { domain, entity_name, entity_id })
}

/// The address errors about a whole entity name.
fn whole(domain: &str, entity_name: &str) -> Address {
    Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() }
}

#[async_trait]
impl Store for PluginStore {
    fn describe(&self) -> String {
        self.summary.clone()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        let entity = Arc::new((domain.to_owned(), entity_name.to_owned()));
        self.call(&whole(domain, entity_name), &wait_for_init(&entity, initial)).await?;
        self.running.lock().await.ready.push(entity);
        Ok(())
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        let lowered = lower(at);
        self.call(at, &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_read_value(store, &at).await })
        })
        .await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        self.call(at, &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_has_value(store, &at).await })
        })
        .await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        let lowered = lower(at);
        let value: Arc<[u8]> = value.into();
        let when_ms = when_ms.unsigned_abs();
        self.call(at, &move |guest, store| {
            let (at, value) = (Arc::clone(&lowered), Arc::clone(&value));
            Box::pin(async move { guest.call_write_value(store, &at, &value, when_ms).await })
        })
        .await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        self.call(at, &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_remove_value(store, &at).await })
        })
        .await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let at = whole(domain, entity_name);
        let entity = Arc::new((domain.to_owned(), entity_name.to_owned()));
        let mut ids = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let (asked, from) = (Arc::clone(&entity), cursor.clone());
            let page = self
                .call(&at, &move |guest, store| {
                    let (entity, from) = (Arc::clone(&asked), from.clone());
                    Box::pin(async move { guest.call_keys(store, &entity.0, &entity.1, from.as_deref(), PAGE).await })
                })
                .await?;
            let advanced = !page.entity_ids.is_empty();
            ids.extend(page.entity_ids);
            match page.next {
                None => return Ok(ids),
                Some(next) if advanced && Some(&next) != cursor.as_ref() => cursor = Some(next),
                Some(_) => {
                    let message = "keys: the plugin's listing does not advance".to_owned();
                    return Err(StoreError { store: self.summary.clone(), at, message, retryable: false });
                }
            }
        }
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        // The contract has no rename: the document is copied under a name of its own and only then removed.
        let Some(value) = self.read_value(at).await? else {
            return Ok("nowhere: it is gone".to_owned());
        };
        let digest: String = Sha256::digest(&value).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let aside = Address { entity_id: format!("{}.corrupt-{digest}", at.entity_id), ..at.clone() };
        self.write_value(&aside, &value, 0).await?;
        self.remove_value(at).await?;
        Ok(format!("{} {}/{}", aside.domain, aside.entity_name, aside.entity_id))
    }

    async fn close(&self) {
        let mut supervised = self.running.lock().await;
        let Some(mut running) = supervised.instance.take() else { return };
        let closed = self.attempt(&mut running, &|guest, store| Box::pin(guest.call_close(store))).await;
        if let Err(Failed::Refused(failure)) = closed {
            tracing::warn!(target: "plugin", plugin = self.binding.name, "close failed: {}", failure.message);
        }
    }
}
