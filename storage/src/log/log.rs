//! The handle of the message log, what it gathers under its lock, and what its thread does.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::codec::{self, Entry};
use super::delivered::DeliveredMarks;
use super::live::{Deltas, SegmentStats, SegmentTable};
use super::recovery::{self, RecoveredMessage, RecoveryReport};
use super::{Batch, Position, QueueId, Seq};
use crate::commit::{Added, Committer, Durable, Gather, Sink};
use crate::dir::{DataDir, LOG_DIR};
use crate::error::{LogError, OpenError};
use crate::files::{FileWriter, Piece, PieceBuffer};
use crate::framing::FileType;
use crate::framing::record;

/// The most one batch may hold. With the largest segment size, offsets stay within 32 bits.
const MAX_BATCH_BYTES: usize = 1 << 30;
/// The largest size at which a segment may be made to end.
const MAX_SEGMENT_BYTES: u32 = 1 << 31;

/// How the message log works.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A batch that would make a segment larger than this many bytes begins the next one; at
    /// most 2 GiB. A batch larger than this has a segment of its own.
    pub segment_bytes: u32,
    /// How long something nobody waits for may stay unwritten.
    pub idle_sync: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            idle_sync: Duration::from_millis(5),
        }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The end of the batch: it is durable when `durable_up_to` has reached this.
    pub end: Position,
    /// The segment all messages of the batch are in.
    pub segment: u32,
}

/// The message log. Clones are handles of the same log; the last one to go closes it.
#[derive(Clone)]
pub struct MessageLog {
    inner: Arc<Inner>,
}

struct Inner {
    commit: Committer<Gathered>,
    stats: Arc<Mutex<SegmentStats>>,
    delivered: DeliveredMarks,
}

impl MessageLog {
    /// Reads the log back, then starts its thread. `recovered` is called for every message that
    /// is not settled, in the order of the log, with the targets that are not settled. What the
    /// caller does not want (its queue is unknown) it must settle, or its segment stays.
    pub fn open(
        dir: &DataDir,
        options: LogOptions,
        recovered: &mut dyn FnMut(RecoveredMessage<'_>),
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let found = recovery::recover(dir, recovered)?;
        let delivered =
            DeliveredMarks::start(&**dir.disk(), &found.delivered).map_err(|source| {
                OpenError::Unwritable {
                    path: dir.path(),
                    source,
                }
            })?;
        let stats = Arc::new(Mutex::new(SegmentStats::default()));
        let files = FileWriter::new(Arc::clone(dir.disk()), LOG_DIR, FileType::Segment)
            .recycling(dir.storage_id())
            .map_err(|source| OpenError::Unwritable {
                path: dir.path(),
                source,
            })?;
        let mut writer = Writer {
            files,
            table: found.table,
            stats: Arc::clone(&stats),
            _dir: dir.clone(),
        };
        if found.settle_again.is_empty() {
            writer.remove_dead_segments();
        }
        writer.publish_stats();
        let gathered = Gathered {
            pieces: PieceBuffer::new(
                FileType::Segment,
                dir.storage_id(),
                found.next_segment.into(),
            ),
            limit: options.segment_bytes.min(MAX_SEGMENT_BYTES).into(),
            deltas: Deltas::default(),
            early: FxHashMap::default(),
        };
        let end = gathered.end();
        let commit = Committer::start("message-log", gathered, writer, end, options.idle_sync)
            .map_err(|source| OpenError::Unwritable {
                path: dir.path(),
                source,
            })?;
        let log = Self {
            inner: Arc::new(Inner {
                commit,
                stats,
                delivered,
            }),
        };
        if !found.settle_again.is_empty() {
            let mut batch = settlements(&found.settle_again);
            // A log that has failed by now says so at the next append.
            let _ = log.append(&mut batch, true);
        }
        Ok((log, found.report))
    }

    /// Adds the batch and clears it, whatever the outcome. `urgent`: somebody waits until it is
    /// durable, so it is written at once; otherwise within [`LogOptions::idle_sync`]. Never waits
    /// for the disk: look at [`MessageLog::buffered_bytes`].
    pub fn append(&self, batch: &mut Batch, urgent: bool) -> Result<Appended, LogError> {
        batch.complete();
        let bytes = batch.records.len();
        let result = if bytes > MAX_BATCH_BYTES {
            Err(LogError::TooLarge {
                bytes,
                limit: MAX_BATCH_BYTES,
            })
        } else {
            self.inner
                .commit
                .add(urgent, |gathered| gathered.append(batch))
        };
        batch.clear();
        result
    }

    /// Everything of `queue` up to `up_to` is about to be handed to a consumer. Unlike
    /// [`Batch::delivered`] it counts at once, if the process is killed; against the loss of power
    /// that record is still needed. One small write to the system, no waiting for the disk.
    pub fn note_delivered(&self, queue: QueueId, up_to: Seq) {
        self.inner.delivered.note(queue, up_to);
    }

    /// Everything up to here survives a power cut.
    pub fn durable_up_to(&self) -> Position {
        self.inner.commit.durable()
    }

    /// Calls the waiter once: when `position` is durable, or when the log has failed or been
    /// closed, so look at [`MessageLog::durable_up_to`]. At once if that is so already; otherwise
    /// from the log's thread, which must not be held up. Does not itself hurry the log.
    pub fn when_durable(&self, position: Position, waiter: Arc<dyn Durable>) {
        self.inner.commit.when_durable(position, waiter);
    }

    /// Blocks until `position` is durable.
    pub fn wait_durable(&self, position: Position) -> Result<(), LogError> {
        self.inner.commit.wait_durable(position)
    }

    /// The end of the last batch appended.
    pub fn end(&self) -> Position {
        self.inner.commit.end()
    }

    /// Bytes appended and not yet on disk.
    pub fn buffered_bytes(&self) -> usize {
        self.inner.commit.buffered_bytes()
    }

    /// Why the log takes no more, if it has failed.
    pub fn failure(&self) -> Option<String> {
        self.inner.commit.failure()
    }

    /// How often the log has been synced since it was opened.
    pub fn sync_count(&self) -> u64 {
        self.inner.commit.sync_count()
    }

    /// What is in the log, as of the last sync.
    pub fn segments(&self) -> SegmentStats {
        *self.inner.stats.lock()
    }

    /// Writes and syncs what is left and ends the thread. Called again: the same answer.
    pub fn close(&self) -> Result<(), LogError> {
        self.inner.commit.close()
    }
}

/// Settlement records that change no counts.
fn settlements(targets: &[(QueueId, Seq)]) -> Batch {
    let mut batch = Batch::new();
    for &(queue, seq) in targets {
        batch.settle(queue, seq, super::UNKNOWN_SEGMENT);
    }
    batch.early.clear();
    batch.complete();
    batch
}

/// What is under the lock.
struct Gathered {
    pieces: PieceBuffer,
    /// Size at which a segment ends.
    limit: u64,
    /// Changes of counts that belong to the bytes gathered.
    deltas: Deltas,
    /// Messages settled before they were seen, and the segment their settlement is in.
    early: FxHashMap<(QueueId, Seq), u32>,
}

#[derive(Default)]
struct Work {
    pieces: Vec<Piece>,
    deltas: Deltas,
}

impl Gather for Gathered {
    type Work = Work;

    fn take(&mut self, work: &mut Work) {
        self.pieces.take(&mut work.pieces);
        work.deltas.clear();
        std::mem::swap(&mut self.deltas, &mut work.deltas);
    }
}

impl Gathered {
    fn end(&self) -> Position {
        self.pieces.file() << 32 | self.pieces.offset()
    }

    fn segment(&self) -> u32 {
        // Recovery refuses numbers that do not fit, and 2^32 segments are 256 PiB.
        self.pieces.file() as u32
    }

    fn append(&mut self, batch: &mut Batch) -> Added<Appended> {
        if self.pieces.offset() + batch.records.len() as u64 > self.limit {
            self.pieces.next_file();
        }
        let segment = self.segment();
        for &target in &batch.early {
            self.early.insert(target, segment);
            self.deltas.of(segment).pins += 1;
        }
        let mut bytes = 0;
        let again = if self.early.is_empty() {
            Vec::new()
        } else {
            self.match_early(batch, segment)
        };
        if batch.targets > 0 {
            let delta = self.deltas.of(segment);
            delta.live += batch.targets;
            delta.sum = delta.sum.wrapping_add(batch.sum);
        }
        self.deltas.add(&batch.deltas);
        if !batch.records.is_empty() {
            bytes += self.pieces.append(&mut batch.records, 0);
        }
        if !again.is_empty() {
            bytes += self.pieces.append(&mut settlements(&again).records, 0);
        }
        Added {
            result: Appended {
                end: self.end(),
                segment,
            },
            end: self.end(),
            bytes,
        }
    }

    /// Messages of this batch that were settled before: their settlement is to be written again
    /// behind them, so that it lives as long as they do. The common case, in which nothing was
    /// settled early, never comes here.
    fn match_early(&mut self, batch: &Batch, segment: u32) -> Vec<(QueueId, Seq)> {
        let mut again = Vec::new();
        let mut unpin = |target: (QueueId, Seq), segment: u32| {
            let pinned = self.early.remove(&target);
            if let Some(pinned) = pinned {
                self.deltas.of(pinned).pins -= 1;
                self.deltas.settled(segment, target.0, target.1);
            }
            pinned.is_some()
        };
        for &(queue, seq, segment) in &batch.located {
            unpin((queue, seq), segment);
        }
        if batch.targets > 0 {
            record::each_unsealed(&batch.records, &mut |kind, body| {
                // Just encoded by us, so it can be read.
                let _ = codec::read(kind, body, &mut |entry| {
                    if let Entry::Message(message) = entry {
                        again.extend(message.targets().filter(|target| unpin(*target, segment)));
                    }
                });
            });
        }
        again
    }
}

/// What the thread has.
struct Writer {
    files: FileWriter,
    table: SegmentTable,
    stats: Arc<Mutex<SegmentStats>>,
    /// Holds the lock of the directory while the log is open.
    _dir: DataDir,
}

impl Sink<Work> for Writer {
    fn commit(&mut self, work: &mut Work) -> std::io::Result<bool> {
        self.files.write(&work.pieces)
    }

    fn committed(&mut self, work: &mut Work, _durable: u64) {
        for piece in &work.pieces {
            self.table.grow(piece.file as u32, piece.bytes.len() as u64);
        }
        self.table.apply(&work.deltas);
        self.remove_dead_segments();
        self.publish_stats();
    }

    fn stopped(&mut self) {
        if let Err(error) = self.files.finish() {
            tracing::warn!("cannot cut the end of the newest segment: {error}");
        }
    }
}

impl Writer {
    fn remove_dead_segments(&mut self) {
        while let Some(segment) = self.table.removable() {
            // One at a time and durably, so that no settlement goes before its message.
            if let Err(error) = self.files.remove(segment.into()) {
                tracing::warn!("cannot remove {}: {error}", self.files.path(segment.into()));
                return;
            }
            self.table.remove(segment);
        }
    }

    fn publish_stats(&self) {
        *self.stats.lock() = self.table.stats();
    }
}
