//! The data directory: one process at a time, a storage id written once, the format it is in.
//!
//! ```text
//!   <path>/lock          held (flock) while a process uses the directory
//!   <path>/storage-id    32 hex digits, random, written once
//!   <path>/format        "warren-storage 1"
//!   <path>/log/          messages            (crate::log)
//!   <path>/definitions/  commands, snapshot  (crate::definitions)
//! ```

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, RealDisk};
use crate::error::OpenError;

/// The newest format of the data directory this version reads, and the one it writes.
pub(crate) const FORMAT: u32 = 1;
/// Folder of the message log.
pub(crate) const LOG_DIR: &str = "log";
/// Folder of the command log and its snapshot.
pub(crate) const DEFINITIONS_DIR: &str = "definitions";

const FORMAT_FILE: &str = "format";
const FORMAT_NAME: &str = "warren-storage";
const ID_FILE: &str = "storage-id";
const LOCK_FILE: &str = "lock";

/// Names one storage for ever; every record is only valid in the storage it was written to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorageId(pub [u8; 16]);

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StorageId {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii_end();
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .map(|id| Self(id.to_be_bytes()))
    }
}

/// An opened data directory. Clones share the lock; it is given back when the last one, and the
/// logs opened in it, are gone.
#[derive(Clone)]
pub struct DataDir {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    id: StorageId,
    /// Where it is on the real disk; none for a disk in memory.
    real: Option<PathBuf>,
    _lock: Option<File>,
}

impl fmt::Debug for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDir")
            .field("path", &self.path())
            .field("id", &self.inner.id)
            .finish()
    }
}

impl DataDir {
    /// Opens the directory, creating it when absent, and takes its lock.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let unwritable = |source| OpenError::Unwritable {
            path: path.to_owned(),
            source,
        };
        if !path.is_dir() {
            fs::create_dir_all(path).map_err(unwritable)?;
            // The name of the directory is itself an entry that a power cut can take away.
            if let Some(parent) = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                File::open(parent)
                    .and_then(|dir| dir.sync_all())
                    .map_err(unwritable)?;
            }
        }
        let lock = File::create(path.join(LOCK_FILE)).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unwritable(source)),
        }
        let disk = Arc::new(RealDisk::new(path.to_owned()));
        Self::prepare(disk, Some(path.to_owned()), Some(lock))
    }

    /// Opens a directory that exists, for looking at it: creates and changes nothing but takes the
    /// lock.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let disk = Arc::new(RealDisk::new(path.to_owned()));
        if read_text(&*disk, FORMAT_FILE)?.is_none() {
            return Err(corrupt(
                &*disk,
                FORMAT_FILE,
                "it is missing: nothing was ever stored here",
            ));
        }
        let unreadable = |source| OpenError::Unreadable {
            path: path.join(LOCK_FILE),
            source,
        };
        let lock = match File::open(path.join(LOCK_FILE)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(error)),
        };
        match lock.as_ref().map(File::try_lock) {
            None | Some(Ok(())) => {}
            Some(Err(TryLockError::WouldBlock)) => {
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                });
            }
            Some(Err(TryLockError::Error(source))) => return Err(unreadable(source)),
        }
        check_format(&*disk)?;
        let id = read_text(&*disk, ID_FILE)?
            .and_then(|text| StorageId::parse(&text))
            .ok_or_else(|| corrupt(&*disk, ID_FILE, "it does not hold 32 hex digits"))?;
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                id,
                real: Some(path.to_owned()),
                _lock: lock,
            }),
        })
    }

    /// Opens a directory on a disk of the caller's choosing, without a lock: for tests.
    #[doc(hidden)]
    pub fn on(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        Self::prepare(disk, None, None)
    }

    fn prepare(
        disk: Arc<dyn Disk>,
        real: Option<PathBuf>,
        lock: Option<File>,
    ) -> Result<Self, OpenError> {
        let fresh = !check_format(&*disk)?;
        let id = match read_text(&*disk, ID_FILE)? {
            Some(text) => StorageId::parse(&text)
                .ok_or_else(|| corrupt(&*disk, ID_FILE, "it does not hold 32 hex digits"))?,
            // Without the id no record can be told from noise, so a new one may only be made
            // where there is nothing yet.
            None if fresh => write_id(&*disk)?,
            None => {
                return Err(corrupt(
                    &*disk,
                    ID_FILE,
                    "it is missing beside existing data",
                ));
            }
        };
        for dir in [LOG_DIR, DEFINITIONS_DIR] {
            disk.create_dir(dir)
                .map_err(|source| unwritable(&*disk, dir, source))?;
        }
        disk.sync_dir("")
            .map_err(|source| unwritable(&*disk, "", source))?;
        if fresh {
            let text = format!("{FORMAT_NAME} {FORMAT}\n");
            disk::write_whole(&*disk, "", FORMAT_FILE, text.as_bytes())
                .map_err(|source| unwritable(&*disk, FORMAT_FILE, source))?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                id,
                real,
                _lock: lock,
            }),
        })
    }

    /// Where the directory is.
    pub fn path(&self) -> PathBuf {
        self.inner.disk.full_path("")
    }

    /// The id written when the directory was created.
    pub fn storage_id(&self) -> StorageId {
        self.inner.id
    }

    /// Bytes an unprivileged process may still write to the file system the directory is on.
    pub fn free_bytes(&self) -> io::Result<u64> {
        match &self.inner.real {
            Some(path) => {
                let stat = rustix::fs::statvfs(path.as_path())?;
                Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
            }
            None => Ok(u64::MAX),
        }
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.inner.disk
    }

    /// The real folder, for sled, which does its own I/O.
    pub(crate) fn real_path(&self) -> Option<&Path> {
        self.inner.real.as_deref()
    }
}

/// True if the directory has been written to before, in a format this version reads.
fn check_format(disk: &dyn Disk) -> Result<bool, OpenError> {
    let Some(text) = read_text(disk, FORMAT_FILE)? else {
        for dir in [LOG_DIR, DEFINITIONS_DIR] {
            if !disk
                .list(dir)
                .map_err(|e| unreadable(disk, dir, e))?
                .is_empty()
            {
                return Err(corrupt(
                    disk,
                    FORMAT_FILE,
                    "it is missing beside existing data",
                ));
            }
        }
        return Ok(false);
    };
    let version = text
        .trim_ascii_end()
        .strip_prefix(FORMAT_NAME)
        .and_then(|v| v.trim().parse().ok());
    match version {
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat {
            path: disk.full_path(""),
            found,
            supported: FORMAT,
        }),
        Some(1..) => Ok(true),
        _ => Err(corrupt(
            disk,
            FORMAT_FILE,
            "it does not name a format of this program",
        )),
    }
}

fn write_id(disk: &dyn Disk) -> Result<StorageId, OpenError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|e| unwritable(disk, ID_FILE, io::Error::other(e.to_string())))?;
    let id = StorageId(id);
    disk::write_whole(disk, "", ID_FILE, format!("{id}\n").as_bytes())
        .map_err(|source| unwritable(disk, ID_FILE, source))?;
    Ok(id)
}

fn read_text(disk: &dyn Disk, path: &str) -> Result<Option<String>, OpenError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(disk, path, source)),
    };
    let mut bytes = Vec::new();
    disk::read_whole(&*file, &mut bytes).map_err(|source| unreadable(disk, path, source))?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| corrupt(disk, path, "it is not text"))
}

pub(crate) fn unwritable(disk: &dyn Disk, path: &str, source: io::Error) -> OpenError {
    OpenError::Unwritable {
        path: disk.full_path(path),
        source,
    }
}

pub(crate) fn unreadable(disk: &dyn Disk, path: &str, source: io::Error) -> OpenError {
    OpenError::Unreadable {
        path: disk.full_path(path),
        source,
    }
}

pub(crate) fn corrupt(disk: &dyn Disk, path: &str, reason: &str) -> OpenError {
    OpenError::Corrupt {
        path: disk.full_path(path),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MemDisk, Op};

    fn on(disk: &MemDisk) -> Result<DataDir, OpenError> {
        DataDir::on(Arc::new(disk.clone()))
    }

    #[test]
    fn keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let id = DataDir::open(&path).unwrap().storage_id();
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(dir.storage_id(), id);
        assert_eq!(dir.path(), path);
        assert!(dir.free_bytes().unwrap() > 0);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(DataDir::open(other.path()).unwrap().storage_id(), id);
    }

    #[test]
    fn is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err();
        assert!(
            matches!(&error, OpenError::InUse { path } if path == folder.path()),
            "{error}"
        );
        drop(dir);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn says_where_it_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDir::open(file.join("sub")).unwrap_err();
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
        for op in [Op::Write, Op::Sync, Op::Name, Op::SyncDir] {
            let disk = MemDisk::new();
            disk.fail(Some(op));
            assert!(
                matches!(on(&disk), Err(OpenError::Unwritable { .. })),
                "{op:?}"
            );
        }
    }

    #[test]
    fn a_crash_while_it_is_made_leaves_it_usable() {
        for n in 0..12 {
            let disk = MemDisk::new();
            disk.power_off_after(n);
            let made = on(&disk);
            disk.crash(&mut |_| 0);
            let again = on(&disk).unwrap();
            if let Ok(made) = made {
                assert_eq!(made.storage_id(), again.storage_id());
            }
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let disk = MemDisk::new();
        on(&disk).unwrap();
        let edit = |path: &str, text: &str| {
            let disk = disk.fork();
            disk.damage(path, |bytes| *bytes = text.as_bytes().to_vec());
            on(&disk).unwrap_err()
        };
        let newer = edit("format", "warren-storage 2\n");
        assert!(matches!(
            newer,
            OpenError::NewerFormat {
                found: 2,
                supported: 1,
                ..
            }
        ));
        for (path, text) in [
            ("format", "something else\n"),
            ("format", "warren-storage 0\n"),
            ("format", ""),
            ("storage-id", "12"),
            ("storage-id", "+2345678901234567890123456789012\n"),
        ] {
            let error = edit(path, text);
            assert!(
                matches!(error, OpenError::Corrupt { .. }),
                "{path}: {text}: {error}"
            );
        }
        disk.remove("storage-id").unwrap();
        assert!(matches!(on(&disk), Err(OpenError::Corrupt { .. })));
    }
}
