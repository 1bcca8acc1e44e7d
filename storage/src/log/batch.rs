//! What one caller gathers for the log.
//!
//! The encoding is finished here, checksums included, so that appending is a copy under a short
//! lock. A batch is reused: clearing keeps its memory.

use super::codec;
use super::live::{Deltas, target_hash};
use super::{QueueId, Seq, UNKNOWN_SEGMENT};
use crate::framing::{record, varint};

/// Records being gathered by one caller.
#[derive(Default)]
pub struct Batch {
    /// Finished records, not yet tied to a place; with a transaction open, its unfinished record
    /// at the end.
    pub(super) records: Vec<u8>,
    /// Where the open transaction's record starts.
    tx: Option<usize>,
    /// Settlements not yet written to `records`: `(queue, first, last)`.
    settled: Vec<(QueueId, Seq, Seq)>,
    /// What settlements take from the segments of their messages.
    pub(super) deltas: Deltas,
    /// Targets of the messages in the batch, which go to the segment the batch goes to.
    pub(super) targets: i64,
    /// Sum of their hashes.
    pub(super) sum: u64,
    /// Settled, with the segment unknown.
    pub(super) early: Vec<(QueueId, Seq)>,
    /// Settled early before; the segment is now known.
    pub(super) located: Vec<(QueueId, Seq, u32)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if appending it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.settled.is_empty()
            && self.located.is_empty()
            && self.deltas.is_empty()
    }

    /// About how many bytes it will take in the log.
    pub fn bytes(&self) -> usize {
        self.records.len() + self.settled.len() * 8
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.tx = None;
        self.settled.clear();
        self.deltas.clear();
        self.targets = 0;
        self.sum = 0;
        self.early.clear();
        self.located.clear();
    }

    /// A message with its target queues; nothing if there are none. `parts` are stored one after
    /// the other as the payload. `enqueued_ms` is Unix time in milliseconds.
    pub fn message(
        &mut self,
        enqueued_ms: u64,
        flags: u8,
        targets: &[(QueueId, Seq)],
        parts: &[&[u8]],
    ) {
        if targets.is_empty() {
            return;
        }
        let start = self.open(codec::MESSAGE);
        self.records.extend_from_slice(&enqueued_ms.to_le_bytes());
        self.records.extend_from_slice(&[flags, 0]);
        varint::put(&mut self.records, targets.len() as u64);
        for &(queue, seq) in targets {
            varint::put(&mut self.records, queue.0);
            varint::put(&mut self.records, seq);
            self.targets += 1;
            self.sum = self.sum.wrapping_add(target_hash(queue, seq));
        }
        for part in parts {
            self.records.extend_from_slice(part);
        }
        self.finish(start);
    }

    /// The message is gone from the queue: acked, expired, dropped, rejected, dead-lettered.
    ///
    /// `segment` is where it stands ([`Appended::segment`](super::Appended)). It must be right
    /// and each message settled once: the segment is deleted when all in it is settled. A caller
    /// that does not know it yet passes [`UNKNOWN_SEGMENT`] and, once it does know, calls
    /// [`Batch::locate`].
    pub fn settle(&mut self, queue: QueueId, seq: Seq, segment: u32) {
        match self.settled.last_mut() {
            Some((last_queue, _, last))
                if *last_queue == queue && last.checked_add(1) == Some(seq) =>
            {
                *last = seq;
            }
            _ => self.settled.push((queue, seq, seq)),
        }
        if segment == UNKNOWN_SEGMENT {
            self.early.push((queue, seq));
        } else {
            self.deltas.settled(segment, queue, seq);
        }
    }

    /// Where the message of an earlier `settle(queue, seq, UNKNOWN_SEGMENT)` stands. Writes
    /// nothing; without it the segment is kept until the next restart.
    pub fn locate(&mut self, queue: QueueId, seq: Seq, segment: u32) {
        self.located.push((queue, seq, segment));
    }

    /// Every message of this queue up to and with `up_to` has been handed to a consumer at least
    /// once: it comes back as redelivered after a restart.
    pub fn delivered(&mut self, queue: QueueId, up_to: Seq) {
        let start = self.open(codec::DELIVERED);
        varint::put(&mut self.records, queue.0);
        varint::put(&mut self.records, up_to);
        self.finish(start);
    }

    /// How often one message has been delivered.
    pub fn delivery_count(&mut self, queue: QueueId, seq: Seq, count: u32) {
        let start = self.open(codec::COUNT);
        varint::put(&mut self.records, queue.0);
        varint::put(&mut self.records, seq);
        varint::put(&mut self.records, u64::from(count));
        self.finish(start);
    }

    /// The queue is gone with all it held; `live` says how many messages it still had in which
    /// segment, so that they free them.
    pub fn queue_gone(&mut self, queue: QueueId, live: &[(u32, u32)]) {
        let start = self.open(codec::GONE);
        varint::put(&mut self.records, queue.0);
        self.finish(start);
        for &(segment, messages) in live {
            self.deltas.dropped(segment, messages);
        }
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
        let mut settled = std::mem::take(&mut self.settled);
        // Nearly always sorted already, which costs one pass.
        settled.sort_unstable();
        let mut ranges: Vec<(Seq, Seq)> = Vec::new();
        for of_queue in settled.chunk_by(|a, b| a.0 == b.0) {
            ranges.clear();
            for &(_, first, last) in of_queue {
                match ranges.last_mut() {
                    Some((_, end)) if end.saturating_add(1) >= first => *end = last.max(*end),
                    _ => ranges.push((first, last)),
                }
            }
            let start = self.open(codec::SETTLED);
            codec::put_settled(&mut self.records, of_queue[0].0, &ranges);
            self.finish(start);
        }
        settled.clear();
        self.settled = settled;
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
