//! The report of a sweep: many runs that differ in their settings, ranked by one number.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;
use sigbox_engine::stats::{Metric, Statistics};
use sigbox_events::RunRecord;

use crate::{clock::minute, markdown::escaped, text};

/// The runs of a sweep and their results.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What all its runs had in common, and what is needed to repeat them.
    pub run: RunRecord,
    /// The metric that the runs are ranked by.
    pub metric: &'static Metric,
    /// One row for each run, in any order.
    pub rows: Vec<SweepRow>,
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct SweepRow {
    /// The strategy's name.
    pub strategy: String,
    /// The symbol.
    pub symbol: String,
    /// The name of its period; may be empty.
    pub frame: String,
    /// The settings that vary, a JSON object.
    pub settings: String,
    /// The numbers of the run, or why it failed.
    pub outcome: Result<Statistics, String>,
}

/// A number over two settings, for the runs of one strategy on one symbol in one frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeatMap {
    /// Whose runs: strategy, symbol, frame.
    pub(crate) of: [String; 3],
    /// The names of the two settings: down, and across.
    pub(crate) settings: [String; 2],
    /// Their values, ascending.
    pub(crate) values: [Vec<String>; 2],
    /// The cells, by the first setting, then by the second.
    pub(crate) cells: Vec<Vec<Cell>>,
}

/// The result for one value of each setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    /// There was no such run.
    NoRun,
    /// The run failed, or its trades do not give the number.
    NoNumber,
    /// The number.
    Number(f64),
}

/// The metrics of a table of runs, besides the one that they are ranked by.
const COLUMNS: [&str; 8] =
    ["totalSignals", "winRate", "totalPnl", "avgPnl", "profitFactor", "maxDrawdown", "sharpeRatio", "finalEquity"];

/// The most rows in one Markdown table; the rest of a ranking is hardly read.
const MOST_MARKDOWN_ROWS: usize = 100;

impl SweepRow {
    /// The run's value of `metric`; `None` if there is none.
    pub(crate) fn value(&self, metric: &Metric) -> Option<f64> {
        self.outcome.as_ref().ok().and_then(|statistics| metric.of(statistics))
    }

    /// The settings that vary, by name. A setting in a table has the table's name before its own. A text that is no
    /// JSON object is one setting without a name.
    pub(crate) fn settings(&self) -> BTreeMap<String, Value> {
        let mut settings = BTreeMap::new();
        let value = serde_json::from_str(&self.settings).unwrap_or_else(|_| Value::String(self.settings.clone()));
        flatten(String::new(), value, &mut settings);
        settings
    }
}

fn flatten(name: String, value: Value, settings: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(name, member, settings);
            }
        }
        value => {
            settings.insert(name, value);
        }
    }
}

/// A setting's value as a person writes it.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

impl Sweep {
    /// The runs, the best one first, failed runs last.
    pub(crate) fn ranked(&self) -> Vec<&SweepRow> {
        let mut rows: Vec<&SweepRow> = self.rows.iter().collect();
        rows.sort_by(|left, right| {
            let failed = left.outcome.is_err().cmp(&right.outcome.is_err());
            failed.then_with(|| self.metric.rank(left.value(self.metric), right.value(self.metric)))
        });
        rows
    }

    /// The names of all settings that vary.
    pub(crate) fn settings(&self) -> BTreeSet<String> {
        self.rows.iter().flat_map(|row| row.settings().into_keys()).collect()
    }

    /// The metrics that a table of runs shows; the one that runs are ranked by comes first.
    pub(crate) fn metrics(&self) -> Vec<&'static Metric> {
        let others = COLUMNS.iter().filter(|name| **name != self.metric.name);
        [self.metric].into_iter().chain(others.filter_map(|name| Metric::named(name))).collect()
    }

    /// A map for each strategy on each symbol in each frame, if its runs differ in exactly two settings.
    pub(crate) fn heat_maps(&self) -> Vec<HeatMap> {
        let mut groups: BTreeMap<[&String; 3], Vec<&SweepRow>> = BTreeMap::new();
        for row in &self.rows {
            groups.entry([&row.strategy, &row.symbol, &row.frame]).or_default().push(row);
        }
        groups.into_iter().filter_map(|(of, rows)| self.heat_map(of.map(Clone::clone), &rows)).collect()
    }

    fn heat_map(&self, of: [String; 3], rows: &[&SweepRow]) -> Option<HeatMap> {
        let mut values: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in rows {
            for (name, value) in row.settings() {
                let values = values.entry(name).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        values.retain(|_, values| values.len() > 1);
        let [(down, down_values), (across, across_values)] = <[_; 2]>::try_from(Vec::from_iter(values)).ok()?;
        let [down_values, across_values] = [down_values, across_values].map(ascending);
        let mut cells = vec![vec![Cell::NoRun; across_values.len()]; down_values.len()];
        for row in rows {
            let settings = row.settings();
            let place = |name, values: &[Value]| values.iter().position(|value| settings.get(name) == Some(value));
            let (Some(line), Some(column)) = (place(&down, &down_values), place(&across, &across_values)) else {
                continue;
            };
            cells[line][column] = row.value(self.metric).map_or(Cell::NoNumber, Cell::Number);
        }
        let values = [down_values, across_values].map(|values| values.iter().map(shown).collect());
        Some(HeatMap { of, settings: [down, across], values, cells })
    }
}

/// Values in order: first numbers by size, then texts by the alphabet.
fn ascending(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by(|left, right| match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (left, right) if left.is_some() || right.is_some() => right.is_some().cmp(&left.is_some()),
        _ => shown(left).cmp(&shown(right)),
    });
    values
}

/// The ranking as a Markdown page: the best runs, and a table over the two settings where exactly two vary.
#[must_use]
pub fn sweep_markdown(sweep: &Sweep) -> String {
    let Sweep { run, metric, rows } = sweep;
    let mut page = format!("# Sweep by {}\n\n", metric.label);
    if let Some((from_ms, to_ms)) = run.period_ms {
        writeln!(page, "{} to {} UTC. ", minute(from_ms), minute(to_ms)).expect("a string takes text");
    }
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    write!(page, "{} runs", text::count(rows.len() as u64)).expect("a string takes text");
    if failed > 0 {
        write!(page, ", of which {} failed", text::count(failed as u64)).expect("a string takes text");
    }
    page.push_str(".\n\n");

    let (settings, metrics) = (sweep.settings(), sweep.metrics());
    let mut header: Vec<String> = ["#", "Strategy", "Symbol", "Frame"].map(str::to_owned).to_vec();
    header.extend(settings.iter().cloned());
    let texts = header.len();
    header.extend(metrics.iter().map(|metric| metric.label.to_owned()));
    line(&mut page, &header);
    line(&mut page, &(0..header.len()).map(|index| alignment(index == 0 || index >= texts)).collect::<Vec<_>>());
    for (place, row) in sweep.ranked().into_iter().take(MOST_MARKDOWN_ROWS).enumerate() {
        let of_row = row.settings();
        let mut cells = vec![(place + 1).to_string(), row.strategy.clone(), row.symbol.clone(), row.frame.clone()];
        cells.extend(settings.iter().map(|name| of_row.get(name).map(shown).unwrap_or_default()));
        match &row.outcome {
            Ok(statistics) => {
                cells.extend(metrics.iter().map(|metric| text::number(metric.unit, metric.of(statistics))));
            }
            Err(reason) => {
                cells.push(format!("failed: {reason}"));
                cells.resize(header.len(), String::new());
            }
        }
        line(&mut page, &cells);
    }
    if rows.len() > MOST_MARKDOWN_ROWS {
        let more = text::count((rows.len() - MOST_MARKDOWN_ROWS) as u64);
        writeln!(page, "\n{more} more are not shown.").expect("a string takes text");
    }
    for HeatMap { of: [strategy, symbol, frame], settings: [down, across], values: [rows, columns], cells } in
        sweep.heat_maps()
    {
        let of = if frame.is_empty() { String::new() } else { format!(", {frame}") };
        let title = escaped(&format!("{strategy} on {symbol}{of}: {} by {down} and {across}", metric.label));
        writeln!(page, "\n## {title}\n").expect("a string takes text");
        line(&mut page, &[vec![format!("{down} \\ {across}")], columns.clone()].concat());
        line(&mut page, &(0..=columns.len()).map(|_| alignment(true)).collect::<Vec<_>>());
        for (value, cells) in rows.into_iter().zip(cells) {
            let cells = cells.into_iter().map(|cell| match cell {
                Cell::NoRun => String::new(),
                Cell::NoNumber => text::NOT_THERE.to_owned(),
                Cell::Number(number) => text::number(metric.unit, Some(number)),
            });
            line(&mut page, &[value].into_iter().chain(cells).collect::<Vec<_>>());
        }
    }
    page
}

fn alignment(right: bool) -> String {
    if right { "--:" } else { "---" }.to_owned()
}

fn line(page: &mut String, cells: &[String]) {
    for cell in cells {
        write!(page, "| {} ", escaped(cell)).expect("a string takes text");
    }
    page.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    fn metric() -> &'static Metric {
        Metric::named("sharpeRatio").unwrap()
    }

    #[test]
    fn the_best_comes_first_what_has_no_number_after_it_and_what_failed_last() {
        let mut sweep = made_up::sweep(metric(), &[1, 2, 3], &[10, 20]);
        sweep.rows[0].outcome = Err("it trapped".to_owned());
        sweep.rows[1].outcome = Ok(Statistics::default());
        let ranked = sweep.ranked();
        let values: Vec<Option<f64>> = ranked.iter().map(|row| row.value(metric())).collect();
        assert_eq!(values.len(), 6);
        assert!(values[..4].windows(2).all(|pair| pair[0].unwrap() >= pair[1].unwrap()), "{values:?}");
        assert_eq!(values[4..], [None, None]);
        assert!(ranked[4].outcome.is_ok() && ranked[5].outcome.is_err());
    }

    #[test]
    fn a_heat_map_has_each_run_where_its_two_settings_meet() {
        let sweep = made_up::sweep(metric(), &[9, 10, 100], &[5, 7]);
        let maps = sweep.heat_maps();
        assert_eq!(maps.len(), 1);
        // By size, not by the alphabet.
        assert_eq!(maps[0].values, [vec!["9", "10", "100"], vec!["5", "7"]]);
        for row in &sweep.rows {
            let settings = row.settings();
            let place = |axis: usize, name| {
                maps[0].values[axis].iter().position(|value| *value == shown(&settings[name])).unwrap()
            };
            assert_eq!(maps[0].cells[place(0, "fast")][place(1, "slow")], Cell::Number(row.value(metric()).unwrap()));
        }
        assert_eq!(made_up::sweep(metric(), &[9], &[5, 7]).heat_maps(), [], "one setting varies");
    }

    #[test]
    fn settings_in_tables_are_named_by_their_way_and_anything_else_is_shown_as_it_is() {
        let settings = |text: &str| {
            let row = SweepRow { settings: text.to_owned(), ..made_up::sweep(metric(), &[1], &[2]).rows.remove(0) };
            row.settings().iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>()
        };
        assert_eq!(settings(r#"{"b":{"c":1.5,"d":"x"},"a":[1,2]}"#), ["a=[1,2]", "b.c=1.5", "b.d=x"]);
        assert_eq!(settings("nonsense"), ["=nonsense"]);
    }

    #[test]
    fn markdown_keeps_hostile_text_in_its_cell() {
        let mut sweep = made_up::sweep(metric(), &[1, 2], &[10, 20]);
        sweep.rows[0].strategy = "a|b\n# <script>".to_owned();
        sweep.rows[1].outcome = Err("x | y".to_owned());
        let page = sweep_markdown(&sweep);
        assert!(page.contains("a&#124;b&#92;n# &lt;script&gt;") && page.contains("failed: x &#124; y"), "{page}");
        let cells = |line: &str| line.matches('|').count();
        let table: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(table.iter().take(6).map(|line| cells(line)).collect::<BTreeSet<_>>().len(), 1, "{page}");
    }
}
