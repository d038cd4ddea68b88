//! `sigbox candles fetch`, from a real server: what the file ends up with, whatever happens on the way.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sigbox::market::candles::{Existing, write_candles};
use sigbox_engine::{Candle, MINUTE_MS};
use sigbox_test_exchange::{LocalExchange, Reply, START_MS, candle};
use tokio::runtime::Runtime;

use crate::support::{Running, Workplace, slow_tests};

/// When it is at the exchange, always.
const NOW_MS: i64 = START_MS + 30_000;

/// An exchange, and a place to fetch to. No configuration, so that retries are those of the defaults.
struct Market {
    exchange: Arc<LocalExchange>,
    workplace: Workplace,
    _runtime: Runtime,
}

impl Market {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let exchange = runtime.block_on(LocalExchange::start(|| NOW_MS));
        Self { exchange, workplace: Workplace::empty(), _runtime: runtime }
    }

    /// The command line for the minutes from `from` on, before or after the start.
    fn arguments(&self, from: i64, more: &[&str]) -> Vec<String> {
        let from = time(from);
        let fixed = ["candles", "fetch", "BTCUSDT", "--base-url", &self.exchange.url, "--from", &from];
        fixed.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
    }

    fn start(&self, from: i64, more: &[&str]) -> Running {
        let arguments = self.arguments(from, more);
        self.workplace.start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What it says, without the address and the clock's complaint: the exchange's is years behind.
    fn fetch(&self, from: i64, more: &[&str]) -> (Option<i32>, String, String) {
        let finished = self.start(from, more).wait();
        let stderr = finished.stderr.replace(&self.exchange.url, "URL");
        let lines =
            stderr.lines().filter(|line| !line.contains("the clock of this machine is not that of the exchange"));
        (finished.code(), finished.stdout.clone(), lines.collect::<Vec<_>>().join("\n"))
    }

    fn assert_has(&self, file: &str, from: i64, until: i64) {
        let expected: Vec<Candle> = (from..until).map(|minute| candle(at(minute))).collect();
        let (expected_file, found) = (self.workplace.path(&format!("expected-{file}")), self.workplace.path(file));
        write_candles(&expected_file, &expected, Existing::Replace).unwrap();
        assert!(fs::read(found).unwrap() == fs::read(expected_file).unwrap(), "{file}");
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.workplace.path("")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("expected-"));
        names.sort();
        names
    }
}

fn at(minute: i64) -> i64 {
    START_MS + minute * MINUTE_MS
}

fn time(minute: i64) -> String {
    at(minute).to_string()
}

const BOTH: [&str; 2] = ["btc.csv", "btc.parquet"];

#[test]
fn the_past_of_a_symbol_ends_up_in_a_file_that_a_backtest_takes() {
    for file in BOTH {
        let market = Market::new();
        let (code, said, _) = market.fetch(-2880, &["--out", file]);
        let expected = format!("{file} has 2,880 candles of BTCUSDT, 2023-12-30T00:00:00Z to 2023-12-31T23:59:00Z.\n");
        assert_eq!((code, said), (Some(0), expected));
        market.assert_has(file, -2880, 0);
        let said = market.workplace.succeed(&["candles", "check", file]).stdout;
        assert!(
            said.ends_with("2,880 candles of 1m, 2023-12-30T00:00:00Z to 2023-12-31T23:59:00Z, no problem\n"),
            "{said}"
        );
        assert_eq!(market.files(), [file]);
    }
}

/// The candle of the minute that the exchange is in is shown, and changes until it ends.
#[test]
fn a_candle_that_is_forming_is_not_kept_and_a_later_fetch_has_it() {
    let market = Market::new();
    let (code, said, _) = market.fetch(-10, &["--out", "btc.csv", "--to", "2024-01-01T00:05Z"]);
    let expected = "btc.csv has 10 candles of BTCUSDT, 2023-12-31T23:50:00Z to 2023-12-31T23:59:00Z.\nThe exchange has none \
                    after, or none that has closed.\n";
    assert_eq!((code, said.as_str()), (Some(0), expected));
    market.assert_has("btc.csv", -10, 0);

    market.exchange.ahead_ms.store(60_000, Ordering::SeqCst);
    let (code, said, _) = market.fetch(-10, &["--out", "btc.csv"]);
    let expected = "Candles until 2024-01-01T00:00:00Z were there already.\nbtc.csv has 11 candles of BTCUSDT, \
                    2023-12-31T23:50:00Z to 2024-01-01T00:00:00Z.\n";
    assert_eq!((code, said.as_str()), (Some(0), expected));
    market.assert_has("btc.csv", -10, 1);
}

#[test]
fn what_the_exchange_refuses_is_said_and_what_came_before_is_kept() {
    let invalid = |reply: &mut Reply| {
        reply.status = 400;
        reply.body = Some(br#"{"code":-1121,"msg":"Invalid symbol."}"#.to_vec());
    };
    let query = "URL/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime";
    let market = Market::new();
    market.exchange.then("BTCUSDT", invalid);
    let (code, _, said) = market.fetch(-10, &["--out", "btc.csv"]);
    let expected = format!(
        "error: candles of BTCUSDT: the exchange does not know this symbol; correct it on the command line, or in `symbols` \
         of [[strategies]] ({query}={}&limit=1000: {{\"code\":-1121,\"msg\":\"Invalid symbol.\"}})",
        at(-10)
    );
    assert_eq!((code, said), (Some(4), expected));
    assert_eq!(market.files(), Vec::<String>::new());

    market.exchange.then("BTCUSDT", |_| {});
    market.exchange.then("BTCUSDT", |reply| {
        reply.status = 418;
        reply.body = Some(b"banned".to_vec());
        reply.headers.push(("retry-after", "3600".to_owned()));
    });
    let (code, _, said) = market.fetch(-1500, &["--out", "btc.csv"]);
    let expected = format!(
        "error: candles of BTCUSDT: {query}={}&limit=1000 was answered with HTTP 418: banned. The exchange takes no more \
         requests for 3600 s; it also counts those of other programs on this address",
        at(-500)
    );
    assert_eq!((code, said), (Some(4), expected));
    market.assert_has("btc.csv", -1500, -500);
    assert_eq!(market.fetch(-1500, &["--out", "btc.csv"]).0, Some(0));
    market.assert_has("btc.csv", -1500, 0);
}

#[test]
fn a_pause_that_the_exchange_asks_for_is_kept_and_said() {
    let market = Market::new();
    market.exchange.then("BTCUSDT", |reply| {
        reply.status = 429;
        reply.headers.push(("retry-after", "1".to_owned()));
    });
    // The pause between two attempts is the longer one, so it is made short.
    market
        .workplace
        .configure(&crate::support::Configuration::sma_cross(1).section("[engine]\nget-candles-retry-delay-ms = 1"));
    let (code, _, said) = market.fetch(-10, &["--out", "btc.csv"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("trying again at ") && said.contains("takes no more requests for 1 s"), "{said}");
    market.assert_has("btc.csv", -10, 0);
}

#[test]
fn gaps_are_refused_or_filled() {
    let market = Market::new();
    market.exchange.lose(at(-30)..at(-28));
    market
        .workplace
        .configure(&crate::support::Configuration::sma_cross(1).section("[engine]\nget-candles-retry-delay-ms = 1"));
    let (code, _, said) = market.fetch(-100, &["--out", "btc.csv"]);
    assert_eq!(code, Some(4));
    let advice = "2 min of candles are missing, from 2023-12-31T23:30:00Z to 2023-12-31T23:32:00Z; if the exchange will never \
                  have them, set [candles] gaps = \"fill\"";
    assert!(said.ends_with(advice), "{said}");
    let (code, said, _) = market.fetch(-100, &["--out", "btc.csv", "--gaps", "fill"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("btc.csv has 100 candles of BTCUSDT, "), "{said}");
}

#[test]
fn two_at_a_time_do_not_write_one_file() {
    let market = Market::new();
    market.exchange.then("BTCUSDT", |_| {});
    market.exchange.then("BTCUSDT", |reply| reply.delay = Duration::from_secs(60));
    let mut first = market.start(-1500, &["--out", "btc.csv"]);
    let file = market.workplace.path("btc.csv");
    first.until("the first page", || fs::metadata(&file).is_ok_and(|file| file.len() > 1000));
    let (code, _, said) = market.fetch(-1500, &["--out", "btc.csv"]);
    let expected = "error: btc.csv is being written by another process; wait for it, or name another file";
    assert_eq!((code, said.as_str()), (Some(4), expected));
}

/// Kills the process at random moments until it is done by itself.
#[test]
fn killed_at_any_moment_it_goes_on_and_ends_with_the_same_bytes() {
    let (times, pages) = if slow_tests() { (100, 60) } else { (15, 20) };
    for file in BOTH {
        let market = Market::new();
        let from = -pages * 1000 + 17;
        let mut kills = 0;
        let mut longest = Duration::from_millis(400);
        loop {
            // It may be killed before it has started, while it asks, and while it writes.
            let wait = longest.mul_f64(fastrand::f64());
            match market.start(from, &["--out", file]).wait_for(wait) {
                Ok(finished) => {
                    assert_eq!(finished.code(), Some(0), "{finished:?}");
                    market.assert_has(file, from, 0);
                    assert_eq!(market.files(), [file], "nothing is left beside it");
                    if kills >= times {
                        break;
                    }
                    fs::remove_file(market.workplace.path(file)).unwrap();
                }
                Err(running) => {
                    running.kill();
                    kills += 1;
                    // On a busy machine it gets nowhere in this time.
                    longest = longest.mul_f64(1.02);
                }
            }
        }
        assert!(market.exchange.take_asked().len() > usize::try_from(pages).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn interrupted_it_ends_at_once_and_says_how_to_go_on() {
    for file in BOTH {
        let market = Market::new();
        market.exchange.then("BTCUSDT", |_| {});
        market.exchange.then("BTCUSDT", |reply| reply.delay = Duration::from_secs(60));
        let mut running = market.start(-1500, &["--out", file]);
        let growing = if file == "btc.csv" { "btc.csv" } else { "btc.parquet.part.csv" };
        let path = market.workplace.path(growing);
        running.until("the first page", || fs::metadata(&path).is_ok_and(|file| file.len() > 1000));
        running.signal(rustix::process::Signal::INT);
        let finished = running.wait();
        assert_eq!(finished.code(), Some(130), "{finished:?}");
        let said = "error: interrupted; what has come is kept, and the same command goes on from there\n";
        assert!(finished.stderr.ends_with(said), "{finished:?}");
        market.assert_has(growing, -1500, -500);

        let (code, said, _) = market.fetch(-1500, &["--out", file]);
        assert_eq!(code, Some(0));
        assert!(said.starts_with("Candles until 2023-12-31T15:40:00Z were there already.\n"), "{said}");
        market.assert_has(file, -1500, 0);
    }
}
