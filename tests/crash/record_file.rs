//! What happens to the event file and to the store's folders while a run goes on.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::Command,
};

use rustix::process::Signal;

use super::chaos::{POSITION, undisturbed};
use crate::support::{Configuration, Events, Finished, Running, Workplace, audit};

const EVENTS: &str = "dump/data/events.jsonl";
const ROTATED: &str = "dump/data/events.jsonl.1";

/// Simulated seconds a second: a day takes three seconds.
const SPEED: f64 = 30_000.0;

/// What somebody does to the event file.
#[derive(Clone, Copy, Debug)]
enum Rotation {
    /// As logrotate does by itself: moved away.
    Moved,
    /// As logrotate does with `create`: moved away, with a new file in its place.
    Create,
    /// As logrotate does with `copytruncate`: copied, then emptied.
    CopyTruncate,
    Deleted,
}

impl Rotation {
    fn act(self, workplace: &Workplace) {
        let (path, rotated) = (workplace.path(EVENTS), workplace.path(ROTATED));
        match self {
            Self::Moved => fs::rename(path, rotated).unwrap(),
            Self::Create => {
                fs::rename(&path, rotated).unwrap();
                File::create_new(path).unwrap();
            }
            Self::CopyTruncate => {
                fs::copy(&path, rotated).unwrap();
                File::options().write(true).open(path).unwrap().set_len(0).unwrap();
            }
            Self::Deleted => {
                fs::copy(&path, rotated).unwrap();
                fs::remove_file(path).unwrap();
            }
        }
    }
}

/// The lines of traders; a line that was written twice counts once.
fn told(texts: &[String]) -> BTreeSet<String> {
    let parsed: Vec<Events> = texts.iter().map(|text| Events::parse(text).of_pairs()).collect();
    parsed.iter().flat_map(|events| events.lines().into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_record_that_is_rotated_while_it_is_written_loses_no_event() {
    let configuration = Configuration::sma_cross(1);
    let expected = undisturbed(&configuration);
    for rotation in [Rotation::Moved, Rotation::Create, Rotation::CopyTruncate, Rotation::Deleted] {
        let workplace = Workplace::new(&configuration.clone().speed(SPEED));
        let mut running = workplace.start_live(&["live"]);
        running.until("some events", || {
            fs::read_to_string(workplace.path(EVENTS)).is_ok_and(|text| text.lines().count() > 20)
        });
        rotation.act(&workplace);
        running.signal(Signal::HUP);
        let finished = running.wait();
        assert_eq!(finished.code(), Some(0), "{rotation:?}: {finished:?}");
        assert!(finished.stderr.contains("SIGHUP"), "{rotation:?}: {finished:?}");
        assert!(finished.stderr.contains("events.jsonl"), "it says what became of the file: {finished:?}");
        let found = told(&[workplace.read(ROTATED), workplace.read(EVENTS)]);
        assert!(found == told(&[expected.read(EVENTS)]), "{rotation:?}: the events differ");
        // The new file alone is enough for the next start.
        fs::remove_file(workplace.path(ROTATED)).unwrap();
        workplace.succeed(&["live"]);
        assert_eq!(workplace.documents(), expected.documents(), "{rotation:?}");
    }
}

#[test]
fn an_event_file_that_is_none_is_refused_and_left_alone() {
    let workplace = Workplace::new(&Configuration::sma_cross(1));
    fs::create_dir(workplace.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(workplace.path("fifo")).status().unwrap().success());
    workplace.write("shopping.txt", "bread\nmilk\n");
    for (file, reason) in
        [("folder", "not a regular file"), ("fifo", "not a regular file"), ("shopping.txt", "holds something else")]
    {
        let finished = workplace.run(&["live", "--events", file]);
        assert_eq!(finished.code(), Some(5), "{file}: {finished:?}");
        assert!(finished.stderr.contains(reason) && finished.stderr.contains(file), "{file}: {finished:?}");
    }
    assert_eq!(workplace.read("shopping.txt"), "bread\nmilk\n");
}

/// A live run that holds a position, what it holds, and how it ends after `happens` and an interrupt.
fn interrupted_after(happens: impl Fn(&Workplace)) -> (Workplace, String, Finished) {
    let row = |workplace: &Workplace| fs::read_to_string(workplace.path(POSITION)).unwrap_or_default();
    // The position may close between the look and the interrupt.
    for _ in 0..20 {
        let workplace = Workplace::new(&Configuration::sma_cross(6).speed(SPEED / 10.0));
        let mut running: Running = workplace.start_live(&["live"]);
        running.until("a position", || row(&workplace).starts_with('{'));
        let held = row(&workplace);
        happens(&workplace);
        running.signal(Signal::INT);
        let finished = running.wait();
        let events = workplace.live_events();
        if events.of("closed").len() < events.of("opened").len() {
            return (workplace, held, finished);
        }
    }
    panic!("no position was held for long enough");
}

#[test]
fn a_document_that_vanished_is_written_again_when_the_run_ends() {
    let (workplace, held, finished) = interrupted_after(|workplace| fs::remove_file(workplace.path(POSITION)).unwrap());
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    let id = |row: &str| serde_json::from_str::<serde_json::Value>(row).unwrap()["id"].clone();
    assert_eq!(id(&workplace.read(POSITION)), id(&held));
    assert_eq!(workplace.live_events().of("state_rebuilt").len(), 1, "it says so: {finished:?}");
    audit(&workplace.live_events());
}

#[test]
fn a_run_whose_store_is_gone_does_not_end_as_if_all_were_kept() {
    let folder = "dump/data/signal/BTCUSDT_sma-cross";
    let (workplace, _, finished) = interrupted_after(|workplace| {
        fs::remove_dir_all(workplace.path(folder)).unwrap();
        fs::write(workplace.path(folder), "a file where the folder was").unwrap();
    });
    assert_eq!(finished.code(), Some(5), "{finished:?}");
    assert!(finished.stderr.contains("not everything is kept: sma-cross on BTCUSDT holds position"), "{finished:?}");
    // With the folder in order again, the record is enough to go on.
    fs::remove_file(workplace.path(folder)).unwrap();
    workplace.configure(&Configuration::sma_cross(6));
    workplace.succeed(&["live"]);
    audit(&workplace.live_events());
}
