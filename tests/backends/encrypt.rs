//! `persistence/encrypt`: whatever keeps the documents sees none of them.

use std::{collections::BTreeMap, fs, sync::Arc};

use sigbox::{
    sandbox::{Grant, PluginStore, Secret},
    trading::store::{FileStore, MemoryStore, Store, StoreError},
};
use tempfile::tempdir;

use super::binding::{at, bitcoin, over, passes_the_kit, quick_folder, refusal, set, start, start_on};
use crate::support::{Configuration, Workplace, plugin};

/// 32 bytes of each.
const ONE: &str = "one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

const ROW: &str = r#"{"id":"c0ffee","symbol":"BTCUSDT","priceOpen":42000.5,"note":"the secret plan"}"#;

/// What is in no store that keeps [`ROW`] sealed: names and values.
const SECRETS: [&str; 6] = ["c0ffee", "priceOpen", "42000.5", "note", "secret plan", "symbol"];

fn keys(lines: &str, binding: Grant) -> Grant {
    let secrets = BTreeMap::from([("keys".to_owned(), Secret::from(lines.to_owned()))]);
    Grant { secrets, ..binding }
}

async fn sealing(lines: &str, inner: &Arc<dyn Store>) -> PluginStore {
    start("encrypt", keys(lines, over(inner))).await.unwrap()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

async fn raw(inner: &Arc<dyn Store>) -> String {
    String::from_utf8(inner.read_value(&bitcoin()).await.unwrap().unwrap()).unwrap()
}

async fn write(store: &dyn Store, document: &str) {
    store.write_value(&bitcoin(), document.as_bytes(), 1).await.unwrap();
}

async fn read(store: &dyn Store) -> Result<Option<String>, StoreError> {
    Ok(store.read_value(&bitcoin()).await?.map(|value| String::from_utf8(value).unwrap()))
}

async fn assert_corrupt(store: &dyn Store, why: &str) {
    let error = read(store).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retryable), ("corrupt", false), "{error}");
    assert!(error.message.contains(why), "{why}: {error}");
}

#[tokio::test]
async fn it_passes_the_kit_over_memory_files_and_plugins() {
    let (own, files, database) = (quick_folder(), quick_folder(), quick_folder());
    let stores: [Arc<dyn Store>; 4] = [
        memory(),
        Arc::new(FileStore::open(own.path()).unwrap()),
        Arc::new(start_on("directory", files.path()).await),
        Arc::new(start_on("redb", database.path()).await),
    ];
    for store in &stores {
        passes_the_kit("encrypt", keys(ONE, over(store))).await;
    }
}

#[tokio::test]
async fn a_file_store_keeps_json_that_says_nothing() {
    let root = tempdir().unwrap();
    let inner: Arc<dyn Store> = Arc::new(FileStore::open(root.path()).unwrap());
    let store = sealing(ONE, &inner).await;
    assert!(store.describe().contains("sealed in files under "), "{}", store.describe());
    write(&store, ROW).await;
    assert_eq!(read(&store).await.unwrap().as_deref(), Some(ROW));

    let kept = fs::read_to_string(root.path().join("signal/BTCUSDT_a/BTCUSDT.json")).unwrap();
    let envelope: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let members: Vec<&String> = envelope.as_object().unwrap().keys().collect();
    assert_eq!(members, ["data", "key", "nonce", "sealed"]);
    for secret in SECRETS {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
    write(&store, ROW).await;
    let again = fs::read_to_string(root.path().join("signal/BTCUSDT_a/BTCUSDT.json")).unwrap();
    assert_ne!(kept, again, "the same document twice is not to be recognised");
}

#[tokio::test]
async fn a_plugin_can_be_wrapped_and_its_file_says_nothing() {
    let root = tempdir().unwrap();
    let inner: Arc<dyn Store> = Arc::new(start_on("redb", root.path()).await);
    let store = sealing(ONE, &inner).await;
    store.wait_for_init("signal", "BTCUSDT_a", true).await.unwrap();
    write(&store, ROW).await;
    assert_eq!(read(&store).await.unwrap().as_deref(), Some(ROW));
    assert_eq!(store.keys("signal", "BTCUSDT_a").await.unwrap(), ["BTCUSDT"]);
    store.close().await;
    let kept = fs::read(root.path().join("sigbox.redb")).unwrap();
    for secret in SECRETS {
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    assert!(kept.windows(7).any(|window| window == b"BTCUSDT"), "names are not hidden");
}

#[tokio::test]
async fn nothing_is_there_before_the_first_write_and_after_the_removal() {
    let store = sealing(ONE, &memory()).await;
    assert_eq!(read(&store).await.unwrap(), None);
    write(&store, "null").await;
    assert_eq!(read(&store).await.unwrap().as_deref(), Some("null"));
    assert!(store.has_value(&bitcoin()).await.unwrap());
    assert!(store.remove_value(&bitcoin()).await.unwrap());
    assert!(!store.remove_value(&bitcoin()).await.unwrap());
    assert_eq!(read(&store).await.unwrap(), None);
}

#[tokio::test]
async fn whatever_part_is_changed_it_is_corrupt_and_never_nothing() {
    let inner = memory();
    let store = sealing(ONE, &inner).await;
    write(&store, ROW).await;
    let kept = raw(&inner).await;
    // Another letter that is still base64, or another digit: what a careful hand would do.
    let swapped = |start: &str, offset: usize| {
        let place = kept.find(start).unwrap() + start.len() + offset;
        let other = if &kept[place..=place] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &kept[..place], &kept[place + 1..])
    };
    let nonce = "\"nonce\":\"";
    let data = "\"data\":\"";
    let last = kept.len() - kept.find(data).unwrap() - data.len() - 8;
    for (part, changed, why) in [
        ("version", kept.replace("\"sealed\":1", "\"sealed\":2"), "is sealed in version 2"),
        ("key", kept.replace("\"one\"", "\"two\""), "is sealed with the key \"two\", which is not in the secret keys"),
        ("first of the nonce", swapped(nonce, 0), "does not open"),
        ("last of the nonce", swapped(nonce, 31), "does not open"),
        ("first of the text", swapped(data, 0), "does not open"),
        ("middle of the text", swapped(data, 50), "does not open"),
        ("the proof", swapped(data, last), "does not open"),
        ("a member more", kept.replace("{\"", "{\"x\":1,\""), "does not open"),
        ("a member less", kept.replace("\"key\":\"one\",", ""), "does not open"),
        ("no sealed", kept.replace("\"sealed\":1,", ""), "is not sealed"),
        ("the end", kept[..kept.len() - 10].to_owned(), "does not open"),
        ("all of it", String::new(), "does not open"),
    ] {
        assert_ne!(changed, kept, "{part}");
        inner.write_value(&bitcoin(), changed.as_bytes(), 1).await.unwrap();
        assert_corrupt(&store, why).await;
    }
    inner.write_value(&bitcoin(), kept.as_bytes(), 1).await.unwrap();
    assert_eq!(read(&store).await.unwrap().as_deref(), Some(ROW), "put back, it opens");
}

#[tokio::test]
async fn a_document_opens_only_at_its_own_address() {
    let inner = memory();
    let store = sealing(ONE, &inner).await;
    write(&store, ROW).await;
    let kept = raw(&inner).await;
    for elsewhere in [
        at("schedule", "BTCUSDT_a", "BTCUSDT"),
        at("signal", "ETHUSDT_a", "BTCUSDT"),
        at("signal", "BTCUSDT_a", "ETHUSDT"),
        at("signal", "BTCUSDT_", "aBTCUSDT"),
    ] {
        inner.write_value(&elsewhere, kept.as_bytes(), 1).await.unwrap();
        let error = store.read_value(&elsewhere).await.unwrap_err();
        assert_eq!(error.code, "corrupt", "{error}");
    }
}

#[tokio::test]
async fn keys_are_rotated_one_write_at_a_time() {
    let inner = memory();
    write(&sealing(ONE, &inner).await, ROW).await;
    let rotating = sealing(&format!("{TWO}\n{ONE}"), &inner).await;
    assert_eq!(read(&rotating).await.unwrap().as_deref(), Some(ROW));
    assert_corrupt(&sealing(TWO, &inner).await, "is sealed with the key \"one\"").await;
    write(&rotating, "1").await;
    assert_eq!(read(&sealing(TWO, &inner).await).await.unwrap().as_deref(), Some("1"));
    assert_corrupt(&sealing(ONE, &inner).await, "is sealed with the key \"two\"").await;
    let same_name = TWO.replace("two", "one");
    write(&sealing(ONE, &inner).await, ROW).await;
    assert_corrupt(&sealing(&same_name, &inner).await, "does not open").await;
}

#[tokio::test]
async fn documents_from_before_are_refused_or_taken_over() {
    let inner = memory();
    inner.write_value(&bitcoin(), ROW.as_bytes(), 1).await.unwrap();
    assert_corrupt(&sealing(ONE, &inner).await, "is not sealed; to take over").await;

    let taking_over = start("encrypt", set(keys(ONE, over(&inner)), "accept-plain", "true")).await.unwrap();
    assert_eq!(read(&taking_over).await.unwrap().as_deref(), Some(ROW));
    write(&taking_over, ROW).await;
    assert!(!raw(&inner).await.contains("priceOpen"));
    assert_eq!(read(&sealing(ONE, &inner).await).await.unwrap().as_deref(), Some(ROW));

    let broken = raw(&inner).await.replace("\"data\"", "\"date\"");
    inner.write_value(&bitcoin(), broken.as_bytes(), 1).await.unwrap();
    assert_corrupt(&taking_over, "does not open").await;
}

#[tokio::test]
async fn a_wrong_binding_says_what_to_write_and_no_secret() {
    let inner = memory();
    let said = refusal("encrypt", over(&inner)).await;
    assert!(said.contains("there is no secret keys; its lines are id:base64 of 32 bytes"), "{said}");
    let said = refusal("encrypt", keys("one:c2hvcnQga2V5", over(&inner))).await;
    assert!(said.contains("line 1 of the secret keys is not id:base64 with 32 bytes"), "{said}");
    assert!(!said.contains("c2hvcnQga2V5"), "{said}");
    let said = refusal("encrypt", set(keys(ONE, over(&inner)), "accept-plain", "yes")).await;
    assert!(said.contains("accept-plain is \"yes\"; it is true or false"), "{said}");
    let said = refusal("encrypt", set(keys(ONE, over(&inner)), "key", "x")).await;
    assert!(said.contains("no setting \"key\"; there are: accept-plain"), "{said}");
    let said = refusal("encrypt", keys(ONE, Grant { name: "kept".to_owned(), ..Grant::default() })).await;
    assert!(said.contains("over"), "{said}");
}

#[tokio::test]
async fn it_takes_what_fits_sealed_into_what_it_wraps() {
    let limited: Arc<dyn Store> =
        Arc::new(start("memory", Grant { name: "inner".to_owned(), ..Grant::default() }).await.unwrap());
    let store = sealing(ONE, &limited).await;
    let most = usize::try_from(store.max_value_bytes()).unwrap();
    assert!(most > 780_000 && most < 1 << 20, "{most} of {}", limited.max_value_bytes());
    store.write_value(&bitcoin(), &vec![b'1'; most], 1).await.unwrap();
    assert_eq!(read(&store).await.unwrap().unwrap().len(), most);
    let error = store.write_value(&bitcoin(), &vec![b'1'; most + 1], 1).await.unwrap_err();
    assert_eq!(error.code, "too-large", "{error}");
    assert_eq!(sealing(ONE, &memory()).await.max_value_bytes(), 4 << 20);
}

/// A day of trading whose documents are sealed in the data directory.
fn sealed_files(settings: &str) -> Configuration {
    let plugin = plugin("persistence/encrypt");
    let domains = ["signal", "schedule", "risk", "partial"].map(|domain| format!("{domain} = \"sealed\"\n")).concat();
    let binding = format!(
        "[persistence]\n{domains}[stores.sealed]\nplugin = '{}'\nsecrets = {{ keys = {{ file = \"sealing-keys\" }} }}\n\
         over = \"file\"\n{settings}",
        plugin.display()
    );
    Configuration::sma_cross(1).section(&binding)
}

/// The key every document is sealed with.
fn assert_sealed_with(workplace: &Workplace, id: &str) {
    let documents = workplace.documents();
    assert!(!documents.is_empty());
    for (name, document) in documents {
        let start = format!("{{\"sealed\":1,\"key\":\"{id}\",");
        assert!(document.starts_with(&start), "{name}: {document}");
    }
}

#[test]
fn files_are_taken_over_and_a_copy_onto_itself_seals_every_document_anew() {
    let workplace = Workplace::new(&Configuration::sma_cross(1));
    workplace.succeed(&["live"]);
    workplace.configure(&sealed_files("settings = { accept-plain = true }"));
    workplace.write("sealing-keys", ONE);
    workplace.succeed(&["live"]);
    for (keys, id) in [(ONE.to_owned(), "one"), (format!("{TWO}\n{ONE}"), "two")] {
        workplace.write("sealing-keys", keys);
        workplace.succeed(&["state", "copy", "--from", "sealed", "--to", "sealed", "--replace"]);
        assert_sealed_with(&workplace, id);
    }
    workplace.configure(&sealed_files(""));
    workplace.write("sealing-keys", TWO);
    workplace.succeed(&["live"]);
    assert_sealed_with(&workplace, "two");
}

#[test]
fn state_is_moved_from_a_plain_store_into_a_sealed_one() {
    let workplace = Workplace::new(&Configuration::sma_cross(1));
    workplace.succeed(&["live"]);
    let plain = workplace.documents();
    let folder = plugin("persistence/directory");
    let kept = format!("[stores.kept]\nplugin = '{}'\ndirectories = {{ \"/data\" = \"kept\" }}", folder.display());
    let configuration = sealed_files("").to_toml().replace("over = \"file\"", "over = \"kept\"");
    workplace.write("sigbox.toml", format!("{configuration}\n{kept}\n"));
    workplace.write("sealing-keys", ONE);
    workplace.succeed(&["state", "copy", "--from", "file", "--to", "sealed"]);
    for (name, document) in &plain {
        let sealed = workplace.read(&format!("kept/{name}"));
        assert!(sealed.starts_with("{\"sealed\":1,\"key\":\"one\",") && sealed != *document, "{name}: {sealed}");
    }
    workplace.succeed(&["live"]);
    assert_eq!(workplace.documents(), plain, "what was moved stays where it was");
}
