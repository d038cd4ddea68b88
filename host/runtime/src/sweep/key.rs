//! Keys of results: a digest of everything that determines the result of a run.

use sha2::{Digest as _, Sha256};
use sigbox_engine::{Interval, Settings, stats::METRICS};
use sigbox_market::{Market, digest::hex};
use sigbox_sandbox::Limits;
use sigbox_trading::Frame;

use super::Case;
use crate::config::{Config, RiskProfile, Strategy};

/// Must be raised when a run of the same sigbox version gives another result than before, or is written differently.
const FORMAT: u32 = 1;

/// Makes the keys of a sweep, from the part that they have in common.
pub(super) struct Keys<'c> {
    config: &'c Config,
    shared: Sha256,
}

/// What all runs of a sweep have in common. The debug form is digested, because it has every field without further
/// code, puts texts in quotes, and writes floats so that they read back to the same bits. If the debug form ever
/// changes, runs are only run again.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug")]
struct Shared<'a> {
    format: u32,
    sigbox: &'static str,
    /// The names of all metrics: after one is added or removed, older lines do not have the same numbers.
    numbers: Vec<&'static str>,
    exchange: &'a str,
    engine: &'a Settings,
    /// Of the limits, only these can change what a guest does.
    fuel_per_call: u64,
    memory_bytes: usize,
    candles_per_call: u32,
    /// Every symbol with the digest of its candles, because a strategy may look at every symbol.
    candles: Vec<(&'a str, String)>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug")]
struct Own<'a> {
    component: &'a str,
    strategy: &'a str,
    interval: Option<Interval>,
    risk: Vec<Option<&'a RiskProfile>>,
    settings: &'a str,
    symbol: &'a str,
    frame: &'a Frame,
}

impl<'c> Keys<'c> {
    pub(super) fn new(config: &'c Config, limits: &Limits, market: &Market) -> Self {
        let series = market.symbols().filter_map(|symbol| Some((symbol, market.series(symbol)?)));
        let shared = Shared {
            format: FORMAT,
            sigbox: env!("CARGO_PKG_VERSION"),
            numbers: METRICS.iter().map(|metric| metric.name).collect(),
            exchange: &config.exchange_name,
            engine: &config.engine,
            fuel_per_call: limits.fuel_per_call,
            memory_bytes: limits.memory_bytes,
            candles_per_call: limits.candles_per_call,
            candles: series.map(|(symbol, series)| (symbol, series.read().sha256())).collect(),
        };
        Self { config, shared: Sha256::new().chain_update(format!("{shared:?}")) }
    }

    /// The key of one run, in hexadecimal. `component`: the SHA-256 of the plugin.
    pub(super) fn of(&self, component: &str, strategy: &Strategy, case: &Case, frame: &Frame) -> String {
        let profile = |name: &String| self.config.risk.iter().find(|profile| profile.name == *name);
        let own = Own {
            component,
            strategy: &strategy.name,
            interval: strategy.interval,
            risk: strategy.risk.iter().map(profile).collect(),
            settings: &case.settings,
            symbol: &case.symbol,
            frame,
        };
        hex(&self.shared.clone().chain_update(format!("{own:?}")).finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sigbox_market::candles::{Recipe, Series, generate};

    use super::*;
    use crate::sweep::cases::plan;

    /// The key of the only run that `text` describes.
    fn key(text: &str, limits: &Limits, candles: &[(&str, u64)], component: &str) -> String {
        let config = Config::parse(text, "sigbox.toml").unwrap_or_else(|error| panic!("{error}"));
        let market = Market::new(candles.iter().map(|(symbol, seed)| {
            let recipe = Recipe { seed: *seed, start_ms: 0, minutes: 10, price: 100.0, volatility_percent: 0.05 };
            ((*symbol).to_owned(), Series::new(generate(&recipe).unwrap()).unwrap())
        }));
        let keys = Keys::new(&config, limits, &market);
        let runs = plan(&config, |strategy, case, frame| keys.of(component, strategy, case, frame));
        assert_eq!(runs.len(), 1, "{text}");
        runs[0].key.clone()
    }

    const TEXT: &str = r#"
[candles.files]
BTC = "btc.csv"
ETH = "eth.csv"
[[strategies]]
name = "s"
plugin = "."
symbols = ["BTC"]
risk = ["a"]
settings = { x = 1 }
[[risk]]
name = "a"
rules = [{ max-active = 1 }]
[[risk]]
name = "b"
rules = [{ max-active = 1 }]
[frame]
name = "f"
[exchange]
name = "e"
[engine]
percent-fee = 0.1
[walk.grid.s]
y = [0.5]
"#;

    #[test]
    fn whatever_a_result_can_depend_on_changes_the_key() {
        let (limits, candles) = (Limits::default(), [("BTC", 1), ("ETH", 2)]);
        let mut keys = vec![key(TEXT, &limits, &candles, "c")];
        for (from, to) in [
            ("name = \"s\"", "name = \"z\""),
            ("symbols = [\"BTC\"]", "symbols = [\"ETH\"]"),
            ("symbols = [\"BTC\"]", "symbols = [\"BTC\"]\ninterval = \"5m\""),
            ("risk = [\"a\"]", "risk = [\"b\"]"),
            ("risk = [\"a\"]", "risk = [\"a\", \"b\"]"),
            ("x = 1", "x = 1.0"),
            ("y = [0.5]", "y = [0.25]"),
            ("name = \"a\"\nrules = [{ max-active = 1", "name = \"a\"\nrules = [{ max-active = 2"),
            ("name = \"f\"", "name = \"g\""),
            ("name = \"f\"", "name = \"f\"\nstart = 1970-01-01T00:06:00Z"),
            ("name = \"f\"", "name = \"f\"\nend = 1970-01-01T00:06:00Z"),
            ("name = \"f\"", "name = \"f\"\ninterval = \"5m\""),
            ("name = \"e\"", "name = \"g\""),
            ("percent-fee = 0.1", "percent-fee = 0.10000000000000002"),
        ] {
            let text = TEXT
                .replace(from, to)
                .replace("[walk.grid.s]", if to.contains("\"z\"") { "[walk.grid.z]" } else { "[walk.grid.s]" });
            assert_ne!(text, TEXT, "{from}");
            keys.push(key(&text, &limits, &candles, "c"));
        }
        for limits in [
            Limits { fuel_per_call: 7, ..Limits::default() },
            Limits { memory_bytes: 7, ..Limits::default() },
            Limits { candles_per_call: 7, ..Limits::default() },
        ] {
            keys.push(key(TEXT, &limits, &candles, "c"));
        }
        // The candles of a symbol that is not traded count too, because the strategy can look at them.
        for candles in [&[("BTC", 3), ("ETH", 2)][..], &[("BTC", 1), ("ETH", 3)], &[("BTC", 1)]] {
            keys.push(key(TEXT, &limits, candles, "c"));
        }
        keys.push(key(TEXT, &limits, &candles, "d"));
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:#?}");
    }

    #[test]
    fn what_a_result_cannot_depend_on_does_not_change_the_key() {
        let candles = [("BTC", 1), ("ETH", 2)];
        let expected = key(TEXT, &Limits::default(), &candles, "c");
        for (from, to) in [
            ("\nsettings = { x = 1 }", "\nsettings = { y = 2, x = 1 }"),
            ("\"btc.csv\"", "\"elsewhere.csv\""),
            ("name = \"b\"\nrules = [{ max-active = 1", "name = \"b\"\nrules = [{ max-active = 2"),
            ("[walk.grid.s]", "[walk]\nmetric = \"totalPnl\"\n[walk.grid.s]"),
            ("[walk.grid.s]", "[live]\nspeed = 1\n[walk.grid.s]"),
        ] {
            let text = TEXT.replace(from, to);
            assert_ne!(text, TEXT, "{from}");
            assert_eq!(key(&text, &Limits::default(), &candles, "c"), expected, "{to}");
        }
        let slower = Limits { store_timeout: std::time::Duration::ZERO, log_lines_per_call: 0, ..Limits::default() };
        assert_eq!(key(TEXT, &slower, &candles, "c"), expected);
    }
}
