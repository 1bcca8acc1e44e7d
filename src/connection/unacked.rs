//! Deliveries of one channel the client has not settled yet, in delivery-tag order.
//!
//! Acks nearly always come oldest first, so the list is a queue; an ack out of order leaves a
//! hole, and the list is compacted when holes outnumber the rest, so one old unacked delivery
//! does not keep the places of all that came after it.

use std::collections::VecDeque;

use warren_broker::Entry;

/// An unsettled delivery.
#[derive(Debug)]
pub(crate) struct Unacked {
    /// Its delivery tag.
    pub(crate) tag: u64,
    /// Index of its source (queue and consumer) on the channel.
    pub(crate) source: u32,
    /// When it was delivered, Unix seconds.
    pub(crate) since_s: u32,
    /// The message.
    pub(crate) entry: Entry,
}

#[derive(Debug)]
struct Slot {
    tag: u64,
    source: u32,
    since_s: u32,
    entry: Option<Entry>,
}

/// The unsettled deliveries of a channel.
#[derive(Debug, Default)]
pub(crate) struct UnackedList {
    slots: VecDeque<Slot>,
    live: usize,
}

impl UnackedList {
    /// Unsettled deliveries.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds the delivery with the highest tag so far, made at `since_s` (Unix seconds).
    pub(crate) fn push_at(&mut self, tag: u64, source: u32, entry: Entry, since_s: u32) {
        debug_assert!(self.slots.back().is_none_or(|last| last.tag < tag));
        self.live += 1;
        self.slots.push_back(Slot {
            tag,
            source,
            since_s,
            entry: Some(entry),
        });
    }

    /// Takes the delivery with this tag, if it is outstanding.
    pub(crate) fn take(&mut self, tag: u64) -> Option<Unacked> {
        let at = match self.slots.front() {
            Some(first) if first.tag == tag => 0,
            _ => self
                .slots
                .binary_search_by_key(&tag, |slot| slot.tag)
                .ok()?,
        };
        let slot = &mut self.slots[at];
        let entry = slot.entry.take()?;
        let (source, since_s) = (slot.source, slot.since_s);
        self.live -= 1;
        self.tidy();
        Some(Unacked {
            tag,
            source,
            since_s,
            entry,
        })
    }

    /// The deliveries not settled, oldest first: their source and when they were made.
    pub(crate) fn ages(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let live = self.slots.iter().filter(|slot| slot.entry.is_some());
        live.map(|slot| (slot.source, slot.since_s))
    }

    /// Takes all deliveries up to and including `tag`, oldest first; `None` when that tag itself
    /// is not outstanding.
    pub(crate) fn take_up_to(&mut self, tag: u64, taken: &mut Vec<Unacked>) -> Option<()> {
        let at = self
            .slots
            .binary_search_by_key(&tag, |slot| slot.tag)
            .ok()?;
        self.slots[at].entry.as_ref()?;
        let before = taken.len();
        taken.extend(self.slots.drain(..=at).filter_map(Slot::into_unacked));
        self.live -= taken.len() - before;
        self.tidy();
        Some(())
    }

    /// Takes everything, oldest first.
    pub(crate) fn take_all(&mut self) -> Vec<Unacked> {
        self.live = 0;
        self.slots
            .drain(..)
            .filter_map(Slot::into_unacked)
            .collect()
    }

    /// Puts deliveries back, as a rollback does.
    pub(crate) fn restore(&mut self, entries: Vec<Unacked>) {
        let mut all = self.take_all();
        all.extend(entries);
        all.sort_unstable_by_key(|unacked| unacked.tag);
        for unacked in all {
            let Unacked {
                tag,
                source,
                since_s,
                entry,
            } = unacked;
            self.push_at(tag, source, entry, since_s);
        }
    }

    fn tidy(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.entry.is_none()) {
            self.slots.pop_front();
        }
        if self.slots.len() > 64 && self.live * 2 < self.slots.len() {
            self.slots.retain(|slot| slot.entry.is_some());
        }
    }
}

impl Slot {
    fn into_unacked(self) -> Option<Unacked> {
        let Self {
            tag,
            source,
            since_s,
            entry,
        } = self;
        entry.map(|entry| Unacked {
            tag,
            source,
            since_s,
            entry,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_broker::message::{Chunk, Message, Meta};

    use super::*;

    fn entry(seq: u64) -> Entry {
        let chunk = Chunk::single(b"\0\0", b"", b"", Meta::default(), 0);
        let message = Message::new(&chunk, 0);
        Entry {
            seq,
            message,
            logged: false,
            deliveries: 0,
            redelivered: false,
            release: false,
            level: 0,
            deadline_ms: u64::MAX,
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        Take(u64),
        UpTo(u64),
        All,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => Just(Op::Push),
            4 => (1u64..200).prop_map(Op::Take),
            1 => (1u64..200).prop_map(Op::UpTo),
            1 => Just(Op::All),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(ops in prop::collection::vec(op(), 0..400)) {
            let mut list = UnackedList::default();
            let mut model = std::collections::BTreeSet::new();
            let mut next = 1;
            for op in ops {
                match op {
                    Op::Push => {
                        list.push_at(next, 0, entry(next), 0);
                        model.insert(next);
                        next += 1;
                    }
                    Op::Take(tag) => {
                        prop_assert_eq!(list.take(tag).is_some(), model.remove(&tag));
                    }
                    Op::UpTo(tag) => {
                        let mut taken = Vec::new();
                        let known = list.take_up_to(tag, &mut taken).is_some();
                        prop_assert_eq!(known, model.contains(&tag));
                        if known {
                            let rest = model.split_off(&(tag + 1));
                            let tags: Vec<u64> = taken.iter().map(|u| u.tag).collect();
                            prop_assert_eq!(tags, model.into_iter().collect::<Vec<_>>());
                            model = rest;
                        }
                    }
                    Op::All => {
                        let n = list.take_all().len();
                        prop_assert_eq!(n, model.len());
                        model.clear();
                    }
                }
                prop_assert_eq!(list.len(), model.len());
            }
        }
    }
}
