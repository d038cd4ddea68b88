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

/// The binding of `signal` to the component `plugin` that keeps documents in `folder`.
fn kept_in(plugin: &str, folder: &str) -> Configuration {
    bound("disk", &format!("[stores.disk]\nplugin = '{plugin}'\ndirectories = {{ \"/data\" = '{folder}' }}\n"))
}

/// Trades by `configuration` in the folder `home`, and kills the run while the file `document` there is a position that
/// the event record has too.
fn kill_while_held(workplace: &Workplace, home: &str, configuration: &Configuration, document: &str) {
    workplace.write(&format!("{home}/sigbox.toml"), configuration.clone().speed(SPEED).to_toml());
    let (document, events) = (workplace.path(home).join(document), workplace.path(home).join("dump/data/events.jsonl"));
    let holds = || {
        let row = fs::read(&document).ok().and_then(|row| serde_json::from_slice::<Value>(&row).ok());
        let id = row.as_ref().and_then(|row| row["id"].as_str());
        let told = fs::read_to_string(&events).unwrap_or_default();
        let last = told.lines().rfind(|line| line.contains("\"signal\""));
        id.zip(last).is_some_and(|(id, last)| last.contains(id) && last.contains("opened"))
    };
    let file = format!("{home}/sigbox.toml");
    // It may close between the look and the kill.
    for _ in 0..20 {
        let mut running = workplace.start(&["live", "-c", &file]);
        running.until("a position", holds);
        running.kill();
        if holds() {
            workplace.write(&file, configuration.to_toml());
            return;
        }
    }
    panic!("no position was held for long enough");
}

const DOCUMENT: &str = "positions/signal/BTCUSDT_sma-cross/BTCUSDT.json";

/// What was decided about a binding, and what was rebuilt from the event record.
fn told(workplace: &Workplace, events: &str, action: &str) -> usize {
    workplace.read(events).lines().filter(|line| line.contains(&format!("\"{action}\""))).count()
}

#[test]
fn a_plugin_file_with_another_name_is_the_same_store() {
    let workplace = Workplace::empty();
    fs::copy(plugin("persistence/directory"), workplace.path("disk.wasm")).unwrap();
    kill_while_held(&workplace, ".", &kept_in("disk.wasm", "positions"), DOCUMENT);
    fs::rename(workplace.path("disk.wasm"), workplace.path("disk-0.2.wasm")).unwrap();
    workplace.configure(&kept_in("disk-0.2.wasm", "positions"));
    workplace.succeed(&["live"]);
    assert!(workplace.read("dump/data/bindings.json").contains("disk-0.2.wasm"));
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_rebuilt"), 0, "nothing was lost");
}

#[test]
fn a_plugin_that_does_not_find_what_is_held_is_refused_until_the_old_store_is_given_up() {
    let workplace = Workplace::empty();
    fs::copy(plugin("persistence/directory"), workplace.path("disk.wasm")).unwrap();
    kill_while_held(&workplace, ".", &kept_in("disk.wasm", "positions"), DOCUMENT);
    let nothing = refused(&workplace, &["state", "rebind"], 2);
    assert_eq!(nothing, "error: there is nothing to decide: a start would accept the stores of the configuration");
    fs::rename(workplace.path("disk.wasm"), workplace.path("disk-0.2.wasm")).unwrap();
    fs::remove_dir_all(workplace.path("positions/signal")).unwrap();
    workplace.configure(&kept_in("disk-0.2.wasm", "positions"));
    for _ in 0..2 {
        let message = refused(&workplace, &["live"], 5);
        let expected = "error: [persistence] signal was kept in \"disk\" at the last run, and whether that still holds \
                        something cannot be told: its plugin disk.wasm is not there any more; the event record says that ";
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("say so with `sigbox state rebind`") && !message.contains("delete"), "{message}");
    }
    let missing = workplace.run(&["state", "check"]);
    assert!(missing.code() != Some(0) && missing.stdout.contains("lost"), "{missing:?}");
    let said = workplace.succeed(&["state", "rebind"]).stdout;
    assert!(said.starts_with("signal is kept in \"disk\" from now on, and \"disk\" is given up ("), "{said}");
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_decided"), 2, "positions, and what is remembered");
    let missing = workplace.run(&["state", "check"]);
    assert!(missing.stdout.contains("lost"), "what is held is still known: {missing:?}");
    workplace.succeed(&["live"]);
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_rebuilt"), 1);
}

#[test]
fn a_folder_that_was_moved_with_all_that_is_in_it_is_the_same() {
    let workplace = Workplace::empty();
    fs::create_dir(workplace.path("a")).unwrap();
    fs::copy(plugin("persistence/directory"), workplace.path("a/disk.wasm")).unwrap();
    let relative = kept_in("disk.wasm", "positions");
    kill_while_held(&workplace, "a", &relative, DOCUMENT);
    fs::rename(workplace.path("a"), workplace.path("b")).unwrap();
    workplace.succeed(&["live", "-c", "b/sigbox.toml"]);
    assert_eq!(told(&workplace, "b/dump/data/events.jsonl", "state_rebuilt"), 0);
    assert!(!workplace.path("a").exists(), "nothing is made where it was");
}

#[test]
fn a_data_directory_that_was_moved_alone_is_the_same_with_absolute_paths_too() {
    let workplace = Workplace::empty();
    let disk = plugin("persistence/directory").display().to_string();
    let inside = |home: &str| kept_in(&disk, &workplace.path(home).join("dump/data/disk").display().to_string());
    fs::create_dir(workplace.path("a")).unwrap();
    kill_while_held(&workplace, "a", &inside("a"), "dump/data/disk/signal/BTCUSDT_sma-cross/BTCUSDT.json");
    fs::create_dir(workplace.path("b")).unwrap();
    fs::rename(workplace.path("a/dump"), workplace.path("b/dump")).unwrap();
    workplace.write("b/sigbox.toml", inside("b").to_toml());
    workplace.succeed(&["live", "-c", "b/sigbox.toml"]);
    assert_eq!(told(&workplace, "b/dump/data/events.jsonl", "state_rebuilt"), 0);
    assert!(!workplace.path("a/dump").exists(), "nothing is made where it was");
}

#[test]
fn a_folder_that_was_left_behind_by_a_move_is_noticed() {
    let workplace = Workplace::empty();
    let relative = kept_in(&plugin("persistence/directory").display().to_string(), "positions");
    fs::create_dir(workplace.path("a")).unwrap();
    kill_while_held(&workplace, "a", &relative, DOCUMENT);
    fs::create_dir(workplace.path("b")).unwrap();
    for moved in ["sigbox.toml", "dump"] {
        fs::rename(workplace.path("a").join(moved), workplace.path("b").join(moved)).unwrap();
    }
    let message = refused(&workplace, &["live", "-c", "b/sigbox.toml"], 5);
    assert!(message.contains("told: its folder a/positions has moved with the data directory; the event"), "{message}");
    fs::remove_dir_all(workplace.path("b/positions")).unwrap();
    fs::rename(workplace.path("a/positions"), workplace.path("b/positions")).unwrap();
    workplace.succeed(&["live", "-c", "b/sigbox.toml"]);
    assert_eq!(told(&workplace, "b/dump/data/events.jsonl", "state_rebuilt"), 0);
}

#[test]
fn a_store_that_is_gone_is_not_missed_when_all_that_is_held_is_in_the_new_one() {
    let workplace = Workplace::empty();
    let disk = plugin("persistence/directory").display().to_string();
    kill_while_held(&workplace, ".", &kept_in(&disk, "positions"), DOCUMENT);
    fs::rename(workplace.path("positions"), workplace.path("elsewhere")).unwrap();
    workplace.configure(&kept_in(&disk, "elsewhere"));
    workplace.succeed(&["live"]);
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_rebuilt"), 0);
    assert!(!workplace.path("positions").exists(), "nothing is made where it was");
}

#[test]
fn whether_a_store_that_is_gone_holds_something_cannot_be_told_without_the_event_record() {
    let workplace = Workplace::empty();
    let disk = plugin("persistence/directory").display().to_string();
    kill_while_held(&workplace, ".", &kept_in(&disk, "positions"), DOCUMENT);
    fs::remove_dir_all(workplace.path("positions")).unwrap();
    workplace.write("positions", "a file");
    fs::remove_file(workplace.path("dump/data/events.jsonl")).unwrap();
    workplace.configure(&Configuration::sma_cross(3));
    let message = refused(&workplace, &["live"], 5);
    let expected = "error: [persistence] signal was kept in \"disk\" at the last run, and whether that still holds \
                    something cannot be told: plugin disk: directory ";
    assert!(message.starts_with(expected) && !message.contains("delete"), "{message}");
    assert!(message.contains("; the event record does not tell what was held. Make it reachable"), "{message}");
    workplace.succeed(&["state", "rebind"]);
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_decided"), 2, "positions, and what is remembered");
    workplace.succeed(&["live"]);
}

#[test]
fn a_record_of_bindings_of_another_version_is_understood() {
    let workplace = Workplace::empty();
    let disk = plugin("persistence/directory").display().to_string();
    kill_while_held(&workplace, ".", &kept_in(&disk, "positions"), DOCUMENT);
    let mut record: Value = serde_json::from_str(&workplace.read("dump/data/bindings.json")).unwrap();
    let fields = record.as_object_mut().unwrap();
    for newer in ["data-dir", "folder", "partial"] {
        assert!(fields.remove(newer).is_some(), "{newer}");
    }
    fields.insert("unheard-of".to_owned(), json!([1]));
    let store = fields["stores"]["disk"].as_object_mut().unwrap();
    for newer in ["settings", "secrets", "network", "over"] {
        assert!(store.remove(newer).is_some(), "{newer}");
    }
    store.insert("unheard-of".to_owned(), json!({ "a": 1 }));
    workplace.write("dump/data/bindings.json", record.to_string());
    // It is understood, and not taken for damaged: the store that it names is asked.
    workplace.configure(&Configuration::sma_cross(3));
    let message = refused(&workplace, &["live"], 5);
    assert!(message.contains("signal was kept in \"disk\" and is bound to \"file\" now"), "{message}");
    workplace.configure(&kept_in(&disk, "positions"));
    workplace.succeed(&["live"]);
    assert!(!workplace.path("dump/data/bindings.json.damaged").exists());
    assert!(workplace.read("dump/data/bindings.json").contains("data-dir"), "it is written anew");
}

#[test]
fn a_damaged_record_of_bindings_stops_a_start_only_if_something_is_missing() {
    let workplace = Workplace::empty();
    let disk = plugin("persistence/directory").display().to_string();
    kill_while_held(&workplace, ".", &kept_in(&disk, "positions"), DOCUMENT);
    let whole = workplace.read("dump/data/bindings.json");
    let damaged = &whole[..whole.len() / 2];
    workplace.write("dump/data/bindings.json", damaged);
    workplace.configure(&Configuration::sma_cross(3));
    let message = refused(&workplace, &["live"], 5);
    let expected = "error: dump/data/bindings.json cannot be understood (EOF while parsing ";
    assert!(message.starts_with(expected) && message.contains("the event record says that "), "{message}");
    assert!(!message.contains("delete"), "{message}");
    workplace.configure(&kept_in(&disk, "positions").speed(60.0));
    for content in [damaged.as_bytes(), &[0; 300], b""] {
        workplace.write("dump/data/bindings.json", content);
        let mut running = workplace.start(&["live"]);
        let record = workplace.path("dump/data/bindings.json");
        running.until("the record", || fs::read_to_string(&record).is_ok_and(|record| record == whole));
        running.kill();
        assert_eq!(fs::read(workplace.path("dump/data/bindings.json.damaged")).unwrap(), content);
    }
    workplace.configure(&kept_in(&disk, "positions"));
    workplace.succeed(&["live"]);
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "state_rebuilt"), 0, "nothing was lost");
}

#[test]
fn what_a_strategy_without_a_configuration_holds_is_copied_too() {
    let workplace = killed();
    let row = workplace.read(POSITION);
    let renamed = |store: &str| {
        let text = bound("disk", store).to_toml().replace("name = \"sma-cross\"", "name = \"renamed\"");
        workplace.write("sigbox.toml", text);
    };
    renamed(&on("disk", "positions", ""));
    // Without the event record, only the index of the old store knows of it.
    fs::rename(workplace.path("dump/data/events.jsonl"), workplace.path("events.old")).unwrap();
    workplace.write("positions/signal/traders/index.json", "[[\"ETHUSDT\",\"other\"]]");
    let message = refused(&workplace, &["live"], 5);
    assert!(message.contains("\"file\" holds BTCUSDT_sma-cross/BTCUSDT and \"disk\" does not. Move it"), "{message}");

    workplace.write("positions/signal/BTCUSDT_sma-cross/BTCUSDT.json", &row);
    let message = refused(&workplace, &["live"], 5);
    assert!(message.contains("\"file\" holds traders/index and \"disk\" does not have all"), "{message}");

    for fate in ["written", "same"] {
        let copied = workplace.succeed(&["state", "copy", "--from", "file", "--to", "disk", "--json"]).stdout;
        let copied: Value = serde_json::from_str(&copied).unwrap();
        let of = |name: &str| {
            let at =
                copied.as_array().unwrap().iter().find(|row| row["domain"] == "signal" && row["entityName"] == name);
            at.unwrap_or_else(|| panic!("{name}: {copied}"))["fate"].clone()
        };
        assert_eq!((of("traders"), of("BTCUSDT_sma-cross")), (json!(fate), json!("same")));
    }
    let index = workplace.read("positions/signal/traders/index.json");
    assert_eq!(index, "[[\"BTCUSDT\",\"sma-cross\"],[\"ETHUSDT\",\"other\"]]");
    workplace.succeed(&["live"]);
    assert_eq!(told(&workplace, "dump/data/events.jsonl", "orphan_found"), 1, "it is watched");
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
            "[persistence] signal, risk, memory: [stores.disk] secret key: the environment variable SIGBOX_TEST_NOT_SET is not set",
        ),
        (
            format!("{domains}{}", store("settings = { nonsense = 1 }")),
            3,
            "[persistence] signal, risk, memory: plugin disk: start failed: ",
        ),
        (format!("{domains}{}", store("over = \"file\"")), 3, "[persistence] signal, risk, memory: plugin "),
        (wrapper, 3, "[persistence] signal, risk, memory: plugin "),
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
    assert_eq!(stores[0]["domains"], json!(["signal", "memory"]));
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
