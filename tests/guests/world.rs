//! What a guest finds when it looks round in a backtest: nothing that is not the same each run.

use super::field::{ASKED_MS, Trading, backtest, deterministic, failure, hostile, once, tight, two_answers};

/// What the hostile strategy saw.
fn seen(mode: &str) -> String {
    two_answers(&deterministic(tight()), once(mode)).0
}

#[test]
fn there_are_no_variables_arguments_folders_or_files() {
    let expected = "get-signal failed: environment: 0 variables, 0 arguments, 0 folders, 0 files, 0 bytes of input, \
                    written: false";
    assert_eq!(seen("environment"), expected);
}

#[test]
fn there_is_no_network_and_no_name_is_looked_up() {
    assert_eq!(seen("network"), "get-signal failed: network: 0 of 9");
}

/// Specification: S-EXC-03.
#[test]
fn every_clock_shows_the_engines_time_and_stands_still() {
    let now_ms = *ASKED_MS;
    assert_eq!(seen("clocks"), format!("get-signal failed: clocks: {now_ms} {now_ms} {now_ms} 0"));
}

#[test]
fn dice_are_the_same_each_run_and_differ_between_strategies() {
    let (sandbox, component) = (deterministic(tight()), hostile());
    let roll = |name: &str| {
        let trading = Trading { name, component: &component, settings: once("random") };
        let record = backtest(&sandbox, &[trading]);
        record.of(name).into_iter().find_map(failure).expect("it tells what it rolled")
    };
    assert_eq!(roll("one"), roll("one"));
    assert_ne!(roll("one"), roll("other"));
    let rolled = roll("one");
    let numbers: Vec<&str> = rolled.rsplit(' ').take(4).collect();
    assert!(numbers.iter().all(|number| number.len() == 16), "{rolled}");
    let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), 4, "each source has dice of its own: {rolled}");
}

#[test]
fn sleeping_takes_no_time() {
    let started = std::time::Instant::now();
    assert_eq!(seen("sleep"), "get-signal failed: slept: 1");
    assert!(started.elapsed().as_secs() < 60, "it asked for an hour");
}

/// Specification: L-LOK-04.
#[test]
fn no_candle_of_the_future_is_shown() {
    assert_eq!(seen("future-candles"), "get-signal failed: future: 0 of 30");
}

#[test]
fn what_cannot_be_had_is_refused_with_the_reason() {
    let cases = [
        (
            "too-many-candles",
            "too-many: 4294967295 candles asked for; one call may ask for 10080 ([limits] candles-per-call)",
        ),
        ("unknown-symbol", "unknown-symbol: there are no candles of NO\\nSUCH; there are candles of BTCUSDT"),
        (
            "unknown-interval",
            "unknown-interval: \"7m\" is not an interval; there are 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d",
        ),
    ];
    for (mode, expected) in cases {
        // The guest hands the message on, and a backslash in it is shown as it is.
        assert_eq!(seen(mode).replace("\\\\", "\\"), format!("get-signal failed: {expected}"), "{mode}");
    }
}
