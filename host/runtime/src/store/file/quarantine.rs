//! Where documents go that nobody can understand.
//!
//! They are kept, not removed as the reference means to do (hazard H-10): a position may be behind one, and a person
//! may still be able to read it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};

use super::error::FileError;
use super::layer::FileLayer;

/// Below the data directory. No domain can have this name, as a leading dot is encoded.
pub(super) const DIRECTORY: &str = ".quarantine";

/// How often setting aside is tried, as the seed tries to remove a corrupt file.
pub(super) const ATTEMPTS: usize = 5;

/// How long to wait between two attempts, as in the seed.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Tries up to [`ATTEMPTS`] times, unless trying again is no use.
pub(super) async fn with_attempts<T, Attempt>(pause: Duration, attempt: impl FnMut() -> Attempt) -> Result<T, FileError>
where
    Attempt: Future<Output = Result<T, FileError>>,
{
    let pauses = ConstantBuilder::new().with_delay(pause).with_max_times(ATTEMPTS - 1);
    attempt.retry(pauses).when(FileError::is_retryable).await
}

/// Puts the document at `path` under the first of `names` that is free as well, and says which. The caller makes that
/// name durable before the old one is removed.
pub(super) fn duplicate<L: FileLayer>(
    layer: &L,
    path: &Path,
    names: impl Iterator<Item = PathBuf>,
) -> Result<PathBuf, FileError> {
    for aside in names {
        let duplicated = match layer.hard_link(path, &aside) {
            Err(error) if has_no_links(error.kind()) => copy(layer, path, &aside),
            linked => linked,
        };
        match duplicated {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(FileError::io("set aside", path)(error)),
        }
    }
    Err(FileError::NothingToQuarantine { path: path.to_owned() })
}

/// Linux answers `PermissionDenied` where a file system has no hard links.
fn has_no_links(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn copy<L: FileLayer>(layer: &L, path: &Path, aside: &Path) -> io::Result<()> {
    let bytes = layer.read(path)?;
    let mut copy = layer.create_new(aside)?;
    layer.write_all(&mut copy, &bytes)?;
    layer.sync_file(&copy)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    /// Fails with `kind` the first `failures` times; the outcome and how often it was tried.
    async fn tried(failures: usize, kind: ErrorKind) -> (Result<&'static str, String>, usize) {
        let attempts = Cell::new(0);
        let outcome = with_attempts(Duration::ZERO, || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() <= failures {
                return Err(FileError::io("set aside", Path::new("/x"))(io::Error::from(kind)));
            }
            Ok("aside")
        });
        (outcome.await.map_err(|error| error.to_string()), attempts.get())
    }

    #[tokio::test]
    async fn setting_aside_is_tried_five_times_unless_that_is_no_use() {
        assert_eq!(tried(0, ErrorKind::TimedOut).await, (Ok("aside"), 1));
        assert_eq!(tried(4, ErrorKind::TimedOut).await, (Ok("aside"), 5));
        assert_eq!(tried(5, ErrorKind::TimedOut).await, (Err("cannot set aside /x: timed out".to_owned()), 5));
        assert_eq!(tried(5, ErrorKind::IsADirectory).await.1, 1);
    }

    #[tokio::test]
    async fn there_is_a_pause_between_two_attempts() {
        let pause = Duration::from_millis(5);
        let start = Instant::now();
        let failing =
            || async { Err::<(), _>(FileError::io("set aside", Path::new("/x"))(ErrorKind::TimedOut.into())) };
        with_attempts(pause, failing).await.unwrap_err();
        assert!(start.elapsed() >= pause * 4, "{:?}", start.elapsed());
    }
}
