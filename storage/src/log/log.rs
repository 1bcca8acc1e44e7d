//! The handle of the message log, what it gathers under its lock, and what its thread does.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::blocks::{Pool, Slot};
use super::index::Index;
use super::keeper::{self, Keeper};
use super::ops::Op;
use super::read::{self, OpenFiles, Place, ReadEnd, ReadError, ReadLimit, Stored, Window};
use super::recovery::{self, RecoveryReport};
use super::segments::SegmentStats;
use super::spill::Spill;
use super::summary::Payloads;
use super::{Batch, Position, QueueId, Seq};
use crate::commit::{Added, Committer, Durability, Durable, Gather, Pace, Sink};
use crate::dir::{DataDir, LOG_DIR};
use crate::disk::DiskFile;
use crate::error::{LogError, OpenError};
use crate::files::{FileWriter, Piece, PieceBuffer, Spares};
use crate::framing::{FileType, HEADER_BYTES};

use super::delivered::DeliveredMarks;

/// The most one batch may hold. With the largest segment size, offsets stay within 31 bits.
const MAX_BATCH_BYTES: usize = 1 << 30;
/// The largest size at which a segment may be made to end.
const MAX_SEGMENT_BYTES: u32 = 1 << 31;
/// Places looked up at once by a reader.
const PLACES: usize = 512;
/// How often somebody waiting for the index looks whether the log still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How the message log works.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A batch that would make a segment larger than this many bytes begins the next one; at
    /// most 2 GiB. A batch larger than this has a segment of its own.
    pub segment_bytes: u32,
    /// How long something nobody waits for may stay unwritten.
    pub idle_sync: Duration,
    /// The weight (see [`Batch::message`]) of a message found in the log, from flags and payload.
    pub weigh: fn(u8, &[u8]) -> u32,
    /// Whether a message with these flags is in the log only for want of memory: it does not
    /// survive a restart.
    pub transient: fn(u8) -> bool,
    /// What a position must have survived to count as durable.
    pub durability: Durability,
    /// Bytes of memory the index may take (12 for each live message) before parts of it go to a
    /// scratch file.
    pub index_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            idle_sync: Duration::from_millis(5),
            weigh: |_, payload| u32::try_from(payload.len()).unwrap_or(u32::MAX),
            transient: |_| false,
            durability: Durability::Fsync,
            index_bytes: 128 << 20,
        }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The end of the batch: it is durable when `durable_up_to` has reached this.
    pub end: Position,
}

/// The message log. Clones are handles of the same log; the last one to go closes it.
#[derive(Clone)]
pub struct MessageLog {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    keeper: Keeper,
    delivered: DeliveredMarks,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.stop(!self.core.commit.is_own_thread());
    }
}

/// What the handles and the keeper share.
pub(super) struct Core {
    pub(super) commit: Committer<Gathered>,
    /// Size at which a segment ends.
    pub(super) limit: u64,
    pub(super) payloads: Payloads,
    pub(super) shared: Arc<Shared>,
}

/// What the log's thread knows as well.
pub(super) struct Shared {
    pub(super) index: Mutex<Index>,
    /// Operations have been applied.
    pub(super) applied: Condvar,
    pub(super) files: OpenFiles,
    pub(super) spares: Arc<Spares>,
    pub(super) wake: keeper::Wake,
}

impl MessageLog {
    /// Reads the log back, then starts its threads. Messages stay on disk: see
    /// [`MessageLog::read`].
    pub fn open(dir: &DataDir, options: LogOptions) -> Result<(Self, RecoveryReport), OpenError> {
        let (log, report) = Self::open_unkept(dir, options)?;
        log.inner
            .keeper
            .start(&log.inner.core)
            .map_err(|source| OpenError::Unwritable {
                path: dir.path(),
                source,
            })?;
        Ok((log, report))
    }

    /// Without the thread that keeps the log small.
    pub(crate) fn open_unkept(
        dir: &DataDir,
        options: LogOptions,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let unwritable = |source| OpenError::Unwritable {
            path: dir.path(),
            source,
        };
        let payloads = Payloads {
            weigh: options.weigh,
            transient: options.transient,
        };
        let spill = Spill::new(Arc::clone(dir.disk())).map_err(unwritable)?;
        let pool = Pool::spilling(options.index_bytes, spill);
        let mut found = recovery::recover(dir, payloads, Index::new(pool))?;
        let delivered =
            DeliveredMarks::start(&**dir.disk(), &found.delivered).map_err(unwritable)?;
        let limit = options.segment_bytes.min(MAX_SEGMENT_BYTES).into();
        let gathered = Gathered {
            pieces: PieceBuffer::new(
                FileType::Segment,
                dir.storage_id(),
                found.next_segment.into(),
            ),
            limit,
            ops: Vec::new(),
        };
        let end = gathered.end();
        found.index.applied = end;
        let disk = dir.disk();
        let next = found.next_segment.into();
        let spares = Spares::find(Arc::clone(disk), LOG_DIR, FileType::Segment, next);
        let spares = Arc::new(spares.map_err(unwritable)?);
        let shared = Arc::new(Shared {
            index: Mutex::new(found.index),
            applied: Condvar::new(),
            files: OpenFiles::new(dir.clone()),
            spares: Arc::clone(&spares),
            wake: keeper::Wake::default(),
        });
        let writer = Writer {
            files: FileWriter::new(Arc::clone(disk), LOG_DIR, FileType::Segment)
                .recycling(dir.storage_id(), spares),
            shared: Arc::clone(&shared),
        };
        let pace = Pace {
            idle: options.idle_sync,
            durability: options.durability,
        };
        let commit = Committer::start("message-log", gathered, writer, end, pace);
        let core = Arc::new(Core {
            commit: commit.map_err(unwritable)?,
            limit,
            payloads,
            shared,
        });
        let inner = Inner {
            core,
            keeper: Keeper::default(),
            delivered,
        };
        let inner = Arc::new(inner);
        Ok((Self { inner }, found.report))
    }

    /// Adds the batch and clears it, whatever the outcome. `urgent`: somebody waits until it is
    /// durable, so it is written at once; otherwise within [`LogOptions::idle_sync`]. Never waits
    /// for the disk: look at [`MessageLog::buffered_bytes`].
    pub fn append(&self, batch: &mut Batch, urgent: bool) -> Result<Appended, LogError> {
        self.inner.core.append(batch, urgent)
    }

    /// Calls `see` for the messages of `queue` from number `from` to `to` that are durable and not
    /// settled, in ascending order, until a limit is reached. Waits for nothing: what was appended
    /// a moment ago may be missed, and what is settled meanwhile be seen. Reads from the disk: for a
    /// thread that may block, holding no lock.
    pub fn read_durable(
        &self,
        queue: QueueId,
        from: Seq,
        to: Seq,
        limit: ReadLimit,
        see: &mut dyn FnMut(Stored<'_>),
    ) -> Result<ReadEnd, ReadError> {
        self.inner.core.read(queue, from, to, limit, see)
    }

    /// The same once all that has been appended is durable, for which it waits; while the log is
    /// stalled, an error if something of it is among these numbers ([`ReadError::NotWritten`]).
    pub fn read(
        &self,
        queue: QueueId,
        from: Seq,
        to: Seq,
        limit: ReadLimit,
        see: &mut dyn FnMut(Stored<'_>),
    ) -> Result<ReadEnd, ReadError> {
        let core = &*self.inner.core;
        let end = core.commit.end();
        while let Err(error) = core.wait_applied(end, true) {
            let stalled = matches!(error, LogError::Stalled(_));
            match core.is_waiting(queue, from, to).filter(|_| stalled) {
                Some(false) => break,
                None if stalled => {} // It goes on.
                _ => return Err(ReadError::NotWritten(error.to_string())),
            }
        }
        core.read(queue, from, to, limit, see)
    }

    /// Everything of `queue` up to `up_to` is about to be handed to a consumer. Unlike
    /// [`Batch::delivered`] it counts at once, if the process is killed; against the loss of power
    /// that record is still needed. One small write to the system, no waiting for the disk.
    pub fn note_delivered(&self, queue: QueueId, up_to: Seq) {
        self.inner.delivered.note(queue, up_to);
    }

    /// Everything up to here survives a power cut.
    pub fn durable_up_to(&self) -> Position {
        self.inner.core.commit.durable()
    }

    /// Calls the waiter once: when `position` is durable, or when the log has failed or been
    /// closed, so look at [`MessageLog::durable_up_to`]. At once if that is so already; otherwise
    /// from the log's thread, which must not be held up. Does not itself hurry the log.
    pub fn when_durable(&self, position: Position, waiter: Arc<dyn Durable>) {
        self.inner.core.commit.when_durable(position, waiter);
    }

    /// Makes `position` durable on the caller's thread, if nothing else goes on and the disk is
    /// quick (well below a millisecond): true when it is durable. Saves two changes of threads,
    /// which cost as much as half a sync. False at once otherwise: [`MessageLog::when_durable`].
    pub fn commit_here(&self, position: Position) -> bool {
        self.inner.core.commit.commit_here(position)
    }

    /// Blocks until `position` is durable.
    pub fn wait_durable(&self, position: Position) -> Result<(), LogError> {
        self.inner.core.commit.wait_durable(position)
    }

    /// The end of the last batch appended.
    pub fn end(&self) -> Position {
        self.inner.core.commit.end()
    }

    /// Bytes appended and not yet on disk.
    pub fn buffered_bytes(&self) -> usize {
        self.inner.core.commit.buffered_bytes()
    }

    /// Why nothing becomes durable at the moment: the last write or sync failed. It is tried again
    /// every second.
    pub fn stalled(&self) -> Option<String> {
        self.inner.core.commit.stalled()
    }

    /// Why the log takes no more, if it has failed.
    pub fn failure(&self) -> Option<String> {
        self.inner.core.commit.failure()
    }

    /// How often the log has been synced since it was opened.
    pub fn sync_count(&self) -> u64 {
        self.inner.core.commit.sync_count()
    }

    /// What is in the log, as of the last sync.
    pub fn segments(&self) -> SegmentStats {
        self.inner.core.shared.index.lock().segments.stats()
    }

    /// Writes and syncs what is left and ends the threads. Called again: the same answer.
    pub fn close(&self) -> Result<(), LogError> {
        let core = &*self.inner.core;
        self.inner.keeper.stop(!core.commit.is_own_thread());
        core.commit.close()?;
        core.remove_dead();
        Ok(())
    }

    /// One round of what the keeper does, for tests of a log without one.
    #[cfg(test)]
    pub(crate) fn tidy(&self) {
        struct Headlong;
        impl super::compaction::Pace for Headlong {
            fn wait(&self, _: Duration) -> bool {
                true
            }
        }
        let _ = self.inner.core.tidy(&Headlong);
    }
}

impl Core {
    pub(super) fn append(&self, batch: &mut Batch, urgent: bool) -> Result<Appended, LogError> {
        batch.complete();
        let bytes = batch.records.len();
        let result = if bytes > MAX_BATCH_BYTES {
            Err(LogError::TooLarge {
                bytes,
                limit: MAX_BATCH_BYTES,
            })
        } else {
            self.commit.add(urgent, |gathered| gathered.append(batch))
        };
        batch.clear();
        result
    }

    /// Blocks until all up to `end` is durable and in the index; with `hurry`, has it written at
    /// once.
    pub(super) fn wait_applied(&self, end: Position, hurry: bool) -> Result<(), LogError> {
        let mut index = self.shared.index.lock();
        if index.applied >= end {
            return Ok(());
        }
        if hurry {
            self.commit.hurry();
        }
        while index.applied < end {
            if self.commit.has_ended() {
                let failed = self.commit.failure();
                return Err(failed.map_or(LogError::Closed, LogError::Failed));
            }
            if let Some(why) = self.commit.stalled() {
                return Err(LogError::Stalled(why));
            }
            self.shared.applied.wait_for(&mut index, LOOK_AGAIN);
        }
        Ok(())
    }

    fn read(
        &self,
        queue: QueueId,
        mut from: Seq,
        to: Seq,
        limit: ReadLimit,
        see: &mut dyn FnMut(Stored<'_>),
    ) -> Result<ReadEnd, ReadError> {
        let mut window = Window::new(&self.shared.files);
        let (mut messages, mut bytes, mut places) = (0, 0, Vec::new());
        loop {
            places.clear();
            let more = limit.messages.max(1) - messages;
            let want = PLACES.min(more.saturating_add(1));
            let index = self.shared.index.lock();
            if let Some(queue) = index.queues.get(&queue) {
                queue.each(from, to, &index.pool, &mut |seq, slot| {
                    places.push((seq, slot));
                    places.len() < want
                });
            }
            drop(index);
            if places.is_empty() {
                return Ok(ReadEnd::All);
            }
            for at in 0..places.len() {
                let (seq, slot) = places[at];
                let enough = messages >= limit.messages.max(1) || bytes >= limit.bytes;
                if enough && messages > 0 {
                    return Ok(ReadEnd::Next(seq));
                }
                let unreadable = |source| ReadError::Unreadable {
                    segment: slot.segment(),
                    source,
                };
                let place = window.record(&places[at..]).map_err(unreadable)?;
                let found = match place {
                    Place::Record(kind, body) => {
                        read::find(kind, &window.bytes()[body], (queue, seq))
                    }
                    Place::Damaged | Place::Gone => None,
                };
                if let Some(message) = found {
                    messages += 1;
                    bytes += message.payload.len();
                    see(Stored::Message {
                        seq,
                        enqueued_ms: message.enqueued_ms,
                        flags: message.flags,
                        payload: message.payload,
                    });
                } else {
                    from = seq;
                    if self.stands(queue, seq) != Some(slot) {
                        // It moved or died meanwhile, and its segment may be in use again.
                        window.forget();
                        break;
                    }
                    messages += 1;
                    see(Stored::Lost {
                        seq,
                        segment: slot.segment(),
                        offset: slot.offset().into(),
                    });
                }
                match seq.checked_add(1) {
                    Some(next) if next <= to => from = next,
                    _ => return Ok(ReadEnd::All),
                }
            }
        }
    }

    /// Whether any of these messages waits for a stalled log; none if it is not stalled.
    fn is_waiting(&self, queue: QueueId, from: Seq, to: Seq) -> Option<bool> {
        self.commit.while_stalled(|work, gathered| {
            work.ops.iter().chain(&gathered.ops).any(|op| {
                matches!(op, Op::Message { queue: of, seq, .. }
                    if *of == queue && (from..=to).contains(seq))
            })
        })
    }

    fn stands(&self, queue: QueueId, seq: Seq) -> Option<Slot> {
        self.shared.index.lock().get(queue, seq)
    }
}

/// What is under the lock.
pub(super) struct Gathered {
    pieces: PieceBuffer,
    /// Size at which a segment ends.
    limit: u64,
    /// What the bytes gathered do to the index.
    ops: Vec<Op>,
}

#[derive(Default)]
pub(super) struct Work {
    pieces: Vec<Piece>,
    ops: Vec<Op>,
}

impl Gather for Gathered {
    type Work = Work;

    fn take(&mut self, work: &mut Work) {
        self.pieces.take(&mut work.pieces);
        work.ops.clear();
        if work.ops.capacity() > KEEP_OPS {
            work.ops = Vec::new();
        }
        std::mem::swap(&mut self.ops, &mut work.ops);
    }

    fn rewrite(&mut self, work: &mut Work) -> Option<u64> {
        let moved = self.pieces.rewrite(&mut work.pieces);
        work.ops.append(&mut self.ops);
        for op in &mut work.ops {
            if let Op::At { segment, base } = op
                && let Some(moved) = moved.iter().find(|moved| moved.from == (*segment).into())
            {
                *segment = moved.to as u32;
                *base = (i64::from(*base) + moved.shift) as u32;
            }
        }
        Some(self.end())
    }
}

/// Larger buffers are given back to the allocator after a burst.
const KEEP_OPS: usize = 64 << 10;

impl Gathered {
    fn end(&self) -> Position {
        self.pieces.file() << 32 | self.pieces.offset()
    }

    fn append(&mut self, batch: &mut Batch) -> Added<Appended> {
        let mut bytes = 0;
        if !batch.records.is_empty() {
            if self.pieces.offset() + batch.records.len() as u64 > self.limit {
                self.pieces.next_file();
            }
            self.ops.push(Op::At {
                // Recovery refuses numbers that do not fit, and 2^32 segments are 256 PiB.
                segment: self.pieces.file() as u32,
                base: self.pieces.offset().max(HEADER_BYTES as u64) as u32,
            });
            self.ops.extend_from_slice(&batch.ops);
            bytes = self.pieces.append(&mut batch.records, 0);
        }
        let end = self.end();
        Added {
            result: Appended { end },
            end,
            bytes,
        }
    }
}

/// What the thread has.
struct Writer {
    files: FileWriter,
    shared: Arc<Shared>,
}

impl Sink<Work> for Writer {
    fn commit(&mut self, work: &mut Work, sync: bool) -> std::io::Result<bool> {
        self.files.write(&work.pieces, sync)
    }

    fn abandon(&mut self) {
        let left = self.files.abandon();
        let mut index = self.shared.index.lock();
        for segment in left {
            index.segments.left_behind(segment as u32);
        }
    }

    fn file(&self) -> Option<Arc<dyn DiskFile>> {
        self.files.file()
    }

    fn committed(&mut self, work: &mut Work, end: u64) {
        let mut index = self.shared.index.lock();
        for piece in &work.pieces {
            index
                .segments
                .grow(piece.file as u32, piece.bytes.len() as u64);
        }
        index.apply(&work.ops, end);
        let wake = index.segments.freed;
        drop(index);
        self.shared.applied.notify_all();
        if wake {
            self.shared.wake.wake();
        }
    }

    fn stopped(&mut self) {
        if let Err(error) = self.files.finish() {
            tracing::warn!("cannot cut the end of the newest segment: {error}");
        }
    }
}
