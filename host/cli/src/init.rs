//! `sigbox init`.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
};

use anyhow::{Context as _, bail};
use sigbox::config;

use crate::args;

pub(crate) fn run(command: &args::Init) -> anyhow::Result<()> {
    let file = &command.file;
    let mut out = match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(out) => out,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; name another file, or move it away", file.display())
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be written", file.display())),
    };
    out.write_all(config::template(&command.plugin).as_bytes())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    println!("Wrote {}. Try: sigbox backtest --config {}", file.display(), file.display());
    Ok(())
}
