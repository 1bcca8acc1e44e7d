//! The index: where every live message of every queue stands, and what each segment holds.
//!
//! Changed only by applying the operations of what has become durable, in the order of the log.
//! So what it says dead is durably dead, and what it says live can be read.

use rustc_hash::FxHashMap;

use super::blocks::{Pool, QueueIndex, Slot};
use super::marks::QueueMarks;
use super::ops::Op;
use super::recovery::RecoveredQueue;
use super::segments::SegmentTable;
use super::{Position, QueueId, Seq};

/// Queues without messages that are remembered before they are forgotten together.
const EMPTY_QUEUES: usize = 1024;

/// See the module documentation.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) queues: FxHashMap<QueueId, QueueIndex>,
    pub(crate) segments: SegmentTable,
    pub(crate) pool: Pool,
    /// Everything up to here has been applied.
    pub(crate) applied: Position,
    /// Copies of messages that were settled before the copy was in the log, and where it stands.
    pub(crate) settle_again: Vec<(QueueId, Seq, u32)>,
    /// How many queues there may be before those without messages are forgotten.
    forget_at: usize,
}

impl Index {
    /// An empty index whose blocks come from `pool`.
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            pool,
            ..Self::default()
        }
    }

    /// Applies what stands up to `end`.
    pub(crate) fn apply(&mut self, ops: &[Op], end: Position) {
        let (mut here, mut base, mut copied, mut settled) = (0, 0, 0, 0);
        for op in ops {
            match *op {
                Op::At { segment, base: at } => {
                    self.segments.settles(here, std::mem::take(&mut settled));
                    (here, base) = (segment, at);
                }
                Op::Message {
                    queue,
                    seq,
                    at,
                    weight,
                    sharers,
                } => self.add(queue, seq, Slot::new(here, base + at, weight, sharers)),
                Op::Settled { queue, first, last } => {
                    settled += 1;
                    self.settle(queue, first, last, here);
                }
                Op::Gone { queue } => {
                    settled += 1;
                    self.gone(queue, here);
                }
                Op::Delivered { queue, up_to } => self.delivered(queue, up_to, here),
                Op::Count { queue, seq, count } => self.count(queue, seq, count, here),
                Op::CopiesOf { segment } => copied = segment,
                Op::Copy {
                    queue,
                    seq,
                    at,
                    old,
                    weight,
                    sharers,
                } => {
                    let slot = Slot::new(here, base + at, weight, sharers);
                    self.copy(queue, seq, (copied, old), slot);
                }
                Op::DependsOn { segment } => self.segments.depends(here, segment),
                Op::Inherit { segment } => self.segments.inherit(here, segment),
            }
        }
        self.segments.settles(here, settled);
        self.applied = end;
        self.forget_empty();
        self.spill();
    }

    /// A message that is live.
    pub(crate) fn add(&mut self, queue: QueueId, seq: Seq, slot: Slot) {
        self.segments.stands(slot);
        self.segments.lives(slot);
        let queue = self
            .queues
            .entry(queue)
            .or_insert_with(|| QueueIndex::new(queue));
        if let Some(before) = queue.set(seq, slot, &mut self.pool) {
            // A number used twice: the later message has it.
            self.segments.died(before);
        }
    }

    fn settle(&mut self, queue: QueueId, first: Seq, last: Seq, here: u32) {
        let Some(queue) = self.queues.get_mut(&queue) else {
            return;
        };
        let segments = &mut self.segments;
        segments.depends_on_copied(here);
        queue.take_range(first, last, &mut self.pool, &mut |_, slot| {
            segments.died(slot);
            segments.depends(here, slot.segment());
        });
    }

    fn gone(&mut self, queue: QueueId, here: u32) {
        self.settle(queue, 0, Seq::MAX, here);
        if let Some(mut queue) = self.queues.remove(&queue) {
            queue.clear(&mut self.pool);
        }
    }

    /// A queue without messages has nothing to be redelivered.
    fn delivered(&mut self, id: QueueId, up_to: Seq, here: u32) {
        let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.live() > 0) else {
            return;
        };
        if queue.delivered.is_none_or(|(known, _)| known <= up_to) {
            queue.delivered = Some((up_to, here));
            Self::marked(&mut self.segments, id, queue, here);
        }
    }

    fn count(&mut self, id: QueueId, seq: Seq, count: u32, here: u32) {
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.count(seq, count, here, &mut self.pool)
        {
            Self::marked(&mut self.segments, id, queue, here);
        }
    }

    fn marked(segments: &mut SegmentTable, id: QueueId, queue: &mut QueueIndex, here: u32) {
        if queue.marked_in != here {
            queue.marked_in = here;
            segments.mark(here, id);
        }
    }

    fn copy(&mut self, id: QueueId, seq: Seq, (segment, old): (u32, u32), slot: Slot) {
        self.segments.stands(slot);
        let pool = &mut self.pool;
        let queue = self.queues.get_mut(&id);
        let stands = queue.and_then(|queue| Some((queue.get(seq, pool)?, queue)));
        let Some((stands, queue)) = stands else {
            return self.settle_again.push((id, seq, slot.segment()));
        };
        debug_assert_eq!((stands.segment(), stands.offset()), (segment, old));
        // Should it stand in a third place, it is the same message all the same.
        self.segments.set_copied(stands.segment());
        self.segments.died(stands);
        self.segments.lives(slot);
        queue.replace(seq, slot, pool);
    }

    /// Where a message stands, if it is live.
    pub(crate) fn get(&mut self, queue: QueueId, seq: Seq) -> Option<Slot> {
        self.queues.get_mut(&queue)?.get(seq, &mut self.pool)
    }

    /// Brings the blocks in memory below their limit, as far as there are some that can go.
    pub(crate) fn spill(&mut self) {
        while self.pool.is_over() {
            let Some((id, number)) = self.pool.cold.pop_back() else {
                break;
            };
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.spill(number, &mut self.pool);
            }
        }
        if self.pool.has_stale() {
            let queues = &self.queues;
            self.pool.cold.retain(|(id, number)| {
                let queue = queues.get(id);
                queue.is_some_and(|queue| queue.can_spill(*number))
            });
        }
    }

    /// All that stands in a segment. Looks at everything, so it is for rare cases.
    pub(crate) fn standing_in(&self, segment: u32) -> Vec<(QueueId, Seq, Slot)> {
        let mut found = Vec::new();
        for (id, queue) in &self.queues {
            queue.each(0, Seq::MAX, &self.pool, &mut |seq, slot| {
                if slot.segment() == segment {
                    found.push((*id, seq, slot));
                }
                true
            });
        }
        found
    }

    fn forget_empty(&mut self) {
        if self.queues.len() >= self.forget_at.max(EMPTY_QUEUES) {
            self.queues.retain(|_, queue| queue.live() > 0);
            self.forget_at = self.queues.len() * 2;
        }
    }

    /// The marks of a segment that still say something: how far queues have handed out, and
    /// counts of live messages.
    pub(crate) fn marks_of(&self, segment: u32) -> Vec<Op> {
        let mut marks = Vec::new();
        let queues = self.segments.get(segment).map_or(&[][..], |it| it.marks());
        for id in queues {
            let Some(queue) = self.queues.get(id).filter(|queue| queue.live() > 0) else {
                continue;
            };
            if let Some((up_to, _)) = queue.delivered.filter(|(_, at)| *at == segment) {
                marks.push(Op::Delivered { queue: *id, up_to });
            }
            let counts = queue.counts().filter(|(_, count)| count.segment == segment);
            marks.extend(counts.map(|(seq, count)| Op::Count {
                queue: *id,
                seq,
                count: count.count,
            }));
        }
        marks
    }
}

/// What recovery needs.
impl Index {
    /// A message found by going from newer to older segments; false if a newer copy is known.
    /// The segment knows already that the message stands there.
    pub(crate) fn add_older(&mut self, id: QueueId, seq: Seq, slot: Slot) -> bool {
        let new = || QueueIndex::new(id);
        let queue = self.queues.entry(id).or_insert_with(new);
        if queue.get(seq, &mut self.pool).is_some() {
            return false;
        }
        queue.set(seq, slot, &mut self.pool);
        self.segments.lives(slot);
        true
    }

    /// All segments have been read: takes out what an older segment settles, and notes the marks.
    pub(crate) fn recovered(&mut self, id: QueueId, marks: &QueueMarks) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let segments = &mut self.segments;
        for (first, last, by) in marks.settled.ranges() {
            queue.take_range(first, last, &mut self.pool, &mut |_, slot| {
                segments.died(slot);
                segments.depends(by, slot.segment());
            });
            queue.spill_back(&mut self.pool);
        }
        if marks.gone != 0 {
            queue.take_range(0, Seq::MAX, &mut self.pool, &mut |_, slot| {
                segments.died(slot);
                segments.depends(marks.gone, slot.segment());
            });
        }
        if queue.live() == 0 {
            self.queues.remove(&id);
            return;
        }
        let mut marked = Vec::new();
        if let Some((up_to, segment)) = marks.delivered {
            queue.delivered = Some((up_to, segment));
            marked.push(segment);
        }
        for (seq, (count, segment)) in &marks.counts {
            if queue.count(*seq, *count, *segment, &mut self.pool) {
                marked.push(*segment);
            }
        }
        marked.sort_unstable();
        marked.dedup();
        for segment in marked.into_iter().filter(|segment| *segment != 0) {
            self.segments.mark(segment, id);
        }
    }

    /// What is live in a queue.
    pub(crate) fn report(
        &self,
        id: QueueId,
        highest: Seq,
        delivered_up_to: Option<Seq>,
    ) -> RecoveredQueue {
        let mut report = RecoveredQueue {
            queue: id,
            live: Vec::new(),
            messages: 0,
            bytes: 0,
            highest,
            delivered_up_to,
            counts: Vec::new(),
        };
        let Some(queue) = self.queues.get(&id) else {
            return report;
        };
        queue.each(0, Seq::MAX, &self.pool, &mut |seq, slot| {
            match report.live.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(seq) => *last = seq,
                _ => report.live.push((seq, seq)),
            }
            report.messages += 1;
            report.bytes += u64::from(slot.weight());
            true
        });
        let counts = queue.counts().map(|(seq, count)| (seq, count.count));
        report.counts = counts.collect();
        report.counts.sort_unstable();
        report
    }
}
