//! What a run counts as it goes: the totals and the trades of a report, without the detour of an event file.

use std::io;

use sigbox::trading::Sink;
use sigbox_engine::{
    Outcome,
    signal::Pair,
    stats::{Tally, Trade},
};
use sigbox_report::TradeRow;

/// What a run counts as it goes.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) tally: Tally,
    pub(crate) trades: Vec<TradeRow>,
}

impl Sink for Counted {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.tally.add(pair, outcome);
        if let Outcome::Closed { position, reason, at_ms, price } = outcome {
            let signal = &position.signal;
            self.trades.push(TradeRow {
                id: signal.id.clone(),
                strategy: pair.strategy.clone(),
                symbol: pair.symbol.clone(),
                side: signal.side,
                scheduled_ms: signal.scheduled_at_ms,
                open_price: signal.price_open,
                take_profit: signal.price_take_profit,
                stop_loss: signal.price_stop_loss,
                multiplier: signal.multiplier,
                cost: signal.cost,
                note: signal.note.clone(),
                trade: Trade::of(position, *reason, *at_ms, *price),
            });
        }
        Ok(())
    }
}
