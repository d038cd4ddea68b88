//! A track of the contract is frozen: what was built against it once loads and does the same for ever.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::field::{Trading, backtest, deterministic, tight};
use crate::support::{Workplace, files_below, plugin, repository};

/// Files of packages whose every line is what a plugin exports.
const EXPORTS: [&str; 3] = ["deps/strategy/strategy.wit", "deps/persistence/store.wit", "deps/persistence/fenced.wit"];

fn fixtures() -> PathBuf {
    repository().join("tests/fixtures/0.1")
}

/// The lines of each file below `folder`, without comments, by its path.
fn contract(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let code = |text: String| -> Vec<String> {
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default().trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    files_below(folder).into_iter().map(|(name, text)| (name, code(text))).collect()
}

/// The first line of `frozen` that is not in `now`, in order.
fn first_missing<'a>(frozen: &'a [String], now: &[String]) -> Option<&'a String> {
    let mut now = now.iter();
    frozen.iter().find(|line| !now.any(|found| found == *line))
}

#[test]
fn nothing_in_a_frozen_package_changes() {
    let (frozen, now) = (contract(&fixtures().join("wit")), contract(&repository().join("wit/0.1")));
    assert!(frozen.len() >= 14, "{frozen:?}");
    for (file, lines) in &frozen {
        let found = now.get(file).unwrap_or_else(|| panic!("wit/0.1/{file} is gone: a new contract is a new track"));
        if EXPORTS.contains(&file.as_str()) {
            assert_eq!(found, lines, "wit/0.1/{file}: plugins export it, so no plugin of today would load");
        } else if let Some(missing) = first_missing(lines, found) {
            panic!("wit/0.1/{file}: `{missing}` was changed or removed; what the host lends may only grow");
        }
    }
}

#[test]
fn a_change_is_noticed_wherever_it_is() {
    let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let frozen = text(&["interface clock {", "now-ms: func() -> u64;", "}"]);
    let grown = text(&["interface clock {", "now-ms: func() -> u64;", "zone: func() -> string;", "}"]);
    assert_eq!(first_missing(&frozen, &grown), None);
    assert_eq!(first_missing(&grown, &frozen), Some(&"zone: func() -> string;".to_owned()));
    let changed = text(&["interface clock {", "now-ms: func() -> s64;", "}"]);
    assert_eq!(first_missing(&frozen, &changed), Some(&"now-ms: func() -> u64;".to_owned()));
}

#[test]
fn a_strategy_of_an_earlier_minor_trades_as_the_one_of_today() {
    let settings = json!({ "fast": 2, "slow": 5, "minutes": 3 });
    let record = |component: &Path| {
        backtest(&deterministic(tight()), &[Trading { name: "s", component, settings: settings.clone() }])
    };
    let today = record(&plugin("strategies/sma-cross"));
    assert!(today.of("s").iter().any(|outcome| outcome.starts_with("Opened")), "{today:?}");
    assert_eq!(record(&fixtures().join("strategy.wasm")), today);
}

#[test]
fn a_backend_of_an_earlier_minor_passes_the_kit() {
    let backend = fixtures().join("backend.wasm");
    let finished = Workplace::empty().succeed(&["plugin", "test", backend.to_str().unwrap()]);
    assert!(finished.stdout.contains(" 0 failed"), "{finished:?}");
}
