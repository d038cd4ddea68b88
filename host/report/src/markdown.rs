//! A report as Markdown.

use std::fmt::{self, Write as _};

use sigbox_engine::{
    outcome::{CancelReason, CloseReason},
    state::Levels,
    stats::{METRICS, Metric, Tally, TrendLine, Unit},
};
use sigbox_events::{Kind, RunRecord};

use crate::{
    KEY_METRICS, Report, Timing,
    json::percentiles,
    parts::{Part, parts},
    text,
};

/// The report as Markdown with tables, as GitHub and most others show them. Texts of guests and of files are escaped:
/// they can neither end a cell nor become a link, a picture or HTML.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut page = Page(String::new());
    page.write(report).expect("a string takes text");
    page.0
}

struct Page(String);

impl fmt::Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        Ok(())
    }
}

impl Page {
    fn write(&mut self, report: &Report) -> fmt::Result {
        let parts = parts(&report.tally);
        self.head(&report.run)?;
        self.totals(&report.tally)?;
        self.parts(&parts)?;
        self.ends(&parts)?;
        self.orders(&parts)?;
        self.levels(&report.tally)?;
        self.refusals(&parts)?;
        self.trends(&report.tally)?;
        self.durations(&report.timings)?;
        self.repeat(&report.run)
    }

    fn head(&mut self, run: &RunRecord) -> fmt::Result {
        let kind = match run.kind {
            Kind::Backtest => "Backtest",
            Kind::Live => "Live run",
        };
        match run.frame.as_str() {
            "" => writeln!(self, "# {kind}\n")?,
            frame => writeln!(self, "# {kind}: {}\n", escaped(frame))?,
        }
        let period = run.period_ms.map_or_else(
            || "nothing happened yet".to_owned(),
            |(from_ms, to_ms)| format!("{} to {}", text::time(from_ms), text::time(to_ms)),
        );
        writeln!(self, "Exchange {}, {period}.", escaped(&run.exchange))
    }

    fn totals(&mut self, tally: &Tally) -> fmt::Result {
        self.section("Totals")?;
        self.table(&["", "all"], 1)?;
        let statistics = tally.total.returns.statistics();
        for metric in &METRICS {
            self.row([metric.label.to_owned(), text::number(metric.unit, metric.of(&statistics))])?;
        }
        writeln!(
            self,
            "\nResults are percent of what a trade staked, after fees and slippage; totals are sums of them. {}: there \
             are too few trades, or too short a time, to say.",
            text::NOT_THERE
        )
    }

    fn parts(&mut self, parts: &[Part<'_>]) -> fmt::Result {
        self.section("Parts")?;
        let headings: Vec<&str> = NAMES.into_iter().chain(KEY_METRICS.map(|(_, heading)| heading)).collect();
        self.table(&headings, NAMES.len())?;
        for part in parts {
            let statistics = part.summary.returns.statistics();
            let numbers = KEY_METRICS.iter().filter_map(|(name, _)| Metric::named(name));
            self.row(names(part).into_iter().chain(numbers.map(|it| text::number(it.unit, it.of(&statistics)))))?;
        }
        Ok(())
    }

    fn ends(&mut self, parts: &[Part<'_>]) -> fmt::Result {
        if parts[0].summary.returns.trades() == 0 {
            return Ok(());
        }
        self.section("How positions ended")?;
        let reasons = CloseReason::ALL.map(|reason| reason.name().replace('_', " "));
        let headings: Vec<&str> = NAMES.into_iter().chain(reasons.iter().map(String::as_str)).collect();
        self.table(&headings, NAMES.len())?;
        for part in parts {
            self.row(names(part).into_iter().chain(part.summary.closed_by.map(text::count)))?;
        }
        Ok(())
    }

    fn orders(&mut self, parts: &[Part<'_>]) -> fmt::Result {
        if parts[0].summary.orders.scheduled == 0 {
            return Ok(());
        }
        self.section("Orders")?;
        let reasons = CancelReason::ALL.map(|reason| reason.name().replace('_', " "));
        let mut headings = NAMES.to_vec();
        headings.extend(["accepted", "filled"]);
        headings.extend(reasons.iter().map(String::as_str));
        headings.extend(["fill rate", "time to fill", "cancellation rate", "time to cancellation"]);
        self.table(&headings, NAMES.len())?;
        for part in parts {
            let orders = &part.summary.orders;
            let counts = [orders.scheduled, orders.activated].into_iter().chain(orders.cancelled_by);
            let rates = [
                text::number(Unit::Percent, orders.activation_rate()),
                text::number(Unit::Minutes, orders.average_activation_minutes()),
                text::number(Unit::Percent, orders.cancellation_rate()),
                text::number(Unit::Minutes, orders.average_wait_minutes()),
            ];
            self.row(names(part).into_iter().chain(counts.map(text::count)).chain(rates))?;
        }
        writeln!(self, "\nRates are of the orders that have ended; times are means.")
    }

    fn levels(&mut self, tally: &Tally) -> fmt::Result {
        let summary = &tally.total;
        if summary.profit_levels.iter().chain(&summary.loss_levels).all(|count| *count == 0) {
            return Ok(());
        }
        self.section("Levels")?;
        self.table(&["of the way", "to the take-profit", "to the stop-loss"], 0)?;
        for ((level, profit), loss) in Levels::ALL.into_iter().zip(summary.profit_levels).zip(summary.loss_levels) {
            self.row([format!("{level} %"), text::count(profit), text::count(loss)])?;
        }
        writeln!(self, "\nPositions that came to cover all their costs: {}.", text::count(summary.breakevens))
    }

    fn refusals(&mut self, parts: &[Part<'_>]) -> fmt::Result {
        let total = parts[0].summary;
        if total.rejections() + total.invalid + total.failed == 0 {
            return Ok(());
        }
        self.section("Refusals")?;
        self.table(&[NAMES[0], NAMES[1], "why", "times"], 3)?;
        for part in parts {
            let summary = part.summary;
            let rules = summary.rejected.iter().map(|(rule, count)| (format!("risk: {}", escaped(rule)), *count));
            let others = [("invalid signal", summary.invalid), ("the strategy failed to answer", summary.failed)];
            let others = others.into_iter().filter(|(_, count)| *count > 0);
            for (why, count) in rules.chain(others.map(|(why, count)| (why.to_owned(), count))) {
                self.row(names(part).into_iter().chain([why, text::count(count)]))?;
            }
        }
        Ok(())
    }

    fn trends(&mut self, tally: &Tally) -> fmt::Result {
        let lines: Vec<(&String, TrendLine)> =
            tally.symbols.iter().filter_map(|(symbol, part)| Some((symbol, part.trend.line()?))).collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.section("Prices at closes")?;
        let headings =
            ["symbol", "direction", "slope a day", "confidence", "usual step", "steps upwards", "moved upwards"];
        self.table(&headings, 2)?;
        for (symbol, line) in lines {
            self.row([
                escaped(symbol),
                line.direction.name().to_owned(),
                text::number(Unit::Gain, Some(line.slope_percent)),
                text::number(Unit::Ratio, Some(line.confidence)),
                text::number(Unit::Percent, Some(line.median_step_percent)),
                text::number(Unit::Percent, Some(line.buyer_pressure * 100.0)),
                text::number(Unit::Percent, Some(line.buyer_strength * 100.0)),
            ])?;
        }
        Ok(())
    }

    fn durations(&mut self, timings: &[Timing]) -> fmt::Result {
        if timings.is_empty() {
            return Ok(());
        }
        self.section("Durations")?;
        let headings =
            ["of", "times", "total", "average", "least", "most", "deviation", "median", "95 % within", "99 % within"];
        self.table(&headings, 1)?;
        for Timing { of, milliseconds } in timings {
            let (least, most) = milliseconds.extremes().unzip();
            let [median, p95, p99] = percentiles(milliseconds);
            let total = Some(milliseconds.sum());
            let times = [total, milliseconds.mean(), least, most, milliseconds.deviation(), median, p95, p99];
            let of = [escaped(of), text::count(milliseconds.len())];
            self.row(of.into_iter().chain(times.map(text::short_time)))?;
        }
        Ok(())
    }

    fn repeat(&mut self, run: &RunRecord) -> fmt::Result {
        self.section("What it takes to repeat the run")?;
        match run.version.as_str() {
            "" => writeln!(self, "Nothing is known of the run but its events, {}.", escaped(&run.events))?,
            version => writeln!(self, "sigbox {}, events in {}.", escaped(version), escaped(&run.events))?,
        }
        if !run.components.is_empty() {
            writeln!(self)?;
            self.table(&["strategy", "plugin", "SHA-256 of the component", "settings"], 4)?;
            for component in &run.components {
                let cells = [&component.strategy, &component.plugin, &component.sha256, &component.settings];
                self.row(cells.map(|cell| escaped(cell)))?;
            }
        }
        if !run.sources.is_empty() {
            writeln!(self)?;
            self.table(&["symbol", "candles from", "first", "until", "SHA-256 of the candles", "candles"], 5)?;
            for source in &run.sources {
                self.row([
                    escaped(&source.symbol),
                    escaped(&source.from),
                    text::time(source.span_ms.0),
                    text::time(source.span_ms.1),
                    escaped(&source.sha256),
                    text::count(source.candles as u64),
                ])?;
            }
        }
        if run.configuration.is_empty() {
            return Ok(());
        }
        // The fence is longer than any fence in the text, so the text cannot end it.
        let longest = run.configuration.split(|character| character != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let configuration = text::printable(&run.configuration, |character| matches!(character, '\t' | '\r' | '\n'));
        writeln!(self, "\n{fence}toml\n{}\n{fence}", configuration.trim_end())
    }

    fn section(&mut self, title: &str) -> fmt::Result {
        writeln!(self, "\n## {title}\n")
    }

    /// The head of a table. Its first `texts` columns are texts, the others are numbers.
    fn table(&mut self, headings: &[&str], texts: usize) -> fmt::Result {
        self.row(headings.iter().map(ToString::to_string))?;
        let alignments = (0..headings.len()).map(|column| if column < texts { "---" } else { "---:" });
        writeln!(self, "|{}|", alignments.collect::<Vec<_>>().join("|"))
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) -> fmt::Result {
        let cells: Vec<String> = cells.into_iter().collect();
        writeln!(self, "| {} |", cells.join(" | "))
    }
}

/// The headings of [`names`].
const NAMES: [&str; 2] = ["strategy", "symbol"];

fn names(part: &Part<'_>) -> [String; 2] {
    [part.strategy, part.symbol].map(|name| escaped(name.unwrap_or("all")))
}

/// Text of a guest or of a file, escaped so that it is only text on the page. A character that could end a cell is
/// written as a number, because programs read backslashes differently.
pub(crate) fn escaped(plain: &str) -> String {
    let mut escaped = String::with_capacity(plain.len());
    for character in text::line(plain).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '@' => write!(escaped, "&#{};", u32::from(character)).expect("a string takes text"),
            '*' | '_' | '[' | ']' | '~' | '$' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}
