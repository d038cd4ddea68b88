//! What a strategy remembers, and the trades it reads: in every instance, in backtests and live, and after a crash.

use std::fs;

use serde_json::{Value, json};
use sigbox::{
    sandbox::{Limits, StrategyPlugin},
    trading::{LiveStrategy as _, Strategy as _},
};
use sigbox_engine::{MINUTE_MS, trader::Answer};
use tokio::runtime::Runtime;

use super::field::{ASKED_MS, assignment, deterministic, hostile, live, question, start, tight};
use crate::support::{Configuration, Workplace, plugin};

/// The minutes at which the hostile strategy does what its mode says. At the others it tells what it remembers.
fn at(mode: &str, minutes: &[i64]) -> Value {
    let at: Vec<i64> = minutes.iter().map(|minute| *ASKED_MS + minute * MINUTE_MS).collect();
    json!({ "mode": mode, "at": at })
}

fn said(answer: &Answer) -> String {
    match answer {
        Answer::Failed(message) => message.trim_start_matches("get-signal failed: ").to_owned(),
        Answer::Nothing | Answer::Quiet(_) | Answer::Trade(_) => panic!("{answer:?} is no failure"),
    }
}

/// The answers of a strategy in a backtest, and in a live run, to the first minutes.
fn answers(settings: &Value, minutes: i64) -> Vec<String> {
    let mut strategy = start(&deterministic(tight()), &hostile(), "hostile", settings).unwrap();
    let backtest: Vec<String> = (0..minutes)
        .map(|minute| {
            let question = question(*ASKED_MS + minute * MINUTE_MS);
            said(&strategy.answer(&[question]).expect("it always says something").1)
        })
        .collect();
    let live = async {
        let plugin = StrategyPlugin::load(&live(Limits::default()), hostile()).unwrap();
        let mut strategy = plugin.start(assignment("hostile"), &settings.to_string()).await.unwrap();
        for (minute, expected) in (0..).zip(&backtest) {
            let answer = strategy.answer_in_time(question(*ASKED_MS + minute * MINUTE_MS)).await;
            assert_eq!(said(&answer), *expected, "live, at minute {minute}");
        }
    };
    Runtime::new().unwrap().block_on(live);
    backtest
}

#[test]
fn a_fresh_instance_finds_what_the_last_question_left() {
    assert_eq!(
        answers(&at("remember", &[1, 2, 5]), 7),
        ["remembered: 0", "times: 1", "times: 2", "remembered: 2", "remembered: 2", "times: 3", "remembered: 3"]
    );
}

#[test]
fn a_question_that_breaks_down_has_changed_nothing() {
    let answers = answers(&at("remember-and-panic", &[1, 3]), 5);
    for minute in [0, 2, 4] {
        assert_eq!(answers[minute], "remembered: 0", "{answers:?}");
    }
    for minute in [1, 3] {
        assert!(answers[minute].contains("trapped"), "{answers:?}");
    }
}

#[test]
fn what_is_remembered_belongs_to_questions() {
    let settings = json!({ "mode": "remember-in-start" });
    let error = start(&deterministic(tight()), &hostile(), "odd", &settings).err().expect("it does not start");
    let expected = "plugin odd: start: trapped: called memory.remove although it was not asked, in ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

/// It reads its trades, remembers its rests, and writes both into the notes of its signals.
fn resting() -> Configuration {
    let settings = "settings = { candles = 5, exit-percent = 0.6, minutes = 45, rest-minutes = 20 }";
    Configuration::new().generated("BTCUSDT", 7, 2).strategy(
        "rests",
        &plugin("strategies/rests"),
        &["BTCUSDT"],
        settings,
    )
}

#[test]
fn a_backtest_and_a_live_run_read_the_same_trades_and_remember_the_same() {
    let workplace = Workplace::new(&resting());
    workplace.succeed(&["live"]);
    workplace.succeed(&["backtest"]);
    let backtest = fs::read_to_string(workplace.path("dump/backtest/events.jsonl")).unwrap();
    for expected in ["2 of the last 2 trades lost, rested 40 minutes", "1 of the last 2 trades lost, rested 20 minutes"]
    {
        assert!(backtest.contains(expected), "nobody said {expected:?}");
    }
    let notes = |events: &str| -> Vec<String> {
        let note = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            (event["action"] == "opened").then(|| format!("{} {}", event["signal"]["id"], event["signal"]["note"]))
        };
        events.lines().filter_map(note).collect()
    };
    let live = fs::read_to_string(workplace.path("dump/data/events.jsonl")).unwrap();
    assert!(notes(&backtest).len() > 20, "{}", notes(&backtest).len());
    assert_eq!(notes(&live), notes(&backtest));
}

#[test]
fn what_is_remembered_is_shown_and_cleared_by_a_command() {
    let workplace = Workplace::new(&resting());
    workplace.succeed(&["live"]);
    let shown = workplace.succeed(&["state", "memory", "rests", "BTCUSDT"]).stdout;
    assert!(shown.contains("rest") && shown.contains("until_ms"), "{shown}");
    let json = |args: &[&str]| -> Value { serde_json::from_str(&workplace.succeed(args).stdout).unwrap() };
    let show = ["state", "memory", "rests", "BTCUSDT", "--json"];
    assert!(json(&show)["rest"].as_str().unwrap().contains("minutes"));
    let paths = workplace.succeed(&["state", "path"]).stdout;
    assert!(paths.contains("memory (file): dump/data/memory/BTCUSDT_rests/values.json"), "{paths}");

    let cleared = workplace.succeed(&["state", "memory", "rests", "BTCUSDT", "--clear"]).stdout;
    assert_eq!(cleared, "rests on BTCUSDT: what it remembers was cleared.\n");
    assert_eq!(json(&show), json!({}));
    let again = workplace.run(&["state", "memory", "rests", "BTCUSDT", "--clear"]);
    assert!(again.code() != Some(0) && again.stderr.contains("remembers nothing"), "{again:?}");
}
