//! `sigbox state stores`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use sigbox::{
    assemble::{Access, Opener},
    binding::pairs,
    config::Config,
    job::events_file,
    sandbox::Live,
    trading::store::{Address, Domain, Store},
};
use sigbox_events::{Head, HostLine};

use crate::plugins;

/// An incident of a store, from its event.
#[derive(Clone, Debug, Serialize)]
struct Incident {
    action: &'static str,
    timestamp: i64,
    about: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    store: String,
    domains: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_incident: Option<Incident>,
}

pub(super) async fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    let incidents = last_incidents(&events_file(config))?;
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let mut opener = Opener::new(config, Access::Look, &sandbox, &mut resolve, &plugins::variable)?;
    let mut rows: Vec<Row> = Vec::new();
    for domain in Domain::ALL {
        let choice = config.persistence.stores.of(domain);
        if let Some(row) = rows.iter_mut().find(|row| row.store == choice.name()) {
            row.domains.push(domain.name());
            continue;
        }
        let (description, error) = match opener.open(choice).await {
            Ok(store) => (Some(store.describe()), answers(config, domain, &*store).await.err()),
            Err(error) => (None, Some(error.to_string())),
        };
        let last_incident = incidents.get(choice.name()).cloned();
        rows.push(Row {
            store: choice.name().to_owned(),
            domains: vec![domain.name()],
            description,
            error,
            last_incident,
        });
    }
    opener.close().await;

    if json {
        serde_json::to_writer_pretty(io::stdout().lock(), &rows)?;
        println!();
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["store", "keeps", "what it is", "now", "last incident"]);
    for Row { store, domains, description, error, last_incident } in rows {
        let now = error.unwrap_or_else(|| "answers".to_owned());
        let incident = last_incident.map(|Incident { action, timestamp, message, .. }| {
            let when = jiff::Timestamp::from_millisecond(timestamp).map(|when| when.to_string()).unwrap_or_default();
            format!("{when} {action}: {message}")
        });
        table.add_row([store, domains.join(", "), description.unwrap_or_default(), now, incident.unwrap_or_default()]);
    }
    println!("{table}");
    Ok(())
}

/// Asks the store whether it has a document, to find out whether it answers.
async fn answers(config: &Config, domain: Domain, store: &dyn Store) -> Result<(), String> {
    let at: Option<Address> = pairs(config).first().map(|pair| Address::of_pair(domain, pair));
    let Some(at) = at else { return Ok(()) };
    store.has_value(&at).await.map(drop).map_err(|error| error.to_string())
}

/// The last incident of each store that the live run has recorded.
fn last_incidents(events: &Path) -> io::Result<BTreeMap<String, Incident>> {
    let file = match File::open(events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut last = BTreeMap::new();
    for line in BufReader::new(file).split(b'\n') {
        // While a run is in progress, its last line may be incomplete; it is skipped.
        if let Some((store, incident)) = incident(&line?) {
            last.insert(store, incident);
        }
    }
    Ok(last)
}

/// The store and the incident that `line` records; `None` if it records something else.
fn incident(line: &[u8]) -> Option<(String, Incident)> {
    let head = Head::parse(line).ok()?;
    let action = head.action().filter(|action| action.is_store_incident())?;
    let HostLine { about, message } = HostLine::parse(line).ok()?;
    let (about, message) = (about?.into_owned(), message.into_owned());
    let incident = Incident { action: action.name(), timestamp: head.timestamp, about: about.clone(), message };
    Some((about, incident))
}
