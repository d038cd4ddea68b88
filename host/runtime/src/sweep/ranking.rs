//! The ranking of runs and of candidates.

use std::cmp::Ordering;

use sigbox_engine::stats::Metric;

use super::{Case, Row};

impl Row {
    /// The run's value of `metric`; `None` when the run failed, or when its trades do not give this number.
    #[must_use]
    pub fn value(&self, metric: &Metric) -> Option<f64> {
        self.outcome.as_ref().ok().and_then(|measured| metric.of(&measured.statistics))
    }
}

/// The rows, best first. Equal rows keep their order. Rows without a number come after all rows that have one, and
/// failed rows come last.
#[must_use]
pub fn best_first<'r>(metric: &Metric, rows: &'r [Row]) -> Vec<&'r Row> {
    let mut ranked: Vec<&Row> = rows.iter().collect();
    ranked.sort_by(|left, right| {
        let by_value = metric.rank(left.value(metric), right.value(metric));
        by_value.then(left.outcome.is_err().cmp(&right.outcome.is_err()))
    });
    ranked
}

/// A strategy with settings, over all the symbols and frames it was run on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'r> {
    /// Its first run, which has only one of its symbols and frames.
    pub case: &'r Case,
    /// How many runs it had.
    pub runs: usize,
    /// How many of these runs have a number.
    pub measured: usize,
    /// The median of its runs. A run without a number counts as the worst, so this is `None` when half of the runs or
    /// more have none.
    pub median: Option<f64>,
    /// The worst number; `None` when a run has none.
    pub worst: Option<f64>,
}

/// The candidates, best median first; of equal medians, the better worst run first; of equal ones again, in the order
/// of the rows.
#[must_use]
pub fn candidates<'r>(metric: &Metric, rows: &'r [Row]) -> Vec<Candidate<'r>> {
    let runs = rows.chunk_by(|left, right| left.case.is_same_candidate(&right.case));
    let mut candidates: Vec<_> = runs.map(|runs| candidate(metric, runs)).collect();
    candidates.sort_by(|left, right| {
        let by_median: Ordering = metric.rank(left.median, right.median);
        by_median.then(metric.rank(left.worst, right.worst))
    });
    candidates
}

fn candidate<'r>(metric: &Metric, runs: &'r [Row]) -> Candidate<'r> {
    let mut values: Vec<_> = runs.iter().map(|run| run.value(metric)).collect();
    values.sort_by(|left, right| metric.rank(*left, *right));
    let (upper, lower) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Candidate {
        case: &runs[0].case,
        runs: runs.len(),
        measured: values.iter().flatten().count(),
        median: upper.zip(lower).map(|(upper, lower)| f64::midpoint(upper, lower)),
        worst: values[values.len() - 1],
    }
}

#[cfg(test)]
mod tests {
    use sigbox_engine::stats::Statistics;
    use sigbox_trading::RunError;

    use super::*;
    use crate::sweep::{Failure, Measured};

    /// The outcome of a run: a number, none, or a failure.
    #[derive(Clone, Copy)]
    enum Is {
        Some(f64),
        None,
        Failed,
    }

    /// The rows of candidates, of which each is a list of runs. A run's symbol is its place among all runs.
    fn rows(candidates: &[&[Is]]) -> Vec<Row> {
        let runs = (0..).zip(candidates).flat_map(|(candidate, runs)| runs.iter().map(move |is| (candidate, *is)));
        let row = |(place, (candidate, is)): (usize, (usize, Is))| {
            let [strategy, frame, varying] = ["s", "", "{}"].map(str::to_owned);
            let (symbol, settings) = (place.to_string(), candidate.to_string());
            let case = Case { strategy, symbol, frame, settings, varying };
            let measured = |number: Option<f64>| Measured {
                statistics: Statistics { sharpe: number, max_drawdown: number, ..Statistics::default() },
                risk_rejections: 0,
                invalid_signals: 0,
                strategy_failures: 0,
            };
            let outcome = match is {
                Is::Some(number) => Ok(measured(Some(number))),
                Is::None => Ok(measured(None)),
                Is::Failed => Err(Failure::Run(RunError::Frame("no".to_owned()))),
            };
            Row { case, outcome }
        };
        runs.enumerate().map(row).collect()
    }

    fn metric(name: &str) -> &'static Metric {
        Metric::named(name).unwrap()
    }

    fn order(metric: &Metric, rows: &[Row]) -> Vec<usize> {
        best_first(metric, rows).iter().map(|row| row.case.symbol.parse().unwrap()).collect()
    }

    /// Specification: S-WLK-07.
    #[test]
    fn the_best_comes_first_and_of_equals_the_first() {
        let rows =
            rows(&[&[Is::Some(1.0), Is::None, Is::Failed, Is::Some(2.0), Is::Some(2.0), Is::Some(-3.0), Is::None]]);
        assert_eq!(order(metric("sharpeRatio"), &rows), [3, 4, 0, 5, 1, 6, 2]);
        assert_eq!(order(metric("maxDrawdown"), &rows), [5, 0, 3, 4, 1, 6, 2]);
    }

    #[test]
    fn nothing_without_a_number_displaces_one_that_has_it() {
        let mut all = vec![Is::None; 250];
        all.extend([Is::Some(-1e300); 250]);
        all.extend([Is::Failed; 100]);
        let rows = rows(&[&all]);
        let order = order(metric("sharpeRatio"), &rows);
        assert_eq!(order.len(), 600);
        assert!(order.into_iter().eq((250..500).chain(0..250).chain(500..600)));
    }

    #[test]
    fn a_candidate_is_as_good_as_the_run_in_the_middle() {
        let sharpe = metric("sharpeRatio");
        let check = |runs: &[Is], median: Option<f64>, worst: Option<f64>| {
            let rows = rows(&[runs]);
            let candidate = candidates(sharpe, &rows).remove(0);
            assert_eq!((candidate.median, candidate.worst), (median, worst));
            assert_eq!(candidate.runs, runs.len());
            assert_eq!(candidate.measured, runs.iter().filter(|is| matches!(is, Is::Some(_))).count());
        };
        check(&[Is::Some(1.0)], Some(1.0), Some(1.0));
        check(&[Is::Some(1.0), Is::Some(5.0), Is::Some(2.0)], Some(2.0), Some(1.0));
        check(&[Is::Some(1.0), Is::Some(4.0)], Some(2.5), Some(1.0));
        // A run without a number counts as the worst: a candidate must not gain by having fewer runs with a number.
        check(&[Is::Some(1.0), Is::None, Is::Some(4.0)], Some(1.0), None);
        check(&[Is::Failed, Is::Some(4.0)], None, None);
        check(&[Is::Failed, Is::Some(4.0), Is::None], None, None);
        check(&[Is::None], None, None);
    }

    #[test]
    fn candidates_are_ranked_by_median_then_by_worst_run_then_by_order() {
        let runs: [&[Is]; 6] = [
            &[Is::None, Is::Some(9.0)],
            &[Is::Some(1.0), Is::Some(3.0)],
            &[Is::Some(2.0), Is::Some(2.0)],
            &[Is::Some(2.0), Is::Some(2.0)],
            &[Is::Some(5.0), Is::Some(0.0)],
            &[Is::Failed, Is::Failed],
        ];
        let order = |name| -> Vec<usize> {
            let rows = rows(&runs);
            let candidates = candidates(metric(name), &rows);
            candidates.iter().map(|candidate| candidate.case.settings.parse().unwrap()).collect()
        };
        assert_eq!(order("sharpeRatio"), [4, 2, 3, 1, 0, 5]);
        assert_eq!(order("maxDrawdown"), [2, 3, 1, 4, 0, 5]);
    }
}
