//! The ready messages of one queue, in delivery order: by priority, then by arrival.
//!
//! Without `x-max-priority` there is one level. Inside a level entries are ordered by their
//! sequence number, so that a requeued message finds its original place again.

use std::collections::VecDeque;

use warren_storage::Seq;

use crate::message::Message;

/// A message as one queue holds it. Kept small: a backlog is made of these.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Place in the queue's order of arrival; unique within the queue.
    pub seq: Seq,
    /// The message itself.
    pub message: Message,
    /// Whether the commit log holds it for this queue.
    pub logged: bool,
    /// How often it was handed out and came back.
    pub deliveries: u16,
    /// Whether the next delivery says `redelivered`.
    pub redelivered: bool,
    /// Priority level within the queue.
    pub level: u8,
    /// When it expires, Unix milliseconds; `u64::MAX` for never.
    pub deadline_ms: u64,
}

impl Entry {
    /// Whether the commit log must be told when this entry is settled.
    pub fn logged(&self) -> bool {
        self.logged
    }
}

/// Ready entries by priority level.
#[derive(Debug)]
pub(crate) struct Ready {
    levels: Vec<VecDeque<Entry>>,
    messages: usize,
    body_bytes: u64,
}

impl Ready {
    /// `max_priority` 0 means a single level.
    pub(crate) fn new(max_priority: u8) -> Self {
        Self {
            levels: (0..=max_priority).map(|_| VecDeque::new()).collect(),
            messages: 0,
            body_bytes: 0,
        }
    }

    /// The highest level.
    pub(crate) fn max_level(&self) -> u8 {
        (self.levels.len() - 1) as u8
    }

    /// Ready messages.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// Whether nothing is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Bytes of the ready messages' bodies.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Adds a newly arrived entry. Usually the newest of its level; when a concurrent publisher
    /// was faster with a later number, it still takes its own place.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.messages += 1;
        self.body_bytes += entry.message.body_len() as u64;
        let level = &mut self.levels[usize::from(entry.level)];
        match level.back() {
            Some(last) if last.seq > entry.seq => insert_in_order(level, entry),
            _ => level.push_back(entry),
        }
    }

    /// The entry delivered next.
    pub(crate) fn head(&self) -> Option<&Entry> {
        self.levels.iter().rev().find_map(VecDeque::front)
    }

    /// Takes the entry delivered next.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.levels.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.forget(&entry);
        Some(entry)
    }

    /// Takes the head of any level whose deadline is at or before `now_ms`.
    pub(crate) fn pop_expired(&mut self, now_ms: u64) -> Option<Entry> {
        let due = |level: &&mut VecDeque<Entry>| {
            level
                .front()
                .is_some_and(|entry| entry.deadline_ms <= now_ms)
        };
        let entry = self.levels.iter_mut().rev().find(due)?.pop_front()?;
        self.forget(&entry);
        Some(entry)
    }

    /// The earliest deadline among the heads of the levels.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.levels
            .iter()
            .filter_map(|level| level.front().map(|entry| entry.deadline_ms))
            .filter(|deadline| *deadline != u64::MAX)
            .min()
    }

    /// Puts entries back to their original places.
    pub(crate) fn requeue(&mut self, mut entries: Vec<Entry>) {
        entries.sort_unstable_by_key(|entry| entry.seq);
        self.messages += entries.len();
        self.body_bytes += entries
            .iter()
            .map(|e| e.message.body_len() as u64)
            .sum::<u64>();
        if self.levels.len() == 1 {
            return put_back(&mut self.levels[0], entries);
        }
        let mut by_level: Vec<Vec<Entry>> = self.levels.iter().map(|_| Vec::new()).collect();
        for entry in entries {
            by_level[usize::from(entry.level)].push(entry);
        }
        for (level, entries) in self.levels.iter_mut().zip(by_level) {
            put_back(level, entries);
        }
    }

    /// Calls `change` with every entry that is in memory. What it changes must not be what the
    /// order depends on.
    pub(crate) fn each_resident(&mut self, change: impl FnMut(&mut Entry)) {
        self.levels.iter_mut().flatten().for_each(change);
    }

    /// Takes everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry> + '_ {
        self.messages = 0;
        self.body_bytes = 0;
        self.levels.iter_mut().flat_map(|level| level.drain(..))
    }

    /// All entries in delivery order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().rev().flatten()
    }

    fn forget(&mut self, entry: &Entry) {
        self.messages -= 1;
        self.body_bytes -= entry.message.body_len() as u64;
    }
}

fn insert_in_order(level: &mut VecDeque<Entry>, entry: Entry) {
    let at = level.partition_point(|other| other.seq < entry.seq);
    level.insert(at, entry);
}

/// Merges ascending `entries` into an ascending level. They nearly always belong in front of it;
/// a few strays are inserted one by one, many are merged with the part of the level they overlap.
fn put_back(level: &mut VecDeque<Entry>, entries: Vec<Entry>) {
    const FEW: usize = 16;
    let Some(newest) = entries.last().map(|entry| entry.seq) else {
        return;
    };
    let overlap = level.partition_point(|other| other.seq < newest);
    if overlap == 0 {
        entries
            .into_iter()
            .rev()
            .for_each(|entry| level.push_front(entry));
    } else if entries.len() <= FEW {
        entries
            .into_iter()
            .for_each(|entry| insert_in_order(level, entry));
    } else {
        let mut merged: Vec<Entry> = level.drain(..overlap).collect();
        merged.extend(entries);
        merged.sort_by_key(|entry| entry.seq);
        merged
            .into_iter()
            .rev()
            .for_each(|entry| level.push_front(entry));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Chunk, Meta};

    pub(crate) fn entry(seq: Seq, level: u8) -> Entry {
        let chunk = Chunk::single(b"\0\0", b"", b"x", Meta::default(), 0);
        Entry {
            seq,
            message: Message::new(&chunk, 0),
            logged: false,
            deliveries: 0,
            redelivered: false,
            level,
            deadline_ms: u64::MAX,
        }
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Entry>() <= 48, "{}", size_of::<Entry>());
    }

    proptest! {
        /// Whatever is taken and put back, the order stays (priority down, sequence up).
        #[test]
        fn requeued_entries_find_their_place(
            levels in prop::collection::vec(0u8..3, 1..60),
            takes in prop::collection::vec((0usize..10, any::<bool>()), 0..20),
        ) {
            let mut ready = Ready::new(2);
            for (seq, level) in levels.iter().enumerate() {
                ready.push(entry(seq as u64, *level));
            }
            let mut out = Vec::new();
            for (n, back) in takes {
                for _ in 0..n {
                    out.extend(ready.pop());
                }
                if back {
                    ready.requeue(std::mem::take(&mut out));
                }
            }
            let order: Vec<(u8, u64)> = ready.iter().map(|e| (2 - e.level, e.seq)).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(&order, &sorted);
            prop_assert_eq!(ready.len() + out.len(), levels.len());
            prop_assert_eq!(ready.body_bytes() as usize, ready.len());
        }
    }
}
