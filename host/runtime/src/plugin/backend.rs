//! Persistence backends as components.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::{sync::Mutex, time::Instant};
use wasmtime::component::InstancePre;

use super::{
    PluginError, Sandbox,
    bindings::persistence::{Backend, BackendPre, exports::sigbox::persistence::store as wit},
    call::TimeLimit,
    contract,
    error::Breakdown,
    host::{Grant, Host},
    limits::{LISTING_PAGE, LISTING_PAGES, STORE_HOSTCALL_BYTES},
    text::{message, one_line},
};
use crate::{
    digest::sha256,
    store::{Address, Store, StoreError},
};

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
/// were made. An instance that breaks down is replaced and the call repeated once, all within the time of one call;
/// which entities were made ready is kept here, so that a fresh instance is told again.
pub struct PluginStore {
    sandbox: Sandbox,
    binding: StoreBinding,
    pre: BackendPre<Host>,
    summary: String,
    /// What the plugin says it takes in one document.
    most_bytes: u64,
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

/// How one attempt at a call failed, and in which function: a fresh instance is started and told of its entities first.
enum Failed {
    /// The backend said no.
    Refused(&'static str, wit::Failure),
    /// The instance is gone.
    Broke(&'static str, Breakdown),
}

/// Until when a call has to be done, whatever it takes.
#[derive(Clone, Copy)]
struct Deadline(Instant);

impl PluginStore {
    /// Compiles the component at `path`, or finds its compiled code, checks that it is a backend and starts it. The
    /// sandbox must be [`Mode::Live`](super::Mode::Live).
    ///
    /// # Errors
    /// When the file cannot be read, is not a component, does not fit `sigbox:persistence`, or cannot start.
    pub async fn start(sandbox: &Sandbox, path: &Path, binding: StoreBinding) -> Result<Self, PluginError> {
        let (component, _) = sandbox.component(path)?;
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
            most_bytes: 0,
            running: Mutex::new(Supervised::default()),
        };
        let plugin = started.binding.name.clone();
        let (descriptor, running) = started.instantiate(started.deadline()).await.map_err(|failed| match failed {
            Failed::Refused(function, failure) => PluginError::Refused {
                plugin: plugin.clone(),
                function,
                code: message(&failure.code),
                message: message(&failure.message),
            },
            Failed::Broke(function, breakdown) => PluginError::Broke { plugin: plugin.clone(), function, breakdown },
        })?;
        let wit::Descriptor { name, version, summary, features: _, max_value_bytes } = descriptor;
        started.summary = format!("{plugin} ({})", message(&format!("{name} {version}: {summary}")));
        started.most_bytes = max_value_bytes;
        started.running.get_mut().instance = Some(running);
        Ok(started)
    }

    fn time_limit(&self) -> TimeLimit {
        TimeLimit { limit: self.sandbox.limits.store_timeout, setting: "[limits] store-timeout-ms" }
    }

    fn deadline(&self) -> Deadline {
        Deadline(Instant::now() + self.sandbox.limits.store_timeout)
    }

    async fn instantiate(&self, deadline: Deadline) -> Result<(wit::Descriptor, Running), Failed> {
        let grant = Grant {
            plugin: self.binding.name.clone(),
            config: self.binding.settings.clone(),
            secrets: self.binding.secrets.clone(),
            ..Grant::default()
        };
        let host = Host::new(grant, self.sandbox.limits.clone(), false);
        let broke = |breakdown| Failed::Broke("instantiate", breakdown);
        let store = self.sandbox.store(host, STORE_HOSTCALL_BYTES);
        let mut store = store.map_err(|error| broke(Breakdown::Trap(error.to_string())))?;
        // Components may run code then.
        let backend = tokio::time::timeout_at(deadline.0, self.pre.instantiate_async(&mut store)).await;
        let backend = backend.map_err(|_| broke(self.time_limit().exceeded()))?;
        let backend = backend.map_err(|error| broke(self.sandbox.breakdown(&store, &error)))?;
        let mut running = Running { store, backend };
        let descriptor = self
            .attempt(&mut running, deadline, "describe", &|guest, store| {
                Box::pin(async move { guest.call_describe(store).await.map(Ok) })
            })
            .await?;
        self.attempt(&mut running, deadline, "start", &|guest, store| Box::pin(guest.call_start(store))).await?;
        Ok((descriptor, running))
    }

    /// One call on one instance.
    async fn attempt<T>(
        &self,
        running: &mut Running,
        Deadline(deadline): Deadline,
        function: &'static str,
        call: &dyn Call<T>,
    ) -> Result<T, Failed> {
        let Running { store, backend } = running;
        store.data_mut().begin_call(0);
        let call = call(backend.sigbox_persistence_store(), store);
        match tokio::time::timeout_at(deadline, call).await {
            Err(_) => Err(Failed::Broke(function, self.time_limit().exceeded())),
            Ok(Err(error)) => Err(Failed::Broke(function, self.sandbox.breakdown(store, &error))),
            Ok(Ok(Err(failure))) => Err(Failed::Refused(function, failure)),
            Ok(Ok(Ok(value))) => Ok(value),
        }
    }

    /// Makes a call, on a fresh instance if there is none, and once more if the instance breaks down under it and there
    /// is time: calls carry no handles and are safe to repeat.
    async fn call<T>(&self, at: &Address, function: &'static str, call: &dyn Call<T>) -> Result<T, StoreError> {
        let mut supervised = self.running.lock().await;
        let deadline = self.deadline();
        let mut broken = None;
        loop {
            match self.call_once(&mut supervised, deadline, function, call).await {
                Ok(value) => return Ok(value),
                Err(Failed::Refused(function, failure)) => return Err(self.refused(at, function, &failure)),
                Err(Failed::Broke(function, breakdown)) => {
                    supervised.instance = None;
                    tracing::warn!(target: "plugin", plugin = self.binding.name, "{function}: {breakdown}");
                    let again = if broken.is_some() { "a fresh instance: " } else { "" };
                    let is_over = broken.is_some() || matches!(breakdown, Breakdown::Timeout { .. });
                    if is_over {
                        let message = format!("{again}{function}: {breakdown}");
                        return Err(StoreError {
                            store: self.summary.clone(),
                            at: at.clone(),
                            message,
                            retryable: true,
                        });
                    }
                    broken = Some(breakdown);
                }
            }
        }
    }

    async fn call_once<T>(
        &self,
        supervised: &mut Supervised,
        deadline: Deadline,
        function: &'static str,
        call: &dyn Call<T>,
    ) -> Result<T, Failed> {
        let Supervised { instance, ready } = supervised;
        // Taken out, so that a caller who gives up in the middle of a call leaves no instance in the middle of its work.
        let mut running = match instance.take() {
            Some(running) => running,
            None => {
                let (_, mut running) = self.instantiate(deadline).await?;
                for entity in &*ready {
                    self.attempt(&mut running, deadline, "wait-for-init", &wait_for_init(entity, false)).await?;
                }
                running
            }
        };
        let outcome = self.attempt(&mut running, deadline, function, call).await;
        if !matches!(outcome, Err(Failed::Broke(..))) {
            *instance = Some(running);
        }
        outcome
    }

    fn refused(&self, at: &Address, function: &str, failure: &wit::Failure) -> StoreError {
        StoreError {
            store: self.summary.clone(),
            at: at.clone(),
            message: format!("{function}: {}: {}", message(&failure.code), message(&failure.message)),
            retryable: failure.retryable,
        }
    }

    /// A listing that breaks the contract.
    fn bad_listing(&self, at: Address, how: &str) -> StoreError {
        StoreError { store: self.summary.clone(), at, message: format!("keys: {how}"), retryable: false }
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
        self.call(&whole(domain, entity_name), "wait-for-init", &wait_for_init(&entity, initial)).await?;
        let ready = &mut self.running.lock().await.ready;
        if !ready.contains(&entity) {
            ready.push(entity);
        }
        Ok(())
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        let lowered = lower(at);
        self.call(at, "read-value", &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_read_value(store, &at).await })
        })
        .await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        self.call(at, "has-value", &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_has_value(store, &at).await })
        })
        .await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        if value.len() as u64 > self.most_bytes {
            let message = format!("write-value: {} bytes; the plugin takes at most {}", value.len(), self.most_bytes);
            return Err(StoreError { store: self.summary.clone(), at: at.clone(), message, retryable: false });
        }
        let lowered = lower(at);
        let value: Arc<[u8]> = value.into();
        let when_ms = when_ms.unsigned_abs();
        self.call(at, "write-value", &move |guest, store| {
            let (at, value) = (Arc::clone(&lowered), Arc::clone(&value));
            Box::pin(async move { guest.call_write_value(store, &at, &value, when_ms).await })
        })
        .await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        let lowered = lower(at);
        self.call(at, "remove-value", &move |guest, store| {
            let at = Arc::clone(&lowered);
            Box::pin(async move { guest.call_remove_value(store, &at).await })
        })
        .await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let at = whole(domain, entity_name);
        let entity = Arc::new((domain.to_owned(), entity_name.to_owned()));
        let mut ids: Vec<String> = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..LISTING_PAGES {
            let (asked, from) = (Arc::clone(&entity), cursor.clone());
            let page = self
                .call(&at, "keys", &move |guest, store| {
                    let (entity, from) = (Arc::clone(&asked), from.clone());
                    Box::pin(async move {
                        guest.call_keys(store, &entity.0, &entity.1, from.as_deref(), LISTING_PAGE).await
                    })
                })
                .await?;
            if page.entity_ids.len() > LISTING_PAGE as usize {
                return Err(self.bad_listing(at, "the plugin gave more ids than it was asked for"));
            }
            let is_last = page.next.is_none();
            if page.entity_ids.is_empty() && !is_last {
                return Err(self.bad_listing(at, "the plugin's listing does not advance"));
            }
            for id in page.entity_ids {
                if ids.last().is_some_and(|before| *before >= id) {
                    return Err(self.bad_listing(at, "the plugin's ids do not ascend"));
                }
                ids.push(id);
            }
            if is_last {
                return Ok(ids);
            }
            cursor = page.next;
        }
        Err(self.bad_listing(at, &format!("the plugin's listing has more than {LISTING_PAGES} pages")))
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        // The contract has no rename: the document is copied under a name of its own and only then removed.
        let Some(value) = self.read_value(at).await? else {
            return Ok("nowhere: it is gone".to_owned());
        };
        let aside = Address { entity_id: format!("{}.corrupt-{}", at.entity_id, &sha256(&value)[..12]), ..at.clone() };
        self.write_value(&aside, &value, 0).await?;
        self.remove_value(at).await?;
        Ok(format!("{} {}/{}", aside.domain, aside.entity_name, aside.entity_id))
    }

    async fn close(&self) {
        let mut supervised = self.running.lock().await;
        let Some(mut running) = supervised.instance.take() else { return };
        let close =
            self.attempt(&mut running, self.deadline(), "close", &|guest, store| Box::pin(guest.call_close(store)));
        let problem = match close.await {
            Ok(()) => return,
            Err(Failed::Refused(_, failure)) => message(&failure.message),
            Err(Failed::Broke(_, breakdown)) => breakdown.to_string(),
        };
        tracing::warn!(target: "plugin", plugin = self.binding.name, "close: {problem}");
    }
}
