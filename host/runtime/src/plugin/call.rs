//! One call into a guest, in either mode.

use std::time::Duration;

use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};

use super::{
    error::Breakdown,
    host::Host,
    sandbox::{Mode, Sandbox},
};

/// Calls `function` at `now_ms` with a fresh allowance. After a breakdown the store must be dropped: a guest that
/// trapped cannot be entered again, and one that timed out is still in the middle of its work.
pub(super) async fn call<Params, Return>(
    sandbox: &Sandbox,
    store: &mut wasmtime::Store<Host>,
    function: TypedFunc<Params, Return>,
    params: Params,
    now_ms: i64,
    timeout: Duration,
) -> Result<Return, Breakdown>
where
    Params: ComponentNamedList + Lower + Send + Sync + 'static,
    Return: ComponentNamedList + Lift + Send + Sync + 'static,
{
    store.data_mut().begin_call(now_ms);
    let returned = match sandbox.mode {
        Mode::Deterministic => {
            let refuelled = store.set_fuel(sandbox.limits.fuel_per_call);
            refuelled.and_then(|()| function.call(&mut *store, params))
        }
        Mode::Live => match tokio::time::timeout(timeout, function.call_async(&mut *store, params)).await {
            Ok(returned) => returned,
            Err(_) => return Err(Breakdown::Timeout(timeout)),
        },
    };
    returned.map_err(|error| sandbox.breakdown(store, &error))
}
