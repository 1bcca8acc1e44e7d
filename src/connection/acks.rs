//! Deliveries acked in one read and not told to their queues yet. They are gathered by queue and
//! consumer, so that each queue is entered once, in vectors that are used again: an ack allocates
//! nothing. Other settlements go to their queues at once (`basic.rs`).

use std::sync::Arc;

use warren_broker::{ConsumerId, Entry, Queue};

use super::unacked::Unacked;

/// Vectors kept for the next read at most.
const SPARE: usize = 16;

/// Acked deliveries of one queue and consumer.
struct Group {
    queue: Arc<Queue>,
    /// None for `basic.get`.
    consumer: Option<ConsumerId>,
    entries: Vec<Entry>,
}

/// See the module documentation.
#[derive(Default)]
pub(crate) struct PendingAcks {
    groups: Vec<Group>,
    /// How many each channel acked.
    by_channel: Vec<(u16, u64)>,
    /// Empty vectors of groups that were told.
    spare: Vec<Vec<Entry>>,
    /// Room for the deliveries of one `multiple`; empty in between.
    pub(crate) taken: Vec<Unacked>,
}

impl PendingAcks {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.by_channel.is_empty()
    }

    /// Adds a delivery from `queue` to `consumer` (none for `basic.get`).
    pub(crate) fn add(&mut self, queue: &Arc<Queue>, consumer: Option<ConsumerId>, entry: Entry) {
        match self.groups.last_mut() {
            Some(last) if Arc::ptr_eq(&last.queue, queue) && last.consumer == consumer => {
                last.entries.push(entry);
            }
            _ => {
                let mut entries = self.spare.pop().unwrap_or_default();
                entries.push(entry);
                self.groups.push(Group {
                    queue: Arc::clone(queue),
                    consumer,
                    entries,
                });
            }
        }
    }

    /// Counts acks of a channel.
    pub(crate) fn count(&mut self, channel: u16, n: u64) {
        match self.by_channel.last_mut() {
            Some((last, sum)) if *last == channel => *sum += n,
            _ => self.by_channel.push((channel, n)),
        }
    }

    /// Empties it: every group goes to `tell` in the order of the acks, then every channel's count
    /// to `count`.
    pub(crate) fn drain(
        &mut self,
        mut tell: impl FnMut(&Arc<Queue>, Option<ConsumerId>, &[Entry]),
        count: impl FnMut((u16, u64)),
    ) {
        for Group {
            queue,
            consumer,
            mut entries,
        } in self.groups.drain(..)
        {
            tell(&queue, consumer, &entries);
            if self.spare.len() < SPARE {
                entries.clear();
                self.spare.push(entries);
            }
        }
        self.by_channel.drain(..).for_each(count);
    }
}
