//! Strategies that answer nonsense: it is told apart, nothing is opened, and the instance lives on.

use super::field::{Trading, backtest, deterministic, hostile, once, once_by, resident_bytes, tight, two_answers};

#[test]
fn impossible_prices_are_refused_rule_by_rule() {
    let (sandbox, component) = (deterministic(tight()), hostile());
    let cases = [
        ("nan-prices", "Invalid { violations: [PriceNotFinite(TakeProfit), PriceNotFinite(StopLoss)]"),
        (
            "infinite-prices",
            "Invalid { violations: [PriceNotFinite(Open), PriceNotFinite(TakeProfit), PriceNotFinite(StopLoss)]",
        ),
        (
            "negative-prices",
            "Invalid { violations: [PriceNotPositive(Open), PriceNotPositive(TakeProfit), PriceNotPositive(StopLoss)",
        ),
        (
            "zero-prices",
            "Invalid { violations: [PriceNotPositive(Open), PriceNotPositive(TakeProfit), PriceNotPositive(StopLoss)",
        ),
        ("wrong-side", "Invalid { violations: [TakeProfitWrongSide(Long), StopLossWrongSide(Long)"),
        ("foreign-symbol", "SymbolMismatch { symbol: \"SOMEBODYELSE\""),
    ];
    for (mode, expected) in cases {
        let trading = Trading { name: "hostile", component: &component, settings: once(mode) };
        let record = backtest(&sandbox, &[trading]);
        let outcomes = record.of("hostile");
        assert!(outcomes[0].starts_with(expected), "{mode}: {}", outcomes[0]);
        assert!(outcomes[1].starts_with("Idle"), "{mode}: {}", outcomes[1]);
        assert!(outcomes[2].contains("calls: 2"), "{mode}: the same instance goes on: {}", outcomes[2]);
        assert!(!outcomes.iter().any(|outcome| outcome.starts_with("Opened")), "{mode}");
    }
}

#[test]
fn texts_beyond_their_bounds_are_refused_as_an_answer() {
    let sandbox = deterministic(tight());
    let cases = [
        (once_by("long-id", 257), "answered with 257 bytes of id; at most 256 are accepted"),
        (once_by("long-symbol", 1000), "answered with 1000 bytes of symbol; at most 256 are accepted"),
        (once_by("long-note", 4097), "answered with 4097 bytes of note; at most 4096 are accepted"),
        (
            once("forged-id"),
            "answered with control characters in id \"a\\\\r\\\\n2024-01-01 ERROR forged\\\\u{1b}[2J\\\\u{9b}31m\
             \\\\u{2028}b\\\\u{202e}c\\\\u{0}d\"",
        ),
    ];
    for (settings, expected) in cases {
        let (first, second) = two_answers(&sandbox, settings);
        assert_eq!(first, format!("plugin hostile: get-signal: {expected}"));
        assert_eq!(second, "get-signal failed: calls: 2");
    }
}

#[test]
fn texts_at_their_bounds_are_kept_verbatim() {
    let (sandbox, component) = (deterministic(tight()), hostile());
    for (settings, length) in [(once_by("long-id", 256), 256), (once_by("long-note", 4096), 4096)] {
        let trading = Trading { name: "hostile", component: &component, settings };
        let record = backtest(&sandbox, &[trading]);
        let opened = record.of("hostile")[0];
        assert!(opened.starts_with("Opened"), "{opened}");
        assert!(opened.contains(&format!("\"{}\"", "x".repeat(length))), "{opened}");
    }
}

#[test]
fn messages_are_cut_and_made_printable() {
    let sandbox = deterministic(tight());
    let (long, _) = two_answers(&sandbox, once_by("long-failure", 400 << 10));
    assert!(long.starts_with("get-signal failed: xxxx") && long.ends_with("x…"), "{long}");
    assert!(long.len() < 2 * 2048 + 100, "{} bytes", long.len());
    let (forged, _) = two_answers(&sandbox, once("forged-failure"));
    assert_eq!(
        forged.replace("\\\\", "\\"),
        "get-signal failed: a\\nb: a\\n    2024-01-01 ERROR forged\\u{1b}[2J\\u{9b}31m\\u{2028}b\\u{202e}c\\u{0}d"
    );
}

#[test]
fn more_than_may_be_handed_over_at_once_ends_the_call() {
    let before = resident_bytes();
    let sandbox = deterministic(tight());
    for mode in ["long-failure", "long-id", "long-note", "long-symbol", "long-log"] {
        let (first, second) = two_answers(&sandbox, once_by(mode, 2 << 20));
        assert_eq!(first, "plugin hostile: get-signal: handed more than 1024 KiB to the host at once", "{mode}");
        assert_eq!(second, "get-signal failed: calls: 1", "{mode}: a fresh instance answers");
        let (first, second) = two_answers(&sandbox, once_by(mode, 100 << 20));
        let expected = "plugin hostile: get-signal: wanted more than its 64 MiB of memory ([limits] memory-mib)";
        assert_eq!(first, expected, "{mode}");
        assert_eq!(second, "get-signal failed: calls: 1", "{mode}: a fresh instance answers");
    }
    // Other tests of this process share it.
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 512 << 20, "{} MiB more", growth >> 20);
}
