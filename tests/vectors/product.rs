//! Runs a scenario as the product does: the sandboxed component `scripted`, asked by a backtest.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde_json::Value;
use sigbox::{
    market::{Market, candles::Series},
    sandbox::{Deterministic, Limits, Sandbox, StrategyInstance, StrategyPlugin},
    trading::{Assignment, Backtest, Frame, Profile, Question, SeatSetup, Setup, Strategy},
};
use sigbox_engine::{Settings, risk::NamedRule, trader::Answer};

use super::{
    Vector,
    scenario::{Check, settings},
    trace::Trace,
};
use crate::support::plugin;

/// The scripted strategy with `vector`'s script, in the sandbox of backtests.
pub(super) fn scripted(vector: &Vector, assignment: Assignment) -> StrategyInstance<Deterministic> {
    static SCRIPTED: OnceLock<StrategyPlugin<Deterministic>> = OnceLock::new();
    let plugin = SCRIPTED.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors-cache");
        let sandbox = Sandbox::new(Limits::default(), Some(cache));
        let sandbox = sandbox.expect("this machine runs WebAssembly");
        StrategyPlugin::load(&sandbox, plugin("strategies/scripted")).expect("it is a strategy")
    });
    let started = plugin.start(assignment, &vector.scenario.strategy.settings().to_string());
    started.unwrap_or_else(|error| panic!("{}: {error}", vector.scenario.name))
}

/// An assignment to the scenario's pair, without candles.
pub(super) fn alone(vector: &Vector) -> Assignment {
    let pair = vector.scenario.pair();
    let setup = Setup::<()>::new(pair.exchange, Market::default(), Settings::default());
    setup.over(Frame { name: pair.frame, ..Frame::default() }).assign(pair.strategy, pair.symbol)
}

/// The scenario's risk rules, if a configuration can say all of them.
pub(super) fn rules(vector: &Vector) -> Option<Vec<NamedRule>> {
    let rules = vector.scenario.risk.iter().flat_map(|risk| &risk.rules);
    let named = rules.map(|rule| match rule.check() {
        Check::Rule(rule) => Some(rule),
        Check::First { .. } => None,
    });
    named.collect()
}

/// The trace of a backtest of `vector`'s scenario. Risk checks are not in it: nobody tells them.
pub(super) fn backtest(vector: &Vector) -> Value {
    let settings = match settings(&vector.scenario) {
        Ok(settings) => settings,
        Err(refused) => return Trace::refused(&refused),
    };
    let frame = &vector.scenario.frame;
    let mut trace = Trace::new(vector, settings.avg_price_candles_count as usize);
    let calls = Calls::default();
    let failure = run(vector, settings, &calls, &mut trace).err();
    for (now_ms, price) in calls.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        trace.called(now_ms, price);
    }
    // A run that failed has told all the ticks it reached.
    let end_ms = if failure.is_none() { frame.next_after_ms(frame.last_ms()) } else { i64::MIN };
    trace.finish(end_ms, failure.as_deref())
}

/// The error is what a user would read.
fn run(vector: &Vector, settings: Settings, calls: &Calls, trace: &mut Trace<'_>) -> Result<(), String> {
    let scenario = &vector.scenario;
    let series = Series::new(vector.candles.clone()).map_err(|error| error.to_string())?;
    let market = Market::new([(scenario.symbol.clone(), series)]);
    let pair = scenario.pair();
    let frame = Frame {
        name: pair.frame,
        start_ms: Some(scenario.frame.start_date.as_millisecond()),
        end_ms: Some(scenario.frame.end_date.as_millisecond()),
        interval: scenario.frame.interval,
    };
    let rules = rules(vector).expect("a configuration can say them");
    let setup = Setup::new(pair.exchange, market, settings).over(frame);
    let setup = setup.profile(Profile::new("profile".to_owned(), rules));
    let assignment = setup.assign(pair.strategy, pair.symbol);
    let asked = Asked { strategy: scripted(vector, assignment.clone()), calls: calls.clone() };
    let seat = SeatSetup::new(assignment, scenario.strategy.interval, asked);
    let backtest = Backtest::new(setup.seat(SeatSetup { risk: vec!["profile".to_owned()], ..seat }))
        .map_err(|error| error.to_string())?;
    backtest.run(trace, |_| ControlFlow::Continue(())).map_err(|error| error.to_string())
}

/// When a strategy was asked, and at which price.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(i64, f64)>>>);

/// A strategy that is watched.
struct Asked {
    strategy: StrategyInstance<Deterministic>,
    calls: Calls,
}

impl Strategy for Asked {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let answered = self.strategy.answer(row);
        let asked = answered.as_ref().map_or(row.len(), |(index, _)| index + 1);
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.extend(row[..asked].iter().map(|question| (question.now_ms, question.price)));
        answered
    }
}
