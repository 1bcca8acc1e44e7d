//! Moving what lives out of segments that are mostly dead, so that few survivors do not hold much
//! of the disk.
//!
//! The live records of a segment are appended once more, and so are those of its settlements and
//! marks that are still needed; when all of that is durable, the segment goes. Whatever happens
//! in between, nothing is lost and nothing comes back:
//! - the index moves to a copy only when the copy is durable, and only if the message still stands
//!   where it was copied from;
//! - what was settled meanwhile is settled again behind its copy;
//! - as long as the old segment exists, every settlement written keeps to it (`set_copied`).

use std::io;
use std::time::{Duration, Instant};

use super::Batch;
use super::checkpoint;
use super::codec::{self, Entry};
use super::log::Core;
use super::summary::Summary;
use super::walk::{Walk, Walked};
use crate::dir::LOG_DIR;
use crate::disk::join;
use crate::error::LogError;
use crate::framing::{FileType, Seal};

/// How much is copied before the next look at the clock.
const BATCH_BYTES: usize = 128 << 10;
/// How much is copied in a second while there is no hurry.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// How long a segment must have been finished before it gets a checkpoint.
const CHECKPOINT_AFTER: Duration = if cfg!(test) {
    Duration::ZERO
} else {
    Duration::from_secs(20)
};

/// How fast to go, and whether to go on.
pub(super) trait Pace {
    /// Waits; false if it is time to end.
    fn wait(&self, time: Duration) -> bool;
}

/// Why a segment was not done with.
enum Stop {
    /// It is time to end.
    Ended,
    /// The log takes no more.
    Log(LogError),
    /// The segment cannot be read.
    Unreadable(io::Error),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Records that are being written again.
struct Moving<'a> {
    core: &'a Core,
    segment: u32,
    pace: &'a dyn Pace,
    copies: Batch,
    /// Settlements of the segment, if they are still needed.
    settled: Option<Batch>,
    started: Instant,
    bytes: u64,
}

impl Core {
    /// Moves what lives out of one segment and removes it, if the log is larger than what is in it
    /// justifies. True if there may be more to do.
    pub(super) fn compact(&self, pace: &dyn Pace) -> Result<bool, LogError> {
        let candidate = self.shared.index.lock().segments.candidate(self.limit);
        let Some(segment) = candidate else {
            return Ok(false);
        };
        match self.evacuate(segment, pace) {
            Ok(()) => Ok(true),
            Err(Stop::Ended) => Ok(false),
            Err(Stop::Log(error)) => Err(error),
            Err(Stop::Unreadable(error)) => {
                tracing::warn!("cannot move messages out of segment {segment}: {error}");
                self.shared.index.lock().segments.keep(segment);
                Ok(true)
            }
        }
    }

    fn evacuate(&self, segment: u32, pace: &dyn Pace) -> Result<(), Stop> {
        let (live, depends) = {
            let mut index = self.shared.index.lock();
            index.segments.set_copied(segment);
            let found = index.segments.get(segment);
            found.map_or((false, false), |it| {
                (it.live() > 0, !it.depends().is_empty())
            })
        };
        if live || depends {
            let dir = self.shared.files.dir();
            let path = join(LOG_DIR, &FileType::Segment.name(segment.into()));
            let file = dir.disk().open(&path)?;
            let seal = Seal::new(dir.storage_id()).file(FileType::Segment, segment.into());
            let mut walk = Walk::new(&*file, seal);
            let mut moving = Moving {
                core: self,
                segment,
                pace,
                copies: Batch::new(),
                settled: depends.then(Batch::new),
                started: Instant::now(),
                bytes: 0,
            };
            while let Some(walked) = walk.next()? {
                let Walked::Record { offset, kind, body } = walked else {
                    continue;
                };
                moving.take(offset, kind, &walk.window()[body]);
                if moving.is_full() {
                    moving.flush(false)?;
                }
            }
            moving.flush(true)?;
        }
        Ok(self.end_evacuation(segment)?)
    }

    fn end_evacuation(&self, segment: u32) -> Result<(), LogError> {
        let again = std::mem::take(&mut self.shared.index.lock().settle_again);
        self.settle_again(&again)?;
        self.repeat_marks(&[segment])?;
        {
            let mut index = self.shared.index.lock();
            if index.segments.get(segment).is_none_or(|it| it.live() > 0) {
                // Records that can no longer be read. They are reported when somebody asks for
                // them, and at the next start.
                for (queue, seq, slot) in index.standing_in(segment) {
                    tracing::error!(
                        queue = queue.0,
                        seq,
                        segment,
                        offset = slot.offset(),
                        "a message is damaged on disk; its segment is kept"
                    );
                }
                index.segments.keep(segment);
                return Ok(());
            }
        }
        if !self.remove(&[segment]) {
            self.shared.index.lock().segments.keep(segment);
        }
        Ok(())
    }
}

impl Moving<'_> {
    /// Takes what is needed of a record.
    fn take(&mut self, offset: u64, kind: u8, body: &[u8]) {
        let shared = &self.core.shared;
        let mut targets = Vec::new();
        // A record that says nothing to this version was reported when the log was opened.
        let _ = codec::read(kind, body, &mut |entry| match entry {
            Entry::Message(message) => {
                targets.clear();
                let mut weight = 0;
                let mut index = shared.index.lock();
                for (queue, seq) in message.targets() {
                    if let Some(slot) = index.get(queue, seq)
                        && (slot.segment(), u64::from(slot.offset())) == (self.segment, offset)
                    {
                        weight = slot.weight();
                        targets.push((queue, seq));
                    }
                }
                drop(index);
                if targets.is_empty() {
                    return;
                }
                if self.copies.is_empty() {
                    self.copies.copies_of(self.segment);
                }
                // Segments are smaller than 4 GiB.
                self.copies.copy(offset as u32, &message, &targets, weight);
            }
            Entry::Settled(queue, first, last) => {
                if let Some(settled) = &mut self.settled {
                    settled.settle_range(queue, first, last);
                }
            }
            Entry::Gone(queue) => {
                if let Some(settled) = &mut self.settled {
                    settled.queue_gone(queue);
                }
            }
            // The index knows what they say.
            Entry::Delivered(..) | Entry::Count(..) => {}
        });
    }

    fn is_full(&self) -> bool {
        let settled = self.settled.as_ref().map_or(0, Batch::bytes);
        self.copies.bytes() >= BATCH_BYTES || settled >= BATCH_BYTES
    }

    /// Appends what has gathered and waits until it is durable.
    fn flush(&mut self, last: bool) -> Result<(), Stop> {
        let mut end = 0;
        if let Some(settled) = &mut self.settled
            && !settled.is_empty()
            && (last || settled.bytes() >= BATCH_BYTES)
        {
            settled.inherit(self.segment);
            self.bytes += settled.bytes() as u64;
            end = self.core.append(settled, false)?.end;
        }
        if !self.copies.is_empty() {
            self.bytes += self.copies.bytes() as u64;
            end = self.core.append(&mut self.copies, false)?.end;
        }
        self.core.wait_applied(end, false)?;
        let due = Duration::from_secs_f64(self.bytes as f64 / BYTES_PER_SECOND as f64);
        let early = if self.core.is_in_hurry() {
            Duration::ZERO
        } else {
            due.saturating_sub(self.started.elapsed())
        };
        if self.pace.wait(early) {
            Ok(())
        } else {
            Err(Stop::Ended)
        }
    }
}

impl Core {
    /// The log is so much larger than what is in it that its size matters more than its pace.
    fn is_in_hurry(&self) -> bool {
        let index = self.shared.index.lock();
        index.segments.is_larger_than(3, 8 * self.limit)
    }
}

impl Core {
    /// Writes a checkpoint for one segment that has stayed live for a while. True if there may be
    /// more to do.
    pub(super) fn checkpoint(&self, pace: &dyn Pace) -> bool {
        let segment = self
            .shared
            .index
            .lock()
            .segments
            .without_checkpoint(CHECKPOINT_AFTER);
        let Some(segment) = segment else {
            return false;
        };
        if let Err(error) = self.write_checkpoint(segment) {
            // It is a convenience; the segment itself is read instead.
            tracing::warn!("cannot write a checkpoint of segment {segment}: {error}");
        }
        self.shared.index.lock().segments.set_checkpointed(segment);
        pace.wait(Duration::ZERO)
    }

    fn write_checkpoint(&self, segment: u32) -> io::Result<()> {
        let dir = self.shared.files.dir();
        let path = join(LOG_DIR, &FileType::Segment.name(segment.into()));
        let file = dir.disk().open(&path)?;
        let len = file.len()?;
        let seal = Seal::new(dir.storage_id()).file(FileType::Segment, segment.into());
        let mut summary = Summary::default();
        summary.read(Walk::new(&*file, seal), self.payloads)?;
        if summary.damaged.is_empty() && summary.tail.is_none() {
            checkpoint::write(dir, segment, len, &summary)?;
        }
        Ok(())
    }
}
