//! The page of one run.

use maud::{Markup, html};
use sigbox_engine::{
    outcome::{CancelReason, CloseReason},
    state::Levels,
    stats::{METRICS, Metric, Orders, Summary, TrendLine, Unit},
};
use sigbox_events::{Component, Kind, RunRecord, Source};

use super::{
    data::{Data, symbols},
    list::{Choice, Column, list},
    number_cell, number_class,
    page::page,
    reason,
};
use crate::{
    Report, Timing,
    clock::minute,
    months,
    parts::{Part, parts},
    text,
};

const SCRIPTS: [&str; 2] = [include_str!("../../assets/price.js"), include_str!("../../assets/run.js")];

/// The most parts in one table: a wider table cannot be read.
const MOST_PARTS: usize = 40;

/// The numbers at the top of the page.
const HEADLINES: [&str; 8] = [
    "totalPnl",
    "totalPnlCost",
    "finalEquity",
    "maxDrawdown",
    "winRate",
    "profitFactor",
    "sharpeRatio",
    "totalSignals",
];

/// The report of a run as one web page that needs no other file. It opens from disk, without a network, and its
/// security policy forbids every request. Texts of strategies never become markup or script.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut parts = parts(&report.tally);
    let left_out = parts.len().saturating_sub(MOST_PARTS);
    parts.truncate(MOST_PARTS);
    let title = title(report);
    let body = html! {
        (header(report, &title))
        main {
            @if report.trades.is_empty() {
                section id="equity" {
                    h2 { "Equity" }
                    p class="empty" {
                        "No position was closed in this run, so there is no equity, no distribution and no list."
                    }
                }
            } @else {
                (equity(&parts))
            }
            @if !report.bars.is_empty() { (price(report)) }
            @if !report.trades.is_empty() {
                div class="pair" { (distribution(report)) (by_month(report)) }
                (trades(report))
            }
            (statistics(&parts, left_out))
            (trend(report))
            (happened(&parts))
            div class="pair" { (levels(&report.tally.total)) (refusals(&report.tally.total)) }
            (timings(&report.timings))
            (repeat(&report.run))
        }
    };
    page(&title, &body, &Data::of(report, &parts), &SCRIPTS)
}

/// The title: `sma-cross on BTCUSDT`, or how many strategies and symbols there are.
fn title(Report { tally, .. }: &Report) -> String {
    let several = |count: usize, one: Option<&String>, many: &str| match (count, one) {
        (1, Some(one)) => one.clone(),
        (count, _) => format!("{} {many}", text::count(count as u64)),
    };
    let strategies = several(tally.strategies.len(), tally.strategies.keys().next(), "strategies");
    let symbols = several(tally.symbols.len(), tally.symbols.keys().next(), "symbols");
    if tally.pairs.is_empty() { "A run without an event".to_owned() } else { format!("{strategies} on {symbols}") }
}

fn header(Report { run, tally, trades, bars, .. }: &Report, title: &str) -> Markup {
    let statistics = tally.total.returns.statistics();
    let kind = match run.kind {
        Kind::Backtest => "Backtest",
        Kind::Live => "Live run",
    };
    html! {
        header {
            p class="kind" { (kind) }
            h1 { (title) }
            p class="facts" {
                @if let Some((from_ms, to_ms)) = run.period_ms {
                    span { (minute(from_ms)) " to " (minute(to_ms)) " UTC" }
                }
                @if !run.exchange.is_empty() { span { "exchange " b { (run.exchange) } } }
                @if !run.frame.is_empty() { span { "frame " b { (run.frame) } } }
            }
            dl class="tiles" {
                @for metric in HEADLINES.iter().filter_map(|name| Metric::named(name)) {
                    @let value = metric.of(&statistics);
                    div {
                        dt { (metric.label) }
                        dd class=(number_class(metric.unit, value)) { (text::number(metric.unit, value)) }
                    }
                }
            }
            nav aria-label="Parts of this page" {
                a href="#equity" { "Equity" }
                @if !bars.is_empty() { a href="#price" { "Price" } }
                @if !trades.is_empty() { a href="#trades" { "Trades" } }
                a href="#statistics" { "Statistics" }
                a href="#happened" { "Orders" }
                a href="#repeat" { "Repeat it" }
            }
        }
    }
}

/// What the keys do to a chart, as a part of its label.
const KEYS: &str = ". Arrows move it, plus and minus zoom, 0 shows all of it.";

/// A place for a chart. `says` is what it shows, for people who cannot see it.
pub(super) fn chart(id: &str, says: &str) -> Markup {
    html! {
        p class="legend" id={ (id) "-legend" } aria-hidden="true" {}
        div class="chart" id=(id) tabindex="0" role="figure" aria-label={ (says) (KEYS) } {}
        noscript { p { "The chart needs JavaScript." } }
    }
}

fn equity(parts: &[Part<'_>]) -> Markup {
    let statistics = parts[0].summary.returns.statistics();
    let says = format!(
        "Equity after each closed trade: 1 became {}, {} in quote currency, with a deepest fall of {} below the peak",
        text::number(Unit::Ratio, statistics.equity),
        text::number(Unit::Money, statistics.total_pnl_cost),
        text::number(Unit::Percent, statistics.max_drawdown),
    );
    html! {
        section id="equity" {
            h2 { "Equity and drawdown" }
            form class="controls" {
                @if parts.len() > 1 {
                    label {
                        "Of "
                        select id="equity-of" {
                            @for (index, part) in parts.iter().enumerate() { option value=(index) { (part) } }
                        }
                    }
                }
                label {
                    "In "
                    select id="equity-in" {
                        option value="equity" { "what 1 became" }
                        option value="money" { "quote currency" }
                    }
                }
            }
            (chart("equity-chart", &says))
            p class="remark" {
                "What 1 became, all of it staked on every trade in turn, or the sum of the results. Below: how far the "
                "former lay under its peak, falls inside trades included."
            }
        }
    }
}

fn price(report: &Report) -> Markup {
    // The value of an option is the symbol's place in the data.
    let drawn: Vec<(usize, &str)> =
        symbols(report).into_iter().enumerate().filter(|(_, symbol)| report.bars.contains_key(*symbol)).collect();
    let names: Vec<&str> = drawn.iter().map(|(_, symbol)| *symbol).collect();
    let says = format!("Price of {} with entries, exits and levels of trades", names.join(", "));
    html! {
        section id="price" {
            h2 { "Price and trades" }
            form class="controls" {
                @if drawn.len() > 1 {
                    label {
                        "Symbol "
                        select id="price-of" {
                            @for (index, symbol) in &drawn { option value=(index) { (symbol) } }
                        }
                    }
                }
                button type="button" id="price-whole" { "Whole period" }
                span id="price-hint" role="status" {}
            }
            (chart("price-chart", &says))
            p class="key" aria-hidden="true" {
                span class="accent" { "▲ long entry" } span class="accent" { "▼ short entry" }
                span class="up" { "● exit with a gain" } span class="down" { "■ exit without" }
                span { "shaded: up to take-profit and stop-loss" }
            }
            (chosen_trade())
        }
    }
}

/// The place for the details of a chosen trade.
fn chosen_trade() -> Markup {
    html! {
        aside id="trade" aria-live="polite" hidden {
            h3 {}
            p class="controls" {
                button type="button" class="previous" { "‹ Previous" }
                button type="button" class="next" { "Next ›" }
                a href="#trades" { "To the list" }
            }
            dl {}
        }
    }
}

fn distribution(report: &Report) -> Markup {
    let statistics = report.tally.total.returns.statistics();
    let says = format!(
        "Distribution of the results of {} trades, from {} to {}, the one in the middle {}",
        text::count(statistics.trades),
        text::number(Unit::Gain, statistics.worst_pnl),
        text::number(Unit::Gain, statistics.best_pnl),
        text::number(Unit::Gain, statistics.median_pnl),
    );
    html! {
        section id="distribution" {
            h2 { "Distribution of results" }
            (chart("distribution-chart", &says))
            p class="remark" { "Trades by result, percent of what each staked." }
        }
    }
}

fn by_month(report: &Report) -> Markup {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let years = months::years(report.trades.iter().map(|row| &row.trade));
    let cell = |sum: Option<&months::Sum>| match sum {
        None => html! { td class="missing" { "–" } },
        Some(sum) => html! {
            td class=(number_class(Unit::Gain, Some(sum.percent))) {
                (text::number(Unit::Gain, Some(sum.percent)))
                small { (text::number(Unit::Money, Some(sum.cost))) " · " (text::count(sum.trades)) }
            }
        },
    };
    html! {
        section id="months" {
            h2 { "Results by month" }
            div class="scroll" tabindex="0" role="region" aria-label="Results by month" {
                table {
                    thead {
                        tr {
                            th scope="col" { "" }
                            @for year in years.keys() { th scope="col" { (year) } }
                        }
                    }
                    tbody {
                        @for (index, name) in NAMES.iter().enumerate() {
                            tr {
                                th scope="row" { (name) }
                                @for year in years.values() { (cell(year.months[index].as_ref())) }
                            }
                        }
                    }
                    tfoot {
                        tr {
                            th scope="row" { "Year" }
                            @for year in years.values() { (cell(Some(&year.total))) }
                        }
                    }
                }
            }
            p class="remark" { "By the time of closing: sum of results, the same in quote currency, and trades." }
        }
    }
}

fn trades(report: &Report) -> Markup {
    let columns = [
        ("number", "#", "count"),
        ("opened", "Opened", "time"),
        ("result", "Result", "gain"),
        ("side", "Direction", "side"),
        ("strategy", "Strategy", "text"),
        ("symbol", "Symbol", "text"),
        ("open", "Entry", "price"),
        ("close", "Exit", "price"),
        ("reason", "Why", "text"),
        ("held", "Held", "duration"),
        ("money", "Quote", "money"),
        ("peak", "Best", "gain"),
        ("fall", "Worst", "gain"),
        ("note", "Note", "text"),
    ];
    // A column that has the same text in every row is left out.
    let several = |key| match key {
        "strategy" => report.tally.strategies.len() > 1,
        "symbol" => report.tally.symbols.len() > 1,
        "note" => report.trades.iter().any(|row| !row.note.is_empty()),
        _ => true,
    };
    let columns: Vec<Column> = columns
        .into_iter()
        .filter(|(key, ..)| several(key))
        .map(|(key, heading, kind)| Column::new(key, heading, kind))
        .collect();
    let outcomes = [("win", "gain"), ("loss", "loss"), ("even", "neither")];
    let choices = [
        Choice::between("strategy", "Strategy", report.tally.strategies.keys()),
        Choice::between("symbol", "Symbol", report.tally.symbols.keys()),
        Choice::between("side", "Direction", ["long", "short"]),
        Choice {
            key: "outcome".to_owned(),
            label: "Result".to_owned(),
            options: outcomes.map(|(key, shown)| (key.to_owned(), shown.to_owned())).to_vec(),
        },
        Choice::between("reason", "Why", CloseReason::ALL.map(reason)),
    ];
    html! {
        section id="trades" {
            h2 { "Trades" }
            (list("trade-list", "Trades", &columns, &choices))
            // Without prices there is no chart, so the chosen trade is here and not beside the chart.
            @if report.bars.is_empty() { (chosen_trade()) }
        }
    }
}

/// A table with a column for each part.
fn by_part(caption: &str, parts: &[Part<'_>], rows: &[(&str, Vec<Markup>)]) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table class="parts" {
                thead {
                    tr {
                        th scope="col" {}
                        @for part in parts { th scope="col" { (part) } }
                    }
                }
                tbody {
                    @for (name, cells) in rows {
                        tr { th scope="row" { (name) } @for cell in cells { (cell) } }
                    }
                }
            }
        }
    }
}

fn statistics(parts: &[Part<'_>], left_out: usize) -> Markup {
    let statistics: Vec<_> = parts.iter().map(|part| part.summary.returns.statistics()).collect();
    let row = |metric: &Metric| {
        let cells = statistics.iter().map(|statistics| number_cell(metric.unit, metric.of(statistics)));
        (metric.label, cells.collect())
    };
    let rows: Vec<_> = METRICS.iter().map(row).collect();
    html! {
        section id="statistics" {
            h2 { "Statistics" }
            (by_part("Statistics", parts, &rows))
            p class="remark" {
                "Results are percent of what a trade staked, after fees and slippage. N/A: there are too few trades, "
                "or too short a time, for this number to mean anything."
                @if left_out > 0 { " " (text::count(left_out as u64)) " more parts are in the JSON report." }
            }
        }
    }
}

fn trend(report: &Report) -> Markup {
    let lines: Vec<(&String, TrendLine)> =
        report.tally.symbols.iter().filter_map(|(symbol, part)| Some((symbol, part.trend.line()?))).collect();
    html! {
        @if !lines.is_empty() {
            section id="trend" {
                h2 { "Prices at closes" }
                div class="scroll" tabindex="0" role="region" aria-label="Prices at closes" {
                    table class="parts" {
                        thead {
                            tr {
                                th scope="col" { "Symbol" }
                                th scope="col" { "Direction" }
                                th scope="col" { "Slope, a day" }
                                th scope="col" { "Confidence" }
                                th scope="col" { "Usual step" }
                                th scope="col" { "Steps upwards" }
                                th scope="col" { "Way upwards" }
                            }
                        }
                        tbody {
                            @for (symbol, line) in &lines {
                                tr {
                                    th scope="row" { (symbol) }
                                    td { (line.direction.name()) }
                                    (number_cell(Unit::Gain, Some(line.slope_percent)))
                                    (number_cell(Unit::Ratio, Some(line.confidence)))
                                    (number_cell(Unit::Percent, Some(line.median_step_percent)))
                                    (number_cell(Unit::Percent, Some(line.buyer_pressure * 100.0)))
                                    (number_cell(Unit::Percent, Some(line.buyer_strength * 100.0)))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn happened(parts: &[Part<'_>]) -> Markup {
    let row = |name: &'static str, unit: Unit, of: &dyn Fn(&Summary) -> Option<f64>| {
        (name, parts.iter().map(|part| number_cell(unit, of(part.summary))).collect::<Vec<_>>())
    };
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let count = |name, of: &dyn Fn(&Summary) -> u64| row(name, Unit::Count, &|summary| Some(of(summary) as f64));
    let closed = |index: usize| move |summary: &Summary| summary.closed_by[index];
    let cancelled = |index: usize| move |summary: &Summary| summary.orders.cancelled_by[index];
    let order = |name, unit, of: fn(&Orders) -> Option<f64>| row(name, unit, &|summary| of(&summary.orders));
    let mut rows = Vec::new();
    for (index, why) in CloseReason::ALL.into_iter().enumerate() {
        let name = match why {
            CloseReason::TakeProfit => "Closed at take-profit",
            CloseReason::StopLoss => "Closed at stop-loss",
            CloseReason::TimeExpired => "Closed as expired",
            CloseReason::Liquidation => "Liquidated",
            CloseReason::Closed => "Closed by hand",
        };
        rows.push(count(name, &closed(index)));
    }
    rows.push(count("Came to cover all costs", &|summary| summary.breakevens));
    rows.push(count("Limit orders accepted", &|summary| summary.orders.scheduled));
    rows.push(count("Filled", &|summary| summary.orders.activated));
    for (index, why) in CancelReason::ALL.into_iter().enumerate() {
        let name = match why {
            CancelReason::Timeout => "Cancelled: waited too long",
            CancelReason::PriceReject => "Cancelled: stop touched first",
            CancelReason::User => "Cancelled: refused by risk rules",
        };
        rows.push(count(name, &cancelled(index)));
    }
    rows.push(order("Filled, of those that ended", Unit::Percent, Orders::activation_rate));
    rows.push(order("Not filled, of those that ended", Unit::Percent, Orders::cancellation_rate));
    rows.push(order("Average time to a fill", Unit::Minutes, Orders::average_activation_minutes));
    rows.push(order("Average wait of the others", Unit::Minutes, Orders::average_wait_minutes));
    rows.push(count("Refused by risk rules", &Summary::rejections));
    rows.push(count("Invalid signals", &|summary| summary.invalid));
    rows.push(count("Answers that failed", &|summary| summary.failed));
    html! {
        section id="happened" {
            h2 { "Positions, orders and refusals" }
            (by_part("Positions, orders and refusals", parts, &rows))
        }
    }
}

fn levels(total: &Summary) -> Markup {
    let levels = Levels::ALL.iter().zip(total.profit_levels).zip(total.loss_levels);
    html! {
        section id="levels" {
            h2 { "Levels passed" }
            div class="scroll" tabindex="0" role="region" aria-label="Levels passed" {
                table class="parts" {
                    thead {
                        tr {
                            th scope="col" { "Of the way" }
                            th scope="col" { "to take-profit" }
                            th scope="col" { "to stop-loss" }
                        }
                    }
                    tbody {
                        @for ((level, profit), loss) in levels {
                            tr {
                                th scope="row" { (level) " %" }
                                td { (text::count(profit)) }
                                td { (text::count(loss)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn refusals(total: &Summary) -> Markup {
    html! {
        section id="refusals" {
            h2 { "Refused by risk rules" }
            @if total.rejected.is_empty() {
                p class="empty" { "Nothing was refused." }
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="Refused by risk rules" {
                    table class="parts" {
                        thead { tr { th scope="col" { "Rule" } th scope="col" { "Times" } } }
                        tbody {
                            @for (rule, times) in &total.rejected {
                                tr { th scope="row" { (rule) } td { (text::count(*times)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn timings(timings: &[Timing]) -> Markup {
    let cell = |milliseconds: Option<f64>| {
        html! { td { (milliseconds.map_or_else(|| text::NOT_THERE.to_owned(), |ms| text::fixed(ms, 3))) } }
    };
    html! {
        @if !timings.is_empty() {
            section id="timings" {
                h2 { "How long things took" }
                div class="scroll" tabindex="0" role="region" aria-label="How long things took" {
                    table class="parts" {
                        thead {
                            tr {
                                th scope="col" { "Milliseconds" }
                                th scope="col" { "Times" }
                                th scope="col" { "Mean" }
                                th scope="col" { "Median" }
                                th scope="col" { "95 %" }
                                th scope="col" { "99 %" }
                                th scope="col" { "Longest" }
                            }
                        }
                        tbody {
                            @for Timing { of, milliseconds } in timings {
                                @let percentiles = milliseconds.percentiles([50.0, 95.0, 99.0, 100.0]);
                                tr {
                                    th scope="row" { (of) }
                                    td { (text::count(milliseconds.len())) }
                                    (cell(milliseconds.mean()))
                                    @for index in 0..4 { (cell(percentiles.map(|of| of[index]))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What is needed to repeat the run.
pub(super) fn repeat(run: &RunRecord) -> Markup {
    html! {
        section id="repeat" {
            h2 { "To repeat this run" }
            @if run.version.is_empty() {
                p { "Nothing is known of the run but its events, " code { (run.events) } "." }
            } @else {
                p {
                    "sigbox " b { (run.version) } ", with the configuration, the components and the candles below: the "
                    "same digests give the same trades. Every event of this run is in " code { (run.events) } "."
                }
            }
            @for Component { strategy, plugin, sha256, settings } in &run.components {
                dl class="source" {
                    div { dt { "Strategy" } dd { (strategy) } }
                    div { dt { "Component" } dd { code { (plugin) } } }
                    div { dt { "SHA-256" } dd { code { (sha256) } } }
                    div { dt { "Settings" } dd { code { (settings) } } }
                }
            }
            @for Source { symbol, from, sha256, candles, span_ms } in &run.sources {
                dl class="source" {
                    div { dt { "Candles" } dd { (symbol) } }
                    div { dt { "From" } dd { code { (from) } } }
                    div { dt { "SHA-256" } dd { code { (sha256) } } }
                    div {
                        dt { "Period" }
                        dd {
                            (minute(span_ms.0)) " to " (minute(span_ms.1)) ", "
                            (text::count(*candles as u64)) " candles"
                        }
                    }
                }
            }
            @if !run.configuration.is_empty() {
                details {
                    summary { "The configuration, as it was written" }
                    pre tabindex="0" { (run.configuration) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sigbox_engine::{Candle, stats::Tally};

    use super::*;
    use crate::{Bars, made_up};

    const ONE: [(&str, &str); 1] = [("sma-cross", "BTCUSDT")];
    const FOUR: [(&str, &str); 4] = [("a", "X"), ("a", "Y"), ("b", "X"), ("b", "Y")];

    /// `count` bars of a quarter of an hour each.
    fn bars(count: i64) -> Bars {
        let bar = |index| {
            let open_time_ms = made_up::START_MS + index * 900_000;
            Candle { open_time_ms, open: 40_000.0, high: 41_000.5, low: 39_000.0, close: 40_500.25, volume: 1.0 }
        };
        Bars { interval: "15m".parse().unwrap(), bars: (0..count).map(bar).collect() }
    }

    fn data(page: &str) -> serde_json::Value {
        let (_, rest) = page.split_once(r#"id="data">"#).expect("the page has data");
        serde_json::from_str(rest.split_once("</script>").unwrap().0).expect("the data is JSON")
    }

    #[test]
    fn five_thousand_trades_are_a_page_of_about_a_megabyte() {
        let mut report = made_up::report(1, 5000, &ONE);
        report.bars = BTreeMap::from([("BTCUSDT".to_owned(), bars(2000))]);
        let page = html(&report);
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        assert_eq!(data(&page)["count"], 5000);
    }

    #[test]
    fn every_number_of_every_part_is_on_the_page() {
        let report = made_up::report(2, 80, &FOUR);
        let page = html(&report);
        for part in parts(&report.tally) {
            assert!(page.contains(&format!("<th scope=\"col\">{part}</th>")), "{part}");
            let statistics = part.summary.returns.statistics();
            for metric in &METRICS {
                let number = text::number(metric.unit, metric.of(&statistics));
                let row = page.split_once(&format!("<th scope=\"row\">{}</th>", metric.label)).unwrap().1;
                assert!(row.split_once("</tr>").unwrap().0.contains(&format!(">{number}</td>")), "{part} {number}");
            }
        }
    }

    #[test]
    fn a_run_without_trades_says_so_and_a_run_without_bars_has_no_price_chart() {
        let mut report = made_up::report(3, 0, &ONE);
        let page = html(&report);
        assert!(page.contains("No position was closed") && page.contains("N/A") && !page.contains("id=\"trade-list\""));
        assert!(!page.contains("id=\"price-chart\""));
        report.bars = BTreeMap::from([("BTCUSDT".to_owned(), bars(20))]);
        assert!(html(&report).contains("id=\"price-chart\""));
        let page = html(&made_up::report(3, 5, &ONE));
        assert!(!page.contains("id=\"price-chart\"") && page.contains("id=\"trade\""));
    }

    #[test]
    fn nothing_that_a_strategy_says_becomes_markup() {
        const HOSTILE: &str = "</script></style><img src=x onerror=alert(1)><!--\"'&\u{2028}\u{202e}";
        let mut report = made_up::report(4, 20, &[(HOSTILE, HOSTILE), ("b", "X")]);
        for row in &mut report.trades {
            (row.note, row.id) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        }
        report.tally.each(HOSTILE, HOSTILE, |summary| summary.reject(HOSTILE));
        report.bars = BTreeMap::from([(HOSTILE.to_owned(), bars(20))]);
        let RunRecord { exchange, frame, version, configuration, events, components, sources, .. } = &mut report.run;
        let component = &mut components[0];
        let source = &mut sources[0];
        for text in [exchange, frame, version, configuration, events]
            .into_iter()
            .chain([&mut component.strategy, &mut component.plugin, &mut component.sha256, &mut component.settings])
            .chain([&mut source.symbol, &mut source.from, &mut source.sha256])
        {
            HOSTILE.clone_into(text);
        }
        let page = html(&report);
        assert!(!page.contains("<img") && !page.contains("<!--"));
        let ends = page.matches("</script").count();
        assert_eq!(ends, html(&made_up::report(4, 20, &FOUR)).matches("</script").count());
        assert_eq!(data(&page)["notes"][0], HOSTILE);
    }

    #[test]
    fn the_page_asks_for_nothing_and_allows_nothing() {
        let page = html(&made_up::report(5, 20, &FOUR));
        let (before, _) = page.split_once("<style>").unwrap();
        assert!(before.contains("Content-Security-Policy") && before.contains("default-src 'none'"), "{before}");
        assert!(!before.contains("unsafe"), "{before}");
        for way_out in ["<link", "<img", "<iframe", " src=", "@import", "url("] {
            let markup = page.split("<script").map(|part| part.split_once("</script>").map_or(part, |(_, rest)| rest));
            assert!(markup.clone().all(|part| !part.contains(way_out)), "{way_out}");
        }
    }

    #[test]
    fn a_page_of_a_great_many_parts_shows_the_first_and_says_so() {
        let names: Vec<(String, String)> = (0..50).map(|index| (format!("s{index}"), "X".to_owned())).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|(strategy, symbol)| (&**strategy, &**symbol)).collect();
        let page = html(&made_up::report(6, 200, &pairs));
        assert!(page.contains("11 more parts are in the JSON report"));
        assert_eq!(data(&page)["curves"]["of"].as_array().unwrap().len(), MOST_PARTS);
    }

    #[test]
    fn a_trade_is_drawn_where_there_are_bars_for_all_of_it() {
        let mut report = made_up::report(7, 30, &ONE);
        report.bars = BTreeMap::from([("BTCUSDT".to_owned(), bars(60))]);
        let trades = &data(&html(&report))["trades"];
        let end_ms = made_up::START_MS + 60 * 900_000;
        assert!(report.trades.last().unwrap().trade.closed_ms >= end_ms, "some trades end later");
        for (index, row) in report.trades.iter().enumerate() {
            let bar = |at_ms: i64| (at_ms - made_up::START_MS) / 900_000;
            let (from, to) = (&trades["from"][index], &trades["to"][index]);
            if row.trade.closed_ms < end_ms {
                assert_eq!(
                    (from.as_i64(), to.as_i64()),
                    (Some(bar(row.trade.opened_ms)), Some(bar(row.trade.closed_ms)))
                );
            } else {
                assert!(from.is_null() && to.is_null(), "{from} {to}");
            }
        }
    }

    #[test]
    fn a_great_many_bars_are_drawn_as_fewer_and_trades_are_where_they_belong() {
        let mut report = made_up::report(9, 30, &ONE);
        report.bars = ["BTCUSDT", "X", "Y"].map(|symbol| (symbol.to_owned(), bars(5_001))).into();
        report.bars.get_mut("BTCUSDT").unwrap().bars[1].high = 50_000.0;
        let data = data(&html(&report));
        let drawn = &data["symbols"][0]["bars"];
        assert_eq!((drawn["interval"].as_str(), drawn["time"].as_array().unwrap().len()), (Some("30 min"), 2501));
        assert_eq!((&drawn["high"][0], &drawn["high"][1]), (&50_000.0.into(), &41_000.5.into()));
        for (index, row) in report.trades.iter().enumerate() {
            let bar = (row.trade.opened_ms - made_up::START_MS) / (2 * 900_000);
            assert_eq!(data["trades"]["from"][index], bar);
        }
    }

    #[test]
    fn a_run_of_which_nothing_is_known_says_so() {
        let mut report = made_up::report(10, 3, &ONE);
        report.run.version.clear();
        report.run.configuration.clear();
        report.run.components.clear();
        report.run.sources.clear();
        assert!(html(&report).contains("Nothing is known of the run but its events"));
    }

    #[test]
    fn absurd_numbers_make_an_absurd_page_and_nothing_worse() {
        let mut report = made_up::report(8, 4, &ONE);
        report.trades[0].trade.result_percent = f64::NAN;
        report.trades[1].open_price = f64::INFINITY;
        (report.trades[2].trade.opened_ms, report.trades[2].trade.closed_ms) = (i64::MAX, i64::MIN);
        report.trades[3].take_profit = -0.0;
        report.tally = Tally::default();
        for row in &report.trades {
            report.tally.close(&row.strategy, &row.symbol, &row.trade);
        }
        report.run.period_ms = Some((i64::MIN, i64::MAX));
        assert_eq!(data(&html(&report))["count"], 4);
    }
}
