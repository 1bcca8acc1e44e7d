//! Group commit: callers add to what is gathered under one short lock; one thread takes all of it,
//! writes it, syncs it, says so, and starts again with whatever arrived meanwhile.
//!
//! Invariants:
//! - `durable` moves only after the sync that covers it has returned, and never after a failure.
//! - Nothing is written while the sync of what came before it is outstanding.
//! - Waiters are called outside every lock of this module, once each, after `durable` covers them
//!   or after the log failed or stopped.
//!
//! Shared by the message log (positions) and the command log (indexes): here both are a `u64`
//! that only grows. Does not know what is written: see [`Gather`] and [`Sink`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::LogError;

/// Somebody who waits for something to be on disk.
pub trait Durable: Send + Sync {
    /// Called once, from the log's thread or from the caller of `when_durable`. Must not block.
    fn durable(&self);
}

/// What is gathered between two writes.
pub(crate) trait Gather: Send + 'static {
    /// What the thread takes away to write.
    type Work: Default + Send;
    /// Moves all that was gathered into `work` (which holds what the last round left in it).
    fn take(&mut self, work: &mut Self::Work);
}

/// Where the thread writes to.
pub(crate) trait Sink<W>: Send + 'static {
    /// Writes and syncs. `Ok(false)` if there was nothing to sync.
    fn commit(&mut self, work: &mut W) -> io::Result<bool>;
    /// After the waiters were told: housekeeping that relies on `work`, and all up to `durable`,
    /// being durable.
    fn committed(&mut self, work: &mut W, durable: u64);
    /// The thread is about to end.
    fn stopped(&mut self) {}
}

/// The numbers after an addition: where the log ends now and by how much it grew.
pub(crate) struct Added<R> {
    pub(crate) result: R,
    pub(crate) end: u64,
    pub(crate) bytes: usize,
}

struct Open<G> {
    gather: G,
    /// The last position given out.
    end: u64,
    /// Bytes gathered since the last take.
    bytes: usize,
    /// Somebody waits: take at once.
    urgent: bool,
    /// When the first thing that nobody waits for was added.
    dirty_since: Option<Instant>,
    /// Take what is there, then end.
    closing: bool,
}

struct Shared<G> {
    open: Mutex<Open<G>>,
    wake: Condvar,
    end: AtomicU64,
    durable: AtomicU64,
    buffered: AtomicUsize,
    syncs: AtomicU64,
    failure: OnceLock<String>,
    stopped: AtomicBool,
    waiters: Mutex<Vec<(u64, Arc<dyn Durable>)>>,
}

/// The handle of a log's thread. Dropping it closes the log.
pub(crate) struct Committer<G: Gather> {
    shared: Arc<Shared<G>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<G: Gather> Committer<G> {
    /// Starts the thread. `end` is where the log ends, all of it durable.
    pub(crate) fn start<S: Sink<G::Work>>(
        name: &str,
        gather: G,
        sink: S,
        end: u64,
        idle: Duration,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            open: Mutex::new(Open {
                gather,
                end,
                bytes: 0,
                urgent: false,
                dirty_since: None,
                closing: false,
            }),
            wake: Condvar::new(),
            end: AtomicU64::new(end),
            durable: AtomicU64::new(end),
            buffered: AtomicUsize::new(0),
            syncs: AtomicU64::new(0),
            failure: OnceLock::new(),
            stopped: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(theirs, sink, idle))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Adds under the lock. `urgent`: write at once; otherwise within the idle time.
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
        let wake = open.mark_dirty(urgent);
        drop(open);
        if wake {
            shared.wake.notify_one();
        }
        Ok(added.result)
    }

    /// Lets the thread make a round within the idle time, though nothing was added.
    pub(crate) fn poke(&self) {
        if self.shared.open.lock().mark_dirty(false) {
            self.shared.wake.notify_one();
        }
    }

    /// Lets the thread write at once.
    pub(crate) fn hurry(&self) {
        if self.shared.open.lock().mark_dirty(true) {
            self.shared.wake.notify_one();
        }
    }

    /// Nothing will become durable any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire) || self.shared.failure.get().is_some()
    }

    /// Whether the caller is the log's thread, which cannot wait for itself.
    pub(crate) fn is_own_thread(&self) -> bool {
        let thread = self.thread.lock();
        let own = thread.as_ref().map(|handle| handle.thread().id());
        own == Some(std::thread::current().id())
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

    pub(crate) fn when_durable(&self, position: u64, waiter: Arc<dyn Durable>) {
        {
            // The thread stores first and takes this lock afterwards, so either the check sees
            // the store or the thread sees the waiter.
            let mut waiters = self.shared.waiters.lock();
            if !self.shared.is_decided(position) {
                waiters.push((position, waiter));
                return;
            }
        }
        waiter.durable();
    }

    /// Blocks until `position` is durable.
    pub(crate) fn wait_durable(&self, position: u64) -> Result<(), LogError> {
        if self.durable() < position {
            let gate = Arc::new(Gate::default());
            self.when_durable(position, Arc::clone(&gate) as Arc<dyn Durable>);
            gate.wait();
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
        let mut thread = self.thread.lock();
        if let Some(handle) = thread.take() {
            // A waiter may own the last handle of the log; the thread cannot wait for itself.
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

impl<G> Open<G> {
    /// Notes that there is work; true if the thread must be woken for it.
    fn mark_dirty(&mut self, urgent: bool) -> bool {
        let first = self.dirty_since.is_none();
        if first {
            self.dirty_since = Some(Instant::now());
        }
        let more_urgent = urgent && !self.urgent;
        self.urgent |= urgent;
        first || more_urgent
    }
}

impl<G: Gather> Shared<G> {
    fn is_decided(&self, position: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= position
            || self.failure.get().is_some()
            || self.stopped.load(Ordering::Acquire)
    }

    /// Waits until there is a reason to write, then takes what there is.
    fn next(&self, work: &mut G::Work, idle: Duration) -> Round {
        let mut open = self.open.lock();
        while !open.urgent && !open.closing {
            match open.dirty_since {
                None => self.wake.wait(&mut open),
                Some(since) => {
                    if self.wake.wait_until(&mut open, since + idle).timed_out() {
                        break;
                    }
                }
            }
        }
        open.gather.take(work);
        open.urgent = false;
        open.dirty_since = None;
        Round {
            end: open.end,
            bytes: std::mem::take(&mut open.bytes),
            last: open.closing,
        }
    }

    /// Calls every waiter that `decided` picks, outside the lock, in the order they came.
    fn tell(&self, decided: impl Fn(u64) -> bool) {
        let mut told = Vec::new();
        self.waiters.lock().retain(|(position, waiter)| {
            let done = decided(*position);
            if done {
                told.push(Arc::clone(waiter));
            }
            !done
        });
        for waiter in told {
            waiter.durable();
        }
    }

    fn fail(&self, why: String) {
        {
            // Under the lock of the additions, so that none succeeds after the failure is known.
            let _open = self.open.lock();
            tracing::error!("log failed, nothing more becomes durable until a restart: {why}");
            let _ = self.failure.set(why);
            // Nobody must wait for room that will never come.
            self.buffered.store(0, Ordering::Relaxed);
        }
        self.tell(|_| true);
    }
}

struct Round {
    end: u64,
    bytes: usize,
    last: bool,
}

fn run<G: Gather, S: Sink<G::Work>>(shared: Arc<Shared<G>>, mut sink: S, idle: Duration) {
    let stop = StopOnExit(&shared);
    let mut work = G::Work::default();
    loop {
        let round = shared.next(&mut work, idle);
        match sink.commit(&mut work) {
            Ok(synced) => {
                shared.buffered.fetch_sub(round.bytes, Ordering::Relaxed);
                if synced {
                    shared.syncs.fetch_add(1, Ordering::Relaxed);
                }
                shared.durable.store(round.end, Ordering::Release);
                shared.tell(|position| position <= round.end);
                sink.committed(&mut work, round.end);
            }
            Err(error) => {
                shared.fail(error.to_string());
                break;
            }
        }
        if round.last {
            break;
        }
    }
    sink.stopped();
    drop(sink);
    drop(stop);
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

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.changed.wait(&mut open);
        }
    }
}

impl Durable for Gate {
    fn durable(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
}
