//! Made-up markets with what real ones have: calm and wild hours, minutes in which nobody trades, jumps and long wicks.

use fastrand::Rng;
use sigbox_engine::{Candle, MINUTE_MS};

/// When the candles begin: 2024-03-01T00:00:00Z.
pub(super) const START_MS: i64 = 1_709_251_200_000;

/// A symbol's candles.
#[derive(Clone, Debug)]
pub(super) struct Market {
    pub symbol: &'static str,
    pub candles: Vec<Candle>,
    /// Prices are multiples of it, so that levels are met exactly; `None`: they have all the digits of a double.
    pub tick: Option<f64>,
}

/// How a market is for a while: the usual change of a minute, percent.
const MOODS: [f64; 5] = [0.0, 0.02, 0.1, 0.3, 0.8];

impl Market {
    /// `minutes` of `symbol`, at prices that differ from market to market as those of coins do.
    pub(super) fn new(symbol: &'static str, minutes: usize, dice: &mut Rng) -> Self {
        let mut open = 10_f64.powi(dice.i32(-3..5)) * (1.0 + dice.f64() * 9.0);
        let tick = dice.bool().then_some(open * 1e-4);
        let (mut mood, mut mood_minutes) = (0.0, 0);
        let mut candles = Vec::with_capacity(minutes);
        for open_time_ms in (START_MS..).step_by(60_000).take(minutes) {
            if mood_minutes == 0 {
                (mood, mood_minutes) = (MOODS[dice.usize(0..MOODS.len())], dice.usize(10..240));
            }
            mood_minutes -= 1;
            let still = mood == 0.0;
            let jump = if !still && dice.u32(0..500) == 0 { 20.0 } else { 1.0 };
            let moved = |dice: &mut Rng, percent: f64| 1.0 + (dice.f64() * 2.0 - 1.0) * percent / 100.0;
            let wick = |dice: &mut Rng| if dice.u32(0..30) == 0 { mood * 4.0 } else { mood } * dice.f64() / 100.0;
            open = to_tick(open, tick);
            let close = to_tick(open * moved(dice, mood * jump), tick);
            let high = to_tick(open.max(close) * (1.0 + wick(dice)), tick).max(open).max(close);
            let low = to_tick(open.min(close) * (1.0 - wick(dice)), tick).min(open).min(close);
            let volume = if still { 0.0 } else { dice.f64() * 10.0 };
            candles.push(Candle { open_time_ms, open, high, low, close, volume });
            open = close;
        }
        Self { symbol, candles, tick }
    }

    /// The same, ending earlier.
    pub(super) fn first(&self, minutes: usize) -> Self {
        Self { candles: self.candles[..minutes].to_vec(), ..*self }
    }

    /// The closing time of the last candle.
    pub(super) fn end_ms(&self) -> i64 {
        self.candles.last().map_or(START_MS, |candle| candle.open_time_ms + MINUTE_MS)
    }
}

/// The nearest price there is.
pub(super) fn to_tick(price: f64, tick: Option<f64>) -> f64 {
    tick.map_or(price, |tick| (price / tick).round().max(1.0) * tick)
}
