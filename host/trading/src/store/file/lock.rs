//! The lock of a data directory: it gives the directory one owner (hazard H-40).

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use sigbox_files::FileError;

use super::error::FileStoreError;

/// The name of the lock file in the data directory. No domain can have this name, because a leading dot is encoded.
const FILE_NAME: &str = ".lock";

/// The operating system's lock on `{root}/.lock`, held until this value is dropped or the process dies in any way. The
/// file stays. Its text names the owner for people; without the lock, the text means nothing.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    path: PathBuf,
}

/// Why a data directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another owner has it.
    #[error("is in use by {by}")]
    Held {
        /// The owner as the file names it, for people.
        by: String,
        /// Whether the owner is this process, which may be about to release it.
        by_this_process: bool,
    },
    /// The operating system refused.
    #[error("cannot be locked at {path}: {source}", path = .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Takes the lock of `root`, or says which owner has it. Never waits.
    ///
    /// # Errors
    /// When another owner has it, or the operating system refuses.
    pub fn acquire(root: &Path) -> Result<Self, LockError> {
        let path = root.join(FILE_NAME);
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = owner(&mut file);
                let by_this_process = by.starts_with(&signature());
                return Err(LockError::Held { by, by_this_process });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        sign(&mut file).map_err(io_error)?;
        Ok(Self { file, path })
    }

    /// Checks that the data directory is still the one that was locked. It is another one after it was deleted, moved
    /// or unmounted. A document that is missing then does not mean *empty*, and another process may own what is there
    /// now.
    ///
    /// # Errors
    /// When it is another one, or cannot be examined.
    pub fn check(&self) -> Result<(), FileStoreError> {
        match is_same_file(&self.file, &self.path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(FileStoreError::NotTheOwner { path: self.path.clone() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(FileStoreError::NotTheOwner { path: self.path.clone() })
            }
            Err(error) => Err(FileError::io("examine", &self.path)(error).into()),
        }
    }
}

/// Unlocks the file, because closing it is not enough. A child process that is just being started has a copy of the
/// open file until it becomes another program, and that copy would hold the lock for so long.
impl Drop for DirectoryLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(path = %self.path.display(), %error, "closing the file is what unlocks it");
        }
    }
}

/// Opens the lock file, and makes it if it is not there. It is not truncated before this process has the lock, because
/// it names the owner.
///
/// A plugin that was granted the folder can put a link or something else in the place of the file. What the link leads
/// to is neither made nor written to.
fn open(path: &Path) -> io::Result<File> {
    const ATTEMPTS: usize = 10;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    for _ in 0..ATTEMPTS {
        // Nothing is opened that is no regular file: opening a FIFO could wait for its other end.
        match std::fs::symlink_metadata(path) {
            Ok(status) if status.is_file() => {}
            Ok(_) => return Err(io::Error::other("it is a link, a folder or a device, and must be a file; remove it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match options.clone().create_new(true).open(path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    made => return made,
                }
            }
            Err(error) => return Err(error),
        }
        match options.open(path) {
            Ok(file) if is_same_file(&file, path)? => return Ok(file),
            // It was replaced meanwhile.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("something else replaces it again and again"))
}

/// Whether `file` is what is at `path`, and not what a link at `path` leads to.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// On other systems, an open file cannot be deleted or replaced.
#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| true)
}

/// Writes the name of this process into the lock file, whose lock it has.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}{:.0}", signature(), jiff::Timestamp::now())
}

/// The text that names this process in the lock file, before the time.
fn signature() -> String {
    format!("process {} since ", std::process::id())
}

/// The owner of a lock that this process did not get.
fn owner(file: &mut File) -> String {
    let mut signature = String::new();
    let is_readable = file.rewind().and_then(|()| file.read_to_string(&mut signature)).is_ok();
    match signature.trim() {
        // The owner has the lock and has not written its name yet, or the file cannot be read while it is locked.
        "" => "another process".to_owned(),
        _ if !is_readable => "another process".to_owned(),
        signature => signature.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_come_learns_who_has_the_lock_until_it_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(root.path()).unwrap();
        let LockError::Held { by, by_this_process: true } = DirectoryLock::acquire(root.path()).unwrap_err() else {
            panic!("the lock is held");
        };
        let (process, since) = by.split_once(" since ").unwrap();
        assert_eq!(process, format!("process {}", std::process::id()));
        since.parse::<jiff::Timestamp>().unwrap();
        drop(lock);
        DirectoryLock::acquire(root.path()).unwrap();
    }

    #[test]
    fn a_copy_of_the_open_file_does_not_keep_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(root.path()).unwrap();
        let _in_a_child = lock.file.try_clone().unwrap();
        drop(lock);
        DirectoryLock::acquire(root.path()).unwrap();
    }

    #[test]
    fn a_longer_signature_of_an_earlier_owner_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(FILE_NAME), "x".repeat(1000)).unwrap();
        let _lock = DirectoryLock::acquire(root.path()).unwrap();
        let signature = std::fs::read_to_string(root.path().join(FILE_NAME)).unwrap();
        assert!(signature.starts_with("process ") && !signature.contains('x'), "{signature}");
    }

    #[test]
    fn an_owner_that_did_not_sign_is_another_process() {
        let root = tempfile::tempdir().unwrap();
        let silent = File::create(root.path().join(FILE_NAME)).unwrap();
        silent.lock().unwrap();
        let Err(LockError::Held { by, by_this_process: false }) = DirectoryLock::acquire(root.path()) else {
            panic!("the lock is held");
        };
        assert_eq!(by, "another process");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_lock_file_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (folder, victim) = (root.path().join("folder"), root.path().join("victim"));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("../victim", folder.join(FILE_NAME)).unwrap();
        let refused = || DirectoryLock::acquire(&folder).unwrap_err().to_string();
        let expected = format!(
            "cannot be locked at {}: it is a link, a folder or a device, and must be a file; remove it",
            folder.join(FILE_NAME).display()
        );
        assert_eq!(refused(), expected);
        assert!(!victim.exists(), "the file that the link names is not made");
        std::fs::write(&victim, "precious").unwrap();
        assert_eq!(refused(), expected);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");

        // A link to the lock file itself, put there while the lock is held.
        std::fs::remove_file(folder.join(FILE_NAME)).unwrap();
        let lock = DirectoryLock::acquire(&folder).unwrap();
        std::fs::rename(folder.join(FILE_NAME), root.path().join("moved")).unwrap();
        std::os::unix::fs::symlink("../moved", folder.join(FILE_NAME)).unwrap();
        assert!(matches!(lock.check().unwrap_err(), FileStoreError::NotTheOwner { .. }));
    }

    #[test]
    fn a_lock_file_that_is_gone_or_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(root.path()).unwrap();
        lock.check().unwrap();
        let path = root.path().join(FILE_NAME);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(lock.check().unwrap_err(), FileStoreError::NotTheOwner { .. }));
        let _usurper = DirectoryLock::acquire(root.path()).unwrap();
        assert!(matches!(lock.check().unwrap_err(), FileStoreError::NotTheOwner { path: at } if at == path));
    }
}
