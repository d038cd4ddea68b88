//! The trades of a strategy, as it may read them again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sigbox_engine::{Outcome, Side};

use crate::{Number, TraderLine};

/// A position that was opened and closed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trade {
    /// The id of its signal.
    pub id: String,
    /// Its direction.
    #[serde(rename = "position", with = "side")]
    pub side: Side,
    /// When it was opened, milliseconds.
    pub opened_ms: i64,
    /// When it was closed, milliseconds: the opening time of the candle that closed it.
    pub closed_ms: i64,
    /// Entry price, quote currency.
    pub price_open: Number,
    /// Exit price, quote currency.
    pub price_close: Number,
    /// What was invested, quote currency.
    pub cost: Number,
    /// The result in percent of what was invested, after slippage and fees, times the leverage.
    pub pnl_percentage: Number,
    /// The result in the quote currency.
    pub pnl_cost: Number,
    /// Why it was closed, as events write it.
    pub reason: Cow<'static, str>,
}

impl Trade {
    /// The trade that ended with `outcome`; `None`: none ended.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let Outcome::Closed { position, reason, at_ms, price } = outcome else { return None };
        let pnl = position.terms.at(*price);
        Some(Self {
            id: position.signal.id.clone(),
            side: position.signal.side,
            opened_ms: position.pending_at_ms,
            closed_ms: *at_ms,
            price_open: as_written(position.signal.price_open),
            price_close: as_written(*price),
            cost: as_written(position.signal.cost),
            pnl_percentage: as_written(pnl.percentage),
            pnl_cost: as_written(pnl.cost),
            reason: reason.name().into(),
        })
    }

    /// The trade that ended with the event `closed` in `line`; `None`: a field of it is missing.
    #[must_use]
    pub fn of_line(line: &TraderLine<'_>) -> Option<Self> {
        let (signal, pnl) = (line.signal.as_ref()?, line.pnl.as_ref()?);
        let number = |number: Option<f64>| as_written(number.unwrap_or(f64::INFINITY));
        Some(Self {
            id: signal.id.clone().into_owned(),
            side: side::named(signal.position.as_deref()?)?,
            opened_ms: signal.pending_at?,
            closed_ms: line.close_timestamp?,
            price_open: number(signal.original_price_open),
            price_close: number(line.current_price),
            cost: number(signal.cost),
            pnl_percentage: number(pnl.pnl_percentage),
            pnl_cost: number(pnl.pnl_cost),
            reason: line.close_reason.as_ref()?.clone().into_owned().into(),
        })
    }
}

/// The number that is read back when this one is written. So a trade is the same before and after a restart.
fn as_written(number: f64) -> Number {
    // Zero has no sign in an event, and what is too large for a float is `null`.
    Number(if number.is_finite() { number + 0.0 } else { f64::INFINITY })
}

/// A direction by its name.
mod side {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use sigbox_engine::Side;

    pub(super) fn named(name: &str) -> Option<Side> {
        [Side::Long, Side::Short].into_iter().find(|side| side.name() == name)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(side.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Side, D::Error> {
        let name = String::deserialize(deserializer)?;
        named(&name).ok_or_else(|| D::Error::custom(format!("{name:?} is no direction")))
    }
}
