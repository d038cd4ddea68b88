//! What a sweep runs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::{Axis, Config, Strategy},
    run::Frame,
};

/// One run of a sweep: a candidate, which is a strategy with settings, on a symbol in a frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// What the strategy is given.
    pub settings: Map<String, Value>,
    /// Those of the settings that the sweep tries several values of. Keys of tables within are joined with dots.
    #[serde(skip)]
    pub varying: BTreeMap<String, Value>,
}

impl Case {
    /// Whether the two differ in symbol and frame at most.
    #[must_use]
    pub fn is_same_candidate(&self, other: &Self) -> bool {
        self.strategy == other.strategy && self.settings == other.settings
    }

    /// The settings as the strategy gets them.
    pub(super) fn settings_json(&self) -> String {
        serde_json::to_string(&self.settings).expect("its keys are texts")
    }

    /// The settings as a line of `sigbox.toml`.
    #[must_use]
    pub fn settings_line(&self) -> String {
        // What came from TOML has no null, the one thing TOML cannot write.
        let settings = toml::Value::try_from(&self.settings).expect("the settings are from TOML");
        format!("settings = {settings}")
    }
}

/// A run with all it takes.
pub(super) struct Planned<'c> {
    /// With its own settings; the case's go in their place.
    pub(super) strategy: &'c Strategy,
    pub(super) frame: &'c Frame,
    pub(super) case: Case,
    pub(super) key: String,
}

/// Every run of the sweep, candidate by candidate: the last axis of a grid turns fastest, then symbols, then frames.
pub(super) fn plan(config: &Config, key: impl Fn(&Strategy, &Case, &Frame) -> String) -> Vec<Planned<'_>> {
    let walk = &config.walk;
    let mut runs = Vec::new();
    for strategy in &config.strategies {
        let axes = walk.grid.get(&strategy.name).map_or(&[][..], Vec::as_slice);
        let symbols = if walk.symbols.is_empty() { &strategy.symbols } else { &walk.symbols };
        for (settings, varying) in combinations(&strategy.settings, axes) {
            for symbol in symbols {
                for frame in &walk.frames {
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

type Settings = Map<String, Value>;

/// The settings with every combination of values in their places, and which values those are.
fn combinations(settings: &str, axes: &[Axis]) -> Vec<(Settings, BTreeMap<String, Value>)> {
    let settings: Settings = serde_json::from_str(settings).expect("settings are written as a JSON object");
    let mut all = vec![(settings, BTreeMap::new())];
    for Axis { path, values } in axes {
        let with = |(settings, varying): &(Settings, BTreeMap<String, Value>), value: &Value| {
            let (mut settings, mut varying) = (settings.clone(), varying.clone());
            put(&mut settings, path, value);
            if values.len() > 1 {
                varying.insert(path.join("."), value.clone());
            }
            (settings, varying)
        };
        all = all.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect();
    }
    all
}

/// Puts `value` at `path`, making the tables on the way.
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
        let all = combinations(r#"{"a":0,"kept":[1],"t":{"kept":2}}"#, &axes);
        let settings: Vec<String> = all.iter().map(|(settings, _)| Value::from(settings.clone()).to_string()).collect();
        let expected = [
            r#"{"a":1,"kept":[1],"t":{"deep":{"b":"x"},"kept":2}}"#,
            r#"{"a":1,"kept":[1],"t":{"deep":{"b":true},"kept":2}}"#,
            r#"{"a":2,"kept":[1],"t":{"deep":{"b":"x"},"kept":2}}"#,
            r#"{"a":2,"kept":[1],"t":{"deep":{"b":true},"kept":2}}"#,
        ];
        assert_eq!(settings, expected);
        let varying: Vec<String> = all.iter().map(|(_, varying)| json!(varying).to_string()).collect();
        assert_eq!(varying[1], r#"{"a":1,"t.deep.b":true}"#);
    }

    #[test]
    fn without_a_grid_there_is_one_combination_and_one_value_does_not_vary() {
        assert_eq!(combinations("{}", &[]).len(), 1);
        let (settings, varying) = combinations(r#"{"a":0}"#, &[axis(&["a"], &[json!(1)])]).remove(0);
        assert_eq!((Value::from(settings), varying.len()), (json!({ "a": 1 }), 0));
    }

    #[test]
    fn the_settings_can_be_pasted() {
        let settings = json!({ "fast": 10, "far": 0.5, "on": true, "t": { "x": ["a"] }, "a b": "\"" });
        let Value::Object(settings) = settings else { unreachable!("it is an object") };
        let [strategy, symbol, frame] = ["s", "b", ""].map(str::to_owned);
        let case = Case { strategy, symbol, frame, settings, varying: BTreeMap::new() };
        let line = case.settings_line();
        assert_eq!(line, r#"settings = { "a b" = '"', far = 0.5, fast = 10, on = true, t = { x = ["a"] } }"#);
        let read: toml::Table = line.parse().unwrap();
        assert_eq!(serde_json::to_value(&read["settings"]).unwrap(), Value::Object(case.settings));
    }
}
