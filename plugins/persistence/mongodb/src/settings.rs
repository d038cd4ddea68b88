//! What the operator chose.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use sigbox_sdk::persistence::Failure;
use sigbox_wire::{Server, Settings as Given, Tls, bad_setting};
use url::Url;

const NAMES: &[&str] = &["url", "collection", "auth-database", "tls", "tls-name", "timeout-ms"];

const EXAMPLE: &str = "mongodb://user@host:27017/database";

const PORT: u16 = 27017;

/// A little less than the host waits, so that what is said is ours.
const TIMEOUT_MS: u64 = 4000;

/// The longest name of a database in MongoDB.
const DATABASE_BYTES_MAX: usize = 63;

/// Together with the longest name of a database it is as long as every version of MongoDB takes.
const COLLECTION_BYTES_MAX: usize = 50;

pub(crate) struct Settings {
    /// At least one; one of them takes writes.
    pub(crate) servers: Vec<Server>,
    pub(crate) tls: Option<Tls>,
    /// Who logs in, if somebody does.
    pub(crate) user: Option<User>,
    pub(crate) database: String,
    pub(crate) collection: String,
    /// How long a call may take, a new connection included.
    pub(crate) timeout: Duration,
}

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    /// Where the server keeps the user.
    pub(crate) database: String,
}

impl Settings {
    pub(crate) fn read(all: Vec<(String, String)>, secret: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let given = Given::new(all, NAMES)?;
        let Location { servers, user, database } = location(given.required("url", EXAMPLE)?)?;
        let are_here = servers.iter().all(Server::is_loopback);
        let is_tls = given.choice("tls", !are_here, &[("disable", false), ("verify-full", true)])?;
        let tls = if is_tls { Some(Tls::new(&Tls::secrets(secret), given.get("tls-name"))?) } else { None };
        let password = secret("password");
        if password.is_some() && user.is_none() {
            return Err(bad_setting(&format!("secret password needs a user in the setting url, like {EXAMPLE:?}")));
        }
        let auth_database = given.get("auth-database").unwrap_or("admin").to_owned();
        if !is_database(&auth_database) {
            return Err(bad_setting(&format!("setting auth-database is {auth_database:?}, which no database can be")));
        }
        Ok(Self {
            servers,
            tls,
            user: user.map(|name| User { name, password, database: auth_database }),
            database,
            collection: collection(given.get("collection").unwrap_or("sigbox_documents"))?,
            timeout: Duration::from_millis(given.number("timeout-ms", TIMEOUT_MS, 1..=60_000)?),
        })
    }

    /// One line without secrets.
    pub(crate) fn summary(&self) -> String {
        let Self { servers, database, collection, .. } = self;
        let servers: Vec<String> = servers.iter().map(Server::to_string).collect();
        let tls = if self.tls.is_some() { " (TLS)" } else { "" };
        let user = self.user.as_ref().map(|user| format!(", user {}", user.name)).unwrap_or_default();
        format!("MongoDB at {}{tls}, database {database}, collection {collection}{user}", servers.join(","))
    }
}

struct Location {
    servers: Vec<Server>,
    user: Option<String>,
    database: String,
}

/// `mongodb://user@host:port,host:port/database`: an URL, but for that there may be several hosts.
fn location(url: &str) -> Result<Location, Failure> {
    // The URL is not repeated: who puts a password there should not find it in a log.
    let bad = |why: &str| bad_setting(&format!("setting url {why}; it must be like {EXAMPLE:?}"));
    if url.starts_with("mongodb+srv:") {
        return Err(bad("has the scheme mongodb+srv, which needs a look-up that plugins cannot do: name the hosts"));
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Err(bad("is no URL")) };
    if scheme != "mongodb" {
        return Err(bad(&format!("has the scheme {scheme}")));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let (mut servers, mut last) = (Vec::new(), None);
    for host in hosts.split(',') {
        if host.is_empty() {
            return Err(bad("has no host"));
        }
        let parsed = Url::parse(&format!("mongodb://{user}@{host}{path}"))
            .map_err(|error| bad(&format!("is no URL: {error}")))?;
        if parsed.password().is_some() {
            return Err(bad("holds a password, which belongs into the secret password"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(bad("has a query; see the plugin's README for what there is as settings"));
        }
        servers.push(Server::new(parsed.host_str().unwrap_or_default(), parsed.port().unwrap_or(PORT)));
        last = Some(parsed);
    }
    // All have the same user and path.
    let parsed = last.ok_or_else(|| bad("has no host"))?;
    let user = decoded(parsed.username()).ok_or_else(|| bad("has a user that is no text"))?;
    let database = decoded(parsed.path().trim_start_matches('/')).filter(|name| is_database(name));
    let database = database.ok_or_else(|| bad("has no database that could be one"))?;
    Ok(Location { servers, user: Some(user).filter(|user| !user.is_empty()), database })
}

fn decoded(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(Into::into)
}

/// What a name of a database may be on every system.
fn is_database(name: &str) -> bool {
    (1..=DATABASE_BYTES_MAX).contains(&name.len())
        && !name.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0'])
}

fn collection(name: &str) -> Result<String, Failure> {
    let is_good = name.len() <= COLLECTION_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !name.ends_with('.')
        && !name.starts_with("system.");
    if is_good {
        return Ok(name.to_owned());
    }
    Err(bad_setting(&format!(
        "setting collection is {name:?}; it must be a name of at most {COLLECTION_BYTES_MAX} letters, digits, \"_\", \
         \"-\" and \".\", with a letter or \"_\" first, and not start with \"system.\""
    )))
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

    fn refused(settings: &[(&str, &str)]) -> String {
        read(settings, &[]).err().expect("it is refused")
    }

    #[test]
    fn a_url_is_all_that_is_needed() {
        let settings = read(&[("url", "mongodb://localhost/trading")], &[]).unwrap();
        let summary = "MongoDB at localhost:27017, database trading, collection sigbox_documents";
        assert_eq!(settings.summary(), summary);
        let url = ("url", "mongodb://a%40b@[::1]:6000,db.example,c:1/a%2Db");
        let settings = read(&[url, ("collection", "desk.1")], &[("password", "hunter2")]).unwrap();
        let summary = "MongoDB at [::1]:6000,db.example:27017,c:1 (TLS), database a-b, collection desk.1, user a@b";
        assert_eq!(settings.summary(), summary);
        assert_eq!(settings.user.unwrap().database, "admin");
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_said_otherwise() {
        let is_tls = |url, tls: &[(&str, &str)]| read(&[&[("url", url)], tls].concat(), &[]).unwrap().tls.is_some();
        assert!(!is_tls("mongodb://127.0.0.1,localhost:2/db", &[]));
        assert!(is_tls("mongodb://db.example/db", &[]));
        assert!(is_tls("mongodb://localhost,db.example/db", &[]), "one of them is elsewhere");
        assert!(!is_tls("mongodb://db.example/db", &[("tls", "disable")]));
    }

    #[test]
    fn urls_that_are_none_say_why_and_are_not_repeated() {
        for (url, why) in [
            ("http://me@h/db", "setting url has the scheme http;"),
            ("mongodb+srv://h/db", "setting url has the scheme mongodb+srv, which needs"),
            ("mongodb://me:hunter2@h/db", "setting url holds a password,"),
            ("mongodb://me:hunter2@h,i/db", "setting url holds a password,"),
            ("mongodb://h/db?replicaSet=rs0", "setting url has a query;"),
            ("mongodb://h?replicaSet=rs0", "setting url has"),
            ("mongodb:///db", "setting url has no host;"),
            ("mongodb://h,/db", "setting url has no host;"),
            ("mongodb://h:x/db", "setting url is no URL:"),
            ("mongodb://h", "setting url has no database that could be one;"),
            ("mongodb://h/", "setting url has no database that could be one;"),
            ("mongodb://h/a%00", "setting url has no database that could be one;"),
            ("mongodb://h/a/b", "setting url has no database that could be one;"),
            ("mongodb://%FF@h/db", "setting url has a user that is no text;"),
            ("h:27017", "setting url is no URL;"),
            ("", "setting url is no URL;"),
        ] {
            let message = refused(&[("url", url)]);
            assert!(message.starts_with(why), "{url}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        assert!(refused(&[]).starts_with("setting url is missing"));
        let url = ("url", "mongodb://h/db");
        assert!(refused(&[url, ("replica-set", "rs0")]).starts_with("there is no setting \"replica-set\""));
        assert!(refused(&[url, ("auth-database", "")]).starts_with("setting auth-database is \"\""));
        assert!(refused(&[url, ("tls", "require")]).starts_with("setting tls is \"require\""));
        let long = "a".repeat(COLLECTION_BYTES_MAX + 1);
        for name in ["", "1a", ".a", "a.", "a$b", "a\0", "é", "a b", "system.users", &long] {
            assert!(refused(&[url, ("collection", name)]).starts_with("setting collection is "), "{name}");
        }
        let message = read(&[url], &[("password", "hunter2")]).err().unwrap();
        assert!(message.starts_with("secret password needs a user") && !message.contains("hunter2"), "{message}");
    }
}
