//! Queues: the handle other parts hold, in front of the state machine in [`state`].
//!
//! A [`Queue`] is reached only through its methods; nobody outside this folder sees the state.
//! Each method takes the lock once, runs the state machine, and leaves what must follow in the
//! caller's [`Turn`], to be done when no queue is locked any more.

mod attempts;
mod browse;
mod configuration;
mod consumers;
mod delayed;
mod loading;
mod paged;
#[cfg(test)]
mod paging_tests;
mod ready;
mod state;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use warren_amqp::{FieldTable, parse_content_header, parse_properties};
use warren_storage::{QueueId, RecoveredQueue, Seq};

pub use browse::{Browsed, Glance};
use configuration::Configuration;
pub use configuration::DeadLetter;
pub use consumers::{ChannelCredit, Consumer, ConsumerInfo, ConsumerSink};
pub use loading::HeadWaiter;
pub(crate) use loading::{Load, What};
pub use ready::{Entry, ResidentLimits};
use state::{Arrivals, Counts, QueueState};
pub use state::{Depth, Got};
pub(crate) use state::{Effects, Logged};

use crate::arguments::{QueueArguments, QueueType};
use crate::delay::DelayStore;
use crate::ids::{ConnectionId, ConsumerId};
use crate::message::{Chunk, Message};
use crate::pager::Pager;
use crate::stats::{EVENTS, Event, MessageStats, Sampled, Track, VhostStats, difference};
use crate::turn::Turn;

/// What a queue was declared as.
#[derive(Clone, Debug)]
pub struct QueueDefinition {
    /// Its identity in the commit log; never reused.
    pub id: QueueId,
    /// Its vhost.
    pub vhost: Arc<str>,
    /// Its name.
    pub name: String,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted when its last consumer goes.
    pub auto_delete: bool,
    /// The connection it is exclusive to.
    pub owner: Option<ConnectionId>,
}

/// A queue.
pub struct Queue {
    definition: QueueDefinition,
    configuration: RwLock<Configuration>,
    next_seq: AtomicU64,
    deleted: AtomicBool,
    /// Index of the catalog command that made it; what is confirmed for it waits for that too.
    defined_at: AtomicU64,
    /// New messages should go to the log, transient ones too.
    pages: AtomicBool,
    pager: Arc<Pager>,
    state: Mutex<QueueState>,
    /// What is counted without its lock: publishes, disk reads and writes.
    counted: MessageStats,
    /// Messages a restart brought back.
    recovered: AtomicU64,
    vhost_stats: Arc<VhostStats>,
    track: Track,
    kind: QueueType,
    /// Only in the store of a delayed exchange: what it holds; `state` stays empty then.
    delay: Option<Mutex<DelayStore>>,
}

/// Why a consumer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumeRefused {
    /// The queue was deleted meanwhile.
    Gone,
    /// An exclusive consumer holds it, or exclusive use was asked while others consume.
    InUse,
}

/// Why a queue was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteRefused {
    /// It has consumers.
    InUse,
    /// It has messages.
    NotEmpty,
    /// It was deleted meanwhile.
    Gone,
}

impl Queue {
    /// A new, empty queue of the vhost these counters belong to. `settings` is what its arguments
    /// and policies come to.
    pub(crate) fn new_in(
        definition: QueueDefinition,
        arguments: FieldTable,
        settings: QueueArguments,
        now_ms: u64,
        stats: &Arc<VhostStats>,
        pager: &Arc<Pager>,
    ) -> Arc<Self> {
        Self::build(
            definition,
            arguments,
            settings,
            None,
            now_ms,
            (stats, pager),
        )
    }

    fn build(
        definition: QueueDefinition,
        arguments: FieldTable,
        settings: QueueArguments,
        delay: Option<Mutex<DelayStore>>,
        now_ms: u64,
        (stats, pager): (&Arc<VhostStats>, &Arc<Pager>),
    ) -> Arc<Self> {
        let configuration = RwLock::new(Configuration::new(arguments, &settings));
        let kind = settings.queue_type;
        let state = QueueState::new(settings, definition.auto_delete, now_ms);
        Arc::new(Self {
            definition,
            configuration,
            next_seq: AtomicU64::new(1),
            deleted: AtomicBool::new(false),
            defined_at: AtomicU64::new(0),
            pages: AtomicBool::new(false),
            pager: Arc::clone(pager),
            state: Mutex::new(state),
            counted: MessageStats::default(),
            recovered: AtomicU64::new(0),
            vhost_stats: Arc::clone(stats),
            track: Track::new(stats.sampler()),
            kind,
            delay,
        })
    }

    /// What it was declared as.
    pub fn definition(&self) -> &QueueDefinition {
        &self.definition
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Its identity in the commit log.
    pub fn id(&self) -> QueueId {
        self.definition.id
    }

    /// Whether messages in it may survive a restart.
    pub fn durable(&self) -> bool {
        self.definition.durable && self.definition.owner.is_none()
    }

    /// How it keeps its messages.
    pub fn kind(&self) -> QueueType {
        self.kind
    }

    /// Whether every message is stored, whatever its publisher asked for.
    pub(crate) fn stores_all(&self) -> bool {
        self.kind == QueueType::Quorum || self.delay.is_some()
    }

    /// Whether only one of its consumers is served.
    pub fn is_single_active(&self) -> bool {
        self.state.lock().settings().single_active_consumer
    }

    /// Whether it has been deleted; a handle may outlive its queue.
    pub fn deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Index of the catalog command that declared it (0 for none).
    pub fn defined_at(&self) -> u64 {
        self.defined_at.load(Ordering::Relaxed)
    }

    pub(crate) fn set_defined_at(&self, index: u64) {
        self.defined_at.store(index, Ordering::Relaxed);
    }

    /// Takes `n` sequence numbers and returns the first.
    pub fn reserve_seqs(&self, n: u64) -> Seq {
        self.next_seq.fetch_add(n, Ordering::Relaxed)
    }

    /// Numbers of messages and consumers.
    pub fn depth(&self) -> Depth {
        self.state.lock().depth()
    }

    /// Counters, by the number of their [`Event`].
    pub fn counts(&self) -> [u64; EVENTS] {
        let counts = *self.state.lock().counts();
        self.with_counted(counts)
    }

    /// Depth and counters of one moment.
    pub fn reading(&self) -> (Depth, [u64; EVENTS]) {
        let state = self.state.lock();
        let (depth, counts) = (state.depth(), *state.counts());
        drop(state);
        (depth, self.with_counted(counts))
    }

    fn with_counted(&self, mut counts: Counts) -> Counts {
        for event in [Event::Publish, Event::DiskReads, Event::DiskWrites] {
            counts[event as usize] += self.counted.get(event);
        }
        counts
    }

    /// Counts messages that clients published to it, and how many of them were logged.
    pub(crate) fn count_published(self: &Arc<Self>, n: u64, logged: u64) {
        self.counted.add(Event::Publish, n);
        self.counted.add(Event::DiskWrites, logged);
        self.vhost_stats.count(Event::DiskWrites, logged);
        self.track.touched(self);
    }

    /// The sequence number the next message gets.
    pub fn next_seq(&self) -> Seq {
        self.next_seq.load(Ordering::Relaxed)
    }

    /// The timestamp property of the message delivered next, seconds since 1970.
    pub fn head_timestamp(&self) -> Option<u64> {
        let head = self.state.lock().head()?;
        let content = parse_content_header(head.header()).ok()?;
        parse_properties(content.properties).ok()?.timestamp
    }

    /// The consumer served when the queue is single-active.
    pub fn active_consumer(&self) -> Option<ConsumerId> {
        self.state.lock().active_consumer()
    }

    /// Ready messages and consumers, as `declare-ok` reports them; counts as use of the queue.
    pub fn touch(self: &Arc<Self>, turn: &mut Turn) -> Depth {
        self.enter(turn, |state, now, fx| {
            state.touch(now, fx);
            state.depth()
        })
    }

    /// Whether new messages should be written to the log even if they are not to survive a
    /// restart: then they need not be kept in memory.
    pub(crate) fn pages(&self) -> bool {
        self.pages.load(Ordering::Relaxed)
    }

    /// Enqueues messages `ranges` of `chunk`, numbered from `first_seq`, and delivers what can
    /// be. `logged` says which of them the commit log has. Positions refused by a length limit
    /// are appended to `rejected`.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        chunk: &Arc<Chunk>,
        ranges: &[(u32, u32)],
        first_seq: Seq,
        logged: Logged,
        turn: &mut Turn,
        rejected: &mut Vec<u32>,
    ) {
        if let Some(store) = &self.delay {
            let indexes = ranges.iter().flat_map(|&(start, len)| start..start + len);
            let entries = indexes.zip(first_seq..).map(|(index, seq)| {
                let message = Message::new(chunk, index);
                DelayStore::entry(seq, message, logged == Logged::All)
            });
            return self.delay(store, entries, turn);
        }
        let new = Arrivals {
            chunk,
            ranges,
            first_seq,
            logged,
        };
        self.enter(turn, |state, now, fx| {
            state.enqueue(new, now, fx);
            if !fx.rejected.is_empty() {
                let mut indexes = ranges.iter().flat_map(|&(start, len)| start..start + len);
                let mut at = 0;
                for position in fx.rejected.drain(..) {
                    rejected.extend(indexes.nth((position - at) as usize));
                    at = position + 1;
                }
            }
        });
    }

    /// Adds a consumer. `accepted` runs before anything can be delivered to it, with the queue
    /// locked: it writes `consume-ok`. Waiting messages come with the next [`kick`](Self::kick).
    pub fn add_consumer(
        &self,
        consumer: Consumer,
        now_ms: u64,
        accepted: impl FnOnce(),
    ) -> Result<(), ConsumeRefused> {
        let mut state = self.state.lock();
        if state.deleted() {
            return Err(ConsumeRefused::Gone);
        }
        let single_active = state.settings().single_active_consumer;
        let alone = state.consumers().is_empty();
        // H-106, H-108.
        let refused = consumer.info.exclusive && (!alone || single_active);
        if refused || state.consumers().exclusive() {
            return Err(ConsumeRefused::InUse);
        }
        accepted();
        state.add_consumer(consumer, now_ms);
        Ok(())
    }

    /// Removes a consumer. An auto-delete queue that lost its last one is deleted when the turn
    /// ends.
    pub fn remove_consumer(self: &Arc<Self>, id: ConsumerId, turn: &mut Turn) {
        self.enter(turn, |state, now, fx| state.remove_consumer(id, now, fx));
    }

    /// A channel ends: its consumers here leave and what it had not settled comes back, in one
    /// step. An auto-delete queue that lost its last consumer is deleted when the turn ends.
    pub fn leave(self: &Arc<Self>, consumers: &[ConsumerId], entries: Vec<Entry>, turn: &mut Turn) {
        self.enter(turn, |state, now, fx| {
            state.leave(consumers, entries, now, fx);
        });
    }

    /// Delivers what can be delivered: a consumer was added or has room again.
    pub fn kick(self: &Arc<Self>, turn: &mut Turn) {
        self.enter(turn, |state, now, fx| state.dispatch(now, fx));
    }

    /// Takes one message for `basic.get`, and how many remain ready. When the next one is not in
    /// memory, `waiter` is told once it is.
    pub fn get(
        self: &Arc<Self>,
        no_ack: bool,
        waiter: &Arc<dyn HeadWaiter>,
        turn: &mut Turn,
    ) -> Got<(Entry, usize)> {
        self.enter(turn, |state, now, fx| match state.get(no_ack, now, fx) {
            Got::Message(entry) => Got::Message((entry, state.depth().ready)),
            Got::Empty => Got::Empty,
            Got::Away => {
                state.await_head(Arc::clone(waiter));
                Got::Away
            }
        })
    }

    /// The client acked these deliveries of `consumer` (none for `basic.get`).
    pub fn ack(self: &Arc<Self>, consumer: Option<ConsumerId>, entries: &[Entry], turn: &mut Turn) {
        self.enter(turn, |state, now, fx| {
            state.acked(consumer, entries, now, fx)
        });
    }

    /// The client rejected these without requeue: dead-letter or drop.
    pub fn reject(
        self: &Arc<Self>,
        consumer: Option<ConsumerId>,
        entries: Vec<Entry>,
        turn: &mut Turn,
    ) {
        self.enter(turn, |state, now, fx| {
            state.rejected(consumer, entries, now, fx)
        });
    }

    /// These deliveries come back to their places.
    pub fn requeue(
        self: &Arc<Self>,
        consumer: Option<ConsumerId>,
        entries: Vec<Entry>,
        turn: &mut Turn,
    ) {
        self.enter(turn, |state, now, fx| {
            state.requeue(consumer, entries, now, fx)
        });
    }

    /// Drops the ready messages; returns how many.
    pub fn purge(self: &Arc<Self>, turn: &mut Turn) -> usize {
        self.enter(turn, |state, _, fx| state.purge(fx))
    }

    /// Ends the queue when the conditions hold; its consumers are told. Returns the ready count.
    /// The vhost removes it from its tables; this only closes the state.
    pub(crate) fn close(
        self: &Arc<Self>,
        if_unused: bool,
        if_empty: bool,
        turn: &mut Turn,
    ) -> Result<usize, DeleteRefused> {
        let (n, consumers) = self.enter(turn, |state, _, fx| {
            let depth = state.depth();
            if state.deleted() {
                return Err(DeleteRefused::Gone);
            }
            if if_unused && depth.consumers > 0 {
                return Err(DeleteRefused::InUse);
            }
            if if_empty && depth.ready > 0 {
                return Err(DeleteRefused::NotEmpty);
            }
            self.deleted.store(true, Ordering::Release);
            Ok(state.delete(fx))
        })?;
        self.close_delay(turn);
        consumers.iter().for_each(Consumer::tell_cancelled);
        turn.gone.push(self.id());
        Ok(n)
    }

    /// A timer fired. True when the queue itself has expired.
    pub fn expire(self: &Arc<Self>, turn: &mut Turn) -> bool {
        self.enter(turn, |state, now, fx| state.expire(now, fx))
    }

    /// Goes on numbering above `seq`: the log still names messages up to it.
    pub(crate) fn number_above(&self, seq: Seq) {
        self.next_seq.fetch_max(seq + 1, Ordering::Relaxed);
    }

    /// Puts what a restart found in the log into the store of a delayed exchange.
    pub(crate) fn recover_delayed(&self, entries: Vec<Entry>) {
        if let Some(store) = &self.delay {
            store.lock().keep(entries.into_iter());
        }
    }

    /// Takes in what a restart found in the log. Where priorities count, the messages come with
    /// [`recover_levels`](Self::recover_levels).
    pub(crate) fn recover(&self, found: &RecoveredQueue) {
        self.state.lock().recover(found);
        self.recovered.fetch_add(found.messages, Ordering::Relaxed);
        self.vhost_stats.depth_changed(found.messages as i64, 0);
    }

    /// Takes in messages a restart found in the log, of these levels.
    pub(crate) fn recover_levels(&self, found: &[(u8, Seq)]) {
        self.state.lock().recover_levels(found);
    }

    /// The priorities told apart, from 0; `None` when they do not count.
    pub(crate) fn max_priority(&self) -> Option<u8> {
        let max = self.state.lock().settings().max_priority;
        max.filter(|max| *max > 0)
    }

    /// What the pager is to read; `None` when nothing is wanted any more.
    pub(crate) fn begin_load(&self) -> Option<Load> {
        let mut state = self.state.lock();
        state.set_limits(self.pager.limits());
        state.begin_load()
    }

    /// What the pager has read, ascending, and what the log cannot give back.
    pub(crate) fn end_load(
        self: &Arc<Self>,
        what: What,
        loaded: Vec<(Seq, Message)>,
        lost: &[Seq],
        turn: &mut Turn,
    ) {
        self.counted.add(Event::DiskReads, loaded.len() as u64);
        self.vhost_stats
            .count(Event::DiskReads, loaded.len() as u64);
        self.enter(turn, |state, now, fx| {
            state.end_load(what, loaded, lost, now, fx);
        });
    }

    /// Frees memory: pages out what the log has, and lists at most `most` messages that should be
    /// written there to be paged out later.
    pub(crate) fn page_out(self: &Arc<Self>, most: usize, turn: &mut Turn) -> Vec<Entry> {
        self.enter(turn, |state, _, _| {
            let mut unlogged = Vec::new();
            state.page_out(most, &mut unlogged);
            unlogged
        })
    }

    /// The log has these now.
    pub(crate) fn now_logged(self: &Arc<Self>, entries: &[Entry], turn: &mut Turn) {
        self.counted.add(Event::DiskWrites, entries.len() as u64);
        self.vhost_stats
            .count(Event::DiskWrites, entries.len() as u64);
        self.enter(turn, |state, _, fx| state.now_logged(entries, fx));
    }

    /// Calls `see` with every consumer.
    pub fn each_consumer(&self, mut see: impl FnMut(&ConsumerInfo)) {
        self.state
            .lock()
            .consumers()
            .iter()
            .for_each(|consumer| see(&consumer.info));
    }

    fn enter<R>(
        self: &Arc<Self>,
        turn: &mut Turn,
        work: impl FnOnce(&mut QueueState, u64, &mut Effects) -> R,
    ) -> R {
        let now_ms = turn.now_ms();
        let mut fx = turn.take_effects(self);
        let mut state = self.state.lock();
        let before = Tally::of(&state);
        state.set_limits(self.pager.limits());
        let result = work(&mut state, now_ms, &mut fx);
        state.after(&mut fx);
        self.tell(&mut state);
        let after = Tally::of(&state);
        drop(state);
        if std::mem::take(&mut fx.load) {
            self.pager.request(self);
        }
        if before != after {
            self.tell_vhost(&before, &after);
        }
        turn.absorb(self, fx);
        result
    }

    /// Tells publishers whether to log everything, and the pager how much memory is kept.
    fn tell(&self, state: &mut QueueState) {
        let pages = state.pages();
        if pages != self.pages() {
            self.pages.store(pages, Ordering::Relaxed);
        }
        let memory = state.memory();
        self.pager.memory_changed(&mut state.memory_told, memory);
    }

    fn tell_vhost(self: &Arc<Self>, before: &Tally, after: &Tally) {
        if before.counts != after.counts {
            let happened = difference(&after.counts, &before.counts);
            self.vhost_stats.count_all(&happened);
        }
        let ready = after.ready as i64 - before.ready as i64;
        let unacked = after.unacked as i64 - before.unacked as i64;
        self.vhost_stats.depth_changed(ready, unacked);
        self.track.touched(self);
    }
}

/// What is told to the vhost: counters and depth, which of a deleted queue is nothing.
#[derive(PartialEq)]
struct Tally {
    counts: Counts,
    ready: usize,
    unacked: usize,
}

impl Tally {
    fn of(state: &QueueState) -> Self {
        let depth = match state.deleted() {
            true => Depth::default(),
            false => state.depth(),
        };
        Self {
            counts: *state.counts(),
            ready: depth.ready,
            unacked: depth.unacked,
        }
    }
}

impl Sampled for Queue {
    fn track(&self) -> &Track {
        &self.track
    }

    /// Events, ready, unacked.
    fn read(&self, values: &mut Vec<u64>) {
        let (depth, counts) = self.reading();
        values.extend(counts);
        values.extend([depth.ready as u64, depth.unacked as u64]);
    }

    fn origin(&self, values: &mut [u64]) {
        values[EVENTS] = self.recovered.load(Ordering::Relaxed);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let told = &mut self.state.get_mut().memory_told;
        self.pager.memory_changed(told, 0);
    }
}

/// A queue as the routing tables see it: compared by identity.
#[derive(Clone)]
pub struct QueueHandle(pub Arc<Queue>);

impl PartialEq for QueueHandle {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for QueueHandle {}

impl Hash for QueueHandle {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.id().hash(hasher);
    }
}
