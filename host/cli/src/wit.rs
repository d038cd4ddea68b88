//! `sigbox wit`.

use std::{fs, path::Path};

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use crate::{
    args::{self, WitExport},
    exit::Usage,
};

/// The files of the newest track, by their paths in it.
pub(crate) static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit/0.1");

pub(crate) fn run(command: &args::Wit) -> anyhow::Result<()> {
    match command {
        args::Wit::Export(WitExport { directory }) => export(directory),
    }
}

/// Writes the files into a folder that is missing or empty, so that no older file stays among them.
fn export(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !directory.exists(),
    };
    if !is_free {
        return Err(Usage(format!("{shown} is not an empty folder; name a new one, or empty it")).into());
    }
    fs::create_dir_all(directory).with_context(|| format!("{shown} cannot be made"))?;
    FILES.extract(directory).with_context(|| format!("the files cannot be written to {shown}"))?;
    let files = count(&FILES);
    println!("Wrote {files} files to {shown}. Worlds: strategy, backend, wrapper, fenced-backend.");
    Ok(())
}

fn count(folder: &Dir<'_>) -> usize {
    folder.files().count() + folder.dirs().map(count).sum::<usize>()
}
