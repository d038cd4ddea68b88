//! `sigbox.toml`, put together.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sigbox::market::candles::Recipe;

/// When generated candles begin: 2024-01-01T00:00:00Z.
const START_MS: i64 = 1_704_067_200_000;

/// A configuration for a test: candles and strategies by choice, the rest as text.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    recipes: Vec<(String, Recipe)>,
    files: Vec<(String, PathBuf)>,
    strategies: String,
    sections: String,
    speed: f64,
}

impl Configuration {
    /// Nothing yet. Live runs are as fast as they can be.
    pub(crate) fn new() -> Self {
        let (recipes, files, strategies, sections) = (Vec::new(), Vec::new(), String::new(), String::new());
        Self { recipes, files, strategies, sections, speed: 0.0 }
    }

    /// One symbol with generated candles, traded by `sma-cross` under a risk profile with room for three.
    pub(crate) fn sma_cross(days: usize) -> Self {
        Self::new()
            .generated("BTCUSDT", 7, days)
            .strategy(
                "sma-cross",
                &super::plugin("strategies/sma-cross"),
                &["BTCUSDT"],
                "risk = [\"shared\"]\nsettings = { fast = 20, slow = 60 }",
            )
            .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 3, note = \"at most three positions\" }]")
    }

    /// Candles of `symbol` that differ with `seed`.
    pub(crate) fn generated(mut self, symbol: &str, seed: u64, days: usize) -> Self {
        self.recipes.push((symbol.to_owned(), recipe(seed, days)));
        self
    }

    /// Candles of `symbol` in a file.
    pub(crate) fn file(mut self, symbol: &str, file: &Path) -> Self {
        self.files.push((symbol.to_owned(), file.to_owned()));
        self
    }

    /// A strategy; `more` are further keys of its section.
    pub(crate) fn strategy(mut self, name: &str, plugin: &Path, symbols: &[&str], more: &str) -> Self {
        let plugin = plugin.display();
        write!(
            self.strategies,
            "[[strategies]]\nname = \"{name}\"\nplugin = '{plugin}'\nsymbols = {symbols:?}\n{more}\n"
        )
        .expect("a string takes text");
        self
    }

    /// Any other section, as text.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self.sections.push('\n');
        self
    }

    /// Simulated seconds a second of live runs; 0 is as fast as possible.
    pub(crate) fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// The text of the file. Compiled plugins are kept between tests.
    pub(crate) fn to_toml(&self) -> String {
        let Self { recipes, files, strategies, sections, speed } = self;
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins");
        let mut text =
            format!("[limits]\ncache-dir = '{}'\n[live]\nspeed = {speed:?}\n[candles.files]\n", cache.display());
        for (symbol, file) in files {
            writeln!(text, "{symbol} = '{}'", file.display()).expect("a string takes text");
        }
        for (symbol, Recipe { seed, minutes, price, volatility_percent, .. }) in recipes {
            let days = minutes / (24 * 60);
            writeln!(
                text,
                "[candles.generate.{symbol}]\nseed = {seed}\nstart = \"2024-01-01T00:00:00Z\"\ndays = {days}\n\
                 price = {price:?}\nvolatility-percent = {volatility_percent:?}"
            )
            .expect("a string takes text");
        }
        text + strategies + sections
    }
}

/// The recipe of [`Configuration::generated`].
pub(crate) fn recipe(seed: u64, days: usize) -> Recipe {
    Recipe { seed, start_ms: START_MS, minutes: days * 24 * 60, price: 42_000.0, volatility_percent: 0.05 }
}
