//! Sources of plugins: turns the path of a plugin in a configuration into a program. A `.wasm` file is taken as it is, a
//! folder of Rust is built, and a text is given to the interpreter of its language.

mod receipt;
mod text;

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::SystemTime,
};

use serde::Deserialize;
use sigbox_sandbox::Program;

use self::{receipt::Receipt, text::Language};

/// The target plugins are built for.
const TARGET: &str = "wasm32-wasip2";

/// Variables that are meant for the build of the host. They are removed for the build of a plugin, because they would
/// change its result or its folder. Variables that describe the toolchain stay.
const HOST_BUILD_VARIABLES: [&str; 15] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    // `cargo run` and `cargo test` set these for the program they start. With them, a build script that watches one
    // would run again each time the host is started another way.
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// What can be named as a plugin.
const KINDS: &str = "a .wasm file, a folder with a Cargo.toml, or a text: .py, .js or .ts";

/// What a plugin does. An interpreter is built for one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A strategy.
    Strategy,
    /// A persistence backend.
    Backend,
}

/// What programs are made with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program that builds folders of Rust, a path or a name.
    pub cargo: OsString,
    /// Gives the folders with interpreters, of which the first that has one counts. Only asked for a text.
    pub interpreters: fn() -> Vec<PathBuf>,
}

/// The program of `plugin`: its component, and its text with the interpreter for `role` if it is one. A folder is built as
/// by [`resolve`]. Blocks.
///
/// # Errors
/// As [`resolve`], and when a text or one of the files that it imports cannot be read, or has no interpreter.
pub fn program(
    plugin: &Path,
    role: Role,
    tools: &Tools,
    on_progress: &mut dyn FnMut(&str),
) -> Result<Program, PluginSourceError> {
    let language = Language::of(plugin).filter(|_| plugin.exists() && !plugin.is_dir());
    let Some(language) = language else {
        return resolve(plugin, &tools.cargo, on_progress).map(Program::from);
    };
    let text = text::read(plugin, language)?;
    let language = language.interpreter();
    let role = match role {
        Role::Strategy => "strategy",
        Role::Backend => "backend",
    };
    let interpreter = format!("{language}-{role}.wasm");
    let folders = (tools.interpreters)();
    match text::interpreter(&interpreter, &folders) {
        Some(component) => Ok(Program { component, text: Some(text.into()) }),
        None => {
            let file = plugin.to_owned();
            Err(PluginSourceError::NoInterpreter { file, interpreter, language, folders })
        }
    }
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginSourceError {
    /// There is nothing at the path.
    #[error("there is no plugin at {}; it must be {KINDS}", .0.display())]
    Missing(PathBuf),
    /// The file has another ending than plugins have.
    #[error("{} is no plugin; it must be {KINDS}", .0.display())]
    NotAPlugin(PathBuf),
    /// A text cannot be read.
    #[error("plugin file {} cannot be read: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A text imports a file that is not in the folder of the plugin, or below it.
    #[error(
        "{} imports {import}, which is not in its folder; a plugin has the files beside the one that is named, and those \
         below",
        .file.display()
    )]
    OutsideFolder {
        /// The file with the import.
        file: PathBuf,
        /// What it imports.
        import: String,
    },
    /// There is no interpreter for a text.
    #[error(
        "plugin {} needs the interpreter {interpreter}, which is in none of these folders: {}; \
         `plugins/interpreters/{language}/build FOLDER` makes it, and SIGBOX_INTERPRETERS names another folder",
        .file.display(), .folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoInterpreter {
        /// The plugin.
        file: PathBuf,
        /// The file name of the interpreter.
        interpreter: String,
        /// The name of its language.
        language: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// The folder has no `Cargo.toml`.
    #[error("folder {} has no Cargo.toml; name the folder of the plugin's package, or a .wasm file", .0.display())]
    NoManifest(PathBuf),
    /// The interpreter for a text could not be made.
    #[error("{0}")]
    InterpreterFailed(String),
    /// Cargo is not installed.
    #[error(
        "cannot build plugin {}: there is no {}; install Rust with rustup (https://rustup.rs), or name a .wasm file",
        .folder.display(), .cargo.display()
    )]
    NoCargo {
        /// The plugin.
        folder: PathBuf,
        /// The program that was to be run.
        cargo: OsString,
    },
    /// Cargo exists, but does not run, or its output cannot be read.
    #[error("cannot build plugin {}: {} does not run: {source}", .folder.display(), .cargo.display())]
    CargoDoesNotRun {
        /// The plugin.
        folder: PathBuf,
        /// The program that was to be run.
        cargo: OsString,
        /// What the operating system said.
        source: io::Error,
    },
    /// The compiler has no standard library for plugins.
    #[error(
        "cannot build plugin {}: the target {TARGET} is not installed, and rustup could not add it; run \
         `rustup target add {TARGET}`",
        .0.display()
    )]
    NoTarget(PathBuf),
    /// The plugin does not compile.
    #[error("cannot build plugin {}; cargo says:\n{}", .folder.display(), .output.trim_end())]
    BuildFailed {
        /// The plugin.
        folder: PathBuf,
        /// All that cargo wrote to standard error.
        output: String,
    },
    /// The plugin compiles, but not into a component.
    #[error(
        "plugin {} builds, but not into a component; its Cargo.toml must say [lib] crate-type = [\"cdylib\"]",
        .0.display()
    )]
    NoComponent(PathBuf),
}

/// The component file of `plugin`. A `.wasm` file is returned as it is, without a look inside. A folder with a
/// `Cargo.toml` is built in release mode if it has changed, which may take minutes. Blocks.
///
/// `cargo` is the program to build with, a path or a name. `on_progress` gets each line that cargo writes, without its
/// line end.
///
/// # Errors
/// When there is no such plugin, or it cannot be built; each case says what to do.
pub fn resolve(plugin: &Path, cargo: &OsStr, on_progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PluginSourceError> {
    if plugin.is_dir() {
        return build(plugin, cargo, on_progress);
    }
    match plugin.try_exists() {
        // A file that cannot be looked up may still be readable. If it is not, reading it fails with the reason.
        Ok(true) | Err(_) if plugin.extension() == Some(OsStr::new("wasm")) => Ok(plugin.to_owned()),
        Ok(true) | Err(_) => Err(PluginSourceError::NotAPlugin(plugin.to_owned())),
        Ok(false) => Err(PluginSourceError::Missing(plugin.to_owned())),
    }
}

fn build(folder: &Path, cargo: &OsStr, on_progress: &mut dyn FnMut(&str)) -> Result<PathBuf, PluginSourceError> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(PluginSourceError::NoManifest(folder.to_owned()));
    }
    if let Some(component) = Receipt::component(folder) {
        return Ok(component);
    }
    let began = SystemTime::now();
    let does_not_run = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PluginSourceError::NoCargo { folder: folder.to_owned(), cargo: cargo.to_owned() },
        _ => PluginSourceError::CargoDoesNotRun { folder: folder.to_owned(), cargo: cargo.to_owned(), source },
    };
    let mut output = run(build_command(folder, cargo), on_progress).map_err(does_not_run)?;
    // The target is missing if rustup may not install what rust-toolchain.toml lists, or if the plugin has no such
    // file. Without rustup the target cannot be added, and the error below says what is missing.
    if !output.success && is_target_missing(&output.log) {
        let added = run(target_command(folder), on_progress);
        if added.is_ok_and(|added| added.success) {
            output = run(build_command(folder, cargo), on_progress).map_err(does_not_run)?;
        }
    }
    let Output { success, messages, log } = output;
    if !success {
        return Err(if is_target_missing(&log) {
            PluginSourceError::NoTarget(folder.to_owned())
        } else {
            PluginSourceError::BuildFailed { folder: folder.to_owned(), output: log }
        });
    }
    let artifacts = artifacts(&messages);
    let component = component(&artifacts, &manifest);
    let component = component.ok_or_else(|| PluginSourceError::NoComponent(folder.to_owned()))?;
    if Receipt::keep(folder, &component, &artifacts, began).is_none() {
        tracing::debug!("cargo will be asked about plugin {} each time", folder.display());
    }
    Ok(component)
}

/// The output of a run of cargo.
struct Output {
    success: bool,
    /// Standard output: a JSON message a line.
    messages: String,
    /// Standard error: progress, and diagnostics as people read them.
    log: String,
}

/// Runs `command` to its end.
fn run(mut command: Command, on_progress: &mut dyn FnMut(&str)) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both streams are read at once. Otherwise cargo would wait for ever when the one that is not read is full.
    let messages = thread::spawn(move || -> io::Result<String> {
        let mut messages = Vec::new();
        if let Some(mut stdout) = stdout {
            stdout.read_to_end(&mut messages)?;
        }
        Ok(String::from_utf8_lossy(&messages).into_owned())
    });
    let log = stderr.map_or_else(|| Ok(String::new()), |stderr| follow(stderr, on_progress));
    let messages = messages.join().unwrap_or_else(|_| Err(io::Error::other("reading its messages panicked")));
    // The process is waited for even after an error, so that none is left behind.
    let status = child.wait()?;
    Ok(Output { success: status.success(), messages: messages?, log: log? })
}

fn build_command(folder: &Path, cargo: &OsStr) -> Command {
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .current_dir(folder);
    for variable in HOST_BUILD_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The command that installs the target for the toolchain that builds the folder.
fn target_command(folder: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).current_dir(folder);
    command
}

/// Passes each line to `on_progress` as it comes, and returns all lines.
fn follow(stderr: impl Read, on_progress: &mut dyn FnMut(&str)) -> io::Result<String> {
    let mut log = String::new();
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while stderr.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        on_progress(text.trim_end_matches(['\r', '\n']));
        log.push_str(&text);
        line.clear();
    }
    Ok(log)
}

/// Whether the log has rustc's note about a missing target, which has not changed since 2015. The error's code does not
/// tell, because any missing crate has the same one.
fn is_target_missing(log: &str) -> bool {
    log.contains("target may not be installed")
}

/// The artifacts that were built, or found up to date. Other lines are left out: messages of other kinds, and texts
/// that macros print.
fn artifacts(messages: &str) -> Vec<Artifact> {
    messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The component among the artifacts: that of the package of `manifest`, not that of a dependency.
fn component(artifacts: &[Artifact], manifest: &Path) -> Option<PathBuf> {
    let manifest = manifest.canonicalize().ok()?;
    let is_ours = |artifact: &&Artifact| {
        artifact.target.kind.iter().any(|kind| kind == "cdylib")
            && artifact.manifest_path.canonicalize().is_ok_and(|path| path == manifest)
    };
    let files = artifacts.iter().filter(is_ours).flat_map(|artifact| &artifact.filenames);
    files.into_iter().find(|file| file.extension() == Some(OsStr::new("wasm"))).cloned()
}

/// Cargo's message about something it has built, or found up to date.
#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    manifest_path: PathBuf,
    target: ArtifactTarget,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    kind: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The cargo that runs this test. It has the target.
    fn cargo() -> OsString {
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
    }

    fn error(plugin: &Path, cargo: &OsStr) -> String {
        resolve(plugin, cargo, &mut |_| {}).unwrap_err().to_string()
    }

    /// A package in a workspace of its own, so that cargo takes no other workspace for its own.
    fn package(manifest: &str, file: &str, code: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!("[package]\nname = \"p\"\nedition = \"2024\"\n[workspace]\n{manifest}");
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src").join(file), code).unwrap();
        folder
    }

    /// A change to a file or folder.
    type Change<'a> = &'a dyn Fn(&Path);

    const COMPONENT: &str = "[lib]\ncrate-type = [\"cdylib\"]\n";

    #[test]
    fn a_folder_is_built_when_it_has_changed_and_cargo_not_asked_when_not() {
        let folder = package(COMPONENT, "lib.rs", "");
        let path = folder.path();
        let mut lines = Vec::new();
        let built = resolve(path, &cargo(), &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(built.file_name(), Some(OsStr::new("p.wasm")));
        assert_eq!(fs::read(&built).unwrap()[..4], *b"\0asm");
        assert!(lines.iter().any(|line| line.contains("Finished")), "{lines:?}");
        // The first build leaves no receipt, because the lock file is newer than the beginning of that build. The
        // second one does.
        resolve(path, &cargo(), &mut |_| {}).unwrap();
        assert_eq!(resolve(path, OsStr::new("no-such-cargo"), &mut |_| {}).unwrap(), built);

        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        fs::create_dir(path.join(".cargo")).unwrap();
        let changes: [(&str, Change<'_>); 4] = [
            ("src/lib.rs", &|file| fs::write(file, "pub fn f() {}").unwrap()),
            ("Cargo.toml", &|file| fs::write(file, format!("{manifest}# changed")).unwrap()),
            (".cargo/config.toml", &|file| fs::write(file, "").unwrap()),
            ("target/wasm32-wasip2/release/p.wasm", &|file| fs::remove_file(file).unwrap()),
        ];
        for (file, change) in changes {
            change(&path.join(file));
            assert!(error(path, OsStr::new("no-such-cargo")).contains("there is no no-such-cargo"), "{file}");
            assert_eq!(resolve(path, &cargo(), &mut |_| {}).unwrap(), built, "{file}");
            assert_eq!(resolve(path, OsStr::new("no-such-cargo"), &mut |_| {}).unwrap(), built, "{file}");
        }

        // With a build script, files do not tell everything, so cargo is asked from now on.
        fs::write(path.join("build.rs"), "fn main() {}").unwrap();
        assert!(error(path, OsStr::new("no-such-cargo")).contains("there is no no-such-cargo"), "build.rs");
        fs::remove_file(path.join("build.rs")).unwrap();
        assert_eq!(resolve(path, OsStr::new("no-such-cargo"), &mut |_| {}).unwrap(), built, "it is as it was");

        let elsewhere = tempfile::tempdir().unwrap();
        let moved = elsewhere.path().join("moved");
        fs::rename(path, &moved).unwrap();
        assert!(error(&moved, OsStr::new("no-such-cargo")).contains("there is no no-such-cargo"));
    }

    #[test]
    fn cargo_is_always_asked_where_files_do_not_tell_everything() {
        let in_an_hour = SystemTime::now() + std::time::Duration::from_secs(3600);
        let cases: [(&str, Change<'_>); 3] = [
            ("a variable", &|folder| {
                fs::write(folder.join("src/lib.rs"), "pub const V: Option<&str> = option_env!(\"V\");").unwrap();
            }),
            ("a build script", &|folder| fs::write(folder.join("build.rs"), "fn main() {}").unwrap()),
            ("a file that may be newer than what cargo has read", &|folder| {
                fs::File::open(folder.join("src/lib.rs")).unwrap().set_modified(in_an_hour).unwrap();
            }),
        ];
        for (what, add) in cases {
            let folder = package(COMPONENT, "lib.rs", "");
            add(folder.path());
            for _ in 0..2 {
                resolve(folder.path(), &cargo(), &mut |_| {}).unwrap();
            }
            assert!(error(folder.path(), OsStr::new("no-such-cargo")).contains("there is no no-such-cargo"), "{what}");
        }
    }

    #[test]
    fn the_component_is_that_of_the_folder_and_not_one_it_depends_on() {
        let folder = package(
            &format!("{COMPONENT}[dependencies]\ndep = {{ path = \"dep\" }}\n"),
            "lib.rs",
            "#[unsafe(no_mangle)] pub extern \"C\" fn used() -> i32 { dep::seven() }",
        );
        let dep = folder.path().join("dep");
        fs::create_dir_all(dep.join("src")).unwrap();
        let manifest = "[package]\nname = \"dep\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n";
        fs::write(dep.join("Cargo.toml"), manifest).unwrap();
        fs::write(dep.join("src/lib.rs"), "pub fn seven() -> i32 { 7 }").unwrap();
        let built = resolve(folder.path(), &cargo(), &mut |_| {}).unwrap();
        assert_eq!(built.file_name(), Some(OsStr::new("p.wasm")));
    }

    #[test]
    fn what_is_set_for_the_build_of_the_host_does_not_reach_that_of_the_plugin() {
        let command = build_command(Path::new("."), OsStr::new("cargo"));
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
            assert!(removed.contains(&OsStr::new(variable)), "{variable} is left in {removed:?}");
        }
        assert!(!removed.contains(&OsStr::new("RUSTUP_TOOLCHAIN")), "the toolchain is one for all");
    }

    #[test]
    fn a_wasm_file_is_its_own_component() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.wasm");
        assert_eq!(
            error(&file, OsStr::new("cargo")),
            format!("there is no plugin at {}; it must be {KINDS}", file.display())
        );
        fs::write(&file, "").unwrap();
        assert_eq!(resolve(&file, OsStr::new("no-such-cargo"), &mut |_| {}).unwrap(), file);
        let other = folder.path().join("s.rs");
        fs::write(&other, "").unwrap();
        assert_eq!(error(&other, OsStr::new("cargo")), format!("{} is no plugin; it must be {KINDS}", other.display()));
    }

    #[test]
    fn a_folder_without_a_package_is_refused_before_cargo_finds_another_one_above_it() {
        let folder = package(COMPONENT, "lib.rs", "");
        let inner = folder.path().join("src");
        assert_eq!(
            error(&inner, &cargo()),
            format!(
                "folder {} has no Cargo.toml; name the folder of the plugin's package, or a .wasm file",
                inner.display()
            )
        );
    }

    #[test]
    fn a_missing_cargo_says_what_to_install() {
        let folder = package(COMPONENT, "lib.rs", "");
        assert_eq!(
            error(folder.path(), OsStr::new("no-such-cargo")),
            format!(
                "cannot build plugin {}: there is no no-such-cargo; install Rust with rustup (https://rustup.rs), or \
                 name a .wasm file",
                folder.path().display()
            )
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_cargo_that_may_not_be_run_says_so() {
        let folder = package(COMPONENT, "lib.rs", "");
        let message = error(folder.path(), folder.path().join("Cargo.toml").as_os_str());
        assert!(message.ends_with("Cargo.toml does not run: Permission denied (os error 13)"), "{message}");
    }

    #[test]
    fn code_that_does_not_compile_is_shown_as_cargo_shows_it() {
        let folder = package(COMPONENT, "lib.rs", "fn f() -> i32 { \"seven\" }");
        let message = error(folder.path(), &cargo());
        let expected = format!("cannot build plugin {}; cargo says:\n", folder.path().display());
        assert!(message.starts_with(&expected), "{message}");
        assert!(message.contains("error[E0308]: mismatched types") && message.contains("src/lib.rs:1:17"), "{message}");
    }

    #[test]
    fn a_package_that_builds_something_else_says_what_to_change() {
        for (manifest, file, code) in [("", "lib.rs", ""), ("", "main.rs", "fn main() {}")] {
            let folder = package(manifest, file, code);
            assert_eq!(
                error(folder.path(), &cargo()),
                format!(
                    "plugin {} builds, but not into a component; its Cargo.toml must say [lib] crate-type = \
                     [\"cdylib\"]",
                    folder.path().display()
                ),
                "{file}"
            );
        }
    }

    /// A cargo that does not find the target the first `failures` times, and then runs the real cargo. Its message was
    /// recorded with cargo 1.95 and another target.
    #[cfg(unix)]
    fn cargo_without_target(folder: &Path, failures: u8) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let file = folder.join("cargo");
        let script = format!(
            "#!/bin/sh\necho called >> \"$0.log\"\nif [ $(wc -l < \"$0.log\") -gt {failures} ]; then exec '{}' \"$@\"; \
             fi\ncat >&2 <<'END'\n   Compiling p v0.0.0 (/p)\nerror[E0463]: can't find crate for `std`\n  |\n  = note: \
             the `wasm32-wasip2` target may not be installed\n  = help: consider downloading the target with `rustup \
             target add wasm32-wasip2`\n\nEND\nexit 101\n",
            cargo().display()
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[cfg(unix)]
    #[test]
    fn a_missing_target_is_added_and_the_plugin_built() {
        let folder = package(COMPONENT, "lib.rs", "");
        let cargo = cargo_without_target(folder.path(), 1);
        let mut lines = Vec::new();
        let built = resolve(folder.path(), cargo.as_os_str(), &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(built.file_name(), Some(OsStr::new("p.wasm")));
        assert!(lines.iter().any(|line| line.contains("rust-std")), "what rustup says is shown: {lines:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_target_that_stays_missing_says_how_to_add_it() {
        let folder = package(COMPONENT, "lib.rs", "");
        assert_eq!(
            error(folder.path(), cargo_without_target(folder.path(), 2).as_os_str()),
            format!(
                "cannot build plugin {}: the target wasm32-wasip2 is not installed, and rustup could not add it; run \
                 `rustup target add wasm32-wasip2`",
                folder.path().display()
            )
        );
    }
}
