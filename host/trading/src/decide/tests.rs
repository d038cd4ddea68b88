//! What a person decides about what is held, and what comes of it.
//!
//! ```text
//! record: opened x at 0                the steps of an event record
//! signal a: open id=x                  what the store has for strategy a; `schedule`: its order
//! memory a: 1                          what strategy a remembers
//! fails: write signal                  such calls fail
//! ```
//!
//! A story has what was written, what was recorded, and how the decision ended.

use std::sync::Arc;

use sigbox_events::{Action, Head, HostLine};
use tempfile::TempDir;

use super::*;
use crate::{
    SEGMENT_BYTES, StrategyMemory,
    rows::{order_document, position_document},
    store::Store,
    testing::{Recorder, at, outcome, pair, run, settings, state, steps},
};

struct Scene {
    disk: Recorder,
    dir: TempDir,
}

impl Scene {
    fn read(text: &str) -> Self {
        let scene = Self { disk: Recorder::default(), dir: tempfile::tempdir().unwrap() };
        for line in steps(text) {
            let (place, what) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} says nothing"));
            match place.split_once(' ') {
                None if place == "record" => {
                    let (pair, outcome) = outcome(what);
                    scene.journal().tell(&pair, &outcome).unwrap();
                }
                None if place == "fails" => scene.disk.fail(what),
                Some((domain, whose)) => scene.put(domain, &pair(whose), what),
                None => panic!("{line:?} is no line of a scene"),
            }
        }
        for call in ["ready", "glance", "read"] {
            scene.disk.pass_over(call);
        }
        scene
    }

    fn put(&self, domain: &str, owner: &Pair, what: &str) {
        let (domain, document) = match domain {
            "signal" => (Domain::Signal, position_document(owner, state(owner, what).position().expect("it is open"))),
            "schedule" => (Domain::Schedule, order_document(owner, state(owner, what).order().expect("it waits"))),
            "memory" => {
                let memory = StrategyMemory::default();
                memory.set("x".to_owned(), what.as_bytes().to_vec()).expect("it is small");
                memory.commit(at(0));
                (Domain::Memory, memory.take_unwritten(owner).expect("it is new"))
            }
            _ => panic!("{domain:?} is no place"),
        };
        self.disk.put(&Address::of_pair(domain, owner), &document);
    }

    fn journal(&self) -> Journal<impl FnMut(&Event)> {
        Journal::open(&self.dir.path().join("events.jsonl"), SEGMENT_BYTES, at(100), |_: &Event| {}).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("events.jsonl")).unwrap_or_default();
        text.lines().map(recorded).collect()
    }

    /// What comes of a decision about strategy `a` at minute 9.
    fn decide(&self, decision: &Decision) -> Vec<String> {
        let before = self.lines().len();
        let stores = Stores::all_in(&(Arc::new(self.disk.clone()) as Arc<dyn Store>));
        let decided = run(decide(&stores, &settings(), &mut self.journal(), &pair("a"), decision, at(9)));
        let mut story = self.disk.take();
        story.extend(self.lines().drain(before..));
        story.push(decided.unwrap_or_else(|error| format!("error: {error}")));
        story.iter().map(|line| without_details(line)).collect()
    }
}

/// A line of the event record in words.
fn recorded(line: &str) -> String {
    let head = Head::parse(line.as_bytes()).unwrap();
    match head.action() {
        Some(Action::CarriedOver) => "carried over".to_owned(),
        Some(_) if head.is_of_trader() => format!("tell {}", head.action_name),
        _ => format!("notice {}", HostLine::parse(line.as_bytes()).unwrap().message),
    }
}

/// A line without what stands in brackets: the prices of what is held.
fn without_details(line: &str) -> String {
    let mut parts = line.split(" (");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once(')').map_or(part, |(_, after)| after));
    [first].into_iter().chain(rest).collect()
}

#[track_caller]
fn check(text: &str, decision: &Decision, story: &str) {
    assert_eq!(Scene::read(text).decide(decision), steps(story), "{text}");
}

fn adopt(strategy: &str) -> Decision {
    Decision::Adopt { strategy: strategy.to_owned() }
}

const CLOSE: Decision = Decision::Close { price: 105.0 };
const BY_RECORD: Decision = Decision::Repair { by: Source::Record };
const BY_STORE: Decision = Decision::Repair { by: Source::Store };

#[test]
fn what_was_closed_at_the_exchange_ends_with_an_event() {
    check(
        "record: opened x at 0 | signal a: open id=x",
        &CLOSE,
        "write signal BTC_a/BTC null
         tell closed
         notice position x was closed by hand at 105
         position x was closed by hand at 105",
    );
    // A crash came before it was told that it had begun.
    check(
        "signal a: open id=x",
        &CLOSE,
        "write signal BTC_a/BTC null
         tell opened
         tell closed
         notice position x was closed by hand at 105
         position x was closed by hand at 105",
    );
    check(
        "record: scheduled x at 0 | schedule a: waiting id=x",
        &CLOSE,
        "write schedule BTC_a/BTC null
         tell cancelled
         notice order x was closed by hand at 105
         order x was closed by hand at 105",
    );
    check("", &CLOSE, "error: a on BTC holds nothing");
    // The store has lost the position, and has an older one.
    check(
        "record: opened x@5 at 5 | signal a: open id=y @3",
        &CLOSE,
        "write signal BTC_a/BTC null
         tell closed
         notice position x was closed by hand at 105
         position x was closed by hand at 105",
    );
}

#[test]
fn what_is_forgotten_ends_without_a_result() {
    check(
        "record: opened x at 0 | signal a: open id=x",
        &Decision::Forget,
        "write signal BTC_a/BTC null
         carried over
         notice position x was forgotten
         position x was forgotten",
    );
    check("", &Decision::Forget, "error: a on BTC holds nothing");
}

#[test]
fn a_strategy_adopts_what_another_one_holds_and_what_it_remembers() {
    check(
        "record: opened x at 0 | signal a: open id=x | memory a: 1",
        &adopt("b"),
        "write signal BTC_b/BTC open 100
         write memory BTC_b/values x=1
         write signal BTC_a/BTC null
         carried over
         notice position x was adopted by b
         position x was adopted by b",
    );
    // What remembers something itself keeps it.
    check(
        "record: opened x at 0 | signal a: open id=x | memory a: 1 | memory b: 2",
        &adopt("b"),
        "write signal BTC_b/BTC open 100
         write signal BTC_a/BTC null
         carried over
         notice position x was adopted by b
         position x was adopted by b",
    );
    check("record: opened x at 0 | signal a: open id=x", &adopt("a"), "error: a on BTC has it already");
    check(
        "record: opened x at 0 | signal a: open id=x | record: b opened y at 0 | signal b: open id=y",
        &adopt("b"),
        "error: b on BTC already has position y; it can hold one thing at a time",
    );
}

#[test]
fn a_person_says_whether_the_record_or_the_store_is_right() {
    let contradiction = "record: opened x@0 at 0 | signal a: open id=y @5";
    check(
        contradiction,
        &CLOSE,
        "error: a on BTC: the event record has position x, and the store has position y; say first which is true, with \
         `sigbox state repair`",
    );
    check(
        contradiction,
        &BY_RECORD,
        "write signal BTC_a/BTC open 100
         notice repaired: it has position x, as the event record says
         repaired: it has position x, as the event record says",
    );
    check(
        contradiction,
        &BY_STORE,
        "carried over
         notice repaired: it has position y, as the store says
         repaired: it has position y, as the store says",
    );
    check("signal a: open id=y", &BY_RECORD, "error: a on BTC: the event record does not say what it holds");
}

#[test]
fn what_a_strategy_remembers_is_cleared_whatever_it_holds() {
    check(
        "record: opened x at 0 | signal a: open id=x | memory a: 1",
        &Decision::ClearMemory,
        "write memory BTC_a/values null
         notice what it remembers was cleared
         what it remembers was cleared",
    );
    check("memory b: 1", &Decision::ClearMemory, "error: a on BTC remembers nothing");
    check(
        "memory a: 1 | fails: write memory",
        &Decision::ClearMemory,
        "write memory BTC_a/values null fails
         notice what it remembers was cleared
         error: disk: memory BTC_a/values: away",
    );
}

#[test]
fn a_decision_that_a_store_did_not_take_can_be_made_again_or_is_finished_by_the_next_start() {
    for (decision, said) in [
        (CLOSE, "position x was closed by hand at 105"),
        (Decision::Forget, "position x was forgotten"),
        (adopt("b"), "position x was adopted by b"),
    ] {
        let scene = Scene::read("record: opened x at 0 | signal a: open id=x | fails: write signal BTC_a");
        let story = scene.decide(&decision);
        assert_eq!(story.last().unwrap(), "error: disk: signal BTC_a/BTC: away", "{said}");
        scene.disk.mend();
        // The record says that it has ended, so there is nothing to decide. The next start clears the document.
        assert_eq!(scene.decide(&decision), ["error: a on BTC holds nothing"], "{said}");
        let stores = Stores::all_in(&(Arc::new(scene.disk.clone()) as Arc<dyn Store>));
        let compared = run(compare(&stores, &settings(), scene.journal().record(), &[pair("a")])).unwrap();
        assert!(matches!(compared[0].finding, Finding::Over { .. }), "{said}: {:?}", compared[0].finding);
    }
}
