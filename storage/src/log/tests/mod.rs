//! Tests of the message log as a whole: over a disk in memory, and a few over the real one.

mod damage;
mod durability;
mod model;
mod recycle;

use std::sync::Arc;

use super::*;
use crate::dir::DataDir;
use crate::error::OpenError;
use crate::testing::MemDisk;

/// A recovered message with everything owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    segment: u32,
    payload: Vec<u8>,
    targets: Vec<RecoveredTarget>,
}

impl Seen {
    fn seqs(&self) -> Vec<(QueueId, Seq)> {
        self.targets
            .iter()
            .map(|target| (target.queue, target.seq))
            .collect()
    }
}

fn open(disk: &MemDisk, segment_bytes: u32) -> (MessageLog, RecoveryReport, Vec<Seen>) {
    try_open(disk, segment_bytes).unwrap()
}

fn try_open(
    disk: &MemDisk,
    segment_bytes: u32,
) -> Result<(MessageLog, RecoveryReport, Vec<Seen>), OpenError> {
    let dir = DataDir::on(Arc::new(disk.clone()))?;
    let options = LogOptions {
        segment_bytes,
        ..LogOptions::default()
    };
    let mut seen = Vec::new();
    let (log, report) = MessageLog::open(&dir, options, &mut |message| {
        seen.push(Seen {
            segment: message.segment,
            payload: message.payload.to_vec(),
            targets: message.targets.to_vec(),
        });
    })?;
    Ok((log, report, seen))
}

/// A batch of one message of queue 1.
fn one(seq: Seq, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.message(1, 0, &[(QueueId(1), seq)], &[payload]);
    batch
}
