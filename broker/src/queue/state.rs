//! One queue as a state machine: entries in, deliveries and effects out.
//!
//! No lock, clock, disk or network in here: the time is an argument, deliveries go through
//! [`ConsumerSink`](super::ConsumerSink), and whatever must happen elsewhere afterwards (log
//! records, dead letters, deletion) is written into [`Effects`].

mod effects;
mod expiry;
mod length;
mod loading;
mod retained;
mod settings;
mod settlement;
mod single_active;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use warren_storage::Seq;

pub use self::effects::Got;
pub(crate) use self::effects::{Arrivals, Effects, Logged};
use self::retained::Retained;
use self::single_active::Served;
use super::browse::{Glance, Seen};
use super::consumers::{Consumer, Consumers};
use super::entry::{Entry, ResidentLimits};
use super::loading::HeadWaiter;
use super::ready::Ready;
use crate::arguments::{Overflow, QueueArguments};
use crate::dead_letter::DeathReason;
use crate::ids::ConsumerId;
use crate::message::{Message, Meta};
use crate::stats::{EVENTS, Event, Happened};

/// Counters of what happened to a queue, by the number of their [`Event`].
pub(crate) type Counts = [u64; EVENTS];

/// Ready and unacked messages, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages ready for delivery.
    pub ready: usize,
    /// Body bytes of the ready messages.
    pub ready_bytes: u64,
    /// Messages handed out and not yet settled.
    pub unacked: usize,
    /// Body bytes of the unacked messages.
    pub unacked_bytes: u64,
    /// Of the ready messages: those that are in the log only.
    pub paged: usize,
    /// Bytes of their bodies.
    pub paged_bytes: u64,
    /// Of the unacked messages: those that are in the log only.
    pub unacked_paged: usize,
    /// Bytes of their bodies.
    pub unacked_paged_bytes: u64,
    /// Dead letters that found no place yet.
    pub retained: usize,
    /// Bytes of their bodies.
    pub retained_bytes: u64,
    /// Consumers.
    pub consumers: usize,
}

impl Depth {
    /// All messages.
    pub fn messages(&self) -> usize {
        self.ready + self.unacked + self.retained
    }

    /// Bytes of their bodies.
    pub fn bytes(&self) -> u64 {
        self.ready_bytes + self.unacked_bytes + self.retained_bytes
    }

    /// Messages in memory.
    pub fn ram(&self) -> usize {
        self.ready + self.unacked - self.paged - self.unacked_paged
    }

    /// Bytes of their bodies.
    pub fn ram_bytes(&self) -> u64 {
        let bytes = self.ready_bytes + self.unacked_bytes;
        bytes.saturating_sub(self.paged_bytes + self.unacked_paged_bytes)
    }
}

/// Ready messages from which consumers count as behind.
const CROWD: usize = 1024;

/// The state of one queue.
pub(crate) struct QueueState {
    settings: QueueArguments,
    auto_delete: bool,
    ready: Ready,
    consumers: Consumers,
    /// Of a single-active quorum queue: who is served.
    active: Option<ConsumerId>,
    unacked: usize,
    unacked_bytes: u64,
    /// Of the unacked messages, those whose bytes nobody keeps: how many, bytes of their bodies.
    unacked_away: (usize, u64),
    had_consumer: bool,
    deleted: bool,
    /// An operator holds deliveries to all consumers back.
    paused: bool,
    /// Highest sequence number the log already knows as delivered.
    delivered_logged: Seq,
    /// When the queue was last used, for `x-expires`.
    last_used_ms: u64,
    /// Whether any entry with a deadline was ever enqueued: without one, nothing is checked.
    timed: bool,
    /// The timer that is set, if any.
    scheduled: Option<u64>,
    /// How much of a backlog stays in memory.
    limits: ResidentLimits,
    /// Dead letters whose bytes must be loaded first, in order.
    dying: VecDeque<(Entry, DeathReason)>,
    /// Dead letters that found no place yet.
    retained: Retained,
    /// The pager has been told, and has not looked here yet or is at it.
    loading: bool,
    /// To be told when the head is here.
    waiting: Vec<Arc<dyn HeadWaiter>>,
    /// Up to here all was handed out before the restart.
    redelivered_up_to: Seq,
    /// Delivery counts from before the restart, of what was not loaded since.
    delivery_counts: FxHashMap<Seq, u16>,
    /// Memory of the ready messages, as last told to the pager.
    pub(super) memory_told: usize,
    counts: Counts,
    /// Of that: what its vhost was not told yet.
    happened: Happened,
}

impl QueueState {
    /// An empty queue.
    pub(crate) fn new(settings: QueueArguments, auto_delete: bool, now_ms: u64) -> Self {
        let ready = Ready::new(settings.max_priority.unwrap_or(0));
        Self {
            settings,
            auto_delete,
            ready,
            consumers: Consumers::default(),
            active: None,
            unacked: 0,
            unacked_bytes: 0,
            unacked_away: (0, 0),
            had_consumer: false,
            deleted: false,
            paused: false,
            delivered_logged: 0,
            last_used_ms: now_ms,
            timed: false,
            scheduled: None,
            limits: ResidentLimits {
                messages: usize::MAX,
                bytes: usize::MAX,
            },
            dying: VecDeque::new(),
            retained: Retained::default(),
            loading: false,
            waiting: Vec::new(),
            redelivered_up_to: 0,
            delivery_counts: FxHashMap::default(),
            memory_told: 0,
            counts: Counts::default(),
            happened: Happened::default(),
        }
    }

    /// Sets how much of a backlog stays in memory from now on.
    pub(crate) fn set_limits(&mut self, limits: ResidentLimits) {
        if self.limits != limits {
            self.limits = limits;
            self.ready.set_limits(limits);
        }
    }

    /// Whether the queue has been deleted (a handle may outlive it).
    pub(crate) fn deleted(&self) -> bool {
        self.deleted
    }

    /// The arguments in force.
    pub(crate) fn settings(&self) -> &QueueArguments {
        &self.settings
    }

    /// Counters.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn count(&mut self, event: Event, n: u64) {
        self.counts[event as usize] += n;
        self.happened.add(event, n);
    }

    /// What was counted since the last call.
    pub(crate) fn take_happened(&mut self) -> Happened {
        std::mem::take(&mut self.happened)
    }

    /// Ready and unacked messages.
    pub(crate) fn ready_and_unacked(&self) -> (usize, usize) {
        (self.ready.len(), self.unacked)
    }

    /// Numbers of messages and consumers.
    pub(crate) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready.len(),
            ready_bytes: self.ready.body_bytes(),
            unacked: self.unacked,
            unacked_bytes: self.unacked_bytes,
            paged: self.ready.away(),
            paged_bytes: self.ready.away_bytes(),
            unacked_paged: self.unacked_away.0.min(self.unacked),
            unacked_paged_bytes: self.unacked_away.1,
            retained: self.retained.len(),
            retained_bytes: self.retained.bytes(),
            consumers: self.consumers.len(),
        }
    }

    /// Memory kept by ready messages, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.ready.memory()
    }

    /// Whether new messages should go to the log, transient ones too.
    pub(crate) fn pages(&self) -> bool {
        !self.deleted && self.ready.pages_any()
    }

    /// Whether there are consumers, and so much waits for them that publishers should leave them
    /// their turn.
    pub(crate) fn is_crowded(&self) -> bool {
        self.ready.len() >= CROWD && !self.consumers.is_empty()
    }

    /// The consumers.
    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// To change who of them is served.
    pub(crate) fn consumers_mut(&mut self) -> &mut Consumers {
        &mut self.consumers
    }

    /// Whether deliveries to all consumers are held back.
    pub(crate) fn paused(&self) -> bool {
        self.paused
    }

    /// Holds them back, or lets them go on.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The message delivered next.
    pub(crate) fn head(&self) -> Option<Message> {
        self.ready.head().map(|entry| entry.message.clone())
    }

    /// The ready entries in delivery order.
    #[cfg(test)]
    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Takes in newly published messages and delivers what can be delivered. A deleted queue
    /// swallows them: that counts as confirmed.
    pub(crate) fn enqueue(&mut self, new: Arrivals<'_>, now_ms: u64, fx: &mut Effects) {
        let chunk = new.chunk;
        let indexes = new.ranges.iter().flat_map(|&(start, n)| start..start + n);
        let numbered = indexes.zip(new.first_seq..);
        let logged = |meta: Meta| match new.logged {
            Logged::None => false,
            Logged::Persistent => meta.persistent(),
            Logged::All => true,
        };
        if self.deleted {
            let logged = numbered.filter(|(index, _)| logged(chunk.meta(*index)));
            return fx.settled.extend(logged.map(|(_, seq)| seq));
        }
        let limited =
            self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some();
        let drop_head = self.settings.overflow == Overflow::DropHead;
        let enqueued_ms = chunk.enqueued_ms();
        for (position, (index, seq)) in numbered.enumerate() {
            let (meta, body_len) = (chunk.meta(index), chunk.body_len(index));
            let (level, deadline_ms) = self.fit(meta, enqueued_ms, now_ms);
            let entry = || Entry {
                seq,
                message: Message::new(chunk, index),
                logged: logged(meta),
                deliveries: 0,
                redelivered: false,
                release: false,
                level,
                deadline_ms,
            };
            if limited && !drop_head {
                self.dispatch(now_ms, fx);
                if self.over_limit(1, body_len as u64) {
                    self.refuse(entry(), position as u32, fx);
                    continue;
                }
            }
            if self.ready.pages(level) && logged(meta) {
                self.ready.push_paged(level, seq, body_len);
            } else {
                self.ready.push(entry());
            }
            if limited {
                self.ready.settle_late();
                if drop_head {
                    self.dispatch(now_ms, fx);
                    self.drop_head(fx);
                }
            }
        }
        self.ready.settle_late();
        self.dispatch(now_ms, fx);
        if self.timed {
            self.expire(now_ms, fx);
        }
    }

    /// Delivers ready messages to consumers that can take them; expires what stands behind them.
    pub(crate) fn dispatch(&mut self, now_ms: u64, fx: &mut Effects) {
        let served = self.elect();
        let active = match served {
            Served::Only(consumer) => Some(consumer),
            _ => None,
        };
        while !self.paused
            && served != Served::Nobody
            && self.ready.head_here()
            && self.consumers.begin(self.ready.len(), active)
        {
            let release = self.releases();
            while self.consumers.hungry() {
                let Some(mut entry) = self.ready.pop() else {
                    break;
                };
                if self.timed && entry.deadline_ms < now_ms {
                    self.dies(entry, DeathReason::Expired, fx);
                    continue;
                }
                entry.release = release;
                self.consumers.give(entry);
            }
            self.hand_over(fx);
        }
        if self.timed {
            self.expire_messages(now_ms, fx);
        }
    }

    /// Whether what is handed out now should not be kept in memory until it is settled: so much
    /// is unsettled already.
    fn releases(&self) -> bool {
        self.unacked >= self.limits.messages || self.unacked_bytes >= self.limits.bytes as u64
    }

    fn hand_over(&mut self, fx: &mut Effects) {
        let newest = self.consumers.newest_logged();
        if newest > self.delivered_logged {
            self.delivered_logged = newest;
            fx.delivers_up_to(newest);
        }
        let round = self.consumers.finish(&mut fx.settled);
        self.count(Event::Deliver, round.delivered);
        self.count(Event::DeliverNoAck, round.delivered_no_ack);
        self.count(Event::Redeliver, round.redelivered);
        self.unacked += round.unacked.0;
        self.unacked_bytes += round.unacked.1;
        self.unacked_away.0 += round.away.0;
        self.unacked_away.1 += round.away.1;
        if !round.returned.is_empty() {
            self.ready.requeue(round.returned);
        }
    }

    /// Takes one message for `basic.get`. It is unacked afterwards unless `no_ack`.
    pub(crate) fn get(&mut self, no_ack: bool, now_ms: u64, fx: &mut Effects) -> Got<Entry> {
        self.last_used_ms = now_ms;
        self.expire(now_ms, fx);
        let Some(mut entry) = self.ready.pop() else {
            if !self.ready.is_empty() {
                return Got::Away;
            }
            self.count(Event::GetEmpty, 1);
            return Got::Empty;
        };
        if self.timed {
            self.expire_messages(now_ms, fx);
        }
        let got = if no_ack { Event::GetNoAck } else { Event::Get };
        self.count(got, 1);
        self.count(Event::Redeliver, u64::from(entry.redelivered));
        if no_ack {
            if entry.logged() {
                fx.settled.push(entry.seq);
            }
        } else {
            entry.release = self.releases();
            self.unacked += 1;
            self.unacked_bytes += entry.message.body_len() as u64;
            if entry.lets_go() {
                self.unacked_away.0 += 1;
                self.unacked_away.1 += entry.message.body_len() as u64;
            }
            if entry.logged() && entry.seq > self.delivered_logged {
                self.delivered_logged = entry.seq;
                fx.delivers_up_to(entry.seq);
            }
        }
        Got::Message(entry)
    }

    /// Has `waiter` told when the head is here or nothing is ready.
    pub(crate) fn await_head(&mut self, waiter: Arc<dyn HeadWaiter>) {
        self.waiting.push(waiter);
    }

    /// What is ready in the direction asked for.
    pub(crate) fn glance(&self, glance: &Glance) -> Vec<Seen> {
        self.ready.glance(glance)
    }

    /// Of these numbers, those whose bytes must be read first.
    pub(crate) fn away_of(&self, seqs: &[Seq]) -> Vec<Seq> {
        self.ready.away_of(seqs)
    }

    /// Takes these ready messages out; they are unacked now. `read` are those with no bytes here.
    pub(crate) fn pick(
        &mut self,
        seqs: &[Seq],
        read: &[(Seq, Message)],
        now_ms: u64,
    ) -> Vec<Entry> {
        let mut picked = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let given = read.binary_search_by_key(seq, |(seq, _)| *seq).ok();
            let message = given.map(|at| &read[at].1);
            if let Some(mut entry) = self.ready.remove(*seq, message) {
                let (meta, enqueued_ms) = (entry.message.meta(), entry.message.enqueued_ms());
                entry.deadline_ms = self.fit(meta, enqueued_ms, now_ms).1;
                picked.push(entry);
            }
        }
        self.unacked += picked.len();
        let bytes = picked.iter().map(|entry| entry.message.body_len() as u64);
        self.unacked_bytes += bytes.sum::<u64>();
        picked
    }

    /// Adds a consumer. Nothing is delivered until the next [`dispatch`](Self::dispatch).
    pub(crate) fn add_consumer(&mut self, consumer: Consumer, now_ms: u64) {
        self.had_consumer = true;
        self.last_used_ms = now_ms;
        self.consumers.add(consumer);
    }

    /// Consumers leave, and `entries`, what their channel had not settled, comes back, all in one
    /// step, so that those who stay get it in order (H-85).
    pub(crate) fn leave(
        &mut self,
        consumers: &[ConsumerId],
        entries: Vec<Entry>,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        if self.consumers.remove(consumers) > 0 {
            self.last_used_ms = now_ms;
            fx.auto_delete = self.auto_delete && self.had_consumer && self.consumers.is_empty();
        }
        self.requeue(None, entries, now_ms, fx);
    }

    /// Removes a consumer; its unacked deliveries stay with its channel.
    pub(crate) fn remove_consumer(&mut self, id: ConsumerId, now_ms: u64, fx: &mut Effects) {
        if self.consumers.iter().any(|consumer| consumer.info.id == id) {
            self.leave(&[id], Vec::new(), now_ms, fx);
        }
    }

    /// Drops all ready messages and returns how many (Q-14: unacked ones stay).
    pub(crate) fn purge(&mut self, fx: &mut Effects) -> usize {
        let n = self.ready.len();
        let Effects {
            settled,
            settled_ranges,
            ..
        } = fx;
        self.ready.drain(
            |entry| settled.extend(entry.logged().then_some(entry.seq)),
            |first, last| settled_ranges.push((first, last)),
        );
        n
    }

    /// Ends the queue: nothing is dead-lettered. Returns the ready count and the
    /// consumers to be told.
    pub(crate) fn delete(&mut self, fx: &mut Effects) -> (usize, Vec<Consumer>) {
        self.deleted = true;
        let n = self.purge(fx);
        let dying = self.dying.drain(..).map(|(entry, _)| entry);
        let dead = dying.chain(self.retained.drain());
        let logged = dead.filter(|entry| entry.logged());
        fx.settled.extend(logged.map(|entry| entry.seq));
        (n, self.consumers.clear())
    }
}
