//! The seam to the file system: what the logs need of it and nothing more.
//!
//! Paths are relative to the data directory, with `/` between folder and file. Two
//! implementations: [`RealDisk`], and `memory::MemDisk` for tests, which forgets what was not
//! synced. sled does its own I/O and does not pass here.

pub(crate) mod memory;
mod real;

pub use real::RealDisk;

use std::io;
use std::path::PathBuf;

/// A folder tree the logs write to.
pub trait Disk: Send + Sync {
    /// Creates the folder and those above it; no error if it exists.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Creates the file, or empties the one that exists, for reading and writing.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// The names (not paths) of the files in a folder, in no order. An absent folder is empty.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Renames a file over another, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder survive a power cut.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// The path as a person would write it, for messages.
    fn full_path(&self, path: &str) -> PathBuf;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True if the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads up to `into.len()` bytes; 0 at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length survive a power cut (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// Size of one read while loading a file.
const READ_BYTES: usize = 1 << 20;
/// Size of a read around a place that cannot be read.
const SECTOR_BYTES: usize = 4096;

/// Reads a whole file. What the disk refuses to give back becomes zeros, which no record
/// survives: an unreadable sector costs the records in it, not the file.
pub(crate) fn read_whole(file: &dyn DiskFile, into: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    into.clear();
    into.resize(len, 0);
    read_lenient(file, into, 0);
    Ok(())
}

/// Fills `into` with what stands at `offset`. What the disk refuses to give back becomes zeros.
pub(crate) fn read_lenient(file: &dyn DiskFile, into: &mut [u8], offset: u64) {
    for (n, part) in into.chunks_mut(READ_BYTES).enumerate() {
        let offset = offset + (n * READ_BYTES) as u64;
        if read_range(file, part, offset).is_ok() {
            continue;
        }
        for (n, sector) in part.chunks_mut(SECTOR_BYTES).enumerate() {
            let offset = offset + (n * SECTOR_BYTES) as u64;
            if let Err(error) = read_range(file, sector, offset) {
                tracing::error!("cannot read {} bytes at {offset}: {error}", sector.len());
                sector.fill(0);
            }
        }
    }
}

fn read_range(file: &dyn DiskFile, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !into.is_empty() {
        let read = file.read_at(into, offset)?;
        if read == 0 {
            break; // Shorter than it was a moment ago; the rest stays zero.
        }
        into = &mut into[read..];
        offset += read as u64;
    }
    Ok(())
}

/// Writes a small file so that after a power cut it is there whole or not at all.
pub(crate) fn write_whole(disk: &dyn Disk, dir: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (path, draft) = (join(dir, name), join(dir, &format!("{name}.tmp")));
    let file = disk.create(&draft)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&draft, &path)?;
    disk.sync_dir(dir)
}

/// The path of a file in a folder; the folder `""` is the data directory itself.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}
