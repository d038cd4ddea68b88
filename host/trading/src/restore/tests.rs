//! What a start makes of the documents it finds.
//!
//! A scene has what the stores hold and what goes wrong; a story what is held then, or why the run cannot start, and
//! before that what was written, set aside and noticed, in order.
//!
//! ```text
//! signal a: open id=x             where strategy a keeps its position; `schedule` its order
//! signal a: of b: open            a row of strategy b in that place
//! levels a: x +10 -20             of signal x
//! signal a: "text"                exactly this
//! slots limit: a, z on ETH        of the risk profile `limit`, as the reference writes them
//! fails: read signal              such calls fail
//! halt                            a document that cannot be understood stops the run
//! ```
//!
//! The run trades strategies `a` and `b` on BTC, and all that is read is left out of stories, unless the scene says
//! `reads`.

use std::sync::Arc;

use super::*;
use crate::{
    StrategyMemory,
    store::Store,
    testing::{EXCHANGE, Recorder, held, pair, run, settings, slots_text, state, steps},
};

struct Scene {
    disk: Recorder,
    on_corrupt: OnCorrupt,
}

impl Scene {
    fn read(text: &str) -> Self {
        let mut scene = Self { disk: Recorder::default(), on_corrupt: OnCorrupt::Quarantine };
        let mut reads = false;
        for line in steps(text) {
            let (place, what) = line.split_once(": ").unwrap_or((line, ""));
            match place.split_once(' ') {
                None if place == "fails" => scene.disk.fail(what),
                None if place == "slow" => scene.disk.slow(what),
                None if place == "halt" => scene.on_corrupt = OnCorrupt::Halt,
                None if place == "reads" => reads = true,
                Some((domain, whose)) => scene.put(domain, whose, what),
                None => panic!("{line:?} is no line of a scene"),
            }
        }
        if !reads {
            for call in ["ready", "read"] {
                scene.disk.pass_over(call);
            }
        }
        scene
    }

    fn put(&self, domain: &str, whose: &str, what: &str) {
        let domain = match domain {
            "signal" => Domain::Signal,
            "schedule" => Domain::Schedule,
            "levels" => Domain::Partial,
            "slots" => Domain::Risk,
            "memory" => Domain::Memory,
            _ => panic!("{domain:?} is no place"),
        };
        let at =
            if domain == Domain::Risk { Address::of_profile(whose) } else { Address::of_pair(domain, &pair(whose)) };
        if let Some(text) = what.strip_prefix('"') {
            return self.disk.put(&at, text.trim_end_matches('"').as_bytes());
        }
        let document = match domain {
            Domain::Risk => slots_text(what),
            Domain::Partial => levels(what),
            Domain::Memory => {
                let memory = StrategyMemory::default();
                memory.set("x".to_owned(), what.as_bytes().to_vec()).unwrap();
                memory.commit(0);
                String::from_utf8(memory.take_unwritten(&pair(whose)).unwrap()).unwrap()
            }
            Domain::Signal | Domain::Schedule => {
                let owner = pair(what.strip_prefix("of ").and_then(|of| of.split_once(": ")).map_or(whose, |of| of.0));
                let what = what.rsplit_once(": ").map_or(what, |(_, what)| what);
                match state(&owner, what) {
                    State::Idle => "null".to_owned(),
                    State::Scheduled(order) => String::from_utf8(crate::rows::order_document(&owner, &order)).unwrap(),
                    State::Open(open) => String::from_utf8(crate::rows::position_document(&owner, &open)).unwrap(),
                }
            }
        };
        self.disk.put(&at, document.as_bytes());
    }

    fn stores(&self) -> Stores {
        Stores::all_in(&(Arc::new(self.disk.clone()) as Arc<dyn Store>))
    }
}

/// `x +10 -20`
fn levels(words: &str) -> String {
    let (id, levels) = words.split_once(' ').unwrap_or((words, ""));
    let of_sign = |sign: char| {
        let levels = levels.split_whitespace().filter_map(|level| level.strip_prefix(sign));
        levels.collect::<Vec<_>>().join(",")
    };
    format!(r#"{{"{id}":{{"profitLevels":[{}],"lossLevels":[{}]}}}}"#, of_sign('+'), of_sign('-'))
}

/// What `a` and `b` hold after a start.
#[track_caller]
fn check(text: &str, story: &str) {
    let mut scene = Scene::read(text);
    let (stores, settings) = (scene.stores(), settings());
    let restorer =
        Restorer { stores: &stores, settings: &settings, on_corrupt: scene.on_corrupt, now_ms: 0, latest_ms: i64::MAX };
    let pairs = [pair("a"), pair("b")];
    let states = run(restorer.states(&pairs, &mut scene.disk));
    let mut found = scene.disk.take();
    match states {
        Ok(states) => {
            let name = |(pair, state): (&Pair, &State)| format!("{}: {}{}", pair.strategy, id(state), held(state));
            found.extend(pairs.iter().zip(&states).map(name).filter(|line| !line.ends_with(": flat")));
        }
        Err(error) => found.push(format!("error: {error}")),
    }
    assert_eq!(found, steps(story), "{text}");
}

/// The id of what is held, where the scene gave one.
fn id(state: &State) -> String {
    let signal = state.order().map(|order| &order.signal).or(state.position().map(|position| &position.signal));
    signal.map(|signal| &signal.id).filter(|id| id.len() == 1).map(|id| format!("{id}, ")).unwrap_or_default()
}

#[test]
fn what_the_documents_hold_is_held_and_a_start_writes_nothing() {
    check("", "");
    check("signal a: flat | schedule a: flat | levels a: \"{}\"", "");
    check("signal a: open id=x open=99", "a: x, open 99");
    check("signal a: open id=x | schedule a: flat", "a: x, open 100");
    check("schedule a: waiting id=x open=99", "a: x, waiting 99");
    check("signal a: flat | schedule a: waiting id=x", "a: x, waiting 100");
    check("signal a: open id=x | schedule b: waiting id=y open=99", "a: x, open 100 | b: y, waiting 99");
    check("signal a on ETH: open", "");
    check("signal c: open", "");
}

#[test]
fn every_place_is_made_ready_before_it_is_read_and_levels_are_read_only_for_a_position() {
    let ready = "ready signal BTC_a | ready schedule BTC_a | ready partial BTC_a";
    let others = "ready signal BTC_b | ready schedule BTC_b | ready partial BTC_b
                  read signal BTC_b/BTC | read schedule BTC_b/BTC";
    check("reads", &format!("{ready} | read signal BTC_a/BTC | read schedule BTC_a/BTC\n {others}"));
    check(
        "reads | signal a: open id=x",
        &format!(
            "{ready} | read signal BTC_a/BTC | read schedule BTC_a/BTC | read partial BTC_a/levels\n {others}
                  a: x, open 100"
        ),
    );
    check(
        "reads | schedule a: waiting id=x",
        &format!("{ready} | read signal BTC_a/BTC | read schedule BTC_a/BTC\n {others}\n a: x, waiting 100"),
    );
}

#[test]
fn a_row_in_two_homes_is_the_position_and_leaves_the_other_one() {
    // The crash came between the two writes of a fill.
    check(
        "signal a: open id=x open=99 | schedule a: waiting id=x open=99",
        "write schedule BTC_a/BTC null
         a: x, open 99",
    );
    // Should this fail, the run does not start: it would be filled again.
    check(
        "signal a: open id=x | schedule a: waiting id=x | fails: write",
        "write schedule BTC_a/BTC null fails
         error: disk: schedule BTC_a/BTC: away",
    );
    // Another order cannot wait while a position is open; nothing is deleted.
    check(
        "signal a: open id=x | schedule a: waiting id=y",
        "set aside schedule BTC_a/BTC
         notice a state_quarantined: schedule BTC_a/BTC in disk (a position x is open, so no order can wait), \
         moved to memory, .quarantine/schedule BTC_a/BTC.1
         a: x, open 100",
    );
    check(
        "halt | signal a: open id=x | schedule a: waiting id=y",
        "error: schedule BTC_a/BTC in disk cannot be understood: a position x is open, so no order can wait; \
         put it right, or move it away to go on as flat ([persistence] on-corrupt = \"halt\")",
    );
    // Each trader for itself.
    check("signal a: open id=x | schedule b: waiting id=x", "a: x, open 100 | b: x, waiting 100");
}

#[test]
fn levels_are_those_of_the_position_and_others_are_left_overs() {
    check("signal a: open id=x | levels a: x +10 +20 -30", "a: x, open 100 +10 +20 -30");
    check("signal a: open id=x | levels a: y +10", "a: x, open 100");
    check("signal a: open id=x | levels b: x +10", "a: x, open 100");
    check("signal a: open id=x | levels a: \"null\"", "a: x, open 100");
    // Nobody asks for them where nothing is open.
    check("schedule a: waiting id=x | levels a: x +10", "a: x, waiting 100");
    check("levels a: \"no JSON\"", "");
    // In two homes, the position has its levels as well.
    check(
        "signal a: open id=x | schedule a: waiting id=x | levels a: x +10",
        "write schedule BTC_a/BTC null
         a: x, open 100 +10",
    );
    // Without levels a position is whole: they are passed again.
    check(
        "signal a: open id=x | levels a: \"[]\"",
        "set aside partial BTC_a/levels
         notice a state_quarantined: partial BTC_a/levels in disk (invalid type: sequence, expected a map at line 1 \
         column 0), moved to memory, .quarantine/partial BTC_a/levels.1
         a: x, open 100",
    );
}

#[test]
fn a_document_that_cannot_be_understood_is_set_aside_or_stops_the_run() {
    check(
        "signal a: \"{}\"",
        "set aside signal BTC_a/BTC
         notice a state_quarantined: signal BTC_a/BTC in disk (missing field `id` at line 1 column 2), \
         moved to memory, .quarantine/signal BTC_a/BTC.1",
    );
    check(
        "halt | signal a: \"{}\"",
        "error: signal BTC_a/BTC in disk cannot be understood: missing field `id` at line 1 column 2; \
         put it right, or move it away to go on as flat ([persistence] on-corrupt = \"halt\")",
    );
    // The other documents count.
    check(
        "signal a: \"\" | schedule a: waiting id=x",
        "set aside signal BTC_a/BTC
         notice a state_quarantined: signal BTC_a/BTC in disk (EOF while parsing a value at line 1 column 0), \
         moved to memory, .quarantine/signal BTC_a/BTC.1
         a: x, waiting 100",
    );
    check(
        "signal a: open id=x | schedule a: open id=x",
        "set aside schedule BTC_a/BTC
         notice a state_quarantined: schedule BTC_a/BTC in disk (it is a position, where orders that wait are kept), \
         moved to memory, .quarantine/schedule BTC_a/BTC.1
         a: x, open 100",
    );
    // A store that cannot do that is one the run cannot use.
    check(
        "signal a: \"\" | fails: set aside",
        "set aside signal BTC_a/BTC fails
         error: disk: signal BTC_a/BTC: away",
    );
}

#[test]
fn a_row_of_somebody_else_stops_the_run_and_stays_where_it_is() {
    let refused = |document: &str, found: &str| {
        format!(
            "error: {document} in disk belongs to {found}, but strategy a on BTC, exchange {EXCHANGE} would use it; rename the \
             strategy or the exchange, or choose another [persistence] data-dir. Nothing was changed"
        )
    };
    for on_corrupt in ["", "halt | "] {
        check(
            &format!("{on_corrupt}signal a: of z: open"),
            &refused("signal BTC_a/BTC", "strategy z on BTC, exchange ex"),
        );
        check(
            &format!("{on_corrupt}schedule a: of a on ETH: waiting"),
            &refused("schedule BTC_a/BTC", "strategy a on ETH, exchange ex"),
        );
    }
    // Also beside a position of its own.
    check(
        "signal a: open id=x | schedule a: of z: waiting id=x",
        &refused("schedule BTC_a/BTC", "strategy z on BTC, exchange ex"),
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_never_flat() {
    for (call, error) in [
        ("ready signal BTC_a", "signal BTC_a/"),
        ("ready schedule BTC_a", "schedule BTC_a/"),
        ("ready partial BTC_b", "partial BTC_b/"),
        ("read signal BTC_a", "signal BTC_a/BTC"),
        ("read schedule BTC_a", "schedule BTC_a/BTC"),
        ("read partial BTC_a", "partial BTC_a/levels"),
        ("read signal BTC_b", "signal BTC_b/BTC"),
    ] {
        check(&format!("signal a: open | fails: {call}"), &format!("error: disk: {error}: away"));
    }
    // Levels are nothing to an order, so nobody needs them.
    check("schedule a: waiting id=x | fails: read partial", "a: x, waiting 100");
}

#[test]
fn what_is_told_is_told_in_the_order_of_the_traders_and_the_first_error_counts() {
    let aside = |name: &str| {
        format!(
            "notice {name} state_quarantined: signal BTC_{name}/BTC in disk (EOF while parsing a value at line 1 column 0), \
             moved to memory, .quarantine/signal BTC_{name}/BTC.1"
        )
    };
    check(
        "slow: read signal BTC_a | signal a: \"\" | signal b: \"\"",
        &format!("set aside signal BTC_b/BTC | set aside signal BTC_a/BTC\n{}\n{}", aside("a"), aside("b")),
    );
    // What was set aside is told although the run does not start.
    check(
        "signal b: \"\" | fails: read signal BTC_a",
        &format!("set aside signal BTC_b/BTC\n{}\n error: disk: signal BTC_a/BTC: away", aside("b")),
    );
    check("fails: read signal | slow: read signal BTC_a", "error: disk: signal BTC_a/BTC: away");
}

/// What somebody sees who only looks.
#[track_caller]
fn check_look(text: &str, story: &str) {
    let scene = Scene::read(text);
    let (stores, settings) = (scene.stores(), settings());
    let restorer =
        Restorer { stores: &stores, settings: &settings, on_corrupt: OnCorrupt::Halt, now_ms: 0, latest_ms: i64::MAX };
    let mut found = scene.disk.take();
    let state = run(restorer.look(&pair("a")));
    found.append(&mut scene.disk.take());
    found.push(state.map_or_else(|error| format!("error: {error}"), |state| id(&state) + &held(&state)));
    assert_eq!(found, steps(story), "{text}");
}

#[test]
fn looking_changes_nothing_and_makes_nothing_ready() {
    check_look("reads", "read signal BTC_a/BTC | read schedule BTC_a/BTC | flat");
    check_look(
        "reads | signal a: open id=x | levels a: x +10",
        "read signal BTC_a/BTC | read partial BTC_a/levels | x, open 100 +10",
    );
    check_look("schedule a: waiting id=x", "x, waiting 100");
    // A row in two homes stays in both.
    check_look("signal a: open id=x | schedule a: waiting id=x", "x, open 100");
    check_look("signal a: open id=x | schedule a: waiting id=y", "x, open 100");
    check_look(
        "signal a: \"\"",
        "error: signal BTC_a/BTC in disk cannot be understood: EOF while parsing a value at line 1 column 0; \
         put it right, or move it away to go on as flat ([persistence] on-corrupt = \"halt\")",
    );
    check_look("fails: read schedule", "error: disk: schedule BTC_a/BTC: away");
}

/// Which slots of the profile `limit` belong to nobody in the run and stay.
#[track_caller]
fn check_slots(text: &str, story: &str) {
    let mut scene = Scene::read(text);
    let (stores, settings) = (scene.stores(), settings());
    let restorer =
        Restorer { stores: &stores, settings: &settings, on_corrupt: scene.on_corrupt, now_ms: 0, latest_ms: i64::MAX };
    let own = [pair("a"), pair("b")];
    let others = run(async {
        let slots = restorer.slots("limit", &mut scene.disk).await?;
        restorer.other_slots("limit", slots, &own, &mut scene.disk).await
    });
    let mut found = scene.disk.take();
    match others {
        Ok(others) => {
            let owners: Vec<String> = others.iter().map(|(key, slot)| slot.owner(key).to_string()).collect();
            found.push(format!("others: {}", owners.join(", ")).trim_end().to_owned());
        }
        Err(error) => found.push(format!("error: {error}")),
    }
    assert_eq!(found, steps(story), "{text}");
}

#[test]
fn slots_of_others_stay_while_their_positions_are_open() {
    check_slots("", "others:");
    check_slots("slots limit: \"null\"", "others:");
    check_slots("slots of another: z", "others:");
    // Those of the run follow from its rows.
    check_slots("slots limit: a, b | signal a: open", "others:");
    // A glance, not the first use: this host may never have used the place.
    check_slots(
        "reads | slots limit: a, z on ETH | signal z on ETH: open",
        "ready risk limit | read risk limit/positions | glance signal ETH_z | read signal ETH_z/ETH | others: z on ETH",
    );
    // The same strategy on another symbol is somebody else.
    check_slots("slots limit: a on ETH | signal a on ETH: open", "glance signal ETH_a | others: a on ETH");
}

#[test]
fn a_slot_without_an_open_position_is_dropped_and_noticed() {
    for nothing in ["", "| signal z: flat", "| signal z: of y: open", "| schedule z: waiting"] {
        check_slots(
            &format!("slots limit: z {nothing}"),
            "glance signal BTC_z
             notice the run slot_dropped: z_ex_BTC of limit
             others:",
        );
    }
    check_slots(
        "slots limit: x, y, z | signal x: open | signal z: open",
        "glance signal BTC_x | glance signal BTC_y
         notice the run slot_dropped: y_ex_BTC of limit
         glance signal BTC_z
         others: x on BTC, z on BTC",
    );
    // Whatever cannot be understood may be a position.
    check_slots("slots limit: z | signal z: \"{}\"", "glance signal BTC_z | others: z on BTC");
    check_slots("slots limit: z | signal z: \"\"", "glance signal BTC_z | others: z on BTC");
}

#[test]
fn slots_that_cannot_be_read_are_an_error_and_those_that_say_nothing_are_set_aside() {
    check_slots("slots limit: z | fails: read risk", "error: disk: risk limit/positions: away");
    check_slots("fails: ready risk", "error: disk: risk limit/: away");
    check_slots("slots limit: z | fails: read signal", "glance signal BTC_z | error: disk: signal BTC_z/BTC: away");
    check_slots("slots limit: z | fails: glance", "glance signal BTC_z fails | error: disk: signal BTC_z/: away");
    check_slots(
        "slots limit: \"{}\"",
        "set aside risk limit/positions
         notice the run state_quarantined: risk limit/positions in disk (invalid type: map, expected a sequence at line 1 \
         column 0), moved to memory, .quarantine/risk limit/positions.1
         others:",
    );
    check_slots(
        "halt | slots limit: \"{}\"",
        "error: risk limit/positions in disk cannot be understood: invalid type: map, expected a sequence at line 1 column 0; \
         put it right, or move it away to go on as flat ([persistence] on-corrupt = \"halt\")",
    );
}
