//! The results of closed trades, carried forward.

use super::{
    DAY_MS, ENOUGH, LONG_ENOUGH_DAYS, MINUTE_MS, MOST_TRADES_A_YEAR, NEGLIGIBLE, count, equity::Equity, sample::Sample,
    span_ms, statistics::Statistics, trade::Trade,
};

/// The results of closed trades, carried forward. Trades come in the order in which they were closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Returns {
    results: Sample,
    result_cost: f64,
    wins: Group,
    losses: Group,
    /// Sum of the squared results below zero.
    downside: f64,
    held_minutes: f64,
    peaks: Mean,
    falls: Mean,
    /// From the first opening to the last close, milliseconds.
    span_ms: Option<(i64, i64)>,
    equity: Equity,
    streak: Streak,
}

/// The winning or the losing trades.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Group {
    trades: u64,
    sum_percent: f64,
    held_minutes: f64,
    /// Uninterrupted runs of them that have ended, and the sum of what they made.
    runs: Mean,
    longest_run: u64,
}

/// A mean that grows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    count: u64,
    sum: f64,
}

/// The run of wins or losses that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Streak {
    trades: u64,
    sum_percent: f64,
}

impl Mean {
    fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / count(self.count))
    }
}

impl Group {
    fn mean_percent(self) -> Option<f64> {
        (self.trades > 0).then(|| self.sum_percent / count(self.trades))
    }

    fn mean_minutes(self) -> Option<f64> {
        (self.trades > 0).then(|| self.held_minutes / count(self.trades))
    }

    fn end(&mut self, streak: Streak) {
        self.runs.add(streak.sum_percent);
        self.longest_run = self.longest_run.max(streak.trades);
    }
}

impl Streak {
    const fn is_winning(self) -> bool {
        self.sum_percent > 0.0
    }
}

impl Returns {
    /// Adds the trade that was closed next.
    pub fn add(&mut self, trade: &Trade) {
        let result = trade.result_percent;
        let minutes = span_ms(trade.opened_ms, trade.closed_ms) / MINUTE_MS;
        self.results.add(result);
        self.result_cost += trade.result_cost;
        self.held_minutes += minutes;
        self.downside += if result < 0.0 { result * result } else { 0.0 };
        if let Some(peak) = trade.peak_percent {
            self.peaks.add(peak);
        }
        if let Some(fall) = trade.fall_percent {
            self.falls.add(fall);
        }
        let (first_ms, last_ms) = self.span_ms.unwrap_or((trade.opened_ms, trade.closed_ms));
        self.span_ms = Some((first_ms.min(trade.opened_ms), last_ms.max(trade.closed_ms)));
        self.equity.trade(trade.fall_percent.unwrap_or(0.0), result);

        let same_way = self.streak.trades > 0 && result != 0.0 && (result > 0.0) == self.streak.is_winning();
        if !same_way {
            self.end_streak();
        }
        if result != 0.0 {
            self.streak.trades += 1;
            self.streak.sum_percent += result;
            let group = if result > 0.0 { &mut self.wins } else { &mut self.losses };
            group.trades += 1;
            group.sum_percent += result;
            group.held_minutes += minutes;
        }
    }

    fn end_streak(&mut self) {
        let streak = core::mem::take(&mut self.streak);
        if streak.trades > 0 {
            let group = if streak.is_winning() { &mut self.wins } else { &mut self.losses };
            group.end(streak);
        }
    }

    /// Closed trades.
    #[must_use]
    pub const fn trades(&self) -> u64 {
        self.results.len()
    }

    /// The equity so far.
    #[must_use]
    pub const fn equity(&self) -> &Equity {
        &self.equity
    }

    /// What they amount to so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut ended = self.clone();
        ended.end_streak();
        ended.evaluate()
    }

    /// Every number, when no streak is under way (specification 11.3, in the order it lists them).
    fn evaluate(&self) -> Statistics {
        let trades = self.trades();
        let (wins, losses, equity) = (self.wins, self.losses, self.equity);
        let mut statistics = Statistics { trades, wins: wins.trades, losses: losses.trades, ..Statistics::default() };
        let (Some(average), Some((worst, best)), Some((first_ms, last_ms))) =
            (self.results.mean(), self.results.extremes(), self.span_ms)
        else {
            return statistics;
        };
        let n = count(trades);
        let enough = trades >= ENOUGH;
        let decided = wins.trades + losses.trades;
        let per = |number: f64, divisor: f64| (divisor > NEGLIGIBLE).then(|| number / divisor);

        statistics.win_rate = Some(if decided == 0 { 0.0 } else { count(wins.trades) / count(decided) * 100.0 });
        statistics.total_pnl = Some(self.results.sum());
        statistics.total_pnl_cost = Some(self.result_cost);
        statistics.average_pnl = Some(average);
        statistics.median_pnl = self.results.median();
        statistics.best_pnl = Some(best);
        statistics.worst_pnl = Some(worst);
        statistics.average_win = wins.mean_percent();
        statistics.average_loss = losses.mean_percent();
        statistics.average_peak = self.peaks.value();
        statistics.average_fall = self.falls.value();
        statistics.average_minutes = Some(self.held_minutes / n);
        statistics.average_win_minutes = wins.mean_minutes();
        statistics.average_loss_minutes = losses.mean_minutes();
        statistics.average_win_streak = wins.runs.value();
        statistics.average_loss_streak = losses.runs.value();
        statistics.longest_win_streak = Some(wins.longest_run);
        statistics.longest_loss_streak = Some(losses.longest_run);
        statistics.max_drawdown = Some(equity.drawdown_percent());
        statistics.equity = Some(equity.now());
        statistics.profit_factor = if wins.trades > 0 { per(wins.sum_percent, -losses.sum_percent) } else { None };

        if enough {
            statistics.deviation = self.results.deviation();
            statistics.sharpe = statistics.deviation.and_then(|deviation| per(average, deviation));
            statistics.sortino = if losses.trades > 0 { per(average, libm::sqrt(self.downside / n)) } else { None };
            // Without a win the mean win counts as 0, and without a loss the mean loss.
            let (win, loss) = (wins.mean_percent().unwrap_or(0.0), losses.mean_percent().unwrap_or(0.0));
            statistics.certainty = per(win, -loss);
            statistics.expectancy = Some(count(wins.trades) / n * win + count(losses.trades) / n * loss);
            if !equity.is_blown() && equity.drawdown_percent() > 0.0 {
                let recovery = (equity.now() - 1.0) * 100.0 / equity.drawdown_percent();
                statistics.recovery = Some(recovery.clamp(-MOST_TIMES, MOST_TIMES));
            }
            let days = span_ms(first_ms, last_ms) / DAY_MS;
            if days >= LONG_ENOUGH_DAYS {
                statistics.trades_a_year = Some(n / days * 365.0).filter(|rate| *rate <= MOST_TRADES_A_YEAR);
            }
        }
        if let Some(rate) = statistics.trades_a_year {
            statistics.annualized_sharpe = statistics.sharpe.map(|sharpe| sharpe * libm::sqrt(rate));
            let yearly = (libm::pow(equity.now(), rate / n) - 1.0) * 100.0;
            statistics.yearly = Some(yearly).filter(|yearly| !equity.is_blown() && yearly.abs() <= MOST_YEARLY_PERCENT);
            if equity.drawdown_percent() > 0.0 {
                let calmar = |yearly: f64| (yearly / equity.drawdown_percent()).clamp(-MOST_TIMES, MOST_TIMES);
                statistics.calmar = statistics.yearly.map(calmar);
            }
        }
        statistics.finite()
    }
}

/// Ratios to the drawdown are limited to this, because a tiny drawdown makes them arbitrarily large.
const MOST_TIMES: f64 = 1000.0;

/// A yearly result beyond this is not shown, because such an extrapolation says nothing.
const MOST_YEARLY_PERCENT: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_no_mean() {
        let mut mean = Mean::default();
        assert_eq!(mean.value(), None);
        mean.add(3.0);
        assert_eq!(mean.value(), Some(3.0));

        let mut group = Group::default();
        assert_eq!((group.mean_percent(), group.mean_minutes()), (None, None));
        group = Group { trades: 2, sum_percent: 3.0, held_minutes: 60.0, ..group };
        assert_eq!((group.mean_percent(), group.mean_minutes()), (Some(1.5), Some(30.0)));
    }
}
