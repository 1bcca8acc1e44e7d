//! Reading the message log back.
//!
//! One pass over the segments, the newest first, one in memory at a time: so settlements are
//! known before the messages they hit, and a message that was copied is seen where it stands
//! last. What is live goes into the index; bodies stay on disk. Only the newest segment can have a
//! torn end, which is cut off; what is bad anywhere else was once good, is skipped and reported.
//!
//! A copy can be newer than the settlement of its message, if the crash came before the
//! settlement was written again behind it. So at the end everything that is settled is taken out
//! once more.

use std::sync::Arc;

use super::blocks::Slot;
use super::delivered;
use super::index::Index;
use super::marks::Marks;
use super::summary::{Payloads, Summary};
use super::{QueueId, Seq};
use crate::dir::{DataDir, LOG_DIR, corrupt, unreadable, unwritable};
use crate::disk::{self, Disk, DiskFile, join};
use crate::error::OpenError;
use crate::framing::{FileHeader, FileSeal, FileType, HEADER_BYTES, HeaderError, Seal};

/// Bytes that were written once and are no longer what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment (or of the command log file).
    pub segment: u32,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segment files read.
    pub segments: usize,
    /// Good records in them.
    pub records: u64,
    /// Live targets of messages (a message to three queues counts three).
    pub messages: u64,
    /// Bytes of an unfinished write cut off the newest segment. Never durable, so nothing lost.
    pub cut_tail_bytes: u64,
    /// What cannot be read any more.
    pub damaged: Vec<Damage>,
    /// Every queue the log names, in the order of their numbers. What the caller does not want of
    /// them (the queue is unknown) it must settle, or its segments stay.
    pub queues: Vec<RecoveredQueue>,
}

/// What the log holds of one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredQueue {
    /// The queue.
    pub queue: QueueId,
    /// The numbers of its live messages: ranges as long as they can be, ascending, inclusive.
    pub live: Vec<(Seq, Seq)>,
    /// How many they are.
    pub messages: u64,
    /// The sum of their weights.
    pub bytes: u64,
    /// The highest number anything in the log names. The queue must go on above it: a settlement
    /// of that number may still be in the log and would hit a new message.
    pub highest: Seq,
    /// What is live up to here may have been handed to a consumer before.
    pub delivered_up_to: Option<Seq>,
    /// How often live messages were delivered, as far as that was recorded; ascending.
    pub counts: Vec<(Seq, u32)>,
}

/// The result of [`recover`].
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) next_segment: u32,
    pub(super) report: RecoveryReport,
    /// How far each queue the log names has handed out.
    pub(super) delivered: Vec<(QueueId, Seq)>,
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a DataDir,
    payloads: Payloads,
    /// Contents of the segment being read.
    bytes: Vec<u8>,
    summary: Summary,
    marks: Marks,
    result: Recovered,
}

/// Reads the log of `dir` into `index`, which is empty.
pub(super) fn recover(
    dir: &DataDir,
    payloads: Payloads,
    index: Index,
) -> Result<Recovered, OpenError> {
    let disk: Arc<dyn Disk> = Arc::clone(dir.disk());
    let segments = list(&*disk)?;
    let newest = segments.last().copied().unwrap_or(0);
    let mut recovery = Recovery {
        disk: &*disk,
        dir,
        payloads,
        bytes: Vec::new(),
        summary: Summary::default(),
        marks: Marks::default(),
        result: Recovered {
            index,
            next_segment: newest + 1,
            report: RecoveryReport::default(),
            delivered: Vec::new(),
        },
    };
    for segment in segments.into_iter().rev() {
        if recovery.read(segment, segment == newest)? {
            recovery.take_in(segment);
        }
    }
    // What the last process left to the system may be in memory only; from here on it counts.
    disk.sync_dir(LOG_DIR)
        .map_err(|source| unwritable(&*disk, LOG_DIR, source))?;
    let delivered =
        delivered::read(&*disk).map_err(|source| unreadable(&*disk, LOG_DIR, source))?;
    for (queue, up_to) in delivered {
        recovery.marks.delivered(queue, up_to);
    }
    Ok(recovery.finish())
}

/// The numbers of the segments, oldest first.
fn list(disk: &dyn Disk) -> Result<Vec<u32>, OpenError> {
    let names = disk
        .list(LOG_DIR)
        .map_err(|source| unreadable(disk, LOG_DIR, source))?;
    let mut numbers = Vec::new();
    for name in names {
        if let Some(number) = FileType::Segment.number(&name) {
            match u32::try_from(number) {
                Ok(number) if (1..u32::MAX).contains(&number) => numbers.push(number),
                _ => {
                    return Err(corrupt(
                        disk,
                        &join(LOG_DIR, &name),
                        "no segment has this number",
                    ));
                }
            }
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Recovery<'_> {
    /// Reads one segment into the summary; false if the file held nothing and was removed.
    fn read(&mut self, segment: u32, newest: bool) -> Result<bool, OpenError> {
        let file = self.load(segment)?;
        let header = self.check_header(segment)?;
        let summary = &mut self.summary;
        summary.scan(&self.bytes, seal(self.dir, segment), self.payloads);
        if newest && summary.records == 0 && !header {
            return self.remove_unborn(segment).map(|()| false);
        }
        let mut damaged = std::mem::take(&mut summary.damaged);
        let tail = summary.tail.take();
        if !header {
            damaged.insert(0, (0, HEADER_BYTES.min(self.bytes.len())));
        }
        if newest {
            self.cut(&*file, segment, tail)?;
        } else if let Some(tail) = tail {
            damaged.push((tail, self.bytes.len() - tail));
        }
        let report = &mut self.result.report;
        report.segments += 1;
        report.records += self.summary.records;
        for (offset, len) in damaged {
            tracing::error!(
                "segment {segment} has {len} damaged bytes at {offset}, which are skipped"
            );
            report.damaged.push(Damage {
                segment,
                offset: offset as u64,
                len: len as u64,
            });
        }
        let kept = tail.filter(|_| newest).unwrap_or(self.bytes.len());
        self.result.index.segments.grow(segment, kept as u64);
        Ok(true)
    }

    /// Brings what the summary says into marks and index.
    fn take_in(&mut self, segment: u32) {
        self.marks.add_older(&mut self.summary, segment);
        let index = &mut self.result.index;
        let settled = self.summary.settled.len() + self.summary.gone.len();
        index.segments.settles(segment, settled as u64);
        for target in &self.summary.targets {
            let marks = self.marks.of_message(target.queue, target.seq);
            let slot = Slot::new(segment, target.offset, target.weight, target.sharers);
            index.segments.stands(slot);
            if target.transient {
                continue;
            }
            if let Some(by) = marks.dead_by(target.seq) {
                index.segments.depends(by, segment);
            } else if !index.add_older(target.queue, target.seq, slot) {
                index.segments.set_copied(segment);
            }
        }
        index.spill();
    }

    fn load(&mut self, segment: u32) -> Result<Box<dyn DiskFile>, OpenError> {
        let path = path(segment);
        let file = self
            .disk
            .open(&path)
            .map_err(|e| unreadable(self.disk, &path, e))?;
        disk::read_whole(&*file, &mut self.bytes).map_err(|e| unreadable(self.disk, &path, e))?;
        Ok(file)
    }

    /// False if the header is damaged, which costs nothing: the records speak for themselves.
    fn check_header(&self, segment: u32) -> Result<bool, OpenError> {
        let (id, number) = (self.dir.storage_id(), segment.into());
        match FileHeader::check(&self.bytes, FileType::Segment, id, number) {
            Ok(_) => Ok(true),
            Err(HeaderError::Damaged) => Ok(false),
            Err(error) => Err(header_error(self.disk, &path(segment), error)),
        }
    }

    /// A file that was created when the power went, before anything in it was durable.
    fn remove_unborn(&mut self, segment: u32) -> Result<(), OpenError> {
        self.result.report.cut_tail_bytes += self.bytes.len() as u64;
        let path = path(segment);
        self.disk
            .remove(&path)
            .map_err(|source| unwritable(self.disk, &path, source))
    }

    /// Cuts the torn end off, and syncs what is left of the newest segment.
    fn cut(
        &mut self,
        file: &dyn DiskFile,
        segment: u32,
        at: Option<usize>,
    ) -> Result<(), OpenError> {
        let unwritable = |source| unwritable(self.disk, &path(segment), source);
        if let Some(at) = at {
            let torn = (self.bytes.len() - at) as u64;
            tracing::info!("segment {segment} ends at {at}: {torn} bytes behind it were cut off");
            self.result.report.cut_tail_bytes += torn;
            file.set_len(at as u64).map_err(unwritable)?;
        }
        file.sync_data().map_err(unwritable)
    }

    fn finish(self) -> Recovered {
        let mut result = self.result;
        result
            .report
            .damaged
            .sort_unstable_by_key(|damage| (damage.segment, damage.offset));
        let mut ids: Vec<QueueId> = self.marks.queues.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(marks) = self.marks.queues.get(&id) else {
                continue;
            };
            result.index.recovered(id, marks);
            let Some(highest) = marks.highest else {
                continue;
            };
            let delivered_up_to = marks.delivered.map(|(up_to, _)| up_to);
            result
                .delivered
                .extend(delivered_up_to.map(|up_to| (id, up_to)));
            let queue = result.index.report(id, highest, delivered_up_to);
            result.report.messages += queue.messages;
            result.report.queues.push(queue);
        }
        result
    }
}

fn seal(dir: &DataDir, segment: u32) -> FileSeal {
    Seal::new(dir.storage_id()).file(FileType::Segment, segment.into())
}

fn path(segment: u32) -> String {
    join(LOG_DIR, &FileType::Segment.name(segment.into()))
}

/// The error for a header that is whole and not ours.
pub(crate) fn header_error(disk: &dyn Disk, path: &str, error: HeaderError) -> OpenError {
    match error {
        HeaderError::Newer(found) => OpenError::NewerFormat {
            path: disk.full_path(path),
            found,
            supported: crate::framing::FILE_FORMAT,
        },
        HeaderError::Damaged | HeaderError::Foreign => {
            corrupt(disk, path, "it belongs to another storage or was renamed")
        }
    }
}
