//! Runs a scenario through the engine and writes down what happens the way the recorded traces do.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::{Map, Value, json};
use sigbox_engine::{
    Candle, MINUTE_MS, Outcome, Position, Settings, Signal, State, Trader,
    candle::CandleFault,
    outcome::{CancelReason, Direction},
    pnl::Pnl,
    price::average_price,
    risk::{Rejection, RiskGate, RiskRequest},
    signal::Pair,
    state::Extreme,
    trader::{Bar, Memory},
};

use super::scenario::{Check, Scenario, ScenarioRule, Scripted, settings};

/// Whether an order that is about to be filled counts itself among the active positions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnOrder {
    /// sigbox.
    NotCounted,
    /// The reference.
    Counted,
}

/// What stands for the rules an answer breaks when it has values that a typed strategy cannot give.
pub(super) const UNTYPED: &str = "untyped";

/// Why a run could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCandle {
    /// There is no candle where one is needed.
    Missing { open_time_ms: i64 },
    /// The candle cannot have happened.
    Impossible { open_time_ms: i64, fault: CandleFault },
    /// A price of the candle is absurdly far below its neighbours.
    Anomalous { open_time_ms: i64 },
}

impl fmt::Display for BadCandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { open_time_ms } => write!(f, "no candle opens at {open_time_ms}"),
            Self::Impossible { open_time_ms, fault } => write!(f, "candle at {open_time_ms}: {fault}"),
            Self::Anomalous { open_time_ms } => {
                write!(f, "candle at {open_time_ms}: a price is absurdly far below its neighbours")
            }
        }
    }
}

/// The trace of `scenario` over `candles`, which are in order of time.
pub(super) fn record(scenario: &Scenario, candles: &[Candle], own_order: OwnOrder) -> Value {
    let settings = match settings(scenario) {
        Ok(settings) => settings,
        Err(refused) => return Trace::default().finish("config_rejected", &json!(refused), &Value::Null),
    };
    let mut run = Run::new(scenario, candles, settings, own_order);
    match run.drive() {
        Ok(()) => run.trace.finish("completed", &Value::Null, &Value::Null),
        Err(error) => run.trace.finish("fatal", &Value::Null, &json!(error.to_string())),
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    candles: &'a [Candle],
    settings: Arc<Settings>,
    own_order: OwnOrder,
    trader: Trader,
    trace: Trace,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, candles: &'a [Candle], settings: Settings, own_order: OwnOrder) -> Self {
        let pair = Pair {
            symbol: scenario.symbol.clone(),
            strategy: "strategy".into(),
            exchange: "exchange".into(),
            frame: "frame".into(),
        };
        let settings = Arc::new(settings);
        let trader = Trader::new(pair, scenario.strategy.interval, Arc::clone(&settings), Memory::default());
        Self { scenario, candles, settings, own_order, trader, trace: Trace::default() }
    }

    /// One boundary a minute: the candle that has just closed, then, where the frame has a tick, the strategy.
    fn drive(&mut self) -> Result<(), BadCandle> {
        let frame = &self.scenario.frame;
        let last_ms = frame.last_ms();
        let mut now_ms = frame.first_ms();
        while now_ms <= last_ms || !self.is_flat() {
            if !self.is_flat() {
                self.judge(now_ms, last_ms)?;
            }
            if self.is_flat() && frame.ticks_at(now_ms) {
                self.tick(now_ms)?;
            }
            now_ms += MINUTE_MS;
        }
        Ok(())
    }

    fn is_flat(&self) -> bool {
        matches!(self.trader.state(), State::Idle)
    }

    fn judge(&mut self, now_ms: i64, last_ms: i64) -> Result<(), BadCandle> {
        let window = self.window(now_ms)?;
        let candle = window.last().expect("a window has at least one candle");
        let bar = Bar { candle, average: average(window), frame_end_ms: Some(last_ms) };
        let held = self.trader.state().clone();
        let active = usize::from(self.own_order == OwnOrder::Counted && held.order().is_some());
        let mut outcomes = Vec::new();
        let mut gate = Gate::new(self.scenario, active, &mut self.trace.risk_checks);
        let next = self.trader.step(bar, &mut gate, &mut outcomes);
        self.trace.outcomes(&held, outcomes);
        if let Some(next) = next {
            self.trader.commit(next);
        }
        Ok(())
    }

    fn tick(&mut self, now_ms: i64) -> Result<(), BadCandle> {
        let price = average(self.window(now_ms)?);
        if !self.trader.is_due(now_ms) {
            self.trace.idle(now_ms, price);
            return Ok(());
        }
        self.trace.called(now_ms, price);
        let Scripted { answer, untyped } = self.scenario.strategy.answer(now_ms);
        let mut outcomes = Vec::new();
        let mut gate = Gate::new(self.scenario, 0, &mut self.trace.risk_checks);
        let next = self.trader.admit(now_ms, price, answer, &mut gate, &mut outcomes);
        self.trace.outcomes(&State::Idle, outcomes);
        if untyped {
            self.trace.forget_rules();
        }
        self.trader.commit(next);
        Ok(())
    }

    /// The newest closed candles at `now_ms`, as many as are averaged.
    fn window(&self, now_ms: i64) -> Result<&'a [Candle], BadCandle> {
        let count = self.settings.avg_price_candles_count as usize;
        let end = self.candles.partition_point(|candle| candle.open_time_ms < now_ms);
        let newest_first = self.candles[..end].iter().rev().map(Some).chain(std::iter::repeat(None));
        let times = (1..).map(|back| now_ms - back * MINUTE_MS);
        for (open_time_ms, candle) in times.zip(newest_first).take(count) {
            let candle = candle.filter(|candle| candle.open_time_ms == open_time_ms);
            let fault = candle.ok_or(BadCandle::Missing { open_time_ms })?.fault();
            if let Some(fault) = fault {
                return Err(BadCandle::Impossible { open_time_ms, fault });
            }
        }
        let window = &self.candles[end - count..end];
        match self.anomaly(window) {
            Some(at) => Err(BadCandle::Anomalous { open_time_ms: window[at].open_time_ms }),
            None => Ok(window),
        }
    }

    fn anomaly(&self, window: &[Candle]) -> Option<usize> {
        let settings = &self.settings;
        sigbox::candles::anomaly(
            window,
            settings.get_candles_price_anomaly_threshold_factor,
            settings.get_candles_min_candles_for_median as usize,
        )
    }
}

fn average(window: &[Candle]) -> f64 {
    average_price(window).expect("a window has at least one candle")
}

/// The scenario's risk rules. It writes down every check.
struct Gate<'a> {
    rules: Option<&'a [ScenarioRule]>,
    active: usize,
    checks: &'a mut Vec<Value>,
}

impl<'a> Gate<'a> {
    fn new(scenario: &'a Scenario, active: usize, checks: &'a mut Vec<Value>) -> Self {
        Self { rules: scenario.risk.as_ref().map(|risk| risk.rules.as_slice()), active, checks }
    }
}

impl RiskGate for Gate<'_> {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        let Some(rules) = self.rules else { return Ok(()) };
        self.checks.push(json!({
            "timestamp": request.now_ms,
            "currentPrice": request.current_price,
            "activePositionCount": self.active,
            "position": request.side.name(),
            "priceOpen": request.price_open,
        }));
        let refuses = |rule: &&ScenarioRule| match rule.check() {
            Check::Rule(rule) => !rule.allows(request, self.active),
            Check::First(count) => self.checks.len() <= count,
            Check::Always => true,
        };
        match rules.iter().find(refuses) {
            None => Ok(()),
            Some(rule) => {
                Err(Rejection { id: rule.reported_id(), note: rule.note.clone(), active_positions: self.active })
            }
        }
    }
}

/// A trace being written.
#[derive(Default)]
struct Trace {
    events: Vec<Value>,
    idle: Option<Idle>,
    calls: Vec<i64>,
    call_prices: f64,
    risk_checks: Vec<Value>,
    pings: BTreeMap<String, BTreeMap<&'static str, Aggregate>>,
    /// Ids of signals, in order of first appearance.
    signals: Vec<String>,
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

impl Trace {
    fn finish(mut self, outcome: &str, config_error: &Value, fatal: &Value) -> Value {
        self.end_idle();
        let pings: Map<String, Value> = self
            .pings
            .iter()
            .map(|(signal, kinds)| (signal.clone(), kinds.iter().map(|(kind, pings)| (*kind, pings.json())).collect()))
            .collect();
        json!({
            "outcome": outcome,
            "configError": config_error,
            "fatal": fatal,
            "events": self.events,
            "riskChecks": self.risk_checks,
            "pings": pings,
            "getSignalCalls": {
                "count": self.calls.len(),
                "sumPrice": self.call_prices,
                "runs": arithmetic_runs(&self.calls),
                "first50": self.calls.iter().take(50).collect::<Vec<_>>(),
            },
        })
    }

    fn called(&mut self, now_ms: i64, price: f64) {
        self.calls.push(now_ms);
        self.call_prices += price;
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

    fn ping(&mut self, signal: &Signal, kind: &'static str, at_ms: i64, price: f64) {
        let name = self.name_of(signal);
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

    fn event(&mut self, event: Value) {
        self.end_idle();
        self.events.push(event);
    }

    /// Writes [`UNTYPED`] for the rules that the last answer broke, if it came to that.
    fn forget_rules(&mut self) {
        let rules = self.events.last_mut().and_then(|event| event.get_mut("rules"));
        if let Some(rules) = rules {
            *rules = json!(UNTYPED);
        }
    }

    /// What one transition did to what was `held` before it.
    fn outcomes(&mut self, held: &State, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.outcome(held, outcome);
        }
    }

    fn outcome(&mut self, held: &State, outcome: Outcome) {
        match outcome {
            Outcome::Idle { at_ms, price } => self.idle(at_ms, price),
            Outcome::Waiting { at_ms, price } => {
                let order = held.order().expect("only an order waits");
                self.ping(&order.signal, "schedule", at_ms, price);
            }
            Outcome::Active { at_ms, price } => {
                let position = held.position().expect("only a position is active");
                self.ping(&position.signal, "active", at_ms, price);
            }
            Outcome::Scheduled { order, price } => {
                let signal = self.name_of(&order.signal);
                let at = order.signal.scheduled_at_ms;
                self.event(json!({
                    "type": "schedule_event", "action": "scheduled",
                    "signal": signal, "timestamp": at, "currentPrice": price,
                }));
                let row = self.order_row(&order.signal);
                self.event(json!({
                    "type": "tick", "action": "scheduled", "createdAt": at, "currentPrice": price, "signal": row,
                }));
            }
            Outcome::Opened { position } => {
                let signal = self.name_of(&position.signal);
                let (at, price) = (position.pending_at_ms, position.signal.price_open);
                self.event(json!({
                    "type": "signal_event", "action": "opened",
                    "signal": signal, "timestamp": at, "currentPrice": price,
                }));
                let row = self.position_row(&position, price);
                self.event(json!({
                    "type": "tick", "action": "opened", "createdAt": at, "currentPrice": price, "signal": row,
                }));
            }
            Outcome::HighestProfit { position } => self.extreme("highest_profit", &position.signal, position.peak),
            Outcome::MaxDrawdown { position } => self.extreme("max_drawdown", &position.signal, position.fall),
            Outcome::Breakeven { position, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                self.event(json!({
                    "type": "breakeven", "signal": signal, "timestamp": at_ms, "currentPrice": price,
                }));
            }
            Outcome::Level { position, direction, level, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                let kind = match direction {
                    Direction::Profit => "partial_profit",
                    Direction::Loss => "partial_loss",
                };
                self.event(json!({
                    "type": kind, "signal": signal, "level": level, "timestamp": at_ms, "currentPrice": price,
                }));
            }
            Outcome::Closed { position, reason, at_ms, price } => {
                let signal = self.name_of(&position.signal);
                self.event(json!({
                    "type": "signal_event", "action": "closed", "closeReason": reason.name(),
                    "signal": signal, "timestamp": at_ms, "currentPrice": price,
                }));
                let row = self.position_row(&position, price);
                self.event(json!({
                    "type": "tick", "action": "closed", "closeReason": reason.name(),
                    "createdAt": at_ms, "closeTimestamp": at_ms, "currentPrice": price,
                    "pnl": pnl_row(&position.terms.at(price)), "signal": row,
                }));
            }
            Outcome::Cancelled { order, reason, at_ms, price } => {
                let signal = self.name_of(&order.signal);
                // Refused when about to be filled: announced at the price of the order, ticked at the average.
                let refused = reason == CancelReason::User;
                let announced = if refused { order.signal.price_open } else { price };
                self.event(json!({
                    "type": "schedule_event", "action": "cancelled", "reason": reason.name(),
                    "signal": signal, "timestamp": at_ms, "currentPrice": announced,
                }));
                if refused {
                    self.event(json!({
                        "type": "commit", "action": "cancel-scheduled", "signal": signal, "timestamp": at_ms,
                    }));
                }
                let row = self.order_row(&order.signal);
                self.event(json!({
                    "type": "tick", "action": "cancelled", "reason": reason.name(),
                    "createdAt": at_ms, "closeTimestamp": at_ms, "currentPrice": price, "signal": row,
                }));
            }
            Outcome::Rejected { rejection, at_ms, price } => self.event(json!({
                "type": "risk_rejection", "timestamp": at_ms, "currentPrice": price,
                "activePositionCount": rejection.active_positions,
                "rejectionId": rejection.id, "rejectionNote": rejection.note,
            })),
            Outcome::Invalid { violations, at_ms } => {
                let rules: Vec<String> = violations.iter().map(ToString::to_string).collect();
                self.event(json!({"type": "error", "kind": "invalid_signal", "at": at_ms, "rules": rules}));
            }
            Outcome::SymbolMismatch { at_ms, .. } => {
                self.event(json!({"type": "error", "kind": "symbol_mismatch", "at": at_ms}));
            }
            Outcome::StrategyFailed { at_ms, .. } => {
                self.event(json!({"type": "error", "kind": "strategy_threw", "at": at_ms}));
            }
        }
    }

    fn extreme(&mut self, kind: &str, signal: &Signal, extreme: Extreme) {
        let signal = self.name_of(signal);
        self.event(json!({
            "type": kind, "signal": signal, "timestamp": extreme.at_ms, "currentPrice": extreme.price,
            "pnlPercentage": extreme.pnl.percentage, "pnlCost": extreme.pnl.cost,
        }));
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

fn pnl_row(pnl: &Pnl) -> Value {
    json!({
        "pnlPercentage": pnl.percentage,
        "pnlCost": pnl.cost,
        "pnlEntries": pnl.entries,
        "priceOpen": pnl.price_open,
        "priceClose": pnl.price_close,
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
