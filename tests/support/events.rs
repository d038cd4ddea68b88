//! Event files, as a program reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

/// The lines of an event file.
#[derive(Clone, PartialEq)]
pub(crate) struct Events {
    lines: Vec<(String, Value)>,
}

/// Strategy and symbol.
pub(crate) type PairName = (String, String);

/// Whose event it is; `None` for what the host says of itself.
pub(crate) fn pair_of(event: &Value) -> Option<PairName> {
    Some((event["strategyName"].as_str()?.to_owned(), event["symbol"].as_str()?.to_owned()))
}

/// What happened when to whom, as whole events are too long to read.
impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|event| event["id"].as_str().unwrap_or("?"))).finish()
    }
}

/// The lines of traders in the text of an event file, as they are. What the host says depends on when it was started.
pub(crate) fn of_traders(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with("{\"id\":\"host:")).collect()
}

impl Events {
    /// Every line must be an object.
    pub(crate) fn parse(text: &str) -> Self {
        let parse = |line: &str| {
            // A live run ends each line with its checksum; a backtest does not.
            let line = line.split_once(",\"crc32\":").map_or(line.to_owned(), |(event, _)| format!("{event}}}"));
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(event.is_object(), "{line}");
            (line, event)
        };
        Self { lines: text.lines().map(parse).collect() }
    }

    /// In the order of the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().map(|(_, event)| event)
    }

    /// The lines as they are.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.lines.iter().map(|(line, _)| line.as_str()).collect()
    }

    /// Those with this action.
    pub(crate) fn of(&self, action: &str) -> Vec<&Value> {
        self.iter().filter(|event| event["action"] == action).collect()
    }

    /// Those that happened before `at_ms`.
    pub(crate) fn before(&self, at_ms: i64) -> Self {
        self.keep(|event| event["timestamp"].as_i64().expect("every event has a time") < at_ms)
    }

    /// The lines of each strategy on each symbol, in order. What different ones do at the same minute has no order.
    pub(crate) fn by_pair(&self) -> BTreeMap<PairName, Vec<&str>> {
        let mut pairs: BTreeMap<PairName, Vec<&str>> = BTreeMap::new();
        for (line, event) in &self.lines {
            if let Some(pair) = pair_of(event) {
                pairs.entry(pair).or_default().push(line);
            }
        }
        pairs
    }

    /// Those of traders, without what the host says.
    pub(crate) fn of_pairs(&self) -> Self {
        self.keep(|event| pair_of(event).is_some())
    }

    fn keep(&self, wanted: impl Fn(&Value) -> bool) -> Self {
        Self { lines: self.lines.iter().filter(|(_, event)| wanted(event)).cloned().collect() }
    }
}

/// Where two runs part, strategy by strategy, with the event each has there.
pub(crate) fn first_difference(found: &Events, expected: &Events) -> Option<String> {
    let (found, expected) = (found.by_pair(), expected.by_pair());
    let pairs: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    pairs.into_iter().find_map(|pair| {
        let [found, expected] = [&found, &expected].map(|run| run.get(pair).map_or(&[][..], Vec::as_slice));
        let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let at = |lines: &[&str]| lines.get(same).map_or_else(|| "nothing more".to_owned(), ToString::to_string);
        (found.len().max(expected.len()) > same).then(|| {
            let before = same.checked_sub(1).map_or("nothing", |last| expected[last]);
            format!(
                "{pair:?}, event {same}:\n  before   {before}\n  found    {}\n  expected {}",
                at(found),
                at(expected)
            )
        })
    })
}
