//! What a strategy remembers, and its last trades: the host's side of `sigbox:host/memory` and `sigbox:host/trades`.

use sigbox_engine::Side;
use sigbox_events::Trade;
use sigbox_trading::MemoryFull;

use super::context::StrategyContext;
use crate::{
    bindings::strategy::sigbox::host::{memory, trades},
    limits::FUEL_PER_TRADE,
};

impl StrategyContext {
    /// The question being asked has ended well: what it has changed is kept.
    #[inline]
    pub(super) fn end_question(&mut self) {
        if std::mem::take(&mut self.has_staged) {
            self.memory.commit(self.guest.now().get());
        }
    }
}

impl memory::Host for StrategyContext {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.must_be_asked("memory.get")?;
        let value = self.memory.get(&name);
        self.guest.spend(name.len() + value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    fn set(&mut self, name: String, value: Vec<u8>) -> wasmtime::Result<Result<(), memory::Refused>> {
        self.must_be_asked("memory.set")?;
        self.guest.spend(name.len() + value.len())?;
        self.has_staged = true;
        let refused = |full: MemoryFull| memory::Refused { code: "too-large".to_owned(), message: full.to_string() };
        Ok(self.memory.set(name, value).map_err(refused))
    }

    fn remove(&mut self, name: String) -> wasmtime::Result<()> {
        self.must_be_asked("memory.remove")?;
        self.guest.spend(name.len())?;
        self.has_staged = true;
        self.memory.remove(&name);
        Ok(())
    }
}

impl trades::Host for StrategyContext {
    fn last(&mut self, count: u32) -> wasmtime::Result<Vec<trades::Trade>> {
        self.must_be_asked("trades.last")?;
        let trades = self.trades.last(count as usize);
        self.guest.spend(trades.len() * FUEL_PER_TRADE)?;
        Ok(trades.into_iter().map(lend).collect())
    }
}

fn lend(trade: Trade) -> trades::Trade {
    let Trade { id, side, opened_ms, closed_ms, price_open, price_close, cost, pnl_percentage, pnl_cost, reason } =
        trade;
    trades::Trade {
        id,
        position: match side {
            Side::Long => trades::Position::Long,
            Side::Short => trades::Position::Short,
        },
        opened_ms: opened_ms.unsigned_abs(),
        closed_ms: closed_ms.unsigned_abs(),
        price_open: price_open.0,
        price_close: price_close.0,
        cost: cost.0,
        pnl_percentage: pnl_percentage.0,
        pnl_cost: pnl_cost.0,
        reason: reason.into_owned(),
        extra: None,
    }
}
