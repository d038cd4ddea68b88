//! What a call through the sandbox costs, what a backtest and a sweep make of it, and what a durable write costs.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod operations;

use std::{
    fs::{self, File},
    io::Write as _,
    num::NonZeroUsize,
    ops::ControlFlow,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sigbox::{
    config::Config,
    sweep::Sweep,
    trading::store::{Address, FileStore, Store as _},
};
use sigbox_engine::Interval;

use operations::{
    MINUTES, QUESTIONS, backtest, component, get_signal, idle, instance, live, market, plugin, sandbox, sma_cross,
};

fn call(criterion: &mut Criterion) {
    let mut ask = get_signal(instance(&plugin(), &market()));
    let mut group = criterion.benchmark_group("questions");
    group.throughput(Throughput::Elements(u64::from(QUESTIONS)));
    group.bench_function("sma-cross, in rows", |bencher| bencher.iter(&mut ask));
    group.finish();
}

fn backtests(criterion: &mut Criterion) {
    let (plugin, market) = (plugin(), market());
    let mut group = criterion.benchmark_group("backtest");
    group.throughput(Throughput::Elements(u64::from(MINUTES))).sample_size(20);
    group.bench_function("a native strategy that never trades", |bencher| {
        bencher.iter(|| backtest(&market, Interval::MINUTE, idle()));
    });
    let five = "5m".parse().expect("an interval");
    for (often, interval) in [("every minute", Interval::MINUTE), ("every five minutes", five)] {
        group.bench_function(format!("sma-cross, native, {often}"), |bencher| {
            bencher.iter(|| backtest(&market, interval, sma_cross(&market)));
        });
        group.bench_function(format!("sma-cross in the sandbox, {often}"), |bencher| {
            bencher.iter_batched(
                || instance(&plugin, &market),
                |strategy| backtest(&market, interval, strategy),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
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
    let sweep = Sweep::new(&config, &sandbox, market.clone(), &mut |_, _| Ok(component.clone().into()))
        .expect("it can be planned");

    let mut group = criterion.benchmark_group("sweep");
    group.bench_function("a fresh instance", |bencher| bencher.iter(|| instance(&plugin, &market)));
    group.throughput(Throughput::Elements(20 * u64::from(MINUTES))).sample_size(10);
    for jobs in [1, 2] {
        let jobs = NonZeroUsize::new(jobs).expect("it is not zero");
        group.bench_function(format!("20 runs of a week, {jobs} at a time"), |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir().expect("a temp directory"),
                |dir| sweep.run(&dir.path().join("results.jsonl"), jobs, |_| ControlFlow::Continue(())),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A run that opens or closes a position every minute; its documents are in memory, its events on the disk.
fn lives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("live");
    group.throughput(Throughput::Elements(200)).sample_size(10);
    let mut run = live(200);
    group.bench_function("a position opened or closed every minute", |bencher| bencher.iter(&mut run));
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

criterion_group!(benches, call, backtests, sweeps, lives, write);
criterion_main!(benches);
