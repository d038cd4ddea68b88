//! What the command says of a sweep.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RESULTS, ran, results, sma_cross, sweep};
use crate::support::{Configuration, Workplace, plugin};

const TWO_FRAMES: &str = "[[walk.frames]]\nname = \"early\"\nend = \"2024-01-05T00:00:00Z\"\n\
                          [[walk.frames]]\nname = \"late\"\nstart = \"2024-01-05T00:00:00Z\"\ninterval = \"3m\"\n";

/// What `sigbox backtest` says of the run alone, under the names of `sigbox walk`.
fn backtest(run: &Value) -> BTreeMap<&'static str, Value> {
    let frame = match run["frameName"].as_str().unwrap() {
        "early" => "[frame]\nname = \"early\"\nend = \"2024-01-05T00:00:00Z\"",
        "late" => "[frame]\nname = \"late\"\nstart = \"2024-01-05T00:00:00Z\"\ninterval = \"3m\"",
        name => panic!("no such frame: {name}"),
    };
    let text = sma_cross(&["BTCUSDT", "ETHUSDT"], frame).to_toml();
    let settings = &run["settings"];
    let workplace = Workplace::empty();
    let text = text
        .replace("fast = 20, slow = 60", &format!("fast = {}, slow = {}", settings["fast"], settings["slow"]))
        .replace("symbols = [\"BTCUSDT\", \"ETHUSDT\"]", &format!("symbols = [{}]", run["symbol"]));
    workplace.write("sigbox.toml", text);
    let said: Value = serde_json::from_str(&workplace.succeed(&["backtest", "--json"]).stdout).unwrap();
    let total = &said["total"];
    [
        ("totalSignals", "trades"),
        ("winCount", "wins"),
        ("lossCount", "losses"),
        ("winRate", "winRate"),
        ("totalPnl", "totalPnl"),
        ("avgPnl", "averagePnl"),
        ("bestPnl", "bestPnl"),
        ("worstPnl", "worstPnl"),
        ("maxDrawdown", "maxDrawdown"),
        ("riskRejections", "riskRejections"),
        ("invalidSignals", "invalidSignals"),
        ("strategyFailures", "strategyFailures"),
    ]
    .into_iter()
    .map(|(name, there)| (name, total[there].clone()))
    .collect()
}

#[test]
fn every_run_has_the_numbers_of_a_backtest_with_its_settings() {
    let grid =
        format!("[walk.grid.sma-cross]\nfast = [5, 20]\nslow = {{ from = 40, to = 60, step = 20 }}\n{TWO_FRAMES}");
    let workplace = Workplace::new(&sma_cross(&["BTCUSDT", "ETHUSDT"], &grid));
    let (json, _) = sweep(&workplace);
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 16, "two values of two settings on two symbols in two frames");
    for run in runs {
        for (name, expected) in backtest(run) {
            let found = run["statistics"].get(name).unwrap_or(&run[name]);
            assert_eq!(found, &expected, "{name} of {run}");
        }
        assert!(run["statistics"]["totalSignals"].as_u64().unwrap() > 10, "there is something to compare: {run}");
    }
}

#[test]
fn the_number_of_jobs_and_the_order_of_runs_cannot_be_seen() {
    let grid = "[walk.grid.sma-cross]\nfast = { from = 5, to = 40, step = 5 }\nslow = [30, 60]\n";
    let configuration = sma_cross(&["BTCUSDT", "ETHUSDT"], grid);
    let said = |jobs: &str| {
        let workplace = Workplace::new(&configuration);
        let results_of =
            |arguments: &[&str]| workplace.succeed(&[&["walk", "--jobs", jobs], arguments].concat()).stdout;
        let said = [results_of(&["--json"]), results_of(&["--report", "csv"]), workplace.read("dump/walk/report.csv")];
        (said, results(&workplace))
    };
    let one = said("1");
    assert_eq!(one.1.len(), 26, "three of the sixteen combinations are refused, on two symbols");
    for jobs in ["2", "7"] {
        assert!(said(jobs) == one, "{jobs} jobs");
    }
}

/// Specification: S-WLK-08.
#[test]
fn tables_show_the_best_first_and_what_to_do_with_it() {
    let grid = format!("[walk.grid.sma-cross]\nfast = [5, 10, 20]\n{TWO_FRAMES}");
    let workplace = Workplace::new(&sma_cross(&["BTCUSDT", "ETHUSDT"], &grid));
    let finished = workplace.succeed(&["walk", "--metric", "profitFactor", "--top", "5"]);
    let said = &finished.stdout;
    assert_eq!(ran(&finished.stderr), 12, "{said}");
    let cells = |line: &str| -> Vec<String> {
        line.split(['│', '┆']).map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let rows: Vec<Vec<String>> = said.lines().map(cells).filter(|cells| cells.len() > 4).collect();
    assert_eq!(said.lines().next(), Some("12 runs of 3 candidates, best Profit factor first"), "{said}");
    let header = ["strategy", "symbol", "frame", "settings", "Profit factor", "trades", "win rate", "PnL", "drawdown"];
    assert_eq!(rows[0], header, "{said}");
    assert_eq!(rows[6], ["strategy", "settings", "median", "worst", "runs with one"], "{said}");
    assert_eq!(rows.len(), 1 + 5 + 1 + 3, "{said}");
    assert!(said.contains("… and 7 more; --top 12 shows all"), "{said}");

    // Every number a person sees is one a program gets.
    let json = workplace.succeed(&["walk", "--json", "--metric", "profitFactor"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["metric"], "profitFactor");
    let number = |value: &Value| value.as_f64().unwrap();
    for (row, run) in rows[1..6].iter().zip(json["runs"].as_array().unwrap()) {
        let statistics = &run["statistics"];
        let expected = [
            run["rank"].to_string(),
            "sma-cross".to_owned(),
            run["symbol"].as_str().unwrap().to_owned(),
            run["frameName"].as_str().unwrap().to_owned(),
            format!("fast = {}", run["settings"]["fast"]),
            format!("{:.3}", number(&statistics["profitFactor"])),
            statistics["totalSignals"].to_string(),
            format!("{:.2} %", number(&statistics["winRate"])),
            format!("{:+.2} %", number(&statistics["totalPnl"])),
            format!("{:.2} %", number(&statistics["maxDrawdown"])),
        ];
        assert_eq!(*row, expected, "{said}");
    }
    let candidates = json["candidates"].as_array().unwrap();
    for (row, candidate) in rows[7..].iter().zip(candidates) {
        let settings = &candidate["settings"];
        let of: Vec<&Value> =
            json["runs"].as_array().unwrap().iter().filter(|run| run["settings"] == *settings).collect();
        let mut values: Vec<f64> = of.iter().map(|run| number(&run["statistics"]["profitFactor"])).collect();
        values.sort_by(f64::total_cmp);
        assert_eq!(number(&candidate["median"]), f64::midpoint(values[1], values[2]));
        assert_eq!(number(&candidate["worst"]), values[0]);
        let expected = [
            candidate["rank"].to_string(),
            "sma-cross".to_owned(),
            format!("fast = {}", settings["fast"]),
            format!("{:.3}", number(&candidate["median"])),
            format!("{:.3}", number(&candidate["worst"])),
            "4 of 4".to_owned(),
        ];
        assert_eq!(*row, expected, "{said}");
    }
    let best = format!(
        "\nThe best candidate is sma-cross with\nsettings = {{ fast = {}, minutes = 120, slow = 60 }}\n",
        candidates[0]["settings"]["fast"]
    );
    assert!(said.ends_with(&best), "{said}");
}

#[test]
fn the_line_of_the_best_settings_can_be_pasted() {
    let configuration =
        sma_cross(&["BTCUSDT"], "[walk.grid.sma-cross]\nfast = [5, 10]\ntake-profit-percent = [0.9, 1.5]\n");
    let workplace = Workplace::new(&configuration);
    let said = workplace.succeed(&["walk"]).stdout;
    let line = said.lines().last().unwrap();
    let text = configuration.to_toml().replace("settings = { fast = 20, slow = 60, minutes = 120 }", line);
    assert!(text.contains(line), "{text}");
    workplace.write("sigbox.toml", text);
    let pasted: Value = serde_json::from_str(&workplace.succeed(&["backtest", "--json"]).stdout).unwrap();
    workplace.configure(&configuration);
    let (json, _) = sweep(&workplace);
    assert_eq!(pasted["total"]["totalPnl"], json["runs"][0]["statistics"]["totalPnl"]);
}

#[test]
fn without_a_grid_strategies_are_compared_and_ties_stay_in_order() {
    let component = plugin("strategies/sma-cross");
    let fast = "settings = { fast = 5 }";
    let configuration = Configuration::new()
        .generated("BTCUSDT", 11, 8)
        .strategy("slow", &component, &["BTCUSDT"], "settings = { fast = 40, slow = 120 }")
        .strategy("first", &component, &["BTCUSDT"], fast)
        .strategy("second", &component, &["BTCUSDT"], fast)
        .strategy("idle", &plugin("strategies/scripted"), &["BTCUSDT"], "");
    let workplace = Workplace::new(&configuration);
    let (json, _) = sweep(&workplace);
    let names: Vec<&str> =
        json["runs"].as_array().unwrap().iter().map(|run| run["strategyName"].as_str().unwrap()).collect();
    let place = |name| names.iter().position(|other| *other == name).unwrap();
    assert_eq!(place("second"), place("first") + 1, "{names:?}");
    assert_eq!(place("idle"), 3, "{names:?}");
    assert_eq!((&json["runs"][3]["rank"], &json["runs"][3]["statistics"]["sharpeRatio"]), (&json!(null), &json!(null)));
    let said = workplace.succeed(&["walk"]).stdout;
    assert!(said.lines().any(|line| line.contains("idle") && line.contains("N/A")), "{said}");
    assert!(!said.contains("candidate over"), "a table of candidates would say the same: {said}");
}

#[test]
fn a_run_that_fails_is_a_row_with_its_reason_and_stops_nobody() {
    let grid = "[walk.grid.sma-cross]\nfast = [5, 60, 20]\n[[walk.frames]]\nname = \"all\"\n\
                [[walk.frames]]\nname = \"beyond\"\nend = \"2024-01-09T06:00:00Z\"\n";
    let workplace = Workplace::new(&sma_cross(&["BTCUSDT"], grid));
    let finished = workplace.succeed(&["walk"]);
    assert_eq!(ran(&finished.stderr), 6, "{finished:?}");
    let refused =
        "plugin sma-cross: start failed: settings: fast must be at least 1 and below slow; found fast 60 slow 60";
    let missing =
        "there is no candle of BTCUSDT that opens at 2024-01-09T00:00:00Z; the candles end or have a gap there";
    for line in [
        "Failed: 4 runs",
        &format!("  sma-cross, all, fast = 60: {refused}"),
        &format!("  sma-cross, beyond, fast = 5: {missing}"),
        &format!("  sma-cross, beyond, fast = 60: {refused}"),
    ] {
        assert!(finished.stdout.lines().any(|said| said == line), "{line}: {}", finished.stdout);
    }
    assert_eq!(results(&workplace).len(), 2, "what failed is tried again");

    let finished = workplace.succeed(&["walk", "--json", "--report", "csv,markdown,html,json"]);
    assert_eq!(ran(&finished.stderr), 4, "{finished:?}");
    let json: Value = serde_json::from_str(&finished.stdout).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let failures: Vec<&Value> = runs.iter().filter(|run| run.get("failure").is_some()).collect();
    assert_eq!((runs.len(), failures.len()), (6, 4));
    assert_eq!(failures[0]["failure"], missing);
    assert!(failures[0].get("statistics").is_none() && failures[0]["rank"].is_null());

    assert_eq!(workplace.read("dump/walk/report.json"), finished.stdout);
    let (page, markdown) = (workplace.read("dump/walk/report.html"), workplace.read("dump/walk/report.md"));
    for (report, counts) in [(&page, "6 runs, 4 failed"), (&markdown, "6 runs, of which 4 failed.")] {
        assert!(report.contains("Sharpe ratio") && report.contains(refused) && report.contains(counts), "{report}");
    }
    let csv = workplace.read("dump/walk/report.csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("rank,strategyName,symbol,frameName,settings.fast,totalSignals,winCount,"), "{csv}");
    assert_eq!(lines.len(), 7, "{csv}");
    let best = &runs[0];
    let start = format!(
        "1,sma-cross,BTCUSDT,{},{},{},",
        best["frameName"].as_str().unwrap(),
        best["settings"]["fast"],
        best["statistics"]["totalSignals"]
    );
    assert!(lines[1].starts_with(&start), "{start}: {csv}");
    // The order of the configuration: all of fast 5 comes before all of fast 60.
    assert!(lines[3].ends_with(missing) && lines[4].ends_with(refused), "{csv}");
}

#[test]
fn when_every_run_fails_the_exit_code_says_of_what() {
    let refused = sma_cross(&["BTCUSDT"], "[walk.grid.sma-cross]\nfast = [60, 70]\n");
    let missing = sma_cross(&["BTCUSDT"], "[frame]\nend = \"2024-01-09T06:00:00Z\"\n");
    let early = sma_cross(&["BTCUSDT"], "[frame]\nstart = \"2023-12-01T00:00:00Z\"\n");
    for (configuration, code, words) in [
        (refused, 3, "error: every run failed: plugin sma-cross: start failed: settings: "),
        (missing, 4, "error: every run failed: there is no candle of BTCUSDT"),
        (early, 2, "error: every run failed: the frame starts at 2023-12-01T00:00:00Z"),
    ] {
        let finished = Workplace::new(&configuration).run(&["walk"]);
        assert_eq!(finished.code(), Some(code), "{finished:?}");
        assert!(finished.stderr.lines().any(|line| line.starts_with(words)), "{finished:?}");
        assert!(finished.stdout.contains("Failed: "), "{finished:?}");
    }
}

#[test]
fn a_plugin_that_breaks_down_at_the_start_or_at_every_answer_is_told_of() {
    let hostile = plugin("hostile/strategy");
    let configuration = sma_cross(&["BTCUSDT"], "")
        .strategy("panics", &hostile, &["BTCUSDT"], "settings = { mode = \"panic-in-start\" }")
        .strategy("traps", &hostile, &["BTCUSDT"], "interval = \"1h\"\nsettings = { mode = \"panic\" }");
    let workplace = Workplace::new(&configuration);
    let said = workplace.succeed(&["walk"]).stdout;
    assert!(said.contains("Failed: 1 run\n  panics: plugin panics: start: trapped: "), "{said}");
    assert!(said.contains("192 answers that failed, in all runs together"), "{said}");
    let (json, _) = sweep(&workplace);
    let traps = json["runs"].as_array().unwrap().iter().find(|run| run["strategyName"] == "traps").unwrap();
    assert_eq!((&traps["strategyFailures"], &traps["statistics"]["totalSignals"]), (&json!(192), &json!(0)));
}

#[test]
fn what_cannot_be_swept_is_refused() {
    let workplace =
        Workplace::new(&sma_cross(&["BTCUSDT"], "[walk]\nmetric = \"sharp\"\n[walk.grid.sma]\nfast = [1]\n"));
    let finished = workplace.run(&["walk"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
    let line = |part: &str| {
        let text = workplace.read("sigbox.toml");
        text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part:?} is not in {text}")) + 1
    };
    let problems: Vec<&str> = finished.stderr.trim_end().lines().collect();
    let metric = format!("error: sigbox.toml:{}: [walk] metric must be \"winRate\", \"totalPnl\", ", line("sharp"));
    let grid = format!("sigbox.toml:{}: [walk] grid.sma is of no strategy; there are sma-cross", line("grid.sma"));
    assert!(problems.len() == 2 && problems[0].starts_with(&metric) && problems[1] == grid, "{finished:?}");

    let workplace = Workplace::new(&sma_cross(&["BTCUSDT"], ""));
    for (arguments, words) in [
        (&["--metric", "totalSignals"][..], "nothing can be ranked by it; there are winRate, totalPnl, "),
        (&["--jobs", "0"], "invalid value '0'"),
    ] {
        let finished = workplace.run(&[&["walk"], arguments].concat());
        assert_eq!((finished.code(), finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
        assert!(finished.stderr.contains(words), "{finished:?}");
    }

    workplace.write(RESULTS, "open_time,open,high,low,close\n");
    let finished = workplace.run(&["walk"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(5), ""), "{finished:?}");
    let message = format!("error: results {RESULTS}: holds no results of a sweep; choose another file\n");
    assert_eq!(finished.stderr, message);
    assert_eq!(workplace.read(RESULTS), "open_time,open,high,low,close\n");
}

#[test]
fn a_sweep_of_an_exchange_without_candles_asks_for_them() {
    let configuration = Configuration::new()
        .strategy("s", &plugin("strategies/sma-cross"), &["BTCUSDT"], "")
        .section("[walk]\nmetric = \"totalPnl\"");
    let workplace = Workplace::empty();
    workplace.write("sigbox.toml", configuration.to_toml().replace("[live]", "[live]\nfeed = \"klines\""));
    let finished = workplace.run(&["walk"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.contains("a backtest of \"s\" on BTCUSDT needs candles"), "{finished:?}");
}
