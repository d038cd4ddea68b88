//! The results of a run as tables on a terminal.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use sigbox_engine::stats::{Metric, Tally, Unit};
use sigbox_report::{KEY_METRICS, Row, Rows, text};

/// How positions and orders ended, and what was refused, in the order of the counts below.
const ENDINGS: [&str; 10] = [
    "take profit",
    "stop loss",
    "expired",
    "liquidated",
    "orders",
    "filled",
    "cancelled",
    "refused",
    "invalid",
    "failed",
];

/// The tables of a run, with a row for each strategy on each symbol and a row for everything: results, how positions
/// and orders ended, what was refused.
pub(crate) fn of(tally: &Tally) -> String {
    let rows = Rows::of(tally);
    let results = table(&rows, &KEY_METRICS.map(|(_, heading)| heading), |row| {
        let metrics = KEY_METRICS.iter().filter_map(|(name, _)| Metric::named(name));
        metrics.map(|metric| shown(metric, metric.of(&row.statistics))).collect()
    });
    // A count that is zero in every row has no column, except the three ways in which every strategy's positions end.
    let counts = |row: &Row<'_>| {
        let summary = row.summary;
        let orders = [summary.orders.scheduled, summary.orders.activated, summary.orders.cancelled()];
        let refusals = [summary.rejections(), summary.invalid, summary.failed];
        summary.closed_by.into_iter().chain(orders).chain(refusals).zip(ENDINGS)
    };
    let is_shown = |heading: &str| {
        ENDINGS[..3].contains(&heading)
            || rows.table().any(|row| counts(row).any(|(count, other)| other == heading && count > 0))
    };
    let headings: Vec<&str> = ENDINGS.into_iter().filter(|heading| is_shown(heading)).collect();
    let endings = table(&rows, &headings, |row| {
        counts(row).filter(|(_, heading)| headings.contains(heading)).map(|(count, _)| count.to_string()).collect()
    });
    let mut said = format!("{results}\n{endings}\n");
    let refused = tally.total.rejections();
    if refused > 0 {
        writeln!(said, "{refused} signals refused by risk rules:").expect("a string takes text");
    }
    for (rule, count) in &tally.total.rejected {
        writeln!(said, "  {} ({count})", text::line(rule)).expect("a string takes text");
    }
    said + "PnL is the sum of the trades' results after fees and slippage, each in percent of what it staked.\n"
}

fn table(rows: &Rows<'_>, headings: &[&str], numbers: impl Fn(&Row<'_>) -> Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["strategy", "symbol"].iter().chain(headings));
    for row in rows.table() {
        let strategy = row.strategy.map_or_else(|| "all".to_owned(), text::line);
        let names = [strategy, row.symbol.map(text::line).unwrap_or_default()].map(Cell::new);
        let numbers = numbers(row).into_iter().map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(names.into_iter().chain(numbers));
    }
    table
}

/// A number of a table, without separated thousands, so that a program can read a copy of it.
pub(crate) fn shown(metric: &Metric, value: Option<f64>) -> String {
    let Some(value) = value else { return "N/A".to_owned() };
    match metric.unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{value:.2} %"),
        Unit::Gain => format!("{value:+.2} %"),
        Unit::Money => format!("{value:+.2}"),
        Unit::Ratio => format!("{value:.3}"),
        Unit::Minutes => format!("{value:.1} min"),
    }
}
