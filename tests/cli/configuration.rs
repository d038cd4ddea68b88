//! `sigbox.toml` and the command line.

use std::fs;

use super::{assert_refused, fine};
use crate::support::{Configuration, Workplace, repository};

#[test]
fn without_a_configuration_it_says_how_to_get_one() {
    for arguments in [&["backtest"][..], &["live"], &["report"], &["state", "show"], &["state", "path"]] {
        let message = "error: there is no sigbox.toml; `sigbox init` writes one, with every setting explained";
        assert_refused(&Workplace::empty(), arguments, 2, message);
    }
    let message = "error: there is no here/my.toml; `sigbox init` writes one, with every setting explained";
    assert_refused(&Workplace::empty(), &["backtest", "-c", "here/my.toml"], 2, message);
}

#[test]
fn every_problem_of_a_configuration_is_listed_with_its_line() {
    let workplace = fine();
    let text = workplace.read("sigbox.toml").replace("risk = [\"shared\"]", "risk = [\"shard\"]\nsymbol = \"BTCUSDT\"");
    workplace.write("sigbox.toml", format!("{text}\n[engine]\npercent-fee = -1\n"));
    let finished = workplace.run(&["backtest"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    let line_of = |part: &str| {
        let text = workplace.read("sigbox.toml");
        text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part:?} is not in {text}")) + 1
    };
    let said = finished.stderr.strip_prefix("error: ").unwrap();
    let problems: Vec<&str> = said.lines().collect();
    assert_eq!(problems.len(), 3, "{said}");
    for (problem, (part, words)) in
        problems.iter().zip([("shard", "shard"), ("symbol = ", "symbol"), ("percent-fee", "percent-fee")])
    {
        let place = format!("sigbox.toml:{}: ", line_of(part));
        assert!(problem.starts_with(&place) && problem.contains(words), "{place}{words}: {problem}");
    }
}

#[test]
fn what_is_not_toml_is_refused_where_it_stops_being_toml() {
    let workplace = Workplace::empty();
    workplace.write("sigbox.toml", "[frame]\nname = \"a\"\nstart = = 1\n");
    let finished = workplace.run(&["backtest"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.starts_with("error: sigbox.toml:3: "), "{finished:?}");
}

#[test]
fn a_frame_outside_the_candles_is_refused_with_what_there_is() {
    let workplace = Workplace::empty();
    let cases = [
        (
            "start = \"2023-12-31T00:00:00Z\"",
            "error: the frame starts at 2023-12-31T00:00:00Z, but the average price needs 5 candles before it, so it can \
             start at 2024-01-01T00:05:00Z at the earliest",
        ),
        (
            "end = \"2023-12-31T00:00:00Z\"",
            "error: the frame ends at 2023-12-31T00:00:00Z, before it starts at 2024-01-01T00:05:00Z: there is nothing \
             to test",
        ),
    ];
    for (key, message) in cases {
        workplace.configure(&Configuration::sma_cross(1).section(&format!("[frame]\n{key}")));
        assert_refused(&workplace, &["backtest"], 2, message);
    }
}

#[test]
fn a_frame_beyond_the_candles_says_where_they_end() {
    let workplace = Workplace::empty();
    let after = "[frame]\nstart = \"2024-02-01T00:00:00Z\"\nend = \"2024-02-02T00:00:00Z\"";
    workplace.configure(&Configuration::sma_cross(1).section(after));
    let message = "error: the frame starts at 2024-02-01T00:00:00Z, but the candles end at 2024-01-02T00:00:00Z";
    assert_refused(&workplace, &["backtest"], 2, message);

    // What is there is tested before a candle is missed.
    workplace.configure(&Configuration::sma_cross(1).section("[frame]\nend = \"2024-01-02T06:00:00Z\""));
    let message = "error: the run stopped; the events until then are in dump/backtest/events.jsonl: there is no candle of \
                   BTCUSDT that opens at 2024-01-02T00:00:00Z; the candles end or have a gap there";
    assert_refused(&workplace, &["backtest"], 4, message);
    assert!(workplace.read("dump/backtest/events.jsonl").contains("\"action\":\"opened\""));
}

#[test]
fn a_wrong_command_line_is_refused() {
    let workplace = fine();
    for (arguments, words) in [
        (&["bactest"][..], "unrecognized subcommand 'bactest'"),
        (&["backtest", "--evnts", "a"], "unexpected argument '--evnts'"),
        (&["state"], "Usage: sigbox state"),
        (&[], "Usage: sigbox"),
    ] {
        let finished = workplace.run(arguments);
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {finished:?}");
    }
}

#[test]
fn init_writes_a_configuration_that_runs() {
    let workplace = Workplace::empty();
    let plugin = crate::support::plugin("strategies/sma-cross");
    let said = workplace.succeed(&["init", "--plugin", plugin.to_str().unwrap()]).stdout;
    assert_eq!(said, "Wrote sigbox.toml. Try: sigbox backtest --config sigbox.toml\n");
    let table = workplace.succeed(&["backtest", "--config", "sigbox.toml"]).stdout;
    assert!(table.contains("sma-cross"), "{table}");
}

#[test]
fn init_prints_the_schema_that_the_documentation_has() {
    let workplace = Workplace::empty();
    let said = workplace.succeed(&["init", "--schema"]).stdout;
    assert_eq!(said, fs::read_to_string(repository().join("docs/sigbox.schema.json")).unwrap());
    assert!(!workplace.path("sigbox.toml").exists(), "it writes nothing");

    let finished = workplace.run(&["init", "--schema", "mine.toml"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.contains("'--schema' cannot be used with '[FILE]'"), "{finished:?}");
}

#[test]
fn init_overwrites_nothing() {
    let workplace = Workplace::empty();
    workplace.write("mine.toml", "mine");
    let plugin = crate::support::plugin("strategies/sma-cross");
    let plugin = plugin.to_str().unwrap();
    let finished = workplace.run(&["init", "mine.toml", "--plugin", plugin]);
    assert_eq!(finished.code(), Some(2));
    assert_eq!(finished.stderr, "error: mine.toml exists already; name another file, or move it away\n");
    assert_eq!(workplace.read("mine.toml"), "mine");

    let finished = workplace.run(&["init", "no/such/folder.toml", "--plugin", plugin]);
    assert_ne!(finished.code(), Some(0));
    assert!(finished.stderr.starts_with("error: no/such/folder.toml cannot be written: "), "{finished:?}");
}
