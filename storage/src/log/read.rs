//! Reading messages back while the log is in use.
//!
//! The index says where they stand; what is read is checked, record by record. The index is
//! locked only while places are looked up. A segment may be removed meanwhile: whoever has its
//! file open goes on reading it, and whoever finds it gone looks its messages up again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::blocks::Slot;
use super::codec::{self, Entry};
use super::{QueueId, Seq};
use crate::dir::{DataDir, LOG_DIR};
use crate::disk::{DiskFile, join};
use crate::framing::record::{self, Check, RECORD_HEADER};
use crate::framing::{FileSeal, FileType, Seal};

/// How much [`MessageLog::read`](super::MessageLog::read) gives back at once.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Messages, at least one.
    pub messages: usize,
    /// Bytes of payload; the first message is given back whatever its size.
    pub bytes: usize,
}

/// A message as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    /// As it was appended.
    Message {
        /// Its number in the queue.
        seq: Seq,
        /// Unix time in milliseconds.
        enqueued_ms: u64,
        /// As appended.
        flags: u8,
        /// The parts, one after the other.
        payload: &'a [u8],
    },
    /// Its bytes are no longer what was written. Settle it to be rid of it.
    Lost {
        /// Its number in the queue.
        seq: Seq,
        /// Where it stood.
        segment: u32,
        /// Where its record starts in the segment.
        offset: u64,
    },
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// There is no more in the range.
    All,
    /// A limit was reached; go on with this number.
    Next(Seq),
}

/// Why messages could not be read now. Nothing is lost by that.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A segment could not be read.
    #[error("cannot read segment {segment}: {source}")]
    Unreadable {
        /// Its number.
        segment: u32,
        /// What the system said.
        source: io::Error,
    },
    /// What was appended last cannot be written, so it cannot be read either.
    #[error("what was appended last is not written yet: {0}")]
    NotWritten(String),
}

/// Open segments kept at hand.
const OPEN_FILES: usize = 32;
/// The most that is read at once for the sake of records that follow each other.
const WINDOW_BYTES: u64 = 256 << 10;
/// A gap between two records that is read rather than skipped.
const GAP_BYTES: u64 = 16 << 10;
/// What a record takes besides its weight, as a first guess.
const GUESS_BYTES: u64 = 512;

/// Segments opened for reading.
pub(crate) struct OpenFiles {
    dir: DataDir,
    /// Last used at the end.
    files: Mutex<VecDeque<(u32, Arc<dyn DiskFile>)>>,
}

impl OpenFiles {
    pub(crate) fn new(dir: DataDir) -> Self {
        let files = Mutex::new(VecDeque::new());
        Self { dir, files }
    }

    fn get(&self, segment: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        if let Some(at) = files.iter().position(|(number, _)| *number == segment)
            && let Some(found) = files.remove(at)
        {
            let file = Arc::clone(&found.1);
            files.push_back(found);
            return Ok(file);
        }
        let path = join(LOG_DIR, &FileType::Segment.name(segment.into()));
        let file: Arc<dyn DiskFile> = Arc::from(self.dir.disk().open(&path)?);
        if files.len() >= OPEN_FILES {
            files.pop_front();
        }
        files.push_back((segment, Arc::clone(&file)));
        Ok(file)
    }

    /// The segment is gone.
    pub(crate) fn forget(&self, segment: u32) {
        self.files.lock().retain(|(number, _)| *number != segment);
    }

    pub(crate) fn dir(&self) -> &DataDir {
        &self.dir
    }
}

/// What a reader has of a segment.
pub(crate) struct Window<'a> {
    files: &'a OpenFiles,
    segment: u32,
    start: u64,
    /// What was read, then what was read before: room is not cleared again and again.
    bytes: Vec<u8>,
    /// How much of it was read.
    filled: usize,
}

/// What stands at a place.
pub(crate) enum Place {
    /// A good record.
    Record(u8, std::ops::Range<usize>),
    /// Something else.
    Damaged,
    /// The segment is gone: the message has moved or died.
    Gone,
}

impl<'a> Window<'a> {
    pub(crate) fn new(files: &'a OpenFiles) -> Self {
        Self {
            files,
            segment: 0,
            start: 0,
            bytes: Vec::new(),
            filled: 0,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// What was read may no longer be what stands there.
    pub(crate) fn forget(&mut self) {
        self.segment = 0;
    }

    /// Where the window ends in the segment.
    fn end(&self) -> u64 {
        self.start + self.filled as u64
    }

    /// Fills the window anew: from `from` to `to`, or to the end of the segment. False if the
    /// segment is gone.
    fn fill(&mut self, segment: u32, from: u64, to: u64) -> io::Result<bool> {
        let file = match self.files.get(segment) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(to - from).map_err(io::Error::other)?;
        self.segment = 0;
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut self.bytes[filled..len], from + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        (self.segment, self.start, self.filled) = (segment, from, filled);
        Ok(true)
    }

    /// The record at the first of these places, checked. The others are what will be asked for
    /// next: if the window must be filled anew, it goes as far as they follow each other.
    pub(crate) fn record(&mut self, slots: &[(Seq, Slot)]) -> io::Result<Place> {
        let Some(&(_, slot)) = slots.first() else {
            return Ok(Place::Gone);
        };
        let (segment, offset) = (slot.segment(), u64::from(slot.offset()));
        let header = offset + RECORD_HEADER as u64;
        let covered = self.segment == segment && self.start <= offset && header <= self.end();
        if !covered && !self.fill(segment, offset, ahead(slots).max(header))? {
            return Ok(Place::Gone);
        }
        let seal = Seal::new(self.files.dir.storage_id()).file(FileType::Segment, segment.into());
        if let Some(place) = self.check(offset, seal)? {
            return Ok(place);
        }
        // Good so far as it is there, or not at all.
        let at = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        let len = record::length(self.bytes(), at, self.start, seal);
        let end = len.map(|len| offset + len as u64);
        let Some(end) = end.filter(|end| *end > self.end()) else {
            return Ok(Place::Damaged);
        };
        if !self.fill(segment, offset, ahead(slots).max(end))? {
            return Ok(Place::Gone);
        }
        Ok(self.check(offset, seal)?.unwrap_or(Place::Damaged))
    }

    /// The record at an offset that the window covers; none if it cannot be told from here.
    fn check(&self, offset: u64, seal: FileSeal) -> io::Result<Option<Place>> {
        let at = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        Ok(match record::check_at(self.bytes(), at, self.start, seal) {
            Check::Good { kind, body, .. } => Some(Place::Record(kind, body)),
            Check::BadBody { .. } => Some(Place::Damaged),
            Check::Bad => None,
        })
    }
}

/// Up to where to read for `slots`, the first of which is to be read now: as long as they follow
/// each other closely.
fn ahead(slots: &[(Seq, Slot)]) -> u64 {
    let Some((_, first)) = slots.first() else {
        return 0;
    };
    let end = |slot: &Slot| u64::from(slot.offset()) + u64::from(slot.weight()) + GUESS_BYTES;
    let start = u64::from(first.offset());
    let mut to = end(first);
    for (_, slot) in &slots[1..] {
        let offset = u64::from(slot.offset());
        let close =
            slot.segment() == first.segment() && offset >= start && offset <= to + GAP_BYTES;
        if !close || end(slot) > start + WINDOW_BYTES {
            break;
        }
        to = to.max(end(slot));
    }
    to
}

/// The message, if the record holds it.
pub(crate) fn find(kind: u8, body: &[u8], target: (QueueId, Seq)) -> Option<codec::Message<'_>> {
    let mut found = None;
    let read = codec::read(kind, body, &mut |entry| {
        if let Entry::Message(message) = entry
            && found.is_none()
            && message.targets().any(|other| other == target)
        {
            found = Some(message);
        }
    });
    read.ok().and(found)
}
