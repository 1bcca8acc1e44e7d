//! Rounds: when the next is due, who makes it, and what follows from its outcome.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::state::{Engine, Open, Parked, Shared};
use super::{Durability, Gather, SMALL_BYTES};

/// How often a write or sync that failed is tried again.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 1000 });
/// The slowest disk, by the mean time of a round, for which a caller commits by itself.
const QUICK: Duration = Duration::from_micros(400);

impl<G: Gather> Shared<G> {
    pub(super) fn is_decided(&self, position: u64) -> bool {
        self.durable.load(Ordering::Acquire) >= position
            || self.failure.get().is_some()
            || self.stopped.load(Ordering::Acquire)
    }

    /// Notes that there is work, and wakes the thread if it would not see it in time.
    pub(super) fn mark_dirty(&self, mut open: MutexGuard<'_, Open<G>>, at_once: bool) {
        open.dirty_since.get_or_insert_with(Instant::now);
        let asleep = match open.parked {
            Parked::No => false,
            Parked::Shortly => at_once,
            Parked::ForGood => true,
        };
        self.wake_if(open, asleep);
    }

    /// Somebody waits for what was added as urgent.
    pub(super) fn hurry(&self) {
        let open = self.open.lock();
        let asleep = open.urgent && open.parked != Parked::No;
        self.wake_if(open, asleep);
    }

    pub(super) fn wake_if(&self, mut open: MutexGuard<'_, Open<G>>, asleep: bool) {
        if asleep {
            open.parked = Parked::No;
            drop(open);
            self.wake.notify_one();
        }
    }

    /// Waits until there is a reason to make a round. True if it is the last. `busy`: there was
    /// something to do a moment ago.
    pub(super) fn wait(&self, mut busy: bool) -> bool {
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
    pub(super) fn take(&self, open: &mut Open<G>, engine: &mut Engine<G::Work>) -> bool {
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
    pub(super) fn commit(&self, engine: &mut Engine<G::Work>, last: bool) -> io::Result<()> {
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
    pub(super) fn stall(&self, engine: &mut Engine<G::Work>, error: &io::Error) {
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
    pub(super) fn lead(&self, position: u64) -> bool {
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
    pub(super) fn round(&self, last: bool) -> bool {
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

    pub(super) fn tell_durable(&self) {
        let durable = self.durable.load(Ordering::Acquire);
        self.tell(|position| position <= durable);
    }

    /// Calls every waiter that `decided` picks, outside the lock, in the order they came.
    pub(super) fn tell(&self, decided: impl Fn(u64) -> bool) {
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

    pub(super) fn fail(&self, why: String) {
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
