//! Times as candle files write them, and as messages show them.

use std::ops::Range;

use jiff::{Timestamp, fmt::temporal::DateTimeParser, tz::Offset};

/// Integers that are seconds since the Unix epoch: 2001-09-09 to 5138-11-16.
const SECONDS: Range<i64> = 1_000_000_000..100_000_000_000;
/// Integers that are milliseconds: 1973-03-03 to 5138-11-16.
const MILLISECONDS: Range<i64> = 100_000_000_000..100_000_000_000_000;
/// Integers that are microseconds, as in Binance's spot files since 2025: 1973-03-03 to 5138-11-16.
const MICROSECONDS: Range<i64> = 100_000_000_000_000..100_000_000_000_000_000;

const ISO_8601: DateTimeParser = DateTimeParser::new();

/// Length of `2023-03-01`. An offset can only come after it.
const DATE_LENGTH: usize = 10;

/// The time that `text` names, milliseconds since the Unix epoch; `None` when it names none, or none in whole
/// milliseconds.
///
/// Integers are seconds, milliseconds or microseconds. Which one is told by their size, each on its own: the ranges do
/// not overlap, so files of different years may be joined into one. All else is ISO 8601, with a blank or a `T`
/// between date and time, and in UTC unless it names an offset.
pub(super) fn parse_time(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(number) = text.parse::<i64>() {
        return if MILLISECONDS.contains(&number) {
            Some(number)
        } else if MICROSECONDS.contains(&number) && number % 1000 == 0 {
            Some(number / 1000)
        } else if SECONDS.contains(&number) {
            Some(number * 1000)
        } else {
            None
        };
    }
    parse_iso_8601(text)
}

/// `at_ms` as a candle file should hold it, so that [`parse_time`] reads the same time back.
pub(super) fn written_time(at_ms: i64) -> String {
    if MILLISECONDS.contains(&at_ms) { at_ms.to_string() } else { iso_8601(at_ms) }
}

/// `at_ms` for people: `2023-03-01T00:00:00Z`.
pub(crate) fn iso_8601(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms} ms"), |at| at.to_string())
}

fn parse_iso_8601(text: &str) -> Option<i64> {
    // A bracketed time zone would be passed over by the parser of times without an offset.
    if text.contains('[') {
        return None;
    }
    let after_date = text.as_bytes().get(DATE_LENGTH..)?;
    let has_offset = after_date.iter().any(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'));
    let at = if has_offset {
        ISO_8601.parse_timestamp(text).ok()?
    } else {
        Offset::UTC.to_timestamp(ISO_8601.parse_datetime(text).ok()?).ok()?
    };
    (at.subsec_nanosecond() % 1_000_000 == 0).then(|| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-03-01T00:01:00Z.
    const AT: i64 = 1_677_628_860_000;

    #[test]
    fn one_time_is_read_from_every_form_it_is_written_in() {
        let forms = [
            "1677628860",
            "1677628860000",
            "1677628860000000",
            "2023-03-01 00:01:00+00:00",
            "2023-03-01 00:01:00",
            "2023-03-01 00:01",
            "2023-03-01T00:01:00",
            "2023-03-01T00:01:00.000",
            "2023-03-01T00:01:00Z",
            "2023-03-01T00:01:00.000Z",
            "2023-03-01T05:31:00+05:30",
            "2023-02-28T19:01:00-05:00",
        ];
        for form in forms {
            assert_eq!(parse_time(form.as_bytes()), Some(AT), "{form}");
        }
        assert_eq!(parse_time(b"2023-03-01"), Some(AT - 60_000));
    }

    #[test]
    fn what_is_no_time_or_might_be_another_one_is_refused() {
        let refused = [
            "",
            "open_time",
            "0",
            "-1677628860000",
            "20230301",
            "999999999",
            "1677628860000001",
            "1677628860000000000",
            "1677628860.5",
            "2023-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2023-03-01T00:00:00.0000001Z",
            "2023-03-01T00:00:00+99:00",
            "2023-03-01T00:00:00[America/New_York]",
            "01/03/2023 00:00",
        ];
        for text in refused {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_time(b"\xff\xfe"), None);
    }

    #[test]
    fn a_written_time_reads_back_whatever_its_year() {
        for at_ms in [0, 60_000, -60_000, 99_999_960_000, 100_000_020_000, AT, 200_000_000_040_000] {
            assert_eq!(parse_time(written_time(at_ms).as_bytes()), Some(at_ms), "{at_ms}");
        }
    }

    #[test]
    fn messages_show_iso_8601_and_never_fail() {
        assert_eq!(iso_8601(AT), "2023-03-01T00:01:00Z");
        assert_eq!(iso_8601(i64::MAX), "9223372036854775807 ms");
    }
}
