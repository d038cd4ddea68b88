//! Assembly of a backend that the conformance kit can test, from a `kit.toml`.

use std::sync::Arc;

use sigbox_sandbox::{Grant, Live, PluginStore, Program, Sandbox};
use sigbox_trading::store::{MemoryStore, Store};

use super::{AssembleError, Resolve, Variable, stores::grant_of};
use crate::{
    config::{KitFile, StoreChoice, StorePlugin},
    plugin_source::Role,
};

/// The name of the plugin that is tested, in its log lines and errors.
const TESTED: &str = "tested";

/// The program of the plugin that `file` binds, and its grant. `variable` reads a variable of the environment, for
/// secrets.
///
/// # Errors
/// When a secret cannot be read, a plugin cannot be built or is no backend, or the store under a wrapper cannot start.
pub async fn tested_backend(
    file: &KitFile,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<(Program, Grant), AssembleError> {
    let grant = grant(TESTED, &file.binding, file, sandbox, resolve, variable).await?;
    let program = resolve(&file.binding.plugin, Role::Backend)?;
    PluginStore::check(sandbox, &program, grant.over.clone())?;
    Ok((program, grant))
}

async fn grant(
    name: &str,
    plugin: &StorePlugin,
    file: &KitFile,
    sandbox: &Sandbox<Live>,
    resolve: &mut Resolve<'_>,
    variable: &Variable<'_>,
) -> Result<Grant, AssembleError> {
    let over: Option<Arc<dyn Store>> = match &plugin.over {
        None => None,
        Some(StoreChoice::Memory) => Some(Arc::new(MemoryStore::new())),
        Some(other) => {
            // A `KitFile` has no circle and no store of files, so this is another plugin.
            let name = other.name();
            let plugin = file.stores.get(name).ok_or_else(|| AssembleError::NoStore(name.to_owned()))?;
            let grant = Box::pin(grant(name, plugin, file, sandbox, resolve, variable)).await?;
            Some(Arc::new(PluginStore::start(sandbox, resolve(&plugin.plugin, Role::Backend)?, grant).await?))
        }
    };
    grant_of(name, plugin, over, variable)
}
