//! What is recorded of what is told, and what a restart knows by it.
//!
//! A scene is told step by step; what is recorded is what the event file has then, line by line.
//!
//! ```text
//! scheduled x at 0     strategy a on BTC has an order, the signal x, accepted at minute 0; `b` before it: strategy b
//! opened x@0 at 3      at minute 3 the signal that was accepted at minute 0; without the `@`, then
//! peak x at 4          closed, cancelled; level10 …
//! invalid at 5         what a strategy said: invalid, failed, mismatch; or the risk rules: refused
//! notice at 5          something the host met
//! later at 5           an action that only a later sigbox knows
//! reached 9            the boundary that was reached
//! restart              the process ends, and another one opens the file; `killed`: with half of the last line
//! ```

use std::{cell::RefCell, fs};

use sigbox_events::{Head, Incident, TraderLine};
use tempfile::TempDir;

use super::*;
use crate::testing::{at, minute_of, number, outcome, pair, steps};

/// A journal, and what has been heard of its lines.
struct Scene {
    dir: TempDir,
    heard: RefCell<Vec<String>>,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), heard: RefCell::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("deep/events.jsonl")
    }

    fn open(&self) -> Journal<impl FnMut(&Event)> {
        let heard = |event: &Event| self.heard.borrow_mut().push(line_in_words(&event.to_json()));
        Journal::open(&self.path(), SEGMENT_BYTES, i64::MAX, heard).unwrap()
    }

    fn recorded(&self) -> Vec<String> {
        fs::read_to_string(self.path()).unwrap().lines().map(line_in_words).collect()
    }

    /// Plays the steps of a scene, one after the other, and then `after` each of them.
    fn play(&self, text: &str, after: &str) {
        let mut journal = self.open();
        for step in steps(text).into_iter().flat_map(|step| [step, after]) {
            match step.split_whitespace().collect::<Vec<_>>()[..] {
                [] => {}
                ["restart"] => {
                    drop(journal);
                    journal = self.open();
                }
                ["killed"] => {
                    drop(journal);
                    let whole = fs::read(self.path()).unwrap();
                    fs::write(self.path(), &whole[..whole.len() - 5]).unwrap();
                    journal = self.open();
                }
                ["reached", minute] => journal.reached(at(number(minute))),
                ["notice", "at", minute] => {
                    journal.notice(at(number(minute)), Some(&pair("a")), &Notice::StoreRecovered);
                }
                ["later", "at", minute] => {
                    drop(journal);
                    let at_ms = at(number(minute));
                    let line =
                        format!(r#"{{"id":"later:{minute}","action":"moved_stop","timestamp":{at_ms},"by":{{}},"#)
                            + r#""symbol":"BTC","strategyName":"a","exchangeName":"ex"}"#;
                    let whole = fs::read_to_string(self.path()).unwrap();
                    fs::write(self.path(), format!("{whole}{line}\n")).unwrap();
                    journal = self.open();
                }
                _ => {
                    let (pair, outcome) = outcome(step);
                    journal.tell(&pair, &outcome).unwrap();
                }
            }
        }
    }
}

/// A line of the file: `a opened x at 3`, or `host store_recovered at 3`.
fn line_in_words(line: &str) -> String {
    let head = Head::parse(line.as_bytes()).unwrap();
    let minute = minute_of(head.timestamp);
    if !head.is_of_trader() {
        return format!("host {} at {minute}", head.action_name);
    }
    let trader = TraderLine::parse(line.as_bytes()).unwrap();
    let level = trader.level.map(|level| format!(" {level}")).unwrap_or_default();
    let id = trader.signal.map(|signal| format!(" {}", signal.id)).unwrap_or_default();
    format!("{} {}{level}{id} at {minute}", trader.strategy_name, head.action_name)
}

/// What is recorded of a scene, whether the process goes on or begins anew after each step; and that who listens hears
/// of each event once.
#[track_caller]
fn check(text: &str, recorded: &str) {
    for after in ["", "restart"] {
        let scene = Scene::new();
        scene.play(text, after);
        assert_eq!(scene.recorded(), steps(recorded), "{text} | {after}");
        let told = steps(recorded).into_iter().filter(|line| !line.starts_with("host") && !line.contains("moved_stop"));
        if !text.contains("killed") {
            assert_eq!(scene.heard.take(), told.collect::<Vec<_>>(), "{text} | {after}: what was heard");
        }
    }
}

/// What a restart after a scene knows of strategy `a` on BTC.
#[track_caller]
fn check_recall(text: &str, expected: &str) {
    let scene = Scene::new();
    scene.play(text, "");
    let Recall { ask_from_ms, asked_ms, last_opened_id } = scene.open().recall(&pair("a"));
    let parts = [
        ask_from_ms.map(|from_ms| format!("ask from {}", minute_of(from_ms))),
        asked_ms.map(|asked_ms| format!("asked at {}", minute_of(asked_ms))),
        last_opened_id.map(|id| format!("opened {id}")),
    ];
    assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>().join(", "), expected, "{text}");
}

#[test]
fn what_is_told_again_is_recorded_once() {
    let life =
        "scheduled x at 0 | opened x@0 at 3 | peak x@0 at 4 | level10 x@0 at 4 | level20 x@0 at 4 | closed x@0 at 5";
    let recorded = "a scheduled x at 0 | a opened x at 3 | a highest_profit x at 4
                    a partial_profit 10 x at 4 | a partial_profit 20 x at 4 | a closed x at 5";
    check(life, recorded);
    check(&format!("{life} | {life}"), recorded);
    // A restart tells what is held first, and then what its candles say.
    check("opened x at 0 | peak x@0 at 2 | opened x at 0 | peak x@0 at 2", "a opened x at 0 | a highest_profit x at 2");
    check("invalid at 3 | invalid at 3", "a invalid_signal at 3");
    // Its own minute, its own action, its own level make an event another one.
    check("peak x@0 at 2 | peak x@0 at 3 | peak x@0 at 2", "a highest_profit x at 2 | a highest_profit x at 3");
    check("invalid at 3 | invalid at 4", "a invalid_signal at 3 | a invalid_signal at 4");
    check("idle at 3", "");
}

#[test]
fn each_trader_has_its_own_events() {
    check(
        "a opened x at 0 | b opened x at 0 | a closed x@0 at 2 | b opened x at 0 | a opened x at 0",
        "a opened x at 0 | b opened x at 0 | a closed x at 2",
    );
    check("a invalid at 3 | b invalid at 3 | a invalid at 3", "a invalid_signal at 3 | b invalid_signal at 3");
}

#[test]
fn a_new_signal_forgets_the_events_of_the_one_before() {
    // No candle tells those again, so the memory of a run without end has one.
    check(
        "opened x at 0 | closed x@0 at 2 | opened y at 3 | closed x@0 at 2",
        "a opened x at 0 | a closed x at 2 | a opened y at 3 | a closed x at 2",
    );
    check(
        "scheduled x at 0 | cancelled x@0 at 2 | scheduled y at 3 | scheduled y at 3 | cancelled x@0 at 2",
        "a scheduled x at 0 | a cancelled x at 2 | a scheduled y at 3 | a cancelled x at 2",
    );
    // So does a trader that is flat and says something.
    check(
        "opened x at 0 | closed x@0 at 2 | invalid at 3 | closed x@0 at 2",
        "a opened x at 0 | a closed x at 2 | a invalid_signal at 3 | a closed x at 2",
    );
    check(
        "invalid at 3 | failed at 4 | invalid at 3",
        "a invalid_signal at 3 | a strategy_failed at 4 | a invalid_signal at 3",
    );
    // But not one that holds something: the rules refuse an order that is about to be filled, and it ends.
    check(
        "scheduled x at 0 | refused at 2 | cancelled x@0 at 2 | scheduled x at 0 | refused at 2 | cancelled x@0 at 2",
        "a scheduled x at 0 | a risk_rejection at 2 | a cancelled x at 2",
    );
    check("opened x at 0 | later at 2 | opened x at 0", "a opened x at 0 | a moved_stop at 2");
}

#[test]
fn notices_are_recorded_each_time_and_nothing_follows_from_them() {
    check("notice at 3 | notice at 3", "host store_recovered at 3 | host store_recovered at 3");
    check(
        "opened x at 0 | closed x@0 at 2 | notice at 3 | closed x@0 at 2",
        "a opened x at 0 | a closed x at 2 | host store_recovered at 3",
    );
    check_recall("notice at 3", "");
    let scene = Scene::new();
    let store = Incident {
        store: "disk".into(),
        kind: sigbox_events::IncidentKind::Restarted,
        message: "trap\nat line 3".into(),
    };
    scene.open().notice(at(3), None, &Notice::Store(store));
    assert_eq!(scene.recorded(), ["host store_restarted at 3"], "it is one line, whatever it says");
}

#[test]
fn half_a_last_line_is_cut_off_and_told_again() {
    check("opened x at 0 | closed x@0 at 2 | killed | closed x@0 at 2", "a opened x at 0 | a closed x at 2");
    check("opened x at 0 | killed | opened x at 0 | killed", "");
    check_recall("opened x at 0 | closed x@0 at 5 | killed", "ask from 1, opened x");

    // Wherever it was cut: at its first bytes, at its last one, and here and there between.
    let scene = Scene::new();
    scene.play("opened x at 0 | closed x@0 at 2", "");
    let whole = fs::read(scene.path()).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let between = (first..whole.len()).step_by(37);
    for end in between.chain([first + 1, whole.len() - 1]) {
        fs::write(scene.path(), &whole[..end]).unwrap();
        drop(scene.open());
        assert_eq!(fs::read(scene.path()).unwrap(), whole[..first], "{end} bytes");
        scene.play("closed x@0 at 2", "");
        assert_eq!(fs::read(scene.path()).unwrap(), whole, "{end} bytes");
    }
}

/// What opening a file with this content finds, and what is left in the file.
#[track_caller]
fn check_opening(content: &[u8], expected: &str, left: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    fs::write(&path, content).unwrap();
    let opened = Journal::open(&path, SEGMENT_BYTES, i64::MAX, |_: &Event| {});
    let found = match &opened {
        Ok(journal) => journal.found.join("\n"),
        Err(error) => error.to_string(),
    };
    let found = found.replace(&path.display().to_string(), "FILE");
    assert!(found.starts_with(expected), "{}\nsays     {found}\nexpected {expected}", String::from_utf8_lossy(content));
    assert_eq!(String::from_utf8_lossy(&fs::read(&path).unwrap()), String::from_utf8_lossy(left));
    if !found.is_empty() && opened.is_ok() {
        let aside = fs::read_to_string(dir.path().join("events.jsonl.damaged")).unwrap();
        assert!(aside.lines().count() > 0, "what is damaged is kept aside");
    }
}

#[test]
fn a_line_that_is_no_event_is_set_aside_with_its_number_and_the_others_count() {
    let event = r#"{"id":"a","action":"opened","timestamp":1}"#;
    let whole = format!("{event}\n");
    check_opening(b"", "", b"");
    check_opening(whole.as_bytes(), "", whole.as_bytes());
    check_opening(
        format!("{event}\nnonsense\n").as_bytes(),
        "FILE:2: not an event (it is not a JSON object",
        whole.as_bytes(),
    );
    check_opening(
        format!("{event}\n{event}\n\n{event}\n").as_bytes(),
        "FILE:3: not an event (it is not a JSON object",
        whole.repeat(3).as_bytes(),
    );
    for (line, reason) in [
        ("[]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        (r#"{"action":"opened","timestamp":1}"#, "missing field `id`"),
        (r#"{"id":"a","timestamp":1}"#, "missing field `action`"),
        (r#"{"id":"a","action":"opened"}"#, "missing field `timestamp`"),
        (r#"{"id":"a","action":"opened","timestamp":"1"}"#, "invalid type: string"),
        // Whoever has a symbol is a trader, which has a strategy.
        (r#"{"id":"a","action":"opened","timestamp":1,"symbol":"BTC"}"#, "missing field `strategyName`"),
        (r#"{"id":"a","action":"later","timestamp":1,"symbol":7,"strategyName":"a"}"#, "invalid type: integer"),
        (r#"{"id":"a","action":"x","timestamp":1,"symbol":"B","strategyName":"a","signal":{}}"#, "missing field `id`"),
        (r#"{"id":"a","action":"carried_over","timestamp":1}"#, "missing field `about`"),
    ] {
        check_opening(
            format!("{event}\n{line}\n").as_bytes(),
            &format!("FILE:2: not an event ({reason}"),
            whole.as_bytes(),
        );
        // Half a line is none, whatever it says.
        check_opening(format!("{event}\n{line}").as_bytes(), "", whole.as_bytes());
        // A file without one event is not ours, and is left as it is.
        let strange = format!("{line}\n");
        check_opening(strange.as_bytes(), "events FILE: holds something else", strange.as_bytes());
    }
    let strange = b"\xff\xfe\n";
    check_opening(strange, "events FILE: holds something else", strange);
    // The last line of a run that was killed, or whose disk was full, may end inside a character.
    check_opening(
        &[whole.as_bytes(), "{\"note\":\"h\u{e9}".as_bytes().split_last().unwrap().1].concat(),
        "",
        whole.as_bytes(),
    );
}

/// A checksum is of the line that it stands in.
#[test]
fn a_line_that_was_changed_is_set_aside() {
    let scene = Scene::new();
    scene.play("opened x at 0 | opened y at 3", "");
    let whole = fs::read_to_string(scene.path()).unwrap();
    let first = whole.lines().next().unwrap().to_owned() + "\n";
    assert!(whole.lines().all(|line| line.contains("\",\"crc32\":\"") || line.contains(",\"crc32\":\"")), "{whole}");
    for (from, to) in
        [("\"id\":\"y\"", "\"id\":\"z\""), ("\"priceOpen\":100", "\"priceOpen\":101"), ("opened", "Opened")]
    {
        let (at, _) = whole.rmatch_indices(from).next().unwrap();
        let changed = format!("{}{to}{}", &whole[..at], &whole[at + from.len()..]);
        check_opening(changed.as_bytes(), "FILE:2: not an event (", first.as_bytes());
    }
}

#[test]
fn two_processes_do_not_write_to_one_file() {
    let scene = Scene::new();
    let mut first = scene.open();
    first.sync().unwrap();
    let second = Journal::open(&scene.path(), SEGMENT_BYTES, i64::MAX, |_: &Event| {}).err().unwrap();
    assert!(matches!(second, JournalError::InUse { .. }), "{second}");
    assert!(second.to_string().ends_with("another process writes to this file; choose another one"), "{second}");
    drop(first);
    drop(scene.open());
    let folder = Journal::open(scene.dir.path(), SEGMENT_BYTES, i64::MAX, |_: &Event| {}).err().unwrap();
    assert!(matches!(folder, JournalError::NotAFile { .. }), "{folder}");
}

#[test]
fn the_last_event_says_from_when_on_to_ask_in_which_slot_it_was_and_what_was_opened() {
    check_recall("", "");
    check_recall("opened x at 0", "ask from 1, opened x");
    check_recall("opened x at 0 | peak x@0 at 3", "ask from 4, opened x");
    check_recall("opened x at 0 | closed x@0 at 5", "ask from 6, asked at 0, opened x");
    check_recall("scheduled x at 0", "ask from 1");
    check_recall("scheduled x at 0 | opened x@0 at 3 | closed x@0 at 5", "ask from 6, asked at 0, opened x");
    // An order that was never filled has opened nothing.
    check_recall("scheduled x at 0 | cancelled x@0 at 4", "ask from 5, asked at 0");
    check_recall(
        "opened x at 0 | closed x@0 at 5 | scheduled y at 7 | cancelled y@7 at 9",
        "ask from 10, asked at 7, opened x",
    );
    check_recall("opened x at 0 | closed x@0 at 5 | opened y at 7", "ask from 8, asked at 0, opened y");
    // What a strategy said without a trade uses up its slot.
    for said in ["invalid", "failed", "mismatch"] {
        check_recall(&format!("{said} at 3"), "ask from 4, asked at 3");
        check_recall(&format!("opened x at 0 | closed x@0 at 1 | {said} at 3"), "ask from 4, asked at 3, opened x");
    }
    // A refusal by the risk rules does not.
    check_recall("refused at 3", "ask from 4");
    check_recall("invalid at 2 | refused at 3", "ask from 4");
    check_recall("refused at 3 | invalid at 4", "ask from 5, asked at 4");
    check_recall("opened x at 0 | closed x@0 at 1 | refused at 3", "ask from 4, opened x");
    check_recall("scheduled x at 0 | refused at 3 | cancelled x@0 at 3", "ask from 4, asked at 0");
}

#[test]
fn what_a_later_sigbox_adds_is_passed_over() {
    check_recall("later at 3", "ask from 4");
    check_recall("opened x at 0 | closed x@0 at 5 | later at 7", "ask from 8, asked at 0, opened x");
    check_recall("invalid at 3 | later at 7", "ask from 8, asked at 3");
}

#[test]
fn somebody_elses_events_say_nothing() {
    check_recall("b opened x at 0 | b closed x@0 at 5", "");
    check_recall("opened x at 0 | closed x@0 at 5 | b invalid at 9", "ask from 6, asked at 0, opened x");
    let scene = Scene::new();
    scene.play("opened x at 0", "");
    let journal = scene.open();
    for (exchange, strategy, symbol) in [("EX", "a", "BTC"), ("ex", "b", "BTC"), ("ex", "a", "ETH")] {
        let pair =
            Pair { symbol: symbol.into(), strategy: strategy.into(), exchange: exchange.into(), frame: String::new() };
        assert_eq!(journal.recall(&pair), Recall::default(), "{exchange} {strategy} {symbol}");
    }
}

#[test]
fn up_to_the_boundary_that_was_reached_everybody_who_is_flat_was_asked() {
    check_recall("reached 9", "ask from 10, asked at 9");
    check_recall("opened x at 0 | closed x@0 at 5 | reached 9", "ask from 10, asked at 9, opened x");
    check_recall("refused at 3 | reached 9", "ask from 10, asked at 9");
    check_recall("opened x at 0 | closed x@0 at 5 | reached 6", "ask from 7, asked at 6, opened x");
    // The event is of the boundary that was reached, or of a later one: it says more.
    check_recall("opened x at 0 | closed x@0 at 5 | reached 5", "ask from 6, asked at 0, opened x");
    check_recall("refused at 3 | reached 3", "ask from 4");
    check_recall("invalid at 3 | reached 2", "ask from 4, asked at 3");
    // The newest counts.
    check_recall("reached 8 | reached 9 | restart | reached 12", "ask from 13, asked at 12");
    // Notices are of no boundary.
    check_recall("reached 9 | notice at 20", "ask from 10, asked at 9");
}

#[test]
fn a_boundary_that_cannot_be_read_is_none() {
    for content in [&b""[..], b"\n", b"soon", b"12.5", b"\xff\xfe"] {
        let scene = Scene::new();
        scene.play("invalid at 3", "");
        fs::write(reached_file(&scene.path()), content).unwrap();
        let recall = scene.open().recall(&pair("a"));
        assert_eq!(recall.ask_from_ms, Some(at(4)), "{content:?}");
    }
    // It is written over in place, so a line is never longer than the one before.
    let scene = Scene::new();
    scene.open().reached(7);
    let text = || fs::read_to_string(reached_file(&scene.path())).unwrap();
    assert_eq!(text(), "0000000000007 49c25396\n");
    scene.open().reached(at(0));
    assert!(text().starts_with(&at(0).to_string()) && text().len() == 23, "{}", text());
    // A digit of another boundary, half a line, and a boundary that has not come yet count for nothing.
    let whole = text();
    let changed = whole.replacen("17040", "17041", 1);
    let future = reached_line(at(1_000_000));
    let now_ms = at(5);
    for (content, reached_ms) in [(&*whole, Some(at(0))), (&changed, None), (&whole[..20], None), (&future, None)] {
        fs::write(reached_file(&scene.path()), content).unwrap();
        let journal = Journal::open(&scene.path(), SEGMENT_BYTES, now_ms, |_: &Event| {}).unwrap();
        assert_eq!(journal.reached_ms, reached_ms, "{content:?}");
    }
}

/// What a restart knows after the record went on in a new file is what it knew by the old one.
#[test]
fn a_new_file_begins_with_what_a_restart_needs() {
    let lives = "opened x at 0 | closed x@0 at 5 | b scheduled y at 3 | b opened y@3 at 4 | level10 z@6 at 7";
    for how in ["moved", "deleted", "replaced", "cut off", "full"] {
        let scene = Scene::new();
        scene.play(lives, "");
        let before = scene.open().record.clone();
        let segment_bytes = if how == "full" { 1 } else { SEGMENT_BYTES };
        let mut journal = Journal::open(&scene.path(), segment_bytes, i64::MAX, |_: &Event| {}).unwrap();
        match how {
            "moved" => fs::rename(scene.path(), scene.path().with_extension("old")).unwrap(),
            "deleted" => fs::remove_file(scene.path()).unwrap(),
            "replaced" => {
                fs::rename(scene.path(), scene.path().with_extension("old")).unwrap();
                fs::write(scene.path(), "").unwrap();
            }
            "cut off" => fs::write(scene.path(), "").unwrap(),
            _ => journal.notice(at(9), None, &Notice::StoreRecovered),
        }
        journal.decided(at(9), Duration::ZERO);
        drop(journal);
        let recorded = scene.recorded();
        let carried = recorded.iter().filter(|line| line.starts_with("host carried_over")).count();
        assert_eq!(carried, 2, "{how}: {recorded:?}");
        let after = scene.open();
        for pair in [pair("a"), pair("b")] {
            assert_eq!(after.record.says(&pair), before.says(&pair), "{how}: {pair}");
            assert_eq!(after.record.recall(&pair), before.recall(&pair), "{how}: {pair}");
        }
        drop(after);
        // Nothing is told twice.
        scene.play(lives, "");
        let told: Vec<String> = scene.recorded().into_iter().filter(|line| !line.starts_with("host")).collect();
        assert_eq!(told, [""; 0], "{how}");
    }
}
