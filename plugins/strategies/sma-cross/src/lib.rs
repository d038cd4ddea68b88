//! Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
//!
//! The answer follows from the last `slow + 1` candles alone, so a restarted instance answers like one that never
//! stopped.

use serde::Deserialize;
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Session, Signal, Strategy, Tick},
};

/// What the operator can set. Everything has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    /// Candles in the fast average.
    fast: usize,
    /// Candles in the slow average.
    slow: usize,
    /// Distance of the take-profit from the price, percent.
    take_profit_percent: f64,
    /// Distance of the stop-loss from the price, percent.
    stop_loss_percent: f64,
    /// Lifetime of a position, minutes.
    minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fast: 20, slow: 60, take_profit_percent: 1.0, stop_loss_percent: 0.6, minutes: 240 }
    }
}

struct SmaCross {
    settings: Settings,
}

impl Strategy for SmaCross {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("sma-cross", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(_: &Session, settings: Settings) -> Result<Self, Failure> {
        if settings.fast == 0 || settings.fast >= settings.slow {
            let message =
                format!("fast must be at least 1 and below slow; found fast {} slow {}", settings.fast, settings.slow);
            return Err(Failure::give_up("settings", message));
        }
        Ok(Self { settings })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let Settings { fast, slow, take_profit_percent, stop_loss_percent, minutes } = self.settings;
        let Some(closes) = tick.candles.closes(slow + 1)? else {
            return Ok(None);
        };
        let (above_before, above_now) = above(closes, fast, slow);
        let away = |percent: f64| tick.price * (1.0 + percent / 100.0);
        Ok(match (above_before, above_now) {
            (false, true) => Some(Signal::long(away(take_profit_percent), away(-stop_loss_percent)).minutes(minutes)),
            (true, false) => Some(Signal::short(away(-take_profit_percent), away(stop_loss_percent)).minutes(minutes)),
            (true, true) | (false, false) => None,
        })
    }
}

/// Whether the fast average is above the slow one, before the last candle and with it. The four sums have the newest
/// candles but the last in common, which are added up once.
fn above(closes: &[f64], fast: usize, slow: usize) -> (bool, bool) {
    let [older @ .., last] = closes else { return (false, false) };
    let (older, newest) = older.split_at(slow - fast + 1);
    let [first, middle @ .., first_fast] = older else { return (false, false) };
    let shared = sum(newest);
    let shared_slow = sum(middle) + first_fast + shared;
    #[expect(clippy::cast_precision_loss, reason = "a window has a few hundred candles")]
    let is_above = |fast_sum: f64, slow_sum: f64| fast_sum / fast as f64 > slow_sum / slow as f64;
    let before = is_above(first_fast + shared, first + shared_slow);
    (before, is_above(shared + last, shared_slow + last))
}

/// Sum of the closes, in eight lanes: the same bits for the same candles, and eight additions at a time. In one lane each
/// would wait for the one before.
fn sum(closes: &[f64]) -> f64 {
    let (eights, rest) = closes.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for eight in eights {
        for (lane, close) in lanes.iter_mut().zip(eight) {
            *lane += close;
        }
    }
    for (lane, close) in lanes.iter_mut().zip(rest) {
        *lane += close;
    }
    let halves: [f64; 4] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 4]);
    (halves[0] + halves[1]) + (halves[2] + halves[3])
}

export_strategy!(SmaCross);
