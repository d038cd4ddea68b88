//! What cargo builds: dependencies once, whatever people type first.

use std::process::Command;

use crate::support::repository;

/// Every package that is built, with its features; `what` says for which packages, and which kinds of dependencies
/// count.
fn features(what: &[&str]) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--format", "{p} {f}", "--prefix", "none"])
        .args(what)
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{tree:?}");
    let text = String::from_utf8(tree.stdout).expect("cargo writes UTF-8");
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn cargo_run_builds_dependencies_with_the_features_of_cargo_test() {
    let (run, test) = (features(&["--edges", "normal,build"]), features(&["--edges", "normal,build,dev"]));
    assert!(run.iter().any(|line| line.starts_with("wasmtime v")), "{run:#?}");
    let only_in_tests: Vec<_> = test.iter().filter(|line| !run.contains(line)).collect();
    assert!(only_in_tests.is_empty(), "add them to tests/Cargo.toml, or wasmtime is built twice: {only_in_tests:#?}");
}

#[test]
fn the_tests_alone_build_wasmtime_with_the_features_of_everything() {
    let (all, alone) = (features(&[]), features(&["--package", "sigbox-tests"]));
    assert!(alone.iter().any(|line| line.starts_with("wasmtime v")), "{alone:#?}");
    // What only the benches use may differ: it is small, and nothing else is built upon it.
    let differs = |line: &&String| !all.contains(line) && !line.starts_with("clap") && !line.starts_with("regex");
    let only_alone: Vec<_> = alone.iter().filter(differs).collect();
    assert!(only_alone.is_empty(), "add them to tests/Cargo.toml, or wasmtime is built twice: {only_alone:#?}");
}
