//! The handle of the command log, what it gathers under its lock, and what its thread does:
//! write and sync commands, then bring the view up to date, then take a snapshot when due.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::recovery::{self, Definitions, Recovered};
use super::sled_view::SledView;
use super::view::{MemoryView, View};
use super::{COMMAND, snapshot};
use crate::commit::{Added, Committer, Durability, Durable, Gather, Pace, Sink};
use crate::dir::{DEFINITIONS_DIR, DataDir};
use crate::error::{LogError, OpenError};
use crate::files::{FileWriter, Piece, PieceBuffer};
use crate::framing::FileType;
use crate::framing::record::{begin, finish};

/// Folder of the view, within the folder of the definitions.
pub(crate) const VIEW_DIR: &str = "view";
/// The log may grow to this size before a snapshot is taken,
const SNAPSHOT_BYTES: u64 = 4 << 20;
/// and to this many times the size of the view,
const SNAPSHOT_TIMES_LIVE: u64 = 4;
/// and to this many files (every start that is followed by a command begins one).
const SNAPSHOT_FILES: usize = 64;
/// The largest command.
const MAX_COMMAND_BYTES: usize = 1 << 28;
/// How long the view may lag behind.
const VIEW_DELAY: Duration = Duration::from_millis(5);

/// What a command did to the view: keys with their new value, or none if the key is gone.
pub type ViewOps = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The command log. Clones are handles of the same log; the last one to go closes it.
#[derive(Clone)]
pub struct CommandLog {
    inner: Arc<Inner>,
}

struct Inner {
    commit: Committer<Gathered>,
    /// Changes of the view not yet applied, by index.
    changes: Arc<Mutex<BTreeMap<u64, ViewOps>>>,
}

impl CommandLog {
    /// Reads the definitions back, then starts the log's thread. The caller applies the tail to
    /// the base and calls [`CommandLog::view_changed`] for every command of the tail.
    pub fn open(dir: &DataDir) -> Result<(Self, Definitions), OpenError> {
        let view: Box<dyn View> = match dir.real_path() {
            Some(path) => {
                let path = path.join(DEFINITIONS_DIR).join(VIEW_DIR);
                Box::new(SledView::new(path, dir.storage_id()))
            }
            None => Box::new(MemoryView::default()),
        };
        Self::open_with(dir, view, SNAPSHOT_BYTES)
    }

    /// With another view, and another size of the log at which a snapshot is taken.
    pub(crate) fn open_with(
        dir: &DataDir,
        mut view: Box<dyn View>,
        snapshot_bytes: u64,
    ) -> Result<(Self, Definitions), OpenError> {
        let found = recovery::recover(dir, &mut *view)?;
        let Recovered { definitions, .. } = found;
        let roll = Arc::new(AtomicBool::new(false));
        let changes = Arc::new(Mutex::new(BTreeMap::new()));
        let mut writer = Writer {
            writer: FileWriter::new(Arc::clone(dir.disk()), DEFINITIONS_DIR, FileType::Commands),
            dir: dir.clone(),
            view: found.view_works.then_some(view),
            applied: definitions.base_index,
            changes: Arc::clone(&changes),
            files: found.files,
            log_bytes: found.log_bytes,
            snapshot_bytes,
            snapshot_index: found.snapshot_index,
            live_bytes: found.live_bytes,
            roll: Arc::clone(&roll),
            rescue: found.rescue,
        };
        writer.remove_old();
        let gathered = Gathered {
            pieces: PieceBuffer::new(FileType::Commands, dir.storage_id(), found.next_file),
            next_index: found.next_index,
            record: Vec::new(),
            roll,
        };
        let end = found.next_index - 1;
        let pace = Pace {
            idle: VIEW_DELAY,
            durability: Durability::Fsync,
        };
        let commit =
            Committer::start("command-log", gathered, writer, end, pace).map_err(|source| {
                OpenError::Unwritable {
                    path: dir.path(),
                    source,
                }
            })?;
        Ok((
            Self {
                inner: Arc::new(Inner { commit, changes }),
            },
            definitions,
        ))
    }

    /// Adds a command and has it written at once. Indexes count from 1, without gaps.
    pub fn append(&self, command: &[u8]) -> Result<u64, LogError> {
        if command.len() > MAX_COMMAND_BYTES {
            return Err(LogError::TooLarge {
                bytes: command.len(),
                limit: MAX_COMMAND_BYTES,
            });
        }
        self.inner
            .commit
            .add(true, |gathered| gathered.append(command))
    }

    /// The last command that survives a power cut.
    pub fn durable_index(&self) -> u64 {
        self.inner.commit.durable()
    }

    /// Calls the waiter once: when the command is durable, or when the log has failed or been
    /// closed, so look at [`CommandLog::durable_index`]. At once if that is so already; otherwise
    /// from the log's thread, which must not be held up.
    pub fn when_durable(&self, index: u64, waiter: Arc<dyn Durable>) {
        self.inner.commit.when_durable(index, waiter);
    }

    /// Blocks until the command is durable.
    pub fn wait_durable(&self, index: u64) -> Result<(), LogError> {
        self.inner.commit.wait_durable(index)
    }

    /// What the command at `index` did to the view; applied once the command is durable. To be
    /// called once for every command (with no changes if it made none): the view, and with it the
    /// snapshots that keep the log short, stop before the first index that is left out.
    pub fn view_changed(&self, index: u64, ops: ViewOps) {
        self.inner.changes.lock().insert(index, ops);
        self.inner.commit.poke();
    }

    /// Why nothing becomes durable at the moment: the last write or sync failed. It is tried again
    /// every second.
    pub fn stalled(&self) -> Option<String> {
        self.inner.commit.stalled()
    }

    /// Why the log takes no more, if it has failed.
    pub fn failure(&self) -> Option<String> {
        self.inner.commit.failure()
    }

    /// Writes and syncs what is left, brings the view up to date and ends the thread. Called
    /// again: the same answer.
    pub fn close(&self) -> Result<(), LogError> {
        self.inner.commit.close()
    }
}

/// What is under the lock.
struct Gathered {
    pieces: PieceBuffer,
    next_index: u64,
    /// Reused for every command.
    record: Vec<u8>,
    /// The next command is to begin a new file.
    roll: Arc<AtomicBool>,
}

impl Gather for Gathered {
    type Work = Vec<Piece>;

    fn take(&mut self, work: &mut Vec<Piece>) {
        self.pieces.take(work);
    }

    fn rewrite(&mut self, work: &mut Vec<Piece>) -> Option<u64> {
        self.pieces.rewrite(work);
        // Indexes stay what they are.
        Some(self.next_index - 1)
    }
}

impl Gathered {
    fn append(&mut self, command: &[u8]) -> Added<u64> {
        if self.roll.swap(false, Ordering::Relaxed) {
            self.pieces.next_file();
        }
        let index = self.next_index;
        self.next_index += 1;
        let start = begin(&mut self.record, COMMAND);
        self.record.extend_from_slice(&index.to_le_bytes());
        self.record.extend_from_slice(command);
        finish(&mut self.record, start);
        let bytes = self.pieces.append(&mut self.record, index);
        Added {
            result: index,
            end: index,
            bytes,
        }
    }
}

/// What the thread has.
struct Writer {
    writer: FileWriter,
    /// Also holds the lock of the directory while the log is open.
    dir: DataDir,
    /// None after it failed: the next start rebuilds it.
    view: Option<Box<dyn View>>,
    /// The last command the view contains.
    applied: u64,
    changes: Arc<Mutex<BTreeMap<u64, ViewOps>>>,
    /// Log files and the index of the first command of each.
    files: BTreeMap<u64, u64>,
    /// Bytes in the log since the last snapshot (or the last attempt).
    log_bytes: u64,
    /// See [`SNAPSHOT_BYTES`].
    snapshot_bytes: u64,
    /// The last command the newest snapshot contains.
    snapshot_index: u64,
    /// About the size of the view.
    live_bytes: u64,
    roll: Arc<AtomicBool>,
    /// See [`Recovered::rescue`].
    rescue: bool,
}

impl Sink<Vec<Piece>> for Writer {
    fn commit(&mut self, pieces: &mut Vec<Piece>, sync: bool) -> io::Result<bool> {
        self.writer.write(pieces, sync)
    }

    fn abandon(&mut self) {
        // What may be found again of it says the same as what is written next.
        self.writer.abandon();
    }

    fn committed(&mut self, pieces: &mut Vec<Piece>, durable: u64) {
        for piece in pieces.iter() {
            self.log_bytes += piece.bytes.len() as u64;
            if piece.offset == 0 {
                self.files.insert(piece.file, piece.index);
                self.remove_old();
            }
        }
        self.update_view(durable);
        if self.snapshot_is_due() {
            self.take_snapshot();
        }
    }

    fn stopped(&mut self) {
        if let Some(view) = &mut self.view {
            view.close();
        }
    }
}

impl Writer {
    fn update_view(&mut self, durable: u64) {
        let mut ready = Vec::new();
        let mut changes = self.changes.lock();
        let mut next = self.applied + 1;
        while let Some(first) = changes.first_entry() {
            match *first.key() {
                index if index > next || index > durable => break,
                index if index < next => drop(first.remove()),
                _ => {
                    ready.push(first.remove());
                    next += 1;
                }
            }
        }
        drop(changes);
        let Some(view) = self.view.as_mut().filter(|_| !ready.is_empty()) else {
            return;
        };
        match view.apply(&ready, next - 1) {
            Ok(()) => self.applied = next - 1,
            Err(error) => {
                tracing::error!("the view of the definitions failed and is left alone: {error}");
                self.view = None;
            }
        }
    }

    fn snapshot_is_due(&self) -> bool {
        let limit = self
            .snapshot_bytes
            .max(self.live_bytes * SNAPSHOT_TIMES_LIVE);
        let long = self.log_bytes > limit || self.files.len() > SNAPSHOT_FILES;
        (self.rescue || (long && self.applied > self.snapshot_index)) && self.view.is_some()
    }

    fn take_snapshot(&mut self) {
        let Some(contents) = self.view.as_mut().and_then(|view| view.load()) else {
            tracing::error!("the view of the definitions cannot be read and is left alone");
            self.view = None;
            return;
        };
        // Also after a failure: the next attempt is due when the log has grown as much again.
        self.log_bytes = 0;
        self.rescue = false;
        self.live_bytes = contents.bytes();
        if let Err(error) = snapshot::write(&self.dir, &contents) {
            tracing::warn!("no snapshot of the definitions: {error}");
            return;
        }
        self.snapshot_index = contents.applied;
        self.roll.store(true, Ordering::Relaxed);
        self.remove_old();
    }

    /// Removes log files and snapshots that the newest snapshot has made superfluous, and drafts
    /// of snapshots. Failures cost space only.
    fn remove_old(&mut self) {
        if let Err(error) = self.try_remove_old() {
            tracing::warn!("cannot remove an old file of the definitions: {error}");
        }
    }

    fn try_remove_old(&mut self) -> io::Result<()> {
        loop {
            let mut files = self.files.iter();
            let (Some((&oldest, _)), Some((_, &first))) = (files.next(), files.next()) else {
                break;
            };
            if first > self.snapshot_index + 1 {
                break;
            }
            self.writer.remove(oldest)?;
            self.files.remove(&oldest);
        }
        let disk = self.dir.disk();
        for name in disk.list(DEFINITIONS_DIR)? {
            let superseded = FileType::Snapshot
                .number(&name)
                .is_some_and(|index| index < self.snapshot_index);
            if superseded || name.ends_with(".tmp") {
                disk.remove(&crate::disk::join(DEFINITIONS_DIR, &name))?;
            }
        }
        Ok(())
    }
}
