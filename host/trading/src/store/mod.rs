//! Stores: they keep the documents that must survive a run.
//!
//! A [`Store`] is one backend: files, memory, or a plugin. It keeps JSON documents under an [`Address`] and does not
//! look into them. What the documents mean, and in which order they are written, is decided elsewhere.

mod address;
mod bound;
mod domain;
mod set;

mod fence;
mod file;
mod incident;
mod memory;

use std::time::Duration;

use async_trait::async_trait;
use sigbox_events::Incident;

pub use self::{
    address::Address,
    bound::BoundStore,
    domain::{Domain, PerDomain},
    fence::{Apart, Fence, Holder},
    file::{DirectoryLock, FileStore, FileStoreError, LockError, OnCorrupt, StoreOpenError},
    incident::Incidents,
    memory::MemoryStore,
    set::Stores,
};

/// One backend for documents that must survive a crash.
///
/// A store promises no order and no atomicity across two addresses.
#[async_trait]
pub trait Store: Send + Sync {
    /// What this store is, for a log line or an error: "files under ./dump/data".
    fn describe(&self) -> String;

    /// Bytes of the largest document it takes.
    fn max_value_bytes(&self) -> u64 {
        u64::MAX
    }

    /// How long one call may take at most; zero when the store sets no limit.
    fn time_limit(&self) -> Duration {
        Duration::ZERO
    }

    /// How it keeps this host and another one with the same place apart.
    fn apart(&self) -> Apart<'_> {
        Apart::No
    }

    /// Its incidents since the last call, oldest first. Most stores never have one.
    fn incidents(&self) -> Vec<Incident> {
        Vec::new()
    }

    /// Called once per domain and entity name, before every other call for them. Idempotent. `initial` is true when
    /// this host never used the entity before.
    ///
    /// # Errors
    /// When the entity cannot be made ready.
    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError>;

    /// The document at `at`; `None` when nothing was ever written there or it was removed. An error never means empty
    /// (hazard H-52).
    ///
    /// # Errors
    /// When the backend cannot say what is there.
    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether there is a document at `at`. JSON `null` is a document.
    ///
    /// # Errors
    /// When the backend cannot say.
    async fn has_value(&self, at: &Address) -> Result<bool, StoreError>;

    /// Replaces the document at `at`, all or nothing. After `Ok` it survives the crash of this process and of the
    /// backend. `when_ms` is the engine's time of the change.
    ///
    /// # Errors
    /// When the document is not known to be durable. It may or may not be there.
    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError>;

    /// Removes the document at `at`; `false` when there was none.
    ///
    /// # Errors
    /// When the removal is not known to be durable.
    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError>;

    /// Every entity id under an entity name, ascending by bytes, each once.
    ///
    /// # Errors
    /// When the backend cannot list them.
    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError>;

    /// Moves a document that cannot be understood aside, so that it is not lost and is not read again. Returns where it
    /// went. A store that cannot move it leaves it in place and says so.
    ///
    /// # Errors
    /// When it could not be moved.
    async fn quarantine(&self, at: &Address) -> Result<String, StoreError>;

    /// Flushes, and closes files and connections. It is the last call, but closing a store again changes nothing.
    async fn close(&self);
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{store}: {domain} {entity_name}/{entity_id}: {message}", domain = .at.domain, entity_name = .at.entity_name, entity_id = .at.entity_id)]
pub struct StoreError {
    /// The store that failed, as it describes itself.
    pub store: String,
    /// What it was asked about; the id is empty when the whole entity was meant.
    pub at: Address,
    /// The code of the failure, as in `sigbox:persistence`. A backend may have codes of its own.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// How long to wait before that, if the store knows.
    pub retry_after: Option<Duration>,
}

/// The code of a failure that no other code describes.
pub const OTHER: &str = "other";

/// The code of a change that was refused because another host has claimed the store since, and of a claim that came too
/// late.
pub const FENCED: &str = "fenced";

/// The code of a store that cannot do what it is asked, as it is.
pub const UNSUPPORTED: &str = "unsupported";

/// The code of a store that cannot be reached, or does not answer.
pub const UNAVAILABLE: &str = "unavailable";

impl StoreError {
    /// A failure that stays: the same call fails again later.
    #[must_use]
    pub fn new(store: String, at: Address, message: String) -> Self {
        Self { store, at, code: OTHER.to_owned(), message, retryable: false, retry_after: None }
    }

    /// A failure that may pass: the same call may succeed later.
    #[must_use]
    pub fn unavailable(store: String, at: Address, message: String) -> Self {
        Self { code: UNAVAILABLE.to_owned(), retryable: true, ..Self::new(store, at, message) }
    }
}
