//! The JSON Schema of `sigbox.toml`, for editors.
//!
//! ```text
//! template, every key switched on ─► reader ─► what was asked: keys, places ─► JSON Schema
//! ```
//!
//! The reader writes down what it is asked, and the template has every key there is. So the schema is what the code
//! reads, with the comments of the template, and there is no second list of either.

use std::{
    fmt,
    ops::{Range, RangeInclusive},
    path::Path,
};

use serde_json::{Value, json};

use super::{Config, reader::Reader, template::template_with_every_key};

/// The JSON Schema (draft-07) of a configuration file. With it, an editor completes keys, explains them and marks
/// mistakes.
///
/// It refuses nothing that [`Config::parse`] takes. It takes more: it sees neither the disk nor how one part of a file
/// depends on another.
#[must_use]
pub fn schema() -> Value {
    let text = template_with_every_key("plugins/strategies/sma-cross");
    let file = Path::new("sigbox.toml");
    let reader = Reader::new(&text, file);
    reader.read(|root| Config::read(file, root));
    let mut schema = reader.asked.borrow().schema(&text);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = file.display().to_string().into();
    schema
}

/// What a value must be.
pub(super) struct Expected {
    /// For people: completes "must be …".
    pub(super) words: String,
    /// For editors.
    pub(super) schema: Value,
}

impl Expected {
    pub(super) fn new(words: impl Into<String>, schema: Value) -> Self {
        Self { words: words.into(), schema }
    }

    /// A whole number within `range`.
    pub(super) fn whole(range: &RangeInclusive<u64>) -> Self {
        let (least, most) = (range.start(), range.end());
        let schema = json!({ "type": "integer", "minimum": least, "maximum": most });
        Self::new(format!("a whole number from {least} to {most}"), schema)
    }

    /// A number within `range`.
    pub(super) fn number(range: &RangeInclusive<f64>) -> Self {
        let (least, most) = (range.start(), range.end());
        let schema = json!({ "type": "number", "minimum": least, "maximum": most });
        Self::new(format!("a number from {least} to {most}"), schema)
    }

    /// One of a handful of words, in quotes.
    pub(super) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        let mut quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
        let last = quoted.pop().unwrap_or_default();
        let listed = if quoted.is_empty() { last } else { format!("{} or {last}", quoted.join(", ")) };
        Self::new(listed, json!({ "enum": words }))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// The keys a section was asked for, in the order of the questions.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<(&'static str, Key)>);

/// What was asked about a key.
#[derive(Debug)]
struct Key {
    kind: Kind,
    /// Whether a file without it has a problem; of a list, also one in which it is empty.
    is_required: bool,
    /// Whether the file says what would hold without it, too.
    is_default: bool,
    /// Where the file has it; `None` when it has not.
    place: Option<Place>,
}

/// What is at a key.
#[derive(Debug)]
pub(super) enum Kind {
    /// A value with this schema.
    Value(Value),
    /// A section.
    Section(Keys),
    /// A list of sections.
    Sections(Keys),
    /// Sections, each by a name of the user's choice.
    Named(Keys),
}

/// Where a key is in a file, bytes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: usize,
    pub(super) value: Range<usize>,
}

impl Keys {
    /// Writes down a question. A second one about the same key adds nothing.
    pub(super) fn ask(&mut self, name: &'static str, kind: Kind, place: Option<Place>) {
        if !self.contains(name) {
            self.0.push((name, Key { kind, is_required: false, is_default: false, place }));
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// A file without `name` has a problem; if it is a list, also one in which it is empty.
    pub(super) fn require(&mut self, name: &str) {
        if let Some(key) = self.key(name) {
            key.is_required = true;
        }
    }

    /// The file has at `name` what holds without it, too.
    pub(super) fn is_default(&mut self, name: &str) {
        if let Some(key) = self.key(name) {
            key.is_default = true;
        }
    }

    /// Adds what a section at or below `name` was asked.
    pub(super) fn add_below(&mut self, name: &str, more: Self) {
        if let Some(Key { kind: Kind::Section(keys) | Kind::Sections(keys) | Kind::Named(keys), .. }) = self.key(name) {
            keys.add(more);
        }
    }

    /// Of what was asked of two sections of a kind, a key's place is where the first one has it that has it.
    fn add(&mut self, more: Self) {
        for (name, key) in more.0 {
            match self.key(name) {
                None => self.0.push((name, key)),
                Some(known) if known.place.is_none() => *known = key,
                Some(_) => {}
            }
        }
    }

    fn key(&mut self, name: &str) -> Option<&mut Key> {
        self.0.iter_mut().find(|(known, _)| *known == name).map(|(_, key)| key)
    }

    /// The schema of the section, which refuses all other keys. `text`: the file that was read.
    fn schema(&self, text: &str) -> Value {
        let properties: Value = self.0.iter().map(|(name, key)| (*name, key.schema(text))).collect();
        let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        let required: Vec<_> = self.0.iter().filter(|(_, key)| key.is_required).map(|(name, _)| *name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    /// Every key, also of the sections below, with whether the file has it.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<(String, bool)> {
        let all_of = |(name, key): &(&'static str, Key)| {
            let below = match &key.kind {
                Kind::Value(_) => Vec::new(),
                Kind::Section(keys) | Kind::Sections(keys) | Kind::Named(keys) => keys.all(),
            };
            let below = below.into_iter().map(|(below, is_there)| (format!("{name} {below}"), is_there));
            [((*name).to_owned(), key.place.is_some())].into_iter().chain(below).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(all_of).collect()
    }
}

impl Key {
    fn schema(&self, text: &str) -> Value {
        let mut schema = match &self.kind {
            Kind::Value(schema) => schema.clone(),
            Kind::Section(keys) => keys.schema(text),
            Kind::Sections(keys) => json!({ "type": "array", "items": keys.schema(text) }),
            Kind::Named(keys) => json!({ "type": "object", "additionalProperties": keys.schema(text) }),
        };
        if self.is_required && schema["type"] == "array" {
            schema["minItems"] = 1.into();
        }
        let Some(place) = &self.place else { return schema };
        if let Some(comment) = comment_above(text, place.key) {
            schema["description"] = comment.into();
        }
        // Of a table, the place may be that of its header.
        if matches!(self.kind, Kind::Value(_))
            && schema["type"] != "object"
            && let Ok(value) = text[place.value.clone()].parse::<toml::Value>()
        {
            if self.is_default {
                schema["default"] = json!(value);
            } else {
                schema["examples"] = json!([value]);
            }
        }
        schema
    }
}

/// The comment that explains the key at `offset`. One comment explains all keys from its own line to the next blank
/// line or comment, but only the first key of each line; a blank line may be between a comment and a header.
fn comment_above(text: &str, offset: usize) -> Option<String> {
    let begin = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    let is_header = text[begin..].starts_with('[');
    let is_first = text[begin..offset].chars().all(|c| c.is_whitespace() || "[{".contains(c));
    if !is_header && !is_first {
        return None;
    }
    let is_other_key = |line: &&str| !is_header && !line.is_empty() && !line.starts_with(['#', '[']);
    let is_blank = |line: &&str| is_header && line.is_empty();
    let is_prose = |line: &&str| line.starts_with("# ") && !line.starts_with("# ---");
    let above = text[..begin].lines().rev().map(str::trim);
    let mut lines: Vec<_> =
        above.skip_while(is_other_key).skip_while(is_blank).take_while(is_prose).map(|line| &line[2..]).collect();
    lines.reverse();
    (!lines.is_empty()).then(|| lines.join(" "))
}

#[cfg(test)]
pub(super) mod tests {
    use std::{env, fs};

    use regex::Regex;

    use super::*;
    use crate::config::template;

    /// A file as a validator of an editor sees it: times are texts, and there is null for inf and nan.
    fn as_json(text: &str) -> Value {
        fn json(value: toml::Value) -> Value {
            match value {
                toml::Value::Datetime(time) => time.to_string().into(),
                toml::Value::Array(items) => items.into_iter().map(json).collect(),
                toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
                other => json!(other),
            }
        }
        json(toml::Value::Table(text.parse().unwrap()))
    }

    /// What the schema refuses about the file `text`: path and keyword, such as `/live/speed minimum`.
    pub(in crate::config) fn refused(text: &str) -> Vec<String> {
        refused_by(&schema(), text)
    }

    pub(in crate::config) fn refused_by(schema: &Value, text: &str) -> Vec<String> {
        let mut refused = Vec::new();
        validate(schema, &as_json(text), "", &mut refused);
        refused
    }

    /// JSON Schema, as far as it is used here.
    fn validate(schema: &Value, value: &Value, path: &str, refused: &mut Vec<String>) {
        for (keyword, rule) in schema.as_object().unwrap() {
            let number = value.as_f64().zip(rule.as_f64());
            let is_fine = match keyword.as_str() {
                "$schema" | "title" | "description" | "default" | "examples" => true,
                "type" => match rule.as_array() {
                    Some(types) => types.iter().any(|kind| is_of(value, kind)),
                    None => is_of(value, rule),
                },
                "enum" => rule.as_array().unwrap().contains(value),
                "pattern" => {
                    let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "minimum" => number.is_none_or(|(value, least)| value >= least),
                "maximum" => number.is_none_or(|(value, most)| value <= most),
                "exclusiveMinimum" => number.is_none_or(|(value, limit)| value > limit),
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
                "required" => rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| !value.is_object() || value.get(key.as_str().unwrap()).is_some()),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        validate(rule, item, &format!("{path}/{index}"), refused);
                    }
                    true
                }
                "properties" => {
                    for (key, value) in value.as_object().into_iter().flatten() {
                        if let Some(schema) = rule.get(key) {
                            validate(schema, value, &format!("{path}/{key}"), refused);
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let others = value.as_object().into_iter().flatten();
                    for (key, value) in others.filter(|(key, _)| schema["properties"].get(key).is_none()) {
                        match rule {
                            Value::Bool(false) => refused.push(format!("{path}/{key} additionalProperties")),
                            rule => validate(rule, value, &format!("{path}/{key}"), refused),
                        }
                    }
                    true
                }
                other => panic!("{path}: this test does not know {other}"),
            };
            if !is_fine {
                refused.push(format!("{path} {keyword}"));
            }
        }
    }

    fn is_of(value: &Value, kind: &Value) -> bool {
        match kind.as_str().unwrap() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other} is no type"),
        }
    }

    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// `SIGBOX_BLESS=1` writes the file anew; look at the difference before it is committed.
    #[test]
    fn the_documentation_has_it() {
        let file = repository().join("docs/sigbox.schema.json");
        let expected = format!("{:#}\n", schema());
        if env::var_os("SIGBOX_BLESS").is_some_and(|value| value == "1") {
            fs::write(&file, &expected).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), expected, "write it anew with SIGBOX_BLESS=1");
    }

    #[test]
    fn it_takes_the_files_there_are() {
        let read = |file: &str| fs::read_to_string(repository().join(file)).unwrap();
        let files = [template("p"), template_with_every_key("p"), read("sigbox.toml"), read("bench/year.toml")];
        for text in files {
            assert_eq!(refused(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn it_refuses_unknown_keys_wrong_types_and_values_out_of_range() {
        let fine = "[[strategies]]\nname = \"s\"\nplugin = \".\"\nsymbols = [\"BTC\"]\n";
        assert_eq!(refused(fine), [""; 0]);
        assert_eq!(refused(""), [" required"]);
        assert_eq!(refused("strategies = []"), ["/strategies minItems"]);
        assert_eq!(refused("[[strategies]]\nname = \"s\"\nplugin = \".\""), ["/strategies/0 required"]);
        for (more, expected) in [
            ("colour = 1", "/strategies/0/colour additionalProperties"),
            ("risk = \"r\"", "/strategies/0/risk type"),
            ("interval = \"4h\"", "/strategies/0/interval enum"),
            ("settings = 1", "/strategies/0/settings type"),
            ("[colours]", "/colours additionalProperties"),
            ("[exchange]\nname = \" \"", "/exchange/name pattern"),
            ("[candles]\ngaps = \"ignore\"", "/candles/gaps enum"),
            ("[candles.files]\nETH = 7", "/candles/files/ETH type"),
            (
                "[candles.generate.E]\ndays = 0\nprice = 1\nstart = 2024-01-01T00:00:00Z",
                "/candles/generate/E/days minimum",
            ),
            (
                "[candles.generate.E]\ndays = 1\nprice = 0.5\nstart = 2024-01-01T00:00:00Z",
                "/candles/generate/E/price minimum",
            ),
            ("[candles.generate.E]\ndays = 1\nprice = 1", "/candles/generate/E required"),
            ("[[risk]]\nname = \"r\"\nrules = []", "/risk/0/rules minItems"),
            ("[[risk]]\nname = \"r\"\nrules = [{ max-active = 0 }]", "/risk/0/rules/0/max-active minimum"),
            ("[[risk]]\nname = \"r\"\nrules = [{ max-price = 0 }]", "/risk/0/rules/0/max-price exclusiveMinimum"),
            ("[[risk]]\nname = \"r\"\nrules = [{ colour = 0 }]", "/risk/0/rules/0/colour additionalProperties"),
            (
                "[[risk]]\nname = \"r\"\nrules = [{ reject-window = [\"tomorrow\"] }]",
                "/risk/0/rules/0/reject-window/0 pattern",
            ),
            ("[frame]\nstart = 2024-01-01T00:00:00", "/frame/start pattern"),
            ("[walk]\nmetric = \"luck\"", "/walk/metric enum"),
            ("[walk]\ngrid = 1", "/walk/grid type"),
            ("[[walk.frames]]\nname = \"a\"\ncolour = 1", "/walk/frames/0/colour additionalProperties"),
            ("[persistence]\nsignal = 1", "/persistence/signal type"),
            ("[stores.x]\nplugin = \".\"\nnetwork = [\"host\"]", "/stores/x/network/0 pattern"),
            ("[stores.x]\nplugin = \".\"\nsettings.a = [1]", "/stores/x/settings/a type"),
            ("[stores.x]\nplugin = \".\"\nsecrets.a.key = \"k\"", "/stores/x/secrets/a/key additionalProperties"),
            ("[live]\nspeed = -1", "/live/speed minimum"),
            ("[live]\nbase-url = \"ftp://x\"", "/live/base-url pattern"),
            ("[engine]\npercent-fee = \"1\"", "/engine/percent-fee type"),
            ("[engine]\nget-candles-retry-count = -1", "/engine/get-candles-retry-count minimum"),
            ("[limits]\nmemory-mib = 4097", "/limits/memory-mib maximum"),
            ("[limits]\nmemory-mib = 1.5", "/limits/memory-mib type"),
        ] {
            let text = format!("{fine}{more}\n");
            assert_eq!(refused(&text), [expected], "{text}");
            assert!(Config::parse(&text, "sigbox.toml").is_err(), "{text}");
        }
    }

    #[test]
    fn it_explains_keys_in_the_words_of_the_template() {
        let schema = schema();
        let at =
            |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there: {schema:#}"));
        assert_eq!(
            *at("/properties/limits/properties/memory-mib"),
            json!({ "type": "integer", "minimum": 1, "maximum": 4096, "description": "Memory.", "examples": [64] })
        );
        assert_eq!(
            *at("/properties/live/properties/feed"),
            json!({
                "enum": ["replay", "klines"],
                "description": "\"replay\": the ones above, as if each was just closing. \"klines\": an exchange with \
                                Binance's REST interface.",
                "default": "replay",
            })
        );
        // One comment for two keys, one of several lines, and one for each rule of a list.
        let fee = "Costs at entry and at exit, percent of the price and of the amount.";
        assert_eq!(*at("/properties/engine/properties/percent-fee/description"), fee);
        let exchange = "The exchange the candles are from.";
        assert_eq!(*at("/properties/exchange/description"), exchange);
        let price = "Above this price.";
        assert_eq!(*at("/properties/risk/items/properties/rules/items/properties/max-price/description"), price);
        let frame = "The period of a backtest. Without start and end: all candles, but for the first few that make the \
                     first average.";
        assert_eq!(*at("/properties/frame/description"), frame);
    }

    #[test]
    fn every_key_is_explained() {
        fn unexplained(schema: &Value, path: &str, found: &mut Vec<String>) {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}{key}");
                if schema.get("description").is_none() {
                    found.push(path.clone());
                }
                for below in [schema, &schema["items"], &schema["additionalProperties"]] {
                    unexplained(below, &format!("{path} "), found);
                }
            }
        }
        let mut found = Vec::new();
        unexplained(&schema(), "", &mut found);
        // The comment of the list of rules, of the frames and of the secrets says what these are.
        let explained_above = [
            "risk rules id",
            "risk rules note",
            "stores secrets env",
            "stores secrets file",
            "walk frames end",
            "walk frames interval",
            "walk frames name",
            "walk frames start",
        ];
        assert_eq!(found, explained_above);
    }
}
