//! What a crash may leave on the disk, put there by hand.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use super::chaos::{POSITION, assert_same_in_the_end, kill_with_a_position, undisturbed};
use crate::support::{Configuration, Events, Workplace, of_traders};

const EVENTS: &str = "dump/data/events.jsonl";
const REACHED: &str = "dump/data/events.jsonl.reached";

/// Simulated seconds a second, slow enough to be met while it holds a position.
const SPEED: f64 = 30_000.0;

/// A run that was killed while it held a position, and the same run undisturbed.
fn killed(configuration: &Configuration) -> (Workplace, Workplace) {
    let disturbed = Workplace::new(&configuration.clone().speed(SPEED));
    kill_with_a_position(&disturbed);
    disturbed.configure(configuration);
    (disturbed, undisturbed(configuration))
}

#[test]
fn half_a_line_is_cut_off_and_told_again() {
    let (disturbed, undisturbed) = killed(&Configuration::sma_cross(3));
    let told = disturbed.live_events().lines().len();
    let expected = undisturbed.live_events();
    let next = expected.lines()[told];
    let mut events = OpenOptions::new().append(true).open(disturbed.path(EVENTS)).unwrap();
    events.write_all(&next.as_bytes()[..next.len() / 2]).unwrap();
    drop(events);
    disturbed.succeed(&["live"]);
    assert_eq!(of_traders(&disturbed.read(EVENTS)), of_traders(&undisturbed.read(EVENTS)));
    assert_same_in_the_end(&disturbed, &undisturbed);
}

#[test]
fn without_the_file_of_the_boundary_reached_quiet_minutes_are_asked_about_again() {
    for content in [None, Some(""), Some("nonsense"), Some("17040")] {
        let (disturbed, undisturbed) = killed(&Configuration::sma_cross(3));
        match content {
            None => fs::remove_file(disturbed.path(REACHED)).unwrap(),
            Some(content) => disturbed.write(REACHED, content),
        }
        disturbed.succeed(&["live"]);
        assert_eq!(of_traders(&disturbed.read(EVENTS)), of_traders(&undisturbed.read(EVENTS)), "{content:?}");
        assert_same_in_the_end(&disturbed, &undisturbed);
    }
}

#[test]
fn a_line_that_is_no_event_is_set_aside_and_trading_goes_on() {
    let (disturbed, undisturbed) = killed(&Configuration::sma_cross(2));
    if disturbed.live_events().lines().is_empty() {
        // It was killed before its first event. A file without an event is refused, because it may be somebody else's.
        disturbed.write(EVENTS, undisturbed.read(EVENTS).lines().next().unwrap().to_owned() + "\n");
    }
    let lines = disturbed.live_events().lines().len();
    let mut events = OpenOptions::new().append(true).open(disturbed.path(EVENTS)).unwrap();
    events.write_all(b"what is this\n").unwrap();
    drop(events);
    let finished = disturbed.run(&["live"]);
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let expected = format!("dump/data/events.jsonl:{}: not an event (", lines + 1);
    assert!(finished.stderr.contains(&expected), "{finished:?}");
    assert!(disturbed.read("dump/data/events.jsonl.damaged").contains("what is this"));
    assert_same_in_the_end(&disturbed, &undisturbed);
}

/// Specification: V-PER-01.
#[test]
fn a_row_nobody_can_read_is_set_aside_and_trading_goes_on_flat() {
    let cases = [
        ("{\"id\":\"cut o", "EOF while parsing a string"),
        ("", "EOF while parsing a value"),
        ("[1, 2]", "invalid"),
        ("{\"id\":\"a\"}", "missing field `"),
    ];
    for (content, reason) in cases {
        let configuration = Configuration::sma_cross(3);
        let (disturbed, _) = killed(&configuration);
        let told = disturbed.live_events().lines().len();
        disturbed.write(POSITION, content);
        let finished = disturbed.succeed(&["live"]);

        let events = disturbed.live_events();
        let notices = events.of("state_quarantined");
        assert_eq!(notices.len(), 1, "{content:?}: {notices:#?}");
        assert_eq!(&events.iter().nth(told), &Some(notices[0]), "it is told before anything else");
        let message = notices[0]["message"].as_str().unwrap();
        assert!(message.starts_with("signal BTCUSDT_sma-cross/BTCUSDT in files under "), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(finished.stderr.contains(message), "it is also said on standard error: {}", finished.stderr);
        let (_, moved_to) = message.rsplit_once("it was moved to ").unwrap();
        assert!(moved_to.contains(".quarantine/signal/BTCUSDT_sma-cross/BTCUSDT."), "{message}");
        assert_eq!(fs::read_to_string(disturbed.path(moved_to)).unwrap(), content, "nothing is lost");

        let later: Vec<&str> = events.lines()[told + 1..].to_vec();
        let later = Events::parse(&later.join("\n"));
        crate::support::audit(&later);
        assert!(later.of("opened").len() > 3, "trading goes on");
        assert_eq!(later.iter().next().unwrap()["action"], "opened", "it goes on flat");
    }
}

#[test]
fn a_row_nobody_can_read_stops_a_run_that_is_to_halt() {
    let configuration = Configuration::sma_cross(2);
    let (disturbed, _) = killed(&configuration);
    disturbed.configure(&configuration.section("[persistence]\non-corrupt = \"halt\""));
    disturbed.write(POSITION, "{\"id\":");
    let events = disturbed.read(EVENTS);
    let finished = disturbed.run(&["live"]);
    assert_eq!(finished.code(), Some(5), "{finished:?}");
    let start = "error: signal BTCUSDT_sma-cross/BTCUSDT in files under dump/data cannot be understood: EOF";
    assert!(finished.stderr.contains(start), "{finished:?}");
    let advice = "; put it right, or move it away to go on as flat ([persistence] on-corrupt = \"halt\")";
    assert!(finished.stderr.contains(advice), "{finished:?}");
    assert_eq!(disturbed.read(POSITION), "{\"id\":");
    assert_eq!(disturbed.read(EVENTS), events);
}

/// Specification: V-PER-02, L-REC-19.
#[test]
fn a_row_of_another_exchange_is_left_alone() {
    let configuration = Configuration::sma_cross(2);
    let (disturbed, _) = killed(&configuration);
    // A write that was under way has its own name, and the start removes what is left of it.
    let documents = || {
        let mut documents = disturbed.documents();
        documents.retain(|name, _| !name.contains("/.tmp-"));
        documents
    };
    let before = documents();
    disturbed.configure(&configuration.section("[exchange]\nname = \"kraken\""));
    let finished = disturbed.run(&["live"]);
    assert_eq!(finished.code(), Some(5), "{finished:?}");
    let expected = "error: signal BTCUSDT_sma-cross/BTCUSDT in files under dump/data belongs to strategy sma-cross on \
                    BTCUSDT, exchange binance, but strategy sma-cross on BTCUSDT, exchange kraken would use it; rename \
                    the strategy or the exchange, or choose another [persistence] data-dir. Nothing was changed\n";
    assert!(finished.stderr.ends_with(expected), "{finished:?}");
    assert_eq!(documents(), before);
}

#[test]
fn a_data_directory_has_one_owner() {
    let workplace = Workplace::new(&Configuration::sma_cross(6).speed(SPEED));
    let mut first = workplace.start(&["live"]);
    first.until("the first document", || workplace.path(POSITION).exists());

    let same_events = workplace.run(&["live"]);
    assert_eq!(same_events.code(), Some(5), "{same_events:?}");
    let expected = "error: events dump/data/events.jsonl: another process writes to this file; choose another one\n";
    assert!(same_events.stderr.ends_with(expected), "{same_events:?}");

    let owner = format!("error: data directory dump/data is in use by process {} since 20", first.id());
    let advice = "; stop it or choose another [persistence] data-dir\n";
    let same_directory = workplace.run(&["live", "--events", "other.jsonl"]);
    assert_eq!(same_directory.code(), Some(5), "{same_directory:?}");
    let said = &same_directory.stderr;
    assert!(said.contains(&owner) && said.ends_with(advice), "{said}");
    // Whoever only looks may.
    workplace.succeed(&["state", "show"]);
    let told = workplace.read(EVENTS).len();
    first.until("more events", || workplace.read(EVENTS).len() > told);
}
