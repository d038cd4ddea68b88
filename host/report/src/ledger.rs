//! The ledger: reads an event file into the totals that the run itself counted, and its trades one by one.
//!
//! Lines are read one at a time and not kept in memory. The ledger keeps the totals, the trades, the order that each
//! trader waits for, and eight bytes for each event that counts, so that an event that is in the file twice counts
//! once.
//!
//! Unknown actions and fields are ignored: a journal also holds the host's own events, and a later sigbox may write
//! more. A line that is half an event, or an event that cannot have happened, is an error that names the line. Only the
//! last line may be incomplete, because a run may have been killed there, or may still be writing it.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, BufRead},
};

use jiff::Timestamp;
use serde_json::error::Category;
use sigbox_engine::{
    Side,
    outcome::{CancelReason, CloseReason, Direction},
    state::Levels,
    stats::{Summary, Tally, Trade},
};
use sigbox_events::{Action, Head, SignalLine, TraderLine};

use crate::TradeRow;

/// The totals and the trades of an event file.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The totals, by part.
    pub tally: Tally,
    /// Closed positions, in the order in which they were closed.
    pub trades: Vec<TradeRow>,
    /// When the first and the last event of a trader happened, milliseconds; `None` without such an event.
    pub span_ms: Option<(i64, i64)>,
    /// `exchangeName` of the last event that counts; empty without one.
    pub exchange: String,
    /// `frameName` of the same event.
    pub frame: String,
    /// Whether the file ends in half a line, which is not counted.
    pub torn: bool,
}

/// Why a file is no event file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// A line is no event, or an event that cannot have happened.
    #[error("line {line}: {problem}")]
    Line {
        /// Which line; the first line is 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl Ledger {
    /// Reads events, one JSON object a line, as a backtest or a live run writes them.
    ///
    /// # Errors
    /// When the events cannot be read, or a line is no event that can have happened; the first such line is named.
    pub fn read(mut events: impl BufRead) -> Result<Self, LedgerError> {
        let mut reader = Reader::default();
        let (mut number, mut line) = (0, Vec::new());
        while events.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            match reader.add(&line) {
                Ok(()) => {}
                Err(Problem::HalfALine(_)) if !line.ends_with(b"\n") => reader.ledger.torn = true,
                Err(Problem::HalfALine(problem) | Problem::Impossible(problem)) => {
                    return Err(LedgerError::Line { line: number, problem });
                }
            }
            line.clear();
        }
        Ok(reader.ledger)
    }
}

/// What is wrong with a line.
enum Problem {
    /// The line is not JSON from beginning to end.
    HalfALine(String),
    /// The line is JSON, but no event that can have happened.
    Impossible(String),
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Impossible(problem)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        // The parser sees a single line and always calls it the first, so its line number is removed.
        let said = error.to_string();
        let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        let problem = format!("{what}, at column {}", error.column());
        match error.classify() {
            Category::Syntax | Category::Eof => Self::HalfALine(format!("not JSON: {problem}")),
            Category::Data | Category::Io => Self::Impossible(format!("not an event: {problem}")),
        }
    }
}

/// A ledger while it is read.
#[derive(Default)]
struct Reader {
    ledger: Ledger,
    /// Digests of the ids that were counted. No text of a guest is in an id, so no guest can make two digests collide.
    told: HashSet<u64>,
    /// The id of the order each trader waits for.
    waiting: BTreeMap<Who, String>,
}

/// Exchange, strategy and symbol.
type Who = (String, String, String);

impl Reader {
    /// Counts the event in `line`.
    fn add(&mut self, line: &[u8]) -> Result<(), Problem> {
        let head = Head::parse(line)?;
        if head.is_of_trader() {
            let at_ms = possible("timestamp", Some(head.timestamp))?;
            let (first_ms, last_ms) = self.ledger.span_ms.unwrap_or((at_ms, at_ms));
            self.ledger.span_ms = Some((first_ms.min(at_ms), last_ms.max(at_ms)));
        }
        let Some(action) = head.action().filter(|action| counts(*action)) else { return Ok(()) };
        if self.told.contains(&digest(&head.id)) {
            return Ok(());
        }
        let event = TraderLine::parse(line)?;
        self.count(action, &event).map_err(|problem| format!("a {action} event: {problem}"))?;
        self.told.insert(digest(&head.id));
        (*event.exchange_name).clone_into(&mut self.ledger.exchange);
        (*event.frame_name).clone_into(&mut self.ledger.frame);
        Ok(())
    }

    fn count(&mut self, action: Action, event: &TraderLine<'_>) -> Result<(), String> {
        match action {
            Action::Scheduled => {
                self.waiting.insert(who(event), signal_of(event)?.id.to_string());
                self.each(event, |summary| summary.orders.schedule());
            }
            Action::Opened => {
                let signal = signal_of(event)?;
                let opened_ms = possible("signal.pendingAt", signal.pending_at)?;
                let waited_ms = waited_ms(signal, "signal.pendingAt", opened_ms)?;
                // Only the order that waits can be filled. Any other signal was entered at once.
                let was_ordered = self.ends_waiting(event, signal);
                self.each(event, |summary| {
                    if was_ordered {
                        summary.orders.activate(waited_ms);
                    }
                });
            }
            Action::Cancelled => {
                let signal = signal_of(event)?;
                let reason = one_of("reason", event.reason.as_deref(), &CancelReason::ALL, CancelReason::name)?;
                let ended_ms = possible("closeTimestamp", event.close_timestamp)?;
                let waited_ms = waited_ms(signal, "closeTimestamp", ended_ms)?;
                // An order that was accepted in another file is not in the rates of this one.
                let was_ordered = self.ends_waiting(event, signal);
                self.each(event, |summary| {
                    if was_ordered {
                        summary.orders.cancel(reason, waited_ms);
                    }
                });
            }
            Action::Closed => {
                let row = trade(event)?;
                self.ledger.tally.close(&row.strategy, &row.symbol, &row.trade);
                self.ledger.trades.push(row);
            }
            Action::PartialProfit | Action::PartialLoss => {
                let direction = if action == Action::PartialProfit { Direction::Profit } else { Direction::Loss };
                let level = there("level", event.level)?;
                if !Levels::ALL.contains(&level) {
                    return Err(format!("level {level} is none of 10, 20, … 100"));
                }
                self.each(event, |summary| summary.pass(direction, level));
            }
            Action::Breakeven => self.each(event, |summary| summary.breakevens += 1),
            Action::RiskRejection => {
                let rule = event.rejection_id.as_deref().or(event.rejection_note.as_deref());
                let rule = there("rejectionNote", rule)?;
                self.each(event, |summary| summary.reject(rule));
            }
            Action::InvalidSignal | Action::SymbolMismatch => self.each(event, |summary| summary.invalid += 1),
            Action::StrategyFailed => self.each(event, |summary| summary.failed += 1),
            _ => {}
        }
        Ok(())
    }

    /// Whether `signal` is the order its trader waits for. If it is, the trader no longer waits.
    fn ends_waiting(&mut self, event: &TraderLine<'_>, signal: &SignalLine<'_>) -> bool {
        let who = who(event);
        let is_it = self.waiting.get(&who).is_some_and(|id| *id == *signal.id);
        if is_it {
            self.waiting.remove(&who);
        }
        is_it
    }

    fn each(&mut self, event: &TraderLine<'_>, change: impl FnMut(&mut Summary)) {
        self.ledger.tally.each(&event.strategy_name, &event.symbol, change);
    }
}

/// Whether an event changes the totals. New extremes of a position do not, and the host's own events do not.
const fn counts(action: Action) -> bool {
    matches!(
        action,
        Action::Scheduled
            | Action::Opened
            | Action::Breakeven
            | Action::PartialProfit
            | Action::PartialLoss
            | Action::Closed
            | Action::Cancelled
            | Action::RiskRejection
            | Action::InvalidSignal
            | Action::SymbolMismatch
            | Action::StrategyFailed
    )
}

fn who(event: &TraderLine<'_>) -> Who {
    (event.exchange_name.to_string(), event.strategy_name.to_string(), event.symbol.to_string())
}

fn signal_of<'e>(event: &'e TraderLine<'_>) -> Result<&'e SignalLine<'e>, String> {
    there("signal", event.signal.as_ref())
}

/// The trade of a closed position.
fn trade(event: &TraderLine<'_>) -> Result<TradeRow, String> {
    let signal = signal_of(event)?;
    let pnl = there("pnl", event.pnl.as_ref())?;
    let (opened_ms, closed_ms) =
        (possible("signal.pendingAt", signal.pending_at)?, possible("closeTimestamp", event.close_timestamp)?);
    waited_ms(signal, "signal.pendingAt", opened_ms)?;
    if closed_ms < opened_ms {
        return Err(format!("closeTimestamp {closed_ms} is before signal.pendingAt {opened_ms}"));
    }
    Ok(TradeRow {
        id: signal.id.to_string(),
        strategy: event.strategy_name.to_string(),
        symbol: event.symbol.to_string(),
        side: one_of("signal.position", signal.position.as_deref(), &[Side::Long, Side::Short], Side::name)?,
        scheduled_ms: possible("signal.scheduledAt", signal.scheduled_at)?,
        open_price: positive("signal.originalPriceOpen", signal.original_price_open)?,
        take_profit: positive("signal.originalPriceTakeProfit", signal.original_price_take_profit)?,
        stop_loss: positive("signal.originalPriceStopLoss", signal.original_price_stop_loss)?,
        multiplier: positive("signal.multiplier", signal.multiplier)?,
        cost: positive("signal.cost", signal.cost)?,
        note: signal.note.to_string(),
        trade: Trade {
            opened_ms,
            closed_ms,
            reason: one_of("closeReason", event.close_reason.as_deref(), &CloseReason::ALL, CloseReason::name)?,
            close_price: positive("currentPrice", event.current_price)?,
            // With an absurd leverage, a result can be too large for a float. It is then missing in the event and NaN
            // here, so that sums with it are missing too.
            result_percent: pnl.pnl_percentage.unwrap_or(f64::NAN),
            result_cost: pnl.pnl_cost.unwrap_or(f64::NAN),
            peak_percent: signal.peak_profit.as_ref().and_then(|peak| peak.pnl_percentage),
            fall_percent: signal.max_drawdown.as_ref().and_then(|fall| fall.pnl_percentage),
        },
    })
}

/// The time from the signal's order to `until_ms`, which is `field` in the event, milliseconds.
fn waited_ms(signal: &SignalLine<'_>, field: &str, until_ms: i64) -> Result<i64, String> {
    let scheduled_ms = possible("signal.scheduledAt", signal.scheduled_at)?;
    if until_ms < scheduled_ms {
        return Err(format!("{field} {until_ms} is before signal.scheduledAt {scheduled_ms}"));
    }
    Ok(until_ms - scheduled_ms)
}

fn there<T>(field: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("{field} is missing"))
}

/// A time inside the calendar, milliseconds.
fn possible(field: &str, at_ms: Option<i64>) -> Result<i64, String> {
    let at_ms = there(field, at_ms)?;
    match Timestamp::from_millisecond(at_ms) {
        Ok(_) => Ok(at_ms),
        Err(_) => Err(format!("{field} {at_ms} is no time in milliseconds since 1970")),
    }
}

/// A number above zero: a price, an amount or a factor.
fn positive(field: &str, number: Option<f64>) -> Result<f64, String> {
    let number = there(field, number)?;
    if number > 0.0 { Ok(number) } else { Err(format!("{field} {number} is not above zero")) }
}

/// The one of `all` that is called `name`.
fn one_of<T: Copy>(field: &str, name: Option<&str>, all: &[T], name_of: fn(T) -> &'static str) -> Result<T, String> {
    let name = there(field, name)?;
    all.iter().copied().find(|one| name_of(*one) == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().copied().map(name_of).collect();
        format!("{field} {name:?} is none of {}", names.join(", "))
    })
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The complete event of a closed position, changed by `change`.
    fn closed(change: impl FnOnce(&mut Value)) -> String {
        let mut event = json!({
            "id": "x:s:B:120000:closed", "action": "closed", "timestamp": 120_000, "symbol": "B", "strategyName": "s",
            "exchangeName": "x", "frameName": "f", "currentPrice": 102, "closeReason": "take_profit",
            "closeTimestamp": 120_000, "pnl": { "pnlPercentage": 1.6, "pnlCost": 1.6 },
            "signal": {
                "id": "x:s:B:0", "position": "long", "note": "n", "originalPriceOpen": 100,
                "originalPriceTakeProfit": 102, "originalPriceStopLoss": 99, "cost": 100, "multiplier": 1,
                "scheduledAt": 0, "pendingAt": 60_000, "peakProfit": { "pnlPercentage": 1.6 },
                "maxDrawdown": { "pnlPercentage": -0.4 },
            },
        });
        change(&mut event);
        event.to_string() + "\n"
    }

    fn event(action: &str, at_minute: i64, more: &Value) -> String {
        let at_ms = at_minute * 60_000;
        let mut event = json!({
            "id": format!("x:s:B:{at_ms}:{action}"), "action": action, "timestamp": at_ms, "symbol": "B",
            "strategyName": "s", "exchangeName": "x", "frameName": "",
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string() + "\n"
    }

    fn order(action: &str, at_minute: i64, id: &str, scheduled_at_minute: i64) -> String {
        let (at_ms, scheduled_ms) = (at_minute * 60_000, scheduled_at_minute * 60_000);
        let signal = json!({ "id": id, "scheduledAt": scheduled_ms, "pendingAt": at_ms });
        event(action, at_minute, &json!({ "signal": signal, "reason": "timeout", "closeTimestamp": at_ms }))
    }

    fn read(text: &str) -> Ledger {
        Ledger::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(text: &str) -> String {
        Ledger::read(text.as_bytes()).expect_err("it cannot have happened").to_string()
    }

    #[test]
    fn a_closed_position_is_a_trade() {
        let ledger = read(&closed(|_| {}));
        let row = TradeRow {
            id: "x:s:B:0".into(),
            strategy: "s".into(),
            symbol: "B".into(),
            side: Side::Long,
            scheduled_ms: 0,
            open_price: 100.0,
            take_profit: 102.0,
            stop_loss: 99.0,
            multiplier: 1.0,
            cost: 100.0,
            note: "n".into(),
            trade: Trade {
                opened_ms: 60_000,
                closed_ms: 120_000,
                reason: CloseReason::TakeProfit,
                close_price: 102.0,
                result_percent: 1.6,
                result_cost: 1.6,
                peak_percent: Some(1.6),
                fall_percent: Some(-0.4),
            },
        };
        let mut tally = Tally::default();
        tally.close("s", "B", &row.trade);
        assert_eq!((ledger.tally, ledger.trades), (tally, vec![row]));
        assert_eq!((ledger.exchange.as_str(), ledger.frame.as_str()), ("x", "f"));
        assert_eq!((ledger.span_ms, ledger.torn), (Some((120_000, 120_000)), false));
        assert_eq!(read("").span_ms, None);
    }

    #[test]
    fn only_the_order_that_waits_can_be_filled_whatever_its_id() {
        let text = [
            order("scheduled", 1, "again", 1),
            order("cancelled", 3, "again", 1),
            // The same id, but this one is entered at once.
            order("opened", 4, "again", 4),
            order("scheduled", 5, "again", 5),
            order("opened", 8, "again", 5),
            // Orders of an earlier file.
            order("opened", 9, "other", 2),
            order("cancelled", 10, "other", 2),
        ]
        .concat();
        let orders = read(&text).tally.total.orders;
        assert_eq!((orders.scheduled, orders.activated, orders.cancelled()), (2, 1, 1));
        assert_eq!(orders.average_wait_minutes(), Some(2.0));
        assert_eq!(orders.average_activation_minutes(), Some(3.0));
    }

    /// Specification: L-STA-03.
    #[test]
    fn an_event_told_again_counts_once() {
        let text = [order("scheduled", 1, "a", 1), order("opened", 2, "a", 1), closed(|_| {})].concat();
        let (once, twice) = (read(&text), read(&text.repeat(2)));
        assert_eq!((once.tally.clone(), once.trades.clone()), (twice.tally, twice.trades));
        assert_eq!(once.tally.total.orders.activated, 1);
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let text = [
            event("highest_profit", 1, &json!({ "signal": 7 })),
            event("levitated", 2, &json!({ "level": "high", "strategyName": null })),
            json!({ "id": "host::0:store_failed", "action": "store_failed", "timestamp": 0, "message": "m" })
                .to_string(),
            "\n".to_owned(),
            closed(|event| event["colour"] = json!({ "deep": [1] })),
            event("strategy_failed", 3, &json!({ "message": "m" })),
        ]
        .concat();
        let ledger = read(&text);
        assert_eq!((ledger.trades.len(), ledger.tally.total.failed), (1, 1));
        // The host's own event is no event of a trader.
        assert_eq!(ledger.span_ms, Some((60_000, 180_000)));
    }

    #[test]
    fn half_a_line_at_the_end_is_told_and_not_counted() {
        let whole = closed(|_| {});
        for length in 1..whole.len() - 1 {
            let ledger = read(&whole[..length]);
            assert!(ledger.torn && ledger.trades.is_empty(), "{}", &whole[..length]);
        }
        // The event is complete, only the end of its line is missing.
        let ledger = read(whole.trim_end());
        assert!(!ledger.torn && ledger.trades.len() == 1);
        // After a power failure, a file may end in zero bytes.
        assert!(read(&format!("{whole}\0\0\0")).torn);
        assert!(refused(&format!("{}\n{whole}", &whole[..20])).starts_with("line 1: not JSON: "));
    }

    #[test]
    fn what_cannot_have_happened_is_refused_with_its_line() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 19] = [
            (|event| event["id"] = json!(7), "not an event: invalid type: integer `7`, expected a string"),
            (|event| drop(event.as_object_mut().unwrap().remove("action")), "not an event: missing field `action`"),
            (|event| event["timestamp"] = json!(1.5), "not an event: invalid type: floating point `1.5`"),
            (|event| event["timestamp"] = json!(i64::MAX), "timestamp 9223372036854775807 is no time in milliseconds"),
            (|event| drop(event.as_object_mut().unwrap().remove("strategyName")), "not an event: missing field"),
            (|event| drop(event.as_object_mut().unwrap().remove("signal")), "a closed event: signal is missing"),
            (|event| event["signal"]["position"] = json!("flat"), "signal.position \"flat\" is none of long, short"),
            (|event| event["signal"]["originalPriceOpen"] = json!(-1), "signal.originalPriceOpen -1 is not above zero"),
            (
                |event| event["signal"]["originalPriceStopLoss"] = json!(0),
                "signal.originalPriceStopLoss 0 is not above",
            ),
            (|event| event["signal"]["cost"] = json!(null), "signal.cost is missing"),
            (|event| event["signal"]["multiplier"] = json!(0), "signal.multiplier 0 is not above zero"),
            (|event| event["signal"]["pendingAt"] = json!(-1), "signal.pendingAt -1 is before signal.scheduledAt 0"),
            (|event| event["signal"]["scheduledAt"] = json!(null), "signal.scheduledAt is missing"),
            (|event| event["closeTimestamp"] = json!(59_999), "closeTimestamp 59999 is before signal.pendingAt 60000"),
            (
                |event| event["closeReason"] = json!("boredom"),
                "closeReason \"boredom\" is none of take_profit, stop_loss",
            ),
            (|event| event["currentPrice"] = json!("cheap"), "not an event: invalid type: string \"cheap\""),
            (|event| event["pnl"] = json!(null), "pnl is missing"),
            (|event| event["action"] = json!("partial_profit"), "a partial_profit event: level is missing"),
            (|event| event["action"] = json!("risk_rejection"), "a risk_rejection event: rejectionNote is missing"),
        ];
        for (change, problem) in cases {
            let good = closed(|event| event["id"] = json!("another"));
            let said = refused(&(good + &closed(change)));
            assert!(said.starts_with("line 2: ") && said.contains(problem), "{said}, expected {problem}");
        }
        let level = |level: i64| refused(&event("partial_loss", 1, &json!({ "level": level })));
        assert_eq!(level(15), "line 1: a partial_loss event: level 15 is none of 10, 20, … 100");
        assert!(level(300).starts_with("line 1: not an event: invalid value: integer `300`"));
        assert!(refused("7\n").starts_with("line 1: not an event: invalid type: integer `7`"));
        assert!(refused("\n").starts_with("line 1: not JSON: EOF"));
        assert!(refused("{\"id\":1e999}\n").starts_with("line 1: not JSON: number out of range"));
        assert!(Ledger::read(&b"{\"id\":\"\xff\"}\n"[..]).is_err());
    }

    #[test]
    fn a_result_beyond_all_numbers_is_none() {
        let text = closed(|event| event["pnl"] = json!({ "pnlPercentage": null, "pnlCost": null }));
        let ledger = read(&text);
        assert!(ledger.trades[0].trade.result_percent.is_nan());
        let statistics = ledger.tally.total.returns.statistics();
        assert_eq!((statistics.trades, statistics.wins, statistics.total_pnl), (1, 0, None));
    }
}
