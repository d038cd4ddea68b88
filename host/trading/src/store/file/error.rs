//! The error of a file store.

use std::path::PathBuf;

use sigbox_files::FileError;

/// Why the file store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileStoreError {
    /// An operation on a file failed.
    #[error(transparent)]
    Document(#[from] FileError),
    /// The lock file is not ours any more.
    #[error(
        "the lock file {path} is gone or was replaced, so this process does not own the data directory any more; \
         was the directory deleted, moved or unmounted? restore it and restart",
        path = .path.display()
    )]
    NotTheOwner {
        /// The lock file.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("the store is closed; open it again")]
    Closed,
    /// The store was opened for reading only.
    #[error("the store was opened to look only; nothing is changed")]
    LookOnly,
    /// The work never ran, or panicked.
    #[error("the file operation did not finish: {0}")]
    Unfinished(String),
}

impl FileStoreError {
    /// Whether the same call may succeed later, for example after a person freed space or granted access.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Document(error) if error.is_retryable())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;

    #[test]
    fn every_message_says_what_where_and_what_to_do() {
        let path = PathBuf::from("/data/signal");
        let full = FileError::io("write", Path::new("/data/signal"))(io::Error::other("disk full"));
        let cases = [
            (FileStoreError::from(full), "cannot write /data/signal: disk full", true),
            (
                FileStoreError::NotTheOwner { path },
                "the lock file /data/signal is gone or was replaced, so this process does not own the data directory \
                 any more; was the directory deleted, moved or unmounted? restore it and restart",
                false,
            ),
            (FileStoreError::Closed, "the store is closed; open it again", false),
            (FileStoreError::Unfinished("cancelled".to_owned()), "the file operation did not finish: cancelled", false),
        ];
        for (error, message, retryable) in cases {
            assert_eq!(error.to_string(), message);
            assert_eq!(error.is_retryable(), retryable, "{message}");
        }
    }
}
