//! Deliveries of one channel the client has not settled yet, in delivery-tag order.
//!
//! Acks nearly always come oldest first, so the list is a queue; an ack out of order leaves a
//! hole, and the list is compacted when holes outnumber the rest, so one old unacked delivery
//! does not keep the places of all that came after it.
//!
//! Deliveries whose bytes were given up, because the client holds so many, are kept apart, in much
//! less room: [`cold`].

mod cold;

use std::collections::VecDeque;

use warren_broker::Entry;

use self::cold::Cold;

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
    /// Those whose bytes were given up.
    cold: Cold,
    /// Those in `slots` that are not settled.
    live: usize,
}

impl UnackedList {
    /// Unsettled deliveries.
    pub(crate) fn len(&self) -> usize {
        self.live + self.cold.len()
    }

    /// Adds the delivery with the highest tag so far, made at `since_s` (Unix seconds).
    pub(crate) fn push_at(&mut self, tag: u64, source: u32, entry: Entry, since_s: u32) {
        debug_assert!(self.slots.back().is_none_or(|last| last.tag < tag));
        if !entry.message.is_present() && self.cold.push(tag, source, &entry, since_s) {
            return;
        }
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
        if !self.cold.is_empty()
            && let Some(found) = self.cold.take(tag)
        {
            return Some(found);
        }
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

    /// The deliveries not settled: their source and when they were made, in two lists that both
    /// begin with the oldest.
    pub(crate) fn ages(&self) -> [Box<dyn Iterator<Item = (u32, u32)> + '_>; 2] {
        let live = self.slots.iter().filter(|slot| slot.entry.is_some());
        let live = live.map(|slot| (slot.source, slot.since_s));
        [Box::new(live), Box::new(self.cold.ages())]
    }

    /// Copies of the oldest deliveries of these sources, `most` at most.
    pub(crate) fn oldest(&self, most: usize, of: impl Fn(u32) -> bool) -> Vec<Unacked> {
        let live = self.slots.iter().filter(|slot| of(slot.source));
        let live = live.filter_map(|slot| {
            Some(Unacked {
                tag: slot.tag,
                source: slot.source,
                since_s: slot.since_s,
                entry: slot.entry.clone()?,
            })
        });
        let mut found: Vec<Unacked> = live.take(most).collect();
        found.extend(self.cold.iter().filter(|cold| of(cold.source)).take(most));
        found.sort_unstable_by_key(|unacked| unacked.tag);
        found.truncate(most);
        found
    }

    /// Whether the delivery with this tag is outstanding.
    pub(crate) fn holds(&self, tag: u64) -> bool {
        let found = self.slots.binary_search_by_key(&tag, |slot| slot.tag);
        found.is_ok_and(|at| self.slots[at].entry.is_some()) || self.cold.holds(tag)
    }

    /// Takes all deliveries up to and including `tag`, oldest first; `None` when that tag itself
    /// is not outstanding.
    pub(crate) fn take_up_to(&mut self, tag: u64, taken: &mut Vec<Unacked>) -> Option<()> {
        self.holds(tag).then(|| self.drain_up_to(tag, taken))
    }

    /// Of deliveries up to `tag`, which is outstanding, takes some `most` of the oldest if there are
    /// more; `None` if there are not.
    pub(crate) fn take_part(&mut self, tag: u64, most: usize) -> Option<Vec<Unacked>> {
        if self.len() <= most || !self.holds(tag) {
            return None;
        }
        let hot = self.slots.get(most).map_or(tag, |slot| slot.tag);
        let end = hot.min(self.cold.reach(most).unwrap_or(tag));
        let mut taken = Vec::new();
        (end < tag).then(|| self.drain_up_to(end, &mut taken))?;
        Some(taken)
    }

    fn drain_up_to(&mut self, tag: u64, taken: &mut Vec<Unacked>) {
        let end = self.slots.partition_point(|slot| slot.tag <= tag);
        let before = taken.len();
        taken.extend(self.slots.drain(..end).filter_map(Slot::into_unacked));
        self.live -= taken.len() - before;
        if !self.cold.is_empty() {
            self.cold.take_up_to(tag, taken);
            taken[before..].sort_unstable_by_key(|unacked| unacked.tag);
        }
        self.tidy();
    }

    /// Takes everything, oldest first.
    pub(crate) fn take_all(&mut self) -> Vec<Unacked> {
        let mut taken = Vec::with_capacity(self.len());
        taken.extend(self.slots.drain(..).filter_map(Slot::into_unacked));
        if !self.cold.is_empty() {
            self.cold.take_up_to(u64::MAX, &mut taken);
            taken.sort_unstable_by_key(|unacked| unacked.tag);
        }
        self.live = 0;
        taken
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

    pub(super) fn entry(seq: u64) -> Entry {
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

    /// One whose bytes were given up.
    pub(super) fn released(seq: u64, redelivered: bool) -> Entry {
        Entry {
            logged: true,
            redelivered,
            release: true,
            ..entry(seq)
        }
        .sent()
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        PushReleased { redelivered: bool, later: bool },
        Take(u64),
        UpTo(u64),
        Part(u64, usize),
        All,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => Just(Op::Push),
            8 => (any::<bool>(), prop::bool::weighted(0.1))
                .prop_map(|(redelivered, later)| Op::PushReleased { redelivered, later }),
            4 => (1u64..200).prop_map(Op::Take),
            1 => (1u64..200).prop_map(Op::UpTo),
            1 => (1u64..200, 1usize..60).prop_map(|(tag, most)| Op::Part(tag, most)),
            1 => Just(Op::All),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(ops in prop::collection::vec(op(), 0..400)) {
            let mut list = UnackedList::default();
            // What is known of each: its number, redelivered, when.
            let mut model = std::collections::BTreeMap::new();
            let (mut next, mut now) = (1, 0);
            let same = |found: &Unacked, known: (u64, bool, u32)| {
                (found.entry.seq, found.entry.redelivered, found.since_s) == known
            };
            for op in ops {
                match op {
                    Op::Push => {
                        list.push_at(next, 0, entry(next), now);
                        model.insert(next, (next, false, now));
                        next += 1;
                    }
                    Op::PushReleased { redelivered, later } => {
                        now += u32::from(later);
                        // Not in the order of their tags, as requeued ones come.
                        let seq = next ^ 5;
                        list.push_at(next, 3, released(seq, redelivered), now);
                        model.insert(next, (seq, redelivered, now));
                        next += 1;
                    }
                    Op::Take(tag) => {
                        let (found, known) = (list.take(tag), model.remove(&tag));
                        prop_assert_eq!(found.is_some(), known.is_some());
                        if let (Some(found), Some(known)) = (found, known) {
                            prop_assert!(found.tag == tag && same(&found, known));
                        }
                    }
                    Op::UpTo(tag) => {
                        let mut taken = Vec::new();
                        let known = list.take_up_to(tag, &mut taken).is_some();
                        prop_assert_eq!(known, model.contains_key(&tag));
                        if known {
                            let rest = model.split_off(&(tag + 1));
                            prop_assert_eq!(taken.len(), model.len());
                            for (found, (tag, known)) in taken.iter().zip(model) {
                                prop_assert!(found.tag == tag && same(found, known));
                            }
                            model = rest;
                        }
                    }
                    Op::Part(tag, most) => {
                        let held = model.contains_key(&tag);
                        if let Some(taken) = list.take_part(tag, most) {
                            prop_assert!(held && !taken.is_empty());
                            prop_assert!(taken.len() <= 2 * most + 2 * 16, "{}", taken.len());
                            for found in taken {
                                let (first, known) = model.pop_first().expect("as many");
                                prop_assert!(found.tag == first && same(&found, known));
                                prop_assert!(first < tag);
                            }
                        } else {
                            let older = model.range(..tag).count();
                            prop_assert!(!held || older <= 2 * most + 2 * 16);
                        }
                    }
                    Op::All => {
                        let all = list.take_all();
                        prop_assert!(all.is_sorted_by_key(|unacked| unacked.tag));
                        prop_assert_eq!(all.len(), model.len());
                        if next % 2 == 0 {
                            list.restore(all);
                        } else {
                            model.clear();
                        }
                    }
                }
                prop_assert_eq!(list.len(), model.len());
                let oldest: Vec<u64> = list.oldest(5, |_| true).iter().map(|u| u.tag).collect();
                prop_assert_eq!(oldest, model.keys().copied().take(5).collect::<Vec<_>>());
                let ages = list.ages().map(Iterator::collect::<Vec<_>>);
                prop_assert_eq!(ages[0].len() + ages[1].len(), model.len());
                prop_assert!(ages.iter().all(|ages| ages.is_sorted_by_key(|(_, since)| *since)));
            }
        }
    }
}
