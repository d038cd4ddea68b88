//! The check of a candle file: it finds everything that is wrong with the file.

use std::{collections::BTreeMap, fmt, ops::ControlFlow, path::Path};

use sigbox_engine::{Candle, Interval, MINUTE_MS, Settings};

use super::{
    anomaly::anomalies,
    csv::written,
    file::{CandleFileError, Format, Place, RowProblem, each_row},
};

/// What is in a candle file, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// The format of the file; `None` if the format cannot be found out.
    pub format: Option<Format>,
    /// How many different opening times the file has, those of unusable candles included.
    pub candles: usize,
    /// The first of these times, milliseconds since the Unix epoch.
    pub first_open_ms: Option<i64>,
    /// The last of these times.
    pub last_open_ms: Option<i64>,
    /// The usual distance of these times; one minute, if that distance is no interval.
    pub interval: Interval,
    /// How many candles of this interval are missing between the first and the last.
    pub missing: u64,
    /// How many problems there are.
    pub problem_count: usize,
    /// The first problems, in the order of the file.
    pub problems: Vec<FileProblem>,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The row that has the problem; `None` if the whole file has it.
    pub place: Option<Place>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{place}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// Reads the file at `path` to its end, as [`read_candles`](super::read_candles) would, but goes on after a row that
/// cannot be used, disorder, a duplicate or a gap. Also looks for prices far below those around them (specification
/// 3.4), with the default settings of the engine. The file may have candles of a higher interval.
///
/// Counts all problems, and returns the first `most` of them.
#[must_use]
pub fn check_file(path: &Path, most: usize) -> FileCheck {
    let mut problems = Vec::new();
    let mut rows = Vec::new();
    let format = Format::of_content(path);
    let read = format.as_ref().map_or(Ok(()), |format| look(path, *format, &mut rows, &mut problems));
    let format = format.map_err(|error| problems.push(of_file(error))).ok();
    if let Err(error) = read {
        problems.push(of_file(error));
    }
    if rows.is_empty() && problems.is_empty() {
        problems.push(of_file(CandleFileError::Empty { path: path.to_owned() }));
    }

    // The rows are sorted by time, so that a row out of place is not a gap too. Of rows with the same time the first
    // counts.
    rows.sort_by_key(|row| (row.open_time_ms, row.place));
    rows.dedup_by(|later, row| {
        let is_twice = later.open_time_ms == row.open_time_ms;
        if is_twice {
            problems.push(of_row(later.place, RowProblem::Duplicate { open_time_ms: later.open_time_ms }));
        }
        is_twice
    });
    let interval = usual_interval(&rows);
    let missing = find_gaps(&rows, interval, &mut problems);
    find_anomalies(&rows, &mut problems);

    problems.sort_by_key(|(place, _)| *place);
    let shown = problems.iter().take(most);
    FileCheck {
        format,
        candles: rows.len(),
        first_open_ms: rows.first().map(|row| row.open_time_ms),
        last_open_ms: rows.last().map(|row| row.open_time_ms),
        interval,
        missing,
        problem_count: problems.len(),
        problems: shown.map(|(place, problem)| FileProblem { place: *place, problem: problem.to_string() }).collect(),
    }
}

/// The most candles in one answer of an exchange: specification 3.4 compares the prices of one answer.
const BATCH: usize = 1000;

/// A row whose opening time is known.
struct Row {
    open_time_ms: i64,
    place: Place,
    /// `None` if the rest of the row cannot be used.
    candle: Option<Candle>,
}

/// A problem and its place. The problem is not text yet, because there may be as many problems as rows.
type Problem = (Option<Place>, Box<dyn fmt::Display>);

fn of_row(place: Place, problem: RowProblem) -> Problem {
    (Some(place), Box::new(problem))
}

fn of_file(error: CandleFileError) -> Problem {
    match error {
        CandleFileError::Row { place, problem, .. } => of_row(place, problem),
        error => (None, Box::new(error)),
    }
}

/// Collects the rows of a file. Also collects the problem of each row that cannot be used or is earlier than the row
/// before.
fn look(path: &Path, format: Format, rows: &mut Vec<Row>, problems: &mut Vec<Problem>) -> Result<(), CandleFileError> {
    each_row(path, format, |place, row| {
        let (open_time_ms, candle) = match row {
            Ok(candle) => (Some(candle.open_time_ms), Some(candle)),
            Err(bad) => {
                problems.push(of_row(place, *bad.problem));
                (bad.open_time_ms, None)
            }
        };
        let Some(open_time_ms) = open_time_ms else { return ControlFlow::Continue(()) };
        if let Some(previous) = rows.last().filter(|previous| previous.open_time_ms > open_time_ms) {
            let (previous_ms, found_ms) = (previous.open_time_ms, open_time_ms);
            problems.push(of_row(place, RowProblem::Disorder { previous_ms, found_ms }));
        }
        rows.push(Row { open_time_ms, place, candle });
        ControlFlow::Continue(())
    })
}

/// The distance between most of `rows` and the row before them. The rows are in ascending order.
fn usual_interval(rows: &[Row]) -> Interval {
    let mut steps: BTreeMap<i64, usize> = BTreeMap::new();
    for pair in rows.windows(2) {
        *steps.entry(pair[1].open_time_ms - pair[0].open_time_ms).or_default() += 1;
    }
    // Of two equally common distances the shorter one is usual: the longer one comes from gaps.
    let usual = steps.into_iter().rev().max_by_key(|(_, count)| *count);
    let known = |(step_ms, _)| Interval::all().find(|interval| interval.ms() == step_ms);
    usual.and_then(known).unwrap_or(Interval::MINUTE)
}

/// How many candles of `interval` are missing between `rows`, which are in ascending order.
fn find_gaps(rows: &[Row], interval: Interval, problems: &mut Vec<Problem>) -> u64 {
    let mut missing = 0;
    for pair in rows.windows(2) {
        let (from_ms, found_ms) = (pair[0].open_time_ms + interval.ms(), pair[1].open_time_ms);
        let candles = (found_ms - from_ms) / interval.ms();
        if candles > 0 {
            missing += candles.unsigned_abs();
            let to_ms = from_ms + (candles - 1) * interval.ms();
            let minutes = candles * interval.ms() / MINUTE_MS;
            problems.push(of_row(pair[1].place, RowProblem::Gap { missing: minutes, from_ms, to_ms }));
        }
    }
    missing
}

fn find_anomalies(rows: &[Row], problems: &mut Vec<Problem>) {
    let settings = Settings::default();
    let factor = settings.get_candles_price_anomaly_threshold_factor;
    let min_for_median = settings.get_candles_min_candles_for_median as usize;
    let (places, candles): (Vec<Place>, Vec<Candle>) =
        rows.iter().filter_map(|row| Some((row.place, row.candle?))).unzip();
    for (places, candles) in places.chunks(BATCH).zip(candles.chunks(BATCH)) {
        for index in anomalies(candles, factor, min_for_median) {
            let problem = RowProblem::Anomaly { factor: factor.to_string(), row: written(&candles[index]) };
            problems.push(of_row(places[index], problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const START: i64 = 1_677_628_800_000;

    fn row(minute: i64) -> String {
        format!("{},100,102,99,100.5,3", START + minute * MINUTE_MS)
    }

    fn rows(minutes: impl IntoIterator<Item = i64>) -> Vec<String> {
        minutes.into_iter().map(row).collect()
    }

    /// What the check finds in a file without header whose lines are these rows.
    fn check(rows: &[String]) -> FileCheck {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("candles.csv");
        std::fs::write(&path, rows.join("\n")).unwrap();
        let mut found = check_file(&path, 5);
        for problem in &mut found.problems {
            problem.problem = problem.problem.replace(&format!("{}/", directory.path().display()), "");
        }
        found
    }

    fn complaints(rows: &[String]) -> Vec<String> {
        check(rows).problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_file_is_described() {
        let expected = FileCheck {
            format: Some(Format::Csv),
            candles: 10,
            first_open_ms: Some(START),
            last_open_ms: Some(START + 9 * MINUTE_MS),
            interval: Interval::MINUTE,
            missing: 0,
            problem_count: 0,
            problems: Vec::new(),
        };
        assert_eq!(check(&rows(0..10)), expected);
    }

    #[test]
    fn each_fault_is_found_once_where_it_is() {
        let gap = "get the missing candles, or set gaps to \"fill\" to have flat ones";
        let mut cases: Vec<(Vec<String>, Vec<String>)> = vec![
            (
                rows([0, 1, 2, 4, 3, 5]),
                vec!["line 5: 2023-03-01T00:03:00Z comes after 2023-03-01T00:04:00Z; sort the file by time".to_owned()],
            ),
            (
                rows([0, 1, 1, 2]),
                vec!["line 3: 2023-03-01T00:01:00Z is there twice; remove one of the rows".to_owned()],
            ),
            (
                rows([0, 1, 5, 6, 7, 9]),
                vec![
                    format!(
                        "line 3: 3 minutes are missing before this row, from 2023-03-01T00:02:00Z to 2023-03-01T00:04:00Z; {gap}"
                    ),
                    format!(
                        "line 6: 1 minute is missing before this row, from 2023-03-01T00:08:00Z to 2023-03-01T00:08:00Z; {gap}"
                    ),
                ],
            ),
            // A block that was appended in the wrong place is one fault.
            (
                rows((10..20).chain(0..10)),
                vec![
                    "line 11: 2023-03-01T00:00:00Z comes after 2023-03-01T00:19:00Z; sort the file by time".to_owned(),
                ],
            ),
            (Vec::new(), vec!["candles.csv has no candles".to_owned()]),
            (
                vec!["open,high".to_owned()],
                vec![
                "line 1: the header names no column open_time or timestamp or time or date or datetime: `open,high`"
                    .to_owned(),
            ],
            ),
        ];
        // A row that cannot be used is not a gap, as long as it has a time.
        let mut broken = rows(0..6);
        broken[2] = broken[2].replace("102", "1o2");
        broken[4] = broken[4].replace("99", "-99");
        cases.push((
            broken.clone(),
            vec![
                "line 3: high is not a number: `1o2`".to_owned(),
                format!("line 5: impossible candle: a price is zero or negative: `{}`", broken[4]),
            ],
        ));
        let mut timeless = rows(0..4);
        timeless[2] = "soon,1,1,1,1,1".to_owned();
        cases.push((timeless, vec![
            "line 3: `soon` is not a time; write seconds, milliseconds or microseconds since 1970, or ISO 8601 as in \
             2023-03-01T00:00:00Z"
                .to_owned(),
            format!("line 4: 1 minute is missing before this row, from 2023-03-01T00:02:00Z to 2023-03-01T00:02:00Z; {gap}"),
        ]));
        for (rows, expected) in cases {
            assert_eq!(complaints(&rows), expected);
        }
    }

    #[test]
    fn prices_are_compared_with_those_round_them() {
        let mut rows = rows(0..1500);
        rows[1200] = format!("{},0.05,0.05,0.05,0.05,1", START + 1200 * MINUTE_MS);
        let expected = format!("line 1201: a price is more than 1000 times below the usual one: `{}`", rows[1200]);
        assert_eq!(complaints(&rows), [expected]);
    }

    #[test]
    fn the_interval_is_that_of_most_rows_and_gaps_are_counted_in_it() {
        let found = check(&rows([0, 5, 10, 25, 30]));
        assert_eq!((found.interval.name(), found.missing, found.problem_count), ("5m", 2, 1));
        assert!(found.problems[0].problem.starts_with(
            "10 minutes are missing before this row, from 2023-03-01T00:15:00Z to 2023-03-01T00:20:00Z; "
        ));
        // Seven minutes are not an interval, and of two equally common distances the shorter one is usual.
        assert_eq!(check(&rows([0, 7, 14])).interval, Interval::MINUTE);
        assert_eq!(check(&rows([0, 1, 6])).interval, Interval::MINUTE);
    }

    #[test]
    fn all_problems_are_counted_and_the_first_returned() {
        let found = check(&rows((0..100).rev()));
        assert_eq!((found.problem_count, found.problems.len()), (99, 5));
        assert_eq!(found.problems[4].place, Some(Place::Line(6)));
        // Problems are in the order of the file, also when a gap was found later.
        let mut rows = rows((0..100).map(|minute| minute * 2));
        rows[50] = "x".to_owned();
        let lines: Vec<_> = check(&rows).problems.iter().filter_map(|problem| problem.place).collect();
        assert_eq!(lines, (2..7).map(Place::Line).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_a_problem() {
        let directory = TempDir::new().unwrap();
        let found = check_file(&directory.path().join("absent.csv"), 5);
        assert_eq!((found.format, found.candles, found.problem_count), (None, 0, 1));
        assert!(found.problems[0].to_string().starts_with("cannot read candles from "));
    }
}
