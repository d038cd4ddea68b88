//! Which server.

use std::{fmt, net::IpAddr};

/// A server's host, a name or an address, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

impl Server {
    /// An IPv6 address may have its brackets or not.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Self { host: bare.unwrap_or(host).to_owned(), port }
    }

    /// The name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// As a store's `network` lists it.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_reads_as_a_network_entry() {
        assert_eq!(Server::new("db.example", 1).to_string(), "db.example:1");
        assert_eq!(Server::new("[::1]", 2).to_string(), "[::1]:2");
        assert_eq!(Server::new("::1", 2), Server::new("[::1]", 2));
    }

    #[test]
    fn what_stays_on_the_machine() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"] {
            assert!(Server::new(host, 1).is_loopback(), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "::2", "0.0.0.0"] {
            assert!(!Server::new(host, 1).is_loopback(), "{host}");
        }
    }
}
