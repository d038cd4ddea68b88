//! `persistence/redb`: everything in one file.

use std::fs;

use sigbox::trading::store::Store as _;
use tempfile::tempdir;

use super::{
    binding::{at, bitcoin, on, passes_the_kit, quick_folder, refusal, set, start, start_on},
    durable, killed,
};

#[tokio::test]
async fn it_passes_the_kit() {
    let folder = quick_folder();
    passes_the_kit("redb", on(folder.path())).await;
}

#[tokio::test]
async fn documents_are_in_one_file_and_survive_the_end_of_the_plugin() {
    let root = tempdir().unwrap();
    // Dropped without a last call, then with one.
    for round in 0..3 {
        let store = start_on("redb", root.path()).await;
        let expected = (round > 0).then(|| (round - 1).to_string().into_bytes());
        assert_eq!(store.read_value(&bitcoin()).await.unwrap(), expected);
        store.write_value(&bitcoin(), round.to_string().as_bytes(), 0).await.unwrap();
        if round > 0 {
            store.close().await;
        }
    }
    let mut files: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, [".lock", "sigbox.redb"]);
}

#[tokio::test]
async fn the_largest_document_fits_many_times() {
    let root = tempdir().unwrap();
    let store = start_on("redb", root.path()).await;
    let most = usize::try_from(store.max_value_bytes()).unwrap();
    for number in 0..10_u8 {
        let document = vec![number; most];
        store.write_value(&at("d", "e", &(number % 3).to_string()), &document, 0).await.unwrap();
        assert!(
            store.read_value(&at("d", "e", &(number % 3).to_string())).await.unwrap() == Some(document),
            "{number}"
        );
    }
    let error = store.write_value(&bitcoin(), &vec![0; most + 1], 0).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("too-large", false));
}

#[tokio::test]
async fn a_wrong_binding_says_what_to_write() {
    let root = tempdir().unwrap();
    let said = refusal("redb", set(on(root.path()), "file", "x")).await;
    assert!(said.contains("no setting \"file\"; there are: path"), "{said}");
    let said = refusal("redb", set(on(root.path()), "path", "/elsewhere/x.redb")).await;
    let expected = r#"there is no folder /elsewhere for /elsewhere/x.redb (setting path); grant one: directories = { "/elsewhere" = "some/folder" }"#;
    assert!(said.contains(expected), "{said}");
    let store = start("redb", set(on(root.path()), "path", "/data/x.redb")).await.unwrap();
    store.write_value(&bitcoin(), b"1", 0).await.unwrap();
    assert!(root.path().join("x.redb").is_file());
}

#[tokio::test]
async fn a_file_that_is_damaged_or_something_else_is_refused_when_it_starts() {
    let root = tempdir().unwrap();
    let file = root.path().join("sigbox.redb");
    fs::write(&file, "{}").unwrap();
    let said = refusal("redb", on(root.path())).await;
    assert!(said.contains("start failed: corrupt: /data/sigbox.redb: "), "{said}");
    fs::remove_file(&file).unwrap();

    let store = start_on("redb", root.path()).await;
    let document = [0xA5; 3000];
    store.write_value(&bitcoin(), &document, 0).await.unwrap();
    store.close().await;
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    for place in (0..bytes.len() - 64).filter(|place| bytes[*place..place + 64] == document[..64]).collect::<Vec<_>>() {
        bytes[place] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    let said = refusal("redb", on(root.path())).await;
    assert!(said.contains("start failed: corrupt: /data/sigbox.redb: "), "{said}");
}

#[tokio::test]
async fn killed_at_any_moment_it_has_every_acknowledged_write() {
    killed::survives_kills("redb", |_| {}).await;
}

#[test]
fn every_write_is_synced() {
    let Some(without) = durable::calls_of(0, "redb") else { return };
    let Some(with) = durable::calls_of(20, "redb") else { return };
    let syncs =
        |calls: &[String]| calls.iter().filter(|call| call.contains("sync(") && call.contains("sigbox.redb>")).count();
    assert!(syncs(&with) >= syncs(&without) + 20, "{with:#?}");
    let renamed =
        without.iter().position(|call| call.starts_with("rename")).expect("it gets its name when it is whole");
    assert!(without[renamed + 1].starts_with("fsync("), "{without:#?}");
}
