//! Drives a trader through a scenario, and writes down what the product's own loop does not tell.

use std::{fmt, sync::Arc};

use serde_json::{Value, json};
use sigbox::{
    market::candles::anomaly,
    trading::{Question, Sink as _, Strategy},
};
use sigbox_engine::{
    Candle, MINUTE_MS, Outcome, Settings, State, Trader,
    candle::CandleFault,
    price::average_price,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    trader::{Answer, Bar, Memory, Next},
};

use super::{
    Vector,
    scenario::{Check, ScenarioRule, settings},
    trace::Trace,
};

/// Where the reference's way is taken, so that the rest can be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// An order that is about to be filled counts itself among the active positions.
    pub own_order_counts: bool,
    /// The run ends with this boundary.
    pub until_ms: Option<i64>,
}

/// Why a run could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadCandle {
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

/// The trace of `vector`'s scenario when `strategy` answers.
pub(super) fn record<S: Strategy>(vector: &Vector, strategy: S, manner: Manner) -> Value {
    let settings = match settings(&vector.scenario) {
        Ok(settings) => settings,
        Err(refused) => return Trace::refused(&refused),
    };
    let mut run = Run::new(vector, strategy, manner, settings);
    let failure = run.drive().err().map(|error| error.to_string());
    run.trace.finish(run.now_ms, failure.as_deref())
}

struct Run<'a, S> {
    vector: &'a Vector,
    strategy: S,
    manner: Manner,
    settings: Arc<Settings>,
    trader: Trader,
    trace: Trace<'a>,
    now_ms: i64,
}

impl<'a, S: Strategy> Run<'a, S> {
    fn new(vector: &'a Vector, strategy: S, manner: Manner, settings: Settings) -> Self {
        let scenario = &vector.scenario;
        let settings = Arc::new(settings);
        let trader = Trader::new(scenario.pair(), scenario.strategy.interval, Arc::clone(&settings), Memory::default());
        let trace = Trace::new(vector, settings.avg_price_candles_count as usize);
        Self { vector, strategy, manner, settings, trader, trace, now_ms: scenario.frame.first_ms() }
    }

    /// One boundary a minute: the candle that has just closed, then, where the frame has a tick, the strategy.
    fn drive(&mut self) -> Result<(), BadCandle> {
        let frame = &self.vector.scenario.frame;
        let last_ms = frame.last_ms();
        while self.now_ms <= last_ms || !self.is_flat() {
            if self.manner.until_ms.is_some_and(|until_ms| self.now_ms > until_ms) {
                break;
            }
            if !self.is_flat() {
                self.judge(last_ms)?;
            }
            if self.is_flat() && frame.ticks_at(self.now_ms) {
                self.tick()?;
            }
            self.now_ms += MINUTE_MS;
        }
        Ok(())
    }

    fn is_flat(&self) -> bool {
        matches!(self.trader.state(), State::Idle)
    }

    fn judge(&mut self, last_ms: i64) -> Result<(), BadCandle> {
        let window = self.window()?;
        let candle = window.last().expect("a window has at least one candle");
        let bar = Bar { candle, average: average(window), frame_end_ms: Some(last_ms) };
        let active = usize::from(self.manner.own_order_counts && self.trader.state().order().is_some());
        let mut outcomes = Vec::new();
        let mut gate = Gate::new(self.vector, active, &mut self.trace.risk_checks);
        let next = self.trader.step(bar, &mut gate, &mut outcomes);
        self.conclude(next, &outcomes);
        Ok(())
    }

    fn tick(&mut self) -> Result<(), BadCandle> {
        let (now_ms, price) = (self.now_ms, average(self.window()?));
        if self.trader.is_due(now_ms) {
            self.trace.called(now_ms, price);
            let candle = *self.window()?.last().expect("a window has at least one candle");
            let answered = self.strategy.answer(&[Question { now_ms, price, candle }]);
            let answer = answered.map_or(Answer::Nothing, |(_, answer)| answer);
            let mut outcomes = Vec::new();
            let mut gate = Gate::new(self.vector, 0, &mut self.trace.risk_checks);
            let next = self.trader.admit(now_ms, price, answer, &mut gate, &mut outcomes);
            self.conclude(next, &outcomes);
        }
        Ok(())
    }

    fn conclude(&mut self, next: Next, outcomes: &[Outcome]) {
        for outcome in outcomes {
            self.trace.tell(self.trader.pair(), outcome).expect("a trace takes everything");
        }
        self.trader.commit(next);
    }

    /// The newest closed candles, as many as are averaged.
    fn window(&self) -> Result<&'a [Candle], BadCandle> {
        let candles = &self.vector.candles;
        let count = self.settings.avg_price_candles_count as usize;
        let end = candles.partition_point(|candle| candle.open_time_ms < self.now_ms);
        let newest_first = candles[..end].iter().rev().map(Some).chain(std::iter::repeat(None));
        let times = (1..).map(|back| self.now_ms - back * MINUTE_MS);
        for (open_time_ms, candle) in times.zip(newest_first).take(count) {
            let candle = candle.filter(|candle| candle.open_time_ms == open_time_ms);
            let fault = candle.ok_or(BadCandle::Missing { open_time_ms })?.fault();
            if let Some(fault) = fault {
                return Err(BadCandle::Impossible { open_time_ms, fault });
            }
        }
        let window = &candles[end - count..end];
        let Settings {
            get_candles_price_anomaly_threshold_factor: factor,
            get_candles_min_candles_for_median: min_for_median,
            ..
        } = *self.settings;
        match anomaly(window, factor, min_for_median as usize) {
            Some(at) => Err(BadCandle::Anomalous { open_time_ms: window[at].open_time_ms }),
            None => Ok(window),
        }
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
    fn new(vector: &'a Vector, active: usize, checks: &'a mut Vec<Value>) -> Self {
        let rules = vector.scenario.risk.as_ref().map(|risk| risk.rules.as_slice());
        Self { rules, active, checks }
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
        for rule in rules {
            match rule.check() {
                Check::Rule(rule) => check_rules(&[rule], request, self.active)?,
                Check::First { checks, note } if self.checks.len() <= checks => {
                    return Err(Rejection { id: None, note, active_positions: self.active });
                }
                Check::First { .. } => {}
            }
        }
        Ok(())
    }
}
