//! `sigbox wit`.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::{
    args::{self, WitExport},
    exit::Usage,
};

/// The files of the newest track, by their paths in it. A test compares them with the folder.
const FILES: [(&str, &str); 16] = [
    ("worlds.wit", include_str!("../../../wit/0.1/worlds.wit")),
    ("deps/host/clock.wit", include_str!("../../../wit/0.1/deps/host/clock.wit")),
    ("deps/host/config.wit", include_str!("../../../wit/0.1/deps/host/config.wit")),
    ("deps/host/logging.wit", include_str!("../../../wit/0.1/deps/host/logging.wit")),
    ("deps/host/market.wit", include_str!("../../../wit/0.1/deps/host/market.wit")),
    ("deps/host/memory.wit", include_str!("../../../wit/0.1/deps/host/memory.wit")),
    ("deps/host/package.wit", include_str!("../../../wit/0.1/deps/host/package.wit")),
    ("deps/host/secrets.wit", include_str!("../../../wit/0.1/deps/host/secrets.wit")),
    ("deps/host/session.wit", include_str!("../../../wit/0.1/deps/host/session.wit")),
    ("deps/host/trades.wit", include_str!("../../../wit/0.1/deps/host/trades.wit")),
    ("deps/persistence/fenced.wit", include_str!("../../../wit/0.1/deps/persistence/fenced.wit")),
    ("deps/persistence/package.wit", include_str!("../../../wit/0.1/deps/persistence/package.wit")),
    ("deps/persistence/store.wit", include_str!("../../../wit/0.1/deps/persistence/store.wit")),
    ("deps/strategy/answer.wit", include_str!("../../../wit/0.1/deps/strategy/answer.wit")),
    ("deps/strategy/package.wit", include_str!("../../../wit/0.1/deps/strategy/package.wit")),
    ("deps/strategy/strategy.wit", include_str!("../../../wit/0.1/deps/strategy/strategy.wit")),
];

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
    for (name, text) in FILES {
        let file = directory.join(name);
        let folder = file.parent().unwrap_or(directory);
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    println!("Wrote {} files to {shown}. Worlds: strategy, backend, wrapper, fenced-backend.", FILES.len());
    Ok(())
}
