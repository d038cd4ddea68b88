//! What one closed candle costs the rules.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod operations;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sigbox_engine::trader::Answer;

use operations::{MINUTES, admit, hold, long};

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(MINUTES.into()));
    group.bench_function("open position", |bencher| bencher.iter(hold(None)));
    group.bench_function("waiting order", |bencher| bencher.iter(hold(Some(95.0))));
    group.finish();
}

fn admission(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    group.bench_function("nothing", |bencher| bencher.iter(admit(|| Answer::Nothing)));
    group.bench_function("a market entry", |bencher| bencher.iter(admit(|| long(None))));
    group.finish();
}

criterion_group!(benches, step, admission);
criterion_main!(benches);
