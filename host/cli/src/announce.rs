//! What a live run says while it runs.

use std::{
    io::{self, Write as _},
    sync::mpsc::{Sender, channel},
    thread::{self, JoinHandle},
};

use sigbox::run::Event;

/// Prints a line for each event, on a thread of its own: whoever reads them may be slow, stop reading or go away, and
/// none of that may hold up or end trading (hazard H-19).
pub(crate) struct Announcer {
    lines: Sender<String>,
    printing: JoinHandle<()>,
}

impl Announcer {
    pub(crate) fn start() -> Self {
        let (lines, said) = channel::<String>();
        let printing = thread::spawn(move || {
            for line in said {
                // Nobody is there to read the rest either.
                if writeln!(io::stdout(), "{line}").is_err() {
                    return;
                }
            }
        });
        Self { lines, printing }
    }

    /// What tells it of events.
    pub(crate) fn listener(&self) -> impl FnMut(&Event) + use<> {
        let lines = self.lines.clone();
        move |event| {
            // The thread has ended when nobody reads.
            let _ = lines.send(event.headline());
        }
    }

    /// Waits until everything is printed. Every listener must be gone.
    pub(crate) fn finish(self) {
        drop(self.lines);
        // It panics nowhere, and then there would be nothing left to print either.
        let _ = self.printing.join();
    }
}
