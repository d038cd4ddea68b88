//! Which store keeps what, and moving state from one to another.

use std::fs;

use serde_json::{Value, json};

use super::fine;
use crate::{
    crash::chaos::{POSITION, assert_same_in_the_end, kill_with_a_position, undisturbed},
    support::{Configuration, Workplace, plugin},
};

/// Simulated seconds a second, slow enough to be met while it holds a position.
const SPEED: f64 = 30_000.0;

/// Three days of trading with positions in `store`; `more` are further sections.
fn bound(store: &str, more: &str) -> Configuration {
    Configuration::sma_cross(3).section(&format!("[persistence]\nsignal = \"{store}\"\n{more}"))
}

/// A plugin that keeps documents in `folder`.
fn on(name: &str, folder: &str, settings: &str) -> String {
    let plugin = plugin("persistence/directory");
    format!(
        "[stores.{name}]\nplugin = '{}'\ndirectories = {{ \"/data\" = \"{folder}\" }}\n{settings}\n",
        plugin.display()
    )
}

/// A run with positions in files that was killed while it held one.
fn killed() -> Workplace {
    let workplace = Workplace::new(&Configuration::sma_cross(3).speed(SPEED));
    kill_with_a_position(&workplace);
    workplace
}

fn refused(workplace: &Workplace, arguments: &[&str], code: i32) -> String {
    let finished = workplace.run(arguments);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(code), ""), "{finished:?}");
    finished.stderr.replace(&format!("{}/", workplace.path("").display()).replace("//", "/"), "").trim_end().to_owned()
}

#[test]
fn a_position_is_not_left_behind_but_moved() {
    let disturbed = killed();
    let row = disturbed.read(POSITION);
    let configuration = bound("disk", &on("disk", "positions", ""));
    disturbed.configure(&configuration);
    let expected = "error: [persistence] signal was kept in \"file\" and is bound to \"disk\" now, but \
                    \"file\" holds BTCUSDT_sma-cross/BTCUSDT and \"disk\" does not. Move it with `sigbox state copy \
                    --from file --to disk`, or bind signal to \"file\" again";
    for _ in 0..2 {
        assert_eq!(refused(&disturbed, &["live"], 5), expected, "and nothing changes by trying");
    }
    assert_eq!(disturbed.read(POSITION), row);

    let copied = disturbed.succeed(&["state", "copy", "--from", "file", "--to", "disk"]).stdout;
    assert!(copied.contains("documents are in disk as they are in file; "), "{copied}");
    assert_eq!(disturbed.read("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json"), row);
    let again = disturbed.succeed(&["state", "copy", "--from", "file", "--to", "disk", "--json"]).stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert!(again.as_array().unwrap().iter().all(|row| row["fate"] == "same"), "{again}");
    assert!(again.as_array().unwrap().iter().any(|row| row["domain"] == "signal"), "{again}");

    // What it holds now is what the next binding is checked against.
    disturbed.configure(&configuration.clone().speed(60.0));
    let mut running = disturbed.start(&["live"]);
    let record = disturbed.path("dump/data/bindings.json");
    running.until("the record", || fs::read_to_string(&record).is_ok_and(|record| record.contains("disk")));
    running.kill();
    disturbed.configure(&bound("memory", ""));
    let message = refused(&disturbed, &["live"], 5);
    assert!(message.contains("signal was kept in \"disk\" and is bound to \"memory\" now"), "{message}");
    assert!(message.ends_with("does not. Bind signal to \"disk\" again"), "{message}");

    disturbed.configure(&configuration);
    disturbed.succeed(&["live"]);
    let positions = disturbed.read("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json");
    fs::write(disturbed.path(POSITION), positions).unwrap();
    assert_same_in_the_end(&disturbed, &undisturbed(&Configuration::sma_cross(3)));
}

#[test]
fn a_store_that_is_not_where_it_was_is_noticed() {
    let workplace = Workplace::new(&bound("disk", &on("disk", "one", "")).speed(SPEED));
    let position = workplace.path("one/signal/BTCUSDT_sma-cross/BTCUSDT.json");
    let mut running = workplace.start(&["live"]);
    running.until("a position", || fs::read(&position).is_ok_and(|row| row.starts_with(b"{")));
    running.kill();
    // The same place by another way is no change: nothing has to be copied.
    workplace.configure(&bound("disk", &on("disk", "./one", "")));
    let shown: Value = serde_json::from_str(&workplace.succeed(&["state", "show", "--json"]).stdout).unwrap();
    if shown[0]["state"] == "open" {
        workplace.configure(&bound("disk", &on("disk", "two", "")));
        let message = refused(&workplace, &["live"], 5);
        let expected = "error: [persistence] signal: [stores.disk] is not what it was at the last run: it held \
                        BTCUSDT_sma-cross/BTCUSDT, and as it is now it does not. Put its old settings into ";
        assert!(message.starts_with(expected), "{message}");
    }
    workplace.configure(&bound("disk", &on("disk", "./one", "")));
    workplace.succeed(&["live"]);
}

#[test]
fn whether_a_store_that_is_gone_holds_something_cannot_be_told() {
    let workplace = Workplace::new(&bound("disk", &on("disk", "positions", "")));
    workplace.succeed(&["live"]);
    fs::remove_dir_all(workplace.path("positions")).unwrap();
    workplace.write("positions", "a file");
    workplace.configure(&Configuration::sma_cross(3));
    let message = refused(&workplace, &["live"], 5);
    let expected = "error: [persistence] signal was kept in \"disk\" at the last run, and whether that still holds \
                    something cannot be told: plugin disk: directory ";
    assert!(message.starts_with(expected) && message.ends_with("delete dump/data/bindings.json"), "{message}");
    fs::remove_file(workplace.path("dump/data/bindings.json")).unwrap();
    workplace.succeed(&["live"]);
}

#[test]
fn documents_of_another_run_are_not_overwritten_unless_that_is_said() {
    let workplace = killed();
    workplace.configure(&bound("disk", &on("disk", "positions", "")));
    let other = "{\"of\":\"somebody else\"}";
    workplace.write("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json", other);
    let copy = ["state", "copy", "--from", "file", "--to", "disk", "--domain", "signal"];
    let message = refused(&workplace, &copy, 5);
    assert!(
        message.contains("has another document at signal BTCUSDT_sma-cross/BTCUSDT; nothing was copied"),
        "{message}"
    );
    assert_eq!(workplace.read("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json"), other);
    workplace.succeed(&[&copy[..], &["--replace"]].concat());
    assert_eq!(workplace.read("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json"), workplace.read(POSITION));
    assert!(!workplace.path("positions/risk").exists(), "only signal was asked for");
}

#[test]
fn copying_needs_two_stores_that_last_and_nobody_who_trades() {
    let workplace = fine();
    for (arguments, expected) in [
        (["memory", "file"], "memory holds nothing that could be copied, and keeps nothing"),
        (["file", "file"], "file is both --from and --to; to write everything anew, say --replace"),
        (
            ["file", "nowhere"],
            "there is no store \"nowhere\": it must be \"file\", \"memory\" or the name of a [stores.NAME]",
        ),
    ] {
        let [from, to] = arguments;
        let message = refused(&workplace, &["state", "copy", "--from", from, "--to", to], 2);
        assert_eq!(message, format!("error: {expected}"));
    }
    workplace.configure(&Configuration::sma_cross(3).speed(60.0));
    let running = workplace.start_live(&["live"]);
    let message = refused(&workplace, &["state", "copy", "--from", "file", "--to", "file", "--replace"], 5);
    assert!(message.starts_with("error: data directory dump/data is in use by process "), "{message}");
    running.kill();
}

#[test]
fn a_binding_that_cannot_work_is_refused_before_any_trade_and_names_its_domains() {
    let store = |more: &str| on("disk", "positions", more);
    let domains = "[persistence]\nsignal = \"disk\"\nrisk = \"disk\"\n";
    let missing = "secrets = { key = { env = \"SIGBOX_TEST_NOT_SET\" } }";
    let wrapper = format!("{domains}[stores.disk]\nplugin = '{}'\n", plugin("persistence/encrypt").display());
    for (sections, code, expected) in [
        (
            format!("{domains}{}", store(missing)),
            2,
            "[persistence] signal, risk: [stores.disk] secret key: the environment variable SIGBOX_TEST_NOT_SET is not set",
        ),
        (
            format!("{domains}{}", store("settings = { nonsense = 1 }")),
            3,
            "[persistence] signal, risk: plugin disk: start failed: ",
        ),
        (format!("{domains}{}", store("over = \"file\"")), 3, "[persistence] signal, risk: plugin "),
        (wrapper, 3, "[persistence] signal, risk: plugin "),
    ] {
        let workplace = Workplace::new(&Configuration::sma_cross(1).section(&sections));
        let message = refused(&workplace, &["live"], code);
        assert!(message.starts_with(&format!("error: {expected}")), "{message}");
        assert!(!message.contains("dump/data/events.jsonl"), "{message}");
        let events = fs::read_to_string(workplace.path("dump/data/events.jsonl")).unwrap_or_default();
        assert_eq!(events, "");
    }
}

#[test]
fn stores_are_shown_with_what_they_keep_and_whether_they_answer() {
    let workplace = Workplace::new(&bound("disk", &on("disk", "positions", "")));
    workplace.succeed(&["live"]);
    let incident = json!({
        "id": "host:disk:1:store_restarted", "action": "store_restarted", "timestamp": 60_000, "about": "disk",
        "message": "store disk restarted: read-value: trapped",
    });
    let events = workplace.read("dump/data/events.jsonl");
    workplace.write("dump/data/events.jsonl", format!("{events}{incident}\n"));
    let stores: Value = serde_json::from_str(&workplace.succeed(&["state", "stores", "--json"]).stdout).unwrap();
    assert_eq!(stores[0]["domains"], json!(["signal"]));
    assert!(stores[0]["description"].as_str().unwrap().starts_with("disk (directory "), "{stores}");
    assert_eq!(stores[0]["lastIncident"]["message"], incident["message"]);
    let files = json!({
        "store": "file", "domains": ["schedule", "risk", "partial"], "description": "files under dump/data", "apart": "lock",
    });
    assert_eq!(stores[1], files);
    let table = workplace.succeed(&["state", "stores"]).stdout;
    assert!(table.contains("answers") && table.contains("1970-01-01T00:01:00Z"), "{table}");

    fs::remove_dir_all(workplace.path("positions")).unwrap();
    workplace.write("positions", "a file");
    let stores: Value = serde_json::from_str(&workplace.succeed(&["state", "stores", "--json"]).stdout).unwrap();
    assert!(stores[0]["error"].as_str().unwrap().contains("Not a directory"), "{stores}");
}
