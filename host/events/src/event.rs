//! Events: outcomes as JSON for programs, one object a line, with the field names of the reference.

use std::borrow::Cow;

use jiff::Timestamp;
use sigbox_engine::{
    Outcome, Position,
    outcome::Direction,
    pnl::Pnl,
    signal::{Pair, Signal},
    state::{Extreme, Order},
};

use crate::{
    Action, Number,
    json::{Json, Value, name},
};

/// One event. Its `id` follows from who, when and what. So an event that a restart finds again has the same id and is
/// recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// `{exchange}:{strategy}:{symbol}:{timestamp}:{action}`, and the level where there is one.
    pub id: String,
    /// What happened: `opened`, `closed`, …
    pub action: Action,
    /// When, milliseconds: the opening time of the candle that decided it, or the boundary of the decision.
    pub timestamp: i64,
    /// The trading pair.
    pub symbol: &'a str,
    /// The strategy's name.
    pub strategy_name: &'a str,
    /// The exchange's name.
    pub exchange_name: &'a str,
    /// The name of the period being tested; empty in live trading.
    pub frame_name: &'a str,
    /// The price it is about.
    pub current_price: Option<Number>,
    /// The level that was passed, in percent of the way to the take-profit or the stop-loss.
    pub level: Option<u8>,
    /// Why a position was closed.
    pub close_reason: Option<&'static str>,
    /// Why an order was cancelled.
    pub reason: Option<&'static str>,
    /// When it was closed or cancelled, milliseconds.
    pub close_timestamp: Option<i64>,
    /// The result so far, or the final one.
    pub pnl: Option<PnlRow>,
    /// The name of the risk rule that refused.
    pub rejection_id: Option<&'a str>,
    /// Why the risk rules refused.
    pub rejection_note: Option<&'a str>,
    /// Positions active when the risk rules refused.
    pub active_position_count: Option<usize>,
    /// Rules an invalid signal broke.
    pub rules: Option<Vec<String>>,
    /// Why a strategy failed, or which wrong symbol it proposed.
    pub message: Option<Cow<'a, str>>,
    /// The order or position.
    pub signal: Option<PublicRow<'a>>,
}

/// An order or position as events show it (specification 1.4).
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the specification, 1.4")]
pub struct PublicRow<'a> {
    pub id: &'a str,
    pub note: &'a str,
    pub terms: Terms,
    pub pnl: PnlRow,
    pub peak_profit: ExtremeRow,
    pub max_drawdown: ExtremeRow,
}

/// The numbers of a [`PublicRow`] that stay as they are while a position is held.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the specification, 1.4")]
pub struct Terms {
    pub position: &'static str,
    pub price_open: Number,
    pub price_take_profit: Number,
    pub price_stop_loss: Number,
    pub original_price_open: Number,
    pub original_price_take_profit: Number,
    pub original_price_stop_loss: Number,
    pub minute_estimated_time: Number,
    pub cost: Number,
    pub multiplier: Number,
    pub isolated: bool,
    pub scheduled_at: i64,
    pub pending_at: i64,
    pub timestamp: i64,
    pub is_scheduled: bool,
}

/// A result.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the specification, 1.4")]
pub struct PnlRow {
    pub pnl_percentage: Number,
    pub pnl_cost: Number,
    pub pnl_entries: Number,
    pub price_open: Number,
    pub price_close: Number,
}

/// The best or worst point of a position.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the specification, 1.4")]
pub struct ExtremeRow {
    pub price: Option<Number>,
    pub timestamp: Option<i64>,
    pub pnl_percentage: Number,
    pub pnl_cost: Number,
    pub pnl_entries: Number,
    pub price_open: Number,
    pub price_close: Number,
}

impl<'a> Event<'a> {
    /// The event of an outcome; `None` for a tick at which nothing happened.
    #[must_use]
    #[inline]
    pub fn of(pair: &'a Pair, outcome: &'a Outcome) -> Option<Self> {
        let event = match outcome {
            Outcome::Idle { .. } | Outcome::Waiting { .. } | Outcome::Active { .. } => return None,
            Outcome::Scheduled { order, price } => Self {
                current_price: Some(Number(*price)),
                signal: Some(PublicRow::of_order(order)),
                ..Self::new(pair, Action::Scheduled, order.signal.scheduled_at_ms)
            },
            Outcome::Opened { position } => {
                let price = position.signal.price_open;
                Self::of_position(pair, Action::Opened, position, position.pending_at_ms, price)
            }
            Outcome::HighestProfit { position } => {
                Self::of_position(pair, Action::HighestProfit, position, position.peak.at_ms, position.peak.price)
            }
            Outcome::MaxDrawdown { position } => {
                Self::of_position(pair, Action::MaxDrawdown, position, position.fall.at_ms, position.fall.price)
            }
            Outcome::Breakeven { position, at_ms, price } => {
                Self::of_position(pair, Action::Breakeven, position, *at_ms, *price)
            }
            Outcome::Level { position, direction, level, at_ms, price } => {
                let action = match direction {
                    Direction::Profit => Action::PartialProfit,
                    Direction::Loss => Action::PartialLoss,
                };
                let event = Self::of_position(pair, action, position, *at_ms, *price);
                Self { id: format!("{}:{level}", event.id), level: Some(*level), ..event }
            }
            Outcome::Closed { position, reason, at_ms, price } => Self {
                close_reason: Some(reason.name()),
                close_timestamp: Some(*at_ms),
                ..Self::of_position(pair, Action::Closed, position, *at_ms, *price)
            },
            Outcome::Cancelled { order, reason, at_ms, price } => Self {
                current_price: Some(Number(*price)),
                reason: Some(reason.name()),
                close_timestamp: Some(*at_ms),
                signal: Some(PublicRow::of_order(order)),
                ..Self::new(pair, Action::Cancelled, *at_ms)
            },
            Outcome::Rejected { rejection, at_ms, price } => Self {
                current_price: Some(Number(*price)),
                rejection_id: rejection.id.as_deref(),
                rejection_note: Some(&rejection.note),
                active_position_count: Some(rejection.active_positions),
                ..Self::new(pair, Action::RiskRejection, *at_ms)
            },
            Outcome::Invalid { violations, at_ms } => Self {
                rules: Some(violations.iter().map(ToString::to_string).collect()),
                ..Self::new(pair, Action::InvalidSignal, *at_ms)
            },
            Outcome::SymbolMismatch { symbol, at_ms } => Self {
                message: Some(format!("the strategy proposed a trade on {symbol}; it runs on {}", pair.symbol).into()),
                ..Self::new(pair, Action::SymbolMismatch, *at_ms)
            },
            Outcome::StrategyFailed { message, at_ms } => {
                Self { message: Some(message.into()), ..Self::new(pair, Action::StrategyFailed, *at_ms) }
            }
        };
        Some(event)
    }

    #[inline]
    fn new(pair: &'a Pair, action: Action, timestamp: i64) -> Self {
        let Pair { symbol, strategy, exchange, frame } = pair;
        Self {
            id: pair.signal_id(timestamp) + ":" + action.name(),
            action,
            timestamp,
            symbol,
            strategy_name: strategy,
            exchange_name: exchange,
            frame_name: frame,
            current_price: None,
            level: None,
            close_reason: None,
            reason: None,
            close_timestamp: None,
            pnl: None,
            rejection_id: None,
            rejection_note: None,
            active_position_count: None,
            rules: None,
            message: None,
            signal: None,
        }
    }

    #[inline]
    fn of_position(pair: &'a Pair, action: Action, position: &'a Position, timestamp: i64, price: f64) -> Self {
        let pnl = PnlRow::from(position.terms.at(price));
        Self {
            current_price: Some(Number(price)),
            signal: Some(PublicRow::of_position(position, pnl.clone())),
            pnl: Some(pnl),
            ..Self::new(pair, action, timestamp)
        }
    }

    /// The event as a line for people: what, where, at which price and with which result.
    #[must_use]
    pub fn headline(&self) -> String {
        let Self { timestamp, strategy_name, symbol, .. } = self;
        let time =
            Timestamp::from_millisecond(*timestamp).map_or_else(|_| format!("{timestamp} ms"), |at| at.to_string());
        let mut line = format!("{time}  {strategy_name} on {symbol}: {}", self.action.name().replace('_', " "));
        let side = self.signal.as_ref().map(|signal| signal.terms.position);
        let price = self.current_price.map(|price| format!("at {}", price.0));
        let level = self.level.map(|level| format!("{level} %"));
        let reason = self.close_reason.or(self.reason).map(|reason| reason.replace('_', " "));
        let result = self.pnl.as_ref().map(|pnl| format!("{:+.2} %", pnl.pnl_percentage.0));
        let rules = self.rules.as_ref().map(|rules| rules.join(", "));
        let parts = [side.map(str::to_owned), level, price, reason, result, rules];
        let parts = parts.iter().flatten().map(String::as_str);
        for part in parts.chain(self.rejection_note).chain(self.message.as_deref()) {
            line.push(' ');
            line.push_str(part);
        }
        line
    }

    /// The event as one line of JSON, without a line break at the end.
    #[must_use]
    #[inline]
    pub fn to_json(&self) -> String {
        let mut json = Json::of_one();
        self.write(&mut json);
        String::from_utf8(json.text).expect("JSON is text")
    }
}

impl Value for &Event<'_> {
    #[inline]
    fn write(self, json: &mut Json) {
        json.object(|json| {
            json.field(name!("id"), self.id.as_str());
            json.field(name!("action"), self.action.name());
            json.field(name!("timestamp"), self.timestamp);
            json.field(name!("symbol"), self.symbol);
            json.field(name!("strategyName"), self.strategy_name);
            json.field(name!("exchangeName"), self.exchange_name);
            json.field(name!("frameName"), self.frame_name);
            json.optional(name!("currentPrice"), self.current_price);
            json.optional(name!("level"), self.level);
            json.optional(name!("closeReason"), self.close_reason);
            json.optional(name!("reason"), self.reason);
            json.optional(name!("closeTimestamp"), self.close_timestamp);
            json.optional(name!("pnl"), self.pnl.as_ref());
            json.optional(name!("rejectionId"), self.rejection_id);
            json.optional(name!("rejectionNote"), self.rejection_note);
            json.optional(name!("activePositionCount"), self.active_position_count);
            json.optional(name!("rules"), self.rules.as_deref());
            json.optional(name!("message"), self.message.as_deref());
            json.optional(name!("signal"), self.signal.as_ref());
        });
    }
}

impl Value for &PublicRow<'_> {
    #[inline]
    fn write(self, json: &mut Json) {
        json.object(|json| {
            json.terms(self.id, self.note, &self.terms);
            json.field(name!("pnl"), &self.pnl);
            json.field(name!("peakProfit"), &self.peak_profit);
            json.field(name!("maxDrawdown"), &self.max_drawdown);
        });
    }
}

impl Terms {
    /// Writes the fields that begin a row, into its object.
    pub(crate) fn write(&self, id: &str, note: &str, json: &mut Json) {
        json.field(name!("id"), id);
        json.field(name!("position"), self.position);
        json.field(name!("note"), note);
        json.field(name!("priceOpen"), self.price_open);
        json.field(name!("priceTakeProfit"), self.price_take_profit);
        json.field(name!("priceStopLoss"), self.price_stop_loss);
        json.field(name!("originalPriceOpen"), self.original_price_open);
        json.field(name!("originalPriceTakeProfit"), self.original_price_take_profit);
        json.field(name!("originalPriceStopLoss"), self.original_price_stop_loss);
        json.field(name!("minuteEstimatedTime"), self.minute_estimated_time);
        json.field(name!("cost"), self.cost);
        json.field(name!("multiplier"), self.multiplier);
        json.field(name!("isolated"), self.isolated);
        json.field(name!("scheduledAt"), self.scheduled_at);
        json.field(name!("pendingAt"), self.pending_at);
        json.field(name!("timestamp"), self.timestamp);
        json.field(name!("_isScheduled"), self.is_scheduled);
    }
}

impl Value for &PnlRow {
    #[inline]
    fn write(self, json: &mut Json) {
        json.object(|json| {
            json.field(name!("pnlPercentage"), self.pnl_percentage);
            json.field(name!("pnlCost"), self.pnl_cost);
            json.field(name!("pnlEntries"), self.pnl_entries);
            json.field(name!("priceOpen"), self.price_open);
            json.field(name!("priceClose"), self.price_close);
        });
    }
}

impl Value for &ExtremeRow {
    #[inline]
    fn write(self, json: &mut Json) {
        json.object(|json| {
            json.optional(name!("price"), self.price);
            json.optional(name!("timestamp"), self.timestamp);
            json.field(name!("pnlPercentage"), self.pnl_percentage);
            json.field(name!("pnlCost"), self.pnl_cost);
            json.field(name!("pnlEntries"), self.pnl_entries);
            json.field(name!("priceOpen"), self.price_open);
            json.field(name!("priceClose"), self.price_close);
        });
    }
}

impl<'a> PublicRow<'a> {
    #[inline]
    fn of_position(position: &'a Position, pnl: PnlRow) -> Self {
        let Position { signal, .. } = position;
        Self {
            id: &signal.id,
            note: &signal.note,
            terms: Terms {
                price_open: Number(position.terms.entry),
                pending_at: position.pending_at_ms,
                is_scheduled: false,
                ..Terms::of_signal(signal)
            },
            pnl,
            peak_profit: position.peak.into(),
            max_drawdown: position.fall.into(),
        }
    }

    #[inline]
    fn of_order(order: &'a Order) -> Self {
        let Order { signal, .. } = order;
        Self {
            id: &signal.id,
            note: &signal.note,
            terms: Terms::of_signal(signal),
            pnl: PnlRow::default(),
            peak_profit: ExtremeRow::default(),
            max_drawdown: ExtremeRow::default(),
        }
    }
}

impl Terms {
    /// The terms of a signal that still waits.
    #[inline]
    fn of_signal(signal: &Signal) -> Self {
        Self {
            position: signal.side.name(),
            price_open: Number(signal.price_open),
            price_take_profit: Number(signal.price_take_profit),
            price_stop_loss: Number(signal.price_stop_loss),
            original_price_open: Number(signal.price_open),
            original_price_take_profit: Number(signal.price_take_profit),
            original_price_stop_loss: Number(signal.price_stop_loss),
            minute_estimated_time: Number(signal.minute_estimated_time),
            cost: Number(signal.cost),
            multiplier: Number(signal.multiplier),
            isolated: signal.isolated,
            scheduled_at: signal.scheduled_at_ms,
            pending_at: 0,
            timestamp: signal.scheduled_at_ms,
            is_scheduled: true,
        }
    }
}

impl From<Pnl> for PnlRow {
    #[inline]
    fn from(pnl: Pnl) -> Self {
        Self {
            pnl_percentage: Number(pnl.percentage),
            pnl_cost: Number(pnl.cost),
            pnl_entries: Number(pnl.entries),
            price_open: Number(pnl.price_open),
            price_close: Number(pnl.price_close),
        }
    }
}

impl From<Extreme> for ExtremeRow {
    #[inline]
    fn from(extreme: Extreme) -> Self {
        let PnlRow { pnl_percentage, pnl_cost, pnl_entries, price_open, price_close } = extreme.pnl.into();
        Self {
            price: Some(Number(extreme.price)),
            timestamp: Some(extreme.at_ms),
            pnl_percentage,
            pnl_cost,
            pnl_entries,
            price_open,
            price_close,
        }
    }
}
