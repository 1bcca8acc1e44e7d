//! What recovery knows of each queue while it goes from the newest segment to the oldest.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::summary::Summary;
use super::{QueueId, Seq};

/// Numbers that are settled, and for each the newest segment that says so.
#[derive(Default, Debug)]
pub(crate) struct Settled {
    /// `(first, last, segment)`, inclusive, ascending and apart.
    ranges: VecDeque<(Seq, Seq, u32)>,
}

impl Settled {
    /// Adds what an older segment says; `ranges` are ascending and apart. What is known already
    /// stays as it is.
    pub(crate) fn add_older(&mut self, ranges: &[(Seq, Seq)], segment: u32) {
        let (Some((_, last)), Some((first, _))) = (ranges.last(), ranges.first()) else {
            return;
        };
        // Queues are mostly settled from front to back.
        if self.ranges.front().is_none_or(|(front, ..)| last < front) {
            for &(first, last) in ranges.iter().rev() {
                self.ranges.push_front((first, last, segment));
            }
            return;
        }
        if self.ranges.back().is_some_and(|(_, back, _)| back < first) {
            let ranges = ranges.iter();
            self.ranges
                .extend(ranges.map(|&(first, last)| (first, last, segment)));
            return;
        }
        let mut merged: VecDeque<(Seq, Seq, u32)> =
            VecDeque::with_capacity(self.ranges.len() + ranges.len());
        let mut known = self.ranges.iter().copied().peekable();
        for &(first, last) in ranges {
            // Where the part begins that is not known yet; none if there is none.
            let mut next = match merged.back() {
                Some((_, end, _)) => end.checked_add(1).map(|after| after.max(first)),
                None => Some(first),
            };
            while let Some(range) = known.next_if(|known| known.0 <= last) {
                if let Some(from) = next.filter(|from| *from < range.0) {
                    merged.push_back((from, range.0 - 1, segment));
                }
                next = next.and_then(|from| Some(from.max(range.1.checked_add(1)?)));
                merged.push_back(range);
            }
            if let Some(from) = next.filter(|from| *from <= last) {
                merged.push_back((from, last, segment));
            }
        }
        merged.extend(known);
        self.ranges = merged;
    }

    /// The segment that settles a number.
    pub(crate) fn by(&self, seq: Seq) -> Option<u32> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= seq);
        let (_, last, segment) = self.ranges.get(after.checked_sub(1)?)?;
        (*last >= seq).then_some(*segment)
    }

    /// All of it, ascending: first, last and segment.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (Seq, Seq, u32)> + '_ {
        self.ranges.iter().copied()
    }
}

/// What the log says of one queue, its messages aside.
#[derive(Default, Debug)]
pub(crate) struct QueueMarks {
    pub(crate) settled: Settled,
    /// The newest segment that says the queue is gone; 0 if none does.
    pub(crate) gone: u32,
    /// With the newest segment that says it.
    pub(crate) delivered: Option<(Seq, u32)>,
    /// With the newest segments that say it.
    pub(crate) counts: FxHashMap<Seq, (u32, u32)>,
    /// The highest number the log names.
    pub(crate) highest: Option<Seq>,
}

impl QueueMarks {
    fn named(&mut self, seq: Seq) -> &mut Self {
        self.highest = self.highest.max(Some(seq));
        self
    }

    /// The segment because of which a message is dead.
    pub(crate) fn dead_by(&self, seq: Seq) -> Option<u32> {
        if self.gone != 0 {
            return Some(self.gone);
        }
        self.settled.by(seq)
    }
}

/// The marks of all queues.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) queues: FxHashMap<QueueId, QueueMarks>,
    ranges: Vec<(Seq, Seq)>,
}

impl Marks {
    /// Takes in what the next older segment says, its messages aside. Sorts `summary.settled`.
    pub(crate) fn add_older(&mut self, summary: &mut Summary, segment: u32) {
        summary.settled.sort_unstable();
        for of_queue in summary.settled.chunk_by(|a, b| a.0 == b.0) {
            self.ranges.clear();
            for &(_, first, last) in of_queue {
                match self.ranges.last_mut() {
                    Some((_, end)) if end.saturating_add(1) >= first => *end = last.max(*end),
                    _ => self.ranges.push((first, last)),
                }
            }
            let marks = self.queues.entry(of_queue[0].0).or_default();
            if let Some((_, last)) = self.ranges.last() {
                marks.named(*last);
            }
            marks.settled.add_older(&self.ranges, segment);
        }
        for queue in &summary.gone {
            let gone = &mut self.queues.entry(*queue).or_default().gone;
            *gone = segment.max(*gone);
        }
        for (queue, up_to) in &summary.delivered {
            let marks = self.queues.entry(*queue).or_default().named(*up_to);
            if marks.delivered.is_none_or(|(known, _)| known < *up_to) {
                marks.delivered = Some((*up_to, segment));
            }
        }
        for (queue, seq, count) in &summary.counts {
            let marks = self.queues.entry(*queue).or_default().named(*seq);
            let known = marks.counts.entry(*seq).or_default();
            if known.0 < *count {
                *known = (*count, segment);
            }
        }
    }

    /// The marks of the queue of a message.
    pub(crate) fn of_message(&mut self, queue: QueueId, seq: Seq) -> &mut QueueMarks {
        self.queues.entry(queue).or_default().named(seq)
    }

    /// A mark that stands outside the segments. A queue the log does not name holds nothing to be
    /// redelivered.
    pub(crate) fn delivered(&mut self, queue: QueueId, up_to: Seq) {
        if let Some(marks) = self.queues.get_mut(&queue) {
            let marks = marks.named(up_to);
            if marks.delivered.is_none_or(|(known, _)| known < up_to) {
                marks.delivered = Some((up_to, 0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_newest_segment_that_settles_a_number_counts(
            segments in prop::collection::vec(prop::collection::vec((0u64..300, 0u64..6), 0..20), 0..8),
        ) {
            let (mut marks, mut model) = (Marks::default(), BTreeMap::new());
            for (older, ranges) in segments.iter().enumerate() {
                let segment = 100 - older as u32;
                let mut summary = Summary::default();
                for &(first, len) in ranges {
                    summary.settled.push((QueueId(1), first, first + len));
                    (first..=first + len).for_each(|seq| {
                        model.entry(seq).or_insert(segment);
                    });
                }
                marks.add_older(&mut summary, segment);
            }
            let settled = &marks.queues.entry(QueueId(1)).or_default().settled;
            for seq in 0..310 {
                prop_assert_eq!(settled.by(seq), model.get(&seq).copied(), "{}", seq);
            }
            let apart = settled.ranges().zip(settled.ranges().skip(1));
            prop_assert!(apart.into_iter().all(|(a, b)| a.1 < b.0));
        }
    }

    #[test]
    fn the_last_number_there_is_can_be_settled() {
        let mut settled = Settled::default();
        settled.add_older(&[(5, u64::MAX)], 3);
        settled.add_older(&[(0, u64::MAX)], 2);
        assert_eq!((settled.by(4), settled.by(u64::MAX)), (Some(2), Some(3)));
    }
}
