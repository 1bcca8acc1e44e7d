//! The target queues of a batch, found again for every run.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use warren_storage::{QueueId, Seq};

use crate::queue::{Logged, Queue};

/// One target queue of a batch.
pub(super) struct Slot {
    pub(super) queue: Arc<Queue>,
    pub(super) ranges: Vec<(u32, u32)>,
    pub(super) n: u64,
    pub(super) first_seq: Seq,
    pub(super) next_seq: Seq,
    /// Messages written to the log for it.
    pub(super) logged: u64,
    /// The queue's persistent messages are to survive a restart.
    pub(super) durable: bool,
    /// The others go to the log too, because the queue does not keep them in memory.
    pub(super) pages: bool,
    /// Every message is stored, whatever its publisher asked for.
    pub(super) stores_all: bool,
}

/// The target queues of a batch.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) list: Vec<Slot>,
    /// Filled only when there are many.
    by_queue: FxHashMap<QueueId, usize>,
    /// Emptied ranges of the batch before.
    spare: Vec<Vec<(u32, u32)>>,
}

/// Slots searched one by one; with more, by their queue's number.
const FEW_SLOTS: usize = 16;

impl Slots {
    pub(super) fn clear(&mut self) {
        let used = self.list.drain(..);
        self.spare.extend(used.map(|mut slot| {
            slot.ranges.clear();
            slot.ranges
        }));
        self.by_queue.clear();
    }

    /// Index of the slot of this queue, made when there is none.
    pub(super) fn of(&mut self, queue: &Arc<Queue>) -> usize {
        let next = self.list.len();
        let known = if next < FEW_SLOTS {
            let mut slots = self.list.iter();
            slots.position(|slot| Arc::ptr_eq(&slot.queue, queue))
        } else {
            if self.by_queue.is_empty() {
                let all = self.list.iter().enumerate();
                self.by_queue
                    .extend(all.map(|(index, slot)| (slot.queue.id(), index)));
            }
            let index = *self.by_queue.entry(queue.id()).or_insert(next);
            (index < next).then_some(index)
        };
        known.unwrap_or_else(|| {
            self.add(queue);
            next
        })
    }

    fn add(&mut self, queue: &Arc<Queue>) {
        let queue = Arc::clone(queue);
        self.list.push(Slot {
            queue,
            ranges: self.spare.pop().unwrap_or_default(),
            n: 0,
            first_seq: 0,
            next_seq: 0,
            logged: 0,
            durable: false,
            pages: false,
            stores_all: false,
        });
    }
}

impl Slot {
    /// Which of its messages the log holds, if it took the batch.
    pub(super) fn logged(&self, in_log: bool) -> Logged {
        match (in_log, self.pages, self.durable) {
            (false, ..) | (true, false, false) => Logged::None,
            (true, true, _) => Logged::All,
            (true, false, true) if self.stores_all => Logged::All,
            (true, false, true) => Logged::Persistent,
        }
    }
}
