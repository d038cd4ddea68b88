//! Times, as candle files write them and as messages show them.

use std::ops::Range;

use jiff::{Timestamp, civil::DateTime, fmt::temporal::DateTimeParser, tz::Offset};
use sigbox_engine::MINUTE_MS;

/// Integers that are seconds since the Unix epoch: 2001-09-09 to 5138-11-16.
const SECONDS: Range<i64> = 1_000_000_000..100_000_000_000;
/// Integers that are milliseconds: 1973-03-03 to 5138-11-16.
const MILLISECONDS: Range<i64> = 100_000_000_000..100_000_000_000_000;
/// Integers that are microseconds, as in Binance's spot files since 2025: 1973-03-03 to 5138-11-16.
const MICROSECONDS: Range<i64> = 100_000_000_000_000..100_000_000_000_000_000;

const ISO_8601: DateTimeParser = DateTimeParser::new();

/// Length of `2023-03-01`. An offset can stand only after it.
const DATE_LENGTH: usize = 10;

/// Length of `2023-03-01 00:01:00`.
const PLAIN_LENGTH: usize = 19;

/// 9999-01-01T00:00:00Z. The limit leaves room to compute later times within the calendar.
const TOO_LATE_MS: i64 = 253_370_764_800_000;

/// The minute that `text` names, milliseconds since the Unix epoch. `text` has one of the forms of candle files. `None`
/// when it names no time from 1970 to 9998, or none at which a candle can open.
#[must_use]
pub fn parse_minute(text: &str) -> Option<i64> {
    parse_time(text.as_bytes()).filter(|at_ms| at_ms % MINUTE_MS == 0 && (0..TOO_LATE_MS).contains(at_ms))
}

/// The time that `text` names, milliseconds since the Unix epoch. `None` when it names no time, or a time between two
/// milliseconds.
///
/// Integers are seconds, milliseconds or microseconds. The size of each integer tells which. The ranges do not overlap,
/// so files of different years may be joined into one. All other texts are read as ISO 8601, with a blank or a `T`
/// between date and time, and in UTC unless they name an offset.
pub(super) fn parse_time(text: &[u8]) -> Option<i64> {
    if let Some(at_ms) = parse_plain(text) {
        return Some(at_ms);
    }
    let text = str::from_utf8(text).ok()?;
    match text.parse() {
        Ok(number) => time_of_number(number),
        Err(_) => parse_iso_8601(text),
    }
}

/// The time, in milliseconds since the Unix epoch, that `number` names in seconds, milliseconds or microseconds.
pub(super) fn time_of_number(number: i64) -> Option<i64> {
    if MILLISECONDS.contains(&number) {
        Some(number)
    } else if MICROSECONDS.contains(&number) && number % 1000 == 0 {
        Some(number / 1000)
    } else if SECONDS.contains(&number) {
        Some(number * 1000)
    } else {
        None
    }
}

/// `at_ms` as a candle file should hold it, so that [`parse_time`] reads the same time back.
pub(super) fn written_time(at_ms: i64) -> String {
    if MILLISECONDS.contains(&at_ms) { at_ms.to_string() } else { iso_8601(at_ms) }
}

/// `at_ms` for people: `2023-03-01T00:00:00Z`.
#[must_use]
pub fn iso_8601(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms} ms"), |at| at.to_string())
}

/// Parses the forms of ISO 8601 that most files have, faster than a parser for all forms: `2023-03-01 00:01:00`,
/// followed by nothing, `Z` or `+00:00`. With `None`, the text may still have another form.
fn parse_plain(text: &[u8]) -> Option<i64> {
    let (plain, offset) = text.split_first_chunk::<PLAIN_LENGTH>()?;
    let [y0, y1, y2, y3, b'-', o0, o1, b'-', d0, d1, b' ' | b'T', h0, h1, b':', m0, m1, b':', s0, s1] = *plain else {
        return None;
    };
    if !matches!(offset, b"" | b"Z" | b"+00:00") {
        return None;
    }
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| ((tens - b'0') * 10 + (ones - b'0')).cast_signed())
    };
    let year = i16::from(number(y0, y1)?) * 100 + i16::from(number(y2, y3)?);
    let at =
        DateTime::new(year, number(o0, o1)?, number(d0, d1)?, number(h0, h1)?, number(m0, m1)?, number(s0, s1)?, 0);
    Some(Offset::UTC.to_timestamp(at.ok()?).ok()?.as_millisecond())
}

fn parse_iso_8601(text: &str) -> Option<i64> {
    // The parser of times without an offset would ignore a time zone in brackets.
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
    fn the_forms_most_files_have_are_read_as_by_the_parser_for_all_of_them() {
        let dates = ["2023-03-01", "1969-12-31", "2024-02-29", "2023-02-29", "0000-01-01", "9999-12-31", "2023-3-01x"];
        let times = ["00:01:00", "23:59:59", "23:59:60", "24:00:00", "00:60:00", "0a:00:00", "00-00-00"];
        for date in dates {
            for time in times {
                for (between, offset) in [("T", ""), (" ", "Z"), ("T", "+00:00"), (" ", "-00:00"), ("t", ".000Z")] {
                    let text = format!("{date}{between}{time}{offset}");
                    assert_eq!(parse_time(text.as_bytes()), parse_iso_8601(&text), "{text}");
                }
            }
        }
        assert_eq!(parse_plain(b"2023-03-01 00:01:00+00:00"), Some(AT));
    }

    #[test]
    fn a_minute_is_whole_and_within_the_calendar() {
        assert_eq!(parse_minute("2023-03-01T00:01Z"), Some(AT));
        assert_eq!(parse_minute("2023-03-01"), Some(AT - 60_000));
        assert_eq!(parse_minute("1677628860000"), Some(AT));
        for text in ["2023-03-01T00:01:30Z", "1969-12-31", "9999-01-01", "yesterday", ""] {
            assert_eq!(parse_minute(text), None, "{text}");
        }
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
