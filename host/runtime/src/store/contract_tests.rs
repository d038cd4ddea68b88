//! What every backend must do, run over each of them.

use std::sync::Arc;

use super::{Address, FileStore, MemoryStore, Store};

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

async fn read(store: &Arc<dyn Store>, at: &Address) -> Option<String> {
    store.read_value(at).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

/// Each promise becomes a test of each backend.
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
    nothing_is_there_before_the_first_write(store) {
        store.wait_for_init("signal", "BTCUSDT_a", true).await.unwrap();
        assert_eq!(read(&store, &bitcoin()).await, None);
        assert!(!store.has_value(&bitcoin()).await.unwrap());
        assert!(!store.remove_value(&bitcoin()).await.unwrap());
        assert!(store.keys("signal", "BTCUSDT_a").await.unwrap().is_empty());
        assert!(store.keys("signal", "never heard of").await.unwrap().is_empty());
    }

    the_last_write_wins(store) {
        for value in [r#"{"id":"a much longer document"}"#, "[]", ""] {
            write(&store, &bitcoin(), value).await;
            assert_eq!(read(&store, &bitcoin()).await.as_deref(), Some(value));
        }
    }

    null_is_a_document(store) {
        write(&store, &bitcoin(), "null").await;
        assert!(store.has_value(&bitcoin()).await.unwrap());
        assert_eq!(read(&store, &bitcoin()).await.as_deref(), Some("null"));
        assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["BTCUSDT"]);
    }

    any_bytes_come_back(store) {
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        store.write_value(&bitcoin(), &bytes, 0).await.unwrap();
        assert!(store.read_value(&bitcoin()).await.unwrap().unwrap() == bytes);
    }

    init_can_be_repeated_and_loses_nothing(store) {
        for initial in [true, false] {
            store.wait_for_init("signal", "BTCUSDT_a", initial).await.unwrap();
            write(&store, &bitcoin(), "1").await;
            store.wait_for_init("signal", "BTCUSDT_a", initial).await.unwrap();
            assert_eq!(read(&store, &bitcoin()).await.as_deref(), Some("1"));
        }
    }

    a_removed_document_is_gone_and_can_be_removed_once(store) {
        write(&store, &bitcoin(), "1").await;
        assert!(store.remove_value(&bitcoin()).await.unwrap());
        assert!(!store.remove_value(&bitcoin()).await.unwrap());
        assert_eq!(read(&store, &bitcoin()).await, None);
        assert!(!store.has_value(&bitcoin()).await.unwrap());
        assert!(store.keys("signal", "BTCUSDT_a").await.unwrap().is_empty());
    }

    keys_are_complete_and_ascend_by_bytes(store) {
        for entity_id in ["b", "a", "Z", "10", "9", "ü", "a.json", "a b", "%"] {
            write(&store, &at("signal", "e", entity_id), "1").await;
        }
        write(&store, &at("signal", "e2", "elsewhere"), "1").await;
        write(&store, &at("schedule", "e", "elsewhere"), "1").await;
        assert_eq!(store.keys("signal", "e").await.unwrap(), ["%", "10", "9", "Z", "a", "a b", "a.json", "b", "ü"]);
    }

    addresses_that_look_alike_are_different(store) {
        let addresses = [
            at("signal", "BTCUSDT_a", "BTCUSDT"),
            at("schedule", "BTCUSDT_a", "BTCUSDT"),
            at("partial", "BTCUSDT_a", "BTCUSDT"),
            at("signal", "a_b_c", "d"),
            at("signal", "a%5Fb_c", "d"),
            at("signal", "a_b%5Fc", "d"),
            at("signal", "a", "b_c"),
            at("signal", "a_b", "c"),
            at("signal_a", "b", "c"),
            at("x", "y/z", "w"),
            at("x", "y%2Fz", "w"),
            at("x/y", "z", "w"),
            at("x", "y", "z/w"),
            at("x", "y", "z%2Fw"),
            at("x", "", "y"),
            at("", "x", "y"),
            at("x", "y", ""),
            at("x", "y", "%"),
            at("x", "y", ".json"),
        ];
        for (number, address) in addresses.iter().enumerate() {
            assert_eq!(read(&store, address).await, None, "{address:?} is taken");
            write(&store, address, &number.to_string()).await;
        }
        for (number, address) in addresses.iter().enumerate() {
            assert_eq!(read(&store, address).await, Some(number.to_string()), "{address:?}");
        }
    }

    hostile_names_are_only_names(store) {
        let hostile = [
            "../x", "..", ".", "/etc/passwd", "a/b", "a\\b", "\0", "a\0b", "\n", "con", "nul.txt", "~", "-rf", " ", "a ",
            "a.", "%2e%2e", "%", "%%", "${HOME}", "*", "?", "C:", "\u{202e}", "e\u{301}", "é", "策略", "🙂", ".lock",
            ".quarantine", ".tmp-0123456789ab-x", "'; drop table", "\"",
        ];
        for part in 0..3 {
            for name in hostile {
                let mut parts = ["d", "e", "i"];
                parts[part] = name;
                let [domain, entity_name, entity_id] = parts;
                let address = at(domain, entity_name, entity_id);
                store.wait_for_init(domain, entity_name, true).await.unwrap();
                write(&store, &address, name).await;
                assert_eq!(read(&store, &address).await.as_deref(), Some(name), "{address:?}");
                assert!(store.keys(domain, entity_name).await.unwrap().contains(&entity_id.to_owned()), "{address:?}");
            }
        }
        assert_eq!(store.keys("d", "e").await.unwrap().len(), hostile.len());
    }

    very_long_names_are_kept_whole_or_refused_never_cut(store) {
        let long = "x".repeat(100_000);
        for [domain, entity_name, entity_id] in [["d", "e", &*long], ["d", &*long, "i"], [&*long, "e", "i"]] {
            let address = at(domain, entity_name, entity_id);
            match store.write_value(&address, b"1", 0).await {
                Ok(()) => assert_eq!(read(&store, &address).await.as_deref(), Some("1")),
                Err(error) => {
                    assert!(error.message.contains("is too long for a file name: 10000"), "{}", error.message);
                    assert!(!error.retryable);
                    assert!(store.read_value(&address).await.is_err(), "an address that cannot exist is not empty");
                }
            }
        }
        let one_less = &long[1..];
        if let Ok(found) = store.read_value(&at("d", "e", one_less)).await {
            assert_eq!(found, None, "a cut name collides");
        }
    }

    two_handles_see_the_same_documents(store) {
        let other = Arc::clone(&store);
        write(&store, &bitcoin(), "1").await;
        assert_eq!(read(&other, &bitcoin()).await.as_deref(), Some("1"));
        write(&other, &bitcoin(), "2").await;
        assert_eq!(read(&store, &bitcoin()).await.as_deref(), Some("2"));
    }

    concurrent_writers_leave_whole_documents(store) {
        let candidates: Vec<String> = (0..16).map(|writer| writer.to_string().repeat(10_000)).collect();
        let writers = candidates.iter().enumerate().map(|(number, value)| {
            let store = &store;
            async move {
                store.wait_for_init("signal", "BTCUSDT_a", false).await.unwrap();
                write(store, &bitcoin(), value).await;
                write(store, &at("signal", "BTCUSDT_a", &number.to_string()), value).await;
            }
        });
        futures_util::future::join_all(writers).await;
        let last = read(&store, &bitcoin()).await.unwrap();
        assert!(candidates.contains(&last), "{} bytes of nobody", last.len());
        assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap().len(), 17);
        for (number, value) in candidates.iter().enumerate() {
            assert_eq!(read(&store, &at("signal", "BTCUSDT_a", &number.to_string())).await.as_ref(), Some(value));
        }
    }

    a_document_set_aside_is_not_read_again(store) {
        let mut places = Vec::new();
        for value in ["{", "}"] {
            write(&store, &bitcoin(), value).await;
            places.push(store.quarantine(&bitcoin()).await.unwrap());
            assert_eq!(read(&store, &bitcoin()).await, None);
            assert!(store.keys("signal", "BTCUSDT_a").await.unwrap().is_empty());
        }
        assert_ne!(places[0], places[1], "one took the other's place");
        assert!(store.quarantine(&bitcoin()).await.is_err(), "there is nothing left to set aside");
    }

    it_says_what_it_is(store) {
        assert!(["memory", "files under "].iter().any(|start| store.describe().starts_with(start)));
    }
}
