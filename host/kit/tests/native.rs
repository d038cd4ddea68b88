//! The conformance kit on the stores in Rust, and what is only about them.

use std::{path::Path, sync::Arc};

use sigbox_kit::{NativeSubject, Opened, Report};
use sigbox_trading::store::{Address, FileStore, MemoryStore, Store};

fn at(domain: &str, entity_name: &str, entity_id: &str) -> Address {
    let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
    Address { domain, entity_name, entity_id }
}

fn bitcoin() -> Address {
    at("signal", "BTCUSDT_a", "BTCUSDT")
}

async fn write(store: &Arc<dyn Store>, at: &Address, value: &str) {
    store.write_value(at, value.as_bytes(), 1_700_000_000_000).await.unwrap();
}

/// All cases pass but those that need what the store does not have.
fn check(report: &Report, not_run: &[&str]) {
    let failures: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let left_out: Vec<&str> = report.not_run().iter().map(|case| case.case.name).collect();
    assert_eq!(left_out, not_run);
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
}

/// Cases that only components can be put through.
const OF_COMPONENTS: [&str; 19] = [
    "an old epoch",
    "the same epoch",
    "a claim stays",
    "a claim among writes",
    "scopes apart",
    "killed while claiming",
    "killed while writing",
    "killed while removing",
    "killed while starting",
    "server restart",
    "cut while writing",
    "cut while reading",
    "slow server",
    "silent server",
    "own time limit",
    "refusing server",
    "refusing server at start",
    "nothing granted",
    "secrets stay secret",
];

#[tokio::test]
async fn memory_passes_the_kit() {
    let subject = NativeSubject::volatile("memory", || Ok(MemoryStore::new().into()));
    let of_instances = ["closed and opened again", "dropped and opened again", "two instances", "two writers"];
    check(&sigbox_kit::run(&subject).await, &[of_instances.as_slice(), &OF_COMPONENTS].concat());
}

#[tokio::test]
async fn files_pass_the_kit() {
    // Twenty thousand times fsync; on a disk that takes a minute, and is tested elsewhere.
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let path = root.path().to_owned();
    let open = move || FileStore::open(&path).map(Opened::from).map_err(|error| error.to_string());
    let subject = NativeSubject::durable("files", Some("a data directory has one owner"), open);
    check(&sigbox_kit::run(&subject).await, &[["two instances", "two writers"].as_slice(), &OF_COMPONENTS].concat());
}

/// Each promise becomes a test of each store.
macro_rules! every_store {
    ($($promise:ident($store:ident) $body:block)+) => {
        $(async fn $promise($store: Arc<dyn Store>) $body)+

        mod memory {
            use super::*;
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(Arc::new(MemoryStore::new())).await;
            })+
        }

        mod files {
            use super::*;
            $(#[tokio::test]
            async fn $promise() {
                let root = tempfile::tempdir().unwrap();
                super::$promise(Arc::new(FileStore::open(root.path()).unwrap())).await;
            })+
        }
    };
}

every_store! {
    an_address_that_cannot_exist_is_not_empty(store) {
        let long = "x".repeat(100_000);
        for [domain, entity_name, entity_id] in [["d", "e", &*long], ["d", &*long, "i"], [&*long, "e", "i"]] {
            let address = at(domain, entity_name, entity_id);
            if let Err(error) = store.write_value(&address, b"1", 0).await {
                assert!(error.message.contains("is too long for a file name: 10000"), "{}", error.message);
                assert!(!error.retryable);
                assert!(store.read_value(&address).await.is_err());
            }
        }
    }

    a_document_set_aside_is_not_read_again(store) {
        let mut places = Vec::new();
        for value in ["{", "}"] {
            write(&store, &bitcoin(), value).await;
            places.push(store.quarantine(&bitcoin()).await.unwrap());
            assert_eq!(store.read_value(&bitcoin()).await.unwrap(), None);
            assert!(store.keys("signal", "BTCUSDT_a").await.unwrap().is_empty());
        }
        assert_ne!(places[0], places[1], "one took the other's place");
        assert!(store.quarantine(&bitcoin()).await.is_err(), "there is nothing left to set aside");
    }

    it_says_what_it_is(store) {
        assert!(["memory", "files under "].iter().any(|start| store.describe().starts_with(start)));
    }
}
