//! Outcomes: what happened, as data. A transition returns outcomes; the caller makes its state durable and announces
//! them.

use alloc::{string::String, vec::Vec};

use crate::{
    risk::Rejection,
    state::{Order, SharedPosition},
    validate::Violation,
};

/// Why a position was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The average price reached the take-profit.
    TakeProfit,
    /// A candle touched the stop-loss.
    StopLoss,
    /// A candle touched the price at which everything invested is lost.
    Liquidation,
    /// The lifetime, or the period being tested, was over.
    TimeExpired,
    /// A person closed it.
    Closed,
}

impl CloseReason {
    /// Every reason, in the order reports list them.
    pub const ALL: [Self; 5] = [Self::TakeProfit, Self::StopLoss, Self::TimeExpired, Self::Liquidation, Self::Closed];

    /// The reason as events write it: `take_profit`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TakeProfit => "take_profit",
            Self::StopLoss => "stop_loss",
            Self::Liquidation => "liquidation",
            Self::TimeExpired => "time_expired",
            Self::Closed => "closed",
        }
    }
}

/// Why an order ended without being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// It waited too long, or the period being tested was over.
    Timeout,
    /// A candle touched its stop-loss before its entry price.
    PriceReject,
    /// The risk rules refused it when it was about to be filled.
    User,
}

impl CancelReason {
    /// Every reason, in the order reports list them.
    pub const ALL: [Self; 3] = [Self::Timeout, Self::PriceReject, Self::User];

    /// The reason as events write it: `price_reject`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::PriceReject => "price_reject",
            Self::User => "user",
        }
    }
}

/// Which way a level lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the take-profit.
    Profit,
    /// Towards the stop-loss.
    Loss,
}

/// One thing that happened to one trader. Prices are the price the outcome is about; `at_ms` is the opening time of
/// the candle that decided it, or the boundary at which a strategy was asked.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields mean the same in every variant: see above")]
pub enum Outcome {
    /// Flat, and the strategy had nothing to say.
    Idle { at_ms: i64, price: f64 },
    /// An order still waits.
    Waiting { at_ms: i64, price: f64 },
    /// A position is still held.
    Active { at_ms: i64, price: f64 },
    /// An order was accepted and waits for its price.
    Scheduled { order: Order, price: f64 },
    /// A position was opened, at the signal's own entry price.
    Opened { position: SharedPosition },
    /// A new best result, after costs.
    HighestProfit { position: SharedPosition },
    /// A new worst result.
    MaxDrawdown { position: SharedPosition },
    /// The price covers both costs and the configured margin, for the first time.
    Breakeven { position: SharedPosition, at_ms: i64, price: f64 },
    /// A tenth of the way to the take-profit or the stop-loss was reached for the first time.
    Level { position: SharedPosition, direction: Direction, level: u8, at_ms: i64, price: f64 },
    /// The position ended.
    Closed { position: SharedPosition, reason: CloseReason, at_ms: i64, price: f64 },
    /// The order ended without being filled.
    Cancelled { order: Order, reason: CancelReason, at_ms: i64, price: f64 },
    /// The risk rules refused a proposal, or an order about to be filled.
    Rejected { rejection: Rejection, at_ms: i64, price: f64 },
    /// The strategy proposed something that breaks the rules.
    Invalid { violations: Vec<Violation>, at_ms: i64 },
    /// The strategy proposed a trade on another symbol.
    SymbolMismatch { symbol: String, at_ms: i64 },
    /// The strategy failed to answer.
    StrategyFailed { message: String, at_ms: i64 },
}

impl Outcome {
    /// Whether it is a tick at which nothing happened: no event, and nothing to add up.
    #[must_use]
    pub const fn is_uneventful(&self) -> bool {
        matches!(self, Self::Idle { .. } | Self::Waiting { .. } | Self::Active { .. })
    }
}

/// Takes the outcomes of a transition, in order.
pub trait Outcomes {
    /// Something happened.
    fn add(&mut self, outcome: Outcome);

    /// Nothing happened ([`Outcome::is_uneventful`]). Most minutes have only this, and few receivers need it.
    fn tick(&mut self, tick: &Outcome) {
        self.add(tick.clone());
    }
}

impl Outcomes for Vec<Outcome> {
    fn add(&mut self, outcome: Outcome) {
        self.push(outcome);
    }
}
