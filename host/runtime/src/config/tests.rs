//! Tests of reading configurations: files with mistakes and the messages about them, and one file with every key.

use std::{fs, time::Duration};

use sigbox_engine::{Interval, Side, risk::Rule};
use sigbox_market::candles::Recipe;
use sigbox_trading::{Orphans, store::PerDomain};

use super::{schema::tests::refused, *};

/// A file without mistakes, of six lines. The plugin is the folder of the file.
const FINE: &str = r#"[candles.files]
BTC = "btc.csv"
[[strategies]]
name = "s"
plugin = "."
symbols = ["BTC"]
"#;

fn messages(text: &str) -> Vec<String> {
    match Config::parse(text, "sigbox.toml") {
        Ok(_) => {
            assert_eq!(refused(text), [""; 0], "an editor would mark what is fine: {text}");
            Vec::new()
        }
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// `more` begins on line 7.
#[track_caller]
fn check_after_fine(more: &str, expected: &[&str]) {
    assert_eq!(messages(&format!("{FINE}{more}")), expected, "{more}");
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(messages(text), expected, "{text}");
}

#[test]
fn the_file_the_others_are_made_from_has_no_mistakes() {
    check(FINE, &[]);
}

#[test]
fn what_is_not_toml_is_the_only_problem() {
    check("[engine\npercent-fee = -1", &["sigbox.toml:1: unclosed table, expected `]`"]);
    check(
        "[engine]\npercent-fee = \nspeed = 1",
        &["sigbox.toml:2: string values must be quoted, expected literal string"],
    );
    check("[engine]\n[engine]\n", &["sigbox.toml:2: duplicate key, at \"engine\""]);
}

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    check_after_fine(
        "[exchange]\nnames = \"x\"\n[frame]\n\"a b\" = 1\n[colours]\n",
        &[
            "sigbox.toml:8: [exchange] has no key names; it has name",
            "sigbox.toml:10: [frame] has no key \"a b\"; it has name, start, end, interval",
            "sigbox.toml:11: the file has no key colours; it has exchange, candles, risk, stores, live, engine, \
             limits, strategies, frame, walk, persistence",
        ],
    );
    check_after_fine(
        "colour = 1\n[[risk]]\nname = \"r\"\nrules = [{ max-active = 1, colour = 1 }]\n",
        &[
            "sigbox.toml:7: [[strategies]] has no key colour; it has name, plugin, interval, symbols, risk, settings",
            "sigbox.toml:10: [[risk]] rules has no key colour; it has max-active, min-reward-risk, reject-position, \
             reject-window, max-price, id, note",
        ],
    );
    check_after_fine(
        "[candles.generate.ETH]\nstart = 2024-01-01T00:00:00Z\ndays = 1\nprice = 1\nvolatility = 1\n[stores.x]\n\
         plugin = \".\"\ncolour = 1\n[candles]\ncolour = 1\n",
        &[
            "sigbox.toml:11: [candles.generate.ETH] has no key volatility; it has start, days, price, \
             volatility-percent, seed",
            "sigbox.toml:14: [stores.x] has no key colour; it has plugin, settings, secrets, network, directories, over",
            "sigbox.toml:16: [candles] has no key colour; it has files, generate, gaps",
        ],
    );
}

#[test]
fn what_is_missing_is_asked_for_where_it_belongs() {
    check("", &["sigbox.toml:1: the file names no strategy; add a [[strategies]] with name, plugin and symbols"]);
    check(
        "\n[[strategies]]\n[[risk]]\n",
        &[
            "sigbox.toml:2: [[strategies]] name is missing; it must be a text that is not blank, without control \
             characters",
            "sigbox.toml:2: [[strategies]] plugin is missing; it must be the path of a .wasm file, of a folder with \
             a Cargo.toml, or of a text (.py, .js, .ts)",
            "sigbox.toml:2: [[strategies]] symbols must name at least one symbol, such as [\"BTCUSDT\"]",
            "sigbox.toml:3: [[risk]] name is missing; it must be a text that is not blank, without control characters",
            "sigbox.toml:3: [[risk]] rules must hold at least one rule, such as { max-active = 3 }",
        ],
    );
    check_after_fine(
        "[candles.generate.ETH]\n[stores.x]\n",
        &[
            "sigbox.toml:7: [candles.generate.ETH] start is missing; it must be a whole minute such as \
             \"2024-01-31T12:00:00Z\", from 1970 to 9998",
            "sigbox.toml:7: [candles.generate.ETH] days is missing; it must be a whole number from 1 to 7320",
            "sigbox.toml:7: [candles.generate.ETH] price is missing; it must be a number from 1 to 1000000000",
            "sigbox.toml:8: [stores.x] plugin is missing; it must be the path of a .wasm file, of a folder with \
             a Cargo.toml, or of a text (.py, .js, .ts)",
        ],
    );
}

#[test]
fn sections_and_lists_must_be_such() {
    check(
        "engine = 3\nstrategies = { name = \"s\" }\nrisk = [1]\nstores = [\"x\"]\n\
         [candles]\nfiles = 1\ngenerate.A = 7\n",
        &[
            "sigbox.toml:1: engine must be a section [engine]; found 3",
            "sigbox.toml:2: strategies must be a list of tables, each [[strategies]]; found { name = \"s\" }",
            "sigbox.toml:3: risk must be a list of tables, each [[risk]]; found [1]",
            "sigbox.toml:4: stores must be a table [stores.NAME]; found [\"x\"]",
            "sigbox.toml:6: [candles] files must be a table [candles.files]; found 1",
            "sigbox.toml:7: [candles.generate.A] must be a section; found 7",
        ],
    );
    check_after_fine(
        "risk = \"shared\"\n",
        &["sigbox.toml:7: [[strategies]] risk must be a list in [ ], each item a text that is not blank, without \
         control characters; found \"shared\""],
    );
}

#[test]
fn strategies_are_checked_against_the_rest_of_the_file() {
    check_after_fine(
        r#"interval = "4h"
risk = ["a", "b", "a", ""]
settings = { limit = inf, big = 9223372036854775808, list = [1, { x = nan }] }
[[strategies]]
name = "s"
plugin = "nowhere/s.wasm"
symbols = ["BTC", "ETH", "BTC"]
[[strategies]]
name = "t\n"
plugin = ""
symbols = []
settings = 1
[[risk]]
name = "a"
rules = [{ max-active = 1 }]
[[risk]]
name = "a"
rules = [{ max-active = 1 }]
"#,
        &[
            "sigbox.toml:7: [[strategies]] interval must be \"1m\", \"3m\", \"5m\", \"15m\", \"30m\" or \"1h\"; found \
             \"4h\"",
            "sigbox.toml:8: [[strategies]] risk names \"b\", but there is no such [[risk]]",
            "sigbox.toml:8: [[strategies]] risk profile \"a\" is already on line 8",
            "sigbox.toml:8: [[strategies]] risk must hold only a text that is not blank, without control characters; \
             found \"\"",
            "sigbox.toml:9: [[strategies]] settings must hold only what JSON can write; found inf",
            "sigbox.toml:9: [[strategies]] settings must hold only what JSON can write; found 9223372036854775808",
            "sigbox.toml:9: [[strategies]] settings must hold only what JSON can write; found nan",
            "sigbox.toml:11: [[strategies]] name \"s\" is already on line 4",
            "sigbox.toml:12: [[strategies]] plugin must be a .wasm file, a folder or a text, but there is nothing at \
             nowhere/s.wasm",
            "sigbox.toml:13: [[strategies]] needs candles, but [candles] has none of ETH; add it to [candles.files], \
             or a [candles.generate.ETH]",
            "sigbox.toml:13: [[strategies]] symbol \"BTC\" is already on line 13",
            "sigbox.toml:15: [[strategies]] name must be a text that is not blank, without control characters; found \
             \"t\\n\"",
            "sigbox.toml:16: [[strategies]] plugin must be the path of a .wasm file, of a folder with \
             a Cargo.toml, or of a text (.py, .js, .ts); \
             found \"\"",
            "sigbox.toml:17: [[strategies]] symbols must name at least one symbol, such as [\"BTCUSDT\"]",
            "sigbox.toml:18: [[strategies]] settings must be a table { }; found 1",
            "sigbox.toml:23: [[risk]] name \"a\" is already on line 20",
        ],
    );
}

#[test]
fn risk_rules_check_one_thing_each_and_within_reason() {
    check_after_fine(
        r#"[[risk]]
name = "r"
rules = [
  { note = "nothing" },
  { max-active = 3, max-price = 1.0 },
  { max-active = 0 },
  { min-reward-risk = -1.0 },
  { reject-position = "sideways" },
  { reject-window = ["2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"] },
  { reject-window = ["2024-01-01T00:00:00Z"] },
  { reject-window = ["2024-01-01T00:00:00Z", "tomorrow"] },
  { reject-window = 1 },
  { max-price = inf },
  { max-price = 1, id = "" },
]
"#,
        &[
            "sigbox.toml:10: [[risk]] rules must check something: max-active, min-reward-risk, reject-position, \
             reject-window or max-price",
            "sigbox.toml:11: [[risk]] rules must check one thing each; split this rule: max-active, min-reward-risk, \
             reject-position, reject-window or max-price",
            "sigbox.toml:12: [[risk]] rules max-active must be a whole number from 1 to 4294967295; found 0",
            "sigbox.toml:13: [[risk]] rules min-reward-risk must be a number above 0; found -1.0",
            "sigbox.toml:14: [[risk]] rules reject-position must be \"long\" or \"short\"; found \"sideways\"",
            "sigbox.toml:15: [[risk]] rules reject-window must begin before it ends; found [\"2024-01-02T00:00:00Z\", \
             \"2024-01-01T00:00:00Z\"]",
            "sigbox.toml:16: [[risk]] rules reject-window must be two times, the first and the last of the window; \
             found [\"2024-01-01T00:00:00Z\"]",
            "sigbox.toml:17: [[risk]] rules reject-window must hold only a time such as \"2024-01-31T12:00:00Z\", \
             from 1970 to 9998; found \"tomorrow\"",
            "sigbox.toml:18: [[risk]] rules reject-window must be a list in [ ], each item a time such as \
             \"2024-01-31T12:00:00Z\", from 1970 to 9998; found 1",
            "sigbox.toml:19: [[risk]] rules max-price must be a number above 0; found inf",
            "sigbox.toml:20: [[risk]] rules id must be a text that is not blank, without control characters; found \
             \"\"",
        ],
    );
}

#[test]
fn candles_come_from_one_place_and_recipes_can_be_followed() {
    check(
        r#"[[strategies]]
name = "s"
plugin = "."
symbols = ["BTC"]
[candles.files]
BTC = "btc.csv"
[candles.generate.BTC]
seed = -1
start = "2024-01-01T00:00:30Z"
days = 0
price = 0.5
volatility-percent = 6
[candles]
gaps = "ignore"
"#,
        &[
            "sigbox.toml:7: [candles.generate.BTC] makes up candles that [candles.files] has on line 6; keep one of \
             them",
            "sigbox.toml:8: [candles.generate.BTC] seed must be a whole number from 0 to 18446744073709551615; found \
             -1",
            "sigbox.toml:9: [candles.generate.BTC] start must be a whole minute such as \"2024-01-31T12:00:00Z\", \
             from 1970 to 9998; found \"2024-01-01T00:00:30Z\"",
            "sigbox.toml:10: [candles.generate.BTC] days must be a whole number from 1 to 7320; found 0",
            "sigbox.toml:11: [candles.generate.BTC] price must be a number from 1 to 1000000000; found 0.5",
            "sigbox.toml:12: [candles.generate.BTC] volatility-percent must be a number from 0 to 5; found 6",
            "sigbox.toml:14: [candles] gaps must be \"refuse\" or \"fill\"; found \"ignore\"",
        ],
    );
    check(
        "[candles.files]\nETH = 7\n\"\" = \"x.csv\"\n\"\\n\" = \"x.csv\"\n[candles.generate.\" \"]\n\
         start = 2024-01-01T00:00:00Z\ndays = 1\nprice = 0\n",
        &[
            "sigbox.toml:1: the file names no strategy; add a [[strategies]] with name, plugin and symbols",
            "sigbox.toml:2: [candles] files ETH must be a text that is not blank, without control characters; found 7",
            "sigbox.toml:3: [candles] files \"\" must have a name that is not blank, without control characters",
            "sigbox.toml:4: [candles] files \"\\n\" must have a name that is not blank, without control characters",
            "sigbox.toml:5: [candles] generate \" \" must have a name that is not blank, without control characters",
            "sigbox.toml:8: [candles.generate.\" \"] price must be a number from 1 to 1000000000; found 0",
        ],
    );
}

#[test]
fn frames_end_after_they_start() {
    check_after_fine(
        "[frame]\nname = \"\\t\"\nstart = 2024-01-02T00:00:00Z\nend = \"2024-01-02T00:00:00Z\"\ninterval = \"3d\"\n",
        &[
            "sigbox.toml:8: [frame] name must be a text without control characters; found \"\\t\"",
            "sigbox.toml:10: [frame] end must be later than start; found \"2024-01-02T00:00:00Z\"",
            "sigbox.toml:11: [frame] interval must be an interval: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or \
             1d in quotes; found \"3d\"",
        ],
    );
}

#[test]
fn a_sweep_is_of_strategies_settings_symbols_and_numbers_that_there_are() {
    let metrics = "\"winRate\", \"totalPnl\", \"totalPnlCost\", \"avgPnl\", \"medianPnl\", \"bestPnl\", \"worstPnl\", \
                   \"avgWin\", \"avgLoss\", \"profitFactor\", \"expectancy\", \"certaintyRatio\", \"stdDev\", \"sharpeRatio\", \
                   \"sortinoRatio\", \"annualizedSharpeRatio\", \"expectedYearlyReturns\", \"maxDrawdown\", \"calmarRatio\", \
                   \"recoveryFactor\", \"avgPeakPnl\", \"avgFallPnl\", \"avgConsecutiveWinPnl\", \
                   \"avgConsecutiveLossPnl\", \"maxWinStreak\", \"maxLossStreak\" or \"finalEquity\"";
    check_after_fine(
        r#"settings = { a = 1, t = { b = 2 } }
[walk]
metric = "totalSignals"
symbols = ["BTC", "ETH", "BTC"]
colour = 1
[walk.grid.t]
a = [1]
[walk.grid.s]
b = []
c = [1, 2, 1]
d = [inf]
e = 3
a.b = [1]
t.c = "x"
t.d.e = [[1], [1]]
"#,
        &[
            &format!("sigbox.toml:9: [walk] metric must be {metrics}; found \"totalSignals\""),
            "sigbox.toml:10: [walk] needs candles, but [candles] has none of ETH; add it to [candles.files], or a \
             [candles.generate.ETH]",
            "sigbox.toml:10: [walk] symbol \"BTC\" is already on line 10",
            "sigbox.toml:11: [walk] has no key colour; it has metric, frames, grid, symbols",
            "sigbox.toml:12: [walk] grid.t is of no strategy; there are s",
            "sigbox.toml:15: [walk] grid.s.b must hold at least one value",
            "sigbox.toml:16: [walk] grid.s.c must hold each value once; 1 is there twice",
            "sigbox.toml:17: [walk] settings must hold only what JSON can write; found inf",
            "sigbox.toml:18: [walk] grid.s.e must be a list of values or a range { from, to, step } of numbers with at \
             most 28 digits; found 3",
            "sigbox.toml:19: [walk] grid.s.a must be a table in the strategy's settings, too; found 1",
            "sigbox.toml:20: [walk] grid.s.t.c must be a list of values or a range { from, to, step } of numbers with \
             at most 28 digits; found \"x\"",
            "sigbox.toml:21: [walk] grid.s.t.d.e must hold each value once; [1] is there twice",
        ],
    );
    check_after_fine(
        "[[walk.frames]]\nname = \"a\"\nend = 2024-01-02T00:00:00Z\n[[walk.frames]]\nname = \"a\"\n[[walk.frames]]\n\
         start = 2024-01-02T00:00:00Z\nend = 2024-01-01T00:00:00Z\ncolour = 1\n",
        &[
            "sigbox.toml:11: [[walk.frames]] name \"a\" is already on line 8",
            "sigbox.toml:12: [[walk.frames]] name is missing; it must be a text that is not blank, without control \
             characters",
            "sigbox.toml:14: [[walk.frames]] end must be later than start; found 2024-01-01T00:00:00Z",
            "sigbox.toml:15: [[walk.frames]] has no key colour; it has name, start, end, interval",
        ],
    );
}

#[test]
fn a_range_has_the_numbers_that_people_would_write() {
    let values = |range: &str| {
        let text = format!("{FINE}[walk.grid.s]\nx = {range}\n");
        let config = Config::parse(&text, "sigbox.toml").unwrap_or_else(|error| panic!("{error}"));
        serde_json::to_string(&config.sweep.grid["s"][0].values).unwrap()
    };
    for (range, expected) in [
        ("{ from = 1, to = 5, step = 2 }", "[1,3,5]"),
        ("{ from = 1, to = 6, step = 2 }", "[1,3,5]"),
        ("{ from = -2, to = 0, step = 1 }", "[-2,-1,0]"),
        ("{ from = 0x10, to = 32, step = 1_6 }", "[16,32]"),
        ("{ from = 7, to = 7, step = 100 }", "[7]"),
        (
            "{ from = 9223372036854775806, to = 9223372036854775807, step = 1 }",
            "[9223372036854775806,9223372036854775807]",
        ),
        // In steps of floats, 0.1 + 0.1 + 0.1 is 0.30000000000000004 and 0.1 + 7 * 0.1 is 0.7999999999999999.
        ("{ from = 0.1, to = 0.8, step = 0.1 }", "[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8]"),
        ("{ from = 1, to = 2, step = 0.25 }", "[1.0,1.25,1.5,1.75,2.0]"),
        ("{ from = -0.3, to = 0.3, step = 0.3 }", "[-0.3,0.0,0.3]"),
        ("{ from = 1e-3, to = 3e-3, step = 1E-3 }", "[0.001,0.002,0.003]"),
        ("{ from = 1_000.5, to = 1001.5, step = 1 }", "[1000.5,1001.5]"),
        ("{ from = 1.0, to = 2, step = 1 }", "[1.0,2.0]"),
    ] {
        assert_eq!(values(range), expected, "{range}");
    }
    let range = "must be a range { from, to, step } of numbers with at most 28 digits";
    let ends = "must be a range with a step above 0 that ends where it begins or later";
    for (written, message) in [
        ("{ from = 1, to = 2 }", range.to_owned()),
        ("{ }", range.to_owned()),
        ("{ from = 1, to = inf, step = 1 }", range.to_owned()),
        ("{ from = 1, to = \"2\", step = 1 }", range.to_owned()),
        ("{ from = 0.00000000000000000000000000001, to = 1, step = 1 }", range.to_owned()),
        ("{ from = 1, to = 2, step = 1, by = 1 }", format!("{range}, and nothing else")),
        ("{ from = 1, to = 2, step = 0 }", format!("{ends}; found 1 to 2 in steps of 0")),
        ("{ from = 2.5, to = 1, step = 1 }", format!("{ends}; found 2.5 to 1 in steps of 1")),
        ("{ from = 0, to = 100_000, step = 1 }", "has more than 100000 values; take a larger step".to_owned()),
        (
            "{ from = 79228162514264337593543950335.0, to = 79228162514264337593543950335.0, step = 1 }",
            range.to_owned(),
        ),
    ] {
        let text = format!("[walk.grid.s]\nx = {written}\n");
        check_after_fine(&text, &[&format!("sigbox.toml:8: [walk] grid.s.x {message}")]);
    }
}

#[test]
fn a_sweep_has_as_many_runs_as_somebody_can_wait_for() {
    let grid = |values: usize| {
        format!(
            "[walk.grid.s]\nx = {{ from = 1, to = {values}, step = 1 }}\ny = {{ from = 1, to = 100, step = 1 }}\n\
             [[walk.frames]]\nname = \"a\"\n[[walk.frames]]\nname = \"b\"\n"
        )
    };
    check_after_fine(&grid(500), &[]);
    check_after_fine(
        &grid(501),
        &["sigbox.toml:7: [walk] describes 100200 runs, and a sweep can have 100000; try fewer values, symbols or \
         frames, or larger steps"],
    );
}

#[test]
fn grids_keep_the_order_of_the_file_and_reach_into_tables() {
    let grid = "[walk.grid.s]\nz = [true, \"x\"]\na.y.b = [1.5]\na.x = [[1], { c = 2 }]\n\"d.e\" = [1]\n";
    let config = Config::parse(&format!("{FINE}{grid}"), "sigbox.toml").unwrap();
    let axes = &config.sweep.grid["s"];
    let paths: Vec<String> = axes.iter().map(|axis| axis.path.join("/")).collect();
    assert_eq!(paths, ["z", "a/y/b", "a/x", "d.e"]);
    assert_eq!(serde_json::to_string(&axes[2].values).unwrap(), r#"[[1],{"c":2}]"#);
    assert_eq!((config.sweep.metric.name, config.sweep.symbols.len()), ("sharpeRatio", 0));
    assert_eq!(config.sweep.frames, [config.frame]);
}

#[test]
fn domains_are_bound_to_stores_that_exist() {
    check_after_fine(
        r#"[persistence]
data-dir = ""
on-corrupt = "delete"
signal = "redis"
schedule = 1
partial = "x"
[stores.x]
plugin = "nowhere"
settings = { a = "1", b = [1], c = inf }
[stores.file]
plugin = "."
[stores.y]
plugin = "."
settings = "none"
secrets = { a = { env = "A" }, b = { env = "B", file = "b" }, c = {}, d = "d" }
network = ["localhost", "10.0.0.1:80"]
directories = { "data" = "here", "/x" = 1 }
over = "z"
[stores.z]
plugin = "."
over = "y"
[stores.zz]
plugin = "."
over = "zzz"
"#,
        &[
            "sigbox.toml:8: [persistence] data-dir must be a text that is not blank, without control characters; \
             found \"\"",
            "sigbox.toml:9: [persistence] on-corrupt must be \"quarantine\" or \"halt\"; found \"delete\"",
            "sigbox.toml:10: [persistence] signal must be \"file\", \"memory\" or the name of a [stores.NAME]; found \
             \"redis\"",
            "sigbox.toml:11: [persistence] schedule must be \"file\", \"memory\" or the name of a [stores.NAME]; \
             found 1",
            "sigbox.toml:14: [stores.x] plugin must be a .wasm file, a folder or a text, but there is nothing at nowhere",
            "sigbox.toml:15: [stores.x] settings b must be a text, a number, true or false; found [1]",
            "sigbox.toml:15: [stores.x] settings c must be a text, a number, true or false; found inf",
            "sigbox.toml:16: [stores.file] needs another name; this one is built in",
            "sigbox.toml:20: [stores.y] settings must be a table { }; found \"none\"",
            "sigbox.toml:21: [stores.y.secrets] must say where a secret is: env = \"VARIABLE\" or file = \"PATH\"",
            "sigbox.toml:21: [stores.y.secrets] must say where a secret is: env = \"VARIABLE\" or file = \"PATH\"",
            "sigbox.toml:21: [stores.y.secrets] must be a section; found \"d\"",
            "sigbox.toml:22: [stores.y] network must hold only HOST:PORT in quotes, like \"localhost:6379\"; found \
             \"localhost\"",
            "sigbox.toml:23: [stores.y] directories \"data\" must begin with /: it is where the plugin finds it",
            "sigbox.toml:23: [stores.y] directories \"/x\" must be a text that is not blank, without control \
             characters; found 1",
            "sigbox.toml:24: [stores.y] over must not come back to \"y\": somebody has to keep the documents",
            "sigbox.toml:27: [stores.z] over must not come back to \"z\": somebody has to keep the documents",
            "sigbox.toml:30: [stores.zz] over must be \"file\", \"memory\" or the name of a [stores.NAME]; found \
             \"zzz\"",
        ],
    );
}

#[test]
fn live_runs_are_patient_within_reason() {
    check_after_fine(
        r#"[live]
feed = "websocket"
speed = -1
base-url = "ftp://example.com"
request-timeout-ms = 0
settle-ms = 60000
history-minutes = 0
max-entry-delay-seconds = 1.5
"#,
        &[
            "sigbox.toml:8: [live] feed must be \"replay\" or \"klines\"; found \"websocket\"",
            "sigbox.toml:9: [live] speed must be a number from 0; found -1",
            "sigbox.toml:10: [live] base-url must be a URL such as \"https://api.binance.com\"; found \
             \"ftp://example.com\"",
            "sigbox.toml:11: [live] request-timeout-ms must be a whole number from 1 to 600000; found 0",
            "sigbox.toml:12: [live] settle-ms must be a whole number from 0 to 59999; found 60000",
            "sigbox.toml:13: [live] history-minutes must be a whole number from 1 to 1054080; found 0",
            "sigbox.toml:14: [live] max-entry-delay-seconds must be a whole number from 1 to 3600; found 1.5",
        ],
    );
    for url in ["api.binance.com", "https://", "/api", "https://x?y=1", "https:// x", ""] {
        let problems = messages(&format!("{FINE}[live]\nbase-url = {url:?}\n"));
        assert_eq!(problems.len(), 1, "{url}: {problems:?}");
    }
}

#[test]
fn engine_settings_follow_the_engines_rules() {
    check_after_fine(
        r#"[engine]
percent-fee = -0.1
max-stoploss-distance-percent = 0.25
max-signal-lifetime-minutes = 1.5
position-entry-cost = "100"
signal-isolated-margin = 1
get-candles-retry-count = -1
avg-price-candles-count = 0
"#,
        &[
            // The value that is too large here is the default. It has no line, so the line of the section is shown.
            "sigbox.toml:7: [engine] min-stoploss-distance-percent must be less than max-stoploss-distance-percent; \
             its default will not do, so set it",
            "sigbox.toml:8: [engine] percent-fee must be finite and not negative; found -0.1",
            "sigbox.toml:10: [engine] max-signal-lifetime-minutes must be a positive whole number or infinity; found \
             1.5",
            "sigbox.toml:11: [engine] position-entry-cost must be a number; found \"100\"",
            "sigbox.toml:12: [engine] signal-isolated-margin must be true or false; found 1",
            "sigbox.toml:13: [engine] get-candles-retry-count must be a whole number from 0 to 4294967295; found -1",
            "sigbox.toml:14: [engine] avg-price-candles-count must be at least 1; found 0",
        ],
    );
}

/// Specification: S-CFG-17, S-CFG-19, S-CFG-20, S-CFG-22, S-CFG-23, S-CFG-24.
#[test]
fn counts_are_whole_and_those_that_must_be_are_positive() {
    for (key, least) in [
        ("schedule-await-minutes", 1),
        ("max-signal-generation-seconds", 1),
        ("avg-price-candles-count", 1),
        ("get-candles-min-candles-for-median", 1),
        ("get-candles-retry-count", 0),
        ("get-candles-retry-delay-ms", 0),
    ] {
        let problems = |value: &str| messages(&format!("{FINE}[engine]\n{key} = {value}\n"));
        for value in ["-1", "1.5", "nan", "inf"] {
            let found = problems(value);
            let expected = format!("sigbox.toml:8: [engine] {key} must be a whole number from 0 to ");
            assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}");
        }
        let zero: &[String] = &[format!("sigbox.toml:8: [engine] {key} must be at least 1; found 0")];
        assert_eq!(problems("0"), if least == 0 { &[] } else { zero });
        assert!(problems("1").is_empty(), "{key}");
    }
}

/// Specification: S-CFG-29, S-CFG-30.
#[test]
fn a_setting_that_is_given_changes_and_the_others_stay() {
    let engine = |more: &str| Config::parse(&format!("{FINE}{more}"), "sigbox.toml").unwrap().engine;
    assert_eq!(engine(""), Settings::default());
    let expected = Settings { schedule_await_minutes: 10, percent_fee: 0.05, ..Settings::default() };
    assert_eq!(engine("[engine]\nschedule-await-minutes = 10\npercent-fee = 0.05\n"), expected);
}

#[test]
fn limits_leave_room_to_work() {
    check_after_fine(
        r"[limits]
memory-mib = 4097
fuel-per-call = 0
store-timeout-ms = 0
log-lines-per-call = -1
candles-per-call = 0
cache-dir = 1
",
        &[
            "sigbox.toml:8: [limits] memory-mib must be a whole number from 1 to 4096; found 4097",
            "sigbox.toml:9: [limits] fuel-per-call must be a whole number from 1 to 9223372036854775807; found 0",
            "sigbox.toml:10: [limits] store-timeout-ms must be a whole number from 1 to 3600000; found 0",
            "sigbox.toml:11: [limits] log-lines-per-call must be a whole number from 0 to 100000; found -1",
            "sigbox.toml:12: [limits] candles-per-call must be a whole number from 1 to 1054080; found 0",
            "sigbox.toml:13: [limits] cache-dir must be a text that is not blank, without control characters; found 1",
        ],
    );
}

#[test]
fn long_values_are_shown_in_part_and_lines_are_counted_with_any_line_end() {
    let long = "x".repeat(100);
    check(
        &format!("# \u{e9}\r\n\r\n{}[live]\r\nfeed = \"{long}\"\r\n", FINE.replace('\n', "\r\n")),
        &[&format!("sigbox.toml:10: [live] feed must be \"replay\" or \"klines\"; found \"{}…", &long[..59])],
    );
    check_after_fine(
        "[live]\nfeed = [\n1,\n2]\n",
        &["sigbox.toml:8: [live] feed must be \"replay\" or \"klines\"; found […"],
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sigbox.toml");
    let shown = file.display();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!("there is no {shown}; `sigbox init` writes one, with every setting explained")
    );
    fs::write(&file, b"\xff").unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!("cannot read {shown}: stream did not contain valid UTF-8")
    );
    fs::write(&file, "colour = 1\n[live]\nspeed = -1").unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!(
            "{shown}:1: the file names no strategy; add a [[strategies]] with name, plugin and symbols\n{shown}:1: \
             the file has no key colour; it has exchange, candles, risk, stores, live, engine, limits, strategies, \
             frame, walk, persistence\n{shown}:3: [live] speed must be a number from 0; found -1"
        )
    );
}

#[test]
fn a_live_feed_needs_no_candles_of_its_own_but_a_backtest_does() {
    let text = "[[strategies]]\nname = \"s\"\nplugin = \".\"\nsymbols = [\"BTC\", \"ETH\"]\n[live]\nfeed = \
     \"klines\"\n[candles.files]\nBTC = \"btc.csv\"\n";
    let config = Config::parse(text, "sigbox.toml").unwrap();
    assert_eq!(
        config.check_backtest().unwrap_err().to_string(),
        "sigbox.toml:1: a backtest of \"s\" on ETH needs candles, but [candles] has none of ETH; add it to \
         [candles.files], or a [candles.generate.ETH]"
    );
    assert!(Config::parse(FINE, "sigbox.toml").unwrap().check_backtest().is_ok());
}

#[test]
fn everything_a_file_says_arrives() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    fs::write(folder.path().join("s.wasm"), "").unwrap();
    let file = folder.path().join("sigbox.toml");
    fs::write(
        &file,
        r#"[exchange]
name = "kraken"
[candles]
gaps = "fill"
files.ETH = "/data/eth.csv"
files.SOL = "sol.csv"
[candles.generate.BTC]
seed = 7
start = "2024-01-01T00:00:00Z"
days = 2
price = 42000.0
[[strategies]]
name = "s"
plugin = "s.wasm"
interval = "5m"
symbols = ["ETH", "BTC"]
risk = ["r"]
settings = { b = 1, a = [true, 1.5, "x"], at = 2024-01-01T00:00:00Z, deep.er = 0x10 }
[[strategies]]
name = "plain"
plugin = "s.wasm"
symbols = ["ETH"]
[[risk]]
name = "r"
rules = [
  { max-active = 3 },
  { max-active = 1 },
  { min-reward-risk = 1.5 },
  { reject-position = "short" },
  { reject-position = "long" },
  { reject-window = [2024-01-01T00:00:00Z, "2024-01-02T00:00:00Z"] },
  { max-price = 100000, id = "too-dear", note = "wait" },
]
[frame]
name = "q1"
start = "2024-01-01T00:00:00Z"
end = "2024-01-02T00:00:00Z"
interval = "1h"
[persistence]
data-dir = "here"
on-corrupt = "halt"
signal = "mine"
schedule = "memory"
[stores.mine]
plugin = "store"
settings = { url = "redis://x", size = 1_000, ratio = 0.5, on = true }
network = ["Redis.example.com:6379"]
directories = { "/data" = "folder" }
over = "memory"
[stores.mine.secrets]
password = { env = "REDIS_PASSWORD" }
ca = { file = "ca.pem" }
[live]
feed = "klines"
speed = 0
base-url = "http://127.0.0.1:8080/"
request-timeout-ms = 1500
settle-ms = 0
history-minutes = 60
max-entry-delay-seconds = 5
orphans = "refuse"
events-segment-megabytes = 7
[engine]
percent-fee = 0
max-signal-lifetime-minutes = inf
max-signal-generation-seconds = 9
enable-short-signal = false
[limits]
memory-mib = 1
fuel-per-call = 2
store-timeout-ms = 3
log-lines-per-call = 4
candles-per-call = 5
cache-dir = "cache"
"#,
    )
    .unwrap();
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(refused(&config.text), [""; 0]);
    let here = folder.path();

    assert_eq!((config.file, config.exchange_name.as_str()), (file.clone(), "kraken"));
    let recipe =
        Recipe { seed: 7, start_ms: 1_704_067_200_000, minutes: 2880, price: 42_000.0, volatility_percent: 0.05 };
    assert_eq!(config.candles.gaps, sigbox_market::candles::Gaps::Fill);
    assert_eq!(
        config.candles.sources.into_iter().collect::<Vec<_>>(),
        [
            ("BTC".into(), CandleSource::Generated(recipe)),
            ("ETH".into(), CandleSource::File("/data/eth.csv".into())),
            ("SOL".into(), CandleSource::File(here.join("sol.csv"))),
        ]
    );
    let expected = [
        Strategy {
            name: "s".into(),
            plugin: here.join("s.wasm"),
            interval: Some("5m".parse().unwrap()),
            symbols: vec!["ETH".into(), "BTC".into()],
            risk: vec!["r".into()],
            settings: r#"{"a":[true,1.5,"x"],"at":"2024-01-01T00:00:00Z","b":1,"deep":{"er":16}}"#.into(),
        },
        Strategy {
            name: "plain".into(),
            plugin: here.join("s.wasm"),
            interval: None,
            symbols: vec!["ETH".into()],
            risk: vec![],
            settings: "{}".into(),
        },
    ];
    assert_eq!(config.strategies, expected);
    let rules: Vec<_> =
        config.risk[0].rules.iter().map(|r| (r.rule.clone(), r.id.as_deref(), r.note.as_str())).collect();
    let day = (1_704_067_200_000, 1_704_153_600_000);
    assert_eq!(
        rules,
        [
            (Rule::MaxActive(3), None, "at most 3 positions at a time"),
            (Rule::MaxActive(1), None, "at most 1 position at a time"),
            (Rule::MinRewardRisk(1.5), None, "the take-profit must be at least 1.5 times as far as the stop-loss"),
            (Rule::RejectSide(Side::Short), None, "no short positions"),
            (Rule::RejectSide(Side::Long), None, "no long positions"),
            (Rule::RejectWindow(day.0, day.1), None, "no entries from 2024-01-01T00:00:00Z to 2024-01-02T00:00:00Z"),
            (Rule::MaxPrice(100_000.0), Some("too-dear"), "wait"),
        ]
    );
    let interval: Interval = "1h".parse().unwrap();
    assert_eq!(config.frame, Frame { name: "q1".into(), start_ms: Some(day.0), end_ms: Some(day.1), interval });
    assert_eq!(
        config.persistence,
        Persistence {
            data_dir: here.join("here"),
            on_corrupt: sigbox_trading::store::OnCorrupt::Halt,
            stores: PerDomain {
                signal: StoreChoice::Plugin("mine".into()),
                schedule: StoreChoice::Memory,
                risk: StoreChoice::File,
                partial: StoreChoice::File,
                memory: StoreChoice::Plugin("mine".into()),
            },
        }
    );
    let settings: Vec<_> = config.stores["mine"].settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(settings, [("on", "true"), ("ratio", "0.5"), ("size", "1000"), ("url", "redis://x")]);
    let mine = &config.stores["mine"];
    assert_eq!(mine.plugin, here.join("store"));
    assert_eq!(mine.network, ["redis.example.com:6379".parse().unwrap()]);
    assert_eq!(mine.directories, [("/data".to_owned(), here.join("folder"))].into());
    assert_eq!(mine.over, Some(StoreChoice::Memory));
    let [variable, file] = [SecretSource::Env("REDIS_PASSWORD".to_owned()), SecretSource::File(here.join("ca.pem"))];
    assert_eq!(mine.secrets, [("password".to_owned(), variable), ("ca".to_owned(), file)].into());
    assert_eq!(
        config.live,
        Live {
            feed: Feed::Klines,
            speed: 0.0,
            base_url: "http://127.0.0.1:8080".into(),
            request_timeout: Duration::from_millis(1500),
            settle: Duration::ZERO,
            history_minutes: 60,
            max_entry_delay: Duration::from_secs(5),
            orphans: Orphans::Refuse,
            segment_bytes: 7 << 20,
        }
    );
    assert_eq!(
        config.engine,
        Settings {
            percent_fee: 0.0,
            max_signal_lifetime_minutes: f64::INFINITY,
            max_signal_generation_seconds: 9,
            enable_short_signal: false,
            ..Settings::default()
        }
    );
    assert_eq!(
        config.limits,
        Limits {
            memory_bytes: 1 << 20,
            fuel_per_call: 2,
            strategy_timeout: Duration::from_secs(9),
            store_timeout: Duration::from_millis(3),
            log_lines_per_call: 4,
            candles_per_call: 5,
        }
    );
    assert_eq!(config.cache_dir, Some(here.join("cache")));
}

#[test]
fn a_broken_file_never_panics_wherever_it_is_cut() {
    let text = template(".").replace("\n#", "\n");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        // Depending on where it is cut, the file may be valid. If it is refused, there must be a reason.
        if let Err(ConfigError::Invalid(problems)) = Config::parse(&text[..end], "sigbox.toml") {
            assert!(!problems.is_empty(), "refused without a reason at {end}");
        }
    }
}
