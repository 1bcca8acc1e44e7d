//! Takes damage out of a data directory, keeping aside what it takes.
//!
//! Damaged bytes between records become a record that says nothing (see [`filler`]), so that all
//! others keep their places; a damaged end is cut off; a damaged header is written anew. What the
//! definitions lost cannot be filled in here: see [`renew_definitions`].

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use super::files::{Loaded, names, numbers, read};
use crate::definitions::sled_view::SledView;
use crate::definitions::view::View;
use crate::definitions::{VIEW_DIR, snapshot};
use crate::dir::{DEFINITIONS_DIR, DataDir, LOG_DIR, corrupt, unreadable, unwritable};
use crate::disk::join;
use crate::error::OpenError;
use crate::framing::record::{RECORD_HEADER, begin, finish, seal_all};
use crate::framing::{FileHeader, FileSeal, FileType, varint};
use crate::log::checkpoint;
use crate::log::codec::{self, MESSAGE, SETTLED, TX};
use crate::log::delivered;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// One line for each thing done; empty if there was nothing to do.
    pub actions: Vec<String>,
    /// Folder within the data directory with what was taken out; empty if nothing was.
    pub kept_in: String,
}

/// Repairs the message log.
pub fn repair(dir: &DataDir) -> Result<Repaired, OpenError> {
    let mut work = Work::new(dir);
    let names = names(dir, LOG_DIR)?;
    let segments = numbers(&names, FileType::Segment);
    for &segment in &segments {
        work.segment(segment, Some(&segment) == segments.last())?;
    }
    for number in numbers(&names, FileType::Checkpoint) {
        work.checkpoint(number)?;
    }
    if names.iter().any(|name| name == delivered::FILE) {
        work.marks()?;
    }
    Ok(work.done)
}

/// Replaces command log and snapshots, some of which are damaged, by a snapshot of the view,
/// which must be up to date: whoever understands the commands has to have seen to that.
pub fn renew_definitions(dir: &DataDir) -> Result<Repaired, OpenError> {
    let mut work = Work::new(dir);
    let contents = dir
        .real_path()
        .map(|path| path.join(DEFINITIONS_DIR).join(VIEW_DIR))
        .and_then(|path| SledView::new(path, dir.storage_id()).load())
        .ok_or_else(|| {
            corrupt(
                &**dir.disk(),
                DEFINITIONS_DIR,
                "the view cannot be read either",
            )
        })?;
    let names = names(dir, DEFINITIONS_DIR)?;
    let newest = FileType::Snapshot.name(contents.applied);
    for name in names {
        let is_log = FileType::Commands.number(&name).is_some();
        if is_log || FileType::Snapshot.number(&name).is_some() {
            let path = join(DEFINITIONS_DIR, &name);
            let bytes = read(dir, &path)?;
            work.keep(&name, &bytes)?;
        }
    }
    let write = |source| unwritable(&**dir.disk(), DEFINITIONS_DIR, source);
    snapshot::write(dir, &contents).map_err(write)?;
    let disk = dir.disk();
    for name in disk.list(DEFINITIONS_DIR).map_err(write)? {
        let is_log = FileType::Commands.number(&name).is_some();
        if is_log || (FileType::Snapshot.number(&name).is_some() && name != newest) {
            disk.remove(&join(DEFINITIONS_DIR, &name)).map_err(write)?;
        }
    }
    disk.sync_dir(DEFINITIONS_DIR).map_err(write)?;
    work.done.actions.push(format!(
        "definitions: command log and snapshots replaced by {newest}"
    ));
    Ok(work.done)
}

struct Work<'a> {
    dir: &'a DataDir,
    done: Repaired,
}

impl<'a> Work<'a> {
    fn new(dir: &'a DataDir) -> Self {
        Self {
            dir,
            done: Repaired::default(),
        }
    }

    fn segment(&mut self, segment: u64, newest: bool) -> Result<(), OpenError> {
        let file = Loaded::read(self.dir, LOG_DIR, FileType::Segment, segment)?;
        let mut scanned = file.scan(&mut |kind, body| codec::read(kind, body, &mut |_| {}).is_ok());
        let mut writes: Vec<(usize, Vec<u8>)> = Vec::new();
        if !file.header {
            scanned.damaged.remove(0);
            let header = FileHeader {
                kind: FileType::Segment,
                storage: self.dir.storage_id(),
                number: segment,
                index: 0,
            };
            // Of a file without a record nothing is left to be said; the start removes it.
            if scanned.records > 0 || !newest {
                writes.push((0, header.encode().to_vec()));
            }
        }
        for range in &scanned.damaged {
            writes.push((range.start, filler(range.len(), file.seal, range.start)));
        }
        let cut = scanned.tail.filter(|_| !newest);
        if writes.is_empty() && cut.is_none() {
            return Ok(());
        }
        let name = FileType::Segment.name(segment);
        for (offset, bytes) in &writes {
            let end = (offset + bytes.len()).min(file.bytes.len());
            self.keep(&format!("{name}.{offset}"), &file.bytes[*offset..end])?;
            let len = bytes.len();
            let what = format!("{}: {len} damaged bytes at {offset} taken out", file.path);
            self.done.actions.push(what);
        }
        if let Some(at) = cut {
            self.keep(&format!("{name}.{at}"), &file.bytes[at..])?;
            let what = format!("{}: cut at {at}", file.path);
            self.done.actions.push(what);
        }
        // A checkpoint says what was there before.
        let checkpoint = join(LOG_DIR, &FileType::Checkpoint.name(segment));
        match self.dir.disk().remove(&checkpoint) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unwritable(&**self.dir.disk(), &checkpoint, error));
            }
            _ => {}
        }
        self.change(&file.path, |on_disk| {
            for (offset, bytes) in &writes {
                on_disk.write_at(bytes, *offset as u64)?;
            }
            cut.map_or(Ok(()), |at| on_disk.set_len(at as u64))
        })
    }

    /// Takes a checkpoint away that does not say what its segment says: the segment is read instead.
    fn checkpoint(&mut self, number: u64) -> Result<(), OpenError> {
        let disk = &**self.dir.disk();
        let name = FileType::Checkpoint.name(number);
        let path = join(LOG_DIR, &name);
        let unreadable = |source| unreadable(disk, &path, source);
        let bytes = match disk.open(&path) {
            // Gone with the damage of its segment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(error)),
            Ok(_) => read(self.dir, &path)?,
        };
        if checkpoint::is_sound(self.dir, number, &bytes).map_err(unreadable)? {
            return Ok(());
        }
        self.keep(&name, &bytes)?;
        disk.remove(&path)
            .and_then(|()| disk.sync_dir(LOG_DIR))
            .map_err(|source| unwritable(disk, &path, source))?;
        self.done.actions.push(format!("{path}: taken away"));
        Ok(())
    }

    fn marks(&mut self) -> Result<(), OpenError> {
        let path = join(LOG_DIR, delivered::FILE);
        let bytes = read(self.dir, &path)?;
        let slots = bytes.chunks(delivered::SLOT_BYTES).enumerate();
        let damaged: Vec<(usize, usize)> = slots
            .filter(|(_, slot)| {
                delivered::decode(slot).is_none() && slot.iter().any(|byte| *byte != 0)
            })
            .map(|(n, slot)| (n * delivered::SLOT_BYTES, slot.len()))
            .collect();
        for (offset, len) in &damaged {
            let name = format!("{}.{offset}", delivered::FILE);
            self.keep(&name, &bytes[*offset..offset + len])?;
            let what = format!("{path}: {len} damaged bytes at {offset} taken out");
            self.done.actions.push(what);
        }
        if damaged.is_empty() {
            return Ok(());
        }
        self.change(&path, |on_disk| {
            for (offset, len) in &damaged {
                on_disk.write_at(&vec![0; *len], *offset as u64)?;
            }
            Ok(())
        })
    }

    fn change(
        &self,
        path: &str,
        change: impl FnOnce(&dyn crate::disk::DiskFile) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        let disk = &**self.dir.disk();
        let changed = disk.open(path).and_then(|file| {
            change(&*file)?;
            file.sync_data()
        });
        changed.map_err(|source| unwritable(disk, path, source))
    }

    /// Writes what is about to be taken out to a file of its own; returns when that is on disk.
    fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), OpenError> {
        let disk = &**self.dir.disk();
        if self.done.kept_in.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let folder = format!("removed-{}", now.unwrap_or_default().as_millis());
            disk.create_dir(&folder)
                .and_then(|()| disk.sync_dir(""))
                .map_err(|source| unwritable(disk, &folder, source))?;
            self.done.kept_in = folder;
        }
        let folder = self.done.kept_in.clone();
        crate::disk::write_whole(disk, &folder, name, bytes)
            .map_err(|source| unwritable(disk, &join(&folder, name), source))
    }
}

/// A record, or two, of exactly `len` bytes that say nothing: a message to no queue, an empty
/// settlement, an empty transaction.
fn filler(len: usize, seal: FileSeal, offset: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    let body = len.saturating_sub(RECORD_HEADER);
    let start = match body {
        0 => begin(&mut bytes, TX),
        1..=11 => {
            let start = begin(&mut bytes, SETTLED);
            // Queue 0 in as many bytes as there are to fill, then no ranges.
            bytes.extend(std::iter::repeat_n(0x80, body.max(2) - 2));
            bytes.extend([0, 0]);
            start
        }
        _ => {
            let start = begin(&mut bytes, MESSAGE);
            // Time, flags, length of the extension, targets; the rest is payload.
            bytes.extend([0; 10]);
            varint::put(&mut bytes, 0);
            bytes.resize(len, 0);
            start
        }
    };
    finish(&mut bytes, start);
    seal_all(&mut bytes, seal, offset as u64);
    bytes
}
