//! What recovery knows of each queue before it sees the messages.

use rustc_hash::FxHashMap;

use super::codec::Entry;
use super::{QueueId, Seq};

/// A set of numbers kept as ranges. Additions at the end are cheap, others are sorted in later.
#[derive(Default, Debug)]
pub(crate) struct RangeSet {
    /// Inclusive. The first `sorted` are sorted and apart.
    ranges: Vec<(Seq, Seq)>,
    sorted: usize,
}

/// How many ranges may wait to be sorted in, besides as many as there are.
const UNSORTED: usize = 1024;

impl RangeSet {
    pub(crate) fn add(&mut self, first: Seq, last: Seq) {
        let in_order = self.sorted == self.ranges.len();
        match self.ranges.last_mut() {
            Some((start, end)) if *start <= first && first <= end.saturating_add(1) => {
                *end = last.max(*end);
                return;
            }
            Some((_, end)) if in_order && first > *end => self.sorted += 1,
            None => self.sorted += 1,
            _ => {}
        }
        self.ranges.push((first, last));
        if self.ranges.len() > self.sorted * 2 + UNSORTED {
            self.sort();
        }
    }

    /// Must be called after the last `add` and before `contains`.
    pub(crate) fn sort(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        self.sorted = self.ranges.len();
    }

    pub(crate) fn contains(&self, seq: Seq) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= seq);
        after > 0 && self.ranges[after - 1].1 >= seq
    }
}

/// What the log says of one queue, its messages aside.
#[derive(Default, Debug)]
pub(crate) struct QueueMarks {
    pub(crate) settled: RangeSet,
    /// What is settled in the newest segment: see `recovery`.
    pub(crate) settled_newest: RangeSet,
    pub(crate) delivered: Option<Seq>,
    pub(crate) counts: FxHashMap<Seq, u32>,
    pub(crate) gone: bool,
    /// The highest number the log names.
    pub(crate) highest: Option<Seq>,
}

/// The marks of all queues.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) queues: FxHashMap<QueueId, QueueMarks>,
}

impl Marks {
    pub(crate) fn note(&mut self, entry: &Entry<'_>, newest: bool) {
        match entry {
            Entry::Message(message) => {
                for (queue, seq) in message.targets() {
                    self.named(queue, seq);
                }
            }
            Entry::Settled(queue, first, last) => {
                let marks = self.named(*queue, *last);
                marks.settled.add(*first, *last);
                if newest {
                    marks.settled_newest.add(*first, *last);
                }
            }
            Entry::Delivered(queue, up_to) => {
                let marks = self.named(*queue, *up_to);
                marks.delivered = marks.delivered.max(Some(*up_to));
            }
            Entry::Count(queue, seq, count) => {
                let known = self.named(*queue, *seq).counts.entry(*seq).or_default();
                *known = (*known).max(*count);
            }
            Entry::Gone(queue) => self.queues.entry(*queue).or_default().gone = true,
        }
    }

    /// A queue the log does not name holds nothing to be redelivered.
    pub(crate) fn delivered(&mut self, queue: QueueId, up_to: Seq) {
        if let Some(marks) = self.queues.get_mut(&queue) {
            marks.delivered = marks.delivered.max(Some(up_to));
            marks.highest = marks.highest.max(Some(up_to));
        }
    }

    pub(crate) fn sort(&mut self) {
        for marks in self.queues.values_mut() {
            marks.settled.sort();
            marks.settled_newest.sort();
        }
    }

    fn named(&mut self, queue: QueueId, seq: Seq) -> &mut QueueMarks {
        let marks = self.queues.entry(queue).or_default();
        marks.highest = marks.highest.max(Some(seq));
        marks
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_set_is_a_set(ranges in prop::collection::vec((0u64..300, 0u64..6), 0..80)) {
            let (mut set, mut model) = (RangeSet::default(), BTreeSet::new());
            for (first, len) in ranges {
                set.add(first, first + len);
                model.extend(first..=first + len);
            }
            set.sort();
            for seq in 0..310 {
                prop_assert_eq!(set.contains(seq), model.contains(&seq), "{}", seq);
            }
        }
    }

    #[test]
    fn many_ranges_out_of_order_are_kept_small() {
        let mut set = RangeSet::default();
        for round in 0..10u64 {
            (0..5000u64)
                .rev()
                .for_each(|n| set.add(n * 2 + round % 2, n * 2 + round % 2));
        }
        assert!(
            set.ranges.len() <= 5000 * 2 + UNSORTED,
            "{}",
            set.ranges.len()
        );
        set.sort();
        assert_eq!(set.ranges, [(0, 9999)]);
    }
}
