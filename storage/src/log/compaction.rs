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
use super::codec::{self, Entry};
use super::log::Core;
use crate::dir::LOG_DIR;
use crate::disk::{DiskFile, join};
use crate::error::LogError;
use crate::framing::record::{self, Check, RECORD_HEADER};
use crate::framing::{FileSeal, FileType, HEADER_BYTES, Seal};

/// How much is copied before the next look at the clock.
const BATCH_BYTES: usize = 128 << 10;
/// How much is copied in a second while there is no hurry.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// How much of a segment is read at once.
const WINDOW_BYTES: usize = if cfg!(test) { 256 } else { 1 << 20 };

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
            while let Some((offset, kind, body)) = walk.next()? {
                moving.take(offset, kind, &walk.bytes[body]);
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

/// The records of a segment, read a window at a time.
struct Walk<'a> {
    file: &'a dyn DiskFile,
    seal: FileSeal,
    /// Where `bytes` stand in the file.
    base: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(file: &'a dyn DiskFile, seal: FileSeal) -> Self {
        Self {
            file,
            seal,
            base: HEADER_BYTES as u64,
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// Offset, kind and body of the next good record. Bad ones are passed over.
    fn next(&mut self) -> io::Result<Option<(u64, u8, std::ops::Range<usize>)>> {
        loop {
            let rest = self.bytes.len() - self.at;
            if rest < RECORD_HEADER && self.fill(WINDOW_BYTES)? < RECORD_HEADER {
                return Ok(None);
            }
            let length = record::length(&self.bytes, self.at, self.base, self.seal);
            if let Some(length) = length.filter(|length| self.at + length > self.bytes.len()) {
                self.fill(length.max(WINDOW_BYTES))?;
            }
            let (at, offset) = (self.at, self.base + self.at as u64);
            if let Check::Good { kind, body, next } =
                record::check_at(&self.bytes, at, self.base, self.seal)
            {
                self.at = next;
                return Ok(Some((offset, kind, body)));
            }
            if !self.skip()? {
                return Ok(None);
            }
        }
    }

    /// Reads on from the current place; returns how many bytes there are.
    fn fill(&mut self, bytes: usize) -> io::Result<usize> {
        self.base += self.at as u64;
        self.at = 0;
        self.bytes.clear();
        self.bytes.resize(bytes, 0);
        let mut filled = 0;
        while filled < bytes {
            let offset = self.base + filled as u64;
            match self.file.read_at(&mut self.bytes[filled..], offset)? {
                0 => break,
                read => filled += read,
            }
        }
        self.bytes.truncate(filled);
        Ok(filled)
    }

    /// Goes to the next good record behind a bad one; false if there is none.
    fn skip(&mut self) -> io::Result<bool> {
        let rest = self.file.len()?.saturating_sub(self.base + self.at as u64);
        self.fill(usize::try_from(rest).map_err(io::Error::other)?)?;
        let is_good = |at: &usize| {
            let check = record::check_at(&self.bytes, *at, self.base, self.seal);
            matches!(check, Check::Good { .. })
        };
        let next = (record::ALIGN..self.bytes.len())
            .step_by(record::ALIGN)
            .find(is_good);
        self.at = next.unwrap_or(self.bytes.len());
        Ok(next.is_some())
    }
}
