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

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::disk::DiskFile;
use crate::error::LogError;

/// How often a write or sync that failed is tried again.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 1000 });
/// How often somebody who blocks looks whether the log has stalled.
const GATE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });
/// With [`Durability::Os`]: how often what was written is synced.
const OS_SYNC: Duration = Duration::from_millis(200);
/// How often somebody looks whether that has happened.
const SYNCED: Duration = Duration::from_millis(10);
/// The slowest disk, by the mean time of a round, for which a caller commits by itself.
const QUICK: Duration = Duration::from_micros(400);
/// The most a caller writes by itself; additions larger than this wake the thread at once.
const SMALL_BYTES: usize = 16 << 10;

/// When something counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk (`fdatasync`): survives the loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: survives the end of the process; the loss of power takes
    /// what was written in the last moments (it is synced every 200 ms).
    Os,
}

impl Durability {
    /// The setting with this name: `fsync` or `os`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "fsync" => Some(Self::Fsync),
            "os" => Some(Self::Os),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }
}

/// Somebody who waits for something to be on disk.
pub trait Durable: Send + Sync {
    /// Called once, from whoever commits or from the caller of `when_durable`. Must not block.
    fn durable(&self);
}

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
    /// When to try again what has failed.
    retry_at: Option<Instant>,
    parked: Parked,
}

/// What the thread waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parked {
    /// It works.
    No,
    /// It looks again within the idle time.
    Shortly,
    /// It must be woken.
    ForGood,
}

/// What belongs to whoever makes a round.
struct Engine<W> {
    sink: Box<dyn Sink<W>>,
    /// What the last round wrote; not durable while `stalled`.
    work: W,
    round: Round,
    /// A commit has failed and `work` must be written again before anything else.
    stalled: bool,
}

/// What a round covers.
#[derive(Clone, Copy, Default)]
struct Round {
    end: u64,
    bytes: usize,
}

struct Shared<G: Gather> {
    open: Mutex<Open<G>>,
    /// Taken before `open`.
    engine: Mutex<Engine<G::Work>>,
    wake: Condvar,
    pace: Pace,
    end: AtomicU64,
    durable: AtomicU64,
    synced: AtomicU64,
    buffered: AtomicUsize,
    syncs: AtomicU64,
    /// Mean time of a round, nanoseconds.
    round_ns: AtomicU64,
    /// Callers may commit by themselves at all.
    may_lead: bool,
    /// A sync in the background has failed.
    sync_failed: Mutex<Option<io::Error>>,
    stalled: Mutex<Option<String>>,
    failure: OnceLock<String>,
    stopped: AtomicBool,
    waiters: Mutex<Vec<(u64, Arc<dyn Durable>)>>,
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

impl<G: Gather> Shared<G> {
    fn is_decided(&self, position: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= position
            || self.failure.get().is_some()
            || self.stopped.load(Ordering::Acquire)
    }

    /// Notes that there is work, and wakes the thread if it would not see it in time.
    fn mark_dirty(&self, mut open: MutexGuard<'_, Open<G>>, at_once: bool) {
        open.dirty_since.get_or_insert_with(Instant::now);
        let asleep = match open.parked {
            Parked::No => false,
            Parked::Shortly => at_once,
            Parked::ForGood => true,
        };
        self.wake_if(open, asleep);
    }

    /// Somebody waits for what was added as urgent.
    fn hurry(&self) {
        let open = self.open.lock();
        let asleep = open.urgent && open.parked != Parked::No;
        self.wake_if(open, asleep);
    }

    fn wake_if(&self, mut open: MutexGuard<'_, Open<G>>, asleep: bool) {
        if asleep {
            open.parked = Parked::No;
            drop(open);
            self.wake.notify_one();
        }
    }

    /// Waits until there is a reason to make a round. True if it is the last. `busy`: there was
    /// something to do a moment ago.
    fn wait(&self, mut busy: bool) -> bool {
        let idle = self.pace.idle;
        let mut open = self.open.lock();
        loop {
            let now = Instant::now();
            if open.closing || self.failure.get().is_some() {
                return true;
            }
            let until = match (open.retry_at, open.dirty_since) {
                (Some(at), _) => Some(at),
                (None, _) if open.urgent => return false,
                (None, Some(since)) => Some(since + idle),
                // Who adds the next thing soon need not wake us.
                (None, None) => busy.then_some(now + idle),
            };
            match until {
                Some(at) if at <= now => {
                    open.retry_at = None;
                    return false;
                }
                Some(at) => {
                    open.parked = Parked::Shortly;
                    let late = self.wake.wait_until(&mut open, at).timed_out();
                    open.parked = Parked::No;
                    if late && open.dirty_since.is_none() {
                        busy = false;
                        if open.retry_at.is_none() {
                            return open.closing;
                        }
                    }
                }
                None => {
                    open.parked = Parked::ForGood;
                    self.wake.wait(&mut open);
                    open.parked = Parked::No;
                }
            }
        }
    }

    /// Takes what there is, for a round; false if what has failed cannot be written again.
    fn take(&self, open: &mut Open<G>, engine: &mut Engine<G::Work>) -> bool {
        if engine.stalled {
            let Some(end) = open.gather.rewrite(&mut engine.work) else {
                return false;
            };
            open.end = end;
            self.end.store(open.end, Ordering::Release);
            engine.round.bytes += std::mem::take(&mut open.bytes);
        } else {
            open.gather.take(&mut engine.work);
            engine.round.bytes = std::mem::take(&mut open.bytes);
        }
        engine.round.end = open.end;
        open.urgent = false;
        open.dirty_since = None;
        true
    }

    /// Writes what was taken. Whoever calls it tells the waiters next, then calls `committed`.
    fn commit(&self, engine: &mut Engine<G::Work>, last: bool) -> io::Result<()> {
        let sync = last || engine.stalled || self.pace.durability == Durability::Fsync;
        let start = Instant::now();
        if let Some(error) = self.sync_failed.lock().take() {
            return Err(error);
        }
        let wrote = engine.sink.commit(&mut engine.work, sync)?;
        let end = engine.round.end;
        self.buffered
            .fetch_sub(engine.round.bytes, Ordering::Relaxed);
        if wrote {
            let before = self.round_ns.load(Ordering::Relaxed);
            let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let mean = before - before / 8 + took / 8;
            self.round_ns.store(mean, Ordering::Relaxed);
            self.syncs.fetch_add(u64::from(sync), Ordering::Relaxed);
        }
        if sync {
            self.synced.store(end, Ordering::Release);
        }
        self.durable.store(end, Ordering::Release);
        if std::mem::take(&mut engine.stalled) {
            *self.stalled.lock() = None;
            tracing::info!("the log can be written again");
        }
        Ok(())
    }

    /// A commit has failed: it is tried again later, with what has been added by then.
    fn stall(&self, engine: &mut Engine<G::Work>, error: &io::Error) {
        engine.sink.abandon();
        if !engine.stalled {
            tracing::error!("the log cannot be written, nothing is confirmed meanwhile: {error}");
        }
        engine.stalled = true;
        *self.stalled.lock() = Some(error.to_string());
        let mut open = self.open.lock();
        open.retry_at = Some(Instant::now() + RETRY);
        let asleep = open.parked != Parked::No;
        self.wake_if(open, asleep);
    }

    /// A round by a caller; false if the thread had better do it.
    fn lead(&self, position: u64) -> bool {
        let quick = self.round_ns.load(Ordering::Relaxed) < QUICK.as_nanos() as u64;
        if !self.may_lead || !quick || !self.waiters.lock().is_empty() {
            return false;
        }
        let Some(mut guard) = self.engine.try_lock() else {
            return false;
        };
        let engine = &mut *guard;
        if engine.stalled {
            return false;
        }
        {
            let mut open = self.open.lock();
            if open.closing || open.bytes > SMALL_BYTES || self.failure.get().is_some() {
                return false;
            }
            if !self.take(&mut open, engine) {
                return false;
            }
        }
        if let Err(error) = self.commit(engine, false) {
            self.stall(engine, &error);
            return false;
        }
        engine.sink.committed(&mut engine.work, engine.round.end);
        drop(guard);
        self.tell_durable();
        self.durable.load(Ordering::Acquire) >= position
    }

    /// A round by the thread; false if there was nothing to do.
    fn round(&self, last: bool) -> bool {
        let mut guard = self.engine.lock();
        let engine = &mut *guard;
        if self.failure.get().is_some() {
            return false;
        }
        let taken = {
            let mut open = self.open.lock();
            let nothing = open.dirty_since.is_none() && !engine.stalled;
            if nothing && !last {
                return false;
            }
            self.take(&mut open, engine)
        };
        if !taken {
            let why = self.stalled.lock().clone();
            self.fail(why.unwrap_or_default());
            return false;
        }
        match self.commit(engine, last) {
            Ok(()) => {
                self.tell_durable();
                engine.sink.committed(&mut engine.work, engine.round.end);
            }
            Err(error) => self.stall(engine, &error),
        }
        true
    }

    fn tell_durable(&self) {
        let durable = self.durable.load(Ordering::Acquire);
        self.tell(|position| position <= durable);
    }

    /// Calls every waiter that `decided` picks, outside the lock, in the order they came.
    fn tell(&self, decided: impl Fn(u64) -> bool) {
        let mut waiters = self.waiters.lock();
        if waiters.is_empty() {
            return;
        }
        let told: Vec<_> = waiters
            .extract_if(.., |(position, _)| decided(*position))
            .collect();
        drop(waiters);
        for (_, waiter) in told {
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

fn run<G: Gather>(shared: Arc<Shared<G>>) {
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
fn sync_in_background<G: Gather>(shared: Arc<Shared<G>>) {
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

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// True when it has been opened; looks for at most `time`.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut open = self.open.lock();
        while !*open {
            if self.changed.wait_until(&mut open, until).timed_out() {
                break;
            }
        }
        *open
    }
}

impl Durable for Gate {
    fn durable(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
}
