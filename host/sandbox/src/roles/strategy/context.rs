//! The context of a strategy: what one instance is and what it has.

use std::sync::Arc;

use sigbox_engine::signal::Pair;
use sigbox_market::{Market, SharedSeries};
use sigbox_trading::{Assignment, StrategyMemory, Trades};
use wasmtime::{
    StoreContextMut,
    component::{HasSelf, Linker},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{
    answer::Turn,
    counted,
    deterministic::{self, Dice},
    join,
    session::Settings,
};
use crate::{
    bindings::strategy::sigbox::{host, strategy},
    guest::{Guest, Identity},
    limits::{Limits, RANDOM_BYTES, RESOURCES},
    mode::Mode,
    program::Text,
    sandbox::Context,
};

/// The data of one instance's wasmtime store.
pub(crate) struct StrategyContext {
    pub(super) guest: Guest,
    /// What it trades.
    pub(super) pair: Pair,
    pub(super) settings: Settings,
    /// Whether it is being asked, and what it has said.
    pub(super) turn: Turn,
    /// How many questions of the row were begun.
    pub(super) begun: usize,
    pub(super) market: Market,
    /// The candles of its own symbol, which `next-candle` and `next-candles` read.
    pub(super) own_series: Option<SharedSeries>,
    /// How many candles the average price covers.
    pub(super) average_of: usize,
    /// Its last trades.
    pub(super) trades: Trades,
    /// What it remembers.
    pub(super) memory: StrategyMemory,
    /// The question being asked has changed what it remembers.
    pub(super) has_staged: bool,
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
    ///
    /// `text` is what an interpreter runs. `own_bytes`: memory in the instance that is the host's.
    pub(super) fn new<M: Mode>(
        assignment: &Assignment,
        settings: Settings,
        text: Option<Arc<Text>>,
        limits: Limits,
        own_bytes: usize,
    ) -> Self {
        let pair = assignment.pair();
        let identity = Identity { plugin: pair.strategy.clone(), instance: pair.symbol.clone() };
        let dice = Dice::of(&identity);
        let work_per_call = if M::DETERMINISTIC { limits.fuel_per_call } else { u64::MAX };
        let config = Arc::clone(&settings.each);
        let guest = Guest::new(identity, config, Arc::default(), limits, work_per_call, own_bytes).that_runs(text);
        // A question that an earlier instance did not bring to its end has changed nothing.
        assignment.memory().discard();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            wasi: if M::DETERMINISTIC { deterministic::wasi(guest.now(), &dice) } else { live_wasi() },
            own_series: assignment.market().series(&pair.symbol).cloned(),
            market: assignment.market().clone(),
            average_of: assignment.average_of(),
            trades: assignment.trades().clone(),
            memory: assignment.memory().clone(),
            has_staged: false,
            pair: pair.clone(),
            settings,
            turn: Turn::Outside,
            begun: 0,
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

/// Links the imports of the world `sigbox:plugin/strategy`, and a WASI with nothing behind it. Rust's standard
/// library and the runtimes of other languages import WASI. Nothing else links.
pub(super) fn link<M: Mode>(linker: &mut Linker<StrategyContext>) -> wasmtime::Result<()> {
    if M::DETERMINISTIC {
        wasmtime_wasi::p2::add_to_linker_sync(linker)?;
        deterministic::replace_chance(linker)?;
        counted::replace_io(linker)?;
        linker.root().func_wrap(
            join::BEGIN_QUESTION,
            |store: StoreContextMut<'_, StrategyContext>, (now_ms,): (i64,)| {
                begin_question(store, now_ms).map(|begun| (begun,))
            },
        )?;
    } else {
        wasmtime_wasi::p2::add_to_linker_async(linker)?;
    }
    host::config::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::logging::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::clock::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::source::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    host::session::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    host::market::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    host::trades::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    host::memory::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)?;
    strategy::answer::add_to_linker::<_, HasSelf<StrategyContext>>(linker, |context| context)
}

/// Begins a question of a row, with fuel of its own. False: no further question may be asked.
fn begin_question(mut store: StoreContextMut<'_, StrategyContext>, now_ms: i64) -> wasmtime::Result<bool> {
    let begun = store.data_mut().begin_question(now_ms);
    if begun {
        let fuel = store.data().guest.limits().fuel_per_call;
        store.set_fuel(fuel)?;
    }
    Ok(begun)
}

impl WasiView for StrategyContext {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
