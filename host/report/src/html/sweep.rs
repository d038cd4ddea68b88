//! The page of a sweep.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Value, json};
use sigbox_engine::stats::{Better, Metric, Unit};

use super::{
    list::{Choice, Column, list},
    page::page,
    run::{chart, repeat},
};
use crate::{
    clock::minute,
    histogram::{Bin, Histogram},
    sweep::{Cell, HeatMap, Sweep, SweepRow, shown},
    text,
};

/// The most rows of the list: more would make the page slow, and are hardly read.
const MOST_ROWS: usize = 5000;

/// The most maps on one page.
const MOST_MAPS: usize = 24;

#[derive(Serialize)]
struct Data {
    /// The ranges: from, to, how many runs.
    distribution: Vec<(f64, f64, u64)>,
    /// The unit after the numbers of the distribution.
    unit: &'static str,
    keys: Vec<String>,
    /// The best run first; its values are in the order of the keys.
    rows: Vec<Vec<Value>>,
}

/// The ranking of a sweep as one web page that needs no other file, like [`crate::html`] for a run: a list that sorts
/// and filters, the distribution of the number that runs are ranked by, and that number over the two settings where
/// exactly two vary.
#[must_use]
pub fn sweep_html(sweep: &Sweep) -> String {
    let Sweep { run, metric, rows } = sweep;
    let title = format!("Sweep by {}", metric.label);
    let values: Vec<f64> = rows.iter().filter_map(|row| row.value(metric)).collect();
    let List { columns, choices, rows: listed } = runs(sweep);
    let body = html! {
        (header(sweep, &title))
        main {
            @if rows.is_empty() {
                section { p class="empty" { "The sweep has no run." } }
            } @else {
                section id="runs" {
                    h2 { "Runs" }
                    (list("run-list", "Runs", &columns, &choices))
                    @if rows.len() > MOST_ROWS {
                        p class="remark" {
                            "These are the best " (text::count(MOST_ROWS as u64)) " of "
                            (text::count(rows.len() as u64)) "."
                        }
                    }
                }
                (heat_maps(metric, &sweep.heat_maps()))
                @if !values.is_empty() { (distribution(metric, values.len())) }
            }
            (repeat(run))
        }
    };
    let data = Data {
        distribution: Histogram::of(values).bins.iter().map(|Bin { from, to, count }| (*from, *to, *count)).collect(),
        unit: if matches!(metric.unit, Unit::Percent | Unit::Gain) { " %" } else { "" },
        keys: columns.into_iter().map(|column| column.key).collect(),
        rows: listed,
    };
    page(&title, &body, &data, &[include_str!("../../assets/sweep.js")])
}

fn header(sweep: &Sweep, title: &str) -> Markup {
    let Sweep { run, metric, rows } = sweep;
    let best = sweep.ranked().into_iter().next();
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    html! {
        header {
            p class="kind" { "Sweep" }
            h1 { (title) }
            p class="facts" {
                span {
                    (text::count(rows.len() as u64)) " runs"
                    @if failed > 0 { ", " (text::count(failed as u64)) " failed" }
                }
                @if let Some((from_ms, to_ms)) = run.period_ms {
                    span { (minute(from_ms)) " to " (minute(to_ms)) " UTC" }
                }
                @if !run.exchange.is_empty() { span { "exchange " b { (run.exchange) } } }
            }
            @if let Some(best) = best.filter(|best| best.value(metric).is_some()) {
                dl class="tiles" {
                    div {
                        dt { "Best: " (metric.label) }
                        dd { (text::number(metric.unit, best.value(metric))) }
                    }
                    div { dt { "of" } dd { (best.strategy) " on " (best.symbol) } }
                    @if !best.frame.is_empty() { div { dt { "in" } dd { (best.frame) } } }
                    @for (name, value) in best.settings() { div { dt { (name) } dd { (shown(&value)) } } }
                }
            }
        }
    }
}

/// The list of runs: its columns, what it can be filtered by, and the rows in the order of the columns.
struct List {
    columns: Vec<Column>,
    choices: Vec<Choice>,
    rows: Vec<Vec<Value>>,
}

/// Reads one name of a run.
type NameOf = fn(&SweepRow) -> &String;

/// The names of a run, each with a key, a heading and the function that reads it.
const NAMES: [(&str, &str, NameOf); 3] = [
    ("strategy", "Strategy", |row| &row.strategy),
    ("symbol", "Symbol", |row| &row.symbol),
    ("frame", "Frame", |row| &row.frame),
];

fn runs(sweep: &Sweep) -> List {
    // A column that has the same text in every row is left out.
    let several = |of: NameOf| {
        let names: BTreeSet<&String> = sweep.rows.iter().map(of).collect();
        (names.len() > 1).then_some(names)
    };
    let names: Vec<_> =
        NAMES.into_iter().filter_map(|(key, heading, of)| Some((key, heading, of, several(of)?))).collect();
    let (settings, metrics) = (sweep.settings(), sweep.metrics());

    let mut columns = vec![Column::new("rank", "#", "count")];
    columns.extend(names.iter().map(|(key, heading, ..)| Column::new(*key, *heading, "text")));
    // The word before the name makes a key that no other column has.
    columns.extend(settings.iter().map(|name| Column::new(format!("setting {name}"), name, "plain")));
    columns.extend(metrics.iter().map(|metric| Column::new(metric.name, metric.label, kind(metric.unit))));
    if sweep.rows.iter().any(|row| row.outcome.is_err()) {
        columns.push(Column::new("failed", "Failed", "text"));
    }

    let cells = |(place, row): (usize, &SweepRow)| {
        let of_row = row.settings();
        let mut cells = vec![json!(place + 1)];
        cells.extend(names.iter().map(|(.., of, _)| json!(of(row))));
        cells.extend(settings.iter().map(|name| match of_row.get(name) {
            Some(Value::Number(number)) => Value::Number(number.clone()),
            Some(value) => Value::String(shown(value)),
            None => Value::Null,
        }));
        cells.extend(metrics.iter().map(|metric| {
            let seconds = if metric.unit == Unit::Minutes { 60.0 } else { 1.0 };
            json!(row.value(metric).map(|value| value * seconds))
        }));
        cells.extend(row.outcome.as_ref().err().map(|reason| json!(reason)));
        cells
    };
    List {
        rows: sweep.ranked().into_iter().take(MOST_ROWS).enumerate().map(cells).collect(),
        choices: names
            .iter()
            .map(|(key, heading, _, names)| Choice::between(*key, *heading, names.iter().copied()))
            .collect(),
        columns,
    }
}

/// The kind of a column whose numbers have this unit (`format.js`).
const fn kind(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Percent => "percent",
        Unit::Gain => "gain",
        Unit::Money => "money",
        Unit::Ratio => "ratio",
        Unit::Minutes => "duration",
    }
}

fn distribution(metric: &Metric, runs: usize) -> Markup {
    let says = format!("Distribution of {} over {} runs", metric.label, text::count(runs as u64));
    html! {
        section id="distribution" {
            h2 { "Distribution of " (metric.label) }
            (chart("distribution-chart", &says))
            p class="remark" { "Runs by the number they are ranked by, where there is one." }
        }
    }
}

fn heat_maps(metric: &Metric, maps: &[HeatMap]) -> Markup {
    html! {
        @if !maps.is_empty() {
            section id="maps" {
                h2 { (metric.label) " over two settings" }
                @for map in maps.iter().take(MOST_MAPS) { (heat_map(metric, map)) }
                @if maps.len() > MOST_MAPS { p class="remark" { (maps.len() - MOST_MAPS) " more maps are left out." } }
            }
        }
    }
}

fn heat_map(metric: &Metric, map: &HeatMap) -> Markup {
    let [strategy, symbol, frame] = &map.of;
    let [down, across] = &map.settings;
    let of =
        if frame.is_empty() { format!("{strategy} on {symbol}") } else { format!("{strategy} on {symbol}, {frame}") };
    let numbers = || {
        map.cells.iter().flatten().filter_map(|cell| match cell {
            Cell::Number(number) => Some(*number),
            Cell::NoRun | Cell::NoNumber => None,
        })
    };
    let (least, most) =
        numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| (least.min(it), most.max(it)));
    let says = format!("{} of {of} by {down} and {across}", metric.label);
    html! {
        h3 { (of) }
        div class="scroll" tabindex="0" role="region" aria-label=(says) {
            table class="heat" {
                thead {
                    tr { td {} th scope="colgroup" colspan=(map.values[1].len()) { (across) } }
                    tr { th scope="col" { (down) } @for value in &map.values[1] { th scope="col" { (value) } } }
                }
                tbody {
                    @for (value, cells) in map.values[0].iter().zip(&map.cells) {
                        tr {
                            th scope="row" { (value) }
                            @for cell in cells {
                                @match cell {
                                    Cell::NoRun => td class="missing" {},
                                    Cell::NoNumber => td class="missing" { (text::NOT_THERE) },
                                    Cell::Number(number) => td class={ "heat-" (heat(metric, *number, least, most)) } {
                                        (text::number(metric.unit, Some(*number)))
                                    },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// From 0, the worst number of a map, to 9, the best one.
fn heat(metric: &Metric, number: f64, least: f64, most: f64) -> u8 {
    let share = if most > least { (number - least) / (most - least) } else { 0.5 };
    let share = if metric.better == Better::Less { 1.0 - share } else { share };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 9")]
    let heat = (share * 9.0).round().clamp(0.0, 9.0) as u8;
    heat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn the_list_has_every_run_the_best_one_first() {
        let metric = Metric::named("totalPnl").unwrap();
        let mut sweep = made_up::sweep(metric, &[10, 20, 30], &[60, 90]);
        sweep.rows[4].outcome = Err("</script><b>it trapped".to_owned());
        let page = sweep_html(&sweep);
        let (_, rest) = page.split_once(r#"id="data">"#).unwrap();
        let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        let place = |key: &str| data["keys"].as_array().unwrap().iter().position(|it| it == key).unwrap();
        let rows = data["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 6);
        let values: Vec<_> = rows.iter().map(|row| row[place("totalPnl")].as_f64()).collect();
        assert!(values[..5].windows(2).all(|pair| pair[0] >= pair[1] && pair[1].is_some()), "{values:?}");
        assert_eq!((values[5], &rows[5][place("setting fast")]), (None, &json!(30)));
        assert_eq!(rows[5][place("failed")], "</script><b>it trapped");
        let counted: u64 = data["distribution"].as_array().unwrap().iter().map(|bin| bin[2].as_u64().unwrap()).sum();
        assert_eq!(counted, 5);
        assert!(page.contains("sma-cross on BTCUSDT") && page.contains("heat-9"), "there is a map");
    }

    #[test]
    fn heat_is_the_better_end_whichever_way_that_is() {
        let [more, less] = ["totalPnl", "maxDrawdown"].map(|name| Metric::named(name).unwrap());
        assert_eq!([heat(more, 1.0, 1.0, 5.0), heat(more, 5.0, 1.0, 5.0)], [0, 9]);
        assert_eq!([heat(less, 1.0, 1.0, 5.0), heat(less, 5.0, 1.0, 5.0)], [9, 0]);
        assert_eq!(heat(more, 1.0, 1.0, 1.0), 5);
    }

    #[test]
    fn a_sweep_without_a_run_says_so() {
        let sweep = made_up::sweep(Metric::named("totalPnl").unwrap(), &[], &[]);
        assert!(sweep_html(&sweep).contains("The sweep has no run."));
    }
}
