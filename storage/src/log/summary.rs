//! What one segment says, without the bodies of its messages: what recovery needs of it.

use std::io;

use super::codec::{self, Entry};
use super::ops::sharers;
use super::walk::{Walk, Walked};
use super::{QueueId, Seq};

/// One target of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    /// Where the record starts.
    pub(crate) offset: u32,
    pub(crate) weight: u32,
    /// As in [`super::ops::sharers`].
    pub(crate) sharers: u8,
    /// Not to survive a restart.
    pub(crate) transient: bool,
}

/// What a segment says; every list in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    pub(crate) targets: Vec<Target>,
    /// Inclusive ranges.
    pub(crate) settled: Vec<(QueueId, Seq, Seq)>,
    pub(crate) gone: Vec<QueueId>,
    pub(crate) delivered: Vec<(QueueId, Seq)>,
    pub(crate) counts: Vec<(QueueId, Seq, u32)>,
    /// Offset and length of what is no record, or none this version can read.
    pub(crate) damaged: Vec<(u64, u64)>,
    /// Where the last good record ends, if bytes follow that are none.
    pub(crate) tail: Option<u64>,
}

/// How to look at a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payloads {
    pub(crate) weigh: fn(u8, &[u8]) -> u32,
    pub(crate) transient: fn(u8) -> bool,
}

impl Summary {
    pub(crate) fn clear(&mut self) {
        self.records = 0;
        self.targets.clear();
        self.settled.clear();
        self.gone.clear();
        self.delivered.clear();
        self.counts.clear();
        self.damaged.clear();
        self.tail = None;
    }

    /// Reads a segment.
    pub(crate) fn read(&mut self, mut walk: Walk<'_>, payloads: Payloads) -> io::Result<()> {
        self.clear();
        while let Some(walked) = walk.next()? {
            match walked {
                Walked::Record { offset, kind, body } => {
                    self.records += 1;
                    let body = &walk.window()[body];
                    let read = codec::read(kind, body, &mut |entry| {
                        // Segments are smaller than 4 GiB.
                        self.note(&entry, offset as u32, payloads);
                    });
                    if read.is_err() {
                        self.damaged.push((offset, body.len() as u64));
                    }
                }
                Walked::Damage { offset, len } => self.damaged.push((offset, len)),
                Walked::Tail { offset, .. } => self.tail = Some(offset),
            }
        }
        Ok(())
    }

    fn note(&mut self, entry: &Entry<'_>, offset: u32, payloads: Payloads) {
        match entry {
            Entry::Message(message) => {
                let weight = (payloads.weigh)(message.flags, message.payload);
                let transient = (payloads.transient)(message.flags);
                let sharers = sharers(message.target_count());
                self.targets
                    .extend(message.targets().map(|(queue, seq)| Target {
                        queue,
                        seq,
                        offset,
                        weight,
                        sharers,
                        transient,
                    }));
            }
            Entry::Settled(queue, first, last) => match self.settled.last_mut() {
                Some((same, _, end)) if same == queue && end.checked_add(1) == Some(*first) => {
                    *end = *last;
                }
                _ => self.settled.push((*queue, *first, *last)),
            },
            Entry::Delivered(queue, up_to) => self.delivered.push((*queue, *up_to)),
            Entry::Count(queue, seq, count) => self.counts.push((*queue, *seq, *count)),
            Entry::Gone(queue) => self.gone.push(*queue),
        }
    }
}
