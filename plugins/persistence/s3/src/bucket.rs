//! The requests made of a bucket.

use std::time::{Instant, SystemTime};

use serde::Deserialize;
use sigbox_sdk::persistence::Failure;

use crate::{
    answer::{Answer, Lost},
    request::{Ask, Request, signed},
    settings::Settings,
};

/// Sends one request, once.
pub trait Transport {
    /// The whole answer.
    ///
    /// # Errors
    /// When there is none before `deadline`.
    fn send(&mut self, request: Request, deadline: Instant) -> Result<Answer, Lost>;
}

/// A bucket behind a way to get there.
pub struct Bucket<T> {
    settings: Settings,
    transport: T,
}

/// What an object holds.
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Which version it is, if the server says so.
    pub tag: Option<String>,
}

/// Which version a write may replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// There is no object.
    Absent,
    /// The one with this entity tag.
    Tagged(String),
}

/// How a write ended that was answered as hoped.
pub enum Written {
    /// It is stored, as this version if the server says so.
    As(Option<String>),
    /// Nothing is stored: another version is there than the one to be replaced.
    Not,
}

/// How a change failed.
pub struct Failed {
    /// For the host.
    pub failure: Failure,
    /// Whether it may have happened, or may yet happen.
    pub is_vague: bool,
    /// Whether another try at once is worth it.
    pub again: bool,
}

/// A part of a listing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listing {
    /// Whether there are more.
    pub is_truncated: bool,
    /// Objects in the order of their keys.
    #[serde(default)]
    pub contents: Vec<Listed>,
}

/// An object of a listing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    /// Its key.
    pub key: String,
}

impl Version {
    /// The version of what was found; `None` when it cannot be told from others.
    #[must_use]
    pub fn of(found: Option<&Object>) -> Option<Self> {
        found.map_or(Some(Self::Absent), |object| object.tag.clone().map(Self::Tagged))
    }
}

impl<T: Transport> Bucket<T> {
    /// A bucket.
    pub fn new(settings: Settings, transport: T) -> Self {
        Self { settings, transport }
    }

    /// Where it is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The object; `None` only when the server says that there is none, and not that there is no bucket or no
    /// permission.
    ///
    /// # Errors
    /// When the server cannot say what is there.
    pub fn get(&mut self, key: &str, deadline: Instant) -> Result<Option<Object>, Failure> {
        let answer = self.read(Ask { method: "GET", key, query: &[], headers: &[], body: &[] }, deadline)?;
        match answer.status {
            200 => Ok(Some(Object { tag: answer.tag(), bytes: answer.body })),
            404 if answer.problem().code == "NoSuchKey" => Ok(None),
            _ => Err(answer.failure(&self.settings)),
        }
    }

    /// Which version of the object is there; `None` when there is one and the server does not say which. It is not read:
    /// its bytes are not sent.
    ///
    /// # Errors
    /// When the server cannot say what is there.
    pub fn look(&mut self, key: &str, deadline: Instant) -> Result<Option<Version>, Failure> {
        let answer = self.read(Ask { method: "HEAD", key, query: &[], headers: &[], body: &[] }, deadline)?;
        if answer.status == 200 {
            return Ok(answer.tag().map(Version::Tagged));
        }
        // An answer without a body does not say whether it is the object that is missing, or what else is wrong.
        Ok(Version::of(self.get(key, deadline)?.as_ref()))
    }

    /// Replaces the object, if it is still that version.
    ///
    /// # Errors
    /// When it is not known to be stored.
    pub fn put(
        &mut self,
        key: &str,
        body: &[u8],
        replaced: Option<&Version>,
        deadline: Instant,
    ) -> Result<Written, Failed> {
        let mut headers = vec![("content-type", "application/json")];
        match replaced {
            None => {}
            Some(Version::Absent) => headers.push(("if-none-match", "*")),
            Some(Version::Tagged(tag)) => headers.push(("if-match", tag)),
        }
        let answer = self.change(Ask { method: "PUT", key, query: &[], headers: &headers, body }, deadline)?;
        match answer.status {
            200 => Ok(Written::As(answer.tag())),
            412 if replaced.is_some() => Ok(Written::Not),
            // There is no such object. Not all servers say so in their words.
            404 if matches!(replaced, Some(Version::Tagged(_))) && answer.problem().code != "NoSuchBucket" => {
                Ok(Written::Not)
            }
            _ => Err(self.failed(&answer)),
        }
    }

    /// Removes the object. The server does not say whether there was one.
    ///
    /// # Errors
    /// When it is not known to be gone.
    pub fn delete(&mut self, key: &str, deadline: Instant) -> Result<(), Failed> {
        let answer = self.change(Ask { method: "DELETE", key, query: &[], headers: &[], body: &[] }, deadline)?;
        match answer.status {
            200 | 204 => Ok(()),
            404 if answer.problem().code == "NoSuchKey" => Ok(()),
            _ => Err(self.failed(&answer)),
        }
    }

    /// Objects whose keys start with `prefix` and are after `after`, at most `limit` and at most a thousand.
    ///
    /// # Errors
    /// When the server cannot list them.
    pub fn list(&mut self, prefix: &str, after: &str, limit: u32, deadline: Instant) -> Result<Listing, Failure> {
        let limit = limit.min(1000).to_string();
        // In the order of their names, as the signature has them.
        let mut query = vec![("list-type", "2"), ("max-keys", &limit), ("prefix", prefix)];
        if !after.is_empty() {
            query.push(("start-after", after));
        }
        let answer = self.read(Ask { method: "GET", key: "", query: &query, headers: &[], body: &[] }, deadline)?;
        if answer.status != 200 {
            return Err(answer.failure(&self.settings));
        }
        let unreadable = |why: &dyn std::fmt::Display| {
            Failure::give_up("other", format!("{}: its listing cannot be read: {why}", self.settings.host()))
        };
        let text = std::str::from_utf8(&answer.body).map_err(|error| unreadable(&error))?;
        quick_xml::de::from_str(text).map_err(|error| unreadable(&error))
    }

    /// A request that changes nothing: once more when the connection broke.
    fn read(&mut self, ask: Ask<'_>, deadline: Instant) -> Result<Answer, Failure> {
        let answer = match self.once(ask, deadline) {
            Err(Lost::Broken(_)) => self.once(ask, deadline),
            answer => answer,
        };
        answer.map_err(|lost| lost.failure(&self.settings))
    }

    /// A request that changes something.
    fn change(&mut self, ask: Ask<'_>, deadline: Instant) -> Result<Answer, Failed> {
        self.once(ask, deadline).map_err(|lost| Failed {
            failure: lost.failure(&self.settings),
            is_vague: matches!(lost, Lost::Broken(_) | Lost::TimedOut),
            again: matches!(lost, Lost::Broken(_)),
        })
    }

    fn once(&mut self, ask: Ask<'_>, deadline: Instant) -> Result<Answer, Lost> {
        let request =
            signed(&self.settings, SystemTime::now(), ask).map_err(|error| Lost::Impossible(error.to_string()))?;
        let answer = self.transport.send(request, deadline)?;
        if ask.method == "HEAD" || answer.is_whole() {
            Ok(answer)
        } else {
            Err(Lost::Broken(format!("the answer ended after {} bytes", answer.body.len())))
        }
    }

    fn failed(&self, answer: &Answer) -> Failed {
        Failed { failure: answer.failure(&self.settings), is_vague: answer.is_vague(), again: false }
    }
}
