//! One queue as a state machine: entries in, deliveries and effects out.
//!
//! No lock, clock, disk or network in here: the time is an argument, deliveries go through
//! [`ConsumerSink`](super::ConsumerSink), and whatever must happen elsewhere afterwards (log
//! records, dead letters, deletion) is written into [`Effects`].

mod settings;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use warren_storage::{MessageLog, QueueId, RecoveredQueue, Seq};

use super::attempts::count_returns;
use super::browse::{Glance, Seen};
use super::consumers::{Consumer, Consumers};
use super::loading::{HeadWaiter, Load, What};
use super::ready::{DroppedAway, Entry, Ready, ResidentLimits};
use crate::arguments::{Overflow, QueueArguments, QueueType};
use crate::dead_letter::DeathReason;
use crate::ids::ConsumerId;
use crate::message::{Chunk, Message, Meta};
use crate::stats::{EVENTS, Event};

/// What an operation on a queue leaves to be done by its caller, after the queue is unlocked.
#[derive(Default)]
pub(crate) struct Effects {
    /// Logged entries that are gone.
    pub settled: Vec<Seq>,
    /// The same, whole ranges of numbers.
    pub settled_ranges: Vec<(Seq, Seq)>,
    /// Logged entries that the log cannot give back.
    pub lost: Vec<Seq>,
    /// Entries that died here; their settlement follows once they are dead-lettered.
    pub dead: Vec<(Entry, DeathReason)>,
    /// Of logged entries: how often they came back.
    pub counts: Vec<(Seq, u32)>,
    /// Everything logged up to here has been handed out at least once; 0 for no news.
    pub delivered_up_to: Seq,
    /// Notes the same where a killed process still finds it, before anything is handed out.
    pub delivered_mark: Option<DeliveredMark>,
    /// Whether either counts: only what is durable comes back after a restart.
    pub marks: bool,
    /// Of the entries offered to `enqueue`: positions of those refused by a length limit.
    pub rejected: Vec<u32>,
    /// The last consumer went away from an auto-delete queue.
    pub auto_delete: bool,
    /// The queue's next deadline changed: tell the timers.
    pub deadline: Option<u64>,
    /// Something must be loaded: tell the pager.
    pub load: bool,
    /// Those who waited for the head to be loaded, and may look again.
    pub head_here: Vec<Arc<dyn HeadWaiter>>,
}

/// Newly published messages.
#[derive(Clone, Copy)]
pub(crate) struct Arrivals<'a> {
    /// Where they are.
    pub chunk: &'a Arc<Chunk>,
    /// Which of the chunk: first index and number.
    pub ranges: &'a [(u32, u32)],
    /// Their numbers, from this on.
    pub first_seq: Seq,
    /// Which of them the log holds for this queue.
    pub logged: Logged,
}

/// Which messages of a batch the log holds for a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Logged {
    /// None.
    None,
    /// Those with `delivery_mode` 2.
    Persistent,
    /// All.
    All,
}

/// What `basic.get` finds.
#[derive(Debug)]
pub enum Got<T> {
    /// A message.
    Message(T),
    /// Nothing is ready.
    Empty,
    /// The next message must be loaded first.
    Away,
}

/// Told how far a queue hands out: the queue and the log that keeps the mark.
pub(crate) type DeliveredMark = (QueueId, MessageLog);

impl Effects {
    fn delivers_up_to(&mut self, seq: Seq) {
        if !self.marks {
            return;
        }
        self.delivered_up_to = seq;
        if let Some((queue, log)) = &self.delivered_mark {
            log.note_delivered(*queue, seq);
        }
    }
}

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
    /// Of the ready messages: those that are not in memory.
    pub paged: usize,
    /// Consumers.
    pub consumers: usize,
}

/// Messages expired in one go at most.
const EXPIRED_AT_ONCE: usize = 4096;

/// The state of one queue.
pub(crate) struct QueueState {
    settings: QueueArguments,
    auto_delete: bool,
    ready: Ready,
    consumers: Consumers,
    unacked: usize,
    unacked_bytes: u64,
    had_consumer: bool,
    deleted: bool,
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
            unacked: 0,
            unacked_bytes: 0,
            had_consumer: false,
            deleted: false,
            delivered_logged: 0,
            last_used_ms: now_ms,
            timed: false,
            scheduled: None,
            limits: ResidentLimits {
                messages: usize::MAX,
                bytes: usize::MAX,
            },
            dying: VecDeque::new(),
            loading: false,
            waiting: Vec::new(),
            redelivered_up_to: 0,
            delivery_counts: FxHashMap::default(),
            memory_told: 0,
            counts: Counts::default(),
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
    }

    /// Numbers of messages and consumers.
    pub(crate) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready.len(),
            ready_bytes: self.ready.body_bytes(),
            unacked: self.unacked,
            unacked_bytes: self.unacked_bytes,
            paged: self.ready.paged(),
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

    /// The consumers.
    pub(crate) fn consumers(&self) -> &Consumers {
        &self.consumers
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

    /// Takes in what a restart found in the log, without loading it. Where priorities count, the
    /// messages come with [`recover_levels`](Self::recover_levels).
    pub(crate) fn recover(&mut self, found: &RecoveredQueue) {
        if self.ready.max_level() == 0 {
            for (first, last) in &found.live {
                self.ready.recover(0, *first, *last);
            }
        }
        self.ready.recover_bytes(found.bytes);
        self.redelivered_up_to = found.delivered_up_to.unwrap_or(0);
        self.delivered_logged = self.delivered_logged.max(self.redelivered_up_to);
        let count = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let counts = found.counts.iter().map(|(seq, n)| (*seq, count(*n)));
        self.delivery_counts = counts.collect();
        // What expires by its own is known once it is loaded.
        self.timed |= self.settings.message_ttl_ms.is_some();
    }

    /// Takes in messages a restart found in the log, of these levels.
    pub(crate) fn recover_levels(&mut self, found: &[(u8, Seq)]) {
        for (level, seq) in found {
            self.ready.recover(*level, *seq, *seq);
        }
    }

    /// Delivers ready messages to consumers that can take them; expires what stands behind them.
    pub(crate) fn dispatch(&mut self, now_ms: u64, fx: &mut Effects) {
        let active = self.active_consumer();
        while self.ready.head_here() && self.consumers.begin(self.ready.len(), active) {
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

    /// A message dies: at once, unless it is to be dead-lettered and its bytes are away.
    fn dies(&mut self, entry: Entry, reason: DeathReason, fx: &mut Effects) {
        if entry.message.is_present() || self.settings.dead_letter_exchange.is_none() {
            fx.dead.push((entry, reason));
        } else {
            self.dying.push_back((entry, reason));
        }
    }

    fn hand_over(&mut self, fx: &mut Effects) {
        let newest = self.consumers.newest_logged();
        if newest > self.delivered_logged {
            self.delivered_logged = newest;
            fx.delivers_up_to(newest);
        }
        let round = self.consumers.finish();
        self.count(Event::Deliver, round.delivered);
        self.count(Event::DeliverNoAck, round.delivered_no_ack);
        self.count(Event::Redeliver, round.redelivered);
        self.unacked += round.unacked.0;
        self.unacked_bytes += round.unacked.1;
        fx.settled.extend(round.settled);
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

    /// Deliveries of `consumer` (none for `basic.get`) were acked: gives back credit. The caller
    /// still owns the entries and reports them to the log.
    pub(crate) fn acked(
        &mut self,
        consumer: Option<ConsumerId>,
        entries: &[Entry],
        now_ms: u64,
        fx: &mut Effects,
    ) {
        self.count(Event::Ack, entries.len() as u64);
        self.release(consumer, entries);
        settle(entries, fx);
        self.dispatch(now_ms, fx);
    }

    /// Deliveries were rejected without requeue: they die here.
    pub(crate) fn rejected(
        &mut self,
        consumer: Option<ConsumerId>,
        entries: Vec<Entry>,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        self.release(consumer, &entries);
        if self.deleted {
            return settle(&entries, fx);
        }
        for entry in entries {
            self.dies(entry, DeathReason::Rejected, fx);
        }
        self.dispatch(now_ms, fx);
    }

    /// Deliveries come back to their original places, marked redelivered.
    pub(crate) fn requeue(
        &mut self,
        consumer: Option<ConsumerId>,
        mut entries: Vec<Entry>,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        self.release(consumer, &entries);
        if self.deleted {
            return settle(&entries, fx);
        }
        for entry in &mut entries {
            entry.redelivered = true;
        }
        if self.settings.queue_type == QueueType::Quorum {
            let limit = self.settings.delivery_limit;
            for entry in count_returns(limit, &mut entries, fx) {
                self.dies(entry, DeathReason::DeliveryLimit, fx);
            }
        }
        self.ready.requeue(entries);
        if self.settings.overflow == Overflow::DropHead {
            self.drop_head(fx);
        }
        self.dispatch(now_ms, fx);
        self.expire(now_ms, fx);
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
        let dying = self.dying.drain(..).filter(|(entry, _)| entry.logged());
        fx.settled.extend(dying.map(|(entry, _)| entry.seq));
        (n, self.consumers.clear())
    }

    /// Declared or looked at: puts off `x-expires`.
    pub(crate) fn touch(&mut self, now_ms: u64, fx: &mut Effects) {
        self.last_used_ms = now_ms;
        self.plan_deadline(fx);
    }

    /// Removes what has expired. True when the whole queue has (`x-expires`).
    pub(crate) fn expire(&mut self, now_ms: u64, fx: &mut Effects) -> bool {
        self.expire_messages(now_ms, fx);
        !self.deleted
            && self
                .queue_deadline()
                .is_some_and(|deadline| deadline <= now_ms)
    }

    fn expire_messages(&mut self, now_ms: u64, fx: &mut Effects) {
        // The rest comes with the timer, which is due at once: others get a turn in between.
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(entry) = self.ready.pop_expired(now_ms) else {
                break;
            };
            self.dies(entry, DeathReason::Expired, fx);
        }
        if self.scheduled.is_some_and(|scheduled| scheduled <= now_ms) {
            self.scheduled = None;
        }
        self.plan_deadline(fx);
    }

    /// The consumer served when the queue is single-active.
    pub(crate) fn active_consumer(&self) -> Option<ConsumerId> {
        if !self.settings.single_active_consumer {
            return None;
        }
        // The oldest consumer of all; consumers are numbered by age.
        self.consumers.iter().map(|consumer| consumer.info.id).min()
    }

    fn release(&mut self, consumer: Option<ConsumerId>, entries: &[Entry]) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        let bytes: u64 = entries.iter().map(|e| e.message.body_len() as u64).sum();
        self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
        if let Some(id) = consumer {
            self.consumers.release(id, entries.len() as u32);
        }
    }

    /// Level and deadline of a message.
    fn fit(&mut self, meta: Meta, enqueued_ms: u64, now_ms: u64) -> (u8, u64) {
        let level = meta.priority.min(self.ready.max_level());
        let ttl = match (self.settings.message_ttl_ms, meta.expiration()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(ttl) = ttl else {
            return (level, u64::MAX);
        };
        self.timed = true;
        (level, enqueued_ms.min(now_ms).saturating_add(ttl))
    }

    fn over_limit(&self, messages: usize, bytes: u64) -> bool {
        let exceeds = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        exceeds(
            self.settings.max_length,
            (self.ready.len() + messages) as u64,
        ) || exceeds(
            self.settings.max_length_bytes,
            self.ready.body_bytes() + bytes,
        )
    }

    fn refuse(&mut self, entry: Entry, position: u32, fx: &mut Effects) {
        fx.rejected.push(position);
        if self.settings.overflow == Overflow::RejectPublishDlx {
            fx.dead.push((entry, DeathReason::MaxLen));
        } else if entry.logged() {
            fx.settled.push(entry.seq);
        }
    }

    /// Q-48; with priorities the head is the highest one, as RabbitMQ has it. A head that
    /// is away goes unseen where it makes no difference, else once it is loaded.
    fn drop_head(&mut self, fx: &mut Effects) {
        let unseen = self.settings.dead_letter_exchange.is_none()
            && self.settings.max_length_bytes.is_none();
        while self.over_limit(0, 0) {
            if let Some(entry) = self.ready.pop() {
                self.dies(entry, DeathReason::MaxLen, fx);
                continue;
            }
            let limit = self.settings.max_length.unwrap_or(u64::MAX);
            let excess = (self.ready.len() as u64).saturating_sub(limit);
            let dropped = unseen.then(|| self.ready.drop_away(excess as usize));
            match dropped.flatten() {
                Some(DroppedAway::Range(first, last)) => fx.settled_ranges.push((first, last)),
                Some(DroppedAway::Stub(entry)) => self.dies(entry, DeathReason::MaxLen, fx),
                None => break,
            }
        }
    }

    fn queue_deadline(&self) -> Option<u64> {
        let expires = self
            .settings
            .expires_ms
            .filter(|_| self.consumers.is_empty())?;
        Some(self.last_used_ms.saturating_add(expires))
    }

    /// Notes the next deadline for the timers when it moved.
    fn plan_deadline(&mut self, fx: &mut Effects) {
        if self.deleted || !self.timed && self.settings.expires_ms.is_none() {
            return;
        }
        let next = [self.ready.next_deadline(), self.queue_deadline()]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else { return };
        // A timer already set for earlier will plan again when it fires.
        if self.scheduled.is_none_or(|scheduled| next < scheduled) {
            self.scheduled = Some(next);
            fx.deadline = Some(next);
        }
    }
}

/// Loading what is away: what the pager asks for and brings.
impl QueueState {
    /// After each operation: whether something is to be loaded, and who has waited long enough.
    pub(crate) fn after(&mut self, fx: &mut Effects) {
        if !self.waiting.is_empty() && !self.ready.head_away() {
            fx.head_here.append(&mut self.waiting);
        }
        if !self.loading && self.wants_load() {
            self.loading = true;
            fx.load = true;
        }
    }

    fn wants_load(&self) -> bool {
        !self.dying.is_empty() || self.ready.lacks(self.target(), self.timed)
    }

    /// How much should be here: little as long as nobody takes anything.
    fn target(&self) -> ResidentLimits {
        let wanted = !self.consumers.is_empty() || !self.waiting.is_empty() || self.timed;
        let limits = self.ready.limits();
        if wanted { limits } else { limits.min(HEAD) }
    }

    /// The pager is here: what to read. `None` when nothing is wanted any more.
    pub(crate) fn begin_load(&mut self) -> Option<Load> {
        let load = if self.deleted {
            None
        } else if self.dying.is_empty() {
            let wanted = self.ready.lacking(self.target(), PAGE, self.timed);
            wanted.map(|(level, seqs, bytes)| Load {
                what: What::Level(level),
                seqs,
                bytes,
            })
        } else {
            // Their order is not that of their numbers: what is asked for is read to its end.
            let mut bytes = 0;
            let seqs = self
                .dying
                .iter()
                .take(PAGE.messages)
                .map_while(|(entry, _)| {
                    let fits = bytes < PAGE.bytes;
                    bytes += entry.message.body_len();
                    fits.then_some(entry.seq)
                });
            let mut seqs: Vec<Seq> = seqs.collect();
            seqs.sort_unstable();
            Some(Load {
                what: What::Dying,
                seqs,
                bytes: usize::MAX,
            })
        };
        self.loading = load.is_some();
        load
    }

    /// What the pager read of a [`Load`], ascending, and the numbers the log cannot give back.
    /// Whatever is gone by now is ignored.
    pub(crate) fn end_load(
        &mut self,
        what: What,
        loaded: Vec<(Seq, Message)>,
        lost: &[Seq],
        now_ms: u64,
        fx: &mut Effects,
    ) {
        self.loading = false;
        if self.deleted {
            return;
        }
        match what {
            What::Level(level) => {
                let loaded = loaded.into_iter();
                let mut entries = loaded
                    .map(|(seq, message)| self.loaded_entry(seq, message, now_ms))
                    .collect();
                self.ready.loaded(level, &mut entries);
                self.ready.lost(level, lost, |seq| fx.lost.push(seq));
            }
            What::Dying => self.bury(&loaded, lost, fx),
        }
        if self.settings.overflow == Overflow::DropHead {
            self.drop_head(fx);
        }
        self.dispatch(now_ms, fx);
        self.expire(now_ms, fx);
    }

    fn loaded_entry(&mut self, seq: Seq, message: Message, now_ms: u64) -> Entry {
        let (level, deadline_ms) = self.fit(message.meta(), message.enqueued_ms(), now_ms);
        Entry {
            seq,
            message,
            logged: true,
            deliveries: self.delivery_counts.remove(&seq).unwrap_or(0),
            redelivered: seq <= self.redelivered_up_to,
            release: false,
            level,
            deadline_ms,
        }
    }

    /// Dead letters whose bytes have come, in the order of their deaths; the first one whose bytes
    /// have not come holds the others up.
    fn bury(&mut self, loaded: &[(Seq, Message)], lost: &[Seq], fx: &mut Effects) {
        while let Some((mut entry, reason)) = self.dying.pop_front() {
            let found = loaded.binary_search_by_key(&entry.seq, |(seq, _)| *seq);
            if let Ok(at) = found {
                entry.message = loaded[at].1.clone();
                fx.dead.push((entry, reason));
            } else if lost.binary_search(&entry.seq).is_ok() {
                fx.lost.push(entry.seq);
            } else {
                self.dying.push_front((entry, reason));
                break;
            }
        }
    }

    /// Frees memory: pages out what is in the log and lists what should be written there first.
    pub(crate) fn page_out(&mut self, most: usize, unlogged: &mut Vec<Entry>) {
        if !self.deleted {
            self.ready.page_out(most, unlogged);
        }
    }

    /// These are in the log now. Those that are not ready any more are settled there, for whoever
    /// has them believes they are not.
    pub(crate) fn now_logged(&mut self, entries: &[Entry], fx: &mut Effects) {
        for entry in entries {
            if self.deleted || !self.ready.now_logged(entry.level, entry.seq) {
                fx.settled.push(entry.seq);
            }
        }
    }
}

/// Loaded at once.
const PAGE: ResidentLimits = ResidentLimits {
    messages: 8192,
    bytes: 2 << 20,
};

/// Kept of a backlog nobody takes from.
const HEAD: ResidentLimits = ResidentLimits {
    messages: 64,
    bytes: 64 << 10,
};

fn settle(entries: &[Entry], fx: &mut Effects) {
    fx.settled
        .extend(entries.iter().filter(|e| e.logged()).map(|e| e.seq));
}
