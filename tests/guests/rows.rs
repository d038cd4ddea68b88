//! Questions come in rows, and a row has no meaning: in rows of any length a strategy answers, logs and breaks down
//! exactly as if it were asked one question at a time.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde_json::{Value, json};
use sigbox::{
    sandbox::{Limits, StrategyPlugin},
    trading::{LiveStrategy as _, Question, Strategy as _},
};
use sigbox_engine::{MINUTE_MS, trader::Answer};
use tempfile::tempdir;

use super::{
    field::{ASKED_MS, SYMBOL, assignment, deterministic, hostile, live, market, start, tight},
    logs::captured,
    text_component::TextStrategy,
};
use crate::support::{plugin, slow_tests};

/// Questions about the hour after [`ASKED_MS`], as a backtest asks them.
fn questions() -> Vec<Question> {
    let market = market();
    let series = market.series(SYMBOL).expect("the only symbol").read();
    let question = |minute: i64| {
        let now_ms = *ASKED_MS + minute * MINUTE_MS;
        let (candle, price) = series.bar(now_ms, 5).expect("the candles cover the hour");
        Question { now_ms, price, candle: *candle }
    };
    (0..60).map(question).collect()
}

/// Answers that were not "nothing", with their minutes, and the lines that were logged meanwhile.
type Course = (Vec<(i64, String)>, Vec<String>);

/// Asks everything in rows of the lengths that `length` gives.
fn asked(component: &Path, settings: &Value, questions: &[Question], mut length: impl FnMut() -> usize) -> Course {
    let mut strategy = start(&deterministic(tight()), component, "asked", settings).expect("it starts");
    let (lines, answers) = captured(|| {
        let (mut answers, mut next) = (Vec::new(), 0);
        while next < questions.len() {
            let row = &questions[next..(next + length()).min(questions.len())];
            match strategy.answer(row) {
                None => next += row.len(),
                Some((index, answer)) => {
                    answers.push((row[index].now_ms, format!("{answer:?}")));
                    next += index + 1;
                }
            }
        }
        // What is left to say when an instance goes belongs to the course too.
        drop(strategy);
        answers
    });
    (answers, lines)
}

/// Every guest that behaves or misbehaves within the hour.
fn guests() -> Vec<(PathBuf, Value)> {
    let at = [3, 4, 30].map(|minute| *ASKED_MS + minute * MINUTE_MS);
    let mut guests = vec![
        (plugin("strategies/sma-cross"), json!({ "fast": 2, "slow": 5 })),
        (plugin("strategies/metronome"), json!({ "period": 7 })),
        (plugin("strategies/rests"), json!({ "candles": 3 })),
        (
            plugin("strategies/scripted"),
            json!({ "signals": [
                { "at": at[0], "until": at[1], "throw": "sometimes" },
                { "at": at[2], "dto": { "position": "long", "priceTakeProfit": "NaN", "priceStopLoss": 1 } },
            ] }),
        ),
    ];
    let modes = [
        "spin",
        "recurse",
        "leak-handles",
        "log-forever",
        "candles-forever",
        "next-candles-forever",
        "average-forever",
        "print-forever",
        "random-forever",
        "trades-forever",
        "remember-forever",
        "remember",
        "remember-and-panic",
        "panic",
        "exit",
        "retire",
        "long-failure",
        "long-id",
        "long-note",
        "long-log",
        "log-flood",
        "forged-log",
        "forged-failure",
        "nan-prices",
        "wrong-side",
        "foreign-symbol",
        "too-many-candles",
        "future-candles",
        "environment",
        "clocks",
        "random",
        "sleep",
        "survive-refusal",
        "answer-twice",
        "promise",
    ];
    for mode in modes {
        guests.push((hostile(), json!({ "mode": mode, "at": at, "bytes": 300 })));
        // Between its crimes it has something to say in each minute, unless it is told to be silent.
        guests.push((hostile(), json!({ "mode": mode, "at": at, "bytes": 300, "silent": true })));
    }
    guests
}

#[test]
fn the_length_of_rows_changes_nothing() {
    let questions = questions();
    let mut dice = Rng::with_seed(15);
    let rounds = if slow_tests() { 15 } else { 4 };
    for (component, settings) in guests() {
        let alone = asked(&component, &settings, &questions, || 1);
        assert_eq!(asked(&component, &settings, &questions, || usize::MAX >> 1), alone, "{settings}, in one row");
        for _ in 0..rounds {
            let most = dice.usize(2..40);
            let rows = asked(&component, &settings, &questions, || dice.usize(1..=most));
            assert_eq!(rows, alone, "{settings}, in rows of up to {most}");
        }
    }
}

/// Components that compilers make can be joined with the module that asks, or every question costs a call.
#[test]
fn whether_a_component_can_be_joined_changes_nothing() {
    let dir = tempdir().unwrap();
    let questions = questions();
    let code = "(if (i64.eqz (i64.rem_u (local.get 0) (i64.const 420000)))
        (then (call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1))))";
    let joined = TextStrategy { get_signal: code, ..TextStrategy::default() };
    // A function that must run after each call does not fit into a row.
    let apart = TextStrategy {
        get_signal: code,
        after: "(post-return (core func $code \"after\"))",
        ..TextStrategy::default()
    };
    let joined = asked(&joined.write(dir.path()), &json!({}), &questions, || 9);
    assert!(joined.0.len() > 6, "{joined:?}");
    assert_eq!(asked(&apart.write(dir.path()), &json!({}), &questions, || 9), joined);
}

/// Compilers export an interface through a component that only gives functions their types. Which function it exports
/// under a name, only its exports tell: the name of an argument proves nothing.
#[test]
fn the_function_that_is_exported_is_the_one_that_is_asked() {
    let dir = tempdir().unwrap();
    let questions = questions();
    let code = "(if (i64.eqz (i64.rem_u (local.get 0) (i64.const 420000)))
        (then (call $fail (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1))))";
    let plain = TextStrategy { get_signal: code, ..TextStrategy::default() };
    let expected = asked(&plain.write(dir.path()), &json!({}), &questions, || 9);
    assert!(expected.0.len() > 6, "{expected:?}");

    let other = format!("(func (export \"other\") (param i64 f64 f64 f64 f64 f64 f64) {code})");
    let swapped = TextStrategy { fields: &other, ..TextStrategy::default() };
    let numbers = "(param \"when-ms\" u64) (param \"price\" f64) (param \"open\" f64) (param \"high\" f64)
        (param \"low\" f64) (param \"close\" f64) (param \"volume\" f64)";
    let export = "(export \"sigbox:strategy/strategy@0.1.0\" (instance $strategy))";
    let shim = format!(
        r#"(func $other {numbers} (canon lift (core func $code "other")))
        (component $shim
          (type $d (record
            (field "name" string) (field "version" string) (field "interval" string)
            (field "settings-schema" (option string)) (field "features" (list string))
            (field "extra" (option string))))
          (type $f (record
            (field "code" string) (field "message" string) (field "retryable" bool) (field "extra" (option string))))
          (import "import-type-d" (type $d1 (eq $d))) (import "import-type-f" (type $f1 (eq $f)))
          (import "import-func-describe" (func $describe (result $d1)))
          (import "import-func-start" (func $start (result (result (error $f1)))))
          (import "import-func-get-signal" (func {numbers}))
          (import "import-func-other" (func $other {numbers}))
          (export $d2 "descriptor" (type $d1)) (export $f2 "failure" (type $f1))
          (export "describe" (func $describe) (func (result $d2)))
          (export "start" (func $start) (func (result (result (error $f2)))))
          (export "get-signal" (func $other)))
        (instance $swapped (instantiate $shim
          (with "import-type-d" (type $descriptor)) (with "import-type-f" (type $failure))
          (with "import-func-describe" (func $describe)) (with "import-func-start" (func $start))
          (with "import-func-get-signal" (func $get-signal)) (with "import-func-other" (func $other))))
        (export "sigbox:strategy/strategy@0.1.0" (instance $swapped))"#
    );
    assert_eq!(asked(&swapped.write_with(dir.path(), export, &shim), &json!({}), &questions, || 9), expected);
}

/// Otherwise a strategy could pass off a function of its own as the one that asks, and see a whole row.
#[test]
fn the_names_of_the_module_that_asks_are_refused() {
    let dir = tempdir().unwrap();
    let items = [
        "(import \"sigbox-begin-question\" (func (param \"when-ms\" s64) (result bool)))",
        "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
         (func $f (canon lift (core func $i \"f\"))) (export \"sigbox-ask\" (func $f))",
    ];
    for items in items {
        let file = TextStrategy { items, ..TextStrategy::default() }.write(dir.path());
        let error = StrategyPlugin::load(&deterministic(Limits::default()), &file).err().expect("it is refused");
        assert!(error.to_string().contains("a name that sigbox uses itself"), "{error}");
        // Live trading offers no such import, and asks nothing of such an export.
        let live = StrategyPlugin::load(&live(Limits::default()), &file);
        assert!(live.is_ok() || items.starts_with("(import"), "{:?}", live.err());
    }
}

#[test]
fn live_strategies_answer_as_in_a_backtest() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let questions = questions();
    // Those that use something up are told of other limits: a live run has time instead of fuel.
    let alike = |(_, settings): &(PathBuf, Value)| {
        let same = ["panic", "exit", "retire", "leak-handles", "long-id", "wrong-side", "answer-twice", "promise"];
        settings["mode"].as_str().is_none_or(|mode| same.contains(&mode))
    };
    for (component, settings) in guests().into_iter().filter(alike) {
        let (expected, _) = asked(&component, &settings, &questions, || 60);
        // A backtest must not be asked inside a runtime, and a live strategy only there.
        let found = runtime.block_on(async {
            let plugin = StrategyPlugin::load(&live(Limits::default()), &component).unwrap();
            let mut strategy = plugin.start(assignment("asked"), &settings.to_string()).await.unwrap();
            let mut found = Vec::new();
            for question in &questions {
                match strategy.answer_in_time(*question).await {
                    Answer::Nothing => {}
                    answer => found.push((question.now_ms, format!("{answer:?}"))),
                }
            }
            found
        });
        assert_eq!(found, expected, "{settings}");
    }
}
