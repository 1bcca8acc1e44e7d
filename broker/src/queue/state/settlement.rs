//! How deliveries end: acked, rejected, back in their places.

use super::{Effects, QueueState};
use crate::arguments::{Overflow, QueueType};
use crate::dead_letter::DeathReason;
use crate::ids::ConsumerId;
use crate::queue::attempts::count_returns;
use crate::queue::entry::Entry;
use crate::stats::Event;

impl QueueState {
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

    pub(super) fn release(&mut self, consumer: Option<ConsumerId>, entries: &[Entry]) {
        self.unacked = self.unacked.saturating_sub(entries.len());
        let bytes: u64 = entries.iter().map(|e| e.message.body_len() as u64).sum();
        self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
        if self.unacked_away.0 > 0 {
            let away = entries.iter().filter(|entry| !entry.message.is_present());
            for entry in away {
                let (n, bytes) = self.unacked_away;
                let len = entry.message.body_len() as u64;
                self.unacked_away = (n.saturating_sub(1), bytes.saturating_sub(len));
            }
        }
        if let Some(id) = consumer {
            self.consumers.release(id, entries.len() as u32);
        }
    }

    /// A message dies: at once, unless it is to be dead-lettered and its bytes are away. Then those
    /// that die with it wait for it, for the pager, which brings its bytes, may be quicker than
    /// whoever would see to the others: dead letters keep the order of their deaths.
    pub(super) fn dies(&mut self, entry: Entry, reason: DeathReason, fx: &mut Effects) {
        let at_once = self.dying.is_empty() && entry.message.is_present();
        if at_once || self.settings.dead_letter_exchange.is_none() {
            return fx.dead.push((entry, reason));
        }
        if self.dying.is_empty() {
            self.dying.extend(fx.dead.drain(..));
        }
        self.dying.push_back((entry, reason));
    }
}

fn settle(entries: &[Entry], fx: &mut Effects) {
    fx.settled
        .extend(entries.iter().filter(|e| e.logged()).map(|e| e.seq));
}
