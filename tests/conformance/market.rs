//! Section 13.8: what is seen of the market, and when.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use sigbox::{
    market::{
        Market,
        candles::{Series, generate},
    },
    trading::{Backtest, Frame, Native, SeatSetup, Setup, Silence},
};
use sigbox_engine::{Candle, Interval, MINUTE_MS, Settings, trader::Answer};

use super::scene::{BTC, at};
use crate::support::recipe;

const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A day of candles, from midnight.
fn day() -> Series {
    Series::new(generate(&recipe(5, 1)).unwrap()).unwrap()
}

fn interval(name: &str) -> Interval {
    name.parse().unwrap()
}

/// Specification: L-LOK-01.
#[test]
fn half_a_minute_past_10_24_the_last_candles_are_those_that_have_closed() {
    let (series, midnight) = (day(), at(0));
    let now_ms = midnight + 10 * HOUR_MS + 24 * MINUTE_MS + 30_000;
    for (name, opened_ms) in [
        ("1m", 10 * HOUR_MS + 23 * MINUTE_MS),
        ("15m", 10 * HOUR_MS),
        ("30m", 9 * HOUR_MS + 30 * MINUTE_MS),
        ("1h", 9 * HOUR_MS),
        ("4h", 4 * HOUR_MS),
    ] {
        let last = series.last_closed_of(interval(name), now_ms, 1).unwrap()[0];
        assert_eq!(last.open_time_ms, midnight + opened_ms, "{name}");
        let closes_ms = last.open_time_ms + interval(name).ms();
        assert_eq!(last.close, series.at(closes_ms - MINUTE_MS).unwrap().close, "{name}");
    }
}

/// Specification: S-EXC-02.
#[test]
fn the_average_price_is_that_of_the_last_five_minutes() {
    let rows = [
        (30_000.0, 20_000.0, 25_000.0, 100.0),
        (42_100.0, 41_900.0, 42_000.0, 1.1),
        (42_110.5, 41_950.25, 42_033.1, 2.2),
        (42_080.0, 41_990.0, 42_001.0, 3.3),
        (42_250.0, 42_010.0, 42_200.7, 0.4),
        (42_300.1, 42_150.2, 42_222.2, 5.5),
    ];
    let candle = |(minute, (high, low, close, volume)): (i64, (f64, f64, f64, f64))| Candle {
        open_time_ms: at(minute),
        open: close,
        high,
        low,
        close,
        volume,
    };
    let series = Series::new((0..).zip(rows).map(candle).collect()).unwrap();
    let market = Market::new([(BTC.to_owned(), series)]);
    let asked = asked(market, at(6), at(6), |_, _, price| price);
    assert_eq!(asked, [42_115.301_333_333_33]);
}

/// Specification: S-CAC-01, S-CAC-02, S-CAC-03, S-CAC-04, S-CAC-05.
#[test]
fn a_higher_candle_stays_the_same_until_the_next_has_closed() {
    let last = |series: &Series, name: &str, now_ms| series.last_closed_of(interval(name), now_ms, 1).unwrap()[0];
    let market = Market::new([(BTC.to_owned(), day())]);
    let ten = at(0) + 10 * HOUR_MS;
    let seen = asked(market, ten, ten + 15 * MINUTE_MS, move |series, now_ms, _| {
        (now_ms, ["1m", "5m", "15m", "1h"].map(|name| last(series, name, now_ms)))
    });
    let minutes: Vec<i64> = seen.iter().map(|(now_ms, _)| *now_ms).collect();
    assert_eq!(minutes, (0..=15).map(|minute| ten + minute * MINUTE_MS).collect::<Vec<_>>());
    let changes = |place: usize| 1 + seen.windows(2).filter(|pair| pair[0].1[place] != pair[1].1[place]).count();
    assert_eq!([0, 1, 2, 3].map(changes), [16, 4, 2, 1]);
}

/// Specification: L-CCH-08, L-CCH-09.
#[test]
fn candles_of_one_symbol_or_interval_are_not_those_of_another() {
    let (bitcoin, ether) = (day(), Series::new(generate(&recipe(6, 1)).unwrap()).unwrap());
    let market = Market::growing([BTC.to_owned(), "ETHUSDT".to_owned()]);
    for (symbol, series) in [(BTC, &bitcoin), ("ETHUSDT", &ether)] {
        for candle in series.closed_before(i64::MAX) {
            market.series(symbol).unwrap().push(*candle).unwrap();
        }
    }
    let now_ms = bitcoin.end_ms().unwrap();
    for (symbol, series) in [(BTC, &bitcoin), ("ETHUSDT", &ether)] {
        for (name, minutes) in [("5m", 5), ("1m", 1), ("15m", 15)] {
            let made = market.series(symbol).unwrap().read().last_closed_of(interval(name), now_ms, 1).unwrap()[0];
            let whole = series.last_closed(now_ms, minutes).unwrap();
            assert_eq!((made.open_time_ms, made.open), (whole[0].open_time_ms, whole[0].open), "{symbol} {name}");
        }
    }
    let next = Candle { open_time_ms: now_ms, ..*bitcoin.closed_before(now_ms).last().unwrap() };
    market.series(BTC).unwrap().push(next).unwrap();
    assert_eq!(*market.series("ETHUSDT").unwrap().read(), ether);
}

/// What a strategy sees each time it is asked.
fn asked<T: Send + 'static>(
    market: Market,
    from_ms: i64,
    until_ms: i64,
    look: impl Fn(&Series, i64, f64) -> T + Send + 'static,
) -> Vec<T> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (eyes, sight) = (Arc::clone(&seen), market.clone());
    let strategy = Native(move |now_ms, price| {
        eyes.lock().unwrap().push(look(&sight.series(BTC).unwrap().read(), now_ms, price));
        Answer::Nothing
    });
    let frame = Frame { start_ms: Some(from_ms), end_ms: Some(until_ms), ..Frame::default() };
    let setup = Setup::new("binance", market, Settings::default()).over(frame);
    let seat = SeatSetup::new(setup.assign("s", BTC), Interval::MINUTE, strategy);
    Backtest::new(setup.seat(seat)).unwrap().run(&mut Silence, |_| ControlFlow::Continue(())).unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}
