//! The memory of blocks, and which of them may go to the scratch file.

use std::collections::VecDeque;

use super::slot::Slot;
use super::{BLOCK, QueueId};
use crate::log::spill::Spill;

/// Blocks kept for reuse.
const POOLED: usize = 256;

/// Memory of blocks not in use, and how much those in use take.
#[derive(Default)]
pub(crate) struct Pool {
    pub(super) free: Vec<Vec<Slot>>,
    /// Slots allocated to blocks.
    pub(super) slots: usize,
    /// Bytes the blocks in use may take, and where the others go.
    pub(super) spill: Option<(usize, Spill)>,
    /// Blocks that may go, those to go first at the end. Some are gone.
    pub(crate) cold: VecDeque<(QueueId, u64)>,
}

impl Pool {
    /// Beyond `limit` bytes, blocks go to `spill`.
    pub(crate) fn spilling(limit: usize, spill: Spill) -> Self {
        Self {
            spill: Some((limit, spill)),
            ..Self::default()
        }
    }

    /// More memory is in use than there should be.
    pub(crate) fn is_over(&self) -> bool {
        let used = self.bytes();
        self.spill.as_ref().is_some_and(|(limit, _)| used > *limit)
    }

    /// So many entries of `cold` that most must be of blocks that are gone.
    pub(crate) fn has_stale(&self) -> bool {
        self.cold.len() > 1024 + 4 * (self.slots / BLOCK as usize)
    }

    pub(super) fn take(&mut self) -> Vec<Slot> {
        let slots = self.free.pop().unwrap_or_default();
        self.slots += slots.capacity();
        slots
    }

    pub(super) fn give(&mut self, mut slots: Vec<Slot>) {
        self.slots -= slots.capacity();
        if self.free.len() < POOLED && slots.capacity() > 0 {
            slots.clear();
            self.free.push(slots);
        }
    }

    /// Bytes of the blocks in use.
    pub(crate) fn bytes(&self) -> usize {
        self.slots * size_of::<Slot>()
    }
}
