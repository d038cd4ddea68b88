//! Documents in PostgreSQL behind PgBouncer, which gives a connection to the server to one client after the other.

use std::time::Duration;

use futures_util::future::join_all;
use sigbox::trading::store::Store as _;

use super::{
    postgres::{self, FAST},
    served::{Bound, assert_said, at, passes_the_kit, read, said, write},
};
use crate::servers::{PgBouncer, PoolMode, Postgres, PostgresSetup};

fn bound(pgbouncer: &PgBouncer) -> Bound {
    postgres::bound_at(pgbouncer.port())
}

/// A server, and a pooler in front of it that shares out one session.
fn one_session() -> Option<(Postgres, PgBouncer)> {
    let postgres = Postgres::start(PostgresSetup::default())?;
    let pgbouncer = PgBouncer::start(&postgres, PoolMode::Transaction, 1)?;
    Some((postgres, pgbouncer))
}

#[tokio::test]
async fn it_passes_the_kit_whatever_is_pooled() {
    for (mode, sessions) in [(PoolMode::Session, 20), (PoolMode::Transaction, 20), (PoolMode::Transaction, 1)] {
        let Some(postgres) = Postgres::start(FAST) else { return };
        let Some(pgbouncer) = PgBouncer::start(&postgres, mode, sessions) else { return };
        passes_the_kit(&bound(&pgbouncer)).await;
    }
}

#[tokio::test]
async fn each_writes_to_its_own_table() {
    let Some((postgres, pgbouncer)) = one_session() else { return };
    let (first, second) = (bound(&pgbouncer), bound(&pgbouncer).set("table", "another"));
    let (first, second) = (first.start().await, second.start().await);
    for round in ["1", "2", "3"] {
        write(&first, "a", &format!("first {round}")).await.unwrap();
        write(&second, "a", &format!("second {round}")).await.unwrap();
        assert_eq!(read(&first, "a").await, Some(format!("first {round}")));
        assert_eq!(read(&second, "a").await, Some(format!("second {round}")));
    }
    assert!(second.remove_value(&at("a")).await.unwrap());
    assert_eq!(second.keys("signal", "BTCUSDT_a").await.unwrap(), [""; 0]);
    assert_eq!(first.keys("signal", "BTCUSDT_a").await.unwrap(), ["a"]);
    assert_eq!(postgres.sql("SELECT count(*) FROM sigbox_documents"), "1");
}

#[tokio::test]
async fn a_session_is_left_as_it_was_found() {
    let Some((postgres, pgbouncer)) = one_session() else { return };
    let kept = || {
        postgres.sql_at(
            pgbouncer.port(),
            "SELECT (SELECT count(*) FROM pg_prepared_statements),
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
                    current_setting('statement_timeout'), current_setting('synchronous_commit')",
        )
    };
    postgres.sql("ALTER DATABASE sigbox SET synchronous_commit = off");
    let before = kept();
    assert_eq!(before, "0|0|0|off");
    let store = bound(&pgbouncer).start().await;
    write(&store, "a", "1").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    assert_said(&said(store.write_value(&at(&"x".repeat(2600)), b"1", 1).await.unwrap_err()), "too-large", &[]);
    postgres.sql("REVOKE ALL ON sigbox_documents FROM sigbox; ALTER TABLE sigbox_documents RENAME TO gone");
    assert!(write(&store, "a", "2").await.is_err(), "there is no such table");
    assert_eq!(kept(), before, "and no transaction is left open either");
}

#[tokio::test]
async fn what_others_leave_in_a_session_changes_nothing() {
    let Some((postgres, pgbouncer)) = one_session() else { return };
    let store = bound(&pgbouncer).start().await;
    postgres.sql(postgres::SEE_COMMITS);
    postgres.sql_at(pgbouncer.port(), "PREPARE write AS SELECT 1; PREPARE read AS SELECT 1");
    // The last one, because it ends whatever comes after it and takes a millisecond.
    let settings = "SET synchronous_commit = off; SET default_transaction_read_only = off; SET statement_timeout = 1";
    postgres.sql_at(pgbouncer.port(), settings);
    write(&store, "a", "1").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(postgres.sql("SELECT setting FROM seen"), "on");
}

#[tokio::test]
async fn those_who_start_at_the_same_time_make_one_table() {
    let Some(postgres) = Postgres::start(PostgresSetup::default()) else { return };
    let Some(pgbouncer) = PgBouncer::start(&postgres, PoolMode::Transaction, 4) else { return };
    // Compiled once, before they all start.
    drop(bound(&pgbouncer).set("table", "warm_up").start().await);
    let bound = bound(&pgbouncer);
    let stores = join_all((0..8).map(|_| bound.start())).await;
    for (number, store) in stores.iter().enumerate() {
        write(store, &number.to_string(), "1").await.unwrap();
    }
    assert_eq!(postgres.sql("SELECT count(*) FROM sigbox_documents"), "8");
    assert_eq!(postgres.sql("SELECT version FROM sigbox_documents_version"), "1");
}

#[tokio::test]
async fn a_pooler_that_was_started_again_is_no_incident() {
    let Some((_postgres, mut pgbouncer)) = one_session() else { return };
    let store = bound(&pgbouncer).start().await;
    for round in ["1", "2"] {
        write(&store, "a", round).await.unwrap();
        pgbouncer.restart();
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
    assert!(store.incidents().is_empty(), "nobody notices");
}

#[tokio::test]
async fn a_server_that_crashed_behind_it_comes_back() {
    let Some((mut postgres, pgbouncer)) = one_session() else { return };
    let store = bound(&pgbouncer).set("timeout-ms", 2000).start().await;
    write(&store, "a", "1").await.unwrap();
    postgres.kill();
    let error = write(&store, "a", "lost").await.unwrap_err();
    assert!(error.retryable, "{error}");
    assert_said(&said(error), "unavailable", &[]);
    postgres.restart();
    // The pooler tries again every 15 seconds (server_login_retry).
    let mut found = store.read_value(&at("a")).await;
    for _ in 0..60 {
        let Err(error) = &found else { break };
        assert!(error.retryable, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        found = store.read_value(&at("a")).await;
    }
    assert_eq!(found.unwrap().as_deref(), Some(b"1".as_slice()));
}

#[tokio::test]
async fn a_standby_behind_it_is_not_read() {
    let Some((mut postgres, pgbouncer)) = one_session() else { return };
    let direct = postgres::bound(&postgres).start().await;
    let store = bound(&pgbouncer).set("timeout-ms", 2000).start().await;
    write(&store, "a", "1").await.unwrap();
    postgres.restart_as_standby();
    assert_said(&said(direct.read_value(&at("a")).await.unwrap_err()), "unavailable", &["must lead to the primary"]);
    for _ in 0..2 {
        let error = store.read_value(&at("a")).await.unwrap_err();
        assert!(error.retryable);
        assert_said(&said(error), "unavailable", &["must lead to the primary"]);
    }
}

#[tokio::test]
async fn what_the_pooler_says_is_heard() {
    let Some((_postgres, pgbouncer)) = one_session() else { return };
    let nowhere = format!("postgres://sigbox@localhost:{}/nowhere", pgbouncer.port());
    let (_, message) = bound(&pgbouncer).set("url", nowhere).refusal().await;
    assert!(message.contains("no such database: nowhere"), "{message}");
}

#[tokio::test]
async fn what_waited_for_a_session_in_vain_is_not_done_later() {
    let Some((postgres, pgbouncer)) = one_session() else { return };
    let store = bound(&pgbouncer).set("timeout-ms", 500).start().await;
    write(&store, "a", "1").await.unwrap();
    let held = postgres.hold_at(pgbouncer.port(), "SELECT 1");
    let error = write(&store, "a", "2").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["no answer in time"]);
    drop(held);
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    write(&store, "a", "3").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"));
}
