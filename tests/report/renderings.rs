//! The report as Markdown, JSON and CSV: nothing is lost, and nothing is there that was not.

use std::{env, fs};

use serde_json::{Value, json};
use sigbox_engine::{outcome::CloseReason, stats::METRICS};
use sigbox_events::{Kind, RunRecord};
use sigbox_report::{Report, csv, json, markdown};

use super::example;
use crate::support::repository;

/// `SIGBOX_BLESS=1` writes the page anew; look at the difference before it is committed.
#[test]
fn the_markdown_page_is_as_it_was() {
    let file = repository().join("tests/report/example.md");
    let page = markdown(&example::report());
    if env::var_os("SIGBOX_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, &page).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    for (number, (found, expected)) in (1..).zip(page.lines().zip(expected.lines())) {
        assert_eq!(found, expected, "{}:{number}; SIGBOX_BLESS=1 writes the file anew", file.display());
    }
    assert_eq!(page, expected, "one goes on where the other ends");
}

#[test]
fn the_json_has_every_metric_of_every_part() {
    let report = example::report();
    let read: Value = serde_json::from_str(&json(&report)).unwrap();
    let mut parts = vec![(&read["total"], &report.tally.total)];
    for part in read["strategies"].as_array().unwrap() {
        parts.push((part, &report.tally.strategies[part["strategyName"].as_str().unwrap()]));
    }
    for part in read["symbols"].as_array().unwrap() {
        parts.push((part, &report.tally.symbols[part["symbol"].as_str().unwrap()].summary));
    }
    for part in read["pairs"].as_array().unwrap() {
        let (strategy, symbol) = (part["strategyName"].as_str().unwrap(), part["symbol"].as_str().unwrap());
        parts.push((part, &report.tally.pairs[strategy][symbol].summary));
    }
    assert_eq!(parts.len(), 1 + 2 + 2 + 3);
    let mut missing = 0;
    for (part, summary) in parts {
        let metrics = part["metrics"].as_object().unwrap();
        assert_eq!(metrics.len(), METRICS.len());
        let statistics = summary.returns.statistics();
        for metric in &METRICS {
            let value = metric.of(&statistics);
            assert_eq!(metrics[metric.name].as_f64(), value, "{} of {part}", metric.name);
            assert_eq!(metrics[metric.name].is_null(), value.is_none(), "{}", metric.name);
            missing += u32::from(value.is_none());
        }
        assert_eq!(part["trades"], summary.returns.trades());
        for (reason, count) in CloseReason::ALL.into_iter().zip(summary.closed_by) {
            assert_eq!(part["closedBy"][reason.name()], count);
        }
        assert_eq!(part["orders"]["scheduled"], summary.orders.scheduled);
        assert_eq!(part["orders"]["activationRate"].as_f64(), summary.orders.activation_rate());
        assert_eq!(part["rejections"], json!(summary.rejected));
    }
    assert!(missing > 20, "small parts cannot carry every number");
}

#[test]
fn the_json_has_the_rest_too() {
    let read: Value = serde_json::from_str(&json(&example::report())).unwrap();
    let total = &read["total"];
    assert_eq!(total["orders"]["cancelledBy"], json!({ "price_reject": 0, "timeout": 1, "user": 1 }));
    assert_eq!(total["orders"]["avgWaitMinutes"], 60.5);
    assert_eq!(total["levels"]["profit"]["30"], 1);
    assert_eq!((&total["levels"]["loss"]["20"], &total["levels"]["breakeven"]), (&json!(0), &json!(3)));
    assert_eq!(total["rejections"], json!({ "at most three positions": 2, "too-dear": 1 }));
    assert_eq!((&total["riskRejections"], &total["invalidSignals"]), (&json!(3), &json!(2)));
    assert_eq!(total.get("trend"), None, "prices of two symbols have no trend");
    assert_eq!(read["symbols"][0]["trend"]["direction"], "bullish");
    assert_eq!(read["symbols"][1]["trend"], Value::Null);

    let times = &read["timings"][1];
    assert_eq!((&times["of"], &times["count"]), (&json!("get-signal of alpha"), &json!(4)));
    assert_eq!((&times["medianMs"], &times["maxMs"]), (&json!(0.375), &json!(2.0)));
    assert_eq!(read["timings"][0]["stdDevMs"], Value::Null);

    let run: RunRecord = serde_json::from_value(read["run"].clone()).unwrap();
    assert_eq!(run, example::report().run);
}

#[test]
fn trades_read_back_from_json_and_csv_to_the_bit() {
    let mut report = example::report();
    report.trades[1].trade.peak_percent = None;
    report.trades[2].trade.result_percent = 0.1 + 0.2;
    report.trades[3].trade.close_price = 1e-7 / 3.0;
    let from_json: Value = serde_json::from_str(&json(&report)).unwrap();
    let text = csv(&report);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), from_json["trades"].as_array().unwrap().len()), (17, 17));
    assert!(text.lines().count() == 18 && text.ends_with("\r\n"));

    for ((expected, row), object) in report.trades.iter().zip(&rows).zip(from_json["trades"].as_array().unwrap()) {
        let cell = |name: &str| row.get(header.iter().position(|column| column == name).unwrap()).unwrap();
        for (name, number) in [
            ("priceOpen", Some(expected.open_price)),
            ("priceTakeProfit", Some(expected.take_profit)),
            ("priceStopLoss", Some(expected.stop_loss)),
            ("priceClose", Some(expected.trade.close_price)),
            ("multiplier", Some(expected.multiplier)),
            ("cost", Some(expected.cost)),
            ("pnlPercentage", Some(expected.trade.result_percent)),
            ("pnlCost", Some(expected.trade.result_cost)),
            ("peakPnl", expected.trade.peak_percent),
            ("fallPnl", expected.trade.fall_percent),
        ] {
            assert_eq!(cell(name).parse::<f64>().ok(), number, "{name}");
            assert_eq!(object[name].as_f64(), number, "{name}");
        }
        for (name, at_ms) in [
            ("scheduledAt", expected.scheduled_ms),
            ("pendingAt", expected.trade.opened_ms),
            ("closeTimestamp", expected.trade.closed_ms),
        ] {
            assert_eq!(cell(name).parse::<jiff::Timestamp>().unwrap().as_millisecond(), at_ms, "{name}");
            assert_eq!(object[name], at_ms, "{name}");
        }
        for (name, text) in [
            ("id", expected.id.as_str()),
            ("strategyName", &expected.strategy),
            ("symbol", &expected.symbol),
            ("position", expected.side.name()),
            ("closeReason", expected.trade.reason.name()),
            ("note", &expected.note),
        ] {
            assert_eq!((cell(name), &object[name]), (text, &json!(text)), "{name}");
        }
    }
    assert_eq!(header.len(), from_json["trades"][0].as_object().unwrap().len(), "both have the same columns");
}

#[test]
fn a_run_in_which_nothing_happened_has_a_report() {
    let run = RunRecord { kind: Kind::Live, period_ms: None, version: String::new(), ..example::report().run };
    let nothing = Report { run, tally: <_>::default(), trades: Vec::new(), bars: <_>::default(), timings: Vec::new() };
    let page = markdown(&nothing);
    assert!(page.starts_with("# Live run: January\n\nExchange binance, nothing happened yet.\n"), "{page}");
    assert!(page.contains("| Sharpe ratio | N/A |\n"), "{page}");
    assert!(page.contains("Nothing is known of the run but its events, dump/backtest/events.jsonl.\n"), "{page}");
    let read: Value = serde_json::from_str(&json(&nothing)).unwrap();
    assert_eq!((&read["total"]["metrics"]["winRate"], &read["pairs"]), (&Value::Null, &json!([])));
    assert_eq!(csv(&nothing).lines().count(), 1);
}
