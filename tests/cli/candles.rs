//! Candle files that cannot be used.

use super::assert_refused;
use crate::support::{Configuration, Workplace, plugin};

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
    assert_eq!(workplace.read("dump/data/events.jsonl.reached").trim(), "1704073200000", "the minute before");
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
