//! What a call through the sandbox costs, what a backtest and a sweep make of it, and what a durable write costs.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    hint::black_box,
    io::Write as _,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use sigbox::{
    candles::{Recipe, Series, generate},
    config::Config,
    market::Market,
    plugin::{Limits, Mode, Sandbox, Session, StrategyInstance, StrategyPlugin},
    plugin_source,
    run::{Backtest, Frame, Native, SeatSetup, Setup, Silence, Strategy},
    store::{Address, FileStore, Store as _},
    walk::Walk,
};
use sigbox_engine::{Interval, Proposal, Settings, Side, trader::Answer};

const START_MS: i64 = 1_704_067_200_000;
const MINUTES: u32 = 7 * 24 * 60;

fn market() -> Market {
    let recipe =
        Recipe { seed: 7, start_ms: START_MS, minutes: MINUTES as usize, price: 42_000.0, volatility_percent: 0.05 };
    let candles = generate(&recipe).expect("the recipe is sound");
    Market::new([("BTCUSDT".to_owned(), Series::new(candles).expect("generated candles have no gap"))])
}

fn component() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/strategies/sma-cross");
    plugin_source::resolve(&folder, OsStr::new("cargo"), &mut |_| {}).expect("it builds")
}

fn sandbox() -> Sandbox {
    Sandbox::new(Mode::Deterministic, Limits::default(), None).expect("the sandbox starts")
}

fn plugin() -> StrategyPlugin {
    StrategyPlugin::load(&sandbox(), &component()).expect("it is a strategy")
}

fn instance(plugin: &StrategyPlugin, market: &Market) -> StrategyInstance {
    let session = Session {
        strategy: "sma-cross".to_owned(),
        symbol: "BTCUSDT".to_owned(),
        exchange: "x".to_owned(),
        frame: None,
        settings: "{}".to_owned(),
        market: market.clone(),
        average_of: 5,
    };
    plugin.start(session).now_or_never().expect("a deterministic sandbox never waits").expect("it starts")
}

fn setup<S>(market: &Market, interval: Interval, strategy: S) -> Setup<S> {
    let seat =
        SeatSetup { strategy_name: "s".to_owned(), symbol: "BTCUSDT".to_owned(), interval, strategy, risk: Vec::new() };
    Setup {
        exchange: "x".to_owned(),
        settings: Settings::default(),
        market: market.clone(),
        profiles: Vec::new(),
        seats: vec![seat],
    }
}

fn backtest<S: Strategy>(setup: Setup<S>) {
    let backtest = Backtest::new(setup, &Frame::default()).expect("the candles cover the frame");
    backtest.run(&mut Silence, |_| ControlFlow::Continue(())).expect("no candle is missing");
}

/// get-signal called every minute, with the window kept by the SDK: one new candle a call.
fn call(criterion: &mut Criterion) {
    let (plugin, market) = (plugin(), market());
    let mut strategy = instance(&plugin, &market);
    let first = START_MS + 100 * 60_000;
    let last = START_MS + (i64::from(MINUTES) - 1) * 60_000;
    let mut now_ms = first;
    let mut group = criterion.benchmark_group("get-signal");
    group.bench_function("sma-cross, every minute", |bencher| {
        bencher.iter(|| {
            now_ms = if now_ms >= last { first } else { now_ms + 60_000 };
            black_box(strategy.answer(now_ms, 42_000.0).now_or_never())
        });
    });
    group.finish();
}

fn backtests(criterion: &mut Criterion) {
    let (plugin, market) = (plugin(), market());
    let mut group = criterion.benchmark_group("backtest");
    group.throughput(Throughput::Elements(u64::from(MINUTES))).sample_size(20);
    group.bench_function("a native strategy that never trades", |bencher| {
        bencher.iter(|| backtest(setup(&market, Interval::MINUTE, Native(|_, _| Answer::Nothing))));
    });
    let five: Interval = "5m".parse().expect("an interval");
    for (often, interval) in [("every minute", Interval::MINUTE), ("every five minutes", five)] {
        group.bench_function(format!("sma-cross, native, {often}"), |bencher| {
            bencher.iter(|| backtest(setup(&market, interval, sma_cross(&market))));
        });
        group.bench_function(format!("sma-cross in the sandbox, {often}"), |bencher| {
            bencher.iter_batched(
                || instance(&plugin, &market),
                |strategy| backtest(setup(&market, interval, strategy)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What `plugins/strategies/sma-cross` does with its default settings, natively, its sums kept up instead of made anew.
fn sma_cross(market: &Market) -> Native<impl FnMut(i64, f64) -> Answer + Send + use<>> {
    const FAST: usize = 20;
    const SLOW: usize = 60;
    let series = Arc::clone(&market.series("BTCUSDT").expect("it is there").read());
    let (mut known, mut fast, mut slow, mut above) = (0, 0.0, 0.0, None);
    Native(move |now_ms, price| {
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

/// A sweep of twenty runs, one and two at a time, and what each of its runs begins with.
fn sweeps(criterion: &mut Criterion) {
    let (plugin, market, component) = (plugin(), market(), component());
    let text = format!(
        "[candles.files]\nBTCUSDT = \"not read\"\n[[strategies]]\nname = \"s\"\nplugin = '{}'\nsymbols = [\"BTCUSDT\"]\n\
         [walk.grid.s]\nfast = {{ from = 5, to = 50, step = 5 }}\nslow = [60, 120]\n",
        component.display()
    );
    let config = Config::parse(&text, "sigbox.toml").expect("the text is a configuration");
    let sandbox = sandbox();
    let walk = Walk::new(&config, &sandbox, market.clone(), &mut |_| Ok(component.clone())).expect("it can be planned");

    let mut group = criterion.benchmark_group("sweep");
    group.bench_function("a fresh instance", |bencher| bencher.iter(|| instance(&plugin, &market)));
    group.throughput(Throughput::Elements(20 * u64::from(MINUTES))).sample_size(10);
    for jobs in [1, 2] {
        let jobs = NonZeroUsize::new(jobs).expect("it is not zero");
        group.bench_function(format!("20 runs of a week, {jobs} at a time"), |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir().expect("a temp directory"),
                |dir| walk.run(&dir.path().join("results.jsonl"), jobs, |_| ControlFlow::Continue(())),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A durable write through the store, beside the bare file operations it consists of.
fn write(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let dir = tempfile::tempdir().expect("a temp directory");
    let document = vec![b'x'; 600];
    let mut group = criterion.benchmark_group("durable write");
    group.sample_size(20);

    let store = FileStore::open(dir.path().join("store")).expect("the directory is free");
    let at = Address { domain: "signal".into(), entity_name: "a_b".into(), entity_id: "a".into() };
    runtime.block_on(store.wait_for_init(&at.domain, &at.entity_name, true)).expect("it can be made ready");
    group.bench_function("file store", |bencher| {
        bencher.iter(|| runtime.block_on(store.write_value(&at, &document, 0)).expect("it can be written"));
    });

    let bare = dir.path().join("bare");
    fs::create_dir(&bare).expect("a directory");
    group.bench_function("temp, fsync, rename, fsync of the directory", |bencher| {
        bencher.iter(|| {
            let (temporary, target) = (bare.join("t"), bare.join("d"));
            let mut file = File::create(&temporary).expect("a file");
            file.write_all(&document).and_then(|()| file.sync_all()).expect("it can be written");
            fs::rename(&temporary, &target).expect("it can be renamed");
            File::open(&bare).and_then(|folder| folder.sync_all()).expect("it can be synced");
        });
    });
    group.finish();
}

criterion_group!(benches, call, backtests, sweeps, write);
criterion_main!(benches);
