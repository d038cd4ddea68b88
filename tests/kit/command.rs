//! `sigbox plugin test`.

use serde_json::{Value, json};

use crate::support::{Workplace, plugin};

/// A workplace whose `kit.toml` has the hostile backend do `fault` in memory.
fn hostile(fault: &str) -> (Workplace, String) {
    let workplace = Workplace::empty();
    workplace.write("kit.toml", format!("settings = {{ fault = \"{fault}\" }}\n"));
    (workplace, plugin("hostile/backend").display().to_string())
}

#[test]
fn a_plugin_that_does_what_it_must_ends_with_0_and_says_what_was_not_run() {
    let workplace = Workplace::empty();
    let memory = plugin("persistence/memory").display().to_string();
    let finished = workplace.succeed(&["plugin", "test", &memory, "--junit", "kit.xml"]);
    let said = finished.stdout;
    assert!(said.starts_with("memory 0.1.0: memory of the plugin, lost when it stops\n"), "{said}");
    assert!(said.trim_end().ends_with("19 passed, 0 failed, 23 not run"), "{said}");
    for words in [["null is a value", "passed", ""], ["two instances", "not run", "it says that it is volatile"]] {
        let line = said.lines().find(|line| line.contains(words[0])).expect("each case has a line");
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    let junit = workplace.read("kit.xml");
    assert!(junit.contains("tests=\"42\" skipped=\"23\" failures=\"0\" errors=\"0\""), "{junit}");
    assert!(junit.contains("<testcase name=\"10,000 keys\" classname=\"sigbox.persistence.listings\""), "{junit}");
}

#[test]
fn programs_get_every_case_with_its_outcome_and_the_reason() {
    let (workplace, component) = hostile("takes null for none");
    let finished = workplace.run(&["plugin", "test", &component, "-c", "kit.toml", "--json"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    let said: Value = serde_json::from_str(&finished.stdout).expect("nothing but JSON is on standard output");
    assert_eq!((&said["passed"], &said["failed"], &said["notRun"]), (&json!(18), &json!(1), &json!(23)));
    assert_eq!(said["leftBehind"], json!([]));
    assert!(said["subject"].as_str().is_some_and(|subject| subject.starts_with("hostile ")), "{said}");
    let cases = said["cases"].as_array().expect("there are cases");
    for (case, found) in sigbox_kit::cases().zip(cases) {
        assert_eq!((&found["case"], &found["about"]), (&json!(case.name), &json!(case.group.name())));
        let reason = found["reason"].as_str().expect("it is a text");
        match case.name {
            "null is a value" => {
                assert_eq!(found["outcome"], "failed");
                assert!(reason.contains("read-value gave none instead of 4 bytes"), "{reason}");
            }
            "two instances" => {
                assert_eq!(found["outcome"], "not-run");
                assert!(reason.contains("it says that it is volatile"), "{reason}");
            }
            _ => assert_ne!(found["outcome"], "failed", "{found}"),
        }
    }
    assert_eq!(cases.len(), sigbox_kit::cases().count());
}

#[test]
fn where_nobody_watches_each_case_is_a_line_as_it_ends() {
    let (workplace, component) = hostile("takes null for none");
    let arguments = ["plugin", "test", &component, "-c", "kit.toml", "--only", "write", "--only", "null"];
    let finished = workplace.run(&arguments);
    let lines: Vec<&str> = finished.stderr.lines().filter(|line| line.contains(" cases: ")).collect();
    assert_eq!(lines.len(), 6, "{}", finished.stderr);
    assert!(lines[0].starts_with("1 of 6 cases: read before write: passed ("), "{}", lines[0]);
    assert!(lines.iter().any(|line| line.contains("null is a value: FAILED (")), "{lines:?}");
}

#[test]
fn a_denial_is_shown_with_the_line_that_allows_it() {
    let (workplace, component) = (Workplace::empty(), plugin("hostile/backend").display().to_string());
    workplace.write("kit.toml", "settings = { medium = \"server\", server = \"127.0.0.1:1\" }\n");
    let finished = workplace.run(&["plugin", "test", &component, "-c", "kit.toml", "--json", "--only", "start"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    let line = "to allow it, add \\\"127.0.0.1:1\\\" to network";
    assert!(finished.stdout.contains(line), "{}", finished.stdout);
}

#[test]
fn a_plugin_that_does_not_ends_with_6_and_the_reason() {
    let (workplace, component) = hostile("takes null for none");
    let finished = workplace.run(&["plugin", "test", &component, "-c", "kit.toml", "--junit", "kit.xml"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    assert!(finished.stderr.contains("error: 1 of 19 cases failed"), "{}", finished.stderr);
    let reason = "after null was written, read-value gave none instead of 4 bytes &quot;null&quot;";
    assert!(workplace.read("kit.xml").contains(reason), "{}", workplace.read("kit.xml"));
    assert!(finished.stdout.contains("18 passed, 1 failed, 23 not run"), "{}", finished.stdout);
}

#[test]
fn some_cases_can_be_chosen_by_a_part_of_their_names() {
    let (workplace, component) = hostile("takes null for none");
    let test = |arguments: &[&str]| workplace.run(&[&["plugin", "test", &component], arguments].concat());
    let chosen = test(&["-c", "kit.toml", "--only", "write", "--only", "overwrite"]);
    assert_eq!(chosen.code(), Some(0), "{chosen:?}");
    assert!(
        chosen.stdout.contains("3 passed, 0 failed, 2 not run"),
        "read before and after write, overwrite: {chosen:?}"
    );
    let none = test(&["--only", "killed"]);
    assert_eq!(none.code(), Some(6), "what was not run has not passed: {none:?}");
    assert!(none.stderr.contains("error: no case could be run"), "{}", none.stderr);
    let unknown = test(&["--only", "kill", "--only", "nonsense"]);
    assert_eq!(unknown.code(), Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("no case has \"nonsense\" in its name; --list shows them all"), "{unknown:?}");
}

#[test]
fn the_cases_are_listed() {
    let said = Workplace::empty().succeed(&["plugin", "test", "--list"]).stdout;
    for case in sigbox_kit::cases() {
        assert!(said.contains(case.name), "{}", case.name);
    }
}

#[test]
fn a_plugin_that_does_not_start_says_so_once() {
    let (workplace, component) = (Workplace::empty(), plugin("hostile/backend").display().to_string());
    workplace.write("kit.toml", "settings = { mode = \"start-refuse\" }\n");
    let finished = workplace.run(&["plugin", "test", &component, "-c", "kit.toml"]);
    assert_eq!(finished.code(), Some(6), "{finished:?}");
    assert_eq!(finished.stdout.matches("no password").count(), 1, "{}", finished.stdout);
    assert!(finished.stdout.contains("1 passed, 1 failed, 40 not run"), "{}", finished.stdout);
}

#[test]
fn what_is_no_backend_ends_with_3() {
    let strategy = plugin("strategies/sma-cross").display().to_string();
    let finished = Workplace::empty().run(&["plugin", "test", &strategy]);
    assert_eq!(finished.code(), Some(3), "{finished:?}");
    assert!(finished.stderr.contains("is a strategy, but a persistence backend was expected here"), "{finished:?}");
}

#[test]
fn a_kit_file_is_refused_with_its_lines() {
    let (workplace, memory) = (Workplace::empty(), plugin("persistence/memory").display().to_string());
    let cases = [
        ("plugin = \"a.wasm\"\n", "kit.toml:1: the file has no key plugin; it has settings, secrets, network,"),
        ("\nnetwork = [\"localhost\"]\n", "kit.toml:2: network must hold only HOST:PORT in quotes"),
        ("over = \"file\"\n", "kit.toml:1: over must not be \"file\": the kit has no data directory"),
        (
            "over = \"inner\"\n[stores.inner]\nplugin = \".\"\nover = \"file\"\n",
            "kit.toml:4: [stores.inner] over must not be \"file\": the kit has no data directory",
        ),
        ("over = \"inner\"\n", "kit.toml:1: over must be"),
        ("secrets = { a = { } }\n", "must say where a secret is"),
        ("", "kit.toml:1: the file binds nothing: it must have settings, secrets, network,"),
        ("settings = {}\nnetwork = []\n", "kit.toml:1: the file binds nothing"),
        ("[stores.db]\nplugin = \"kit.toml\"\n", "kit.toml:1: [stores.db] is not used: the keys that bind"),
    ];
    for (text, expected) in cases {
        workplace.write("kit.toml", text);
        let finished = workplace.run(&["plugin", "test", &memory, "--config", "kit.toml"]);
        assert_eq!(finished.code(), Some(2), "{text}: {finished:?}");
        assert!(finished.stderr.contains(expected), "{text}: {}", finished.stderr);
    }
    workplace.write("kit.toml", "secrets = { a = { env = \"SIGBOX_TEST_NO_SUCH_VARIABLE\" } }\n");
    let finished = workplace.run(&["plugin", "test", &memory, "--config", "kit.toml"]);
    assert_eq!(finished.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.contains("SIGBOX_TEST_NO_SUCH_VARIABLE is not set"), "{}", finished.stderr);
}

#[test]
fn a_wrapper_is_tested_over_memory_or_another_plugin() {
    let workplace = Workplace::empty();
    let (wrapper, memory) = (plugin("persistence/encrypt"), plugin("persistence/memory"));
    workplace.write("keys", "one:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let inner = format!("[stores.inner]\nplugin = '{}'\n", memory.display());
    for (over, inner) in [("over = \"memory\"\n", ""), ("over = \"inner\"\n", &inner)] {
        workplace.write("kit.toml", format!("{over}secrets = {{ keys = {{ file = \"keys\" }} }}\n{inner}"));
        let arguments = ["plugin", "test", &wrapper.display().to_string(), "-c", "kit.toml", "--only", "write"];
        let finished = workplace.succeed(&arguments);
        assert!(finished.stdout.starts_with("encrypt 0.1.0: sealed in "), "{over}: {}", finished.stdout);
    }
}
