//! The `sigbox` command, from the sources that are being tested.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// The command. The first call builds it, which takes a moment when cargo finds it up to date: so it is never stale,
/// and the path is what cargo says, not a guess. The profile is the one of the tests.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// The root of the workspace.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

fn build() -> PathBuf {
    // {target}/{profile}/deps/{tests}
    let tests = env::current_exe().expect("the path of the tests is known");
    let profile_dir = tests.parent().and_then(Path::parent).expect("cargo puts tests into a profile's deps");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()).expect("profiles have simple names") {
        "debug" => "dev",
        name => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells the tests about their own package would have build scripts of dependencies run anew.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")) {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        // No package is named, so features are those of `cargo run`: what is tested is what people run.
        .args(["build", "--bin", "sigbox", "--message-format=json-render-diagnostics", "--profile", profile])
        .arg("--target-dir")
        .arg(profile_dir.parent().expect("a profile is a folder of the target directory"))
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "sigbox does not build");
    let messages = String::from_utf8(built.stdout).expect("cargo writes UTF-8");
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "sigbox").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.expect("cargo names the command it built")
}
