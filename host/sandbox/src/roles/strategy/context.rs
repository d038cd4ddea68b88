//! The context of a strategy: what one instance is and what it has.

use std::{collections::BTreeMap, sync::Arc};

use sigbox_market::{Market, SharedSeries};
use sigbox_trading::Assignment;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{
    counted,
    deterministic::{self, Dice},
};
use crate::{
    bindings::strategy::sigbox::host,
    guest::{Guest, Identity},
    limits::{Limits, RANDOM_BYTES, RESOURCES},
    mode::Mode,
    sandbox::Context,
};

/// The data of one instance's wasmtime store.
pub(crate) struct StrategyContext {
    pub(super) guest: Guest,
    pub(super) market: Market,
    /// The candles of its own symbol, which `next-candle` and `next-candles` read.
    pub(super) own_series: Option<SharedSeries>,
    /// How many candles the average price covers.
    pub(super) average_of: usize,
    /// The random numbers of a deterministic guest.
    pub(super) dice: Dice,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Context for StrategyContext {
    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn guest_mut(&mut self) -> &mut Guest {
        &mut self.guest
    }
}

impl StrategyContext {
    /// In a deterministic mode clocks show the engine's time, random numbers are the same in each run, and work that
    /// the host does for a guest counts like the guest's own work. In a live mode clocks show the real time, and random
    /// numbers come from the machine.
    pub(super) fn new<M: Mode>(assignment: &Assignment, limits: Limits) -> Self {
        let pair = assignment.pair();
        let identity = Identity { plugin: pair.strategy.clone(), instance: pair.symbol.clone() };
        let dice = Dice::of(&identity);
        let work_per_call = if M::DETERMINISTIC { limits.fuel_per_call } else { u64::MAX };
        let guest = Guest::new(identity, BTreeMap::new(), Arc::default(), limits, work_per_call);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            wasi: if M::DETERMINISTIC { deterministic::wasi(guest.now(), &dice) } else { live_wasi() },
            own_series: assignment.market().series(&pair.symbol).cloned(),
            market: assignment.market().clone(),
            average_of: assignment.average_of(),
            guest,
            dice,
            table,
        }
    }
}

impl StrategyContext {
    /// Its allowance and its resources, for work that counts.
    pub(super) const fn guest_and_table(&mut self) -> (&mut Guest, &mut ResourceTable) {
        (&mut self.guest, &mut self.table)
    }
}

/// A WASI without files, network, arguments or environment.
fn live_wasi() -> WasiCtx {
    WasiCtxBuilder::new().max_random_size(RANDOM_BYTES).build()
}

/// Links the imports of the world `sigbox:strategy/strategy`, and a WASI with nothing behind it. Rust's standard
/// library and the runtimes of other languages import WASI. Nothing else links.
pub(super) fn link<M: Mode>(linker: &mut Linker<StrategyContext>) -> wasmtime::Result<()> {
    if M::DETERMINISTIC {
        wasmtime_wasi::p2::add_to_linker_sync(linker)?;
        deterministic::replace_chance(linker)?;
        counted::replace_io(linker)?;
    } else {
        wasmtime_wasi::p2::add_to_linker_async(linker)?;
    }
    host::config::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::logging::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::clock::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::market::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)
}

impl WasiView for StrategyContext {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
