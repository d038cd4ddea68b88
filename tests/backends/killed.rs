//! Processes that write through a plugin and are killed.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use sigbox::trading::store::{Address, Store};
use tempfile::tempdir;

use super::binding::{at, start_on};
use crate::{crash::chaos::dice, support::slow_tests};

/// What the other process does: `{plugin} {writes} {folder}`.
const ORDERS: &str = "SIGBOX_TEST_WRITER";

/// Documents the other process writes in turn.
const PLACES: u64 = 3;

fn place(number: u64) -> Address {
    at("signal", "killed", &(number % PLACES).to_string())
}

/// Whole if it ends as it should, and as long as its number says.
fn document(number: u64) -> String {
    let length = usize::try_from(number * 7919 % 20_000).expect("it is short");
    format!(r#"{{"number":{number},"filler":"{}"}}"#, "x".repeat(length))
}

fn number_in(document: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(document).expect("documents are whole");
    let number = value["number"].as_u64().expect("they have a number");
    assert_eq!(document, self::document(number).as_bytes(), "somebody else's filler");
    number
}

/// A command that writes as many numbered documents as it can, or as it is told to, and prints each number that is
/// durable.
pub(super) fn writer(plugin: &str, writes: u64, folder: &Path) -> Vec<String> {
    let program = env::current_exe().expect("the path of the tests is known");
    let orders = format!("{ORDERS}={plugin} {writes} {}", folder.display());
    let program = program.to_str().expect("it is text").to_owned();
    let test = "backends::killed::the_process_that_writes".to_owned();
    ["env".to_owned(), orders, program, "--exact".to_owned(), test, "--ignored".to_owned(), "--nocapture".to_owned()]
        .into()
}

struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    acknowledged: Vec<u64>,
}

impl Writer {
    fn start(plugin: &str, folder: &Path) -> Self {
        let command = writer(plugin, u64::MAX, folder);
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the tests run");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { process, lines, acknowledged: Vec::new() }
    }

    /// Waits for the next acknowledged write; `false` when it has ended.
    fn next(&mut self) -> bool {
        for line in self.lines.by_ref().map_while(Result::ok) {
            // The first one is behind what the test runner says.
            if let Some(number) = line.rsplit("wrote ").next().and_then(|number| number.parse().ok()) {
                self.acknowledged.push(number);
                return true;
            }
        }
        false
    }

    /// Kills it. What it had acknowledged until then.
    fn kill(mut self) -> Vec<u64> {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a child can be waited for");
        while self.next() {}
        self.acknowledged
    }
}

/// Kills processes that write through a plugin, at random moments, and looks at what they leave behind. `check` looks at
/// the folder when the next one has made it ready.
pub(super) async fn survives_kills(plugin: &str, check: impl Fn(&Path)) {
    let root = tempdir().unwrap();
    let mut dice = dice();
    let (mut last, mut with_writes) = (0, 0);
    // By place, the last number that was durable there.
    let mut kept = BTreeMap::new();
    for round in 0..if slow_tests() { 100 } else { 15 } {
        let mut writer = Writer::start(plugin, root.path());
        // Every third one while it starts, or a moment later.
        if round % 3 > 0 {
            for _ in 0..dice.u32(1..30) {
                assert!(writer.next(), "it ended by itself");
            }
            thread::sleep(Duration::from_micros(dice.u64(0..3_000)));
        } else {
            thread::sleep(Duration::from_micros(dice.u64(0..200_000)));
        }
        let acknowledged = writer.kill();
        with_writes += usize::from(!acknowledged.is_empty());
        for number in &acknowledged {
            assert_eq!(*number, last + 1, "it goes on where the one before ended");
            last = *number;
            kept.insert(number % PLACES, last);
        }

        let store = start_on(plugin, root.path()).await;
        store.wait_for_init("signal", "killed", false).await.unwrap();
        check(root.path());
        for known in kept.values().copied() {
            let found = store.read_value(&place(known)).await.unwrap();
            let found = number_in(&found.expect("what was acknowledged is there"));
            let under_way = last + 1;
            assert!(found == known || found == under_way && place(known) == place(under_way), "{found}, not {known}");
        }
        // The one under way may have been done.
        let next = store.read_value(&place(last + 1)).await.unwrap();
        if next.is_some_and(|document| number_in(&document) == last + 1) {
            last += 1;
            kept.insert(last % PLACES, last);
        }
        store.close().await;
    }
    assert!(with_writes > 5, "they were killed in the middle of something");
}

#[test]
#[ignore = "the other tests run it, as a process of its own"]
#[expect(clippy::print_stdout, reason = "the other process listens")]
fn the_process_that_writes() {
    let orders = env::var(ORDERS).expect("this is not for running by itself");
    let [plugin, writes, folder] = orders.splitn(3, ' ').collect::<Vec<_>>().try_into().expect("there are three words");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let store = start_on(plugin, Path::new(folder)).await;
        store.wait_for_init("signal", "killed", true).await.unwrap();
        let mut last = 0;
        for number in 0..PLACES {
            if let Some(document) = store.read_value(&place(number)).await.unwrap() {
                last = number_in(&document).max(last);
            }
        }
        for number in (last + 1..).take(writes.parse().expect("it is a number")) {
            store.write_value(&place(number), document(number).as_bytes(), number.cast_signed()).await.unwrap();
            println!("wrote {number}");
        }
        store.close().await;
    });
}
