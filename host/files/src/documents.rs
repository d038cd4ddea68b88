//! Documents below one directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::At;
use super::atomic;
use super::error::FileError;
use super::layer::{DirSyncError, FileLayer};
use super::name::{self, TEMP_PREFIX};
use super::quarantine;

/// Documents below one directory. Every call blocks until the disk has answered.
///
/// The caller ensures that no other process changes the directory, and that changes to one entity come one at a time.
/// Reads are allowed at any time.
///
/// After a failed fsync of a directory, every change is refused until the directory is opened again: the kernel may
/// have dropped the earlier change, and may still report success for the next fsync (Rebello et al., "Can Applications
/// Recover from fsync Failures?", USENIX ATC 2020). Reads still work.
#[derive(Debug)]
pub struct Documents<L> {
    layer: L,
    /// Absolute: changing the process's current directory later must not move it.
    root: PathBuf,
    /// Entity directories that are known to be durable.
    prepared: Mutex<BTreeSet<PathBuf>>,
    /// The first failed fsync of a directory.
    failed_sync: OnceLock<String>,
    /// Called for each unfinished write that could not be removed.
    told: fn(&Path, &io::Error),
}

impl<L: FileLayer> Documents<L> {
    /// Documents below `root`, an absolute path. Makes `root` and every missing directory above it.
    ///
    /// # Errors
    /// When a directory cannot be made, or cannot be made durable.
    pub fn open(layer: L, root: PathBuf) -> Result<Self, FileError> {
        make_dir(&layer, &root)?;
        Ok(Self::not_made(layer, root))
    }

    /// Documents below `root`, which is not made here and may be missing.
    #[must_use]
    pub fn not_made(layer: L, root: PathBuf) -> Self {
        Self { layer, root, prepared: Mutex::default(), failed_sync: OnceLock::new(), told: |_, _| {} }
    }

    /// Calls `told` for each unfinished write that could not be removed. Such a file harms nothing, so by default it is
    /// ignored.
    #[must_use]
    pub fn telling(self, told: fn(&Path, &io::Error)) -> Self {
        Self { told, ..self }
    }

    /// Makes the directory of an entity, durably, and removes the temp files in it. A temp file is a write that was
    /// never acknowledged, and no other process can be working on it. After this call, every document that is read is
    /// durable, even if an earlier process died between a rename and the fsync of the directory.
    ///
    /// # Errors
    /// When a name is too long, the directory cannot be made or listed, or a directory cannot be made durable.
    pub fn prepare(&self, domain: &str, entity_name: &str) -> Result<(), FileError> {
        self.prepare_dir(&self.entity_dir(domain, entity_name)?)
    }

    /// The document's bytes; `None` when there is no such file.
    ///
    /// # Errors
    /// When a name is too long, or the file exists but cannot be read.
    pub fn read(&self, at: At<'_>) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.path(at)?;
        match self.layer.read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::io("read", &path)(error)),
        }
    }

    /// Replaces the document. Durable on return.
    ///
    /// # Errors
    /// When a name is too long, or the new document may not be durable. The whole old document or the whole new one is
    /// there.
    pub fn write(&self, at: At<'_>, value: &[u8]) -> Result<(), FileError> {
        self.refuse_after_failed_sync()?;
        let file_name = name::file_name(at)?;
        let directory = self.entity_dir(at.domain, at.entity_name)?;
        if !self.prepared().contains(&directory) {
            self.prepare_dir(&directory)?;
        }
        let replaced = atomic::replace(&self.layer, &directory, OsStr::new(&file_name), value);
        if let Err(FileError::Io { source, .. }) = &replaced
            && source.kind() == ErrorKind::NotFound
        {
            // Another program removed the directory; the next write makes it again.
            self.prepared().remove(&directory);
        }
        replaced?;
        self.sync_dir(&directory)
    }

    /// Removes the document, and returns whether there was one. Durable on return.
    ///
    /// # Errors
    /// When a name is too long, the file cannot be removed, or the removal may not be durable.
    pub fn remove(&self, at: At<'_>) -> Result<bool, FileError> {
        self.refuse_after_failed_sync()?;
        let path = self.path(at)?;
        let directory = self.entity_dir(at.domain, at.entity_name)?;
        match self.layer.remove_file(&path) {
            Ok(()) => self.sync_dir(&directory).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // An earlier attempt may have removed the file and then failed at the fsync, so the fsync is done
                // again.
                if self.prepared().contains(&directory) {
                    self.sync_dir(&directory)?;
                }
                Ok(false)
            }
            Err(error) => Err(FileError::io("remove", &path)(error)),
        }
    }

    /// The ids of an entity's documents, ascending by bytes. Temp files and files of other programs are left out.
    ///
    /// # Errors
    /// When a name is too long, or the directory cannot be listed.
    pub fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, FileError> {
        let directory = self.entity_dir(domain, entity_name)?;
        let names = match self.layer.list(&directory) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(FileError::io("list", &directory)(error)),
        };
        let mut ids: Vec<_> = names.iter().filter_map(|name| name::entity_id(name.to_str()?)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Moves the document to the quarantine and returns its new path. Durable on return.
    ///
    /// # Errors
    /// When there is no document, or it could not be moved. It is then at its address, in the quarantine, or in both
    /// places.
    pub fn quarantine(&self, at: At<'_>, unix_ms: u64) -> Result<PathBuf, FileError> {
        self.refuse_after_failed_sync()?;
        let path = self.path(at)?;
        let entity_dir = name::entity_dir(at.domain, at.entity_name)?;
        let quarantine_dir = self.make_dirs_below_root(&Path::new(quarantine::DIRECTORY).join(&entity_dir))?;
        let names = (0..).map(|attempt| quarantine_dir.join(name::quarantine_name(at, unix_ms, attempt)));
        let aside = quarantine::duplicate(&self.layer, &path, names)?;
        // The old name is removed after the new one is durable. In the other order, a power failure could lose both.
        self.sync_dir(&quarantine_dir)?;
        self.layer.remove_file(&path).map_err(FileError::io("set aside", &path))?;
        self.sync_dir(&self.root.join(entity_dir))?;
        Ok(aside)
    }

    fn prepare_dir(&self, directory: &Path) -> Result<(), FileError> {
        self.refuse_after_failed_sync()?;
        let below_root = directory.strip_prefix(&self.root).expect("entity directories are below the root");
        self.make_dirs_below_root(below_root)?;
        for name in self.layer.list(directory).map_err(FileError::io("list", directory))? {
            if name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()) {
                let path = directory.join(name);
                if let Err(error) = self.layer.remove_file(&path) {
                    (self.told)(&path, &error);
                }
            }
        }
        self.sync_dir(directory)?;
        self.prepared().insert(directory.to_owned());
        Ok(())
    }

    /// Makes each directory of a path relative to the root, and makes its name durable. This includes the name of an
    /// existing directory, because the process that made it may have died before its fsync.
    fn make_dirs_below_root(&self, relative: &Path) -> Result<PathBuf, FileError> {
        let mut directory = self.root.clone();
        for component in relative.components() {
            let parent = directory.clone();
            directory.push(component);
            match self.layer.create_dir(&directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(FileError::io("create directory", &directory)(error));
                }
                Ok(()) | Err(_) => self.sync_dir(&parent)?,
            }
        }
        Ok(directory)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.layer.sync_dir(path).map_err(|error| {
            let error = directory_error(path, error);
            if matches!(error, FileError::DirectorySync { .. }) {
                // Only the first failure is remembered; a later one adds nothing.
                let _ = self.failed_sync.set(error.to_string());
            }
            error
        })
    }

    fn refuse_after_failed_sync(&self) -> Result<(), FileError> {
        match self.failed_sync.get() {
            None => Ok(()),
            Some(earlier) => Err(FileError::AfterFailedSync { earlier: earlier.clone() }),
        }
    }

    fn entity_dir(&self, domain: &str, entity_name: &str) -> Result<PathBuf, FileError> {
        Ok(self.root.join(name::entity_dir(domain, entity_name)?))
    }

    fn path(&self, at: At<'_>) -> Result<PathBuf, FileError> {
        Ok(self.root.join(at.path()?))
    }

    fn prepared(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file system, with which a test continues after these documents have failed.
    #[cfg(test)]
    pub(crate) fn layer(&self) -> &L {
        &self.layer
    }
}

/// Replaces the file at `path`, or makes it, all or nothing. Durable on return. No other process may do the same
/// meanwhile: what a process that died has left of its attempt is removed.
///
/// Calling it again is safe after every error: it writes another file and fsyncs the directory again.
///
/// # Errors
/// When the new content may not be durable. The whole old content or the whole new one is there.
pub fn replace<L: FileLayer>(layer: &L, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let unusable = || FileError::io("write", path)(ErrorKind::InvalidFilename.into());
    let (Some(directory), Some(file_name)) = (path.parent(), path.file_name()) else { return Err(unusable()) };
    for name in layer.list(directory).unwrap_or_default() {
        if atomic::is_temp_name_of(&name, file_name) {
            // Such a file harms nothing.
            let _ = layer.remove_file(&directory.join(name));
        }
    }
    atomic::replace(layer, directory, file_name, bytes)?;
    layer.sync_dir(directory).map_err(|(DirSyncError::NotTried(source) | DirSyncError::Failed(source))| {
        FileError::io("fsync directory", directory)(source)
    })
}

/// Makes the directory at an absolute path and every missing directory above it. Each name is durable before the next
/// directory is made. This includes the name of an existing directory, because the process that made it may have died
/// before its fsync.
///
/// # Errors
/// When a directory cannot be made, or cannot be made durable.
pub fn make_dir<L: FileLayer>(layer: &L, root: &Path) -> Result<(), FileError> {
    make_dir_and(layer, root, |error| error.kind() == ErrorKind::PermissionDenied)
}

/// `is_bearable`: why the names beside an existing `root` need not be made durable.
fn make_dir_and<L: FileLayer>(layer: &L, root: &Path, is_bearable: fn(&io::Error) -> bool) -> Result<(), FileError> {
    let Some(parent) = root.parent() else {
        return Ok(());
    };
    if layer.list(root).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        // What is far above may be out of reach.
        make_dir_and(layer, parent, |_| true)?;
    }
    let existed = match layer.create_dir(root) {
        Ok(()) => false,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => true,
        Err(error) => return Err(FileError::io("create directory", root)(error)),
    };
    match layer.sync_dir(parent) {
        // An existing root may be in a directory that this process may not open. The name of the root is then the
        // concern of the person who made it.
        Err(DirSyncError::NotTried(error)) if existed && is_bearable(&error) => Ok(()),
        synced => synced.map_err(|error| directory_error(parent, error)),
    }
}

fn directory_error(path: &Path, error: DirSyncError) -> FileError {
    match error {
        DirSyncError::NotTried(source) => FileError::io("open directory", path)(source),
        DirSyncError::Failed(source) => FileError::DirectorySync { path: path.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layer::Disk;
    use super::*;

    fn at(entity_id: &str) -> At<'_> {
        At { domain: "signal", entity_name: "BTCUSDT_a", entity_id }
    }

    fn open(root: &tempfile::TempDir) -> Documents<Disk> {
        Documents::open(Disk, root.path().join("dump/data")).unwrap()
    }

    #[test]
    fn a_document_is_a_file_at_the_references_path_with_its_bytes_and_nothing_more() {
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root);
        let path = root.path().join("dump/data/signal/BTCUSDT_a/BTCUSDT.json");
        documents.write(at("BTCUSDT"), br#"{"id":"x"}"#).unwrap();
        assert_eq!(fs::read(&path).unwrap(), br#"{"id":"x"}"#);
        fs::write(&path, "null").unwrap();
        assert_eq!(documents.read(at("BTCUSDT")).unwrap(), Some(b"null".to_vec()));
    }

    /// Specification: L-HRD-04.
    #[test]
    fn temp_files_are_no_documents_and_are_swept_while_strangers_stay() {
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root);
        documents.write(at("BTCUSDT"), b"1").unwrap();
        let directory = root.path().join("dump/data/signal/BTCUSDT_a");
        for name in [".tmp-0123456789ab-BTCUSDT.json", ".tmp-x", "BTCUSDT.json.tmp", "notes.txt", "%41.json"] {
            fs::write(directory.join(name), "{").unwrap();
        }
        assert_eq!(documents.keys("signal", "BTCUSDT_a").unwrap(), ["BTCUSDT"]);
        documents.prepare("signal", "BTCUSDT_a").unwrap();
        let mut left: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, ["%41.json", "BTCUSDT.json", "BTCUSDT.json.tmp", "notes.txt"]);
    }

    #[test]
    fn an_unfinished_write_that_cannot_be_removed_is_told() {
        static TOLD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root).telling(|path, _| TOLD.lock().unwrap().push(path.to_owned()));
        // This is a directory, so removing it as a file fails.
        let temp = root.path().join("dump/data/signal/BTCUSDT_a/.tmp-0123456789ab-BTCUSDT.json");
        fs::create_dir_all(&temp).unwrap();
        documents.prepare("signal", "BTCUSDT_a").unwrap();
        assert_eq!(*TOLD.lock().unwrap(), [temp]);
    }

    #[test]
    fn the_quarantine_keeps_the_content_and_overwrites_nothing() {
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root);
        let quarantine = root.path().join("dump/data/.quarantine/signal/BTCUSDT_a");
        for (document, file_name) in [
            ("a", "BTCUSDT.1700000000000.json"),
            ("b", "BTCUSDT.1700000000000-1.json"),
            ("c", "BTCUSDT.1700000000000-2.json"),
        ] {
            documents.write(at("BTCUSDT"), document.as_bytes()).unwrap();
            let aside = documents.quarantine(at("BTCUSDT"), 1_700_000_000_000).unwrap();
            assert_eq!(aside, quarantine.join(file_name));
            assert_eq!(fs::read_to_string(aside).unwrap(), document);
            assert_eq!(documents.read(at("BTCUSDT")).unwrap(), None);
        }
        assert_eq!(fs::read_to_string(quarantine.join("BTCUSDT.1700000000000.json")).unwrap(), "a");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_nothing() {
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root);
        let path = root.path().join("dump/data/signal/BTCUSDT_a/BTCUSDT.json");
        fs::create_dir_all(&path).unwrap();
        let error = documents.read(at("BTCUSDT")).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot read {}: ", path.display())), "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert_eq!(documents.keys("signal", "BTCUSDT_a").unwrap(), ["BTCUSDT"], "it must not go unnoticed");

        fs::write(root.path().join("dump/data/risk"), "a file where a directory belongs").unwrap();
        let error = documents.keys("risk", "main").unwrap_err();
        assert!(error.to_string().starts_with("cannot list "), "{error}");
        let error = documents.prepare("risk", "main").unwrap_err();
        assert!(error.to_string().starts_with("cannot create directory "), "{error}");
    }

    #[test]
    fn a_write_makes_a_removed_directory_again() {
        let root = tempfile::tempdir().unwrap();
        let documents = open(&root);
        documents.write(at("BTCUSDT"), b"1").unwrap();
        fs::remove_dir_all(root.path().join("dump/data/signal")).unwrap();
        let error = documents.write(at("BTCUSDT"), b"2").unwrap_err();
        assert!(error.to_string().starts_with("cannot create ") && error.is_retryable(), "{error}");
        documents.write(at("BTCUSDT"), b"2").unwrap();
        assert_eq!(documents.read(at("BTCUSDT")).unwrap(), Some(b"2".to_vec()));
    }

    #[test]
    fn setting_aside_what_is_not_there_says_so() {
        let root = tempfile::tempdir().unwrap();
        let error = open(&root).quarantine(at("BTCUSDT"), 0).unwrap_err();
        let path = root.path().join("dump/data/signal/BTCUSDT_a/BTCUSDT.json");
        assert_eq!(error.to_string(), format!("there is no document to set aside at {}", path.display()));
    }
}
