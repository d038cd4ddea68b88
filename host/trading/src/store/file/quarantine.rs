//! The attempts to move a document aside.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable};

use super::error::FileStoreError;

/// How many attempts there are: as many as the seed makes to remove a corrupt file.
pub(super) const ATTEMPTS: usize = 5;

/// How long to wait between two attempts, as in the seed.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Tries up to [`ATTEMPTS`] times, and stops at an error that another attempt would meet again.
pub(super) async fn with_attempts<T, Attempt>(
    pause: Duration,
    attempt: impl FnMut() -> Attempt,
) -> Result<T, FileStoreError>
where
    Attempt: Future<Output = Result<T, FileStoreError>>,
{
    let pauses = ConstantBuilder::new().with_delay(pause).with_max_times(ATTEMPTS - 1);
    attempt.retry(pauses).when(FileStoreError::is_retryable).await
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        io::{self, ErrorKind},
        path::Path,
        time::Instant,
    };

    use sigbox_files::FileError;

    use super::*;

    /// Fails with `kind` the first `failures` times. Returns the outcome and the number of attempts.
    async fn tried(failures: usize, kind: ErrorKind) -> (Result<&'static str, String>, usize) {
        let attempts = Cell::new(0);
        let outcome = with_attempts(Duration::ZERO, || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() <= failures {
                return Err(FileError::io("set aside", Path::new("/x"))(io::Error::from(kind)).into());
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
            || async { Err::<(), _>(FileError::io("set aside", Path::new("/x"))(ErrorKind::TimedOut.into()).into()) };
        with_attempts(pause, failing).await.unwrap_err();
        assert!(start.elapsed() >= pause * 4, "{:?}", start.elapsed());
    }
}
