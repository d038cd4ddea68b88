//! What a value of the file must be to become a value of ours.

use jiff::Timestamp;
use serde_json::{Value, json};
use sigbox_engine::{Interval, MINUTE_MS, Side, stats::Metric};
use sigbox_market::candles::Gaps;
use sigbox_trading::{Orphans, store::OnCorrupt};
use toml::de::DeValue;

use super::{live::Feed, schema::Expected};

/// Made from one TOML value, or not at all.
pub(super) trait FromValue: Sized {
    /// What the value must be.
    fn expected() -> Expected;

    /// `None` when `value` is not what [`FromValue::expected`] says.
    fn from_value(value: &DeValue<'_>) -> Option<Self>;
}

/// A word for people, files and events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) String);

impl Name {
    /// Names end up in file names and on terminals, where a control character would be a trick.
    pub(super) fn is_fine(text: &str) -> bool {
        !text.trim().is_empty() && !text.contains(char::is_control)
    }
}

impl FromValue for Name {
    fn expected() -> Expected {
        let pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
        let schema = json!({ "type": "string", "pattern": pattern });
        Expected::new("a text that is not blank, without control characters", schema)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().filter(|text| Self::is_fine(text)).map(|text| Self(text.into()))
    }
}

/// Any text, the empty one too.
impl FromValue for String {
    fn expected() -> Expected {
        Expected::new("a text in quotes", json!({ "type": "string" }))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl FromValue for bool {
    fn expected() -> Expected {
        Expected::new("true or false", json!({ "type": "boolean" }))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl FromValue for f64 {
    fn expected() -> Expected {
        // JSON has neither inf nor nan, so an editor checks null in their place.
        Expected::new("a number", json!({ "type": ["number", "null"] }))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            // Through the text, because an integer that no 64 bits hold is still a number.
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            #[expect(clippy::cast_precision_loss, reason = "nobody writes 54 significant bits in hexadecimal")]
            DeValue::Integer(_) => u64::from_value(value).map(|number| number as Self),
            DeValue::Float(float) => {
                let number: Self = float.as_str().parse().ok()?;
                // "1e999" is no way to write infinity.
                (number.is_finite() || float.as_str().contains(['i', 'n'])).then_some(number)
            }
            _ => None,
        }
    }
}

impl FromValue for u64 {
    fn expected() -> Expected {
        Expected::whole(&(0..=Self::MAX))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_integer().and_then(|integer| Self::from_str_radix(integer.as_str(), integer.radix()).ok())
    }
}

impl FromValue for u32 {
    fn expected() -> Expected {
        Expected::whole(&(0..=Self::MAX.into()))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        u64::from_value(value).and_then(|number| Self::try_from(number).ok())
    }
}

/// A time, milliseconds since the Unix epoch, from 1970 to 9998.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeMs(pub(super) i64);

impl TimeMs {
    /// 9999-01-01T00:00:00Z, so that later times can be computed without leaving the calendar.
    const TOO_LATE_MS: i64 = 253_370_764_800_000;
}

impl FromValue for TimeMs {
    fn expected() -> Expected {
        Expected::new("a time such as \"2024-01-31T12:00:00Z\", from 1970 to 9998", time_schema())
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let at: Timestamp = match value {
            DeValue::String(text) => text.parse().ok()?,
            // TOML's own times need no quotes.
            DeValue::Datetime(time) => time.to_string().parse().ok()?,
            _ => return None,
        };
        let in_range = (0..Self::TOO_LATE_MS).contains(&at.as_millisecond());
        (in_range && at.subsec_nanosecond() % 1_000_000 == 0).then(|| Self(at.as_millisecond()))
    }
}

/// Something with a time of day and an offset; an editor checks TOML's own times as texts, too.
fn time_schema() -> Value {
    json!({ "type": "string", "pattern": "^[+0-9][0-9-]*[Tt ][0-9].*([Zz]|[+-][0-9])" })
}

/// A [`TimeMs`] at which a candle can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WholeMinuteMs(pub(super) i64);

impl FromValue for WholeMinuteMs {
    fn expected() -> Expected {
        Expected::new("a whole minute such as \"2024-01-31T12:00:00Z\", from 1970 to 9998", time_schema())
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        TimeMs::from_value(value).filter(|time| time.0 % MINUTE_MS == 0).map(|time| Self(time.0))
    }
}

impl FromValue for Interval {
    fn expected() -> Expected {
        let schema = Expected::one_of(Self::all().map(Self::name)).schema;
        Expected::new("an interval: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d in quotes", schema)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

/// An interval a strategy may be asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignalInterval(pub(super) Interval);

impl FromValue for SignalInterval {
    fn expected() -> Expected {
        Expected::one_of(Interval::SIGNAL)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        Interval::from_value(value).filter(|interval| interval.is_signal_interval()).map(Self)
    }
}

/// A metric that things can be ranked by.
impl FromValue for &'static Metric {
    fn expected() -> Expected {
        Expected::one_of(Metric::rankable().map(|metric| metric.name))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        let name = value.as_str()?;
        Metric::rankable().find(|metric| metric.name == name)
    }
}

/// A type with a handful of values, each of which has a word in the file.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+ $(,)?) => {
        impl FromValue for $type {
            fn expected() -> Expected {
                Expected::one_of([$($word),+])
            }

            fn from_value(value: &DeValue<'_>) -> Option<Self> {
                match value.as_str()? {
                    $($word => Some($value),)+
                    _ => None,
                }
            }
        }
    };
}

words!(Gaps: "refuse" => Self::Refuse, "fill" => Self::Fill);
words!(Side: "long" => Self::Long, "short" => Self::Short);
words!(OnCorrupt: "quarantine" => Self::Quarantine, "halt" => Self::Halt);
words!(Orphans: "watch" => Self::Watch, "refuse" => Self::Refuse);
words!(Feed: "replay" => Self::Replay, "klines" => Self::Klines);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::tests::refused_by;

    fn read<T: FromValue>(toml: &str) -> Option<T> {
        let value = T::from_value(DeValue::parse(toml).unwrap().get_ref());
        if value.is_some() {
            let schema = json!({ "properties": { "x": T::expected().schema } });
            assert_eq!(refused_by(&schema, &format!("x = {toml}")), [""; 0], "an editor would mark what is fine");
        }
        value
    }

    #[test]
    fn numbers_are_read_however_toml_writes_them() {
        let cases = [
            ("1", Some(1.0)),
            ("-0.5", Some(-0.5)),
            ("1_000.5", Some(1000.5)),
            ("1_000", Some(1000.0)),
            ("0xff", Some(255.0)),
            ("inf", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e999", None),
            ("\"1\"", None),
            ("true", None),
        ];
        for (toml, number) in cases {
            assert_eq!(read::<f64>(toml), number, "{toml}");
        }
        assert!(read::<f64>("nan").unwrap().is_nan());
        assert_eq!(read::<u64>("1_000_000_000"), Some(1_000_000_000));
        assert_eq!(read::<u64>("-1"), None);
        assert_eq!(read::<u64>("1.0"), None);
        assert_eq!(read::<u32>("4294967296"), None);
    }

    #[test]
    fn times_are_read_with_quotes_and_without_but_never_without_an_offset() {
        let cases = [
            ("\"2024-01-01T00:00:00Z\"", Some(1_704_067_200_000)),
            ("2024-01-01T00:00:00Z", Some(1_704_067_200_000)),
            ("2024-01-01T01:00:00+01:00", Some(1_704_067_200_000)),
            ("2024-01-01 00:00:00z", Some(1_704_067_200_000)),
            ("\"2024-01-01T00Z\"", Some(1_704_067_200_000)),
            ("\"20240101T000000Z\"", Some(1_704_067_200_000)),
            ("\"2024-01-01T00:00-00\"", Some(1_704_067_200_000)),
            ("\"2024-01-01T01:00+01:00[Europe/Paris]\"", Some(1_704_067_200_000)),
            ("\"+002024-01-01T00:00Z\"", Some(1_704_067_200_000)),
            ("\"2024-01-01T00:00:00.001Z\"", Some(1_704_067_200_001)),
            ("\"2024-01-01T00:00:00.0001Z\"", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01", None),
            ("1704067200000", None),
            ("\"1969-12-31T23:59:59Z\"", None),
            ("\"9998-12-31T23:59:59Z\"", Some(253_370_764_799_000)),
            ("\"9999-01-01T00:00:00Z\"", None),
        ];
        for (toml, at_ms) in cases {
            assert_eq!(read::<TimeMs>(toml).map(|time| time.0), at_ms, "{toml}");
        }
        assert_eq!(read::<WholeMinuteMs>("2024-01-01T00:00:01Z"), None);
        assert_eq!(read("2024-01-01T00:01:00Z"), Some(WholeMinuteMs(1_704_067_260_000)));
    }

    #[test]
    fn names_are_neither_blank_nor_able_to_play_tricks_on_a_terminal() {
        assert_eq!(read("\"sma cross\""), Some(Name("sma cross".into())));
        for toml in ["\"\"", "\"  \"", "\"a\\nb\"", "\"\\u001b[2J\"", "7"] {
            assert_eq!(read::<Name>(toml), None, "{toml}");
        }
    }
}
