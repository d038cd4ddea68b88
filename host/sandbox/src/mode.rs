//! The two modes of a sandbox, and the wasmtime engine of each.

use std::{thread, time::Duration};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{
    PluginError,
    limits::{MEMORIES_AND_TABLES, TABLE_ELEMENTS},
    sandbox::set_up,
};

/// The mode of a sandbox: [`Deterministic`] or [`Live`].
pub trait Mode: sealed::Sealed + Clone + Send + Sync + 'static {
    /// Whether the same input gives the same output.
    #[doc(hidden)]
    const DETERMINISTIC: bool;

    /// The engine of this mode.
    ///
    /// # Errors
    /// When this machine cannot run WebAssembly as asked.
    #[doc(hidden)]
    fn engine() -> Result<Engine, PluginError>;

    /// Prepares an instance's store for what runs before the first call: gives it fuel, or makes it give way to others.
    #[doc(hidden)]
    fn prepare<T>(store: &mut wasmtime::Store<T>, fuel_per_call: u64) -> Result<(), PluginError>;
}

/// Backtests: the same input gives the same output, byte for byte, on every machine. Fuel bounds a call, not time.
/// Clocks show the engine's time, and random numbers are the same in each run. Calls are synchronous, and must not be
/// made inside an async runtime.
#[derive(Clone, Copy, Debug)]
pub enum Deterministic {}

/// Live trading: time bounds a call, and calls are asynchronous.
#[derive(Clone, Copy, Debug)]
pub enum Live {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Deterministic {}
    impl Sealed for super::Live {}
}

impl Mode for Deterministic {
    const DETERMINISTIC: bool = true;

    fn engine() -> Result<Engine, PluginError> {
        let mut config = common_config();
        // Instances are made on demand. A pool would make one in half the time, which is 40 µs of a run of
        // milliseconds, but it would cost each start 4 ms and bound the number of instances.
        config.consume_fuel(true).cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
        Engine::new(&config).map_err(set_up)
    }

    fn prepare<T>(store: &mut wasmtime::Store<T>, fuel_per_call: u64) -> Result<(), PluginError> {
        store.set_fuel(fuel_per_call).map_err(set_up)
    }
}

impl Mode for Live {
    const DETERMINISTIC: bool = false;

    fn engine() -> Result<Engine, PluginError> {
        // The pool reserves terabytes of addresses. Where a container forbids that, instances are made on demand.
        let engine = Engine::new(&live_config(true)).or_else(|_| Engine::new(&live_config(false))).map_err(set_up)?;
        keep_yielding(&engine)?;
        Ok(engine)
    }

    fn prepare<T>(store: &mut wasmtime::Store<T>, _: u64) -> Result<(), PluginError> {
        store.epoch_deadline_async_yield_and_update(1);
        Ok(())
    }
}

/// How often a live guest that computes gives way to others. This is short compared with the minute in which all work
/// of a boundary must be done, and long compared with the cost of a switch.
const YIELD_EVERY: Duration = Duration::from_millis(10);

/// How many instances fit into the pool of the live engine; one more cannot be made. Each is one strategy on one
/// symbol. A pool for twice as many would need more addresses than there are.
const POOLED_INSTANCES: u32 = 4000;

/// Core modules of an average instance.
const CORE_INSTANCES_EACH: u32 = 4;

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
    // Guests export plain functions. Support for concurrent ones would cost each call more than the call itself.
    config.concurrency_support(false);
    config
}

/// Advances the epoch again and again until the engine is dropped, so that live guests give way to others.
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
