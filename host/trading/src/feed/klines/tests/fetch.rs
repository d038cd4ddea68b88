//! Fetching into a file: what it ends up with, however it got there.

use std::{fs, path::PathBuf};

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use sigbox_market::candles::{Existing, read_candles, write_candles};
use tempfile::TempDir;

use super::{super::fetch::fetch_by, *};

/// A fetch, the exchange it asks, and the folder it writes to.
struct Place {
    clock: Arc<TestClock>,
    exchange: Arc<LocalExchange>,
    settings: KlinesSettings,
    folder: TempDir,
    progress: Vec<FetchProgress>,
}

impl Place {
    /// At 30 s past the start.
    async fn new() -> Self {
        let clock = TestClock::new();
        clock.advance_ms(30_000);
        let exchange = clock.exchange().await;
        let settings = Bench::settings(&exchange.url);
        Self { clock, exchange, settings, folder: TempDir::new().unwrap(), progress: Vec::new() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Fetches minutes `from` to `to` of BTC into a file, without the directory and the address in errors.
    async fn fetch(&mut self, from: i64, to: Option<i64>, file: &str) -> Result<Fetched, String> {
        let order = FetchOrder { symbol: BTC.to_owned(), from_ms: at(from), to_ms: to.map(at), file: self.path(file) };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let progress = &mut self.progress;
        let fetched = fetch_by(&self.settings, &order, &mut |step| progress.push(step), clock).await;
        let folder = format!("{}/", self.folder.path().display());
        fetched.map_err(|error| error.to_string().replace(&folder, "").replace(&self.exchange.url, "URL"))
    }

    /// Asserts that a file has the candles of these minutes, all of them as they ended up, and the bytes of such a file.
    fn assert_has(&self, file: &str, from: i64, until: i64) {
        let expected: Vec<Candle> = (from..until).map(|minute| candle(at(minute))).collect();
        assert!(read_candles(&self.path(file), Gaps::Refuse).unwrap() == expected, "{file}");
        let at_once = self.path(&format!("at-once-{file}"));
        write_candles(&at_once, &expected, Existing::Replace).unwrap();
        assert!(fs::read(self.path(file)).unwrap() == fs::read(at_once).unwrap(), "{file}");
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("at-once"));
        names.sort();
        names
    }

    fn asked(&self) -> Vec<i64> {
        self.exchange.take_asked().iter().map(|asked| (asked.from_ms - START_MS) / MINUTE_MS).collect()
    }
}

const BOTH: [&str; 2] = ["btc.csv", "btc.parquet"];

#[tokio::test]
async fn a_span_is_fetched_page_by_page_into_either_format() {
    for file in BOTH {
        let mut place = Place::new().await;
        let fetched = place.fetch(-2500, Some(-100), file).await.unwrap();
        assert_eq!(fetched, Fetched { first_ms: at(-2500), end_ms: at(-100), resumed_at_ms: None });
        place.assert_has(file, -2500, -100);
        assert_eq!(place.files(), [file], "nothing is left beside it");
        assert_eq!(place.asked(), [-2500, -1500, -500]);
        let reached = [-1500, -500, -100].map(|end| FetchProgress::Reached { end_ms: at(end), goal_ms: at(-100) });
        assert_eq!(place.progress, reached);
    }
}

#[tokio::test]
async fn without_an_end_it_goes_to_the_newest_candle_that_has_closed() {
    for file in BOTH {
        for to in [None, Some(0), Some(1000)] {
            let mut place = Place::new().await;
            assert_eq!(place.fetch(-1200, to, file).await.unwrap().end_ms, at(0));
            place.assert_has(file, -1200, 0);
        }
    }
    // Not settled yet: it may still change.
    let mut place = Place::new().await;
    place.clock.advance_ms(-30_000);
    assert_eq!(place.fetch(-10, None, "btc.csv").await.unwrap().end_ms, at(-1));
    // An exchange that does not tell the time has finished what is before the newest one.
    let mut place = Place::new().await;
    place.exchange.then(BTC, |reply| reply.date = None);
    place.fetch(-10, None, "btc.csv").await.unwrap();
    place.assert_has("btc.csv", -10, 0);
}

#[tokio::test]
async fn a_later_fetch_goes_on_where_the_file_ends_and_looks_at_the_seam() {
    for file in BOTH {
        let mut place = Place::new().await;
        place.fetch(-3000, Some(-1700), file).await.unwrap();
        place.exchange.take_asked();
        let fetched = place.fetch(-3000, None, file).await.unwrap();
        assert_eq!(fetched, Fetched { first_ms: at(-3000), end_ms: at(0), resumed_at_ms: Some(at(-1700)) });
        place.assert_has(file, -3000, 0);
        assert_eq!(place.asked(), [-1701, -701]);

        // There is nothing to do, and nothing is asked for.
        place.fetch(-3000, Some(-5), file).await.unwrap();
        place.assert_has(file, -3000, 0);
        assert_eq!(place.asked(), Vec::<i64>::new());
        // A minute later there is one more.
        place.clock.advance_ms(60_000);
        place.fetch(-3000, None, file).await.unwrap();
        place.assert_has(file, -3000, 1);
    }
}

#[tokio::test]
async fn a_file_of_another_market_is_left_as_it_is() {
    for file in BOTH {
        let mut place = Place::new().await;
        place.fetch(-20, Some(-10), file).await.unwrap();
        let before = fs::read(place.path(file)).unwrap();
        place.exchange.then(BTC, |reply| reply.klines[0] = words(&flat(at(-11), 7.0)));
        let refused = place.fetch(-20, None, file).await.unwrap_err();
        let shown = if file == "btc.csv" { "btc.csv" } else { "btc.parquet.part.csv" };
        assert_eq!(
            refused,
            format!(
                "the candle of 2023-12-31T23:49:00Z is another one in {shown} than at the exchange; is it of another \
                 symbol or exchange? Move the file away, or name another one"
            )
        );
        assert!(fs::read(place.path(file)).unwrap() == before);
    }
}

#[tokio::test]
async fn a_file_that_begins_elsewhere_is_not_gone_on_with() {
    let mut place = Place::new().await;
    place.fetch(-20, Some(-10), "btc.csv").await.unwrap();
    for (from, shown) in [(-25, "23:35"), (-15, "23:45")] {
        assert_eq!(
            place.fetch(from, None, "btc.csv").await.unwrap_err(),
            format!(
                "btc.csv begins with the candle of 2023-12-31T23:40:00Z, and the one of 2023-12-31T{shown}:00Z was asked \
                 for; fetch from there, or into another file"
            )
        );
    }
    place.assert_has("btc.csv", -20, -10);
}

#[tokio::test]
async fn a_symbol_that_is_younger_begins_with_its_first_candle_each_time() {
    for file in BOTH {
        let mut place = Place::new().await;
        place.exchange.listed_ms.store(at(-1500), Ordering::SeqCst);
        place.fetch(-9000, Some(-1000), file).await.unwrap();
        let fetched = place.fetch(-9000, None, file).await.unwrap();
        assert_eq!((fetched.first_ms, fetched.end_ms), (at(-1500), at(0)));
        place.assert_has(file, -1500, 0);
    }
}

#[tokio::test]
async fn trouble_that_passes_is_retried_and_a_pause_is_kept() {
    let mut place = Place::new().await;
    place.exchange.then(BTC, |reply| reply.status = 500);
    place.exchange.then(BTC, too_many(429, Some("90")));
    place.fetch(-1500, None, "btc.csv").await.unwrap();
    place.assert_has("btc.csv", -1500, 2);
    assert_eq!(place.clock.sleeps.lock().unwrap().iter().map(Duration::as_secs).collect::<Vec<_>>(), [5, 90]);
    let waits: Vec<_> = place.progress.iter().filter(|step| matches!(step, FetchProgress::Waiting { .. })).collect();
    assert_eq!(waits.len(), 2);
    let FetchProgress::Waiting { until_ms, error } = waits[1] else { unreachable!() };
    assert_eq!(*until_ms, START_MS + 125_000);
    assert!(error.contains("was answered with HTTP 429: ") && error.contains("for 90 s"), "{error}");
}

#[tokio::test]
async fn what_does_not_pass_ends_it_and_what_it_had_is_kept() {
    type Fault = (fn(&mut Reply), &'static str);
    let faults: [Fault; 4] = [
        (|reply| reply.status = 502, "was answered with HTTP 502: "),
        (|reply| drop(reply.klines.remove(7)), "1 min of candles are missing, from "),
        (|reply| reply.klines[5] = words(&flat(at(-1495), 0.01)), "a price of the candle of "),
        (|reply| reply.body = Some(b"<html>".to_vec()), "it is not a list of klines"),
    ];
    for file in BOTH {
        for (fault, words) in faults {
            let mut place = Place::new().await;
            place.exchange.then(BTC, |_| {});
            for _ in 0..3 {
                place.exchange.then(BTC, fault);
            }
            let error = place.fetch(-2500, None, file).await.unwrap_err();
            assert!(error.starts_with("candles of BTCUSDT: ") && error.contains(words), "{words}: {error}");
            assert_eq!(place.asked(), [-2500, -1500, -1500, -1500]);
            let kept = if file == "btc.csv" { "btc.csv" } else { "btc.parquet.part.csv" };
            assert_eq!(place.files(), [kept]);
            place.assert_has(kept, -2500, -1500);
            place.fetch(-2500, None, file).await.unwrap();
            place.assert_has(file, -2500, 0);
            assert_eq!(place.files(), [file]);
        }
    }
}

#[tokio::test]
async fn a_ban_for_long_and_a_symbol_that_is_not_there_end_it_at_once() {
    let mut place = Place::new().await;
    place.exchange.then(BTC, too_many(418, Some("601")));
    let error = place.fetch(-10, None, "btc.csv").await.unwrap_err();
    assert!(error.contains("The exchange takes no more requests for 601 s"), "{error}");
    place.exchange.then(BTC, |reply| {
        reply.status = 400;
        reply.body = Some(br#"{"code":-1121,"msg":"Invalid symbol."}"#.to_vec());
    });
    let error = place.fetch(-10, None, "btc.csv").await.unwrap_err();
    assert!(error.starts_with("candles of BTCUSDT: the exchange does not know this symbol; "), "{error}");
    place.exchange.listed_ms.store(at(100), Ordering::SeqCst);
    let error = place.fetch(-10, Some(-5), "btc.csv").await.unwrap_err();
    let expected = "candles of BTCUSDT: none has closed between 2023-12-31T23:50:00Z and 2023-12-31T23:55:00Z, by the \
                    exchange's clock; is it still traded there?";
    assert_eq!(error, expected);
    assert_eq!(place.asked().len(), 3);
    assert_eq!(place.files(), Vec::<String>::new(), "nothing is left of what brought nothing");
}

#[tokio::test]
async fn what_lies_beyond_the_end_is_not_looked_at() {
    let mut place = Place::new().await;
    place.exchange.then(BTC, |reply| drop(reply.klines.remove(15)));
    place.fetch(-100, Some(-90), "btc.csv").await.unwrap();
    place.assert_has("btc.csv", -100, -90);
}

/// The exchange lost some minutes for good, and `gaps = "fill"` is set. However the file was cut off, what follows fills
/// the same minutes.
#[tokio::test]
async fn filled_gaps_are_the_same_after_an_interruption() {
    let mut place = Place::new().await;
    place.settings.gaps = Gaps::Fill;
    place.exchange.lose(at(-1990)..at(-1900));
    place.exchange.lose(at(-1005)..at(-995));
    place.fetch(-2000, None, "whole.csv").await.unwrap();
    let whole = fs::read(place.path("whole.csv")).unwrap();
    assert_eq!(read_candles(&place.path("whole.csv"), Gaps::Refuse).unwrap().len(), 2000);
    for length in (0..whole.len()).step_by(1097) {
        fs::write(place.path("cut.csv"), &whole[..length]).unwrap();
        place.fetch(-2000, None, "cut.csv").await.unwrap();
        assert!(fs::read(place.path("cut.csv")).unwrap() == whole, "{length}");
    }
}

#[tokio::test]
async fn a_parquet_file_and_its_part_go_on_together_whatever_was_left() {
    let mut place = Place::new().await;
    place.fetch(-1300, Some(-600), "early.parquet").await.unwrap();
    place.fetch(-1300, Some(-600), "early.csv").await.unwrap();
    place.fetch(-1300, Some(-400), "late.parquet").await.unwrap();
    place.fetch(-1300, Some(-400), "late.csv").await.unwrap();
    // Killed while the finished file was copied to its part; after candles were added; before the part was removed; and
    // a part that was forgotten beside a file that somebody else has finished.
    let early = fs::read(place.path("early.csv")).unwrap();
    for (file, part) in [
        ("early.parquet", &early[..early.len() / 2]),
        ("early.parquet", &early[..10]),
        ("early.parquet", &fs::read(place.path("late.csv")).unwrap()),
        ("late.parquet", &fs::read(place.path("late.csv")).unwrap()),
        ("late.parquet", &early),
    ] {
        fs::copy(place.path(file), place.path("btc.parquet")).unwrap();
        fs::write(place.path("btc.parquet.part.csv"), part).unwrap();
        // And killed while the file was written.
        fs::write(place.path(".tmp-x7Y-btc.parquet"), b"PAR1").unwrap();
        fs::write(place.path(".tmp-x7Y-other.parquet"), b"PAR1").unwrap();
        place.fetch(-1300, Some(-300), "btc.parquet").await.unwrap();
        assert!(!place.path(".tmp-x7Y-btc.parquet").exists() && place.path(".tmp-x7Y-other.parquet").exists());
        place.assert_has("btc.parquet", -1300, -300);
        assert!(!place.path("btc.parquet.part.csv").exists());
    }
    // They disagree.
    let other: Vec<Candle> = (-1300..-1200).map(|minute| flat(at(minute), 7.0)).collect();
    write_candles(&place.path("btc.parquet.part.csv"), &other, Existing::Replace).unwrap();
    assert_eq!(
        place.fetch(-1300, Some(-200), "btc.parquet").await.unwrap_err(),
        "the candle of 2023-12-31T02:20:00Z is another one in btc.parquet.part.csv than in btc.parquet; is it of another \
         symbol or exchange? Move the file away, or name another one"
    );
    place.assert_has("btc.parquet", -1300, -300);
}

#[tokio::test]
async fn files_of_others_are_left_as_they_are() {
    let mut place = Place::new().await;
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../market/src/candles/fixtures/pandas.parquet");
    fs::copy(fixture, place.path("btc.parquet")).unwrap();
    fs::write(place.path("btc.csv"), "Date,Open,High,Low,Close,Volume\n").unwrap();
    for file in BOTH {
        let expected = format!(
            "{file} was not written by sigbox, and is left as it is; name another file, or make one from it with `sigbox \
             candles convert`"
        );
        assert_eq!(place.fetch(-10, None, file).await.unwrap_err(), expected);
    }
    assert!(fs::read(place.path("btc.parquet")).unwrap() == fs::read(fixture).unwrap());
    assert_eq!(
        place.fetch(-10, None, "btc.txt").await.unwrap_err(),
        "btc.txt ends neither in .csv nor in .parquet, which says how to write it"
    );
}

/// Gives up at a random moment again and again.
#[tokio::test(flavor = "multi_thread")]
async fn giving_up_at_any_time_leaves_a_file_that_goes_on() {
    for file in BOTH {
        let mut place = Place::new().await;
        let mut random = TestRunner::deterministic();
        let mut rounds: u64 = 0;
        loop {
            rounds += 1;
            // Longer from round to round, so that a busy machine gets there too.
            let wait = (1..30 + rounds).new_tree(&mut random).unwrap().current();
            let order = FetchOrder { symbol: BTC.to_owned(), from_ms: at(-9500), to_ms: None, file: place.path(file) };
            let clock = Arc::clone(&place.clock) as Arc<dyn Clock>;
            let mut unheard = |_| {};
            let fetch = fetch_by(&place.settings, &order, &mut unheard, clock);
            if tokio::time::timeout(Duration::from_millis(wait), fetch).await.is_ok_and(|done| done.is_ok()) {
                break;
            }
            assert!(rounds < 10_000, "it does not get anywhere");
        }
        place.progress.clear();
        place.assert_has(file, -9500, 0);
        assert_eq!(place.files(), [file]);
    }
}
