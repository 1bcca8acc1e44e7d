//! Keeping the log small: segments that are dead are removed, those that are mostly dead emptied.
//!
//! Done on a thread of its own, so that neither the removal of a file nor the waiting for what
//! must be durable before it holds up a confirm. What is to be written goes through the log like
//! everything else.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::checkpoint;
use super::compaction::Pace;
use super::log::Core;
use super::ops::Op;
use super::{Batch, QueueId, Seq};
use crate::error::LogError;

/// How often the keeper looks round without being woken.
const ROUND: Duration = Duration::from_secs(1);

/// Wakes the keeper.
#[derive(Default)]
pub(crate) struct Wake {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Nothing,
    Round,
    End,
}

impl Wake {
    /// There is something to do.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        if *state == Wanted::Nothing {
            *state = Wanted::Round;
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        *self.state.lock() = Wanted::End;
        self.changed.notify_one();
    }

    /// False when it is time to end.
    fn next(&self) -> bool {
        let mut state = self.state.lock();
        if *state == Wanted::Nothing {
            self.changed.wait_for(&mut state, ROUND);
        }
        let go_on = *state != Wanted::End;
        if go_on {
            *state = Wanted::Nothing;
        }
        go_on
    }
}

impl Pace for Wake {
    fn wait(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        let until = Instant::now() + time;
        while *state != Wanted::End {
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        *state != Wanted::End
    }
}

/// The keeper's thread.
#[derive(Default)]
pub(crate) struct Keeper {
    thread: Mutex<Option<(Arc<Core>, JoinHandle<()>)>>,
}

impl Keeper {
    pub(super) fn start(&self, core: &Arc<Core>) -> std::io::Result<()> {
        let theirs = Arc::clone(core);
        let thread = std::thread::Builder::new()
            .name("log-keeper".to_owned())
            .spawn(move || run(&theirs))?;
        *self.thread.lock() = Some((Arc::clone(core), thread));
        Ok(())
    }

    /// Ends the thread; with `wait`, waits until it has ended.
    pub(super) fn stop(&self, wait: bool) {
        let Some((core, thread)) = self.thread.lock().take() else {
            return;
        };
        core.shared.wake.end();
        if wait && thread.thread().id() != std::thread::current().id() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

/// Says at once that the thread has panicked.
///
/// It does not begin anew: what it had copied out of a segment and not settled yet is known to nobody
/// else, and the next round might remove what these copies depend on. A log that grows is watched by
/// the disk's alarm; the next start reads all of it.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "the thread that keeps the log small has failed: nothing is removed from the log \
                 until the node is restarted"
            );
        }
    }
}

fn run(core: &Core) {
    let _told = Told;
    while core.shared.wake.next() {
        // On failure the log says so itself; nothing can be done here.
        let _ = core.tidy(&core.shared.wake);
    }
}

impl Core {
    /// Removes what can be removed, and moves what stands in the way.
    pub(super) fn tidy(&self, pace: &dyn Pace) -> Result<(), LogError> {
        loop {
            self.remove_freed(pace)?;
            if !pace.wait(Duration::ZERO) {
                return Ok(());
            }
            if !self.compact(pace)? {
                break;
            }
        }
        // Nothing stalls for it, and with a disk that does not take writes it can wait.
        while self.commit.stalled().is_none() && self.checkpoint(pace) {}
        Ok(())
    }

    fn remove_freed(&self, pace: &dyn Pace) -> Result<(), LogError> {
        while pace.wait(Duration::ZERO) {
            let removable = {
                let mut index = self.shared.index.lock();
                if !std::mem::take(&mut index.segments.freed) {
                    break;
                }
                index.segments.removable()
            };
            self.repeat_marks(&removable)?;
            self.remove(&removable);
        }
        Ok(())
    }

    /// Removes what can be removed without writing anything.
    pub(super) fn remove_dead(&self) {
        loop {
            let mut removable = {
                let index = self.shared.index.lock();
                let mut removable = index.segments.removable();
                removable.retain(|segment| index.marks_of(*segment).is_empty());
                removable
            };
            if removable.is_empty() || !self.remove(&removable) {
                return;
            }
            removable.clear();
        }
    }

    /// Writes the marks of segments that are about to go once more.
    pub(super) fn repeat_marks(&self, segments: &[u32]) -> Result<(), LogError> {
        let mut batch = Batch::new();
        {
            let index = self.shared.index.lock();
            for mark in segments.iter().flat_map(|segment| index.marks_of(*segment)) {
                match mark {
                    Op::Delivered { queue, up_to } => batch.delivered(queue, up_to),
                    Op::Count { queue, seq, count } => batch.delivery_count(queue, seq, count),
                    _ => {}
                }
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let end = self.append(&mut batch, false)?.end;
        self.wait_applied(end, true)
    }

    /// Removes the files, then forgets the segments; false if that failed.
    pub(super) fn remove(&self, segments: &[u32]) -> bool {
        if segments.is_empty() {
            return true;
        }
        // What was copied from them, or settles messages in them, must not be lost after them.
        self.commit.wait_synced();
        let numbers: Vec<u64> = segments.iter().map(|segment| (*segment).into()).collect();
        match self.shared.spares.retire(&numbers) {
            Ok(()) => {
                let mut index = self.shared.index.lock();
                for segment in segments {
                    index.segments.remove(*segment);
                    self.shared.files.forget(*segment);
                    checkpoint::remove(self.shared.files.dir(), *segment);
                }
                true
            }
            Err(error) => {
                tracing::warn!("cannot remove segments that are no longer needed: {error}");
                false
            }
        }
    }

    /// Settles copies whose settlement stands before them, behind them; blocks until durable.
    pub(super) fn settle_again(&self, copies: &[(QueueId, Seq, u32)]) -> Result<(), LogError> {
        if copies.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for &(queue, seq, _) in copies {
            batch.settle(queue, seq);
        }
        let mut segments: Vec<u32> = copies.iter().map(|(.., segment)| *segment).collect();
        segments.sort_unstable();
        segments.dedup();
        segments.into_iter().for_each(|it| batch.depends_on(it));
        let end = self.append(&mut batch, true)?.end;
        self.wait_applied(end, true)
    }
}
