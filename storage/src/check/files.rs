//! Reading one file of records as it stands, without changing it.

use std::ops::Range;

use crate::dir::{DataDir, unreadable};
use crate::disk::{self, join};
use crate::error::OpenError;
use crate::framing::record::claimed;
use crate::framing::{
    FileHeader, FileSeal, FileType, Found, HEADER_BYTES, HeaderError, Seal, scan,
};
use crate::log::header_error;

/// A file of records, whole in memory.
pub(super) struct Loaded {
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    pub(super) seal: FileSeal,
    /// The header is what was written.
    pub(super) header: bool,
}

/// What stands in it.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) records: u64,
    /// Bytes that are no record, with records behind them.
    pub(super) damaged: Vec<Range<usize>>,
    /// Bytes behind the last record.
    pub(super) tail: Option<usize>,
}

impl Loaded {
    pub(super) fn read(
        dir: &DataDir,
        folder: &str,
        kind: FileType,
        number: u64,
    ) -> Result<Self, OpenError> {
        let path = join(folder, &kind.name(number));
        let bytes = read(dir, &path)?;
        let header = match FileHeader::check(&bytes, kind, dir.storage_id(), number) {
            Ok(_) => true,
            Err(HeaderError::Damaged) => false,
            Err(error) => return Err(header_error(&**dir.disk(), &path, error)),
        };
        Ok(Self {
            path,
            bytes,
            seal: Seal::new(dir.storage_id()).file(kind, number),
            header,
        })
    }

    /// Calls `record` for kind, body and offset of every whole record; false from it means that
    /// the record makes no sense.
    pub(super) fn scan(&self, record: &mut dyn FnMut(u8, &[u8]) -> bool) -> Scanned {
        let mut scanned = Scanned::default();
        if !self.header {
            scanned.damaged.push(0..HEADER_BYTES.min(self.bytes.len()));
        }
        let mut senseless = None;
        scan(&self.bytes, HEADER_BYTES, self.seal, &mut |found| {
            let at = match &found {
                Found::Record { offset, .. }
                | Found::Damage { offset, .. }
                | Found::Tail { offset, .. } => *offset,
            };
            if let Some(start) = senseless.take() {
                scanned.damaged.push(start..at);
            }
            match found {
                Found::Record { offset, kind, body } => {
                    scanned.records += 1;
                    if !record(kind, body) {
                        senseless = Some(offset);
                    }
                }
                Found::Damage { offset, len } => scanned.damaged.push(offset..offset + len),
                Found::Tail { offset, .. } => scanned.tail = Some(offset),
            }
        });
        if let Some(start) = senseless {
            scanned.damaged.push(start..self.bytes.len());
        }
        scanned
    }

    /// Kind and body, as far as it is there, of the record that stood at `offset`.
    pub(super) fn claimed(&self, offset: usize) -> Option<(u8, &[u8])> {
        claimed(self.bytes.get(offset..)?, offset as u64, self.seal)
    }
}

/// The contents of a file.
pub(super) fn read(dir: &DataDir, path: &str) -> Result<Vec<u8>, OpenError> {
    let disk = &**dir.disk();
    let mut bytes = Vec::new();
    disk.open(path)
        .and_then(|file| disk::read_whole(&*file, &mut bytes))
        .map_err(|source| unreadable(disk, path, source))?;
    Ok(bytes)
}

/// The names of the files in a folder, in order.
pub(super) fn names(dir: &DataDir, folder: &str) -> Result<Vec<String>, OpenError> {
    let disk = &**dir.disk();
    let mut names = disk
        .list(folder)
        .map_err(|source| unreadable(disk, folder, source))?;
    names.sort_unstable();
    Ok(names)
}

/// The numbers of the files of one kind, in order.
pub(super) fn numbers(names: &[String], kind: FileType) -> Vec<u64> {
    names.iter().filter_map(|name| kind.number(name)).collect()
}
