//! `sigbox backtest --check-promises`.

use serde_json::{Value, json};

use crate::support::{Configuration, Workplace, plugin};

/// A year of two symbols. Prices of the second one are whole cents near one, so averages are often equal.
const YEAR: &str = r#"
[candles.generate.BTCUSDT]
seed = 7
start = "2024-01-01T00:00:00Z"
days = 365
price = 42000.0
volatility-percent = 0.05
[candles.generate.COARSEUSDT]
seed = 8
start = "2024-01-01T00:00:00Z"
days = 365
price = 1.1
volatility-percent = 0.5
"#;

#[test]
fn the_samples_keep_what_they_promise_and_trade_the_same_as_without() {
    // The sample, its settings, and how many times fewer questions it is asked at least.
    for (sample, settings, fewer) in [
        ("dips", "minutes = 60", 2),
        ("sma-cross-quiet", "minutes = 60", 5),
        ("sma-cross-quiet", "fast = 37, slow = 150, minutes = 30", 5),
        ("sma-cross-quiet", "fast = 3, slow = 7, minutes = 30", 1),
    ] {
        let component = plugin(&format!("strategies/{sample}"));
        let run = |quiet: bool, arguments: &[&str]| {
            let settings = format!("settings = {{ quiet = {quiet}, {settings} }}");
            let configuration = Configuration::new().section(YEAR);
            // A promise may end between two of its questions.
            let seldom = format!("interval = \"5m\"\n{settings}");
            let configuration = configuration
                .strategy("it", &component, &["BTCUSDT", "COARSEUSDT"], &settings)
                .strategy("seldom", &component, &["BTCUSDT"], &seldom);
            let workplace = Workplace::new(&configuration);
            let said = workplace.succeed(&[&["backtest", "--json"], arguments].concat()).stdout;
            let promises = serde_json::from_str::<Value>(&said).unwrap()["promises"].clone();
            (promises, workplace.read("dump/backtest/events.jsonl"))
        };
        let (unchecked, always) = run(false, &[]);
        let (_, kept) = run(true, &[]);
        let (promises, checked) = run(true, &["--check-promises"]);
        assert!(always.matches("\"action\":\"opened\"").count() > 500, "{sample}, {settings}: too few trades");
        assert!(kept == always, "{sample}, {settings}: the promises change what is traded");
        assert!(checked == always, "{sample}, {settings}: the check changes what is traded");

        let number = |of: &str| promises[of].as_u64().unwrap();
        assert_eq!((&unchecked, &promises["wrong"], &promises["named"]), (&Value::Null, &json!(0), &json!([])));
        assert!(number("checked") > 1000, "{sample}, {settings}: {promises}");
        let without = number("questions") + number("questionsSaved");
        assert!(number("questions") * fewer < without, "{sample}, {settings}: {promises}");
    }
}

#[test]
fn a_wrong_promise_is_named_and_the_command_fails() {
    let minute = |minute: u64| 1_704_067_200_000 + minute * 60_000;
    let long = "dto = { position = \"long\", priceTakeProfit = 50000, priceStopLoss = 30000 }";
    let short = "dto = { position = \"short\", priceTakeProfit = 30000, priceStopLoss = 50000 }";
    let script = |lines: &[String]| format!("settings = {{ signals = [{}] }}", lines.join(", "));
    let silent = |at: u64, until: u64, band: &str| {
        format!("{{ at = {}, quiet = {{ until = {}{band} }} }}", minute(at), minute(until))
    };
    let says = |at: u64, what: &str| format!("{{ at = {}, {what} }}", minute(at));
    let hasty = [
        silent(10, 20, ", below = 30000, above = 50000"),
        says(15, long),
        // Kept: it trades at the minute at which the promise ends.
        silent(30, 40, ""),
        says(40, "throw = \"no connection\""),
        silent(50, 60, ", below = 30000"),
        says(55, "throw = \"no connection\""),
        says(56, short),
    ];
    let mut stubborn: Vec<String> = Vec::new();
    for round in 0..7 {
        stubborn.extend([silent(4 * round + 10, 4 * round + 13, ", above = 50000"), says(4 * round + 12, short)]);
    }
    let component = plugin("strategies/scripted");
    let configuration = Configuration::new()
        .generated("BTCUSDT", 7, 1)
        .strategy("hasty", &component, &["BTCUSDT"], &script(&hasty))
        .strategy("stubborn", &component, &["BTCUSDT"], &script(&stubborn));
    let workplace = Workplace::new(&configuration);
    workplace.succeed(&["backtest"]);
    let events = workplace.read("dump/backtest/events.jsonl");

    let finished = workplace.run(&["backtest", "--check-promises"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    assert_eq!(finished.stderr, "error: 9 of 10 promises of silence were wrong\n", "{finished:?}");
    assert_eq!(workplace.read("dump/backtest/events.jsonl"), events);
    let lines: Vec<&str> = finished.stdout.lines().skip_while(|line| !line.starts_with("Promises: ")).collect();
    let price = |at: u64| {
        let (_, price) = lines.iter().find_map(|line| line.split_once(&format!("at {}, price ", time(at)))).unwrap();
        price.split_once(',').unwrap().0.parse::<f64>().unwrap()
    };
    assert!((41_000.0..43_000.0).contains(&price(15)), "{finished:?}");
    let line = |who: &str, made: u64, until: u64, band: &str, at: u64, said: &str| {
        let (made, until, price, at) = (time(made), time(until), price(at), time(at));
        format!(
            "  {who} on BTCUSDT promised at {made} to be silent until {until}{band}; at {at}, price {price}, {said}"
        )
    };
    let mut expected = vec![
        line("hasty", 10, 20, " while prices stay from 30000 to 50000", 15, "it would have traded: long"),
        line(
            "hasty",
            50,
            60,
            " while prices stay at 30000 or above",
            55,
            "it failed: get-signal failed: throw: no connection",
        ),
    ];
    for round in 0..5 {
        let (made, band) = (4 * round + 10, " while prices stay at 50000 or below");
        expected.push(line("stubborn", made, made + 3, band, made + 2, "it would have traded: short"));
    }
    let mut named = lines[1..=expected.len()].to_vec();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected, "{finished:?}");
    assert_eq!(lines[expected.len() + 1], "  and 2 more");

    let finished = workplace.run(&["backtest", "--check-promises", "--json", "--no-events"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    let promises = &serde_json::from_str::<Value>(&finished.stdout).unwrap()["promises"];
    assert_eq!((&promises["checked"], &promises["wrong"]), (&json!(10), &json!(9)));
    let named = promises["named"].as_array().unwrap();
    assert_eq!(named.len(), 7);
    let hasty: Vec<&Value> = named.iter().filter(|wrong| wrong["strategyName"] == "hasty").collect();
    let expected = [
        json!({
            "strategyName": "hasty", "symbol": "BTCUSDT", "madeTimestamp": minute(10), "untilTimestamp": minute(20),
            "below": 30000.0, "above": 50000.0, "timestamp": minute(15), "price": price(15), "position": "long",
            "message": null,
        }),
        json!({
            "strategyName": "hasty", "symbol": "BTCUSDT", "madeTimestamp": minute(50), "untilTimestamp": minute(60),
            "below": 30000.0, "above": null, "timestamp": minute(55), "price": price(55), "position": null,
            "message": "get-signal failed: throw: no connection",
        }),
    ];
    assert_eq!(hasty, expected.iter().collect::<Vec<_>>());
}

fn time(minute: u64) -> String {
    format!("2024-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

#[test]
fn a_run_without_a_wrong_promise_says_so_in_one_line() {
    let run = |sample: &str| {
        let component = plugin(&format!("strategies/{sample}"));
        let configuration = Configuration::new().generated("BTCUSDT", 7, 2);
        let workplace = Workplace::new(&configuration.strategy("it", &component, &["BTCUSDT"], ""));
        let lines = workplace.succeed(&["backtest", "--check-promises"]).stdout;
        let lines: Vec<&str> = lines.lines().skip_while(|line| !line.starts_with("Promises: ")).collect();
        assert!(lines[1].starts_with("Every event: "), "{lines:?}");
        lines[0].to_owned()
    };
    assert_eq!(run("sma-cross"), "Promises: none was made.");
    let said = run("sma-cross-quiet");
    let (made, questions) = said.split_once(" checked, all kept; ").unwrap_or_else(|| panic!("{said}"));
    let number = |text: &str| text.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{said}"));
    let (asked, without) = questions.trim_end_matches('.').split_once(" questions instead of ").unwrap();
    assert!(number(made.trim_start_matches("Promises: ")) > 10, "{said}");
    assert!(number(asked) * 2 < number(without), "{said}");
}
