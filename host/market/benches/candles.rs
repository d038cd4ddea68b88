//! What it costs to have a year of one-minute candles in memory, and candles of higher intervals beside them.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::{fs, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use sigbox_engine::{Candle, Interval};
use sigbox_market::candles::{Existing, Gaps, Recipe, Series, generate, read_candles, write_candles};

const MINUTES: usize = 365 * 24 * 60;

fn year() -> Vec<Candle> {
    let recipe =
        Recipe { seed: 7, start_ms: 1_704_067_200_000, minutes: MINUTES, price: 42_000.0, volatility_percent: 0.05 };
    generate(&recipe).expect("the recipe is sound")
}

/// Files as they are written here, and as others write them.
fn read(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temp directory");
    let file = |name: &str| folder.path().join(name);
    let candles = year();
    for name in ["year.csv", "year.parquet"] {
        write_candles(&file(name), &candles, Existing::Keep).expect("it can be written");
    }
    let csv = fs::read_to_string(file("year.csv")).expect("it can be read");
    let dated = csv.lines().skip(1).map(|row| {
        let (time, rest) = row.split_once(',').expect("rows have columns");
        let time = Timestamp::from_millisecond(time.parse().expect("milliseconds")).expect("a time");
        format!("{},{rest}\n", time.strftime("%F %T+00:00"))
    });
    fs::write(file("dates.csv"), dated.collect::<String>()).expect("it can be written");
    let twelve = csv.lines().skip(1).map(|row| format!("{row},1704067259999,421337.12,1234,5.123,210668.56,0\n"));
    fs::write(file("binance.csv"), twelve.collect::<String>()).expect("it can be written");

    let mut group = criterion.benchmark_group("read a year");
    group.throughput(Throughput::Elements(MINUTES as u64)).sample_size(20);
    for name in ["year.csv", "binance.csv", "dates.csv", "year.parquet"] {
        let file = file(name);
        group.bench_function(name, |bencher| {
            bencher.iter(|| read_candles(&file, Gaps::Refuse).expect("it can be read"));
        });
    }
    group.finish();
}

/// What a strategy pays that looks at the last day of hours every minute.
fn higher(criterion: &mut Criterion) {
    let candles = year();
    let end_ms = candles.last().expect("a year has candles").close_time_ms();
    let hour: Interval = "1h".parse().expect("an interval");
    let series = Series::new(candles.clone()).expect("generated candles have no gap");
    let mut group = criterion.benchmark_group("hours");
    group.bench_function("the last 24, when somebody has asked before", |bencher| {
        bencher.iter(|| black_box(series.last_closed_of(hour, end_ms, 24)).map(<[Candle]>::len));
    });
    group.bench_function("of a year, when nobody has", |bencher| {
        bencher.iter_batched(
            || Series::new(candles.clone()).expect("generated candles have no gap"),
            |series| black_box(series.last_closed_of(hour, end_ms, 24)).map(<[Candle]>::len),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, read, higher);
criterion_main!(benches);
