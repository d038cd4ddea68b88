//! Bindings: the record of which store kept which domain at the last run, so that a changed configuration never loses a
//! position.
//!
//! The record is `bindings.json` in the data directory. A run that binds a domain to another store is refused as long
//! as the old store holds a document that the new one does not have, byte for byte. So a run after `sigbox state copy`
//! needs no further option, a changed setting that leads to the same place is accepted, and a person who binds another
//! store by mistake is told before the first trade.

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

/// The file's name in the data directory. No domain has this name.
const FILE_NAME: &str = "bindings.json";

/// The documents that hold no order, no position, no level and no slot.
const FLAT: [&[u8]; 3] = [b"null", b"[]", b"{}"];

/// Which store keeps which domain, with all that is needed to open the stores again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bindings {
    #[serde(flatten)]
    domains: PerDomain<StoreChoice>,
    stores: BTreeMap<String, StorePlugin>,
}

/// Why the binding of a domain is refused.
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
    /// The store that kept a domain holds a document that the store bound to it now does not have.
    #[error(
        "[persistence] {domain} was kept in {old:?} and is bound to {new:?} now, but {old:?} holds {document} and {new:?} \
         {found}. {remedy} {domain} to {old:?} again",
        domain = .domain.name(),
        remedy = match new.as_str() {
            // `sigbox state copy` refuses memory.
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
    /// A store has other settings than at the last run, and with these it does not have a document that it held then.
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
    /// The store that kept a domain cannot be read.
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
    /// The store that is to keep a domain cannot be read.
    #[error(transparent)]
    Store(Box<StoreError>),
}

/// A domain whose store has changed since the last run, with the documents that the new store must have.
pub(crate) struct Moved {
    domain: Domain,
    old: StoreChoice,
    new: StoreChoice,
    documents: Vec<(Address, Vec<u8>)>,
}

impl Bindings {
    /// The bindings of `config`.
    pub(crate) fn of(config: &Config) -> Self {
        // With absolute paths, because the next run may start in another folder.
        let stores = config.stores.iter().map(|(name, store)| (name.clone(), anchored(store)));
        Self { domains: config.persistence.stores.clone(), stores: stores.collect() }
    }

    /// The bindings of the last run. Without a record, every domain counts as kept in files, which is the default.
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

    /// Replaces the record. Its content is fsynced before it gets its name.
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

    /// The domains that had another store `before`, each with that store. Memory is left out, because it does not
    /// outlive a run.
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

    /// A store and every store under it, outermost first; `None` when a store wraps itself.
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

    /// Reads the documents of `domain` in `old` that the new store must have.
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

    /// Fails at the first of these documents that `new` does not have.
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
