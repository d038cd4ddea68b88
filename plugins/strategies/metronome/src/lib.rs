//! Opens once in so many minutes, whatever the market does: a load to measure a host with (`bench/README.md`). Between
//! beats it does what strategies do, and looks at its candles.
//!
//! Which minute is its beat follows from the names of strategy and symbol, so that a thousand of them are spread evenly
//! over the minutes. The answer follows from them, the time and the candles alone, so a restarted instance goes on in
//! time.

use std::hint::black_box;

use serde::Deserialize;
use sigbox_sdk::{
    export_strategy,
    strategy::{Candle, Descriptor, Failure, Session, Signal, Strategy, Tick},
};

/// What the operator can set. Everything has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    /// Minutes from one beat to the next; 0: it never opens.
    period: u64,
    /// Candles it looks at.
    candles: usize,
    /// Distance of the take-profit from the price, percent.
    take_profit_percent: f64,
    /// Distance of the stop-loss from the price, percent.
    stop_loss_percent: f64,
    /// Lifetime of a position, minutes.
    minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { period: 20, candles: 60, take_profit_percent: 5.0, stop_loss_percent: 1.0, minutes: 5 }
    }
}

struct Metronome {
    settings: Settings,
    /// Differs between strategies and symbols.
    phase: u64,
}

const MINUTE_MS: u64 = 60_000;

impl Strategy for Metronome {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("metronome", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(session: &Session, settings: Settings) -> Result<Self, Failure> {
        Ok(Self { settings, phase: fnv(&[&session.strategy, &session.symbol]) })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let Settings { period, candles, take_profit_percent, stop_loss_percent, minutes } = self.settings;
        black_box(tick.candles.last(candles)?.map(mean));
        let beats = period > 0 && (tick.when_ms / MINUTE_MS).wrapping_add(self.phase).is_multiple_of(period);
        let away = |percent: f64| tick.price * (1.0 + percent / 100.0);
        Ok(beats.then(|| Signal::long(away(take_profit_percent), away(-stop_loss_percent)).minutes(minutes)))
    }
}

fn mean(candles: &[Candle]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a window has a few hundred candles")]
    let count = candles.len() as f64;
    candles.iter().map(|candle| candle.close).sum::<f64>() / count
}

/// Spreads names over numbers: FNV-1a, finished so that the low bits depend on all of them.
fn fnv(names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0xff]));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash >> 32
}

export_strategy!(Metronome);
