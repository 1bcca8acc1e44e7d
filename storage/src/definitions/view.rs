//! The indexed view: keys and values that the commands led to, with the index of the last
//! command they contain. It may be lost at any time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::log::ViewOps;

/// All that a view holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// By key.
    pub(crate) entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// The last command that is in it.
    pub(crate) applied: u64,
}

impl Contents {
    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }
}

/// Where a view is kept.
pub(crate) trait View: Send {
    /// Everything, or none if there is the slightest doubt about it.
    fn load(&mut self) -> Option<Contents>;
    /// Throws away what is there and begins with this.
    fn reset(&mut self, contents: &Contents) -> io::Result<()>;
    /// Applies the changes in order, as one, together with the index of the last command.
    fn apply(&mut self, changes: &[ViewOps], applied: u64) -> io::Result<()>;
    /// Nothing more will come.
    fn close(&mut self) {}
}

/// A view in memory, as good as any for as long as it lives.
#[derive(Clone, Default)]
pub(crate) struct MemoryView {
    pub(crate) kept: Arc<Mutex<Option<Kept>>>,
}

#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) applied: u64,
}

impl View for MemoryView {
    fn load(&mut self) -> Option<Contents> {
        let kept = self.kept.lock().clone()?;
        Some(Contents {
            entries: kept.entries.into_iter().collect(),
            applied: kept.applied,
        })
    }

    fn reset(&mut self, contents: &Contents) -> io::Result<()> {
        let entries = contents.entries.iter().cloned().collect();
        *self.kept.lock() = Some(Kept {
            entries,
            applied: contents.applied,
        });
        Ok(())
    }

    fn apply(&mut self, changes: &[ViewOps], applied: u64) -> io::Result<()> {
        let mut kept = self.kept.lock();
        let kept = kept
            .as_mut()
            .ok_or_else(|| io::Error::other("the view is gone"))?;
        for (key, value) in changes.iter().flatten() {
            match value {
                Some(value) => kept.entries.insert(key.clone(), value.clone()),
                None => kept.entries.remove(key),
            };
        }
        kept.applied = applied;
        Ok(())
    }
}
