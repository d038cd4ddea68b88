//! Persistence plugins, good and bad.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use sigbox::{
    events::{Incident, IncidentKind},
    sandbox::{Grant, Limits, PluginError, PluginStore},
    trading::store::{Address, Store, StoreError},
};
use tempfile::tempdir;

use super::{
    field::{live, resident_bytes},
    logs::captured,
    text_component::component,
};
use crate::support::plugin;

const PATIENCE: Duration = Duration::from_secs(1);

async fn start(component: &Path, settings: &[(&str, &str)]) -> Result<PluginStore, PluginError> {
    start_with(component, settings, Limits { store_timeout: PATIENCE, ..Limits::default() }).await
}

async fn start_with(component: &Path, settings: &[(&str, &str)], limits: Limits) -> Result<PluginStore, PluginError> {
    let settings: BTreeMap<_, _> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let binding = Grant { name: "rows".to_owned(), settings, ..Grant::default() };
    PluginStore::start(&live(limits), component, binding).await
}

async fn memory() -> PluginStore {
    start(&plugin("persistence/memory"), &[]).await.unwrap()
}

async fn hostile(settings: &[(&str, &str)]) -> PluginStore {
    start(&plugin("hostile/backend"), settings).await.unwrap()
}

fn at(id: &str) -> Address {
    Address { domain: "signal".to_owned(), entity_name: "BTCUSDT_a".to_owned(), entity_id: id.to_owned() }
}

fn said(error: &StoreError) -> (&str, bool) {
    (&error.message, error.retryable)
}

#[tokio::test]
async fn a_backend_keeps_what_it_is_given() {
    let store = memory().await;
    assert_eq!(store.describe(), "rows (memory 0.1.0: memory of the plugin, lost when it stops)");
    store.wait_for_init("signal", "BTCUSDT_a", true).await.unwrap();
    assert_eq!(store.read_value(&at("a")).await.unwrap(), None);
    assert!(!store.has_value(&at("a")).await.unwrap());
    for value in [b"null".as_slice(), b"{}", &[0, 255, 10]] {
        store.write_value(&at("a"), value, 1).await.unwrap();
        assert_eq!(store.read_value(&at("a")).await.unwrap().as_deref(), Some(value));
        assert!(store.has_value(&at("a")).await.unwrap());
    }
    let moved_to = store.quarantine(&at("a")).await.unwrap();
    assert_eq!(store.read_value(&at("a")).await.unwrap(), None);
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap().len(), 1);
    assert!(moved_to.starts_with("signal BTCUSDT_a/a.corrupt-"), "{moved_to}");
    assert!(!store.remove_value(&at("a")).await.unwrap());
    store.write_value(&at("b"), b"1", 2).await.unwrap();
    assert!(store.remove_value(&at("b")).await.unwrap());
    store.close().await;
}

#[tokio::test]
async fn a_listing_goes_over_pages() {
    let store = memory().await;
    let mut expected: Vec<String> = (0..2500).map(|number| format!("{:04}", number * 7919 % 2500)).collect();
    for id in &expected {
        store.write_value(&at(id), b"1", 1).await.unwrap();
    }
    expected.sort();
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), expected);
    assert!(store.keys("signal", "nobody").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_document_beyond_what_the_plugin_takes_is_not_sent() {
    let store = memory().await;
    store.write_value(&at("a"), &vec![b'x'; 1 << 20], 1).await.unwrap();
    let error = store.write_value(&at("a"), &vec![b'y'; (1 << 20) + 1], 1).await.unwrap_err();
    assert_eq!(said(&error), ("write-value: 1048577 bytes; the plugin takes at most 1048576", false));
    assert_eq!(store.read_value(&at("a")).await.unwrap().unwrap()[0], b'x');
}

#[tokio::test]
async fn a_call_that_trapped_is_repeated_on_a_fresh_instance_that_is_told_of_its_entities() {
    let store = hostile(&[("call", "3")]).await;
    store.wait_for_init("signal", "BTCUSDT_a", true).await.unwrap();
    store.wait_for_init("risk", "shared", false).await.unwrap();
    store.wait_for_init("signal", "BTCUSDT_a", false).await.unwrap();
    let told = store.read_value(&at("told")).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8(told).unwrap(),
        "signal BTCUSDT_a true; risk shared false; signal BTCUSDT_a false",
        "the first instance was told as the host was asked"
    );
    store.write_value(&at("a"), b"1", 1).await.unwrap();
    // The third call traps; the repetition is the first one of an instance that remembers nothing.
    assert_eq!(store.read_value(&at("a")).await.unwrap(), None, "this backend forgets: see its documentation");
    let told = store.read_value(&at("told")).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(told).unwrap(), "signal BTCUSDT_a false; risk shared false", "each once");
}

#[tokio::test]
async fn a_call_that_always_traps_is_an_error_that_may_pass() {
    let store = hostile(&[]).await;
    let error = store.write_value(&at("trap"), b"1", 1).await.unwrap_err();
    let (message, retryable) = said(&error);
    let expected = "a fresh instance: write-value: trapped: wasm `unreachable` instruction executed, in abort < ";
    assert!(message.starts_with(expected) && retryable, "{message}");
    assert!(error.to_string().starts_with("rows (hostile 0.1.0: a trap): signal BTCUSDT_a/trap: "), "{error}");
    store.write_value(&at("a"), b"1", 1).await.unwrap();
    assert_eq!(store.read_value(&at("a")).await.unwrap().as_deref(), Some(b"1".as_slice()), "others are served");
}

#[tokio::test]
async fn a_call_that_was_refused_before_it_broke_down_says_so() {
    let store = hostile(&[]).await;
    let error = store.write_value(&at("refuse, then trap"), b"1", 1).await.unwrap_err();
    let (message, retryable) = said(&error);
    assert!(message.starts_with("a fresh instance: write-value: trapped: ") && retryable, "{message}");
    let expected = "; before that, write-value: unavailable: somebody has it locked";
    assert!(message.ends_with(expected), "{message}");
}

#[tokio::test]
async fn a_backend_that_fails_again_and_again_is_left_alone_for_a_while() {
    let store = hostile(&[]).await;
    store.write_value(&at("a"), b"1", 1).await.unwrap();
    for _ in 0..3 {
        store.write_value(&at("trap"), b"1", 1).await.unwrap_err();
    }
    let error = store.read_value(&at("a")).await.unwrap_err();
    assert!(error.message.starts_with("read-value: not asked, because it failed several times in a row: "), "{error}");
    assert_eq!((error.code.as_str(), error.retryable), ("unavailable", true));
    assert!(error.retry_after.unwrap() <= Duration::from_secs(1));
    let kinds: Vec<IncidentKind> = store.incidents().into_iter().map(|incident| incident.kind).collect();
    let restarts = kinds.iter().filter(|kind| **kind == IncidentKind::Restarted).count();
    assert_eq!((restarts, kinds.last()), (6, Some(&IncidentKind::Suspended)), "{kinds:?}");

    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.write_value(&at("a"), b"2", 1).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(error.retry_after.unwrap()).await;
    }
    assert_eq!(store.read_value(&at("a")).await.unwrap().as_deref(), Some(b"2".as_slice()));
    let incidents = store.incidents();
    let [Incident { store, kind, message }] = incidents.as_slice() else { panic!("{incidents:?}") };
    assert_eq!((store.as_str(), *kind, message.as_str()), ("rows", IncidentKind::Resumed, "it answers again"));
}

#[tokio::test]
async fn a_call_that_hangs_is_an_error_within_its_time() {
    let store = hostile(&[]).await;
    store.write_value(&at("a"), b"1", 1).await.unwrap();
    for id in ["sleep", "spin"] {
        let asked = Instant::now();
        let error = store.write_value(&at(id), b"1", 1).await.unwrap_err();
        assert_eq!(said(&error), ("write-value: did not answer within 1000 ms ([limits] store-timeout-ms)", true));
        assert!(asked.elapsed() < PATIENCE * 10, "{id}: {:?}", asked.elapsed());
        let incidents = store.incidents();
        let [Incident { kind, message, .. }] = incidents.as_slice() else { panic!("{id}: {incidents:?}") };
        assert_eq!((*kind, message), (IncidentKind::Restarted, &error.message), "{id}: the operator is told");
        assert_eq!(store.read_value(&at("a")).await.unwrap(), None, "{id}: a fresh instance answers");
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_instance_in_the_middle_of_its_work() {
    let store = hostile(&[]).await;
    let (sleep, plain) = (at("sleep"), at("a"));
    let impatient = tokio::time::timeout(PATIENCE / 4, store.write_value(&sleep, b"1", 1)).await;
    assert!(impatient.is_err(), "it gave up");
    store.write_value(&plain, b"1", 1).await.unwrap();
    assert_eq!(store.read_value(&plain).await.unwrap().as_deref(), Some(b"1".as_slice()));
}

#[tokio::test]
async fn a_refusal_is_passed_on_in_printable_words() {
    let store = hostile(&[]).await;
    let error = store.read_value(&at("later")).await.unwrap_err();
    assert_eq!(
        said(&error),
        ("read-value: unavailable: in fifty days\n    2024-01-01 ERROR forged\\u{1b}[2J", true),
        "whenever it says, the host decides when to ask again"
    );
    let error = store.read_value(&at("never")).await.unwrap_err();
    let (message, retryable) = said(&error);
    assert!(message.starts_with("read-value: denied: xxx") && message.ends_with('…') && !retryable, "{message}");
    assert!(message.len() < 2100, "{} bytes", message.len());
}

#[tokio::test]
async fn more_than_may_be_handed_over_is_an_error() {
    let before = resident_bytes();
    let store = start_with(&plugin("hostile/backend"), &[], Limits::default()).await.unwrap();
    let error = store.read_value(&at("huge")).await.unwrap_err();
    let expected = "a fresh instance: read-value: handed more than 8192 KiB to the host at once";
    assert_eq!(said(&error), (expected, true));
    let error = store.keys("signal", "huge").await.unwrap_err();
    assert_eq!(said(&error), ("a fresh instance: keys: handed more than 8192 KiB to the host at once", true));
    // Other tests of this process share it.
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < 512 << 20, "{} MiB more", growth >> 20);
}

#[tokio::test]
async fn a_listing_that_breaks_the_contract_is_an_error_and_ends() {
    let store = hostile(&[]).await;
    for (entity_name, expected) in [
        ("same-cursor", "keys: the plugin's ids do not ascend"),
        ("no-ids", "keys: the plugin's listing does not advance"),
        ("unordered", "keys: the plugin's ids do not ascend"),
        ("repeated", "keys: the plugin's ids do not ascend"),
        ("overfull", "keys: the plugin gave more ids than it was asked for"),
        ("endless", "keys: the plugin's listing has more than 1000 pages"),
    ] {
        let error = store.keys("signal", entity_name).await.unwrap_err();
        assert_eq!(said(&error), (expected, false), "{entity_name}");
    }
}

#[tokio::test]
async fn a_backend_that_cannot_start_says_in_which_function() {
    let component = plugin("hostile/backend");
    for (mode, expected) in [
        ("describe-trap", "plugin rows: describe: trapped: wasm `unreachable` instruction executed, in abort < "),
        ("start-trap", "plugin rows: start: trapped: wasm `unreachable` instruction executed, in abort < "),
        ("start-spin", "plugin rows: start: did not answer within 1000 ms ([limits] store-timeout-ms)"),
        ("start-refuse", "plugin rows: start failed: denied: no password\n    ERROR forged"),
    ] {
        let error = start(&component, &[("mode", mode)]).await.err().expect("it cannot start").to_string();
        assert!(error.starts_with(expected), "{mode}: {error}");
    }
}

#[tokio::test]
async fn a_summary_is_one_printable_line() {
    let store = hostile(&[("mode", "forged-summary")]).await;
    assert_eq!(store.describe(), "rows (hostile 0.1.0: one line\\nanother\\u{1b}[31m line)");
}

#[test]
fn the_last_call_is_close_whatever_comes_of_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let close = |settings: &[(&str, &str)]| {
        let (log, ()) = captured(|| runtime.block_on(async { hostile(settings).await.close().await }));
        log
    };
    let closed = "INFO closed plugin=\"rows\" instance=\"\" now_ms=0 part=\"close\"";
    assert_eq!(close(&[]), [closed]);
    let log = close(&[("mode", "close-trap")]);
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!(log[0], closed);
    assert!(log[1].starts_with("WARN close: trapped: wasm `unreachable` instruction executed"), "{}", log[1]);
}

#[tokio::test]
async fn nothing_of_a_component_runs_before_it_is_known_to_fit() {
    let dir = tempdir().unwrap();
    let items = "(core module $m (func $spin (loop (br 0))) (start $spin)) (core instance (instantiate $m))";
    let file = component(dir.path(), items);
    let error = start(&file, &[]).await.err().expect("it is no backend").to_string();
    assert!(error.contains("found nothing"), "{error}");
}
