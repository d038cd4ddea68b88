//! The file operations that [`Records`](super::Records) use beyond those of documents.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::layer::{Disk, FileLayer};

/// The part of a file system that records use, beyond [`FileLayer`]. Every path is absolute. Symbolic links are
/// followed.
pub trait RecordLayer: FileLayer {
    /// Opens a file for reading, and for writing at its end. The file must exist.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open_to_append(&self, path: &Path) -> io::Result<Self::File>;
    /// Locks a file against other processes, until it is closed.
    ///
    /// # Errors
    /// `WouldBlock` when another handle holds the lock; `Error` when the file system could not lock.
    fn try_lock(&self, file: &Self::File) -> Result<(), TryLockError>;
    /// Makes what was appended to `file` durable, as [`sync_file`](FileLayer::sync_file) does, without the times of its
    /// last change, which nobody reads.
    ///
    /// # Errors
    /// When it may not be durable.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Cuts a file off after `bytes`.
    ///
    /// # Errors
    /// When the file may still be longer.
    fn truncate(&self, file: &Self::File, bytes: u64) -> io::Result<()>;
    /// Reads into `buffer` from a place in the file, and returns how many bytes were read; 0: the file ends there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// What is at a path. The error is `NotFound` if nothing is.
    ///
    /// # Errors
    /// When that cannot be told.
    fn status(&self, path: &Path) -> io::Result<Status>;
    /// What an open file is now.
    ///
    /// # Errors
    /// When that cannot be told.
    fn status_of(&self, file: &Self::File) -> io::Result<Status>;
    /// The path without symbolic links of what is at `path`.
    ///
    /// # Errors
    /// When nothing is there, or that cannot be told.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a regular file, and not a directory, a FIFO or a device.
    pub is_file: bool,
    /// Tells a file from every other one, whatever its name is. `None` where the operating system has no such number.
    pub id: Option<FileId>,
    /// The length in bytes.
    pub bytes: u64,
}

/// The numbers of a file: its device and its inode.
pub type FileId = (u64, u64);

impl From<&Metadata> for Status {
    fn from(metadata: &Metadata) -> Self {
        Self { is_file: metadata.is_file(), id: file_id(metadata), bytes: metadata.len() }
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no number")]
fn file_id(metadata: &Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(_metadata: &Metadata) -> Option<FileId> {
    None
}

impl RecordLayer for Disk {
    fn open_to_append(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).open(path)
    }

    fn try_lock(&self, file: &File) -> Result<(), TryLockError> {
        file.try_lock()
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    #[cfg(unix)]
    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(file, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, mut file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        std::fs::metadata(path).map(|metadata| Status::from(&metadata))
    }

    fn status_of(&self, file: &File) -> io::Result<Status> {
        file.metadata().map(|metadata| Status::from(&metadata))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }
}
