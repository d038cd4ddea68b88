//! A closed position, as far as statistics need it.

use crate::{outcome::CloseReason, state::Position};

/// A closed position, as far as statistics need it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trade {
    /// When it was opened, milliseconds.
    pub opened_ms: i64,
    /// When it was closed, milliseconds.
    pub closed_ms: i64,
    /// Why.
    pub reason: CloseReason,
    /// The price it was closed at.
    pub close_price: f64,
    /// Result after costs, percent of what was invested.
    pub result_percent: f64,
    /// The same in the quote currency.
    pub result_cost: f64,
    /// The best result on the way, percent; `None`: not known.
    pub peak_percent: Option<f64>,
    /// The worst result on the way, percent; `None`: not known.
    pub fall_percent: Option<f64>,
}

impl Trade {
    /// The trade that `position` was, closed at `price`.
    #[must_use]
    pub fn of(position: &Position, reason: CloseReason, closed_ms: i64, price: f64) -> Self {
        let result = position.terms.at(price);
        Self {
            opened_ms: position.pending_at_ms,
            closed_ms,
            reason,
            close_price: price,
            result_percent: result.percentage,
            result_cost: result.cost,
            peak_percent: Some(position.peak.pnl.percentage),
            fall_percent: Some(position.fall.pnl.percentage),
        }
    }
}
