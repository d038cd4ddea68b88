//! Documents in MongoDB, which two servers that speak its protocol stand for. FerretDB shows what the store keeps, how it
//! logs in, and TLS. mongo-java-server shows that hosts are kept apart.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sigbox::trading::store::{Apart, Holder, Store as _, UNSUPPORTED};
use sigbox_kit::Group;

use super::served::{Bound, assert_said, at, keeps_the_contract, passes_the_kit_but_for, read, said, write};
use crate::{
    servers::{FerretDb, FerretDbSetup, MongoJavaServer},
    support::{Configuration, Workplace, plugin, slow_tests},
};

const LOGIN: FerretDbSetup<'_> = FerretDbSetup { has_login: true, tls_name: None, asks_for_certificate: false };

const TLS: FerretDbSetup<'_> = FerretDbSetup { tls_name: Some("localhost"), ..LOGIN };

fn bound_at(port: u16) -> Bound {
    Bound::new("mongodb").set("url", format!("mongodb://localhost:{port}/sigbox")).reach("localhost", port)
}

/// A server with a login.
pub(super) fn bound(server: &FerretDb) -> Bound {
    bound_at(server.port())
        .set("url", format!("mongodb://sigbox@localhost:{}/sigbox", server.port()))
        .secret("password", FerretDb::PASSWORD)
}

/// A server that keeps hosts apart.
pub(super) fn bound_fenced(server: &MongoJavaServer) -> Bound {
    bound_at(server.port())
}

pub(super) fn bound_tls(server: &FerretDb) -> Bound {
    bound(server).set("tls", "verify-full").secret("ca", server.authority().certificate())
}

fn rows(server: &FerretDb) -> Vec<Value> {
    listed(&server.ask("find", &json!({ "filter": {}, "sort": { "_id": 1 } })))
}

fn listed(found: &Value) -> Vec<Value> {
    found["cursor"]["firstBatch"].as_array().expect("they are listed").clone()
}

fn holder(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: 1_769_860_800_000 }
}

#[tokio::test]
async fn it_passes_the_kit() {
    let Some(server) = FerretDb::start(LOGIN) else { return };
    keeps_the_contract(&bound(&server)).await;
    // The kit's ten thousand rows take FerretDB some minutes.
    if slow_tests() {
        // Which is not trusted with a fence.
        let about_hosts = sigbox_kit::cases().filter(|case| case.group == Group::Hosts);
        let about_hosts: Vec<&str> = about_hosts.map(|case| case.name).collect();
        passes_the_kit_but_for(&about_hosts, &bound(&server), sigbox_kit::cases()).await;
    }
}

#[tokio::test]
async fn where_updates_are_atomic_it_passes_what_the_kit_asks_about_two_hosts() {
    let Some(server) = MongoJavaServer::start() else { return };
    let bound = bound_fenced(&server);
    passes_the_kit_but_for(&[], &bound, sigbox_kit::cases().filter(|case| case.group == Group::Hosts)).await;
    if slow_tests() {
        // It does not sort all strings by their bytes, and has no logins.
        let excepted = ["hostile names", "listing order", "secrets stay secret"];
        passes_the_kit_but_for(&excepted, &bound, sigbox_kit::cases()).await;
    }
}

#[tokio::test]
async fn the_fence_is_where_the_readme_says() {
    let Some(server) = MongoJavaServer::start() else { return };
    let store = bound_fenced(&server).start().await;
    store.write_value(&at("b"), b"0", 1).await.unwrap();
    let Apart::Fence(fence) = store.apart() else { panic!("it has a fence") };
    fence.claim("live", &holder(7, "desk")).await.unwrap();
    for id in ["a", "b", "c"] {
        store.write_value(&at(id), b"1", 1_700_000_000_000).await.unwrap();
    }
    assert!(store.remove_value(&at("c")).await.unwrap());
    let found = |filter: Value| listed(&server.ask("find", &json!({ "filter": filter, "sort": { "_id": 1 } })));
    let epoch = "00000000000000000007";
    let fence_row = json!({ "_id": "fence/live", "epoch": epoch, "owner": "desk", "since": 1_769_860_800_000_i64 });
    assert_eq!(found(json!({ "_id": "fence/live" })), [fence_row]);
    let row = |id: &str| {
        let id = format!("signal/BTCUSDT_a/{id}");
        let when = 1_700_000_000_000_i64;
        json!({ "_id": id, "value": "1", "when": when, "scope": "live", "epoch": epoch, "checked": true })
    };
    let removed = json!({ "_id": "signal/BTCUSDT_a/c", "scope": "live", "epoch": epoch, "checked": true });
    assert_eq!(found(json!({ "scope": "live" })), [row("a"), row("b"), removed]);
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn ferretdb_is_said_not_to_keep_two_hosts_apart() {
    let Some(server) = FerretDb::start(FerretDbSetup::default()) else { return };
    let store = bound_at(server.port()).start().await;
    let Apart::Fence(fence) = store.apart() else { panic!("the plugin has a fence") };
    for refusal in [fence.holder("live").await.map(drop), fence.claim("live", &holder(1, "desk")).await] {
        let refusal = refusal.unwrap_err();
        assert!(!refusal.retryable, "{refusal}");
        assert_said(&said(refusal), UNSUPPORTED, &["is FerretDB", "nothing keeps two hosts apart"]);
    }
    assert_eq!(apart(server.port()), "nothing");
}

#[test]
fn a_server_with_atomic_updates_is_said_to_keep_two_hosts_apart() {
    let Some(server) = MongoJavaServer::start() else { return };
    assert_eq!(apart(server.port()), "fence");
}

/// What `state stores` says of the server.
fn apart(port: u16) -> String {
    let section = format!(
        "[persistence]\nsignal = \"rows\"\n[stores.rows]\nplugin = '{}'\n\
         settings = {{ url = \"mongodb://localhost:{port}/desk\" }}\nnetwork = [\"localhost:{port}\"]",
        plugin("persistence/mongodb").display(),
    );
    let workplace = Workplace::new(&Configuration::sma_cross(3).section(&section));
    let stores = workplace.succeed(&["state", "stores", "--json"]).stdout;
    let stores: Value = serde_json::from_str(&stores).unwrap();
    stores[0]["apart"].as_str().unwrap_or_else(|| panic!("{stores}")).to_owned()
}

#[tokio::test]
async fn it_keeps_the_contract_within_tls() {
    let Some(server) = FerretDb::start(TLS) else { return };
    keeps_the_contract(&bound_tls(&server)).await;
}

#[tokio::test]
async fn a_server_without_hello_will_do() {
    let Some(server) = MongoJavaServer::start() else { return };
    let store = bound_at(server.port()).start().await;
    for (id, value) in [("b", "1"), ("a", "2"), ("a", "3")] {
        write(&store, id, value).await.unwrap();
    }
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"));
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["a", "b"]);
    assert!(store.remove_value(&at("a")).await.unwrap());
    assert!(!store.has_value(&at("a")).await.unwrap());
}

#[tokio::test]
async fn documents_are_where_the_readme_says() {
    let Some(server) = FerretDb::start(FerretDbSetup::default()) else { return };
    let store = bound_at(server.port()).start().await;
    let place = format!("localhost:{}, database sigbox, collection sigbox_documents)", server.port());
    assert!(store.describe().ends_with(&place), "{}", store.describe());
    store.write_value(&at("BTCUSDT"), b"{\"a\":1}", 1_700_000_000_000).await.unwrap();
    let row = json!({ "_id": "signal/BTCUSDT_a/BTCUSDT", "value": "{\"a\":1}", "when": 1_700_000_000_000_i64 });
    assert_eq!(rows(&server), [json!({ "_id": "layout", "version": 1 }), row]);

    let aside = bound_at(server.port()).set("collection", "desk.1").start().await;
    assert_eq!(read(&aside, "BTCUSDT").await, None);
    let url = format!("mongodb://localhost:{}/elsewhere", server.port());
    let elsewhere = bound_at(server.port()).set("url", url).start().await;
    assert_eq!(read(&elsewhere, "BTCUSDT").await, None);
    assert_eq!(read(&store, "BTCUSDT").await.as_deref(), Some("{\"a\":1}"));
}

#[tokio::test]
async fn whoever_may_not_in_is_denied() {
    let Some(server) = FerretDb::start(LOGIN) else { return };
    let wrong = bound(&server).secret("password", "wrong-one").refusal().await;
    assert_said(&wrong, "denied", &["(code 18)", "the url's user, the secret password"]);
    assert!(!wrong.1.contains("wrong-one"));
    let url = format!("mongodb://nobody@localhost:{}/sigbox", server.port());
    assert_said(&bound(&server).set("url", url).refusal().await, "denied", &["(code 18)"]);
    assert_said(&bound_at(server.port()).refusal().await, "denied", &[]);
    let mut without = bound(&server);
    without.secrets.clear();
    assert_said(&without.refusal().await, "other", &["secret password is missing"]);
    write(&bound(&server).start().await, "a", "1").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let Some(server) = FerretDb::start(FerretDbSetup { tls_name: Some("db.example"), ..TLS }) else { return };
    assert_said(&bound_tls(&server).refusal().await, "denied", &["not valid for name \"localhost\""]);
    write(&bound_tls(&server).set("tls-name", "db.example").start().await, "a", "1").await.unwrap();
    let mut public = bound_tls(&server).set("tls-name", "db.example");
    public.secrets.remove("ca");
    assert_said(&public.refusal().await, "denied", &["TLS", "UnknownIssuer"]);
    assert_said(&bound(&server).refusal().await, "unavailable", &[]);

    let Some(plain) = FerretDb::start(LOGIN) else { return };
    let refusal = bound_tls(&plain).set("timeout-ms", 2000).refusal().await;
    assert_said(&refusal, "unavailable", &["agreeing on TLS with"]);
}

#[tokio::test]
async fn a_server_may_ask_for_a_certificate() {
    let Some(server) = FerretDb::start(FerretDbSetup { asks_for_certificate: true, ..TLS }) else { return };
    assert_said(&bound_tls(&server).refusal().await, "unavailable", &[]);
    let identity = server.authority().identity("sigbox");
    let bound =
        bound_tls(&server).secret("client-certificate", identity.certificate).secret("client-key", identity.key);
    write(&bound.start().await, "a", "1").await.unwrap();
}

#[tokio::test]
async fn what_is_not_granted_is_not_reached() {
    let Some(server) = FerretDb::start(LOGIN) else { return };
    let mut bound = bound(&server);
    bound.network.clear();
    assert_said(&bound.refusal().await, "denied", &["cannot look up localhost", "network must list"]);
    let by_address = bound.set("url", format!("mongodb://sigbox@127.0.0.1:{}/sigbox", server.port()));
    let line = format!("the store's network must list \"127.0.0.1:{}\"", server.port());
    assert_said(&by_address.refusal().await, "denied", &[&line]);
}

#[tokio::test]
async fn a_crash_of_the_server_loses_nothing() {
    let Some(mut server) = FerretDb::start(LOGIN) else { return };
    let store = bound(&server).start().await;
    for round in 0..if slow_tests() { 20 } else { 5 } {
        // In the middle of writes, one after the other.
        let mut acknowledged = None;
        let writing = async {
            for number in 0.. {
                if write(&store, "a", &format!("{round}.{number}")).await.is_err() {
                    return number;
                }
                acknowledged = Some(number);
            }
            unreachable!("it is killed")
        };
        let killing = async {
            tokio::time::sleep(Duration::from_millis(50 + 37 * round)).await;
            server.kill();
        };
        let (under_way, ()) = tokio::join!(writing, killing);
        let error = write(&store, "b", "lost").await.unwrap_err();
        assert!(error.retryable, "{error}");
        assert_said(&said(error), "unavailable", &["Connection refused"]);
        server.restart();
        let found = read(&store, "a").await.expect("it was never removed");
        let expected = [acknowledged, Some(under_way)].map(|number| number.map(|number| format!("{round}.{number}")));
        let is_of_before = acknowledged.is_none() && round > 0;
        assert!(is_of_before || expected.contains(&Some(found.clone())), "{found} is none of {expected:?}");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    let Some(mut server) = FerretDb::start(LOGIN) else { return };
    let store = bound(&server).start().await;
    for round in ["1", "2"] {
        server.restart();
        write(&store, "a", round).await.unwrap();
        server.restart();
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
    assert!(store.incidents().is_empty(), "nobody notices");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let Some(server) = FerretDb::start(LOGIN) else { return };
    let store = bound(&server).set("timeout-ms", 1000).start().await;
    write(&store, "a", "1").await.unwrap();
    server.suspend();
    let error = write(&store, "a", "2").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["no answer in time (setting timeout-ms)"]);
    server.resume();
    write(&store, "a", "3").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"), "no earlier write comes after it");
}

#[tokio::test]
async fn the_server_that_takes_writes_is_found_among_several() {
    let Some(server) = FerretDb::start(LOGIN) else { return };
    let Some(mut other) = FerretDb::start(LOGIN) else { return };
    let (port, gone) = (server.port(), other.port());
    other.kill();
    let several = |first: u16, second: u16| {
        let url = format!("mongodb://sigbox@localhost:{first},localhost:{second}/sigbox");
        bound(&server).set("url", url).reach("localhost", gone)
    };
    write(&several(gone, port).start().await, "a", "1").await.unwrap();
    let store = several(port, gone).start().await;
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    drop(server);
    let error = write(&store, "a", "2").await.unwrap_err();
    assert!(error.retryable);
    let (first, second) = (format!("localhost:{port}: "), format!("localhost:{gone}: "));
    assert_said(&said(error), "unavailable", &[&first, &second]);
}

#[tokio::test]
async fn a_collection_that_vanished_is_not_made_anew_behind_the_back_of_a_run() {
    let Some(mut server) = FerretDb::start(FerretDbSetup::default()) else { return };
    let store = bound_at(server.port()).start().await;
    write(&store, "a", "1").await.unwrap();
    server.ask("drop", &json!({}));
    server.restart();
    let error = store.read_value(&at("a")).await.unwrap_err();
    assert!(!error.retryable);
    assert_said(&said(error), "corrupt", &["collection sigbox_documents of database sigbox is gone from localhost:"]);
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let Some(server) = FerretDb::start(FerretDbSetup::default()) else { return };
    let store = bound_at(server.port()).start().await;
    let row = json!({ "_id": "signal/BTCUSDT_a/a", "value": "a text" });
    server.ask("insert", &json!({ "documents": [row] }));
    assert_said(&said(store.read_value(&at("a")).await.unwrap_err()), "corrupt", &["signal/BTCUSDT_a/a", "not ours"]);

    let update = json!({ "q": { "_id": "layout" }, "u": { "$set": { "version": 99 } } });
    server.ask("update", &json!({ "updates": [update] }));
    assert_said(&bound_at(server.port()).refusal().await, "unsupported", &["of version 99", "knows version 1"]);
}

#[tokio::test]
async fn those_who_start_at_the_same_time_share_one_collection() {
    let Some(server) = FerretDb::start(FerretDbSetup::default()) else { return };
    let bound = bound_at(server.port());
    // Compiled once, before they all start.
    drop(bound.clone().set("collection", "warm_up").start().await);
    let stores = join_all((0..8).map(|_| bound.start())).await;
    join_all(stores.iter().map(|store| async { write(store, "same", "1").await.unwrap() })).await;
    assert_eq!(rows(&server).len(), 2);
}
