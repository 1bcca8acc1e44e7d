//! A turn: one caller's piece of work (a read buffer's worth of frames, a timer, a request),
//! and what that work leaves to be done once no queue is locked.
//!
//! Queues write into it; [`Broker::finish`](crate::Broker::finish) carries it out: dead letters
//! are published, settlements are logged (after the dead letters, so that a crash between the
//! two duplicates rather than loses), auto-delete queues are removed, timers are set. A turn is
//! reused: its buffers keep their capacity.

use std::collections::VecDeque;
use std::sync::Arc;

use warren_storage::{Batch, MessageLog, QueueId};

use crate::audit::Face;
use crate::dead_letter::DeathReason;
use crate::notices::INTERNAL_USER;
use crate::queue::{Effects, Entry, Queue};
use crate::release::Replay;

/// A message that died in `queue`.
pub(crate) struct Dead {
    pub(crate) queue: Arc<Queue>,
    pub(crate) entry: Entry,
    pub(crate) reason: DeathReason,
}

/// See the module documentation.
pub struct Turn {
    now_ms: u64,
    effects: Effects,
    /// An operation on a queue has begun, and what it brings about was not taken over yet.
    entered: bool,
    /// Settlements and marks to be appended to the commit log.
    pub(crate) log: Batch,
    pub(crate) dead: VecDeque<Dead>,
    pub(crate) unused: Vec<Arc<Queue>>,
    pub(crate) deadlines: Vec<(u64, Arc<Queue>)>,
    /// Queues that are gone: the timers forget them.
    pub(crate) gone: Vec<QueueId>,
    pub(crate) replays: Vec<Replay>,
    catalog_index: u64,
    actor: Option<Arc<str>>,
    face: Face,
}

impl Default for Turn {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Turn {
    /// A turn at `now_ms`, Unix milliseconds.
    pub fn new(now_ms: u64) -> Self {
        Self {
            now_ms,
            effects: Effects::default(),
            entered: false,
            log: Batch::new(),
            dead: VecDeque::new(),
            unused: Vec::new(),
            deadlines: Vec::new(),
            gone: Vec::new(),
            replays: Vec::new(),
            catalog_index: 0,
            actor: None,
            face: Face::Broker,
        }
    }

    /// Has deliveries noted in `log` as they happen.
    pub fn mark_deliveries(mut self, log: &MessageLog) -> Self {
        self.effects.delivered_mark = Some((QueueId(0), log.clone()));
        self
    }

    /// Says for whom the work is done, and over what they asked for it: events name them.
    pub fn on_behalf_of(mut self, user: &str, face: Face) -> Self {
        self.actor = Some(user.into());
        self.face = face;
        self
    }

    /// Over what the work was asked for.
    pub(crate) fn face(&self) -> Face {
        self.face
    }

    /// For whom the work is done.
    pub(crate) fn actor(&self) -> &str {
        self.actor.as_deref().unwrap_or(INTERNAL_USER)
    }

    /// The time of this turn, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Starts the next piece of work.
    pub fn begin(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Whether [`Broker::finish`](crate::Broker::finish) has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.log.is_empty()
            && self.dead.is_empty()
            && self.unused.is_empty()
            && self.deadlines.is_empty()
            && self.gone.is_empty()
            && self.replays.is_empty()
    }

    /// The catalog command that must be durable before the replies of this turn may be sent;
    /// starts over at 0.
    pub fn take_catalog_index(&mut self) -> u64 {
        std::mem::take(&mut self.catalog_index)
    }

    /// Holds the replies of this turn back until catalog command `index` is durable.
    pub(crate) fn need_catalog(&mut self, index: u64) {
        self.catalog_index = self.catalog_index.max(index);
    }

    /// Where an operation on this queue puts what it leaves to be done.
    pub(crate) fn effects_of(&mut self, queue: &Queue) -> &mut Effects {
        if std::mem::replace(&mut self.entered, true) {
            // The operation before has panicked: what it left half done is another queue's.
            let delivered_mark = self.effects.delivered_mark.take();
            self.effects = Effects {
                delivered_mark,
                ..Effects::default()
            };
        }
        if let Some((marked, _)) = &mut self.effects.delivered_mark {
            *marked = queue.id();
        }
        self.effects.marks = queue.durable();
        &mut self.effects
    }

    /// Takes over what the operation left behind.
    pub(crate) fn absorb(&mut self, queue: &Arc<Queue>) {
        let fx = &mut self.effects;
        if fx.delivered_up_to != 0 {
            self.log.delivered(queue.id(), fx.delivered_up_to);
            fx.delivered_up_to = 0;
        }
        for seq in fx.settled.drain(..) {
            self.log.settle(queue.id(), seq);
        }
        for (first, last) in fx.settled_ranges.drain(..) {
            self.log.settle_range(queue.id(), first, last);
        }
        for seq in fx.lost.drain(..) {
            tracing::error!(
                queue = queue.name(),
                vhost = %queue.definition().vhost,
                seq,
                "a message cannot be read from the commit log and is lost"
            );
            self.log.settle(queue.id(), seq);
        }
        let dead_letters = !fx.dead.is_empty() && queue.dead_letter().is_some();
        for (seq, count) in fx.counts.drain(..) {
            self.log.delivery_count(queue.id(), seq, count);
        }
        for (entry, reason) in fx.dead.drain(..) {
            // Without its bytes it died while there was no dead-letter exchange.
            if dead_letters && entry.message.is_present() {
                self.dead.push_back(Dead {
                    queue: Arc::clone(queue),
                    entry,
                    reason,
                });
            } else if entry.logged() {
                self.log.settle(queue.id(), entry.seq);
            }
        }
        if std::mem::take(&mut fx.auto_delete) {
            self.unused.push(Arc::clone(queue));
        }
        if let Some(deadline) = fx.deadline.take() {
            self.deadlines.push((deadline, Arc::clone(queue)));
        }
        fx.rejected.clear();
        for waiter in fx.head_here.drain(..) {
            waiter.head_here();
        }
        self.entered = false;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Node;

    #[test]
    fn what_a_panic_left_half_done_is_no_other_queues() {
        let mut node = Node::start();
        for name in ["a", "b"] {
            node.declare(name, &[]).unwrap();
        }
        let [a, b] = ["a", "b"].map(|name| node.vhost().queue(name).unwrap());
        // Here the operation on `a` ends.
        node.turn.effects_of(&a).settled.push(7);
        node.turn.effects_of(&b);
        node.turn.absorb(&b);
        assert!(node.turn.log.is_empty());
        node.turn.effects_of(&b).settled.push(7);
        node.turn.absorb(&b);
        assert!(!node.turn.log.is_empty());
    }
}
