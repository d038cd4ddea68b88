//! Buys when the price falls far below the highest of the last closes.
//!
//! After a question it knows when it has something to say again: when the price falls below the level at which it buys,
//! or rises above the highest close, which would raise that level. It promises to be silent until then, so it is asked
//! seldom. When the highest close leaves the window, the level only falls, so the promise stays true.

use serde::Deserialize;
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Quiet, Session, Signal, Strategy, Tick},
};

/// What the operator can set. Everything has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    /// Candles it looks back.
    candles: usize,
    /// How far below the highest close it buys, percent.
    dip_percent: f64,
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
        Self {
            candles: 120,
            dip_percent: 1.0,
            take_profit_percent: 1.0,
            stop_loss_percent: 1.0,
            minutes: 240,
            quiet: true,
        }
    }
}

struct Dips {
    settings: Settings,
    promise: Option<Quiet>,
}

impl Strategy for Dips {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("dips", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(_: &Session, settings: Settings) -> Result<Self, Failure> {
        if settings.candles == 0 || !(0.0..100.0).contains(&settings.dip_percent) {
            let message = "candles must be at least 1, and dip-percent at least 0 and below 100";
            return Err(Failure::give_up("settings", message));
        }
        Ok(Self { settings, promise: None })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let Settings { candles, dip_percent, take_profit_percent, stop_loss_percent, minutes, quiet } = self.settings;
        self.promise = None;
        let Some(closes) = tick.candles.closes(candles)? else { return Ok(None) };
        let highest = closes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let level = highest * (1.0 - dip_percent / 100.0);
        let away = |percent: f64| tick.price * (1.0 + percent / 100.0);
        if tick.price < level {
            let signal = Signal::long(away(take_profit_percent), away(-stop_loss_percent));
            return Ok(Some(signal.minutes(minutes)));
        }
        self.promise = quiet.then_some(Quiet { until_ms: u64::MAX, below: level, above: highest });
        Ok(None)
    }

    fn quiet(&self) -> Option<Quiet> {
        self.promise
    }
}

export_strategy!(Dips);
