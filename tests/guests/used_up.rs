//! Strategies that break down or use up what they have, in backtests: it costs them their memory and nobody anything.

use serde_json::{Value, json};
use sigbox::sandbox::Limits;
use tempfile::tempdir;

use super::{
    field::{
        Record, Trading, backtest, deterministic, failure, hostile, once, once_by, resident_bytes, start, tight,
        two_answers,
    },
    text_component::{TextStrategy, words},
};
use crate::support::plugin;

const OUT_OF_FUEL: &str = "used up its 20000000 units of fuel for one call ([limits] fuel-per-call)";
const OUT_OF_MEMORY: &str = "wanted more than its 64 MiB of memory ([limits] memory-mib)";

/// Each way to break down, and what is said of it; `…` stands for what is not the same on every machine.
fn breakdowns() -> Vec<(Value, &'static str)> {
    vec![
        (once("spin"), OUT_OF_FUEL),
        (once("spin-on-clock"), OUT_OF_FUEL),
        (once("candles-forever"), OUT_OF_FUEL),
        (once("next-candles-forever"), OUT_OF_FUEL),
        (once("average-forever"), OUT_OF_FUEL),
        (once_by("log-forever", 100), OUT_OF_FUEL),
        (once_by("log-forever", 500 << 10), OUT_OF_FUEL),
        (once_by("print-forever", 100), OUT_OF_FUEL),
        (once_by("print-forever", 1 << 20), OUT_OF_FUEL),
        (once_by("write-forever", 1_000_000), OUT_OF_FUEL),
        (once_by("poll-forever", 60_000), OUT_OF_FUEL),
        (once_by("random-forever", 8), OUT_OF_FUEL),
        (once_by("random-forever", 64 << 10), OUT_OF_FUEL),
        (once("trades-forever"), OUT_OF_FUEL),
        (once("source-forever"), "trapped: called sigbox:host/source, but it was given no text…"),
        (once_by("remember-forever", 0), OUT_OF_FUEL),
        (once_by("remember-forever", 15 << 10), OUT_OF_FUEL),
        (once_by("remember-forever", 100 << 10), OUT_OF_FUEL),
        (
            once_by("random-forever", 1 << 20),
            "trapped: 1048576 random bytes asked for; one call may ask for 65536, in …",
        ),
        (once_by("long-note", 100 << 20), OUT_OF_MEMORY),
        (once("recurse"), "trapped: call stack exhausted, in hostile_strategy::recurse…"),
        (once("leak-handles"), "trapped: resource table has no free keys, in …"),
        (once("panic"), "trapped: wasm `unreachable` instruction executed, in abort < …"),
        (once("exit"), "trapped: Exited with i32 exit status 0, in …"),
    ]
}

fn assert_like(found: &str, expected: &str) {
    match expected.split_once('…') {
        Some((start, _)) => assert!(found.starts_with(start), "{found:?} is not like {expected:?}"),
        None => assert_eq!(found, expected),
    }
}

/// The hostile strategy between two that trade.
fn among_neighbours(settings: Value) -> Record {
    let (cross, component) = (plugin("strategies/sma-cross"), hostile());
    let quick = json!({ "fast": 2, "slow": 5, "minutes": 3 });
    backtest(
        &deterministic(tight()),
        &[
            Trading { name: "before", component: &cross, settings: quick.clone() },
            Trading { name: "hostile", component: &component, settings },
            Trading { name: "after", component: &cross, settings: quick },
        ],
    )
}

fn alone(name: &str) -> Record {
    let cross = plugin("strategies/sma-cross");
    let settings = json!({ "fast": 2, "slow": 5, "minutes": 3 });
    backtest(&deterministic(tight()), &[Trading { name, component: &cross, settings }])
}

#[test]
fn a_breakdown_is_told_and_a_fresh_instance_answers_next() {
    let sandbox = deterministic(tight());
    for (settings, expected) in breakdowns() {
        let (first, second) = two_answers(&sandbox, settings.clone());
        assert_like(&first, &format!("plugin hostile: get-signal: {expected}"));
        assert_eq!(second, "get-signal failed: calls: 1", "{settings}");
    }
}

#[test]
fn memory_without_end_is_refused() {
    let sandbox = deterministic(Limits { fuel_per_call: 200_000_000, ..Limits::default() });
    let before = resident_bytes();
    let (first, second) = two_answers(&sandbox, once("allocate"));
    assert_eq!(first, format!("plugin hostile: get-signal: {OUT_OF_MEMORY}"));
    assert_eq!(second, "get-signal failed: calls: 1");
    // Other tests of this process share it.
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 512 << 20, "{} MiB more", growth >> 20);
}

#[test]
fn a_refusal_the_guest_survived_is_not_blamed_for_what_comes_later() {
    let mut settings = once("survive-refusal");
    settings["at"] = json!([]);
    let (first, second) = two_answers(&deterministic(tight()), settings);
    assert_eq!(first, "get-signal failed: refused: true");
    assert_like(&second, "plugin hostile: get-signal: trapped: wasm `unreachable` instruction executed, in …");
}

#[test]
fn neighbours_notice_nothing_and_two_runs_are_the_same_to_the_letter() {
    let expected = [alone("before"), alone("after")];
    assert!(expected[0].of("before").iter().any(|outcome| outcome.starts_with("Opened")), "neighbours trade");
    for (settings, _) in breakdowns() {
        let run = among_neighbours(settings.clone());
        assert_eq!(run.of("before"), expected[0].of("before"), "{settings}");
        assert_eq!(run.of("after"), expected[1].of("after"), "{settings}");
        assert_eq!(run, among_neighbours(settings.clone()), "{settings}");
        let answers = run.of("hostile").into_iter().filter(|outcome| outcome.starts_with("StrategyFailed"));
        assert_eq!(answers.count(), 15, "{settings}: it was asked at every minute of the run");
        assert!(!run.of("hostile").iter().any(|outcome| outcome.starts_with("Opened")), "{settings}");
    }
}

#[test]
fn a_strategy_that_always_breaks_down_is_asked_to_the_end() {
    let mut settings = once("panic");
    settings["at"] = json!([]);
    let run = among_neighbours(settings);
    let failures: Vec<_> = run.of("hostile").into_iter().filter_map(failure).collect();
    assert_eq!(failures.len(), 15);
    assert!(failures.iter().all(|message| *message == failures[0]), "{failures:?}");
}

#[test]
fn a_strategy_that_gives_up_is_not_asked_again() {
    let run = among_neighbours(once("retire"));
    let failures: Vec<_> = run.of("hostile").into_iter().filter_map(failure).collect();
    assert_eq!(failures, ["get-signal failed: tired: that is enough; it asked to be retired for the rest of the run"]);
}

#[test]
fn a_strategy_that_cannot_start_keeps_the_run_from_starting() {
    let sandbox = deterministic(tight());
    let cases = [
        ("spin-in-start", format!("plugin hostile: start: {OUT_OF_FUEL}")),
        ("panic-in-start", "plugin hostile: start: trapped: wasm `unreachable` instruction executed, in …".to_owned()),
        ("refuse-start", "plugin hostile: start failed: settings: no\n    ERROR forgedxxx…".to_owned()),
    ];
    for (mode, expected) in cases {
        let error = start(&sandbox, &hostile(), "hostile", &json!({ "mode": mode })).err().expect("it cannot start");
        let message = error.to_string();
        assert_like(&message, &expected);
        assert!(message.len() < 2200, "{} bytes", message.len());
    }
}

#[test]
fn a_component_that_breaks_down_before_start_is_told_where() {
    let sandbox = deterministic(tight());
    let dir = tempdir().unwrap();
    let long = "x".repeat(3000);
    let more_memories = "(core module $big (memory 500)) (core instance (instantiate $big)) \
                         (core instance (instantiate $big)) (core instance (instantiate $big))";
    let many_memories =
        format!("(core module $small (memory 0)) {}", "(core instance (instantiate $small)) ".repeat(21));
    let one = TextStrategy::default;
    let cases = [
        (TextStrategy { describe: "unreachable", ..one() }, "describe: trapped: wasm `unreachable` instruction …"),
        (TextStrategy { describe: "(loop (br 0)) unreachable", ..one() }, "describe: used up its 20000000 units …"),
        (
            TextStrategy { fields: "(func $spin (loop (br 0))) (start $spin)", ..one() },
            "instantiate: used up its 20000000 units …",
        ),
        (TextStrategy { pages: 2000, ..one() }, "instantiate: wanted more than its 64 MiB of memory …"),
        (TextStrategy { items: more_memories, ..one() }, "instantiate: wanted more than its 64 MiB of memory …"),
        (
            TextStrategy { items: &many_memories, ..one() },
            "instantiate: trapped: resource limit exceeded: memory count too high …",
        ),
        (
            TextStrategy { fields: "(table 60001 funcref)", ..one() },
            "instantiate: trapped: table minimum size of 60001 elements exceeds table limits…",
        ),
        (
            TextStrategy { interval: "7m", ..one() },
            "describe failed: interval: wants to be asked every \"7m\"; a strategy can be asked every 1m, 3m, 5m, 15m, \
             30m, 1h",
        ),
        (TextStrategy { interval: &long, ..one() }, "describe failed: interval: wants to be asked every \"xxxxx…"),
    ];
    for (strategy, expected) in cases {
        let file = strategy.write(dir.path());
        let error = start(&sandbox, &file, "odd", &json!({})).err().expect("it cannot start");
        assert_like(&error.to_string(), &format!("plugin odd: {expected}"));
        assert!(error.to_string().len() < 1000, "{error}");
    }
}

#[test]
fn an_answer_that_is_no_answer_is_a_breakdown() {
    let dir = tempdir().unwrap();
    let fail = |place: i64, length: i64, retryable: i64| {
        format!(
            "(call $fail (i32.const {place}) (i32.const {length}) (i32.const 0) (i32.const 0) (i32.const {retryable}))"
        )
    };
    let (bad_text, far_text, long_text) = (fail(700, 2, 1), fail(0xffff_fff0, 100, 1), fail(0, 0x7fff_ffff, 1));
    let twice = fail(0, 0, 1).repeat(2);
    let fields = "(data (i32.const 700) \"\\ff\\fe\")";
    for (get_signal, expected) in
        [(bad_text, ""), (far_text, ""), (long_text, ""), (twice, "called answer.fail although it had answered")]
    {
        let file = TextStrategy { get_signal: &get_signal, fields, ..TextStrategy::default() }.write(dir.path());
        let record =
            backtest(&deterministic(tight()), &[Trading { name: "odd", component: &file, settings: json!({}) }]);
        let message = record.of("odd").into_iter().find_map(failure);
        let message = message.unwrap_or_else(|| panic!("{get_signal} was understood"));
        let start = format!("plugin odd: get-signal: trapped: {expected}");
        assert!(message.starts_with(&start), "{get_signal}: {message}");
        assert_eq!(record.of("odd").len(), 30, "{get_signal}: the run went on");
    }
}

#[test]
fn an_answer_to_no_question_is_a_breakdown() {
    let dir = tempdir().unwrap();
    let fail = "(call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1))";
    let [describe, start] = ["i32.const 64", "i32.const 256"].map(|result| format!("{fail} {result}"));
    let one = TextStrategy::default;
    for (strategy, function) in [
        (TextStrategy { describe: &describe, ..one() }, "describe"),
        (TextStrategy { start: &start, ..one() }, "start"),
    ] {
        let file = strategy.write(dir.path());
        let error = self::start(&deterministic(tight()), &file, "odd", &json!({})).err().expect("it cannot start");
        let expected = format!("plugin odd: {function}: trapped: called answer.fail although it was not asked, in …");
        assert_like(&error.to_string(), &expected);
    }
}

#[test]
fn a_refusal_to_start_that_is_none_is_a_breakdown() {
    let dir = tempdir().unwrap();
    let data =
        |result: &[u32]| format!("(data (i32.const 512) \"{}\") (data (i32.const 700) \"\\ff\\fe\")", words(result));
    // err(failure): the code's place and length come second and third.
    let (bad_choice, bad_text, far_text) = (data(&[7]), data(&[1, 700, 2]), data(&[1, 0xffff_fff0, 100]));
    for (start, fields) in [
        ("i32.const -8", ""),
        ("i32.const 257", ""),
        ("i32.const 512", &bad_choice),
        ("i32.const 512", &bad_text),
        ("i32.const 512", &far_text),
    ] {
        let file = TextStrategy { start, fields, ..TextStrategy::default() }.write(dir.path());
        let error = self::start(&deterministic(tight()), &file, "odd", &json!({})).err().expect("it cannot start");
        assert!(error.to_string().starts_with("plugin odd: start: trapped: "), "{fields}: {error}");
    }
}

#[test]
fn a_table_cannot_grow_without_end() {
    let dir = tempdir().unwrap();
    let grow = TextStrategy {
        fields: "(table $table 1 funcref)",
        // Breaks down when it gets what it asks for.
        get_signal: "(if (i32.ne (table.grow $table (ref.null func) (i32.const 60000)) (i32.const -1)) \
                     (then unreachable))",
        ..TextStrategy::default()
    };
    let file = grow.write(dir.path());
    let record = backtest(&deterministic(tight()), &[Trading { name: "odd", component: &file, settings: json!({}) }]);
    assert!(record.of("odd").iter().all(|outcome| outcome.starts_with("Idle")), "{record:?}");
}
