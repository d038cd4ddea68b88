//! Times as people read them, in UTC. A time outside the calendar becomes the nearest time inside it.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// `at_ms`, or the nearest time inside the calendar.
pub(crate) fn possible(at_ms: i64) -> i64 {
    at_ms.clamp(Timestamp::MIN.as_second() * 1000, Timestamp::MAX.as_second() * 1000)
}

/// The year, and the month from 0.
pub(crate) fn month(at_ms: i64) -> (i16, usize) {
    let date = utc(at_ms);
    (date.year(), usize::from(date.month().unsigned_abs()) - 1)
}

/// `2024-01-31 09:30`.
pub(crate) fn minute(at_ms: i64) -> String {
    utc(at_ms).strftime("%Y-%m-%d %H:%M").to_string()
}

fn utc(at_ms: i64) -> DateTime {
    let time = Timestamp::from_millisecond(possible(at_ms)).expect("it was put within the calendar");
    TimeZone::UTC.to_datetime(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_time() {
        assert_eq!(minute(1_706_693_400_000), "2024-01-31 09:30");
        assert_eq!(month(1_706_693_400_000), (2024, 0));
        assert_eq!((minute(i64::MAX).as_str(), month(i64::MIN).0), ("9999-12-30 22:00", -9999));
    }
}
