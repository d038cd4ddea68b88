//! What a backend can do wrong, one thing at a time, named by the setting `fault`. Without it this is a backend that
//! keeps the contract, on each medium.

use std::{collections::BTreeMap, fs, io, io::Write as _, thread, time::Duration};

use sigbox_sdk::persistence::{Address, Failure, Holder, Page, config, logging, secrets};

use crate::medium::{Changed, Folder, Key, Medium, Memory, Server};

/// Whether this is what it was told to do wrong.
pub(crate) fn fault(name: &str) -> bool {
    config::get("fault").is_some_and(|fault| fault == name)
}

fn medium() -> String {
    config::get("medium").unwrap_or_default()
}

/// Documents in memory go with the instance, and an honest backend says so.
pub(crate) fn features() -> Vec<String> {
    let is_volatile = medium().is_empty() && !fault("keeps nothing, unsaid");
    is_volatile.then(|| "volatile".to_owned()).into_iter().collect()
}

pub(crate) struct Faulty {
    medium: Box<dyn Medium>,
    /// What was written and is on no medium yet.
    unwritten: Memory,
    /// Documents this instance has seen.
    seen: Memory,
    listings: usize,
    /// Claims that this instance has not stored.
    claims: BTreeMap<String, Holder>,
}

/// The file that says that a start is under way.
const STARTING: &str = "/data/starting";

impl Faulty {
    pub(crate) fn start() -> Result<Self, Failure> {
        let medium: Box<dyn Medium> = match medium().as_str() {
            "folder" => Box::new(Folder),
            "server" => {
                let mut server = Server::at(config::get("server").unwrap_or_default());
                server.gives_up = fault("never connects again");
                server.credulous = fault("believes half an answer");
                if fault("waits for ever") {
                    server.limit = None;
                }
                server.patience = ["waits a moment", "takes silence for none"]
                    .into_iter()
                    .any(fault)
                    .then_some(Duration::from_millis(20));
                if !fault("answers none on error") {
                    server.connect().map_err(|error| failed(&error))?;
                }
                Box::new(server)
            }
            _ => Box::new(Memory::new()),
        };
        if fault("does not survive a start") {
            if fs::exists(STARTING).unwrap_or(true) {
                return Err(Failure::give_up("corrupt", "another instance is starting"));
            }
            fs::write(STARTING, "").and_then(|()| fs::remove_file(STARTING)).map_err(|error| failed(&error))?;
        }
        if fault("tells secrets") {
            let password = secrets::get("password").unwrap_or_default();
            logging::log(logging::Level::Info, "start", &format!("logging in with {password}"));
        }
        Ok(Self { medium, unwritten: Memory::new(), seen: Memory::new(), listings: 0, claims: BTreeMap::new() })
    }

    pub(crate) fn init(&mut self, domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
        if fault("begins anew") && initial {
            for id in self.medium.ids(domain, entity_name).map_err(|error| failed(&error))? {
                let key = (domain.to_owned(), entity_name.to_owned(), id);
                self.medium.remove(&key).map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        if fault("returns 1 GiB") {
            return Ok(Some(vec![b'x'; 1 << 30]));
        }
        let key = key(at);
        if let Some(value) = self.unwritten.get(&key) {
            return Ok(Some(value.clone()));
        }
        if fault("remembers") && self.seen.contains_key(&key) {
            return Ok(self.seen.get(&key).cloned());
        }
        let found = match self.medium.read(&key) {
            Ok(found) => found,
            Err(error) => return self.unreadable(&error),
        };
        if let Some(value) = &found {
            self.seen.insert(key, value.clone());
        }
        Ok(found.filter(|value| !(fault("takes null for none") && value == b"null")))
    }

    #[expect(clippy::unused_self, reason = "beside what is readable")]
    fn unreadable(&self, error: &io::Error) -> Result<Option<Vec<u8>>, Failure> {
        assert!(!fault("traps on error"), "{error}");
        let is_silence = error.kind() == io::ErrorKind::TimedOut;
        if fault("answers none on error") || (fault("takes silence for none") && is_silence) {
            return Ok(None);
        }
        Err(failed(error))
    }

    pub(crate) fn write(&mut self, at: &Address, mut value: Vec<u8>) -> Result<(), Failure> {
        match config::get("fault").as_deref() {
            Some("forgets") => return Ok(()),
            Some("hangs") => thread::sleep(Duration::from_hours(1)),
            Some("traps") => panic!("in a write"),
            Some("takes everything, it says") => assert!(value.len() <= 1 << 20, "too large"),
            Some("cuts documents") => value.truncate((64 << 10) - 1),
            Some("reformats") => value = value.trim_ascii().to_vec(),
            Some("overwrites in place") => {
                let before = self.medium.read(&key(at)).ok().flatten().unwrap_or_default();
                value.extend_from_slice(before.get(value.len()..).unwrap_or_default());
            }
            Some("writes at close") => {
                self.unwritten.insert(key(at), value);
                return Ok(());
            }
            _ => {}
        }
        let key = key(at);
        let written = match config::get("fault").as_deref() {
            Some("writes in two steps") => self.write_in_two_steps(&key, &value),
            Some("removes, then writes") => self.medium.remove(&key).and_then(|_| self.medium.write(&key, &value)),
            _ => self.medium.write(&key, &value),
        };
        written.map_err(|error| failed(&error))?;
        self.seen.insert(key, value);
        Ok(())
    }

    fn write_in_two_steps(&mut self, key: &Key, value: &[u8]) -> io::Result<()> {
        let (first, second) = value.split_at(value.len() / 2);
        if medium() != "folder" {
            return self.medium.write(key, first).and_then(|()| self.medium.write(key, value));
        }
        // So that its folder is there.
        self.medium.read(key)?.map_or_else(|| self.medium.write(key, b""), |_| Ok(()))?;
        let mut file = fs::File::create(Folder::file(key))?;
        file.write_all(first)?;
        file.sync_all()?;
        file.write_all(second)
    }

    pub(crate) fn remove(&mut self, at: &Address) -> Result<bool, Failure> {
        let key = key(at);
        if fault("empties, then removes") {
            let is_there = self.medium.read(&key).map_err(|error| failed(&error))?.is_some();
            if is_there {
                self.medium.write(&key, b"").map_err(|error| failed(&error))?;
            }
        }
        self.seen.remove(&key);
        let was_unwritten = self.unwritten.remove(&key).is_some();
        let removed = self.medium.remove(&key).map_err(|error| failed(&error))?;
        Ok(removed || was_unwritten || fault("removed it, always"))
    }

    pub(crate) fn keys(
        &mut self,
        domain: &str,
        entity_name: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, Failure> {
        let at = Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() };
        let (domain, entity_name, _) = key(&at);
        let mut ids = match self.medium.ids(&domain, &entity_name) {
            Ok(ids) => ids,
            Err(_) if fault("answers none on error") => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        self.listings += 1;
        if fault("lists in any order") && self.listings.is_multiple_of(2) {
            ids.reverse();
        }
        let mut rest = ids.into_iter().skip_while(|id| cursor.is_some_and(|cursor| id.as_str() <= cursor));
        if fault("skips between pages") && cursor.is_some() {
            rest.next();
        }
        let limit = limit as usize + usize::from(fault("fills pages too well"));
        let entity_ids: Vec<String> = rest.by_ref().take(limit).collect();
        let next = rest.next().and_then(|_| entity_ids.last().cloned());
        Ok(Page { entity_ids, next })
    }

    pub(crate) fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        if let Some(claim) = self.claims.get(scope) {
            return Ok(Some(claim.clone()));
        }
        self.medium.holder(&self::scope(scope)).map_err(|error| failed(&error))
    }

    pub(crate) fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        if fault("forgets claims") {
            self.claims.insert(scope.to_owned(), claim.clone());
            return Ok(());
        }
        let mut claim = claim.clone();
        if fault("shares an epoch")
            && let Some(holder) = self.holder(scope)?.filter(|holder| holder.epoch == claim.epoch)
        {
            claim.owner = holder.owner;
        }
        let claimed = self.medium.claim(&self::scope(scope), &claim).map_err(|error| failed(&error))?;
        granted(claimed, scope, claim.epoch).map(drop)
    }

    pub(crate) fn change_fenced(
        &mut self,
        at: &Address,
        value: Option<&[u8]>,
        scope: &str,
        epoch: u64,
    ) -> Result<bool, Failure> {
        if fault("heeds no epoch") || self.claims.contains_key(scope) {
            return self.change(at, value);
        }
        if fault("looks, then writes") {
            return match self.holder(scope)? {
                Some(holder) if holder.epoch == epoch => {
                    thread::sleep(Duration::from_millis(3));
                    self.change(at, value)
                }
                holder => Err(Holder::refusal(holder.as_ref(), scope, epoch)),
            };
        }
        let key = key(at);
        let changed = self.medium.change(&key, value, &self::scope(scope), epoch).map_err(|error| failed(&error))?;
        granted(changed, scope, epoch)
    }

    fn change(&mut self, at: &Address, value: Option<&[u8]>) -> Result<bool, Failure> {
        match value {
            Some(value) => self.write(at, value.to_owned()).map(|()| true),
            None => self.remove(at),
        }
    }

    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        for (key, value) in std::mem::take(&mut self.unwritten) {
            self.medium.write(&key, &value).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

fn granted(changed: Changed, scope: &str, epoch: u64) -> Result<bool, Failure> {
    match changed {
        Changed::Done(was_there) => Ok(was_there),
        Changed::Held(_) if fault("names nobody") => Err(Failure::give_up("fenced", "somebody else holds it")),
        Changed::Held(holder) => Err(Holder::refusal(Some(&holder), scope, epoch)),
    }
}

fn scope(scope: &str) -> String {
    if fault("has one scope") { String::new() } else { scope.to_owned() }
}

/// A name on the medium, in at most so many bytes.
const NAME_BYTES: usize = 255;

fn key(at: &Address) -> Key {
    let Address { domain, entity_name, entity_id } = at.clone();
    match config::get("fault").as_deref() {
        Some("mixes domains") => (String::new(), entity_name, entity_id),
        Some("joins names") => (domain, String::new(), format!("{entity_name}_{entity_id}")),
        Some("drops what is no letter") => {
            let plain = |name: String| name.replace(|c: char| c.is_control() && c != '\0' && c != '\n', "");
            (domain, plain(entity_name), plain(entity_id))
        }
        Some("cuts names") => {
            let cut = |name: &str| name.chars().take(NAME_BYTES).collect();
            (cut(&domain), cut(&entity_name), cut(&entity_id))
        }
        _ => (domain, entity_name, entity_id),
    }
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => Failure::give_up("denied", error.to_string()),
        io::ErrorKind::InvalidFilename => Failure::give_up("unsupported", "a name is too long for a file"),
        io::ErrorKind::TimedOut if fault("waits a moment") => Failure::give_up("other", "no answer"),
        _ if fault("takes no server for a lasting error") => Failure::give_up("other", error.to_string()),
        _ => Failure::retry("unavailable", error.to_string()),
    }
}
