//! `sigbox report`, and the reports of `sigbox backtest` and `sigbox live`.

use std::fs;

use serde_json::Value;

use crate::support::{Configuration, Workplace};

const EVENTS: &str = "dump/backtest/events.jsonl";
const JOURNAL: &str = "dump/data/events.jsonl";

/// A report without the one thing only the run itself knows.
fn without_timings(json: &str) -> Value {
    let mut report: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert!(report["timings"].is_array());
    report["timings"] = Value::Null;
    report
}

fn without_durations(markdown: &str) -> String {
    let mut sections: Vec<&str> = markdown.split("\n## ").collect();
    sections.retain(|section| !section.starts_with("Durations\n"));
    sections.join("\n## ")
}

#[test]
fn a_report_is_the_same_whoever_makes_it_and_whenever() {
    let workplace = Workplace::new(&Configuration::sma_cross(3));
    let said = workplace.succeed(&["backtest", "--report", "markdown,json", "--report", "csv"]).stdout;
    let files = ["report.md", "report.json", "report.csv"].map(|file| format!("dump/backtest/{file}"));
    for file in &files {
        assert!(said.contains(&format!("Report: {file}\n")), "{said}");
    }
    let [markdown, json, csv] = files.each_ref().map(|file| workplace.read(file));
    assert!(csv.lines().count() > 10 && markdown.contains("\n## Durations\n"));
    for file in &files {
        fs::remove_file(workplace.path(file)).unwrap();
    }

    // Meanwhile everything else is gone.
    fs::remove_file(workplace.path("sigbox.toml")).unwrap();
    let said = workplace.succeed(&["report", "--events", EVENTS, "--format", "json,csv,markdown"]).stdout;
    assert_eq!(said, files.each_ref().map(|file| format!("Report: {file}\n")).concat());
    assert_eq!(without_durations(&workplace.read(&files[0])), without_durations(&markdown));
    assert_eq!(without_timings(&workplace.read(&files[1])), without_timings(&json));
    assert_eq!(workplace.read(&files[2]), csv);

    // Elsewhere, and under another name.
    let absolute = workplace.path(EVENTS);
    let to_stdout = ["report", "--events", absolute.to_str().unwrap(), "--format", "csv", "--out", "-"];
    assert_eq!(workplace.succeed(&to_stdout).stdout, csv);
    workplace.succeed(&["report", "--events", EVENTS, "--format", "markdown", "--out", "mine.md"]);
    assert_eq!(workplace.read("mine.md"), without_durations(&markdown));
}

#[test]
fn a_page_has_the_prices_the_run_traded_on_or_none() {
    let workplace = Workplace::new(&Configuration::sma_cross(2));
    workplace.succeed(&["backtest", "--report", "html"]);
    let page = workplace.read("dump/backtest/report.html");
    let (before, after) = page.split_once("<section id=\"timings\">").expect("the run knows how long things took");
    let (_, after) = after.split_once("</section>").unwrap();
    let again = || workplace.succeed(&["report", "--events", EVENTS, "--format", "html"]);
    let made = |prices: bool| {
        let page = workplace.read("dump/backtest/report.html");
        assert_eq!(page.contains("<section id=\"price\">"), prices);
        page
    };
    again();
    assert!(made(true) == format!("{before}{after}"), "the pages differ");

    workplace.configure(&Configuration::sma_cross(3));
    let said = again().stderr;
    let reason = "the report has no prices of BTCUSDT: its candles are not those of the run any more";
    assert!(said.contains(reason), "{said}");
    made(false);

    fs::remove_file(workplace.path("sigbox.toml")).unwrap();
    let said = again().stderr;
    assert!(said.contains("the report has no prices: there is no sigbox.toml"), "{said}");
    made(false);
}

#[test]
fn the_run_says_what_it_takes_to_repeat_it() {
    let stores = "[stores.unused]\nplugin = 'PLUGIN'\nsettings = { password = \"hunter2\", host = \"here\" }";
    let component = crate::support::plugin("persistence/memory").display().to_string();
    let workplace = Workplace::new(&Configuration::sma_cross(1).section(&stores.replace("PLUGIN", &component)));
    workplace.succeed(&["backtest", "--report", "json"]);
    let text = workplace.read("dump/backtest/report.json");
    let report: Value = serde_json::from_str(&text).unwrap();
    let run = &report["run"];
    assert_eq!(
        (&run["kind"], &run["exchangeName"], &run["events"]),
        (&"backtest".into(), &"binance".into(), &EVENTS.into())
    );
    let configuration = workplace.read("sigbox.toml").replace("\"hunter2\"", "\"(left out)\"");
    assert_eq!(run["configuration"], configuration);
    assert!(!text.contains("hunter2") && !workplace.read(&format!("{EVENTS}.run")).contains("hunter2"));

    let component = &run["components"][0];
    assert_eq!(
        (&component["strategyName"], &component["settings"]),
        (&"sma-cross".into(), &r#"{"fast":20,"slow":60}"#.into())
    );
    let digest = |value: &Value| value.as_str().filter(|digest| digest.len() == 64).map(str::to_owned);
    let (decided_by, candles) = (digest(&component["sha256"]).unwrap(), digest(&run["sources"][0]["sha256"]).unwrap());
    assert_eq!((&run["sources"][0]["symbol"], &run["sources"][0]["candles"]), (&"BTCUSDT".into(), &1440.into()));

    // The same candles from a file have the same digest; others have another one.
    let file = workplace.path("candles.csv");
    let generated = sigbox::market::candles::generate(&crate::support::recipe(7, 1)).unwrap();
    for (count, same) in [(1440, true), (1439, false)] {
        sigbox::market::candles::write_csv(&file, &generated[..count]).unwrap();
        let plugin = crate::support::plugin("strategies/sma-cross");
        workplace.configure(&Configuration::new().file("BTCUSDT", &file).strategy("s", &plugin, &["BTCUSDT"], ""));
        workplace.succeed(&["backtest", "--report", "json"]);
        let report: Value = serde_json::from_str(&workplace.read("dump/backtest/report.json")).unwrap();
        assert_eq!(report["run"]["sources"][0]["from"], file.display().to_string());
        assert_eq!(digest(&report["run"]["sources"][0]["sha256"]).unwrap() == candles, same);
        assert_eq!(digest(&report["run"]["components"][0]["sha256"]).unwrap(), decided_by);
    }
}

#[test]
fn the_table_the_json_and_the_report_have_the_same_numbers() {
    let workplace = Workplace::new(&Configuration::sma_cross(3));
    let printed: Value = serde_json::from_str(&workplace.succeed(&["backtest", "--json"]).stdout).unwrap();
    let format = ["report", "--events", EVENTS, "--format", "json", "--out", "-"];
    let report: Value = serde_json::from_str(&workplace.succeed(&format).stdout).unwrap();
    for part in ["total", "strategies", "symbols", "pairs"] {
        assert_eq!(printed[part], report[part], "{part}");
    }
    assert!(printed["total"]["metrics"]["sharpeRatio"].is_number());

    let of_the_run = workplace.succeed(&["backtest"]).stdout;
    let of_the_events = workplace.succeed(&["report", "--events", EVENTS]).stdout;
    let rows =
        |table: &str| table.lines().filter(|line| line.contains("sma-cross")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&of_the_events).len(), 2);
    assert_eq!(rows(&of_the_events), rows(&of_the_run));
    assert!(of_the_events.starts_with("Backtest, 2024-01-01T00:05:00Z to 2024-01-03T23:58:00Z\n"), "{of_the_events}");
}

#[test]
fn durations_are_there_when_a_report_is_asked_for() {
    let workplace = Workplace::new(&Configuration::sma_cross(1));
    workplace.succeed(&["backtest", "--report", "json"]);
    let report: Value = serde_json::from_str(&workplace.read("dump/backtest/report.json")).unwrap();
    let [run, answers] = report["timings"].as_array().unwrap().as_slice() else { panic!("{}", report["timings"]) };
    assert_eq!((&run["of"], &run["count"]), (&"the run".into(), &1.into()));
    assert_eq!(answers["of"], "get-signal of sma-cross");
    assert!(answers["count"].as_u64().unwrap() > 100, "{answers}");
    assert!(answers["totalMs"].as_f64().unwrap() <= run["totalMs"].as_f64().unwrap(), "{run} {answers}");
    let order = ["minMs", "medianMs", "p95Ms", "p99Ms", "maxMs"].map(|name| answers[name].as_f64().unwrap());
    assert!(order.is_sorted() && order[0] > 0.0, "{answers}");
}

#[test]
fn live_runs_are_reported_on_from_their_journal() {
    let configuration = Configuration::sma_cross(4);
    let workplace = Workplace::new(&configuration);
    let finished = workplace.succeed(&["live", "--report", "json,csv"]);
    for of in ["a boundary until its last decision: ", "get-signal of sma-cross: "] {
        let line = finished.stderr.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("{finished:?}"));
        assert!(line.contains(" times, median ") && line.contains(", at most "), "{line}");
    }
    let report: Value = serde_json::from_str(&workplace.read("dump/data/report.json")).unwrap();
    assert_eq!((&report["run"]["kind"], &report["run"]["events"]), (&"live".into(), &JOURNAL.into()));
    let (boundaries, answers) = (&report["timings"][0], &report["timings"][1]);
    assert!(boundaries["count"].as_u64().unwrap() > answers["count"].as_u64().unwrap(), "{boundaries} {answers}");
    let said = workplace.succeed(&["report", "--format", "json", "--out", "-"]).stdout;
    assert_eq!(without_timings(&said), without_timings(&workplace.read("dump/data/report.json")));

    // The first and the last thing that happened.
    let events = workplace.live_events();
    let at = |event: Option<&Value>| event.unwrap()["timestamp"].as_i64().unwrap();
    let (first, last) = (at(events.iter().next()), events.iter().map(|event| at(Some(event))).max().unwrap());
    assert_eq!(report["run"]["periodMs"], serde_json::json!([first, last]));
    assert_eq!(report["total"]["trades"], events.of("closed").len());

    // Backtested, the same candles give the same trades, but for what the end of the period ends.
    workplace.succeed(&["backtest", "--report", "csv"]);
    let [traded, tested] = ["dump/data", "dump/backtest"].map(|folder| workplace.read(&format!("{folder}/report.csv")));
    assert!(tested.starts_with(&traded) && traded.lines().count() > 10, "{traded}\n{tested}");
}

#[test]
fn a_live_run_can_be_reported_on_while_it_goes_on() {
    let workplace = Workplace::new(&Configuration::sma_cross(6).speed(30_000.0));
    let mut running = workplace.start_live(&["live"]);
    let trades = || {
        let finished = workplace.run(&["report", "--format", "json", "--out", "-"]);
        let report: Option<Value> = serde_json::from_str(&finished.stdout).ok();
        report.map_or(0, |report| report["total"]["trades"].as_u64().unwrap())
    };
    running.until("a trade", || trades() > 0);
    let earlier = trades();
    running.until("more trades", || trades() > earlier);
    let table = workplace.succeed(&["report"]).stdout;
    assert!(table.starts_with("Live, 2024-01-01T") && table.contains("sma-cross"), "{table}");
    running.kill();
    let after = workplace.succeed(&["report", "--format", "json", "--out", "-"]);
    assert!(without_timings(&after.stdout)["total"]["trades"].as_u64().unwrap() > earlier);
}

#[test]
fn events_that_cannot_be_are_refused_with_their_line() {
    let workplace = Workplace::new(&Configuration::sma_cross(2));
    workplace.succeed(&["backtest"]);
    let events = workplace.read(EVENTS);
    let line = 1 + events.lines().position(|line| line.contains("\"action\":\"closed\"")).unwrap();

    workplace.write("spoilt.jsonl", events.replacen("\"closeReason\":\"", "\"closeReason\":\"un", 1));
    let finished = workplace.run(&["report", "--events", "spoilt.jsonl"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(5), ""), "{finished:?}");
    let start = format!("error: events spoilt.jsonl: line {line}: a closed event: closeReason \"un");
    assert!(finished.stderr.starts_with(&start), "{start}: {finished:?}");

    workplace.write("torn.jsonl", &events[..events.len() - 10]);
    let finished = workplace.succeed(&["report", "--events", "torn.jsonl"]);
    assert!(finished.stderr.contains("torn.jsonl: the last line is half an event and is not counted"), "{finished:?}");
    assert!(finished.stderr.contains("torn.jsonl: nothing is known of the run but its events"), "{finished:?}");
    assert!(finished.stdout.starts_with("Backtest, 2024-01-01T"), "{finished:?}");

    workplace.write(&format!("{EVENTS}.run"), "{\"kind\":\"dream\"}");
    let finished = workplace.run(&["report", "--events", EVENTS]);
    assert_eq!(finished.code(), Some(5), "{finished:?}");
    let start = format!("error: {EVENTS}.run does not say what run it was (unknown variant `dream`");
    assert!(finished.stderr.starts_with(&start), "{finished:?}");
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error() {
    let workplace = Workplace::new(&Configuration::sma_cross(1));
    for (arguments, words) in [
        (
            &["report"][..],
            "error: there is no dump/data/events.jsonl; run `sigbox live`, or name the events of a backtest",
        ),
        (&["report", "--format", "pdf"], "[possible values: html, markdown, json, csv]"),
        (&["report", "--out", "a.md"], "--format <FORMAT>"),
        (&["backtest", "--report", "pdf"], "[possible values: html, markdown, json, csv]"),
        (
            &["report", "--format", "csv,json", "--out", "-"],
            "error: --out takes one report; name one --format, or leave --out away to write each beside the events",
        ),
    ] {
        let finished = workplace.run(arguments);
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {finished:?}");
    }
    assert!(!workplace.path("dump").exists(), "nothing is written");
}
