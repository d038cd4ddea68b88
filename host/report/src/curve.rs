//! The equity of a series of trades over time.

use sigbox_engine::{
    MINUTE_MS,
    stats::{Equity, Trade},
};

use crate::clock;

/// Points in time at even distances. Curves are drawn on them, so that a quiet week is as wide as a busy one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    start_ms: i64,
    step_ms: i64,
    points: usize,
}

/// The results of trades at each point of a grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    /// What 1 has become, if all of it is staked on every trade in turn.
    pub(crate) equity: Vec<f64>,
    /// The deepest fall below the peak since the previous point, percent. Falls inside trades are included.
    pub(crate) drawdown_percent: Vec<f64>,
    /// Sum of the results, quote currency.
    pub(crate) result_cost: Vec<f64>,
}

/// Distances that are easy to read, minutes.
const STEPS: [i64; 11] = [1, 5, 15, 30, 60, 120, 240, 480, 720, 1440, 7 * 1440];

impl Grid {
    /// A grid from the first time to the last one, with about `most_points`. At its first point no trade is closed yet,
    /// at its last one every trade is.
    pub(crate) fn over(from_ms: i64, to_ms: i64, most_points: usize) -> Self {
        let (from_ms, to_ms) = (clock::possible(from_ms), clock::possible(to_ms));
        let most = i64::try_from(most_points.max(2)).expect("a number of points is small");
        let span_ms = (to_ms - from_ms).max(0);
        let whole = |step_ms: i64| span_ms / step_ms < most;
        let step_ms = STEPS.into_iter().map(|minutes| minutes * MINUTE_MS).find(|step_ms| whole(*step_ms));
        let step_ms = step_ms.unwrap_or(span_ms / most + 1);
        let start_ms = from_ms - from_ms.rem_euclid(step_ms);
        let steps = (to_ms.max(from_ms) - start_ms + step_ms - 1) / step_ms;
        Self { start_ms, step_ms, points: usize::try_from(steps).expect("there are few") + 1 }
    }

    /// When its first point is, milliseconds.
    pub(crate) const fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// How far its points are apart, milliseconds.
    pub(crate) const fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// The first point that is not before `at_ms`.
    fn point(&self, at_ms: i64) -> usize {
        let steps = (clock::possible(at_ms) - self.start_ms + self.step_ms - 1).div_euclid(self.step_ms);
        usize::try_from(steps).unwrap_or(0).min(self.points - 1)
    }

    /// The curve of `trades`, which must be in the order in which they were closed.
    pub(crate) fn curve<'a>(&self, trades: impl IntoIterator<Item = &'a Trade>) -> Curve {
        let mut curve = Curve { equity: Vec::new(), drawdown_percent: Vec::new(), result_cost: Vec::new() };
        let (mut equity, mut result_cost, mut deepest_percent) = (Equity::default(), 0.0, 0.0_f64);
        let mut trades = trades.into_iter().peekable();
        for point in 0..self.points {
            while let Some(trade) = trades.next_if(|trade| self.point(trade.closed_ms) <= point) {
                equity.trade(trade.fall_percent.unwrap_or(0.0), trade.result_percent);
                deepest_percent = deepest_percent.max(equity.last_drawdown_percent());
                result_cost += trade.result_cost;
            }
            curve.equity.push(equity.now());
            curve.drawdown_percent.push(deepest_percent);
            curve.result_cost.push(result_cost);
            deepest_percent = equity.below_peak_percent();
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use sigbox_engine::stats::Returns;

    use super::*;
    use crate::made_up;

    #[test]
    fn a_curve_ends_where_the_statistics_do_and_falls_as_deep() {
        for (seed, count, most_points) in [(1, 1, 100), (2, 40, 1000), (3, 700, 50), (4, 5000, 1200)] {
            let rows = made_up::trades(seed, count, &[("s", "BTCUSDT")]);
            let mut returns = Returns::default();
            for row in &rows {
                returns.add(&row.trade);
            }
            let statistics = returns.statistics();

            let last = &rows.last().unwrap().trade;
            let grid = Grid::over(rows[0].trade.opened_ms, last.closed_ms, most_points);
            let curve = grid.curve(rows.iter().map(|row| &row.trade));
            assert!(curve.equity.len() <= most_points + 2, "{}", curve.equity.len());
            assert_eq!((curve.equity[0], curve.result_cost[0]), (1.0, 0.0));
            assert_eq!(curve.equity.last().copied(), statistics.equity);
            assert_eq!(curve.result_cost.last().copied(), statistics.total_pnl_cost);
            let deepest = curve.drawdown_percent.iter().copied().reduce(f64::max);
            assert_eq!(deepest, statistics.max_drawdown, "{count} trades on {most_points} points");
        }
    }

    #[test]
    fn absurd_times_make_an_absurd_curve_and_nothing_worse() {
        let mut rows = made_up::trades(1, 3, &[("s", "BTCUSDT")]);
        rows[1].trade.closed_ms = i64::MIN;
        rows[2].trade.closed_ms = i64::MAX;
        for (from_ms, to_ms) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (7, 7), (0, 0)] {
            let curve = Grid::over(from_ms, to_ms, 100).curve(rows.iter().map(|row| &row.trade));
            assert!((1..=102).contains(&curve.equity.len()), "{}", curve.equity.len());
        }
    }

    #[test]
    fn points_are_at_even_times_and_a_trade_counts_from_the_first_point_after_its_close() {
        let hour = 60 * MINUTE_MS;
        let grid = Grid::over(hour + 5 * MINUTE_MS, 49 * hour, 50);
        assert_eq!((grid.start_ms(), grid.step_ms(), grid.points), (hour, hour, 49));
        let mut trade = made_up::trades(1, 1, &[("s", "BTCUSDT")])[0].trade;
        (trade.closed_ms, trade.result_percent, trade.fall_percent) = (2 * hour + 1, 50.0, None);
        assert_eq!(grid.curve([&trade]).equity[..4], [1.0, 1.0, 1.5, 1.5]);
        trade.closed_ms = 2 * hour;
        assert_eq!(grid.curve([&trade]).equity[..4], [1.0, 1.5, 1.5, 1.5]);
    }
}
