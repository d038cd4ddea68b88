//! A sandbox: compiles components, makes stores for their instances, and bounds their calls.

use std::{marker::PhantomData, path::Path, path::PathBuf, time::Duration};

use wasmtime::{
    Engine, PoolConcurrencyLimitError,
    component::{Component, ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc},
};

use crate::{
    PluginError,
    cache::CodeCache,
    error::Breakdown,
    guest::Guest,
    limits::Limits,
    mode::{Deterministic, Live, Mode},
    text::{one_line, trap},
};

/// Compiles plugins and makes instances of them. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox<M> {
    limits: Limits,
    engine: Engine,
    cache: CodeCache,
    mode: PhantomData<M>,
}

impl<M: Mode> Sandbox<M> {
    /// Makes a sandbox. `cache_dir` is the folder that keeps compiled code between runs; only the operator may be able
    /// to write to it. With `None`, plugins are compiled every time.
    ///
    /// # Errors
    /// When this machine cannot run WebAssembly as asked.
    pub fn new(limits: Limits, cache_dir: Option<PathBuf>) -> Result<Self, PluginError> {
        Ok(Self { limits, engine: M::engine()?, cache: CodeCache::new(cache_dir), mode: PhantomData })
    }

    /// What an instance may use.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Compiles the component at `path`, or loads its compiled code. The text is the SHA-256 of the file.
    pub(crate) fn component(&self, path: &Path) -> Result<(Component, String), PluginError> {
        self.component_with(path, "", |_| Ok(None))
    }

    /// As [`component`](Self::component), with what `change` makes of the component; where it makes nothing of it, the
    /// component is compiled as it is. `variant` names the change. An error of `change` says what is wrong with the
    /// component.
    pub(crate) fn component_with(
        &self,
        path: &Path,
        variant: &str,
        change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<(Component, String), PluginError> {
        self.cache.component(&self.engine, path, variant, change)
    }

    /// Whether a plugin that was granted `directory` could change the compiled code that this process runs.
    pub(crate) fn has_code_in_reach_of(&self, directory: &Path) -> bool {
        self.cache.is_in_reach_of(directory)
    }

    /// A store for one instance, with its limits set. The instance may hand `hostcall_bytes` to the host at once.
    pub(crate) fn store<T: Context>(
        &self,
        context: T,
        hostcall_bytes: usize,
    ) -> Result<wasmtime::Store<T>, PluginError> {
        let mut store = wasmtime::Store::new(&self.engine, context);
        store.limiter(|context| context.guest_mut().growth_limiter());
        store.set_hostcall_fuel(hostcall_bytes);
        M::prepare(&mut store, self.limits.fuel_per_call)?;
        Ok(store)
    }

    /// How the call that returned `error` broke down.
    pub(crate) fn breakdown<T: Context>(&self, store: &wasmtime::Store<T>, error: &wasmtime::Error) -> Breakdown {
        if matches!(error.downcast_ref(), Some(wasmtime::Trap::OutOfFuel)) {
            Breakdown::OutOfFuel(self.limits.fuel_per_call)
        } else if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            Breakdown::NoRoom(full.to_string())
        } else if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
            // wasmtime does not export the type of this error, so its message is compared; a test fails if the message
            // changes.
            Breakdown::TooMuchData(store.hostcall_fuel())
        } else if store.data().guest().memory_was_refused() {
            Breakdown::OutOfMemory(self.limits.memory_bytes)
        } else {
            Breakdown::Trap(trap(error))
        }
    }
}

/// The data of an instance's wasmtime store: what the instance is and what it has in its role.
pub(crate) trait Context: Send + 'static {
    /// The part that is the same in every role.
    fn guest(&self) -> &Guest;

    /// The same part, to change it.
    fn guest_mut(&mut self) -> &mut Guest;
}

/// How long a live call may take, and the setting of this limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit {
    pub(crate) limit: Duration,
    pub(crate) setting: &'static str,
}

impl TimeLimit {
    pub(crate) const fn exceeded(self) -> Breakdown {
        Breakdown::Timeout { limit: self.limit, setting: self.setting }
    }
}

// A call has the same meaning in both modes. After a breakdown the store must be dropped: a guest that trapped cannot
// be entered again, and a guest that timed out is still in the middle of its work. `take` takes the wanted part out of
// an answer at once, because answers are large and would otherwise be copied at every step of the way up.

impl Sandbox<Deterministic> {
    /// Makes an instance. Components may run code while they are instantiated, so this is bounded like a call.
    pub(crate) fn instantiate<T: Context>(
        &self,
        store: &mut wasmtime::Store<T>,
        pre: &InstancePre<T>,
    ) -> Result<Instance, Breakdown> {
        pre.instantiate(&mut *store).map_err(|error| self.breakdown(store, &error))
    }

    /// Calls `function` at `now_ms` with a fresh allowance.
    pub(crate) fn call<T: Context, Params, Return, Taken>(
        &self,
        store: &mut wasmtime::Store<T>,
        function: TypedFunc<Params, Return>,
        params: Params,
        now_ms: i64,
        take: impl FnOnce(Return) -> Taken,
    ) -> Result<Taken, Breakdown>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        store.data_mut().guest_mut().begin_call(now_ms);
        let refuelled = store.set_fuel(self.limits.fuel_per_call);
        let taken = refuelled.and_then(|()| function.call(&mut *store, params).map(take));
        taken.map_err(|error| self.breakdown(store, &error))
    }
}

impl Sandbox<Live> {
    /// Makes an instance. Components may run code while they are instantiated, so this is bounded like a call.
    pub(crate) async fn instantiate<T: Context>(
        &self,
        store: &mut wasmtime::Store<T>,
        pre: &InstancePre<T>,
        time: TimeLimit,
    ) -> Result<Instance, Breakdown> {
        let instance = tokio::time::timeout(time.limit, pre.instantiate_async(&mut *store)).await;
        instance.map_err(|_| time.exceeded())?.map_err(|error| self.breakdown(store, &error))
    }

    /// Calls `function` at `now_ms` with a fresh allowance.
    pub(crate) async fn call<T: Context, Params, Return, Taken>(
        &self,
        store: &mut wasmtime::Store<T>,
        function: TypedFunc<Params, Return>,
        params: Params,
        now_ms: i64,
        time: TimeLimit,
        take: impl FnOnce(Return) -> Taken,
    ) -> Result<Taken, Breakdown>
    where
        Params: ComponentNamedList + Lower + Send + Sync + 'static,
        Return: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        store.data_mut().guest_mut().begin_call(now_ms);
        // The deadline counts from now. With the old deadline every call would give way at once, because the epoch has
        // advanced since the last call.
        store.set_epoch_deadline(1);
        let taken = tokio::time::timeout(time.limit, function.call_async(&mut *store, params)).await;
        taken.map_err(|_| time.exceeded())?.map(take).map_err(|error| self.breakdown(store, &error))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as the argument of map_err")]
pub(crate) fn set_up(error: wasmtime::Error) -> PluginError {
    PluginError::Sandbox(one_line(&error))
}
