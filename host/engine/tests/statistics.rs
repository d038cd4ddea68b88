//! Statistics against the figures the reference's own tests hold it to (specification 11.3), and what a sample cannot
//! carry.

use sigbox_engine::{
    outcome::CloseReason,
    stats::{ENOUGH, METRICS, Metric, Returns, Statistics, Summary, Trade, Trend},
};

const MINUTE: usize = 60_000;
const DAY: usize = 1440 * MINUTE;
/// 2024-01-01T00:00:00Z.
const START: i64 = 1_704_067_200_000;

/// Twelve trades that win and lose.
const RESULTS: [f64; 12] = [0.5, -0.25, 0.75, 0.25, -0.5, 1.0, -0.25, -0.25, 0.5, 1.25, -0.75, 0.25];

/// A trade of half an hour, of 200 in the quote currency.
fn trade(opened_ms: i64, result_percent: f64) -> Trade {
    Trade {
        opened_ms,
        closed_ms: opened_ms + 30 * 60_000,
        reason: CloseReason::TakeProfit,
        close_price: 100.0,
        result_percent,
        result_cost: 2.0 * result_percent,
        peak_percent: None,
        fall_percent: None,
    }
}

/// One every other day.
fn every_other_day(results: impl IntoIterator<Item = f64>) -> Vec<Trade> {
    (START..).step_by(2 * DAY).zip(results).map(|(opened_ms, result)| trade(opened_ms, result)).collect()
}

fn statistics(trades: &[Trade]) -> Statistics {
    let mut returns = Returns::default();
    for trade in trades {
        returns.add(trade);
    }
    returns.statistics()
}

fn value(statistics: &Statistics, name: &str) -> Option<f64> {
    Metric::named(name).unwrap_or_else(|| panic!("{name} is no metric")).of(statistics)
}

/// Specification: L-STA-01.
#[test]
fn the_reference_vector() {
    let mut trades = every_other_day(RESULTS);
    trades[5].fall_percent = Some(-3.0);
    trades[0].peak_percent = Some(0.6);
    trades[9].peak_percent = Some(1.5);
    let found = statistics(&trades);
    for (name, expected) in [
        ("totalSignals", 12.0),
        ("winCount", 7.0),
        ("lossCount", 5.0),
        ("totalPnl", 2.5),
        ("avgPnl", 0.208_333_333_333_333_34),
        ("winRate", 58.333_333_333_333_336),
        ("stdDev", 0.620_056_204_686_072_7),
        ("sharpeRatio", 0.335_991_046_874_226_65),
        ("annualizedSharpeRatio", 4.738_576_379_048_751),
        ("sortinoRatio", 0.721_687_836_487_032_3),
        ("medianPnl", 0.25),
        ("expectancy", 0.208_333_333_333_333_37),
        ("certaintyRatio", 1.607_142_857_142_857_2),
        ("expectedYearlyReturns", 50.751_176_375_012_28),
        ("calmarRatio", 14.562_747_883_791_118),
        ("recoveryFactor", 0.719_445_412_833_833_3),
        ("avgConsecutiveWinPnl", 0.9),
        ("avgConsecutiveLossPnl", -0.5),
        ("avgPeakPnl", 1.05),
        ("avgFallPnl", -3.0),
        ("avgDuration", 30.0),
        ("avgWinDuration", 30.0),
        ("avgLossDuration", 30.0),
        // These follow from the results above.
        ("bestPnl", 1.25),
        ("worstPnl", -0.75),
        ("totalPnlCost", 5.0),
        ("profitFactor", 4.5 / 2.0),
        ("maxWinStreak", 2.0),
        ("maxLossStreak", 2.0),
    ] {
        let found = value(&found, name).unwrap_or_else(|| panic!("{name} is not there"));
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, expected {expected}");
    }
    assert_eq!(METRICS.iter().find(|metric| metric.of(&found).is_none()).map(|metric| metric.name), None);
}

#[test]
fn the_trend_of_the_reference_vector() {
    let mut trend = Trend::default();
    for (index, trade) in (0..).zip(every_other_day(RESULTS)) {
        trend.add(trade.closed_ms, 100.0 * (0.02 * f64::from(index)).exp());
    }
    let line = trend.line().expect("twelve prices are enough");
    assert_eq!(line.direction.name(), "bullish");
    for (name, found, expected) in [
        ("slope", line.slope_percent, 1.0),
        ("confidence", line.confidence, 1.0),
        ("step", line.median_step_percent, 2.020_134_002_675_581_6),
        ("pressure", line.buyer_pressure, 1.0),
        ("strength", line.buyer_strength, 1.0),
    ] {
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, expected {expected}");
    }
}

/// Specification: L-STA-02.
#[test]
fn without_trades_there_are_no_numbers_but_counts() {
    let nothing = Returns::default().statistics();
    let there: Vec<&str> =
        METRICS.iter().filter(|metric| metric.of(&nothing).is_some()).map(|metric| metric.name).collect();
    assert_eq!(there, ["totalSignals", "winCount", "lossCount"]);
    assert_eq!(Summary::default().orders.activation_rate(), None);
}

/// What nine trades cannot carry and ten can.
const RATIOS: [&str; 5] = ["stdDev", "sharpeRatio", "sortinoRatio", "certaintyRatio", "expectancy"];

/// Specification: L-STA-04.
#[test]
fn what_a_sample_cannot_carry_is_not_there() {
    let few = usize::try_from(ENOUGH).unwrap() - 1;
    let nine = statistics(&every_other_day(RESULTS[..few].iter().copied()));
    for name in RATIOS.into_iter().chain(["recoveryFactor", "annualizedSharpeRatio", "expectedYearlyReturns"]) {
        assert_eq!(value(&nine, name), None, "{name} of nine trades");
    }
    assert!(value(&nine, "winRate").is_some() && value(&nine, "maxDrawdown").is_some());
    let ten = statistics(&every_other_day(RESULTS[..=few].iter().copied()));
    for name in RATIOS {
        assert!(value(&ten, name).is_some(), "{name} of ten trades");
    }

    let blown = statistics(&every_other_day([&RESULTS[..11], &[-100.0]].concat()));
    assert_eq!((value(&blown, "maxDrawdown"), value(&blown, "finalEquity")), (Some(100.0), Some(0.0)));
    for name in ["expectedYearlyReturns", "calmarRatio", "recoveryFactor"] {
        assert_eq!(value(&blown, name), None, "{name} of a blown account");
    }

    let even = statistics(&every_other_day([0.0; 12]));
    assert_eq!((value(&even, "winRate"), value(&even, "stdDev")), (Some(0.0), Some(0.0)));
    for name in ["sharpeRatio", "sortinoRatio", "certaintyRatio", "calmarRatio", "recoveryFactor", "profitFactor"] {
        assert_eq!(value(&even, name), None, "{name} of trades that all broke even");
    }
}

#[test]
fn where_nobody_won_or_nobody_lost_the_other_side_counts_for_nothing() {
    let won = statistics(&every_other_day([0.25; 10]));
    for name in
        ["avgLoss", "avgLossDuration", "avgConsecutiveLossPnl", "certaintyRatio", "sortinoRatio", "profitFactor"]
    {
        assert_eq!(value(&won, name), None, "{name} of ten wins");
    }
    for name in ["recoveryFactor", "calmarRatio"] {
        assert_eq!(value(&won, name), None, "{name} of an account that never fell");
    }
    // Losses that never came do not make what a trade is worth unknown.
    assert_eq!((value(&won, "expectancy"), value(&won, "avgWin")), (Some(0.25), Some(0.25)));

    let lost = statistics(&every_other_day([-0.5; 10]));
    for name in ["avgWin", "avgWinDuration", "avgConsecutiveWinPnl", "profitFactor"] {
        assert_eq!(value(&lost, name), None, "{name} of ten losses");
    }
    assert_eq!((value(&lost, "expectancy"), value(&lost, "certaintyRatio")), (Some(-0.5), Some(0.0)));
}

#[test]
fn a_trade_that_breaks_even_ends_a_streak_and_belongs_to_none() {
    let cases = [
        ([1.0, 1.0, 1.0], ("maxWinStreak", 3.0), ("avgConsecutiveWinPnl", 3.0)),
        ([1.0, 0.0, 1.0], ("maxWinStreak", 1.0), ("avgConsecutiveWinPnl", 1.0)),
        ([-1.0, -1.0, -1.0], ("maxLossStreak", 3.0), ("avgConsecutiveLossPnl", -3.0)),
        ([-1.0, 0.0, -1.0], ("maxLossStreak", 1.0), ("avgConsecutiveLossPnl", -1.0)),
    ];
    for (results, longest, average) in cases {
        let found = statistics(&every_other_day(results));
        for (name, expected) in [longest, average] {
            assert_eq!(value(&found, name), Some(expected), "{name} of {results:?}");
        }
    }
}

#[test]
fn nothing_is_divided_by_what_is_only_rounding() {
    assert_eq!(value(&statistics(&every_other_day([1.0, -1e-9])), "profitFactor"), None);
    assert!(value(&statistics(&every_other_day([1.0, -1.1e-9])), "profitFactor").is_some());
}

#[test]
fn what_cannot_be_extrapolated_is_not_there() {
    let annual = ["tradesPerYear", "annualizedSharpeRatio", "expectedYearlyReturns", "calmarRatio"];
    let spread = |step: usize, results: &[f64]| -> Statistics {
        let opened = (START..).step_by(step).zip(results);
        statistics(&opened.map(|(opened_ms, result)| trade(opened_ms, *result)).collect::<Vec<_>>())
    };
    // Twelve trades within thirteen days; twelve a day for two weeks; twelve that would make more than doubling.
    let cases = [
        ("a short span", spread(DAY, &RESULTS)),
        ("too many trades a year", spread(2 * 60 * MINUTE, &RESULTS.repeat(20))),
    ];
    for (what, found) in cases {
        for name in annual {
            assert_eq!(value(&found, name), None, "{name} of {what}");
        }
    }
    let steep = spread(2 * DAY, &RESULTS.map(|result| result * 10.0));
    assert!(value(&steep, "annualizedSharpeRatio").is_some());
    assert_eq!(value(&steep, "expectedYearlyReturns"), None);
}

/// Specification: L-STA-05.
#[test]
fn h_18_no_list_is_too_short_for_the_statistics() {
    // Ten thousand wins of one percent after three hundred losses: each of them counts.
    let results = std::iter::repeat_n(-1.0, 300).chain(std::iter::repeat_n(1.0, 10_000));
    let found = statistics(&every_other_day(results));
    assert_eq!((found.trades, found.losses, found.total_pnl), (10_300, 300, Some(9_700.0)));
    assert_eq!((value(&found, "medianPnl"), value(&found, "worstPnl")), (Some(1.0), Some(-1.0)));
    assert_eq!(found.longest_win_streak, Some(10_000));
}

#[test]
fn a_number_displaces_none_and_none_displaces_no_number() {
    let sharpe = Metric::named("sharpeRatio").unwrap();
    let mut sweep: Vec<(u32, Option<f64>)> =
        (0..500).map(|case| (case, (case % 3 != 0).then(|| f64::from((case * 7) % 101)))).collect();
    sweep.sort_by(|(_, left), (_, right)| sharpe.rank(*left, *right));
    assert_eq!(sweep.len(), 500);
    let numbers = sweep.iter().take_while(|(_, value)| value.is_some()).count();
    assert_eq!(numbers, sweep.iter().filter(|(_, value)| value.is_some()).count());
    assert!(sweep[..numbers].is_sorted_by(|(_, left), (_, right)| left >= right));
    // Whoever comes first wins a tie.
    assert!(sweep[..numbers].windows(2).all(|pair| pair[0].1 > pair[1].1 || pair[0].0 < pair[1].0));
}
