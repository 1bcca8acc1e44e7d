//! Which segments still hold something live, and which may go.
//!
//! Appends and settlements change counts per segment. The changes travel with the bytes they
//! belong to and are applied on the log's thread after the sync: a segment is only deleted when
//! what freed it is durable.
//!
//! A segment goes when nothing in it and in all older ones is live. Older ones first, because a
//! settlement never stands in an older segment than its message while that message's segment
//! exists: settlements that come before their message pin their segment and are written again
//! behind the message when it arrives. The two newest segments always stay, so that marks
//! (delivered, counts) written just before their message outlive it as well.
//!
//! A caller that settles twice would free a segment under a live message. So besides the count
//! there is a sum of hashes of what is live: a segment whose count is 0 but whose sum is not
//! stays until a restart counts afresh.

use std::collections::BTreeMap;

use super::{QueueId, Seq};
use crate::framing::record::mix;

/// What is in the log now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Number of segment files.
    pub segments: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Targets of messages appended and not settled (a message to three queues counts three).
    pub live: u64,
    /// Number of the oldest segment; 0 if there is none.
    pub oldest: u32,
    /// Number of the newest segment; 0 if there is none.
    pub newest: u32,
}

/// The hash of a live target in the sum of its segment.
pub(crate) fn target_hash(queue: QueueId, seq: Seq) -> u64 {
    mix(mix(queue.0) ^ seq)
}

/// What changes in one segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delta {
    pub(crate) segment: u32,
    /// Live targets more, or fewer.
    pub(crate) live: i64,
    /// Hashes more, or fewer.
    pub(crate) sum: u64,
    /// Settlements in this segment whose message has not been seen.
    pub(crate) pins: i64,
    /// Changed by a mere number: the sum says nothing any more.
    pub(crate) blind: bool,
}

/// Changes of several segments, each at most once.
#[derive(Default)]
pub(crate) struct Deltas {
    list: Vec<Delta>,
}

impl Deltas {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// The change of `segment`. Few segments are touched between two syncs, and mostly the same
    /// one again.
    pub(crate) fn of(&mut self, segment: u32) -> &mut Delta {
        let at = match self.list.iter().rposition(|delta| delta.segment == segment) {
            Some(at) => at,
            None => {
                self.list.push(Delta {
                    segment,
                    ..Delta::default()
                });
                self.list.len() - 1
            }
        };
        &mut self.list[at]
    }

    pub(crate) fn settled(&mut self, segment: u32, queue: QueueId, seq: Seq) {
        let delta = self.of(segment);
        delta.live -= 1;
        delta.sum = delta.sum.wrapping_sub(target_hash(queue, seq));
    }

    pub(crate) fn dropped(&mut self, segment: u32, messages: u32) {
        let delta = self.of(segment);
        delta.live -= i64::from(messages);
        delta.blind = true;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for delta in &other.list {
            let mine = self.of(delta.segment);
            mine.live += delta.live;
            mine.sum = mine.sum.wrapping_add(delta.sum);
            mine.pins += delta.pins;
            mine.blind |= delta.blind;
        }
    }
}

/// One segment file.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    bytes: u64,
    live: i64,
    sum: u64,
    pins: i64,
    blind: bool,
    /// The counts contradict each other: keep it until a restart.
    suspect: bool,
}

/// All segments on disk.
#[derive(Default)]
pub(crate) struct SegmentTable {
    segments: BTreeMap<u32, Segment>,
}

impl SegmentTable {
    /// Bytes were written to the segment, which may be new.
    pub(crate) fn grow(&mut self, segment: u32, bytes: u64) {
        self.segments.entry(segment).or_default().bytes += bytes;
    }

    /// Recovery found something live.
    pub(crate) fn add_live(&mut self, segment: u32, queue: QueueId, seq: Seq) {
        let entry = self.segments.entry(segment).or_default();
        entry.live += 1;
        entry.sum = entry.sum.wrapping_add(target_hash(queue, seq));
    }

    pub(crate) fn apply(&mut self, deltas: &Deltas) {
        for delta in &deltas.list {
            let Some(segment) = self.segments.get_mut(&delta.segment) else {
                tracing::error!(
                    "something was settled in segment {}, which is gone",
                    delta.segment
                );
                continue;
            };
            segment.live += delta.live;
            segment.sum = segment.sum.wrapping_add(delta.sum);
            segment.pins += delta.pins;
            segment.blind |= delta.blind;
            let contradiction =
                segment.live < 0 || (segment.live == 0 && segment.sum != 0 && !segment.blind);
            if contradiction && !segment.suspect {
                segment.suspect = true;
                tracing::error!(
                    "the counts of segment {} do not add up; it is kept until the next start",
                    delta.segment
                );
            }
        }
    }

    /// The oldest segment, if it may go.
    pub(crate) fn removable(&self) -> Option<u32> {
        let (number, oldest) = self.segments.first_key_value()?;
        let free = oldest.live == 0 && oldest.pins == 0 && !oldest.suspect;
        (free && self.segments.len() > 2).then_some(*number)
    }

    pub(crate) fn remove(&mut self, segment: u32) {
        self.segments.remove(&segment);
    }

    pub(crate) fn stats(&self) -> SegmentStats {
        SegmentStats {
            segments: self.segments.len(),
            bytes: self.segments.values().map(|segment| segment.bytes).sum(),
            live: self
                .segments
                .values()
                .map(|segment| segment.live.max(0) as u64)
                .sum(),
            oldest: self.segments.keys().next().copied().unwrap_or(0),
            newest: self.segments.keys().next_back().copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueId = QueueId(1);

    fn table(live: &[(u32, Seq)], segments: u32) -> SegmentTable {
        let mut table = SegmentTable::default();
        (1..=segments).for_each(|segment| table.grow(segment, 100));
        live.iter()
            .for_each(|(segment, seq)| table.add_live(*segment, QUEUE, *seq));
        table
    }

    fn settle(table: &mut SegmentTable, settled: &[(u32, Seq)]) {
        let mut deltas = Deltas::default();
        settled
            .iter()
            .for_each(|(segment, seq)| deltas.settled(*segment, QUEUE, *seq));
        table.apply(&deltas);
    }

    #[test]
    fn only_a_free_prefix_goes_and_two_stay() {
        let mut table = table(&[(1, 1), (2, 2)], 4);
        settle(&mut table, &[(2, 2)]);
        assert_eq!(table.removable(), None);
        settle(&mut table, &[(1, 1)]);
        for segment in [1, 2] {
            assert_eq!(table.removable(), Some(segment));
            table.remove(segment);
        }
        assert_eq!(table.removable(), None);
        assert_eq!(
            table.stats(),
            SegmentStats {
                segments: 2,
                bytes: 200,
                live: 0,
                oldest: 3,
                newest: 4
            }
        );
    }

    #[test]
    fn settling_one_message_twice_frees_nothing() {
        let mut table = table(&[(1, 1), (1, 2)], 3);
        settle(&mut table, &[(1, 1), (1, 1)]);
        assert_eq!(table.removable(), None);
    }

    #[test]
    fn a_queue_that_is_gone_frees_by_number() {
        let mut table = table(&[(1, 1), (1, 2)], 3);
        let mut deltas = Deltas::default();
        deltas.dropped(1, 2);
        table.apply(&deltas);
        assert_eq!(table.removable(), Some(1));
    }

    #[test]
    fn a_pin_keeps_a_segment() {
        let mut table = table(&[], 3);
        for (pins, removable) in [(1, None), (-1, Some(1))] {
            let mut deltas = Deltas::default();
            deltas.of(1).pins += pins;
            table.apply(&deltas);
            assert_eq!(table.removable(), removable);
        }
    }
}
