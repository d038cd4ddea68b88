//! The recorded runs of the reference, repeated and compared event for event and bit for bit: by the engine, and by a
//! component in the sandbox.
//!
//! `SIGBOX_VECTORS=<directory>` runs the vectors of another directory of the same layout (see `vectors/README.md`).

mod archive;
mod difference;
mod product;
mod recorder;
mod scenario;
mod trace;

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sigbox::trading::Native;
use sigbox_engine::{Candle, price::average_price};

use self::{
    archive::Files,
    difference::{Difference, first_difference},
    recorder::{Manner, record},
    scenario::{CandleSet, Scenario},
};

/// A scenario with its candles and its recorded trace.
struct Vector {
    scenario: Scenario,
    /// In order of time.
    candles: Vec<Candle>,
    trace: Value,
}

/// How a vector is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The engine, driven by the recorder, which also answers.
    Engine,
    /// A component answers. It is asked by a backtest, or by the recorder where a backtest cannot do what is needed.
    Component,
}

impl Way {
    const ALL: [Self; 2] = [Self::Engine, Self::Component];

    const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Component => "component",
        }
    }
}

/// Something sigbox does on purpose unlike the reference. A vector that shows it is counted neither as passed nor as
/// failed, and all the rest of it still has to match.
struct Deviation {
    name: &'static str,
    reason: &'static str,
    /// Whether `vector` shows it.
    shown_by: fn(vector: &Vector, way: Way) -> bool,
    /// Takes it out of a trace of `vector`: of the one that is expected, and of the one that was found.
    set_aside: fn(vector: &Vector, trace: &mut Value),
}

/// All of them.
const DEVIATIONS: [Deviation; 5] = [
    Deviation {
        name: "own order",
        reason: "an order that is filled does not count itself against a limit of positions (hazard H-42)",
        shown_by: |vector, way| !vector.is_backtested(way) && vector.counts_own_order(),
        // Nothing: the vector is repeated with that one rule turned round, and then everything has to match.
        set_aside: |_, _| {},
    },
    Deviation {
        name: "bad candle",
        reason: "a missing or impossible candle ends a run when it is reached, not when a lifetime might reach it",
        shown_by: |vector, _| vector.is_fatal(),
        set_aside: |vector, trace| {
            array(trace, "events").retain(|event| event["kind"] != "candle_data");
            // What was entered may well end before the candle is reached, so the run is repeated up to its entry only.
            if vector.aborted_in_advance_ms().is_some() {
                trace["outcome"].take();
            }
        },
    },
    Deviation {
        name: "chunks",
        reason: "a position without end is not cut into chunks of candles, so no tick reports the end of one",
        shown_by: |vector, _| vector.events().iter().any(is_end_of_chunk),
        set_aside: |_, trace| array(trace, "events").retain(|event| !is_end_of_chunk(event)),
    },
    Deviation {
        name: "cost zero",
        reason: "an investment of 0 means the default one everywhere, where the reference divides by it",
        shown_by: |vector, _| !vector.divided_by_zero().is_empty(),
        set_aside: |vector, trace| {
            for name in vector.divided_by_zero() {
                forget_results(trace, name);
            }
        },
    },
    Deviation {
        name: "untyped",
        reason: "a typed strategy cannot give some of these values; an answer as invalid stands for it, and which rules \
                 that breaks is not compared",
        shown_by: |vector, _| vector.events().iter().any(|event| vector.is_untyped(event)),
        set_aside: |vector, trace| {
            for event in array(trace, "events").iter_mut().filter(|event| vector.is_untyped(event)) {
                event["rules"].take();
            }
            let is_untyped = |check: &&mut Value| vector.scenario.strategy.is_untyped_at(time(&check["timestamp"]));
            for check in array(trace, "riskChecks").iter_mut().filter(is_untyped) {
                check["position"].take();
                check["priceOpen"].take();
            }
        },
    },
];

/// Whether `event` is the tick at the end of a chunk of candles of a position without end.
fn is_end_of_chunk(event: &Value) -> bool {
    event["action"] == "active" && event["signal"]["minuteEstimatedTime"] == json!({ "$num": "Infinity" })
}

/// Takes out whatever of the signal `name` depends on what was invested.
fn forget_results(trace: &mut Value, name: &str) {
    const RESULTS: [&str; 5] = ["partial_profit", "partial_loss", "breakeven", "highest_profit", "max_drawdown"];
    let events = array(trace, "events");
    events.retain(|event| event["signal"] != name || !RESULTS.iter().any(|kind| event["type"] == *kind));
    let is_held = |event: &&mut Value| event["signal"]["ref"] == name && event["signal"]["isScheduled"] == false;
    for event in events.iter_mut().filter(is_held) {
        event["pnl"].take();
        for key in ["priceOpen", "pnl", "peakProfit", "maxDrawdown"] {
            event["signal"][key].take();
        }
    }
}

fn array<'a>(trace: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    trace[key].as_array_mut().expect("the field is an array")
}

fn time(value: &Value) -> i64 {
    value.as_i64().expect("a time is a whole number")
}

/// How a vector came out.
enum Verdict {
    Passed,
    Deviates(Vec<&'static Deviation>),
    Failed(Difference),
}

impl Vector {
    fn verdict(&self, way: Way) -> Verdict {
        let (mut expected, mut found) = (self.trace.clone(), self.repeat(way));
        if let Some(refused) = expected["configError"].as_array_mut() {
            refused.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        let shown: Vec<&Deviation> = DEVIATIONS.iter().filter(|deviation| (deviation.shown_by)(self, way)).collect();
        for deviation in &shown {
            (deviation.set_aside)(self, &mut expected);
            (deviation.set_aside)(self, &mut found);
        }
        let differences = self.compared(way).map(|key| first_difference(key, &expected[key], &found[key]));
        match differences.flatten().next() {
            Some(difference) => Verdict::Failed(difference),
            None if shown.is_empty() => Verdict::Passed,
            None => Verdict::Deviates(shown),
        }
    }

    fn repeat(&self, way: Way) -> Value {
        let manner = Manner { own_order_counts: self.counts_own_order(), until_ms: self.aborted_in_advance_ms() };
        match way {
            Way::Engine => {
                let script = self.scenario.strategy.clone();
                record(self, Native(move |now_ms, _| script.answer(now_ms)), manner)
            }
            Way::Component if self.is_backtested(way) => product::backtest(self),
            Way::Component => record(self, product::scripted(self, product::alone(self)), manner),
        }
    }

    /// What is compared, in order.
    fn compared(&self, way: Way) -> impl Iterator<Item = &'static str> + use<> {
        // A backtest does not tell how often it asks the risk rules.
        let rules = (!self.is_backtested(way)).then_some("riskChecks");
        ["outcome", "configError", "events", "getSignalCalls", "pings"].into_iter().chain(rules)
    }

    /// Whether a backtest asks the component: it does where a configuration can say the risk rules and nothing has to
    /// be done the reference's way.
    fn is_backtested(&self, way: Way) -> bool {
        let counted = self.events().iter().any(|event| event["activePositionCount"].as_u64() > Some(0));
        way == Way::Component && product::rules(self).is_some() && !counted && !self.is_fatal()
    }

    fn events(&self) -> &[Value] {
        self.trace["events"].as_array().expect("the field is an array")
    }

    /// Whether an order was counted against itself: there is one pair, so whatever was counted is its own.
    fn counts_own_order(&self) -> bool {
        let checks = self.trace["riskChecks"].as_array().expect("the field is an array");
        checks.iter().any(|check| check["activePositionCount"] != 0)
    }

    fn is_fatal(&self) -> bool {
        self.trace["outcome"] == "fatal"
    }

    /// When the reference ended the run for a candle that an order or a position just entered might need.
    fn aborted_in_advance_ms(&self) -> Option<i64> {
        let (abort, before) = self.events().split_last().filter(|_| self.is_fatal())?;
        let entered = before.last().filter(|event| event["action"] == "opened" || event["action"] == "scheduled")?;
        abort["at"].as_i64().filter(|at_ms| entered["createdAt"] == *at_ms)
    }

    /// The signals whose results are divided by an investment of 0.
    fn divided_by_zero(&self) -> Vec<&str> {
        let opened = self.events().iter().filter(|event| event["type"] == "tick" && event["action"] == "opened");
        let by_zero = opened.filter(|event| event["signal"]["pnl"]["pnlEntries"] == 0);
        by_zero.filter_map(|event| event["signal"]["ref"].as_str()).collect()
    }

    /// Whether `event` reports an answer that a typed strategy cannot give.
    fn is_untyped(&self, event: &Value) -> bool {
        event["kind"] == "invalid_signal" && self.scenario.strategy.is_untyped_at(time(&event["at"]))
    }
}

/// The average of the last `count` of the `candles` that closed until `now_ms`.
fn average_at(candles: &[Candle], now_ms: i64, count: usize) -> Option<f64> {
    let end = candles.partition_point(|candle| candle.open_time_ms < now_ms);
    average_price(candles.get(end.checked_sub(count)?..end)?)
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

/// The packed vector of this name.
fn packed_vector(name: &str) -> Vector {
    packed_vectors().into_iter().find(|vector| vector.scenario.name == name).expect(name)
}

/// How vectors came out.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// The first difference of each.
    failures: Vec<String>,
    /// Names of vectors, by the deviation they show.
    deviating: BTreeMap<&'static str, Vec<String>>,
}

impl Tally {
    fn of(vectors: &[Vector], way: Way) -> Self {
        let mut tally = Self::default();
        for vector in vectors {
            let name = &vector.scenario.name;
            match vector.verdict(way) {
                Verdict::Passed => tally.passed += 1,
                Verdict::Deviates(shown) => {
                    for deviation in shown {
                        tally.deviating.entry(deviation.name).or_default().push(name.clone());
                    }
                }
                Verdict::Failed(difference) => tally.failures.push(format!("{name}: {difference}")),
            }
        }
        tally
    }

    /// For people and for programs: the first line stands alone, whatever the test harness has begun to write.
    fn report(&self, way: Way) -> String {
        let (way, failed) = (way.name(), self.failures.len());
        let mut report = format!("\n{way}: {} passed, {failed} failed\n", self.passed);
        for failure in &self.failures {
            writeln!(report, "{way}: {failure}").expect("a string takes text");
        }
        for deviation in &DEVIATIONS {
            if let Some(names) = self.deviating.get(deviation.name) {
                let (count, reason, names) = (names.len(), deviation.reason, names.join(", "));
                writeln!(report, "{way}: {count} neither: {reason}; all else in them matches: {names}")
                    .expect("a string takes text");
            }
        }
        report
    }
}

#[test]
fn every_recorded_run_is_repeated() {
    let elsewhere = env::var_os("SIGBOX_VECTORS");
    let vectors = match &elsewhere {
        None => packed_vectors(),
        Some(root) => {
            let files = archive::unpacked(Path::new(root));
            vectors(&files.unwrap_or_else(|error| panic!("SIGBOX_VECTORS={}: {error}", root.display())))
        }
    };
    assert!(!vectors.is_empty(), "there are no vectors to repeat");
    let tallies = Way::ALL.map(|way| (way, Tally::of(&vectors, way)));
    for (way, tally) in &tallies {
        // Whether or not the test passes, so it must not be captured.
        io::stdout().lock().write_all(tally.report(*way).as_bytes()).expect("standard output can be written");
    }
    for (way, Tally { failures, deviating, .. }) in &tallies {
        assert!(failures.is_empty(), "{}: {}", way.name(), failures.join("\n"));
        for deviation in DEVIATIONS.iter().filter(|_| elsewhere.is_none()) {
            let shown = deviating.contains_key(deviation.name);
            assert!(shown, "{}: no vector shows the deviation {:?}", way.name(), deviation.name);
        }
    }
}

#[test]
fn most_components_are_asked_by_a_backtest() {
    let vectors = packed_vectors();
    let recorded: Vec<&str> = vectors
        .iter()
        .filter(|vector| !vector.is_backtested(Way::Component))
        .map(|vector| vector.scenario.name.as_str())
        .collect();
    assert!(recorded.len() * 10 < vectors.len(), "{} of {}: {recorded:?}", recorded.len(), vectors.len());
}

#[test]
fn a_bad_candle_ends_a_run_with_its_name() {
    let error_of = |vector: &Vector| product::backtest(vector)["fatal"].clone();
    let cases = [
        (
            "candle-anomalously-low",
            "candles of BTCUSDT: a price of the candle that opens at 2024-01-15T00:20:00Z is absurdly far below its \
             neighbours; put it right, or raise [engine] get-candles-price-anomaly-threshold-factor",
        ),
        ("candle-low-above-high", "the candle of 2024-01-15T01:00:00Z is impossible: the high is below the low"),
        (
            "candles-missing-head",
            "the frame starts at 2024-01-15T00:00:00Z, but the average price needs 5 candles before it, so it can \
             start at 2024-01-15T00:03:00Z at the earliest",
        ),
    ];
    for (name, error) in cases {
        assert_eq!(error_of(&packed_vector(name)), error, "{name}");
    }
    // The frame ends the position long before the candles run out, unless it goes on.
    let mut vector = packed_vector("candles-missing-tail");
    assert_eq!(error_of(&vector), Value::Null);
    vector.scenario.frame.end_date = "2024-01-15T02:00:00Z".parse().expect("a time");
    let error = "there is no candle of BTCUSDT that opens at 2024-01-15T01:00:00Z; the candles end or have a gap there";
    assert_eq!(error_of(&vector), error);
}

#[test]
fn a_run_ended_by_a_bad_candle_has_told_everything_before_it() {
    let vector = packed_vector("candle-anomalously-low");
    let (mut expected, found) = (vector.trace.clone(), product::backtest(&vector));
    array(&mut expected, "events").retain(|event| event["kind"] != "candle_data");
    for key in ["outcome", "events", "getSignalCalls", "pings"] {
        assert_eq!(first_difference(key, &expected[key], &found[key]), None);
    }
}

#[test]
fn a_trace_that_is_off_by_one_bit_is_found() {
    let mut vector = packed_vectors().swap_remove(0);
    for way in Way::ALL {
        assert!(matches!(vector.verdict(way), Verdict::Passed));
    }
    let price = &mut vector.trace["events"][0]["sumPrice"];
    *price = json!(price.as_f64().expect("a price").next_up());
    for way in Way::ALL {
        match vector.verdict(way) {
            Verdict::Failed(difference) => assert_eq!(difference.path, "events[0].sumPrice"),
            Verdict::Passed | Verdict::Deviates(_) => panic!("the difference was not found"),
        }
    }
}

#[test]
fn nothing_but_the_deviation_is_set_aside() {
    let falsify: [fn(&mut Value); 4] = [
        |trace| array(trace, "events").push(json!({ "type": "tick", "action": "idle" })),
        |trace| drop(array(trace, "events").pop()),
        |trace| trace["getSignalCalls"]["sumPrice"] = json!(-0.5),
        |trace| trace["pings"]["sig-0"] = json!({}),
    ];
    for mut vector in packed_vectors() {
        for way in Way::ALL {
            if !DEVIATIONS.iter().any(|deviation| (deviation.shown_by)(&vector, way)) {
                continue;
            }
            let trace = vector.trace.clone();
            for (number, falsify) in falsify.iter().enumerate() {
                falsify(&mut vector.trace);
                // The last event of a run that was aborted is the abort.
                let failed = matches!(vector.verdict(way), Verdict::Failed(_)) || (number == 1 && vector.is_fatal());
                assert!(failed, "{} {way:?} {number}", vector.scenario.name);
                vector.trace = trace.clone();
            }
        }
    }
}
