//! What servers answer, and what it means to the contract.

use serde::Deserialize;
use sigbox_sdk::persistence::Failure;

use crate::settings::Settings;

/// Characters of a server's own words that are passed on.
const WORDS_MAX: usize = 300;

/// How long a server that does not answer is left alone. What is left of the host's own time for the call would not be
/// enough for another try, and an instance that is in the middle of one then is replaced by one that knows nothing.
const PAUSE_MS: u32 = 2000;

/// An answer that arrived whole.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Lost {
    /// The host does not let us.
    Denied,
    /// No connection, or one that broke: worth another try at once, because connections are kept and servers close them.
    Broken(String),
    /// No answer in time.
    TimedOut,
    /// The name of the server cannot be looked up, so nothing was sent.
    NoAddress(String),
    /// The server is not the one it should be.
    Untrusted(String),
    /// It cannot be sent.
    Impossible(String),
}

/// The body of an answer that is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Problem {
    /// What went wrong, in the server's vocabulary; empty when there was no such body.
    pub code: String,
    message: String,
    region: String,
}

impl Answer {
    /// A header by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The entity tag, if it can be used to compare: weak ones cannot.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        self.header("etag").filter(|tag| !tag.starts_with("W/")).map(str::to_owned)
    }

    /// Whether there is all the body that was announced.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.header("content-length").is_none_or(|length| length.parse() == Ok(self.body.len()))
    }

    /// What the server says went wrong.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let text = String::from_utf8_lossy(&self.body);
        quick_xml::de::from_str(&text).unwrap_or_default()
    }

    /// Whether a request that was answered so may have done its work all the same.
    #[must_use]
    pub fn is_vague(&self) -> bool {
        self.status >= 500 && self.status != 501
    }

    /// The failure an answer is that is not the one hoped for.
    #[must_use]
    pub fn failure(&self, settings: &Settings) -> Failure {
        let problem = self.problem();
        let region = if problem.region.is_empty() {
            self.header("x-amz-bucket-region").unwrap_or_default()
        } else {
            &problem.region
        };
        let said = self.said(&problem);
        let bucket = &settings.bucket;
        match (self.status, problem.code.as_str()) {
            (404, "NoSuchBucket") => Failure::give_up(
                "other",
                format!(
                    "{said}: there is no bucket \"{bucket}\" at {}: create it, or correct the setting \"bucket\"",
                    settings.host()
                ),
            ),
            (301 | 302 | 307 | 308, _)
            | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
                if !region.is_empty() =>
            {
                Failure::give_up(
                    "other",
                    format!(
                        "{said}: the bucket \"{bucket}\" is in region {region}: set region = \"{region}\", and the endpoint of that region if one is set"
                    ),
                )
            }
            (300..=399, _) => Failure::give_up(
                "other",
                format!(
                    "{said}: the bucket \"{bucket}\" is elsewhere: correct the settings \"endpoint\" and \"region\""
                ),
            ),
            (_, "RequestTimeTooSkewed") => {
                Failure::give_up("denied", format!("{said}: check the clock of this machine"))
            }
            (_, "SignatureDoesNotMatch") => Failure::give_up(
                "denied",
                format!("{said}: check the secret \"secret-access-key\" and the setting \"region\""),
            ),
            (_, "InvalidAccessKeyId") => {
                Failure::give_up("denied", format!("{said}: check the secret \"access-key-id\""))
            }
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => Failure::give_up(
                "denied",
                format!("{said}: the secret \"session-token\" and its keys have to be renewed"),
            ),
            (401 | 403, _) => Failure::give_up(
                "denied",
                format!("{said}: the key needs s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"),
            ),
            (413, _) | (_, "EntityTooLarge" | "KeyTooLongError") => Failure::give_up("too-large", said),
            (501, _) => Failure::give_up("unsupported", said),
            (408 | 429 | 500..=599, _)
            | (
                _,
                "RequestTimeout"
                | "SlowDown"
                | "ConditionalRequestConflict"
                | "OperationAborted"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch",
            ) => Failure { retry_after_ms: self.retry_after_ms(), ..Failure::retry("unavailable", said) },
            _ => Failure::give_up("other", said),
        }
    }

    /// `the server answered HTTP 403 AccessDenied "…"`, on one line.
    fn said(&self, problem: &Problem) -> String {
        let words: String = problem.message.chars().take(WORDS_MAX).collect();
        let code = Some(problem.code.escape_debug().to_string()).filter(|code| !code.is_empty());
        let words = Some(format!("\"{}\"", words.escape_debug())).filter(|_| !words.is_empty());
        let said = [Some(format!("the server answered HTTP {}", self.status)), code, words];
        said.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn retry_after_ms(&self) -> Option<u32> {
        let seconds: u32 = self.header("retry-after")?.parse().ok()?;
        seconds.checked_mul(1000)
    }
}

impl Lost {
    /// The failure it is.
    #[must_use]
    pub fn failure(&self, settings: &Settings) -> Failure {
        let at = format!("{}://{}", settings.scheme, settings.host());
        match self {
            Self::Denied => Failure::give_up(
                "denied",
                format!("{at}: this store may not connect there: add \"{}\" to its `network`", settings.network()),
            ),
            Self::Broken(why) => Failure::retry("unavailable", format!("{at}: {why}")),
            Self::TimedOut => Failure {
                retry_after_ms: Some(PAUSE_MS),
                ..Failure::retry("unavailable", format!("{at}: no answer within {} ms", settings.timeout.as_millis()))
            },
            Self::NoAddress(why) => Failure {
                retry_after_ms: Some(PAUSE_MS),
                ..Failure::retry(
                    "unavailable",
                    format!(
                        "{at}: cannot look up {}: {why}; is the name right, and do the name servers of this machine \
                         answer?",
                        settings.host_name()
                    ),
                )
            },
            Self::Impossible(why) => Failure::give_up("other", format!("{at}: the request cannot be sent: {why}")),
            Self::Untrusted(why) => Failure::give_up("denied", format!("{at}: its certificate is not accepted: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let settings = [("endpoint", "http://localhost:9000"), ("bucket", "state")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::read(&settings, |name| Some(format!("the-{name}"))).unwrap()
    }

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer { status, headers, body: body.into() }.failure(&settings())
    }

    fn error(code: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>Because.</Message>\
             <Resource>/state/x</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>"
        )
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let cases = [
            (403, "RequestTimeTooSkewed", "denied", false, "check the clock"),
            (403, "SignatureDoesNotMatch", "denied", false, "\"secret-access-key\""),
            (403, "InvalidAccessKeyId", "denied", false, "\"access-key-id\""),
            (403, "AccessDenied", "denied", false, "s3:ListBucket"),
            (400, "ExpiredToken", "denied", false, "\"session-token\""),
            (404, "NoSuchBucket", "other", false, "create it"),
            (400, "KeyTooLongError", "too-large", false, "KeyTooLongError"),
            (501, "NotImplemented", "unsupported", false, "NotImplemented"),
            (503, "SlowDown", "unavailable", true, "SlowDown"),
            (500, "InternalError", "unavailable", true, "InternalError"),
            (400, "RequestTimeout", "unavailable", true, "RequestTimeout"),
            (409, "ConditionalRequestConflict", "unavailable", true, "ConditionalRequestConflict"),
            (400, "InvalidRequest", "other", false, "HTTP 400 InvalidRequest \"Because.\""),
        ];
        for (status, code, expected, retryable, words) in cases {
            let failure = answered(status, &[], &error(code));
            assert_eq!((failure.code.as_str(), failure.retryable), (expected, retryable), "{code}");
            assert!(failure.message.contains(words), "{}", failure.message);
            assert!(failure.message.contains("Because."), "{}", failure.message);
        }
    }

    #[test]
    fn a_bucket_elsewhere_says_where() {
        let malformed = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        let cases = [
            answered(301, &[("x-amz-bucket-region", "eu-west-1")], &error("PermanentRedirect")),
            answered(400, &[], malformed),
            answered(307, &[("x-amz-bucket-region", "eu-west-1")], ""),
        ];
        for failure in cases {
            assert!(failure.message.contains("set region = \"eu-west-1\""), "{}", failure.message);
            assert!(!failure.retryable);
        }
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        for (said, expected) in [("7", Some(7000)), ("soon", None), ("4294967295", None)] {
            let failure = answered(503, &[("retry-after", said)], "");
            assert_eq!((failure.retryable, failure.retry_after_ms), (true, expected));
        }
        assert!(answered(429, &[], "").retryable);
    }

    #[test]
    fn without_permission_the_line_to_add_is_there() {
        let failure = Lost::Denied.failure(&settings());
        assert_eq!(failure.code, "denied");
        assert!(failure.message.contains("add \"localhost:9000\" to its `network`"), "{}", failure.message);
    }
}
