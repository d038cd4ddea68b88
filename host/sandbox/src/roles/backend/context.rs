//! The context of a backend: what one instance is and what it has.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use sigbox_trading::store::Store;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, sockets::SocketAddrUse};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    http::{self, Hooks, Http},
    look_up,
    network::Network,
    probe::Probe,
};
use crate::{
    PluginError, Text,
    bindings::{
        persistence::sigbox::host::secrets,
        strategy::sigbox::host::{config, logging, source},
        wrapper::sigbox::persistence::store as wrapped,
    },
    guest::{Guest, Identity},
    limits::{Limits, RANDOM_BYTES, RESOURCES},
    sandbox::Context,
    secret::Secrets,
};

/// What all instances of one backend share. It outlives each of them.
#[derive(Clone)]
pub(super) struct Shared {
    /// The store's name in the configuration.
    pub(super) name: String,
    /// The text that it runs.
    pub(super) text: Option<Arc<Text>>,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) network: Arc<Network>,
    /// Sends the HTTP requests of the backend.
    pub(super) http: Arc<Http>,
    /// Folders that it may read and write, by the path at which the guest sees them.
    pub(super) directories: BTreeMap<String, PathBuf>,
    /// The store it wraps.
    pub(super) over: Option<Arc<dyn Store>>,
    /// The probe of the conformance kit.
    pub(super) probe: Option<Arc<Probe>>,
}

/// The data of one instance's wasmtime store.
pub(crate) struct BackendContext {
    guest: Guest,
    pub(super) shared: Shared,
    /// The names of the look-ups under way, by the number of their resource.
    pub(super) looked_up: BTreeMap<u32, String>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: Hooks,
    table: ResourceTable,
}

impl Context for BackendContext {
    fn guest(&self) -> &Guest {
        &self.guest
    }

    fn guest_mut(&mut self) -> &mut Guest {
        &mut self.guest
    }
}

impl BackendContext {
    /// # Errors
    /// When a granted folder cannot be opened.
    pub(super) fn new(shared: Shared, limits: Limits) -> Result<Self, PluginError> {
        let identity = Identity { plugin: shared.name.clone(), instance: String::new() };
        let (config, secrets) = (Arc::clone(&shared.config), Arc::clone(&shared.secrets));
        let guest = Guest::new(identity, config, secrets, limits, u64::MAX, 0).that_runs(shared.text.clone());
        let wasi = wasi(&shared)?;
        let http_hooks = Hooks(Arc::clone(&shared.http));
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Ok(Self { guest, shared, looked_up: BTreeMap::new(), wasi, http: WasiHttpCtx::new(), http_hooks, table })
    }
}

/// Links the imports of the world `sigbox:plugin/backend`, and WASI with HTTP. What was not granted links too, but
/// every use of it is denied. `wraps`: whether there is a store to wrap, which only the world `wrapper` imports.
/// Nothing else links.
pub(super) fn link(linker: &mut Linker<BackendContext>, wraps: bool) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    http::let_go_of_options(linker)?;
    look_up::guard(linker)?;
    config::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    source::add_to_linker::<_, HasSelf<Guest>>(linker, |context| &mut context.guest)?;
    logging::add_to_linker::<_, HasSelf<BackendContext>>(linker, |context| context)?;
    secrets::add_to_linker::<_, HasSelf<BackendContext>>(linker, |context| context)?;
    if wraps {
        wrapped::add_to_linker::<_, HasSelf<BackendContext>>(linker, |context| context)?;
    }
    Ok(())
}

/// A WASI with the machine's clocks and random numbers, and with the folders and addresses that were granted.
fn wasi(shared: &Shared) -> Result<WasiCtx, PluginError> {
    let mut builder = WasiCtxBuilder::new();
    builder.max_random_size(RANDOM_BYTES);
    // A backend has a thread of its own, and its file operations block that thread. On another thread, an operation
    // would go on after its instance was dropped.
    builder.allow_blocking_current_thread(!shared.directories.is_empty());
    for (guest, directory) in &shared.directories {
        builder.preopened_dir(directory, guest, FsPerms::ReadWrite).map_err(|error| PluginError::Directory {
            plugin: shared.name.clone(),
            directory: directory.clone(),
            reason: format!("cannot be opened: {error}"),
        })?;
    }
    // The network is allowed and then checked. The check tells the plugin and its operator what was denied.
    let network = Arc::clone(&shared.network);
    builder.allow_tcp(true).allow_ip_name_lookup(true).socket_addr_check(move |address, purpose| {
        let network = Arc::clone(&network);
        Box::pin(async move {
            match purpose {
                SocketAddrUse::TcpConnect => network.allows(address).await,
                // Before a socket connects, it is bound to a port that the system chooses.
                SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
                _ => false,
            }
        })
    });
    Ok(builder.build())
}

impl logging::Host for BackendContext {
    fn log(&mut self, level: logging::Level, target: String, message: String) -> wasmtime::Result<()> {
        if let Some(probe) = &self.shared.probe {
            probe.hear(format!("{target}: {message}"));
        }
        self.guest.log(level, target, message)
    }
}

impl secrets::Host for BackendContext {
    fn get(&mut self, name: String) -> Option<String> {
        self.shared.secrets.get(&name).map(|secret| secret.reveal().to_owned())
    }
}

impl WasiView for BackendContext {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for BackendContext {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, hooks: &mut self.http_hooks, table: &mut self.table }
    }
}
