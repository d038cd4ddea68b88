//! What an earlier file of an event record knew of a trader, in one line at the head of the file that continues it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Action, Trade};

/// What a restart needs to know of one trader. It replaces everything that earlier lines said of the trader.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried<'a> {
    /// The exchange's name.
    #[serde(borrow)]
    pub exchange_name: Cow<'a, str>,
    /// The strategy's name.
    #[serde(borrow)]
    pub strategy_name: Cow<'a, str>,
    /// The trading pair.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// The ids of the events that the same candles could give again.
    pub event_ids: Vec<String>,
    /// Its current or last signal.
    pub signal_id: Option<String>,
    /// When that signal was proposed, milliseconds.
    pub scheduled_at: Option<i64>,
    /// Whether that signal was an order that waited, as far as the record tells.
    pub was_ordered: bool,
    /// The event that began the order or position being held; `None`: flat.
    pub beginning: Option<Value>,
    /// The first boundary at which it has not been asked.
    pub ask_from: Option<i64>,
    /// A time inside the time slot in which it was asked last.
    pub asked: Option<i64>,
    /// The id of the position that it opened last.
    pub last_opened_id: Option<String>,
    /// Its last trades, oldest first.
    #[serde(default)]
    pub trades: Vec<Trade>,
}

/// The line around it.
#[derive(Deserialize, Serialize)]
struct Line<'a> {
    id: Cow<'a, str>,
    action: Cow<'a, str>,
    timestamp: i64,
    about: Cow<'a, str>,
    message: Cow<'a, str>,
    #[serde(borrow)]
    carried: Carried<'a>,
}

impl<'a> Carried<'a> {
    /// Reads it from `line`, an event line whose action is [`Action::CarriedOver`].
    ///
    /// # Errors
    /// When a field is missing or has the wrong type.
    pub fn parse(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line).map(|Line { carried, .. }| carried)
    }

    /// It as one line of JSON, without a line break at the end.
    #[must_use]
    pub fn to_json(self, at_ms: i64) -> String {
        let about = format!("{} on {}", self.strategy_name, self.symbol);
        let action = Action::CarriedOver.name();
        let line = Line {
            id: format!("host:{about}:{at_ms}:{action}").into(),
            action: action.into(),
            timestamp: at_ms,
            about: about.into(),
            message: "what the record knew of it before this line".into(),
            carried: self,
        };
        serde_json::to_string(&line).expect("text, numbers and an event")
    }
}
