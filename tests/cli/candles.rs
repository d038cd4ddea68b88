//! Candle files: those that cannot be used, and the commands that check, convert and fetch them.

mod fetch;

use serde_json::{Value, json};
use sigbox::market::candles::{Existing, generate, read_candles, write_candles};

use super::assert_refused;
use crate::support::{Configuration, Workplace, plugin, recipe};

const HEADER: &str = "open_time,open,high,low,close,volume";

/// Rows of candles one minute apart, and a way to spoil them.
fn spoilt(spoil: impl FnOnce(&mut Vec<String>)) -> Workplace {
    let row = |minute: i64| format!("{},100,101,99,100.5,1", 1_704_067_200_000 + minute * 60_000);
    let mut rows: Vec<String> = (0..200).map(row).collect();
    spoil(&mut rows);
    let workplace = Workplace::empty();
    let file = workplace.path("candles.csv");
    workplace.write("candles.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    let component = plugin("strategies/sma-cross");
    workplace.configure(&Configuration::new().file("BTCUSDT", &file).strategy("s", &component, &["BTCUSDT"], ""));
    workplace
}

#[test]
fn candles_in_order_are_used() {
    spoilt(|_| {}).succeed(&["backtest"]);
}

#[test]
fn a_bad_row_is_refused_with_its_line_in_backtests_and_live() {
    type Spoil = fn(&mut Vec<String>);
    // Row 100 is on line 102: lines count from one, and there is a header.
    let cases: [(Spoil, &str); 6] = [
        (
            |rows| drop(rows.drain(100..103)),
            "candles.csv:102: 3 minutes are missing before this row, from 2024-01-01T01:40:00Z to 2024-01-01T01:42:00Z; ",
        ),
        (|rows| rows.swap(99, 100), "candles.csv:101: "),
        (
            |rows| rows.insert(100, rows[99].clone()),
            "candles.csv:102: 2024-01-01T01:39:00Z is there twice; remove one of the rows",
        ),
        (|rows| rows[100] = rows[100].replace("101,99", "99,101"), "candles.csv:102: impossible candle: "),
        (|rows| rows[100] = rows[100].replace("100.5", "cheap"), "candles.csv:102: close is not a number: `cheap`"),
        (|rows| rows[100] = "a,b".to_owned(), "candles.csv:102: "),
    ];
    for (spoil, start) in cases {
        let workplace = spoilt(spoil);
        for command in ["backtest", "live"] {
            let finished = workplace.run(&[command]);
            assert_eq!(finished.code(), Some(4), "{start}: {finished:?}");
            let expected = format!("error: {}", workplace.path(start).display());
            assert!(finished.stderr.starts_with(&expected), "{expected}: {finished:?}");
            assert!(!workplace.path("dump").exists(), "nothing is written");
        }
    }
}

#[test]
fn an_absurdly_low_price_ends_a_run_when_it_is_reached() {
    let workplace = spoilt(|rows| rows[100] = rows[100].replace(",99,", ",0.05,"));
    for command in ["backtest", "live"] {
        let finished = workplace.run(&[command]);
        assert_eq!(finished.code(), Some(4), "{finished:?}");
        let expected = "candles of BTCUSDT: a price of the candle that opens at 2024-01-01T01:40:00Z is absurdly \
                        far below its neighbours; put it right, or raise [engine] \
                        get-candles-price-anomaly-threshold-factor\n";
        assert!(finished.stderr.ends_with(expected), "{finished:?}");
    }
    let reached = workplace.read("dump/data/events.jsonl.reached");
    assert!(reached.starts_with("1704073200000 "), "the minute before: {reached}");
}

#[test]
fn a_file_that_is_not_there_or_empty_is_refused() {
    let workplace = spoilt(|_| {});
    workplace.write("candles.csv", "");
    assert_refused(&workplace, &["backtest"], 4, "error: candles.csv has no candles");
    std::fs::remove_file(workplace.path("candles.csv")).unwrap();
    let message = "error: cannot read candles from candles.csv: No such file or directory (os error 2)";
    assert_refused(&workplace, &["backtest"], 4, message);
}

#[test]
fn a_backtest_on_parquet_is_the_one_on_csv() {
    let workplace = Workplace::empty();
    let candles = generate(&recipe(11, 3)).unwrap();
    let events = ["candles.csv", "candles.parquet"].map(|name| {
        let file = workplace.path(name);
        write_candles(&file, &candles, Existing::Keep).unwrap();
        let cross = plugin("strategies/sma-cross");
        workplace.configure(&Configuration::new().file("BTCUSDT", &file).strategy("s", &cross, &["BTCUSDT"], ""));
        workplace.succeed(&["backtest"]);
        workplace.read("dump/backtest/events.jsonl")
    });
    assert!(events[0].contains("\"action\":\"closed\""));
    assert!(events[0] == events[1], "the events differ");
}

#[test]
fn a_good_file_is_described() {
    let workplace = spoilt(|_| {});
    let said = workplace.succeed(&["candles", "check", "candles.csv"]).stdout;
    let described = "CSV, 200 candles of 1m, 2024-01-01T00:00:00Z to 2024-01-01T03:19:00Z, no problem\n";
    assert_eq!(said, format!("candles.csv: {described}"));
    // Without a name, those of the configuration.
    let said = workplace.succeed(&["candles", "check"]).stdout;
    assert_eq!(said, format!("BTCUSDT, {}: {described}", workplace.path("candles.csv").display()));
}

#[test]
fn every_problem_of_every_file_is_listed() {
    let workplace = spoilt(|rows| {
        rows[150] = rows[150].replace("101,99", "99,101");
        rows.drain(100..103);
        rows.insert(50, rows[49].clone());
    });
    workplace.write("good.csv", "1704067200000,1,1,1,1,1\n1704067260000,1,1,1,1,1\n");
    workplace.write("empty.csv", "");
    let arguments = ["candles", "check", "candles.csv", "good.csv", "empty.csv", "absent.csv"];
    let finished = workplace.run(&arguments);
    let expected = "\
        candles.csv: CSV, 197 candles of 1m, 2024-01-01T00:00:00Z to 2024-01-01T03:19:00Z, 3 missing, 3 problems\n  \
        line 52: 2024-01-01T00:49:00Z is there twice; remove one of the rows\n  \
        line 103: 3 minutes are missing before this row, from 2024-01-01T01:40:00Z to 2024-01-01T01:42:00Z; get the \
        missing candles, or set gaps to \"fill\" to have flat ones\n  \
        line 150: impossible candle: the high is below the low: `1704076200000,100,99,101,100.5,1`\n\
        good.csv: CSV, 2 candles of 1m, 2024-01-01T00:00:00Z to 2024-01-01T00:01:00Z, no problem\n\
        empty.csv: CSV, 1 problem\n  \
        empty.csv has no candles\n\
        absent.csv: 1 problem\n  \
        cannot read candles from absent.csv: No such file or directory (os error 2)\n";
    assert_eq!(finished.stdout, expected);
    assert_eq!((finished.code(), finished.stderr.as_str()), (Some(4), "error: 3 of 4 files have problems\n"));

    let finished = workplace.run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(finished.code(), Some(4));
    let files: Value = serde_json::from_str(&finished.stdout).unwrap();
    let first = json!({
        "file": "candles.csv", "format": "CSV", "interval": "1m", "candles": 197, "missing": 3,
        "firstTimestamp": 1_704_067_200_000_i64, "lastTimestamp": 1_704_079_140_000_i64, "problemCount": 3,
        "problems": [
            { "line": 52, "problem": "2024-01-01T00:49:00Z is there twice; remove one of the rows" },
            { "line": 103, "problem": files[0]["problems"][1]["problem"] },
            { "line": 150, "problem": files[0]["problems"][2]["problem"] },
        ],
    });
    assert_eq!(files[0], first);
    assert_eq!((&files[1]["problemCount"], &files[3]["format"]), (&json!(0), &Value::Null));
}

#[test]
fn more_problems_than_anybody_reads_are_counted() {
    let workplace = spoilt(|rows| rows.reverse());
    let finished = workplace.run(&["candles", "check", "candles.csv"]);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert!(lines[0].ends_with(", 199 problems"), "{finished:?}");
    assert_eq!((lines.len(), lines[21]), (22, "  … and 179 more"));
    assert_eq!((finished.code(), finished.stderr.as_str()), (Some(4), "error: the file has problems\n"));
}

#[test]
fn files_go_from_one_format_to_the_other_and_back() {
    let workplace = spoilt(|_| {});
    let said = workplace.succeed(&["candles", "convert", "candles.csv", "candles.parquet"]).stdout;
    let described = "200 candles of 1m, 2024-01-01T00:00:00Z to 2024-01-01T03:19:00Z.\n";
    assert_eq!(said, format!("Wrote candles.parquet: {described}"));
    workplace.succeed(&["candles", "convert", "candles.parquet", "again.csv"]);
    assert_eq!(workplace.read("again.csv"), workplace.read("candles.csv"));
    let said = workplace.succeed(&["candles", "check", "candles.parquet"]).stdout;
    assert!(said.starts_with("candles.parquet: Parquet, 200 candles of 1m, "), "{said}");

    let refused = "error: again.csv exists already; name another file, or replace it with --force";
    assert_refused(&workplace, &["candles", "convert", "candles.parquet", "again.csv", "--interval", "1h"], 2, refused);
    assert_eq!(workplace.read("again.csv"), workplace.read("candles.csv"), "it is as it was");
    let forced = ["candles", "convert", "candles.parquet", "again.csv", "--interval", "1h", "--force"];
    let hours = "Wrote again.csv: 3 candles of 1h, 2024-01-01T00:00:00Z to 2024-01-01T02:00:00Z.\n";
    assert_eq!(workplace.succeed(&forced).stdout, hours);
    assert_eq!(
        workplace.read("again.csv"),
        "open_time,open,high,low,close,volume\n1704067200000,100,101,99,100.5,60\n1704070800000,100,101,99,100.5,60\n\
         1704074400000,100,101,99,100.5,60\n"
    );
    let said = workplace.succeed(&["candles", "check", "again.csv"]).stdout;
    assert_eq!(
        said,
        "again.csv: CSV, 3 candles of 1h, 2024-01-01T00:00:00Z to 2024-01-01T02:00:00Z, no problem\n  a run needs \
         one-minute candles, and makes those of 1h itself\n"
    );
}

#[test]
fn a_part_is_cut_out_and_gaps_are_filled_on_demand() {
    let workplace = spoilt(|rows| drop(rows.drain(100..103)));
    let refused = "error: candles.csv:102: 3 minutes are missing before this row, from 2024-01-01T01:40:00Z to \
                   2024-01-01T01:42:00Z; get the missing candles, or set gaps to \"fill\" to have flat ones";
    assert_refused(&workplace, &["candles", "convert", "candles.csv", "part.csv"], 4, refused);
    assert!(!workplace.path("part.csv").exists());
    let span = ["--from", "2024-01-01T01:39Z", "--to", "2024-01-01 01:44:00"];
    let arguments = [&["candles", "convert", "candles.csv", "part.csv", "--gaps", "fill"][..], &span].concat();
    workplace.succeed(&arguments);
    let candles = read_candles(&workplace.path("part.csv"), sigbox::market::candles::Gaps::Refuse).unwrap();
    assert_eq!(candles.iter().map(|candle| candle.volume).collect::<Vec<_>>(), [1.0, 0.0, 0.0, 0.0, 1.0]);

    let beyond = ["candles", "convert", "part.csv", "none.csv", "--from", "2025-01-01"];
    let refused = "error: part.csv has candles from 2024-01-01T01:39:00Z to 2024-01-01T01:43:00Z; that part of it which is \
                   asked for has no candle of 1m";
    assert_refused(&workplace, &beyond, 4, refused);
}

#[test]
fn wrong_arguments_are_refused() {
    let workplace = spoilt(|_| {});
    let cases: [(&[&str], &str); 9] = [
        (&["candles"], "Usage: sigbox candles"),
        (&["candles", "convert", "candles.csv", "candles.xlsx"], "it must end in .csv or .parquet"),
        (&["candles", "convert", "candles.csv", "a.csv", "--interval", "7m"], "not an interval; there are 1m 3m"),
        (&["candles", "convert", "candles.csv", "a.csv", "--gaps", "keep"], "it is refuse or fill"),
        (
            &["candles", "convert", "candles.csv", "a.csv", "--from", "2024-01-02", "--to", "2024-01-02"],
            "--to must be later than --from",
        ),
        (&["candles", "fetch", "BTCUSDT", "--out", "a.csv"], "--from <TIME>"),
        (&["candles", "fetch", "BTCUSDT", "--out", "a.csv", "--from", "noon"], "not a whole minute such as 2024-01-31"),
        (
            &["candles", "fetch", "BTCUSDT", "--out", "a.csv", "--from", "2024-01-01", "--base-url", "binance"],
            "not a URL such as https://api.binance.com",
        ),
        (&["candles", "check", "-c", "other.toml"], "name a file; other.toml has no [candles.files]"),
    ];
    workplace.write("other.toml", Configuration::sma_cross(1).to_toml());
    for (arguments, words) in cases {
        let finished = workplace.run(arguments);
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {finished:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {finished:?}");
    }
}
