//! Documents that one host at a time may write.
//!
//! S3 cannot compare an epoch with one object and write another one in the same step. It can refuse a write whose object
//! is not the version that it names. So a claim puts the epoch into an object of its own, the *fence*, and then rewrites
//! each object of the scope: the writes of the host before name versions that are not there any more.
//!
//! An object that is written with an epoch begins with a line that says how, with which epoch, and for which scope:
//!
//! ```text
//! sigbox set 7 live
//! {"the":"document"}
//! ```
//!
//! | how | what was there before | when it counts |
//! |---|---|---|
//! | `new` | no object, so the write named no version | from the epoch on from which objects count |
//! | `set` | an object that the same epoch wrote | the same |
//! | `gone` | the same; there is no document here any more | the same |
//! | `kept` | the same document, without such a line or of another scope | always |
//!
//! What a claim cannot rewrite is an object that is not there yet. If the host before creates one afterwards, it has an
//! epoch that is too low to count. The writer itself finds out, because it looks at the fence after such a write.
//!
//! An object that no epoch wrote is first replaced by itself, as `kept`, and then written. If the replacement comes too
//! late, it has changed nothing, and the look at the fence that follows it keeps the write from being tried.

use std::{collections::HashMap, time::Instant};

use sigbox_sdk::persistence::{Failure, Holder, Page};

use super::{Documents, Transport};
use crate::key;

/// What such a line begins with. No JSON document begins like that.
const MARK: &[u8] = b"sigbox ";

/// What the key of a fence begins with, behind the prefix. No domain is encoded like that.
const FENCE: &str = "fence.";

/// The documents in a bucket, behind their fences.
pub struct FencedDocuments<T> {
    documents: Documents<T>,
    prefix: String,
    /// Whether some scope was ever claimed here, as far as is known. If not, no object has such a line.
    is_claimed: bool,
    /// The fences as they were last seen, by scope.
    fences: HashMap<String, Fence>,
    /// The line of each object in the version that is known.
    lines: HashMap<String, Option<Line>>,
}

/// What a fence says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fence {
    holder: Holder,
    /// The least epoch of objects that count. It is the holder's when everything is rewritten.
    counts_from: u64,
}

/// The line of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    how: How,
    epoch: u64,
    scope: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    New,
    Set,
    Gone,
    Kept,
}

impl How {
    const ALL: [(Self, &str); 4] = [(Self::New, "new"), (Self::Set, "set"), (Self::Gone, "gone"), (Self::Kept, "kept")];
}

impl<T: Transport> FencedDocuments<T> {
    /// Documents whose keys begin with `prefix`.
    ///
    /// # Errors
    /// When the server cannot say whether there is a fence.
    pub fn new(mut documents: Documents<T>, prefix: &str) -> Result<Self, Failure> {
        let deadline = documents.deadline();
        let fences = documents.bucket.list(&format!("{prefix}{FENCE}"), "", 1, deadline)?;
        let is_claimed = !fences.contents.is_empty();
        Ok(Self { documents, prefix: prefix.to_owned(), is_claimed, fences: HashMap::new(), lines: HashMap::new() })
    }

    /// As [`Documents::read`].
    ///
    /// # Errors
    /// As there.
    pub fn read(&mut self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let object = self.documents.read(key)?;
        let (line, document) = parts(object.as_deref());
        self.lines.insert(key.to_owned(), line.clone());
        let counts = self.counts(line.as_ref())?;
        Ok(document.filter(|_| counts).map(<[u8]>::to_vec))
    }

    /// As [`Documents::has`].
    ///
    /// # Errors
    /// As there.
    pub fn has(&mut self, key: &str) -> Result<bool, Failure> {
        if !self.is_claimed {
            return self.documents.has(key);
        }
        let deadline = self.documents.deadline();
        let object = self.documents.bucket.get(key, deadline)?;
        let (line, document) = parts(object.as_ref().map(|object| object.bytes.as_slice()));
        Ok(document.is_some() && self.counts(line.as_ref())?)
    }

    /// As [`Documents::write`], whoever holds a scope.
    ///
    /// # Errors
    /// As there.
    pub fn write(&mut self, key: &str, value: &[u8]) -> Result<(), Failure> {
        // What begins like a line gets one, so that it is not taken for one.
        let line = value.starts_with(MARK).then(|| Line { how: How::Kept, epoch: 0, scope: String::new() });
        self.documents.write(key, &object(line.as_ref(), value))?;
        self.lines.insert(key.to_owned(), line);
        Ok(())
    }

    /// As [`Documents::remove`], whoever holds a scope.
    ///
    /// # Errors
    /// As there.
    pub fn remove(&mut self, key: &str) -> Result<bool, Failure> {
        let was_document = !self.is_claimed || self.has(key)?;
        let removed = self.documents.remove(key)?;
        self.lines.insert(key.to_owned(), None);
        Ok(removed && was_document)
    }

    /// As [`Documents::ids`].
    ///
    /// # Errors
    /// As there.
    pub fn ids(&mut self, entity: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let mut page = self.documents.ids(entity, cursor, limit)?;
        if !self.is_claimed {
            return Ok(page);
        }
        loop {
            let mut entity_ids = Vec::new();
            for id in std::mem::take(&mut page.entity_ids) {
                if self.has(&key::key(entity, &id))? {
                    entity_ids.push(id);
                }
            }
            match page.next {
                // A page without ids does not go on.
                Some(next) if entity_ids.is_empty() => page = self.documents.ids(entity, Some(&next), limit)?,
                next => return Ok(Page { entity_ids, next }),
            }
        }
    }

    /// Who holds the scope.
    ///
    /// # Errors
    /// When the server cannot say, or does not heed conditions, so that nobody can.
    pub fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.check_conditions()?;
        Ok(self.look(scope)?.map(|fence| fence.holder))
    }

    /// Makes `claim` the holder of the scope and rewrites the objects of the scope. If there is no time left for that, it
    /// says "later", and the next attempt goes on.
    ///
    /// # Errors
    /// When it is refused, or not known to be done.
    pub fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.check_conditions()?;
        // Half of the time of a call, so that what is under way then is done within the other half.
        let until = Instant::now() + self.documents.bucket.settings().timeout / 2;
        let before = loop {
            let held = self.look(scope)?;
            let stored = held.as_ref().map(|fence| &fence.holder);
            if !Holder::gives_way_to(stored, claim) {
                return Err(Holder::refusal(stored, scope, claim.epoch));
            }
            match held {
                Some(held) if held.holder.epoch == claim.epoch && held.counts_from == claim.epoch => return Ok(()),
                // An attempt that was not completed.
                Some(held) if held.holder.epoch == claim.epoch => break held,
                held => {
                    let counts_from = held.map_or(0, |held| held.counts_from);
                    let fence = Fence { holder: claim.clone(), counts_from };
                    if self.put_fence(scope, &fence)? {
                        break fence;
                    }
                }
            }
        };
        self.rewrite(scope, &before, until)?;
        let fence = Fence { counts_from: claim.epoch, ..before };
        // If it is not ours any more, another claim came first, or another instance has completed this one.
        if self.put_fence(scope, &fence)? { Ok(()) } else { self.claim(scope, claim) }
    }

    /// As [`Documents::write`], if `epoch` is the one of the scope.
    ///
    /// # Errors
    /// As there; or when the epoch is another one.
    pub fn write_fenced(&mut self, key: &str, value: &[u8], scope: &str, epoch: u64) -> Result<(), Failure> {
        let line = self.make_ours(key, scope, epoch)?;
        let how = if line.is_none() { How::New } else { How::Set };
        self.put(key, Line { how, epoch, scope: scope.to_owned() }, value)
    }

    /// As [`Documents::remove`], if `epoch` is the one of the scope. A line stays, because S3 does not compare versions
    /// when it removes an object.
    ///
    /// # Errors
    /// As there; or when the epoch is another one.
    pub fn remove_fenced(&mut self, key: &str, scope: &str, epoch: u64) -> Result<bool, Failure> {
        self.check_epoch(scope, epoch)?;
        if self.read(key)?.is_none() {
            return Ok(false);
        }
        self.make_ours(key, scope, epoch)?;
        self.put(key, Line { how: How::Gone, epoch, scope: scope.to_owned() }, b"")?;
        Ok(true)
    }

    /// Sees to it that the known version of an object was written with this epoch, so that a claim makes it another
    /// version. `None`: there is no document.
    fn make_ours(&mut self, key: &str, scope: &str, epoch: u64) -> Result<Option<Line>, Failure> {
        self.check_conditions()?;
        self.check_epoch(scope, epoch)?;
        let mut document = None;
        if self.documents.known(key).version.is_none() || !self.lines.contains_key(key) {
            document = self.read(key)?;
        }
        let line = self.lines.get(key).cloned().flatten();
        match &line {
            Some(line) if line.scope == scope && line.epoch == epoch => return Ok(Some(line.clone())),
            Some(line) if line.scope == scope && line.epoch > epoch => return Err(self.refusal(scope, epoch)?),
            _ => {}
        }
        let document = match document {
            Some(document) => Some(document),
            None => self.read(key)?,
        };
        let Some(document) = document else { return Ok(None) };
        let kept = Line { how: How::Kept, epoch, scope: scope.to_owned() };
        self.put(key, kept.clone(), &document)?;
        Ok(Some(kept))
    }

    /// Writes an object over the version that is known.
    fn put(&mut self, key: &str, line: Line, value: &[u8]) -> Result<(), Failure> {
        let Line { how, epoch, scope } = line.clone();
        match self.documents.write(key, &object(Some(&line), value)) {
            Ok(()) => {}
            Err(failure) if failure.code == "conflict" => {
                // A later write has to look at what is there now.
                self.documents.known(key).version = None;
                self.fences.remove(&scope);
                self.check_epoch(&scope, epoch)?;
                return Err(failure);
            }
            Err(failure) => return Err(failure),
        }
        if matches!(how, How::New | How::Kept) {
            // Whether the fence is still ours is not known until it says so.
            self.fences.remove(&scope);
            let checked = self.check_epoch(&scope, epoch);
            if checked.is_err() {
                self.documents.known(key).version = None;
            }
            checked?;
        }
        self.lines.insert(key.to_owned(), Some(line));
        Ok(())
    }

    /// Writes each object of the scope anew, with the epoch of its holder.
    fn rewrite(&mut self, scope: &str, Fence { holder, counts_from }: &Fence, until: Instant) -> Result<(), Failure> {
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let deadline = self.documents.deadline();
            let listing = self.documents.bucket.list(&self.prefix, &after, 1000, deadline)?;
            for key in listing.contents.iter().map(|listed| &listed.key) {
                if !self.is_document(key) {
                    continue;
                }
                if let Some(Some(line)) = self.lines.get(key)
                    && (line.scope.as_str(), line.epoch) == (scope, holder.epoch)
                {
                    continue;
                }
                if Instant::now() >= until {
                    let message = format!("{count} objects of scope {scope:?} are rewritten, and not yet all of them");
                    return Err(Failure::retry("unavailable", message));
                }
                self.rewrite_one(key, scope, holder.epoch, *counts_from)?;
                count += 1;
            }
            match listing.contents.into_iter().next_back() {
                Some(last) if listing.is_truncated => after = last.key,
                _ => return Ok(()),
            }
        }
    }

    fn rewrite_one(&mut self, key: &str, scope: &str, epoch: u64, counts_from: u64) -> Result<(), Failure> {
        loop {
            let found = self.documents.read(key)?;
            let (line, document) = parts(found.as_deref());
            self.lines.insert(key.to_owned(), line.clone());
            let Some(line) = line.filter(|line| line.scope == scope && line.epoch < epoch) else { return Ok(()) };
            if line.how != How::Kept && line.epoch < counts_from {
                return Ok(());
            }
            let how = if line.how == How::Gone { How::Gone } else { How::Set };
            let ours = Line { how, epoch, scope: scope.to_owned() };
            match self.documents.write(key, &object(Some(&ours), document.unwrap_or_default())) {
                Ok(()) => {
                    self.lines.insert(key.to_owned(), Some(ours));
                    return Ok(());
                }
                // A write of the host before was under way.
                Err(failure) if failure.code == "conflict" => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether a key has the form of a document's.
    fn is_document(&self, key: &str) -> bool {
        let parts = key.strip_prefix(&self.prefix).map(|rest| rest.split('/').collect::<Vec<_>>());
        parts.is_some_and(|parts| parts.len() == 3 && parts.into_iter().all(|part| key::entity_id(part).is_some()))
    }

    /// Whether an object with this line counts. Without one it does.
    fn counts(&mut self, line: Option<&Line>) -> Result<bool, Failure> {
        let Some(Line { how, epoch, scope }) = line else { return Ok(true) };
        self.is_claimed = true;
        if *how == How::Kept {
            return Ok(true);
        }
        let known = self.fences.get(scope).map(|fence| fence.counts_from);
        if known == Some(*epoch) {
            return Ok(true);
        }
        // It is of a claim that is not known yet, or of a host that was late.
        Ok(self.look(scope)?.is_none_or(|fence| *epoch >= fence.counts_from))
    }

    /// Refuses an epoch that is not the one of the scope.
    fn check_epoch(&mut self, scope: &str, epoch: u64) -> Result<(), Failure> {
        if self.fences.get(scope).is_some_and(|fence| fence.holder.epoch == epoch) {
            return Ok(());
        }
        match self.look(scope)? {
            Some(fence) if fence.holder.epoch == epoch => Ok(()),
            held => Err(Holder::refusal(held.map(|fence| fence.holder).as_ref(), scope, epoch)),
        }
    }

    /// The refusal of a call that another claim made late.
    fn refusal(&mut self, scope: &str, epoch: u64) -> Result<Failure, Failure> {
        let held = self.look(scope)?;
        Ok(Holder::refusal(held.map(|fence| fence.holder).as_ref(), scope, epoch))
    }

    /// Reads a fence.
    fn look(&mut self, scope: &str) -> Result<Option<Fence>, Failure> {
        let key = self.fence_key(scope);
        let Some(object) = self.documents.read(&key)? else {
            self.fences.remove(scope);
            return Ok(None);
        };
        let fence = Fence::parse(&object).ok_or_else(|| {
            Failure::give_up("corrupt", format!("{key} is not what this plugin wrote: put back a copy of it"))
        })?;
        self.is_claimed = true;
        self.fences.insert(scope.to_owned(), fence.clone());
        Ok(Some(fence))
    }

    /// Writes a fence over the version that was read. `false`: another claim came first.
    fn put_fence(&mut self, scope: &str, fence: &Fence) -> Result<bool, Failure> {
        match self.documents.write(&self.fence_key(scope), &fence.object()) {
            Ok(()) => {
                self.is_claimed = true;
                self.fences.insert(scope.to_owned(), fence.clone());
                Ok(true)
            }
            Err(failure) if failure.code == "conflict" => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn fence_key(&self, scope: &str) -> String {
        key::key(&format!("{}{FENCE}", self.prefix), scope)
    }

    fn check_conditions(&self) -> Result<(), Failure> {
        if self.documents.is_conditional {
            return Ok(());
        }
        let message = "conditional writes are not used, and without them nothing keeps two hosts apart";
        Err(Failure::give_up("unsupported", message))
    }
}

impl Fence {
    fn object(&self) -> Vec<u8> {
        let Self { holder: Holder { epoch, owner, since_ms }, counts_from } = self;
        format!("{epoch} {counts_from} {since_ms}\n{owner}").into_bytes()
    }

    fn parse(object: &[u8]) -> Option<Self> {
        let (numbers, owner) = std::str::from_utf8(object).ok()?.split_once('\n')?;
        let numbers = numbers.split(' ').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let [epoch, counts_from, since_ms] = numbers.try_into().ok()?;
        Some(Self { holder: Holder { epoch, owner: owner.to_owned(), since_ms }, counts_from })
    }
}

/// The line of an object, and the document in it.
fn parts(object: Option<&[u8]>) -> (Option<Line>, Option<&[u8]>) {
    let Some(object) = object else { return (None, None) };
    let Some((line, document)) = line(object) else { return (None, Some(object)) };
    let document = (line.how != How::Gone).then_some(document);
    (Some(line), document)
}

fn line(object: &[u8]) -> Option<(Line, &[u8])> {
    let rest = object.strip_prefix(MARK)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let words: Vec<&str> = std::str::from_utf8(&rest[..end]).ok()?.split(' ').collect();
    let [how, epoch, scope] = words.try_into().ok()?;
    let (how, _) = How::ALL.into_iter().find(|(_, word)| *word == how)?;
    Some((Line { how, epoch: epoch.parse().ok()?, scope: key::entity_id(scope)? }, &rest[end + 1..]))
}

fn object(line: Option<&Line>, document: &[u8]) -> Vec<u8> {
    let Some(Line { how, epoch, scope }) = line else { return document.to_vec() };
    let (_, how) = How::ALL.into_iter().find(|(known, _)| known == how).expect("each has a word");
    [MARK, format!("{how} {epoch} {}\n", key::key("", scope)).as_bytes(), document].concat()
}
