//! The results file: what sweeps have found so far, one run a line.
//!
//! ```text
//! {"key":"9f0c…","strategyName":"sma-cross","symbol":"BTCUSDT",…,"statistics":{"sharpeRatio":0.12,…},…,"crc32":"…"}
//! ```
//!
//! Only `key` and the measured numbers are read back; the other fields are for people who look into the file. Lines of
//! other sweeps stay in the file and are ignored. [`Records`] keep the lines whole: a damaged line is set aside, and its
//! run is run again.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf, absolute},
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;
use sigbox_engine::stats::{METRICS, Statistics, Summary, Unit};
use sigbox_files::{Disk, Records, RecordsError, Renewed};

use super::Case;

/// The numbers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The numbers of its closed trades. As JSON: each of [`METRICS`] by its name, `null` for a missing one.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub statistics: Statistics,
    /// Proposals and fills refused by the risk rules.
    pub risk_rejections: u64,
    /// Proposals that broke a rule.
    pub invalid_signals: u64,
    /// Answers that failed.
    pub strategy_failures: u64,
}

impl Measured {
    pub(super) fn of(summary: &Summary) -> Self {
        Self {
            statistics: summary.returns.statistics(),
            risk_rejections: summary.rejections(),
            invalid_signals: summary.invalid,
            strategy_failures: summary.failed,
        }
    }
}

fn write<S: Serializer>(statistics: &Statistics, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(METRICS.iter().map(|metric| {
        let value = metric.of(statistics).map_or(Value::Null, |value| match metric.unit {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            Unit::Count => Value::from(value as u64),
            _ => Value::from(value),
        });
        (metric.name, value)
    }))
}

/// A number of [`Statistics`], from the value of its metric.
trait Number: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

impl Number for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

impl Number for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl<N: Number> Number for Option<N> {
    fn from_value(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { N::from_value(value).map(Some) }
    }
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Statistics, D::Error> {
    statistics(&BTreeMap::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("a number is missing"))
}

/// Reads each field from the value of its metric.
macro_rules! read_fields {
    ($numbers:ident: $($name:literal => $field:ident),+ $(,)?) => {
        // No `..Statistics::default()`: a new number must get its name here before this compiles.
        Statistics { $($field: Number::from_value($numbers.get($name)?)?,)+ }
    };
}

fn statistics(numbers: &BTreeMap<String, Value>) -> Option<Statistics> {
    Some(read_fields!(numbers:
        "totalSignals" => trades,
        "winCount" => wins,
        "lossCount" => losses,
        "winRate" => win_rate,
        "totalPnl" => total_pnl,
        "totalPnlCost" => total_pnl_cost,
        "avgPnl" => average_pnl,
        "medianPnl" => median_pnl,
        "bestPnl" => best_pnl,
        "worstPnl" => worst_pnl,
        "avgWin" => average_win,
        "avgLoss" => average_loss,
        "profitFactor" => profit_factor,
        "expectancy" => expectancy,
        "certaintyRatio" => certainty,
        "stdDev" => deviation,
        "sharpeRatio" => sharpe,
        "sortinoRatio" => sortino,
        "annualizedSharpeRatio" => annualized_sharpe,
        "expectedYearlyReturns" => yearly,
        "maxDrawdown" => max_drawdown,
        "calmarRatio" => calmar,
        "recoveryFactor" => recovery,
        "tradesPerYear" => trades_a_year,
        "avgPeakPnl" => average_peak,
        "avgFallPnl" => average_fall,
        "avgDuration" => average_minutes,
        "avgWinDuration" => average_win_minutes,
        "avgLossDuration" => average_loss_minutes,
        "avgConsecutiveWinPnl" => average_win_streak,
        "avgConsecutiveLossPnl" => average_loss_streak,
        "maxWinStreak" => longest_win_streak,
        "maxLossStreak" => longest_loss_streak,
        "finalEquity" => equity,
    ))
}

/// Why a results file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// It cannot be opened, read or written.
    #[error("results: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried, where, and why it failed.
        source: io::Error,
    },
    /// It is not a file of results.
    #[error("results {path}: holds no results of a sweep; choose another file", path = .path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Another process appends to it.
    #[error(
        "results {path}: another process writes to this file; wait for it, or choose another one",
        path = .path.display()
    )]
    InUse {
        /// Which file.
        path: PathBuf,
    },
}

/// A results file, locked for this process as long as this value exists.
pub(super) struct ResultsFile {
    records: Records<Disk>,
    path: PathBuf,
    synced: Instant,
}

/// The beginning of every line. A file of which no line begins so is no results file.
const BEGINNING: &str = "{\"key\":\"";

/// The file is never full. Every line is needed as long as its run is wanted, so there is nothing that a next file could
/// begin with.
const SEGMENT_BYTES: u64 = u64::MAX;

/// How long a line may wait for a sync. A sync takes milliseconds, as long as a run, so one for each line would be too
/// many.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The part of a line that is read to find out whether the line is wanted.
#[derive(Deserialize)]
struct Keyed<'a> {
    key: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    #[serde(flatten)]
    case: &'a Case,
    #[serde(flatten)]
    measured: &'a Measured,
}

impl ResultsFile {
    /// Opens or creates the file at `path`, locks it for this process, and returns what it has under the `wanted` keys,
    /// each by the number that `wanted` gives its key. A last line without a line end is left from a sweep that was
    /// killed, and is cut off.
    pub(super) fn open(
        path: &Path,
        wanted: &BTreeMap<&str, usize>,
    ) -> Result<(Self, BTreeMap<usize, Measured>), ResultsError> {
        let mut found = BTreeMap::new();
        let each = |line: &[u8]| {
            if !line.starts_with(BEGINNING.as_bytes()) {
                return Err("it is no result of a sweep".to_owned());
            }
            let Keyed { key } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            // What this version does not understand may be the line of a later one. Its run is run again.
            if let Some(index) = wanted.get(key)
                && let Ok(measured) = serde_json::from_slice(line)
            {
                found.insert(*index, measured);
            }
            Ok(())
        };
        let opened =
            absolute(path).map_err(|source| ResultsError::Io { path: path.to_path_buf(), source }).and_then(|at| {
                Records::open(Disk, at, BEGINNING, SEGMENT_BYTES, each).map_err(|error| failed(path, error))
            });
        let (records, what_was_wrong) = opened?;
        for damage in &what_was_wrong.damaged {
            tracing::warn!(
                "results {}:{}: damaged ({}); moved to {}.damaged, and its run is run again",
                path.display(),
                damage.line,
                damage.reason,
                records.path().display()
            );
        }
        Ok((Self { records, path: path.to_path_buf(), synced: Instant::now() }, found))
    }

    /// Appends a run.
    pub(super) fn append(&mut self, key: &str, case: &Case, measured: &Measured) -> Result<(), ResultsError> {
        let line = serde_json::to_string(&Line { key, case, measured }).expect("a line has text keys");
        let renewed = self.records.append(&line, &mut Vec::new);
        self.tell(renewed)?;
        if self.synced.elapsed() >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Makes every appended run durable.
    pub(super) fn sync(&mut self) -> Result<(), ResultsError> {
        let renewed = self.records.sync(&mut Vec::new);
        self.tell(renewed)?;
        self.synced = Instant::now();
        Ok(())
    }

    /// Tells what others have done to the file. The runs that are no longer in it are run again by a next sweep.
    fn tell(&self, renewed: Result<Vec<Renewed>, RecordsError>) -> Result<(), ResultsError> {
        for renewed in renewed.map_err(|error| failed(&self.path, error))? {
            tracing::warn!("results: {}", renewed.in_words(self.records.path()));
        }
        Ok(())
    }
}

fn failed(path: &Path, error: RecordsError) -> ResultsError {
    let path = path.to_path_buf();
    match error {
        RecordsError::InUse { .. } => ResultsError::InUse { path },
        RecordsError::NotOurs { .. } => ResultsError::Foreign { path },
        other => ResultsError::Io { path, source: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn case() -> Case {
        let [strategy, symbol, frame, settings, varying] = ["s", "b", "f", r#"{"x":1}"#, "{}"].map(str::to_owned);
        Case { strategy, symbol, frame, settings, varying }
    }

    /// Numbers that change when they are written with too few digits, and a negative zero.
    fn measured() -> Measured {
        let statistics = Statistics {
            trades: 3,
            wins: 2,
            losses: 1,
            win_rate: Some(200.0 / 3.0),
            total_pnl: Some(-0.0),
            average_pnl: Some(f64::MIN_POSITIVE),
            median_pnl: Some(0.1 + 0.2),
            best_pnl: Some(f64::MAX),
            longest_win_streak: Some(2),
            ..Statistics::default()
        };
        Measured { statistics, risk_rejections: 4, invalid_signals: 5, strategy_failures: 6 }
    }

    /// The file at `path`, opened for keys `a` to `d`.
    fn open(path: &Path) -> Result<(ResultsFile, BTreeMap<usize, Measured>), ResultsError> {
        ResultsFile::open(path, &[("a", 0), ("b", 1), ("c", 2), ("d", 3)].into_iter().collect())
    }

    /// The line of a run, as an earlier version wrote it: without a checksum.
    fn earlier_line(key: &str) -> String {
        serde_json::to_string(&Line { key, case: &case(), measured: &measured() }).unwrap() + "\n"
    }

    /// The line of a run, as the file has it.
    fn line(key: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.jsonl");
        open(&path).unwrap().0.append(key, &case(), &measured()).unwrap();
        let line = fs::read_to_string(path).unwrap();
        let (fields, checksum) = line.split_at(earlier_line(key).len() - 2);
        assert_eq!(fields, earlier_line(key).trim_end().strip_suffix('}').unwrap());
        assert!(checksum.starts_with(",\"crc32\":\"") && checksum.ends_with("\"}\n"), "{checksum}");
        line
    }

    #[test]
    fn every_number_reads_back_to_the_same_bits() {
        // Each field has a number of its own, so that two fields that are mixed up are noticed.
        let mut numbers: BTreeMap<&str, Value> = BTreeMap::new();
        for (number, metric) in (1..).zip(&METRICS) {
            let value = f64::from(number) + if metric.unit == Unit::Count { 0.0 } else { 0.1 };
            numbers
                .insert(metric.name, if metric.unit == Unit::Count { Value::from(number) } else { Value::from(value) });
        }
        let text = serde_json::to_string(&serde_json::json!({
            "statistics": numbers, "riskRejections": 0, "invalidSignals": 0, "strategyFailures": 0
        }));
        let read: Measured = serde_json::from_str(&text.unwrap()).unwrap();
        for (number, metric) in (1..).zip(&METRICS) {
            let value = f64::from(number) + if metric.unit == Unit::Count { 0.0 } else { 0.1 };
            assert_eq!(metric.of(&read.statistics), Some(value), "{}", metric.name);
        }
        for measured in [read, measured()] {
            let text = serde_json::to_string(&measured).unwrap();
            let again: Measured = serde_json::from_str(&text).unwrap();
            assert_eq!(again, measured, "{text}");
            assert_eq!(serde_json::to_string(&again).unwrap(), text, "signs of zeros included");
        }
        assert!(serde_json::to_string(&measured()).unwrap().contains("\"sharpeRatio\":null"));
    }

    #[test]
    fn what_was_appended_is_found_by_its_key_and_other_lines_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/results.jsonl");
        let (mut file, found) = open(&path).unwrap();
        assert!(found.is_empty());
        file.append("b", &case(), &measured()).unwrap();
        file.append("other", &case(), &measured()).unwrap();
        assert!(matches!(open(&path), Err(ResultsError::InUse { .. })));
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), line("b") + &line("other"));

        // The line of a later version, and a damaged line: their runs are run again.
        let (newer, damaged) = ("{\"key\":\"c\",\"numbers\":[]}\n", "{\"key\":\"d\u{0}\n");
        let whole = line("b") + newer + &earlier_line("a");
        fs::write(&path, whole.replace(newer, &(newer.to_owned() + damaged))).unwrap();
        let (mut file, found) = open(&path).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(found[&1], measured());
        file.append("c", &case(), &measured()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole + &line("c"));
        assert!(fs::read_to_string(dir.path().join("deep/results.jsonl.damaged")).unwrap().contains("\"line\":3"));
    }

    #[test]
    fn half_a_line_is_cut_off_wherever_it_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        for whole in [String::new(), line("a")] {
            let torn = line("b");
            let lengths = 0..torn.len();
            for length in lengths.filter(|length| *length < 20 || length % 40 == 0 || *length == torn.len() - 1) {
                // A new file each time, because file systems are slow to empty a file and fill it again.
                let path = dir.path().join(format!("{}-{length}.jsonl", whole.len()));
                fs::write(&path, whole.clone() + &torn[..length]).unwrap();
                let (mut file, found) = open(&path).unwrap();
                assert_eq!(found.len(), whole.lines().count());
                file.append("c", &case(), &measured()).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), whole.clone() + &line("c"), "torn after {length} bytes");
            }
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("candles.csv");
        for foreign in ["x", "open_time,open\n", "{\"id\":\"a\"}\n", "{\"key\"\n", "\n", "{\"id"] {
            fs::write(&path, foreign).unwrap();
            let Err(error) = open(&path) else { panic!("{foreign:?} was taken for results") };
            let expected = format!("results {}: holds no results of a sweep; choose another file", path.display());
            assert_eq!(error.to_string(), expected);
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
        }
        assert!(matches!(open(dir.path()), Err(ResultsError::Io { .. })));
    }
}
