//! Which addresses a plugin can reach.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::text::printable;

/// Bytes of a guest's host name that a log line shows.
const SHOWN_BYTES: usize = 256;

/// A host and a port, as in `network = ["localhost:6379"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: EndpointHost,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum EndpointHost {
    Address(IpAddr),
    /// In lower case.
    Name(String),
}

/// A text is not a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be HOST:PORT, like \"localhost:6379\", \"10.0.0.1:5432\" or \"[::1]:443\"")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: EndpointHost::Address(address.ip()), port: address.port() });
        }
        let (name, port) = text.rsplit_once(':').ok_or(EndpointError)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(EndpointError);
        }
        let port = port.parse().map_err(|_| EndpointError)?;
        Ok(Self { host: EndpointHost::Name(name.to_ascii_lowercase()), port })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            EndpointHost::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            EndpointHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// The endpoints one plugin was granted. Everything else is denied and logged with the line that would allow it.
///
/// A name stands for the addresses it has when the plugin connects. Link-local ones, where clouds serve credentials,
/// are never among them: they must be granted as addresses.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// For messages: where the grant would be written.
    section: String,
    granted: Vec<Endpoint>,
    /// The probe of the conformance kit, which is told of denials too.
    probe: Option<Arc<Probe>>,
    /// What granted names were found to stand for. Large services answer each question with other addresses, and what
    /// the guest was told may not be in the answer the check gets.
    resolved: Mutex<BTreeSet<SocketAddr>>,
}

impl Network {
    pub(super) fn new(section: String, granted: Vec<Endpoint>, probe: Option<Arc<Probe>>) -> Arc<Self> {
        Arc::new(Self { section, granted, probe, resolved: Mutex::default() })
    }

    /// Whether a plugin may learn the addresses of `name`.
    pub(super) fn allows_look_up(&self, name: &str) -> bool {
        let allowed = self.granted.iter().any(|endpoint| endpoint.is_host(name));
        if !allowed {
            self.tell(&format!("the address of {}", printable(name, SHOWN_BYTES)), "HOST:PORT");
        }
        allowed
    }

    /// Notes what a plugin was told that a granted name stands for. To connect there needs no look-up then, which the
    /// plugin could not end when its own time is over.
    pub(super) fn found(&self, name: &str, address: IpAddr) {
        let granted = self.granted.iter().filter(|endpoint| endpoint.is_host(name));
        let found = granted.map(|endpoint| SocketAddr::new(address.to_canonical(), endpoint.port));
        self.resolved().extend(found);
    }

    /// Whether a plugin may connect to `address`.
    pub(super) async fn allows(&self, address: SocketAddr) -> bool {
        let allowed = self.is_granted(address).await;
        if !allowed {
            self.tell(&address.to_string(), &address.to_string());
        }
        allowed
    }

    /// Whether a plugin may send requests to `host`, whatever addresses it has.
    pub(super) fn allows_requests_to(&self, host: &str, port: u16) -> bool {
        let allowed = self.granted.iter().any(|endpoint| endpoint.port == port && endpoint.is_host(host));
        if !allowed {
            let authority = format!("{}:{port}", printable(host, SHOWN_BYTES));
            self.tell(&authority, &authority);
        }
        allowed
    }

    async fn is_granted(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let is_literal = |endpoint: &Endpoint| {
            endpoint.port == address.port() && endpoint.host == EndpointHost::Address(address.ip())
        };
        if self.granted.iter().any(is_literal) {
            return true;
        }
        if is_link_local(address.ip()) {
            return false;
        }
        if self.resolved().contains(&address) {
            return true;
        }
        for endpoint in &self.granted {
            let Endpoint { host: EndpointHost::Name(name), port } = endpoint else { continue };
            if *port == address.port()
                && let Ok(found) = tokio::net::lookup_host((name.as_str(), *port)).await
            {
                let canonical = found.map(|found| SocketAddr::new(found.ip().to_canonical(), found.port()));
                self.resolved().extend(canonical);
            }
        }
        self.resolved().contains(&address)
    }

    fn resolved(&self) -> std::sync::MutexGuard<'_, BTreeSet<SocketAddr>> {
        // A set has no state in between.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: &str, line: &str) {
        let section = &self.section;
        tracing::warn!(
            target: "plugin",
            "{section} was denied {what}; to allow it, add \"{line}\" to network in {section}"
        );
        if let Some(probe) = &self.probe {
            probe.denied(format!("the host denied it {what}; to allow it, add \"{line}\" to network"));
        }
    }
}

impl Endpoint {
    fn is_host(&self, host: &str) -> bool {
        match &self.host {
            EndpointHost::Address(address) => {
                host.trim_start_matches('[').trim_end_matches(']').parse() == Ok(*address)
            }
            EndpointHost::Name(name) => name.eq_ignore_ascii_case(host.strip_suffix('.').unwrap_or(host)),
        }
    }
}

/// Whether it belongs to this machine's link only, such as the address at which clouds serve credentials.
pub(super) const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(granted: &[&str]) -> Arc<Network> {
        let granted = granted.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
        Network::new("[stores.fast]".to_owned(), granted, None)
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for text in ["localhost:6379", "db-1.example.com:5432", "10.0.0.1:1", "[::1]:443"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in
            ["", "localhost", ":1", "localhost:", "localhost:65536", "http://a:1", "*:1", "a/b:1", "::1:2:x", "a b:1"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError), "{text}");
        }
    }

    #[tokio::test]
    async fn what_was_not_granted_is_denied() {
        let network = network(&["10.0.0.1:6379", "LocalHost:5432", "[::1]:443"]);
        let cases = [
            ("10.0.0.1:6379", true),
            ("[::ffff:10.0.0.1]:6379", true),
            ("10.0.0.1:6380", false),
            ("10.0.0.2:6379", false),
            ("127.0.0.1:5432", true),
            ("127.0.0.1:5433", false),
            ("[::1]:443", true),
            ("169.254.169.254:80", false),
        ];
        for (address, allowed) in cases {
            assert_eq!(network.allows(address.parse().unwrap()).await, allowed, "{address}");
        }
        for (name, allowed) in [("localhost", true), ("LOCALHOST.", true), ("10.0.0.1", true), ("example.com", false)] {
            assert_eq!(network.allows_look_up(name), allowed, "{name}");
        }
        for (host, port, allowed) in [("localhost", 5432, true), ("[::1]", 443, true), ("localhost", 80, false)] {
            assert_eq!(network.allows_requests_to(host, port), allowed, "{host}:{port}");
        }
    }

    #[tokio::test]
    async fn what_a_plugin_was_told_is_not_looked_up_again() {
        // No name server knows it.
        let network = network(&["db.invalid:5432", "other.invalid:5433"]);
        let address = |port| SocketAddr::from(([10, 0, 0, 7], port));
        network.found("DB.invalid", address(0).ip());
        assert!(network.allows(address(5432)).await);
        for port in [5431, 5433] {
            assert!(!network.allows(address(port)).await, "{port} was granted for that name");
        }
        network.found("nobody.invalid", [10, 0, 0, 8].into());
        assert!(!network.allows(SocketAddr::from(([10, 0, 0, 8], 5432))).await);
    }

    #[tokio::test]
    async fn an_address_of_the_link_is_granted_only_as_an_address() {
        let metadata = "169.254.169.254:80".parse().unwrap();
        let by_name = network(&["metadata.example.com:80"]);
        by_name.resolved().insert(metadata);
        assert!(!by_name.allows(metadata).await, "whatever the name stands for");
        assert!(network(&["169.254.169.254:80"]).allows(metadata).await);
    }
}
