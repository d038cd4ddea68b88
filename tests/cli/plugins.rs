//! Plugins that cannot be used, and stores that are plugins.

use super::assert_refused;
use crate::support::{Configuration, Workplace, plugin};

/// One strategy on generated candles.
fn strategy(plugin: &std::path::Path, more: &str) -> Configuration {
    Configuration::new().generated("BTCUSDT", 7, 2).strategy("s", plugin, &["BTCUSDT"], more)
}

/// Every domain kept by one plugin.
fn kept_by(plugin: &std::path::Path) -> String {
    let domains = ["signal", "schedule", "risk", "partial"].map(|domain| format!("{domain} = \"it\"\n")).concat();
    format!("[persistence]\n{domains}[stores.it]\nplugin = '{}'", plugin.display())
}

#[test]
fn a_plugin_that_is_not_there_is_refused_with_its_line() {
    let workplace = Workplace::empty();
    workplace.configure(&strategy(&workplace.path("no.wasm"), ""));
    let finished = workplace.run(&["backtest"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    let line = workplace.read("sigbox.toml").lines().position(|line| line.starts_with("plugin")).unwrap() + 1;
    assert!(finished.stderr.starts_with(&format!("error: sigbox.toml:{line}: ")), "{finished:?}");
    assert!(finished.stderr.contains("no.wasm"), "{finished:?}");
}

#[test]
fn what_is_not_a_component_is_refused() {
    let workplace = Workplace::empty();
    workplace.configure(&strategy(&workplace.path("it.wasm"), ""));
    for content in [&b"text"[..], b"", b"\0asm\x01\0\0\0"] {
        workplace.write("it.wasm", content);
        for command in ["backtest", "live"] {
            let finished = workplace.run(&[command]);
            assert_eq!(finished.code(), Some(3), "{content:?}: {finished:?}");
            let start = format!("error: plugin {}: ", workplace.path("it.wasm").display());
            assert!(finished.stderr.starts_with(&start), "{content:?}: {finished:?}");
            assert!(finished.stderr.contains("component"), "{content:?}: {finished:?}");
        }
    }
}

#[test]
fn a_persistence_backend_is_no_strategy() {
    let component = plugin("persistence/memory");
    let workplace = Workplace::new(&strategy(&component, ""));
    let message = format!(
        "error: plugin {}: is a persistence backend, but a strategy was expected here: it exports \
         sigbox:persistence/store@0.1.0, not sigbox:strategy/strategy@0.1.0",
        component.display()
    );
    assert_refused(&workplace, &["backtest"], 3, &message);
}

#[test]
fn a_strategy_is_no_persistence_backend() {
    let component = plugin("strategies/sma-cross");
    let workplace = Workplace::new(&strategy(&component, "").section(&kept_by(&component)));
    let message = format!(
        "error: [persistence] signal, schedule, risk, partial, memory: plugin {}: is a strategy, but a persistence \
         backend was expected here: it exports sigbox:strategy/strategy@0.1.0, not sigbox:persistence/store@0.1.0",
        component.display()
    );
    let finished = workplace.run(&["live"]);
    assert_eq!((finished.code(), finished.stderr.trim_end()), (Some(3), message.as_str()));
}

#[test]
fn settings_a_plugin_refuses_are_refused_with_its_words() {
    let sma_cross = plugin("strategies/sma-cross");
    let cases = [
        ("settings = { fast = 60, slow = 20 }", "fast must be at least 1 and below slow; found fast 60 slow 20"),
        ("settings = { fast = 0 }", "fast must be at least 1 and below slow; found fast 0 slow 60"),
        ("settings = { quick = 1 }", "unknown field `quick`"),
    ];
    for (settings, words) in cases {
        let workplace = Workplace::new(&strategy(&sma_cross, settings));
        for command in ["backtest", "live"] {
            let finished = workplace.run(&[command]);
            assert_eq!(finished.code(), Some(3), "{settings}: {finished:?}");
            assert!(finished.stderr.starts_with("error: plugin "), "{settings}: {finished:?}");
            assert!(finished.stderr.contains(words), "{settings}: {finished:?}");
        }
    }
}

#[test]
fn a_plugin_that_keeps_everything_gives_the_same_events_as_files() {
    let files = Workplace::new(&Configuration::sma_cross(4));
    files.succeed(&["live"]);
    let configuration = Configuration::sma_cross(4).section(&kept_by(&plugin("persistence/memory")));
    let memory = Workplace::new(&configuration);
    memory.succeed(&["live"]);
    assert!(files.live_events().of("closed").len() > 10);
    assert_eq!(memory.live_events(), files.live_events());
    assert!(memory.documents().is_empty(), "no file is written");
    assert!(!files.documents().is_empty());
}

#[test]
fn each_domain_can_be_kept_by_another_store() {
    let files = Workplace::new(&Configuration::sma_cross(2));
    files.succeed(&["live"]);
    let store = format!(
        "[persistence]\nschedule = \"memory\"\nrisk = \"it\"\n[stores.it]\nplugin = '{}'",
        plugin("persistence/memory").display()
    );
    let mixed = Workplace::new(&Configuration::sma_cross(2).section(&store));
    mixed.succeed(&["live"]);
    assert_eq!(mixed.live_events(), files.live_events());
    let kept: Vec<_> = mixed.documents().into_keys().collect();
    let expected =
        ["partial/BTCUSDT_sma-cross/levels.json", "signal/BTCUSDT_sma-cross/BTCUSDT.json", "signal/traders/index.json"];
    assert_eq!(kept, expected);
}
