//! Requests a guest makes through `wasi:http`: only to endpoints it was granted, over connections that are kept.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper_util::client::legacy::{Client, connect::dns::Name};
use sigbox_trading::http::{Connector, NobodyTrusted, cause, client, reason};
use tower_service::Service;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView as _,
    p2::{
        bindings::http::{
            outgoing_handler,
            types::{self, RequestOptions as RequestOptionsOfGuest},
        },
        types::HostOutgoingRequest,
    },
};

use super::{
    context::BackendContext,
    network::{Network, is_link_local},
};

/// Replaces the handler of [`wasmtime_wasi_http`], which takes the options of a request and never lets go of them: an
/// instance would have no resources left after [`RESOURCES`](crate::limits::RESOURCES) requests.
pub(super) fn let_go_of_options(linker: &mut Linker<BackendContext>) -> wasmtime::Result<()> {
    type Options = Resource<RequestOptionsOfGuest>;
    linker.allow_shadowing(true);
    linker.instance(OUTGOING_HANDLER)?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, BackendContext>,
         (request, options): (Resource<HostOutgoingRequest>, Option<Options>)| {
            let mut http = store.data_mut().http();
            let taken = options.as_ref().map(|options| Options::new_own(options.rep()));
            let handled = outgoing_handler::Host::handle(&mut http, request, options);
            if let Some(taken) = taken {
                http.table.delete(taken)?;
            }
            let handled = handled.map_err(|error| types::Host::convert_error_code(&mut http, error));
            Ok((match handled {
                Ok(answer) => Ok(answer),
                Err(refused) => Err(refused?),
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The interface that sends requests, in the version of wasmtime. A guest that was built for another 0.2 gets it too.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// For requests that name no time of their own; the time of the whole call ends sooner.
const PATIENCE: Duration = Duration::from_secs(600);

/// Sends the requests of one binding. Its connections outlive the instance that opened them.
pub(super) struct Http {
    network: Arc<Network>,
    client: Client<Connector<Resolver>, WasiBody>,
    resolver: Resolver,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(network: Arc<Network>) -> Arc<Self> {
        let resolver = Resolver::default();
        Arc::new(Self { network, client: client(resolver.clone()), resolver })
    }

    async fn send(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
        let default_port = if request.uri().scheme_str() == Some("http") { 80 } else { 443 };
        if !self.network.allows_requests_to(authority.host(), authority.port_u16().unwrap_or(default_port)) {
            return Err(Error::HttpRequestDenied);
        }
        let host = authority.host().to_owned();
        let patience = options.and_then(|options| options.first_byte_timeout).unwrap_or(PATIENCE);
        let request = self.client.request(request);
        tokio::pin!(request);
        let Ok(response) = tokio::time::timeout(patience, &mut request).await else {
            // The request is still there, and with it a look-up that has no answer.
            return Err(if self.resolver.is_asking(&host) { Error::DnsTimeout } else { Error::ConnectionReadTimeout });
        };
        let response = response.map_err(|error| explain(&error))?;
        Ok(response.map(|body| body.map_err(Error::Hyper).boxed_unsync()))
    }
}

/// What went wrong, as far as `wasi:http` has a word for it.
fn explain(error: &hyper_util::client::legacy::Error) -> Error {
    let why = reason(error);
    if error.is_connect() {
        tracing::debug!(target: "plugin", "no connection: {why}");
        if cause::<Prohibited>(error).is_some() {
            return Error::DestinationIpProhibited;
        }
        if let Some(NoAddress(why)) = cause::<NoAddress>(error) {
            return Error::DnsError { rcode: Some(why.to_string()), info_code: None };
        }
        return match cause::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
            Some(_) => Error::Tls(io::Error::other(why)),
            None if cause::<NobodyTrusted>(error).is_some() => Error::Tls(io::Error::other(why)),
            None => Error::Connect(io::Error::other(why)),
        };
    }
    tracing::debug!(target: "plugin", "no answer: {why}");
    Error::ConnectionTerminated
}

/// What an instance holds of its binding's [`Http`].
pub(super) struct Hooks(pub(super) Arc<Http>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmission), Error>> + Send> {
        let http = Arc::clone(&self.0);
        Box::new(async move {
            let response = http.send(request, options).await?;
            // The pool drives the connection; errors of the body are the body's.
            Ok((response, Box::new(std::future::ready(Ok(()))) as Transmission))
        })
    }
}

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Resolves names like the system does, and drops addresses nobody may be sent to by name.
#[derive(Clone, Debug, Default)]
struct Resolver {
    /// The names whose look-up has no answer yet, as often as they are looked up.
    asking: Arc<Mutex<Vec<String>>>,
}

impl Resolver {
    fn is_asking(&self, name: &str) -> bool {
        self.names().iter().any(|asked| asked == name)
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        // A panic cannot leave a list half changed.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look-up under way.
struct Asking(Resolver, String);

impl Asking {
    fn new(resolver: &Resolver, name: &str) -> Self {
        resolver.names().push(name.to_owned());
        Self(resolver.clone(), name.to_owned())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut names = self.0.names();
        if let Some(at) = names.iter().position(|asked| *asked == self.1) {
            names.swap_remove(at);
        }
    }
}

/// The look-up of a name failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAddress(io::Error);

/// The name stands for nothing but addresses that must be granted as such.
#[derive(Debug, thiserror::Error)]
#[error("the name stands for a link-local address; grant the address itself")]
struct Prohibited;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let asking = Asking::new(self, name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            drop(asking);
            let found = found.map_err(|error| io::Error::other(NoAddress(error)))?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| !is_link_local(address.ip().to_canonical())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(Prohibited));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use rustls::CertificateError;

    use super::*;

    /// Where each connection fails, of an error made for it.
    #[derive(Clone)]
    struct Failing(fn() -> io::Error);

    impl Service<Name> for Failing {
        type Response = std::iter::Empty<SocketAddr>;
        type Error = io::Error;
        type Future = std::future::Ready<io::Result<Self::Response>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            std::future::ready(Err(self.0()))
        }
    }

    #[tokio::test]
    async fn what_a_guest_is_told_depends_on_the_kind_of_an_error_not_on_its_words() {
        type Fails = fn() -> io::Error;
        let cases: [(Fails, &str); 6] = [
            (|| io::Error::other(Prohibited), "DestinationIpProhibited"),
            (
                || io::Error::other(NoAddress(io::Error::other("no such name"))),
                "DnsError { rcode: Some(\"no such name\"), info_code: None }",
            ),
            // TLS fails like this: within two errors of I/O.
            (
                || io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(CertificateError::Expired))),
                "TlsCertificateError",
            ),
            (
                || io::Error::other(io::Error::other(rustls::Error::General("no certificate".to_owned()))),
                "Tls(Custom { kind: Other, error: \"unexpected error: no certificate\" })",
            ),
            (|| io::Error::other("no certificate"), "Connect(Custom { kind: Other, error: \"no certificate\" })"),
            (
                || io::ErrorKind::ConnectionRefused.into(),
                "Connect(Custom { kind: Other, error: \"connection refused\" })",
            ),
        ];
        for (fails, expected) in cases {
            let request = http::Request::get("http://bucket.example/").body(Empty::<&[u8]>::new()).unwrap();
            let error = client(Failing(fails)).request(request).await.unwrap_err();
            assert_eq!(format!("{:?}", explain(&error)), expected);
        }
    }
}
