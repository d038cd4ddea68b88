//! What is measured of runs: in time by `run.rs`, in instructions by `tests/benches/instructions.rs`.

use std::{
    ffi::OsStr,
    hint::black_box,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use sigbox::{
    events::Event,
    market::{
        Market,
        candles::{Recipe, Series, generate},
    },
    plugin_source,
    sandbox::{Deterministic, Limits, Sandbox, StrategyInstance, StrategyPlugin},
    trading::{
        Backtest, Journal, Live, LiveOptions, Native, Profile, Question, SEGMENT_BYTES, SeatSetup, Setup, Silence,
        Stop, Strategy,
        feed::ReplayFeed,
        store::{MemoryStore, OnCorrupt, Store, Stores},
    },
};
use sigbox_engine::{Candle, Interval, Proposal, Settings, Side, trader::Answer};
use tokio::sync::watch;

const START_MS: i64 = 1_704_067_200_000;
const MINUTE_MS: i64 = 60_000;

/// How many candles there are: a week of minutes.
pub(crate) const MINUTES: u32 = 7 * 24 * 60;

pub(crate) fn market() -> Market {
    Market::new([("BTCUSDT".to_owned(), series(MINUTES))])
}

fn series(minutes: u32) -> Series {
    let recipe =
        Recipe { seed: 7, start_ms: START_MS, minutes: minutes as usize, price: 42_000.0, volatility_percent: 0.05 };
    Series::new(generate(&recipe).expect("the recipe is sound")).expect("generated candles have no gap")
}

pub(crate) fn component() -> PathBuf {
    // Compiled into two crates, which are not equally deep in the repository.
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = above.map(|above| above.join("plugins/strategies/sma-cross")).find(|folder| folder.is_dir());
    let folder = folder.expect("the sample is in the repository");
    plugin_source::resolve(&folder, OsStr::new("cargo"), &mut |_| {}).expect("it builds")
}

pub(crate) fn sandbox() -> Sandbox<Deterministic> {
    Sandbox::new(Limits::default(), None).expect("the sandbox starts")
}

pub(crate) fn plugin() -> StrategyPlugin<Deterministic> {
    StrategyPlugin::load(&sandbox(), component()).expect("it is a strategy")
}

pub(crate) fn instance(plugin: &StrategyPlugin<Deterministic>, market: &Market) -> Plugin {
    plugin.start(setup::<Plugin>(market).assign("sma-cross", "BTCUSDT"), "{}").expect("it starts")
}

/// A sandboxed strategy of a backtest.
pub(crate) type Plugin = StrategyInstance<Deterministic>;

/// How many questions [`get_signal`] asks.
pub(crate) const QUESTIONS: u32 = 100;

/// Asks the strategy about the next minutes, in rows as a backtest does: as many as there are until the next answer.
pub(crate) fn get_signal(mut strategy: Plugin) -> impl FnMut() {
    let first = START_MS + 100 * MINUTE_MS;
    let last = START_MS + (i64::from(MINUTES) - 1) * MINUTE_MS;
    let question = |candle: &Candle| Question { now_ms: candle.close_time_ms(), price: 42_000.0, candle: *candle };
    let questions: Vec<Question> = series(MINUTES).after(first, last, usize::MAX).iter().map(question).collect();
    let rows = questions.len() / QUESTIONS as usize;
    let mut next = (0..rows).cycle();
    move || {
        let first = next.next().expect("the cycle has no end") * QUESTIONS as usize;
        let mut row = &questions[first..first + QUESTIONS as usize];
        while let Some((index, answer)) = strategy.answer(row) {
            black_box(answer);
            row = &row[index + 1..];
        }
    }
}

/// A whole run over the candles; the strategy is asked every `interval`.
pub(crate) fn backtest<S: Strategy>(market: &Market, interval: Interval, strategy: S) {
    let setup = setup(market);
    let seat = SeatSetup::new(setup.assign("s", "BTCUSDT"), interval, strategy);
    let backtest = Backtest::new(setup.seat(seat)).expect("the candles cover the frame");
    backtest.run(&mut Silence, |_| ControlFlow::Continue(())).expect("no candle is missing");
}

/// A strategy that never trades: what is left is the host.
pub(crate) fn idle() -> impl Strategy {
    Native(|_, _| Answer::Nothing)
}

/// What `plugins/strategies/sma-cross` does with its default settings, natively, its sums kept up instead of made anew.
pub(crate) fn sma_cross(market: &Market) -> impl Strategy + use<> {
    const FAST: usize = 20;
    const SLOW: usize = 60;
    let series = market.series("BTCUSDT").expect("it is there").clone();
    let (mut known, mut fast, mut slow, mut above) = (0, 0.0, 0.0, None);
    Native(move |now_ms, price| {
        let series = series.read();
        let candles = series.closed_before(now_ms);
        let mut before = None;
        for index in known..candles.len() {
            fast += candles[index].close - if index < FAST { 0.0 } else { candles[index - FAST].close };
            slow += candles[index].close - if index < SLOW { 0.0 } else { candles[index - SLOW].close };
            before = above;
            above = (index >= SLOW).then_some(fast / 20.0 > slow / 60.0);
        }
        known = candles.len();
        let side = match (before, above) {
            (Some(false), Some(true)) => Side::Long,
            (Some(true), Some(false)) => Side::Short,
            _ => return Answer::Nothing,
        };
        let away = |percent: f64| side.gain(0.0, price * percent / 100.0) + price;
        Answer::Trade(Proposal {
            id: None,
            symbol: None,
            side,
            price_open: None,
            price_take_profit: away(1.0),
            price_stop_loss: away(-0.6),
            minute_estimated_time: Some(240.0),
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
        })
    })
}

/// A live run over a few candles, whose strategy opens a position whenever it is flat. Each is closed a minute later, so
/// that every other minute writes the documents of a position and its slot, and every other one clears them.
pub(crate) fn live(minutes: u32) -> impl FnMut() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let candles = series(minutes);
    move || {
        let folder = tempfile::tempdir().expect("a temp directory");
        let told = runtime.block_on(trade(candles.clone(), &folder.path().join("events.jsonl")));
        assert!(told + 10 > minutes, "only {told} of {minutes} minutes opened or closed something");
    }
}

/// How often a position was opened or closed.
async fn trade(candles: Series, events: &Path) -> u32 {
    let enter = |_, price: f64| {
        Answer::Trade(Proposal {
            id: None,
            symbol: None,
            side: Side::Long,
            price_open: None,
            price_take_profit: price * 1.1,
            price_stop_loss: price * 0.9,
            minute_estimated_time: Some(1.0),
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
        })
    };
    let setup = setup(&Market::growing(["BTCUSDT".to_owned()]));
    let setup = setup.profile(Profile::new("shared".to_owned(), Vec::new()));
    let seat = SeatSetup::new(setup.assign("s", "BTCUSDT"), Interval::MINUTE, Native(enter));
    let setup = setup.seat(SeatSetup { risk: vec!["shared".to_owned()], ..seat });

    let end_ms = candles.end_ms().expect("there are candles");
    let feed = ReplayFeed::new(vec![("BTCUSDT".to_owned(), candles)], 0.0, None, Settings::default());
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = LiveOptions { on_corrupt: OnCorrupt::Halt, lookback_minutes: 1440, ..LiveOptions::at(end_ms) };
    let mut told = 0;
    let mut journal =
        Journal::open(events, SEGMENT_BYTES, options.now_ms, |_: &Event| told += 1).expect("the file is new");
    let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut journal).await.expect("it starts");
    let (_sender, stop) = watch::channel(Stop::No);
    live.run(&mut journal, stop).await.expect("the feed does not fail");
    drop(journal);
    told
}

/// A run on `market` in which nobody trades yet.
fn setup<S>(market: &Market) -> Setup<S> {
    Setup::new("x", market.clone(), Settings::default())
}
