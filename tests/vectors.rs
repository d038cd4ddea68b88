//! The recorded runs of the reference, repeated by the engine and compared event for event and bit for bit.
//!
//! `SIGBOX_VECTORS=<directory>` runs the vectors of another directory of the same layout (see `vectors/README.md`).

mod archive;
mod difference;
mod recorder;
mod scenario;

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write},
    path::Path,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sigbox_engine::Candle;

use self::{
    archive::Files,
    difference::{Difference, first_difference},
    recorder::{OwnOrder, UNTYPED, record},
    scenario::{CandleSet, Scenario},
};

/// Something the engine does on purpose unlike the reference. A vector it applies to is counted neither as passed nor
/// as failed, and all the rest of it still has to match.
struct Deviation {
    name: &'static str,
    reason: &'static str,
    /// Whether `vector` shows it; if so, takes it out of the `expected` trace and the one that was `found`.
    set_aside: fn(vector: &Vector, expected: &mut Value, found: &mut Value) -> bool,
}

/// All of them.
const DEVIATIONS: [Deviation; 5] = [
    Deviation {
        name: "own order",
        reason: "an order that is filled does not count itself against a limit of positions (hazard H-42)",
        set_aside: |vector, expected, found| {
            // There is one pair, so whatever was counted was its own order.
            let counted = array(expected, "riskChecks").iter().any(|check| check["activePositionCount"] != 0);
            if counted {
                *found = record(&vector.scenario, &vector.candles, OwnOrder::Counted);
            }
            counted
        },
    },
    Deviation {
        name: "bad candle",
        reason: "a missing or impossible candle ends a run when it is reached, not when a lifetime might reach it",
        set_aside: |_, expected, found| {
            let fatal = expected["outcome"] == "fatal";
            if fatal {
                let events = array(expected, "events");
                events.retain(|event| event["kind"] != "candle_data");
                let in_advance = events.last().is_some_and(|event| event["action"] != "idle");
                let before = events.len();
                array(found, "events").truncate(before);
                expected["pings"] = found["pings"].clone();
                if in_advance {
                    // What was entered may well end before the candle is reached.
                    expected["outcome"] = found["outcome"].clone();
                }
            }
            fatal
        },
    },
    Deviation {
        name: "chunks",
        reason: "a position without end is not cut into chunks of candles, so no tick reports the end of one",
        set_aside: |_, expected, _| {
            let events = array(expected, "events");
            let before = events.len();
            events.retain(|event| event["action"] != "active");
            events.len() != before
        },
    },
    Deviation {
        name: "cost zero",
        reason: "an investment of 0 means the default one everywhere, where the reference divides by it",
        set_aside: |vector, expected, found| {
            let invests_nothing = vector.scenario.strategy.invests_nothing();
            if invests_nothing {
                forget_results(expected);
                forget_results(found);
            }
            invests_nothing
        },
    },
    Deviation {
        name: "untyped",
        reason: "a typed strategy cannot give some of these values, so which rules those break is not compared",
        set_aside: |_, expected, found| {
            let untyped: Vec<Value> =
                array(found, "events").iter().filter(|event| event["rules"] == UNTYPED).cloned().collect();
            for invalid in &untyped {
                for event in array(expected, "events") {
                    if event["kind"] == "invalid_signal" && event["at"] == invalid["at"] {
                        *event = invalid.clone();
                    }
                }
                // The risk rules saw the same values.
                for trace in [&mut *expected, &mut *found] {
                    array(trace, "riskChecks").retain(|check| check["timestamp"] != invalid["at"]);
                }
            }
            !untyped.is_empty()
        },
    },
];

/// Takes out everything that depends on what was invested.
fn forget_results(trace: &mut Value) {
    const RESULTS: [&str; 5] = ["partial_profit", "partial_loss", "breakeven", "highest_profit", "max_drawdown"];
    array(trace, "events").retain(|event| !RESULTS.iter().any(|kind| event["type"] == *kind));
    for event in array(trace, "events") {
        event.as_object_mut().expect("an event is an object").remove("pnl");
        if let Some(signal) = event.get_mut("signal").and_then(Value::as_object_mut) {
            for key in ["priceOpen", "pnl", "peakProfit", "maxDrawdown"] {
                signal.remove(key);
            }
        }
    }
}

fn array<'a>(trace: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    trace[key].as_array_mut().expect("the field is an array")
}

/// A scenario with its candles and its recorded trace.
struct Vector {
    scenario: Scenario,
    candles: Vec<Candle>,
    trace: Value,
}

/// How a vector came out.
enum Verdict {
    Passed,
    Deviates(Vec<&'static Deviation>),
    Failed(Difference),
}

/// What is compared, in order.
const COMPARED: [&str; 6] = ["outcome", "configError", "events", "getSignalCalls", "riskChecks", "pings"];

impl Vector {
    fn verdict(&self) -> Verdict {
        let mut expected = self.trace.clone();
        if let Some(refused) = expected["configError"].as_array_mut() {
            refused.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        let mut found = record(&self.scenario, &self.candles, OwnOrder::NotCounted);
        let shown: Vec<&Deviation> =
            DEVIATIONS.iter().filter(|deviation| (deviation.set_aside)(self, &mut expected, &mut found)).collect();
        let differences = COMPARED.iter().map(|key| first_difference(key, &expected[key], &found[key]));
        match differences.flatten().next() {
            Some(difference) => Verdict::Failed(difference),
            None if shown.is_empty() => Verdict::Passed,
            None => Verdict::Deviates(shown),
        }
    }
}

/// The vectors made of `files`, in the order of their names.
fn vectors(files: &Files) -> Vec<Vector> {
    let sets: BTreeMap<&str, Vec<Candle>> = files
        .keys()
        .filter_map(|path| path.strip_prefix("candles/"))
        .map(|name| (name, parse::<CandleSet>(files, &format!("candles/{name}")).candles()))
        .collect();
    let load = |name: &str| {
        let scenario: Scenario = parse(files, &format!("scenarios/{name}"));
        let candles = scenario.candles.resolve(&sets);
        Vector { scenario, candles, trace: parse(files, &format!("traces/{name}")) }
    };
    files.keys().filter_map(|path| path.strip_prefix("scenarios/")).map(load).collect()
}

fn parse<T: DeserializeOwned>(files: &Files, path: &str) -> T {
    let contents = files.get(path).unwrap_or_else(|| panic!("{path} is missing"));
    serde_json::from_slice(contents).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn packed_vectors() -> Vec<Vector> {
    vectors(&archive::packed().expect("the archives can be read"))
}

/// The line is printed whether or not the test passes, so it must not be captured.
fn report(line: &str) {
    writeln!(io::stdout().lock(), "{line}").expect("standard output can be written");
}

#[test]
fn the_engine_repeats_every_recorded_run() {
    let elsewhere = env::var_os("SIGBOX_VECTORS");
    let vectors = match &elsewhere {
        None => packed_vectors(),
        Some(root) => {
            let files = archive::unpacked(Path::new(root));
            vectors(&files.unwrap_or_else(|error| panic!("SIGBOX_VECTORS={}: {error}", root.display())))
        }
    };
    let (mut passed, mut failures) = (0, Vec::new());
    let mut deviating: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for vector in &vectors {
        let name = vector.scenario.name.as_str();
        match vector.verdict() {
            Verdict::Passed => passed += 1,
            Verdict::Deviates(shown) => {
                for deviation in shown {
                    deviating.entry(deviation.name).or_default().push(name);
                }
            }
            Verdict::Failed(difference) => failures.push(format!("{name}: {difference}")),
        }
    }
    report(&format!("vectors: {passed} passed, {} failed", failures.len()));
    for deviation in &DEVIATIONS {
        if let Some(names) = deviating.get(deviation.name) {
            let (count, names) = (names.len(), names.join(", "));
            report(&format!("vectors: {count} neither: {}; all else in them matches: {names}", deviation.reason));
        }
    }
    assert!(!vectors.is_empty(), "there are no vectors to compare with");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if elsewhere.is_none() {
        for deviation in &DEVIATIONS {
            assert!(deviating.contains_key(deviation.name), "no vector shows the deviation {:?}", deviation.name);
        }
    }
}

#[test]
fn a_bad_candle_ends_a_run_when_it_is_reached() {
    let cases = [
        ("candle-anomalously-low", json!("candle at 1705278000000: a price is absurdly far below its neighbours")),
        ("candle-low-above-high", json!("candle at 1705280400000: the high is below the low")),
        ("candles-missing-head", json!("no candle opens at 1705276620000")),
        // The frame ends the position long before the candles run out.
        ("candles-missing-tail", Value::Null),
    ];
    let vectors = packed_vectors();
    for (name, error) in cases {
        let vector = vectors.iter().find(|vector| vector.scenario.name == name).expect(name);
        let found = record(&vector.scenario, &vector.candles, OwnOrder::NotCounted);
        let outcome = if error.is_null() { "completed" } else { "fatal" };
        assert_eq!((&found["outcome"], &found["fatal"]), (&json!(outcome), &error), "{name}");
    }
}

#[test]
fn a_trace_that_is_off_by_one_bit_is_found() {
    let mut vector = packed_vectors().swap_remove(0);
    assert!(matches!(vector.verdict(), Verdict::Passed));
    let price = &mut vector.trace["events"][0]["sumPrice"];
    *price = json!(price.as_f64().expect("a price").next_up());
    match vector.verdict() {
        Verdict::Failed(difference) => assert_eq!(difference.path, "events[0].sumPrice"),
        Verdict::Passed | Verdict::Deviates(_) => panic!("the difference was not found"),
    }
}
