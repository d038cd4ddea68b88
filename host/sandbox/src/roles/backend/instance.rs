//! One instance of a backend, and one attempt at a call on it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use wasmtime::{
    CallHook,
    component::{Instance, InstancePre, Linker},
};

use super::{
    context::{BackendContext, Shared, link},
    probe::Descriptor,
};
use crate::{
    PluginError, Sandbox,
    bindings::persistence::exports::sigbox::persistence::{fenced, store as wit},
    contract,
    error::Breakdown,
    limits::STORE_HOSTCALL_BYTES,
    mode::Live,
    sandbox::{Context as _, TimeLimit, set_up},
    text::one_line,
};

/// What each instance of a backend is made from: a checked component, its grants and its limits.
pub(super) struct Blueprint {
    sandbox: Sandbox<Live>,
    shared: Shared,
    pre: InstancePre<BackendContext>,
    store: wit::GuestIndices,
    /// `None`: it does not keep two hosts apart.
    fenced: Option<fenced::GuestIndices>,
    pub(super) time: TimeLimit,
}

/// An instance that has started.
pub(super) struct Running {
    store: wasmtime::Store<BackendContext>,
    exports: Exports,
}

/// What an instance exports.
pub(super) struct Exports {
    pub(super) store: wit::Guest,
    fenced: Option<fenced::Guest>,
}

impl Exports {
    pub(super) fn fenced(&self) -> wasmtime::Result<&fenced::Guest> {
        self.fenced.as_ref().ok_or_else(|| wasmtime::Error::msg("it does not export sigbox:persistence/fenced"))
    }
}

/// How one attempt at a call failed, and in which function. This may be another function than the one that was called:
/// a fresh instance is first started and told of its entities.
#[derive(Debug)]
pub(super) enum Failed {
    /// The backend answered with a failure.
    Refused(&'static str, wit::Failure),
    /// The instance broke down, and must be dropped.
    Broke(&'static str, Breakdown),
}

/// A domain and an entity name. Shared, because a call owns its arguments.
pub(super) type Entity = Arc<(String, String)>;

/// A call on the instance that is running when the call is made. A call may be made more than once, so it owns its
/// arguments and returns a boxed future each time.
pub(super) trait Call<T>:
    for<'a> Fn(
        &'a Exports,
        &'a mut wasmtime::Store<BackendContext>,
    ) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
    + Send
    + Sync
{
}

impl<T, F> Call<T> for F where
    F: for<'a> Fn(
            &'a Exports,
            &'a mut wasmtime::Store<BackendContext>,
        ) -> BoxFuture<'a, wasmtime::Result<Result<T, wit::Failure>>>
        + Send
        + Sync
{
}

impl Blueprint {
    /// Compiles the component at `path`, or loads its compiled code, and checks that it is a backend.
    pub(super) fn new(
        sandbox: &Sandbox<Live>,
        path: &std::path::Path,
        shared: Shared,
        time: TimeLimit,
    ) -> Result<Self, PluginError> {
        let (component, _) = sandbox.component(path)?;
        let contract_error = |mismatch| PluginError::Contract { path: path.to_path_buf(), mismatch };
        contract::export(&component, sandbox.engine(), contract::PERSISTENCE, "read-value").map_err(contract_error)?;
        contract::wraps(&component, sandbox.engine(), shared.over.is_some()).map_err(contract_error)?;
        let mut linker = Linker::new(sandbox.engine());
        link(&mut linker, shared.over.is_some()).map_err(set_up)?;
        let pre: InstancePre<BackendContext> = linker.instantiate_pre(&component).map_err(|error| {
            contract_error(contract::explain_imports(
                &component,
                sandbox.engine(),
                contract::PERSISTENCE,
                &one_line(&error),
            ))
        })?;
        let misfit = |of, error: wasmtime::Error| {
            contract_error(contract::explain_export(&component, sandbox.engine(), of, &one_line(&error)))
        };
        let store = wit::GuestIndices::new(&pre).map_err(|error| misfit(contract::PERSISTENCE, error))?;
        let fenced = contract::exports(&component, contract::FENCED).then(|| fenced::GuestIndices::new(&pre));
        let fenced = fenced.transpose().map_err(|error| misfit(contract::FENCED, error))?;
        Ok(Self { sandbox: sandbox.clone(), shared, pre, store, fenced, time })
    }

    /// Whether its storage can be claimed.
    pub(super) const fn is_fenced(&self) -> bool {
        self.fenced.is_some()
    }

    fn exports(&self, store: &mut wasmtime::Store<BackendContext>, instance: &Instance) -> wasmtime::Result<Exports> {
        let fenced = self.fenced.as_ref().map(|fenced| fenced.load(&mut *store, instance)).transpose()?;
        Ok(Exports { store: self.store.load(&mut *store, instance)?, fenced })
    }

    pub(super) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Makes an instance and starts it.
    pub(super) async fn start(&self, deadline: Instant) -> Result<(wit::Descriptor, Running), Failed> {
        let broke = |breakdown| Failed::Broke("instantiate", breakdown);
        let unmade = |error: PluginError| broke(Breakdown::Trap(error.to_string()));
        let context = BackendContext::new(self.shared.clone(), self.sandbox.limits().clone()).map_err(unmade)?;
        let mut store = self.sandbox.store(context, STORE_HOSTCALL_BYTES).map_err(unmade)?;
        if let Some(probe) = self.shared.probe.clone() {
            store.call_hook(move |_, hook| match hook {
                CallHook::CallingHost => probe.called(),
                CallHook::CallingWasm | CallHook::ReturningFromWasm | CallHook::ReturningFromHost => Ok(()),
            });
        }
        // Components may run code while they are instantiated, so the deadline holds here too.
        let instance = tokio::time::timeout_at(deadline, self.pre.instantiate_async(&mut store)).await;
        let instance = instance.map_err(|_| broke(self.time.exceeded()))?;
        let exports = instance.and_then(|instance| self.exports(&mut store, &instance));
        let exports = exports.map_err(|error| broke(self.sandbox.breakdown(&store, &error)))?;
        let mut running = Running { store, exports };
        let descriptor = self
            .attempt(&mut running, deadline, "describe", &|guest, store| {
                Box::pin(async move { guest.store.call_describe(store).await.map(Ok) })
            })
            .await?;
        if let Some(probe) = &self.shared.probe {
            let wit::Descriptor { name, version, summary, features, max_value_bytes, extra: _ } = descriptor.clone();
            probe.described(Descriptor { name, version, summary, features, max_value_bytes });
        }
        self.attempt(&mut running, deadline, "start", &|guest, store| Box::pin(guest.store.call_start(store))).await?;
        Ok((descriptor, running))
    }

    /// Makes one call on one instance. After [`Failed::Broke`] the instance must be dropped.
    pub(super) async fn attempt<T>(
        &self,
        running: &mut Running,
        deadline: Instant,
        function: &'static str,
        call: &dyn Call<T>,
    ) -> Result<T, Failed> {
        let Running { store, exports } = running;
        store.data_mut().guest_mut().begin_call(0);
        let call = call(exports, store);
        match tokio::time::timeout_at(deadline, call).await {
            Err(_) => Err(Failed::Broke(function, self.time.exceeded())),
            Ok(Err(error)) => Err(Failed::Broke(function, self.sandbox.breakdown(store, &error))),
            Ok(Ok(Err(failure))) => {
                if let Some(probe) = &self.shared.probe {
                    probe.hear(format!("{}: {}", failure.code, failure.message));
                }
                Err(Failed::Refused(function, failure))
            }
            Ok(Ok(Ok(value))) => Ok(value),
        }
    }
}

pub(super) fn wait_for_init(entity: &Entity, initial: bool) -> impl Call<()> + use<> {
    let entity = Arc::clone(entity);
    move |guest: &Exports, store: &mut wasmtime::Store<BackendContext>| {
        let entity = Arc::clone(&entity);
        Box::pin(async move { guest.store.call_wait_for_init(store, &entity.0, &entity.1, initial).await })
    }
}
