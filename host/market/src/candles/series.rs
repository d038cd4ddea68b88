//! A series: the one-minute candles of one symbol, without gaps.

use sha2::{Digest as _, Sha256};
use sigbox_engine::{Candle, Interval, MINUTE_MS, candle::CandleFault};

use super::{higher::HigherIntervals, time::iso_8601};
use crate::digest::hex;

/// The one-minute candles of one symbol, in memory. They are consecutive, and each one is possible. The series also has
/// the candles of higher intervals. They are made when they are first asked for, and shared by all readers of the
/// series.
///
/// Because no minute is missing, the index of a candle follows from its time: no lookup has to search. Times are
/// milliseconds since the Unix epoch; slices are oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    candles: Vec<Candle>,
    higher: HigherIntervals,
    /// Whether old candles were let go.
    is_cut: bool,
}

/// Series with equal minutes are equal, because everything else is made from the minutes.
impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.candles == other.candles
    }
}

/// Why candles do not make a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// A candle that cannot have happened.
    #[error("the candle of {} is impossible: {fault}", iso_8601(*open_time_ms))]
    Impossible {
        /// When the candle says it opened.
        open_time_ms: i64,
        /// What is wrong with it.
        fault: CandleFault,
    },
    /// A candle is missing, there twice or out of order.
    #[error("the candle of {} comes where the one of {} belongs", iso_8601(*found_ms), iso_8601(*expected_ms))]
    NotNext {
        /// Opening time of the minute that had to come.
        expected_ms: i64,
        /// Opening time of the candle that came.
        found_ms: i64,
    },
    /// The candles are recorded: all of them are there from the beginning.
    #[error("recorded candles do not grow")]
    Recorded,
}

impl Series {
    /// A series without candles. It begins at the first candle that is pushed.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A series of `candles`, oldest first.
    ///
    /// # Errors
    /// At the first candle that is impossible, or that is not the minute after the one before it.
    pub fn new(candles: Vec<Candle>) -> Result<Self, SeriesError> {
        let mut expected_ms = None;
        for candle in &candles {
            check(expected_ms, candle)?;
            expected_ms = Some(candle.close_time_ms());
        }
        Ok(Self { candles, ..Self::default() })
    }

    /// Appends the next minute.
    ///
    /// # Errors
    /// When the candle is impossible or not the next minute; the series is then unchanged.
    pub fn push(&mut self, candle: Candle) -> Result<(), SeriesError> {
        check(self.end_ms(), &candle)?;
        self.candles.push(candle);
        self.higher.grow(&self.candles);
        Ok(())
    }

    /// Lets go of old candles. The last `count` candles of each interval and the minutes that opened at `from_ms` or
    /// later stay. A day of minutes always stays, because the next candle of the longest interval is made from it. An
    /// interval that is first asked for later is made from the minutes that are left.
    pub fn let_go(&mut self, count: usize, from_ms: i64) {
        let spare = self.candles.len().saturating_sub(count.max(LONGEST));
        let old = self.minutes_until(from_ms).min(spare);
        if old > 0 {
            self.candles.drain(..old);
            self.candles.shrink_to(self.candles.len() + LONGEST);
            self.higher.let_go(count);
            self.is_cut = true;
        }
    }

    /// Whether [`let_go`](Self::let_go) has taken any candle.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// All candles that have closed at `now_ms`: those whose closing time is not after it.
    ///
    /// This is the one rule for what is visible; every other function that takes `now_ms` follows it.
    #[must_use]
    #[inline]
    pub fn closed_before(&self, now_ms: i64) -> &[Candle] {
        &self.candles[..self.minutes_until(now_ms)]
    }

    /// The `limit` minutes that end with the last one closed at `now_ms`.
    ///
    /// `None` when not all of them are here. That includes a series that ends before `now_ms`. Otherwise an older
    /// window would be taken for the newest one, and a live run would differ from its replay.
    #[must_use]
    #[inline]
    pub fn last_closed(&self, now_ms: i64, limit: usize) -> Option<&[Candle]> {
        let minutes = self.up_to(now_ms)?;
        minutes.get(minutes.len().checked_sub(limit)?..)
    }

    /// All minutes that have closed at `now_ms`; `None` when the one that closed last is not here.
    #[inline]
    pub(crate) fn up_to(&self, now_ms: i64) -> Option<&[Candle]> {
        let minutes = self.closed_before(now_ms);
        (minutes.last()?.close_time_ms() + MINUTE_MS > now_ms).then_some(minutes)
    }

    /// The last `limit` candles of `interval` that have closed at `now_ms`, aligned to the Unix epoch. Each is made
    /// from all of its minutes. A candle covers a slot of the interval, and its `open_time_ms` is where the slot
    /// begins.
    ///
    /// `None` when not all of their minutes are here, as in [`last_closed`](Self::last_closed).
    #[must_use]
    #[inline]
    pub fn last_closed_of(&self, interval: Interval, now_ms: i64, limit: usize) -> Option<&[Candle]> {
        if interval == Interval::MINUTE {
            return self.last_closed(now_ms, limit);
        }
        if self.closed_before(now_ms).last()?.close_time_ms() < interval.slot(now_ms) {
            return None;
        }
        let closed = self.closed_of(interval, now_ms);
        closed.get(closed.len().checked_sub(limit)?..)
    }

    /// Candles that opened later than `open_ms` and have closed at `now_ms`: the oldest `limit` of them, or as many as
    /// there are. To get what follows, ask again with the opening time of the last one.
    #[must_use]
    #[inline]
    pub fn after(&self, open_ms: i64, now_ms: i64, limit: usize) -> &[Candle] {
        self.after_of(Interval::MINUTE, open_ms, now_ms, limit)
    }

    /// As [`after`](Self::after), of a higher `interval`. Slots of which a minute is missing are skipped.
    #[must_use]
    pub fn after_of(&self, interval: Interval, open_ms: i64, now_ms: i64, limit: usize) -> &[Candle] {
        let closed = self.closed_of(interval, now_ms);
        let rest = &closed[slots_until(closed, interval, open_ms.saturating_add(interval.ms()))..];
        &rest[..limit.min(rest.len())]
    }

    /// Whether every candle that has closed at `now_ms` is here. False for an empty series.
    #[must_use]
    pub fn reaches(&self, now_ms: i64) -> bool {
        self.last_closed(now_ms, 1).is_some()
    }

    /// The candle that opened at `open_ms`, closed or not.
    #[must_use]
    #[inline]
    pub fn at(&self, open_ms: i64) -> Option<&Candle> {
        let candle = self.candles.get(self.minutes_until(open_ms))?;
        (candle.open_time_ms == open_ms).then_some(candle)
    }

    /// When the first candle opened.
    #[must_use]
    pub fn first_open_ms(&self) -> Option<i64> {
        self.candles.first().map(|candle| candle.open_time_ms)
    }

    /// When the last candle closed, which is when the next one opens.
    #[must_use]
    pub fn end_ms(&self) -> Option<i64> {
        self.candles.last().map(Candle::close_time_ms)
    }

    /// How many candles there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.candles.len()
    }

    /// Whether there are no candles.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.candles.is_empty()
    }

    /// SHA-256 over the candles, in hexadecimal. The same candles give the same digest, wherever they came from.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for candle in &self.candles {
            let Candle { open_time_ms, open, high, low, close, volume } = *candle;
            digest.update(open_time_ms.to_le_bytes());
            for number in [open, high, low, close, volume] {
                digest.update(number.to_le_bytes());
            }
        }
        hex(&digest.finalize())
    }

    /// How many of the candles have closed at `at_ms`. This is also the index of the candle that is forming at that
    /// time.
    #[inline]
    fn minutes_until(&self, at_ms: i64) -> usize {
        slots_until(&self.candles, Interval::MINUTE, at_ms)
    }

    /// All candles of `interval` that have closed at `now_ms`.
    fn closed_of(&self, interval: Interval, now_ms: i64) -> &[Candle] {
        if interval == Interval::MINUTE {
            return self.closed_before(now_ms);
        }
        let higher = self.higher.get(interval, &self.candles);
        &higher[..slots_until(higher, interval, now_ms)]
    }
}

/// Minutes of the longest interval.
const LONGEST: usize = 24 * 60;

/// How many of `candles` have closed at `at_ms`. They are consecutive candles of `interval`.
#[inline]
fn slots_until(candles: &[Candle], interval: Interval, at_ms: i64) -> usize {
    let Some(first) = candles.first() else { return 0 };
    // Divides by the minute first: `Interval::slot` says why.
    let minutes = at_ms.saturating_sub(first.open_time_ms).div_euclid(MINUTE_MS);
    let slots = minutes.div_euclid(i64::from(interval.minutes()));
    usize::try_from(slots.max(0)).map_or(candles.len(), |slots| slots.min(candles.len()))
}

/// Checks that `candle` is possible and is the minute `expected_ms`. With `None` a series begins, at any minute.
fn check(expected_ms: Option<i64>, candle: &Candle) -> Result<(), SeriesError> {
    let found_ms = candle.open_time_ms;
    if let Some(fault) = candle.fault() {
        return Err(SeriesError::Impossible { open_time_ms: found_ms, fault });
    }
    match expected_ms {
        Some(expected_ms) if expected_ms != found_ms => Err(SeriesError::NotNext { expected_ms, found_ms }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Recipe, generate},
        *,
    };
    use proptest::prelude::*;

    /// A candle whose numbers tell which minute it is.
    fn minute(index: i64) -> Candle {
        #[expect(clippy::cast_precision_loss, reason = "test minutes are small")]
        let open = 1000.0 + index as f64;
        Candle {
            open_time_ms: index * MINUTE_MS,
            open,
            high: open + 3.0,
            low: open - 2.0,
            close: open + 1.0,
            volume: 0.1,
        }
    }

    /// The minutes from `from` on, before `until`.
    fn series(from: i64, until: i64) -> Series {
        Series::new((from..until).map(minute).collect()).unwrap()
    }

    /// Which minutes a window holds.
    fn indices(window: &[Candle]) -> Vec<i64> {
        window.iter().map(|candle| candle.open_time_ms / MINUTE_MS).collect()
    }

    fn interval(name: &str) -> Interval {
        name.parse().unwrap()
    }

    /// Specification: L-LOK-03.
    #[test]
    fn a_candle_is_visible_from_the_millisecond_it_closes_and_not_before() {
        let series = series(10, 13);
        let cases = [
            (i64::MIN, vec![]),
            (10 * MINUTE_MS, vec![]),
            (11 * MINUTE_MS - 1, vec![]),
            (11 * MINUTE_MS, vec![10]),
            (12 * MINUTE_MS - 1, vec![10]),
            (13 * MINUTE_MS - 1, vec![10, 11]),
            (13 * MINUTE_MS, vec![10, 11, 12]),
            (i64::MAX, vec![10, 11, 12]),
        ];
        for (now_ms, visible) in cases {
            assert_eq!(indices(series.closed_before(now_ms)), visible, "{now_ms}");
        }
        assert!(Series::empty().closed_before(i64::MAX).is_empty());
    }

    /// Specification: S-EXC-01, L-CCH-01, L-CCH-02, L-CCH-03.
    #[test]
    fn a_window_is_exact_or_absent() {
        let series = series(10, 20);
        let cases = [
            (15 * MINUTE_MS, 5, Some(vec![10, 11, 12, 13, 14])),
            (15 * MINUTE_MS, 6, None),
            (15 * MINUTE_MS, usize::MAX, None),
            (15 * MINUTE_MS + 59_999, 2, Some(vec![13, 14])),
            (15 * MINUTE_MS, 0, Some(vec![])),
            (10 * MINUTE_MS, 1, None),
            (9 * MINUTE_MS, 1, None),
            (20 * MINUTE_MS, 1, Some(vec![19])),
            (21 * MINUTE_MS - 1, 1, Some(vec![19])),
            // Minute 20 has closed but is not here.
            (21 * MINUTE_MS, 1, None),
            (i64::MAX, 1, None),
            (i64::MIN, 1, None),
        ];
        for (now_ms, limit, expected) in cases {
            assert_eq!(series.last_closed(now_ms, limit).map(indices), expected, "{now_ms} {limit}");
        }
        assert_eq!(Series::empty().last_closed(0, 1), None);
    }

    #[test]
    fn a_series_reaches_a_time_until_the_next_candle_should_have_closed() {
        let series = series(10, 20);
        let cases = [(10, false), (11, true), (20, true), (21, false)];
        for (now, expected) in cases {
            assert_eq!(series.reaches(now * MINUTE_MS), expected, "{now}");
        }
        assert!(series.reaches(21 * MINUTE_MS - 1));
        assert!(!Series::empty().reaches(0));
    }

    #[test]
    fn paging_onwards_yields_every_closed_candle_once() {
        let series = series(10, 20);
        let now_ms = 18 * MINUTE_MS + 30_000;
        let cases = [
            (i64::MIN, 3, vec![10, 11, 12]),
            (9 * MINUTE_MS, 3, vec![10, 11, 12]),
            (10 * MINUTE_MS, 3, vec![11, 12, 13]),
            (10 * MINUTE_MS + 1, 1, vec![11]),
            (11 * MINUTE_MS - 1, 1, vec![11]),
            (15 * MINUTE_MS, 100, vec![16, 17]),
            (15 * MINUTE_MS, usize::MAX, vec![16, 17]),
            (17 * MINUTE_MS, 3, vec![]),
            (18 * MINUTE_MS, 3, vec![]),
            (i64::MAX, 3, vec![]),
            (10 * MINUTE_MS, 0, vec![]),
        ];
        for (open_ms, limit, expected) in cases {
            assert_eq!(indices(series.after(open_ms, now_ms, limit)), expected, "{open_ms} {limit}");
        }
        assert!(series.after(i64::MIN, 0, 5).is_empty());
        assert!(Series::empty().after(i64::MIN, i64::MAX, 5).is_empty());
    }

    #[test]
    fn a_higher_candle_is_made_of_all_its_minutes_in_order() {
        let series = series(0, 12);
        let made = series.last_closed_of(interval("5m"), 12 * MINUTE_MS, 2).unwrap();
        let volume = 0.1 + 0.1 + 0.1 + 0.1 + 0.1;
        let expected = [
            Candle { open_time_ms: 0, open: 1000.0, high: 1007.0, low: 998.0, close: 1005.0, volume },
            Candle { open_time_ms: 5 * MINUTE_MS, open: 1005.0, high: 1012.0, low: 1003.0, close: 1010.0, volume },
        ];
        assert_eq!(made, expected);
        assert_eq!(series.last_closed_of(Interval::MINUTE, 12 * MINUTE_MS, 1).unwrap(), [minute(11)]);
    }

    /// Specification: L-LOK-02, L-CCH-04.
    #[test]
    fn higher_candles_are_aligned_complete_and_closed_or_absent() {
        let cases = [
            // series, now, limit, opening minutes
            ((0, 12), 10 * MINUTE_MS, 2, Some(vec![0, 5])),
            ((0, 12), 10 * MINUTE_MS - 1, 2, None),
            ((0, 12), 10 * MINUTE_MS - 1, 1, Some(vec![0])),
            ((0, 12), 10 * MINUTE_MS, 3, None),
            ((0, 12), 10 * MINUTE_MS, usize::MAX, None),
            ((0, 12), 5 * MINUTE_MS, 0, Some(vec![])),
            // The first slot lacks its first minute.
            ((1, 12), 12 * MINUTE_MS, 1, Some(vec![5])),
            ((1, 12), 12 * MINUTE_MS, 2, None),
            ((1, 4), 4 * MINUTE_MS, 1, None),
            // The series may end inside the slot that is forming, but not before that slot.
            ((0, 12), 15 * MINUTE_MS - 1, 1, Some(vec![5])),
            ((0, 12), 15 * MINUTE_MS, 1, None),
            ((0, 10), 15 * MINUTE_MS - 1, 1, Some(vec![5])),
            // Slots before the epoch are aligned as well.
            ((-7, 0), 0, 1, Some(vec![-5])),
        ];
        for ((from, until), now_ms, limit, expected) in cases {
            let made = series(from, until).last_closed_of(interval("5m"), now_ms, limit).map(<[_]>::to_vec);
            assert_eq!(made.as_deref().map(indices), expected, "{from}..{until} {now_ms} {limit}");
        }
        assert_eq!(Series::empty().last_closed_of(interval("1h"), 0, 1), None);
    }

    #[test]
    fn windows_of_a_series_that_lets_go_are_those_of_one_that_keeps_all() {
        const DAY: i64 = 24 * 60;
        let (count, intervals) = (100, ["1m", "3m", "15m", "1h", "4h", "1d"].map(interval));
        let (mut kept, mut cut) = (Series::empty(), Series::empty());
        for index in 7..7 + 6 * DAY {
            kept.push(minute(index)).unwrap();
            cut.push(minute(index)).unwrap();
            if index % 100 == 0 {
                cut.let_go(count, (index - 30) * MINUTE_MS);
            }
            if index % 37 == 0 || index % DAY == 0 {
                let now_ms = (index + 1) * MINUTE_MS;
                for interval in intervals {
                    for limit in [1, 3, 25, count] {
                        let window =
                            |series: &Series| series.last_closed_of(interval, now_ms, limit).map(<[_]>::to_vec);
                        assert_eq!(window(&cut), window(&kept), "{limit} of {interval} at {index}");
                    }
                }
            }
        }
        assert!(cut.is_cut() && !kept.is_cut());
        assert!(cut.len() < usize::try_from(DAY).unwrap() + 100, "{} are left", cut.len());
    }

    #[test]
    fn what_is_needed_is_not_let_go() {
        const DAY: i64 = 24 * 60;
        let first_after = |count: usize, from: i64| {
            let mut series = series(0, 10 * DAY);
            series.let_go(count, from.saturating_mul(MINUTE_MS));
            series.first_open_ms().unwrap() / MINUTE_MS
        };
        let days = |days: i64| usize::try_from(days * DAY).unwrap();
        assert_eq!(first_after(days(2), i64::MAX / MINUTE_MS), 8 * DAY, "the last ones are asked for");
        assert_eq!(first_after(days(2), 3 * DAY), 3 * DAY, "something is judged on these");
        assert_eq!(first_after(0, i64::MAX / MINUTE_MS), 9 * DAY, "the next daily candle is made of them");
        for (count, from) in [(days(10), i64::MAX / MINUTE_MS), (usize::MAX, 5), (0, 0), (0, -5)] {
            assert_eq!(first_after(count, from), 0);
        }
    }

    #[test]
    fn a_candle_is_found_by_its_opening_time_only() {
        let series = series(10, 13);
        assert_eq!(series.at(12 * MINUTE_MS), Some(&minute(12)));
        for open_ms in [9 * MINUTE_MS, 12 * MINUTE_MS + 1, 13 * MINUTE_MS, i64::MIN, i64::MAX] {
            assert_eq!(series.at(open_ms), None, "{open_ms}");
        }
    }

    #[test]
    fn the_ends_of_a_series_are_its_first_opening_and_its_last_closing() {
        let series = series(10, 13);
        assert_eq!(
            (series.first_open_ms(), series.end_ms(), series.len()),
            (Some(10 * MINUTE_MS), Some(13 * MINUTE_MS), 3)
        );
        let empty = Series::empty();
        assert_eq!((empty.first_open_ms(), empty.end_ms(), empty.is_empty()), (None, None, true));
    }

    /// Specification: L-CCH-05, L-CCH-06.
    #[test]
    fn only_the_next_possible_minute_can_follow() {
        let after_minute_1 = [
            (minute(2), None),
            (minute(1), Some("the candle of 1970-01-01T00:01:00Z comes where the one of 1970-01-01T00:02:00Z belongs")),
            (minute(3), Some("the candle of 1970-01-01T00:03:00Z comes where the one of 1970-01-01T00:02:00Z belongs")),
            (
                Candle { close: f64::NAN, ..minute(2) },
                Some("the candle of 1970-01-01T00:02:00Z is impossible: a price or the volume is not a finite number"),
            ),
        ];
        for (candle, expected) in after_minute_1 {
            let made = Series::new(vec![minute(0), minute(1), candle]).map(|_| ());
            let mut pushed = series(0, 2);
            let answer = pushed.push(candle);
            assert_eq!(made, answer);
            assert_eq!(answer.map_err(|error| error.to_string()).err().as_deref(), expected);
            assert_eq!(pushed.len(), if expected.is_none() { 3 } else { 2 });
        }
        assert!(matches!(
            Series::new(vec![Candle { open_time_ms: 1, ..minute(0) }]),
            Err(SeriesError::Impossible { fault: CandleFault::Unaligned, .. })
        ));
    }

    /// The candles that `last_closed_of` must answer with, made anew from the minutes.
    fn made_anew(minutes: &[Candle], interval: Interval, now_ms: i64) -> Vec<Candle> {
        let closed: Vec<&Candle> = minutes.iter().filter(|candle| candle.close_time_ms() <= now_ms).collect();
        let of_slot = |slot_ms: i64| -> Vec<&Candle> {
            closed.iter().copied().filter(|candle| interval.slot(candle.open_time_ms) == slot_ms).collect()
        };
        let mut slots: Vec<i64> = closed.iter().map(|candle| interval.slot(candle.open_time_ms)).collect();
        slots.dedup();
        let whole = slots.into_iter().map(of_slot).filter(|minutes| minutes.len() == usize::from(interval.minutes()));
        let candles = whole.map(|minutes| Candle {
            open_time_ms: minutes[0].open_time_ms,
            open: minutes[0].open,
            high: minutes.iter().map(|minute| minute.high).fold(f64::MIN, f64::max),
            low: minutes.iter().map(|minute| minute.low).fold(f64::MAX, f64::min),
            close: minutes[minutes.len() - 1].close,
            volume: minutes.iter().skip(1).fold(minutes[0].volume, |volume, minute| volume + minute.volume),
        });
        candles.collect()
    }

    /// Something that is done to a series.
    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Ask { interval: &'static str, now: i64, limit: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let intervals = vec!["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d"];
        prop_oneof![
            (1..90_usize).prop_map(Step::Push),
            (proptest::sample::select(intervals), -90..30_i64, 0..30_usize)
                .prop_map(|(interval, now, limit)| Step::Ask { interval, now, limit }),
        ]
    }

    proptest! {
        #[test]
        fn higher_candles_kept_beside_the_minutes_are_those_made_anew(
            start in -3000_i64..3000,
            seed in any::<u64>(),
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let recipe = Recipe { seed, start_ms: 0, minutes: 3600, price: 100.0, volatility_percent: 1.0 };
            let mut coming = generate(&recipe).unwrap().into_iter();
            let mut series = Series::empty();
            for step in steps {
                match step {
                    Step::Push(count) => {
                        for candle in coming.by_ref().take(count) {
                            let open_time_ms = candle.open_time_ms + start * MINUTE_MS;
                            series.push(Candle { open_time_ms, ..candle }).unwrap();
                        }
                    }
                    Step::Ask { interval: name, now, limit } => {
                        let Some(end_ms) = series.end_ms() else { continue };
                        // In the past, in the middle of a minute, and beyond the end.
                        let (interval, now_ms) = (interval(name), end_ms + now * MINUTE_MS + i64::from(seed % 2 == 0));
                        let expected = made_anew(series.closed_before(i64::MAX), interval, now_ms);
                        let reaches = series.closed_before(now_ms).last().is_some_and(|last| {
                            last.close_time_ms() >= interval.slot(now_ms)
                        });
                        let window = expected.len().checked_sub(limit).filter(|_| reaches).map(|from| &expected[from..]);
                        prop_assert_eq!(series.last_closed_of(interval, now_ms, limit), window);
                        let after = expected.get(expected.len() / 2).map_or(i64::MIN, |candle| candle.open_time_ms);
                        let rest: Vec<Candle> =
                            expected.iter().copied().filter(|candle| candle.open_time_ms > after).take(limit).collect();
                        prop_assert_eq!(series.after_of(interval, after, now_ms, limit), rest);
                    }
                }
            }
        }
    }

    #[test]
    fn higher_candles_are_made_once_for_all_who_ask() {
        let mut series = series(0, 30);
        let first = series.last_closed_of(interval("5m"), 30 * MINUTE_MS, 1).unwrap().as_ptr();
        assert_eq!(series.last_closed_of(interval("5m"), 30 * MINUTE_MS, 1).unwrap().as_ptr(), first);
        assert_eq!(series, self::series(0, 30), "what was made from them does not make two series different");
        (30..35).for_each(|index| series.push(minute(index)).unwrap());
        assert_eq!(indices(series.last_closed_of(interval("5m"), 35 * MINUTE_MS, 2).unwrap()), [25, 30]);
    }
}
