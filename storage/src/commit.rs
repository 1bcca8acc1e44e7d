//! Group commit: callers add to what is gathered under one short lock; whoever commits takes all
//! of it, writes it, syncs it, says so, and whatever arrived meanwhile is the next round.
//!
//! Rounds are made by the log's thread, or by a caller that would wait for it alone: when nothing
//! else goes on and the disk is quick, two changes of threads cost as much as half the sync.
//!
//! Invariants:
//! - `durable` moves only after the sync that covers it has returned (with [`Durability::Os`]: the
//!   write), and never by a sync after one that failed: what that one left is written again.
//! - Nothing is written while the sync of what came before it is outstanding ([`Durability::Os`]
//!   aside).
//! - Waiters are called outside the locks of additions and waiters, once each, after `durable`
//!   covers them or after the log failed for good or stopped.
//!
//! Shared by the message log (positions) and the command log (indexes): here both are a `u64`
//! that only grows. Does not know what is written: see [`Gather`] and [`Sink`].

mod durability;
mod gate;
mod round;
mod state;
mod threads;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

pub use self::durability::{Durability, Durable};
use self::gate::Gate;
use self::state::{Engine, Open, Parked, Round, Shared};
use self::threads::{run, sync_in_background};
use crate::disk::DiskFile;
use crate::error::LogError;

/// How often somebody who blocks looks whether the log has stalled.
const GATE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });
/// How often somebody looks whether that has happened.
const SYNCED: Duration = Duration::from_millis(10);
/// The most a caller writes by itself; additions larger than this wake the thread at once.
const SMALL_BYTES: usize = 32 << 10;

/// What is gathered between two writes.
pub(crate) trait Gather: Send + 'static {
    /// What is taken away to be written.
    type Work: Default + Send;
    /// Moves all that was gathered into `work` (which holds what the last round left in it).
    fn take(&mut self, work: &mut Self::Work);
    /// `work` could not be made durable: adds what was gathered since, gives all of it a place in
    /// new files, and goes on behind it. Returns where the log ends now, behind all ends before;
    /// none if that cannot be done, which ends the log.
    fn rewrite(&mut self, _work: &mut Self::Work) -> Option<u64> {
        None
    }
}

/// Where it is written to.
pub(crate) trait Sink<W>: Send + 'static {
    /// Writes and, if asked to, syncs. `Ok(false)` if there was nothing to write.
    fn commit(&mut self, work: &mut W, sync: bool) -> io::Result<bool>;
    /// The last commit has failed: what it wrote must not be found again, nor be relied on.
    fn abandon(&mut self) {}
    /// After the waiters were told: what must happen once for each round, `work` being durable, and
    /// all up to `durable`. Quick if rounds are made by callers.
    fn committed(&mut self, work: &mut W, durable: u64);
    /// The file written to, for syncing it from another thread. All before it is synced.
    fn file(&self) -> Option<Arc<dyn DiskFile>> {
        None
    }
    /// The thread is about to end.
    fn stopped(&mut self) {}
}

/// The numbers after an addition: where the log ends now and by how much it grew.
pub(crate) struct Added<R> {
    pub(crate) result: R,
    pub(crate) end: u64,
    pub(crate) bytes: usize,
}

/// How a log's thread works.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// How long something nobody waits for may stay unwritten.
    pub(crate) idle: Duration,
    pub(crate) durability: Durability,
}

/// The handle of a log's thread. Dropping it closes the log.
pub(crate) struct Committer<G: Gather> {
    shared: Arc<Shared<G>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<G: Gather> Committer<G> {
    /// Starts the thread. `end` is where the log ends, all of it durable.
    pub(crate) fn start<S: Sink<G::Work>>(
        name: &str,
        gather: G,
        sink: S,
        end: u64,
        pace: Pace,
    ) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            open: Mutex::new(Open {
                gather,
                end,
                bytes: 0,
                urgent: false,
                dirty_since: None,
                closing: false,
                retry_at: None,
                parked: Parked::No,
            }),
            engine: Mutex::new(Engine {
                sink: Box::new(sink),
                work: G::Work::default(),
                round: Round::default(),
                stalled: false,
            }),
            wake: Condvar::new(),
            pace,
            end: AtomicU64::new(end),
            durable: AtomicU64::new(end),
            synced: AtomicU64::new(end),
            buffered: AtomicUsize::new(0),
            syncs: AtomicU64::new(0),
            round_ns: AtomicU64::new(0),
            // With one core, whoever waits for the disk would keep everybody else from working.
            may_lead: cores > 1,
            sync_failed: Mutex::new(None),
            stalled: Mutex::new(None),
            failure: OnceLock::new(),
            stopped: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        });
        let spawn = |name: String, run: fn(Arc<Shared<G>>)| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(name)
                .spawn(move || run(shared))
        };
        let mut threads = vec![spawn(name.to_owned(), run)?];
        if pace.durability == Durability::Os {
            threads.push(spawn(format!("{name}-sync"), sync_in_background)?);
        }
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Adds under the lock. `urgent`: somebody will wait for it ([`Committer::when_durable`] or
    /// [`Committer::commit_here`]); otherwise it is written within the idle time.
    pub(crate) fn add<R>(
        &self,
        urgent: bool,
        add: impl FnOnce(&mut G) -> Added<R>,
    ) -> Result<R, LogError> {
        let shared = &*self.shared;
        let mut open = shared.open.lock();
        if let Some(why) = shared.failure.get() {
            return Err(LogError::Failed(why.clone()));
        }
        if open.closing {
            return Err(LogError::Closed);
        }
        let added = add(&mut open.gather);
        open.end = added.end;
        open.bytes += added.bytes;
        shared.end.store(added.end, Ordering::Release);
        shared.buffered.fetch_add(added.bytes, Ordering::Relaxed);
        open.urgent |= urgent;
        // Who waits for little wakes the thread, if at all, when the waiting begins.
        let at_once = urgent && (added.bytes > SMALL_BYTES || !shared.may_lead);
        shared.mark_dirty(open, at_once);
        Ok(added.result)
    }

    /// Lets the thread make a round within the idle time, though nothing was added.
    pub(crate) fn poke(&self) {
        self.shared.mark_dirty(self.shared.open.lock(), false);
    }

    /// While the log is stalled: looks at what waits to be written again, and at what was gathered
    /// since. None if it is not stalled.
    pub(crate) fn while_stalled<R>(&self, look: impl FnOnce(&G::Work, &G) -> R) -> Option<R> {
        let engine = self.shared.engine.lock();
        let open = self.shared.open.lock();
        engine.stalled.then(|| look(&engine.work, &open.gather))
    }

    /// Lets the thread write at once.
    pub(crate) fn hurry(&self) {
        let mut open = self.shared.open.lock();
        open.urgent = true;
        self.shared.mark_dirty(open, true);
    }

    /// Nothing will become durable any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire) || self.shared.failure.get().is_some()
    }

    /// Whether the caller is the log's thread, which cannot wait for itself.
    pub(crate) fn is_own_thread(&self) -> bool {
        let threads = self.threads.lock();
        let own = std::thread::current().id();
        threads.iter().any(|handle| handle.thread().id() == own)
    }

    /// Blocks until what is durable now survives the loss of power as well.
    pub(crate) fn wait_synced(&self) {
        let durable = self.durable();
        while self.shared.synced.load(Ordering::Acquire) < durable && !self.has_ended() {
            std::thread::sleep(SYNCED);
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) -> u64 {
        self.shared.end.load(Ordering::Acquire)
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.shared.buffered.load(Ordering::Relaxed)
    }

    pub(crate) fn sync_count(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failure.get().cloned()
    }

    /// Why nothing becomes durable at the moment: the last write or sync failed and is tried again.
    pub(crate) fn stalled(&self) -> Option<String> {
        self.shared.stalled.lock().clone()
    }

    /// Commits on the caller's thread, if nothing else goes on and the disk is quick: true when
    /// `position` is durable. Blocks for one sync; at most one caller at a time does.
    pub(crate) fn commit_here(&self, position: u64) -> bool {
        self.durable() >= position || self.shared.lead(position)
    }

    pub(crate) fn when_durable(&self, position: u64, waiter: Arc<dyn Durable>) {
        {
            // `durable` is stored before this lock is taken to tell the waiters, so either the
            // check sees the store or the waiter is seen.
            let mut waiters = self.shared.waiters.lock();
            if !self.shared.is_decided(position) {
                waiters.push((position, waiter));
                drop(waiters);
                self.shared.hurry();
                return;
            }
        }
        waiter.durable();
    }

    /// Blocks until `position` is durable, or the log stalls: then it may become so later.
    pub(crate) fn wait_durable(&self, position: u64) -> Result<(), LogError> {
        if self.durable() < position {
            let gate = Arc::new(Gate::default());
            self.when_durable(position, Arc::clone(&gate) as Arc<dyn Durable>);
            while !gate.wait(GATE) {
                if let Some(why) = self.stalled() {
                    return Err(LogError::Stalled(why));
                }
            }
        }
        if self.durable() >= position {
            return Ok(());
        }
        Err(self.failure().map_or(LogError::Closed, LogError::Failed))
    }

    /// Writes and syncs what is left and ends the thread. Again: the same answer.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.shared.open.lock().closing = true;
        self.shared.wake.notify_one();
        for handle in self.threads.lock().drain(..) {
            // A waiter may own the last handle of the log; the thread cannot wait for itself.
            handle.thread().unpark();
            if handle.thread().id() != std::thread::current().id() && handle.join().is_err() {
                tracing::error!("the log thread ended by a panic");
            }
        }
        match self.failure() {
            Some(why) => Err(LogError::Failed(why)),
            None => Ok(()),
        }
    }
}

impl<G: Gather> Drop for Committer<G> {
    fn drop(&mut self) {
        // A failure has been logged where it happened; nobody is left to be told.
        let _ = self.close();
    }
}
