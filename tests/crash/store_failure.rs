//! A data directory that does not take writes for a while.

use std::{fs, thread, time::Duration};

use sigbox_engine::MINUTE_MS;

use super::chaos::POSITION;
use crate::support::{Configuration, Workplace, audit};

const FOLDER: &str = "dump/data/signal/BTCUSDT_sma-cross";

#[test]
fn nothing_is_opened_while_the_store_fails_and_nothing_is_lost() {
    let workplace = Workplace::new(&Configuration::sma_cross(6).speed(60_000.0));
    let mut running = workplace.start(&["live"]);
    let has = |action: &str| {
        let line = format!("\"action\":\"{action}\"");
        fs::read_to_string(workplace.path("dump/data/events.jsonl")).is_ok_and(|events| events.contains(&line))
    };
    running.until("a closed position", || has("closed"));
    // Not even the administrator can write into a folder that is a file.
    let (folder, aside) = (workplace.path(FOLDER), workplace.path("aside"));
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "not a folder").unwrap();
    running.until("the failure", || has("store_failed"));
    // Every minute it is tried again.
    let tries = "still not kept: files under dump/data: signal BTCUSDT_sma-cross/BTCUSDT";
    thread::sleep(Duration::from_millis(300));
    assert!(!has("store_recovered"), "it cannot have recovered yet");
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    running.until("the recovery", || has("store_recovered"));
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(finished.stderr.contains(tries), "{}", finished.stderr);

    let events = workplace.live_events();
    audit(&events);
    let position = |action: &str| events.iter().position(|event| event["action"] == action).unwrap();
    let (failed, recovered) = (position("store_failed"), position("store_recovered"));
    let failures = events.of("store_failed");
    assert_eq!(failures[0]["about"], "sma-cross on BTCUSDT");
    let message = failures[0]["message"].as_str().unwrap();
    assert!(message.starts_with("nothing is opened until the store answers: files under dump/data: "), "{message}");
    let between: Vec<_> = events.iter().take(recovered).skip(failed + 1).collect();
    assert!(between.iter().all(|event| event["action"] != "opened" && event["action"] != "scheduled"), "{between:#?}");
    let outage_ms =
        events.of("store_recovered")[0]["timestamp"].as_i64().unwrap() - failures[0]["timestamp"].as_i64().unwrap();
    assert!(outage_ms > 100 * MINUTE_MS, "it lasted: {outage_ms} ms");
    let opened_later = events.iter().skip(recovered).filter(|event| event["action"] == "opened").count();
    assert!(opened_later > 5, "trading goes on: {opened_later}");
    let last = events.iter().filter(|event| ["opened", "closed"].contains(&event["action"].as_str().unwrap())).last();
    let (last, row) = (last.unwrap(), workplace.read(POSITION));
    if last["action"] == "closed" {
        assert_eq!(row, "null");
    } else {
        assert!(row.contains(last["signal"]["id"].as_str().unwrap()), "{row}");
    }
}
