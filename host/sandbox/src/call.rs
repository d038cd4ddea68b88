//! One call into a guest, in either mode.

use std::time::Duration;

use wasmtime::component::{ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc};

use crate::{
    error::Breakdown,
    host::Host,
    sandbox::{Mode, Sandbox},
};

/// How long a live call may take, and which setting says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    pub(super) limit: Duration,
    pub(super) setting: &'static str,
}

impl TimeLimit {
    pub(super) const fn exceeded(self) -> Breakdown {
        Breakdown::Timeout { limit: self.limit, setting: self.setting }
    }
}

/// Makes an instance. Components may run code then, so this is bounded like a call.
pub(super) async fn instantiate(
    sandbox: &Sandbox,
    store: &mut wasmtime::Store<Host>,
    pre: &InstancePre<Host>,
    time: TimeLimit,
) -> Result<Instance, Breakdown> {
    let instance = match sandbox.mode {
        Mode::Deterministic => pre.instantiate(&mut *store),
        Mode::Live => match Box::pin(tokio::time::timeout(time.limit, pre.instantiate_async(&mut *store))).await {
            Ok(instance) => instance,
            Err(_) => return Err(time.exceeded()),
        },
    };
    instance.map_err(|error| sandbox.breakdown(store, &error))
}

/// Calls `function` at `now_ms` with a fresh allowance, and takes what is wanted out of its answer, where it is: answers
/// are large, and would be copied at every step of the way up. After a breakdown the store must be dropped: a guest that
/// trapped cannot be entered again, and one that timed out is still in the middle of its work.
pub(super) async fn call<Params, Return, Taken>(
    sandbox: &Sandbox,
    store: &mut wasmtime::Store<Host>,
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
    store.data_mut().begin_call(now_ms);
    let taken = match sandbox.mode {
        Mode::Deterministic => {
            let refuelled = store.set_fuel(sandbox.limits.fuel_per_call);
            refuelled.and_then(|()| function.call(&mut *store, params).map(take))
        }
        Mode::Live => {
            // From now on, or every call would give way at once: ticks have passed since the last one.
            store.set_epoch_deadline(1);
            // In a box, so that the future of a backtest's call is small.
            match Box::pin(tokio::time::timeout(time.limit, function.call_async(&mut *store, params))).await {
                Ok(returned) => returned.map(take),
                Err(_) => return Err(time.exceeded()),
            }
        }
    };
    taken.map_err(|error| sandbox.breakdown(store, &error))
}
