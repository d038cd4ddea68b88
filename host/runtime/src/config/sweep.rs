//! `[walk]`: what a sweep compares.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use serde_json::{Number, Value};
use sigbox_engine::stats::Metric;
use sigbox_trading::Frame;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    candles::{Candles, no_candles},
    frame::read_period,
    reader::{Section, Taken, shown_key},
    strategies::{Strategy, json},
    value::Name,
};

/// What a sweep compares: each strategy with every combination of its grid, on each symbol, in each frame. These are at
/// most a hundred thousand runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The metric that runs are ranked by.
    pub metric: &'static Metric,
    /// Settings to try, by strategy, in the order of the file. A strategy that is not here runs only with the settings
    /// of its own section.
    pub grid: BTreeMap<String, Vec<Axis>>,
    /// The symbols that every strategy trades, each once; empty: each strategy trades its own.
    pub symbols: Vec<String>,
    /// The periods. Never empty, each name once.
    pub frames: Vec<Frame>,
}

/// A setting and the values to try for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The keys of the tables that the setting is in, then its own key.
    pub path: Vec<String>,
    /// In the order they are tried. Never empty, each value once.
    pub values: Vec<Value>,
}

/// A run takes about two kilobytes of memory and one of disk. A hundred thousand runs of a month take most of an hour.
const RUNS_MAX: usize = 100_000;

/// The default metric, by which most people compare strategies.
const METRIC: &str = "sharpeRatio";

pub(super) fn read(root: &Section<'_>, strategies: &[Strategy], candles: &Candles, frame: &Frame) -> Sweep {
    root.section("walk", "[walk]", |section| {
        let metric = section.get::<&Metric>("metric");
        let mut taken = Taken::default();
        let mut frames = section.sections("frames", "[[walk.frames]]", |section| {
            let name = taken.required_name(section);
            read_period(section, name)
        });
        if frames.is_empty() {
            frames.push(frame.clone());
        }
        let sweep = Sweep {
            metric: metric.or_else(|| Metric::named(METRIC)).expect("there is such a metric"),
            grid: read_grid(section, strategies),
            symbols: read_symbols(section, candles),
            frames,
        };
        let runs = strategies.iter().map(|strategy| sweep.runs_of(strategy)).fold(0, usize::saturating_add);
        if runs > RUNS_MAX {
            let message = format!(
                "describes {runs} runs, and a sweep can have {RUNS_MAX}; try fewer values, symbols or frames, or larger \
                 steps"
            );
            section.report(section.offset_of("grid"), message);
        }
        sweep
    })
}

impl Sweep {
    fn runs_of(&self, strategy: &Strategy) -> usize {
        let symbols = if self.symbols.is_empty() { strategy.symbols.len() } else { self.symbols.len() };
        let axes = self.grid.get(&strategy.name).into_iter().flatten();
        axes.map(|axis| axis.values.len()).fold(symbols * self.frames.len(), usize::saturating_mul)
    }
}

fn read_symbols(section: &Section<'_>, candles: &Candles) -> Vec<String> {
    let symbols = section.list::<Name>("symbols");
    let mut taken = Taken::default();
    for symbol in &symbols {
        taken.take(section, &symbol.value.0, symbol.offset, "symbol");
        if !candles.sources.contains_key(&symbol.value.0) {
            section.report(symbol.offset, format!("needs candles, but {}", no_candles(&symbol.value.0)));
        }
    }
    symbols.into_iter().map(|symbol| symbol.value.0).collect()
}

fn read_grid(section: &Section<'_>, strategies: &[Strategy]) -> BTreeMap<String, Vec<Axis>> {
    let mut grid = BTreeMap::new();
    for (name, value) in section.entries("grid", "[walk.grid.NAME]") {
        let key = format!("grid.{}", shown_key(name.get_ref()));
        let Some(strategy) = strategies.iter().find(|strategy| strategy.name == **name.get_ref()) else {
            let names: Vec<_> = strategies.iter().map(|strategy| shown_key(&strategy.name)).collect();
            let message = format!("{key} is of no strategy; there are {}", names.join(", "));
            section.report(name.span().start, message);
            continue;
        };
        let Some(table) = value.get_ref().as_table() else {
            let shown = section.shown(value);
            section.report(name.span().start, format!("{key} must be a section of settings to try; found {shown}"));
            continue;
        };
        let settings = serde_json::from_str(&strategy.settings).unwrap_or_default();
        let mut axes = Vec::new();
        GridReader { section, axes: &mut axes }.read(table, &key, &[], Some(&settings));
        axes.sort_by_key(|(offset, _)| *offset);
        grid.insert(strategy.name.clone(), axes.into_iter().map(|(_, axis)| axis).collect());
    }
    grid
}

/// Reads the grid of one strategy.
struct GridReader<'r, 'a> {
    section: &'r Section<'a>,
    /// Each axis with its offset in the file, because the parser's tables do not keep the order of the file.
    axes: &'r mut Vec<(usize, Axis)>,
}

impl GridReader<'_, '_> {
    /// Reads the axes in `table`, which is at `path`. `settings`: what the strategy's own settings have at `path`.
    fn read(&mut self, table: &DeTable<'_>, key: &str, path: &[String], settings: Option<&Value>) {
        if let Some(found) = settings.filter(|found| !found.is_object()) {
            let offset = table.keys().map(|key| key.span().start).min().unwrap_or_default();
            self.section
                .report(offset, format!("{key} must be a table in the strategy's settings, too; found {found}"));
            return;
        }
        for (name, value) in table {
            let key = format!("{key}.{}", shown_key(name.get_ref()));
            let offset = name.span().start;
            let path: Vec<String> = path.iter().cloned().chain([name.get_ref().to_string()]).collect();
            let read = match value.get_ref() {
                DeValue::Array(items) => self.list(items),
                DeValue::Table(table) if is_nested(table) => {
                    self.read(table, &key, &path, settings.and_then(|settings| settings.get(&**name.get_ref())));
                    continue;
                }
                DeValue::Table(table) => range(table),
                _ => Err(format!("must be a list of values or a {RANGE}; found {}", self.section.shown(value))),
            };
            match read {
                Ok(values) => self.axes.push((offset, Axis { path, values })),
                Err(must) => self.section.report(offset, format!("{key} {must}")),
            }
        }
    }

    fn list(&self, items: &[Spanned<DeValue<'_>>]) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        for item in items {
            let value = json(self.section, item);
            if values.contains(&value) {
                return Err(format!("must hold each value once; {value} is there twice"));
            }
            values.push(value);
        }
        if values.is_empty() { Err("must hold at least one value".to_owned()) } else { Ok(values) }
    }
}

/// Whether `table` holds settings and is not a range: a range holds no list and no table.
fn is_nested(table: &DeTable<'_>) -> bool {
    table.values().any(|value| matches!(value.get_ref(), DeValue::Array(_) | DeValue::Table(_)))
}

const RANGE: &str = "range { from, to, step } of numbers with at most 28 digits";

/// The values of a range: `from`, and every `step` after it, up to and including `to`. They are computed as decimal
/// numbers, so the third of 0.1, 0.2, … is exactly 0.3. They are whole numbers if `from`, `to` and `step` are.
fn range(table: &DeTable<'_>) -> Result<Vec<Value>, String> {
    let parts = ["from", "to", "step"].map(|key| table.get(key));
    let [Some(from), Some(to), Some(step)] = parts.map(|part| part.and_then(|part| decimal(part.get_ref()))) else {
        return Err(format!("must be a {RANGE}"));
    };
    if table.len() > parts.len() {
        return Err(format!("must be a {RANGE}, and nothing else"));
    }
    if step <= Decimal::ZERO || to < from {
        return Err(format!(
            "must be a range with a step above 0 that ends where it begins or later; found {from} to {to} in steps of {step}"
        ));
    }
    let is_whole = parts.into_iter().flatten().all(|part| part.get_ref().is_integer());
    let mut values = Vec::new();
    let mut next = Some(from);
    while let Some(value) = next.filter(|value| *value <= to) {
        if values.len() == RUNS_MAX {
            return Err(format!("has more than {RUNS_MAX} values; take a larger step"));
        }
        let number = if is_whole {
            value.to_i64().map(Number::from)
        } else {
            value.to_string().parse().ok().and_then(Number::from_f64)
        };
        values.extend(number.map(Value::Number));
        next = value.checked_add(step);
    }
    Ok(values)
}

fn decimal(value: &DeValue<'_>) -> Option<Decimal> {
    match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Decimal::from),
        DeValue::Float(float) => {
            let text = float.as_str();
            Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
        }
        _ => None,
    }
}
