//! Strategies that take their time, in live runs: the time ends, the others go on.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sigbox::{
    sandbox::{Limits, Live, PluginError, StrategyInstance, StrategyPlugin},
    trading::LiveStrategy as _,
};
use sigbox_engine::trader::Answer;
use tempfile::tempdir;

use super::{
    field::{
        ASKED_MS, ASKED_NEXT_MS, assignment, deterministic, hostile, live, once, once_by, question, resident_bytes,
        start,
    },
    text_component::TextStrategy,
};

const PATIENCE: Duration = Duration::from_secs(2);

const TIMED_OUT: &str =
    "plugin hostile: get-signal: did not answer within 2000 ms ([engine] max-signal-generation-seconds)";

fn impatient() -> Limits {
    Limits { strategy_timeout: PATIENCE, ..Limits::default() }
}

async fn started(component: &std::path::Path, settings: &Value) -> Result<StrategyInstance<Live>, PluginError> {
    StrategyPlugin::load(&live(impatient()), component)?.start(assignment("hostile"), &settings.to_string()).await
}

fn message(answer: Answer) -> String {
    match answer {
        Answer::Failed(message) => message,
        Answer::Nothing | Answer::Quiet(_) | Answer::Trade(_) => panic!("{answer:?} is no failure"),
    }
}

/// Specification: L-HRD-06.
#[tokio::test]
async fn what_takes_too_long_is_cut_and_a_fresh_instance_answers_next() {
    for mode in ["spin", "sleep", "spin-on-clock", "candles-forever", "next-candles-forever", "average-forever"] {
        let mut strategy = started(&hostile(), &once(mode)).await.unwrap();
        let asked = Instant::now();
        assert_eq!(message(strategy.answer_in_time(question(*ASKED_MS)).await), TIMED_OUT, "{mode}");
        assert!(asked.elapsed() < PATIENCE * 20, "{mode}: {:?}", asked.elapsed());
        assert_eq!(
            message(strategy.answer_in_time(question(*ASKED_NEXT_MS)).await),
            "get-signal failed: calls: 1",
            "{mode}"
        );
    }
}

#[tokio::test]
async fn floods_of_calls_into_the_host_are_cut_too() {
    for settings in
        [once_by("log-forever", 500 << 10), once_by("print-forever", 1 << 20), once_by("random-forever", 64 << 10)]
    {
        let mut strategy = started(&hostile(), &settings).await.unwrap();
        let asked = Instant::now();
        assert_eq!(message(strategy.answer_in_time(question(*ASKED_MS)).await), TIMED_OUT, "{settings}");
        assert!(asked.elapsed() < PATIENCE * 20, "{settings}: {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn other_breakdowns_are_the_same_as_in_a_backtest() {
    let before = resident_bytes();
    for (settings, expected) in [
        (once("allocate"), "wanted more than its 64 MiB of memory ([limits] memory-mib)"),
        (once_by("long-note", 100 << 20), "wanted more than its 64 MiB of memory ([limits] memory-mib)"),
        (once_by("long-note", 2 << 20), "handed more than 1024 KiB to the host at once"),
        // Whichever of the two stacks ends first.
        (once("recurse"), "trapped: "),
        (once("panic"), "trapped: wasm `unreachable` instruction executed, in abort < "),
        (once("leak-handles"), "trapped: resource table has no free keys, in "),
    ] {
        let mut strategy = started(&hostile(), &settings).await.unwrap();
        let found = message(strategy.answer_in_time(question(*ASKED_MS)).await);
        assert!(found.starts_with(&format!("plugin hostile: get-signal: {expected}")), "{settings}: {found}");
        assert_eq!(
            message(strategy.answer_in_time(question(*ASKED_NEXT_MS)).await),
            "get-signal failed: calls: 1",
            "{settings}"
        );
    }
    // Other tests of this process share it.
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 512 << 20, "{} MiB more", growth >> 20);
}

#[tokio::test]
async fn there_is_no_more_to_see_than_in_a_backtest() {
    for (mode, expected) in [
        ("environment", "0 variables, 0 arguments, 0 folders, 0 files, 0 bytes of input, written: false"),
        ("network", "0 of 9"),
        ("future-candles", "0 of 30"),
    ] {
        let settings = once(mode);
        let name = mode.split('-').next().unwrap();
        let mut strategy = started(&hostile(), &settings).await.unwrap();
        let found = message(strategy.answer_in_time(question(*ASKED_MS)).await);
        assert_eq!(found, format!("get-signal failed: {name}: {expected}"));
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_instance_in_the_middle_of_its_work() {
    let mut strategy = started(&hostile(), &once("sleep")).await.unwrap();
    let gave_up = tokio::time::timeout(PATIENCE / 4, strategy.answer_in_time(question(*ASKED_MS))).await;
    assert!(gave_up.is_err());
    assert_eq!(message(strategy.answer_in_time(question(*ASKED_NEXT_MS)).await), "get-signal failed: calls: 1");
}

/// One thread for everything: whoever does not give way stops the rest.
#[tokio::test(flavor = "current_thread")]
async fn a_guest_that_computes_without_end_gives_way_to_others() {
    let sandbox = live(Limits { strategy_timeout: 2 * PATIENCE, ..Limits::default() });
    let plugin = StrategyPlugin::load(&sandbox, hostile()).unwrap();
    let mut spinning = plugin.start(assignment("hostile"), &once("spin").to_string()).await.unwrap();
    let mut quick =
        plugin.start(assignment("quick"), &json!({ "mode": "retire", "at": [1] }).to_string()).await.unwrap();
    let (asked, ended) = (Instant::now(), Cell::new(false));
    let spin = async {
        spinning.answer_in_time(question(*ASKED_MS)).await;
        ended.set(true);
    };
    let answer = async {
        for call in 1..=10 {
            tokio::task::yield_now().await;
            let answer = message(quick.answer_in_time(question(*ASKED_MS)).await);
            assert_eq!(answer, format!("get-signal failed: calls: {call}"));
        }
        assert!(!ended.get(), "ten answers took longer than the other one's time");
    };
    tokio::join!(spin, answer);
    assert!(asked.elapsed() >= 2 * PATIENCE, "the other one used all of its time");
}

#[tokio::test]
async fn what_takes_too_long_to_start_is_cut() {
    let dir = tempdir().unwrap();
    let one = TextStrategy::default;
    let cases = [
        (TextStrategy { describe: "(loop (br 0)) unreachable", ..one() }, "describe"),
        (TextStrategy { start: "(loop (br 0)) unreachable", ..one() }, "start"),
        (TextStrategy { fields: "(func $spin (loop (br 0))) (start $spin)", ..one() }, "instantiate"),
    ];
    for (strategy, function) in cases {
        let error = started(&strategy.write(dir.path()), &json!({})).await.err().expect("it cannot start");
        let expected = format!(
            "plugin hostile: {function}: did not answer within 2000 ms ([engine] max-signal-generation-seconds)"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn an_instance_there_is_no_room_for_is_refused_and_the_others_stay() {
    let dir = tempdir().unwrap();
    let plugin = StrategyPlugin::load(&live(Limits::default()), TextStrategy::default().write(dir.path())).unwrap();
    let mut running = Vec::new();
    let mut refusal = None;
    while refusal.is_none() && running.len() <= 4000 {
        match plugin.start(assignment("many"), &json!({}).to_string()).await {
            Ok(strategy) => running.push(strategy),
            Err(error) => refusal = Some(error.to_string()),
        }
    }
    assert_eq!(running[0].answer_in_time(question(*ASKED_MS)).await, Answer::Nothing);
    // Where there are too few addresses for a pool, there is no limit to the number of instances either.
    let Some(refusal) = refusal else { return };
    assert_eq!(running.len(), 4000);
    assert!(refusal.starts_with("plugin many: instantiate: found no room: "), "{refusal}");
    assert!(refusal.ends_with("; run fewer strategies and symbols in one process"), "{refusal}");
    running.pop();
    assert!(plugin.start(assignment("many"), &json!({}).to_string()).await.is_ok(), "room was made");
}

#[tokio::test]
async fn a_component_too_large_for_the_pool_is_refused_with_the_reason() {
    let dir = tempdir().unwrap();
    let tables =
        "(core module $small (table 1 funcref)) ".to_owned() + &"(core instance (instantiate $small)) ".repeat(30);
    let one = TextStrategy::default;
    let cases = [
        TextStrategy { fields: "(table 60001 funcref)", ..one() },
        TextStrategy { pages: 2000, ..one() },
        TextStrategy { items: &tables, ..one() },
    ];
    for (index, strategy) in cases.into_iter().enumerate() {
        let file = strategy.write(dir.path());
        let message = started(&file, &json!({})).await.err().expect("it does not fit").to_string();
        assert!(
            message.contains("this sigbox cannot run") || message.starts_with("plugin hostile: instantiate: "),
            "case {index}: {message}"
        );
        // What trades live must be testable: a backtest does not take it either.
        assert!(start(&deterministic(impatient()), &file, "hostile", &json!({})).is_err(), "case {index}");
    }
}
