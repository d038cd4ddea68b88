//! Numbers and texts as people read them (specification 11.5, at the end).

use std::fmt::Write as _;

use jiff::Timestamp;
use sigbox_engine::stats::Unit;

/// The text in place of a missing number.
pub(crate) const NOT_THERE: &str = "N/A";

/// A number with its unit.
pub(crate) fn number(unit: Unit, value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return NOT_THERE.to_owned() };
    match unit {
        Unit::Count => fixed(value, 0),
        Unit::Percent => format!("{} %", fixed(value, 2)),
        Unit::Gain => format!("{} %", signed(value, 2)),
        Unit::Money => signed(value, 2),
        Unit::Ratio => fixed(value, 3),
        Unit::Minutes => duration(value),
    }
}

/// A count with separated thousands.
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A number with so many decimals and separated thousands.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.decimals$}");
    // No sign if only zeros are left.
    match text.strip_prefix('-') {
        Some(zeros) if zeros.bytes().all(|byte| matches!(byte, b'0' | b'.')) => grouped(zeros),
        Some(digits) => format!("-{}", grouped(digits)),
        None => grouped(&text),
    }
}

/// The same as [`fixed`], with a plus before a number above zero.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value > 0.0 && !is_zero { format!("+{text}") } else { text }
}

/// `3 d 4 h`, `1 h 35 min`, `20 min`, `30 s`, from minutes.
pub(crate) fn duration(minutes: f64) -> String {
    if !(0.0..1e15).contains(&minutes) {
        return format!("{} min", fixed(minutes, 0));
    }
    if minutes < 1.0 {
        return format!("{} s", fixed(minutes * 60.0, 0));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let minutes = minutes.round() as u64;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{} d", count(days)),
        (days, hours, _) => format!("{} d {hours} h", count(days)),
    }
}

/// A short time span, given in milliseconds: `1.234 s`, `0.850 ms`, `0.49 µs`.
#[must_use]
pub fn short_time(milliseconds: Option<f64>) -> String {
    match milliseconds {
        None => NOT_THERE.to_owned(),
        Some(time) if time >= 1000.0 => format!("{:.3} s", time / 1000.0),
        Some(time) if time >= 0.1 => format!("{time:.3} ms"),
        Some(time) => format!("{:.2} µs", time * 1000.0),
    }
}

/// `2024-01-01T00:00:00Z`; a time outside the calendar is shown as a number.
#[must_use]
pub fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| format!("{at_ms} ms"), |time| time.to_string())
}

/// Text of a guest or of a file as one printable line. Characters that end lines, control terminals or change the
/// direction of writing are escaped.
#[must_use]
pub fn line(text: &str) -> String {
    printable(text, |_| false)
}

/// Escapes characters that end lines, control terminals or change the direction of writing, except those that are
/// `allowed`.
pub(crate) fn printable(text: &str, allowed: impl Fn(char) -> bool) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if is_treacherous(character) && !allowed(character) {
            write!(printable, "{}", character.escape_default()).expect("a string takes text");
        } else {
            printable.push(character);
        }
    }
    printable
}

fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Separates thousands by narrow spaces, which do not break a line and are nowhere a decimal point.
fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = String::with_capacity(digits.len() + 8);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units() {
        let cases = [
            (Unit::Count, Some(12_345.0), "12\u{202f}345"),
            (Unit::Percent, Some(56.789), "56.79 %"),
            (Unit::Gain, Some(1.005_1), "+1.01 %"),
            (Unit::Gain, Some(-0.001), "0.00 %"),
            (Unit::Gain, Some(0.001), "0.00 %"),
            (Unit::Money, Some(-1_234.5), "-1\u{202f}234.50"),
            (Unit::Ratio, Some(0.123_45), "0.123"),
            (Unit::Ratio, Some(1e300), "1.000e300"),
            (Unit::Minutes, Some(95.0), "1 h 35 min"),
            (Unit::Minutes, Some(0.5), "30 s"),
            (Unit::Minutes, Some(3_000.0), "2 d 2 h"),
            (Unit::Ratio, None, "N/A"),
            (Unit::Ratio, Some(f64::NAN), "N/A"),
        ];
        for (unit, value, expected) in cases {
            assert_eq!(number(unit, value), expected, "{unit:?} {value:?}");
        }
        for (milliseconds, expected) in
            [(0.000_49, "0.49 µs"), (0.25, "0.250 ms"), (12.0, "12.000 ms"), (61_000.0, "61.000 s")]
        {
            assert_eq!(short_time(Some(milliseconds)), expected);
        }
    }

    #[test]
    fn a_line_is_one_line_that_moves_nothing_else() {
        assert_eq!(line("ü 中 \"a\"\r\nb\u{1b}[31m\u{202e}"), "ü 中 \"a\"\\r\\nb\\u{1b}[31m\\u{202e}");
    }
}
