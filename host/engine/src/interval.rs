//! Intervals, and the aligned slots they cut time into.

use core::{fmt, str::FromStr};

use crate::candle::MINUTE_MS;

/// A whole number of minutes with a name, `1m` to `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    minutes: u16,
}

/// Every interval there is, ascending (specification 1.1). Names are case-sensitive, as exchanges have them.
const ALL: [(&str, u16); 12] = [
    ("1m", 1),
    ("3m", 3),
    ("5m", 5),
    ("15m", 15),
    ("30m", 30),
    ("1h", 60),
    ("2h", 120),
    ("4h", 240),
    ("6h", 360),
    ("8h", 480),
    ("12h", 720),
    ("1d", 1440),
];

impl Interval {
    /// One minute.
    pub const MINUTE: Self = Self { minutes: 1 };

    /// Intervals a strategy may be asked at.
    pub const SIGNAL: [&str; 6] = ["1m", "3m", "5m", "15m", "30m", "1h"];

    /// How many intervals there are.
    pub const COUNT: usize = ALL.len();

    /// Every interval there is, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(_, minutes)| Self { minutes })
    }

    /// Its place among [all](Self::all) of them.
    #[must_use]
    pub fn index(self) -> usize {
        ALL.iter().position(|(_, minutes)| *minutes == self.minutes).unwrap_or(0)
    }

    /// Length, minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.minutes
    }

    /// Length, milliseconds.
    #[must_use]
    #[inline]
    pub const fn ms(self) -> i64 {
        self.minutes as i64 * MINUTE_MS
    }

    /// The start of the slot that holds `at_ms`: slots are aligned to the Unix epoch, not to the start of a process
    /// (specification 2.2, hazard H-27).
    #[must_use]
    #[inline]
    pub const fn slot(self, at_ms: i64) -> i64 {
        // In minutes, because processors divide short numbers several times as fast as long ones.
        let minute = at_ms.div_euclid(MINUTE_MS);
        (minute - minute.rem_euclid(self.minutes as i64)) * MINUTE_MS
    }

    /// Whether a strategy may be asked at this interval.
    #[must_use]
    pub fn is_signal_interval(self) -> bool {
        self.minutes <= 60
    }

    /// The interval's name, such as `5m`.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, minutes)| *minutes == self.minutes).map_or("1m", |(name, _)| name)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownInterval;

impl fmt::Display for UnknownInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an interval; there are 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d")
    }
}

impl core::error::Error for UnknownInterval {}

impl FromStr for Interval {
    type Err = UnknownInterval;

    fn from_str(text: &str) -> Result<Self, UnknownInterval> {
        ALL.iter().find(|(name, _)| *name == text).map(|(_, minutes)| Self { minutes: *minutes }).ok_or(UnknownInterval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn names_read_back_and_slots_are_aligned_to_the_epoch() {
        for (index, (name, _)) in ALL.into_iter().enumerate() {
            let interval: Interval = name.parse().unwrap();
            assert_eq!((interval.name(), interval.index()), (name, index));
            assert_eq!(interval.to_string(), name);
            assert!(UnknownInterval.to_string().contains(name), "{name}");
        }
        assert!(Interval::all().map(Interval::name).eq(ALL.map(|(name, _)| name)));
        assert_eq!("5M".parse::<Interval>(), Err(UnknownInterval));
        let five: Interval = "5m".parse().unwrap();
        assert_eq!((five.minutes(), five.ms()), (5, 5 * MINUTE_MS));
        assert!(
            Interval::all().filter(|interval| interval.is_signal_interval()).map(Interval::name).eq(Interval::SIGNAL)
        );
        assert_eq!(five.slot(21 * MINUTE_MS), 20 * MINUTE_MS);
        assert_eq!(five.slot(20 * MINUTE_MS), 20 * MINUTE_MS);
        assert_eq!(five.slot(-1), -5 * MINUTE_MS);
    }
}
