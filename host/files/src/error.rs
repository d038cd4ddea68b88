//! Errors of documents on disk.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::name::NameError;

/// Why an operation on a document on disk failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The address cannot be turned into a path.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, a verb such as `write`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A directory could not be made durable. Later changes in it could not be made durable either, so they are
    /// refused.
    #[error(
        "fsync of directory {path} failed: {source}; what was just changed may be lost at a power failure, and nothing \
         more is written until the store is opened again: check the disk and restart",
        path = .path.display()
    )]
    DirectorySync {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The change is refused, because a directory could not be made durable earlier.
    #[error("refusing to change anything since {earlier}")]
    AfterFailedSync {
        /// The message of the earlier error.
        earlier: String,
    },
    /// There is no document at the address.
    #[error("there is no document to set aside at {path}", path = .path.display())]
    NothingToQuarantine {
        /// Where its file would be.
        path: PathBuf,
    },
}

impl FileError {
    /// A function for `map_err`, which adds what was tried, and on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the same call may succeed later, for example after a person has freed space or granted access.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { source, .. } => !matches!(
                source.kind(),
                ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::InvalidFilename
                    | ErrorKind::InvalidInput
                    | ErrorKind::Unsupported
            ),
            Self::Name(_)
            | Self::DirectorySync { .. }
            | Self::AfterFailedSync { .. }
            | Self::NothingToQuarantine { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_says_what_where_and_what_to_do() {
        let path = PathBuf::from("/data/signal");
        let full = || io::Error::new(ErrorKind::StorageFull, "disk full");
        let cases = [
            (FileError::io("write", &path)(full()), "cannot write /data/signal: disk full", true),
            (
                FileError::io("read", &path)(io::Error::new(ErrorKind::IsADirectory, "is a directory")),
                "cannot read /data/signal: is a directory",
                false,
            ),
            (
                FileError::DirectorySync { path: path.clone(), source: full() },
                "fsync of directory /data/signal failed: disk full; what was just changed may be lost at a power \
                 failure, and nothing more is written until the store is opened again: check the disk and restart",
                false,
            ),
            (
                FileError::AfterFailedSync { earlier: "fsync of /data failed".to_owned() },
                "refusing to change anything since fsync of /data failed",
                false,
            ),
            (
                FileError::NothingToQuarantine { path: path.clone() },
                "there is no document to set aside at /data/signal",
                false,
            ),
        ];
        for (error, message, retryable) in cases {
            assert_eq!(error.to_string(), message);
            assert_eq!(error.is_retryable(), retryable, "{message}");
        }
    }
}
