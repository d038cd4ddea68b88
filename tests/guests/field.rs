//! A small market, strategies on it, and a record of what happened.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde_json::{Value, json};
use sigbox::{
    market::{
        Market,
        candles::{Series, generate},
    },
    sandbox::{Deterministic, Limits, Live, Mode, PluginError, Sandbox, StrategyInstance, StrategyPlugin},
    trading::{Assignment, Backtest, Frame, Question, SeatSetup, Setup, Sink, Strategy},
};
use sigbox_engine::{Candle, Interval, MINUTE_MS, Outcome, Settings, signal::Pair};

use crate::support::{plugin, recipe};

pub(super) const SYMBOL: &str = "BTCUSDT";

/// A minute boundary strategies are asked at in every run here, and the one after it.
pub(super) static ASKED_MS: LazyLock<i64> = LazyLock::new(|| first_open_ms() + 30 * MINUTE_MS);
pub(super) static ASKED_NEXT_MS: LazyLock<i64> = LazyLock::new(|| *ASKED_MS + MINUTE_MS);

fn first_open_ms() -> i64 {
    recipe(11, 1).start_ms
}

/// A day of candles.
pub(super) fn market() -> Market {
    static CANDLES: LazyLock<Series> = LazyLock::new(|| {
        Series::new(generate(&recipe(11, 1)).expect("the recipe is sound")).expect("they are gapless")
    });
    Market::new([(SYMBOL.to_owned(), CANDLES.clone())])
}

/// Little fuel, so that tests of what uses it up are fast.
pub(super) fn tight() -> Limits {
    Limits { fuel_per_call: 20_000_000, ..Limits::default() }
}

/// The sandbox of backtests.
pub(super) fn deterministic(limits: Limits) -> Sandbox<Deterministic> {
    sandbox(limits)
}

/// The sandbox of live runs.
pub(super) fn live(limits: Limits) -> Sandbox<Live> {
    sandbox(limits)
}

/// Compiled code is kept, so that each component is compiled once and not once a test.
fn sandbox<M: Mode>(limits: Limits) -> Sandbox<M> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests-cache");
    Sandbox::new(limits, Some(cache)).expect("this machine runs WebAssembly")
}

pub(super) fn hostile() -> PathBuf {
    plugin("hostile/strategy")
}

/// Settings of the hostile strategy that misbehaves at one boundary only.
pub(super) fn once(mode: &str) -> Value {
    json!({ "mode": mode, "at": [*ASKED_MS] })
}

/// Settings of the hostile strategy that misbehaves by so many bytes at one boundary only.
pub(super) fn once_by(mode: &str, bytes: usize) -> Value {
    json!({ "mode": mode, "at": [*ASKED_MS], "bytes": bytes })
}

/// A strategy called `name`, assigned to the only symbol.
pub(super) fn assignment(name: &str) -> Assignment {
    setup::<()>(market()).assign(name, SYMBOL)
}

/// A question at a boundary.
pub(super) fn question(now_ms: i64) -> Question {
    let open_time_ms = now_ms - MINUTE_MS;
    let candle = Candle { open_time_ms, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0 };
    Question { now_ms, price: 1.0, candle }
}

fn setup<S>(market: Market) -> Setup<S> {
    Setup::new("binance", market, Settings::default())
}

/// Starts a strategy in a deterministic sandbox.
pub(super) fn start(
    sandbox: &Sandbox<Deterministic>,
    component: &Path,
    name: &str,
    settings: &Value,
) -> Result<StrategyInstance<Deterministic>, PluginError> {
    StrategyPlugin::load(sandbox, component)?.start(assignment(name), &settings.to_string())
}

/// One strategy of a run: its name, its component and its settings.
pub(super) struct Trading<'a> {
    pub(super) name: &'a str,
    pub(super) component: &'a Path,
    pub(super) settings: Value,
}

/// What happened to whom, in order.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Record(Vec<(String, String)>);

impl Sink for Record {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.0.push((pair.strategy.clone(), format!("{outcome:?}")));
        Ok(())
    }
}

impl Record {
    /// What happened to one strategy.
    pub(super) fn of(&self, strategy: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == strategy).map(|(_, outcome)| outcome.as_str()).collect()
    }
}

/// A quarter of an hour from [`ASKED_MS`] on, and as long as somebody holds something.
pub(super) fn backtest(sandbox: &Sandbox<Deterministic>, strategies: &[Trading<'_>]) -> Record {
    let frame = Frame { start_ms: Some(*ASKED_MS), end_ms: Some(*ASKED_MS + 14 * MINUTE_MS), ..Frame::default() };
    backtest_over(sandbox, strategies, &frame)
}

pub(super) fn backtest_over(sandbox: &Sandbox<Deterministic>, strategies: &[Trading<'_>], frame: &Frame) -> Record {
    let setup = strategies.iter().fold(setup(market()).over(frame.clone()), |setup, trading| {
        let plugin = StrategyPlugin::load(sandbox, trading.component);
        let started =
            plugin.and_then(|plugin| plugin.start(setup.assign(trading.name, SYMBOL), &trading.settings.to_string()));
        setup.seat(started.unwrap_or_else(|error| panic!("{error}")).seat())
    });
    let mut record = Record::default();
    let backtest = Backtest::new(setup).expect("the candles cover the frame");
    backtest.run(&mut record, |_| ControlFlow::Continue(())).expect("no candle is missing");
    record
}

/// A day, asked every minute, of one strategy, without the ticks at which nothing happened.
pub(super) fn backtest_of<S: Strategy>(name: &str, strategy: S) -> Record {
    let setup = setup(market());
    let seat = SeatSetup::new(setup.assign(name, SYMBOL), Interval::MINUTE, strategy);
    let mut record = Eventful::default();
    let backtest = Backtest::new(setup.seat(seat)).expect("the candles cover the frame");
    backtest.run(&mut record, |_| ControlFlow::Continue(())).expect("no candle is missing");
    record.0
}

/// A record that hears no ticks, so that its run skips what a strategy has nothing to say of.
#[derive(Default)]
struct Eventful(Record);

impl Sink for Eventful {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        // A refusal is told with a tick beside it.
        if outcome.is_uneventful() { Ok(()) } else { self.0.tell(pair, outcome) }
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}

/// The first answer of the hostile strategy, and the one after it, as messages.
pub(super) fn two_answers(sandbox: &Sandbox<Deterministic>, settings: Value) -> (String, String) {
    let component = hostile();
    let record = backtest(sandbox, &[Trading { name: "hostile", component: &component, settings }]);
    let mut failures = record.of("hostile").into_iter().filter_map(failure);
    (failures.next().unwrap_or_default(), failures.next().unwrap_or_default())
}

/// The message of a `StrategyFailed`.
pub(super) fn failure(outcome: &str) -> Option<String> {
    let message = outcome.strip_prefix("StrategyFailed { message: \"")?;
    let (message, _) = message.rsplit_once("\", at_ms: ")?;
    Some(message.replace("\\\"", "\""))
}

/// The memory of this process, bytes.
pub(super) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
