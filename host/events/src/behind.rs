//! Writing on a thread of its own.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::{self, JoinHandle},
};

/// How many pieces may wait to be written. What is written faster than the file takes it waits here, and not in memory.
const WAITING: usize = 4;

/// Hands what is written to another thread, which writes it to `W` in the same order. Making the next lines and copying
/// the last ones into the system's cache take about the same time; so they are done at once.
///
/// Write large pieces: each is a message. Nothing is known to be written before [`Behind::finish`].
#[derive(Debug)]
pub struct Behind<W> {
    pieces: SyncSender<Vec<u8>>,
    /// Pieces that are written: their memory is used again.
    written: Receiver<Vec<u8>>,
    /// `None` after a failure was returned.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> Behind<W> {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(mut out: W) -> io::Result<Self> {
        let (pieces, to_write) = sync_channel::<Vec<u8>>(WAITING);
        let (done, written): (Sender<Vec<u8>>, _) = channel();
        let write_all = move || {
            for mut piece in to_write {
                out.write_all(&piece)?;
                piece.clear();
                // Nobody takes it any more after the last piece.
                let _ = done.send(piece);
            }
            out.flush()?;
            Ok(out)
        };
        let thread = thread::Builder::new().name("sigbox-write".to_owned()).spawn(write_all)?;
        Ok(Self { pieces, written, thread: Some(thread) })
    }

    /// Waits until everything is written and flushed, and gives the writer back.
    ///
    /// # Errors
    /// The first failure; what came after it was not written.
    ///
    /// # Panics
    /// When the writer has panicked.
    pub fn finish(self) -> io::Result<W> {
        drop(self.pieces);
        end_of(self.thread)
    }
}

impl<W> Write for Behind<W> {
    /// Takes all of `bytes`. Fails where an earlier piece could not be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut piece = self.written.try_recv().unwrap_or_default();
        piece.extend_from_slice(bytes);
        if self.pieces.send(piece).is_err() {
            // The thread has ended, so something could not be written.
            end_of(self.thread.take())?;
        }
        Ok(bytes.len())
    }

    /// Does nothing: [`Behind::finish`] flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn end_of<W>(thread: Option<JoinHandle<io::Result<W>>>) -> io::Result<W> {
    let thread = thread.ok_or_else(|| io::Error::other("an earlier write had failed"))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at once, and has room for so many.
    struct Tight(Vec<u8>, usize);

    impl Write for Tight {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(3).min(self.1 - self.0.len());
            self.0.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.push(b'!');
            Ok(())
        }
    }

    #[test]
    fn everything_is_written_in_order_and_flushed_at_the_end() {
        let mut behind = Behind::new(Tight(Vec::new(), 1000)).unwrap();
        let mut expected = Vec::new();
        for number in 0..100 {
            write!(behind, "{number} ").unwrap();
            write!(&mut expected, "{number} ").unwrap();
        }
        expected.push(b'!');
        assert_eq!(behind.finish().unwrap().0, expected);
    }

    /// It is known at a later write or at the end, and it is the failure itself, not that nobody listens any more.
    #[test]
    fn the_first_failure_is_returned() {
        let mut behind = Behind::new(Tight(Vec::new(), 10)).unwrap();
        let failed = (0..1000).find_map(|_| behind.write_all(b"0123").err()).expect("some write after the third fails");
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert!(behind.write_all(b"more").is_err() && behind.finish().is_err());

        let mut behind = Behind::new(Tight(Vec::new(), 2)).unwrap();
        behind.write_all(b"0123").unwrap();
        assert_eq!(behind.finish().map(|_| ()).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
