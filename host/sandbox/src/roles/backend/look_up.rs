//! Look-ups of host names by a guest. Only granted names are looked up, because a plugin could carry data out in the
//! names.

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::{
    p2::{
        DynPollable, SocketError,
        bindings::sockets::{
            ip_name_lookup::{self, HostResolveAddressStream, ResolveAddressStream},
            network::{self, ErrorCode, HostNetwork, IpAddress, Network},
        },
    },
    sockets::WasiSocketsView as _,
};

use super::context::BackendContext;

/// Replaces the look-up of [`wasmtime_wasi`], which can only allow all names or none.
pub(super) fn guard(linker: &mut Linker<BackendContext>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    ip_name_lookup::add_to_linker::<_, HasSelf<BackendContext>>(linker, |context| context)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl ip_name_lookup::Host for BackendContext {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        if !self.shared.network.allows_look_up(&name) {
            return Err(ErrorCode::AccessDenied.into());
        }
        self.sockets().resolve_addresses(network, name)
    }
}

impl HostResolveAddressStream for BackendContext {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        self.sockets().resolve_next_address(stream)
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.sockets().subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        HostResolveAddressStream::drop(&mut self.sockets(), stream)
    }
}

/// The interface of the look-up refers to this one. Every function here does what [`wasmtime_wasi`] does.
impl network::Host for BackendContext {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime_wasi::p2::bindings::io::error::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl HostNetwork for BackendContext {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.sockets(), network)
    }
}
