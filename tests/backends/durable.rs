//! What the host asks the operating system for when a plugin writes.

use std::{fs, process::Command};

use tempfile::tempdir;

use super::killed::writer;
use crate::support::not_run;

/// The calls that make things durable or rename them, in the order they were made, while a process starts a plugin on a
/// folder of its own and makes `writes` writes. `None` where there is no `strace`.
pub(super) fn calls_of(writes: u64, plugin: &str) -> Option<Vec<String>> {
    let folder = tempdir().unwrap();
    let log = tempdir().unwrap();
    let log = log.path().join("calls");
    let traced = Command::new("strace")
        .args(["--follow-forks", "--decode-fds=path", "--quiet=all", "--signal=none", "--output"])
        .arg(&log)
        .arg("--trace=fsync,fdatasync,rename,renameat,renameat2")
        .args(writer(plugin, writes, folder.path()))
        .output();
    let Ok(traced) = traced else {
        not_run(&format!("that writes of {plugin} are synced"), "strace");
        return None;
    };
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let calls = fs::read_to_string(&log).unwrap();
    let folder = folder.path().to_str().unwrap();
    // The process id comes first.
    let calls = calls.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim().to_owned());
    let calls: Vec<String> = calls.filter(|call| call.contains(folder)).collect();
    assert!(calls.iter().all(|call| call.ends_with("= 0")), "{calls:#?}");
    Some(calls)
}
