//! The view in sled.
//!
//! sled's `flush()` does not reach the disk by itself, its files have been seen damaged, and
//! opening damaged ones may panic. So nothing relies on it: every value carries a checksum, one
//! entry says how many there are, which command they are as of and which storage they belong to,
//! and on any doubt the folder is deleted and filled again from the truth.
//!
//! ```text
//!   00        -> crc32c u32 LE | applied u64 LE | entries u64 LE | storage id
//!   01 | key  -> crc32c u32 LE | value              the crc covers sled's key and the value
//! ```

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use super::log::ViewOps;
use super::view::{Contents, View};
use crate::dir::StorageId;

const META_KEY: &[u8] = &[0];
const ENTRY_PREFIX: u8 = 1;
/// Definitions are small and read only at start.
const CACHE_BYTES: u64 = 4 << 20;
/// A folder just closed may still be locked for a moment by sled's own threads.
const OPEN_TRIES: u32 = 50;
const OPEN_PAUSE: Duration = Duration::from_millis(10);
/// Entries written as one while filling.
const FILL_ENTRIES: usize = 1000;

/// The folder and, while it is in use, the open database.
pub(crate) struct SledView {
    path: PathBuf,
    storage: StorageId,
    db: Option<sled::Db>,
    entries: u64,
}

impl SledView {
    pub(crate) fn new(path: PathBuf, storage: StorageId) -> Self {
        Self {
            path,
            storage,
            db: None,
            entries: 0,
        }
    }

    fn open(&self) -> io::Result<sled::Db> {
        let config = sled::Config::new()
            .path(&self.path)
            .cache_capacity(CACHE_BYTES);
        let mut tries = 0;
        loop {
            match config.open() {
                Err(sled::Error::Io(error))
                    if error.kind() == io::ErrorKind::WouldBlock && tries < OPEN_TRIES =>
                {
                    tries += 1;
                    std::thread::sleep(OPEN_PAUSE);
                }
                result => return Ok(result?),
            }
        }
    }

    fn read(&mut self) -> io::Result<Contents> {
        let db = self.open()?;
        let meta = db
            .get(META_KEY)?
            .ok_or_else(|| doubt("it was never filled"))?;
        let meta = unframe(META_KEY, &meta).ok_or_else(|| doubt("bad checksum"))?;
        let (applied, rest) = meta.split_first_chunk().ok_or_else(|| doubt("short"))?;
        let (entries, id) = rest.split_first_chunk().ok_or_else(|| doubt("short"))?;
        if id != self.storage.0 {
            return Err(doubt("it belongs to another storage"));
        }
        let expected = u64::from_le_bytes(*entries);
        let mut contents = Contents {
            entries: Vec::new(),
            applied: u64::from_le_bytes(*applied),
        };
        for entry in db.scan_prefix([ENTRY_PREFIX]) {
            let (key, value) = entry?;
            let value = unframe(&key, &value).ok_or_else(|| doubt("bad checksum"))?;
            contents.entries.push((key[1..].to_vec(), value.to_vec()));
        }
        if contents.entries.len() as u64 != expected {
            return Err(doubt("entries are missing"));
        }
        self.entries = expected;
        self.db = Some(db);
        Ok(contents)
    }

    fn meta(&self, applied: u64) -> Vec<u8> {
        let mut meta = Vec::with_capacity(36);
        meta.extend_from_slice(&applied.to_le_bytes());
        meta.extend_from_slice(&self.entries.to_le_bytes());
        meta.extend_from_slice(&self.storage.0);
        frame(META_KEY, &meta)
    }

    fn fill(&mut self, contents: &Contents) -> io::Result<()> {
        self.db = None;
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let db = self.open()?;
        for some in contents.entries.chunks(FILL_ENTRIES) {
            let mut batch = sled::Batch::default();
            for (key, value) in some {
                let key = entry_key(key);
                batch.insert(key.as_slice(), frame(&key, value));
            }
            db.apply_batch(batch)?;
        }
        // Last: until it is there, what is there is in doubt.
        self.entries = contents.entries.len() as u64;
        db.insert(META_KEY, self.meta(contents.applied))?;
        self.db = Some(db);
        Ok(())
    }
}

impl View for SledView {
    fn load(&mut self) -> Option<Contents> {
        if !self.path.exists() {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| self.read())) {
            Ok(Ok(contents)) => Some(contents),
            Ok(Err(error)) => {
                tracing::warn!("the view of the definitions is not used: {error}");
                None
            }
            Err(_) => {
                tracing::warn!("the view of the definitions is not used: sled panicked");
                None
            }
        }
    }

    fn reset(&mut self, contents: &Contents) -> io::Result<()> {
        guarded(|| self.fill(contents))
    }

    fn apply(&mut self, changes: &[ViewOps], applied: u64) -> io::Result<()> {
        guarded(|| {
            let db = self.db.clone().ok_or_else(|| doubt("it is not open"))?;
            let mut batch = sled::Batch::default();
            let mut present: HashMap<Vec<u8>, bool> = HashMap::new();
            for (key, value) in changes.iter().flatten() {
                let key = entry_key(key);
                let was = match present.get(&key) {
                    Some(was) => *was,
                    None => db.contains_key(&key)?,
                };
                self.entries = self.entries + u64::from(value.is_some()) - u64::from(was);
                match value {
                    Some(value) => batch.insert(key.as_slice(), frame(&key, value)),
                    None => batch.remove(key.as_slice()),
                }
                present.insert(key, value.is_some());
            }
            batch.insert(META_KEY, self.meta(applied));
            Ok(db.apply_batch(batch)?)
        })
    }

    fn close(&mut self) {
        if let Some(db) = self.db.take() {
            // A courtesy: what is missing is made up from the log at the next start.
            let _ = guarded(|| Ok(db.flush().map(drop)?));
        }
    }
}

/// A panic inside sled is one more reason for doubt.
fn guarded(f: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(doubt("sled panicked")))
}

fn doubt(why: &'static str) -> io::Error {
    io::Error::other(why)
}

fn entry_key(key: &[u8]) -> Vec<u8> {
    let mut with_prefix = Vec::with_capacity(key.len() + 1);
    with_prefix.push(ENTRY_PREFIX);
    with_prefix.extend_from_slice(key);
    with_prefix
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(key), value).to_le_bytes()
}

fn frame(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(value.len() + 4);
    framed.extend_from_slice(&checksum(key, value));
    framed.extend_from_slice(value);
    framed
}

fn unframe<'a>(key: &[u8], framed: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, value) = framed.split_first_chunk()?;
    (checksum(key, value) == *crc).then_some(value)
}
