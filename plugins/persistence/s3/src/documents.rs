//! Documents that somebody else may write too.
//!
//! Two hosts that write the same document, because one was thought to be dead, would each undo what the other did. So
//! a write names the version it replaces, which is the one this instance read or wrote last, and the server refuses it
//! when another one is there.
//!
//! A write whose answer was lost may have happened, or may happen yet. What was written so is remembered, and found
//! again it is not taken for somebody else's.

mod fenced;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::Instant,
};

use sha2::{Digest as _, Sha256};
use sigbox_sdk::persistence::{Failure, Page};

use crate::{
    bucket::{Bucket, Failed, Object, Transport, Version, Written},
    key,
    settings::ConditionalWrites,
};

pub use self::fenced::FencedDocuments;

/// Tries of one change: the first, one for a connection that broke, and some for earlier writes of ours that arrive
/// late.
const TRIES: usize = 4;

/// The object that is written at the start, to see whether the server heeds conditions, has a key of its own that starts
/// like this: two that start at the same time do not mislead each other. No domain is encoded like that.
const PROBE: &str = "conditional-writes.probe-";

/// An entity tag that no object has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// The documents in a bucket.
pub struct Documents<T> {
    bucket: Bucket<T>,
    is_conditional: bool,
    known: HashMap<String, Known>,
}

/// What this instance knows of one object.
#[derive(Default)]
struct Known {
    /// What it read or wrote last.
    version: Option<Version>,
    /// What it wrote without knowing whether that happened. `None`: it removed the object.
    unsure: Vec<Option<Content>>,
}

/// SHA-256 of a document.
type Content = [u8; 32];

impl<T: Transport> Documents<T> {
    /// Makes sure that the bucket is there and that we may use it, and finds out whether writes can have conditions. The
    /// second is why they cannot, if they should.
    ///
    /// # Errors
    /// When something is missing.
    pub fn open(mut bucket: Bucket<T>) -> Result<(Self, Option<String>), Failure> {
        let settings = bucket.settings().clone();
        let deadline = Instant::now() + settings.timeout;
        bucket.list(&settings.keys.prefix, "", 1, deadline)?;
        if settings.conditional_writes == ConditionalWrites::Off {
            return Ok((Self::new(bucket, false), None));
        }
        let Some(why) = probe(&mut bucket, &settings.keys.prefix, deadline)? else {
            return Ok((Self::new(bucket, true), None));
        };
        let why = format!("{}: conditional writes cannot be used, because the server {why}", settings.host());
        if settings.conditional_writes == ConditionalWrites::Required {
            let message = format!(
                "{why}. So a second writer would not be noticed; conditional-writes = \"auto\" or \"false\" does without"
            );
            return Err(Failure::give_up("unsupported", message));
        }
        Ok((Self::new(bucket, false), Some(why)))
    }

    fn new(bucket: Bucket<T>, is_conditional: bool) -> Self {
        Self { bucket, is_conditional, known: HashMap::new() }
    }

    /// The document.
    ///
    /// # Errors
    /// When the server cannot say what is there.
    pub fn read(&mut self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let deadline = self.deadline();
        let found = self.bucket.get(key, deadline)?;
        self.known(key).version = Version::of(found.as_ref());
        Ok(found.map(|object| object.bytes))
    }

    /// Whether there is a document. Nobody has seen it then, so it is not what a write may replace.
    ///
    /// # Errors
    /// When the server cannot say.
    pub fn has(&mut self, key: &str) -> Result<bool, Failure> {
        let deadline = self.deadline();
        Ok(self.bucket.look(key, deadline)? != Some(Version::Absent))
    }

    /// Replaces the document.
    ///
    /// # Errors
    /// When it is not known to be stored, or is somebody else's.
    pub fn write(&mut self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let deadline = self.deadline();
        let content = Some(Sha256::digest(value).into());
        if self.is_conditional && self.known(key).version.is_none() {
            self.known(key).version = self.bucket.look(key, deadline)?;
        }
        let mut is_refused_wrongly = false;
        for tried in 1..=TRIES {
            let replaced = if self.is_conditional { self.known(key).version.clone() } else { None };
            match self.bucket.put(key, value, replaced.as_ref(), deadline) {
                Ok(Written::As(tag)) => {
                    *self.known(key) = Known { version: tag.map(Version::Tagged), unsure: Vec::new() };
                    return Ok(());
                }
                Ok(Written::Not) => {
                    let found = self.bucket.get(key, deadline)?;
                    is_refused_wrongly = self.recognise(key, found.as_ref())? == Recognised::AsKnown;
                    if found.as_ref().map(content_of) == content {
                        return Ok(());
                    }
                }
                Err(failed) => self.note(key, content, failed, tried)?,
            }
        }
        let message = if is_refused_wrongly {
            format!(
                "{key}: the server refuses the write because of If-Match or If-None-Match, although the condition holds: \
                 nobody else changed the object. Set conditional-writes = \"false\" for such a server"
            )
        } else {
            format!("{key}: earlier writes of ours keep arriving")
        };
        Err(Failure::retry("unavailable", message))
    }

    /// Removes the document; whether there was one.
    ///
    /// # Errors
    /// When it is not known to be gone, or is somebody else's.
    pub fn remove(&mut self, key: &str) -> Result<bool, Failure> {
        let deadline = self.deadline();
        let found = self.bucket.look(key, deadline)?;
        let known = self.known(key);
        if found == Some(Version::Absent) {
            let was_us = known.unsure.contains(&None);
            *known = Known { version: found, unsure: Vec::new() };
            return Ok(was_us);
        }
        if known.version.is_some() && known.version != found && self.is_conditional {
            let found = self.bucket.get(key, deadline)?;
            self.recognise(key, found.as_ref())?;
        }
        for tried in 1..=TRIES {
            match self.bucket.delete(key, deadline) {
                Ok(()) => {
                    *self.known(key) = Known { version: Some(Version::Absent), unsure: Vec::new() };
                    return Ok(true);
                }
                Err(failed) => self.note(key, None, failed, tried)?,
            }
        }
        Err(Failure::retry("unavailable", format!("{key}: the connection keeps breaking")))
    }

    /// Ids of the documents of an entity. Objects of others among them are passed over.
    ///
    /// # Errors
    /// When the server cannot list them.
    pub fn ids(&mut self, entity: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let deadline = self.deadline();
        let mut page = Page { entity_ids: Vec::new(), next: None };
        if limit == 0 {
            return Ok(page);
        }
        let mut after = cursor.map(|cursor| key::key(entity, cursor)).unwrap_or_default();
        loop {
            let listing = self.bucket.list(entity, &after, limit, deadline)?;
            let ours = |listed: &crate::bucket::Listed| key::entity_id(listed.key.strip_prefix(entity)?);
            page.entity_ids.extend(listing.contents.iter().filter_map(ours));
            let Some(last) = listing.contents.into_iter().next_back().filter(|_| listing.is_truncated) else {
                return Ok(page);
            };
            if let Some(id) = page.entity_ids.last() {
                page.next = Some(id.clone());
                return Ok(page);
            }
            after = last.key;
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.bucket.settings().timeout
    }

    fn known(&mut self, key: &str) -> &mut Known {
        self.known.entry(key.to_owned()).or_default()
    }

    /// Remembers that a change may have happened; an error unless it is to be tried again.
    fn note(&mut self, key: &str, content: Option<Content>, failed: Failed, tried: usize) -> Result<(), Failure> {
        if failed.is_vague {
            self.known(key).unsure.push(content);
        }
        if failed.again && tried == 1 { Ok(()) } else { Err(failed.failure) }
    }

    /// What was found after another version was expected: the expected one after all, or one that a write of ours made
    /// whose answer was lost. Everything else is somebody else's.
    fn recognise(&mut self, key: &str, found: Option<&Object>) -> Result<Recognised, Failure> {
        let known = self.known(key);
        let version = Version::of(found);
        if version.is_some() && version == known.version {
            return Ok(Recognised::AsKnown);
        }
        if known.unsure.contains(&found.map(content_of)) {
            known.version = version;
            return Ok(Recognised::Ours);
        }
        let did = if found.is_some() { "changed" } else { "removed" };
        let message = format!(
            "somebody else {did} {key} in {}: is a second sigbox running with this bucket and prefix? Nothing was \
             written. Stop one of them; the one that is started again reads what is there",
            self.bucket.settings().bucket
        );
        Err(Failure::give_up("conflict", message))
    }
}

/// Whose version it is that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recognised {
    /// It is the one that was expected.
    AsKnown,
    /// It is another one of ours.
    Ours,
}

/// Why conditions cannot be used; none if they can.
///
/// Each kind is tried where it must hold and where it must not. A server that refuses what holds would never take the
/// second write of a document, and one that ignores what does not hold would let a second writer through.
fn probe<T: Transport>(bucket: &mut Bucket<T>, prefix: &str, deadline: Instant) -> Result<Option<String>, Failure> {
    // The keys of hash tables are random; the standard library has no other random numbers.
    let key = format!("{prefix}{PROBE}{:016x}", RandomState::new().hash_one(0));
    let trouble = Probe { bucket, key: &key, deadline }.trouble();
    let delete = |bucket: &mut Bucket<T>| bucket.delete(&key, deadline);
    let deleted = match delete(bucket) {
        Err(failed) if failed.again => delete(bucket),
        deleted => deleted,
    };
    let trouble = trouble?;
    deleted.map_err(|failed| failed.failure)?;
    Ok(trouble)
}

struct Probe<'a, T> {
    bucket: &'a mut Bucket<T>,
    key: &'a str,
    deadline: Instant,
}

/// How a server takes a condition.
enum Taken {
    /// The object is written, as this version if the server says so.
    Done(Option<String>),
    Refused,
    /// It does not know it.
    Unknown(String),
}

impl<T: Transport> Probe<'_, T> {
    fn trouble(mut self) -> Result<Option<String>, Failure> {
        let said = |why: &str| Ok(Some(why.to_owned()));
        let other = Version::Tagged(NO_TAG.to_owned());
        match self.put(&other)? {
            Taken::Refused => {}
            Taken::Done(_) => return said("ignores If-Match when there is no object"),
            Taken::Unknown(why) => return Ok(Some(why)),
        }
        let made = match self.put(&Version::Absent)? {
            Taken::Done(Some(tag)) => Some(tag),
            Taken::Done(None) => return said("does not say the entity tag of what was written"),
            // Unless it is there from a try whose answer was lost.
            Taken::Refused if self.look()? == Some(Version::Absent) => {
                return said("refuses If-None-Match although there is no object");
            }
            Taken::Refused => None,
            Taken::Unknown(why) => return Ok(Some(why)),
        };
        let Some(Version::Tagged(tag)) = self.look()? else {
            return said("does not say the entity tag of an object, or one that cannot be compared");
        };
        if made.is_some_and(|made| made != tag) {
            return said("gives an object another entity tag when it is read than when it was written");
        }
        if !matches!(self.put(&Version::Absent)?, Taken::Refused) {
            return said("ignores If-None-Match");
        }
        if !matches!(self.put(&other)?, Taken::Refused) {
            return said("ignores If-Match");
        }
        let right = Version::Tagged(tag);
        if matches!(self.put(&right)?, Taken::Refused) && self.look()?.as_ref() == Some(&right) {
            return said("refuses If-Match with the right entity tag");
        }
        Ok(None)
    }

    fn look(&mut self) -> Result<Option<Version>, Failure> {
        self.bucket.look(self.key, self.deadline)
    }

    fn put(&mut self, version: &Version) -> Result<Taken, Failure> {
        let mut put = || self.bucket.put(self.key, b"null", Some(version), self.deadline);
        let written = match put() {
            Err(failed) if failed.again => put(),
            written => written,
        };
        match written {
            Ok(Written::As(tag)) => Ok(Taken::Done(tag)),
            Ok(Written::Not) => Ok(Taken::Refused),
            Err(failed) if ["unsupported", "other"].contains(&failed.failure.code.as_str()) => {
                Ok(Taken::Unknown(format!("does not know them: {}", failed.failure.message)))
            }
            Err(failed) => Err(failed.failure),
        }
    }
}

fn content_of(object: &Object) -> Content {
    Sha256::digest(&object.bytes).into()
}

#[cfg(test)]
mod tests;
