//! Each thing a backend can do wrong is found by the case that is about it, and a backend that does nothing wrong
//! passes every case it can be put through.

use sigbox::sandbox::Grant;
use sigbox_kit::{ComponentSubject, Report, Verdict};

use super::world::{Medium, PASSWORD, World, sandbox};
use crate::support::plugin;

fn assert_passes(report: &Report, not_run: &[&str]) {
    let failures: Vec<String> = report.failures().iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let left_out: Vec<&str> = report.not_run().iter().map(|case| case.case.name).collect();
    assert_eq!(left_out, not_run);
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
}

/// Cases that need a server.
const OF_SERVERS: [&str; 8] = [
    "server restart",
    "cut while writing",
    "cut while reading",
    "slow server",
    "silent server",
    "own time limit",
    "refusing server",
    "refusing server at start",
];

/// Cases that need a storage that two instances reach.
const OF_HOSTS: [&str; 6] = [
    "an old epoch",
    "the same epoch",
    "a claim stays",
    "a claim among writes",
    "scopes apart",
    "killed while claiming",
];

/// Cases that need documents that outlive their instance.
const OF_INSTANCES: [&str; 4] = ["closed and opened again", "dropped and opened again", "two instances", "two writers"];

/// Cases that need a component whose documents outlive it.
const OF_CRASHES: [&str; 3] = ["killed while writing", "killed while removing", "killed while starting"];

#[tokio::test]
async fn the_memory_backend_passes_what_its_abilities_allow() {
    let binding = Grant { name: "tested".to_owned(), ..Grant::default() };
    let subject = ComponentSubject::new(sandbox(), plugin("persistence/memory"), binding);
    let report = sigbox_kit::run(&subject).await;
    let others = ["nothing granted", "secrets stay secret"];
    assert_passes(&report, &[OF_INSTANCES.as_slice(), &OF_HOSTS, &OF_CRASHES, &OF_SERVERS, &others].concat());
    assert_eq!(report.subject, "memory 0.1.0: memory of the plugin, lost when it stops");
    let reasons: Vec<&str> = report.not_run().iter().map(|case| case.verdict.reason()).collect();
    assert_eq!(reasons[0], "it says that it is volatile: its documents go with the instance");
    assert_eq!(reasons[OF_INSTANCES.len()], "it does not offer sigbox:persistence/fenced");
    let of_servers = OF_INSTANCES.len() + OF_HOSTS.len() + OF_CRASHES.len();
    assert_eq!(reasons[of_servers], "it was granted no network");
}

#[tokio::test]
async fn a_good_backend_on_a_folder_passes() {
    let world = World::new(Medium::Folder, "").await;
    let alone = ["two instances", "two writers"];
    assert_passes(&sigbox_kit::run(&world.subject).await, &[alone.as_slice(), &OF_HOSTS, &OF_SERVERS].concat());
}

#[tokio::test]
async fn a_good_backend_on_a_server_passes_every_case_and_leaves_nothing_there() {
    let world = World::new(Medium::Server, "").await;
    let report = sigbox_kit::run(&world.subject).await;
    assert_passes(&report, &[]);
    assert_eq!(world.server.count(), 0);
}

/// What is wrong, where the documents are, the case that must find it and what its reason must say.
const FAULTS: [(&str, Medium, &str, &str); 46] = [
    ("says nothing", Medium::Memory, "description", "its summary is empty"),
    ("hangs", Medium::Memory, "read after write", "did not answer within 2000 ms"),
    ("traps", Medium::Memory, "read after write", "write-value: trapped: "),
    ("returns 1 GiB", Medium::Memory, "read before write", "wanted more than its 64 MiB of memory"),
    ("forgets", Medium::Memory, "read after write", "read-value gave none instead of"),
    ("overwrites in place", Medium::Memory, "overwrite", "bytes over another, read-value gave"),
    ("takes null for none", Medium::Memory, "null is a value", "after null was written, read-value gave none"),
    ("removed it, always", Medium::Memory, "remove", "said that it removed what was removed before"),
    ("begins anew", Medium::Memory, "init twice", "after wait-for-init with initial true"),
    ("reformats", Medium::Memory, "unknown schema", "was written, read-value gave"),
    ("cuts documents", Medium::Memory, "large document", "after a write of 65536 bytes"),
    ("takes everything, it says", Medium::Memory, "too large", "write-value: trapped: "),
    ("mixes domains", Medium::Memory, "domains apart", "after others were in other domains"),
    ("joins names", Medium::Memory, "look-alike addresses", "others were that look like it"),
    ("drops what is no letter", Medium::Memory, "hostile names", "before it was written"),
    ("cuts names", Medium::Memory, "long names", "is taken by a name of 300 bytes"),
    ("lists in any order", Medium::Memory, "listing order", "the plugin's ids do not ascend"),
    ("skips between pages", Medium::Memory, "10,000 keys", "of 10050 ids are missing in the listing"),
    ("fills pages too well", Medium::Memory, "10,000 keys", "the plugin gave more ids than it was asked for"),
    ("keeps nothing, unsaid", Medium::Memory, "closed and opened again", "read-value gave none instead of"),
    ("writes at close", Medium::Folder, "dropped and opened again", "read-value gave none instead of"),
    ("remembers", Medium::Server, "two instances", "after the other instance removed it"),
    ("heeds no epoch", Medium::Server, "an old epoch", "a write of the old epoch was not refused"),
    ("names nobody", Medium::Server, "an old epoch", "was refused without naming who holds the scope"),
    ("shares an epoch", Medium::Server, "the same epoch", "the same epoch of another owner was not refused"),
    ("forgets claims", Medium::Server, "a claim stays", "after the instance that claimed the scope was dropped"),
    ("looks, then writes", Medium::Server, "a claim among writes", "after a claim returned, read-value gave"),
    ("has one scope", Medium::Server, "scopes apart", "holds it with epoch"),
    ("writes in two steps", Medium::Folder, "killed while writing", "which is neither the old"),
    ("removes, then writes", Medium::Folder, "killed while writing", "read-value gave none, which is neither"),
    ("removes, then writes", Medium::Server, "killed while writing", "read-value gave none, which is neither"),
    ("empties, then removes", Medium::Folder, "killed while removing", "read-value gave 0 bytes"),
    ("does not survive a start", Medium::Folder, "killed while starting", "it does not open any more"),
    ("never connects again", Medium::Server, "server restart", "after the server dropped its connections"),
    ("writes in two steps", Medium::Server, "cut while writing", "bytes to the server, the write said"),
    ("believes half an answer", Medium::Server, "cut while reading", "instead of an error"),
    ("waits a moment", Medium::Server, "slow server", "no answer"),
    ("takes silence for none", Medium::Server, "silent server", "read-value gave none, and not an error"),
    ("waits for ever", Medium::Server, "own time limit", "read-value was ended only by the host"),
    ("answers none on error", Medium::Server, "refusing server", "read-value gave none, and not an error"),
    ("answers none on error", Medium::Server, "refusing server at start", "read-value gave none, and not an error"),
    ("takes no server for a lasting error", Medium::Server, "refusing server", "is no lasting error"),
    ("takes no server for a lasting error", Medium::Server, "refusing server at start", "is no lasting error"),
    ("answers none on error", Medium::Folder, "nothing granted", "without its grants read-value gave none"),
    ("traps on error", Medium::Folder, "nothing granted", "without its grants it broke down"),
    (
        "tells secrets",
        Medium::Memory,
        "secrets stay secret",
        "it says its secret password: start: logging in with (secret)",
    ),
];

#[tokio::test]
async fn what_the_host_denied_is_in_the_reason_with_the_line_that_allows_it() {
    let mut binding = Grant { name: "tested".to_owned(), ..Grant::default() };
    for (name, value) in [("medium", "server"), ("server", "127.0.0.1:1")] {
        binding.settings.insert(name.to_owned(), value.to_owned());
    }
    let subject = ComponentSubject::new(sandbox(), plugin("hostile/backend"), binding);
    let report = sigbox_kit::run(&subject).await;
    let failures = report.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    let line = "the host denied it 127.0.0.1:1; to allow it, add \"127.0.0.1:1\" to network";
    assert!(failures[0].verdict.reason().contains(line), "{}", failures[0]);
}

#[tokio::test]
async fn each_fault_is_found_by_the_case_that_is_about_it() {
    let mut unfound = Vec::new();
    for (fault, medium, name, reason) in FAULTS {
        let world = World::new(medium, fault).await;
        let report = world.run(&[name]).await;
        let done = &report.cases[0];
        let found = matches!(&done.verdict, Verdict::Failed(said) if said.contains(reason));
        if !found {
            unfound.push(format!("{fault} on {medium:?}: {done}; expected {reason:?}"));
        }
        assert!(!done.verdict.reason().contains(PASSWORD), "{done}");
    }
    assert!(unfound.is_empty(), "{unfound:#?}");
}
