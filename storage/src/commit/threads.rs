//! The threads of a log: the one that makes rounds, and with `Durability::Os` the one that syncs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Gather;
use super::state::Shared;

/// With [`Durability::Os`]: how often what was written is synced.
const OS_SYNC: Duration = Duration::from_millis(200);

pub(super) fn run<G: Gather>(shared: Arc<Shared<G>>) {
    let stop = StopOnExit(&shared);
    let mut busy = false;
    loop {
        let last = shared.wait(busy);
        busy = shared.round(last);
        if last {
            break;
        }
    }
    let mut engine = shared.engine.lock();
    engine.sink.stopped();
    let why = shared.stalled.lock().clone();
    if let Some(why) = why.filter(|_| shared.failure.get().is_none()) {
        shared.fail(why);
    }
    drop(engine);
    drop(stop);
}

/// With [`Durability::Os`]: syncs what was written, now and then.
pub(super) fn sync_in_background<G: Gather>(shared: Arc<Shared<G>>) {
    while !shared.stopped.load(Ordering::Acquire) {
        std::thread::park_timeout(OS_SYNC);
        let (file, end) = {
            let engine = shared.engine.lock();
            (engine.sink.file(), shared.durable.load(Ordering::Acquire))
        };
        let Some(file) = file.filter(|_| shared.synced.load(Ordering::Acquire) < end) else {
            continue;
        };
        match file.sync_data() {
            Ok(()) => {
                shared.synced.fetch_max(end, Ordering::AcqRel);
                shared.syncs.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!("what was written to the log cannot be synced: {error}");
                *shared.sync_failed.lock() = Some(error);
                shared.mark_dirty(shared.open.lock(), true);
            }
        }
    }
}

/// Nobody may wait for a thread that is gone, however it went.
struct StopOnExit<'a, G: Gather>(&'a Shared<G>);

impl<G: Gather> Drop for StopOnExit<'_, G> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the log thread panicked".to_owned());
        }
        self.0.stopped.store(true, Ordering::Release);
        self.0.tell(|_| true);
    }
}
