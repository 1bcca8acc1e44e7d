//! Tests of the message log as a whole: over a disk in memory, and a few over the real one.

mod compaction;
mod damage;
mod durability;
mod model;
mod recycle;
mod stall;

use std::sync::Arc;

use super::*;
use crate::dir::DataDir;
use crate::error::OpenError;
use crate::testing::MemDisk;

/// A live target of a message with everything owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    target: (QueueId, Seq),
    payload: Vec<u8>,
    redelivered: bool,
    delivery_count: u32,
}

fn open(disk: &MemDisk, segment_bytes: u32) -> (MessageLog, RecoveryReport, Vec<Seen>) {
    try_open(disk, segment_bytes).unwrap()
}

fn try_open(
    disk: &MemDisk,
    segment_bytes: u32,
) -> Result<(MessageLog, RecoveryReport, Vec<Seen>), OpenError> {
    try_open_with(disk, segment_bytes, true)
}

fn try_open_with(
    disk: &MemDisk,
    segment_bytes: u32,
    kept: bool,
) -> Result<(MessageLog, RecoveryReport, Vec<Seen>), OpenError> {
    let dir = DataDir::on(Arc::new(disk.clone()))?;
    let options = LogOptions {
        segment_bytes,
        // Every block that can go to the scratch file does.
        index_bytes: 0,
        ..LogOptions::default()
    };
    let (log, report) = if kept {
        MessageLog::open(&dir, options)?
    } else {
        MessageLog::open_unkept(&dir, options)?
    };
    let seen = read_all(&log, &report);
    Ok((log, report, seen))
}

const NO_LIMIT: ReadLimit = ReadLimit {
    messages: usize::MAX,
    bytes: usize::MAX,
};

/// What recovery found, read back and compared with what it said.
fn read_all(log: &MessageLog, report: &RecoveryReport) -> Vec<Seen> {
    let mut seen = Vec::new();
    for queue in &report.queues {
        let (mut numbers, before, mut bytes) = (Vec::new(), seen.len(), 0);
        let end = log.read(queue.queue, 0, Seq::MAX, NO_LIMIT, &mut |stored| {
            let Stored::Message { seq, payload, .. } = stored else {
                panic!("{stored:?}");
            };
            numbers.push(seq);
            bytes += payload.len() as u64;
            let count = queue.counts.iter().find(|(counted, _)| *counted == seq);
            seen.push(Seen {
                target: (queue.queue, seq),
                payload: payload.to_vec(),
                redelivered: queue.delivered_up_to >= Some(seq),
                delivery_count: count.map_or(0, |(_, count)| *count),
            });
        });
        assert_eq!(end.unwrap(), ReadEnd::All);
        let live = queue.live.iter().flat_map(|(first, last)| *first..=*last);
        assert_eq!(numbers, live.collect::<Vec<_>>());
        assert_eq!(queue.messages, (seen.len() - before) as u64);
        assert_eq!(queue.bytes, bytes);
    }
    assert_eq!(report.messages, seen.len() as u64);
    seen
}

fn seqs(seen: &[Seen]) -> Vec<Seq> {
    seen.iter().map(|message| message.target.1).collect()
}

/// The segment a batch that ended there is in.
fn segment(end: Position) -> u32 {
    (end >> 32) as u32
}

/// A batch of one message of queue 1.
fn one(seq: Seq, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.message(1, 0, payload.len() as u32, &[(QueueId(1), seq)], &[payload]);
    batch
}
