//! Numbers as the reference writes them into JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float. It is written in the shortest form that reads back to the same bits, whole numbers without `.0`. Infinity
/// is written as `null`, and negative zero as `0`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub f64);

/// Below this, every whole number is exactly one float.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Serialize for Number {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        #[expect(clippy::cast_possible_truncation, reason = "it is compared with what it was made of")]
        let whole = value as i64;
        #[expect(clippy::cast_precision_loss, reason = "what does not come back is not written this way")]
        if value.abs() < EXACT && whole as f64 == value {
            serializer.serialize_i64(whole)
        } else if value.is_finite() {
            serializer.serialize_f64(value)
        } else {
            serializer.serialize_none()
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reference stores an endless lifetime as null.
        Ok(Self(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_to_the_same_bits() {
        let cases = [
            (100.0, "100"),
            (0.1, "0.1"),
            (-0.399_600_399_600_388_23, "-0.39960039960038823"),
            (f64::INFINITY, "null"),
            (1e300, "1e+300"),
        ];
        for (value, text) in cases {
            assert_eq!(serde_json::to_string(&Number(value)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Number>(text).unwrap().0, value, "{text}");
        }
    }
}
