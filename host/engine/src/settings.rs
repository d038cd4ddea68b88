//! Fees, limits and distances: the reference's constants by their own names, without the `CC_` (specification 1.7).

use alloc::vec::Vec;
use core::{cmp::Ordering, fmt};

/// Everything the rules can be tuned by. [`Settings::default`] is the reference's default for every field.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Lifetime of an unfilled order, minutes from its acceptance, inclusive.
    pub schedule_await_minutes: u32,
    /// One-minute candles in the average price.
    pub avg_price_candles_count: u32,
    /// Slippage at both ends of a position, percent of the price; it only enters results.
    pub percent_slippage: f64,
    /// Fee at both ends of a position, percent of the traded amount.
    pub percent_fee: f64,
    /// Least distance of the take-profit from the entry, percent; 0 turns the rule off.
    pub min_takeprofit_distance_percent: f64,
    /// Least distance of the stop-loss from the entry, percent; 0 turns the rule off.
    pub min_stoploss_distance_percent: f64,
    /// Greatest distance of the stop-loss from the entry, percent; 0 turns the rule off.
    pub max_stoploss_distance_percent: f64,
    /// Longest lifetime of a position, minutes, and the lifetime of a proposal that names none. 0 turns the rule off,
    /// infinity allows positions without end.
    pub max_signal_lifetime_minutes: f64,
    /// Time a strategy may take for one answer in live trading, seconds.
    pub max_signal_generation_seconds: u32,
    /// Attempts at one request for candles.
    pub get_candles_retry_count: u32,
    /// Pause between two attempts, milliseconds.
    pub get_candles_retry_delay_ms: u64,
    /// A price below the reference price of its batch divided by this is an anomaly.
    pub get_candles_price_anomaly_threshold_factor: f64,
    /// From this many candles on, the reference price is the median; below, the mean.
    pub get_candles_min_candles_for_median: u32,
    /// Breakeven is reported once the price covers both costs and this many percent.
    pub breakeven_threshold: f64,
    /// Amount invested by a proposal that names none, quote currency.
    pub position_entry_cost: f64,
    /// Whether long signals are accepted.
    pub enable_long_signal: bool,
    /// Whether short signals are accepted.
    pub enable_short_signal: bool,
    /// Leverage of a proposal that names none.
    pub signal_leverage_multiplier: f64,
    /// Whether the liquidation price acts as a second stop when a proposal does not say.
    pub signal_isolated_margin: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule_await_minutes: 120,
            avg_price_candles_count: 5,
            percent_slippage: 0.1,
            percent_fee: 0.1,
            min_takeprofit_distance_percent: 0.5,
            min_stoploss_distance_percent: 0.5,
            max_stoploss_distance_percent: 20.0,
            max_signal_lifetime_minutes: 1440.0,
            max_signal_generation_seconds: 180,
            get_candles_retry_count: 3,
            get_candles_retry_delay_ms: 5000,
            get_candles_price_anomaly_threshold_factor: 1000.0,
            get_candles_min_candles_for_median: 5,
            breakeven_threshold: 0.2,
            position_entry_cost: 100.0,
            enable_long_signal: true,
            enable_short_signal: true,
            signal_leverage_multiplier: 1.0,
            signal_isolated_margin: true,
        }
    }
}

/// One setting that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// The field's name.
    pub name: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rule)
    }
}

impl Settings {
    /// Everything that is wrong with these settings, in the order of the fields; empty when they can be used
    /// (specification 1.7, validator rules).
    #[must_use]
    pub fn problems(&self) -> Vec<SettingProblem> {
        let costs = 2.0 * self.percent_slippage + 2.0 * self.percent_fee;
        let lifetime = self.max_signal_lifetime_minutes;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let rules = [
            (self.schedule_await_minutes > 0, "schedule_await_minutes", "must be at least 1"),
            (self.avg_price_candles_count > 0, "avg_price_candles_count", "must be at least 1"),
            (not_negative(self.percent_slippage), "percent_slippage", "must be finite and not negative"),
            (not_negative(self.percent_fee), "percent_fee", "must be finite and not negative"),
            (
                positive(self.min_takeprofit_distance_percent),
                "min_takeprofit_distance_percent",
                "must be finite and positive",
            ),
            (
                !positive(self.min_takeprofit_distance_percent) || self.min_takeprofit_distance_percent >= costs,
                "min_takeprofit_distance_percent",
                "must cover the costs: twice the slippage and twice the fee",
            ),
            (
                positive(self.min_stoploss_distance_percent),
                "min_stoploss_distance_percent",
                "must be finite and positive",
            ),
            (
                positive(self.max_stoploss_distance_percent),
                "max_stoploss_distance_percent",
                "must be finite and positive",
            ),
            (
                self.min_stoploss_distance_percent
                    .partial_cmp(&self.max_stoploss_distance_percent)
                    .is_none_or(Ordering::is_lt),
                "min_stoploss_distance_percent",
                "must be less than max_stoploss_distance_percent",
            ),
            (
                lifetime == f64::INFINITY || (positive(lifetime) && lifetime % 1.0 == 0.0),
                "max_signal_lifetime_minutes",
                "must be a positive whole number or infinity",
            ),
            (self.max_signal_generation_seconds > 0, "max_signal_generation_seconds", "must be at least 1"),
            (
                positive(self.get_candles_price_anomaly_threshold_factor),
                "get_candles_price_anomaly_threshold_factor",
                "must be finite and positive",
            ),
            (self.get_candles_min_candles_for_median > 0, "get_candles_min_candles_for_median", "must be at least 1"),
            (not_negative(self.breakeven_threshold), "breakeven_threshold", "must be finite and not negative"),
            (positive(self.position_entry_cost), "position_entry_cost", "must be finite and positive"),
            (positive(self.signal_leverage_multiplier), "signal_leverage_multiplier", "must be finite and positive"),
        ];
        rules.into_iter().filter(|(holds, ..)| !holds).map(|(_, name, rule)| SettingProblem { name, rule }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn names(settings: &Settings) -> Vec<&'static str> {
        settings.problems().iter().map(|problem| problem.name).collect()
    }

    /// Asserts which values of one setting are refused: the first problem is its own, others may follow from it.
    #[track_caller]
    fn check(name: &'static str, set: fn(&mut Settings, f64), refused: &[f64], accepted: &[f64]) {
        for (values, expected) in [(refused, Some(&name)), (accepted, None)] {
            for value in values {
                let mut settings = Settings::default();
                set(&mut settings, *value);
                assert_eq!(names(&settings).first(), expected, "{name} {value}");
            }
        }
    }

    const NO_NUMBERS: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

    /// Specification: S-CFG-01, S-CFG-02, S-CFG-03, S-CFG-04, S-CFG-05, S-CFG-06.
    #[test]
    fn costs_are_finite_and_not_negative() {
        for refused in [&NO_NUMBERS[..], &[-0.1, -1e-9]] {
            check("percent_slippage", |s, value| s.percent_slippage = value, refused, &[0.0, 0.15]);
            check("percent_fee", |s, value| s.percent_fee = value, refused, &[0.0, 0.15]);
        }
    }

    /// Specification: S-CFG-07, S-CFG-08, S-CFG-09, S-CFG-10.
    #[test]
    fn a_take_profit_must_be_able_to_cover_the_costs() {
        let set = |s: &mut Settings, value| s.min_takeprofit_distance_percent = value;
        let name = "min_takeprofit_distance_percent";
        check(name, set, &NO_NUMBERS, &[]);
        // With the default costs, twice 0.1 and twice 0.1, the least is 0.4.
        check(name, set, &[0.0, -0.5, 0.399], &[0.4, 0.5, 100.0]);
        let dear = Settings { percent_fee: 0.2, ..Settings::default() };
        assert_eq!(names(&dear), [name], "the default of 0.5 is too little for costs of 0.6");
    }

    /// Specification: S-CFG-11, S-CFG-12, S-CFG-13, S-CFG-14, S-CFG-15, S-CFG-16.
    #[test]
    fn the_nearest_stop_is_nearer_than_the_farthest() {
        let least = |s: &mut Settings, value| s.min_stoploss_distance_percent = value;
        let most = |s: &mut Settings, value| s.max_stoploss_distance_percent = value;
        check("min_stoploss_distance_percent", least, &NO_NUMBERS, &[]);
        // The farthest one allowed is at 20 percent.
        check("min_stoploss_distance_percent", least, &[0.0, -1.0, 20.0, 21.0], &[19.999, 0.001]);
        check("max_stoploss_distance_percent", most, &[f64::NAN, f64::INFINITY], &[0.501, 100.0]);
        for too_little in [0.0, -1.0, f64::NEG_INFINITY] {
            let settings = Settings { max_stoploss_distance_percent: too_little, ..Settings::default() };
            assert_eq!(names(&settings), ["max_stoploss_distance_percent", "min_stoploss_distance_percent"]);
        }
    }

    /// Specification: S-CFG-18, S-CFG-21, S-CFG-25, S-CFG-26.
    #[test]
    fn the_other_numbers_have_a_least_value() {
        check(
            "max_signal_lifetime_minutes",
            |s, value| s.max_signal_lifetime_minutes = value,
            &[0.0, -1.0, 1.5, f64::NAN, f64::NEG_INFINITY],
            &[1.0, f64::INFINITY],
        );
        for refused in [&NO_NUMBERS[..], &[0.0, -1.0]] {
            check(
                "get_candles_price_anomaly_threshold_factor",
                |s, value| s.get_candles_price_anomaly_threshold_factor = value,
                refused,
                &[1.0, 1000.0],
            );
            let set = |s: &mut Settings, value| s.signal_leverage_multiplier = value;
            check("signal_leverage_multiplier", set, refused, &[0.5, 125.0]);
            check("position_entry_cost", |s, value| s.position_entry_cost = value, refused, &[0.01]);
        }
        for refused in [&NO_NUMBERS[..], &[-0.1]] {
            check("breakeven_threshold", |s, value| s.breakeven_threshold = value, refused, &[0.0]);
        }
    }

    #[test]
    fn what_is_counted_is_at_least_one() {
        #[track_caller]
        fn check(name: &'static str, set: fn(&mut Settings, u32)) {
            let mut settings = Settings::default();
            set(&mut settings, 0);
            let [problem] = settings.problems()[..] else { panic!("{name}: {:?}", settings.problems()) };
            assert_eq!(problem.to_string(), std::format!("{name} must be at least 1"));
            set(&mut settings, 1);
            assert!(settings.problems().is_empty(), "{name}");
        }
        check("schedule_await_minutes", |s, count| s.schedule_await_minutes = count);
        check("avg_price_candles_count", |s, count| s.avg_price_candles_count = count);
        check("max_signal_generation_seconds", |s, count| s.max_signal_generation_seconds = count);
        check("get_candles_min_candles_for_median", |s, count| s.get_candles_min_candles_for_median = count);
    }

    /// Specification: S-CFG-27, S-CFG-28.
    #[test]
    fn the_defaults_can_be_used_and_every_problem_is_listed_at_once() {
        assert!(Settings::default().problems().is_empty());
        let bad = Settings {
            percent_fee: -0.1,
            min_stoploss_distance_percent: 30.0,
            max_signal_lifetime_minutes: 1.5,
            schedule_await_minutes: 0,
            ..Settings::default()
        };
        assert_eq!(
            names(&bad),
            ["schedule_await_minutes", "percent_fee", "min_stoploss_distance_percent", "max_signal_lifetime_minutes"]
        );
    }
}
