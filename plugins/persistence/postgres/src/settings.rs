//! What the operator chose.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, Settings as Given, Tls, bad_setting};
use url::Url;

use crate::schema::Table;

const NAMES: &[&str] = &["url", "table", "tls", "tls-name", "timeout-ms"];

const PORT: u16 = 5432;

/// A little less than the host waits, so that what is said is ours.
const TIMEOUT_MS: u64 = 4000;

pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) tls: Option<Tls>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) table: Table,
    /// How long a call may take, a new connection included.
    pub(crate) timeout: Duration,
}

impl Settings {
    pub(crate) fn read(all: Vec<(String, String)>, secret: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let given = Given::new(all, NAMES)?;
        let Location { server, user, database } = location(given.required("url", EXAMPLE)?)?;
        if let Some(mode @ ("allow" | "prefer" | "require")) = given.get("tls") {
            let problem = format!(
                "setting tls is {mode:?}, which takes any server for yours; use \"verify-full\", with secret ca for a \
                 private authority and setting tls-name for a certificate with another name"
            );
            return Err(bad_setting(&problem));
        }
        let is_tls = given.choice("tls", !server.is_loopback(), &[("disable", false), ("verify-full", true)])?;
        let tls = if is_tls { Some(Tls::new(&Tls::secrets(secret), given.get("tls-name"))?) } else { None };
        Ok(Self {
            server,
            tls,
            user,
            password: secret("password"),
            database,
            table: Table::named(given.get("table").unwrap_or("sigbox_documents"))?,
            timeout: Duration::from_millis(given.number("timeout-ms", TIMEOUT_MS, 1..=60_000)?),
        })
    }

    /// One line without secrets.
    pub(crate) fn summary(&self) -> String {
        let Self { server, user, database, table, .. } = self;
        let tls = if self.tls.is_some() { " (TLS)" } else { "" };
        format!("PostgreSQL at {server}{tls}, database {database}, table {table}, user {user}")
    }
}

const EXAMPLE: &str = "postgres://user@host:5432/database";

struct Location {
    server: Server,
    user: String,
    database: String,
}

fn location(url: &str) -> Result<Location, Failure> {
    let bad = |why: &str| bad_setting(&format!("setting url {why}; it must be like {EXAMPLE:?}"));
    // The URL is not repeated: who puts a password there should not find it in a log.
    let parsed = Url::parse(url).map_err(|error| bad(&format!("is no URL: {error}")))?;
    if !matches!(parsed.scheme(), "postgres" | "postgresql") {
        return Err(bad(&format!("has the scheme {}", parsed.scheme())));
    }
    if parsed.password().is_some() {
        return Err(bad("holds a password, which belongs into the secret password"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(bad("has a query; see the plugin's README for what there is as settings"));
    }
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("has no host"))?;
    let decoded = |part: &str, what: &str| match percent_decode_str(part).decode_utf8() {
        // Both end with a NUL on the wire.
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(bad(&format!("has no {what}"))),
    };
    Ok(Location {
        server: Server::new(host, parsed.port().unwrap_or(PORT)),
        user: decoded(parsed.username(), "user")?,
        database: decoded(parsed.path().trim_start_matches('/'), "database")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Settings, String> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(settings, &|_| None).map_err(|failure| failure.message)
    }

    fn refused(settings: &[(&str, &str)]) -> String {
        read(settings).err().expect("it is refused")
    }

    #[test]
    fn a_url_is_all_that_is_needed() {
        let settings = read(&[("url", "postgres://me@localhost/trading")]).unwrap();
        let summary = "PostgreSQL at localhost:5432, database trading, table sigbox_documents, user me";
        assert_eq!(settings.summary(), summary);
        let settings = read(&[("url", "postgresql://a%40b@[::1]:6000/a%20b"), ("tls", "verify-full")]).unwrap();
        let summary = "PostgreSQL at [::1]:6000 (TLS), database a b, table sigbox_documents, user a@b";
        assert_eq!(settings.summary(), summary);
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_said_otherwise() {
        let is_tls = |url, tls: &[(&str, &str)]| read(&[&[("url", url)], tls].concat()).unwrap().tls.is_some();
        assert!(!is_tls("postgres://me@127.0.0.1/db", &[]));
        assert!(is_tls("postgres://me@db.example/db", &[]));
        assert!(!is_tls("postgres://me@db.example/db", &[("tls", "disable")]));
        for mode in ["allow", "prefer", "require"] {
            let message = refused(&[("url", "postgres://me@h/db"), ("tls", mode)]);
            assert!(message.contains("takes any server for yours"), "{message}");
        }
    }

    #[test]
    fn urls_that_are_none_say_why_and_are_not_repeated() {
        for (url, why) in [
            ("http://me@h/db", "setting url has the scheme http;"),
            ("postgres://me:hunter2@h/db", "setting url holds a password,"),
            ("postgres://me@h/db?sslmode=disable", "setting url has a query;"),
            ("postgres://h/db", "setting url has no user;"),
            ("postgres://me@h", "setting url has no database;"),
            ("postgres://me@h/%00", "setting url has no database;"),
            ("", "setting url is no URL:"),
        ] {
            let message = refused(&[("url", url)]);
            assert!(message.starts_with(why), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        assert!(refused(&[]).starts_with("setting url is missing"));
        let url = ("url", "postgres://me@h/db");
        assert!(refused(&[url, ("sslmode", "disable")]).starts_with("there is no setting \"sslmode\""));
        assert!(refused(&[url, ("table", "a;b")]).starts_with("setting table is \"a;b\""));
    }
}
