//! Which segments hold what, and which may go.
//!
//! A segment may be removed, in whatever order, when
//! - nothing in it is live,
//! - no other segment that still exists holds a message whose settlement stands in this one
//!   (`depends`): without the settlement the message would come back,
//! - the marks in it that still matter have been written again further on.
//!
//! The newest always stays, so that numbers of segments only grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::QueueId;
use super::blocks::Slot;

/// What is in the log now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Number of segment files.
    pub segments: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// About how many of the bytes are needed for what is live.
    pub live_bytes: u64,
    /// Targets of messages appended and not settled (a message to three queues counts three).
    pub live: u64,
    /// Number of the oldest segment; 0 if there is none.
    pub oldest: u32,
    /// Number of the newest segment; 0 if there is none.
    pub newest: u32,
}

/// What a settled range takes, about.
const SETTLED_BYTES: u64 = 16;
/// The log may be as many segments larger than twice what is in it before anything is moved.
const SLACK_SEGMENTS: u64 = 4;
/// Thousandths of a segment that may live for moving them to be worth it.
const MOSTLY_DEAD: u128 = 750;

/// One segment file.
#[derive(Default)]
pub(crate) struct Segment {
    bytes: u64,
    /// Live targets.
    live: u64,
    /// Sum of the shares of the live targets, and of all there ever were.
    live_share: u64,
    share: u64,
    /// Ranges of numbers that are settled here.
    settled: u64,
    /// Other segments with messages whose settlement stands here; sorted.
    depends: Vec<u32>,
    /// Queues with marks here, each once.
    marks: Vec<QueueId>,
    /// Messages of it have copies in newer segments: as long as it exists, every settlement
    /// might concern one of them.
    copied: bool,
    /// Something in it cannot be copied: it stays until a restart.
    kept: bool,
    /// It has a checkpoint, or cannot have one.
    checkpointed: bool,
    /// Since when nothing more is written to it.
    sealed: Option<Instant>,
}

impl Segment {
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    pub(crate) fn depends(&self) -> &[u32] {
        &self.depends
    }

    pub(crate) fn marks(&self) -> &[QueueId] {
        &self.marks
    }

    /// About how many bytes are needed for what is live.
    fn live_bytes(&self) -> u64 {
        if self.share == 0 {
            return 0;
        }
        let bytes = u128::from(self.bytes) * u128::from(self.live_share) / u128::from(self.share);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// About how many bytes would have to be written again before the segment could go.
    fn needed_bytes(&self) -> u64 {
        let settled = if self.depends.is_empty() {
            0
        } else {
            self.settled * SETTLED_BYTES
        };
        (self.live_bytes() + settled).min(self.bytes)
    }

    fn depend(&mut self, on: u32) {
        if self.depends.last().is_none_or(|last| *last < on) {
            self.depends.push(on);
        } else if let Err(at) = self.depends.binary_search(&on) {
            self.depends.insert(at, on);
        }
    }
}

/// All segments on disk.
#[derive(Default)]
pub(crate) struct SegmentTable {
    segments: BTreeMap<u32, Segment>,
    /// Those that are `copied`.
    copied: Vec<u32>,
    bytes: u64,
    live: u64,
    /// Something may have become removable.
    pub(crate) freed: bool,
}

impl SegmentTable {
    /// Bytes were written to the segment, which may be new.
    pub(crate) fn grow(&mut self, segment: u32, bytes: u64) {
        self.bytes += bytes;
        let newest = self.newest();
        if segment > newest
            && let Some(before) = self.segments.get_mut(&newest)
        {
            before.sealed = Some(Instant::now());
        }
        let entry = self.segments.entry(segment).or_default();
        entry.bytes += bytes;
        if segment < newest {
            entry.sealed.get_or_insert_with(Instant::now);
        }
        // The one before is sealed now.
        self.freed |= segment > newest;
    }

    pub(crate) fn get(&self, segment: u32) -> Option<&Segment> {
        self.segments.get(&segment)
    }

    pub(crate) fn newest(&self) -> u32 {
        self.segments.keys().next_back().copied().unwrap_or(0)
    }

    /// A message stands in the segment, live or not.
    pub(crate) fn stands(&mut self, slot: Slot) {
        self.segments.entry(slot.segment()).or_default().share += slot.share();
    }

    /// A message that stands there is live.
    pub(crate) fn lives(&mut self, slot: Slot) {
        let segment = self.segments.entry(slot.segment()).or_default();
        segment.live += 1;
        segment.live_share += slot.share();
        self.live += 1;
    }

    /// A live message is so no longer, or elsewhere.
    pub(crate) fn died(&mut self, slot: Slot) {
        let Some(segment) = self.segments.get_mut(&slot.segment()) else {
            tracing::error!("the index names segment {}, which is gone", slot.segment());
            return;
        };
        segment.live = segment.live.saturating_sub(1);
        segment.live_share = segment.live_share.saturating_sub(slot.share());
        self.live = self.live.saturating_sub(1);
        self.freed |= segment.live == 0;
    }

    /// A settlement in segment `here` concerns a message in segment `there`.
    pub(crate) fn depends(&mut self, here: u32, there: u32) {
        if here != there
            && self.segments.contains_key(&there)
            && let Some(segment) = self.segments.get_mut(&here)
            && segment.depends.last() != Some(&there)
        {
            segment.depend(there);
        }
    }

    /// Ranges of numbers are settled in the segment.
    pub(crate) fn settles(&mut self, segment: u32, ranges: u64) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.settled += ranges;
        }
    }

    /// Something was settled in segment `here`: it might concern a message that has a copy.
    pub(crate) fn depends_on_copied(&mut self, here: u32) {
        for n in 0..self.copied.len() {
            self.depends(here, self.copied[n]);
        }
    }

    /// The settlements in `from` now also stand in `here`.
    pub(crate) fn inherit(&mut self, here: u32, from: u32) {
        let depends = self.get(from).map(|segment| segment.depends.clone());
        for there in depends.unwrap_or_default() {
            self.depends(here, there);
        }
    }

    /// Marks of the queue stand in the segment.
    pub(crate) fn mark(&mut self, segment: u32, queue: QueueId) {
        self.segments.entry(segment).or_default().marks.push(queue);
    }

    /// See [`Segment::copied`].
    pub(crate) fn set_copied(&mut self, segment: u32) {
        if let Some(entry) = self.segments.get_mut(&segment)
            && !std::mem::replace(&mut entry.copied, true)
        {
            self.copied.push(segment);
        }
    }

    /// What could not be made durable is written again elsewhere, and what was written of it here
    /// could not be taken back: a start would find it. So it counts as a segment with copies, until
    /// it has been emptied and removed.
    pub(crate) fn left_behind(&mut self, segment: u32) {
        self.segments.entry(segment).or_default();
        self.set_copied(segment);
    }

    /// See [`Segment::checkpointed`].
    pub(crate) fn set_checkpointed(&mut self, segment: u32) {
        if let Some(entry) = self.segments.get_mut(&segment) {
            entry.checkpointed = true;
        }
    }

    /// A segment that has been finished for a while, will stay, and has no checkpoint.
    pub(crate) fn without_checkpoint(&self, after: Duration) -> Option<u32> {
        let wanted = |segment: &Segment| {
            !segment.checkpointed
                && segment.live_bytes() > segment.bytes / 4
                && segment.sealed.is_some_and(|since| since.elapsed() >= after)
        };
        let newest = self.newest();
        let mut sealed = self.segments.iter();
        let found = sealed.find(|(number, segment)| **number != newest && wanted(segment));
        found.map(|(number, _)| *number)
    }

    /// See [`Segment::kept`].
    pub(crate) fn keep(&mut self, segment: u32) {
        if let Some(entry) = self.segments.get_mut(&segment) {
            entry.kept = true;
        }
    }

    /// Segments that may go now but for their marks.
    pub(crate) fn removable(&self) -> Vec<u32> {
        let newest = self.newest();
        let free = |(number, segment): &(&u32, &Segment)| {
            segment.live == 0 && segment.depends.is_empty() && **number != newest && !segment.kept
        };
        let free = self.segments.iter().filter(free);
        free.map(|(number, _)| *number).collect()
    }

    /// Whether the log is larger than `factor` times what lives in it and `slack` bytes.
    pub(crate) fn is_larger_than(&self, factor: u64, slack: u64) -> bool {
        let live: u64 = self.segments.values().map(Segment::live_bytes).sum();
        self.bytes > factor * live + slack
    }

    /// The segment out of which to move what lives, if that is worth it: of those that are mostly
    /// dead, the one with the least in it. One that a crash left half done comes first.
    pub(crate) fn candidate(&self, segment_bytes: u64) -> Option<u32> {
        let newest = self.newest();
        let sealed = || {
            let segments = self.segments.iter();
            segments.filter(move |(number, segment)| **number != newest && !segment.kept)
        };
        if let Some((number, _)) = sealed().find(|(_, segment)| segment.copied) {
            return Some(*number);
        }
        if !self.is_larger_than(2, SLACK_SEGMENTS * segment_bytes) {
            return None;
        }
        let share = |segment: &Segment| {
            u128::from(segment.needed_bytes()) * 1000 / u128::from(segment.bytes.max(1))
        };
        let (number, segment) = sealed().min_by_key(|(_, segment)| share(segment))?;
        (share(segment) <= MOSTLY_DEAD).then_some(*number)
    }

    /// The segment is gone, durably.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(segment) = self.segments.remove(&number) else {
            return;
        };
        self.bytes -= segment.bytes;
        self.copied.retain(|copied| *copied != number);
        for other in self.segments.values_mut() {
            if let Ok(at) = other.depends.binary_search(&number) {
                other.depends.remove(at);
                self.freed |= other.depends.is_empty() && other.live == 0;
            }
        }
    }

    pub(crate) fn stats(&self) -> SegmentStats {
        SegmentStats {
            segments: self.segments.len(),
            bytes: self.bytes,
            live_bytes: self.segments.values().map(Segment::live_bytes).sum(),
            live: self.live,
            oldest: self.segments.keys().next().copied().unwrap_or(0),
            newest: self.newest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(segment: u32) -> Slot {
        Slot::new(segment, 64, 36, 0)
    }

    fn table(live: &[u32], segments: u32) -> SegmentTable {
        let mut table = SegmentTable::default();
        (1..=segments).for_each(|segment| table.grow(segment, 1000));
        live.iter().for_each(|segment| {
            table.stands(slot(*segment));
            table.lives(slot(*segment));
        });
        table
    }

    #[test]
    fn dead_segments_go_in_any_order_and_the_newest_stays() {
        let mut table = table(&[1, 3], 5);
        assert_eq!(table.removable(), [2, 4]);
        table.died(slot(3));
        assert_eq!(table.removable(), [2, 3, 4]);
        [2, 3, 4].iter().for_each(|segment| table.remove(*segment));
        assert_eq!(table.removable(), []);
        let stats = table.stats();
        assert_eq!((stats.segments, stats.bytes, stats.live), (2, 2000, 1));
        assert_eq!((stats.oldest, stats.newest), (1, 5));
    }

    #[test]
    fn a_settlement_outlives_its_message() {
        let mut table = table(&[1, 1], 4);
        table.died(slot(1));
        table.depends(2, 1);
        table.depends(2, 2);
        table.depends(2, 9);
        assert_eq!(table.removable(), [3]);
        table.inherit(3, 2);
        assert_eq!(table.removable(), []);
        table.died(slot(1));
        assert_eq!(table.removable(), [1]);
        table.remove(1);
        assert_eq!(table.removable(), [2, 3]);
    }

    #[test]
    fn the_emptiest_segment_is_moved_once_the_log_is_too_large() {
        let mut table = table(&[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3], 4);
        let dead = [1, 1, 2, 2, 2, 3, 3];
        dead.iter().for_each(|segment| table.died(slot(*segment)));
        assert_eq!(table.candidate(1000), None);
        assert_eq!(table.candidate(100), Some(2));
        table.keep(2);
        assert_eq!(table.candidate(100), Some(1));
        // Settlements that are still needed count as well.
        table.depends(1, 2);
        table.settles(1, 50);
        assert_eq!(table.candidate(100), Some(3));
        table.set_copied(1);
        assert_eq!(table.candidate(1000), Some(1));
    }

    #[test]
    fn live_bytes_follow_the_share_of_what_lives() {
        let mut table = table(&[1, 1, 1, 1], 1);
        assert_eq!(table.stats().live_bytes, 1000);
        table.died(slot(1));
        assert_eq!(table.stats().live_bytes, 750);
    }

    #[test]
    fn while_copies_exist_every_settlement_keeps_to_them() {
        let mut table = table(&[], 4);
        table.set_copied(2);
        table.depends_on_copied(3);
        assert_eq!(table.removable(), [1, 2]);
        table.remove(2);
        assert_eq!(table.removable(), [1, 3]);
        table.depends_on_copied(1);
        assert_eq!(table.removable(), [1, 3]);
    }
}
