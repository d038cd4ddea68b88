//! Which store kept which domain at the last run, so that a changed configuration never loses sight of a position.
//!
//! The record is `bindings.json` in the data directory. A run whose binding of a domain differs from it is refused as
//! long as the old store holds a document that the new one does not have, byte for byte. So after `sigbox state copy`
//! nothing has to be said, a setting that changes nothing of the place changes nothing else, and a person who binds
//! another store by mistake is told before the first trade.

mod copy;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sigbox_engine::signal::Pair;
use sigbox_trading::store::{Address, Domain, PerDomain, Store, StoreError};

use crate::config::{Config, SecretSource, StoreChoice, StorePlugin};

pub use copy::{Copied, CopyError, Fate, copy};

/// In the data directory. No domain can have this name, as domains are folders.
const FILE_NAME: &str = "bindings.json";

/// Documents that hold nothing.
const FLAT: [&[u8]; 3] = [b"null", b"[]", b"{}"];

/// Which store keeps which domain, with all there is to open it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bindings {
    #[serde(flatten)]
    domains: PerDomain<StoreChoice>,
    stores: BTreeMap<String, StorePlugin>,
}

/// Why a domain may not be bound as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// The record cannot be read or written.
    #[error("{file}: {reason}", file = .file.display())]
    Record {
        /// The record.
        file: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The store that kept a domain holds something the one bound to it now does not have.
    #[error(
        "[persistence] {domain} was kept in {old:?} and is bound to {new:?} now, but {old:?} holds {document} and {new:?} \
         {found}. {remedy} {domain} to {old:?} again",
        domain = .domain.name(),
        remedy = match new.as_str() {
            // Nothing can be moved there.
            "memory" => "Bind".to_owned(),
            _ => format!("Move it with `sigbox state copy --from {old} --to {new}`, or bind"),
        }
    )]
    LeftBehind {
        /// The domain.
        domain: Domain,
        /// The name of the store that kept it.
        old: String,
        /// The name of the store that is to keep it.
        new: String,
        /// The first such document.
        document: String,
        /// What the new store has instead.
        found: &'static str,
    },
    /// A store has other settings than when it was given something, and does not have that.
    #[error(
        "[persistence] {domain}: [stores.{store}] is not what it was at the last run: it held {document}, and as it is now it {found}. \
         Put its old settings into a section of another name, say [stores.old], and move the state with \
         `sigbox state copy --from old --to {store}`, or take back the change",
        domain = .domain.name()
    )]
    Changed {
        /// The domain.
        domain: Domain,
        /// The store's name.
        store: String,
        /// The first such document.
        document: String,
        /// What the store has instead.
        found: &'static str,
    },
    /// The store that kept a domain cannot be asked.
    #[error(
        "[persistence] {domain} was kept in {old:?} at the last run, and whether that still holds something cannot be \
         told: {source}. Make it reachable; if what it held may be lost, delete {file}",
        domain = .domain.name(),
        file = .file.display()
    )]
    Unknown {
        /// The domain.
        domain: Domain,
        /// The name of the store that kept it.
        old: String,
        /// The record.
        file: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store that is to keep a domain cannot be asked.
    #[error(transparent)]
    Store(Box<StoreError>),
}

/// A domain whose store is another one than at the last run, with the documents that must not be left behind.
pub(crate) struct Moved {
    domain: Domain,
    old: StoreChoice,
    new: StoreChoice,
    documents: Vec<(Address, Vec<u8>)>,
}

impl Bindings {
    /// What `config` says.
    pub(crate) fn of(config: &Config) -> Self {
        // To be found again from another folder.
        let stores = config.stores.iter().map(|(name, store)| (name.clone(), anchored(store)));
        Self { domains: config.persistence.stores.clone(), stores: stores.collect() }
    }

    /// What was at the last run. Without a record, everything was in files: that is where it is unless somebody says
    /// otherwise.
    pub(crate) fn recorded(data_dir: &Path) -> Result<Self, BindingError> {
        let file = data_dir.join(FILE_NAME);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::files()),
            Err(error) => return Err(BindingError::Record { file, reason: format!("cannot be read: {error}") }),
        };
        let understood = serde_json::from_slice(&text).map_err(|error| error.to_string()).and_then(|recorded: Self| {
            let is_endless = |(_, choice)| recorded.chain(choice).is_none();
            if recorded.domains.iter().any(is_endless) { Err("a store wraps itself".to_owned()) } else { Ok(recorded) }
        });
        understood.map_err(|error| BindingError::Record {
            file,
            reason: format!(
                "cannot be understood ({error}); it says which stores kept the state. If the configuration still names \
                 the same ones, delete it"
            ),
        })
    }

    fn files() -> Self {
        Self { domains: PerDomain::all(&StoreChoice::File), stores: BTreeMap::new() }
    }

    /// Records it, durably.
    pub(crate) fn record(&self, data_dir: &Path) -> Result<(), BindingError> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(data_dir.join(FILE_NAME))?;
            Ok(())
        };
        write().map_err(|error: io::Error| BindingError::Record {
            file: data_dir.join(FILE_NAME),
            reason: format!("cannot be written: {error}"),
        })
    }

    /// The domains that were kept elsewhere, each with where, if that can have outlived the run.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (Domain, &'a StoreChoice)> {
        self.domains.iter().filter_map(|(domain, new)| {
            let old = before.domains.of(domain);
            let is_same = before.chain(old) == self.chain(new);
            (!is_same && *old != StoreChoice::Memory).then_some((domain, old))
        })
    }

    /// The configuration with these bindings in place of its own.
    pub(crate) fn in_place_of(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.persistence.stores.clone_from(&self.domains);
        config.stores.clone_from(&self.stores);
        config
    }

    /// A store, and what it wraps; `None` when that comes back to itself.
    fn chain<'a>(&'a self, choice: &'a StoreChoice) -> Option<Vec<(&'a StoreChoice, Option<&'a StorePlugin>)>> {
        let mut chain = Vec::new();
        let mut next = Some(choice);
        while let Some(choice) = next {
            if chain.iter().any(|(known, _)| *known == choice) {
                return None;
            }
            let plugin = match choice {
                StoreChoice::Plugin(name) => self.stores.get(name),
                StoreChoice::File | StoreChoice::Memory => None,
            };
            chain.push((choice, plugin));
            next = plugin.and_then(|plugin| plugin.over.as_ref());
        }
        Some(chain)
    }
}

fn anchored(store: &StorePlugin) -> StorePlugin {
    let anchor = |path: &PathBuf| absolute(path).unwrap_or_else(|_| path.clone());
    let secrets = store.secrets.iter().map(|(name, source)| {
        let source = match source {
            SecretSource::Env(variable) => SecretSource::Env(variable.clone()),
            SecretSource::File(path) => SecretSource::File(anchor(path)),
        };
        (name.clone(), source)
    });
    StorePlugin {
        plugin: anchor(&store.plugin),
        secrets: secrets.collect(),
        directories: store.directories.iter().map(|(guest, host)| (guest.clone(), anchor(host))).collect(),
        ..store.clone()
    }
}

impl From<StoreError> for BindingError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl BindingError {
    pub(crate) fn unknown(
        config: &Config,
        domain: Domain,
        old: &StoreChoice,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let file = config.persistence.data_dir.join(FILE_NAME);
        Self::Unknown { domain, old: old.name().to_owned(), file, source: Box::new(source) }
    }
}

impl Moved {
    pub(crate) const fn domain(&self) -> Domain {
        self.domain
    }

    /// Reads what must not be left behind of `domain` in `old`.
    pub(crate) async fn read(
        config: &Config,
        domain: Domain,
        choice: &StoreChoice,
        old: &Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        let mut documents = Vec::new();
        for at in addresses(config, domain) {
            old.wait_for_init(&at.domain, &at.entity_name, false).await?;
            if let Some(document) = old.read_value(&at).await?.filter(|document| !FLAT.contains(&document.as_slice())) {
                documents.push((at, document));
            }
        }
        Ok(Self { domain, old: choice.clone(), new: config.persistence.stores.of(domain).clone(), documents })
    }

    /// Whether `new` has all of it.
    pub(crate) async fn is_in(&self, new: &Arc<dyn Store>) -> Result<(), BindingError> {
        for (at, document) in &self.documents {
            new.wait_for_init(&at.domain, &at.entity_name, false).await?;
            let found = match new.read_value(at).await? {
                Some(found) if found == *document => continue,
                Some(_) => "has something else there",
                None => "does not",
            };
            let domain = self.domain;
            let document = format!("{}/{}", at.entity_name, at.entity_id);
            let (old, new) = (self.old.name().to_owned(), self.new.name().to_owned());
            return Err(if old == new {
                BindingError::Changed { domain, store: new, document, found }
            } else {
                BindingError::LeftBehind { domain, old, new, document, found }
            });
        }
        Ok(())
    }
}

/// Every document of `domain` that a run of `config` reads.
fn addresses(config: &Config, domain: Domain) -> Vec<Address> {
    if domain == Domain::Risk {
        return config.risk.iter().map(|profile| Address::of_profile(&profile.name)).collect();
    }
    pairs(config).iter().map(|pair| Address::of_pair(domain, pair)).collect()
}

/// Every strategy of `config` on each of its symbols.
#[must_use]
pub fn pairs(config: &Config) -> Vec<Pair> {
    let strategies = config.strategies.iter();
    strategies
        .flat_map(|strategy| {
            strategy.symbols.iter().map(|symbol| Pair {
                symbol: symbol.clone(),
                strategy: strategy.name.clone(),
                exchange: config.exchange_name.clone(),
                frame: String::new(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_nobody_can_follow_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = |over: &str| {
            format!(
                r#"{{"plugin":"p","settings":{{}},"secrets":{{}},"network":[],"directories":{{}},"over":{{"plugin":"{over}"}}}}"#
            )
        };
        let domains = r#""signal":{"plugin":"a"},"schedule":"file","risk":"file","partial":"memory""#;
        let record = |stores: &str| {
            fs::write(folder.path().join(FILE_NAME), format!(r#"{{{domains},"stores":{{{stores}}}}}"#)).unwrap();
            Bindings::recorded(folder.path()).map_err(|error| error.to_string())
        };
        let circle = format!(r#""a":{},"b":{}"#, store("b"), store("a"));
        for (stores, why) in [(circle.as_str(), "a store wraps itself"), ("\"a\":1", "invalid type: integer `1`")] {
            let error = record(stores).unwrap_err();
            assert!(error.contains("bindings.json: cannot be understood (") && error.contains(why), "{error}");
        }
        let recorded = record(&format!(r#""a":{}"#, store("elsewhere"))).unwrap();
        recorded.record(folder.path()).unwrap();
        assert_eq!(Bindings::recorded(folder.path()).unwrap(), recorded);
    }

    #[test]
    fn without_a_record_everything_was_in_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Bindings::recorded(folder.path()).unwrap(), Bindings::files());
    }
}
