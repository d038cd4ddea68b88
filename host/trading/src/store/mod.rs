//! Where a run keeps what must survive it.
//!
//! A [`Store`] is one backend: files, memory, or a plugin. It keeps opaque JSON documents under an [`Address`]; what
//! the documents mean, and in which order they are written, is decided elsewhere.

mod address;
mod domain;
mod set;

mod file;
mod incident;
mod memory;

use std::time::Duration;

use async_trait::async_trait;
use sigbox_events::Incident;

pub use self::{
    address::Address,
    domain::{Domain, PerDomain},
    file::{DirectoryLock, FileStore, FileStoreError, LockError, OnCorrupt, StoreOpenError},
    incident::Incidents,
    memory::MemoryStore,
    set::Stores,
};

/// One backend for documents that must survive a crash.
///
/// Not promised: any order or atomicity across two addresses.
#[async_trait]
pub trait Store: Send + Sync {
    /// What this store is, for a log line or an error: "files under ./dump/data".
    fn describe(&self) -> String;

    /// Bytes of the largest document it takes.
    fn max_value_bytes(&self) -> u64 {
        u64::MAX
    }

    /// How long one call may take at most; zero when it sets itself no limit.
    fn time_limit(&self) -> Duration {
        Duration::ZERO
    }

    /// What happened to it since this was last asked, oldest first. Nothing ever happens to most stores.
    fn incidents(&self) -> Vec<Incident> {
        Vec::new()
    }

    /// Called once per domain and entity name before anything else is asked of it. Idempotent. `initial` is true when
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

    /// Sets a document that cannot be understood aside, so that nothing is lost and it is not read again. Says where
    /// it went. Stores that cannot do that leave it in place and say so.
    ///
    /// # Errors
    /// When it could not be moved.
    async fn quarantine(&self, at: &Address) -> Result<String, StoreError>;

    /// Flushes and lets go of files and connections. The last call.
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
    /// What kind of failure it is, as in `sigbox:persistence`: an open set.
    pub code: String,
    /// What went wrong, for people.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// After which time it may, if the store knows.
    pub retry_after: Option<Duration>,
}

/// The code of a failure nobody has a better word for.
pub const OTHER: &str = "other";

/// The code of a store that cannot be reached, or does not answer.
pub const UNAVAILABLE: &str = "unavailable";

impl StoreError {
    /// A failure that does not pass.
    #[must_use]
    pub fn new(store: String, at: Address, message: String) -> Self {
        Self { store, at, code: OTHER.to_owned(), message, retryable: false, retry_after: None }
    }

    /// A failure that may pass.
    #[must_use]
    pub fn unavailable(store: String, at: Address, message: String) -> Self {
        Self { code: UNAVAILABLE.to_owned(), retryable: true, ..Self::new(store, at, message) }
    }
}
