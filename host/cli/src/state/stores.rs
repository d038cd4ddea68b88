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
    assemble::{Access, KeptApart, Opener, kept_apart},
    binding::pairs,
    config::Config,
    job::events_file,
    market::candles::iso_8601,
    sandbox::Live,
    trading::store::{Address, Domain, Holder, Store},
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
    /// What keeps a second host with the same place out: `fence`, `lock` or `nothing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    apart: Option<&'static str>,
    /// The host that has claimed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<HeldBy>,
}

/// The host that has claimed a store.
#[derive(Clone, Debug, Serialize)]
struct HeldBy {
    owner: String,
    since: String,
}

impl Row {
    /// Whether two hosts are kept apart, in words.
    fn two_hosts(&self) -> String {
        let how = match self.apart {
            None => return String::new(),
            Some(FENCE) => "kept apart by the storage",
            Some(LOCK) => "kept apart by a lock",
            Some(_) => "not kept apart",
        };
        let holder = self.holder.as_ref().map(|HeldBy { owner, since }| format!("; held by {owner} since {since}"));
        format!("{how}{}", holder.unwrap_or_default())
    }
}

const FENCE: &str = "fence";
const LOCK: &str = "lock";

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
        let mut row = Row {
            store: choice.name().to_owned(),
            domains: vec![domain.name()],
            description: None,
            error: None,
            last_incident: incidents.get(choice.name()).cloned(),
            apart: None,
            holder: None,
        };
        match opener.open(choice).await {
            Ok(store) => {
                row.description = Some(store.describe());
                match look(config, domain, &*store).await {
                    Ok(KeptApart::ByFence(holder)) => {
                        row.apart = Some(FENCE);
                        row.holder =
                            holder.map(|Holder { owner, since_ms, .. }| HeldBy { owner, since: iso_8601(since_ms) });
                    }
                    Ok(KeptApart::ByLock) => row.apart = Some(LOCK),
                    Ok(_) => row.apart = Some("nothing"),
                    Err(error) => row.error = Some(error),
                }
            }
            Err(error) => row.error = Some(error.to_string()),
        }
        rows.push(row);
    }
    opener.close().await;

    if json {
        serde_json::to_writer_pretty(io::stdout().lock(), &rows)?;
        println!();
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["store", "keeps", "what it is", "two hosts", "now", "last incident"]);
    for row in rows {
        let two_hosts = row.two_hosts();
        let Row { store, domains, description, error, last_incident, .. } = row;
        let now = error.unwrap_or_else(|| "answers".to_owned());
        let incident = last_incident.map(|Incident { action, timestamp, message, .. }| {
            let when = jiff::Timestamp::from_millisecond(timestamp).map(|when| when.to_string()).unwrap_or_default();
            format!("{when} {action}: {message}")
        });
        let description = description.unwrap_or_default();
        table.add_row([store, domains.join(", "), description, two_hosts, now, incident.unwrap_or_default()]);
    }
    println!("{table}");
    Ok(())
}

/// Asks the store whether it has a document, to find out whether it answers, and what keeps two hosts apart.
async fn look(config: &Config, domain: Domain, store: &dyn Store) -> Result<KeptApart, String> {
    let at: Option<Address> = pairs(config).first().map(|pair| Address::of_pair(domain, pair));
    if let Some(at) = at {
        store.has_value(&at).await.map_err(|error| error.to_string())?;
    }
    kept_apart(store).await.map_err(|error| error.to_string())
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
