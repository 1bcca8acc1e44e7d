//! A disk in memory that keeps track of what would survive a power cut.
//!
//! Contents survive up to the last `sync_data`; names (creation, rename, removal) up to the last
//! `sync_dir`. A crash keeps what was synced and, of what was not, whatever the caller's dice
//! say: any of the changes of names, and of every file any of the unsynced writes, each cut at any
//! byte. Open files of before the crash are dead.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// The kinds of calls a test can make fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// `write_at` and `set_len`.
    Write,
    /// `sync_data`.
    Sync,
    /// `create`, `rename`, `remove`.
    Name,
    /// `sync_dir`.
    SyncDir,
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    dirs: BTreeSet<String>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last `sync_dir`, oldest first.
    unsynced_names: Vec<NameChange>,
    files: Vec<File>,
    /// Handles of an earlier age are of before a crash.
    age: u64,
    ops: Vec<Op>,
    /// Every call from this one on fails, until the crash.
    power_off_at: Option<usize>,
    fail: Option<Op>,
    /// Bytes all files together may have.
    capacity: Option<usize>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

#[derive(Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What the next sync would save. A sync that fails forgets it: as with Linux, a later one
    /// succeeds and saves only what was written in between.
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

struct Handle {
    state: Arc<Mutex<State>>,
    file: usize,
    age: u64,
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The power fails. `dice(n)` gives a number below `n`; always 0 loses all that was not
    /// synced. The power is back when this returns.
    pub fn crash(&self, dice: &mut dyn FnMut(usize) -> usize) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.age += 1;
        (state.power_off_at, state.fail) = (None, None);
        for change in state.unsynced_names.drain(..) {
            if dice(2) == 1 {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            let mut survives = std::mem::take(&mut file.durable);
            for change in file.unsynced.drain(..) {
                change.apply_torn(&mut survives, dice);
            }
            file.now.clone_from(&survives);
            file.durable = survives;
        }
    }

    /// The process is killed but the system lives on: open files die, nothing is lost, what was
    /// not synced still is not.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.age += 1;
        (state.power_off_at, state.fail) = (None, None);
    }

    /// A disk with the same contents, all of it durable.
    pub fn fork(&self) -> Self {
        let files = self.files();
        let fork = Self::new();
        {
            let mut state = fork.state.lock();
            state.dirs.clone_from(&self.state.lock().dirs);
            for (path, bytes) in files {
                let id = state.files.len();
                let (now, durable) = (bytes.clone(), bytes);
                state.files.push(File {
                    now,
                    durable,
                    unsynced: Vec::new(),
                });
                state.names.insert(path.clone(), id);
                state.durable_names.insert(path, id);
            }
        }
        fork
    }

    /// From the `n`th call that changes something on (counted from now), every call fails until
    /// [`MemDisk::crash`]. 0: from now on.
    pub fn power_off_after(&self, n: usize) {
        let mut state = self.state.lock();
        state.power_off_at = Some(state.ops.len() + n);
    }

    /// Every call of this kind fails until the next crash.
    pub fn fail(&self, op: Option<Op>) {
        self.state.lock().fail = op;
    }

    /// Writes that would make the files larger than this together fail, half done.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state.lock().capacity = bytes;
    }

    /// The calls made so far that change something.
    pub fn ops(&self) -> Vec<Op> {
        self.state.lock().ops.clone()
    }

    /// Paths and contents of all files.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        state
            .names
            .iter()
            .map(|(path, id)| (path.clone(), state.files[*id].now.clone()))
            .collect()
    }

    /// Paths and contents of all files as a crash that loses all it can would leave them.
    pub fn durable_files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        let names = state.durable_names.iter();
        names
            .map(|(path, id)| (path.clone(), state.files[*id].durable.clone()))
            .collect()
    }

    /// Changes the contents of a file behind everybody's back, on disk as well.
    pub fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        if let Some(id) = state.names.get(path).copied() {
            let file = &mut state.files[id];
            change(&mut file.now);
            file.durable = file.now.clone();
            file.unsynced.clear();
        }
    }
}

impl State {
    /// Counts the call and lets it fail if that was asked for.
    fn call(&mut self, op: Op) -> io::Result<()> {
        self.power()?;
        self.ops.push(op);
        if self.fail == Some(op) {
            return Err(io::Error::other(format!("{op:?} was made to fail")));
        }
        Ok(())
    }

    fn power(&self) -> io::Result<()> {
        if self.power_off_at.is_some_and(|at| self.ops.len() >= at) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn used(&self) -> usize {
        self.names
            .values()
            .map(|id| self.files[*id].now.len())
            .sum()
    }

    fn change(&mut self, file: usize, change: Change) {
        change.apply(&mut self.files[file].now);
        self.files[file].unsynced.push(change);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(path, id) => names.insert(path.clone(), *id),
            Self::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id)
            }
            Self::Remove(path) => names.remove(path),
        };
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => write(bytes, *at, written),
            Self::Len(len) => bytes.resize(*len, 0),
        }
    }

    /// Lost, whole, or the first bytes of it.
    fn apply_torn(&self, bytes: &mut Vec<u8>, dice: &mut dyn FnMut(usize) -> usize) {
        match (dice(3), self) {
            (0, _) => {}
            (1, Self::Write(at, written)) => {
                write(bytes, *at, &written[..dice(written.len() + 1)]);
            }
            _ => self.apply(bytes),
        }
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if written.is_empty() {
        return;
    }
    let end = at + written.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[at..end].copy_from_slice(written);
}

impl MemDisk {
    fn handle(&self, file: usize, age: u64) -> Box<dyn DiskFile> {
        Box::new(Handle {
            state: Arc::clone(&self.state),
            file,
            age,
        })
    }
}

impl Disk for MemDisk {
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.power()?;
        state.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.call(Op::Name)?;
        let file = match state.names.get(path).copied() {
            Some(file) => {
                state.change(file, Change::Len(0));
                file
            }
            None => {
                state.files.push(File::default());
                let file = state.files.len() - 1;
                state.change_name(NameChange::Create(path.to_owned(), file));
                file
            }
        };
        Ok(self.handle(file, state.age))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state.lock();
        state.power()?;
        let file = state
            .names
            .get(path)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(file, state.age))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.power()?;
        let prefix = super::join(dir, "");
        let names = state
            .names
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix));
        Ok(names
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call(Op::Name)?;
        let file = state
            .names
            .get(from)
            .copied()
            .ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.call(Op::Name)?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut guard = self.state.lock();
        guard.call(Op::SyncDir)?;
        let state = &mut *guard;
        let is_in = |path: &str| path.rsplit_once('/').map_or("", |(dir, _)| dir) == dir;
        let (durable, rest) = state
            .unsynced_names
            .drain(..)
            .partition(|change| match change {
                NameChange::Create(path, _)
                | NameChange::Rename(_, path, _)
                | NameChange::Remove(path) => is_in(path),
            });
        state.unsynced_names = rest;
        let durable: Vec<NameChange> = durable;
        durable
            .iter()
            .for_each(|change| change.apply(&mut state.durable_names));
        Ok(())
    }

    fn full_path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("memory:{path}"))
    }
}

impl Handle {
    fn with<R>(&self, op: Option<Op>, f: impl FnOnce(&mut State) -> R) -> io::Result<R> {
        let mut state = self.state.lock();
        if state.age != self.age {
            return Err(io::Error::other("this file was opened before the crash"));
        }
        match op {
            Some(op) => state.call(op)?,
            None => state.power()?,
        }
        Ok(f(&mut state))
    }
}

impl DiskFile for Handle {
    fn len(&self) -> io::Result<u64> {
        self.with(None, |state| state.files[self.file].now.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(None, |state| {
            let bytes = &state.files[self.file].now;
            let rest = &bytes[bytes.len().min(offset as usize)..];
            let read = rest.len().min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            read
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(Some(Op::Write), |state| {
            let room = state
                .capacity
                .map_or(usize::MAX, |all| all.saturating_sub(state.used()));
            let fits = &bytes[..bytes.len().min(room)];
            state.change(self.file, Change::Write(offset as usize, fits.to_vec()));
            if fits.len() < bytes.len() {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        })?
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(Some(Op::Write), |state| {
            state.change(self.file, Change::Len(len as usize))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.with(Some(Op::Sync), |state| {
            let file = &mut state.files[self.file];
            for change in file.unsynced.drain(..) {
                change.apply(&mut file.durable);
            }
        });
        if synced.is_err() {
            let mut state = self.state.lock();
            if state.age == self.age && state.fail == Some(Op::Sync) {
                state.files[self.file].unsynced.clear();
            }
        }
        synced
    }
}
