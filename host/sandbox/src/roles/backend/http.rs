//! Requests a guest makes through `wasi:http`: only to endpoints it was granted, over connections that are kept.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use tower_service::Service;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::network::{Network, is_link_local};

/// How long a connection nobody uses is kept: less than servers do, so that few are closed under a request.
const IDLE: Duration = Duration::from_secs(4);

/// For requests that name no time of their own; the time of the whole call ends sooner.
const PATIENCE: Duration = Duration::from_secs(600);

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Sends the requests of one binding. Its connections outlive the instance that opened them.
pub(super) struct Http {
    network: Arc<Network>,
    /// Made at the first request: most plugins make none, and reading the system's certificates takes time.
    client: OnceLock<Client<Connector, WasiBody>>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(network: Arc<Network>) -> Arc<Self> {
        Arc::new(Self { network, client: OnceLock::new() })
    }

    fn client(&self) -> Result<&Client<Connector, WasiBody>, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut connector = HttpConnector::new_with_resolver(Resolver);
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(Error::Tls)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Ok(self.client.get_or_init(|| client))
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
        let patience = options.and_then(|options| options.first_byte_timeout).unwrap_or(PATIENCE);
        let response = tokio::time::timeout(patience, self.client()?.request(request)).await;
        let response = response.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| explain(&error))?;
        Ok(response.map(|body| body.map_err(Error::Hyper).boxed_unsync()))
    }
}

/// What went wrong, as far as `wasi:http` has a word for it.
fn explain(error: &hyper_util::client::legacy::Error) -> Error {
    let cause = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() {
        tracing::debug!(target: "plugin", "no connection: {why}");
        return match cause.and_then(|cause| cause.downcast_ref::<Prohibited>()) {
            Some(Prohibited) => Error::DestinationIpProhibited,
            None if why.contains("certificate") => Error::TlsCertificateError,
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
#[derive(Clone, Debug)]
struct Resolver;

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
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| !is_link_local(address.ip().to_canonical())).collect();
            if allowed.is_empty() {
                return Err(io::Error::other(Prohibited));
            }
            Ok(allowed.into_iter())
        })
    }
}
