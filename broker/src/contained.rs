//! What keeps the broker's own threads going when a piece of their work panics, and waits for their
//! end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// Does `work`. A panic in it is a bug: it is told in the log, and the answer is `None`.
///
/// Backlogs, deadlines and events of all queues depend on one thread each: what fails for one queue
/// must not stop it for the others. What is half done is as a connection's panic would leave it, no
/// more: locks are free again, and what the commit log was not told comes back with a restart.
pub(crate) fn contained<R>(what: &str, work: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            tracing::error!("{what} has failed: {}", said(&*panic));
            None
        }
    }
}

/// Waits until a thread of the broker has ended, unless it is the one that asks.
pub(crate) fn await_end(thread: &Mutex<Option<JoinHandle<()>>>) {
    let thread = thread.lock().take();
    if let Some(thread) = thread
        && thread.thread().id() != std::thread::current().id()
    {
        // It panicked: that was reported where it happened.
        let _ = thread.join();
    }
}

/// The text of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests;
