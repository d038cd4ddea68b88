//! What a start finds in the stores and in the event record, and what it does about it.
//!
//! A scene has what was recorded, what the stores have, and who trades; a story what was written, what was noticed, and
//! what is held then.
//!
//! ```text
//! record: opened x@0 at 3              the steps of an event record
//! signal a: open id=x @0               what the store has where strategy a keeps its position; `schedule` its order
//! slots limit: z on ETH                of the risk profile `limit`
//! traders: a, b on ETH                 the configuration; `a` on BTC if nothing is said
//! index: z on ETH                      traders that an earlier run has noted in the store
//! refuse                               a start with orphans is refused
//! fails: write signal                  such calls fail
//! damaged                              lines of the record were damaged
//! ```

use std::sync::Arc;

use sigbox_engine::{Interval, trader::Answer};
use sigbox_events::{Action, Head, HostLine};
use sigbox_market::Market;
use tempfile::TempDir;

use super::*;
use crate::{
    Native, Profile, SEGMENT_BYTES, SeatSetup,
    rows::{order_document, position_document},
    store::{OnCorrupt, Store},
    testing::{EXCHANGE, Recorder, at, held, outcome, pair, run, settings, slots_text, state, steps},
};

struct Scene {
    disk: Recorder,
    dir: TempDir,
    traders: Vec<Pair>,
    orphans: Orphans,
    on_corrupt: OnCorrupt,
}

impl Scene {
    fn read(text: &str) -> Self {
        let mut scene = Self {
            disk: Recorder::default(),
            dir: tempfile::tempdir().unwrap(),
            traders: vec![pair("a")],
            orphans: Orphans::Watch,
            on_corrupt: OnCorrupt::Quarantine,
        };
        for line in steps(text) {
            let (place, what) = line.split_once(": ").unwrap_or((line, ""));
            match place.split_once(' ') {
                None if place == "record" => scene.record(what),
                None if place == "traders" => scene.traders = what.split(", ").map(pair).collect(),
                None if place == "index" => scene.index(what),
                None if place == "fails" => scene.disk.fail(what),
                None if place == "refuse" => scene.orphans = Orphans::Refuse,
                None if place == "damaged" => scene.damage(),
                Some((domain, whose)) => scene.put(domain, whose, what),
                None => panic!("{line:?} is no line of a scene"),
            }
        }
        for call in ["ready", "glance", "read", "write signal traders", "write schedule traders"] {
            scene.disk.pass_over(call);
        }
        scene
    }

    fn events(&self) -> std::path::PathBuf {
        self.dir.path().join("events.jsonl")
    }

    fn record(&self, step: &str) {
        let mut journal = self.journal();
        let (pair, outcome) = outcome(step);
        journal.tell(&pair, &outcome).unwrap();
    }

    fn damage(&self) {
        let mut bytes = std::fs::read(self.events()).unwrap();
        bytes.extend_from_slice(b"{\"id\":\"half of\0\0\n");
        std::fs::write(self.events(), bytes).unwrap();
    }

    fn index(&self, traders: &str) {
        let entries = traders.split(", ").map(pair).map(|pair| (pair.symbol, pair.strategy)).collect();
        run(index::write(&self.stores(), &entries, 0)).unwrap();
        self.disk.take();
    }

    fn put(&self, domain: &str, whose: &str, what: &str) {
        let owner = pair(whose);
        let (at, document) = match domain {
            "signal" => {
                let document = match what.strip_prefix('"') {
                    Some(text) => text.trim_end_matches('"').as_bytes().to_vec(),
                    None => position_document(&owner, state(&owner, what).position().unwrap()),
                };
                (Address::of_pair(Domain::Signal, &owner), document)
            }
            "schedule" => {
                let document = order_document(&owner, state(&owner, what).order().unwrap());
                (Address::of_pair(Domain::Schedule, &owner), document)
            }
            "slots" => (Address::of_profile(whose), slots_text(what).into_bytes()),
            _ => panic!("{domain:?} is no place"),
        };
        self.disk.put(&at, &document);
    }

    fn stores(&self) -> Stores {
        Stores::all_in(&(Arc::new(self.disk.clone()) as Arc<dyn Store>))
    }

    fn journal(&self) -> Journal<impl FnMut(&Event)> {
        Journal::open(&self.events(), SEGMENT_BYTES, at(100), |_: &Event| {}).unwrap()
    }

    /// What a start does, and what is held then.
    fn start(&self) -> Vec<String> {
        let symbols = self.traders.iter().map(|pair| pair.symbol.clone());
        let setup = Setup::new(EXCHANGE, Market::growing(symbols.chain(["ETH".to_owned()])), settings());
        let setup = setup.profile(Profile::new("limit".to_owned(), Vec::new()));
        let mut setup = self.traders.iter().fold(setup, |setup, pair| {
            let silent = Native(|_: i64, _: f64| Answer::Nothing);
            let seat = SeatSetup::new(setup.assign(&pair.strategy, &pair.symbol), Interval::MINUTE, silent);
            setup.seat(seat)
        });
        let options = LiveOptions { orphans: self.orphans, on_corrupt: self.on_corrupt, ..LiveOptions::at(at(100)) };
        let mut journal = self.journal();
        let before = std::fs::read_to_string(self.events()).unwrap().lines().count();
        let started = run(super::held(&mut setup, &self.stores(), &options, &mut journal));
        let mut found = self.disk.take();
        let lines = std::fs::read_to_string(self.events()).unwrap();
        found.extend(lines.lines().skip(before).filter_map(noticed));
        match started {
            Ok(Held { states, others }) => {
                let holds = states.iter().filter(|(_, state)| **state != State::Idle);
                found.extend(holds.map(|(pair, state)| format!("{pair}: {}", held(state))));
                let stopped = self.traders.iter().filter(|pair| !states.contains_key(pair));
                found.extend(stopped.map(|pair| format!("{pair}: stopped")));
                found.extend(others.iter().flatten().map(|(key, slot)| format!("slot of {}", slot.owner(key))));
            }
            Err(error) => found.push(format!("error: {error}")),
        }
        found
    }
}

/// A notice in words; `None` for a line of a trader.
fn noticed(line: &str) -> Option<String> {
    let head = Head::parse(line.as_bytes()).unwrap();
    if head.is_of_trader() || head.action() == Some(Action::CarriedOver) {
        return None;
    }
    let HostLine { about, message } = HostLine::parse(line.as_bytes()).unwrap();
    let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
    let message = message.split_once(" (").map_or(&*message, |(message, _)| message);
    Some(format!("{} {about}{message}", head.action_name))
}

/// What a start does, and that the next one has nothing left to do.
#[track_caller]
fn check(text: &str, story: &str) {
    let scene = Scene::read(text);
    assert_eq!(scene.start(), steps(story), "{text}");
    scene.disk.mend();
    let again = scene.start();
    let does = ["write", "set aside", "state_rebuilt", "state_cleared"];
    assert!(!again.iter().any(|line| does.iter().any(|call| line.starts_with(call))), "{text}\nagain: {again:#?}");
}

#[test]
fn what_agrees_is_held_and_counted() {
    check("", "");
    check("signal a: open id=x", "reconciled 1 held | a on BTC: open 100");
    check("record: opened x at 0 | signal a: open id=x", "reconciled 1 held | a on BTC: open 100");
}

#[test]
fn a_position_that_the_store_has_lost_is_written_again() {
    check(
        "record: opened x at 0",
        "write signal BTC_a/BTC open 100
         state_rebuilt a on BTC: the store has lost position x
         reconciled 1 held
         a on BTC: open 100",
    );
    // A document that cannot be understood is lost as well, and it is kept aside.
    check(
        "record: opened x at 0 | signal a: \"{\"",
        "set aside signal BTC_a/BTC
         write signal BTC_a/BTC open 100
         state_quarantined a on BTC: signal BTC_a/BTC in disk cannot be understood
         state_rebuilt a on BTC: the store has lost position x
         reconciled 1 held
         a on BTC: open 100",
    );
    // The run does not start with a store that does not take it.
    let scene = Scene::read("record: opened x at 0 | fails: write signal");
    assert_eq!(scene.start().last().unwrap(), "error: disk: signal BTC_a/BTC: away");
}

#[test]
fn a_row_of_a_time_that_has_not_come_is_set_aside() {
    check(
        "signal a: open id=x @999999",
        "set aside signal BTC_a/BTC
         state_quarantined a on BTC: signal BTC_a/BTC in disk cannot be understood",
    );
    // The record knows that it was opened, so the clock is wrong and not the row.
    check("record: opened x at 999999 | signal a: open id=x @999999", "reconciled 1 held | a on BTC: open 100");
}

#[test]
fn what_has_ended_is_cleared_and_not_judged_again() {
    let story = "write signal BTC_a/BTC null
                 state_cleared a on BTC: the store still has position x
                 reconciled 0 held";
    let lived = "record: opened x at 0 | record: closed x@0 at 5";
    check(&format!("{lived} | signal a: open id=x"), story);
    // A store that came back older has a signal of before.
    check(
        "record: opened x at 0 | record: closed x@0 at 5 | record: opened y at 7 | record: closed y@7 at 9
         signal a: open id=x",
        story,
    );
    // A later one is new: the crash came before its event.
    check(&format!("{lived} | signal a: open id=y @7"), "reconciled 1 held | a on BTC: open 100");
}

#[test]
fn a_contradiction_stops_its_trader_and_nobody_else() {
    check(
        "traders: a, b | record: opened x at 0 | signal a: open id=x open=99 | signal b: open id=y | slots limit: a",
        "trader_stopped a on BTC: stopped: the event record has position x
         reconciled 1 held
         b on BTC: open 100
         a on BTC: stopped
         slot of a on BTC",
    );
}

#[test]
fn what_the_configuration_does_not_name_is_watched() {
    // By the index of the store, by the record, and by the slots of a risk profile.
    check(
        "index: z, y on ETH | signal z: open id=x | signal y on ETH: open id=x",
        "orphan_found z on BTC: still holds position x
         orphan_found y on ETH: still holds position x
         reconciled 2 held
         z on BTC: open 100
         y on ETH: open 100",
    );
    check(
        "record: z opened x at 0 | signal z: open id=x",
        "orphan_found z on BTC: still holds position x | reconciled 1 held | z on BTC: open 100",
    );
    check(
        "slots limit: z | signal z: open id=x",
        "orphan_found z on BTC: still holds position x | reconciled 1 held | z on BTC: open 100",
    );
    // It was lost as well.
    check(
        "record: z opened x at 0",
        "write signal BTC_z/BTC open 100
         state_rebuilt z on BTC: the store has lost position x
         orphan_found z on BTC: still holds position x
         reconciled 1 held
         z on BTC: open 100",
    );
    // Of a symbol without candles it keeps its slot, and nobody watches it.
    check(
        "slots limit: z on XRP | signal z on XRP: open id=x",
        "orphan_found z on XRP: still holds position x | reconciled 1 held | slot of z on XRP",
    );
    check(
        "index: z | slots limit: z",
        "slot_dropped risk profile limit: the slot z_ex_BTC has no open position and was dropped",
    );
}

#[test]
fn a_start_with_orphans_can_be_refused() {
    let scene = Scene::read("refuse | index: z | signal z: open id=x");
    let found = scene.start();
    assert!(found.last().unwrap().starts_with("error: z on BTC still holds position x"), "{found:?}");
    assert!(!found.iter().any(|line| line.starts_with("write")), "{found:?}");
}

/// A crash came after another strategy had adopted it, and before the old documents were cleared.
#[test]
fn an_adoption_that_was_not_finished_is_finished() {
    check(
        "index: z | record: z opened x at 0 | signal z: open id=x | signal a: open id=x",
        "write signal BTC_z/BTC null
         state_cleared z on BTC: the store still has position x
         reconciled 1 held
         a on BTC: open 100",
    );
}

#[test]
fn where_lines_were_damaged_the_store_says_what_is_held_and_the_record_remembers_it() {
    check("record: opened x at 0 | damaged", "");
    check("record: opened x at 0 | damaged | signal a: open id=x", "reconciled 1 held | a on BTC: open 100");
}
