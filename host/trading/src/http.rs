//! The HTTP client of the host: a feed asks its exchange with it, and requests of plugins leave through it.
//!
//! Both trust the certificates that the system trusts, speak TLS by the same library, and keep connections for the same
//! time. They differ in how a host is looked up, and in what a request may carry.

use std::{
    error::Error,
    io, iter,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Uri, uri::Scheme};
use http_body::Body;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, crypto::ring};
use tokio::net::TcpStream;
use tower_service::Service;

/// How long a connection nobody uses is kept: less than servers do, so that few are closed under a request.
const IDLE: Duration = Duration::from_secs(4);

/// A client that looks up hosts with `resolver`.
///
/// It follows no redirect and asks no proxy. To make one costs nothing: certificates are read at the first request to an
/// `https://` address.
pub fn client<R, B>(resolver: R) -> Client<Connector<R>, B>
where
    Connector<R>: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.set_nodelay(true);
    // It opens the connections of `https://` as well.
    tcp.enforce_http(false);
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        // Without a timer, a connection is closed by the next request, not when its time is over.
        .pool_timer(TokioTimer::new())
        .build(Connector { tcp })
}

/// Opens a connection, with TLS for `https://`.
#[derive(Clone, Debug)]
pub struct Connector<R> {
    tcp: HttpConnector<R>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<R> Service<Uri> for Connector<R>
where
    R: Clone + Send + 'static,
    HttpConnector<R>: Service<Uri, Response = TokioIo<TcpStream>, Error: Into<BoxError> + Send, Future: Send + 'static>,
{
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        Box::pin(async move {
            if to.scheme() == Some(&Scheme::HTTP) {
                return Ok(MaybeHttpsStream::Http(tcp.call(to).await.map_err(Into::into)?));
            }
            HttpsConnector::from((tcp, tls().await?)).call(to).await
        })
    }
}

/// This system has no certificate to check that of a server with.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate of the server cannot be checked, for this system trusts no authority; install its package \
     ca-certificates ({0})"
)]
pub struct NobodyTrusted(io::Error);

/// TLS, and whom the system trusts.
async fn tls() -> Result<Arc<ClientConfig>, NobodyTrusted> {
    let read = tokio::task::spawn_blocking(read_once).await;
    read.map_err(io::Error::other).flatten().map_err(NobodyTrusted)
}

/// Reads it at the first call; waits for the disk, or for whoever is reading it already.
///
/// A thread waits here, not a future: the future that reads would stand still while the plugin on its runtime computes,
/// and keep the others waiting.
fn read_once() -> io::Result<Arc<ClientConfig>> {
    static TLS: Mutex<Option<Arc<ClientConfig>>> = Mutex::new(None);
    let mut tls = TLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tls) = &*tls {
        return Ok(Arc::clone(tls));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = config.with_native_roots()?.with_no_client_auth();
    Ok(Arc::clone(tls.insert(Arc::new(config))))
}

/// What a request failed of, in the words of the first cause: the errors above it name the step only.
#[must_use]
pub fn reason(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// What a request failed of, if it is an `E`.
#[must_use]
pub fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(<dyn Error>::downcast_ref)
}

/// The error, what has caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        // What an I/O error was made from is not its `source`, but stands for it.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn a_cause_is_found_behind_errors_of_io() {
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        // As TLS hands it on.
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, expired.clone()));
        assert_eq!(cause(&error), Some(&expired));
        assert_eq!(reason(&error), "invalid peer certificate: Expired");
        assert!(cause::<NobodyTrusted>(&error).is_none());
    }
}
