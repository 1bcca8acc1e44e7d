//! Numbered append-only files: what is gathered for them in memory, and writing it.
//!
//! A [`PieceBuffer`] lives under the lock of a log and decides where bytes will stand; a
//! [`FileWriter`] lives on the log's thread and puts them there. A file is begun when the first
//! byte for it is written, never reopened for appending: a restart begins a new file, so nothing
//! is ever written after bytes of doubtful fate.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::dir::StorageId;
use crate::disk::{Disk, DiskFile, join};
use crate::framing::record::{reseal_all, seal_all};
use crate::framing::{FileHeader, FileSeal, FileType, HEADER_BYTES, Seal};

/// Batches of messages of at least this size are handed over, not copied.
const HAND_OVER_BYTES: usize = if cfg!(test) { 128 } else { 256 << 10 };
/// Larger buffers are given back to the allocator after a burst.
const KEEP_BYTES: usize = 8 << 20;
/// How many dead segments are kept to be used again: live traffic begins one about as often as
/// one dies.
const SPARES: usize = 2;
const SPARE_SUFFIX: &str = ".spare";
/// Zeros written at once behind the end of a segment.
const AHEAD_BYTES: usize = if cfg!(test) { 128 } else { 128 << 10 };

/// Bytes with their place.
pub(crate) struct Piece {
    pub(crate) file: u64,
    /// 0: the file is to be created, and the bytes begin with its header.
    pub(crate) offset: u64,
    /// With `offset` 0: the index in the file's header.
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of one file that were given another place.
pub(crate) struct Moved {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// What is added to offsets.
    pub(crate) shift: i64,
}

/// Gathers bytes for the current file and those after it.
pub(crate) struct PieceBuffer {
    kind: FileType,
    storage: StorageId,
    seal: FileSeal,
    file: u64,
    /// Where the next byte goes; 0 while nothing was appended to `file`.
    offset: u64,
    pieces: Vec<Piece>,
    /// An empty buffer of the last round, used again.
    spare: Vec<u8>,
}

impl PieceBuffer {
    pub(crate) fn new(kind: FileType, storage: StorageId, file: u64) -> Self {
        let seal = Seal::new(storage).file(kind, file);
        Self {
            kind,
            storage,
            seal,
            file,
            offset: 0,
            pieces: Vec::new(),
            spare: Vec::new(),
        }
    }

    pub(crate) fn file(&self) -> u64 {
        self.file
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Begins the next file, unless nothing stands in this one.
    pub(crate) fn next_file(&mut self) {
        if self.offset > 0 {
            self.begin_file();
        }
    }

    /// Takes the finished records over, leaving `records` empty. `index` goes into the header if
    /// these are the first of the file. Returns the bytes added.
    pub(crate) fn append(&mut self, records: &mut Vec<u8>, index: u64) -> usize {
        let before = self.offset;
        if self.offset == 0 {
            let header = self.header(index);
            self.push(index, Vec::new());
            self.extend(&header);
            debug_assert_eq!(self.offset, HEADER_BYTES as u64);
        }
        seal_all(records, self.seal, self.offset);
        if self.kind == FileType::Segment && records.len() >= HAND_OVER_BYTES {
            self.push(index, std::mem::take(records));
        } else {
            if self.pieces.is_empty() {
                self.push(index, Vec::new());
            }
            self.extend(records);
            records.clear();
        }
        usize::try_from(self.offset - before).unwrap_or(usize::MAX)
    }

    fn push(&mut self, index: u64, bytes: Vec<u8>) {
        let bytes = if bytes.is_empty() {
            std::mem::take(&mut self.spare)
        } else {
            bytes
        };
        let added = bytes.len() as u64;
        self.pieces.push(Piece {
            file: self.file,
            offset: self.offset,
            index,
            bytes,
        });
        self.offset += added;
    }

    fn extend(&mut self, bytes: &[u8]) {
        if let Some(piece) = self.pieces.last_mut() {
            piece.bytes.extend_from_slice(bytes);
            self.offset += bytes.len() as u64;
        }
    }

    /// Gives `pieces`, which could not be made durable, and what was gathered since a place in new
    /// files, and goes on behind it.
    pub(crate) fn rewrite(&mut self, pieces: &mut Vec<Piece>) -> Vec<Moved> {
        pieces.append(&mut self.pieces);
        let mut moved: Vec<Moved> = Vec::new();
        for piece in pieces.iter_mut() {
            let old_seal = Seal::new(self.storage).file(self.kind, piece.file);
            let mut records = if piece.offset == 0 { HEADER_BYTES } else { 0 };
            let old_offset = piece.offset + records as u64;
            if moved.last().is_none_or(|last| last.from != piece.file) {
                self.begin_file();
                let header = self.header(piece.index);
                if records == 0 {
                    piece.bytes.splice(..0, header);
                } else {
                    piece.bytes[..HEADER_BYTES].copy_from_slice(&header);
                }
                records = HEADER_BYTES;
                moved.push(Moved {
                    from: piece.file,
                    to: self.file,
                    shift: HEADER_BYTES as i64 - old_offset as i64,
                });
                piece.offset = 0;
            } else {
                piece.offset = self.offset;
            }
            let offset = piece.offset + records as u64;
            let bytes = &mut piece.bytes[records..];
            reseal_all(bytes, (old_seal, old_offset), (self.seal, offset));
            piece.file = self.file;
            self.offset = piece.offset + piece.bytes.len() as u64;
        }
        if moved.is_empty() {
            self.next_file();
        }
        moved
    }

    fn begin_file(&mut self) {
        self.file += 1;
        self.offset = 0;
        self.seal = Seal::new(self.storage).file(self.kind, self.file);
    }

    fn header(&self, index: u64) -> [u8; HEADER_BYTES] {
        let header = FileHeader {
            kind: self.kind,
            storage: self.storage,
            number: self.file,
            index,
        };
        header.encode()
    }

    /// Moves what was gathered into `into`, whose pieces have been written.
    pub(crate) fn take(&mut self, into: &mut Vec<Piece>) {
        let largest = into
            .drain(..)
            .map(|piece| piece.bytes)
            .max_by_key(Vec::capacity);
        if let Some(mut bytes) = largest.filter(|bytes| bytes.capacity() <= KEEP_BYTES) {
            bytes.clear();
            self.spare = bytes;
        }
        std::mem::swap(&mut self.pieces, into);
    }
}

/// Writes pieces to their files.
///
/// A sync is cheap where it changes nothing but contents, and costs half as much again where the
/// file grows (see ARCHITECTURE.md for the figures). So segments are made of dead ones, full of
/// old bytes, or, failing that, grow by zeros in advance of small writes. Neither is ever taken
/// for records: those are tied to their segment. What stands behind the last record is cut off
/// when the next file begins, durably, so that only the newest has such an end.
pub(crate) struct FileWriter {
    disk: Arc<dyn Disk>,
    dir: &'static str,
    kind: FileType,
    /// With it, segments are made of dead ones.
    recycle: Option<(StorageId, Arc<Spares>)>,
    current: Option<Current>,
    /// Files written to by the last call of `write`, and where they ended before.
    touched: Vec<(u64, u64)>,
}

/// Dead files that wait to be used again.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    dir: &'static str,
    kind: FileType,
    names: Mutex<Vec<String>>,
}

impl Spares {
    /// Begins with those of an earlier run. `next` is the number of the file begun next: a spare
    /// that already was that file, or a later one, before a crash took the name away may hold
    /// records that are good for it, so it is not used.
    pub(crate) fn find(
        disk: Arc<dyn Disk>,
        dir: &'static str,
        kind: FileType,
        next: u64,
    ) -> io::Result<Self> {
        let mut names = Vec::new();
        for name in disk.list(dir)? {
            if !name.ends_with(SPARE_SUFFIX) {
                continue;
            }
            let path = join(dir, &name);
            let mut header = [0; HEADER_BYTES];
            let read = disk.open(&path)?.read_at(&mut header, 0)?;
            let is_old = read == HEADER_BYTES && FileHeader::number_in(&header) < next;
            if is_old && names.len() < SPARES {
                names.push(name);
            } else {
                disk.remove(&path)?;
            }
        }
        Ok(Self {
            disk,
            dir,
            kind,
            names: Mutex::new(names),
        })
    }

    /// Removes files, durably: when this returns, what refers to them may go too. A file itself
    /// may stay, under a name that means nothing. One that is not there any more is no error.
    pub(crate) fn retire(&self, numbers: &[u64]) -> io::Result<()> {
        let mut names = Vec::new();
        for &number in numbers {
            let path = join(self.dir, &self.kind.name(number));
            let gone = if self.names.lock().len() + names.len() < SPARES {
                let name = format!("{number:016x}{SPARE_SUFFIX}");
                let renamed = self.disk.rename(&path, &join(self.dir, &name));
                names.extend(renamed.is_ok().then_some(name));
                renamed
            } else {
                self.disk.remove(&path)
            };
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.disk.sync_dir(self.dir)?;
        self.names.lock().append(&mut names);
        Ok(())
    }

    fn take(&self) -> Option<String> {
        self.names.lock().pop()
    }
}

/// The file written to.
struct Current {
    number: u64,
    file: Arc<dyn DiskFile>,
    /// Behind the last byte written for the log.
    end: u64,
    /// Behind the last byte there is.
    len: u64,
}

impl FileWriter {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &'static str, kind: FileType) -> Self {
        Self {
            disk,
            dir,
            kind,
            recycle: None,
            current: None,
            touched: Vec::new(),
        }
    }

    /// Uses dead files again.
    pub(crate) fn recycling(mut self, storage: StorageId, spares: Arc<Spares>) -> Self {
        self.recycle = Some((storage, spares));
        self
    }

    /// Writes and, if asked to, syncs; false if there was nothing to write. After an error:
    /// [`FileWriter::abandon`].
    pub(crate) fn write(&mut self, pieces: &[Piece], sync: bool) -> io::Result<bool> {
        let mut created = false;
        self.touched.clear();
        for piece in pieces {
            created |= piece.offset == 0;
            self.put(piece)?;
        }
        if let Some(current) = &mut self.current
            && self.recycle.is_some()
        {
            current.grow_ahead(pieces);
        }
        if sync && !pieces.is_empty() {
            self.sync()?;
        }
        if created {
            self.disk.sync_dir(self.dir)?;
        }
        Ok(!pieces.is_empty())
    }

    fn put(&mut self, piece: &Piece) -> io::Result<()> {
        let is_current = |current: &Current| current.number == piece.file;
        if !self.current.as_ref().is_some_and(is_current) {
            if piece.offset != 0 {
                return Err(io::Error::other(
                    "the file was not written from its beginning",
                ));
            }
            self.finish()?;
            self.current = Some(self.begin(piece)?);
        }
        let Some(current) = &mut self.current else {
            return Err(io::Error::other("no file"));
        };
        if self
            .touched
            .last()
            .is_none_or(|(last, _)| *last != piece.file)
        {
            self.touched.push((piece.file, current.end));
        }
        current.file.write_at(&piece.bytes, piece.offset)?;
        current.end = piece.offset + piece.bytes.len() as u64;
        current.len = current.len.max(current.end);
        Ok(())
    }

    /// The file for the piece, which is its first: a spare one or a new one.
    fn begin(&mut self, piece: &Piece) -> io::Result<Current> {
        let (number, path) = (piece.file, self.path(piece.file));
        let recycle = self.recycle.as_ref();
        let spare = recycle.and_then(|(storage, spares)| Some((*storage, spares.take()?)));
        let Some((storage, name)) = spare else {
            self.touched.push((number, 0));
            let file = Arc::from(self.disk.create(&path)?);
            let (end, len) = (0, 0);
            return Ok(Current {
                number,
                file,
                end,
                len,
            });
        };
        let spare = join(self.dir, &name);
        let file: Arc<dyn DiskFile> = Arc::from(self.disk.open(&spare)?);
        let header = FileHeader {
            kind: self.kind,
            storage,
            number,
            index: piece.index,
        };
        // On disk before the name is: a file of this name never has the header of another.
        file.write_at(&header.encode(), 0)?;
        file.sync_data()?;
        let len = file.len()?;
        self.disk.rename(&spare, &path)?;
        self.touched.push((number, 0));
        // On disk before any record is: a spare file never holds records of a segment to come.
        self.disk.sync_dir(self.dir)?;
        Ok(Current {
            number,
            file,
            end: 0,
            len,
        })
    }

    /// Syncs the current file without what stands behind its last record. A file is finished
    /// before the next one is created, so after a crash only the last can have a torn end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        if current.len > current.end {
            current.file.set_len(current.end)?;
            current.len = current.end;
        }
        current.file.sync_data()
    }

    /// Takes back, as far as that can be done, what the last call of `write` wrote: it will be
    /// written again, to other files. Gives the space of the spare files back. Returns the files
    /// in which something of it may still be found.
    pub(crate) fn abandon(&mut self) -> Vec<u64> {
        let mut left = Vec::new();
        self.current = None;
        while let Some(name) = self.recycle.as_ref().and_then(|(_, spares)| spares.take()) {
            let path = join(self.dir, &name);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!("cannot remove {path}: {error}");
            }
        }
        for (number, end) in std::mem::take(&mut self.touched) {
            let path = self.path(number);
            let result = match end {
                0 => self.disk.remove(&path),
                end => self.disk.open(&path).and_then(|file| {
                    file.set_len(end)?;
                    file.sync_data()
                }),
            };
            if let Err(error) = result {
                // Found again at the next start, it counts once: the later copy.
                tracing::warn!("cannot take back what was written to {path}: {error}");
                left.push(number);
            }
        }
        left
    }

    /// The file written to.
    pub(crate) fn file(&self) -> Option<Arc<dyn DiskFile>> {
        self.current
            .as_ref()
            .map(|current| Arc::clone(&current.file))
    }

    fn sync(&self) -> io::Result<()> {
        self.current
            .as_ref()
            .map_or(Ok(()), |current| current.file.sync_data())
    }

    pub(crate) fn path(&self, number: u64) -> String {
        join(self.dir, &self.kind.name(number))
    }

    /// Removes a file, durably: when this returns, what refers to it may go too.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        self.disk.remove(&self.path(number))?;
        self.disk.sync_dir(self.dir)
    }
}

impl Current {
    /// Writes zeros behind the end when small writes have reached it, so that the next ones do
    /// not make the file grow. Large ones would only pay twice.
    fn grow_ahead(&mut self, written: &[Piece]) {
        let bytes: usize = written.iter().map(|piece| piece.bytes.len()).sum();
        if self.end < self.len || bytes > AHEAD_BYTES / 4 {
            return;
        }
        // Nothing depends on it; a disk that is full says so when a record is written.
        if self.file.write_at(&[0; AHEAD_BYTES], self.end).is_ok() {
            self.len = self.end + AHEAD_BYTES as u64;
        }
    }
}
