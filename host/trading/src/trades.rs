//! The last trades of a strategy, which it may read when it is asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sigbox_events::Trade;

/// How many trades of each trader are kept. `wit/0.1/deps/host/trades.wit` promises so many.
const KEPT: usize = 32;

/// The last trades of one trader. A clone is cheap and shows the same trades.
#[derive(Clone, Debug, Default)]
pub struct Trades(Arc<Mutex<VecDeque<Trade>>>);

impl Trades {
    /// At most the last `count` trades, oldest first.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Trade> {
        let trades = self.lock();
        trades.iter().skip(trades.len().saturating_sub(count)).cloned().collect()
    }

    /// Adds a trade that has ended.
    pub(crate) fn add(&self, trade: Trade) {
        add(&mut self.lock(), trade);
    }

    /// Takes over the trades of earlier runs.
    pub(crate) fn restore(&self, trades: VecDeque<Trade>) {
        *self.lock() = trades;
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Trade>> {
        // What is done under this lock cannot panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a trade, unless it was the last one: after a crash the same candles may end it again. Drops the oldest one when
/// there are too many.
pub(crate) fn add(trades: &mut VecDeque<Trade>, trade: Trade) {
    if trades.back().is_some_and(|last| last.opened_ms == trade.opened_ms && last.id == trade.id) {
        return;
    }
    if trades.len() == KEPT {
        trades.pop_front();
    }
    trades.push_back(trade);
}

#[cfg(test)]
mod tests {
    use sigbox_engine::Side;
    use sigbox_events::Number;

    use super::*;

    fn trade(opened_ms: i64) -> Trade {
        let number = Number(1.0);
        Trade {
            id: format!("t{opened_ms}"),
            side: Side::Long,
            opened_ms,
            closed_ms: opened_ms + 1,
            price_open: number,
            price_close: number,
            cost: number,
            pnl_percentage: number,
            pnl_cost: number,
            reason: "closed".into(),
        }
    }

    #[test]
    fn the_last_trades_are_shown_oldest_first_and_each_once() {
        let trades = Trades::default();
        for opened_ms in (0..40).chain([39]) {
            trades.add(trade(opened_ms));
        }
        let opened = |count| trades.last(count).iter().map(|trade| trade.opened_ms).collect::<Vec<_>>();
        assert_eq!(opened(3), [37, 38, 39]);
        assert_eq!(opened(0), [0_i64; 0]);
        assert_eq!(opened(1000), (8..40).collect::<Vec<_>>());
    }
}
