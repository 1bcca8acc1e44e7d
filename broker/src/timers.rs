//! Deadlines of queues: one ordered set per node, in which a queue has its next deadline only.
//!
//! No clock in here: the program asks [`Timers::next`], sleeps until then (or until
//! [`Timers::on_earlier`] is called), and has the broker take what is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use warren_storage::QueueId;

use crate::queue::Queue;

/// Called when a deadline earlier than all others was set.
pub type OnEarlier = Box<dyn Fn() + Send + Sync>;

/// In order, and by queue: each has one at most.
#[derive(Default)]
struct Deadlines {
    ordered: BTreeMap<(u64, QueueId), Weak<Queue>>,
    of: FxHashMap<QueueId, u64>,
}

impl Deadlines {
    fn remove(&mut self, queue: QueueId) {
        if let Some(deadline) = self.of.remove(&queue) {
            self.ordered.remove(&(deadline, queue));
        }
    }

    fn earliest(&self) -> Option<u64> {
        self.ordered.first_key_value().map(|(key, _)| key.0)
    }
}

/// The deadlines of a node's queues.
#[derive(Default)]
pub struct Timers {
    deadlines: Mutex<Deadlines>,
    on_earlier: Mutex<Option<OnEarlier>>,
}

impl Timers {
    /// Sets what to call when the earliest deadline moved forward.
    pub fn on_earlier(&self, call: OnEarlier) {
        *self.on_earlier.lock() = Some(call);
    }

    /// The earliest deadline, Unix milliseconds.
    pub fn next(&self) -> Option<u64> {
        self.deadlines.lock().earliest()
    }

    /// Sets the deadline of a queue, in place of the one it had.
    pub(crate) fn set(&self, deadline_ms: u64, queue: &Arc<Queue>) {
        if queue.deleted() {
            return;
        }
        let mut deadlines = self.deadlines.lock();
        deadlines.remove(queue.id());
        let earliest = deadlines
            .earliest()
            .is_none_or(|earliest| deadline_ms < earliest);
        deadlines.of.insert(queue.id(), deadline_ms);
        deadlines
            .ordered
            .insert((deadline_ms, queue.id()), Arc::downgrade(queue));
        drop(deadlines);
        if earliest && let Some(call) = &*self.on_earlier.lock() {
            call();
        }
    }

    /// The queue is gone.
    pub(crate) fn forget(&self, queue: QueueId) {
        self.deadlines.lock().remove(queue);
    }

    /// Takes the queues whose deadline is at or before `now_ms`, at most `limit` of them.
    pub(crate) fn take_due(&self, now_ms: u64, limit: usize) -> Vec<Arc<Queue>> {
        let mut deadlines = self.deadlines.lock();
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(first) = deadlines.ordered.first_entry()
            && first.key().0 <= now_ms
        {
            let (_, id) = *first.key();
            due.extend(first.remove().upgrade());
            deadlines.of.remove(&id);
        }
        due
    }
}
