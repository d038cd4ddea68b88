//! Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below, and promises
//! silence while they cannot cross. `sma-cross` has the same rules without the promise.
//!
//! The answer follows from the last `slow + 1` candles alone. So it does not matter at which minutes it was asked
//! before: with promises and without it trades the same.

mod crossing;

use serde::Deserialize;
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Quiet, Session, Signal, Strategy, Tick},
};

use crate::crossing::{calm, gap};

const MINUTE_MS: u64 = 60_000;

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
    /// Whether it promises silence. It trades the same without.
    quiet: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fast: 20, slow: 60, take_profit_percent: 1.0, stop_loss_percent: 0.6, minutes: 240, quiet: true }
    }
}

struct SmaCrossQuiet {
    settings: Settings,
    promise: Option<Quiet>,
}

impl Strategy for SmaCrossQuiet {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("sma-cross-quiet", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(_: &Session, settings: Settings) -> Result<Self, Failure> {
        if settings.fast == 0 || settings.fast >= settings.slow {
            let message =
                format!("fast must be at least 1 and below slow; found fast {} slow {}", settings.fast, settings.slow);
            return Err(Failure::give_up("settings", message));
        }
        Ok(Self { settings, promise: None })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let Settings { fast, slow, take_profit_percent, stop_loss_percent, minutes, quiet } = self.settings;
        self.promise = None;
        let Some(closes) = tick.candles.closes(slow + 1)? else { return Ok(None) };
        let (before, now) = (&closes[..slow], &closes[1..]);
        let away = |percent: f64| tick.price * (1.0 + percent / 100.0);
        Ok(match (gap(before, fast) > 0.0, gap(now, fast) > 0.0) {
            (false, true) => Some(Signal::long(away(take_profit_percent), away(-stop_loss_percent)).minutes(minutes)),
            (true, false) => Some(Signal::short(away(-take_profit_percent), away(stop_loss_percent)).minutes(minutes)),
            (true, true) | (false, false) => {
                self.promise = calm(now, fast).filter(|_| quiet).map(|calm| Quiet {
                    // It is silent in so many minutes, and asked in the one after them.
                    until_ms: tick.when_ms + (calm.minutes + 1) * MINUTE_MS,
                    below: calm.below,
                    above: calm.above,
                });
                None
            }
        })
    }

    fn quiet(&self) -> Option<Quiet> {
        self.promise
    }
}

export_strategy!(SmaCrossQuiet);
