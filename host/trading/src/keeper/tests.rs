//! In which order documents change with a transition, and what is not written when one of them fails.
//!
//! A scene has a trader a line, with what it holds and is about to hold; a story has a write a line, in order, and then
//! whose change is not known to be durable.
//!
//! ```text
//! a: flat -> open                 strategy a on BTC, subject to the profile "limit"
//! b on ETH under x y: open        holds what it held; under the profiles x and y
//! others of limit: z on ETH       a slot of a trader that is not in the run
//! fails: write 2                  the second write does not come about
//! slow: write signal BTC_a        this one takes longer than the others
//! ```

use std::sync::Arc;

use sigbox_engine::{Interval, Trader, trader::Memory};

use super::*;
use crate::{
    store::Store,
    testing::{Recorder, pair, run, settings, slots, state, steps},
};

/// A trader with the profiles it is subject to, and what it is about to hold.
struct Seat {
    trader: Trader,
    profiles: Vec<usize>,
    after: State,
}

struct Scene {
    seats: Vec<Seat>,
    /// Whose transition is to be kept, or whose documents are to be written anew.
    concerned: Vec<usize>,
    profiles: Vec<Profile>,
    disk: Recorder,
}

impl Scene {
    fn read(text: &str) -> Self {
        let disk = Recorder::default();
        let mut scene = Self { seats: Vec::new(), concerned: Vec::new(), profiles: Vec::new(), disk };
        for line in text.lines().map(str::trim) {
            let (who, what) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} says nothing"));
            let what = what.trim();
            match who.split_once(" of ") {
                _ if who == "fails" => scene.disk.fail(what),
                _ if who == "slow" => scene.disk.slow(what),
                Some(("others", profile)) => {
                    let profile = scene.profile(profile);
                    scene.profiles[profile].others = slots(what);
                }
                _ => scene.trader(who, what),
            }
        }
        scene
    }

    fn trader(&mut self, who: &str, what: &str) {
        let (who, under) = who.split_once(" under ").unwrap_or((who, "limit"));
        let profiles = under.split_whitespace().map(|profile| self.profile(profile)).collect();
        let pair = pair(who);
        let (before, after) = match what.split_once("->") {
            Some(transition) => {
                self.concerned.push(self.seats.len());
                transition
            }
            None => (what, what),
        };
        let after = state(&pair, after);
        let memory = Memory { state: state(&pair, before), ..Memory::default() };
        let trader = Trader::new(pair, Interval::MINUTE, Arc::new(settings()), memory);
        self.seats.push(Seat { trader, profiles, after });
    }

    fn profile(&mut self, name: &str) -> usize {
        self.profiles.iter().position(|profile| profile.name == name).unwrap_or_else(|| {
            self.profiles.push(Profile::new(name.to_owned(), Vec::new()));
            self.profiles.len() - 1
        })
    }

    fn keeper(&self) -> Keeper {
        let store: Arc<dyn Store> = Arc::new(self.disk.clone());
        Keeper::new(Stores::all_in(&store), self.seats.iter().map(|seat| seat.trader.pair().clone()).collect())
    }

    fn claims(&self) -> Vec<Claim<'_>> {
        self.seats.iter().map(|Seat { trader, profiles, after }| Claim { trader, state: after, profiles }).collect()
    }

    fn changes(&self) -> Vec<Change<'_>> {
        let change = |seat: &usize| {
            let Seat { trader, after, .. } = &self.seats[*seat];
            Change { seat: *seat, before: trader.state(), after }
        };
        self.concerned.iter().map(change).collect()
    }

    fn story(&self, failed: Failures) -> Vec<String> {
        let failed = failed.into_iter();
        let failed = failed.map(|(seat, error)| format!("{} fails: {error}", self.seats[seat].trader.pair().strategy));
        self.disk.take().into_iter().chain(failed).collect()
    }
}

/// What is written when every trader whose line has an arrow makes its transition.
#[track_caller]
fn check(text: &str, story: &str) {
    let scene = Scene::read(text);
    let failed = run(scene.keeper().keep(&scene.changes(), &scene.claims(), &scene.profiles, Failures::new(), 0));
    assert_eq!(scene.story(failed), steps(story), "{text}");
}

/// What is written when the documents of every trader whose line has an arrow are put right.
#[track_caller]
fn check_rewrite(text: &str, story: &str) {
    let scene = Scene::read(text);
    let failed = run(scene.keeper().rewrite(&scene.concerned, &scene.claims(), &scene.profiles, 0));
    assert_eq!(scene.story(failed), steps(story), "{text}");
}

#[test]
fn what_begins_is_in_its_new_home_first_then_in_the_slots_and_leaves_the_old_home_last() {
    check("a: flat -> waiting open=99", "write schedule BTC_a/BTC waiting 99");
    check(
        "a: flat -> open",
        "write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC]",
    );
    check(
        "a: waiting open=99 -> open open=99",
        "write signal BTC_a/BTC open 99
         write risk limit/positions [a on BTC]
         write schedule BTC_a/BTC null",
    );
}

#[test]
fn what_ends_leaves_the_slots_first_then_the_levels_and_its_row_goes_last() {
    check("a: waiting -> flat", "write schedule BTC_a/BTC null");
    check(
        "a: open -> flat",
        "write risk limit/positions []
         write signal BTC_a/BTC null",
    );
    for levels in ["+10", "-20", "+10 +20 -10"] {
        check(
            &format!("a: open {levels} -> flat"),
            "write risk limit/positions []
             write partial BTC_a/levels {}
             write signal BTC_a/BTC null",
        );
    }
}

#[test]
fn a_level_that_is_passed_changes_the_levels_and_nothing_else() {
    check("a: open -> open +10", "write partial BTC_a/levels +10");
    check("a: open +10 -> open +10 +20 -10", "write partial BTC_a/levels +10 +20 -10");
    check("a: open -> open -10", "write partial BTC_a/levels -10");
}

#[test]
fn a_quiet_minute_writes_nothing() {
    check("a: flat -> flat", "");
    check("a: waiting -> waiting", "");
    check("a: open -> open", "");
    check("a: open +10 -20 -> open +10 -20", "");
    check("a: open", "");
}

#[test]
fn a_change_is_durable_when_a_document_changes_with_it() {
    for before in ["flat", "waiting", "open", "open +10", "open -10"] {
        for after in ["flat", "waiting", "open", "open +10", "open -10"] {
            // A position never becomes an order.
            if before.starts_with("open") && after == "waiting" {
                continue;
            }
            let scene = Scene::read(&format!("a: {before} -> {after}"));
            let changes = scene.changes();
            run(scene.keeper().keep(&changes, &scene.claims(), &scene.profiles, Failures::new(), 0));
            assert_eq!(changes[0].is_durable(), !scene.disk.take().is_empty(), "{before} -> {after}");
        }
    }
}

#[test]
fn all_traders_are_through_with_one_stage_before_any_begins_the_next() {
    check(
        "a: flat -> open
         b on ETH: open -10 -> flat
         c: waiting -> open
         d on ETH: open -> open +10",
        "write signal BTC_a/BTC open 100
         write signal BTC_c/BTC open 100
         write partial ETH_d/levels +10
         write risk limit/positions [a on BTC, c on BTC, d on ETH]
         write partial ETH_b/levels {}
         write signal ETH_b/ETH null
         write schedule BTC_c/BTC null",
    );
    // A slow store keeps nobody from beginning, and everybody from going on.
    check(
        "slow: write signal BTC_a
         slow: write risk x
         a under x: waiting -> open
         b under y: waiting -> open",
        "write signal BTC_b/BTC open 100
         write signal BTC_a/BTC open 100
         write risk y/positions [b on BTC]
         write risk x/positions [a on BTC]
         write schedule BTC_a/BTC null
         write schedule BTC_b/BTC null",
    );
}

#[test]
fn slots_are_those_of_open_positions_and_change_only_with_them() {
    // Orders take up none; positions of others in the run and of those that are not in it keep theirs.
    check(
        "others of limit: z on ETH, y on BTC
         a: flat -> open
         b: open
         c: waiting
         d: flat",
        "write signal BTC_a/BTC open 100
         write risk limit/positions [z on ETH, y on BTC, a on BTC, b on BTC]",
    );
    check(
        "others of limit: z on ETH
         a: open -> flat",
        "write risk limit/positions [z on ETH]
         write signal BTC_a/BTC null",
    );
    // Each profile has those of its own traders, and only profiles in which one moves are written.
    check(
        "a under x y: flat -> open
         b under y: open
         c under z: open -> open +10
         d under none: flat -> waiting",
        "write signal BTC_a/BTC open 100
         write partial BTC_c/levels +10
         write schedule BTC_d/BTC waiting 100
         write risk x/positions [a on BTC]
         write risk y/positions [a on BTC, b on BTC]",
    );
}

#[test]
fn a_beginning_whose_row_is_not_written_has_no_slot_and_keeps_its_old_home() {
    check(
        "fails: write 1
         a: waiting -> open",
        "write signal BTC_a/BTC open 100 fails
         write risk limit/positions []
         a fails: disk: signal BTC_a/BTC: away",
    );
    check(
        "fails: write 2
         others of limit: z on ETH
         a: flat -> open
         b: waiting -> open
         c: open",
        "write signal BTC_a/BTC open 100
         write signal BTC_b/BTC open 100 fails
         write risk limit/positions [z on ETH, a on BTC, c on BTC]
         b fails: disk: signal BTC_b/BTC: away",
    );
    check(
        "fails: write schedule
         a: flat -> waiting",
        "write schedule BTC_a/BTC waiting 100 fails
         a fails: disk: schedule BTC_a/BTC: away",
    );
    check(
        "fails: write partial
         a: open -> open +10",
        "write partial BTC_a/levels +10 fails
         a fails: disk: partial BTC_a/levels: away",
    );
}

#[test]
fn nothing_is_cleared_whose_slots_are_not_written() {
    check(
        "fails: write 2
         a: waiting -> open",
        "write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC] fails
         a fails: disk: risk limit/positions: away",
    );
    check(
        "fails: write 1
         a: open +10 -> flat",
        "write risk limit/positions [] fails
         a fails: disk: risk limit/positions: away",
    );
    // That goes for everybody under that profile, and for nobody else.
    check(
        "fails: write risk x
         a under x y: open -> flat
         b under x: waiting -> flat
         c under y: open -> flat",
        "write risk x/positions [] fails
         write risk y/positions []
         write signal BTC_c/BTC null
         a fails: disk: risk x/positions: away
         b fails: disk: risk x/positions: away",
    );
}

#[test]
fn a_row_stays_while_its_levels_are_not_cleared() {
    check(
        "fails: write 2
         a: open +10 -> flat
         b: open -> flat",
        "write risk limit/positions []
         write partial BTC_a/levels {} fails
         write signal BTC_b/BTC null
         a fails: disk: partial BTC_a/levels: away",
    );
    check(
        "fails: write 3
         a: open +10 -> flat",
        "write risk limit/positions []
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null fails
         a fails: disk: signal BTC_a/BTC: away",
    );
    check(
        "fails: write 3
         a: waiting -> open",
        "write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC]
         write schedule BTC_a/BTC null fails
         a fails: disk: schedule BTC_a/BTC: away",
    );
}

#[test]
fn of_several_failures_of_a_trader_the_first_counts() {
    check(
        "fails: write
         a: flat -> open
         b: open -> flat",
        "write signal BTC_a/BTC open 100 fails
         write risk limit/positions [] fails
         a fails: disk: signal BTC_a/BTC: away
         b fails: disk: risk limit/positions: away",
    );
}

#[test]
fn a_rewrite_writes_what_is_held_before_what_is_not_then_the_slots() {
    // What was before does not matter: the documents follow from what is held.
    check_rewrite(
        "a: flat -> open",
        "write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         write risk limit/positions [a on BTC]",
    );
    check_rewrite(
        "a: flat -> open +10 -20",
        "write signal BTC_a/BTC open 100
         write partial BTC_a/levels +10 -20
         write schedule BTC_a/BTC null
         write risk limit/positions [a on BTC]",
    );
    check_rewrite(
        "a: open -> waiting open=99",
        "write schedule BTC_a/BTC waiting 99
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write risk limit/positions []",
    );
    check_rewrite(
        "a: open -> flat",
        "write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write schedule BTC_a/BTC null
         write risk limit/positions []",
    );
}

#[test]
fn a_rewrite_leaves_others_alone_but_counts_their_slots() {
    check_rewrite(
        "others of limit: z on ETH
         a: flat -> waiting
         b: open",
        "write schedule BTC_a/BTC waiting 100
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write risk limit/positions [z on ETH, b on BTC]",
    );
    check_rewrite(
        "a under x: flat -> open
         b under y: open",
        "write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         write risk x/positions [a on BTC]",
    );
}

#[test]
fn a_rewrite_that_fails_stops_where_it_is() {
    // The old home is not cleared before the new one is written, and the slots are left to the next time.
    check_rewrite(
        "fails: write 1
         a: waiting -> open",
        "write signal BTC_a/BTC open 100 fails
         a fails: disk: signal BTC_a/BTC: away",
    );
    check_rewrite(
        "fails: write 2
         a: waiting -> open",
        "write signal BTC_a/BTC open 100
         write partial BTC_a/levels {} fails
         a fails: disk: partial BTC_a/levels: away",
    );
    check_rewrite(
        "fails: write risk
         a: waiting -> open",
        "write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         write risk limit/positions [a on BTC] fails
         a fails: disk: risk limit/positions: away",
    );
    // One that fails keeps nobody else from being put right; the slots go with those who are.
    check_rewrite(
        "fails: write signal BTC_a
         a under x y: waiting -> flat
         b under y: open -> flat",
        "write partial BTC_a/levels {}
         write signal BTC_a/BTC null fails
         write partial BTC_b/levels {}
         write signal BTC_b/BTC null
         write schedule BTC_b/BTC null
         write risk y/positions []
         a fails: disk: signal BTC_a/BTC: away",
    );
}
