//! What one closed candle costs the rules.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sigbox_engine::{
    Candle, Interval, MINUTE_MS, Outcome, Proposal, Settings, Side, Trader,
    price::average_price,
    risk::NoRisk,
    signal::Pair,
    trader::{Answer, Bar, Memory},
};

/// Candles that wander a little around 100, never far enough to end anything.
fn candles() -> Vec<Candle> {
    (0..1024_i32)
        .map(|minute| {
            let close = 100.0 + f64::from(minute % 7) * 0.01;
            Candle {
                open_time_ms: i64::from(minute) * MINUTE_MS,
                open: 100.0,
                high: 100.1,
                low: 99.9,
                close,
                volume: 1.0 + f64::from(minute % 3),
            }
        })
        .collect()
}

fn trader() -> Trader {
    let pair = Pair { symbol: "S".into(), strategy: "s".into(), exchange: "x".into(), frame: String::new() };
    Trader::new(pair, Interval::MINUTE, Arc::new(Settings::default()), Memory::default())
}

fn long(limit: Option<f64>) -> Answer {
    Answer::Trade(Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: limit,
        price_take_profit: 110.0,
        price_stop_loss: 90.0,
        minute_estimated_time: None,
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    })
}

fn step(criterion: &mut Criterion) {
    let candles = candles();
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(candles.len() as u64 - 4));
    for (name, limit) in [("open position", None), ("waiting order", Some(95.0))] {
        let mut trader = trader();
        let mut out = Vec::new();
        let held = trader.admit(0, 100.0, long(limit), &mut NoRisk, &mut out);
        trader.commit(held);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for window in candles.windows(5) {
                    let average = average_price(window).unwrap_or(100.0);
                    let bar = Bar { candle: &window[4], average, frame_end_ms: None };
                    out.clear();
                    black_box(trader.step(black_box(bar), &mut NoRisk, &mut out));
                }
            });
        });
    }
    group.finish();
}

fn admit(criterion: &mut Criterion) {
    let trader = trader();
    let mut out: Vec<Outcome> = Vec::new();
    let mut group = criterion.benchmark_group("admit");
    group.bench_function("nothing", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(trader.admit(black_box(60_000), 100.0, Answer::Nothing, &mut NoRisk, &mut out))
        });
    });
    group.bench_function("a market entry", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(trader.admit(black_box(60_000), 100.0, long(None), &mut NoRisk, &mut out))
        });
    });
    group.finish();
}

criterion_group!(benches, step, admit);
criterion_main!(benches);
