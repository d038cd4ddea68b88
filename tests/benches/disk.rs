//! What a durable write and a read cost in the stores that keep documents on disk: as plugins, and the same code
//! natively. Prints a table; see `bench/README.md`. An argument names the folder to measure on.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

// The code of the plugin, without the sandbox.
#[allow(dead_code, unreachable_pub, reason = "not all of it is measured")]
#[path = "../../plugins/persistence/redb/src/database.rs"]
mod database;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sigbox::{
    plugin_source,
    sandbox::{Grant, Limits, Live, PluginStore, Sandbox, Secret},
    trading::store::{Address, FileStore, Store},
};
use sigbox_files::{At, Disk, Documents};

use database::Database;

/// All subjects are measured in turn, this many times, so that a busy moment is shared by all.
const ROUNDS: usize = 31;

/// Writes, and as many reads, of one subject in a round.
const CALLS: usize = 20;

/// As long as the row of an open position.
const DOCUMENT_BYTES: usize = 600;

const SEALING_KEY: &str = "bench:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

enum Subject {
    Store(Arc<dyn Store>),
    Files(Documents<Disk>),
    Redb(Database),
}

/// A subject and what its calls took.
struct Measured {
    name: &'static str,
    subject: Subject,
    writes: Vec<Duration>,
    reads: Vec<Duration>,
}

fn at() -> Address {
    let [domain, entity_name, entity_id] = ["signal", "BTCUSDT_a", "BTCUSDT"].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

/// A document unlike every other: some stores skip a page that does not change.
fn document(number: usize) -> Vec<u8> {
    let mut document = format!(r#"{{"number":{number},"filler":""#).into_bytes();
    let letters = b"abcdefghijklmnopqrstuvwxyz";
    document.extend((document.len()..DOCUMENT_BYTES - 2).map(|place| letters[(place * 31 + number * 7) % 26]));
    document.extend(b"\"}");
    document
}

impl Subject {
    async fn write(&self, at: &Address, document: &[u8]) {
        let Address { domain, entity_name, entity_id } = at;
        match self {
            Self::Store(store) => store.write_value(at, document, 0).await.expect("it is written"),
            Self::Files(files) => files.write(At { domain, entity_name, entity_id }, document).expect("it is written"),
            Self::Redb(redb) => redb.write((domain, entity_name, entity_id), document).expect("it is written"),
        }
    }

    async fn read(&self, at: &Address) -> Option<Vec<u8>> {
        let Address { domain, entity_name, entity_id } = at;
        match self {
            Self::Store(store) => store.read_value(at).await.expect("it is read"),
            Self::Files(files) => files.read(At { domain, entity_name, entity_id }).expect("it is read"),
            Self::Redb(redb) => redb.read((domain, entity_name, entity_id)).expect("it is read"),
        }
    }
}

async fn plugin(name: &str, binding: Grant) -> Arc<dyn Store> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/persistence").join(name);
    let component = plugin_source::resolve(&folder, OsStr::new("cargo"), &mut |_| {}).expect("it builds");
    let sandbox = Sandbox::<Live>::new(Limits::default(), None).expect("the sandbox starts");
    Arc::new(PluginStore::start(&sandbox, &component, binding).await.expect("it starts"))
}

fn on(folder: &Path) -> Grant {
    let directories = BTreeMap::from([("/data".to_owned(), folder.to_owned())]);
    Grant { name: "bench".to_owned(), directories, ..Grant::default() }
}

fn over(store: Arc<dyn Store>) -> Grant {
    let secrets = BTreeMap::from([("keys".to_owned(), Secret::from(SEALING_KEY.to_owned()))]);
    Grant { name: "bench".to_owned(), secrets, over: Some(store), ..Grant::default() }
}

async fn subjects(root: &Path) -> Vec<Measured> {
    let folder = |name: &str| root.join(name);
    let files = Documents::open(Disk, folder("files")).expect("it is a folder");
    let host = |name| FileStore::open(folder(name)).expect("it is free");
    std::fs::create_dir(folder("redb-native")).expect("a folder");
    let redb = Database::open(&folder("redb-native").join("sigbox.redb")).expect("it is made");
    let all = [
        ("directory, native", Subject::Files(files)),
        ("directory, plugin", Subject::Store(plugin("directory", on(&folder("directory"))).await)),
        ("redb, native", Subject::Redb(redb)),
        ("redb, plugin", Subject::Store(plugin("redb", on(&folder("redb"))).await)),
        ("store file", Subject::Store(Arc::new(host("host")))),
        ("encrypt over file", Subject::Store(plugin("encrypt", over(Arc::new(host("sealed")))).await)),
    ];
    all.map(|(name, subject)| Measured { name, subject, writes: Vec::new(), reads: Vec::new() }).into()
}

async fn measure(subjects: &mut [Measured], rounds: usize) {
    let at = at();
    let mut number = 0;
    for _ in 0..rounds {
        for Measured { subject, writes, reads, .. } in &mut *subjects {
            for _ in 0..CALLS {
                number += 1;
                let document = document(number);
                let start = Instant::now();
                subject.write(&at, &document).await;
                writes.push(start.elapsed());
                let start = Instant::now();
                let read = subject.read(&at).await;
                reads.push(start.elapsed());
                assert!(read == Some(document), "what was written is there");
            }
        }
    }
}

/// What this many of a hundred calls took at most, microseconds.
fn percentile(times: &mut [Duration], percent: usize) -> u128 {
    times.sort_unstable();
    times[times.len() * percent / 100].as_micros()
}

fn main() {
    // `cargo bench -- --test` only wants to see it run.
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { ROUNDS };
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").to_owned());
    let root = tempfile::tempdir_in(folder).expect("there is such a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let mut subjects = runtime.block_on(subjects(root.path()));
    runtime.block_on(measure(&mut subjects, rounds));
    println!("{:<20} {:>20} {:>20}", "microseconds", "write: median (p10)", "read: median (p10)");
    for Measured { name, mut writes, mut reads, .. } in subjects {
        let cell = |times: &mut [Duration]| format!("{} ({})", percentile(times, 50), percentile(times, 10));
        println!("{name:<20} {:>20} {:>20}", cell(&mut writes), cell(&mut reads));
    }
}
