//! The thread of a backend.
//!
//! A backend waits for disks and networks, and its file operations block. On a thread of its own it delays no other
//! work. Also, the work of a dropped instance has ended before the next instance begins. A file operation cannot be
//! cancelled. If the next instance did not wait for it, an old write could end after a newer write and replace its
//! document.

use std::{future::Future, io, pin::Pin, thread};

use tokio::sync::{mpsc, oneshot};

use super::supervisor::Supervisor;

/// How many calls can wait in the queue; further callers wait until there is room. Each trader has one call under way.
const QUEUE: usize = 1024;

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A call that sends its own reply.
type Job = Box<dyn for<'a> FnOnce(&'a mut Supervisor) -> Work<'a> + Send>;

/// Sends calls to a backend's thread. The thread makes them one at a time, in the order in which they arrive.
#[derive(Clone)]
pub(super) struct Thread(mpsc::Sender<Job>);

/// The thread has ended, and the calls it had.
#[derive(Debug)]
pub(super) struct Gone;

impl Thread {
    /// Moves `supervisor` to a thread of its own, which ends when every clone of the returned value is dropped.
    pub(super) fn spawn(name: &str, mut supervisor: Supervisor) -> io::Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The thread logs to the subscriber of the code that opens the store.
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

    /// Makes a call when its turn comes. If the caller stops waiting before that, the call is not made.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Supervisor) -> Pin<Box<dyn Future<Output = T> + 'a>> + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |supervisor| {
            Box::pin(async move {
                if !reply.is_closed() {
                    // This fails only if the caller has stopped waiting, and then the result is not needed.
                    let _ = reply.send(work(supervisor).await);
                }
            })
        });
        self.0.send(job).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}
