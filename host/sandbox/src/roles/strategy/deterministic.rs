//! What makes backtests repeatable: a WASI whose clocks show the engine's time and whose random numbers are the same in
//! each run.

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView as _,
    p2::{
        DynPollable, Pollable,
        bindings::{
            clocks::monotonic_clock,
            random::{insecure, random},
        },
        subscribe,
    },
};

use super::context::StrategyContext;
use crate::{
    guest::{Identity, Now},
    limits::RANDOM_BYTES,
};

/// A WASI whose clocks show `now`. [`Dice`] replaces its random numbers.
pub(super) fn wasi(now: &Now, dice: &Dice) -> WasiCtx {
    WasiCtxBuilder::new()
        .insecure_random_seed(dice.hash_seed)
        .wall_clock(now.clone())
        .monotonic_clock(now.clone())
        .build()
}

/// Replaces the clock and the random numbers of [`wasmtime_wasi`] by those of backtests.
pub(super) fn replace_chance(linker: &mut Linker<StrategyContext>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    random::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    insecure::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Random numbers that are the same in each run. Their seed is the identity of the instance, so two instances never get
/// the same numbers, and an additional instance changes nothing for the others.
pub(super) struct Dice {
    secure: ChaCha8Rng,
    insecure: ChaCha8Rng,
    /// The seed that guests use for their hash tables.
    hash_seed: u128,
}

impl Dice {
    pub(super) fn of(identity: &Identity) -> Self {
        let Identity { plugin, instance } = identity;
        let seed = |purpose: &str| -> [u8; 32] {
            let mut hash = Sha256::new();
            for part in [plugin.as_str(), instance, purpose] {
                hash.update(part.len().to_le_bytes());
                hash.update(part);
            }
            hash.finalize().into()
        };
        let mut hash = ChaCha8Rng::from_seed(seed("hash"));
        Self {
            secure: ChaCha8Rng::from_seed(seed("secure")),
            insecure: ChaCha8Rng::from_seed(seed("insecure")),
            hash_seed: u128::from(hash.next_u64()) << 64 | u128::from(hash.next_u64()),
        }
    }
}

/// Makes `bytes` random bytes. The caller counts them as work of the guest.
fn roll(dice: &mut ChaCha8Rng, bytes: u64) -> wasmtime::Result<Vec<u8>> {
    if bytes > RANDOM_BYTES {
        wasmtime::bail!("{bytes} random bytes asked for; one call may ask for {RANDOM_BYTES}");
    }
    let mut rolled = vec![0; usize::try_from(bytes)?];
    dice.fill_bytes(&mut rolled);
    Ok(rolled)
}

impl random::Host for StrategyContext {
    fn get_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.guest.spend(usize::try_from(bytes)?)?;
        roll(&mut self.dice.secure, bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice.secure.next_u64())
    }
}

impl insecure::Host for StrategyContext {
    fn get_insecure_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.guest.spend(usize::try_from(bytes)?)?;
        roll(&mut self.dice.insecure, bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice.insecure.next_u64())
    }
}

impl HostWallClock for Now {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.unsigned_ms())
    }
}

impl HostMonotonicClock for Now {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.unsigned_ms().saturating_mul(1_000_000)
    }
}

/// The monotonic clock of backtests. It replaces the clock of [`wasmtime_wasi`], whose timers wait for real time to
/// pass. With that clock, a guest that sleeps could slow a run down without limit and without using fuel.
///
/// The engine's time does not move during a call, so there is nothing to wait for: every timer is due at once.
impl monotonic_clock::Host for StrategyContext {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::now(self.guest.now()))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::resolution(self.guest.now()))
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.due_timer()
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.due_timer()
    }
}

impl StrategyContext {
    fn due_timer(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let WasiCtxView { table, .. } = self.ctx();
        let timer = table.push(DueTimer)?;
        subscribe(table, timer)
    }
}

struct DueTimer;

#[wasmtime_wasi::async_trait]
impl Pollable for DueTimer {
    async fn ready(&mut self) {}
}
