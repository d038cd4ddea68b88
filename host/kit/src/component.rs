//! A component as a subject. Its instances are not restarted.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use sigbox_sandbox::{Descriptor, Endpoint, Grant, Live, PluginError, PluginStore, Probe, Program, Sandbox, Secret};

use super::{
    case::Stop,
    proxy::{Proxy, Traffic},
    subject::{Opened, Subject, Trouble},
};

/// A persistence component and what it is granted.
///
/// Its instances are not supervised: each call is made once, and an instance that broke down is not replaced. Otherwise
/// the kit would not see a breakdown.
pub struct ComponentSubject {
    sandbox: Sandbox<Live>,
    program: Program,
    grant: Grant,
}

impl ComponentSubject {
    /// A subject from a program. The limits of `sandbox` hold for every call.
    #[must_use]
    pub fn new(sandbox: Sandbox<Live>, program: impl Into<Program>, grant: Grant) -> Self {
        Self { sandbox, program: program.into(), grant }
    }

    pub(super) fn time_limit(&self) -> std::time::Duration {
        self.sandbox.limits().store_timeout
    }

    pub(super) fn has_grants(&self) -> bool {
        !self.grant.network.is_empty() || !self.grant.directories.is_empty()
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.grant.secrets.iter().map(|(name, secret)| (name.as_str(), secret.reveal()))
    }

    /// Opens an instance with a probe in it.
    pub(super) async fn open_probed(&self, probe: Arc<Probe>) -> Result<Opened, Trouble> {
        self.start(self.grant.clone(), probe).await
    }

    /// Opens an instance without network and directories.
    pub(super) async fn open_denied(&self) -> Result<Opened, Trouble> {
        let denied = Grant { network: Vec::new(), directories: BTreeMap::new(), ..self.grant.clone() };
        self.start(denied, Arc::default()).await
    }

    /// The addresses that it was granted. Its settings or secrets name each of them.
    ///
    /// # Errors
    /// A sentence that says why a proxy cannot stand in front of them.
    pub(super) fn proxied_addresses(&self) -> Result<Vec<String>, String> {
        let Grant { network, settings, secrets, .. } = &self.grant;
        if network.is_empty() {
            return Err("it was granted no network".to_owned());
        }
        let texts = || settings.values().map(String::as_str).chain(secrets.values().map(Secret::reveal));
        let addresses: Vec<String> = network.iter().map(Endpoint::to_string).collect();
        match addresses.iter().find(|address| !texts().any(|text| reroute(text, address, "").is_some())) {
            Some(address) => Err(format!("no setting names the address {address}")),
            None => Ok(addresses),
        }
    }

    /// Starts a proxy in front of each of its addresses.
    pub(super) fn proxies(&self) -> Result<Proxies, Stop> {
        let mut proxies = Vec::new();
        for server in self.proxied_addresses().map_err(Stop::NotRun)? {
            let proxy = Proxy::start(&server);
            let proxy = proxy.map_err(|error| Stop::NotRun(format!("a proxy cannot be started: {error}")))?;
            proxies.push((server, proxy));
        }
        Ok(Proxies(proxies))
    }

    /// Opens an instance that reaches its servers only through `proxies`.
    pub(super) async fn open_behind(&self, proxies: &Proxies) -> Result<Opened, Trouble> {
        let mut grant = self.grant.clone();
        grant.network.clear();
        for (server, proxy) in &proxies.0 {
            let front = front(server, proxy.port());
            for text in grant.settings.values_mut() {
                if let Some(rerouted) = reroute(text, server, &front) {
                    *text = rerouted;
                }
            }
            for secret in grant.secrets.values_mut() {
                if let Some(rerouted) = reroute(secret.reveal(), server, &front) {
                    *secret = Secret::from(rerouted);
                }
            }
            grant.network.push(front.parse().map_err(|error| Trouble::refused(format!("{front} {error}")))?);
        }
        self.start(grant, Arc::default()).await
    }

    async fn start(&self, grant: Grant, probe: Arc<Probe>) -> Result<Opened, Trouble> {
        let started = PluginStore::start_probed(&self.sandbox, &self.program, grant, Arc::clone(&probe)).await;
        let store = started.map_err(|error| Trouble {
            message: with_denials(error.to_string(), &probe),
            retryable: matches!(error, PluginError::Refused { retryable: true, .. }),
            broke: matches!(error, PluginError::Broke { .. }),
        })?;
        Ok(Opened { store: Arc::new(store), probe: Some(probe) })
    }
}

#[async_trait]
impl Subject for ComponentSubject {
    async fn describe(&self) -> Result<Descriptor, Trouble> {
        let probe = Arc::<Probe>::default();
        let opened = self.open_probed(Arc::clone(&probe)).await;
        if let Ok(opened) = &opened {
            opened.store.close().await;
        }
        match probe.descriptor() {
            Some(descriptor) => Ok(descriptor),
            None => Err(opened.err().unwrap_or_else(|| Trouble::refused("it was not described"))),
        }
    }

    async fn open(&self) -> Result<Opened, Trouble> {
        self.open_probed(Arc::default()).await
    }

    fn only_one(&self) -> Option<String> {
        let directories = &self.grant.directories;
        (!directories.is_empty()).then(|| "its directories are given to one instance at a time".to_owned())
    }

    fn as_component(&self) -> Result<&ComponentSubject, String> {
        Ok(self)
    }
}

/// The proxies in front of a component's servers. All of them follow the same orders.
pub(super) struct Proxies(Vec<(String, Proxy)>);

impl Proxies {
    pub(super) async fn order(&self, traffic: Traffic) {
        for (_, proxy) in &self.0 {
            proxy.order(traffic).await;
        }
    }

    pub(super) fn cut(&self) {
        self.0.iter().for_each(|(_, proxy)| proxy.cut());
    }

    pub(super) fn was_cut(&self) -> bool {
        self.0.iter().any(|(_, proxy)| proxy.was_cut())
    }
}

/// `message`, and what the host denied the instance before: it may be the cause, and says what to add where.
pub(super) fn with_denials(mut message: String, probe: &Probe) -> String {
    for denial in probe.take_denied() {
        message.push_str("; ");
        message.push_str(&denial);
    }
    message
}

/// The address of a proxy that stands in front of `server`. If the host of `server` is this machine, the proxy keeps
/// the name of that host, because a certificate is compared with that name. Otherwise the name is `localhost`.
fn front(server: &str, port: u16) -> String {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = if ["localhost", "127.0.0.1", "[::1]"].contains(&host) { host } else { "localhost" };
    format!("{host}:{port}")
}

/// `text` with `to` in place of the address `from`; `None` when `text` does not name that address. Neither `host:8080`
/// nor `other-host:80` names `host:80`.
fn reroute(text: &str, from: &str, to: &str) -> Option<String> {
    let mut rerouted = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find(from) {
        let (before, end) = (&rest[..start], start + from.len());
        let begins = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let ends = !rest[end..].starts_with(|c: char| c.is_ascii_digit());
        rerouted.push_str(before);
        rerouted.push_str(if begins && ends { to } else { from });
        found |= begins && ends;
        rest = &rest[end..];
    }
    rerouted.push_str(rest);
    found.then_some(rerouted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_replaced_where_it_stands_alone() {
        let cases = [
            ("redis://localhost:6379/0", Some("redis://P/0")),
            ("localhost:6379", Some("P")),
            ("a=localhost:6379, b=localhost:6379", Some("a=P, b=P")),
            ("user:pw@localhost:6379?x", Some("user:pw@P?x")),
            ("localhost:63790", None),
            ("my-localhost:6379", None),
            ("db.localhost:6379 localhost:6379", Some("db.localhost:6379 P")),
            ("localhost", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(reroute(text, "localhost:6379", "P").as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_of_this_machine_stay() {
        let cases = [
            ("localhost:1", "localhost:9"),
            ("127.0.0.1:1", "127.0.0.1:9"),
            ("[::1]:1", "[::1]:9"),
            ("db.example.com:1", "localhost:9"),
            ("10.0.0.1:1", "localhost:9"),
        ];
        for (server, expected) in cases {
            assert_eq!(front(server, 9), expected);
        }
    }
}
