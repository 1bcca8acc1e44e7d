//! One queue as a state machine: entries in, deliveries and effects out.
//!
//! No lock, clock, disk or network in here: the time is an argument, deliveries go through
//! [`ConsumerSink`](super::ConsumerSink), and whatever must happen elsewhere afterwards (log
//! records, dead letters, deletion) is written into [`Effects`].

mod settings;

use warren_storage::{MessageLog, QueueId, Seq};

use super::consumers::{Consumer, Consumers};
use super::ready::{Entry, Ready};
use crate::arguments::{Overflow, QueueArguments};
use crate::dead_letter::DeathReason;
use crate::ids::ConsumerId;
use crate::message::Message;
use crate::stats::{EVENTS, Event};

/// What an operation on a queue leaves to be done by its caller, after the queue is unlocked.
#[derive(Default)]
pub(crate) struct Effects {
    /// Logged entries that are gone.
    pub settled: Vec<Seq>,
    /// Entries that died here; their settlement follows once they are dead-lettered.
    pub dead: Vec<(Entry, DeathReason)>,
    /// Everything logged up to here has been handed out at least once; 0 for no news.
    pub delivered_up_to: Seq,
    /// Notes the same where a killed process still finds it, before anything is handed out.
    pub delivered_mark: Option<DeliveredMark>,
    /// Of the entries offered to `enqueue`: positions of those refused by a length limit.
    pub rejected: Vec<u32>,
    /// The last consumer went away from an auto-delete queue.
    pub auto_delete: bool,
    /// The queue's next deadline changed: tell the timers.
    pub deadline: Option<u64>,
}

/// Told how far a queue hands out: the queue and the log that keeps the mark.
pub(crate) type DeliveredMark = (QueueId, MessageLog);

impl Effects {
    fn delivers_up_to(&mut self, seq: Seq) {
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
            counts: Counts::default(),
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
            consumers: self.consumers.len(),
        }
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

    /// Takes in newly published entries (fields `level` and `deadline_ms` are set here) and
    /// delivers what can be delivered. A deleted queue swallows them: that counts as confirmed.
    pub(crate) fn enqueue(
        &mut self,
        entries: impl Iterator<Item = Entry>,
        now_ms: u64,
        fx: &mut Effects,
    ) {
        if self.deleted {
            entries.for_each(|entry| settle(&[entry], fx));
            return;
        }
        let limited =
            self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some();
        for (position, mut entry) in entries.enumerate() {
            self.fit(&mut entry, now_ms);
            if limited && self.settings.overflow != Overflow::DropHead {
                self.dispatch(now_ms, fx);
                if self.over_limit(1, entry.message.body_len() as u64) {
                    self.refuse(entry, position as u32, fx);
                    continue;
                }
            }
            self.ready.push(entry);
            if limited && self.settings.overflow == Overflow::DropHead {
                self.dispatch(now_ms, fx);
                self.drop_head(fx);
            }
        }
        self.dispatch(now_ms, fx);
        if self.timed {
            self.expire(now_ms, fx);
        }
    }

    /// Puts back what a restart recovered, without delivering it.
    pub(crate) fn recover(&mut self, entries: Vec<Entry>, now_ms: u64) {
        let mut entries = entries;
        for entry in &mut entries {
            self.fit(entry, now_ms);
        }
        let newest = entries
            .iter()
            .filter(|e| e.redelivered)
            .map(|e| e.seq)
            .max();
        self.delivered_logged = self.delivered_logged.max(newest.unwrap_or(0));
        self.ready.requeue(entries);
    }

    /// Delivers ready messages to consumers that can take them; expires what stands behind them.
    pub(crate) fn dispatch(&mut self, now_ms: u64, fx: &mut Effects) {
        let active = self.active_consumer();
        while !self.ready.is_empty() && self.consumers.begin(self.ready.len(), active) {
            while self.consumers.hungry() {
                let Some(entry) = self.ready.pop() else { break };
                if self.timed && entry.deadline_ms < now_ms {
                    fx.dead.push((entry, DeathReason::Expired));
                    continue;
                }
                self.consumers.give(entry);
            }
            self.hand_over(fx);
        }
        if self.timed {
            self.expire_messages(now_ms, fx);
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
    pub(crate) fn get(&mut self, no_ack: bool, now_ms: u64, fx: &mut Effects) -> Option<Entry> {
        self.last_used_ms = now_ms;
        self.expire(now_ms, fx);
        let Some(entry) = self.ready.pop() else {
            self.count(Event::GetEmpty, 1);
            return None;
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
            self.unacked += 1;
            self.unacked_bytes += entry.message.body_len() as u64;
            if entry.logged() && entry.seq > self.delivered_logged {
                self.delivered_logged = entry.seq;
                fx.delivers_up_to(entry.seq);
            }
        }
        Some(entry)
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
        fx.dead.extend(
            entries
                .into_iter()
                .map(|entry| (entry, DeathReason::Rejected)),
        );
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
            entry.deliveries = entry.deliveries.saturating_add(1);
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
        let gone = self.ready.drain().filter(Entry::logged).map(|e| e.seq);
        fx.settled.extend(gone);
        n
    }

    /// Ends the queue: nothing is dead-lettered. Returns the ready count and the
    /// consumers to be told.
    pub(crate) fn delete(&mut self, fx: &mut Effects) -> (usize, Vec<Consumer>) {
        self.deleted = true;
        let n = self.purge(fx);
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
            fx.dead.push((entry, DeathReason::Expired));
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

    fn fit(&mut self, entry: &mut Entry, now_ms: u64) {
        let meta = entry.message.meta();
        entry.level = meta.priority.min(self.ready.max_level());
        let ttl = match (self.settings.message_ttl_ms, meta.expiration()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Some(ttl) = ttl {
            let from = entry.message.enqueued_ms().min(now_ms);
            entry.deadline_ms = from.saturating_add(ttl);
            self.timed = true;
        }
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

    /// Q-48; with priorities the head is the highest one, as RabbitMQ has it.
    fn drop_head(&mut self, fx: &mut Effects) {
        while self.over_limit(0, 0) {
            let Some(entry) = self.ready.pop() else {
                break;
            };
            fx.dead.push((entry, DeathReason::MaxLen));
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

fn settle(entries: &[Entry], fx: &mut Effects) {
    fx.settled
        .extend(entries.iter().filter(|e| e.logged()).map(|e| e.seq));
}
