//! Sweeps: results that are those of single runs, whatever order they come in, and that are kept when a sweep is killed.

mod command;
mod kept;
mod library;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Configuration, Workplace, plugin};

/// Where a sweep keeps its results by default.
const RESULTS: &str = "dump/walk/results.jsonl";

/// `sma-cross` on a week of one symbol, or on `symbols`, which have different candles. The grid begins at `fast = 5`.
fn sma_cross(symbols: &[&str], walk: &str) -> Configuration {
    let mut configuration = Configuration::new();
    for (seed, symbol) in (11..).zip(symbols) {
        configuration = configuration.generated(symbol, seed, 8);
    }
    let settings = "risk = [\"shared\"]\nsettings = { fast = 20, slow = 60, minutes = 120 }";
    configuration
        .strategy("sma-cross", &plugin("strategies/sma-cross"), symbols, settings)
        .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 1 }]")
        .section(walk)
}

/// The result of a sweep as JSON, and how it was said.
fn sweep(workplace: &Workplace) -> (Value, String) {
    let said = workplace.succeed(&["walk", "--json"]).stdout;
    (serde_json::from_str(&said).unwrap(), said)
}

/// How many runs a sweep that has ended says it ran.
fn ran(said: &str) -> usize {
    let count = said.lines().find_map(|line| line.strip_prefix("Ran ")).and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("it does not say how many: {said}"))
}

/// The lines of the results file, in no order; each run is there once.
fn results(workplace: &Workplace) -> BTreeSet<String> {
    let text = workplace.read(RESULTS);
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole: {text:?}");
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), text.lines().count(), "a run is there twice");
    lines
}
