//! The lines that a live run prints while it runs.

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use sigbox::events::Event;

/// The most lines that wait for a slow reader: several minutes of a thousand traders, about a megabyte.
const WAITING: usize = 10_000;

/// Prints a line for each event, on a thread of its own. The reader of these lines may be slow, stop reading or go
/// away; none of this may delay or end trading, or fill the memory (hazard H-19).
pub(crate) struct Announcer {
    lines: SyncSender<String>,
    /// Events since the last line that were left out, because too many lines were waiting.
    left_out: Arc<AtomicU64>,
    printing: JoinHandle<()>,
}

impl Announcer {
    pub(crate) fn start() -> Self {
        let (lines, said) = sync_channel::<String>(WAITING);
        let printing = thread::spawn(move || {
            for line in said {
                // The reader is gone, so the rest need not be printed.
                if writeln!(io::stdout(), "{line}").is_err() {
                    return;
                }
            }
        });
        Self { lines, left_out: Arc::default(), printing }
    }

    /// The function that passes events to the announcer.
    pub(crate) fn listener(&self) -> impl FnMut(&Event) + use<> {
        let (lines, left_out) = (self.lines.clone(), Arc::clone(&self.left_out));
        move |event| {
            // `try_send` fails when too many lines are waiting, and when the thread has ended because the reader is
            // gone.
            let missing = left_out.load(Ordering::Relaxed);
            if missing > 0 && lines.try_send(note(missing)).is_ok() {
                left_out.store(0, Ordering::Relaxed);
            }
            if lines.try_send(event.headline()).is_err() {
                left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until everything is printed. Every listener must be gone.
    pub(crate) fn finish(self) {
        let Self { lines, left_out, printing } = self;
        let missing = left_out.load(Ordering::Relaxed);
        if missing > 0 {
            // This fails only when the reader is gone, and then the note is not needed.
            let _ = lines.send(note(missing));
        }
        drop(lines);
        // The thread does not panic; if it did, nothing more could be printed.
        let _ = printing.join();
    }
}

fn note(missing: u64) -> String {
    format!("… {missing} more events, which nobody read in time; the event file has them all")
}
