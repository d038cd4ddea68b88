//! The cases of a sweep: its runs, before they are run.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sigbox_trading::Frame;

use crate::config::{Axis, Config, Strategy};

/// One run of a sweep: a candidate, which is a strategy with settings, on a symbol in a frame.
///
/// Settings are text, which is small: there may be a hundred thousand of them in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The strategy's name.
    #[serde(rename = "strategyName")]
    pub strategy: String,
    /// The symbol.
    pub symbol: String,
    /// The frame's name; may be empty.
    #[serde(rename = "frameName")]
    pub frame: String,
    /// The settings that the strategy is given, a JSON object.
    #[serde(serialize_with = "as_object")]
    pub settings: String,
    /// The settings of which the sweep tries several values, a JSON object. The keys of a setting in tables are joined
    /// with dots.
    #[serde(skip)]
    pub varying: String,
}

impl Case {
    /// Whether both have the same strategy with the same settings; symbol and frame may differ.
    #[must_use]
    pub fn is_same_candidate(&self, other: &Self) -> bool {
        self.strategy == other.strategy && self.settings == other.settings
    }

    /// The settings as a line of `sigbox.toml`.
    #[must_use]
    pub fn settings_line(&self) -> String {
        // TOML cannot write null, but these settings come from TOML and have none.
        let settings = toml::Value::try_from(object(&self.settings)).expect("the settings are from TOML");
        format!("settings = {settings}")
    }
}

fn as_object<S: Serializer>(settings: &str, serializer: S) -> Result<S::Ok, S::Error> {
    object(settings).serialize(serializer)
}

type Settings = Map<String, Value>;

fn object(text: &str) -> Settings {
    serde_json::from_str(text).expect("settings are written as a JSON object")
}

/// A planned run, with all that it needs.
pub(super) struct Planned<'c> {
    /// The strategy as configured; the case's settings replace its own.
    pub(super) strategy: &'c Strategy,
    pub(super) frame: &'c Frame,
    pub(super) case: Case,
    pub(super) key: String,
}

/// Every run of the sweep, candidate by candidate, each by symbol and then by frame. From one candidate to the next,
/// the last axis of the grid changes first.
pub(super) fn plan(config: &Config, key: impl Fn(&Strategy, &Case, &Frame) -> String) -> Vec<Planned<'_>> {
    let sweep = &config.sweep;
    let mut runs = Vec::new();
    for strategy in &config.strategies {
        let axes = sweep.grid.get(&strategy.name).map_or(&[][..], Vec::as_slice);
        let symbols = if sweep.symbols.is_empty() { &strategy.symbols } else { &sweep.symbols };
        for (settings, varying) in combinations(&strategy.settings, axes) {
            for symbol in symbols {
                for frame in &sweep.frames {
                    let case = Case {
                        strategy: strategy.name.clone(),
                        symbol: symbol.clone(),
                        frame: frame.name.clone(),
                        settings: settings.clone(),
                        varying: varying.clone(),
                    };
                    runs.push(Planned { strategy, frame, key: key(strategy, &case, frame), case });
                }
            }
        }
    }
    runs
}

/// For every combination of values: the settings with these values, and the varying values alone.
fn combinations(settings: &str, axes: &[Axis]) -> impl Iterator<Item = (String, String)> {
    let settings = object(settings);
    let count: usize = axes.iter().map(|axis| axis.values.len()).product();
    (0..count).map(move |number| {
        let (mut settings, mut varying, mut rest) = (settings.clone(), Settings::new(), number);
        // The axes are the digits of the number, the last one the lowest.
        for Axis { path, values } in axes.iter().rev() {
            let value = &values[rest % values.len()];
            rest /= values.len();
            put(&mut settings, path, value);
            if values.len() > 1 {
                varying.insert(path.join("."), value.clone());
            }
        }
        (Value::Object(settings).to_string(), Value::Object(varying).to_string())
    })
}

/// Puts `value` at `path`, and makes missing tables on the way.
fn put(settings: &mut Settings, path: &[String], value: &Value) {
    match path {
        [] => {}
        [key] => {
            settings.insert(key.clone(), value.clone());
        }
        [key, rest @ ..] => {
            let table = settings.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(table) = table {
                put(table, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn axis(path: &[&str], values: &[Value]) -> Axis {
        Axis { path: path.iter().map(|key| (*key).to_owned()).collect(), values: values.to_vec() }
    }

    #[test]
    fn the_last_axis_turns_fastest_and_everything_else_stays() {
        let axes = [axis(&["a"], &[json!(1), json!(2)]), axis(&["t", "deep", "b"], &[json!("x"), json!(true)])];
        let all: Vec<_> = combinations(r#"{"a":0,"kept":[1],"t":{"kept":2}}"#, &axes).collect();
        let expected = [
            (r#"{"a":1,"kept":[1],"t":{"deep":{"b":"x"},"kept":2}}"#, r#"{"a":1,"t.deep.b":"x"}"#),
            (r#"{"a":1,"kept":[1],"t":{"deep":{"b":true},"kept":2}}"#, r#"{"a":1,"t.deep.b":true}"#),
            (r#"{"a":2,"kept":[1],"t":{"deep":{"b":"x"},"kept":2}}"#, r#"{"a":2,"t.deep.b":"x"}"#),
            (r#"{"a":2,"kept":[1],"t":{"deep":{"b":true},"kept":2}}"#, r#"{"a":2,"t.deep.b":true}"#),
        ];
        assert_eq!(all, expected.map(|(settings, varying)| (settings.to_owned(), varying.to_owned())));
    }

    #[test]
    fn without_a_grid_there_is_one_combination_and_one_value_does_not_vary() {
        let only = |axes: &[Axis]| combinations(r#"{"a":0}"#, axes).collect::<Vec<_>>();
        assert_eq!(only(&[]), [(r#"{"a":0}"#.to_owned(), "{}".to_owned())]);
        assert_eq!(only(&[axis(&["a"], &[json!(1)])]), [(r#"{"a":1}"#.to_owned(), "{}".to_owned())]);
    }

    #[test]
    fn the_settings_can_be_pasted() {
        let settings = json!({ "fast": 10, "far": 0.5, "on": true, "t": { "x": ["a"] }, "a b": "\"" });
        let [strategy, symbol, frame] = ["s", "b", ""].map(str::to_owned);
        let case = Case { strategy, symbol, frame, settings: settings.to_string(), varying: "{}".to_owned() };
        let line = case.settings_line();
        assert_eq!(line, r#"settings = { "a b" = '"', far = 0.5, fast = 10, on = true, t = { x = ["a"] } }"#);
        let read: toml::Table = line.parse().unwrap();
        assert_eq!(serde_json::to_value(&read["settings"]).unwrap(), settings);
        assert_eq!(serde_json::to_value(&case).unwrap()["settings"], settings);
    }
}
