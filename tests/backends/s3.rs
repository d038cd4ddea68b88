//! The S3 store against s3s-fs.

mod cost;
mod orderly;
mod relay;

use std::fs;

use sigbox::{
    sandbox::PluginStore,
    trading::store::{Store, StoreError},
};

use self::{
    orderly::Orderly,
    relay::{Fault, Relay},
};
use super::served::{
    Bound, assert_said, at, keeps_the_contract, lists_ten_thousand_ids, passes_the_kit, read, said, write,
};
use crate::{servers::S3, support::slow_tests};

const LOCALHOST: &str = "127.0.0.1";

/// A store in the server's bucket, reached at `port`.
fn bound_at(port: u16) -> Bound {
    Bound::new("s3")
        .set("endpoint", format!("http://{LOCALHOST}:{port}"))
        .set("bucket", S3::BUCKET)
        .set("prefix", "sigbox")
        .secret("access-key-id", S3::ACCESS_KEY_ID)
        .secret("secret-access-key", S3::SECRET_ACCESS_KEY)
        .reach(LOCALHOST, port)
}

pub(super) fn bound(server: &S3) -> Bound {
    bound_at(server.port())
}

async fn refused(store: &PluginStore, id: &str, value: &str) -> StoreError {
    write(store, id, value).await.expect_err("it cannot be written")
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let Some(server) = S3::start() else { return };
    keeps_the_contract(&bound(&server)).await;
    keeps_the_contract(&bound(&server).set("prefix", "").set("conditional-writes", "false")).await;
}

#[tokio::test]
async fn it_passes_the_kit() {
    let Some(server) = S3::start() else { return };
    let orderly = Orderly::to(server.port());
    // The server cannot keep longer ones.
    passes_the_kit(&bound_at(orderly.port()).set("prefix", "").set("key-bytes-max", 163)).await;
}

#[tokio::test]
async fn ten_thousand_ids_are_listed_in_order() {
    let Some(server) = S3::start() else { return };
    if slow_tests() {
        lists_ten_thousand_ids(&bound(&server)).await;
    }
}

#[tokio::test]
async fn objects_are_where_the_readme_says() {
    let Some(server) = S3::start() else { return };
    let store = bound(&server).start().await;
    let summary = format!("rows (s3 0.1.0: bucket state at http://127.0.0.1:{}, under sigbox/)", server.port());
    assert_eq!(store.describe(), summary);
    write(&store, "BTCUSDT", "{}").await.unwrap();
    let object = server.objects().join("sigbox/signal/BTCUSDT_5Fa/BTCUSDT");
    assert_eq!(fs::read_to_string(object).unwrap(), "{}");
    // What others put there is not ours.
    let folder = server.objects().join("sigbox/signal/BTCUSDT_5Fa");
    fs::write(folder.join("notes.txt"), "").unwrap();
    fs::create_dir(folder.join("a")).unwrap();
    fs::write(folder.join("a/b"), "").unwrap();
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["BTCUSDT"]);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused_and_not_cut() {
    let Some(server) = S3::start() else { return };
    let store = bound(&server).start().await;
    let long = "x".repeat(1025);
    for error in [
        refused(&store, &long, "1").await,
        store.read_value(&at(&long)).await.unwrap_err(),
        store.remove_value(&at(&long)).await.unwrap_err(),
    ] {
        assert!(!error.retryable);
        assert_said(&said(error), "too-large", &["1024"]);
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says_at_the_start() {
    let Some(server) = S3::start() else { return };
    let bound = bound(&server);
    let cases: [(Bound, &str, &[&str]); 8] = [
        (
            bound.clone().secret("secret-access-key", "hunter2hunter2"),
            "denied",
            &["HTTP 403 SignatureDoesNotMatch", "check the secret \"secret-access-key\""],
        ),
        (bound.clone().secret("access-key-id", "nobody"), "denied", &["HTTP 403"]),
        (bound.clone().set("bucket", "elsewhere"), "other", &["NoSuchBucket", "no bucket \"elsewhere\"", "create it"]),
        (bound.clone().set("buckets", "x"), "other", &["no setting \"buckets\"; there are endpoint, region, bucket"]),
        (bound.clone().set("endpoint", "localhost:1"), "other", &["endpoint = \"localhost:1\""]),
        (
            bound.clone().set("endpoint", format!("http://localhost:{}", server.port())),
            "denied",
            &["add \"localhost:", "\" to its `network`"],
        ),
        (bound_at(1), "unavailable", &["http://127.0.0.1:1: ", "onnection"]),
        (
            Bound::new("s3").set("bucket", "state").set("region", "r").secret("access-key-id", "x"),
            "other",
            &["the secret \"secret-access-key\" is missing"],
        ),
    ];
    for (bound, code, parts) in cases {
        let refusal = bound.refusal().await;
        assert_said(&refusal, code, parts);
        assert!(!refusal.1.contains("hunter2") && !refusal.1.contains(S3::SECRET_ACCESS_KEY), "{}", refusal.1);
    }
}

#[tokio::test]
async fn it_goes_on_when_the_server_is_back() {
    let Some(mut server) = S3::start() else { return };
    let store = bound(&server).start().await;
    write(&store, "a", "1").await.unwrap();
    server.kill();
    let error = refused(&store, "a", "2").await;
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &[]);
    assert!(store.read_value(&at("a")).await.is_err(), "nobody knows what is there");
    server.restart();
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"));
    write(&store, "a", "2").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_document_is_old_or_new_when_the_server_dies_in_the_middle() {
    let Some(mut server) = S3::start() else { return };
    let store = bound(&server).start().await;
    let document = |number: usize| format!("[{number},\"{}\"]", "x".repeat(200_000));
    let mut written = document(0);
    write(&store, "a", &written).await.unwrap();
    for number in 1..=10 {
        let value = document(number);
        let killed = async {
            tokio::time::sleep(std::time::Duration::from_micros(500 * number as u64)).await;
            server.kill();
        };
        let (outcome, ()) = tokio::join!(write(&store, "a", &value), killed);
        server.restart();
        let found = read(&store, "a").await.expect("it was never removed");
        assert!(found == value || (outcome.is_err() && found == written), "{} bytes: {outcome:?}", found.len());
        written = found;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for_and_the_instance_lives() {
    let Some(server) = S3::start() else { return };
    let store = bound(&server).set("timeout-ms", "1000").start().await;
    write(&store, "a", "1").await.unwrap();
    server.suspend();
    let error = refused(&store, "a", "2").await;
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["no answer within 1000 ms"]);
    server.resume();
    // The write the server had received may be done now, or not. It is ours.
    write(&store, "a", "3").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"));
    assert!(store.incidents().is_empty(), "the instance is the first one");
}

#[tokio::test]
async fn a_second_writer_is_a_conflict() {
    let Some(server) = S3::start() else { return };
    let (first, second) = (bound(&server).start().await, bound(&server).start().await);
    assert_eq!((read(&first, "a").await, read(&second, "a").await), (None, None));
    write(&first, "a", "1").await.unwrap();
    let error = refused(&second, "a", "2").await;
    assert!(!error.retryable);
    assert_said(
        &said(error),
        "conflict",
        &["somebody else changed sigbox/signal/BTCUSDT_5Fa/a in state", "second sigbox"],
    );
    write(&first, "a", "3").await.unwrap();
    assert_eq!(read(&second, "a").await.as_deref(), Some("3"));
    write(&second, "a", "4").await.unwrap();
    assert_said(&said(first.remove_value(&at("a")).await.unwrap_err()), "conflict", &[]);
    assert_eq!(read(&second, "a").await.as_deref(), Some("4"));
}

#[tokio::test]
async fn without_conditions_the_last_writer_wins() {
    let Some(server) = S3::start() else { return };
    let bound = bound(&server).set("conditional-writes", "false");
    let (first, second) = (bound.start().await, bound.start().await);
    assert_eq!((read(&first, "a").await, read(&second, "a").await), (None, None));
    write(&first, "a", "1").await.unwrap();
    write(&second, "a", "2").await.unwrap();
    write(&first, "a", "3").await.unwrap();
    assert_eq!(read(&second, "a").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_lost_answer_is_not_taken_for_a_second_writer() {
    let Some(server) = S3::start() else { return };
    let relay = Relay::to(server.port());
    let store = bound_at(relay.port()).start().await;
    write(&store, "a", "1").await.unwrap();
    for (number, lost) in [1, 1, 2, 5, 1].into_iter().enumerate() {
        relay.fail(Fault::AnswerLost, lost);
        let value = format!("\"{number}\"");
        write(&store, "a", &value).await.unwrap();
        assert_eq!(read(&store, "a").await, Some(value));
    }
    relay.fail(Fault::AnswerLost, 1);
    assert!(store.has_value(&at("a")).await.unwrap());
    assert!(store.remove_value(&at("a")).await.unwrap());
    assert!(!store.remove_value(&at("a")).await.unwrap());
}

#[tokio::test]
async fn an_answer_that_ends_early_is_not_a_document() {
    let Some(server) = S3::start() else { return };
    let relay = Relay::to(server.port());
    let store = bound_at(relay.port()).start().await;
    let value = "x".repeat(100_000);
    write(&store, "a", &value).await.unwrap();
    relay.fail(Fault::AnswerCut, 1);
    assert!(read(&store, "a").await.as_ref() == Some(&value), "it is asked again");
    relay.fail(Fault::AnswerCut, usize::MAX);
    let error = store.read_value(&at("a")).await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &[]);
}
