//! Ctrl-C, and the signal that asks a process to end.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::runtime::Builder;

use crate::exit::INTERRUPTED;

/// Ends the process at once. What a run has kept survives this as it survives a crash.
#[expect(clippy::exit, reason = "whoever is at work does not answer, and somebody asked a second time")]
pub(crate) fn end_now() -> ! {
    tracing::warn!("interrupted again: ending at once; the next start goes on from what was kept");
    process::exit(i32::from(INTERRUPTED));
}

/// A flag that the first interrupt sets, for callers that look at it now and then instead of waiting. The second
/// interrupt ends the process.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut interrupts = runtime.block_on(async { Interrupts::new() })?;
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    thread::spawn(move || {
        runtime.block_on(interrupts.next());
        raised.store(true, Ordering::Relaxed);
        runtime.block_on(interrupts.next());
        end_now();
    });
    Ok(flag)
}

#[cfg(unix)]
pub(crate) struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Interrupts {
    /// From here on an interrupt no longer ends the process. Must be called inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal of a terminal that is gone, which log rotation sends to programs that shall open their files again.
#[cfg(unix)]
pub(crate) struct HangUps(tokio::signal::unix::Signal);

#[cfg(unix)]
impl HangUps {
    /// From here on the signal no longer ends the process. Must be called inside a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::hangup())?))
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// There is no such signal here.
#[cfg(not(unix))]
pub(crate) struct HangUps;

#[cfg(not(unix))]
impl HangUps {
    #[expect(clippy::unnecessary_wraps, reason = "unix can fail")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
pub(crate) struct Interrupts;

#[cfg(not(unix))]
impl Interrupts {
    #[expect(clippy::unnecessary_wraps, reason = "the other platforms can fail")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
