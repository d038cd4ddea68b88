//! Interpreters of plugins that are a text. Whoever packages sigbox puts them beside the binary; elsewhere each is made when
//! it is first needed, from sources in the binary, and kept.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};
use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};

use crate::wit;

/// What interpreters are made from, by its place in the repository.
static SOURCES: [(&str, &Dir<'_>); 5] = [
    ("wit/0.1", &wit::FILES),
    ("plugins/sdk/python/src", &include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/python/src")),
    ("plugins/interpreters/python", &include_dir!("$CARGO_MANIFEST_DIR/../../plugins/interpreters/python")),
    ("plugins/sdk/javascript", &include_dir!("$CARGO_MANIFEST_DIR/../../plugins/sdk/javascript")),
    ("plugins/interpreters/javascript", &include_dir!("$CARGO_MANIFEST_DIR/../../plugins/interpreters/javascript")),
];

/// Where interpreters are looked for: where the variable says, beside the binary, and where they are made.
pub(crate) fn folders() -> Vec<PathBuf> {
    let named = env::var_os("SIGBOX_INTERPRETERS").map(PathBuf::from);
    let beside = env::current_exe().ok().and_then(|binary| Some(binary.parent()?.join("interpreters")));
    [named, beside, own_folder()].into_iter().flatten().collect()
}

/// The folder in which this sigbox makes interpreters. Another sigbox with other sources has another one.
fn own_folder() -> Option<PathBuf> {
    let mut digest = Sha256::new();
    for (place, folder) in &SOURCES {
        add_to(&mut digest, place, folder);
    }
    let name: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(choose_native_strategy().ok()?.data_dir().join("sigbox").join("interpreters").join(name))
}

/// Makes the interpreters of `language` and keeps them. `on_progress` gets each line that the tools write. Another process
/// may do the same at the same time.
///
/// # Errors
/// When a tool is missing or fails; the message has what it said.
pub(crate) fn make(language: &str, on_progress: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let own = own_folder().context("there is no folder for the data of this user (HOME is not set)")?;
    fs::create_dir_all(&own).with_context(|| format!("{} cannot be made", own.display()))?;
    let work = tempfile::tempdir_in(&own).with_context(|| format!("{} cannot be written", own.display()))?;
    let (sources, made) = (work.path().join("sources"), work.path().join("made"));
    for (place, folder) in &SOURCES {
        let target = sources.join(place);
        let written = fs::create_dir_all(&target).and_then(|()| folder.extract(&target));
        written.context("the sources of the interpreter cannot be written")?;
    }
    let script = sources.join("plugins/interpreters").join(language).join("build");
    run(&script, &made, on_progress).with_context(|| {
        format!("the interpreter for {language} cannot be made; SIGBOX_INTERPRETERS names a folder that has it")
    })?;
    for entry in fs::read_dir(&made)?.filter_map(Result::ok) {
        let file = entry.path();
        if file.extension().is_some_and(|ending| ending == "wasm") {
            fs::rename(&file, own.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Runs a build script to its end. What it writes goes to `on_progress`, and into the error.
fn run(script: &Path, made: &Path, on_progress: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new("sh");
    command.arg(script).arg(made).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("there is no sh to run its build script with")?;
    // The command has copies of the writer's end; while they are open, the reader waits.
    drop(command);
    let mut said = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        on_progress(&line);
        said.push_str(&line);
        said.push('\n');
    }
    if !child.wait()?.success() {
        bail!("its build script failed:\n{}", said.trim_end());
    }
    Ok(())
}

/// Adds the paths and the contents of the files in `folder`, which is at `place`.
fn add_to(digest: &mut Sha256, place: &str, folder: &Dir<'_>) {
    for file in folder.files() {
        digest.update(place);
        digest.update(file.path().as_os_str().as_encoded_bytes());
        digest.update(file.contents().len().to_le_bytes());
        digest.update(file.contents());
    }
    for folder in folder.dirs() {
        add_to(digest, place, folder);
    }
}
