//! A sample of numbers: its mean, its spread and its percentiles.

use alloc::vec::Vec;

/// A sample of numbers. Percentiles are of the newest numbers, as many as there is [room](Sample::with_room) for;
/// without a limit, of all numbers. Everything else is always of all numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The newest numbers, in no order.
    numbers: Vec<f64>,
    /// The place of the oldest of them, once there is no more room.
    oldest: usize,
    room: usize,
    len: u64,
    sum: f64,
    mean: f64,
    /// Sum of the squared distances to the mean (Welford).
    squares: f64,
    extremes: Option<(f64, f64)>,
}

impl Default for Sample {
    fn default() -> Self {
        Self::with_room(usize::MAX)
    }
}

impl Sample {
    /// A sample whose percentiles are of the newest `room` numbers, so that its memory does not grow over years.
    #[must_use]
    pub const fn with_room(room: usize) -> Self {
        Self { numbers: Vec::new(), oldest: 0, room, len: 0, sum: 0.0, mean: 0.0, squares: 0.0, extremes: None }
    }

    /// Adds one.
    pub fn add(&mut self, number: f64) {
        if self.numbers.len() < self.room {
            self.numbers.push(number);
        } else if let Some(oldest) = self.numbers.get_mut(self.oldest) {
            *oldest = number;
            self.oldest = (self.oldest + 1) % self.room;
        }
        self.len += 1;
        self.sum += number;
        let distance = number - self.mean;
        self.mean += distance / super::count(self.len);
        self.squares += distance * (number - self.mean);
        let (least, most) = self.extremes.unwrap_or((number, number));
        self.extremes = Some((least.min(number), most.max(number)));
    }

    /// How many were added.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no number was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their sum; 0 for none.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Their mean; `None` for none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum / super::count(self.len))
    }

    /// Their standard deviation, as that of a sample: `None` for fewer than two.
    #[must_use]
    pub fn deviation(&self) -> Option<f64> {
        (self.len > 1).then(|| libm::sqrt(self.squares / super::count(self.len - 1)))
    }

    /// The smallest and the largest; `None` for none.
    #[must_use]
    pub const fn extremes(&self) -> Option<(f64, f64)> {
        self.extremes
    }

    /// The percentiles at `percent`, interpolated between neighbouring numbers; `None` without a number.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, percent: [f64; N]) -> Option<[f64; N]> {
        let last = self.numbers.len().checked_sub(1)?;
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "the length of a list stays far below 2^52")]
        let places = percent.map(|percent| percent.clamp(0.0, 100.0) / 100.0 * last as f64);
        Some(places.map(|place| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the last index")]
            let below = place as usize;
            let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
            #[expect(clippy::cast_precision_loss, reason = "the length of a list stays far below 2^52")]
            let share = place - below as f64;
            low + (high - low) * share
        }))
    }

    /// The middle one, or the mean of the two in the middle; `None` for none.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.percentiles([50.0]).map(|[median]| median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(numbers: &[f64]) -> Sample {
        let mut sample = Sample::default();
        for number in numbers {
            sample.add(*number);
        }
        sample
    }

    /// Specification: L-STA-09.
    #[test]
    fn percentiles_lie_between_neighbours_in_proportion() {
        let found = sample(&[4.0, 1.0, 3.0, 2.0]).percentiles([0.0, 50.0, 95.0, 99.0, 100.0]).unwrap();
        for (found, expected) in found.into_iter().zip([1.0, 2.5, 3.85, 3.97, 4.0]) {
            assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
        }
        assert_eq!(sample(&[7.0]).percentiles([50.0, 99.0]), Some([7.0, 7.0]));
        assert_eq!(sample(&[0.0, 0.0]).percentiles([95.0]), Some([0.0]));
        assert_eq!(sample(&[]).median(), None);
        assert_eq!((sample(&[]).mean(), sample(&[1.0, 2.0]).mean()), (None, Some(1.5)));
    }

    #[test]
    fn without_room_for_all_only_percentiles_are_of_the_newest() {
        let mut sample = Sample::with_room(3);
        for number in [100.0, 1.0, 2.0, 3.0, 4.0] {
            sample.add(number);
        }
        assert_eq!((sample.len(), sample.sum(), sample.extremes()), (5, 110.0, Some((1.0, 100.0))));
        assert_eq!(sample.percentiles([0.0, 50.0, 100.0]), Some([2.0, 3.0, 4.0]));
        let mut none = Sample::with_room(0);
        none.add(1.0);
        assert_eq!((none.len(), none.median()), (1, None));
    }

    #[test]
    fn a_deviation_is_that_of_a_sample() {
        assert_eq!(sample(&[1.0]).deviation(), None);
        let deviation = sample(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).deviation().unwrap();
        assert!((deviation - libm::sqrt(32.0 / 7.0)).abs() < 1e-12, "{deviation}");
        // Far from zero, where the difference of two sums of squares would be all rounding.
        let far = sample(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]).deviation().unwrap();
        assert!((far - 1.0).abs() < 1e-9, "{far}");
    }
}
