//! The queue as the store of a delayed exchange: same identity and log, other order.

use std::sync::Arc;

use parking_lot::Mutex;
use warren_amqp::FieldTable;

use super::{Entry, Queue, QueueDefinition};
use crate::arguments::QueueArguments;
use crate::delay::DelayStore;
use crate::pager::Pager;
use crate::stats::VhostStats;
use crate::turn::Turn;

impl Queue {
    /// An empty store.
    pub(crate) fn new_delay_store(
        definition: QueueDefinition,
        arguments: FieldTable,
        now_ms: u64,
        shared: (&Arc<VhostStats>, &Arc<Pager>),
    ) -> Arc<Self> {
        let store = Some(Mutex::new(DelayStore::default()));
        let settings = QueueArguments::default();
        Self::build(definition, arguments, settings, store, now_ms, shared)
    }

    /// Whether this is a delayed exchange's store: no client sees it.
    pub fn is_delay_store(&self) -> bool {
        self.delay.is_some()
    }

    /// Messages held back; 0 for other queues.
    pub fn delayed(&self) -> usize {
        self.delay.as_ref().map_or(0, |store| store.lock().len())
    }

    /// Holds `entries` back.
    pub(super) fn delay(
        self: &Arc<Self>,
        store: &Mutex<DelayStore>,
        entries: impl Iterator<Item = Entry>,
        turn: &mut Turn,
    ) {
        let mut store = store.lock();
        let refused = store.keep(entries);
        let deadline = store.plan();
        drop(store);
        turn.deadlines
            .extend(deadline.map(|deadline| (deadline, Arc::clone(self))));
        self.settle(&refused, turn);
    }

    /// Sets the timer anew: at start-up, and after the one before fired.
    pub(crate) fn plan_release(self: &Arc<Self>, turn: &mut Turn) {
        let deadline = self.delay.as_ref().and_then(|store| store.lock().plan());
        turn.deadlines
            .extend(deadline.map(|deadline| (deadline, Arc::clone(self))));
    }

    /// Takes what is due, at most `limit` messages, earliest first.
    pub(crate) fn take_due(&self, limit: usize, turn: &Turn) -> Vec<Entry> {
        let Some(store) = &self.delay else {
            return Vec::new();
        };
        store.lock().take_due(turn.now_ms(), limit)
    }

    /// The log may forget these.
    pub(crate) fn settle(&self, entries: &[Entry], turn: &mut Turn) {
        for entry in entries.iter().filter(|entry| entry.logged()) {
            turn.log.settle(self.id(), entry.seq);
        }
    }

    /// The exchange is gone, and with it what it held.
    pub(super) fn close_delay(&self, turn: &mut Turn) {
        if let Some(store) = &self.delay {
            let entries: Vec<Entry> = store.lock().close().collect();
            self.settle(&entries, turn);
        }
    }
}
