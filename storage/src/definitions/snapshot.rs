//! Snapshots: the view as of one command, in a file of its own.
//!
//! Written beside the others, synced, renamed, the folder synced; only then older files may go.
//! A snapshot is the only copy of the definitions in it once the log before it is gone, so it is
//! made of records like the log: a damaged byte costs one entry.

use std::io;

use super::view::Contents;
use super::{END, ENTRY};
use crate::dir::{DEFINITIONS_DIR, DataDir, unreadable};
use crate::disk::{self, Disk, join};
use crate::error::OpenError;
use crate::framing::record::{begin, finish, seal_all};
use crate::framing::{FileHeader, FileType, Found, HEADER_BYTES, HeaderError, Seal, scan, varint};

/// Bytes gathered before a write.
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot as read back.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) contents: Contents,
    /// Bytes that are not what was written: `(offset, length)`.
    pub(crate) damaged: Vec<(usize, usize)>,
    /// The end is there and says as many entries as were found.
    pub(crate) whole: bool,
}

/// Writes the snapshot of `contents`; returns when it survives a power cut.
pub(crate) fn write(dir: &DataDir, contents: &Contents) -> io::Result<()> {
    let (disk, number) = (&**dir.disk(), contents.applied);
    let seal = Seal::new(dir.storage_id()).file(FileType::Snapshot, number);
    let path = join(DEFINITIONS_DIR, &FileType::Snapshot.name(number));
    let draft = format!("{path}.tmp");
    let file = disk.create(&draft)?;
    let header = FileHeader {
        kind: FileType::Snapshot,
        storage: dir.storage_id(),
        number,
        index: number,
    };
    file.write_at(&header.encode(), 0)?;
    let (mut offset, mut records) = (HEADER_BYTES as u64, Vec::new());
    let mut put = |records: &mut Vec<u8>| {
        seal_all(records, seal, offset);
        let result = file.write_at(records, offset);
        offset += records.len() as u64;
        records.clear();
        result
    };
    for (key, value) in &contents.entries {
        let start = begin(&mut records, ENTRY);
        varint::put(&mut records, key.len() as u64);
        records.extend_from_slice(key);
        records.extend_from_slice(value);
        finish(&mut records, start);
        if records.len() >= WRITE_BYTES {
            put(&mut records)?;
        }
    }
    let start = begin(&mut records, END);
    records.extend_from_slice(&(contents.entries.len() as u64).to_le_bytes());
    finish(&mut records, start);
    put(&mut records)?;
    file.sync_data()?;
    disk.rename(&draft, &path)?;
    disk.sync_dir(DEFINITIONS_DIR)
}

/// Reads the snapshot as of command `number`.
pub(crate) fn read(dir: &DataDir, number: u64) -> Result<Snapshot, OpenError> {
    let disk: &dyn Disk = &**dir.disk();
    let path = join(DEFINITIONS_DIR, &FileType::Snapshot.name(number));
    let file = disk.open(&path).map_err(|e| unreadable(disk, &path, e))?;
    let mut bytes = Vec::new();
    disk::read_whole(&*file, &mut bytes).map_err(|e| unreadable(disk, &path, e))?;
    let mut snapshot = Snapshot::default();
    snapshot.contents.applied = number;
    match FileHeader::check(&bytes, FileType::Snapshot, dir.storage_id(), number) {
        Ok(_) => {}
        Err(HeaderError::Damaged) => snapshot.damaged.push((0, HEADER_BYTES.min(bytes.len()))),
        Err(error) => return Err(crate::log::header_error(disk, &path, error)),
    }
    let seal = Seal::new(dir.storage_id()).file(FileType::Snapshot, number);
    let mut end = None;
    let Snapshot {
        contents, damaged, ..
    } = &mut snapshot;
    scan(&bytes, HEADER_BYTES, seal, &mut |found| match found {
        Found::Record { offset, kind, body } => match (kind, body) {
            (ENTRY, body) => match entry(body) {
                Some(entry) => contents.entries.push(entry),
                None => damaged.push((offset, body.len())),
            },
            (END, body) => end = body.first_chunk().map(|count| u64::from_le_bytes(*count)),
            _ => damaged.push((offset, body.len())),
        },
        Found::Damage { offset, len } | Found::Tail { offset, len } => damaged.push((offset, len)),
    });
    snapshot.whole = end == Some(snapshot.contents.entries.len() as u64);
    Ok(snapshot)
}

fn entry(mut body: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key_len = usize::try_from(varint::take(&mut body)?).ok()?;
    let (key, value) = body.split_at_checked(key_len)?;
    Some((key.to_vec(), value.to_vec()))
}
