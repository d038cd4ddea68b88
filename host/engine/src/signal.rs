//! What a strategy proposes, and the signal that validation makes of it.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt::{self, Write as _};

use crate::{
    settings::Settings,
    validate::{Violation, violations},
};

/// The direction of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

impl Side {
    /// `long` or `short`, as events and rows write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }

    /// How far `price` lies from `from` towards profit; negative towards loss.
    #[must_use]
    #[inline]
    pub fn gain(self, from: f64, price: f64) -> f64 {
        match self {
            Self::Long => price - from,
            Self::Short => from - price,
        }
    }

    /// Whether `price` is at `level` or beyond it towards profit.
    #[must_use]
    #[inline]
    pub fn reached(self, price: f64, level: f64) -> bool {
        match self {
            Self::Long => price >= level,
            Self::Short => price <= level,
        }
    }

    /// Whether `price` is at `level` or beyond it towards loss.
    #[must_use]
    #[inline]
    pub fn fallen_to(self, price: f64, level: f64) -> bool {
        match self {
            Self::Long => price <= level,
            Self::Short => price >= level,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An untrusted answer of a strategy: "trade this". Any number may be nonsense; [`crate::validate`] decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The strategy's own name for the signal; `None` or empty: sigbox derives one.
    pub id: Option<String>,
    /// When given, must be the symbol the strategy runs on.
    pub symbol: Option<String>,
    /// Direction.
    pub side: Side,
    /// Limit entry price; `None`: enter at the current average price.
    pub price_open: Option<f64>,
    /// Take-profit level.
    pub price_take_profit: f64,
    /// Stop-loss level.
    pub price_stop_loss: f64,
    /// Minutes until the position is closed as expired; `None`: the longest allowed; infinity: never.
    pub minute_estimated_time: Option<f64>,
    /// Amount to invest, quote currency; `None` or 0: the configured default.
    pub cost: Option<f64>,
    /// Leverage; `None`: the configured default.
    pub multiplier: Option<f64>,
    /// Whether the liquidation price acts as a second stop; `None`: the configured default.
    pub isolated: Option<bool>,
    /// Free text, kept verbatim.
    pub note: Option<String>,
}

/// Who trades what: the names every row and event carries. One value per strategy and symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// The trading pair, such as `BTCUSDT`.
    pub symbol: String,
    /// The strategy's name.
    pub strategy: String,
    /// The exchange's name.
    pub exchange: String,
    /// The backtest's period; empty in live trading.
    pub frame: String,
}

impl Pair {
    /// The id of a signal whose strategy gave none: a function of who asked and when, so that a replay finds the same
    /// one. The name's parts keep apart because `:` and `%` inside them are escaped (hazard H-23).
    #[must_use]
    pub fn signal_id(&self, when_ms: i64) -> String {
        // Room for the separators, a time and what happened then; names hardly ever need escapes.
        let names = self.exchange.len() + self.strategy.len() + self.symbol.len();
        let mut id = String::with_capacity(names + 40);
        for part in [&self.exchange, &self.strategy, &self.symbol] {
            if part.bytes().any(|byte| matches!(byte, b'%' | b':')) {
                id.push_str(&part.replace('%', "%25").replace(':', "%3A"));
            } else {
                id.push_str(part);
            }
            id.push(':');
        }
        write!(id, "{when_ms}").expect("a text takes more text");
        id
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.strategy, self.symbol)
    }
}

/// A proposal that passed validation, with every default filled in. Restoring a stored row and
/// [`crate::trader::Trader::admit`] are the only makers of it, and both validate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Signal {
    /// Unique among the signals of its pair that are alive.
    pub id: String,
    /// Direction.
    pub side: Side,
    /// Entry price of the order.
    pub price_open: f64,
    /// Take-profit level.
    pub price_take_profit: f64,
    /// Stop-loss level.
    pub price_stop_loss: f64,
    /// Lifetime of the position, minutes; may be infinite.
    pub minute_estimated_time: f64,
    /// Amount invested, quote currency.
    pub cost: f64,
    /// Leverage.
    pub multiplier: f64,
    /// Whether the liquidation price acts as a second stop.
    pub isolated: bool,
    /// The strategy's remark, verbatim.
    pub note: String,
    /// When the signal was accepted, milliseconds.
    pub scheduled_at_ms: i64,
}

impl Signal {
    /// A signal read back from a store, if it can be one: prices and lifetime possible, levels on their sides. The
    /// settings may have changed since it was accepted, so they only fill what the store does not say; their distances
    /// and limits are not applied (hazard H-38).
    ///
    /// # Errors
    /// Every rule it breaks.
    pub fn restore(
        stored: Proposal,
        pair: &Pair,
        scheduled_at_ms: i64,
        settings: &Settings,
    ) -> Result<Self, Vec<Violation>> {
        // A missing entry price becomes NaN, which is refused.
        let price_open = stored.price_open.unwrap_or(f64::NAN);
        let signal = Self::draft(stored, pair, scheduled_at_ms, price_open, settings);
        let lenient = Settings {
            min_takeprofit_distance_percent: 0.0,
            min_stoploss_distance_percent: 0.0,
            max_stoploss_distance_percent: 0.0,
            max_signal_lifetime_minutes: f64::INFINITY,
            enable_long_signal: true,
            enable_short_signal: true,
            ..Settings::default()
        };
        let violations = violations(&signal, None, &lenient);
        if violations.is_empty() { Ok(signal) } else { Err(violations) }
    }

    /// Fills a proposal's gaps from the settings. Nothing is checked here: the result is only handed on by
    /// [`crate::validate::violations`].
    pub(crate) fn draft(proposal: Proposal, pair: &Pair, now_ms: i64, price_open: f64, settings: &Settings) -> Self {
        let id = proposal.id.filter(|id| !id.is_empty()).unwrap_or_else(|| pair.signal_id(now_ms));
        Self {
            id,
            side: proposal.side,
            price_open,
            price_take_profit: proposal.price_take_profit,
            price_stop_loss: proposal.price_stop_loss,
            minute_estimated_time: proposal.minute_estimated_time.unwrap_or(settings.max_signal_lifetime_minutes),
            cost: proposal.cost.filter(|cost| *cost != 0.0).unwrap_or(settings.position_entry_cost),
            multiplier: proposal.multiplier.unwrap_or(settings.signal_leverage_multiplier),
            isolated: proposal.isolated.unwrap_or(settings.signal_isolated_margin),
            note: proposal.note.unwrap_or_default(),
            scheduled_at_ms: now_ms,
        }
    }
}

/// Shared by the states, snapshots and outcomes of one signal.
pub type SharedSignal = Arc<Signal>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::PriceField;
    use std::string::ToString as _;

    fn pair() -> Pair {
        Pair { symbol: "BTCUSDT".into(), strategy: "s:1".into(), exchange: "x".into(), frame: String::new() }
    }

    /// A proposal with only the fields that it must have.
    fn proposal(stop_loss: f64, take_profit: f64) -> Proposal {
        Proposal {
            id: None,
            symbol: None,
            side: Side::Long,
            price_open: Some(100.0),
            price_take_profit: take_profit,
            price_stop_loss: stop_loss,
            minute_estimated_time: None,
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
        }
    }

    #[test]
    fn a_pair_is_told_to_people_and_names_its_signals() {
        assert_eq!(pair().to_string(), "s:1 on BTCUSDT");
        assert_eq!(pair().signal_id(60_000), "x:s%3A1:BTCUSDT:60000");
        let percent = Pair { strategy: "100%".into(), ..pair() };
        assert_eq!(percent.signal_id(0), "x:100%25:BTCUSDT:0");
    }

    #[test]
    fn the_settings_say_what_a_proposal_leaves_out() {
        let settings = Settings {
            position_entry_cost: 70.0,
            signal_leverage_multiplier: 3.0,
            signal_isolated_margin: false,
            max_signal_lifetime_minutes: 90.0,
            ..Settings::default()
        };
        let draft = |proposal| Signal::draft(proposal, &pair(), 60_000, 100.0, &settings);
        let filled = draft(proposal(99.0, 102.0));
        assert_eq!((&*filled.id, &*filled.note), ("x:s%3A1:BTCUSDT:60000", ""));
        assert_eq!((filled.cost, filled.multiplier, filled.isolated), (70.0, 3.0, false));
        assert_eq!((filled.minute_estimated_time, filled.scheduled_at_ms), (90.0, 60_000));
        // An empty id and a cost of 0 are none.
        let empty = Proposal { id: Some(String::new()), cost: Some(0.0), ..proposal(99.0, 102.0) };
        assert_eq!(draft(empty), filled);

        let said = draft(Proposal {
            id: Some("mine".into()),
            minute_estimated_time: Some(5.0),
            cost: Some(10.0),
            multiplier: Some(1.0),
            isolated: Some(true),
            note: Some("why".into()),
            ..proposal(99.0, 102.0)
        });
        assert_eq!((&*said.id, &*said.note), ("mine", "why"));
        assert_eq!((said.cost, said.multiplier, said.isolated, said.minute_estimated_time), (10.0, 1.0, true, 5.0));
    }

    #[test]
    fn what_was_accepted_once_is_read_back_whatever_the_settings_say_now() {
        // Both levels are nearer than half a percent; the stop is farther than twenty; it lives longer than a day.
        let near = proposal(99.9, 100.1);
        let far = Proposal { minute_estimated_time: Some(5000.0), ..proposal(50.0, 200.0) };
        let settings = Settings { enable_long_signal: false, enable_short_signal: false, ..Settings::default() };
        for stored in [near.clone(), far] {
            let restored = Signal::restore(stored.clone(), &pair(), 60_000, &settings);
            assert_eq!(restored, Ok(Signal::draft(stored, &pair(), 60_000, 100.0, &settings)));
        }
        let without_entry = Signal::restore(Proposal { price_open: None, ..near }, &pair(), 0, &settings);
        assert_eq!(without_entry, Err([Violation::PriceNotFinite(PriceField::Open)].into()));
        let nothing = Settings { position_entry_cost: 0.0, ..settings };
        let for_nothing = Signal::restore(proposal(99.0, 102.0), &pair(), 0, &nothing);
        assert_eq!(for_nothing, Err([Violation::CostNotPositive].into()));
    }
}
