//! The file operations that documents use, as a trait: a test can count them, make each one fail, and cut the power.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The part of a file system that documents use. Every path is absolute.
///
/// An implementation promises: [`rename`](Self::rename) within a directory replaces its target all or nothing;
/// [`sync_file`](Self::sync_file) makes the content of a file survive a power loss, but not its name;
/// [`sync_dir`](Self::sync_dir) makes the names in a directory survive one. It promises nothing about other changes:
/// after a power loss, each may be there, missing or half done, in any order.
pub trait FileLayer: Send + Sync {
    /// A file open for writing.
    type File;

    /// Makes one directory. The error is `AlreadyExists` if it exists, and `NotFound` if its parent is missing.
    ///
    /// # Errors
    /// When the directory was not made.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes an empty file. The error is `AlreadyExists` if it exists.
    ///
    /// # Errors
    /// When the file was not made.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    /// Appends `bytes`.
    ///
    /// # Errors
    /// When some of the bytes may not have been written.
    fn write_all(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written to `file` durable.
    ///
    /// # Errors
    /// When it may not be durable.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Gives a file another name, and replaces the file that has this name.
    ///
    /// # Errors
    /// When the file may still have its old name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name. The error is `AlreadyExists` if a file has this name.
    ///
    /// # Errors
    /// When the file may not have the second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away from a file.
    ///
    /// # Errors
    /// When the file may still have the name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// When they may not be durable.
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
    /// The fsync was not tried, for example because no file handle was free. It is safe to try again.
    NotTried(io::Error),
    /// The fsync failed. Changes may be lost, and a second fsync may report success without doing anything.
    Failed(io::Error),
}

/// The files of the operating system; inside WASI, the files in the granted directories.
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

    /// On other systems a directory cannot be opened. Whether names survive a power loss depends on the file system
    /// there.
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

    /// A test cannot see whether an fsync makes something durable. It can see that the operating system is asked,
    /// because there are fsyncs that the operating system must refuse.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_operating_system_is_asked_for_every_fsync() {
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        assert_eq!(Disk.sync_file(&null).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let missing = tempfile::tempdir().unwrap().path().join("missing");
        assert!(matches!(Disk.sync_dir(&missing), Err(DirSyncError::NotTried(_))));
    }
}
