//! What clients do with a queue: publish, consume, get, settle, purge, delete.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use warren_storage::Seq;

use super::state::{Arrivals, Depth, Got, Logged};
use super::{ConsumeRefused, Consumer, DeleteRefused, Entry, HeadWaiter, Queue};
use crate::dead_letter::DeathReason;
use crate::delay::DelayStore;
use crate::ids::ConsumerId;
use crate::message::{Chunk, Message};
use crate::turn::Turn;

impl Queue {
    /// Ready messages and consumers, as `declare-ok` reports them; counts as use of the queue.
    pub fn touch(self: &Arc<Self>, turn: &mut Turn) -> Depth {
        self.enter(turn, |state, now, fx| {
            state.touch(now, fx);
            state.depth()
        })
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

    /// A dead letter found no place: it stays here and is tried again.
    pub(crate) fn retain(self: &Arc<Self>, entry: Entry, reason: DeathReason, turn: &mut Turn) {
        self.enter(turn, |state, now, fx| state.retain(entry, reason, now, fx));
    }

    /// Whether it would refuse a message with a body of so many bytes.
    pub(crate) fn would_refuse(&self, bytes: u64) -> bool {
        self.state.lock().would_refuse(bytes)
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
}
