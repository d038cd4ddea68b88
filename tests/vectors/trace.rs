//! What happens in a run, written down the way the recorded traces do.

use std::{collections::BTreeMap, io};

use serde_json::{Map, Value, json};
use sigbox::trading::Sink;
use sigbox_engine::{
    Outcome, Position, Signal,
    outcome::{CancelReason, Direction},
    pnl::Pnl,
    signal::{Pair, SharedSignal},
    state::Extreme,
};

use super::{Vector, average_at};

/// A trace being written.
pub(super) struct Trace<'a> {
    vector: &'a Vector,
    /// Candles in the average price.
    average_of: usize,
    events: Vec<Value>,
    idle: Option<Idle>,
    calls: Vec<i64>,
    call_prices: f64,
    pub risk_checks: Vec<Value>,
    pings: BTreeMap<String, BTreeMap<&'static str, Aggregate>>,
    /// Ids of signals, in order of first appearance.
    signals: Vec<String>,
    held: Option<SharedSignal>,
    /// The next tick nothing has been written of.
    next_tick_ms: i64,
}

/// Idle ticks at equal distances.
struct Idle {
    step_ms: i64,
    prices: Aggregate,
}

/// Prices over time.
struct Aggregate {
    count: u64,
    first_at: i64,
    last_at: i64,
    first_price: f64,
    last_price: f64,
    sum_price: f64,
}

impl Aggregate {
    const fn one(at_ms: i64, price: f64) -> Self {
        Self { count: 1, first_at: at_ms, last_at: at_ms, first_price: price, last_price: price, sum_price: price }
    }

    fn add(&mut self, at_ms: i64, price: f64) {
        self.count += 1;
        self.last_at = at_ms;
        self.last_price = price;
        self.sum_price += price;
    }

    fn json(&self) -> Value {
        json!({
            "count": self.count,
            "firstAt": self.first_at,
            "lastAt": self.last_at,
            "firstPrice": self.first_price,
            "lastPrice": self.last_price,
            "sumPrice": self.sum_price,
        })
    }
}

impl<'a> Trace<'a> {
    pub(super) fn new(vector: &'a Vector, average_of: usize) -> Self {
        Self {
            vector,
            average_of,
            events: Vec::new(),
            idle: None,
            calls: Vec::new(),
            call_prices: 0.0,
            risk_checks: Vec::new(),
            pings: BTreeMap::new(),
            signals: Vec::new(),
            held: None,
            next_tick_ms: vector.scenario.frame.first_ms(),
        }
    }

    /// The trace of a run that did not happen.
    pub(super) fn refused(settings: &[String]) -> Value {
        json!({
            "outcome": "config_rejected",
            "configError": settings,
            "fatal": null,
            "events": [],
            "riskChecks": [],
            "pings": {},
            "getSignalCalls": calls(&[], 0.0),
        })
    }

    /// The trace of a run that came to its end, or to `failure` at `now_ms`.
    pub(super) fn finish(mut self, now_ms: i64, failure: Option<&str>) -> Value {
        self.pass_ticks(now_ms);
        self.end_idle();
        let pings: Map<String, Value> = self
            .pings
            .iter()
            .map(|(signal, kinds)| (signal.clone(), kinds.iter().map(|(kind, pings)| (*kind, pings.json())).collect()))
            .collect();
        json!({
            "outcome": if failure.is_none() { "completed" } else { "fatal" },
            "configError": null,
            "fatal": failure,
            "events": self.events,
            "riskChecks": self.risk_checks,
            "pings": pings,
            "getSignalCalls": calls(&self.calls, self.call_prices),
        })
    }

    pub(super) fn called(&mut self, now_ms: i64, price: f64) {
        self.calls.push(now_ms);
        self.call_prices += price;
    }

    /// Writes the ticks before `now_ms` at which the strategy was not due. Nobody tells them, and the reference did:
    /// they are idle.
    fn pass_ticks(&mut self, now_ms: i64) {
        let frame = &self.vector.scenario.frame;
        let end_ms = now_ms.min(frame.last_ms() + 1);
        while self.held.is_none() && self.next_tick_ms < end_ms {
            let at_ms = self.next_tick_ms;
            self.next_tick_ms = frame.next_after_ms(at_ms);
            if let Some(price) = average_at(&self.vector.candles, at_ms, self.average_of) {
                self.idle(at_ms, price);
            }
        }
    }

    fn idle(&mut self, at_ms: i64, price: f64) {
        if let Some(idle) = &mut self.idle {
            let step_ms = at_ms - idle.prices.last_at;
            if idle.prices.count == 1 || idle.step_ms == step_ms {
                idle.step_ms = step_ms;
                idle.prices.add(at_ms, price);
                return;
            }
        }
        self.end_idle();
        self.idle = Some(Idle { step_ms: 0, prices: Aggregate::one(at_ms, price) });
    }

    fn end_idle(&mut self) {
        if let Some(idle) = self.idle.take() {
            let mut tick = idle.prices.json();
            tick["type"] = json!("tick");
            tick["action"] = json!("idle");
            tick["stepMs"] = json!(idle.step_ms);
            self.events.push(tick);
        }
    }

    fn ping(&mut self, kind: &'static str, at_ms: i64, price: f64) {
        let held = self.held.clone().expect("only what is held is monitored");
        let name = self.name_of(&held);
        let kinds = self.pings.entry(name).or_default();
        kinds.entry(kind).and_modify(|pings| pings.add(at_ms, price)).or_insert(Aggregate::one(at_ms, price));
    }

    /// `sig-1`, `sig-2`, … in order of first appearance.
    fn name_of(&mut self, signal: &Signal) -> String {
        let known = self.signals.iter().position(|id| *id == signal.id);
        let at = known.unwrap_or_else(|| {
            self.signals.push(signal.id.clone());
            self.signals.len() - 1
        });
        format!("sig-{}", at + 1)
    }

    fn event(&mut self, at_ms: i64, event: Value) {
        self.pass_ticks(at_ms);
        self.end_idle();
        self.events.push(event);
    }

    fn outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Idle { at_ms, price } => {
                self.pass_ticks(*at_ms);
                self.idle(*at_ms, *price);
                self.next_tick_ms = self.vector.scenario.frame.next_after_ms(*at_ms);
            }
            Outcome::Waiting { at_ms, price } => self.ping("schedule", *at_ms, *price),
            Outcome::Active { at_ms, price } => self.ping("active", *at_ms, *price),
            Outcome::Scheduled { order, price } => self.begun(&order.signal, "scheduled", *price, None),
            Outcome::Opened { position } => {
                self.begun(&position.signal, "opened", position.signal.price_open, Some(position));
            }
            Outcome::HighestProfit { position } => self.extreme("highest_profit", &position.signal, position.peak),
            Outcome::MaxDrawdown { position } => self.extreme("max_drawdown", &position.signal, position.fall),
            Outcome::Breakeven { position, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                let event = json!({ "type": "breakeven", "signal": signal, "timestamp": at_ms, "currentPrice": price });
                self.event(*at_ms, event);
            }
            Outcome::Level { position, direction, level, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                let kind = match direction {
                    Direction::Profit => "partial_profit",
                    Direction::Loss => "partial_loss",
                };
                let event = json!({
                    "type": kind, "signal": signal, "level": level, "timestamp": at_ms, "currentPrice": price,
                });
                self.event(*at_ms, event);
            }
            Outcome::Closed { position, reason, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                let told = json!({
                    "type": "signal_event", "action": "closed", "closeReason": reason.name(),
                    "signal": signal, "timestamp": at_ms, "currentPrice": price,
                });
                self.event(*at_ms, told);
                let row = self.position_row(position, *price);
                let tick = json!({
                    "type": "tick", "action": "closed", "closeReason": reason.name(),
                    "createdAt": at_ms, "closeTimestamp": at_ms, "currentPrice": price,
                    "pnl": pnl_row(&position.terms.at(*price)), "signal": row,
                });
                self.event(*at_ms, tick);
                self.ended(*at_ms);
            }
            Outcome::Cancelled { order, reason, at_ms, price } => {
                let signal = self.name_of(&order.signal);
                // Refused when about to be filled: announced at the price of the order, ticked at the average.
                let refused = *reason == CancelReason::User;
                let announced = if refused { order.signal.price_open } else { *price };
                let told = json!({
                    "type": "schedule_event", "action": "cancelled", "reason": reason.name(),
                    "signal": signal, "timestamp": at_ms, "currentPrice": announced,
                });
                self.event(*at_ms, told);
                if refused {
                    let commit = json!({
                        "type": "commit", "action": "cancel-scheduled", "signal": signal, "timestamp": at_ms,
                    });
                    self.event(*at_ms, commit);
                }
                let row = self.order_row(&order.signal);
                let tick = json!({
                    "type": "tick", "action": "cancelled", "reason": reason.name(),
                    "createdAt": at_ms, "closeTimestamp": at_ms, "currentPrice": price, "signal": row,
                });
                self.event(*at_ms, tick);
                self.ended(*at_ms);
            }
            Outcome::Rejected { rejection, at_ms, price } => {
                let event = json!({
                    "type": "risk_rejection", "timestamp": at_ms, "currentPrice": price,
                    "activePositionCount": rejection.active_positions,
                    "rejectionId": rejection.id, "rejectionNote": rejection.note,
                });
                self.event(*at_ms, event);
            }
            Outcome::Invalid { violations, at_ms } => {
                let rules: Vec<String> = violations.iter().map(ToString::to_string).collect();
                self.event(*at_ms, json!({"type": "error", "kind": "invalid_signal", "at": at_ms, "rules": rules}));
            }
            Outcome::SymbolMismatch { at_ms, .. } => {
                self.event(*at_ms, json!({"type": "error", "kind": "symbol_mismatch", "at": at_ms}));
            }
            Outcome::StrategyFailed { at_ms, .. } => {
                self.event(*at_ms, json!({"type": "error", "kind": "strategy_threw", "at": at_ms}));
            }
        }
    }

    /// An order, or a position, begins.
    fn begun(&mut self, signal: &SharedSignal, action: &str, price: f64, position: Option<&Position>) {
        let name = self.name_of(signal);
        let (kind, at_ms, row) = match position {
            None => ("schedule_event", signal.scheduled_at_ms, self.order_row(signal)),
            Some(position) => ("signal_event", position.pending_at_ms, self.position_row(position, price)),
        };
        let told = json!({ "type": kind, "action": action, "signal": name, "timestamp": at_ms, "currentPrice": price });
        self.event(at_ms, told);
        let tick =
            json!({ "type": "tick", "action": action, "createdAt": at_ms, "currentPrice": price, "signal": row });
        self.event(at_ms, tick);
        self.held = Some(signal.clone());
    }

    /// What was held ended: the next tick is the first one later (behaviour 15).
    fn ended(&mut self, at_ms: i64) {
        self.held = None;
        self.next_tick_ms = self.vector.scenario.frame.next_after_ms(at_ms);
    }

    fn extreme(&mut self, kind: &str, signal: &Signal, extreme: Extreme) {
        let signal = self.name_of(signal);
        let event = json!({
            "type": kind, "signal": signal, "timestamp": extreme.at_ms, "currentPrice": extreme.price,
            "pnlPercentage": extreme.pnl.percentage, "pnlCost": extreme.pnl.cost,
        });
        self.event(extreme.at_ms, event);
    }

    fn order_row(&mut self, signal: &Signal) -> Value {
        let nothing = pnl_row(&Pnl::default());
        let mut row = self.signal_row(signal, signal.price_open, 0);
        row["isScheduled"] = json!(true);
        for key in ["pnl", "peakProfit", "maxDrawdown"] {
            row[key] = nothing.clone();
        }
        row
    }

    fn position_row(&mut self, position: &Position, price: f64) -> Value {
        let mut row = self.signal_row(&position.signal, position.terms.entry, position.pending_at_ms);
        row["isScheduled"] = json!(false);
        row["pnl"] = pnl_row(&position.terms.at(price));
        for (key, extreme) in [("peakProfit", position.peak), ("maxDrawdown", position.fall)] {
            row[key] = pnl_row(&extreme.pnl);
            row[key]["price"] = json!(extreme.price);
            row[key]["timestamp"] = json!(extreme.at_ms);
        }
        row
    }

    fn signal_row(&mut self, signal: &Signal, entry: f64, pending_at_ms: i64) -> Value {
        let lifetime = signal.minute_estimated_time;
        json!({
            "ref": self.name_of(signal),
            "position": signal.side.name(),
            "priceOpen": entry,
            "priceTakeProfit": signal.price_take_profit,
            "priceStopLoss": signal.price_stop_loss,
            "originalPriceOpen": signal.price_open,
            "originalPriceTakeProfit": signal.price_take_profit,
            "originalPriceStopLoss": signal.price_stop_loss,
            "minuteEstimatedTime": if lifetime.is_finite() { json!(lifetime) } else { json!({"$num": "Infinity"}) },
            "cost": signal.cost,
            "multiplier": signal.multiplier,
            "isolated": signal.isolated,
            "note": signal.note,
            "scheduledAt": signal.scheduled_at_ms,
            "pendingAt": pending_at_ms,
            "timestamp": signal.scheduled_at_ms,
            "totalEntries": 1,
            "totalPartials": 0,
            "partialExecuted": 0,
        })
    }
}

impl Sink for Trace<'_> {
    fn tell(&mut self, _: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.outcome(outcome);
        Ok(())
    }
}

fn pnl_row(pnl: &Pnl) -> Value {
    json!({
        "pnlPercentage": pnl.percentage,
        "pnlCost": pnl.cost,
        "pnlEntries": pnl.entries,
        "priceOpen": pnl.price_open,
        "priceClose": pnl.price_close,
    })
}

fn calls(times: &[i64], sum_price: f64) -> Value {
    json!({
        "count": times.len(),
        "sumPrice": sum_price,
        "runs": arithmetic_runs(times),
        "first50": times.iter().take(50).collect::<Vec<_>>(),
    })
}

/// Times as `[first, step, count]`: a run goes on for as long as the step stays the same.
fn arithmetic_runs(times: &[i64]) -> Vec<[i64; 3]> {
    let mut runs: Vec<[i64; 3]> = Vec::new();
    for &time in times {
        match runs.last_mut() {
            Some([first, step, count]) if *count == 1 || time == *first + *step * *count => {
                if *count == 1 {
                    *step = time - *first;
                }
                *count += 1;
            }
            _ => runs.push([time, 0, 1]),
        }
    }
    runs
}
