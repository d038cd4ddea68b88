//! Documents in PostgreSQL.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{future::join_all, join};
use sigbox::{
    sandbox::PluginStore,
    trading::store::{Apart, Fence, Holder, Store as _},
};

use super::served::{Bound, assert_said, at, passes_the_kit, read, said, write};
use crate::servers::{Postgres, PostgresSetup};

pub(super) fn bound(postgres: &Postgres) -> Bound {
    bound_at(postgres.port())
}

/// At a port of this machine: the server's, or that of a pooler in front of it.
pub(super) fn bound_at(port: u16) -> Bound {
    let url = format!("postgres://sigbox@localhost:{port}/sigbox");
    Bound::new("postgres").set("url", url).secret("password", Postgres::PASSWORD).reach("localhost", port)
}

pub(super) fn bound_tls(postgres: &Postgres) -> Bound {
    bound(postgres).set("tls", "verify-full").secret("ca", postgres.authority().certificate())
}

/// As another user of the server.
fn bound_as(postgres: &Postgres, user: &str, password: &str) -> Bound {
    let url = format!("postgres://{user}@localhost:{}/sigbox", postgres.port());
    bound(postgres).set("url", url).secret("password", password)
}

/// The kit ends plugins, never the server: it need not wait for its disk.
pub(super) const FAST: PostgresSetup<'_> =
    PostgresSetup { method: "scram-sha-256", tls_name: None, lines: &[("fsync", "off")] };

/// Has each write note in the table `seen` what it is committed with.
pub(super) const SEE_COMMITS: &str = "CREATE TABLE seen (setting text);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
    CREATE TRIGGER see BEFORE INSERT ON sigbox_documents FOR EACH ROW EXECUTE FUNCTION see()";

#[tokio::test]
async fn it_passes_the_kit() {
    let Some(postgres) = Postgres::start(FAST) else { return };
    passes_the_kit(&bound(&postgres)).await;
}

#[tokio::test]
async fn it_passes_the_kit_within_tls() {
    let Some(postgres) = Postgres::start(PostgresSetup { tls_name: Some("localhost"), ..FAST }) else { return };
    passes_the_kit(&bound_tls(&postgres)).await;
}

#[tokio::test]
async fn documents_are_where_the_readme_says() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    let place = format!("localhost:{}, database sigbox, table sigbox_documents, user sigbox)", postgres.port());
    assert!(store.describe().ends_with(&place), "{}", store.describe());
    store.write_value(&at("BTCUSDT"), b"{\"a\":1}", 1_700_000_000_000).await.unwrap();
    let row = "SELECT convert_from(domain, 'UTF8'), convert_from(entity_name, 'UTF8'), convert_from(entity_id, 'UTF8'),
               convert_from(value, 'UTF8'), to_timestamp(when_ms / 1000) AT TIME ZONE 'UTC' FROM sigbox_documents";
    assert_eq!(postgres.sql(row), "signal|BTCUSDT_a|BTCUSDT|{\"a\":1}|2023-11-14 22:13:20");

    postgres.sql("CREATE SCHEMA trading");
    let aside = bound(&postgres).set("table", "trading.user").start().await;
    assert_eq!(read(&aside, "BTCUSDT").await, None);
    write(&aside, "BTCUSDT", "there").await.unwrap();
    assert_eq!(postgres.sql("SELECT value FROM trading.\"user\""), "\\x7468657265");
}

#[tokio::test]
async fn names_are_as_long_as_the_index_takes() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    // Nothing to compress.
    let mut random = fastrand::Rng::with_seed(7);
    let id: String = std::iter::repeat_with(|| random.alphanumeric()).take(2600 - 15).collect();
    let longest = at(&id);
    store.write_value(&longest, b"1", 1).await.unwrap();
    assert_eq!(store.read_value(&longest).await.unwrap().as_deref(), Some(b"1".as_slice()));
    let refusal = said(store.write_value(&at(&format!("{id}x")), b"1", 1).await.unwrap_err());
    assert_said(&refusal, "too-large", &["2601 bytes", "choose shorter names"]);
    assert_eq!(store.read_value(&at(&format!("{id}x"))).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_may_not_in_is_denied() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let wrong = bound_as(&postgres, "sigbox", "wrong-one").refusal().await;
    assert_said(&wrong, "denied", &["password authentication failed for user", "28P01"]);
    assert!(!wrong.1.contains("wrong-one"));
    let mut without = bound(&postgres);
    without.secrets.clear();
    assert_said(&without.refusal().await, "other", &["secret password is missing"]);
    let nowhere = bound(&postgres).set("url", format!("postgres://sigbox@localhost:{}/nowhere", postgres.port()));
    assert_said(&nowhere.refusal().await, "other", &["database \"nowhere\" does not exist", "3D000"]);
}

#[tokio::test]
async fn a_user_of_the_table_need_not_be_its_owner() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    postgres.sql("CREATE USER trader PASSWORD 'pass'");
    let trader = bound_as(&postgres, "trader", "pass");
    assert_said(&trader.refusal().await, "denied", &["permission denied for schema public", "42501"]);

    drop(bound(&postgres).start().await);
    postgres.sql(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON sigbox_documents TO trader;
         GRANT SELECT ON sigbox_documents_version TO trader",
    );
    let store = trader.start().await;
    write(&store, "a", "1").await.unwrap();
    write(&store, "a", "2").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("2"));
    assert!(store.remove_value(&at("a")).await.unwrap());
    postgres.sql("REVOKE INSERT ON sigbox_documents FROM trader");
    assert_said(&said(write(&store, "a", "3").await.unwrap_err()), "denied", &["42501", "the plugin's README"]);
}

#[tokio::test]
async fn a_server_that_asks_for_less_than_scram_is_refused() {
    let Some(postgres) = Postgres::start(PostgresSetup { method: "password", ..PostgresSetup::default() }) else {
        return;
    };
    let refusal = bound(&postgres).refusal().await;
    assert_said(&refusal, "denied", &["the password itself, which is sent within TLS only"]);

    let lines = &[("password_encryption", "md5")];
    let Some(postgres) = Postgres::start(PostgresSetup { method: "md5", lines, ..PostgresSetup::default() }) else {
        return;
    };
    postgres.sql("CREATE USER old PASSWORD 'pass'");
    assert_said(&bound_as(&postgres, "old", "pass").refusal().await, "denied", &["asks for MD5"]);
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_is_taken_at_its_word() {
    let Some(postgres) = Postgres::start(PostgresSetup { method: "trust", ..PostgresSetup::default() }) else { return };
    let mut bound = bound(&postgres);
    bound.secrets.clear();
    write(&bound.start().await, "a", "1").await.unwrap();
}

#[tokio::test]
async fn within_tls_the_password_itself_will_do() {
    let setup = PostgresSetup { method: "password", tls_name: Some("localhost"), lines: &[] };
    let Some(postgres) = Postgres::start(setup) else { return };
    write(&bound_tls(&postgres).start().await, "a", "1").await.unwrap();
    assert_said(&bound_tls(&postgres).secret("password", "wrong").refusal().await, "denied", &["28P01"]);
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let setup = PostgresSetup { tls_name: Some("db.example"), ..PostgresSetup::default() };
    let Some(postgres) = Postgres::start(setup) else { return };
    assert_said(&bound_tls(&postgres).refusal().await, "denied", &["not valid for name \"localhost\""]);
    write(&bound_tls(&postgres).set("tls-name", "db.example").start().await, "a", "1").await.unwrap();
    let mut public = bound_tls(&postgres).set("tls-name", "db.example");
    public.secrets.remove("ca");
    assert_said(&public.refusal().await, "denied", &["TLS", "UnknownIssuer"]);

    let Some(plain) = Postgres::start(PostgresSetup::default()) else { return };
    assert_said(&bound_tls(&plain).refusal().await, "other", &["does not speak TLS", "ssl = on"]);
}

#[tokio::test]
async fn what_is_not_granted_is_not_reached() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let mut bound = bound(&postgres);
    bound.network.clear();
    let line = format!("the store's network must list \"localhost:{}\"", postgres.port());
    assert_said(&bound.refusal().await, "denied", &["cannot look up localhost", &line]);
    let by_address = bound.set("url", format!("postgres://sigbox@127.0.0.1:{}/sigbox", postgres.port()));
    let line = format!("the store's network must list \"127.0.0.1:{}\"", postgres.port());
    assert_said(&by_address.refusal().await, "denied", &[&line]);
}

#[tokio::test]
async fn a_crash_of_the_server_loses_nothing() {
    let Some(mut postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    for round in ["1", "2"] {
        write(&store, "a", round).await.unwrap();
        postgres.kill();
        let error = write(&store, "a", "lost").await.unwrap_err();
        assert!(error.retryable, "{error}");
        assert_said(&said(error), "unavailable", &[]);
        postgres.restart();
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    let kill = || {
        postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'sigbox'")
    };
    for round in ["1", "2", "3"] {
        assert_eq!(kill(), "t");
        write(&store, "a", round).await.unwrap();
        assert_eq!(kill(), "t");
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
    assert!(store.incidents().is_empty(), "nobody notices");
}

#[tokio::test]
async fn a_table_that_vanished_is_not_made_anew_behind_the_back_of_a_run() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    write(&store, "a", "1").await.unwrap();
    postgres.sql("DROP TABLE sigbox_documents, sigbox_documents_version");
    let error = store.read_value(&at("a")).await.unwrap_err();
    let parts = ["relation \"sigbox_documents\" does not exist", "bring the table back"];
    assert_said(&said(error), "corrupt", &parts);
    postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'sigbox'");
    let error = store.read_value(&at("a")).await.unwrap_err();
    assert_said(&said(error), "corrupt", &["table sigbox_documents is gone from"]);
}

#[tokio::test]
async fn those_who_start_at_the_same_time_make_one_table() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let bound = bound(&postgres);
    // Compiled once, before they all start.
    drop(bound.clone().set("table", "warm_up").start().await);
    let stores = join_all((0..8).map(|_| bound.start())).await;
    for (number, store) in stores.iter().enumerate() {
        write(store, &number.to_string(), "1").await.unwrap();
    }
    assert_eq!(postgres.sql("SELECT count(*) FROM sigbox_documents"), "8");
    assert_eq!(postgres.sql("SELECT version FROM sigbox_documents_version"), "1");
}

#[tokio::test]
async fn a_table_from_the_future_is_left_alone() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    drop(bound(&postgres).start().await);
    postgres.sql("UPDATE sigbox_documents_version SET version = 99");
    let refusal = bound(&postgres).refusal().await;
    assert_said(&refusal, "unsupported", &["of version 99", "versions up to 1"]);
}

#[tokio::test]
async fn a_commit_is_waited_for_whatever_the_database_says() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    postgres.sql("ALTER DATABASE sigbox SET synchronous_commit = off");
    let store = bound(&postgres).start().await;
    postgres.sql(SEE_COMMITS);
    write(&store, "a", "1").await.unwrap();
    assert_eq!(postgres.sql("SELECT setting FROM seen"), "on");
}

#[tokio::test]
async fn a_server_that_takes_no_writes_may_take_them_later() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    let read_only = |is_read_only: &str| {
        postgres.sql(&format!("ALTER DATABASE sigbox SET default_transaction_read_only = {is_read_only}"));
        postgres.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'sigbox'");
    };
    read_only("on");
    let error = write(&store, "a", "1").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["25006", "must lead to the primary"]);
    postgres.sql("SET transaction_read_only = off; ALTER DATABASE sigbox SET default_transaction_read_only = off");
    write(&store, "a", "1").await.unwrap();
}

fn fence(store: &PluginStore) -> &dyn Fence {
    match store.apart() {
        Apart::Fence(fence) => fence,
        Apart::No | Apart::Lock => panic!("it has no fence"),
    }
}

fn holder(epoch: u64, owner: &str) -> Holder {
    Holder { epoch, owner: owner.to_owned(), since_ms: 1_769_860_800_000 }
}

#[tokio::test]
async fn a_write_that_meets_a_claim_under_way_waits_and_looks_again() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let postgres = Arc::new(postgres);
    let store = bound(&postgres).start().await;
    fence(&store).claim("live", &holder(1, "one")).await.unwrap();
    write(&store, "a", "1").await.unwrap();
    let digits = |epoch: u64| format!("{epoch:020}");
    for (end, epoch) in [("ROLLBACK", 1), ("COMMIT", 2)] {
        let claiming = format!(
            "BEGIN; UPDATE sigbox_documents SET value = '{}other' WHERE domain = '\\xff'; SELECT pg_sleep(1); {end}",
            digits(2)
        );
        let server = Arc::clone(&postgres);
        let claimed = tokio::task::spawn_blocking(move || server.sql(&claiming));
        while postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        let (written, removed) = (write(&store, "a", end).await, store.remove_value(&at("b")).await);
        assert!(begun.elapsed() > Duration::from_millis(500), "it waits for the claim");
        claimed.await.unwrap();
        if epoch == 1 {
            written.unwrap();
            assert!(!removed.unwrap());
        } else {
            for refused in [written.unwrap_err(), removed.unwrap_err()] {
                assert_said(&said(refused), "fenced", &["other holds it with epoch 2 since 2026-01-31T12:00:00Z"]);
            }
        }
        assert_eq!(read(&store, "a").await.as_deref(), Some("ROLLBACK"));
    }
}

#[tokio::test]
async fn a_claim_waits_for_a_write_under_way() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let (old, new) = (bound(&postgres).start().await, bound(&postgres).start().await);
    fence(&old).claim("live", &holder(1, "old")).await.unwrap();
    write(&old, "a", "1").await.unwrap();
    // What is written next cannot go on until the lock is gone, and holds the epoch all the while.
    let held = postgres.hold("SELECT FROM sigbox_documents WHERE entity_id = 'a' FOR UPDATE");
    let (written, claimed, ()) = join!(
        async { write(&old, "a", "2").await },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            fence(&new).claim("live", &holder(2, "new")).await.unwrap();
            read(&new, "a").await
        },
        async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            drop(held);
        }
    );
    written.unwrap();
    assert_eq!(claimed.as_deref(), Some("2"), "the claim came after the write");
    assert_said(&said(write(&old, "a", "3").await.unwrap_err()), "fenced", &["new holds it with epoch 2"]);
}

#[tokio::test]
async fn epochs_are_as_large_as_they_can_be_and_owners_any_text() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).start().await;
    for epoch in [9, 10, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        for owner in ["7\n\0 ü'\"\\", ""] {
            let scope = format!("{owner} of {owner}");
            fence(&store).claim(&scope, &holder(epoch, owner)).await.unwrap();
            assert_eq!(fence(&store).holder(&scope).await.unwrap(), Some(holder(epoch, owner)));
            write(&store, "a", &epoch.to_string()).await.unwrap();
        }
    }
    assert_eq!(read(&store, "a").await.unwrap(), u64::MAX.to_string());
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["a"]);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_done_later() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let store = bound(&postgres).set("timeout-ms", 300).start().await;
    write(&store, "a", "1").await.unwrap();
    let held = postgres.hold("LOCK TABLE sigbox_documents IN EXCLUSIVE MODE");
    let error = write(&store, "a", "2").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["canceling statement due to statement timeout"]);
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"), "nobody keeps readers out");
    drop(held);
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    write(&store, "a", "3").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"));
}
