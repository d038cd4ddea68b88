//! What the operator has to say, and may say.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use http::{Uri, uri::Scheme};

use crate::key::{BYTES_MAX, Keys};

/// The settings there are.
const KNOWN: [&str; 8] =
    ["endpoint", "region", "bucket", "prefix", "path-style", "conditional-writes", "timeout-ms", "key-bytes-max"];

/// What a store of one's own is signed for when no region is set: most of them take this one.
const USUAL_REGION: &str = "us-east-1";

/// Below the host's own limit of five seconds a call: a call that ends by itself keeps what the instance knows.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Where the objects are and how to get at them.
#[derive(Clone)]
pub struct Settings {
    /// How to reach the server.
    pub scheme: Scheme,
    /// Host, and port unless it is the scheme's own. Without the bucket.
    pub authority: String,
    /// What requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// How objects are named.
    pub keys: Keys,
    /// Whether the bucket is in the path, and not in the host name.
    pub path_style: bool,
    /// Whether a write is refused when somebody else wrote in between.
    pub conditional_writes: ConditionalWrites,
    /// For one call of the contract.
    pub timeout: Duration,
    /// Who we are.
    pub credentials: Credentials,
}

/// Whether a write names the version it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// It does where the server is seen to heed it.
    Auto,
    /// It does; a server that does not heed it is refused at the start.
    Required,
    /// It does not.
    Off,
}

/// Who signs the requests.
#[derive(Clone)]
pub struct Credentials {
    /// Which key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// For keys that were lent.
    pub session_token: Option<String>,
}

impl Settings {
    /// Settings and secrets as the host hands them out.
    ///
    /// # Errors
    /// When one is unknown, missing or impossible, in words for the operator.
    pub fn read(settings: &[(String, String)], secret: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some((unknown, _)) = settings.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return Err(format!("there is no setting \"{unknown}\"; there are {}", KNOWN.join(", ")));
        }
        let setting = |name: &str| settings.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let bucket = setting("bucket").ok_or("the setting \"bucket\" is missing: the name of the bucket")?.to_owned();
        if bucket.len() < 3 || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err(format!(
                "bucket = \"{bucket}\": at least 3 letters, digits, \"-\", \".\" or \"_\" are expected"
            ));
        }
        let endpoint = setting("endpoint");
        let region =
            match (setting("region"), endpoint) {
                (Some(region), _) => region.to_owned(),
                (None, Some(_)) => USUAL_REGION.to_owned(),
                (None, None) => return Err(
                    "the setting \"region\" is missing; without \"endpoint\" it says which AWS region the bucket is in"
                        .to_owned(),
                ),
            };
        let (scheme, authority) = match endpoint {
            Some(endpoint) => server(endpoint)?,
            None => (Scheme::HTTPS, format!("s3.{region}.amazonaws.com")),
        };
        let secret_of = |name: &str| secret(name).ok_or(format!("the secret \"{name}\" is missing"));
        Ok(Self {
            scheme,
            authority,
            region,
            bucket,
            keys: Keys {
                prefix: prefix(setting("prefix").unwrap_or_default())?,
                bytes_max: number("key-bytes-max", setting("key-bytes-max"), 1..=BYTES_MAX)?.unwrap_or(BYTES_MAX),
            },
            path_style: one_of("path-style", setting("path-style"), &SWITCH)?.unwrap_or(endpoint.is_some()),
            conditional_writes: one_of("conditional-writes", setting("conditional-writes"), &CONDITIONAL)?
                .unwrap_or(ConditionalWrites::Auto),
            timeout: number("timeout-ms", setting("timeout-ms"), 1..=600_000)?.map_or(TIMEOUT, Duration::from_millis),
            credentials: Credentials {
                access_key_id: secret_of("access-key-id")?,
                secret_access_key: secret_of("secret-access-key")?,
                session_token: secret("session-token"),
            },
        })
    }

    /// The host that requests go to.
    #[must_use]
    pub fn host(&self) -> String {
        if self.path_style { self.authority.clone() } else { format!("{}.{}", self.bucket, self.authority) }
    }

    /// The same without a port: what is looked up.
    #[must_use]
    pub fn host_name(&self) -> String {
        let host = self.host();
        host.rsplit_once(':').filter(|_| has_port(&host)).map_or(host.clone(), |(name, _)| name.to_owned())
    }

    /// The same with its port, as it is granted.
    #[must_use]
    pub fn network(&self) -> String {
        let host = self.host();
        let port = if self.scheme == Scheme::HTTP { 80 } else { 443 };
        if has_port(&host) { host } else { format!("{host}:{port}") }
    }
}

/// Without secrets.
impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, authority, bucket, keys: Keys { prefix, .. }, .. } = self;
        write!(formatter, "bucket {bucket} at {scheme}://{authority}")?;
        if prefix.is_empty() { Ok(()) } else { write!(formatter, ", under {prefix}") }
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn server(endpoint: &str) -> Result<(Scheme, String), String> {
    let wrong =
        |why: &str| format!("endpoint = \"{endpoint}\": {why}; expected is \"https://host\" or \"http://host:port\"");
    let uri: Uri = endpoint.parse().map_err(|_| wrong("this is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(wrong("scheme or host is missing"));
    };
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Err(wrong("only http and https are possible")),
    };
    if uri.path() != "/" || uri.query().is_some() {
        return Err(wrong("nothing can follow the host"));
    }
    if authority.as_str().contains('@') {
        return Err(wrong("keys are not written there but given as secrets"));
    }
    // As it is sent, and therefore signed.
    let host = authority.host().to_ascii_lowercase();
    let port = authority.port_u16().filter(|port| *port != default_port);
    Ok((scheme.clone(), port.map_or(host.clone(), |port| format!("{host}:{port}"))))
}

fn prefix(text: &str) -> Result<String, String> {
    let prefix = text.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok(String::new());
    }
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/!-_.*'()=".contains(&byte);
    if !prefix.bytes().all(is_harmless) || prefix.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(format!(
            "prefix = \"{}\": letters, digits, any of !-_.*'()= and single slashes between them are possible",
            text.escape_debug()
        ));
    }
    Ok(format!("{prefix}/"))
}

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

const CONDITIONAL: [(&str, ConditionalWrites); 3] =
    [("auto", ConditionalWrites::Auto), ("true", ConditionalWrites::Required), ("false", ConditionalWrites::Off)];

fn one_of<T: Copy>(name: &str, text: Option<&str>, words: &[(&str, T)]) -> Result<Option<T>, String> {
    let Some(text) = text else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == text);
    let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found
        .map(|(_, value)| Some(*value))
        .ok_or_else(|| format!("{name} = \"{text}\": expected is one of {}", expected()))
}

fn number<T>(name: &str, text: Option<&str>, possible: RangeInclusive<T>) -> Result<Option<T>, String>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let Some(text) = text else { return Ok(None) };
    let found = text.parse().ok().filter(|number| possible.contains(number));
    let (least, most) = possible.into_inner();
    found.map(Some).ok_or_else(|| format!("{name} = \"{text}\": a number from {least} to {most} is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Settings, String> {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(&settings, |name| Some(format!("the {name}")))
    }

    #[test]
    fn a_store_of_ones_own_has_the_bucket_in_the_path() {
        let settings = read(&[("endpoint", "http://localhost:9000"), ("bucket", "state"), ("prefix", "a/b")]).unwrap();
        assert_eq!(settings.to_string(), "bucket state at http://localhost:9000, under a/b/");
        assert_eq!((settings.host().as_str(), settings.region.as_str()), ("localhost:9000", "us-east-1"));
        assert_eq!(settings.network(), "localhost:9000");
    }

    #[test]
    fn aws_has_the_bucket_in_the_host() {
        let settings = read(&[("region", "eu-west-1"), ("bucket", "state")]).unwrap();
        assert_eq!(settings.host(), "state.s3.eu-west-1.amazonaws.com");
        assert_eq!(settings.network(), "state.s3.eu-west-1.amazonaws.com:443");
    }

    #[test]
    fn a_port_that_is_the_schemes_own_is_not_sent_and_so_not_signed() {
        let settings = read(&[("endpoint", "https://Example.com:443/"), ("bucket", "state")]).unwrap();
        assert_eq!((settings.host().as_str(), settings.network().as_str()), ("example.com", "example.com:443"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: [(&[(&str, &str)], &str); 13] = [
            (&[], "the setting \"bucket\" is missing"),
            (&[("bucket", "b/c")], "bucket = \"b/c\""),
            (&[("bucket", "state")], "the setting \"region\" is missing"),
            (&[("bukcet", "state")], "there is no setting \"bukcet\"; there are endpoint, region, bucket"),
            (&[("bucket", "state"), ("endpoint", "localhost:9000")], "scheme or host is missing"),
            (&[("bucket", "state"), ("endpoint", "ftp://localhost")], "only http and https"),
            (&[("bucket", "state"), ("endpoint", "http://localhost/x")], "nothing can follow the host"),
            (&[("bucket", "state"), ("endpoint", "http://key@localhost")], "given as secrets"),
            (&[("bucket", "state"), ("region", "r"), ("prefix", "a/../b")], "prefix = \"a/../b\""),
            (&[("bucket", "state"), ("region", "r"), ("path-style", "yes")], "expected is one of true, false"),
            (&[("bucket", "state"), ("region", "r"), ("conditional-writes", "on")], "one of auto, true, false"),
            (&[("bucket", "state"), ("region", "r"), ("timeout-ms", "0")], "a number from 1 to 600000"),
            (&[("bucket", "state"), ("region", "r"), ("key-bytes-max", "2000")], "a number from 1 to 1024"),
        ];
        for (settings, expected) in cases {
            let said = read(settings).err().unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_missing_secret_is_named() {
        let settings = [("bucket".to_owned(), "state".to_owned()), ("region".to_owned(), "r".to_owned())];
        let said = Settings::read(&settings, |name| (name == "access-key-id").then(String::new)).err().unwrap();
        assert_eq!(said, "the secret \"secret-access-key\" is missing");
    }
}
