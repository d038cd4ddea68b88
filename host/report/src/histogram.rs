//! Histograms: how numbers are distributed.

/// The count of numbers in each of several ranges of the same width, one next to the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    /// The ranges, ascending; empty ranges between others are included.
    pub(crate) bins: Vec<Bin>,
}

/// A range of numbers, from `from`, inclusive, up to `to`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    /// The lower border.
    pub(crate) from: f64,
    /// The upper border.
    pub(crate) to: f64,
    /// How many numbers are in the range.
    pub(crate) count: u64,
}

/// Fewer ranges show no shape, more of them show only noise.
const USUAL_BINS: f64 = 24.0;

impl Histogram {
    /// The histogram of `numbers`, without NaN and infinities. If the ranges reach zero, one border is at zero, so that
    /// gains and losses never share a bar.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(most)) = (numbers.first(), numbers.last()) else { return Self::default() };
        // Half of the span, because the whole difference of two large numbers may be too large for a float.
        let half = most / 2.0 - least / 2.0;
        let width = round_number(if half > 0.0 { half } else { least.abs() } / (USUAL_BINS / 2.0));
        let place = |number: f64| (number / width).floor();
        let first = place(*least);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "there are few ranges")]
        let index = |number: f64| (place(number) - first) as usize;
        let mut counts = vec![0; index(*most) + 1];
        for number in numbers {
            counts[index(number)] += 1;
        }
        let bin = |(index, count)| Bin { from: (first + index) * width, to: (first + index + 1.0) * width, count };
        Self { bins: (0_u32..).map(f64::from).zip(counts).map(bin).collect() }
    }
}

/// The smallest of 1, 2, 5, 10, … and 0.5, 0.2, 0.1, … that is not below `number`.
fn round_number(number: f64) -> f64 {
    let exponent = number.log10().floor();
    let exponent = if exponent.is_finite() { exponent } else { -2.0 };
    let power = 10_f64.powf(exponent);
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= number * (1.0 - 1e-9));
    // Near the smallest and the largest numbers, floats do not have this power.
    let width = digit.unwrap_or(10.0) * power;
    if width.is_normal() { width } else { number.clamp(f64::MIN_POSITIVE, f64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    #[test]
    fn every_trade_is_counted_once_and_in_its_range() {
        for (seed, count) in [(1, 1), (2, 7), (3, 5000)] {
            let results: Vec<f64> =
                made_up::trades(seed, count, &[("s", "BTCUSDT")]).iter().map(|row| row.trade.result_percent).collect();
            let Histogram { bins } = Histogram::of(results.iter().copied());
            assert!(bins.len() <= 2 + 24, "{bins:?}");
            assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), count as u64);
            let losses: u64 = bins.iter().filter(|bin| bin.to <= 0.0).map(|bin| bin.count).sum();
            assert_eq!(losses, results.iter().filter(|result| **result < 0.0).count() as u64, "{bins:?}");
            assert!(bins.windows(2).all(|pair| (pair[0].to - pair[1].from).abs() < 1e-9), "{bins:?}");
        }
    }

    #[test]
    fn whatever_the_numbers() {
        let counts = |numbers: &[f64]| {
            let bins = Histogram::of(numbers.iter().copied()).bins;
            assert!(bins.len() < 30, "{numbers:?}: {}", bins.len());
            bins.iter().map(|bin| bin.count).sum::<u64>()
        };
        assert_eq!(counts(&[]), 0);
        assert_eq!(counts(&[0.0, 0.0]), 2);
        assert_eq!(counts(&[-0.4, -0.4]), 2);
        assert_eq!(counts(&[f64::NAN, f64::INFINITY, 1.0]), 1);
        assert_eq!(counts(&[f64::MIN, f64::MAX]), 2);
        assert_eq!(counts(&[f64::MIN_POSITIVE, 0.0, 5e-324]), 3);
        assert_eq!(counts(&[1e15, 1e15 + 1.0]), 2);
    }

    #[test]
    fn widths_are_round() {
        for (number, expected) in [(0.9, 1.0), (1.0, 1.0), (1.1, 2.0), (0.03, 0.05), (7.0, 10.0), (0.0, 0.01)] {
            assert!((round_number(number) - expected).abs() < 1e-12, "{number}: {}", round_number(number));
        }
    }
}
