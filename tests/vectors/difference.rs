//! The first place where two JSON documents differ.

use std::fmt;

use serde_json::Value;

/// Where, and what stands there.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// Such as `events[3].signal.priceOpen`.
    pub path: String,
    pub expected: Option<Value>,
    pub found: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => value.to_string().chars().take(200).collect(),
        };
        write!(f, "{}: expected {}, found {}", self.path, show(&self.expected), show(&self.found))
    }
}

/// The first difference, in document order; numbers are equal when they are the same double.
pub(super) fn first_difference(path: &str, expected: &Value, found: &Value) -> Option<Difference> {
    let differ = |path: String, expected: Option<&Value>, found: Option<&Value>| {
        Some(Difference { path, expected: expected.cloned(), found: found.cloned() })
    };
    match (expected, found) {
        (Value::Array(expected), Value::Array(found)) => {
            let shorter = expected.len().min(found.len());
            let pairs = expected.iter().zip(found).enumerate();
            let inside =
                pairs.map(|(at, (expected, found))| first_difference(&format!("{path}[{at}]"), expected, found));
            inside.flatten().next().or_else(|| {
                if expected.len() == found.len() {
                    return None;
                }
                differ(format!("{path}[{shorter}]"), expected.get(shorter), found.get(shorter))
            })
        }
        (Value::Object(expected), Value::Object(found)) => {
            // What kind of thing it is says most, so it is looked at first.
            let kinds = ["type", "action", "kind"].map(String::from);
            let keys = kinds.iter().chain(expected.keys()).chain(found.keys());
            keys.map(|key| match (expected.get(key), found.get(key)) {
                (None, None) => None,
                (Some(expected), Some(found)) => first_difference(&format!("{path}.{key}"), expected, found),
                (expected, found) => differ(format!("{path}.{key}"), expected, found),
            })
            .find_map(|difference| difference)
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => None,
        (left, right) if left == right => None,
        (left, right) => differ(path.to_owned(), Some(left), Some(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_down_to_the_last_bit() {
        let document = |price: f64| json!({"events": [{"type": "a"}, {"type": "b", "price": price, "at": 1}]});
        let cases = [
            (document(0.1), document(0.1), None),
            (json!(1), json!(1.0), None),
            (document(0.3), document(0.1 + 0.2), Some("t.events[1].price: expected 0.3, found 0.30000000000000004")),
            (json!([1]), json!([1, 2]), Some("t[1]: expected nothing, found 2")),
            (json!({"a": null}), json!({}), Some("t.a: expected null, found nothing")),
            (json!({"a": 1, "type": "x"}), json!({"a": 2, "type": "y"}), Some("t.type: expected \"x\", found \"y\"")),
        ];
        for (expected, found, difference) in cases {
            let text = first_difference("t", &expected, &found).map(|difference| difference.to_string());
            assert_eq!(text.as_deref(), difference);
        }
    }
}
