//! Against a real server; only time is made up.

mod clock;
mod fetch;

use std::{
    io::{Read as _, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use sigbox_test_exchange::{Asked, LocalExchange, Reply, START_MS, candle, forming, http_date, kline, words};

use self::clock::TestClock;
use super::{
    clock::{Clock, SystemClock},
    *,
};

const BTC: &str = "BTCUSDT";
const ETH: &str = "ETHUSDT";

/// A feed, the exchange it asks, and the market it fills.
struct Bench {
    clock: Arc<TestClock>,
    exchange: Arc<LocalExchange>,
    market: Market,
    feed: KlinesFeed,
    notices: Vec<Notice>,
}

impl Bench {
    async fn new(symbols: &[&str], change: impl FnOnce(&mut KlinesSettings)) -> Self {
        let clock = TestClock::new();
        let exchange = clock.exchange().await;
        let mut settings = Self::settings(&exchange.url);
        change(&mut settings);
        let market = Market::growing(symbols.iter().map(|symbol| (*symbol).to_owned()));
        let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        let feed = KlinesFeed::with_clock(settings, symbols, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, exchange, market, feed, notices: Vec::new() }
    }

    fn settings(url: &str) -> KlinesSettings {
        KlinesSettings {
            base_url: url.to_owned(),
            request_timeout: Duration::from_secs(10),
            settle: Duration::from_secs(2),
            history_minutes: 10,
            max_entry_delay: Duration::from_secs(30),
            retry_count: 3,
            retry_delay: Duration::from_secs(5),
            gaps: Gaps::Refuse,
            anomaly_factor: 1000.0,
            anomaly_min_for_median: 5,
            average_of: 5,
        }
    }

    /// Prepared, with the first boundary given, at 00:00:02.
    async fn running(symbols: &[&str], change: impl FnOnce(&mut KlinesSettings)) -> Self {
        let mut bench = Self::new(symbols, change).await;
        bench.prepare(&[]).await.unwrap();
        assert_eq!(bench.next().await, Boundary { now_ms: START_MS, fresh: true });
        assert_eq!(bench.told(), Vec::<String>::new());
        bench.exchange.take_asked();
        bench.clock.sleeps.lock().unwrap().clear();
        bench
    }

    async fn prepare(&mut self, wanted: &[(&str, Option<i64>)]) -> Result<(), String> {
        let wanted: Vec<_> = wanted.iter().map(|(symbol, ms)| ((*symbol).to_owned(), *ms)).collect();
        let prepared = self.feed.prepare(&self.market, &wanted).await;
        let missing = prepared.unwrap_or_else(|error| vec![error]);
        let said = |error: &FeedError| Err(error.to_string().replace(&self.exchange.url, "URL"));
        missing.first().map_or(Ok(()), said)
    }

    async fn next(&mut self) -> Boundary {
        self.feed.next(&self.market, &mut self.notices).await.unwrap().expect("an exchange has no end")
    }

    /// The notices since the last call, as text.
    fn told(&mut self) -> Vec<String> {
        let text = |notice| match notice {
            Notice::FeedFailed { symbol, error } => format!("{symbol}: {}", error.replace(&self.exchange.url, "URL")),
            Notice::CatchingUp { minutes } => format!("catching up {minutes}"),
            other => panic!("{other:?}"),
        };
        self.notices.drain(..).map(text).collect()
    }

    fn candles(&self, symbol: &str) -> Vec<Candle> {
        self.market.series(symbol).unwrap().read().closed_before(i64::MAX).to_vec()
    }

    /// Asserts that the candles are those of the minutes from the start, all of them as they ended up.
    fn assert_final(&self, symbol: &str, from: i64, until: i64) {
        let expected: Vec<Candle> = (from..until).map(|minute| candle(at(minute))).collect();
        assert_eq!(self.candles(symbol), expected);
    }

    /// When the exchange was asked, seconds since the start by its clock.
    fn asked_at_seconds(&self) -> Vec<i64> {
        self.exchange.take_asked().iter().map(|asked| (asked.at_ms - START_MS) / 1000).collect()
    }

    fn slept_seconds(&self) -> Vec<u64> {
        self.clock.sleeps.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

/// The beginning of a minute, counted from the start.
fn at(minute: i64) -> i64 {
    START_MS + minute * MINUTE_MS
}

fn boundary(minute: i64) -> Boundary {
    Boundary { now_ms: at(minute), fresh: true }
}

fn stale(minute: i64) -> Boundary {
    Boundary { now_ms: at(minute), fresh: false }
}

/// An exchange that never answers with more than four candles.
#[tokio::test]
async fn an_exchange_that_answers_with_less_than_it_was_asked_for_is_asked_again() {
    let mut bench = Bench::new(&[BTC], |settings| settings.history_minutes = 10).await;
    bench.clock.advance_ms(30_000);
    for _ in 0..4 {
        bench.exchange.then(BTC, |reply| reply.klines.truncate(4));
    }
    bench.prepare(&[(BTC, None)]).await.unwrap();
    bench.assert_final(BTC, -10, 0);
    let from: Vec<_> = bench.exchange.take_asked().iter().map(|asked| asked.from_ms).collect();
    assert_eq!(from, [at(-10), at(-6), at(-2)]);
    assert_eq!(bench.next().await, boundary(0));
    assert_eq!(bench.told(), Vec::<String>::new());

    // The same after an outage.
    bench.clock.advance_ms(7 * MINUTE_MS);
    for _ in 0..2 {
        bench.exchange.then(BTC, |reply| reply.klines.truncate(4));
    }
    assert_eq!(bench.next().await, boundary(7));
    bench.assert_final(BTC, -10, 7);
    assert_eq!(bench.told(), ["catching up 7"]);
}

#[tokio::test]
async fn a_symbol_that_had_no_candles_at_the_start_gets_all_of_them_later() {
    let mut bench = Bench::new(&[BTC, ETH], |settings| settings.retry_count = 1).await;
    bench.clock.advance_ms(30_000);
    bench.exchange.then(ETH, |reply| reply.status = 503);
    let error = bench.prepare(&[(BTC, None), (ETH, Some(at(-30)))]).await.unwrap_err();
    assert!(error.starts_with("candles of ETHUSDT: ") && error.contains("HTTP 503"), "{error}");
    assert_eq!(bench.next().await, boundary(0));
    // An average of five candles comes before the first one that is judged.
    bench.assert_final(ETH, -35, 0);
}

/// Specification: L-CCH-12.
#[tokio::test]
async fn the_history_is_fetched_page_by_page_up_to_the_newest_closed_candle() {
    let mut bench = Bench::new(&[BTC], |settings| settings.history_minutes = 2500).await;
    bench.clock.advance_ms(30_000);
    bench.prepare(&[(BTC, None)]).await.unwrap();
    bench.assert_final(BTC, -2500, 0);
    let from: Vec<_> = bench.exchange.take_asked().iter().map(|asked| asked.from_ms).collect();
    assert_eq!(from, [at(-2500), at(-1500), at(-500)]);

    // What is there already is the first boundary, without another request or a minute's wait.
    assert_eq!(bench.next().await, boundary(0));
    assert_eq!(bench.exchange.now_ms(), START_MS + 30_000);
    assert_eq!(bench.exchange.take_asked(), []);
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_history_that_ends_with_a_full_page_is_complete() {
    let mut bench = Bench::new(&[BTC], |settings| settings.history_minutes = 999).await;
    bench.clock.advance_ms(30_000);
    bench.prepare(&[]).await.unwrap();
    bench.assert_final(BTC, -999, 0);
    // It has the forming candle too, so nothing after it can have closed.
    let from: Vec<_> = bench.exchange.take_asked().iter().map(|asked| asked.from_ms).collect();
    assert_eq!(from, [at(-999)]);
}

#[tokio::test]
async fn the_history_reaches_back_to_what_was_left_behind_and_its_average() {
    let cases = [
        // history, average, wanted of the pairs, first minute
        (10, 5, vec![], -10),
        (10, 20, vec![], -20),
        (10, 5, vec![(BTC, None), (BTC, Some(at(-100))), (BTC, Some(at(-50)))], -105),
        (10, 5, vec![(BTC, Some(at(-100) + 1))], -105),
        (10, 5, vec![(BTC, Some(at(-3)))], -10),
        (10, 5, vec![(ETH, Some(at(-100)))], -10),
        // Opened at the newest boundary: the candle to judge it on has not closed.
        (10, 5, vec![(BTC, Some(at(0)))], -10),
    ];
    for (history, average_of, wanted, first) in cases {
        let mut bench = Bench::new(&[BTC], |settings| {
            settings.history_minutes = history;
            settings.average_of = average_of;
        })
        .await;
        bench.clock.advance_ms(30_000);
        bench.prepare(&wanted).await.unwrap();
        bench.assert_final(BTC, first, 0);
    }
}

/// Specification: L-CCH-11.
#[tokio::test]
async fn each_minute_gives_its_candle_and_a_fresh_boundary() {
    let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
    for minute in 1..=3 {
        assert_eq!(bench.next().await, boundary(minute));
        assert_eq!(bench.exchange.now_ms(), at(minute) + 2000, "two seconds to settle");
        bench.assert_final(BTC, -10, minute);
        bench.assert_final(ETH, -10, minute);
        let mut asked = bench.exchange.take_asked();
        asked.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        let expected =
            |symbol: &str| Asked { symbol: symbol.to_owned(), from_ms: at(minute - 1), at_ms: at(minute) + 2000 };
        assert_eq!(asked, [expected(BTC), expected(ETH)], "once, for what is new");
    }
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_starts_before_its_minute_has_settled_waits_for_it() {
    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.prepare(&[]).await.unwrap();
    bench.assert_final(BTC, -10, -1);
    assert_eq!(bench.next().await, boundary(0));
    assert_eq!(bench.exchange.now_ms(), START_MS + 2000);
    bench.assert_final(BTC, -10, 0);
    assert_eq!(bench.told(), Vec::<String>::new());
}

/// The clock of this machine goes ahead while the run is under way: at what it takes for 00:01:02, the candle of 00:00
/// is still forming, and its values change before it ends.
///
/// Specification: L-CCH-14.
#[tokio::test]
async fn a_candle_is_not_taken_before_the_exchange_says_that_it_has_closed() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.exchange.ahead_ms.store(-5000, Ordering::SeqCst);
    let shown = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    bench.exchange.then(BTC, move |reply| *seen.lock().unwrap() = reply.klines.clone());

    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(*shown.lock().unwrap(), [forming(at(0))], "it was shown");
    assert_eq!(bench.asked_at_seconds(), [57, 62], "and asked for again");
    bench.assert_final(BTC, -10, 1);
    assert_eq!(bench.told(), Vec::<String>::new());

    // From now on the exchange's time is known, but for its rounding.
    assert_eq!(bench.next().await, boundary(2));
    assert_eq!(bench.asked_at_seconds(), [121]);
    bench.assert_final(BTC, -10, 2);
}

/// Each millisecond round the end of a minute, with what the exchange shows then.
///
/// Specification: L-CCH-13.
#[tokio::test]
async fn a_candle_that_may_still_change_is_never_taken() {
    for settle_ms in [0, 500, 1000, 2000, 3000] {
        for at_ms in [-2000, -1001, -1, 0, 1, 999, 1000, 1999, 2000, 3000] {
            let mut bench = Bench::new(&[BTC], |settings| settings.settle = Duration::from_millis(settle_ms)).await;
            bench.clock.advance_ms(at_ms);
            bench.prepare(&[]).await.unwrap();
            let last = bench.candles(BTC).pop().unwrap();
            let settled = at_ms >= (i64::try_from(settle_ms).unwrap() - 1000).max(0);
            let expected = if settled { candle(at(-1)) } else { candle(at(-2)) };
            assert_eq!(last, expected, "{settle_ms} {at_ms}");
        }
    }
}

#[tokio::test]
async fn a_machine_whose_clock_is_wrong_goes_by_that_of_the_exchange() {
    for ahead_ms in [-3_600_000, -40_000, -1500, 1500, 40_000, 3_600_000] {
        let mut bench = Bench::new(&[BTC], |_| {}).await;
        bench.exchange.ahead_ms.store(ahead_ms, Ordering::SeqCst);
        bench.clock.advance_ms(-ahead_ms + 10_000);
        bench.prepare(&[]).await.unwrap();
        let here = bench.exchange.now_ms();
        for minute in here.div_euclid(MINUTE_MS) - START_MS / MINUTE_MS..3 {
            assert_eq!(bench.next().await, boundary(minute), "{ahead_ms}");
            assert_eq!(bench.candles(BTC).last(), Some(&candle(at(minute - 1))));
        }
        // Seconds in which the exchange cannot be told from its rounding.
        let late_ms = bench.exchange.now_ms() - at(2);
        assert!((1000..=3000).contains(&late_ms), "{ahead_ms} {late_ms}");
        assert_eq!(bench.told(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_nothing() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.clock.advance_ms(-3_600_000);
    bench.exchange.ahead_ms.store(3_600_000, Ordering::SeqCst);
    for minute in 1..4 {
        assert_eq!(bench.next().await.now_ms, at(minute));
        assert!(bench.exchange.now_ms() < at(minute) + 20_000, "{minute}");
        bench.assert_final(BTC, -10, minute);
    }
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[tokio::test]
async fn without_the_time_a_candle_has_closed_when_a_later_one_is_shown() {
    for date in [None, Some("yesterday".to_owned())] {
        let mut bench = Bench::running(&[BTC], |_| {}).await;
        let undated = |reply: &mut Reply| reply.date = None;
        let only_the_forming_one = move |reply: &mut Reply| {
            reply.date = date;
            reply.klines.truncate(1);
        };
        bench.exchange.then(BTC, only_the_forming_one);
        bench.exchange.then(BTC, undated);
        assert_eq!(bench.next().await, boundary(1));
        assert_eq!(bench.asked_at_seconds(), [62, 67]);
        bench.assert_final(BTC, -10, 1);
        assert_eq!(bench.told(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn without_the_time_a_fast_clock_lets_no_forming_candle_in() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.exchange.ahead_ms.store(-30_000, Ordering::SeqCst);
    // By the fast clock there must be one candle more, so each attempt may ask twice.
    for _ in 0..12 {
        bench.exchange.then(BTC, |reply| reply.date = None);
    }
    for closed in 0..2 {
        bench.next().await;
        bench.assert_final(BTC, -10, closed);
        assert_eq!(bench.told().len(), 1, "the newest one is missing");
    }
}

#[tokio::test]
async fn a_candle_that_comes_late_is_waited_for() {
    let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
    bench.exchange.then(BTC, |reply| reply.klines.clear());
    assert_eq!(bench.next().await, boundary(1));
    bench.assert_final(BTC, -10, 1);
    assert_eq!(bench.told(), Vec::<String>::new());
    let asked: Vec<_> = bench.exchange.take_asked().into_iter().map(|asked| (asked.symbol, asked.at_ms)).collect();
    assert_eq!(asked.iter().filter(|(symbol, _)| symbol == ETH).count(), 1, "who has it is not asked again: {asked:?}");
    assert_eq!(asked.last(), Some(&(BTC.to_owned(), at(1) + 7000)));
}

#[tokio::test]
async fn a_candle_that_does_not_come_keeps_nobody_waiting_and_is_caught_up_on() {
    let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
    for _ in 0..3 {
        bench.exchange.then(BTC, |reply| reply.klines.clear());
    }
    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(bench.slept_seconds(), [60, 5, 5], "no pause after the last attempt");
    assert_eq!(
        bench.told(),
        ["BTCUSDT: the candle of 2024-01-01T00:00:00Z has not closed yet at 2024-01-01T00:01:12Z, by the exchange's \
          clock; it is asked for again in the next minute"]
    );
    bench.assert_final(BTC, -10, 0);
    bench.assert_final(ETH, -10, 1);

    assert_eq!(bench.next().await, boundary(2));
    assert_eq!(bench.told(), ["catching up 2"]);
    bench.assert_final(BTC, -10, 2);
}

#[tokio::test]
async fn a_boundary_is_fresh_until_the_entry_delay_has_passed() {
    for (delay_ms, fresh) in [(2000, true), (1999, false)] {
        let mut bench =
            Bench::running(&[BTC], |settings| settings.max_entry_delay = Duration::from_millis(delay_ms.max(2000)))
                .await;
        bench.feed.settings.max_entry_delay = Duration::from_millis(delay_ms);
        assert_eq!(bench.next().await, Boundary { now_ms: at(1), fresh });
    }
}

#[tokio::test]
async fn after_a_pause_of_the_process_all_that_was_missed_is_added_at_once() {
    for (paused, requests) in [(5, 1), (2345, 3)] {
        let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
        bench.clock.advance_ms(paused * MINUTE_MS + 43_000);
        assert_eq!(bench.next().await, stale(paused));
        assert_eq!(bench.told(), [format!("catching up {paused}")]);
        bench.assert_final(BTC, -10, paused);
        bench.assert_final(ETH, -10, paused);
        assert_eq!(bench.exchange.take_asked().len(), 2 * requests);

        assert_eq!(bench.next().await, boundary(paused + 1));
        assert_eq!(bench.told(), Vec::<String>::new());
    }
}

/// Specification: L-LIV-04.
#[tokio::test]
async fn during_an_outage_boundaries_go_on_and_after_it_nothing_is_missing() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    for minute in 1..=4 {
        for _ in 0..3 {
            bench.exchange.then(BTC, |reply| {
                reply.status = 502;
                reply.body = Some(b"<h1>Bad\r\nGateway</h1>".to_vec());
            });
        }
        assert_eq!(bench.next().await, boundary(minute));
        let from = START_MS;
        assert_eq!(
            bench.told(),
            [format!(
                "BTCUSDT: URL/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={from}&limit=1000 was answered with \
                 HTTP 502: <h1>Bad  Gateway</h1>"
            )]
        );
        bench.assert_final(BTC, -10, 0);
    }
    assert_eq!(bench.next().await, boundary(5));
    assert_eq!(bench.told(), ["catching up 5"]);
    bench.assert_final(BTC, -10, 5);
}

#[tokio::test]
async fn who_sleeps_through_minutes_goes_on_at_the_newest_one_once_it_has_settled() {
    for (oversleep_ms, minute, at_ms) in [(57_999, 1, 59_999), (58_000, 2, 2000), (600_000, 11, 2000)] {
        let mut bench = Bench::running(&[BTC], |_| {}).await;
        bench.clock.oversleep_ms.store(oversleep_ms, Ordering::SeqCst);
        assert_eq!(bench.next().await, Boundary { now_ms: at(minute), fresh: minute > 1 });
        assert_eq!(bench.exchange.now_ms(), at(minute) + at_ms);
        bench.assert_final(BTC, -10, minute);
    }
}

#[tokio::test]
async fn minutes_that_pass_during_a_request_lead_to_the_newest_one() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    let clock = Arc::clone(&bench.clock);
    // The answer is overtaken by two more minutes.
    bench.exchange.then(BTC, move |_| clock.advance_ms(125_000));
    assert_eq!(bench.next().await, stale(1));
    assert_eq!(bench.next().await, boundary(3));
    assert_eq!(bench.told(), ["catching up 2"]);
    bench.assert_final(BTC, -10, 3);
}

/// What is done to an answer, and what is said about it.
type Fault = (fn(&mut Reply), &'static str);

const REFUSED: &str =
    "the answer to URL/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1704067200000&limit=1000 is refused: ";

/// Five minutes have passed; rows 1 to 5 have closed, row 6 is forming.
const UNUSABLE: &[Fault] = &[
    (
        |reply| reply.body = Some(b"<html>\x1b[31m".to_vec()),
        "it is not a list of klines (expected value at line 1 column 1): <html> [31m",
    ),
    (
        |reply| reply.body = Some(Vec::new()),
        "it is not a list of klines (EOF while parsing a value at line 1 column 0): nothing",
    ),
    (
        |reply| reply.body = Some(br#"{"code":0}"#.to_vec()),
        "it is not a list of klines (invalid type: map, expected a sequence at line 1 column 0): {\"code\":0}",
    ),
    (
        |reply| reply.body = Some(b"[[1704067200000,\"1\"".to_vec()),
        "it is not a list of klines (EOF while parsing a list at line 1 column 19): [[1704067200000,\"1\"",
    ),
    (|reply| reply.klines[2] = json!([]), "kline 3 has 0 fields, and the first 6 are needed"),
    (|reply| reply.klines[1].as_array_mut().unwrap().truncate(5), "kline 2 has 5 fields, and the first 6 are needed"),
    (
        |reply| set(reply, 0, 0, json!("soon")),
        "the opening time of kline 1 is \"soon\", which is not a time in milliseconds",
    ),
    (
        |reply| set(reply, 5, 0, json!(i64::MAX)),
        "the opening time of kline 6 is 9223372036854775807, which is not a time in milliseconds",
    ),
    (
        |reply| set(reply, 0, 0, json!(-60_000)),
        "the opening time of kline 1 is -60000, which is not a time in milliseconds",
    ),
    (|reply| set(reply, 0, 1, json!(null)), "the open of kline 1 is null, which is not a number"),
    (|reply| set(reply, 0, 2, json!("12,5")), "the high of kline 1 is \"12,5\", which is not a number"),
    (|reply| set(reply, 0, 3, json!([])), "the low of kline 1 is [], which is not a number"),
    (|reply| set(reply, 5, 4, json!("")), "the close of kline 6 is \"\", which is not a number"),
    (|reply| set(reply, 0, 5, json!(true)), "the volume of kline 1 is true, which is not a number"),
    (
        |reply| set(reply, 3, 2, json!("NaN")),
        "the candle of 2024-01-01T00:03:00Z is impossible: a price or the volume is not a finite number",
    ),
    (
        |reply| set(reply, 3, 2, json!("1e999")),
        "the candle of 2024-01-01T00:03:00Z is impossible: a price or the volume is not a finite number",
    ),
    (
        |reply| set(reply, 0, 3, json!("0.0")),
        "the candle of 2024-01-01T00:00:00Z is impossible: a price is zero or negative",
    ),
    (
        |reply| set(reply, 0, 2, json!("1.0")),
        "the candle of 2024-01-01T00:00:00Z is impossible: the high is below the low",
    ),
    (
        |reply| set(reply, 1, 0, json!(START_MS + 60_001)),
        "the candle of 2024-01-01T00:01:00.001Z is impossible: the opening time is not on a whole minute",
    ),
    (
        |reply| reply.klines.insert(0, kline(at(-1))),
        "it begins with the candle of 2023-12-31T23:59:00Z, and the first one asked for is that of 2024-01-01T00:00:00Z",
    ),
    (|reply| reply.klines[2] = kline(at(1)), "it has the candle of 2024-01-01T00:01:00Z twice"),
    (|reply| reply.klines.swap(2, 3), "it has the candle of 2024-01-01T00:02:00Z after that of 2024-01-01T00:03:00Z"),
    (
        |reply| drop(reply.klines.drain(2..4)),
        "2 min of candles are missing, from 2024-01-01T00:02:00Z to 2024-01-01T00:04:00Z; if the exchange will never have them, \
         set [candles] gaps = \"fill\"",
    ),
    (
        |reply| drop(reply.klines.remove(0)),
        "1 min of candles are missing, from 2024-01-01T00:00:00Z to 2024-01-01T00:01:00Z; if the exchange will never have them, \
         set [candles] gaps = \"fill\"",
    ),
    (
        |reply| reply.klines[4] = words(&flat(at(4), 0.01)),
        "a price of the candle of 2024-01-01T00:04:00Z is 1000 times below the usual one; if it is real, raise [engine] \
         get-candles-price-anomaly-threshold-factor",
    ),
];

fn set(reply: &mut Reply, row: usize, field: usize, value: Value) {
    reply.klines[row][field] = value;
}

fn flat(open_time_ms: i64, price: f64) -> Candle {
    Candle { open_time_ms, open: price, high: price, low: price, close: price, volume: 0.0 }
}

/// Specification: L-CCH-15.
#[tokio::test]
async fn an_answer_with_a_fault_is_refused_as_a_whole_and_asked_for_again() {
    for (change, expected) in UNUSABLE {
        let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 2).await;
        bench.clock.advance_ms(5 * MINUTE_MS);
        for _ in 0..2 {
            bench.exchange.then(BTC, change);
        }
        bench.next().await;
        assert_eq!(bench.told(), [format!("BTCUSDT: {REFUSED}{expected}")]);
        bench.assert_final(BTC, -10, 0);

        bench.exchange.then(BTC, change);
        bench.next().await;
        assert_eq!(bench.told(), ["catching up 6"], "{expected}");
        bench.assert_final(BTC, -10, 6);
    }
}

#[tokio::test]
async fn numbers_do_for_texts() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.exchange.then(BTC, |reply| {
        let Candle { open_time_ms, open, high, low, close, volume } = candle(at(0));
        reply.klines[0] = json!([open_time_ms.to_string(), open, high, low, close, volume]);
    });
    assert_eq!(bench.next().await, boundary(1));
    bench.assert_final(BTC, -10, 1);
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[tokio::test]
async fn the_forming_candle_is_not_held_to_anything_but_its_place() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.exchange.then(BTC, |reply| reply.klines[1] = words(&flat(at(1), 0.0)));
    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(bench.told(), Vec::<String>::new());
    bench.assert_final(BTC, -10, 1);
}

#[tokio::test]
async fn a_price_is_compared_with_those_of_the_last_hour() {
    let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 1).await;
    bench.exchange.then(BTC, |reply| reply.klines[0] = words(&flat(at(0), 0.01)));
    bench.next().await;
    let told = bench.told();
    assert!(told[0].contains("a price of the candle of 2024-01-01T00:00:00Z is 1000 times below"), "{told:?}");
    bench.assert_final(BTC, -10, 0);
}

#[tokio::test]
async fn a_price_may_rise_a_thousandfold_and_what_was_good_stays_good() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    bench.clock.advance_ms(30 * MINUTE_MS);
    bench.exchange.then(BTC, |reply| {
        for (minute, kline) in (0..30).zip(&mut reply.klines) {
            *kline = words(&flat(at(minute), 1e6));
        }
    });
    assert_eq!(bench.next().await.now_ms, at(30));
    assert_eq!(bench.told(), ["catching up 30"]);

    let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 1).await;
    bench.clock.advance_ms(30 * MINUTE_MS);
    bench.exchange.then(BTC, |reply| {
        for (minute, kline) in (0..30).zip(&mut reply.klines) {
            *kline = words(&flat(at(minute), if minute == 7 { 200.0 } else { 1e6 }));
        }
    });
    bench.next().await;
    let told = bench.told();
    assert!(told[0].contains("a price of the candle of 2024-01-01T00:07:00Z is 1000 times below"), "{told:?}");
    bench.assert_final(BTC, -10, 0);
}

/// Specification: L-CCH-07.
#[tokio::test]
async fn a_candle_that_was_added_does_not_change_any_more() {
    let mut bench = Bench::running(&[BTC], |_| {}).await;
    assert_eq!(bench.next().await, boundary(1));
    bench.exchange.then(BTC, |reply| {
        // The exchange revises what it said, and sends it unasked.
        reply.klines.insert(0, words(&Candle { close: 100.5, ..candle(at(0)) }));
    });
    assert_eq!(bench.next().await, boundary(2));
    bench.assert_final(BTC, -10, 2);
    assert!(bench.exchange.take_asked()[1..].iter().all(|asked| asked.from_ms == at(1)), "nor is it asked for");
}

#[tokio::test]
async fn a_candle_that_somebody_else_added_is_noticed() {
    let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 1).await;
    let market = bench.market.clone();
    bench.exchange.then(BTC, move |_| market.series(BTC).unwrap().push(candle(at(0))).unwrap());
    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(
        bench.told(),
        [format!(
            "BTCUSDT: {REFUSED}the candle of 2024-01-01T00:00:00Z comes where the one of 2024-01-01T00:01:00Z belongs"
        )]
    );
    assert_eq!(bench.next().await, boundary(2));
    bench.assert_final(BTC, -10, 2);
}

#[tokio::test]
async fn a_gap_that_lasts_is_filled_if_that_is_allowed() {
    fn without_two_minutes(reply: &mut Reply) {
        reply.klines.retain(|kline| ![at(1), at(2)].contains(&kline[0].as_i64().unwrap()));
    }
    let mut bench = Bench::running(&[BTC], |settings| {
        settings.gaps = Gaps::Fill;
        settings.retry_count = 1;
    })
    .await;
    assert_eq!(bench.next().await, boundary(1));
    for minute in 2..8 {
        bench.exchange.then(BTC, without_two_minutes);
        assert_eq!(bench.next().await, boundary(minute));
        let told = bench.told();
        bench.assert_final(BTC, -10, 1);
        if minute > 3 {
            assert!(
                told[0].ends_with(
                    "2 min of candles are missing, from 2024-01-01T00:01:00Z to 2024-01-01T00:03:00Z; if they have not \
                     come by 2024-01-01T00:08:00Z, flat ones take their place"
                ),
                "{told:?}"
            );
        }
    }
    bench.exchange.then(BTC, without_two_minutes);
    assert_eq!(bench.next().await, boundary(8));
    assert_eq!(bench.told(), ["catching up 7"]);
    let candles = bench.candles(BTC);
    let close = candle(at(0)).close;
    assert_eq!(candles[11..13], [flat(at(1), close), flat(at(2), close)]);
    let rest: Vec<_> = (3..8).map(|minute| candle(at(minute))).collect();
    assert_eq!(candles[13..], rest);

    // Over a week.
    bench.exchange.listed_ms.store(at(8 + 7 * 1440 + 1), Ordering::SeqCst);
    bench.clock.advance_ms(8 * 1440 * MINUTE_MS);
    bench.next().await;
    let told = bench.told();
    let expected = "10081 min of candles are missing, from 2024-01-01T00:08:00Z to 2024-01-08T00:09:00Z; that is more \
                    than a week, too much to fill";
    assert!(told[0].ends_with(expected), "{told:?}");
}

#[tokio::test]
async fn trouble_that_passes_is_not_worth_a_word() {
    fn fail(reply: &mut Reply) {
        reply.status = 500;
    }
    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.clock.advance_ms(30_000);
    bench.exchange.then(BTC, fail);
    bench.exchange.then(BTC, fail);
    bench.prepare(&[]).await.unwrap();
    bench.assert_final(BTC, -10, 0);
    assert_eq!(bench.next().await.now_ms, START_MS);
    bench.exchange.take_asked();

    bench.exchange.then(BTC, fail);
    bench.exchange.then(BTC, fail);
    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(bench.asked_at_seconds(), [62, 67, 72]);
    assert_eq!(bench.told(), Vec::<String>::new());
    bench.assert_final(BTC, -10, 1);
}

fn too_many(status: u16, retry_after: Option<&'static str>) -> impl FnOnce(&mut Reply) + Send {
    move |reply| {
        reply.status = status;
        reply.body = Some(br#"{"code":-1003,"msg":"Way too many requests."}"#.to_vec());
        reply.headers.extend(retry_after.map(|wait| ("retry-after", wait.to_owned())));
    }
}

#[tokio::test]
async fn an_exchange_that_has_enough_is_left_alone_for_as_long_as_it_says() {
    for status in [429, 418] {
        let mut bench = Bench::running(&[BTC], |_| {}).await;
        bench.exchange.then(BTC, too_many(status, Some("17")));
        assert_eq!(bench.next().await, boundary(1));
        assert_eq!(bench.asked_at_seconds(), [62, 79]);
        assert_eq!(bench.told(), Vec::<String>::new());
        bench.assert_final(BTC, -10, 1);
    }
    // Without a word on how long, and with one that is none.
    for retry_after in [None, Some("soon"), Some("-3"), Some("1")] {
        let mut bench = Bench::running(&[BTC], |_| {}).await;
        bench.exchange.then(BTC, too_many(429, retry_after));
        assert_eq!(bench.next().await, boundary(1));
        assert_eq!(bench.asked_at_seconds(), [62, 67]);
    }
}

#[tokio::test]
async fn a_ban_for_longer_than_a_minute_is_kept_while_boundaries_go_on() {
    let symbols: Vec<String> = (0..20).map(|index| format!("COIN{index}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut bench = Bench::running(&symbols, |_| {}).await;
    for symbol in &symbols {
        bench.exchange.then(symbol, too_many(418, Some("150")));
    }
    assert_eq!(bench.next().await, boundary(1));
    let asked = bench.exchange.take_asked().len();
    assert!(asked <= CONCURRENT_REQUESTS, "the others did not ask any more, but {asked} did");
    let told = bench.told();
    assert_eq!(told.len(), 20);
    let refused = told.iter().filter(|error| {
        error.ends_with(
            "was answered with HTTP 418: {\"code\":-1003,\"msg\":\"Way too many requests.\"}. The exchange takes no more \
             requests for 150 s; it also counts those of other programs on this address",
        )
    });
    assert_eq!(refused.count(), asked);
    let quiet = "the exchange takes no more requests until 2024-01-01T00:03:32Z; it was not asked";
    assert_eq!(told.iter().filter(|error| error.ends_with(quiet)).count(), 20 - asked);

    assert_eq!(bench.next().await, boundary(2));
    assert_eq!(bench.told().len(), 20);
    assert_eq!(bench.exchange.take_asked(), []);

    // It ends within this minute.
    for symbol in &symbols {
        bench.exchange.script_done(symbol);
    }
    assert_eq!(bench.next().await, stale(3));
    assert_eq!(bench.told(), ["catching up 3"]);
    assert!(bench.asked_at_seconds().iter().all(|second| *second == 212));
}

#[tokio::test]
async fn a_request_without_an_answer_ends_in_time() {
    let stuck: [fn(&mut Reply); 2] = [|reply| reply.delay = Duration::from_hours(1), |reply| reply.breaks_off = true];
    for change in stuck {
        let mut bench = Bench::running(&[BTC, ETH], |settings| {
            settings.request_timeout = Duration::from_millis(200);
            settings.retry_count = 1;
        })
        .await;
        bench.exchange.then(BTC, change);
        assert_eq!(bench.next().await, boundary(1));
        assert_eq!(
            bench.told(),
            [format!(
                "BTCUSDT: URL/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={START_MS}&limit=1000 was not \
                 answered within 200 ms ([live] request-timeout-ms)"
            )]
        );
        bench.assert_final(ETH, -10, 1);
        assert_eq!(bench.next().await, boundary(2));
        assert_eq!(bench.told(), ["catching up 2"]);
    }
}

#[tokio::test]
async fn a_status_is_told_though_the_body_does_not_come() {
    let mut bench = Bench::running(&[BTC], |settings| {
        settings.request_timeout = Duration::from_millis(200);
        settings.retry_count = 1;
    })
    .await;
    bench.exchange.then(BTC, |reply| {
        reply.status = 502;
        reply.breaks_off = true;
    });
    bench.next().await;
    let told = bench.told();
    assert!(told[0].ends_with("&limit=1000 was answered with HTTP 502: nothing"), "{told:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 1).await;
    bench.exchange.then(BTC, |reply| reply.body = Some(vec![b' '; 5 << 20]));
    bench.next().await;
    let told = bench.told();
    assert!(told[0].ends_with("&limit=1000: the answer is longer than 4194304 bytes"), "{told:?}");
}

/// One symbol fails for as long as anybody asks, the others must not be too late for their entries because of it.
#[tokio::test]
async fn who_has_a_candle_does_not_wait_past_the_time_to_enter() {
    // entry delay, attempts that fit into it
    for (delay_seconds, attempts) in [(30, vec![62, 67, 72]), (20, vec![62, 67]), (15, vec![62]), (2, vec![62])] {
        let settings = |settings: &mut KlinesSettings| settings.max_entry_delay = Duration::from_secs(delay_seconds);
        let mut bench = Bench::running(&[BTC, ETH], settings).await;
        for _ in 0..3 {
            bench.exchange.then(BTC, |reply| reply.status = 500);
        }
        assert_eq!(bench.next().await, boundary(1), "{delay_seconds}");
        bench.assert_final(ETH, -10, 1);
        bench.assert_final(BTC, -10, 0);
        let asked = bench.exchange.take_asked().into_iter().filter(|asked| asked.symbol == BTC);
        assert_eq!(asked.map(|asked| (asked.at_ms - START_MS) / 1000).collect::<Vec<_>>(), attempts);

        // Alone, it is worth all attempts.
        let mut bench = Bench::running(&[BTC], settings).await;
        for _ in 0..2 {
            bench.exchange.then(BTC, |reply| reply.status = 500);
        }
        assert_eq!(bench.next().await.now_ms, at(1));
        bench.assert_final(BTC, -10, 1);
    }
}

#[tokio::test]
async fn what_asking_again_cannot_help_is_not_asked_again_before_the_next_minute() {
    let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
    for status in [400, 401, 403, 404, 451] {
        bench.exchange.then(BTC, move |reply| reply.status = status);
        bench.next().await;
        let asked = bench.exchange.take_asked();
        assert_eq!(asked.iter().filter(|asked| asked.symbol == BTC).count(), 1, "{status}");
        assert_eq!(bench.told().iter().filter(|told| told.contains(&format!("HTTP {status}"))).count(), 1);
    }
    assert_eq!(bench.next().await, boundary(6));
    assert_eq!(bench.told(), ["catching up 6"]);
    // It may be the network that was slow.
    bench.exchange.then(BTC, |reply| reply.status = 408);
    assert_eq!(bench.next().await, boundary(7));
    assert_eq!(bench.told(), Vec::<String>::new());
}

/// What is done to answers, how many requests that takes, and what is said.
type Refused = (fn(&mut Reply), usize, &'static str);

#[tokio::test]
async fn a_run_does_not_start_without_its_candles_and_says_what_to_do() {
    let cases: [Refused; 7] = [
        (
            |reply| {
                reply.status = 400;
                reply.body = Some(br#"{"code":-1121,"msg":"Invalid symbol."}"#.to_vec());
            },
            1,
            "candles of BTCUSDT: the exchange does not know this symbol; correct it on the command line, or in `symbols` \
             of [[strategies]] (URL: {\"code\":-1121,\"msg\":\"Invalid symbol.\"})",
        ),
        (
            |reply| {
                reply.status = 400;
                reply.body = Some(br#"{"code":-1100,"msg":"Illegal characters."}"#.to_vec());
            },
            1,
            "candles of BTCUSDT: URL was answered with HTTP 400: {\"code\":-1100,\"msg\":\"Illegal characters.\"}",
        ),
        (
            |reply| {
                reply.status = 301;
                reply.headers.push(("location", "https://example.com/v3".to_owned()));
            },
            1,
            "candles of BTCUSDT: URL was answered with HTTP 301, a redirect to https://example.com/v3. Redirects are not \
             followed; if the exchange has moved there, change [live] base-url",
        ),
        (
            |reply| {
                reply.status = 451;
                reply.body = Some("Service unavailable from a restricted location. ".repeat(9).into_bytes());
            },
            1,
            "candles of BTCUSDT: URL was answered with HTTP 451: Service unavailable from a restricted location. Service \
             unavailable from a restricted location. Service unavailable from a restricted location. Service unavailable \
             from a restricted location. Service …. The exchange refuses requests from this location; [live] base-url \
             can name another one that speaks the same protocol",
        ),
        (
            |reply| {
                reply.status = 403;
                reply.body = Some(Vec::new());
            },
            1,
            "candles of BTCUSDT: URL was answered with HTTP 403: nothing. The exchange refuses requests from this \
             location; [live] base-url can name another one that speaks the same protocol",
        ),
        (
            |reply| {
                reply.status = 503;
                reply.body = Some(b"Zuviel \xff!".to_vec());
            },
            3,
            "candles of BTCUSDT: URL was answered with HTTP 503: Zuviel \u{fffd}!",
        ),
        (
            |reply| reply.klines.clear(),
            3,
            "candles of BTCUSDT: none has closed between 2023-12-31T23:50:00Z and 2024-01-01T00:00:40Z, by the exchange's \
             clock; is it still traded there?",
        ),
    ];
    for (change, requests, expected) in cases {
        let mut bench = Bench::new(&[BTC], |_| {}).await;
        bench.clock.advance_ms(30_000);
        for _ in 0..3 {
            bench.exchange.then(BTC, change);
        }
        let error = bench.prepare(&[]).await.unwrap_err();
        let query = format!("/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={}&limit=1000", at(-10));
        assert_eq!(error.replace(&query, ""), expected);
        assert_eq!(bench.exchange.take_asked().len(), requests, "{expected}");
    }
}

/// Sends the same to each request, closes a connection after so many, and counts connections. Its address, without a
/// scheme.
fn parrot(answer: &'static [u8], requests: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                for _ in 0..requests {
                    let asked = stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0);
                    if !asked || stream.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_run_does_not_start_when_nobody_answers_and_says_why() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (mute, _) = parrot(b"", 1);
    let (other, _) = parrot(b"SSH-2.0-OpenSSH\r\n", 1);
    let (short, _) = parrot(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[]", 1);
    let cases = [
        (format!("http://{free}"), "Connection refused"),
        // Longer than a name can be, so that no network is asked.
        (format!("http://{}.invalid", "a".repeat(64)), "failed to lookup address information: "),
        (format!("http://{mute}"), "connection closed before message completed"),
        (format!("http://{other}"), "invalid HTTP version parsed"),
        (format!("http://{short}"), "end of file before message length reached"),
        (format!("https://{other}"), "received corrupt message of type InvalidContentType"),
    ];
    for (url, reason) in cases {
        let mut bench = Bench::new(&[BTC], |settings| settings.base_url = format!("{url}/")).await;
        let error = bench.prepare(&[]).await.unwrap_err();
        let expected = format!(
            "candles of BTCUSDT: cannot get {url}/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={}&limit=1000: \
             {reason}",
            at(-10)
        );
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(bench.slept_seconds(), [5, 5]);
    }
}

#[tokio::test]
async fn requests_share_a_connection() {
    for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n[]"] {
        let (address, connections) = parrot(answer.as_bytes(), usize::MAX);
        let exchange = Exchange::new(&format!("http://{address}"), Duration::from_secs(10), TestClock::new());
        for _ in 0..20 {
            let _ = exchange.klines(BTC, START_MS).await;
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_history_that_takes_minutes_is_retried_all_the_same() {
    let mut bench = Bench::new(&[BTC], |settings| settings.history_minutes = 1500).await;
    let clock = Arc::clone(&bench.clock);
    bench.exchange.then(BTC, move |_| clock.advance_ms(150_000));
    bench.exchange.then(BTC, |reply| reply.status = 500);
    bench.prepare(&[]).await.unwrap();
    assert_eq!(bench.next().await, stale(2));
    bench.assert_final(BTC, -1500, 2);
    let from: Vec<_> = bench.exchange.take_asked().iter().map(|asked| asked.from_ms).collect();
    assert_eq!(from, [at(-1500), at(-500), at(-500)], "and not from the beginning");
}

#[tokio::test]
async fn a_run_does_not_start_while_it_is_banned_for_long() {
    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.exchange.then(BTC, too_many(418, Some("61")));
    let error = bench.prepare(&[]).await.unwrap_err();
    assert!(error.contains("The exchange takes no more requests for 61 s"), "{error}");
    assert_eq!(bench.slept_seconds(), Vec::<u64>::new());
}

#[tokio::test]
async fn a_new_symbol_may_have_less_history_but_not_less_than_a_position_needs() {
    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.clock.advance_ms(30_000);
    bench.exchange.listed_ms.store(at(-4), Ordering::SeqCst);
    bench.prepare(&[(BTC, Some(at(-4)))]).await.unwrap();
    bench.assert_final(BTC, -4, 0);

    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.clock.advance_ms(30_000);
    bench.exchange.listed_ms.store(at(-4), Ordering::SeqCst);
    let error = bench.prepare(&[(BTC, Some(at(-5)))]).await.unwrap_err();
    assert_eq!(
        error,
        "candles of BTCUSDT: the exchange has none before 2023-12-31T23:56:00Z, and what an earlier run left behind is \
         judged from 2023-12-31T23:55:00Z on; without them it cannot be resumed"
    );
}

#[tokio::test]
async fn a_symbol_the_market_does_not_have_is_an_error() {
    let mut bench = Bench::new(&[BTC], |_| {}).await;
    bench.market = Market::default();
    assert_eq!(bench.prepare(&[]).await.unwrap_err(), "candles of BTCUSDT: the run does not trade it");
    let next = bench.feed.next(&bench.market, &mut bench.notices).await;
    assert_eq!(next.unwrap_err().to_string(), "candles of BTCUSDT: the run does not trade it");
}

#[tokio::test]
async fn a_symbol_is_one_symbol_whatever_its_letters() {
    let name = "A&B=ü/1 ?#";
    let mut bench = Bench::new(&[name], |_| {}).await;
    bench.prepare(&[]).await.unwrap();
    assert_eq!(bench.exchange.take_asked()[0].symbol, name);
}

#[tokio::test]
async fn symbols_are_fetched_together_but_not_all_at_once() {
    let symbols: Vec<String> = (0..20).map(|index| format!("COIN{index}")).collect();
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut bench = Bench::running(&symbols, |_| {}).await;
    bench.exchange.most_at_once.store(0, Ordering::SeqCst);
    for symbol in &symbols {
        bench.exchange.then(symbol, |reply| reply.delay = Duration::from_millis(100));
    }
    assert_eq!(bench.next().await, boundary(1));
    assert_eq!(bench.exchange.most_at_once.load(Ordering::SeqCst), CONCURRENT_REQUESTS);
    for symbol in &symbols {
        bench.assert_final(symbol, -10, 1);
    }
}

#[tokio::test]
async fn giving_up_on_a_boundary_loses_nothing() {
    let mut bench = Bench::running(&[BTC, ETH], |_| {}).await;
    bench.exchange.then(BTC, |reply| reply.delay = Duration::from_hours(1));
    let next = tokio::time::timeout(Duration::from_millis(300), bench.next()).await;
    assert!(next.is_err());
    assert_eq!(bench.next().await, boundary(1));
    bench.assert_final(BTC, -10, 1);
    bench.assert_final(ETH, -10, 1);
}

#[tokio::test]
async fn an_exchange_with_a_stopped_clock_is_not_believed_to_have_closed_anything() {
    let mut bench = Bench::running(&[BTC], |settings| settings.retry_count = 1).await;
    for _ in 0..20 {
        bench.exchange.then(BTC, |reply| reply.date = Some(http_date(START_MS + 30_000)));
    }
    for _ in 0..5 {
        bench.next().await;
        bench.assert_final(BTC, -10, 0);
        let told = bench.told();
        let expected = "BTCUSDT: the candle of 2024-01-01T00:00:00Z has not closed yet at 2024-01-01T00:00:3";
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    }
}

#[tokio::test]
async fn the_clock_of_this_machine_shows_the_time_and_waits() {
    let before = std::time::SystemTime::now();
    SystemClock.sleep(Duration::from_millis(20)).await;
    let since_epoch = before.duration_since(std::time::UNIX_EPOCH).unwrap();
    let passed_ms = SystemClock.now_ms() - millis(since_epoch);
    assert!((20..10_000).contains(&passed_ms), "{passed_ms}");
}

/// Ends a run after so many boundaries.
struct After(u32, tokio::sync::watch::Sender<crate::Stop>);

impl crate::Sink for After {
    fn tell(&mut self, _: &sigbox_engine::signal::Pair, _: &sigbox_engine::Outcome) -> std::io::Result<()> {
        Ok(())
    }

    fn decided(&mut self, _: i64, _: Duration) {
        self.0 -= 1;
        if self.0 == 0 {
            let _ = self.1.send(crate::Stop::Now);
        }
    }
}

#[tokio::test]
async fn a_symbol_that_ten_strategies_trade_is_fetched_once_a_minute() {
    use sigbox_engine::{Interval, Settings, trader::Answer};

    use crate::{
        Journal, Live, LiveOptions, Native, SEGMENT_BYTES, SeatSetup, Setup, Stop,
        store::{MemoryStore, Stores},
    };

    let Bench { exchange, market, feed, .. } = Bench::new(&[BTC, ETH], |_| {}).await;
    let questions = Arc::new(AtomicUsize::new(0));
    let asks = || {
        let questions = Arc::clone(&questions);
        Native(move |_, _| {
            questions.fetch_add(1, Ordering::SeqCst);
            Answer::Nothing
        })
    };
    let setup = Setup::new("local", market, Settings::default());
    let pairs = (0..10).flat_map(|number| [(number, BTC), (number, ETH)]);
    let setup = pairs.fold(setup, |setup, (number, symbol)| {
        let seat = SeatSetup::new(setup.assign(format!("strategy-{number}"), symbol), Interval::MINUTE, asks());
        setup.seat(seat)
    });
    let dir = tempfile::tempdir().unwrap();
    let options = LiveOptions { lookback_minutes: 100, ..LiveOptions::at(START_MS) };
    let events = dir.path().join("events.jsonl");
    let mut journal = Journal::open(&events, SEGMENT_BYTES, START_MS, |_: &sigbox_events::Event| {}).unwrap();
    let stores = Stores::all_in(&(Arc::new(MemoryStore::new()) as Arc<dyn crate::store::Store>));
    let live = Live::start(setup, stores, feed, options, &mut journal).await.unwrap();
    exchange.take_asked();
    let (sender, stop) = tokio::sync::watch::channel(Stop::No);
    // The candle of the minute that has just ended was not final at the start.
    live.run(&mut (journal, After(6, sender)), stop).await.unwrap();
    let asked = exchange.take_asked();
    for symbol in [BTC, ETH] {
        let minutes: Vec<i64> =
            asked.iter().filter(|asked| asked.symbol == symbol).map(|asked| asked.from_ms).collect();
        assert_eq!(minutes, (-1..5).map(|minute| START_MS + minute * MINUTE_MS).collect::<Vec<_>>(), "{symbol}");
    }
    assert_eq!(questions.load(Ordering::SeqCst), 6 * 20);
}

/// A run whose strategy holds a position on each of `held`, and whose exchange changes its answers about ETH: what it
/// says at its start, and the symbols that it asks for in its next boundary.
async fn started_with(held: &[&str], change: fn(&mut Reply)) -> Result<(String, Vec<String>), String> {
    use sigbox_engine::{Interval, Position, Signal, trader::Answer};

    use crate::{
        Journal, Live, LiveOptions, Native, SEGMENT_BYTES, SeatSetup, Setup, Stop,
        rows::position_document,
        store::{Address, Domain, MemoryStore, Store, Stores},
        testing::{proposal, settings},
    };

    let bench = Bench::new(&[BTC, ETH], |settings| settings.retry_count = 1).await;
    bench.clock.advance_ms(30_000);
    bench.exchange.then(ETH, change);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut setup = Setup::new("local", bench.market.clone(), settings());
    for symbol in [BTC, ETH] {
        let assignment = setup.assign("s", symbol);
        let pair = assignment.pair().clone();
        if held.contains(&symbol) {
            let signal = Signal::restore(proposal("open=100 life=9999"), &pair, at(-3), &settings()).unwrap();
            let position = Position::open(Arc::new(signal), at(-3), at(-3), &settings());
            let document = position_document(&pair, &position);
            store.write_value(&Address::of_pair(Domain::Signal, &pair), &document, 0).await.unwrap();
        }
        setup = setup.seat(SeatSetup::new(assignment, Interval::MINUTE, Native(|_: i64, _: f64| Answer::Nothing)));
    }
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.jsonl");
    let mut journal = Journal::open(&events, SEGMENT_BYTES, START_MS, |_: &sigbox_events::Event| {}).unwrap();
    let options = LiveOptions { lookback_minutes: 100, ..LiveOptions::at(START_MS) };
    let live = Live::start(setup, Stores::all_in(&store), bench.feed, options, &mut journal).await;
    let live = live.map_err(|error| error.to_string())?;
    bench.exchange.take_asked();
    let (sender, stop) = tokio::sync::watch::channel(Stop::No);
    live.run(&mut (journal, After(2, sender)), stop).await.unwrap();
    let mut asked: Vec<String> = bench.exchange.take_asked().into_iter().map(|asked| asked.symbol).collect();
    asked.sort();
    asked.dedup();
    Ok((std::fs::read_to_string(&events).unwrap(), asked))
}

#[tokio::test]
async fn a_symbol_without_candles_keeps_nobody_else_from_being_watched() {
    fn unknown(reply: &mut Reply) {
        reply.status = 400;
        reply.body = Some(br#"{"code":-1121,"msg":"Invalid symbol."}"#.to_vec());
    }
    fn away(reply: &mut Reply) {
        reply.status = 503;
    }
    for held in [&[BTC][..], &[BTC, ETH]] {
        let (events, asked) = started_with(held, unknown).await.unwrap();
        let said = events.lines().find(|line| line.contains("feed_failed")).expect("it is said");
        assert!(said.contains("candles of ETHUSDT: the exchange does not know this symbol"), "{said}");
        assert_eq!(said.contains("; nobody watches position "), held.contains(&ETH), "{said}");
        assert_eq!(asked, [BTC], "what it does not know it is not asked for again");
    }
    let (events, asked) = started_with(&[BTC], away).await.unwrap();
    assert!(events.contains("feed_failed"), "{events}");
    assert_eq!(asked, [BTC, ETH], "what may pass is asked for again");

    // Nobody else needs the run, so the mistake in the configuration is told at once.
    for held in [&[][..], &[ETH]] {
        let error = started_with(held, unknown).await.unwrap_err();
        assert!(error.contains("candles of ETHUSDT: the exchange does not know this symbol"), "{error}");
    }
}
