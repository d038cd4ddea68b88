//! Plugins that are a text: the interpreter gets the text that the operator named, and nobody else's.

use std::{fs, path::Path, sync::Arc};

use serde_json::{Value, json};
use sigbox::{
    sandbox::{Limits, Program, SourceFile, StrategyPlugin, Text},
    trading::{LiveStrategy as _, Strategy as _},
};
use sigbox_engine::trader::Answer;
use tokio::runtime::Runtime;

use super::field::{ASKED_MS, assignment, deterministic, hostile, live, question, tight};
use crate::support::{Configuration, Workplace, plugin};

/// The hostile strategy as an interpreter of these files; the first is the main one.
fn interpreter(files: &[(&str, &str)]) -> Program {
    let file = |(path, text): &(&str, &str)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() };
    let (main, modules) = (file(&files[0]), files[1..].iter().map(file).collect());
    Program { component: hostile(), text: Some(Arc::new(Text { main, modules })) }
}

/// What the strategy of a program says in a backtest, and in a live run, to one question.
fn says(program: &Program, mode: &str) -> String {
    let (name, settings) = ("reader", json!({ "mode": mode }).to_string());
    let plugin = StrategyPlugin::load(&deterministic(tight()), program).unwrap();
    let mut strategy = plugin.start(assignment(name), &settings).unwrap();
    let answer = strategy.answer(&[question(*ASKED_MS)]).expect("it always says something").1;
    let live = async {
        let plugin = StrategyPlugin::load(&live(Limits::default()), program).unwrap();
        assert_eq!(plugin.sha256(), strategy.sha256(), "the digest is of the program, not of the mode");
        let mut strategy = plugin.start(assignment(name), &settings).await.unwrap();
        strategy.answer_in_time(question(*ASKED_MS)).await
    };
    let live = if mode == "source" { Some(Runtime::new().unwrap().block_on(live)) } else { None };
    let Answer::Failed(message) = answer else { panic!("{answer:?}") };
    if let Some(live) = live {
        assert!(matches!(&live, Answer::Failed(said) if *said == message), "live: {live:?}");
    }
    message
}

#[test]
fn an_interpreter_reads_its_text() {
    assert_eq!(says(&interpreter(&[("a.py", "one")]), "source"), "get-signal failed: source: a.py: one");
    assert_eq!(
        says(&interpreter(&[("a.py", "one"), ("b.py", "two\nthree"), ("lib/c.py", "four")]), "source"),
        "get-signal failed: source: a.py: one; b.py: two\n    three; lib/c.py: four"
    );
}

#[test]
fn reading_it_again_and_again_costs_fuel() {
    let message = says(&interpreter(&[("a.py", "one"), ("b.py", &"#".repeat(10_000))]), "source-forever");
    assert!(message.contains("used up its 20000000 units of fuel"), "{message}");
}

#[test]
fn a_component_that_the_operator_named_itself_has_no_text() {
    let message = says(&Program::from(hostile()), "source");
    assert!(
        message.contains("trapped: called sigbox:host/source, but it was given no text: it is an interpreter, so name"),
        "{message}"
    );
}

/// A configuration with a text for a strategy, and a folder of interpreters in which the hostile strategy plays Python.
fn workplace(mode: &str) -> Workplace {
    let settings = format!("settings = {{ mode = \"{mode}\" }}");
    let configuration = Configuration::new().generated("BTCUSDT", 7, 1);
    let workplace = Workplace::new(&configuration.strategy("dip", Path::new("dip.py"), &["BTCUSDT"], &settings));
    workplace.write("dip.py", "import bands");
    workplace.write("bands.py", "up = 2");
    workplace.write("other.py", "nobody imports it");
    workplace.write("interpreters/python-strategy.wasm", fs::read(hostile()).unwrap());
    workplace
}

/// Runs the command with `interpreters` as the folder of interpreters. None can be made: there is no tool on the path but
/// the shell. Returns whether it succeeded, and what it wrote.
fn run(workplace: &Workplace, arguments: &[&str], interpreters: &str) -> (bool, String) {
    let tools = workplace.path("tools");
    if !tools.exists() {
        fs::create_dir(&tools).unwrap();
        std::os::unix::fs::symlink("/bin/sh", tools.join("sh")).unwrap();
    }
    let mut command = workplace.command(arguments);
    command.env("SIGBOX_INTERPRETERS", workplace.path(interpreters)).env("PATH", tools);
    command.env("XDG_DATA_HOME", workplace.path("home"));
    let finished = Workplace::spawn(command).wait();
    (finished.code() == Some(0), format!("{}{}", finished.stdout, finished.stderr))
}

fn first_event(workplace: &Workplace, action: &str) -> Value {
    workplace
        .read("dump/backtest/events.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|event| event["action"] == action)
        .expect("there is such an event")
}

#[test]
fn a_text_with_its_modules_is_a_plugin() {
    let workplace = workplace("source");
    let (succeeded, said) = run(&workplace, &["backtest"], "interpreters");
    assert!(succeeded, "{said}");
    let failed = first_event(&workplace, "strategy_failed");
    assert_eq!(failed["message"], "get-signal failed: source: dip.py: import bands; bands.py: up = 2");

    // The digest that the record of the run has is that of the text too.
    let digests = || workplace.read("dump/backtest/events.jsonl.run");
    let before = digests();
    workplace.write("bands.py", "up = 3");
    assert!(run(&workplace, &["backtest"], "interpreters").0);
    assert_ne!(digests(), before);
    let failed = first_event(&workplace, "strategy_failed");
    assert!(failed["message"].as_str().unwrap().ends_with("up = 3"), "{failed}");
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let workplace = workplace("source");
    let (succeeded, said) = run(&workplace, &["backtest"], "nowhere");
    assert!(!succeeded && said.contains("Making the interpreter for python. It is kept"), "{said}");
    let expected = "the interpreter for python cannot be made; SIGBOX_INTERPRETERS names a folder that has it: its build \
                    script failed:\n";
    assert!(said.contains(expected) && said.contains("mkdir"), "{said}");
    fs::remove_file(workplace.path("dip.py")).unwrap();
    let (succeeded, said) = run(&workplace, &["backtest"], "interpreters");
    assert!(!succeeded && said.contains("a folder or a text, but there is nothing at dip.py"), "{said}");
}

#[test]
fn a_backend_is_a_text_too() {
    let workplace = workplace("source");
    workplace.write("store.py", "");
    let (_, said) = run(&workplace, &["plugin", "test", "store.py"], "interpreters");
    assert!(said.contains("the interpreter for python cannot be made"), "{said}");
    workplace.write("interpreters/python-backend.wasm", fs::read(plugin("persistence/memory")).unwrap());
    let (_, said) = run(&workplace, &["plugin", "test", "store.py"], "interpreters");
    assert!(said.contains(" passed, "), "{said}");
}
