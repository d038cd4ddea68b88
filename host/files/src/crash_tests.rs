//! Crash tests of the documents: each test makes the file operations of a change go wrong, one after the other. The
//! process is killed, the power fails, the operation fails, or the operation is done but reports an error. Afterwards
//! every acknowledged change is there, and the document is the whole old one or the whole new one.

use std::path::{Path, PathBuf};

use super::At;
use super::documents::{Documents, make_dir, replace};
use super::error::FileError;
use super::faulty_layer::{Fault, FaultyLayer};
use super::layer::{Disk, FileLayer};
use super::power_loss::ModelDisk;

const OLD: &str = r#"{"id":"old"}"#;
const NEW: &str = r#"{"id":"new, and longer"}"#;
const DOMAIN: &str = "signal";
const ENTITY_NAME: &str = "BTCUSDT_a";

/// More operations than any change takes: at this number, a test that would never end fails instead.
const OPERATIONS_MAX: usize = 100;

/// A change during which a fault happens.
#[derive(Clone, Copy, Debug)]
enum Change {
    FirstWriteEver,
    Overwrite,
    Remove,
    Quarantine,
    InitAfterKilledWrite,
}

const CHANGES: [Change; 5] =
    [Change::FirstWriteEver, Change::Overwrite, Change::Remove, Change::Quarantine, Change::InitAfterKilledWrite];

/// The content of the directory, as the next process finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    document: Option<String>,
    quarantined: Vec<String>,
}

impl Change {
    /// Makes the documents that are there before the fault.
    fn before<L: FileLayer>(self, documents: &Documents<FaultyLayer<L>>) {
        if !matches!(self, Self::FirstWriteEver) {
            documents.write(at(), OLD.as_bytes()).unwrap();
        }
    }

    fn make<L: FileLayer>(self, documents: &Documents<FaultyLayer<L>>) -> Result<(), FileError> {
        match self {
            Self::FirstWriteEver | Self::Overwrite => documents.write(at(), NEW.as_bytes()),
            Self::Remove => documents.remove(at()).map(drop),
            Self::Quarantine => documents.quarantine(at(), 1_700_000_000_000).map(drop),
            Self::InitAfterKilledWrite => documents.prepare(DOMAIN, ENTITY_NAME),
        }
    }

    /// Whether `found` is correct after the change, which was `acknowledged` or not.
    fn allows(self, found: &Found, acknowledged: bool) -> bool {
        let document = found.document.as_deref();
        let quarantined: Vec<_> = found.quarantined.iter().map(String::as_str).collect();
        match self {
            Self::FirstWriteEver => document == Some(NEW) || (!acknowledged && document.is_none()),
            Self::Overwrite => document == Some(NEW) || (!acknowledged && document == Some(OLD)),
            Self::Remove => document.is_none() || (!acknowledged && document == Some(OLD)),
            Self::Quarantine if acknowledged => document.is_none() && quarantined == [OLD],
            // The quarantine may hold an incomplete copy, but the whole document is always at one of the two places.
            Self::Quarantine => document == Some(OLD) || (document.is_none() && quarantined.contains(&OLD)),
            Self::InitAfterKilledWrite => document == Some(OLD),
        }
    }
}

fn at() -> At<'static> {
    At { domain: DOMAIN, entity_name: ENTITY_NAME, entity_id: "BTCUSDT" }
}

fn entity_dir(root: &Path) -> PathBuf {
    root.join(DOMAIN).join(ENTITY_NAME)
}

/// Documents on `layer`, ready for `change`, in which operation `number` goes wrong.
fn store_about_to_go_wrong<L: FileLayer>(
    layer: L,
    root: &Path,
    change: Change,
    number: usize,
    fault: Fault,
) -> Documents<FaultyLayer<L>> {
    let documents = Documents::open(FaultyLayer::new(layer), root.to_owned()).unwrap();
    change.before(&documents);
    if matches!(change, Change::InitAfterKilledWrite) {
        let directory = entity_dir(root);
        let layer = &documents.layer().inner;
        let mut temp = layer.create_new(&directory.join(".tmp-0123456789ab-BTCUSDT.json")).unwrap();
        layer.write_all(&mut temp, b"{\"id\":").unwrap();
    }
    documents.layer().go_wrong_at(number, fault);
    documents
}

/// The content of the directory, as a new process finds it. The process first makes the entity ready.
fn found_on<L: FileLayer>(layer: L, root: &Path) -> Found {
    let documents = Documents::open(layer, root.to_owned()).unwrap();
    documents.prepare(DOMAIN, ENTITY_NAME).unwrap();
    assert_no_temp_files(documents.layer(), root);
    found(&documents, root)
}

fn found<L: FileLayer>(documents: &Documents<L>, root: &Path) -> Found {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let document = documents.read(at()).unwrap().map(text);
    let listed = documents.keys(DOMAIN, ENTITY_NAME).unwrap();
    assert_eq!(listed.len(), usize::from(document.is_some()), "listed: {listed:?}");
    let quarantine = entity_dir(&root.join(".quarantine"));
    let aside = documents.layer().list(&quarantine).unwrap_or_default();
    let quarantined = aside.iter().map(|name| text(documents.layer().read(&quarantine.join(name)).unwrap())).collect();
    Found { document, quarantined }
}

fn assert_no_temp_files<L: FileLayer>(layer: &L, root: &Path) {
    let names = layer.list(&entity_dir(root)).unwrap_or_default();
    assert!(!names.iter().any(|name| name.to_str().unwrap().starts_with(".tmp-")), "left: {names:?}");
}

/// Calls `check` with 0, 1, 2 and so on, until it returns false because the change has no operation of that number.
/// Returns the number of operations.
fn at_every_operation(mut check: impl FnMut(usize) -> bool) -> usize {
    (0..OPERATIONS_MAX).find(|number| !check(*number)).expect("a change takes few operations")
}

#[test]
fn a_write_costs_five_file_operations_in_this_order() {
    let documents =
        store_about_to_go_wrong(ModelDisk::new(), Path::new("/data"), Change::Overwrite, usize::MAX, Fault::Fails);
    documents.write(at(), NEW.as_bytes()).unwrap();
    assert_eq!(documents.layer().changes(), ["create_new", "write_all", "sync_file", "rename", "sync_dir"]);
}

#[test]
fn killed_at_any_operation_the_document_is_the_old_one_or_the_new_one() {
    for change in CHANGES {
        at_every_operation(|number| {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().join("dump/data");
            let documents = store_about_to_go_wrong(Disk, &root, change, number, Fault::Kills);
            let acknowledged = change.make(&documents).is_ok();
            let went_wrong = documents.layer().went_wrong();
            drop(documents);

            let found = found_on(Disk, &root);
            assert!(change.allows(&found, acknowledged), "{change:?} killed at {number}: {found:?}");
            let again = Documents::open(Disk, root).unwrap();
            again.write(at(), b"later").unwrap();
            assert_eq!(again.read(at()).unwrap(), Some(b"later".to_vec()));
            went_wrong
        });
    }
}

#[test]
fn a_power_failure_at_any_operation_loses_nothing_that_was_acknowledged() {
    let root = Path::new("/dump/data");
    for disk in [ModelDisk::new(), ModelDisk::without_links()] {
        for change in CHANGES {
            let mut outcomes = 0;
            let operations = at_every_operation(|number| {
                let documents = store_about_to_go_wrong(disk.clone(), root, change, number, Fault::Kills);
                let acknowledged = change.make(&documents).is_ok();
                documents.layer().inner.for_each_outcome(|disk| {
                    outcomes += 1;
                    let found = found_on(disk, root);
                    assert!(change.allows(&found, acknowledged), "{change:?}, power cut at {number}: {found:?}");
                });
                documents.layer().went_wrong()
            });
            assert!(outcomes > operations + 1, "{change:?}: a power failure never had a choice");
        }
    }
}

#[test]
fn what_is_read_after_a_kill_is_not_undone_by_a_power_failure() {
    let root = Path::new("/dump/data");
    for change in CHANGES {
        at_every_operation(|number| {
            let documents = store_about_to_go_wrong(ModelDisk::new(), root, change, number, Fault::Kills);
            let _ = change.make(&documents);
            let reopened = Documents::open(documents.layer().inner.clone(), root.to_owned()).unwrap();
            reopened.prepare(DOMAIN, ENTITY_NAME).unwrap();
            let seen = reopened.read(at()).unwrap();
            reopened.layer().for_each_outcome(|disk| {
                let later = found_on(disk, root).document.map(String::into_bytes);
                assert_eq!(later, seen, "{change:?} killed at {number}");
            });
            documents.layer().went_wrong()
        });
    }
}

#[test]
fn an_operation_that_fails_leaves_a_whole_document() {
    let root = Path::new("/dump/data");
    for fault in [Fault::Fails, Fault::Misreports] {
        for change in CHANGES {
            at_every_operation(|number| {
                let documents = store_about_to_go_wrong(ModelDisk::new(), root, change, number, fault);
                let outcome = change.make(&documents);
                let context = format!("{change:?}, {fault:?} at {number}: {outcome:?}");
                let found = found(&documents, root);
                assert!(change.allows(&found, outcome.is_ok()), "{context}: {found:?}");
                documents.layer().went_wrong()
            });
        }
    }
}

#[test]
fn a_change_that_failed_leaves_nothing_behind_and_can_be_tried_again() {
    let root = Path::new("/dump/data");
    for fault in [Fault::Fails, Fault::Misreports] {
        for change in [Change::FirstWriteEver, Change::Overwrite, Change::Remove] {
            at_every_operation(|number| {
                let documents = store_about_to_go_wrong(ModelDisk::new(), root, change, number, fault);
                let outcome = change.make(&documents);
                let failed_operation = documents.layer().changes().get(number).copied();
                let context = format!("{change:?}, {fault:?} at {number}: {outcome:?}");
                assert_eq!(outcome.is_err(), failed_operation.is_some(), "{context}");
                assert_no_temp_files(&documents.layer().inner, root);
                documents.layer().go_wrong_at(usize::MAX, fault);

                if failed_operation == Some("sync_dir") {
                    let error = change.make(&documents).unwrap_err();
                    assert!(error.to_string().starts_with("refusing to change anything since fsync of "), "{error}");
                    assert!(!error.is_retryable(), "{context}");
                } else {
                    assert!(outcome.as_ref().err().is_none_or(FileError::is_retryable), "{context}");
                    change.make(&documents).unwrap();
                    documents.layer().inner.for_each_outcome(|disk| {
                        let found = found_on(disk, root);
                        assert!(change.allows(&found, true), "{context}, tried again: {found:?}");
                    });
                }
                failed_operation.is_some()
            });
        }
    }
}

#[test]
fn after_a_failed_directory_fsync_everything_but_reading_is_refused() {
    let documents = store_about_to_go_wrong(ModelDisk::new(), Path::new("/data"), Change::Overwrite, 4, Fault::Fails);
    let error = documents.write(at(), NEW.as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("fsync of directory /data/signal/BTCUSDT_a failed: injected"), "{error}");
    let elsewhere = At { entity_name: "ETHUSDT_a", ..at() };
    for refused in [
        documents.write(elsewhere, b"1").unwrap_err(),
        documents.remove(at()).unwrap_err(),
        documents.quarantine(at(), 0).unwrap_err(),
        documents.prepare(DOMAIN, ENTITY_NAME).unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), format!("refusing to change anything since {error}"));
    }
    documents.read(at()).unwrap().unwrap();
    let reopened = Documents::open(documents.layer().inner.clone(), "/data".into()).unwrap();
    reopened.write(at(), NEW.as_bytes()).unwrap();
}

#[test]
fn a_document_is_set_aside_where_there_are_no_hard_links_too() {
    for disk in [ModelDisk::new(), ModelDisk::without_links()] {
        let documents = Documents::open(disk, "/data".into()).unwrap();
        documents.write(at(), OLD.as_bytes()).unwrap();
        let aside = documents.quarantine(at(), 7).unwrap();
        assert_eq!(documents.layer().read(&aside).unwrap(), OLD.as_bytes());
        assert_eq!(documents.read(at()).unwrap(), None);
    }
}

#[test]
fn what_cannot_be_set_aside_is_not_told_as_missing() {
    let about_to_go_wrong = |number| {
        store_about_to_go_wrong(ModelDisk::new(), Path::new("/data"), Change::Quarantine, number, Fault::Fails)
    };
    let whole = about_to_go_wrong(usize::MAX);
    whole.quarantine(at(), 7).unwrap();
    let linked = whole.layer().changes().iter().position(|name| *name == "hard_link").unwrap();
    let error = about_to_go_wrong(linked).quarantine(at(), 7).unwrap_err();
    let path = "/data/signal/BTCUSDT_a/BTCUSDT.json";
    assert_eq!(error.to_string(), format!("cannot set aside {path}: injected at hard_link"));
}

#[test]
fn a_root_in_a_directory_that_may_not_be_opened_is_usable_only_if_it_was_there() {
    let root = Path::new("/data");
    let make = |disk: ModelDisk, number, fault| {
        let layer = FaultyLayer::new(disk);
        layer.go_wrong_at(number, fault);
        let made = make_dir(&layer, root).map_err(|error| error.to_string());
        (made, layer.changes())
    };
    let with_root = ModelDisk::new();
    with_root.create_dir(root).unwrap();
    let both = vec!["create_dir", "sync_dir"];
    assert_eq!(make(with_root, 1, Fault::Denied), (Ok(()), both.clone()));
    // The name of a root that was just made would not be durable, so this is an error.
    let error = "cannot open directory /: permission denied".to_owned();
    assert_eq!(make(ModelDisk::new(), 1, Fault::Denied), (Err(error), both));
    // Only a missing parent is made first. After any other error, the root is not tried again.
    let error = "cannot create directory /data: injected at create_dir".to_owned();
    assert_eq!(make(ModelDisk::new(), 0, Fault::Fails), (Err(error), vec!["create_dir"]));
}

#[test]
fn the_model_disk_loses_what_a_store_without_fsync_would_lose() {
    let root = Path::new("/data");
    for forgotten in ["sync_file", "sync_dir"] {
        for change in [Change::FirstWriteEver, Change::Overwrite] {
            let documents = store_about_to_go_wrong(ModelDisk::new(), root, change, usize::MAX, Fault::Fails);
            documents.layer().skip(forgotten);
            change.make(&documents).unwrap();
            let mut losses = 0;
            documents.layer().inner.for_each_outcome(|disk| {
                let documents = Documents::open(disk, root.to_owned()).unwrap();
                let document = documents.read(at()).unwrap();
                losses += usize::from(document.as_deref() != Some(NEW.as_bytes()));
            });
            assert!(losses > 0, "{change:?} without {forgotten} lost nothing: the test is blind");
        }
    }
}

#[test]
fn a_single_file_is_replaced_all_or_nothing_too() {
    let path = Path::new("/data/bindings.json");
    for fault in [Fault::Fails, Fault::Misreports, Fault::Kills, Fault::Denied] {
        let operations = at_every_operation(|number| {
            let layer = FaultyLayer::new(ModelDisk::new());
            make_dir(&layer, path.parent().unwrap()).unwrap();
            replace(&layer, path, OLD.as_bytes()).unwrap();
            layer.go_wrong_at(number, fault);
            let replaced = replace(&layer, path, NEW.as_bytes());
            let went_wrong = layer.went_wrong();
            assert_eq!(replaced.is_err(), went_wrong, "{fault:?} at {number}");
            layer.inner.for_each_outcome(|disk| {
                let bytes = disk.read(path).unwrap();
                let is_whole = bytes == NEW.as_bytes() || (went_wrong && bytes == OLD.as_bytes());
                assert!(is_whole, "{fault:?} at {number}: {}", String::from_utf8_lossy(&bytes));
            });
            layer.go_wrong_at(usize::MAX, fault);
            replace(&layer, path, NEW.as_bytes()).unwrap();
            layer.inner.for_each_outcome(|disk| {
                assert_eq!(disk.read(path).unwrap(), NEW.as_bytes(), "{fault:?} at {number}");
                assert_eq!(disk.list(path.parent().unwrap()).unwrap(), ["bindings.json"], "{fault:?} at {number}");
            });
            went_wrong
        });
        assert_eq!(operations, 5);
    }
    assert!(replace(&ModelDisk::new(), Path::new("/"), b"").is_err());
}
