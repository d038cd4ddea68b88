//! What a live run says while it runs.

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

/// Lines that wait for a reader who is slow: several minutes of a thousand traders, and about a megabyte.
const WAITING: usize = 10_000;

/// Prints a line for each event, on a thread of its own: whoever reads them may be slow, stop reading or go away, and
/// none of that may hold up or end trading, or fill the memory (hazard H-19).
pub(crate) struct Announcer {
    lines: SyncSender<String>,
    /// Events that found no room since the last line.
    left_out: Arc<AtomicU64>,
    printing: JoinHandle<()>,
}

impl Announcer {
    pub(crate) fn start() -> Self {
        let (lines, said) = sync_channel::<String>(WAITING);
        let printing = thread::spawn(move || {
            for line in said {
                // Nobody is there to read the rest either.
                if writeln!(io::stdout(), "{line}").is_err() {
                    return;
                }
            }
        });
        Self { lines, left_out: Arc::default(), printing }
    }

    /// What tells it of events.
    pub(crate) fn listener(&self) -> impl FnMut(&Event) + use<> {
        let (lines, left_out) = (self.lines.clone(), Arc::clone(&self.left_out));
        move |event| {
            // Either fails when there is no room, and when the thread has ended because nobody reads.
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
            // Fails when nobody reads, and then there is nobody to tell.
            let _ = lines.send(note(missing));
        }
        drop(lines);
        // It panics nowhere, and then there would be nothing left to print either.
        let _ = printing.join();
    }
}

fn note(missing: u64) -> String {
    format!("… {missing} more events, which nobody read in time; the event file has them all")
}
