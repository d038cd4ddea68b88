//! What a document costs in the component and in the same client without a sandbox, in one run.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use sigbox::{sandbox::PluginStore, trading::store::Store as _};

use super::bound;
use crate::{backends::served::at, servers::S3, support::repository};

const ROUNDS: usize = 60;

/// Of each kind, before the next one has its turn.
const IN_A_ROW: usize = 10;

/// Bytes of a document: an open position has some.
const VALUE_BYTES: usize = 500;

#[tokio::test]
#[ignore = "a measurement: see bench/README.md"]
async fn s3_costs() {
    let Some(server) = S3::start() else { return };
    let store = bound(&server).start().await;
    let mut fresh = Native::start(&server, "new-connections");
    let mut kept = Native::start(&server, "keep-alive");
    // From then on each knows what is there.
    component(&store, Some("0")).await;
    fresh.ask(&["write native/fresh 0".to_owned()]);
    kept.ask(&["write native/kept 0".to_owned()]);

    let mut writes: [Vec<Duration>; 3] = Default::default();
    let mut reads: [Vec<Duration>; 3] = Default::default();
    for round in 0..ROUNDS {
        let values: Vec<String> = (0..IN_A_ROW).map(|number| value(round, number)).collect();
        let lines = |key: &str| values.iter().map(|value| format!("write {key} {value}")).collect::<Vec<_>>();
        for value in &values {
            writes[0].push(component(&store, Some(value)).await);
        }
        writes[1].extend(kept.ask(&lines("native/kept")));
        writes[2].extend(fresh.ask(&lines("native/fresh")));
        reads[0].push(component(&store, None).await);
        reads[1].extend(kept.ask(&["read native/kept".to_owned()]));
        reads[2].extend(fresh.ask(&["read native/fresh".to_owned()]));
    }
    let names = ["component", "native, connection kept", "native, new connection each"];
    let mut table = String::from("S3, medians:\n");
    for ((name, writes), reads) in names.iter().zip(&mut writes).zip(&mut reads) {
        let (write, read) = (median(writes), median(reads));
        writeln!(table, "  {name:<28} write {write:>9.1?}  read {read:>9.1?}").expect("text can be written");
    }
    let ratio =
        |other: usize| median(&mut writes[0].clone()).as_secs_f64() / median(&mut writes[other].clone()).as_secs_f64();
    writeln!(table, "  a write of the component is {:.2} and {:.2} of these", ratio(1), ratio(2))
        .expect("text can be written");
    std::io::stderr().write_all(table.as_bytes()).expect("there is a standard error");
}

/// No two are the same.
fn value(round: usize, number: usize) -> String {
    format!("[{round},{number},\"{}\"]", "x".repeat(VALUE_BYTES))
}

/// The time of a write, or of a read.
async fn component(store: &PluginStore, value: Option<&str>) -> Duration {
    let at = at("BTCUSDT");
    let started = Instant::now();
    match value {
        Some(value) => store.write_value(&at, value.as_bytes(), 1).await.expect("it is written"),
        None => assert!(store.read_value(&at).await.expect("it is read").is_some()),
    }
    started.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// `plugins/persistence/s3/examples/native.rs`, which says itself how long it took.
struct Native {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Native {
    fn start(server: &S3, connections: &str) -> Self {
        let endpoint = format!("http://127.0.0.1:{}", server.port());
        let mut process = Command::new(env!("CARGO"))
            .args(["run", "--release", "--quiet", "--package", "sigbox-s3-store", "--example", "native", "--"])
            .args([&endpoint, S3::BUCKET, connections, connections])
            .current_dir(repository().join("plugins"))
            .env("S3_ACCESS_KEY_ID", S3::ACCESS_KEY_ID)
            .env("S3_SECRET_ACCESS_KEY", S3::SECRET_ACCESS_KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo runs");
        let requests = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, requests, answers }
    }

    /// All at once, so that it need not be woken for each.
    fn ask(&mut self, requests: &[String]) -> Vec<Duration> {
        self.requests.write_all((requests.join("\n") + "\n").as_bytes()).expect("it listens");
        let mut answer = String::new();
        let mut next = || {
            answer.clear();
            self.answers.read_line(&mut answer).expect("it answers");
            Duration::from_nanos(answer.trim().parse().expect("it answers with a number"))
        };
        requests.iter().map(|_| next()).collect()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
