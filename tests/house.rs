//! The walls of the house: which crate may know which. `cargo metadata` says what is built upon what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde::Deserialize;

use crate::support::repository;

/// What `cargo metadata` tells.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for a normal dependency.
    kind: Option<String>,
}

/// What each package is built upon directly, tests aside.
struct House(BTreeMap<String, BTreeSet<String>>);

impl House {
    fn look() -> Self {
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .current_dir(repository())
            .output()
            .expect("cargo runs");
        assert!(metadata.status.success(), "{metadata:?}");
        let metadata: Metadata = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
        let names: BTreeMap<&str, &str> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let name = |id: &str| names[id].to_owned();
        let is_built_upon = |dependency: &&Dependency| {
            dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref().is_none_or(|kind| kind == "build"))
        };
        let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in &metadata.resolve.nodes {
            let direct = node.deps.iter().filter(is_built_upon).map(|dependency| name(&dependency.pkg));
            // Two versions of one crate are one name here.
            below.entry(name(&node.id)).or_default().extend(direct);
        }
        Self(below)
    }

    /// The crates of ours that `package` is built upon directly.
    fn ours(&self, package: &str) -> BTreeSet<&str> {
        self.0[package].iter().map(String::as_str).filter(|name| name.starts_with("sigbox")).collect()
    }

    /// Everything `package` is built upon, directly or not.
    fn all_below(&self, package: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![package];
        while let Some(package) = open.pop() {
            let below = self.0[package].iter().map(String::as_str);
            open.extend(below.filter(|name| found.insert(*name)).collect::<Vec<_>>());
        }
        found
    }
}

/// An arrow that is not here is a decision: write it down in ARCHITECTURE.md.
#[test]
fn arrows_run_down_only() {
    let house = House::look();
    for (package, below) in [
        ("sigbox-engine", ""),
        ("sigbox-files", ""),
        ("sigbox-market", "engine"),
        ("sigbox-events", "engine"),
        ("sigbox-report", "engine events"),
        ("sigbox-trading", "engine events files market"),
        ("sigbox-sandbox", "engine events files market trading"),
        ("sigbox-kit", "events market sandbox trading"),
        ("sigbox", "engine events files market sandbox trading"),
    ] {
        let below: Vec<String> = below.split_whitespace().map(|name| format!("sigbox-{name}")).collect();
        let below: BTreeSet<&str> = below.iter().map(String::as_str).collect();
        assert_eq!(house.ours(package), below, "{package}");
    }
}

#[test]
fn the_loop_never_knows_wasmtime() {
    let house = House::look();
    for package in ["sigbox-trading", "sigbox-market", "sigbox-events", "sigbox-report"] {
        let is_wasm = |name: &&str| ["wasmtime", "wasmparser", "cranelift"].iter().any(|start| name.starts_with(start));
        let wasm: Vec<_> = house.all_below(package).into_iter().filter(is_wasm).collect();
        assert!(wasm.is_empty(), "{package} is built upon {wasm:?}");
    }
    // And nobody beside the sandbox knows it directly.
    let knows = |below: &BTreeSet<String>| below.iter().any(|name| name.starts_with("wasmtime"));
    let ours = house.0.iter().filter(|(name, below)| name.starts_with("sigbox") && knows(below));
    assert_eq!(ours.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["sigbox-sandbox"]);
}

/// Without the standard library it has no clock, no disk, no network and no thread to know.
#[test]
fn the_engine_never_knows_a_clock() {
    assert_eq!(House::look().all_below("sigbox-engine"), ["libm"].into());
    let engine = fs::read_to_string(repository().join("host/engine/src/lib.rs")).unwrap();
    assert!(engine.contains("#![no_std]"), "the engine is no longer no_std");
}

#[test]
fn the_kit_never_knows_the_configuration() {
    let house = House::look();
    let below = house.all_below("sigbox-kit");
    assert!(!below.contains("sigbox") && !below.contains("toml"), "{below:?}");
}

#[test]
fn the_report_never_knows_the_runtime() {
    let house = House::look();
    let below = house.all_below("sigbox-report");
    for name in ["sigbox", "sigbox-market", "sigbox-trading", "sigbox-sandbox", "tokio"] {
        assert!(!below.contains(name), "a report is made from events alone, not with {name}");
    }
}

/// What a run is put together from.
const PARTS: [&str; 9] = [
    "Setup",
    "Seat",
    "Assignment",
    "Journal",
    "Backtest::new",
    "Live::start",
    "StrategyPlugin",
    "ReplayFeed",
    "KlinesFeed",
];

/// The command calls jobs. What a job is made of has no name in it, so a server that calls the same jobs copies nothing.
#[test]
fn the_command_never_knows_how_a_run_is_put_together() {
    let house = House::look();
    for name in ["sigbox-market", "sigbox-sandbox", "sigbox-trading"] {
        assert!(!house.0["sigbox-cli"].contains(name), "the command reaches {name} through the library only");
    }
    let mut folders = vec![repository().join("host/cli/src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let code = fs::read_to_string(&path).unwrap();
            let part = PARTS.iter().find(|part| code.contains(*part));
            assert!(part.is_none(), "{} puts runs together itself: it names {part:?}", path.display());
        }
    }
    assert!(files > 10, "only {files} files were looked at");
}
