//! Numbered append-only files: what is gathered for them in memory, and writing it.
//!
//! A [`PieceBuffer`] lives under the lock of a log and decides where bytes will stand; a
//! [`FileWriter`] lives on the log's thread and puts them there. A file is created when the first
//! byte for it is written, never reopened for appending: a restart begins a new file, so nothing
//! is ever written after bytes of doubtful fate.

use std::io;
use std::sync::Arc;

use crate::dir::StorageId;
use crate::disk::{Disk, DiskFile, join};
use crate::framing::record::seal_all;
use crate::framing::{FileHeader, FileSeal, FileType, HEADER_BYTES, Seal};

/// Batches of messages of at least this size are handed over, not copied.
const HAND_OVER_BYTES: usize = if cfg!(test) { 128 } else { 256 << 10 };
/// Larger buffers are given back to the allocator after a burst.
const KEEP_BYTES: usize = 8 << 20;

/// Bytes with their place.
pub(crate) struct Piece {
    pub(crate) file: u64,
    /// 0: the file is to be created, and the bytes begin with its header.
    pub(crate) offset: u64,
    /// With `offset` 0: the index in the file's header.
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
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
            self.file += 1;
            self.offset = 0;
            self.seal = Seal::new(self.storage).file(self.kind, self.file);
        }
    }

    /// Takes the finished records over, leaving `records` empty. `index` goes into the header if
    /// these are the first of the file. Returns the bytes added.
    pub(crate) fn append(&mut self, records: &mut Vec<u8>, index: u64) -> usize {
        let before = self.offset;
        if self.offset == 0 {
            let header = FileHeader {
                kind: self.kind,
                storage: self.storage,
                number: self.file,
                index,
            };
            self.push(index, Vec::new());
            self.extend(&header.encode());
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
pub(crate) struct FileWriter {
    disk: Arc<dyn Disk>,
    dir: &'static str,
    kind: FileType,
    current: Option<(u64, Box<dyn DiskFile>)>,
}

impl FileWriter {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &'static str, kind: FileType) -> Self {
        Self {
            disk,
            dir,
            kind,
            current: None,
        }
    }

    /// Writes and syncs; false if there was nothing to write. A file is synced before the next
    /// one is created, so after a crash only the last file can have a torn end.
    pub(crate) fn write(&mut self, pieces: &[Piece]) -> io::Result<bool> {
        let mut created = false;
        for piece in pieces {
            created |= piece.offset == 0;
            self.file(piece)?.write_at(&piece.bytes, piece.offset)?;
        }
        if !pieces.is_empty() {
            self.sync()?;
        }
        if created {
            self.disk.sync_dir(self.dir)?;
        }
        Ok(!pieces.is_empty())
    }

    fn file(&mut self, piece: &Piece) -> io::Result<&dyn DiskFile> {
        if self
            .current
            .as_ref()
            .is_none_or(|(number, _)| *number != piece.file)
        {
            if piece.offset != 0 {
                return Err(io::Error::other(
                    "the file was not written from its beginning",
                ));
            }
            self.sync()?;
            let path = join(self.dir, &self.kind.name(piece.file));
            self.current = Some((piece.file, self.disk.create(&path)?));
        }
        match &self.current {
            Some((_, file)) => Ok(&**file),
            None => Err(io::Error::other("no file")),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.current
            .as_ref()
            .map_or(Ok(()), |(_, file)| file.sync_data())
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
