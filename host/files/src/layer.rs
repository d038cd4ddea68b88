//! The few things documents ask of a file system, so that a test can count them, fail each and cut the power.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file system, as far as documents are concerned. Every path is absolute.
///
/// What is promised: [`rename`](Self::rename) within a directory replaces its target all or nothing;
/// [`sync_file`](Self::sync_file) makes the content of a file survive a power loss, but not its name;
/// [`sync_dir`](Self::sync_dir) makes the names in a directory survive one. Nothing else survives a power loss, in
/// whole, in part or in order.
pub trait FileLayer: Send + Sync {
    /// A file open for writing.
    type File;

    /// Makes one directory. An existing one is `AlreadyExists`, a missing parent `NotFound`.
    ///
    /// # Errors
    /// When it was not made.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file. An existing one is `AlreadyExists`.
    ///
    /// # Errors
    /// When it was not made.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    /// Appends `bytes`.
    ///
    /// # Errors
    /// When any part of them may not have been written.
    fn write_all(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written to `file` durable.
    ///
    /// # Errors
    /// When it may not be.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Gives a file another name, replacing what was there.
    ///
    /// # Errors
    /// When it may have kept the old one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name. An existing one is `AlreadyExists`.
    ///
    /// # Errors
    /// When it may not have it.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away from a file.
    ///
    /// # Errors
    /// When it may have kept it.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// When they may not be.
    fn sync_dir(&self, path: &Path) -> Result<(), DirSyncError>;
    /// The whole content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Every name in a directory, in any order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
}

/// Why the names in a directory were not made durable.
#[derive(Debug)]
pub enum DirSyncError {
    /// It was not even tried, for want of a file handle, say. Trying again is sound.
    NotTried(io::Error),
    /// It failed. What was changed may be lost, and a second try may succeed without having done anything.
    Failed(io::Error),
}

/// The operating system's files; within WASI, those of the directories that were granted.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl FileLayer for Disk {
    type File = File;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    #[cfg(any(unix, target_os = "wasi"))]
    fn sync_dir(&self, path: &Path) -> Result<(), DirSyncError> {
        File::open(path).map_err(DirSyncError::NotTried)?.sync_all().map_err(DirSyncError::Failed)
    }

    /// Elsewhere a directory cannot be opened; the file system's own journal is all there is.
    #[cfg(not(any(unix, target_os = "wasi")))]
    fn sync_dir(&self, _path: &Path) -> Result<(), DirSyncError> {
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an fsync did what it says is seen only when the power fails. That it is asked for is seen where the
    /// operating system must refuse it.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_operating_system_is_asked_for_every_fsync() {
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        assert_eq!(Disk.sync_file(&null).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let missing = tempfile::tempdir().unwrap().path().join("missing");
        assert!(matches!(Disk.sync_dir(&missing), Err(DirSyncError::NotTried(_))));
    }
}
