//! Documents that somebody else may write too.
//!
//! Two hosts that write the same document, because one was thought to be dead, would each undo what the other did. So
//! a write names the version it replaces, which is the one this instance read or wrote last, and the server refuses it
//! when another one is there.
//!
//! A write whose answer was lost may have happened, or may happen yet. What was written so is remembered, and found
//! again it is not taken for somebody else's.

mod fenced;

use std::{collections::HashMap, time::Instant};

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

/// The object that is written at the start, to see whether the server heeds conditions. No domain is encoded like that.
const PROBE: &str = "conditional-writes.probe";

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
    /// Makes sure that the bucket is there and that we may use it, and finds out whether the server heeds conditions.
    /// The second is false when it was to be used if possible, and is not.
    ///
    /// # Errors
    /// When something is missing.
    pub fn open(mut bucket: Bucket<T>) -> Result<(Self, bool), Failure> {
        let settings = bucket.settings().clone();
        let deadline = Instant::now() + settings.timeout;
        bucket.list(&settings.keys.prefix, "", 1, deadline)?;
        let heeds = settings.conditional_writes != ConditionalWrites::Off
            && heeds_conditions(&mut bucket, &settings.keys.prefix, deadline)?;
        if settings.conditional_writes == ConditionalWrites::Required && !heeds {
            let message = format!(
                "{}: the server does not heed If-Match and If-None-Match, so a second writer would not be noticed; \
                 conditional-writes = \"auto\" or \"false\" does without",
                settings.host()
            );
            return Err(Failure::give_up("unsupported", message));
        }
        let as_wished = heeds || settings.conditional_writes == ConditionalWrites::Off;
        Ok((Self { bucket, is_conditional: heeds, known: HashMap::new() }, as_wished))
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
        for tried in 1..=TRIES {
            let replaced = if self.is_conditional { self.known(key).version.clone() } else { None };
            match self.bucket.put(key, value, replaced.as_ref(), deadline) {
                Ok(Written::As(tag)) => {
                    *self.known(key) = Known { version: tag.map(Version::Tagged), unsure: Vec::new() };
                    return Ok(());
                }
                Ok(Written::Not) => {
                    let found = self.bucket.get(key, deadline)?;
                    self.recognise(key, found.as_ref())?;
                    if found.as_ref().map(content_of) == content {
                        return Ok(());
                    }
                }
                Err(failed) => self.note(key, content, failed, tried)?,
            }
        }
        Err(Failure::retry("unavailable", format!("{key}: earlier writes of ours keep arriving")))
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

    /// Takes another version than the expected one for what it is if a write of ours made it whose answer was lost.
    fn recognise(&mut self, key: &str, found: Option<&Object>) -> Result<(), Failure> {
        let known = self.known(key);
        if known.unsure.contains(&found.map(content_of)) {
            known.version = Version::of(found);
            return Ok(());
        }
        let message = format!(
            "somebody else changed {key} in {}: is a second sigbox running with this bucket and prefix? Nothing was \
             written. Stop one of them; the one that is started again reads what is there",
            self.bucket.settings().bucket
        );
        Err(Failure::give_up("conflict", message))
    }
}

/// Whether writes with conditions that do not hold are refused.
fn heeds_conditions<T: Transport>(bucket: &mut Bucket<T>, prefix: &str, deadline: Instant) -> Result<bool, Failure> {
    let key = format!("{prefix}{PROBE}");
    let mut is_refused = |version| {
        let mut put = || bucket.put(&key, b"null", Some(&version), deadline);
        let written = match put() {
            Err(failed) if failed.again => put(),
            written => written,
        };
        match written {
            Ok(Written::Not) => Ok(true),
            Ok(Written::As(_)) => Ok(false),
            // It does not know them at all.
            Err(failed) if ["unsupported", "other"].contains(&failed.failure.code.as_str()) => Ok(false),
            Err(failed) => Err(failed.failure),
        }
    };
    // The first write for an absent object may be the one that makes it.
    Ok(is_refused(Version::Tagged(NO_TAG.to_owned()))?
        && (is_refused(Version::Absent)? || is_refused(Version::Absent)?))
}

fn content_of(object: &Object) -> Content {
    Sha256::digest(&object.bytes).into()
}

#[cfg(test)]
mod tests;
