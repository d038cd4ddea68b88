//! What one strategy holds on one symbol.

use alloc::sync::Arc;

use crate::{
    pnl::{Pnl, Terms},
    settings::Settings,
    signal::SharedSignal,
};

/// Nothing, an order waiting for its price, or a position. Each variant owns only its own data.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Flat: the strategy may be asked.
    #[default]
    Idle,
    /// A limit order waits for its entry price.
    Scheduled(Order),
    /// A position is held.
    Open(SharedPosition),
}

impl State {
    /// The order, if one waits.
    #[must_use]
    pub const fn order(&self) -> Option<&Order> {
        match self {
            Self::Scheduled(order) => Some(order),
            Self::Idle | Self::Open(_) => None,
        }
    }

    /// The position, if one is held.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Open(position) => Some(position),
            Self::Idle | Self::Scheduled(_) => None,
        }
    }
}

/// A limit order that has not been filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What was ordered.
    pub signal: SharedSignal,
}

/// The best or worst point of a position so far, measured on the average price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    /// The price there.
    pub price: f64,
    /// When, milliseconds.
    pub at_ms: i64,
    /// The result there.
    pub pnl: Pnl,
}

/// A set of the levels 10, 20, … 100 percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels(u16);

impl Levels {
    /// Every level there is, ascending.
    pub const ALL: [u8; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

    const fn bit(level: u8) -> u16 {
        1 << (level / 10)
    }

    /// The levels that are not above `percent`, 0 to 100.
    #[must_use]
    pub fn up_to(percent: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let highest = percent as u8 / 10;
        Self(((1 << highest) - 1) << 1)
    }

    /// The levels that are in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `level` is in the set.
    #[must_use]
    pub const fn contains(self, level: u8) -> bool {
        self.0 & Self::bit(level) != 0
    }

    /// Adds `level`, one of [`Levels::ALL`].
    pub const fn insert(&mut self, level: u8) {
        self.0 |= Self::bit(level);
    }

    /// The levels in the set, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let lowest = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            #[expect(clippy::cast_possible_truncation, reason = "a bit of sixteen")]
            (lowest < u16::BITS).then_some(lowest as u8 * 10)
        })
    }
}

impl FromIterator<u8> for Levels {
    fn from_iter<I: IntoIterator<Item = u8>>(levels: I) -> Self {
        let mut set = Self::default();
        levels.into_iter().filter(|level| Self::ALL.contains(level)).for_each(|level| set.insert(level));
        set
    }
}

/// A position, shared by the state that holds it and the outcomes that tell of it. A change makes another one.
pub type SharedPosition = Arc<Position>;

/// A position that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// What was ordered.
    pub signal: SharedSignal,
    /// When it was opened, milliseconds: the boundary of a market entry, the opening time of the candle that filled an
    /// order. Its lifetime counts from here.
    pub pending_at_ms: i64,
    /// Opening time of the first candle it is judged on: a market entry is exposed to the candle that opens as it is
    /// made, an order only to the candles after the one that filled it.
    pub judged_from_ms: i64,
    /// What its result depends on.
    pub terms: Terms,
    /// The stop in force: the stop-loss, or the liquidation price where that is nearer.
    pub stop: Stop,
    /// Best point so far; its result is zero until the position has earned its costs.
    pub peak: Extreme,
    /// Worst point so far.
    pub fall: Extreme,
    /// Whether breakeven has been reported.
    pub breakeven: bool,
    /// Levels of the way to the take-profit that have been reported.
    pub profit_levels: Levels,
    /// Levels of the way to the stop-loss that have been reported.
    pub loss_levels: Levels,
}

/// A price that closes the position when a candle touches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    /// The stop-loss of the signal.
    Loss(f64),
    /// Everything invested is lost before the stop-loss is reached (isolated margin).
    Liquidation(f64),
}

impl Stop {
    /// The price.
    #[must_use]
    pub const fn price(self) -> f64 {
        match self {
            Self::Loss(price) | Self::Liquidation(price) => price,
        }
    }
}

impl Position {
    /// A position of `signal` opened at `pending_at_ms`, not yet judged on any candle.
    #[must_use]
    pub fn open(signal: SharedSignal, pending_at_ms: i64, judged_from_ms: i64, settings: &Settings) -> Self {
        let terms = Terms::new(signal.side, signal.price_open, signal.cost, signal.multiplier, settings);
        let stop_loss = Stop::Loss(signal.price_stop_loss);
        let liquidation = if signal.isolated { terms.liquidation_price(signal.price_open) } else { None };
        let stop = match liquidation {
            Some(price) if signal.side.gain(signal.price_stop_loss, price) > 0.0 => Stop::Liquidation(price),
            Some(_) | None => stop_loss,
        };
        let entry = Extreme { price: signal.price_open, at_ms: pending_at_ms, pnl: Pnl::default() };
        let fall = Extreme { pnl: terms.at(signal.price_open), ..entry };
        Self {
            pending_at_ms,
            judged_from_ms,
            terms,
            stop,
            peak: entry,
            fall,
            breakeven: false,
            profit_levels: Levels::default(),
            loss_levels: Levels::default(),
            signal,
        }
    }

    /// Whether it was an order that waited for its price, not an entry at once.
    #[must_use]
    pub const fn was_ordered(&self) -> bool {
        self.judged_from_ms != self.pending_at_ms
    }

    /// When its lifetime ends, milliseconds; `None`: never.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<i64> {
        let minutes = self.signal.minute_estimated_time;
        #[expect(clippy::cast_possible_truncation, reason = "validated: a positive whole number of minutes")]
        minutes.is_finite().then(|| self.pending_at_ms.saturating_add((minutes as i64).saturating_mul(60_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_set_of_levels_lists_what_was_put_in_ascending() {
        let set: Levels = [100, 30, 10, 35].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [10, 30, 100]);
        assert_eq!(Levels::default().iter().next(), None);
        assert!(Levels::ALL.into_iter().all(|level| set.contains(level) == matches!(level, 10 | 30 | 100)));
    }

    #[test]
    fn levels_up_to_a_percentage_are_those_it_has_reached() {
        for tenths in 0..=1000_u16 {
            for percent in [f64::from(tenths) / 10.0, (f64::from(tenths) / 10.0).next_down().max(0.0)] {
                let reached = Levels::ALL.into_iter().filter(|level| f64::from(*level) <= percent);
                assert_eq!(Levels::up_to(percent), reached.collect(), "{percent}");
            }
        }
        let some: Levels = [10, 40].into_iter().collect();
        assert_eq!(Levels::up_to(45.0).without(some).iter().collect::<Vec<_>>(), [20, 30]);
    }
}
