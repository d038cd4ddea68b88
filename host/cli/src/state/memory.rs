//! `sigbox state memory`.

use std::{collections::BTreeMap, io};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use sigbox::{
    assemble::{self, Access},
    config::Config,
    job::events_file,
    sandbox::Live,
    trading::{Decision, Record, stored_memory},
};

use crate::{
    args::{Holder, StateMemory},
    plugins,
};

pub(super) fn run(command: &StateMemory) -> anyhow::Result<()> {
    let StateMemory { holder, clear, json } = command;
    if *clear {
        return super::held::decide(holder, &Decision::ClearMemory);
    }
    let values = tokio::runtime::Runtime::new()?.block_on(read(holder))?;
    if *json {
        // What is no text is shown as a list of bytes.
        let values: BTreeMap<_, _> = values.into_iter().map(|(name, value)| (name, shown(value))).collect();
        serde_json::to_writer_pretty(io::stdout().lock(), &values)?;
        println!();
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["name", "bytes", "value"]);
    for (name, value) in values {
        let bytes = value.len().to_string();
        let value = String::from_utf8(value).map_or_else(|_| "not a text".to_owned(), |text| printable(&text));
        table.add_row([printable(&name), bytes, value]);
    }
    println!("{table}");
    Ok(())
}

async fn read(holder: &Holder) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let config = Config::load(&holder.config.path)?;
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let record = Record::read(&holder.events.clone().unwrap_or_else(|| events_file(&config)))?;
    let mut resolve = plugins::resolver();
    let stores = assemble::stores(&config, Access::Look, &record, &sandbox, &mut resolve, &plugins::variable).await?;
    let values = stored_memory(&stores, &config.engine, &holder.pair(&config)).await;
    stores.close().await;
    Ok(values?)
}

fn shown(value: Vec<u8>) -> serde_json::Value {
    String::from_utf8(value).map_or_else(|error| error.into_bytes().into(), Into::into)
}

/// A text of a plugin, which must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() })
        .collect()
}
