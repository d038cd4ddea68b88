//! Look-ups of host names by a guest. Only granted names are looked up, because a plugin could carry data out in the
//! names.

use std::net::IpAddr;

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
        let stream = self.sockets().resolve_addresses(network, name.clone())?;
        self.looked_up.insert(stream.rep(), name);
        Ok(stream)
    }
}

impl HostResolveAddressStream for BackendContext {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let name = self.looked_up.get(&stream.rep()).cloned();
        let found = self.sockets().resolve_next_address(stream)?;
        if let (Some(name), Some(address)) = (name, found) {
            let address = match address {
                IpAddress::Ipv4((a, b, c, d)) => IpAddr::from([a, b, c, d]),
                IpAddress::Ipv6(parts) => IpAddr::from(<[u16; 8]>::from(parts)),
            };
            self.shared.network.found(&name, address);
        }
        Ok(found)
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.sockets().subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.looked_up.remove(&stream.rep());
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
