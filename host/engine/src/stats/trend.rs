//! The trend of the prices that trades were closed at (specification 11.3, price profile).

use super::{DAY_MS, ENOUGH, count, sample::Sample, span_ms};

/// The prices that the trades on one symbol were closed at, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend {
    first: Option<Point>,
    last: Option<Point>,
    points: u64,
    /// Relative changes from one price to the next, without their sign.
    steps: Sample,
    ups: Side,
    downs: Side,
    line: Regression,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at_ms: i64,
    price: f64,
}

/// Steps in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Side {
    steps: u64,
    sum: f64,
}

/// A line through points, by least squares. Moments are kept about the means, so that neither large times nor large
/// prices cost precision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Regression {
    points: f64,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

/// Which way the prices go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Bullish,
    /// Down.
    Bearish,
    /// Along a line, but hardly up or down.
    Neutral,
    /// Along no line.
    Sideways,
}

/// What prices at closes say about a market.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrendLine {
    /// Which way they go.
    pub direction: Direction,
    /// Slope of the line through their logarithms, percent a day.
    pub slope_percent: f64,
    /// How well that line fits: from 0 to 1.
    pub confidence: f64,
    /// The median change from one price to the next, without its sign, percent.
    pub median_step_percent: f64,
    /// Steps upwards as a share of all steps; the rest went downwards.
    pub buyer_pressure: f64,
    /// Sum of the steps upwards as a share of the sum of all steps; the rest went downwards.
    pub buyer_strength: f64,
}

impl Direction {
    /// The direction as reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bullish => "bullish",
            Self::Bearish => "bearish",
            Self::Neutral => "neutral",
            Self::Sideways => "sideways",
        }
    }
}

/// A line that fits worse than this says nothing.
const LEAST_CONFIDENCE: f64 = 0.30;

/// A slope below this share of the median step counts as none.
const LEAST_SLOPE: f64 = 0.25;

impl Trend {
    /// Adds the price of the next close.
    pub fn add(&mut self, at_ms: i64, price: f64) {
        // A price is positive and finite wherever a trade was closed; a log from elsewhere may hold anything.
        if !(price > 0.0 && price.is_finite()) {
            return;
        }
        let point = Point { at_ms, price };
        let first = *self.first.get_or_insert(point);
        if let Some(last) = self.last.replace(point) {
            let step = (price - last.price) / last.price;
            self.steps.add(step.abs());
            if step != 0.0 {
                let side = if step > 0.0 { &mut self.ups } else { &mut self.downs };
                side.steps += 1;
                side.sum += step.abs();
            }
        }
        self.points += 1;
        self.line.add(span_ms(first.at_ms, at_ms) / DAY_MS, libm::log(price / first.price));
    }

    /// What they say; `None` while there are too few, or while they do not move.
    #[must_use]
    pub fn line(&self) -> Option<TrendLine> {
        if self.points < ENOUGH {
            return None;
        }
        let median_step_percent = self.steps.median()? * 100.0;
        let (slope, confidence) = self.line.slope()?;
        let slope_percent = slope * 100.0;
        let share = |up: f64, down: f64| (up + down > 0.0).then(|| up / (up + down));
        let direction = if confidence < LEAST_CONFIDENCE {
            Direction::Sideways
        } else if slope_percent.abs() < LEAST_SLOPE * median_step_percent {
            Direction::Neutral
        } else if slope_percent > 0.0 {
            Direction::Bullish
        } else {
            Direction::Bearish
        };
        Some(TrendLine {
            direction,
            slope_percent,
            confidence,
            median_step_percent,
            buyer_pressure: share(count(self.ups.steps), count(self.downs.steps))?,
            buyer_strength: share(self.ups.sum, self.downs.sum)?,
        })
    }
}

impl Regression {
    fn add(&mut self, x: f64, y: f64) {
        self.points += 1.0;
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.points;
        self.mean_y += from_y / self.points;
        self.xx += from_x * (x - self.mean_x);
        self.xy += from_x * (y - self.mean_y);
        self.yy += from_y * (y - self.mean_y);
    }

    /// The slope and the share of the spread that the line explains; `None` for points on one vertical.
    fn slope(&self) -> Option<(f64, f64)> {
        if self.xx <= 0.0 {
            return None;
        }
        let explained = if self.yy > 0.0 { self.xy * self.xy / (self.xx * self.yy) } else { 0.0 };
        Some((self.xy / self.xx, explained.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_DAYS: usize = 2 * 86_400_000;

    fn line(prices: impl IntoIterator<Item = f64>) -> Option<TrendLine> {
        let mut trend = Trend::default();
        for (at_ms, price) in (0..).step_by(TWO_DAYS).zip(prices) {
            trend.add(at_ms, price);
        }
        trend.line()
    }

    #[test]
    fn directions() {
        let growing = |rate: f64| (0..20).map(move |i| 100.0 * libm::exp(rate * f64::from(i)));
        assert_eq!(line(growing(0.02)).unwrap().direction, Direction::Bullish);
        assert_eq!(line(growing(-0.02)).unwrap().direction, Direction::Bearish);
        // Up and down by two percent around a line that hardly rises.
        let zigzag = (0..20).map(|i| 100.0 + f64::from(i % 2) * 2.0);
        assert_eq!(line(zigzag).unwrap().direction, Direction::Sideways);
        // The line fits, but its slope is small beside the median step.
        let stairs = (0..20).map(|i| 100.0 * libm::exp(0.001 * f64::from(i) + f64::from(i % 2) * 0.006));
        let stairs = line(stairs).unwrap();
        assert!(stairs.confidence >= 0.30 && stairs.direction == Direction::Neutral, "{stairs:?}");
    }

    /// Ten prices that moved by `step` from one to the next, and the line through them, given by its slope and by the
    /// spread of the prices.
    fn trend(step: f64, slope: f64, spread: f64) -> Trend {
        let mut steps = Sample::default();
        steps.add(step);
        let line = Regression { xx: 1.0, xy: slope, yy: spread, ..Regression::default() };
        Trend { points: ENOUGH, steps, ups: Side { steps: 1, sum: step }, line, ..Trend::default() }
    }

    #[test]
    fn a_line_on_a_threshold_says_what_lies_beyond_it() {
        let cases = [
            // A slope of a quarter of a step counts.
            (trend(1.0, 0.25, 0.0625), Direction::Bullish),
            (trend(1.0, -0.25, 0.0625), Direction::Bearish),
            (trend(1.0, 0.24, 0.0576), Direction::Neutral),
            (trend(1.0, 0.0, 0.0), Direction::Sideways),
            // A line that explains 9 of a spread of 30 fits.
            (trend(1.0, 3.0, 30.0), Direction::Bullish),
            (trend(1.0, 3.0, 30.1), Direction::Sideways),
        ];
        for (trend, direction) in cases {
            assert_eq!(trend.line().unwrap().direction, direction, "{trend:?}");
        }
    }

    #[test]
    fn too_few_prices_and_prices_that_stand_still_say_nothing() {
        assert_eq!(line((0..9).map(|i| 100.0 + f64::from(i))), None);
        assert!(line((0..10).map(|i| 100.0 + f64::from(i))).is_some());
        assert_eq!(line(core::iter::repeat_n(100.0, 20)), None);
        let mut trend = Trend::default();
        for _ in 0..20 {
            trend.add(7, 100.0);
        }
        assert_eq!(trend.line(), None);
    }

    #[test]
    fn a_trend_does_not_depend_on_the_currency() {
        let prices = (0..20).map(|i| 100.0 + f64::from(i) + f64::from(i % 3));
        // By a power of two, so that nothing is rounded.
        for exponent in [-600, 600] {
            let scaled = prices.clone().map(|price| libm::ldexp(price, exponent));
            assert_eq!(line(scaled), line(prices.clone()), "{exponent}");
        }
    }

    #[test]
    fn what_cannot_be_a_price_is_left_out() {
        let mut trend = Trend::default();
        trend.add(7, 100.0);
        let before = trend.clone();
        for absurd in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            trend.add(8, absurd);
            assert_eq!(trend, before, "{absurd}");
        }
    }

    #[test]
    fn steps_up_and_down_are_counted_and_added_up() {
        // Five times up by a quarter, four times down by a fifth.
        let line = line((0..10).map(|i| if i % 2 == 0 { 100.0 } else { 125.0 })).unwrap();
        assert_eq!((line.median_step_percent, line.buyer_pressure), (25.0, 5.0 / 9.0));
        assert!((line.buyer_strength - 1.25 / (1.25 + 0.8)).abs() < 1e-12, "{line:?}");
    }
}
