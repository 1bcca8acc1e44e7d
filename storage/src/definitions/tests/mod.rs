//! Tests of the command log as a whole. A command here sets or removes one key.

mod crash;
mod damage;
mod sled;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::log::{CommandLog, ViewOps};
use super::recovery::Definitions;
use super::view::{Contents, Kept, MemoryView, View};
use crate::dir::DataDir;
use crate::testing::MemDisk;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// `key=value`, or `key` to remove it.
fn ops(command: &[u8]) -> ViewOps {
    let mut parts = command.splitn(2, |byte| *byte == b'=');
    let key = parts.next().unwrap().to_vec();
    vec![(key, parts.next().map(<[u8]>::to_vec))]
}

fn apply(state: &mut State, command: &[u8]) {
    for (key, value) in ops(command) {
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    }
}

/// The caller of the log: keeps the state, tells the view.
struct Catalog {
    log: CommandLog,
    state: State,
    last: u64,
    opened: Definitions,
}

impl Catalog {
    fn new((log, opened): (CommandLog, Definitions)) -> Self {
        let mut state: State = opened.base.iter().cloned().collect();
        let mut last = opened.base_index;
        for (index, command) in &opened.tail {
            apply(&mut state, command);
            log.view_changed(*index, ops(command));
            last = *index;
        }
        Self {
            log,
            state,
            last,
            opened,
        }
    }

    fn run(&mut self, command: &[u8]) -> Result<u64, crate::LogError> {
        let index = self.log.append(command)?;
        assert_eq!(index, self.last + 1);
        self.last = index;
        apply(&mut self.state, command);
        Ok(index)
    }

    /// Runs the command, waits until it is durable and tells the view.
    fn run_through(&mut self, command: &[u8]) -> Result<(), crate::LogError> {
        let index = self.run(command)?;
        self.log.wait_durable(index)?;
        self.log.view_changed(index, ops(command));
        Ok(())
    }
}

/// A view in memory that remembers how it was before.
#[derive(Clone, Default)]
struct TestView {
    now: MemoryView,
    before: Arc<Mutex<Vec<Kept>>>,
}

impl TestView {
    fn set(&self, kept: Option<Kept>) {
        *self.now.kept.lock() = kept;
    }
}

impl View for TestView {
    fn load(&mut self) -> Option<Contents> {
        self.now.load()
    }

    fn reset(&mut self, contents: &Contents) -> std::io::Result<()> {
        self.now.reset(contents)
    }

    fn apply(&mut self, changes: &[ViewOps], applied: u64) -> std::io::Result<()> {
        self.before.lock().extend(self.now.kept.lock().clone());
        self.now.apply(changes, applied)
    }
}

fn open(disk: &MemDisk, view: &TestView, snapshot_bytes: u64) -> Catalog {
    let dir = DataDir::on(Arc::new(disk.clone())).unwrap();
    Catalog::new(CommandLog::open_with(&dir, Box::new(view.clone()), snapshot_bytes).unwrap())
}

fn snapshots(disk: &MemDisk) -> Vec<String> {
    disk.files()
        .into_keys()
        .filter(|path| path.ends_with(".snap"))
        .collect()
}
