//! Which signals are refused, and why (specification 2.3).

use alloc::vec::Vec;
use core::fmt;

use crate::{
    settings::Settings,
    signal::{Side, Signal},
};

/// A price field of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceField {
    /// The entry price.
    Open,
    /// The take-profit level.
    TakeProfit,
    /// The stop-loss level.
    StopLoss,
}

impl PriceField {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "priceOpen",
            Self::TakeProfit => "priceTakeProfit",
            Self::StopLoss => "priceStopLoss",
        }
    }
}

/// One broken rule. The variants are in order of precedence, which is also the order they are reported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Signals of this side are switched off in the settings.
    SideDisabled(Side),
    /// The price is NaN or infinite.
    PriceNotFinite(PriceField),
    /// The price is zero or negative.
    PriceNotPositive(PriceField),
    /// The take-profit is not on the profit side of the entry.
    TakeProfitWrongSide(Side),
    /// The stop-loss is not on the loss side of the entry.
    StopLossWrongSide(Side),
    /// The take-profit is nearer to the entry than the settings allow.
    TakeProfitTooClose(Side),
    /// The stop-loss is nearer to the entry than the settings allow.
    StopLossTooClose(Side),
    /// The stop-loss is farther from the entry than the settings allow.
    StopLossTooFar(Side),
    /// The lifetime is zero or negative.
    LifetimeNotPositive,
    /// The lifetime is infinite and the settings do not allow that.
    LifetimeInfinite,
    /// The lifetime is not a whole number of minutes; NaN is none either.
    LifetimeNotInteger,
    /// The lifetime is longer than the settings allow.
    LifetimeTooLarge,
    /// The leverage is NaN or infinite.
    MultiplierNotFinite,
    /// The leverage is zero or negative.
    MultiplierNotPositive,
    /// The amount to invest is not a finite positive number.
    CostNotPositive,
    /// The market is already at or beyond the stop-loss of an immediate entry.
    OpenBeyondStopLoss(Side),
    /// The market is already at or beyond the take-profit of an immediate entry.
    OpenBeyondTakeProfit(Side),
}

impl fmt::Display for Violation {
    /// The rule's code, stable for programs: `long_tp_too_close`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SideDisabled(side) => write!(f, "{side}_disabled"),
            Self::PriceNotFinite(field) => write!(f, "{}_not_finite", field.name()),
            Self::PriceNotPositive(field) => write!(f, "{}_not_positive", field.name()),
            Self::TakeProfitWrongSide(side) => write!(f, "{side}_tp_wrong_side"),
            Self::StopLossWrongSide(side) => write!(f, "{side}_sl_wrong_side"),
            Self::TakeProfitTooClose(side) => write!(f, "{side}_tp_too_close"),
            Self::StopLossTooClose(side) => write!(f, "{side}_sl_too_close"),
            Self::StopLossTooFar(side) => write!(f, "{side}_sl_too_far"),
            Self::LifetimeNotPositive => f.write_str("lifetime_not_positive"),
            Self::LifetimeInfinite => f.write_str("lifetime_infinite"),
            Self::LifetimeNotInteger => f.write_str("lifetime_not_integer"),
            Self::LifetimeTooLarge => f.write_str("lifetime_too_large"),
            Self::MultiplierNotFinite => f.write_str("multiplier_not_finite"),
            Self::MultiplierNotPositive => f.write_str("multiplier_not_positive"),
            Self::CostNotPositive => f.write_str("cost_not_positive"),
            Self::OpenBeyondStopLoss(side) => write!(f, "{side}_open_beyond_sl"),
            Self::OpenBeyondTakeProfit(side) => write!(f, "{side}_open_beyond_tp"),
        }
    }
}

/// Every rule `signal` breaks, in order; empty when it may be traded. `immediate` is the current price when the signal
/// is to open at once, `None` when it waits for its entry price.
#[must_use]
pub fn violations(signal: &Signal, immediate: Option<f64>, settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    // Rules are written as what they refuse: a comparison with NaN holds neither way, and NaN has its own rule.
    let mut refuse_if = |broken: bool, violation: Violation| {
        if broken {
            found.push(violation);
        }
    };

    let side = signal.side;
    let (open, take_profit, stop_loss) = (signal.price_open, signal.price_take_profit, signal.price_stop_loss);
    let enabled = match side {
        Side::Long => settings.enable_long_signal,
        Side::Short => settings.enable_short_signal,
    };
    refuse_if(!enabled, Violation::SideDisabled(side));

    let prices = [(PriceField::Open, open), (PriceField::TakeProfit, take_profit), (PriceField::StopLoss, stop_loss)];
    for (field, price) in prices {
        refuse_if(!price.is_finite(), Violation::PriceNotFinite(field));
    }
    for (field, price) in prices {
        refuse_if(price.is_finite() && price <= 0.0, Violation::PriceNotPositive(field));
    }

    let (to_profit, to_loss) = (side.gain(open, take_profit), -side.gain(open, stop_loss));
    refuse_if(to_profit <= 0.0, Violation::TakeProfitWrongSide(side));
    refuse_if(to_loss <= 0.0, Violation::StopLossWrongSide(side));
    let profit_percent = to_profit / open * 100.0;
    let loss_percent = to_loss / open * 100.0;
    // A distance of 0 turns its rule off.
    let least_profit = settings.min_takeprofit_distance_percent;
    refuse_if(least_profit != 0.0 && profit_percent < least_profit, Violation::TakeProfitTooClose(side));
    let least_loss = settings.min_stoploss_distance_percent;
    refuse_if(least_loss != 0.0 && loss_percent < least_loss, Violation::StopLossTooClose(side));
    let most_loss = settings.max_stoploss_distance_percent;
    refuse_if(most_loss != 0.0 && loss_percent > most_loss, Violation::StopLossTooFar(side));

    let lifetime = signal.minute_estimated_time;
    let longest = settings.max_signal_lifetime_minutes;
    let endless = lifetime == f64::INFINITY;
    refuse_if(lifetime <= 0.0, Violation::LifetimeNotPositive);
    refuse_if(endless && longest != f64::INFINITY, Violation::LifetimeInfinite);
    refuse_if(!endless && lifetime % 1.0 != 0.0, Violation::LifetimeNotInteger);
    refuse_if(longest != 0.0 && lifetime > longest, Violation::LifetimeTooLarge);

    refuse_if(!signal.multiplier.is_finite(), Violation::MultiplierNotFinite);
    refuse_if(signal.multiplier <= 0.0, Violation::MultiplierNotPositive);
    refuse_if(!(signal.cost.is_finite() && signal.cost > 0.0), Violation::CostNotPositive);

    // Where the market stands only matters for a signal that is sound in itself.
    if let (true, Some(current)) = (found.is_empty(), immediate) {
        if side.fallen_to(current, stop_loss) {
            found.push(Violation::OpenBeyondStopLoss(side));
        }
        if side.reached(current, take_profit) {
            found.push(Violation::OpenBeyondTakeProfit(side));
        }
    }
    found
}
