//! Claims: a host claims its stores before it reads them, so that no other host writes there afterwards.
//!
//! The lock of the data directory says that no other process of that directory lives. So a claim that was made with the
//! same directory is of a process that has ended, and the next start replaces it without asking. A claim that was made
//! with another directory may be of a host that runs. Then a person decides.

use std::{
    fs, io,
    path::{Path, absolute},
    time::{Duration, Instant},
};

use sigbox_files::Disk;
use sigbox_market::candles::iso_8601;
use sigbox_trading::store::{Apart, FENCED, Fence, Holder, Store, StoreError, UNSUPPORTED};

use super::AssembleError;

/// The file with the id of the data directory. No domain has this name.
const ID_FILE: &str = "host-id";

/// What a host claims in each place: the state of live runs. It does not depend on what the configuration calls the
/// store, so two hosts that name the same place differently are kept apart too.
const SCOPE: &str = "live";

/// How often a claim is tried again that another one overtook.
const TRIES: usize = 3;

/// How long a claim may take that says "later". Some stores rewrite every document, which may take longer than a call.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps two hosts apart that were given the place of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptApart {
    /// Nothing.
    No,
    /// A lock: see [`Apart::Lock`].
    ByLock,
    /// The storage. The host that holds it, if one does.
    ByFence(Option<Holder>),
}

/// What keeps two hosts apart that were given the place of `store`.
///
/// # Errors
/// When the store cannot say.
pub async fn kept_apart(store: &dyn Store) -> Result<KeptApart, AssembleError> {
    Ok(match store.apart() {
        Apart::No => KeptApart::No,
        Apart::Lock => KeptApart::ByLock,
        Apart::Fence(fence) => match supported(fence.holder(SCOPE).await)? {
            None => KeptApart::No,
            Some(holder) => KeptApart::ByFence(holder.filter(|holder| !holder.is_released())),
        },
    })
}

/// The answer; `None` when the storage as it is cannot keep hosts apart.
#[expect(clippy::result_large_err, reason = "the error of a store, as every call of one has it")]
fn supported<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Err(error) if error.code == UNSUPPORTED => Ok(None),
        answer => answer.map(Some),
    }
}

/// Claims stores for the process that owns `data_dir`.
pub(super) struct Claims {
    id: String,
    owner: String,
    take_over: bool,
    /// The claims that were made. A place that has one of these is the place of another store of this process.
    made: Vec<Holder>,
}

impl Claims {
    /// `take_over`: whether the claims of other hosts are replaced.
    ///
    /// # Errors
    /// When the id of the data directory cannot be read or made.
    pub(super) fn new(data_dir: &Path, take_over: bool) -> Result<Self, AssembleError> {
        let id = host_id(data_dir)?;
        let machine = hostname::get().unwrap_or_default();
        let owner = format!("process {} on {} ({})", std::process::id(), machine.display(), suffix(&id));
        Ok(Self { id, owner, take_over, made: Vec::new() })
    }

    /// Claims `store`, if it can be claimed.
    ///
    /// # Errors
    /// When another host holds it, or the claim is not known to be durable.
    pub(super) async fn claim(&mut self, store: &dyn Store) -> Result<(), AssembleError> {
        let Apart::Fence(fence) = store.apart() else { return Ok(()) };
        for tried in 1.. {
            let Some(holder) = supported(fence.holder(SCOPE).await)? else { break };
            let claim = self.next(store, holder)?;
            match put(fence, &claim).await {
                Ok(()) => {
                    self.made.push(claim);
                    break;
                }
                // Another claim came first. Its owner is known now.
                Err(error) if error.code == FENCED && tried < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The claim to make where `holder` is the last one.
    fn next(&self, store: &dyn Store, holder: Option<Holder>) -> Result<Holder, AssembleError> {
        let epoch = match holder {
            None => 1,
            Some(holder) if self.made.contains(&holder) => return Ok(holder),
            Some(holder) if self.take_over || holder.is_released() || self.is_ours(&holder) => holder.epoch + 1,
            Some(Holder { owner, since_ms, .. }) => {
                return Err(AssembleError::Held { store: store.describe(), owner, since: iso_8601(since_ms) });
            }
        };
        let since_ms = jiff::Timestamp::now().as_millisecond();
        Ok(Holder { epoch, owner: self.owner.clone(), since_ms })
    }

    /// Whether a process with the same data directory made the claim.
    fn is_ours(&self, holder: &Holder) -> bool {
        holder.owner.ends_with(&format!("({})", suffix(&self.id)))
    }
}

/// Makes a claim. A store that says "later" is asked again: it goes on where it was.
async fn put(fence: &dyn Fence, claim: &Holder) -> Result<(), StoreError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match fence.claim(SCOPE, claim).await {
            Err(error) if error.retryable && Instant::now() < until => {
                tracing::info!("{error}; going on");
            }
            claimed => return claimed,
        }
    }
}

/// The part of an owner's text that is the same for each process of a data directory.
fn suffix(id: &str) -> String {
    format!("data directory {id}")
}

/// The id of the data directory. The first call makes it.
fn host_id(data_dir: &Path) -> Result<String, AssembleError> {
    let file = data_dir.join(ID_FILE);
    let error = |reason: String| AssembleError::HostId { file: file.clone(), reason };
    match fs::read_to_string(&file) {
        Ok(id) if is_id(id.trim_end()) => return Ok(id.trim_end().to_owned()),
        Ok(_) => {
            let reason =
                "is not what this program wrote; delete it, and start with --take-over if this host held a store";
            return Err(error(reason.to_owned()));
        }
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(unreadable) => return Err(error(format!("cannot be read: {unreadable}"))),
    }
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|no_randomness| error(format!("cannot be made: {no_randomness}")))?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // A name that is lost with the machine's power costs a --take-over.
    let write = || {
        let file = absolute(&file)?;
        sigbox_files::replace(&Disk, &file, format!("{id}\n").as_bytes()).map_err(io::Error::other)
    };
    write().map_err(|unwritten: io::Error| error(format!("cannot be written: {unwritten}")))?;
    Ok(id)
}

/// Long enough that no two data directories have the same id.
const ID_BYTES: usize = 8;

fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_keeps_its_id_and_a_damaged_one_is_refused() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let id = host_id(one.path()).unwrap();
        assert!(is_id(&id), "{id}");
        assert_eq!(host_id(one.path()).unwrap(), id);
        assert_ne!(host_id(other.path()).unwrap(), id);
        fs::write(one.path().join(ID_FILE), "").unwrap();
        let error = host_id(one.path()).unwrap_err().to_string();
        assert!(error.contains("host-id is not what this program wrote"), "{error}");
    }

    #[test]
    fn only_the_claim_of_another_host_has_to_be_taken_over() {
        let store = sigbox_trading::store::MemoryStore::new();
        let folder = tempfile::tempdir().unwrap();
        let mut claims = Claims::new(folder.path(), false).unwrap();
        let holder = |owner: &str| Holder { epoch: 7, owner: owner.to_owned(), since_ms: 1_769_860_800_000 };
        let other = holder("process 1 on elsewhere (data directory 0123456789abcdef)");
        let before = holder(&format!("process 1 on here (data directory {})", claims.id));
        let epoch = |claims: &Claims, holder| claims.next(&store, holder).map(|claim| claim.epoch);

        assert_eq!(epoch(&claims, None).unwrap(), 1);
        assert_eq!(epoch(&claims, Some(holder(""))).unwrap(), 8, "it was released");
        assert_eq!(epoch(&claims, Some(before)).unwrap(), 8, "it was this data directory's");
        assert_eq!(
            epoch(&claims, Some(other.clone())).unwrap_err().to_string(),
            "memory is held by process 1 on elsewhere (data directory 0123456789abcdef) since \
             2026-01-31T12:00:00Z. If that host runs, stop it first; an orderly stop releases the store. If it is gone \
             for good or cannot be stopped, start with --take-over: from then on, nothing that it writes is accepted"
        );
        claims.made.push(other.clone());
        assert_eq!(claims.next(&store, Some(other.clone())).unwrap(), other, "another store of this process is there");
        claims.made.clear();
        claims.take_over = true;
        assert_eq!(epoch(&claims, Some(other)).unwrap(), 8);
    }

    #[test]
    fn a_process_of_this_directory_is_ours_whatever_its_number_and_machine() {
        let folder = tempfile::tempdir().unwrap();
        let claims = Claims::new(folder.path(), false).unwrap();
        let owner = |owner: String| Holder { epoch: 1, owner, since_ms: 0 };
        assert!(claims.is_ours(&owner(claims.owner.clone())));
        assert!(!claims.is_ours(&owner(claims.owner.replace(&claims.id, "0123456789abcdef"))));
    }
}
