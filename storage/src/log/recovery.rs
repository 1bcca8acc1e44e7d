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
use super::checkpoint;
use super::codec;
use super::delivered;
use super::index::Index;
use super::marks::Marks;
use super::summary::{Payloads, Summary};
use super::walk::Walk;
use super::{QueueId, Seq};
use crate::dir::{DataDir, LOG_DIR, corrupt, unreadable, unwritable};
use crate::disk::{self, Disk, DiskFile, join};
use crate::error::OpenError;
use crate::framing::record::claimed;
use crate::framing::{FileHeader, FileType, HEADER_BYTES, HeaderError, Seal};

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

/// How much of damaged bytes is looked at for what they held.
const DAMAGED_BYTES: u64 = 64 << 10;

/// A message that damage has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostMessage {
    /// Its queue.
    pub queue: QueueId,
    /// Its number.
    pub seq: Seq,
    /// The segment it stood in.
    pub segment: u32,
    /// Where its record stood there.
    pub offset: u64,
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
    /// The messages that were there, as far as the damaged bytes still say so, and that are neither
    /// settled nor anywhere else.
    pub lost: Vec<LostMessage>,
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
    seal: Seal,
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
    let mut segments = list(&*disk)?;
    let newest = segments.pop().unwrap_or(0);
    let mut recovery = Recovery {
        disk: &*disk,
        seal: Seal::new(dir.storage_id()),
        marks: Marks::default(),
        result: Recovered {
            index,
            next_segment: newest + 1,
            report: RecoveryReport::default(),
            delivered: Vec::new(),
        },
    };
    if newest != 0 {
        let mut loaded = Loaded::scan(dir, newest, payloads)?;
        if recovery.end(&mut loaded)? {
            recovery.take_in(loaded);
        }
    }
    // One thread reads and checks while this one takes in what it has read.
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        scope.spawn(move || {
            for segment in segments.into_iter().rev() {
                if send.send(Loaded::read(dir, segment, payloads)).is_err() {
                    return;
                }
            }
        });
        for loaded in receive {
            recovery.take_in(loaded?);
        }
        Ok::<(), OpenError>(())
    })?;
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
    for name in &names {
        if let Some(number) = FileType::Segment.number(name) {
            match u32::try_from(number) {
                Ok(number) if (1..u32::MAX).contains(&number) => numbers.push(number),
                _ => {
                    return Err(corrupt(
                        disk,
                        &join(LOG_DIR, name),
                        "no segment has this number",
                    ));
                }
            }
        }
    }
    numbers.sort_unstable();
    for name in &names {
        let checkpoint = FileType::Checkpoint.number(name);
        let is_of_one = |number| {
            let number = u32::try_from(number);
            number.is_ok_and(|number| numbers.binary_search(&number).is_ok())
        };
        let orphan = checkpoint.is_some_and(|number| !is_of_one(number));
        if orphan || name.ends_with(".tmp") {
            // What cannot be removed means nothing all the same.
            let _ = disk.remove(&join(LOG_DIR, name));
        }
    }
    Ok(numbers)
}

/// A segment that has been read.
struct Loaded {
    segment: u32,
    file: Box<dyn DiskFile>,
    len: u64,
    /// The header is good. A damaged one costs nothing: the records speak for themselves.
    header: bool,
    /// There is a checkpoint that says the same.
    checkpointed: bool,
    summary: Summary,
}

impl Loaded {
    fn open(dir: &DataDir, segment: u32) -> Result<Self, OpenError> {
        let (disk, path) = (&**dir.disk(), path(segment));
        let unreadable = |source| unreadable(disk, &path, source);
        let file = disk.open(&path).map_err(unreadable)?;
        let len = file.len().map_err(unreadable)?;
        let mut header = [0; HEADER_BYTES];
        let there = HEADER_BYTES.min(usize::try_from(len).unwrap_or(HEADER_BYTES));
        disk::read_lenient(&*file, &mut header[..there], 0);
        let (id, number) = (dir.storage_id(), segment.into());
        let header = match FileHeader::check(&header[..there], FileType::Segment, id, number) {
            Ok(_) => true,
            Err(HeaderError::Damaged) => false,
            Err(error) => return Err(header_error(disk, &path, error)),
        };
        Ok(Self {
            segment,
            file,
            len,
            header,
            checkpointed: false,
            summary: Summary::default(),
        })
    }

    /// Reads the segment itself.
    fn scan(dir: &DataDir, segment: u32, payloads: Payloads) -> Result<Self, OpenError> {
        let mut loaded = Self::open(dir, segment)?;
        loaded.walk(dir, payloads)?;
        Ok(loaded)
    }

    /// Reads the checkpoint of the segment, or failing that the segment.
    fn read(dir: &DataDir, segment: u32, payloads: Payloads) -> Result<Self, OpenError> {
        let mut loaded = Self::open(dir, segment)?;
        let (len, summary) = (loaded.len, &mut loaded.summary);
        loaded.checkpointed = loaded.header && checkpoint::read(dir, segment, len, summary);
        if !loaded.checkpointed {
            loaded.walk(dir, payloads)?;
        }
        Ok(loaded)
    }

    fn walk(&mut self, dir: &DataDir, payloads: Payloads) -> Result<(), OpenError> {
        let seal = Seal::new(dir.storage_id()).file(FileType::Segment, self.segment.into());
        let walk = Walk::new(&*self.file, seal);
        let read = self.summary.read(walk, payloads);
        read.map_err(|source| unreadable(&**dir.disk(), &path(self.segment), source))
    }
}

impl Recovery<'_> {
    /// Cuts the torn end off the newest segment and syncs what is left; false if it held nothing
    /// and was removed.
    fn end(&mut self, loaded: &mut Loaded) -> Result<bool, OpenError> {
        let path = path(loaded.segment);
        let unwritable = |source| unwritable(self.disk, &path, source);
        if loaded.summary.records == 0 && !loaded.header {
            // It was created when the power went, before anything in it was durable.
            self.result.report.cut_tail_bytes += loaded.len;
            self.disk.remove(&path).map_err(unwritable)?;
            return Ok(false);
        }
        if let Some(at) = loaded.summary.tail.take() {
            let (segment, torn) = (loaded.segment, loaded.len - at);
            tracing::info!("segment {segment} ends at {at}: {torn} bytes behind it were cut off");
            self.result.report.cut_tail_bytes += torn;
            loaded.file.set_len(at).map_err(unwritable)?;
            loaded.len = at;
        }
        loaded.file.sync_data().map_err(unwritable)?;
        Ok(true)
    }

    /// Brings what a segment says into report, marks and index.
    fn take_in(&mut self, mut loaded: Loaded) {
        let (segment, summary) = (loaded.segment, &mut loaded.summary);
        let mut damaged = std::mem::take(&mut summary.damaged);
        if !loaded.header {
            damaged.insert(0, (0, loaded.len.min(HEADER_BYTES as u64)));
        }
        if let Some(tail) = summary.tail {
            damaged.push((tail, loaded.len - tail));
        }
        let report = &mut self.result.report;
        report.segments += 1;
        report.records += summary.records;
        for &(offset, len) in &damaged {
            tracing::error!(
                "segment {segment} has {len} damaged bytes at {offset}, which are skipped"
            );
            let mut held = Vec::new();
            let seal = self.seal.file(FileType::Segment, segment.into());
            let mut bytes = vec![0; len.min(DAMAGED_BYTES) as usize];
            let read = loaded.file.read_at(&mut bytes, offset).unwrap_or(0);
            if let Some((kind, body)) = claimed(&bytes[..read], offset, seal) {
                codec::targets_of_damaged(kind, body, &mut held);
            }
            report
                .lost
                .extend(held.into_iter().map(|(queue, seq)| LostMessage {
                    queue,
                    seq,
                    segment,
                    offset,
                }));
            report.damaged.push(Damage {
                segment,
                offset,
                len,
            });
        }
        self.marks.add_older(summary, segment);
        let index = &mut self.result.index;
        index.segments.grow(segment, loaded.len);
        if loaded.checkpointed || !damaged.is_empty() {
            index.segments.set_checkpointed(segment);
        }
        let settled = summary.settled.len() + summary.gone.len();
        index.segments.settles(segment, settled as u64);
        for target in &summary.targets {
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

    fn finish(self) -> Recovered {
        let mut result = self.result;
        result
            .report
            .damaged
            .sort_unstable_by_key(|damage| (damage.segment, damage.offset));
        let (marks, index) = (&self.marks.queues, &mut result.index);
        result.report.lost.retain(|lost| {
            let settled = marks
                .get(&lost.queue)
                .is_some_and(|marks| marks.dead_by(lost.seq).is_some());
            !settled && index.get(lost.queue, lost.seq).is_none()
        });
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
