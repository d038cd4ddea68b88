//! Runs a scenario as the product does: the sandboxed component `scripted`, asked by a backtest.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures_util::FutureExt as _;
use serde_json::Value;
use sigbox::{
    market::{Market, candles::Series},
    sandbox::{Limits, Mode, Sandbox, Session, StrategyInstance, StrategyPlugin},
    trading::{Backtest, Frame, Profile, SeatSetup, Setup, Strategy},
};
use sigbox_engine::{Settings, risk::NamedRule, trader::Answer};

use super::{
    Vector,
    scenario::{Check, settings},
    trace::Trace,
};
use crate::support::plugin;

/// The scripted strategy with `vector`'s script, in the sandbox of backtests. It can see the candles of `market`.
pub(super) fn scripted(vector: &Vector, market: Market, average_of: usize) -> StrategyInstance {
    static SCRIPTED: OnceLock<StrategyPlugin> = OnceLock::new();
    let plugin = SCRIPTED.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors-cache");
        let sandbox = Sandbox::new(Mode::Deterministic, Limits::default(), Some(cache));
        let sandbox = sandbox.expect("this machine runs WebAssembly");
        StrategyPlugin::load(&sandbox, &plugin("strategies/scripted")).expect("it is a strategy")
    });
    let pair = vector.scenario.pair();
    let session = Session {
        strategy: pair.strategy,
        symbol: pair.symbol,
        exchange: pair.exchange,
        frame: Some(pair.frame),
        settings: vector.scenario.strategy.settings().to_string(),
        market,
        average_of,
    };
    let started = plugin.start(session).now_or_never().expect("nothing waits in a deterministic sandbox");
    started.unwrap_or_else(|error| panic!("{}: {error}", vector.scenario.name))
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
    let average_of = settings.avg_price_candles_count as usize;
    let asked = Asked { strategy: scripted(vector, market.clone(), average_of), calls: calls.clone() };
    let setup = Setup {
        exchange: pair.exchange,
        settings,
        market,
        profiles: vec![Profile::new("profile".to_owned(), rules(vector).expect("a configuration can say them"))],
        seats: vec![SeatSetup {
            strategy_name: pair.strategy,
            symbol: pair.symbol,
            interval: scenario.strategy.interval,
            strategy: asked,
            risk: vec!["profile".to_owned()],
        }],
    };
    let frame = Frame {
        name: pair.frame,
        start_ms: Some(scenario.frame.start_date.as_millisecond()),
        end_ms: Some(scenario.frame.end_date.as_millisecond()),
        interval: scenario.frame.interval,
    };
    let backtest = Backtest::new(setup, &frame).map_err(|error| error.to_string())?;
    backtest.run(trace, |_| ControlFlow::Continue(())).map_err(|error| error.to_string())
}

/// When a strategy was asked, and at which price.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(i64, f64)>>>);

/// A strategy that is watched.
struct Asked {
    strategy: StrategyInstance,
    calls: Calls,
}

impl Strategy for Asked {
    async fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).push((now_ms, price));
        self.strategy.answer(now_ms, price).await
    }
}
