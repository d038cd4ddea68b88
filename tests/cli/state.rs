//! `sigbox state`, where nothing is held. What it shows of positions is shown where there are some.

use serde_json::{Value, json};

use super::fine;
use crate::support::Configuration;

#[test]
fn nothing_is_flat() {
    let workplace = fine();
    let shown: Value = serde_json::from_str(&workplace.succeed(&["state", "show", "--json"]).stdout).unwrap();
    let flat = json!([
        { "strategyName": "sma-cross", "symbol": "BTCUSDT", "exchangeName": "binance", "state": "flat", "configured": true }
    ]);
    assert_eq!(shown, flat);
    let table = workplace.succeed(&["state", "show"]).stdout;
    for part in ["strategy", "take profit", "sma-cross", "BTCUSDT", "flat"] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
}

#[test]
fn paths_name_where_everything_is_kept() {
    let workplace = fine();
    let said = workplace.succeed(&["state", "path"]).stdout;
    let expected = "\
sma-cross on BTCUSDT: signal (file): dump/data/signal/BTCUSDT_sma-cross/BTCUSDT.json
sma-cross on BTCUSDT: schedule (file): dump/data/schedule/BTCUSDT_sma-cross/BTCUSDT.json
sma-cross on BTCUSDT: partial (file): dump/data/partial/BTCUSDT_sma-cross/levels.json
sma-cross on BTCUSDT: memory (file): dump/data/memory/BTCUSDT_sma-cross/values.json
";
    assert_eq!(said, expected);
    workplace.succeed(&["live"]);
    // This strategy has no orders and remembers nothing.
    let written = said.lines().filter(|line| !line.contains("schedule") && !line.contains("memory"));
    for line in written {
        let (_, path) = line.rsplit_once(": ").unwrap();
        assert!(workplace.path(path).exists(), "{path} is where it says");
    }

    workplace.configure(&Configuration::sma_cross(1).section("[persistence]\npartial = \"memory\""));
    let shown: Value = serde_json::from_str(&workplace.succeed(&["state", "path", "--json"]).stdout).unwrap();
    let expected = json!({
        "strategyName": "sma-cross", "symbol": "BTCUSDT", "domain": "partial", "store": "memory",
        "document": "partial/BTCUSDT_sma-cross/levels",
    });
    assert_eq!(shown[2], expected);
    assert_eq!(shown.as_array().unwrap().len(), 4);
}

#[test]
fn a_name_that_would_leave_the_directory_stays_in_it() {
    let workplace = fine();
    let text = workplace.read("sigbox.toml").replace("name = \"sma-cross\"", "name = \"../../a b\"");
    workplace.write("sigbox.toml", text);
    workplace.succeed(&["live"]);
    let said = workplace.succeed(&["state", "path"]).stdout;
    let (_, path) = said.lines().next().unwrap().rsplit_once(": ").unwrap();
    assert!(workplace.path(path).exists(), "{path} is where it says");
    assert!(path.starts_with("dump/data/signal/") && !path.contains("/.."), "{path}");
    assert_eq!(path.split('/').count(), 5, "the name is one part of the path: {path}");
}
