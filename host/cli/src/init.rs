//! `sigbox init`.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, absolute},
};

use anyhow::Context as _;
use sigbox::config;

use crate::{args, exit::Usage};

pub(crate) fn run(command: &args::Init) -> anyhow::Result<()> {
    if command.schema {
        println!("{:#}", config::schema());
        return Ok(());
    }
    let file = &command.file;
    let plugin = Path::new(&command.plugin);
    if !plugin.exists() {
        let message = "name a folder with a strategy's source or a .wasm file with --plugin";
        return Err(Usage(format!("there is no plugin at {}; {message}", plugin.display())).into());
    }
    // A path in the file is relative to the file's folder, but a path on the command line is relative to the current
    // directory.
    let same_folder = file.parent().is_none_or(|folder| folder.as_os_str().is_empty());
    let plugin = if same_folder { plugin.to_owned() } else { absolute(plugin)? };
    let text = config::template(&plugin.display().to_string());

    let mut out = match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(out) => out,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already; name another file, or move it away", file.display());
            return Err(Usage(message).into());
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", file.display())),
    };
    out.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", file.display()))?;
    println!("Wrote {}. Try: sigbox backtest --config {}", file.display(), file.display());
    Ok(())
}
