//! What the operator chose.

use std::time::Duration;

use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, Settings as Given, Tls, bad_setting};
use url::Url;

use crate::safety::Durability;

const NAMES: &[&str] =
    &["url", "prefix", "tls-name", "timeout-ms", "wait-replicas", "wait-timeout-ms", "require-appendonly"];

const PORT: u16 = 6379;

/// A little less than the host waits, so that what is said is ours.
const TIMEOUT_MS: u64 = 4000;

pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) tls: Option<Tls>,
    pub(crate) database: u32,
    pub(crate) prefix: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// How long a call may take, a new connection included.
    pub(crate) timeout: Duration,
    pub(crate) replicas: Option<Replicas>,
    /// What the server must promise, or the store does not start.
    pub(crate) required: Durability,
}

/// How many replicas must have a change before it counts, and how long to wait for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Replicas {
    pub(crate) count: u64,
    pub(crate) within_ms: u64,
}

impl Settings {
    pub(crate) fn read(all: Vec<(String, String)>, secret: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let given = Given::new(all, NAMES)?;
        let url = given.required("url", "redis://localhost:6379/0")?;
        let (server, is_tls, database) = location(url)?;
        let timeout_ms = given.number("timeout-ms", TIMEOUT_MS, 1..=60_000)?;
        let count = given.number("wait-replicas", 0, 0..=100)?;
        let within_ms = given.number("wait-timeout-ms", 1000, 1..=60_000)?;
        if count > 0 && within_ms >= timeout_ms {
            let problem = format!("setting wait-timeout-ms is {within_ms}; it must be below timeout-ms, {timeout_ms}");
            return Err(bad_setting(&problem));
        }
        let (username, password) = (secret("username"), secret("password"));
        if username.is_some() && password.is_none() {
            return Err(bad_setting("secret username needs secret password"));
        }
        let tls = if is_tls { Some(Tls::new(&Tls::secrets(secret), given.get("tls-name"))?) } else { None };
        Ok(Self {
            server,
            tls,
            database,
            prefix: given.get("prefix").unwrap_or("sigbox").to_owned(),
            username,
            password,
            timeout: Duration::from_millis(timeout_ms),
            replicas: (count > 0).then_some(Replicas { count, within_ms }),
            required: given.choice(
                "require-appendonly",
                Durability::Snapshots,
                &[("no", Durability::Snapshots), ("everysec", Durability::EverySecond), ("always", Durability::Always)],
            )?,
        })
    }

    /// One line without secrets.
    pub(crate) fn summary(&self) -> String {
        let tls = if self.tls.is_some() { " (TLS)" } else { "" };
        format!("Redis at {}{tls}, database {}, prefix {}", self.server, self.database, self.prefix)
    }
}

/// Server, whether within TLS, and database.
fn location(url: &str) -> Result<(Server, bool, u32), Failure> {
    let bad = |why: &str| {
        bad_setting(&format!("setting url {why}; it must be like \"redis://host:6379/0\", or rediss:// for TLS"))
    };
    // The URL is not repeated: who puts a password there should not find it in a log.
    let parsed = Url::parse(url).map_err(|error| bad(&format!("is no URL: {error}")))?;
    let is_tls = match parsed.scheme() {
        "redis" => false,
        "rediss" => true,
        other => return Err(bad(&format!("has the scheme {other}"))),
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(bad("holds a user or a password, which belong into the secrets username and password"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(bad("has a query"));
    }
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("has no host"))?;
    let database = match parsed.path().trim_start_matches('/') {
        "" => 0,
        path => path.parse().map_err(|_| bad("has a path that is no database number"))?,
    };
    Ok((Server::new(host, parsed.port().unwrap_or(PORT)), is_tls, database))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)], secrets: &[(&str, &str)]) -> Result<Settings, String> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let secret =
            |name: &str| secrets.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        Settings::read(settings, &secret).map_err(|failure| failure.message)
    }

    fn refused(settings: &[(&str, &str)], secrets: &[(&str, &str)]) -> String {
        read(settings, secrets).err().expect("it is refused")
    }

    #[test]
    fn a_url_is_all_that_is_needed() {
        let settings = read(&[("url", "redis://localhost")], &[]).unwrap();
        assert_eq!(settings.summary(), "Redis at localhost:6379, database 0, prefix sigbox");
        assert_eq!(settings.replicas, None);
        assert_eq!(settings.required, Durability::Snapshots);
        let settings = read(&[("url", "rediss://[::1]:7000/3"), ("prefix", "a:b")], &[]).unwrap();
        assert_eq!(settings.summary(), "Redis at [::1]:7000 (TLS), database 3, prefix a:b");
    }

    #[test]
    fn urls_that_are_none_say_why_and_are_not_repeated() {
        for (url, why) in [
            ("localhost:6379", "setting url has the scheme localhost;"),
            ("http://localhost", "setting url has the scheme http;"),
            ("redis://", "setting url has no host;"),
            ("redis://h/x", "setting url has a path that is no database number;"),
            ("redis://h/0?a=1", "setting url has a query;"),
            ("redis://u:hunter2@h", "setting url holds a user or a password,"),
            ("", "setting url is no URL:"),
        ] {
            let message = refused(&[("url", url)], &[]);
            assert!(message.starts_with(why), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let url = ("url", "redis://h");
        assert!(refused(&[], &[]).starts_with("setting url is missing"));
        assert!(refused(&[url, ("Prefix", "p")], &[]).starts_with("there is no setting \"Prefix\""));
        let wait = refused(&[url, ("wait-replicas", "1"), ("wait-timeout-ms", "4000")], &[]);
        assert_eq!(wait, "setting wait-timeout-ms is 4000; it must be below timeout-ms, 4000");
        assert_eq!(refused(&[url], &[("username", "u")]), "secret username needs secret password");
        let word = refused(&[url, ("require-appendonly", "yes")], &[]);
        assert_eq!(word, r#"setting require-appendonly is "yes"; it must be one of "no", "everysec", "always""#);
    }
}
