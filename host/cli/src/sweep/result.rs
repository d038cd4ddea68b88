//! The result of a sweep, for people, programs and spreadsheets.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::HumanCount;
use serde::Serialize;
use serde_json::{Map, Value};
use sigbox::sweep::{Candidate, Case, Measured, Row, best_first, candidates};
use sigbox_engine::stats::{METRICS, Metric};
use sigbox_events::RunRecord;
use sigbox_report::{SweepRow, cell};

use crate::{args::Format, report, table::shown};

/// Everything that a finished sweep shows.
pub(crate) struct SweepResult {
    /// The record of what all its runs had in common.
    pub(crate) run: RunRecord,
    pub(crate) metric: &'static Metric,
    /// In the order of the configuration.
    pub(crate) rows: Vec<Row>,
    /// The most rows of a table.
    pub(crate) top: usize,
}

/// A place in a ranking; `None` for a row without a number.
type Rank = Option<usize>;

/// The metrics that a table shows besides the one it is ranked by.
const SHOWN: [(&str, &str); 4] =
    [("totalSignals", "trades"), ("winRate", "win rate"), ("totalPnl", "PnL"), ("maxDrawdown", "drawdown")];

impl SweepResult {
    fn runs(&self) -> impl Iterator<Item = (Rank, &Row)> {
        let rank = |(place, row): (usize, &'_ Row)| row.value(self.metric).map(|_| place);
        (1..).zip(best_first(self.metric, &self.rows)).map(move |ranked| (rank(ranked), ranked.1))
    }

    fn candidates(&self) -> impl Iterator<Item = (Rank, Candidate<'_>)> {
        let candidates = (1..).zip(candidates(self.metric, &self.rows));
        candidates.map(|(place, candidate)| (candidate.median.map(|_| place), candidate))
    }

    pub(crate) fn print_json(&self, out: &mut impl io::Write) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Json<'r> {
            metric: &'static str,
            candidates: Vec<CandidateJson<'r>>,
            runs: Vec<RunJson<'r>>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct CandidateJson<'r> {
            rank: Rank,
            strategy_name: &'r str,
            settings: Value,
            runs: usize,
            measured: usize,
            median: Option<f64>,
            worst: Option<f64>,
        }
        #[derive(Serialize)]
        struct RunJson<'r> {
            rank: Rank,
            #[serde(flatten)]
            case: &'r Case,
            #[serde(flatten)]
            measured: Option<&'r Measured>,
            #[serde(skip_serializing_if = "Option::is_none")]
            failure: Option<String>,
        }
        let candidates = self.candidates().map(|(rank, candidate)| {
            let Candidate { case, runs, measured, median, worst } = candidate;
            CandidateJson {
                rank,
                strategy_name: &case.strategy,
                settings: Value::Object(object(&case.settings)),
                runs,
                measured,
                median,
                worst,
            }
        });
        let runs = self.runs().map(|(rank, Row { case, outcome })| {
            let failure = outcome.as_ref().err().map(ToString::to_string);
            RunJson { rank, case, measured: outcome.as_ref().ok(), failure }
        });
        let json = Json { metric: self.metric.name, candidates: candidates.collect(), runs: runs.collect() };
        serde_json::to_writer_pretty(&mut *out, &json)?;
        Ok(writeln!(out)?)
    }

    /// Writes reports beside the file of `results`, and returns their paths.
    pub(crate) fn write(&self, formats: &[Format], results: &Path) -> anyhow::Result<Vec<PathBuf>> {
        report::write(formats, results, |format| match format {
            Format::Html => Ok(sigbox_report::sweep_html(&self.report())),
            Format::Markdown => Ok(sigbox_report::sweep_markdown(&self.report())),
            Format::Json => {
                let mut json = Vec::new();
                self.print_json(&mut json)?;
                Ok(String::from_utf8(json)?)
            }
            Format::Csv => self.csv(),
        })
    }

    fn report(&self) -> sigbox_report::Sweep {
        let row = |Row { case, outcome }: &Row| SweepRow {
            strategy: case.strategy.clone(),
            symbol: case.symbol.clone(),
            frame: case.frame.clone(),
            settings: case.varying.clone(),
            outcome: outcome.as_ref().map(|measured| measured.statistics).map_err(ToString::to_string),
        };
        sigbox_report::Sweep { run: self.run.clone(), metric: self.metric, rows: self.rows.iter().map(row).collect() }
    }

    /// The runs as CSV: a column for each setting that varies and for each metric. Numbers are not rounded.
    fn csv(&self) -> anyhow::Result<String> {
        let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let settings = self.rows.iter().flat_map(|row| object(&row.case.varying)).map(|(key, _)| key);
        let settings: BTreeSet<String> = settings.collect();
        let mut header: Vec<String> = ["rank", "strategyName", "symbol", "frameName"].map(str::to_owned).to_vec();
        header.extend(settings.iter().map(|key| format!("settings.{key}")));
        header.extend(METRICS.iter().map(|metric| metric.name.to_owned()));
        header.extend(["riskRejections", "invalidSignals", "strategyFailures", "failure"].map(str::to_owned));
        out.write_record(header)?;
        for (rank, row) in self.runs() {
            let Case { strategy, symbol, frame, varying, .. } = &row.case;
            let varying = object(varying);
            let written = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let mut record = vec![rank.map(|rank| rank.to_string()).unwrap_or_default()];
            record.extend([strategy, symbol, frame].map(Clone::clone));
            record.extend(settings.iter().map(|key| varying.get(key).map(plain).unwrap_or_default()));
            record.extend(METRICS.iter().map(|metric| written(row.value(metric))));
            record.extend(match &row.outcome {
                Ok(measured) => {
                    let counts = [measured.risk_rejections, measured.invalid_signals, measured.strategy_failures];
                    let [rejections, invalid, failures] = counts.map(|count| count.to_string());
                    [rejections, invalid, failures, String::new()]
                }
                Err(failure) => [String::new(), String::new(), String::new(), cell(&failure.to_string())],
            });
            out.write_record(record)?;
        }
        Ok(String::from_utf8(out.into_inner()?)?)
    }

    pub(crate) fn print_tables(&self) {
        let candidates: Vec<_> = self.candidates().collect();
        let (runs, label) = (self.rows.len(), self.metric.label);
        let of = if candidates.len() < runs {
            format!(" of {}", counted(candidates.len(), "candidate"))
        } else {
            String::new()
        };
        println!("{}{of}, best {label} first", counted(runs, "run"));
        let done: Vec<_> = self.runs().filter(|(_, row)| row.outcome.is_ok()).collect();
        if !done.is_empty() {
            self.print_runs(&done);
        }
        self.print_failures();
        self.print_counts();
        if candidates.len() < runs {
            println!("\nThe {label} of each candidate over all its runs, best median first");
            self.print_candidates(&candidates);
        }
        match candidates.first() {
            Some((Some(_), Candidate { case, .. })) => {
                println!("\nThe best candidate is {} with\n{}", case.strategy, case.settings_line());
            }
            _ if done.is_empty() => {}
            _ => println!(
                "\nNo candidate is the best: most runs have too few trades for a {label}. Try another --metric."
            ),
        }
    }

    fn print_runs(&self, runs: &[(Rank, &Row)]) {
        let names = Names::of(&self.rows);
        let others = SHOWN.into_iter().filter(|(name, _)| *name != self.metric.name);
        let numbers: Vec<_> = others.filter_map(|(name, header)| Some((Metric::named(name)?, header))).collect();
        let numbers = [(self.metric, self.metric.label)].into_iter().chain(numbers);
        let numbers: Vec<(&Metric, &str)> = numbers.collect();
        let mut table = table(names.header(true).chain(numbers.iter().map(|(_, header)| *header)));
        for (rank, row) in runs.iter().take(self.top) {
            let numbers = numbers.iter().map(|(metric, _)| right(shown(metric, row.value(metric))));
            table.add_row([place(*rank)].into_iter().chain(names.cells(&row.case, true)).chain(numbers));
        }
        println!("{table}");
        self.say_what_is_left_out(runs.len());
    }

    fn print_candidates(&self, candidates: &[(Rank, Candidate<'_>)]) {
        let names = Names::of(&self.rows);
        let mut table = table(names.header(false).chain(["median", "worst", "runs with one"]));
        for (rank, candidate) in candidates.iter().take(self.top) {
            let Candidate { case, runs, measured, median, worst } = candidate;
            let [median, worst] = [median, worst].map(|value| right(shown(self.metric, *value)));
            let numbers = [median, worst, right(format!("{measured} of {runs}"))];
            table.add_row([place(*rank)].into_iter().chain(names.cells(case, false)).chain(numbers));
        }
        println!("{table}");
        self.say_what_is_left_out(candidates.len());
    }

    fn print_failures(&self) {
        let names = Names::of(&self.rows);
        let failed = self.rows.iter().filter_map(|row| Some((&row.case, row.outcome.as_ref().err()?)));
        let failed: Vec<_> = failed.collect();
        if failed.is_empty() {
            return;
        }
        println!("\nFailed: {}", counted(failed.len(), "run"));
        for (case, failure) in failed.iter().take(self.top) {
            let who: Vec<_> = names.texts(case, true).collect();
            println!("  {}: {failure}", who.join(", "));
        }
        self.say_what_is_left_out(failed.len());
    }

    /// Prints the counts that are in no column: refusals, invalid signals and failed answers.
    fn print_counts(&self) {
        let measured = || self.rows.iter().flat_map(|row| &row.outcome);
        let counts = [
            (measured().map(|it| it.risk_rejections).sum::<u64>(), "signals refused by risk rules"),
            (measured().map(|it| it.invalid_signals).sum(), "invalid signals"),
            (measured().map(|it| it.strategy_failures).sum(), "answers that failed"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            println!("{} {what}, in all runs together", HumanCount(count));
        }
    }

    fn say_what_is_left_out(&self, rows: usize) {
        if rows > self.top {
            println!("… and {} more; --top {rows} shows all", HumanCount((rows - self.top) as u64));
        }
    }

    /// When every run failed, the error of the first one.
    pub(crate) fn fail_if_all_failed(self) -> anyhow::Result<()> {
        let failures: Option<Vec<_>> = self.rows.into_iter().map(|row| row.outcome.err()).collect();
        match failures.into_iter().flatten().next() {
            Some(failure) => Err(anyhow!(failure).context("every run failed")),
            None => Ok(()),
        }
    }
}

/// Which names are needed to tell the rows of a sweep apart, besides the strategy's.
struct Names {
    symbol: bool,
    frame: bool,
    settings: bool,
}

impl Names {
    fn of(rows: &[Row]) -> Self {
        let differ = |name: fn(&Case) -> &str| rows.iter().any(|row| name(&row.case) != name(&rows[0].case));
        Self {
            symbol: differ(|case| &case.symbol),
            frame: differ(|case| &case.frame),
            settings: rows.iter().any(|row| row.case.varying != "{}"),
        }
    }

    /// `is_run`: the header of a table of runs, not of candidates.
    fn header(&self, is_run: bool) -> impl Iterator<Item = &'static str> {
        let names =
            [(true, ""), (true, "strategy"), (self.symbol && is_run, "symbol"), (self.frame && is_run, "frame")];
        names.into_iter().chain([(self.settings, "settings")]).filter(|(is_shown, _)| *is_shown).map(|(_, name)| name)
    }

    fn texts(&self, case: &Case, is_run: bool) -> impl Iterator<Item = String> {
        let settings: Vec<_> =
            object(&case.varying).into_iter().map(|(key, value)| format!("{key} = {}", plain(&value))).collect();
        let names = [
            (true, case.strategy.clone()),
            (self.symbol && is_run, case.symbol.clone()),
            (self.frame && is_run, case.frame.clone()),
            (self.settings, settings.join(", ")),
        ];
        names.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, text)| text)
    }

    fn cells(&self, case: &Case, is_run: bool) -> impl Iterator<Item = Cell> {
        self.texts(case, is_run).map(Cell::new)
    }
}

fn table<'h>(header: impl Iterator<Item = &'h str>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header);
    table
}

fn place(rank: Rank) -> Cell {
    right(rank.map(|rank| rank.to_string()).unwrap_or_default())
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The settings of a case.
fn object(settings: &str) -> Map<String, Value> {
    serde_json::from_str(settings).expect("settings are a JSON object")
}

/// A setting without the quotes of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", HumanCount(number as u64))
}
