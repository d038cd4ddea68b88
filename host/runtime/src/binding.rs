//! Bindings: the record of which store kept which domain at the last run, so that a changed configuration never loses a
//! position.
//!
//! The record is `bindings.json` in the data directory. A run that binds a domain to another store is refused as long
//! as the old store holds a document that the new one does not have, byte for byte. So a run after `sigbox state copy`
//! needs no further option, a changed setting that leads to the same place is accepted, and a person who binds another
//! store by mistake is told before the first trade.
//!
//! An old store that cannot be opened any more cannot be compared. Then the event record decides: a start that finds
//! everything in its stores that the event record says is held has lost nothing.
//!
//! | the old store | the event record | the start |
//! |---|---|---|
//! | can be opened | | compares documents |
//! | cannot | says that something is held which the new store does not have | is refused |
//! | cannot, and is in the same place as the new one | anything else | goes on |
//! | cannot | says of every trader what it holds, and the new store has it | goes on |
//! | cannot | says nothing, or is in doubt | is refused |
//!
//! The same place: the same settings, addresses and directories, and the same again below `over`. A directory that was
//! moved together with the data directory is the same. The plugin's file and the sources of secrets do not decide where
//! state is, so a renamed or rebuilt plugin is the same place too.

mod copy;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sigbox_engine::signal::Pair;
use sigbox_files::Disk;
use sigbox_trading::{
    Finding, Record, RunError, compare, index,
    store::{Address, Domain, PerDomain, Store, StoreError, Stores},
};

use crate::config::{Config, SecretSource, StoreChoice, StorePlugin};

pub use copy::{Copied, CopyError, Fate, copy};

/// The file's name in the data directory. No domain has this name.
const FILE_NAME: &str = "bindings.json";

/// Where a record that cannot be understood is kept, for people.
const DAMAGED_NAME: &str = "bindings.json.damaged";

/// The documents that hold no order, no position, no level and no slot.
const FLAT: [&[u8]; 3] = [b"null", b"[]", b"{}"];

/// Which store keeps which domain, with all that is needed to open the stores again.
///
/// A field that the file does not have gets its default, and one that is not known is passed over: the file may be of
/// another version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Bindings {
    #[serde(flatten)]
    domains: PerDomain<StoreChoice>,
    stores: BTreeMap<String, StorePlugin>,
    /// Where the data directory was; empty when the file does not say.
    data_dir: PathBuf,
    /// The folder of the configuration; empty when the file does not say.
    folder: PathBuf,
}

/// What the record of the last run says.
pub(crate) struct Recorded {
    /// The bindings of that run. Without a record that can be understood, every domain counts as kept in files.
    pub(crate) bindings: Bindings,
    /// Why the record cannot be understood, if it cannot.
    pub(crate) damage: Option<String>,
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
        /// Why.
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
    /// The store that kept a domain cannot be read, and the event record does not show that nothing is lost.
    #[error(
        "[persistence] {domain} was kept in {old:?} at the last run, and whether that still holds something cannot be \
         told: {reason}; {evidence}. Make it reachable where it was. {elsewhere}`sigbox state check` shows what is \
         missing. If the old store is gone for ever, say so with `sigbox state rebind`",
        domain = .domain.name(),
        elsewhere = match new.as_str() {
            // `sigbox state copy` refuses memory.
            "memory" => String::new(),
            _ => format!(
                "If it is elsewhere now, name it in a section of another name, say [stores.old], and move the state with \
                 `sigbox state copy --from old --to {new}`. "
            ),
        }
    )]
    Unknown {
        /// The domain.
        domain: Domain,
        /// The name of the store that kept it.
        old: String,
        /// The name of the store that is to keep it.
        new: String,
        /// Why it cannot be read.
        reason: String,
        /// What the event record says.
        evidence: String,
    },
    /// The record cannot be understood, and something shows that the stores bound now are not all that was used.
    #[error(
        "{file} cannot be understood ({reason}), so which stores kept the state cannot be told; {evidence}. Bind the \
         domains to the stores of the last run; `sigbox state check` shows what is missing. If those are gone for \
         ever, say so with `sigbox state rebind`",
        file = .file.display()
    )]
    Damaged {
        /// The record.
        file: PathBuf,
        /// Why it cannot be understood.
        reason: String,
        /// What shows that something is missing.
        evidence: String,
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
    /// The traders that hold one of the documents and are not in the configuration. The index of the new store must
    /// have them, because nothing else would find them there.
    unnamed: BTreeSet<index::Entry>,
}

/// A domain whose store at the last run cannot be read any more.
pub(crate) struct Doubt {
    domain: Domain,
    old: StoreChoice,
    /// Why it cannot be read.
    reason: String,
    /// Whether the new store is in the same place.
    is_same_place: bool,
}

/// A domain that has another store than at the last run.
pub(crate) struct Change<'a> {
    pub(crate) domain: Domain,
    /// The store that kept it.
    pub(crate) old: &'a StoreChoice,
    /// Whether the new store is in the same place.
    pub(crate) is_same_place: bool,
    /// Why the old store is not to be opened: what would be found there would say nothing.
    pub(crate) gone: Option<String>,
}

/// What the event record shows about the stores of a start.
pub(crate) enum Evidence {
    /// They have all that is held.
    Complete,
    /// It does not say.
    Silent,
    /// They do not have this.
    Missing(String),
}

impl Bindings {
    /// The bindings of `config`.
    pub(crate) fn of(config: &Config) -> Self {
        // With absolute paths, because the next run may start in another folder.
        let stores = config.stores.iter().map(|(name, store)| (name.clone(), anchored(store)));
        Self {
            domains: config.persistence.stores.clone(),
            stores: stores.collect(),
            data_dir: anchor(&config.persistence.data_dir),
            folder: anchor(config.file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))),
        }
    }

    /// The bindings of the last run.
    pub(crate) fn recorded(data_dir: &Path) -> Result<Recorded, BindingError> {
        let file = Self::file(data_dir);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Recorded { bindings: Self::default(), damage: None });
            }
            Err(error) => return Err(BindingError::Record { file, reason: format!("cannot be read: {error}") }),
        };
        let understood = serde_json::from_slice(&text).map_err(|error| error.to_string()).and_then(|recorded: Self| {
            let is_endless = |(_, choice)| recorded.chain(choice).is_none();
            if recorded.domains.iter().any(is_endless) { Err("a store wraps itself".to_owned()) } else { Ok(recorded) }
        });
        Ok(match understood {
            Ok(bindings) => Recorded { bindings, damage: None },
            Err(reason) => Recorded { bindings: Self::default(), damage: Some(reason) },
        })
    }

    /// The file of the record.
    pub(crate) fn file(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE_NAME)
    }

    /// Keeps a copy of a record that cannot be understood, before it is replaced.
    pub(crate) fn set_aside(data_dir: &Path) -> Result<(), BindingError> {
        let file = data_dir.join(DAMAGED_NAME);
        let copied = || {
            let record = fs::read(Self::file(data_dir))?;
            sigbox_files::replace(&Disk, &absolute(&file)?, &record).map_err(io::Error::other)
        };
        match copied() {
            Ok(()) => Ok(()),
            Err(error) => Err(BindingError::Record { file, reason: format!("cannot be written: {error}") }),
        }
    }

    /// Replaces the record, durably.
    pub(crate) fn record(&self, data_dir: &Path) -> Result<(), BindingError> {
        let write = || {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            sigbox_files::replace(&Disk, &absolute(data_dir)?.join(FILE_NAME), &text).map_err(io::Error::other)
        };
        write().map_err(|error: io::Error| BindingError::Record {
            file: data_dir.join(FILE_NAME),
            reason: format!("cannot be written: {error}"),
        })
    }

    /// The domains that had another store `before`. Memory is left out, because it does not outlive a run.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Change<'a>> {
        self.domains.iter().filter_map(|(domain, new)| {
            let old = before.domains.of(domain);
            let (before_chain, chain) = (before.chain(old)?, self.chain(new)?);
            if before_chain == chain || *old == StoreChoice::Memory {
                return None;
            }
            let is_same_place = self.is_same_place(before, &before_chain, &chain);
            let gone = gone(&before_chain, is_same_place.then_some(&chain));
            Some(Change { domain, old, is_same_place, gone })
        })
    }

    /// Whether two stores keep documents in the same place.
    fn is_same_place(&self, before: &Self, old: &Chain<'_>, new: &Chain<'_>) -> bool {
        old.len() == new.len()
            && old.iter().zip(new).all(|(old, new)| match (old, new) {
                ((_, Some(old)), (_, Some(new))) => {
                    (&old.settings, &old.network) == (&new.settings, &new.network)
                        && old.directories.len() == new.directories.len()
                        && old.directories.iter().zip(&new.directories).all(|((old_guest, old), (guest, new))| {
                            old_guest == guest && self.is_same_path(before, old, new)
                        })
                }
                ((old, None), (new, None)) => old == new,
                _ => false,
            })
    }

    /// Whether `old` is where `new` is, or was moved there together with the data directory.
    fn is_same_path(&self, before: &Self, old: &Path, new: &Path) -> bool {
        let below = |old_base: &Path, base: &Path| {
            let is_known = !old_base.as_os_str().is_empty();
            let (old, new) = (old.strip_prefix(old_base), new.strip_prefix(base));
            is_known && matches!((old, new), (Ok(old), Ok(new)) if old == new)
        };
        // The configuration may be moved without the state. So its folder counts only if the data directory, in which
        // the record is, was moved with it.
        let moved_together = {
            let (old, new) = (before.data_dir.strip_prefix(&before.folder), self.data_dir.strip_prefix(&self.folder));
            matches!((old, new), (Ok(old), Ok(new)) if old == new)
        };
        old == new || below(&before.data_dir, &self.data_dir) || (moved_together && below(&before.folder, &self.folder))
    }

    /// The configuration with these bindings in place of its own. A plugin whose file is not there any more is opened
    /// with the file that the configuration has under its name.
    pub(crate) fn in_place_of(&self, config: &Config) -> Config {
        let mut stores = self.stores.clone();
        for (name, store) in &mut stores {
            if !store.plugin.exists()
                && let Some(renamed) = config.stores.get(name)
            {
                store.plugin.clone_from(&renamed.plugin);
            }
        }
        let mut config = config.clone();
        config.persistence.stores.clone_from(&self.domains);
        config.stores = stores;
        config
    }

    /// A store and every store under it, outermost first; `None` when a store wraps itself.
    fn chain<'a>(&'a self, choice: &'a StoreChoice) -> Option<Chain<'a>> {
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

/// A store and every store under it, outermost first, each with its plugin if it is one.
type Chain<'a> = Vec<(&'a StoreChoice, Option<&'a StorePlugin>)>;

/// What of an old store is not where it was, so that opening it would say nothing: it would fail, make an empty folder,
/// or find what another run left there. `same`: the new store, if it is in the same place.
fn gone(old: &Chain<'_>, same: Option<&Chain<'_>>) -> Option<String> {
    for (depth, plugin) in old.iter().enumerate().filter_map(|(depth, (_, plugin))| Some((depth, (*plugin)?))) {
        let new = same.and_then(|same| same.get(depth)?.1);
        for (guest, directory) in &plugin.directories {
            let shown = directory.display();
            if new.is_some_and(|new| new.directories.get(guest) != Some(directory)) {
                return Some(format!("its folder {shown} has moved with the data directory"));
            }
            if !directory.exists() {
                return Some(format!("its folder {shown} is not there any more"));
            }
        }
        if new.is_some() && !plugin.plugin.exists() {
            return Some(format!("its plugin {} is not there any more", plugin.plugin.display()));
        }
    }
    None
}

fn anchor(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn anchored(store: &StorePlugin) -> StorePlugin {
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

impl Doubt {
    pub(crate) fn new(change: &Change<'_>, reason: String) -> Self {
        let Change { domain, old, is_same_place, .. } = *change;
        Self { domain, old: old.clone(), reason, is_same_place }
    }

    /// Whether the start is refused, because `evidence` does not show that nothing is lost.
    pub(crate) fn judged(self, config: &Config, evidence: &Evidence) -> Option<BindingError> {
        let Self { domain, old, reason, is_same_place } = self;
        let evidence = match evidence {
            Evidence::Missing(what) => what.clone(),
            Evidence::Silent if !is_same_place => "the event record does not tell what was held".to_owned(),
            Evidence::Silent | Evidence::Complete => {
                let (domain, old) = (domain.name(), old.name());
                tracing::warn!(
                    "[persistence] {domain} was kept in {old:?} at the last run, which cannot be looked at any more \
                     ({reason}). The event record shows nothing that is missing now"
                );
                return None;
            }
        };
        let new = config.persistence.stores.of(domain).name().to_owned();
        Some(BindingError::Unknown { domain, old: old.name().to_owned(), new, reason, evidence })
    }
}

impl Evidence {
    /// Looks whether `stores` have what `record` says is held.
    pub(crate) async fn of(config: &Config, record: &Record, stores: &Stores) -> Result<Self, BindingError> {
        for pair in record.holding().filter(|pair| pair.exchange == config.exchange_name) {
            for domain in [Domain::Signal, Domain::Schedule, Domain::Partial] {
                let at = Address::of_pair(domain, &pair);
                stores.of(domain).wait_for_init(&at.domain, &at.entity_name, false).await?;
            }
            let compared = match compare(stores, &config.engine, record, std::slice::from_ref(&pair)).await {
                Ok(compared) => compared,
                // There is a document, so the store is not another one. The start deals with the damage.
                Err(RunError::CorruptState { .. }) => continue,
                Err(RunError::Store(error)) => return Err(BindingError::Store(error)),
                Err(error) => return Ok(Self::Missing(error.to_string())),
            };
            let missing = compared.into_iter().find_map(|compared| match compared.finding {
                Finding::Lost { found } => Some(format!(
                    "the event record says that {pair} holds something, and the store bound now has {found}"
                )),
                Finding::Contradiction { record, store } => {
                    Some(format!("the event record says that {pair} has {record}, and the store bound now has {store}"))
                }
                _ => None,
            });
            if let Some(missing) = missing {
                return Ok(Self::Missing(missing));
            }
        }
        Ok(if record.is_conclusive() { Self::Complete } else { Self::Silent })
    }
}

impl BindingError {
    /// Why a record that cannot be understood keeps a run from starting.
    pub(crate) fn damaged(data_dir: &Path, reason: &str, evidence: String) -> Self {
        Self::Damaged { file: Bindings::file(data_dir), reason: reason.to_owned(), evidence }
    }

    /// What a person decides who says that the old store is gone for ever; `None` when nothing can be decided.
    pub(crate) fn given_up(&self) -> Option<String> {
        match self {
            Self::Unknown { domain, old, new, reason, evidence } => Some(format!(
                "{domain} is kept in {new:?} from now on, and {old:?} is given up ({reason}); {evidence}",
                domain = domain.name()
            )),
            Self::Damaged { file, reason, evidence } => Some(format!(
                "the stores of the configuration keep the state from now on, although {file} cannot be understood \
                 ({reason}); {evidence}",
                file = file.display()
            )),
            _ => None,
        }
    }
}

impl Moved {
    pub(crate) const fn domain(&self) -> Domain {
        self.domain
    }

    /// Reads the documents of `domain` in `old` that the new store must have: those of the traders of `config`, of the
    /// index of `old`, and of `record`.
    pub(crate) async fn read(
        config: &Config,
        record: &Record,
        domain: Domain,
        choice: &StoreChoice,
        old: &Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        let indexed = index::indexed(&**old).await?;
        let traders = traders(config, &indexed, record);
        let configured: BTreeSet<Address> = addresses(config, &pairs(config), domain).into_iter().collect();
        let mut documents = Vec::new();
        for at in addresses(config, &traders, domain) {
            old.wait_for_init(&at.domain, &at.entity_name, false).await?;
            if let Some(document) = old.read_value(&at).await?.filter(|document| !FLAT.contains(&document.as_slice())) {
                documents.push((at, document));
            }
        }
        let is_unnamed = |pair: &&Pair| {
            let at = Address::of_pair(domain, pair);
            !configured.contains(&at) && documents.iter().any(|(held, _)| *held == at)
        };
        let unnamed = match index::address(domain) {
            Some(_) => traders.iter().filter(is_unnamed).map(entry).collect(),
            None => BTreeSet::new(),
        };
        let new = config.persistence.stores.of(domain).clone();
        Ok(Self { domain, old: choice.clone(), new, documents, unnamed })
    }

    /// Fails at the first of these documents that `new` does not have.
    pub(crate) async fn is_in(&self, new: &Arc<dyn Store>) -> Result<(), BindingError> {
        for (at, document) in &self.documents {
            new.wait_for_init(&at.domain, &at.entity_name, false).await?;
            match new.read_value(at).await? {
                Some(found) if found == *document => {}
                Some(_) => return Err(self.refused(at, "has something else there")),
                None => return Err(self.refused(at, "does not")),
            }
        }
        if let Some(at) = index::address(self.domain)
            && !self.unnamed.is_empty()
            && !index::indexed(&**new).await?.is_superset(&self.unnamed)
        {
            return Err(self.refused(&at, "does not have all that is in it"));
        }
        Ok(())
    }

    fn refused(&self, at: &Address, found: &'static str) -> BindingError {
        let domain = self.domain;
        let document = format!("{}/{}", at.entity_name, at.entity_id);
        let (old, new) = (self.old.name().to_owned(), self.new.name().to_owned());
        if old == new {
            BindingError::Changed { domain, store: new, document, found }
        } else {
            BindingError::LeftBehind { domain, old, new, document, found }
        }
    }
}

/// Every document of `domain` that a run of `config` with these `traders` reads.
fn addresses(config: &Config, traders: &[Pair], domain: Domain) -> Vec<Address> {
    if domain == Domain::Risk {
        return config.risk.iter().map(|profile| Address::of_profile(&profile.name)).collect();
    }
    traders.iter().map(|pair| Address::of_pair(domain, pair)).collect()
}

/// The traders of `config`, and those that it does not name but that may hold something: those of an index, and those
/// of the event record.
fn traders(config: &Config, indexed: &BTreeSet<index::Entry>, record: &Record) -> Vec<Pair> {
    let mut traders = pairs(config);
    let mut known: BTreeSet<index::Entry> = traders.iter().map(entry).collect();
    for (symbol, strategy) in indexed.iter().cloned().chain(record.holding().map(|pair| entry(&pair))) {
        if known.insert((symbol.clone(), strategy.clone())) {
            traders.push(Pair { symbol, strategy, exchange: config.exchange_name.clone(), frame: String::new() });
        }
    }
    traders
}

fn entry(pair: &Pair) -> index::Entry {
    (pair.symbol.clone(), pair.strategy.clone())
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

    const STORE: &str = r#"{"plugin":"/p.wasm","settings":{},"secrets":{},"network":[],"directories":{}}"#;

    fn recorded(text: impl AsRef<[u8]>) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        Bindings::recorded(folder.path()).unwrap()
    }

    #[test]
    fn a_record_that_nobody_can_follow_counts_as_files_and_says_why() {
        let over = |over: &str| STORE.replace("}}", &format!("}},\"over\":{{\"plugin\":\"{over}\"}}}}"));
        let record = |stores: &str| format!(r#"{{"signal":{{"plugin":"a"}},"stores":{{{stores}}}}}"#);
        let whole = record(&format!("\"a\":{STORE}"));
        for (text, why) in [
            (record(&format!(r#""a":{},"b":{}"#, over("b"), over("a"))).into_bytes(), "a store wraps itself"),
            (record("\"a\":1").into_bytes(), "invalid type: integer `1`"),
            (whole.as_bytes()[..whole.len() / 2].to_vec(), "EOF while parsing"),
            (vec![0; 512], "expected value"),
            (Vec::new(), "EOF while parsing"),
        ] {
            let Recorded { bindings, damage } = recorded(&text);
            let damage = damage.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&text)));
            assert!(damage.contains(why), "{damage}");
            assert_eq!(bindings, Bindings::default());
        }
        // A store below that is not in the record is found missing when it is to be opened.
        assert_eq!(recorded(record(&format!("\"a\":{}", over("elsewhere")))).damage, None);
    }

    #[test]
    fn a_record_of_another_version_is_understood() {
        let Recorded { bindings, damage } =
            recorded(r#"{"signal":{"plugin":"a"},"new":7,"stores":{"a":{"plugin":"/p.wasm","new":{"b":1}}}}"#);
        assert_eq!(damage, None);
        assert_eq!(bindings.domains.signal, StoreChoice::Plugin("a".to_owned()));
        assert_eq!(bindings.domains.risk, StoreChoice::File, "what is missing has its default");
        assert_eq!(bindings.stores["a"], StorePlugin { plugin: "/p.wasm".into(), ..StorePlugin::default() });

        let folder = tempfile::tempdir().unwrap();
        bindings.record(folder.path()).unwrap();
        assert_eq!(Bindings::recorded(folder.path()).unwrap().bindings, bindings);
    }

    #[test]
    fn without_a_record_everything_was_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let Recorded { bindings, damage } = Bindings::recorded(folder.path()).unwrap();
        assert_eq!((bindings, damage), (Bindings::default(), None));
        assert_eq!(Bindings::default().domains, PerDomain::all(&StoreChoice::File));
    }

    /// A store with one directory, bound in `folder`, with the data directory at `data_dir`.
    fn bound(folder: &str, data_dir: &str, directory: &str) -> Bindings {
        let directories = BTreeMap::from([("/data".to_owned(), PathBuf::from(directory))]);
        let store = StorePlugin { plugin: "/p.wasm".into(), directories, ..StorePlugin::default() };
        Bindings {
            domains: PerDomain::all(&StoreChoice::Plugin("disk".to_owned())),
            stores: BTreeMap::from([("disk".to_owned(), store)]),
            data_dir: data_dir.into(),
            folder: folder.into(),
        }
    }

    #[test]
    fn what_was_moved_together_is_in_the_same_place_and_what_was_not_is_not() {
        let before = bound("/a", "/a/data", "/a/positions");
        let inside = bound("/a", "/a/data", "/a/data/positions");
        let cases = [
            ("nothing", &before, bound("/a", "/a/data", "/a/positions"), None),
            ("all", &before, bound("/b", "/b/data", "/b/positions"), Some(true)),
            (
                "the data directory, with the folder in it",
                &inside,
                bound("/a", "/b/data", "/b/data/positions"),
                Some(true),
            ),
            (
                "the data directory, without the folder in it",
                &inside,
                bound("/a", "/b/data", "/a/data/positions"),
                None,
            ),
            ("the configuration alone", &before, bound("/b", "/a/data", "/b/positions"), Some(false)),
            ("the folder alone", &before, bound("/a", "/a/data", "/a/other"), Some(false)),
        ];
        for (moved, before, now, expected) in cases {
            let change = now.changed_since(before).next();
            assert_eq!(change.map(|change| change.is_same_place), expected, "{moved}");
        }
        let older = Bindings { data_dir: PathBuf::new(), folder: PathBuf::new(), ..before };
        let now = bound("/b", "/b/data", "/b/positions");
        let change = now.changed_since(&older).next().unwrap();
        assert!(!change.is_same_place, "an older version did not say where the data directory was");
    }

    #[test]
    fn the_plugin_file_and_the_name_do_not_decide_where_state_is_and_settings_do() {
        let before = bound("/a", "/a/data", "/a/positions");
        let with = |change: &dyn Fn(&mut StorePlugin)| {
            let mut now = before.clone();
            change(now.stores.get_mut("disk").unwrap());
            now
        };
        let renamed = with(&|store| store.plugin = "/p-0.2.wasm".into());
        assert!(renamed.changed_since(&before).all(|change| change.is_same_place));
        assert_eq!(renamed.changed_since(&before).count(), 5, "the old plugin is asked as long as it is there");
        let secret = with(&|store| drop(store.secrets.insert("k".to_owned(), SecretSource::Env("K".to_owned()))));
        assert!(secret.changed_since(&before).all(|change| change.is_same_place));
        let setting = with(&|store| drop(store.settings.insert("prefix".to_owned(), "x".to_owned())));
        assert!(setting.changed_since(&before).all(|change| !change.is_same_place));
        let network = with(&|store| store.network.push("localhost:1".parse().unwrap()));
        assert!(network.changed_since(&before).all(|change| !change.is_same_place));
        let wrapper = with(&|store| store.over = Some(StoreChoice::File));
        assert!(wrapper.changed_since(&before).all(|change| !change.is_same_place));
    }
}
