//! Documents in Redis.

use sigbox::trading::store::Store as _;

use super::{
    binding,
    served::{Bound, assert_said, at, passes_the_kit, read, said, write},
};
use crate::servers::{Redis, RedisSetup};

pub(super) fn bound(redis: &Redis) -> Bound {
    let url = format!("redis://localhost:{}", redis.port());
    Bound::new("redis").set("url", url).reach("localhost", redis.port())
}

pub(super) fn bound_tls(redis: &Redis) -> Bound {
    bound(redis)
        .set("url", format!("rediss://localhost:{}", redis.port()))
        .secret("ca", redis.authority().certificate())
}

/// The kit ends plugins, never the server: it need not wait for its disk.
const FAST: RedisSetup<'_> =
    RedisSetup { password: Some("correct horse"), tls_name: None, lines: &[("appendfsync", "no")] };

#[tokio::test]
async fn it_passes_the_kit() {
    let Some(redis) = Redis::start(FAST) else { return };
    passes_the_kit(&bound(&redis).secret("password", "correct horse")).await;
}

#[tokio::test]
async fn it_passes_the_kit_within_tls() {
    let Some(redis) = Redis::start(RedisSetup { tls_name: Some("localhost"), ..FAST }) else { return };
    passes_the_kit(&bound_tls(&redis).secret("password", "correct horse")).await;
}

#[tokio::test]
async fn documents_are_where_the_readme_says() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let store = bound(&redis).start().await;
    assert!(store.describe().ends_with(&format!("localhost:{}, database 0, prefix sigbox)", redis.port())));
    write(&store, "BTCUSDT", "here").await.unwrap();
    assert_eq!(redis.ask(&["HGET", "sigbox:signal:BTCUSDT_a", "BTCUSDT"]), "here");

    let aside = bound(&redis).set("prefix", "other").start().await;
    assert_eq!(read(&aside, "BTCUSDT").await, None);
    let elsewhere = bound(&redis).set("url", format!("redis://localhost:{}/3", redis.port())).start().await;
    assert_eq!(read(&elsewhere, "BTCUSDT").await, None);
    write(&elsewhere, "BTCUSDT", "there").await.unwrap();
    assert_eq!(redis.ask(&["-n", "3", "HGET", "sigbox:signal:BTCUSDT_a", "BTCUSDT"]), "there");
    assert_eq!(read(&store, "BTCUSDT").await.as_deref(), Some("here"));

    redis.ask(&["SET", "sigbox:signal:taken", "by somebody else"]);
    let taken = binding::at("signal", "taken", "a");
    let conflict = said(store.write_value(&taken, b"1", 1).await.unwrap_err());
    assert_said(&conflict, "conflict", &["WRONGTYPE", "choose another setting prefix"]);
}

#[tokio::test]
async fn whoever_may_not_in_is_denied() {
    let Some(redis) = Redis::start(RedisSetup { password: Some("right"), ..RedisSetup::default() }) else { return };
    assert_said(&bound(&redis).refusal().await, "denied", &["NOAUTH"]);
    let wrong = bound(&redis).secret("password", "wrong-one").refusal().await;
    assert_said(&wrong, "denied", &["WRONGPASS", "the secrets username and password"]);
    assert!(!wrong.1.contains("wrong-one"));

    let ask = |command: &[&str]| redis.ask(&[&["--no-auth-warning", "-a", "right"], command].concat());
    ask(&["ACL", "SETUSER", "trader", "on", ">pass", "~sigbox:*", "+hget", "+hset", "+hdel", "+hexists", "+hkeys"]);
    ask(&["ACL", "SETUSER", "reader", "on", ">pass", "~*", "+hget"]);
    let trader = bound(&redis).secret("username", "trader").secret("password", "pass");
    let store = trader.start().await;
    write(&store, "a", "1").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("1"), "the commands in the README are all it needs");
    assert!(store.has_value(&at("a")).await.unwrap());
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["a"]);
    assert!(store.remove_value(&at("a")).await.unwrap());
    let other_keys = trader.clone().set("prefix", "other").start().await;
    assert_said(&said(write(&other_keys, "a", "1").await.unwrap_err()), "denied", &["NOPERM"]);

    let reader = bound(&redis).secret("username", "reader").secret("password", "pass").start().await;
    assert_said(&said(write(&reader, "a", "1").await.unwrap_err()), "denied", &["NOPERM", "hset"]);
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_refused() {
    let Some(redis) = Redis::start(RedisSetup { tls_name: Some("db.example"), ..RedisSetup::default() }) else {
        return;
    };
    assert_said(&bound_tls(&redis).refusal().await, "denied", &["not valid for name \"localhost\""]);
    let store = bound_tls(&redis).set("tls-name", "db.example").start().await;
    write(&store, "a", "1").await.unwrap();

    let mut public = bound_tls(&redis).set("tls-name", "db.example");
    public.secrets.clear();
    assert_said(&public.refusal().await, "denied", &["TLS", "UnknownIssuer"]);
    assert_said(&bound(&redis).refusal().await, "unavailable", &[]);

    let Some(plain) = Redis::start(RedisSetup::default()) else { return };
    assert_said(&bound_tls(&plain).refusal().await, "unavailable", &["agreeing on TLS with", "no answer in time"]);
}

#[tokio::test]
async fn a_server_may_ask_for_a_certificate() {
    let setup = RedisSetup { tls_name: Some("localhost"), lines: &[("tls-auth-clients", "yes")], password: None };
    let Some(redis) = Redis::start(setup) else { return };
    assert_said(&bound_tls(&redis).refusal().await, "unavailable", &[]);
    let identity = redis.authority().identity("sigbox");
    let store = bound_tls(&redis)
        .secret("client-certificate", identity.certificate)
        .secret("client-key", identity.key)
        .start()
        .await;
    write(&store, "a", "1").await.unwrap();
}

#[tokio::test]
async fn what_is_not_granted_is_not_reached() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let mut bound = bound(&redis);
    bound.network.clear();
    assert_said(&bound.refusal().await, "denied", &["cannot look up localhost", "network must list"]);
    let by_address = bound.set("url", format!("redis://127.0.0.1:{}", redis.port()));
    let line = format!("the store's network must list \"127.0.0.1:{}\"", redis.port());
    assert_said(&by_address.refusal().await, "denied", &[&line]);
}

#[tokio::test]
async fn a_crash_of_the_server_loses_nothing() {
    let Some(mut redis) = Redis::start(RedisSetup::default()) else { return };
    let store = bound(&redis).start().await;
    for round in ["1", "2", "3"] {
        write(&store, "a", round).await.unwrap();
        redis.kill();
        let error = write(&store, "a", "lost").await.unwrap_err();
        assert!(error.retryable, "{error}");
        assert_said(&said(error), "unavailable", &["Connection refused"]);
        redis.restart();
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let store = bound(&redis).start().await;
    for round in ["1", "2", "3"] {
        redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        write(&store, "a", round).await.unwrap();
        redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert_eq!(read(&store, "a").await.as_deref(), Some(round));
    }
    assert!(store.incidents().is_empty(), "nobody notices");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let store = bound(&redis).set("timeout-ms", 100).start().await;
    write(&store, "a", "1").await.unwrap();
    redis.suspend();
    let error = write(&store, "a", "2").await.unwrap_err();
    assert_said(&said(error), "unavailable", &["no answer in time (setting timeout-ms)"]);
    redis.resume();
    write(&store, "a", "3").await.unwrap();
    assert_eq!(read(&store, "a").await.as_deref(), Some("3"), "no earlier write comes after it");
}

#[tokio::test]
async fn a_server_without_memory_refuses_and_recovers() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let store = bound(&redis).start().await;
    write(&store, "a", "old").await.unwrap();
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = write(&store, "a", "new").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["OOM", "raise maxmemory"]);
    assert_eq!(read(&store, "a").await.as_deref(), Some("old"));
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    write(&store, "a", "new").await.unwrap();
}

#[tokio::test]
async fn a_server_that_keeps_too_little_is_refused() {
    let forgets = [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")];
    let Some(redis) = Redis::start(RedisSetup { lines: &forgets, ..RedisSetup::default() }) else { return };
    assert_said(&bound(&redis).refusal().await, "unsupported", &["allkeys-lru", "noeviction"]);

    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    bound(&redis).set("require-appendonly", "always").start().await;
    redis.ask(&["CONFIG", "SET", "appendfsync", "everysec"]);
    bound(&redis).set("require-appendonly", "everysec").start().await;
    let refusal = bound(&redis).set("require-appendonly", "always").refusal().await;
    assert_said(&refusal, "other", &["require-appendonly", "appendfsync everysec"]);
    redis.ask(&["CONFIG", "SET", "appendonly", "no"]);
    let refusal = bound(&redis).set("require-appendonly", "everysec").refusal().await;
    assert_said(&refusal, "other", &["no append-only file"]);
    bound(&redis).start().await;
}

#[tokio::test]
async fn a_write_counts_when_enough_replicas_have_it() {
    let Some(redis) = Redis::start(RedisSetup::default()) else { return };
    let master = redis.port().to_string();
    let lines = [("replicaof", &*format!("127.0.0.1 {master}"))];
    let Some(replica) = Redis::start(RedisSetup { lines: &lines, ..RedisSetup::default() }) else { return };
    assert_said(&bound(&replica).refusal().await, "unavailable", &["is a replica", "must lead to the master"]);

    let one = bound(&redis).set("wait-replicas", 1).set("timeout-ms", 4000).set("wait-timeout-ms", 3000).start().await;
    write(&one, "a", "1").await.unwrap();
    assert_eq!(replica.ask(&["HGET", "sigbox:signal:BTCUSDT_a", "a"]), "1", "it is there when the write returns");

    let two = bound(&redis).set("wait-replicas", 2).set("wait-timeout-ms", 50).start().await;
    let error = write(&two, "a", "2").await.unwrap_err();
    assert!(error.retryable);
    assert_said(&said(error), "unavailable", &["only 1 of 2 replicas", "it may be lost or kept"]);
    assert_eq!(read(&two, "a").await.as_deref(), Some("2"));
}
