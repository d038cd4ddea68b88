//! Strategies in other languages, as their authors write them: a text that an interpreter runs.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::support::{Configuration, Finished, Workplace, not_run, plugin, repository, slow_tests};

/// A workplace in which `text` is the strategy `name`, on a few days of candles.
fn workplace(file: &str, text: &str, settings: &str) -> Workplace {
    let configuration = Configuration::new().generated("BTCUSDT", 7, 5);
    let workplace = Workplace::new(&configuration.strategy("s", Path::new(file), &["BTCUSDT"], settings));
    workplace.write(file, text);
    workplace
}

/// Runs the command. The first run makes an interpreter, which takes minutes, and it is kept for the other tests. They run
/// one after the other, so that it is made once.
fn run(workplace: &Workplace, arguments: &[&str]) -> Finished {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = workplace.command(arguments);
    command.env("XDG_DATA_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("data-home"));
    command.env_remove("SIGBOX_INTERPRETERS");
    let finished = Workplace::spawn(command).wait_for(Duration::from_mins(20));
    finished.unwrap_or_else(|_| panic!("{arguments:?} has not ended in twenty minutes"))
}

/// Whether there is time to make an interpreter of Python, and the tool to make it with.
fn has_python() -> bool {
    if !slow_tests() {
        return false;
    }
    let found =
        Command::new("python3").args(["-c", "import venv"]).output().is_ok_and(|output| output.status.success());
    if !found {
        not_run("strategies in Python", "python3 with venv");
    }
    found
}

fn events(workplace: &Workplace) -> String {
    workplace.read("dump/backtest/events.jsonl")
}

#[test]
fn a_text_gives_the_events_of_the_compiled_sample() {
    if !has_python() {
        return;
    }
    let text = fs::read_to_string(repository().join("plugins/languages/python/sma_cross.py")).unwrap();
    let python = workplace("sma_cross.py", &text, "settings = { fast = 5, slow = 20 }");
    let finished = run(&python, &["backtest"]);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let rust = Configuration::new().generated("BTCUSDT", 7, 5);
    let component = plugin("strategies/sma-cross");
    let rust = Workplace::new(&rust.strategy("s", &component, &["BTCUSDT"], "settings = { fast = 5, slow = 20 }"));
    rust.succeed(&["backtest"]);
    assert!(events(&rust).lines().count() > 1000);
    assert_eq!(events(&python), events(&rust));

    // Live, every question is a call of its own.
    let finished = run(&python, &["live"]);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let opened = |events: &str| events.lines().filter(|line| line.contains("\"opened\"")).count();
    assert_eq!(opened(&python.read("dump/data/events.jsonl")), opened(&events(&python)));
}

#[test]
fn what_keeps_a_text_from_starting_is_said_with_its_line() {
    if !has_python() {
        return;
    }
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "from sigbox import Strategy\nclass S(Strategy):\n    def signal(self, tick)\n        return None\n",
            "",
            &["File \"s.py\", line 3", "def signal(self, tick)", "SyntaxError: expected ':'"],
        ),
        (
            "import numpy\n",
            "",
            &["File \"s.py\", line 1", "No module named 'numpy'", "not one of the plugin's files (s.py)"],
        ),
        ("x = 1\n", "", &["s.py", "Strategy"]),
        (
            "from sigbox import Strategy\nclass S(Strategy):\n    dips: int = 2\n",
            "settings = { dip = 3 }",
            &["there is no setting dip; there are: dips"],
        ),
        (
            "from sigbox import Strategy\nclass S(Strategy):\n    dips: int = 2\n",
            "settings = { dips = \"x\" }",
            &["dips must be"],
        ),
        ("import sys\nsys.exit(3)\n", "", &["File \"s.py\", line 2", "SystemExit"]),
    ];
    for (text, settings, expected) in cases {
        let finished = run(&workplace("s.py", text, settings), &["backtest"]);
        assert_eq!(finished.code(), Some(3), "{finished:?}");
        for expected in expected {
            assert!(finished.stderr.contains(expected), "{text}\n{expected}\n{}", finished.stderr);
        }
        assert!(!finished.stderr.contains("interpreter.py"), "only the author's lines are shown: {}", finished.stderr);
    }
}

#[test]
fn what_a_text_raises_is_a_failure_with_its_lines() {
    if !has_python() {
        return;
    }
    let signal = |body: &str| {
        format!(
            "from sigbox import Strategy, long\nclass S(Strategy, interval=\"1h\"):\n    def signal(self, tick):\n        {body}\n"
        )
    };
    let cases = [
        ("return tick.prise", "line 4, in signal\n        return tick.prise"),
        ("return 3", "signal"),
        ("return long(take_profit='x', stop_loss=1.0)", "take_profit must be"),
        ("return self.signal(tick)", "RecursionError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("1 / 0", "ZeroDivisionError"),
    ];
    for (body, expected) in cases {
        let workplace = workplace("s.py", &signal(body), "");
        let finished = run(&workplace, &["backtest"]);
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        let events = events(&workplace);
        let failed: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(
            failed.len() > 50 && failed.iter().all(|event| event["action"] == "strategy_failed"),
            "{body}: {events:.500}"
        );
        for event in [&failed[0], &failed[failed.len() - 1]] {
            let message = event["message"].as_str().unwrap();
            assert!(message.contains(expected) && !message.contains("trapped"), "{body}: {message}");
        }
    }
}

#[test]
fn the_text_of_the_readme_is_the_strategy_that_the_readme_compiles() {
    if !has_python() {
        return;
    }
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) =
        readme.split_once("<!-- text: dip.py -->\n```python\n").expect("README.md has a strategy in Python");
    let (text, _) = rest.split_once("```").expect("a block ends");
    let python = workplace("dip.py", text, "");
    let finished = run(&python, &["backtest", "--json"]);
    let result: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
    assert!(result["total"]["trades"].as_u64().is_some_and(|trades| trades > 0), "{result}");
}

/// The interpreter of JavaScript runs both, and the types of TypeScript are left out in the sandbox.
#[test]
fn javascript_and_typescript_give_the_events_of_the_compiled_sample() {
    if !has_python() {
        return;
    }
    let settings = "settings = { fast = 5, slow = 20 }";
    let rust = Configuration::new().generated("BTCUSDT", 7, 5);
    let rust = Workplace::new(&rust.strategy("s", &plugin("strategies/sma-cross"), &["BTCUSDT"], settings));
    rust.succeed(&["backtest"]);
    for file in ["javascript/sma-cross.js", "typescript/sma-cross.ts"] {
        let text = fs::read_to_string(repository().join("plugins/languages").join(file)).unwrap();
        let (_, name) = file.split_once('/').unwrap();
        let script = workplace(name, &text, settings);
        let finished = run(&script, &["backtest"]);
        assert_eq!(finished.code(), Some(0), "{file}: {finished:?}");
        assert_eq!(events(&script), events(&rust), "{file}");
    }

    let signal = "import { strategy } from \"sigbox\";\nexport default strategy({ name: \"s\", settings: {},\n  signal(tick) {\n";
    for (name, text, expected) in [
        ("s.js", format!("{signal}    return tick.price.foo.bar;\n  }} }});\n"), "at signal (s.js:4:"),
        ("s.ts", format!("enum A {{ X }}\n{signal}  }} }});\n"), "TypeScript enum is not supported"),
        ("s.js", format!("import x from \"lodash\";\n{signal}  }} }});\n"), "is not one of the plugin's files"),
    ] {
        let script = workplace(name, &text, "");
        let finished = run(&script, &["backtest"]);
        let told = if finished.code() == Some(0) { events(&script) } else { finished.stderr };
        assert!(told.contains(expected), "{name}: {told:.1000}");
    }
}
