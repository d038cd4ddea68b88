//! `sigbox state copy`.

use std::io;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use sigbox::{
    assemble::{Access, Opener},
    binding::{Copied, Fate, copy},
    config::{Config, StoreChoice},
    job::events_file,
    sandbox::Live,
    trading::{Record, store::Domain},
};

use crate::{args, exit::Usage, plugins};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    domain: String,
    entity_name: String,
    entity_id: String,
    bytes: usize,
    fate: &'static str,
}

pub(super) async fn run(config: &Config, command: &args::StateCopy) -> anyhow::Result<()> {
    let [from, to] = [&command.from, &command.to].map(|name| StoreChoice::named(name.clone()));
    if [&from, &to].contains(&&StoreChoice::Memory) {
        return Err(Usage("memory holds nothing that could be copied, and keeps nothing".to_owned()).into());
    }
    if from == to && !command.replace {
        let message = format!("{} is both --from and --to; to write everything anew, say --replace", from.name());
        return Err(Usage(message).into());
    }
    let domains = if command.domain.is_empty() { Domain::ALL.to_vec() } else { command.domain.clone() };

    let take_over = command.take_over;
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let record = Record::read(&events_file(config))?;
    let mut opener = Opener::new(config, Access::Own { take_over }, &sandbox, &mut resolve, &plugins::variable)?;
    let (source, target) = (opener.open_whole(&from).await?, opener.open_whole(&to).await?);
    let copied = match opener.claim(&*target, take_over).await {
        Ok(()) => copy(config, &record, &domains, &source, &target, command.replace).await.map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    opener.close().await;

    let rows: Vec<Row> = copied?.into_iter().map(row).collect();
    if command.json {
        serde_json::to_writer_pretty(io::stdout().lock(), &rows)?;
        println!();
        return Ok(());
    }
    let written = rows.iter().filter(|row| row.fate == WRITTEN).count();
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["domain", "entity", "id", "bytes", "fate"]);
    let count = rows.len();
    for Row { domain, entity_name, entity_id, bytes, fate } in rows {
        table.add_row([domain, entity_name, entity_id, bytes.to_string(), fate.to_owned()]);
    }
    println!("{table}");
    println!("{count} documents are in {} as they are in {}; {written} were written.", to.name(), from.name());
    Ok(())
}

const WRITTEN: &str = "written";

fn row(copied: Copied) -> Row {
    let Copied { at, bytes, fate } = copied;
    let fate = match fate {
        Fate::Written => WRITTEN,
        Fate::Same => "same",
    };
    Row { domain: at.domain, entity_name: at.entity_name, entity_id: at.entity_id, bytes, fate }
}
