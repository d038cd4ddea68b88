//! The four documents a run keeps, as JSON with the seed's field names (specification 1.3, 10.1).
//!
//! A row holds what cannot be computed again. The extremes, the levels already passed and the stop in force follow from
//! the row and the candles since, so a restart recomputes them and quiet minutes cost no write (hazard H-45).

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sigbox_engine::{
    MINUTE_MS, Order, Position, Settings, Side, Signal, State,
    signal::{Pair, Proposal},
    state::Levels,
};
use sigbox_events::Number;

/// A position or an order, as it is stored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    price_open: Number,
    position: StoredSide,
    #[serde(default)]
    note: String,
    price_take_profit: Number,
    price_stop_loss: Number,
    minute_estimated_time: Number,
    symbol: String,
    exchange_name: String,
    strategy_name: String,
    #[serde(default)]
    frame_name: String,
    scheduled_at: i64,
    pending_at: i64,
    #[serde(rename = "_isScheduled")]
    is_scheduled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multiplier: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolated: Option<bool>,
    /// Opening time of the first candle on which the position is judged. The seed does not have this field. Without it,
    /// the time is derived from `pendingAt`.
    #[serde(rename = "_judgedFrom", default, skip_serializing_if = "Option::is_none")]
    judged_from: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoredSide {
    Long,
    Short,
}

impl From<Side> for StoredSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Long => Self::Long,
            Side::Short => Self::Short,
        }
    }
}

impl From<StoredSide> for Side {
    fn from(side: StoredSide) -> Self {
        match side {
            StoredSide::Long => Self::Long,
            StoredSide::Short => Self::Short,
        }
    }
}

/// Why a stored document cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// It cannot be understood, or says something impossible.
    Corrupt(String),
    /// It belongs to another trader, which has these names.
    Foreign { exchange: String, strategy: String, symbol: String },
}

impl RowFault {
    /// Why, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Corrupt(reason) => reason.clone(),
            Self::Foreign { exchange, strategy, symbol } => {
                format!("it belongs to strategy {strategy} on {symbol}, exchange {exchange}")
            }
        }
    }
}

impl Row {
    fn of(pair: &Pair, signal: &Signal, pending_at: i64, judged_from: Option<i64>) -> Self {
        Self {
            id: signal.id.clone(),
            price_open: Number(signal.price_open),
            position: signal.side.into(),
            note: signal.note.clone(),
            price_take_profit: Number(signal.price_take_profit),
            price_stop_loss: Number(signal.price_stop_loss),
            minute_estimated_time: Number(signal.minute_estimated_time),
            symbol: pair.symbol.clone(),
            exchange_name: pair.exchange.clone(),
            strategy_name: pair.strategy.clone(),
            frame_name: pair.frame.clone(),
            scheduled_at: signal.scheduled_at_ms,
            pending_at,
            is_scheduled: judged_from.is_none(),
            cost: Some(Number(signal.cost)),
            multiplier: Some(Number(signal.multiplier)),
            isolated: Some(signal.isolated),
            judged_from,
        }
    }

    fn signal(&self, pair: &Pair, settings: &Settings) -> Result<Signal, RowFault> {
        let stored = Proposal {
            id: Some(self.id.clone()),
            symbol: None,
            side: self.position.into(),
            price_open: Some(self.price_open.0),
            price_take_profit: self.price_take_profit.0,
            price_stop_loss: self.price_stop_loss.0,
            minute_estimated_time: Some(self.minute_estimated_time.0),
            cost: self.cost.map(|cost| cost.0),
            multiplier: self.multiplier.map(|multiplier| multiplier.0),
            isolated: self.isolated,
            note: Some(self.note.clone()),
        };
        Signal::restore(stored, pair, self.scheduled_at, settings).map_err(|violations| {
            let rules: Vec<String> = violations.iter().map(ToString::to_string).collect();
            RowFault::Corrupt(format!("it breaks the rules {}", rules.join(", ")))
        })
    }
}

/// The `signal` document of a position.
pub(crate) fn position_document(pair: &Pair, position: &Position) -> Vec<u8> {
    to_json(&Row::of(pair, &position.signal, position.pending_at_ms, Some(position.judged_from_ms)))
}

/// The `schedule` document of an order. Its `pendingAt` is provisional until the order is filled, as in the seed.
pub(crate) fn order_document(pair: &Pair, order: &Order) -> Vec<u8> {
    to_json(&Row::of(pair, &order.signal, order.signal.scheduled_at_ms, None))
}

/// The year 9999. A later time is a mistake, and sums with it could overflow.
const LATEST_MS: i64 = 253_402_300_800_000;

/// The document that says "nothing here".
pub(crate) const FLAT: &[u8] = b"null";

fn parse_row(document: &[u8], pair: &Pair) -> Result<Option<Row>, RowFault> {
    let row: Option<Row> = serde_json::from_slice(document).map_err(|error| RowFault::Corrupt(error.to_string()))?;
    let Some(row) = row else { return Ok(None) };
    if row.exchange_name != pair.exchange || row.strategy_name != pair.strategy || row.symbol != pair.symbol {
        let Row { exchange_name, strategy_name, symbol, .. } = row;
        return Err(RowFault::Foreign { exchange: exchange_name, strategy: strategy_name, symbol });
    }
    if !(1..LATEST_MS).contains(&row.scheduled_at) || !(0..LATEST_MS).contains(&row.pending_at) {
        return Err(RowFault::Corrupt("scheduledAt or pendingAt is not a time".to_owned()));
    }
    Ok(Some(row))
}

/// The position in a `signal` document; `None` when it says flat.
pub(crate) fn parse_position(document: &[u8], pair: &Pair, settings: &Settings) -> Result<Option<Position>, RowFault> {
    let Some(row) = parse_row(document, pair)? else { return Ok(None) };
    if row.is_scheduled {
        // A backend that mixes up two domains returns the order that waits (hazard H-51).
        return Err(RowFault::Corrupt("it is an order that waits, where positions are kept".to_owned()));
    }
    if row.pending_at == 0 {
        return Err(RowFault::Corrupt("pendingAt is 0, but the position is open".to_owned()));
    }
    // Rows of the reference have times inside a minute, and do not say how the position was opened. A candle that
    // opened before the position must not close it (hazard H-56).
    let first_whole_minute = row.pending_at + (-row.pending_at).rem_euclid(MINUTE_MS);
    let judged_from = row.judged_from.unwrap_or(if row.pending_at == row.scheduled_at {
        first_whole_minute
    } else {
        first_whole_minute + MINUTE_MS
    });
    if judged_from < row.pending_at || judged_from.rem_euclid(MINUTE_MS) != 0 {
        return Err(RowFault::Corrupt("_judgedFrom is not a minute at or after pendingAt".to_owned()));
    }
    let signal = Arc::new(row.signal(pair, settings)?);
    Ok(Some(Position::open(signal, row.pending_at, judged_from, settings)))
}

/// The order in a `schedule` document; `None` when it says that none waits.
pub(crate) fn parse_order(document: &[u8], pair: &Pair, settings: &Settings) -> Result<Option<Order>, RowFault> {
    let Some(row) = parse_row(document, pair)? else { return Ok(None) };
    if !row.is_scheduled {
        return Err(RowFault::Corrupt("it is a position, where orders that wait are kept".to_owned()));
    }
    Ok(Some(Order { signal: Arc::new(row.signal(pair, settings)?) }))
}

/// What a trader holds by the event that began it: an order by `scheduled`, a position by `opened`. `was_ordered`:
/// whether the position was an order that waited. The event does not say it, but the record has the `scheduled` event.
///
/// The result is exact: the same row would be stored for it.
pub(crate) fn parse_beginning(
    beginning: &Value,
    was_ordered: bool,
    pair: &Pair,
    settings: &Settings,
) -> Result<State, RowFault> {
    let corrupt = |error: serde_json::Error| RowFault::Corrupt(error.to_string());
    let mut row = beginning.get("signal").cloned().unwrap_or_default();
    let Some(fields) = row.as_object_mut() else { return Err(RowFault::Corrupt("the event has no signal".to_owned())) };
    // The entry price of the event has the costs in it, and levels may have been moved. The original ones are stored.
    for (stored, original) in [
        ("priceOpen", "originalPriceOpen"),
        ("priceTakeProfit", "originalPriceTakeProfit"),
        ("priceStopLoss", "originalPriceStopLoss"),
    ] {
        let price = fields.get(original).cloned().unwrap_or_default();
        fields.insert(stored.to_owned(), price);
    }
    for name in ["symbol", "exchangeName", "strategyName", "frameName"] {
        fields.insert(name.to_owned(), beginning.get(name).cloned().unwrap_or_default());
    }
    let is_order = fields.get("_isScheduled") == Some(&Value::Bool(true));
    if !is_order && let Some(pending_at) = fields.get("pendingAt").and_then(Value::as_i64) {
        let judged_from = if was_ordered { pending_at.saturating_add(MINUTE_MS) } else { pending_at };
        fields.insert("_judgedFrom".to_owned(), judged_from.into());
    }
    let document = serde_json::to_vec(&row).map_err(corrupt)?;
    if is_order {
        Ok(parse_order(&document, pair, settings)?.map_or(State::Idle, State::Scheduled))
    } else {
        Ok(parse_position(&document, pair, settings)?.map_or(State::Idle, |position| State::Open(Arc::new(position))))
    }
}

/// The levels of one signal. The `partial` document has them by signal id.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredLevels {
    #[serde(default)]
    profit_levels: Vec<u8>,
    #[serde(default)]
    loss_levels: Vec<u8>,
}

/// The `partial` document of a position; `{}` when no level has been passed.
pub(crate) fn levels_document(position: Option<&Position>) -> Vec<u8> {
    let passed = position.filter(|position| has_levels(position)).map(|position| {
        let profit_levels = position.profit_levels.iter().collect();
        let loss_levels = position.loss_levels.iter().collect();
        (&position.signal.id, StoredLevels { profit_levels, loss_levels })
    });
    to_json(&passed.into_iter().collect::<BTreeMap<_, _>>())
}

/// Whether any level has been passed.
pub(crate) fn has_levels(position: &Position) -> bool {
    position.profit_levels != Levels::default() || position.loss_levels != Levels::default()
}

/// Copies the levels of `position` from a `partial` document into it. The levels of other signals are left over and
/// count for nothing.
pub(crate) fn restore_levels(document: &[u8], position: &mut Position) -> Result<(), RowFault> {
    // A null document is an empty one (hazard H-54).
    let stored: Option<BTreeMap<String, StoredLevels>> =
        serde_json::from_slice(document).map_err(|error| RowFault::Corrupt(error.to_string()))?;
    if let Some(levels) = stored.unwrap_or_default().remove(&position.signal.id) {
        position.profit_levels = levels.profit_levels.into_iter().collect();
        position.loss_levels = levels.loss_levels.into_iter().collect();
    }
    Ok(())
}

/// A slot of a risk profile as stored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredSlot {
    pub(crate) strategy_name: String,
    pub(crate) exchange_name: String,
    pub(crate) open_timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) symbol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<StoredSide>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_open: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_stop_loss: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price_take_profit: Option<Number>,
    /// `null` in a document: endless.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    minute_estimated_time: Option<Number>,
    /// Fields that a later sigbox or the reference writes. They are kept when the slots are written again.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A field that is there, also when it is `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// One entry of the `risk` document: the seed's key and the slot.
pub(crate) type SlotEntry = (String, StoredSlot);

/// The entry of an open position.
pub(crate) fn slot_entry(pair: &Pair, position: &Position) -> SlotEntry {
    let Signal { side, price_open, price_stop_loss, price_take_profit, minute_estimated_time, .. } = &*position.signal;
    let slot = StoredSlot {
        strategy_name: pair.strategy.clone(),
        exchange_name: pair.exchange.clone(),
        open_timestamp: position.pending_at_ms,
        symbol: Some(pair.symbol.clone()),
        position: Some((*side).into()),
        price_open: Some(Number(*price_open)),
        price_stop_loss: Some(Number(*price_stop_loss)),
        price_take_profit: Some(Number(*price_take_profit)),
        minute_estimated_time: Some(Number(*minute_estimated_time)),
        rest: Map::new(),
    };
    (format!("{}_{}_{}", pair.strategy, pair.exchange, pair.symbol), slot)
}

impl StoredSlot {
    /// The trader whose slot it is. Slots of the seed have the symbol only at the end of their key.
    pub(crate) fn owner(&self, key: &str) -> Pair {
        let prefix = format!("{}_{}_", self.strategy_name, self.exchange_name);
        let symbol = self.symbol.clone().or_else(|| key.strip_prefix(&prefix).map(str::to_owned)).unwrap_or_default();
        Pair {
            symbol,
            strategy: self.strategy_name.clone(),
            exchange: self.exchange_name.clone(),
            frame: String::new(),
        }
    }
}

/// The `risk` document.
pub(crate) fn slots_document(slots: &[SlotEntry]) -> Vec<u8> {
    to_json(&slots)
}

/// The slots in a `risk` document.
pub(crate) fn parse_slots(document: &[u8]) -> Result<Vec<SlotEntry>, RowFault> {
    let slots: Option<Vec<SlotEntry>> =
        serde_json::from_slice(document).map_err(|error| RowFault::Corrupt(error.to_string()))?;
    Ok(slots.unwrap_or_default())
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("rows have text keys and finite or null numbers")
}
