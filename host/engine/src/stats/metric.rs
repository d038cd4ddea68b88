//! The list of numbers that reports show and sweeps are sorted by.

use core::cmp::Ordering;

use super::{count, statistics::Statistics};

/// One number of [`Statistics`]: what it is called, what it is measured in, and which way is better.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in configurations, JSON and tables of programs, after the reference's: `sharpeRatio`.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    of: fn(&Statistics) -> Option<f64>,
}

/// What a number is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole things.
    Count,
    /// Percent of something, never negative.
    Percent,
    /// A gain or a loss, percent.
    Gain,
    /// A gain or a loss, quote currency.
    Money,
    /// Nothing: a ratio.
    Ratio,
    /// Minutes.
    Minutes,
}

/// Which way a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The more, the better.
    More,
    /// The less, the better.
    Less,
    /// Neither.
    Neither,
}

impl Metric {
    /// The metric of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// The metrics of which more or less is better. Only these can rank.
    pub fn rankable() -> impl Iterator<Item = &'static Self> {
        METRICS.iter().filter(|metric| metric.better != Better::Neither)
    }

    /// Its value; `None` when the sample does not give this number.
    #[must_use]
    pub fn of(&self, statistics: &Statistics) -> Option<f64> {
        (self.of)(statistics)
    }

    /// Orders two values, the better one first. A missing value comes last.
    #[must_use]
    pub fn rank(&self, left: Option<f64>, right: Option<f64>) -> Ordering {
        match (left, right) {
            (Some(left), Some(right)) => match self.better {
                Better::More => right.total_cmp(&left),
                Better::Less => left.total_cmp(&right),
                Better::Neither => Ordering::Equal,
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! metrics {
    ($($name:literal, $label:literal, $unit:ident, $better:ident, $of:expr;)*) => {
        [$(Metric { name: $name, label: $label, unit: Unit::$unit, better: Better::$better, of: $of }),*]
    };
}

/// Every number, in the order reports list them.
#[rustfmt::skip]
pub const METRICS: [Metric; 34] = metrics! {
    "totalSignals",          "Trades",                  Count,   Neither, |s| Some(count(s.trades));
    "winCount",              "Wins",                    Count,   Neither, |s| Some(count(s.wins));
    "lossCount",             "Losses",                  Count,   Neither, |s| Some(count(s.losses));
    "winRate",               "Win rate",                Percent, More,    |s| s.win_rate;
    "totalPnl",              "Total PnL",               Gain,    More,    |s| s.total_pnl;
    "totalPnlCost",          "Total PnL, quote",        Money,   More,    |s| s.total_pnl_cost;
    "avgPnl",                "Average PnL",             Gain,    More,    |s| s.average_pnl;
    "medianPnl",             "Median PnL",              Gain,    More,    |s| s.median_pnl;
    "bestPnl",               "Best trade",              Gain,    More,    |s| s.best_pnl;
    "worstPnl",              "Worst trade",             Gain,    More,    |s| s.worst_pnl;
    "avgWin",                "Average win",             Gain,    More,    |s| s.average_win;
    "avgLoss",               "Average loss",            Gain,    More,    |s| s.average_loss;
    "profitFactor",          "Profit factor",           Ratio,   More,    |s| s.profit_factor;
    "expectancy",            "Expectancy",              Gain,    More,    |s| s.expectancy;
    "certaintyRatio",        "Certainty ratio",         Ratio,   More,    |s| s.certainty;
    "stdDev",                "Standard deviation",      Percent, Less,    |s| s.deviation;
    "sharpeRatio",           "Sharpe ratio",            Ratio,   More,    |s| s.sharpe;
    "sortinoRatio",          "Sortino ratio",           Ratio,   More,    |s| s.sortino;
    "annualizedSharpeRatio", "Annualised Sharpe ratio", Ratio,   More,    |s| s.annualized_sharpe;
    "expectedYearlyReturns", "Expected yearly return",  Gain,    More,    |s| s.yearly;
    "maxDrawdown",           "Maximum drawdown",        Percent, Less,    |s| s.max_drawdown;
    "calmarRatio",           "Calmar ratio",            Ratio,   More,    |s| s.calmar;
    "recoveryFactor",        "Recovery factor",         Ratio,   More,    |s| s.recovery;
    "tradesPerYear",         "Trades a year",           Ratio,   Neither, |s| s.trades_a_year;
    "avgPeakPnl",            "Average peak",            Gain,    More,    |s| s.average_peak;
    "avgFallPnl",            "Average fall",            Gain,    More,    |s| s.average_fall;
    "avgDuration",           "Average duration",        Minutes, Neither, |s| s.average_minutes;
    "avgWinDuration",        "Average win duration",    Minutes, Neither, |s| s.average_win_minutes;
    "avgLossDuration",       "Average loss duration",   Minutes, Neither, |s| s.average_loss_minutes;
    "avgConsecutiveWinPnl",  "Average winning streak",  Gain,    More,    |s| s.average_win_streak;
    "avgConsecutiveLossPnl", "Average losing streak",   Gain,    More,    |s| s.average_loss_streak;
    "maxWinStreak",          "Longest winning streak",  Count,   More,    |s| s.longest_win_streak.map(count);
    "maxLossStreak",         "Longest losing streak",   Count,   Less,    |s| s.longest_loss_streak.map(count);
    "finalEquity",           "1 became",                Ratio,   More,    |s| s.equity;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_there_comes_last() {
        let sharpe = Metric::named("sharpeRatio").unwrap();
        let drawdown = Metric::named("maxDrawdown").unwrap();
        let mut values = [None, Some(-1.0), Some(2.0), None, Some(0.5)];
        values.sort_by(|a, b| sharpe.rank(*a, *b));
        assert_eq!(values, [Some(2.0), Some(0.5), Some(-1.0), None, None]);
        values.sort_by(|a, b| drawdown.rank(*a, *b));
        assert_eq!(values, [Some(-1.0), Some(0.5), Some(2.0), None, None]);
    }

    #[test]
    fn things_are_ranked_by_what_is_better_one_way() {
        let neither = METRICS.iter().filter(|metric| !Metric::rankable().any(|rankable| rankable == *metric));
        assert!(neither.map(|metric| metric.name).eq([
            "totalSignals",
            "winCount",
            "lossCount",
            "tradesPerYear",
            "avgDuration",
            "avgWinDuration",
            "avgLossDuration",
        ]));
    }

    #[test]
    fn names_are_unique() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..index].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
