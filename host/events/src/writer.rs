//! Events of a backtest, into a file.

use std::io::{self, Write};

use crate::Event;

/// Bytes of lines that are handed on together.
const TOGETHER: usize = 128 << 10;

/// Writes events as JSON Lines. For backtests: nothing is read back, so nothing is told twice.
///
/// Lines are collected and handed on together, so the last ones are there only after [`EventWriter::finish`], which also
/// returns the first failure; what comes after that is not written.
pub struct EventWriter<W: Write> {
    out: W,
    /// Lines that have not been handed on.
    lines: Vec<u8>,
    failure: Option<io::Error>,
}

impl<W: Write> EventWriter<W> {
    /// A writer to `out`, which need not be buffered.
    pub const fn new(out: W) -> Self {
        Self { out, lines: Vec::new(), failure: None }
    }

    /// Writes one event. A failure is returned by [`EventWriter::finish`].
    pub fn write(&mut self, event: &Event<'_>) {
        if self.failure.is_some() {
            return;
        }
        event.write_json(&mut self.lines);
        self.lines.push(b'\n');
        if self.lines.len() >= TOGETHER {
            self.failure = self.out.write_all(&self.lines).err();
            self.lines.clear();
        }
    }

    /// Hands on what is left and flushes.
    ///
    /// # Errors
    /// When anything could not be written.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failure {
            Some(failure) => Err(failure),
            None => self.out.write_all(&self.lines).and_then(|()| self.out.flush()),
        }
    }
}
