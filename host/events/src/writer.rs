//! Writes the events of a backtest to a file.

use std::io::{self, Write};

use crate::{
    Event,
    json::{Json, Value as _},
};

/// How many bytes of lines are written together.
const TOGETHER: usize = 128 << 10;

/// Writes events as JSON Lines. It is for backtests: it reads no earlier events, so it cannot know whether an event is
/// a repetition.
///
/// Lines are collected and written together, so the last ones are only there after [`EventWriter::finish`]. That also
/// returns the first failure. Events after a failure are not written.
pub struct EventWriter<W: Write> {
    out: W,
    /// Lines that are not written yet.
    lines: Json,
    failure: Option<io::Error>,
}

impl<W: Write> EventWriter<W> {
    /// A writer to `out`, which need not be buffered.
    pub fn new(out: W) -> Self {
        Self { out, lines: Json::of_many(), failure: None }
    }

    /// Writes one event. A failure is returned by [`EventWriter::finish`].
    pub fn write(&mut self, event: &Event<'_>) {
        if self.failure.is_some() {
            return;
        }
        event.write(&mut self.lines);
        let lines = &mut self.lines.text;
        lines.push(b'\n');
        if lines.len() >= TOGETHER {
            self.failure = self.out.write_all(lines).err();
            lines.clear();
        }
    }

    /// Writes the lines that are left, flushes, and gives the writer back.
    ///
    /// # Errors
    /// When anything could not be written.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.out.write_all(&self.lines.text)?;
        self.out.flush()?;
        Ok(self.out)
    }
}
