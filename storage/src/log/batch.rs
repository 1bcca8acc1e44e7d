//! What one caller gathers for the log.
//!
//! The encoding is finished here, checksums included, so that appending is a copy under a short
//! lock. A batch is reused: clearing keeps its memory.

use super::codec;
use super::ops::{Op, sharers};
use super::{QueueId, Seq};
use crate::framing::{record, varint};

/// Records being gathered by one caller.
#[derive(Default)]
pub struct Batch {
    /// Finished records, not yet tied to a place; with a transaction open, its unfinished record
    /// at the end.
    pub(super) records: Vec<u8>,
    /// What they do to the index.
    pub(super) ops: Vec<Op>,
    /// Where the open transaction's record starts.
    tx: Option<usize>,
    /// Settlements not yet written to `records`: `(queue, first, last)`.
    settled: Vec<(QueueId, Seq, Seq)>,
    /// The ranges of one queue while they are written.
    ranges: Vec<(Seq, Seq)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if appending it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.settled.is_empty()
    }

    /// About how many bytes it will take in the log.
    pub fn bytes(&self) -> usize {
        self.records.len() + self.settled.len() * 8
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.ops.clear();
        self.tx = None;
        self.settled.clear();
    }

    /// A message with its target queues; nothing if there are none. `parts` are stored one after
    /// the other as the payload. `enqueued_ms` is Unix time in milliseconds. `weight` is what the
    /// message counts in the bytes of its queues: those of its body.
    pub fn message(
        &mut self,
        enqueued_ms: u64,
        flags: u8,
        weight: u32,
        targets: &[(QueueId, Seq)],
        parts: &[&[u8]],
    ) {
        if targets.is_empty() {
            return;
        }
        let start = self.open_message(enqueued_ms, flags, &[], targets);
        let (at, sharers) = (self.record_start(start), sharers(targets.len()));
        self.ops
            .extend(targets.iter().map(|&(queue, seq)| Op::Message {
                queue,
                seq,
                at,
                weight,
                sharers,
            }));
        for part in parts {
            self.records.extend_from_slice(part);
        }
        self.finish(start);
    }

    /// A copy of the message whose record starts at `old` in the segment last named by
    /// [`Batch::copies_of`].
    pub(super) fn copy(
        &mut self,
        old: u32,
        message: &codec::Message<'_>,
        targets: &[(QueueId, Seq)],
        weight: u32,
    ) {
        let (ms, flags) = (message.enqueued_ms, message.flags);
        let start = self.open_message(ms, flags, message.extension, targets);
        let (at, sharers) = (self.record_start(start), sharers(targets.len()));
        self.ops
            .extend(targets.iter().map(|&(queue, seq)| Op::Copy {
                queue,
                seq,
                at,
                old,
                weight,
                sharers,
            }));
        self.records.extend_from_slice(message.payload);
        self.finish(start);
    }

    /// The copies that follow are of records of this segment.
    pub(super) fn copies_of(&mut self, segment: u32) {
        self.ops.push(Op::CopiesOf { segment });
    }

    /// A settlement in this batch concerns a message in `segment`, though the index no longer
    /// knows of it.
    pub(super) fn depends_on(&mut self, segment: u32) {
        self.ops.push(Op::DependsOn { segment });
    }

    /// The batch repeats settlements of `segment`.
    pub(super) fn inherit(&mut self, segment: u32) {
        self.ops.push(Op::Inherit { segment });
    }

    fn open_message(
        &mut self,
        enqueued_ms: u64,
        flags: u8,
        extension: &[u8],
        targets: &[(QueueId, Seq)],
    ) -> usize {
        let start = self.open(codec::MESSAGE);
        self.records.extend_from_slice(&enqueued_ms.to_le_bytes());
        self.records
            .extend_from_slice(&[flags, extension.len() as u8]);
        self.records.extend_from_slice(extension);
        varint::put(&mut self.records, targets.len() as u64);
        for &(queue, seq) in targets {
            varint::put(&mut self.records, queue.0);
            varint::put(&mut self.records, seq);
        }
        start
    }

    /// Where the record starts that `start`, as given by [`Batch::open`], is in.
    fn record_start(&self, start: usize) -> u32 {
        self.tx.unwrap_or(start) as u32
    }

    /// The message is gone from the queue: acked, expired, dropped, rejected, dead-lettered. It
    /// must have been appended before, in this batch or an earlier one.
    pub fn settle(&mut self, queue: QueueId, seq: Seq) {
        self.settle_range(queue, seq, seq);
    }

    /// As [`Batch::settle`], for all numbers from `first` to `last`. There may be numbers in between
    /// that were never logged, as long as they never will be.
    pub fn settle_range(&mut self, queue: QueueId, first: Seq, last: Seq) {
        match self.settled.last_mut() {
            Some((last_queue, _, end))
                if *last_queue == queue && end.checked_add(1) == Some(first) && first <= last =>
            {
                *end = last;
            }
            _ if first <= last => self.settled.push((queue, first, last)),
            _ => {}
        }
    }

    /// Every message of this queue up to and with `up_to` has been handed to a consumer at least
    /// once: it comes back as redelivered after a restart.
    pub fn delivered(&mut self, queue: QueueId, up_to: Seq) {
        let start = self.open(codec::DELIVERED);
        varint::put(&mut self.records, queue.0);
        varint::put(&mut self.records, up_to);
        self.finish(start);
        self.ops.push(Op::Delivered { queue, up_to });
    }

    /// How often one message has been delivered.
    pub fn delivery_count(&mut self, queue: QueueId, seq: Seq, count: u32) {
        let start = self.open(codec::COUNT);
        varint::put(&mut self.records, queue.0);
        varint::put(&mut self.records, seq);
        varint::put(&mut self.records, u64::from(count));
        self.finish(start);
        self.ops.push(Op::Count { queue, seq, count });
    }

    /// The queue is gone with all it held. Its number is not used again.
    pub fn queue_gone(&mut self, queue: QueueId) {
        let start = self.open(codec::GONE);
        varint::put(&mut self.records, queue.0);
        self.finish(start);
        self.ops.push(Op::Gone { queue });
    }

    /// What is added until [`Batch::end_tx`] becomes one record: after a crash all or nothing of
    /// it is there. Within a transaction, does nothing.
    pub fn begin_tx(&mut self) {
        if self.tx.is_none() {
            self.write_settled();
            self.tx = Some(record::begin(&mut self.records, codec::TX));
        }
    }

    /// Ends the transaction; appending a batch does so too.
    pub fn end_tx(&mut self) {
        self.write_settled();
        let Some(start) = self.tx.take() else { return };
        if self.records.len() == start + record::RECORD_HEADER {
            self.records.truncate(start);
        } else {
            record::finish(&mut self.records, start);
        }
    }

    /// Brings everything into `records`.
    pub(super) fn complete(&mut self) {
        self.end_tx();
    }

    fn write_settled(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        let mut settled = std::mem::take(&mut self.settled);
        let mut ranges = std::mem::take(&mut self.ranges);
        // Nearly always sorted already, which costs one pass.
        settled.sort_unstable();
        for of_queue in settled.chunk_by(|a, b| a.0 == b.0) {
            ranges.clear();
            for &(_, first, last) in of_queue {
                match ranges.last_mut() {
                    Some((_, end)) if end.saturating_add(1) >= first => *end = last.max(*end),
                    _ => ranges.push((first, last)),
                }
            }
            let queue = of_queue[0].0;
            let start = self.open(codec::SETTLED);
            codec::put_settled(&mut self.records, queue, &ranges);
            self.finish(start);
            self.ops.extend(
                ranges
                    .iter()
                    .map(|&(first, last)| Op::Settled { queue, first, last }),
            );
        }
        settled.clear();
        (self.settled, self.ranges) = (settled, ranges);
    }

    /// Starts a record, or a part of the open transaction.
    fn open(&mut self, kind: u8) -> usize {
        if self.tx.is_none() {
            return record::begin(&mut self.records, kind);
        }
        self.records.extend_from_slice(&[kind, 0, 0, 0, 0]);
        self.records.len()
    }

    fn finish(&mut self, start: usize) {
        if self.tx.is_none() {
            return record::finish(&mut self.records, start);
        }
        let len = (self.records.len() - start) as u32;
        self.records[start - 4..start].copy_from_slice(&len.to_le_bytes());
    }
}
