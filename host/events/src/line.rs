//! The lines of an event file, as a reader sees them.
//!
//! Unknown fields are ignored, because a later sigbox may write more of them. A field of the wrong type is an error,
//! because a reader would have to guess what it means.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

use crate::Action;

/// The fields that every line has. Read it first: it tells whether the rest is worth reading.
#[derive(Debug, Deserialize)]
pub struct Head<'a> {
    /// The event's id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name of what happened, as it stands in the line.
    #[serde(borrow, rename = "action")]
    pub action_name: Cow<'a, str>,
    /// When, milliseconds since the Unix epoch.
    pub timestamp: i64,
    symbol: Option<IgnoredAny>,
}

impl<'a> Head<'a> {
    /// Reads the head of `line`.
    ///
    /// # Errors
    /// When `line` is not a JSON object with an id, an action and a timestamp.
    pub fn parse(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }

    /// What happened; `None` for an action that only a later sigbox knows.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        Action::named(&self.action_name)
    }

    /// Whether a trader did it; otherwise the host did.
    #[must_use]
    pub const fn is_of_trader(&self) -> bool {
        self.symbol.is_some()
    }
}

/// The fields of an event's line. Some lines have only some of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of `Event`, which says what they mean")]
pub struct TraderLine<'a> {
    #[serde(borrow)]
    pub strategy_name: Cow<'a, str>,
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    #[serde(borrow, default)]
    pub exchange_name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub frame_name: Cow<'a, str>,
    pub current_price: Option<f64>,
    pub level: Option<u8>,
    #[serde(borrow)]
    pub close_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    pub close_timestamp: Option<i64>,
    pub pnl: Option<PnlLine>,
    #[serde(borrow)]
    pub rejection_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub rejection_note: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub signal: Option<SignalLine<'a>>,
}

impl<'a> TraderLine<'a> {
    /// Reads `line`.
    ///
    /// # Errors
    /// When a field that every event's line has is missing, or a field has the wrong type.
    pub fn parse(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }
}

/// The order or position of a [`TraderLine`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of `PublicRow`")]
pub struct SignalLine<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub position: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub note: Cow<'a, str>,
    pub original_price_open: Option<f64>,
    pub original_price_take_profit: Option<f64>,
    pub original_price_stop_loss: Option<f64>,
    pub cost: Option<f64>,
    pub multiplier: Option<f64>,
    pub scheduled_at: Option<i64>,
    pub pending_at: Option<i64>,
    pub peak_profit: Option<PnlLine>,
    pub max_drawdown: Option<PnlLine>,
}

/// A result in a [`TraderLine`]. A number that is too large for a float is written as `null`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of `PnlRow`")]
pub struct PnlLine {
    pub pnl_percentage: Option<f64>,
    pub pnl_cost: Option<f64>,
}

/// The fields of a notice's line.
#[derive(Debug, Deserialize)]
pub struct HostLine<'a> {
    /// The store or the trader it is about.
    #[serde(borrow)]
    pub about: Option<Cow<'a, str>>,
    /// What happened, for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

impl<'a> HostLine<'a> {
    /// Reads `line`.
    ///
    /// # Errors
    /// When there is no message, or a field has the wrong type.
    pub fn parse(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }
}
