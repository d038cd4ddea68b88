//! The file store: one file for each document. It adds a lock, threads and a clock to [`sigbox_files`].
//!
//! It needs what [`sigbox_files`] needs of a file system, and locks that work. The data directory holds what that page
//! describes and a file `.lock`, which keeps other processes out and names its owner.

mod error;
mod lock;
mod quarantine;

#[cfg(test)]
mod model_tests;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use serde::Deserialize;
use sigbox_files::{Disk, Documents, FileError};
use tokio::sync::{OwnedMutexGuard, RwLock};

pub use self::{
    error::FileStoreError,
    lock::{DirectoryLock, LockError},
};
use super::{Address, Apart, Store, StoreError};

/// The default backend: one JSON file per document, each replaced all or nothing and durable when acknowledged.
///
/// It owns its directory: as long as it lives, a second store on the directory is refused, in this process or another.
/// All work happens on Tokio's blocking threads, so its methods must be called within a Tokio runtime. A call that is
/// dropped half way either never begins or runs to its end, and later changes to the same entity wait for it.
///
/// After a failed fsync of a directory, the store does not know what the disk holds. Then it refuses every change, as
/// not retryable, until it is opened again. A failed fsync of a file's content fails only that write: the document is
/// still the old one, and the next attempt writes a new file.
#[derive(Debug)]
pub struct FileStore {
    /// The path as the caller wrote it, for messages.
    shown: String,
    /// `None` after [`Store::close`], which waits here for the calls under way.
    opened: Arc<RwLock<Option<Opened>>>,
    /// A mutex for each domain and entity name, so that changes to one entity come one at a time, in the order of the
    /// calls.
    turns: Mutex<HashMap<(String, String), Turn>>,
}

/// What a store holds while it is open.
#[derive(Debug)]
struct Opened {
    documents: Documents<Disk>,
    /// `None` when the store was opened for reading only.
    lock: Option<DirectoryLock>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

/// What to do with a pair whose document cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCorrupt {
    /// Set it aside and go on as flat.
    Quarantine,
    /// Leave it as it is and refuse to start, until a person has looked at it.
    Halt,
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreOpenError {
    /// Another store owns it.
    #[error("data directory {root} is in use by {owner}; stop it or choose another [persistence] data-dir", root = .root.display())]
    InUse {
        /// The directory, as it was asked for.
        root: PathBuf,
        /// `process 123 since 2026-01-31T12:00:00Z`, or `another process` when it does not say.
        owner: String,
    },
    /// It cannot be locked, so another process could use it too.
    #[error("cannot lock {path}: {source}; choose a [persistence] data-dir on a local disk you may write to", path = .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It cannot be created, or its creation cannot be made durable.
    #[error("data directory {root} cannot be used: {message}; choose another [persistence] data-dir", root = .root.display())]
    Unusable {
        /// The directory, as it was asked for.
        root: PathBuf,
        /// What was tried, on which path, and what the operating system said.
        message: String,
    },
}

impl FileStore {
    /// Opens `root` as its owner, and creates it when it is missing. Blocks for as long as the disk takes. A relative
    /// path is resolved now, so changing the current directory later does not move the store.
    ///
    /// # Errors
    /// When another store owns the directory, or the directory cannot be created, made durable or locked.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreOpenError> {
        let root = root.as_ref();
        let unusable = |message| StoreOpenError::Unusable { root: root.to_owned(), message };
        let absolute = std::path::absolute(root).map_err(|error| unusable(error.to_string()))?;
        let documents = Documents::open(Disk, absolute.clone()).map_err(|error| unusable(error.to_string()))?;
        let documents = documents.telling(|path, error| {
            tracing::warn!(path = %path.display(), %error, "an unfinished write could not be removed");
        });
        let lock = DirectoryLock::acquire(&absolute).map_err(|error| match error {
            LockError::Held { by, .. } => StoreOpenError::InUse { root: root.to_owned(), owner: by },
            LockError::Io { path, source } => StoreOpenError::Lock { path, source },
        })?;
        Ok(Self {
            shown: root.display().to_string(),
            opened: Arc::new(RwLock::new(Some(Opened { documents, lock: Some(lock) }))),
            turns: Mutex::default(),
        })
    }

    /// Opens `root` for reading, without the lock, so that a person can see what a run holds while it is under way.
    /// Every change is refused. A directory that does not exist reads as an empty one.
    ///
    /// # Errors
    /// When the path cannot be made absolute.
    pub fn look_only(root: impl AsRef<Path>) -> Result<Self, StoreOpenError> {
        let root = root.as_ref();
        let absolute = std::path::absolute(root)
            .map_err(|error| StoreOpenError::Unusable { root: root.to_owned(), message: error.to_string() })?;
        let documents = Documents::not_made(Disk, absolute);
        Ok(Self {
            shown: root.display().to_string(),
            opened: Arc::new(RwLock::new(Some(Opened { documents, lock: None }))),
            turns: Mutex::default(),
        })
    }

    /// The file of the document at `at`, below a store's `root`.
    ///
    /// # Errors
    /// When the address is too long for a file name.
    pub fn file_of(root: &Path, at: &Address) -> Result<PathBuf, String> {
        at.parts().path().map(|path| root.join(path)).map_err(|error| error.to_string())
    }

    /// Reads. A read does not wait for changes.
    async fn look<T: Send + 'static>(
        &self,
        at: &Address,
        work: impl FnOnce(&Documents<Disk>) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.on_disk(None, work).await.map_err(|error| self.error(at, &error))
    }

    /// Changes something, after all earlier changes to the same entity.
    async fn change<T: Send + 'static>(
        &self,
        at: &Address,
        work: impl FnOnce(&Documents<Disk>) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turn(at).await;
        self.on_disk(Some(turn), work).await.map_err(|error| self.error(at, &error))
    }

    /// Runs `work` on a thread that may block. The thread holds `turn`, and the caller does not: if the turn ended when
    /// a caller stops waiting, an older write could come after a newer one.
    async fn on_disk<T: Send + 'static>(
        &self,
        turn: Option<OwnedMutexGuard<()>>,
        work: impl FnOnce(&Documents<Disk>) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileStoreError> {
        let opened = Arc::clone(&self.opened).read_owned().await;
        let thread = tokio::task::spawn_blocking(move || {
            let changes = turn.is_some();
            let _until_done = turn;
            let Opened { documents, lock } = opened.as_ref().ok_or(FileStoreError::Closed)?;
            let Some(lock) = lock else {
                return if changes { Err(FileStoreError::LookOnly) } else { Ok(work(documents)?) };
            };
            lock.check()?;
            let outcome = work(documents);
            // Checked again: in a directory that went away during the work, "not found" does not mean "empty".
            lock.check()?;
            Ok(outcome?)
        });
        thread.await.unwrap_or_else(|error| Err(FileStoreError::Unfinished(error.to_string())))
    }

    async fn turn(&self, at: &Address) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry((at.domain.clone(), at.entity_name.clone())).or_default())
        };
        turn.lock_owned().await
    }

    async fn quarantine_with_pause(&self, at: &Address, pause: Duration) -> Result<String, StoreError> {
        let attempt = || async {
            let turn = self.turn(at).await;
            let at = at.clone();
            self.on_disk(Some(turn), move |documents| documents.quarantine(at.parts(), unix_ms(SystemTime::now())))
                .await
        };
        match quarantine::with_attempts(pause, attempt).await {
            Ok(path) => Ok(path.display().to_string()),
            Err(error) => Err(self.error(at, &error)),
        }
    }

    fn error(&self, at: &Address, error: &FileStoreError) -> StoreError {
        let message = error.to_string();
        let kind = if error.is_retryable() { StoreError::unavailable } else { StoreError::new };
        kind(self.describe(), at.clone(), message)
    }
}

#[async_trait]
impl Store for FileStore {
    fn describe(&self) -> String {
        format!("files under {}", self.shown)
    }

    fn apart(&self) -> Apart<'_> {
        Apart::Lock
    }

    /// Creates the entity's directory and removes its temporary files. No other process can be writing them, because
    /// this one has the lock. So they belong to writes that were never acknowledged. What is read afterwards is
    /// durable.
    async fn wait_for_init(&self, domain: &str, entity_name: &str, _initial: bool) -> Result<(), StoreError> {
        let (domain, entity_name) = (domain.to_owned(), entity_name.to_owned());
        let at = whole_entity(&domain, &entity_name);
        self.change(&at, move |documents| documents.prepare(&domain, &entity_name)).await
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        let address = at.clone();
        self.look(at, move |documents| documents.read(address.parts())).await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        // Only reading shows that the document can be read, and documents are small.
        Ok(self.read_value(at).await?.is_some())
    }

    async fn write_value(&self, at: &Address, value: &[u8], _when_ms: i64) -> Result<(), StoreError> {
        let (address, value) = (at.clone(), value.to_vec());
        self.change(at, move |documents| documents.write(address.parts(), &value)).await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        let address = at.clone();
        self.change(at, move |documents| documents.remove(address.parts())).await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let (domain, entity_name) = (domain.to_owned(), entity_name.to_owned());
        let at = whole_entity(&domain, &entity_name);
        self.look(&at, move |documents| documents.keys(&domain, &entity_name)).await
    }

    /// Moves the file to `{root}/.quarantine/{domain}/{entity_name}/{entity_id}.{unix ms}.json` and returns that path.
    /// There are five attempts, a second apart, as in the seed.
    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        self.quarantine_with_pause(at, quarantine::PAUSE).await
    }

    /// Waits for the calls under way, then gives up the lock. Every later call is refused.
    async fn close(&self) {
        self.opened.write().await.take();
    }
}

fn whole_entity(domain: &str, entity_name: &str) -> Address {
    Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() }
}

/// Milliseconds since the Unix epoch. A time before the epoch counts as the epoch, because the number only tells files
/// apart.
fn unix_ms(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write as _},
        process::{Command, Stdio},
    };

    use futures_util::FutureExt;

    use super::*;

    const OTHER_PROCESS_DATA_DIR: &str = "SIGBOX_TEST_OTHER_PROCESS_DATA_DIR";

    fn bitcoin() -> Address {
        let [domain, entity_name, entity_id] = ["signal", "BTCUSDT_a", "BTCUSDT"].map(str::to_owned);
        Address { domain, entity_name, entity_id }
    }

    #[test]
    fn a_directory_in_use_is_refused_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let first = FileStore::open(root.path()).unwrap();
        let error = FileStore::open(root.path()).unwrap_err().to_string();
        let start =
            format!("data directory {} is in use by process {} since ", root.path().display(), std::process::id());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with("; stop it or choose another [persistence] data-dir"), "{error}");
        drop(first);
        FileStore::open(root.path()).unwrap();
    }

    #[test]
    fn another_process_keeps_the_directory_until_it_is_killed() {
        let root = tempfile::tempdir().unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::file::tests::the_other_process", "--ignored", "--nocapture"])
            .env(OTHER_PROCESS_DATA_DIR, root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("it is mine")), "the other process did not get the directory");

        let error = FileStore::open(root.path()).unwrap_err();
        let StoreOpenError::InUse { owner, .. } = &error else { panic!("{error}") };
        assert!(owner.starts_with(&format!("process {} since ", other.id())), "{owner}");
        other.kill().unwrap();
        other.wait().unwrap();
        FileStore::open(root.path()).unwrap();
    }

    #[test]
    #[ignore = "the other half of another_process_keeps_the_directory_until_it_is_killed, which runs it"]
    fn the_other_process() {
        let root = std::env::var_os(OTHER_PROCESS_DATA_DIR).expect("only its other half runs this");
        let _store = FileStore::open(root).unwrap();
        writeln!(io::stdout(), "it is mine").unwrap();
        // Waits until it is killed, or until the parent dies and closes the pipe.
        let _ = io::stdin().read_line(&mut String::new());
    }

    #[tokio::test]
    async fn looking_takes_nothing_and_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let at = Address { domain: "signal".into(), entity_name: "a_b".into(), entity_id: "a".into() };
        let owner = FileStore::open(root.path()).unwrap();
        owner.write_value(&at, b"1", 0).await.unwrap();

        let looking = FileStore::look_only(root.path()).unwrap();
        assert_eq!(looking.read_value(&at).await.unwrap(), Some(b"1".to_vec()));
        let refused = looking.write_value(&at, b"2", 0).await.unwrap_err().to_string();
        assert!(refused.contains("opened to look only; nothing is changed"), "{refused}");

        let nowhere = root.path().join("nowhere");
        let empty = FileStore::look_only(&nowhere).unwrap();
        assert_eq!(empty.read_value(&at).await.unwrap(), None);
        assert!(!nowhere.exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_or_locked_is_refused_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let blocked = root.path().join("file/data");
        std::fs::write(root.path().join("file"), "").unwrap();
        let error = FileStore::open(&blocked).unwrap_err().to_string();
        let start = format!("data directory {0} cannot be used: cannot create directory {0}: ", blocked.display());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with("; choose another [persistence] data-dir"), "{error}");

        std::fs::create_dir(root.path().join(".lock")).unwrap();
        let error = FileStore::open(root.path()).unwrap_err().to_string();
        let start = format!("cannot lock {}: ", root.path().join(".lock").display());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with("; choose a [persistence] data-dir on a local disk you may write to"), "{error}");
    }

    #[tokio::test]
    async fn documents_survive_closing_and_later_calls_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        store.write_value(&bitcoin(), b"1", 0).await.unwrap();
        store.close().await;
        let error = store.write_value(&bitcoin(), b"2", 0).await.unwrap_err();
        let place = format!("files under {}: signal BTCUSDT_a/BTCUSDT", root.path().display());
        assert_eq!(error.to_string(), format!("{place}: the store is closed; open it again"));
        let again = FileStore::open(root.path()).unwrap();
        assert_eq!(again.read_value(&bitcoin()).await.unwrap(), Some(b"1".to_vec()));
    }

    #[tokio::test]
    async fn a_directory_that_went_away_is_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        store.write_value(&bitcoin(), b"1", 0).await.unwrap();
        std::fs::remove_dir_all(root.path()).unwrap();
        for error in [
            store.read_value(&bitcoin()).await.unwrap_err(),
            store.has_value(&bitcoin()).await.unwrap_err(),
            store.keys("signal", "BTCUSDT_a").await.unwrap_err(),
            store.write_value(&bitcoin(), b"2", 0).await.unwrap_err(),
            store.remove_value(&bitcoin()).await.unwrap_err(),
        ] {
            assert!(error.message.contains("this process does not own the data directory any more"), "{error}");
            assert!(!error.retryable, "{error}");
        }
        assert!(!root.path().exists(), "nothing may be written into what is not ours");
    }

    #[tokio::test]
    async fn a_directory_that_goes_away_during_a_call_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        let path = root.path().to_owned();
        let vanish = move |documents: &Documents<Disk>| {
            std::fs::remove_dir_all(path).unwrap();
            documents.read(bitcoin().parts())
        };
        let error = store.look(&bitcoin(), vanish).await.unwrap_err();
        assert!(error.message.contains("was the directory deleted, moved or unmounted?"), "{error}");
    }

    #[tokio::test]
    async fn a_write_whose_caller_left_does_not_overwrite_a_later_one() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        for _ in 0..50 {
            assert!(store.write_value(&bitcoin(), b"older", 0).now_or_never().is_none(), "it cannot be done at once");
            store.write_value(&bitcoin(), b"newer", 0).await.unwrap();
            assert_eq!(store.read_value(&bitcoin()).await.unwrap(), Some(b"newer".to_vec()));
        }
    }

    #[tokio::test]
    async fn the_quarantine_is_named_by_address_and_time() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        store.write_value(&bitcoin(), b"{", 0).await.unwrap();
        let before = unix_ms(SystemTime::now());
        let place = store.quarantine(&bitcoin()).await.unwrap();
        let directory = root.path().join(".quarantine/signal/BTCUSDT_a/BTCUSDT.");
        let time = place.strip_prefix(directory.to_str().unwrap()).unwrap().strip_suffix(".json").unwrap();
        assert!((before..=unix_ms(SystemTime::now())).contains(&time.parse().unwrap()), "{place}");
        assert_eq!(std::fs::read(&place).unwrap(), b"{");
    }

    #[tokio::test]
    async fn a_document_that_cannot_be_set_aside_stays_and_says_why() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::open(root.path()).unwrap();
        store.write_value(&bitcoin(), b"{", 0).await.unwrap();
        std::fs::write(root.path().join(".quarantine"), "a file where the directory belongs").unwrap();
        let error = store.quarantine_with_pause(&bitcoin(), Duration::ZERO).await.unwrap_err();
        let directory = root.path().join(".quarantine/signal");
        assert!(error.message.starts_with(&format!("cannot create directory {}: ", directory.display())), "{error}");
        assert_eq!(store.read_value(&bitcoin()).await.unwrap(), Some(b"{".to_vec()));
    }

    #[test]
    fn the_setting_is_spelled_as_in_the_configuration() {
        let setting = |text: &str| serde_json::from_value::<OnCorrupt>(text.into());
        assert_eq!(setting("quarantine").unwrap(), OnCorrupt::Quarantine);
        assert_eq!(setting("halt").unwrap(), OnCorrupt::Halt);
        let error = setting("Halt").unwrap_err().to_string();
        assert_eq!(error, "unknown variant `Halt`, expected `quarantine` or `halt`");
    }
}
