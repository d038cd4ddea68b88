//! `persistence/directory`: the host's file store, in a sandbox.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sigbox::trading::store::{Address, FileStore, Store};
use tempfile::tempdir;

use super::{
    binding::{at, bitcoin, on, passes_the_kit, quick_folder, refusal, set, start, start_on},
    durable, killed,
};

/// Names that would leave their folder, collide, or be taken for something else.
const NAMES: [&str; 22] = [
    "BTCUSDT_my-strategy.v2",
    "../x",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/b",
    "a%2Fb",
    "a\\b",
    "\0",
    "a\nb",
    "%",
    "%2e",
    ".lock",
    ".quarantine",
    ".tmp-0123456789ab-x",
    "con",
    " a ",
    "策略",
    "e\u{301}",
    "é",
    "🙂",
];

fn addresses() -> Vec<Address> {
    let of = |name: &&str| [at("d", "e", name), at("d", name, "i"), at(name, "e", "i")];
    NAMES.iter().flat_map(of).collect()
}

async fn write_everywhere(store: &dyn Store) {
    for (number, address) in addresses().iter().enumerate() {
        store.wait_for_init(&address.domain, &address.entity_name, true).await.unwrap();
        store.write_value(address, number.to_string().as_bytes(), 0).await.unwrap();
    }
}

async fn assert_all_there(store: &dyn Store) {
    for (number, address) in addresses().iter().enumerate() {
        store.wait_for_init(&address.domain, &address.entity_name, false).await.unwrap();
        let found = store.read_value(address).await.unwrap().map(|value| String::from_utf8(value).unwrap());
        assert_eq!(found, Some(number.to_string()), "{address:?}");
    }
    let mut sorted = NAMES.to_vec();
    sorted.sort_unstable();
    assert_eq!(store.keys("d", "e").await.unwrap(), sorted);
}

/// Every file below a folder but the lock, and what is in it.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path != root.join(".lock") {
                let content = fs::read_to_string(&path).unwrap();
                files.insert(path.strip_prefix(root).unwrap().to_owned(), content);
            }
        }
    }
    files
}

#[tokio::test]
async fn it_passes_the_kit() {
    let folder = quick_folder();
    passes_the_kit("directory", on(folder.path())).await;
}

#[tokio::test]
async fn it_and_the_file_store_make_the_same_tree_and_read_each_others() {
    let (by_host, by_plugin) = (tempdir().unwrap(), tempdir().unwrap());
    let host = FileStore::open(by_host.path()).unwrap();
    write_everywhere(&host).await;
    host.close().await;
    let plugin = start_on("directory", by_plugin.path()).await;
    write_everywhere(&plugin).await;
    plugin.close().await;
    drop((host, plugin));
    let written = tree(by_plugin.path());
    assert_eq!(written, tree(by_host.path()));
    assert_eq!(written[Path::new("d/BTCUSDT_my-strategy.v2/i.json")], "1");

    assert_all_there(&FileStore::open(by_plugin.path()).unwrap()).await;
    assert_all_there(&start_on("directory", by_host.path()).await).await;
}

#[tokio::test]
async fn what_an_unfinished_write_left_is_swept_and_strangers_stay() {
    let root = tempdir().unwrap();
    let folder = root.path().join("signal/BTCUSDT_a");
    fs::create_dir_all(&folder).unwrap();
    for name in [".tmp-0123456789ab-BTCUSDT.json", ".tmp-x", "notes.txt", "BTCUSDT.json"] {
        fs::write(folder.join(name), "{").unwrap();
    }
    let store = start_on("directory", root.path()).await;
    store.wait_for_init("signal", "BTCUSDT_a", false).await.unwrap();
    let left: Vec<PathBuf> = tree(root.path()).into_keys().collect();
    assert_eq!(left, ["signal/BTCUSDT_a/BTCUSDT.json", "signal/BTCUSDT_a/notes.txt"].map(PathBuf::from));
}

#[tokio::test]
async fn nobody_else_gets_the_folder_meanwhile() {
    let root = tempdir().unwrap();
    let owner = start_on("directory", root.path()).await;
    assert!(FileStore::open(root.path()).unwrap_err().to_string().contains("is in use by process"));
    assert!(refusal("directory", on(root.path())).await.contains("is in use by process"));
    drop(owner);
    FileStore::open(root.path()).unwrap();
}

#[tokio::test]
async fn a_folder_that_went_away_is_not_an_empty_one() {
    let root = tempdir().unwrap();
    let store = start_on("directory", root.path()).await;
    store.write_value(&bitcoin(), b"1", 0).await.unwrap();
    fs::remove_dir_all(root.path()).unwrap();
    for error in [
        store.read_value(&bitcoin()).await.unwrap_err(),
        store.has_value(&bitcoin()).await.unwrap_err(),
        store.keys("signal", "BTCUSDT_a").await.unwrap_err(),
        store.write_value(&bitcoin(), b"2", 0).await.unwrap_err(),
        store.remove_value(&bitcoin()).await.unwrap_err(),
    ] {
        assert!(error.message.contains("this process does not own the data directory any more"), "{error}");
        assert!(!error.retryable, "{error}");
    }
    assert!(!root.path().exists(), "nothing may be written into what is not ours");
}

#[tokio::test]
async fn a_wrong_binding_says_what_to_write() {
    let root = tempdir().unwrap();
    let said = refusal("directory", set(on(root.path()), "root", "/data")).await;
    assert!(said.contains(r#"no setting "root"; there are: path"#), "{said}");
    let said = refusal("directory", set(on(root.path()), "path", "/elsewhere")).await;
    let expected =
        r#"there is no folder /elsewhere (setting path); grant one: directories = { "/elsewhere" = "some/folder" }"#;
    assert!(said.contains(expected), "{said}");
}

#[tokio::test]
async fn a_folder_in_the_granted_one_can_be_chosen() {
    let root = tempdir().unwrap();
    fs::create_dir(root.path().join("inner")).unwrap();
    let store = start("directory", set(on(root.path()), "path", "/data/inner")).await.unwrap();
    store.write_value(&bitcoin(), b"1", 0).await.unwrap();
    assert_eq!(tree(root.path())[Path::new("inner/signal/BTCUSDT_a/BTCUSDT.json")], "1");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_never_nothing() {
    let root = tempdir().unwrap();
    fs::create_dir_all(root.path().join("signal/BTCUSDT_a/BTCUSDT.json")).unwrap();
    let store = start_on("directory", root.path()).await;
    let error = store.read_value(&bitcoin()).await.unwrap_err();
    assert!(error.message.contains("cannot read /data/signal/BTCUSDT_a/BTCUSDT.json: "), "{error}");
    let error = store.read_value(&at("d", "e", &"x".repeat(1000))).await.unwrap_err();
    assert!(error.message.contains("the entity id is too long for a file name: 1005 bytes"), "{error}");
    assert_eq!((error.code.as_str(), error.retryable), ("too-large", false));
}

#[tokio::test]
async fn killed_at_any_moment_it_has_every_acknowledged_write() {
    killed::survives_kills("directory", |root| {
        let files: Vec<PathBuf> = tree(root).into_keys().collect();
        let is_temp = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with(".tmp-");
        assert!(!files.iter().any(is_temp), "left: {files:?}");
    })
    .await;
}

#[test]
fn every_write_is_synced_before_and_after_the_rename() {
    let Some(calls) = durable::calls_of(3, "directory") else { return };
    let of_a_write = |call: &str| call.starts_with("rename");
    let last = calls.iter().rposition(|call| of_a_write(call)).expect("there are writes");
    for (number, call) in calls.iter().enumerate().filter(|(_, call)| of_a_write(call)) {
        let (before, after) = (&calls[number - 1], &calls[number + 1]);
        assert!(before.starts_with("fsync(") && before.contains("/.tmp-"), "{before}\n{call}");
        assert!(after.starts_with("fsync(") && after.contains("/signal/killed>"), "{call}\n{after}");
    }
    assert_eq!(calls.iter().filter(|call| of_a_write(call)).count(), 3, "{calls:#?}");
    assert_eq!(calls.len(), last + 2, "{calls:#?}");
}
