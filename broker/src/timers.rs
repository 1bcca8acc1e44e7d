//! Deadlines of queues: one ordered set per node, in which a queue has its next deadline only.
//!
//! No clock in here: the program asks [`Timers::next`], sleeps until then (or until
//! [`Timers::on_earlier`] is called), and has the broker take what is due.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::queue::Queue;

/// Called when a deadline earlier than all others was set.
pub type OnEarlier = Box<dyn Fn() + Send + Sync>;

/// The deadlines of a node's queues.
#[derive(Default)]
pub struct Timers {
    deadlines: Mutex<BTreeMap<(u64, u64), Weak<Queue>>>,
    on_earlier: Mutex<Option<OnEarlier>>,
}

impl Timers {
    /// Sets what to call when the earliest deadline moved forward.
    pub fn on_earlier(&self, call: OnEarlier) {
        *self.on_earlier.lock() = Some(call);
    }

    /// The earliest deadline, Unix milliseconds.
    pub fn next(&self) -> Option<u64> {
        self.deadlines
            .lock()
            .first_key_value()
            .map(|(key, _)| key.0)
    }

    /// Sets a deadline for a queue.
    pub(crate) fn set(&self, deadline_ms: u64, queue: &Arc<Queue>) {
        let mut deadlines = self.deadlines.lock();
        let earliest = deadlines
            .first_key_value()
            .is_none_or(|(key, _)| deadline_ms < key.0);
        deadlines.insert((deadline_ms, queue.id().0), Arc::downgrade(queue));
        drop(deadlines);
        if earliest && let Some(call) = &*self.on_earlier.lock() {
            call();
        }
    }

    /// Takes the queues whose deadline is at or before `now_ms`, at most `limit` of them.
    pub(crate) fn take_due(&self, now_ms: u64, limit: usize) -> Vec<Arc<Queue>> {
        let mut deadlines = self.deadlines.lock();
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(first) = deadlines.first_entry()
            && first.key().0 <= now_ms
        {
            due.extend(first.remove().upgrade());
        }
        due
    }
}
