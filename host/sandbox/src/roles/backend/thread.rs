//! The thread a backend lives on.
//!
//! A backend waits for disks and networks, and its file operations block. On a thread of its own it holds up nobody,
//! and nothing of an instance that was dropped is still under way when its successor begins: an operation on a file
//! cannot be called off, so whoever gave up waiting for it must not let a later one overtake it.

use std::{future::Future, io, pin::Pin, thread};

use tokio::sync::{mpsc, oneshot};

use super::supervisor::Supervisor;

/// Calls that may wait for their turn; whoever comes later waits outside. Each trader has one call under way.
const QUEUE: usize = 1024;

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A call with its reply.
type Job = Box<dyn for<'a> FnOnce(&'a mut Supervisor) -> Work<'a> + Send>;

/// Sends calls to a backend's thread, which make them one at a time, in the order they came.
#[derive(Clone)]
pub(super) struct Thread(mpsc::Sender<Job>);

/// The thread is gone, with what it was doing.
#[derive(Debug)]
pub(super) struct Gone;

impl Thread {
    /// Moves `supervisor` to a thread of its own, which ends when every clone of the returned value is dropped.
    pub(super) fn spawn(name: &str, mut supervisor: Supervisor) -> io::Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // What it logs goes where its owner's lines go.
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        thread::Builder::new().name(format!("store {name}")).spawn(move || {
            let _subscribed = tracing::dispatcher::set_default(&subscriber);
            runtime.block_on(async {
                while let Some(job) = jobs.recv().await {
                    job(&mut supervisor).await;
                }
            });
        })?;
        Ok(Self(sender))
    }

    /// Makes a call when its turn comes. A caller that does not wait any longer before that has not called.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Supervisor) -> Pin<Box<dyn Future<Output = T> + 'a>> + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |supervisor| {
            Box::pin(async move {
                if !reply.is_closed() {
                    // Whoever stopped waiting meanwhile does not want to know.
                    let _ = reply.send(work(supervisor).await);
                }
            })
        });
        self.0.send(job).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}
