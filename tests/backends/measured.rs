//! How long a call takes in a plugin and in the same client outside of the sandbox. How to run it, and what came out,
//! is in bench/README.md.

use std::{
    io::{BufRead as _, BufReader, Write as _, stderr},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use serde_json::Value;
use sigbox::{sandbox::PluginStore, trading::store::Store as _};

use super::{
    mongodb, postgres, redis,
    served::{Bound, at},
};
use crate::{
    servers::{FerretDb, FerretDbSetup, MongoJavaServer, Postgres, PostgresSetup, Redis, RedisSetup},
    support::repository,
};

/// Calls of one kind in a row, and how often they take turns.
const BATCH: usize = 20;
const ROUNDS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: see bench/README.md"]
async fn plugins_and_their_clients_outside_of_the_sandbox() {
    say("| server | call | component µs | native µs | ratio | 1.5 x native + 60 µs |\n|---|---|---|---|---|---|\n");
    say(&format!("| none: the plugin memory | write | {:.0} | | | |\n", way_to_a_plugin().await));
    let no_sync = RedisSetup { lines: &[("appendfsync", "no")], ..RedisSetup::default() };
    let tls = RedisSetup { tls_name: Some("localhost"), ..RedisSetup::default() };
    for (name, setup) in [("Redis, no fsync", no_sync), ("Redis", RedisSetup::default()), ("Redis, TLS", tls)] {
        let Some(server) = Redis::start(setup) else { return };
        compare(name, if setup.tls_name.is_some() { redis::bound_tls(&server) } else { redis::bound(&server) }).await;
    }
    let tls = PostgresSetup { tls_name: Some("localhost"), ..PostgresSetup::default() };
    for (name, setup) in [("PostgreSQL", PostgresSetup::default()), ("PostgreSQL, TLS", tls)] {
        let Some(server) = Postgres::start(setup) else { return };
        let bound = if setup.tls_name.is_some() { postgres::bound_tls(&server) } else { postgres::bound(&server) };
        compare(name, bound).await;
    }
    let login = FerretDbSetup { has_login: true, ..FerretDbSetup::default() };
    let tls = FerretDbSetup { tls_name: Some("localhost"), ..login };
    for (name, setup) in [("FerretDB", login), ("FerretDB, TLS", tls)] {
        let Some(server) = FerretDb::start(setup) else { return };
        let bound = if setup.tls_name.is_some() { mongodb::bound_tls(&server) } else { mongodb::bound(&server) };
        compare(name, bound).await;
    }
    let Some(server) = MongoJavaServer::start() else { return };
    compare("mongo-java-server", mongodb::bound_fenced(&server)).await;
}

/// What a call of a plugin takes that asks nobody.
async fn way_to_a_plugin() -> f64 {
    let store = Bound::new("memory").start().await;
    let mut took = Vec::new();
    for call in 0..BATCH * ROUNDS {
        took.push(nanoseconds_of_write(&store, call).await);
    }
    median_microseconds(took)
}

/// Both take turns, so that what else the machine does meets both.
async fn compare(server: &str, bound: Bound) {
    let store = bound.start().await;
    let mut native = Native::start(&bound);
    let mut took: [Vec<u64>; 4] = Default::default();
    let mut calls = 0;
    for round in 0..=ROUNDS {
        let [write, native_write, read, native_read] = &mut took;
        for _ in 0..BATCH {
            calls += 1;
            write.push(nanoseconds_of_write(&store, calls).await);
        }
        native_write.extend(native.calls("write"));
        for _ in 0..BATCH {
            let began = Instant::now();
            store.read_value(&at("component-0")).await.unwrap();
            read.push(nanoseconds(began));
        }
        native_read.extend(native.calls("read"));
        if round == 0 {
            // Everything was done for the first time.
            took.iter_mut().for_each(Vec::clear);
        }
    }
    let [write, native_write, read, native_read] = took.map(median_microseconds);
    for (call, component, native) in [("write", write, native_write), ("read", read, native_read)] {
        let (ratio, goal) = (component / native, 1.5 * native + 60.0);
        let holds = if component <= goal { "holds" } else { "missed" };
        say(&format!("| {server} | {call} | {component:.0} | {native:.0} | {ratio:.2} | {goal:.0}: {holds} |\n"));
    }
}

async fn nanoseconds_of_write(store: &PluginStore, call: usize) -> u64 {
    let at = at(&format!("component-{}", call % 10));
    let value = format!("{{\"call\":{call},\"note\":\"{}\"}}", "x".repeat(300));
    let began = Instant::now();
    store.write_value(&at, value.as_bytes(), 1).await.unwrap();
    nanoseconds(began)
}

fn nanoseconds(began: Instant) -> u64 {
    began.elapsed().as_nanos().try_into().expect("a call takes less than centuries")
}

#[expect(clippy::cast_precision_loss, reason = "a call takes less than days")]
fn median_microseconds(mut nanoseconds: Vec<u64>) -> f64 {
    nanoseconds.sort_unstable();
    nanoseconds[nanoseconds.len() / 2] as f64 / 1000.0
}

/// Not `println`, which is only shown of tests that fail.
fn say(text: &str) {
    stderr().write_all(text.as_bytes()).expect("standard error takes it");
}

/// The client of a plugin, in a process of its own.
struct Native {
    process: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    fn start(bound: &Bound) -> Self {
        let mut command = Command::new(example(bound.plugin));
        command.args(bound.settings.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(bound.secrets.iter().map(|(name, value)| format!("secret:{name}={value}")));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let calls = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, calls, answers }
    }

    /// How many nanoseconds each of some calls takes.
    fn calls(&mut self, kind: &str) -> Vec<u64> {
        writeln!(self.calls, "{kind} {BATCH}").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        let took: Vec<u64> = answer.split_whitespace().map(|took| took.parse().expect("it is a number")).collect();
        assert_eq!(took.len(), BATCH, "{answer}");
        took
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn example(plugin: &str) -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--example", "native", "--message-format=json-render-diagnostics"])
        .current_dir(repository().join("plugins/persistence").join(plugin))
        .env_remove("CARGO_TARGET_DIR")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8(built.stdout).expect("cargo writes UTF-8");
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "native").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.expect("the example builds")
}
