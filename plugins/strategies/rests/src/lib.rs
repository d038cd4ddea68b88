//! Follows the last move, and rests after losses.
//!
//! It reads its own last trades. After some losses in a row it rests, and each further rest is twice as long, until a
//! trade wins. How long it rests is remembered, so a restart in the middle of a rest changes nothing.

use serde::{Deserialize, Serialize};
use sigbox_sdk::{
    export_strategy,
    strategy::{Descriptor, Failure, Session, Signal, Strategy, Tick},
};

const MINUTE_MS: u64 = 60_000;

/// What the operator can set. Everything has a default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    /// The move is that of so many candles.
    candles: usize,
    /// So many losses in a row end in a rest.
    losses: u32,
    /// How long the first rest is, minutes.
    rest_minutes: u64,
    /// Distance of take-profit and stop-loss from the price, percent.
    exit_percent: f64,
    /// Lifetime of a position, minutes.
    minutes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { candles: 30, losses: 2, rest_minutes: 60, exit_percent: 0.5, minutes: 120 }
    }
}

/// What is remembered of the last rest.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
struct Rest {
    /// The close of the trade that it followed.
    after_ms: u64,
    until_ms: u64,
    minutes: u64,
}

struct Rests {
    settings: Settings,
}

impl Strategy for Rests {
    type Settings = Settings;

    fn describe() -> Descriptor {
        Descriptor::new("rests", env!("CARGO_PKG_VERSION"), "1m")
    }

    fn new(_: &Session, settings: Settings) -> Result<Self, Failure> {
        if settings.candles == 0 || settings.losses == 0 {
            return Err(Failure::give_up("settings", "candles and losses must be at least 1"));
        }
        Ok(Self { settings })
    }

    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
        let Settings { candles, losses, rest_minutes, exit_percent, minutes } = self.settings;
        let rest: Option<Rest> = tick.remembered("rest")?;
        if rest.is_some_and(|rest| tick.when_ms < rest.until_ms) {
            return Ok(None);
        }
        let trades = tick.trades(losses);
        let lost = trades.iter().filter(|trade| trade.pnl_percentage < 0.0).count();
        if let Some(last) = trades.last() {
            let is_new = rest.is_none_or(|rest| last.closed_ms > rest.after_ms);
            if last.pnl_percentage >= 0.0 {
                if rest.is_some() {
                    tick.forget("rest");
                }
            } else if lost == losses as usize && is_new {
                let minutes = rest.map_or(rest_minutes, |rest| 2 * rest.minutes);
                let until_ms = tick.when_ms.saturating_add(minutes.saturating_mul(MINUTE_MS));
                tick.remember("rest", &Rest { after_ms: last.closed_ms, until_ms, minutes })?;
                return Ok(None);
            }
        }
        let Some(window) = tick.candles.last(candles)? else { return Ok(None) };
        let rises = window.first().is_some_and(|first| tick.price > first.open);
        let away = |percent: f64| tick.price * (1.0 + percent / 100.0);
        let signal = if rises {
            Signal::long(away(exit_percent), away(-exit_percent))
        } else {
            Signal::short(away(-exit_percent), away(exit_percent))
        };
        let rested = rest.map_or(0, |rest| rest.minutes);
        let note = format!("{lost} of the last {} trades lost, rested {rested} minutes", trades.len());
        Ok(Some(Signal { note: Some(note), ..signal.minutes(minutes) }))
    }
}

export_strategy!(Rests);
