//! Reading the message log back.
//!
//! Two passes over the segments, one segment in memory at a time: first what became of messages
//! (settlements, marks), then the messages. So it does not matter whether a settlement stands
//! before or behind its message. Only the newest segment can have a torn end, which is cut off;
//! what is bad anywhere else was once good, is skipped and reported.
//!
//! In the newest segment a message may have survived a torn write while the repetition of its
//! early settlement (see `live`) did not. Such settlements are given back to be written again.

use std::sync::Arc;

use super::codec::{self, Entry};
use super::delivered;
use super::live::SegmentTable;
use super::marks::{Marks, QueueMarks};
use super::{QueueId, Seq};
use crate::dir::{DataDir, LOG_DIR, corrupt, unreadable, unwritable};
use crate::disk::{self, Disk, DiskFile, join};
use crate::error::OpenError;
use crate::framing::{
    FileHeader, FileSeal, FileType, Found, HEADER_BYTES, HeaderError, Seal, scan,
};

/// A message that was not settled when the log was last written.
#[derive(Debug)]
pub struct RecoveredMessage<'a> {
    /// Where it stands, for [`Batch::settle`](super::Batch::settle).
    pub segment: u32,
    /// As appended: Unix time in milliseconds.
    pub enqueued_ms: u64,
    /// As appended.
    pub flags: u8,
    /// The parts, one after the other.
    pub payload: &'a [u8],
    /// The targets that are not settled; at least one.
    pub targets: &'a [RecoveredTarget],
}

/// A queue in which a recovered message is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredTarget {
    /// The queue.
    pub queue: QueueId,
    /// The number of the message in the queue.
    pub seq: Seq,
    /// It may have been handed to a consumer before.
    pub redelivered: bool,
    /// As last recorded, 0 if never.
    pub delivery_count: u32,
}

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
    /// Messages with at least one live target.
    pub messages: u64,
    /// Bytes of an unfinished write cut off the newest segment. Never durable, so nothing lost.
    pub cut_tail_bytes: u64,
    /// What cannot be read any more.
    pub damaged: Vec<Damage>,
    /// Per queue the highest number anything in the log names. A queue must go on above it: a
    /// settlement of that number may still be in the log and would hit a new message.
    pub highest_seqs: Vec<(QueueId, Seq)>,
}

/// The result of [`recover`].
pub(super) struct Recovered {
    pub(super) table: SegmentTable,
    pub(super) next_segment: u32,
    pub(super) settle_again: Vec<(QueueId, Seq)>,
    pub(super) report: RecoveryReport,
    /// How far each queue the log names has handed out.
    pub(super) delivered: Vec<(QueueId, Seq)>,
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a DataDir,
    /// Contents of the segment being read.
    bytes: Vec<u8>,
    marks: Marks,
    result: Recovered,
}

pub(super) fn recover(
    dir: &DataDir,
    recovered: &mut dyn FnMut(RecoveredMessage<'_>),
) -> Result<Recovered, OpenError> {
    let disk: Arc<dyn Disk> = Arc::clone(dir.disk());
    let mut segments = list(&*disk)?;
    let newest = segments.last().copied().unwrap_or(0);
    let mut recovery = Recovery {
        disk: &*disk,
        dir,
        bytes: Vec::new(),
        marks: Marks::default(),
        result: Recovered {
            table: SegmentTable::default(),
            next_segment: newest + 1,
            settle_again: Vec::new(),
            report: RecoveryReport::default(),
            delivered: Vec::new(),
        },
    };
    let mut kept = Vec::with_capacity(segments.len());
    for segment in segments.drain(..) {
        if recovery.read_marks(segment, segment == newest)? {
            kept.push(segment);
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
    recovery.marks.sort();
    for segment in kept {
        recovery.read_messages(segment, segment == newest, recovered)?;
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
    /// The first pass over one segment; false if the file held nothing and was removed.
    fn read_marks(&mut self, segment: u32, newest: bool) -> Result<bool, OpenError> {
        let file = self.load(segment)?;
        let header = self.check_header(segment)?;
        let (mut records, mut damaged, mut cut) = (0, Vec::new(), None);
        let marks = &mut self.marks;
        let damage = |offset: usize, len: usize| Damage {
            segment,
            offset: offset as u64,
            len: len as u64,
        };
        scan(
            &self.bytes,
            HEADER_BYTES,
            seal(self.dir, segment),
            &mut |found| match found {
                Found::Record { offset, kind, body } => {
                    records += 1;
                    let read = codec::read(kind, body, &mut |entry| marks.note(&entry, newest));
                    if read.is_err() {
                        damaged.push(damage(offset, body.len()));
                    }
                }
                Found::Tail { offset, .. } if newest => cut = Some(offset),
                Found::Tail { offset, len } | Found::Damage { offset, len } => {
                    damaged.push(damage(offset, len));
                }
            },
        );
        if newest && records == 0 && !header {
            return self.remove_unborn(segment).map(|()| false);
        }
        if !header {
            damaged.insert(0, damage(0, HEADER_BYTES.min(self.bytes.len())));
        }
        if newest {
            self.cut(&*file, segment, cut)?;
        }
        let report = &mut self.result.report;
        report.segments += 1;
        report.records += records;
        for damage in &damaged {
            tracing::error!(
                "segment {} has {} damaged bytes at {}, which are skipped",
                damage.segment,
                damage.len,
                damage.offset
            );
        }
        report.damaged.append(&mut damaged);
        self.result
            .table
            .grow(segment, cut.unwrap_or(self.bytes.len()) as u64);
        Ok(true)
    }

    /// The second pass over one segment.
    fn read_messages(
        &mut self,
        segment: u32,
        newest: bool,
        recovered: &mut dyn FnMut(RecoveredMessage<'_>),
    ) -> Result<(), OpenError> {
        self.load(segment)?;
        let (marks, result) = (&self.marks, &mut self.result);
        let mut targets = Vec::new();
        let mut entry = |entry: Entry<'_>| {
            let Entry::Message(message) = entry else {
                return;
            };
            targets.clear();
            for (queue, seq) in message.targets() {
                // Known, since the first pass saw this message too.
                let Some(marks) = marks.queues.get(&queue) else {
                    continue;
                };
                if marks.is_live(seq) {
                    targets.push(marks.target(queue, seq));
                    result.table.add_live(segment, queue, seq);
                } else if newest && !marks.gone && !marks.settled_newest.contains(seq) {
                    result.settle_again.push((queue, seq));
                }
            }
            if !targets.is_empty() {
                result.report.messages += 1;
                recovered(RecoveredMessage {
                    segment,
                    enqueued_ms: message.enqueued_ms,
                    flags: message.flags,
                    payload: message.payload,
                    targets: &targets,
                });
            }
        };
        scan(
            &self.bytes,
            HEADER_BYTES,
            seal(self.dir, segment),
            &mut |found| {
                if let Found::Record { kind, body, .. } = found {
                    // Reported by the first pass.
                    let _ = codec::read(kind, body, &mut entry);
                }
            },
        );
        Ok(())
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
            tracing::warn!("segment {segment}: cut {torn} bytes of an unfinished write");
            self.result.report.cut_tail_bytes += torn;
            file.set_len(at as u64).map_err(unwritable)?;
        }
        file.sync_data().map_err(unwritable)
    }

    fn finish(self) -> Recovered {
        let mut result = self.result;
        let highest = self.marks.queues.iter();
        result.report.highest_seqs = highest
            .filter_map(|(queue, marks)| Some((*queue, marks.highest?)))
            .collect();
        result.report.highest_seqs.sort_unstable();
        let delivered = self.marks.queues.iter();
        result.delivered = delivered
            .filter_map(|(queue, marks)| Some((*queue, marks.delivered?)))
            .collect();
        result
    }
}

impl QueueMarks {
    fn is_live(&self, seq: Seq) -> bool {
        !self.gone && !self.settled.contains(seq)
    }

    fn target(&self, queue: QueueId, seq: Seq) -> RecoveredTarget {
        RecoveredTarget {
            queue,
            seq,
            redelivered: self.delivered.is_some_and(|up_to| seq <= up_to),
            delivery_count: self.counts.get(&seq).copied().unwrap_or(0),
        }
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
