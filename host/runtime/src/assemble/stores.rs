//! The stores of a run, opened by their names in the configuration. Each plugin gets its grant.

use std::{fs, sync::Arc};

use sigbox_sandbox::{Grant, Live, PluginStore, Sandbox, Secret};
use sigbox_trading::store::{FileStore, MemoryStore, Store, Stores};

use super::{AssembleError, Resolve, Variable, claim::Claims};
use crate::{
    binding::{BindingError, Bindings, Moved},
    config::{Config, SecretSource, StoreChoice, StorePlugin},
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
/// that the old one holds.
///
/// # Errors
/// When the data directory is in use, another host holds a store, a persistence plugin cannot start, or state would be
/// left behind; the message names the domains.
pub async fn stores(
    config: &Config,
    access: Access,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Stores, AssembleError> {
    let mut opener = Opener::new(config, access, sandbox, resolve, variable)?;
    let Access::Own { take_over } = access else {
        return opener.open_all().await;
    };
    let data_dir = &config.persistence.data_dir;
    let (before, now) = (Bindings::recorded(data_dir)?, Bindings::of(config));
    let moved = opener.moved(&before, &now).await?;
    let stores = opener.open_all().await?;
    let owned = async {
        let mut claims = Claims::new(data_dir, take_over)?;
        for (_, store) in stores.iter() {
            claims.claim(&**store).await?;
        }
        for moved in moved {
            moved.is_in(stores.of(moved.domain())).await?;
        }
        if before != now {
            now.record(data_dir)?;
        }
        Ok(())
    };
    match owned.await {
        Ok(()) => Ok(stores),
        Err(error) => {
            // What was claimed is released.
            stores.close().await;
            Err(error)
        }
    }
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

    /// For each domain whose store has changed, reads the documents of the old store that the new one must have. The
    /// old stores are closed again, because the new ones may be in the same places.
    async fn moved(&mut self, before: &Bindings, now: &Bindings) -> Result<Vec<Moved>, AssembleError> {
        let mut moved = Vec::new();
        let config = before.in_place_of(self.config);
        let mut old = Opener {
            config: &config,
            sandbox: self.sandbox,
            resolve: &mut *self.resolve,
            variable: self.variable,
            files: Arc::clone(&self.files),
            opened: Vec::new(),
        };
        for (domain, choice) in now.changed_since(before) {
            let store = old.open(choice).await;
            let store = store.map_err(|error| BindingError::unknown(self.config, domain, choice, error))?;
            let read = Moved::read(self.config, domain, choice, &store).await;
            moved.push(read.map_err(|error| BindingError::unknown(self.config, domain, choice, error))?);
        }
        for (choice, store) in old.opened.into_iter().rev() {
            if choice != StoreChoice::File {
                store.close().await;
            }
        }
        Ok(moved)
    }

    /// The store called `choice`. If it is a wrapper, the store under it is opened too.
    ///
    /// # Errors
    /// When there is no such store, it is in use, or it cannot start.
    pub async fn open(&mut self, choice: &StoreChoice) -> Result<Arc<dyn Store>, AssembleError> {
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
                    Some(over) => Some(Box::pin(self.open(over)).await?),
                    None => None,
                };
                Arc::new(self.start(name, plugin, over).await?)
            }
        };
        self.opened.push((choice.clone(), Arc::clone(&store)));
        Ok(store)
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
        let file = (self.resolve)(&plugin.plugin)?;
        Ok(PluginStore::start(self.sandbox, &file, grant).await?)
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
