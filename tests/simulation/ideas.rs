//! Strategies that answer at random, most of it sound. What one answers depends on its seed, the time and the price only,
//! so it answers the same whoever asks.

use fastrand::Rng;
use sigbox_engine::{MINUTE_MS, Proposal, Side, trader::Answer};

use super::market::to_tick;

#[derive(Clone, Copy, Debug)]
pub(super) struct Ideas {
    pub seed: u64,
    pub symbol: &'static str,
    pub tick: Option<f64>,
}

impl Ideas {
    pub(super) fn answer(&self, now_ms: i64, price: f64) -> Answer {
        let minute = (now_ms / MINUTE_MS).unsigned_abs();
        let mut dice = Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ minute);
        match dice.u32(0..100) {
            0..60 => Answer::Nothing,
            60 => Answer::Failed("no idea".to_owned()),
            _ => Answer::Trade(self.proposal(price, &mut dice)),
        }
    }

    fn proposal(&self, price: f64, dice: &mut Rng) -> Proposal {
        let one_in = |dice: &mut Rng, many: u32| dice.u32(0..many) == 0;
        let (side, towards) = if dice.bool() { (Side::Long, 1.0) } else { (Side::Short, -1.0) };
        let away = |from: f64, percent: f64| to_tick(from * (1.0 + towards * percent / 100.0), self.tick);
        // Some of them the market has reached already.
        let price_open = dice.bool().then(|| away(price, 0.3 - dice.f64() * 1.5));
        let entry = price_open.unwrap_or(price);
        let mut proposal = Proposal {
            id: one_in(dice, 4).then(|| ["a", "b", "ü"][dice.usize(0..3)].to_owned()),
            symbol: one_in(dice, 3).then(|| self.symbol.to_owned()),
            side,
            price_open,
            price_take_profit: away(entry, 0.6 + dice.f64() * if dice.bool() { 1.0 } else { 6.0 }),
            price_stop_loss: away(entry, -0.6 - dice.f64() * if dice.bool() { 1.0 } else { 15.0 }),
            minute_estimated_time: (!one_in(dice, 5)).then(|| f64::from(dice.u32(1..300))),
            cost: one_in(dice, 3).then(|| dice.f64() * 1000.0 + 1.0),
            multiplier: one_in(dice, 2).then(|| f64::from(dice.u32(1..60))),
            isolated: one_in(dice, 2).then(|| dice.bool()),
            note: one_in(dice, 3).then(|| "on a \"whim\"\n".to_owned()),
        };
        match dice.u32(0..60) {
            0 => proposal.price_stop_loss = proposal.price_take_profit,
            1 => proposal.price_take_profit = f64::NAN,
            2 => proposal.minute_estimated_time = Some(f64::INFINITY),
            3 => proposal.minute_estimated_time = Some(1.5),
            4 => proposal.multiplier = Some(-1.0),
            5 => proposal.symbol = Some("ELSE".to_owned()),
            6 => proposal.cost = Some(-1.0),
            _ => {}
        }
        proposal
    }
}
