//! The WASI a guest finds: no files, network, arguments or environment, and, in a backtest, no time and no chance of
//! its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::{
    FsPerms, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    p2::{
        DynPollable, Pollable,
        bindings::{
            clocks::monotonic_clock,
            random::{insecure, random},
        },
        subscribe,
    },
    sockets::SocketAddrUse,
};

use crate::{
    error::PluginError,
    host::{Grant, Host},
    limits::RANDOM_BYTES,
};

/// The engine's time, shared with the clocks WASI shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Now(Arc<AtomicI64>);

impl Now {
    pub(super) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The same for guests, who know no time before 1970.
    pub(super) fn unsigned_ms(&self) -> u64 {
        u64::try_from(self.get()).unwrap_or(0)
    }
}

/// A WASI whose clocks show the real time and whose dice are the machine's, with what was granted.
///
/// # Errors
/// When a granted folder cannot be opened.
pub(super) fn live(grant: &Grant) -> Result<WasiCtx, PluginError> {
    let mut builder = WasiCtxBuilder::new();
    builder.max_random_size(RANDOM_BYTES);
    // Backends have a thread of their own. Handed to another one, an operation would go on when its instance is gone.
    builder.allow_blocking_current_thread(!grant.directories.is_empty());
    for (guest, directory) in &grant.directories {
        builder.preopened_dir(directory, guest, FsPerms::ReadWrite).map_err(|error| PluginError::Directory {
            plugin: grant.plugin.clone(),
            directory: directory.clone(),
            reason: format!("cannot be opened: {error}"),
        })?;
    }
    // With a check that denies everything, a plugin without a grant is told so, and so is its operator.
    if grant.http.is_some() {
        let network = Arc::clone(&grant.network);
        builder.allow_tcp(true).allow_ip_name_lookup(true).socket_addr_check(move |address, purpose| {
            let network = Arc::clone(&network);
            Box::pin(async move {
                match purpose {
                    SocketAddrUse::TcpConnect => network.allows(address).await,
                    // Before it connects, a socket is bound to a port of the system's choice.
                    SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                    _ => false,
                }
            })
        });
    }
    Ok(builder.build())
}

/// A WASI whose clocks show `now`. Its dice are replaced by [`Dice`].
pub(super) fn deterministic(now: &Now, dice: &Dice) -> WasiCtx {
    WasiCtxBuilder::new()
        .insecure_random_seed(dice.hash_seed)
        .wall_clock(now.clone())
        .monotonic_clock(now.clone())
        .build()
}

/// Puts the clock and the dice of backtests in place of those of [`wasmtime_wasi`].
pub(super) fn make_deterministic(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    random::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    insecure::add_to_linker::<_, HasSelf<Host>>(linker, |host| host)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Dice that are the same each run. They are seeded with who rolls them, so that no two instances roll the same, and one
/// more instance changes nothing for the others.
pub(super) struct Dice {
    secure: ChaCha8Rng,
    insecure: ChaCha8Rng,
    /// What guests seed their hash tables with.
    hash_seed: u128,
}

impl Dice {
    pub(super) fn of(plugin: &str, instance: &str) -> Self {
        let seed = |purpose: &str| -> [u8; 32] {
            let mut hash = Sha256::new();
            for part in [plugin, instance, purpose] {
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

/// Random bytes in a backtest cost the guest what they cost the host.
fn roll(dice: &mut ChaCha8Rng, bytes: u64) -> wasmtime::Result<Vec<u8>> {
    if bytes > RANDOM_BYTES {
        wasmtime::bail!("{bytes} random bytes asked for; one call may ask for {RANDOM_BYTES}");
    }
    let mut rolled = vec![0; usize::try_from(bytes)?];
    dice.fill_bytes(&mut rolled);
    Ok(rolled)
}

impl random::Host for Host {
    fn get_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.spend(usize::try_from(bytes)?)?;
        roll(&mut self.dice().secure, bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice().secure.next_u64())
    }
}

impl insecure::Host for Host {
    fn get_insecure_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.spend(usize::try_from(bytes)?)?;
        roll(&mut self.dice().insecure, bytes)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice().insecure.next_u64())
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

/// The monotonic clock of backtests, in place of the one of [`wasmtime_wasi`], whose timers wait for real time to
/// pass: a guest that sleeps would make a run as slow as it likes, and never use fuel.
///
/// Here the engine's time does not move during a call, so there is nothing to wait for: every timer is due at once.
impl monotonic_clock::Host for Host {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::now(self.time()))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(HostMonotonicClock::resolution(self.time()))
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.due_timer()
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.due_timer()
    }
}

impl Host {
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
