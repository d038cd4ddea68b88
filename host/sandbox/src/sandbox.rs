//! The two engines plugins run in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use wasmtime::{
    CallHook, Config, Engine, InstanceAllocationStrategy, PoolConcurrencyLimitError, PoolingAllocationConfig,
    component::{Component, Linker},
};

use crate::{
    PluginError, bindings,
    cache::CodeCache,
    error::Breakdown,
    host::Host,
    limits::{Limits, MEMORIES_AND_TABLES, TABLE_ELEMENTS},
    look_up,
    text::{one_line, trap},
    wasi,
};

/// How often a live guest that computes without end gives way to others. Short against the minute everything has to
/// be done in, long against the cost of a switch.
const YIELD_EVERY: Duration = Duration::from_millis(10);

/// Instances the pool of the live engine has room for; beyond, an instance cannot be made. Each is one strategy on one
/// symbol. Twice as many would need more addresses than there are.
const POOLED_INSTANCES: u32 = 4000;

/// Core modules of an average instance.
const CORE_INSTANCES_EACH: u32 = 4;

/// What plugins are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Backtests: the same input gives the same output, byte for byte, on every machine. Fuel bounds a call, never
    /// time; clocks show the engine's time; random numbers are the same each run. Calls are synchronous and must not
    /// be made inside an async runtime.
    Deterministic,
    /// Live trading: time bounds a call, calls are asynchronous.
    Live,
}

/// Compiles plugins and makes instances of them. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    pub(super) mode: Mode,
    pub(super) limits: Limits,
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<Host>>,
    cache: CodeCache,
}

impl Sandbox {
    /// A sandbox. `cache_dir`: where compiled code is kept between runs, a folder only the operator can write to;
    /// `None`: compile every time.
    ///
    /// # Errors
    /// When this machine cannot run WebAssembly as asked.
    pub fn new(mode: Mode, limits: Limits, cache_dir: Option<PathBuf>) -> Result<Self, PluginError> {
        let engine = match mode {
            Mode::Deterministic => Engine::new(&deterministic_config()),
            // The pool reserves terabytes of addresses; where a container forbids that, allocate on demand.
            Mode::Live => Engine::new(&live_config(true)).or_else(|_| Engine::new(&live_config(false))),
        }
        .map_err(set_up)?;
        if mode == Mode::Live {
            keep_yielding(&engine)?;
        }
        let linker = link(&engine, mode).map_err(set_up)?;
        Ok(Self { mode, limits, engine, linker: Arc::new(linker), cache: CodeCache::new(cache_dir) })
    }

    /// What an instance may use.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Compiles the component at `path`, or finds its compiled code. The text is the SHA-256 of the file.
    pub(super) fn component(&self, path: &Path) -> Result<(Component, String), PluginError> {
        self.cache.component(&self.engine, path)
    }

    /// A store for one instance, with its limits set. `hostcall_bytes`: what it may hand to the host at once.
    pub(super) fn store(&self, host: Host, hostcall_bytes: usize) -> Result<wasmtime::Store<Host>, PluginError> {
        let mut store = wasmtime::Store::new(&self.engine, host);
        store.limiter(|host| host.growth_limiter());
        store.set_hostcall_fuel(hostcall_bytes);
        if let Some(probe) = store.data().grant().probe.clone() {
            store.call_hook(move |_, hook| match hook {
                CallHook::CallingHost => probe.called(),
                CallHook::CallingWasm | CallHook::ReturningFromWasm | CallHook::ReturningFromHost => Ok(()),
            });
        }
        match self.mode {
            Mode::Deterministic => store.set_fuel(self.limits.fuel_per_call).map_err(set_up)?,
            Mode::Live => store.epoch_deadline_async_yield_and_update(1),
        }
        Ok(store)
    }

    /// Says how a call ended that returned `error`.
    pub(super) fn breakdown(&self, store: &wasmtime::Store<Host>, error: &wasmtime::Error) -> Breakdown {
        if matches!(error.downcast_ref(), Some(wasmtime::Trap::OutOfFuel)) {
            Breakdown::OutOfFuel(self.limits.fuel_per_call)
        } else if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            Breakdown::NoRoom(full.to_string())
        } else if error.root_cause().to_string().contains("fuel allocated for hostcalls") {
            // wasmtime keeps the error's type to itself; a test reads the message.
            Breakdown::TooMuchData(store.hostcall_fuel())
        } else if store.data().memory_was_refused() {
            Breakdown::OutOfMemory(self.limits.memory_bytes)
        } else {
            Breakdown::Trap(trap(error))
        }
    }
}

fn deterministic_config() -> Config {
    let mut config = common_config();
    // Instances are made on demand: a pool makes one in half the time, which is 40 µs of a run of milliseconds, but it
    // costs each start 4 ms and bounds how many there can be.
    config.consume_fuel(true).cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
    config
}

fn live_config(pooling: bool) -> Config {
    let mut config = common_config();
    config.epoch_interruption(true);
    if pooling {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(POOLED_INSTANCES)
            .total_core_instances(POOLED_INSTANCES * CORE_INSTANCES_EACH)
            .total_memories(POOLED_INSTANCES)
            .total_tables(POOLED_INSTANCES * CORE_INSTANCES_EACH)
            .total_stacks(POOLED_INSTANCES)
            .max_component_instance_size(8 << 20)
            .max_core_instance_size(1 << 20)
            .max_memories_per_component(MEMORIES_AND_TABLES)
            .max_tables_per_component(MEMORIES_AND_TABLES)
            .table_elements(TABLE_ELEMENTS);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

fn common_config() -> Config {
    let mut config = Config::new();
    // Guests export plain functions, and the machinery for concurrent ones costs each call more than the call itself.
    config.concurrency_support(false);
    config
}

/// Ticks the epoch for as long as the engine lives.
fn keep_yielding(engine: &Engine) -> Result<(), PluginError> {
    let engine = engine.weak();
    let tick = move || {
        loop {
            thread::sleep(YIELD_EVERY);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    let started = thread::Builder::new().name("sigbox-epoch".to_owned()).spawn(tick);
    started.map(drop).map_err(|error| PluginError::Sandbox(format!("no thread for its clock: {error}")))
}

fn link(engine: &Engine, mode: Mode) -> wasmtime::Result<Linker<Host>> {
    type Own = wasmtime::component::HasSelf<Host>;
    let mut linker = Linker::new(engine);
    match mode {
        Mode::Deterministic => {
            wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
            wasi::make_deterministic(&mut linker)?;
        }
        Mode::Live => {
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
            look_up::guard(&mut linker)?;
            bindings::wrapper::sigbox::persistence::store::add_to_linker::<_, Own>(&mut linker, |host| host)?;
        }
    }
    bindings::strategy::Strategy::add_to_linker::<_, Own>(&mut linker, |host| host)?;
    bindings::persistence::sigbox::host::secrets::add_to_linker::<_, Own>(&mut linker, |host| host)?;
    Ok(linker)
}

#[expect(clippy::needless_pass_by_value, reason = "used as the argument of map_err")]
pub(super) fn set_up(error: wasmtime::Error) -> PluginError {
    PluginError::Sandbox(one_line(&error))
}
