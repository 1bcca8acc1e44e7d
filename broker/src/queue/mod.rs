//! Queues: the handle other parts hold, in front of the state machine in [`state`].
//!
//! A [`Queue`] is reached only through its methods; nobody outside this folder sees the state.
//! Each method takes the lock once, runs the state machine, and leaves what must follow in the
//! caller's [`Turn`], to be done when no queue is locked any more.

mod attempts;
mod browse;
mod clients;
mod configuration;
mod consumers;
mod delayed;
mod entry;
mod figures;
mod loading;
mod operate;
mod paged;
mod paging;
#[cfg(test)]
mod paging_tests;
mod ready;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use warren_amqp::FieldTable;
use warren_storage::{QueueId, Seq};

pub use browse::{Browsed, Glance};
use configuration::Configuration;
pub use configuration::DeadLetter;
pub use consumers::{ChannelCredit, Consumer, ConsumerInfo, ConsumerLoad, ConsumerSink};
pub use entry::{Entry, ResidentLimits};
use figures::Tally;
pub use loading::HeadWaiter;
pub(crate) use loading::{Load, What};
use state::QueueState;
pub use state::{Depth, Got};
pub(crate) use state::{Effects, Logged};

use crate::arguments::{QueueArguments, QueueType};
use crate::delay::DelayStore;
use crate::ids::ConnectionId;
use crate::pager::Pager;
use crate::stats::{Event, ExchangeStats, MessageStats, Pairs, Track, VhostStats, key_of};
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
    /// Somebody consumes and cannot keep up: what is published now delays what is consumed.
    contended: AtomicBool,
    pager: Arc<Pager>,
    state: Mutex<QueueState>,
    /// What is counted without its lock: publishes, disk reads and writes.
    counted: MessageStats,
    /// Messages a restart brought back.
    recovered: AtomicU64,
    vhost_stats: Arc<VhostStats>,
    incoming: Pairs<ExchangeStats>,
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
        configuration::warn_of_fallback(&definition, &settings);
        let kind = settings.queue_type;
        let state = QueueState::new(settings, definition.auto_delete, now_ms);
        Arc::new(Self {
            definition,
            configuration,
            next_seq: AtomicU64::new(1),
            deleted: AtomicBool::new(false),
            defined_at: AtomicU64::new(0),
            pages: AtomicBool::new(false),
            contended: AtomicBool::new(false),
            pager: Arc::clone(pager),
            state: Mutex::new(state),
            counted: MessageStats::default(),
            recovered: AtomicU64::new(0),
            vhost_stats: Arc::clone(stats),
            incoming: Pairs::default(),
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

    /// Counts messages from an exchange, if rates are kept in detail.
    pub(crate) fn count_incoming(&self, exchange: &Arc<ExchangeStats>, n: u64) {
        let (sampler, other) = (self.track.sampler(), (key_of(exchange), exchange));
        self.incoming.count(sampler, other, &[(Event::Publish, n)]);
    }

    /// What came in, by exchange.
    pub fn incoming(&self) -> &Pairs<ExchangeStats> {
        &self.incoming
    }

    /// The sequence number the next message gets.
    pub fn next_seq(&self) -> Seq {
        self.next_seq.load(Ordering::Relaxed)
    }

    fn enter<R>(
        self: &Arc<Self>,
        turn: &mut Turn,
        work: impl FnOnce(&mut QueueState, u64, &mut Effects) -> R,
    ) -> R {
        let now_ms = turn.now_ms();
        let fx = turn.effects_of(self);
        let mut state = self.state.lock();
        let before = Tally::of(&state);
        state.set_limits(self.pager.limits());
        let result = work(&mut state, now_ms, fx);
        state.after(fx);
        self.tell(&mut state);
        let (happened, after) = (state.take_happened(), Tally::of(&state));
        drop(state);
        if std::mem::take(&mut fx.load) {
            self.pager.request(self);
        }
        if before != after || !happened.is_empty() {
            self.tell_vhost(&happened, &before, &after);
        }
        turn.absorb(self);
        result
    }

    /// Whether it is behind its consumers.
    pub(crate) fn contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Tells publishers whether to log everything, and the pager how much memory is kept.
    fn tell(&self, state: &mut QueueState) {
        let pages = state.pages();
        if pages != self.pages() {
            self.pages.store(pages, Ordering::Relaxed);
        }
        let contended = state.is_crowded();
        if contended != self.contended() {
            self.contended.store(contended, Ordering::Relaxed);
        }
        let memory = state.memory();
        self.pager.memory_changed(&mut state.memory_told, memory);
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
