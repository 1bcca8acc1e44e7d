//! Deliveries whose bytes were given up, in sixteen bytes each.
//!
//! A client that consumes a backlog without a prefetch limit and settles nothing makes this list as
//! long as the backlog. Their messages are in the commit log, so little is left to be known of
//! them: what differs from one to the next is kept as a difference from the first of their run.

use std::collections::VecDeque;

use warren_broker::Entry;
use warren_broker::message::Message;

use super::Unacked;

/// Deliveries in a run at most.
const RUN: usize = if cfg!(test) { 16 } else { 4096 };

const REDELIVERED: u8 = 1;
/// It was settled; a hole.
const GONE: u8 = 2;

/// One delivery.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Less the first of the run.
    tag: u32,
    /// Number in its queue, less the first of the run.
    seq: i32,
    body_len: u32,
    source: u16,
    level: u8,
    flags: u8,
}

/// Deliveries made within one second, in the order of their tags.
#[derive(Debug)]
struct Run {
    first_tag: u64,
    first_seq: u64,
    since_s: u32,
    /// Items at the front that are gone.
    head: u32,
    live: u32,
    items: Vec<Item>,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Cold {
    runs: VecDeque<Run>,
    live: usize,
}

impl Cold {
    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Adds the delivery with the highest tag so far; false when it carries more than can be kept
    /// here.
    pub(super) fn push(&mut self, tag: u64, source: u32, entry: &Entry, since_s: u32) -> bool {
        let Ok(source) = u16::try_from(source) else {
            return false;
        };
        if entry.message.is_present() || !entry.logged || entry.deliveries > 0 {
            return false;
        }
        let fits = |run: &Run| {
            run.items.len() < RUN
                && run.since_s == since_s
                && run.tag(tag).is_some()
                && run.seq(entry.seq).is_some()
        };
        if !self.runs.back().is_some_and(fits) {
            self.begin(tag, entry.seq, since_s);
        }
        let Some(run) = self.runs.back_mut() else {
            return false;
        };
        let (Some(tag), Some(seq)) = (run.tag(tag), run.seq(entry.seq)) else {
            return false;
        };
        self.live += 1;
        run.live += 1;
        run.items.push(Item {
            tag,
            seq,
            body_len: entry.message.body_len() as u32,
            source,
            level: entry.level,
            flags: if entry.redelivered { REDELIVERED } else { 0 },
        });
        true
    }

    fn begin(&mut self, first_tag: u64, first_seq: u64, since_s: u32) {
        if let Some(last) = self.runs.back_mut() {
            last.items.shrink_to_fit();
        }
        self.runs.push_back(Run {
            first_tag,
            first_seq,
            since_s,
            head: 0,
            live: 0,
            items: Vec::new(),
        });
    }

    /// The run that would hold this tag.
    fn run_of(&self, tag: u64) -> Option<usize> {
        self.runs
            .partition_point(|run| run.first_tag <= tag)
            .checked_sub(1)
    }

    /// Whether this tag is here.
    pub(super) fn holds(&self, tag: u64) -> bool {
        let run = self.run_of(tag).map(|at| &self.runs[at]);
        run.is_some_and(|run| run.find(tag).is_some())
    }

    /// The tag up to which there are `most` deliveries, or up to a run more; none if there are fewer.
    pub(super) fn reach(&self, most: usize) -> Option<u64> {
        let mut live = 0;
        let run = self.runs.iter().find(|run| {
            live += run.live as usize;
            live >= most
        })?;
        let last = run.items.last()?;
        Some(run.first_tag + u64::from(last.tag))
    }

    /// Takes the delivery with this tag.
    pub(super) fn take(&mut self, tag: u64) -> Option<Unacked> {
        let at = self.run_of(tag)?;
        let run = &mut self.runs[at];
        let item = run.find(tag)?;
        let found = run.unacked(run.items[item]);
        run.items[item].flags |= GONE;
        run.live -= 1;
        self.live -= 1;
        run.tidy();
        if run.live == 0 {
            self.runs.remove(at);
        }
        Some(found)
    }

    /// Takes all up to and including this tag, in their order.
    pub(super) fn take_up_to(&mut self, tag: u64, taken: &mut Vec<Unacked>) {
        while let Some(run) = self.runs.front_mut().filter(|run| run.first_tag <= tag) {
            let end = run
                .items
                .partition_point(|item| run.first_tag + u64::from(item.tag) <= tag);
            let before = taken.len();
            taken.extend(run.live_items(..end).map(|item| run.unacked(item)));
            run.live -= (taken.len() - before) as u32;
            self.live -= taken.len() - before;
            if run.live > 0 {
                run.head = end as u32;
                run.tidy();
                break;
            }
            self.runs.pop_front();
        }
    }

    /// Copies of all, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Unacked> + '_ {
        let runs = self.runs.iter();
        runs.flat_map(|run| run.live_items(..).map(|item| run.unacked(item)))
    }

    /// Source and time of each, oldest first.
    pub(super) fn ages(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.runs.iter().flat_map(|run| {
            run.live_items(..)
                .map(|item| (u32::from(item.source), run.since_s))
        })
    }
}

impl Run {
    fn tag(&self, tag: u64) -> Option<u32> {
        u32::try_from(tag - self.first_tag).ok()
    }

    fn seq(&self, seq: u64) -> Option<i32> {
        i32::try_from(seq.wrapping_sub(self.first_seq) as i64).ok()
    }

    /// The index of a delivery that is not settled.
    fn find(&self, tag: u64) -> Option<usize> {
        let tag = self.tag(tag)?;
        let at = self
            .items
            .binary_search_by_key(&tag, |item| item.tag)
            .ok()?;
        (at >= self.head as usize && self.items[at].flags & GONE == 0).then_some(at)
    }

    fn live_items(
        &self,
        range: impl std::slice::SliceIndex<[Item], Output = [Item]>,
    ) -> impl Iterator<Item = Item> + '_ {
        let items = self.items.get(range).unwrap_or_default().iter().copied();
        let head = self.head as usize;
        items.skip(head).filter(|item| item.flags & GONE == 0)
    }

    fn unacked(&self, item: Item) -> Unacked {
        Unacked {
            tag: self.first_tag + u64::from(item.tag),
            source: item.source.into(),
            since_s: self.since_s,
            entry: Entry {
                seq: self.first_seq.wrapping_add_signed(item.seq.into()),
                message: Message::released(item.body_len),
                logged: true,
                deliveries: 0,
                redelivered: item.flags & REDELIVERED != 0,
                release: false,
                level: item.level,
                // Known again once the message is loaded.
                deadline_ms: u64::MAX,
            },
        }
    }

    fn tidy(&mut self) {
        let behind = &self.items[self.head as usize..];
        let gone = behind.iter().take_while(|item| item.flags & GONE != 0);
        self.head += gone.count() as u32;
        let len = self.items.len();
        if len > 64 && self.live as usize * 4 < len {
            self.items.drain(..self.head as usize);
            self.items.retain(|item| item.flags & GONE == 0);
            self.items.shrink_to_fit();
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_takes_sixteen_bytes() {
        assert_eq!(size_of::<Item>(), 16);
        let mut cold = Cold::default();
        for n in 0..100 * RUN as u64 {
            let entry = super::super::tests::released(n * 3, false);
            assert!(cold.push(n + 7, 1, &entry, 5));
        }
        assert_eq!(cold.runs.len(), 100);
        let full = cold.runs.iter().take(99);
        assert!(full.into_iter().all(|run| run.items.capacity() == RUN));
        for n in 0..100 * RUN as u64 {
            assert_eq!(cold.take(n + 7).map(|found| found.entry.seq), Some(n * 3));
        }
        assert!(cold.is_empty());
    }

    #[test]
    fn what_carries_more_is_not_taken() {
        let mut cold = Cold::default();
        let entry = super::super::tests::released(1, false);
        let more = Entry {
            deliveries: 1,
            ..entry.clone()
        };
        assert!(!cold.push(1, 0, &more, 5));
        assert!(!cold.push(1, 1 << 16, &entry, 5));
        assert!(!cold.push(1, 0, &super::super::tests::entry(1), 5));
        assert!(cold.is_empty());
    }
}
