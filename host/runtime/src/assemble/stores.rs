//! The stores of a run, opened by their names in the configuration. Each plugin gets its grant.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sigbox_sandbox::{Grant, Live, PluginStore, Sandbox, Secret};
use sigbox_trading::{
    Record,
    store::{BoundStore, FileStore, MemoryStore, Store, Stores},
};

use super::{AssembleError, Resolve, Variable, claim::Claims};
use crate::{
    binding::{BindingError, Bindings, Doubt, Evidence, Moved, Recorded},
    config::{Config, SecretSource, StoreChoice, StorePlugin},
    plugin_source::Role,
};

/// The purpose for which stores are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To run: the data directory and the stores belong to this process until it ends.
    Own {
        /// Whether a store is claimed that another host holds. What that host writes from then on is refused.
        take_over: bool,
    },
    /// To look at the state of a run, even while it is running.
    Look,
}

/// The store of each domain. Domains with the same choice share one.
///
/// With [`Access::Own`], this process owns the data directory from here on, even if no domain is kept in it, and each
/// store that can be claimed. A store that is not the one of the last run is accepted only if it has every document
/// that the old one holds. If the old one cannot be opened any more, `record`, the event record, must show that nothing
/// is lost.
///
/// # Errors
/// When the data directory is in use, another host holds a store, a persistence plugin cannot start, or state would be
/// left behind; the message names the domains.
pub async fn stores(
    config: &Config,
    access: Access,
    record: &Record,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Stores, AssembleError> {
    let Access::Own { take_over } = access else {
        return Opener::new(config, access, sandbox, resolve, variable)?.open_all().await;
    };
    let Claim { stores, doubts, binding } = claim(config, take_over, record, sandbox, resolve, variable).await?;
    let recorded = match doubts.into_iter().next() {
        Some(doubt) => Err(doubt),
        None => binding.record(),
    };
    if let Err(error) = recorded {
        // What was claimed is released.
        stores.close().await;
        return Err(error.into());
    }
    Ok(stores)
}

/// The stores of a configuration, which belong to this process but are not yet recorded as those of the last run.
pub(crate) struct Claim {
    pub(crate) stores: Stores,
    /// What cannot be told about the old stores. A person can decide that it does not matter.
    pub(crate) doubts: Vec<BindingError>,
    pub(crate) binding: NewBinding,
}

/// The binding of a claim.
pub(crate) struct NewBinding {
    data_dir: PathBuf,
    now: Bindings,
    is_new: bool,
    /// Whether the record that it replaces cannot be understood.
    is_damaged: bool,
}

impl NewBinding {
    /// Records it as that of the last run.
    pub(crate) fn record(&self) -> Result<(), BindingError> {
        let Self { data_dir, now, is_new, is_damaged } = self;
        if *is_damaged {
            Bindings::set_aside(data_dir)?;
        }
        if *is_new || *is_damaged { now.record(data_dir) } else { Ok(()) }
    }
}

/// Opens the stores of `config`, and looks what the stores of the last run still hold.
///
/// # Errors
/// As for [`stores`], but not for what cannot be told about the old stores.
pub(crate) async fn claim(
    config: &Config,
    take_over: bool,
    record: &Record,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Claim, AssembleError> {
    let mut opener = Opener::new(config, Access::Own { take_over }, sandbox, resolve, variable)?;
    let data_dir = config.persistence.data_dir.clone();
    let Recorded { bindings: before, damage } = Bindings::recorded(&data_dir)?;
    let now = Bindings::of(config);
    let (moved, unread) = opener.moved(&before, &now, record).await?;
    let stores = opener.open_all().await?;
    let judged = async {
        let mut claims = Claims::new(&data_dir, take_over)?;
        for (_, store) in stores.iter() {
            claims.claim(&**store).await?;
        }
        let mut doubts = Vec::new();
        match &damage {
            None => {
                if !unread.is_empty() {
                    let evidence = Evidence::of(config, record, &stores).await?;
                    doubts.extend(unread.into_iter().filter_map(|doubt| doubt.judged(config, &evidence)));
                }
                for moved in &moved {
                    moved.is_in(stores.of(moved.domain())).await?;
                }
            }
            Some(reason) => doubts.extend(judge_damage(config, record, &stores, &moved, reason).await?),
        }
        Ok::<_, AssembleError>(doubts)
    };
    match judged.await {
        Ok(doubts) => {
            let binding = NewBinding { data_dir, is_new: before != now, now, is_damaged: damage.is_some() };
            Ok(Claim { stores, doubts, binding })
        }
        Err(error) => {
            // What was claimed is released.
            stores.close().await;
            Err(error)
        }
    }
}

/// What speaks against going on without a record of the last run that can be understood. `moved`: the domains that
/// would have another store if they had been kept in files.
async fn judge_damage(
    config: &Config,
    record: &Record,
    stores: &Stores,
    moved: &[Moved],
    reason: &str,
) -> Result<Option<BindingError>, AssembleError> {
    let data_dir: &Path = &config.persistence.data_dir;
    let evidence = Evidence::of(config, record, stores).await?;
    let against = match evidence {
        Evidence::Complete => None,
        Evidence::Missing(what) => Some(what),
        Evidence::Silent => {
            let mut against = None;
            for moved in moved {
                match moved.is_in(stores.of(moved.domain())).await {
                    Err(error @ BindingError::Store(_)) => return Err(error.into()),
                    // Its advice would overwrite the right documents if the domain was not kept in files.
                    Err(_) => {
                        against = Some("the files in the data directory hold what the stores bound now do not have");
                    }
                    Ok(()) => {}
                }
            }
            against.map(str::to_owned)
        }
    };
    if against.is_none() {
        let file = Bindings::file(data_dir);
        tracing::warn!(
            "{} could not be understood ({reason}) and is written anew. The event record shows nothing that is missing",
            file.display()
        );
    }
    Ok(against.map(|evidence| BindingError::damaged(data_dir, reason, evidence)))
}

/// What a wrapper reaches of the store under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The domains that it is bound to.
    Bound,
    /// Every domain.
    All,
}

/// Opens stores by their names in the configuration, each once.
pub struct Opener<'a, 's> {
    config: &'a Config,
    sandbox: &'a Sandbox<Live>,
    resolve: &'a mut Resolve<'s>,
    variable: &'a Variable<'s>,
    opened: Vec<(StoreChoice, Arc<dyn Store>)>,
    /// The file store of the data directory, which this process owns or only looks at.
    files: Arc<dyn Store>,
}

impl<'a, 's> Opener<'a, 's> {
    /// With [`Access::Own`], takes possession of the data directory.
    ///
    /// # Errors
    /// When the data directory is in use or cannot be used.
    pub fn new(
        config: &'a Config,
        access: Access,
        sandbox: &'a Sandbox<Live>,
        resolve: &'a mut Resolve<'s>,
        variable: &'a Variable<'s>,
    ) -> Result<Self, AssembleError> {
        let data_dir = &config.persistence.data_dir;
        let files: Arc<dyn Store> = Arc::new(match access {
            Access::Own { .. } => FileStore::open(data_dir)?,
            Access::Look => FileStore::look_only(data_dir)?,
        });
        Ok(Self { config, sandbox, resolve, variable, files, opened: Vec::new() })
    }

    async fn open_all(&mut self) -> Result<Stores, AssembleError> {
        let persistence = &self.config.persistence;
        for (_, choice) in persistence.stores.iter() {
            self.open(choice).await.map_err(|source| {
                let bound = persistence.stores.iter().filter(|(_, other)| *other == choice);
                let domains: Vec<&str> = bound.map(|(domain, _)| domain.name()).collect();
                AssembleError::Store { domains: domains.join(", "), source: Box::new(source) }
            })?;
        }
        let opened = |choice: &StoreChoice| {
            self.opened.iter().find(|(known, _)| known == choice).map(|(_, store)| Arc::clone(store))
        };
        let by_domain = persistence.stores.map(|choice| opened(choice).expect("every store was opened above"));
        // A wrapped store was opened before its wrapper, so the wrapper is closed first.
        let closing = self.opened.iter().rev().map(|(_, store)| Arc::clone(store)).collect();
        Ok(Stores { by_domain, closing, data_dir: Some(Arc::clone(&self.files)) })
    }

    /// For each domain whose store has changed, reads the documents of the old store that the new one must have, or
    /// says why they cannot be read. The old stores are closed again, because the new ones may be in the same places.
    async fn moved(
        &mut self,
        before: &Bindings,
        now: &Bindings,
        record: &Record,
    ) -> Result<(Vec<Moved>, Vec<Doubt>), AssembleError> {
        let (mut moved, mut doubts) = (Vec::new(), Vec::new());
        let config = before.in_place_of(self.config);
        let mut old = Opener {
            config: &config,
            sandbox: self.sandbox,
            resolve: &mut *self.resolve,
            variable: self.variable,
            files: Arc::clone(&self.files),
            opened: Vec::new(),
        };
        for mut change in now.changed_since(before) {
            if let Some(reason) = change.gone.take() {
                doubts.push(Doubt::new(&change, reason));
                continue;
            }
            match old.open(change.old).await {
                Err(error) => doubts.push(Doubt::new(&change, error.to_string())),
                Ok(store) => match Moved::read(self.config, record, change.domain, change.old, &store).await {
                    Err(error) => doubts.push(Doubt::new(&change, error.to_string())),
                    Ok(read) => moved.push(read),
                },
            }
        }
        for (choice, store) in old.opened.into_iter().rev() {
            if choice != StoreChoice::File {
                store.close().await;
            }
        }
        Ok((moved, doubts))
    }

    /// The store called `choice`. If it is a wrapper, the store under it is opened too, and the wrapper reaches the
    /// domains of it that the configuration binds to the wrapper.
    ///
    /// # Errors
    /// When there is no such store, it is in use, or it cannot start.
    pub async fn open(&mut self, choice: &StoreChoice) -> Result<Arc<dyn Store>, AssembleError> {
        self.open_in(choice, Reach::Bound).await
    }

    /// The same as [`open`](Self::open), but a wrapper reaches every domain: somebody copies what no domain is bound to
    /// yet, or any more.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_whole(&mut self, choice: &StoreChoice) -> Result<Arc<dyn Store>, AssembleError> {
        self.open_in(choice, Reach::All).await
    }

    async fn open_in(&mut self, choice: &StoreChoice, reach: Reach) -> Result<Arc<dyn Store>, AssembleError> {
        if let Some((_, store)) = self.opened.iter().find(|(known, _)| known == choice) {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn Store> = match choice {
            StoreChoice::File => Arc::clone(&self.files),
            StoreChoice::Memory => Arc::new(MemoryStore::new()),
            StoreChoice::Plugin(name) => {
                let Some(plugin) = self.config.stores.get(name) else {
                    return Err(AssembleError::NoStore(name.clone()));
                };
                let over = match &plugin.over {
                    // Neither a configuration nor a record of bindings has a circle, so this comes to an end.
                    Some(over) => {
                        let over = Box::pin(self.open_in(over, reach)).await?;
                        Some(self.reached_by(choice, reach, over))
                    }
                    None => None,
                };
                Arc::new(self.start(name, plugin, over).await?)
            }
        };
        self.opened.push((choice.clone(), Arc::clone(&store)));
        Ok(store)
    }

    /// What the wrapper `choice` may reach of the store under it: with [`Reach::Bound`], the domains that it is bound to,
    /// and those of the wrappers around it.
    fn reached_by(&self, choice: &StoreChoice, reach: Reach, over: Arc<dyn Store>) -> Arc<dyn Store> {
        if reach == Reach::All {
            return over;
        }
        let bound = self.config.persistence.stores.iter().filter(|(_, bound)| self.leads_to(bound, choice));
        Arc::new(BoundStore::new(over, bound.map(|(domain, _)| domain).collect()))
    }

    /// Whether `from` is `to`, or a wrapper around it.
    fn leads_to(&self, from: &StoreChoice, to: &StoreChoice) -> bool {
        let under = |choice: &StoreChoice| match choice {
            StoreChoice::Plugin(name) => self.config.stores.get(name).and_then(|plugin| plugin.over.as_ref()),
            StoreChoice::File | StoreChoice::Memory => None,
        };
        std::iter::successors(Some(from), |choice| under(choice)).any(|choice| choice == to)
    }

    /// Claims a store that was opened, for the process that owns the data directory, until it is closed.
    ///
    /// # Errors
    /// When another host holds it and is not to be taken over from, or the claim is not known to be durable.
    pub async fn claim(&self, store: &dyn Store, take_over: bool) -> Result<(), AssembleError> {
        Claims::new(&self.config.persistence.data_dir, take_over)?.claim(store).await
    }

    /// Closes every store that was opened, wrappers first.
    pub async fn close(self) {
        for (_, store) in self.opened.iter().rev() {
            store.close().await;
        }
        self.files.close().await;
    }

    async fn start(
        &mut self,
        name: &str,
        plugin: &StorePlugin,
        over: Option<Arc<dyn Store>>,
    ) -> Result<PluginStore, AssembleError> {
        let grant = grant_of(name, plugin, over, self.variable)?;
        let program = (self.resolve)(&plugin.plugin, Role::Backend)?;
        Ok(PluginStore::start(self.sandbox, program, grant).await?)
    }
}

/// The grant of the plugin called `name`, with the values of its secrets.
pub(crate) fn grant_of(
    name: &str,
    plugin: &StorePlugin,
    over: Option<Arc<dyn Store>>,
    variable: &Variable<'_>,
) -> Result<Grant, AssembleError> {
    let StorePlugin { plugin: _, settings, secrets, network, directories, over: _ } = plugin;
    let secret = |(secret, source): (&String, &SecretSource)| {
        let found = read_secret(source, variable).map_err(|reason| AssembleError::Secret {
            store: name.to_owned(),
            secret: secret.clone(),
            reason,
        })?;
        Ok((secret.clone(), Secret::from(found)))
    };
    Ok(Grant {
        name: name.to_owned(),
        settings: settings.clone(),
        secrets: secrets.iter().map(secret).collect::<Result<_, AssembleError>>()?,
        network: network.clone(),
        directories: directories.clone(),
        over,
    })
}

/// The value of a secret, without the line end that editors put at the end of a file.
fn read_secret(source: &SecretSource, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    match source {
        SecretSource::Env(name) => variable(name).ok_or_else(|| format!("{source} is not set")),
        SecretSource::File(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("{source} cannot be read: {error}"))?;
            Ok(text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
        }
    }
}
