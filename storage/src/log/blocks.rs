//! Where the live messages of one queue stand, in blocks of consecutive numbers.
//!
//! ```text
//!   QueueIndex   blocks in ascending order; a block with nothing live is not there
//!   Block        up to 1024 numbers, as many slots as the span of those seen
//!   Slot         12 bytes: segment, offset, weight
//! ```
//!
//! A backlog costs 12 bytes a message; a queue with three messages costs three slots. Messages
//! that come and go reuse blocks: the steady state allocates nothing. Beyond a configured amount of
//! memory, blocks between the first and the last of a queue go to a scratch file (`spill`), those
//! filled last first, and come back when a message in them is settled or looked up.

mod block;
mod pool;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use self::block::Block;
pub(crate) use self::pool::Pool;
pub(crate) use self::slot::Slot;
use super::{QueueId, Seq};

/// Numbers per block.
pub(crate) const BLOCK: u64 = if cfg!(test) { 16 } else { 1024 };

/// How often a message was delivered, and the newest segment that says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryCount {
    pub(crate) count: u32,
    pub(crate) segment: u32,
}

/// The live messages of a queue and the marks that concern them.
pub(crate) struct QueueIndex {
    id: QueueId,
    blocks: VecDeque<Block>,
    live: u64,
    /// Handed out up to here, and the newest segment that says so.
    pub(crate) delivered: Option<(Seq, u32)>,
    /// The newest segment that holds a mark of this queue.
    pub(crate) marked_in: u32,
    counts: Option<Box<FxHashMap<Seq, DeliveryCount>>>,
}

impl QueueIndex {
    pub(crate) fn new(id: QueueId) -> Self {
        Self {
            id,
            blocks: VecDeque::new(),
            live: 0,
            delivered: None,
            marked_in: 0,
            counts: None,
        }
    }

    /// Live messages.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// The position of a block, or where it belongs.
    fn find(&self, number: u64) -> Result<usize, usize> {
        let (Some(front), Some(back)) = (self.blocks.front(), self.blocks.back()) else {
            return Err(0);
        };
        if number >= back.number {
            let at = self.blocks.len() - 1;
            return if number == back.number {
                Ok(at)
            } else {
                Err(at + 1)
            };
        }
        if number <= front.number {
            return if number == front.number {
                Ok(0)
            } else {
                Err(0)
            };
        }
        // Mostly there is no gap.
        let guess = (number - front.number) as usize;
        if self
            .blocks
            .get(guess)
            .is_some_and(|block| block.number == number)
        {
            return Ok(guess);
        }
        self.blocks
            .binary_search_by_key(&number, |block| block.number)
    }

    /// Puts a message in its place; returns what stood there.
    pub(crate) fn set(&mut self, seq: Seq, slot: Slot, pool: &mut Pool) -> Option<Slot> {
        let number = seq / BLOCK;
        let at = match self.find(number) {
            Ok(at) => at,
            Err(at) => {
                let block = Block::new(number, (seq % BLOCK) as u16, pool);
                self.blocks.insert(at, block);
                self.cool(at, pool);
                at
            }
        };
        let block = &mut self.blocks[at];
        block.bring(self.id, pool);
        let before = std::mem::replace(block.slot(seq, pool), slot);
        if before.live() {
            return Some(before);
        }
        block.live += 1;
        self.live += 1;
        None
    }

    /// A block was inserted: it, or the one that was first or last before, is between others now.
    fn cool(&mut self, inserted: usize, pool: &mut Pool) {
        let last = self.blocks.len() - 1;
        let between = match inserted {
            0 => 1,
            at if at == last => last - 1,
            at => at,
        };
        if pool.spill.is_some() && between > 0 && between < last {
            pool.cold.push_back((self.id, self.blocks[between].number));
        }
    }

    /// Whether a block could go to the scratch file.
    pub(crate) fn can_spill(&self, number: u64) -> bool {
        let between = |at: &usize| *at > 0 && at + 1 < self.blocks.len();
        let at = self.find(number).ok().filter(between);
        at.is_some_and(|at| self.blocks[at].away.is_none())
    }

    /// Sends a block to the scratch file, if it is neither the first nor the last.
    pub(crate) fn spill(&mut self, number: u64, pool: &mut Pool) {
        if self.can_spill(number)
            && let Ok(at) = self.find(number)
        {
            self.blocks[at].send(pool);
        }
    }

    /// Sends back what has just come, while there is too much in memory.
    pub(crate) fn spill_back(&mut self, pool: &mut Pool) {
        while pool.is_over()
            && let Some((id, number)) = pool.cold.pop_front()
        {
            if id != self.id {
                return pool.cold.push_front((id, number));
            }
            self.spill(number, pool);
        }
    }

    /// Where a message stands, if it is live.
    pub(crate) fn get(&mut self, seq: Seq, pool: &mut Pool) -> Option<Slot> {
        let at = self.find(seq / BLOCK).ok()?;
        let block = &mut self.blocks[at];
        block.bring(self.id, pool);
        let slot = block.slots[block.at(seq)?];
        slot.live().then_some(slot)
    }

    /// Puts a live message in another place.
    pub(crate) fn replace(&mut self, seq: Seq, slot: Slot, pool: &mut Pool) {
        if let Ok(at) = self.find(seq / BLOCK) {
            self.blocks[at].bring(self.id, pool);
            if let Some(at_slot) = self.blocks[at].at(seq) {
                self.blocks[at].slots[at_slot] = slot;
            }
        }
    }

    /// Takes what is live between the numbers, both inclusive.
    pub(crate) fn take_range(
        &mut self,
        first: Seq,
        last: Seq,
        pool: &mut Pool,
        taken: &mut dyn FnMut(Seq, Slot),
    ) {
        let mut at = self.find(first / BLOCK).unwrap_or_else(|at| at);
        let counts = &mut self.counts;
        let mut empty = false;
        while let Some(block) = self.blocks.get_mut(at).filter(|b| b.number <= last / BLOCK) {
            let range = block.range(first, last);
            if !range.is_empty() {
                block.bring(self.id, pool);
            }
            for slot in range {
                let seq = block.seq(slot);
                if let Some(slot) = block.take(slot) {
                    self.live -= 1;
                    if let Some(counts) = counts {
                        counts.remove(&seq);
                    }
                    taken(seq, slot);
                }
            }
            if block.live == 0 {
                empty = true;
                block.release(pool);
            }
            at += 1;
        }
        if empty {
            self.drop_empty(first / BLOCK, last / BLOCK);
        }
    }

    /// Removes the blocks in the range that hold nothing.
    fn drop_empty(&mut self, first: u64, last: u64) {
        while self.blocks.front().is_some_and(|block| block.live == 0) {
            self.blocks.pop_front();
        }
        while self.blocks.back().is_some_and(|block| block.live == 0) {
            self.blocks.pop_back();
        }
        let from = self.find(first).unwrap_or_else(|at| at);
        let to = self.find(last).map_or_else(|at| at, |at| at + 1);
        for at in (from..to).rev() {
            if self.blocks[at].live == 0 {
                self.blocks.remove(at);
            }
        }
    }

    /// Gives back all memory.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.blocks
            .drain(..)
            .for_each(|mut block| block.release(pool));
        self.live = 0;
        self.counts = None;
    }

    /// Calls `see` for what is live between the numbers, ascending, until it says false.
    /// Blocks in the scratch file stay there.
    pub(crate) fn each(
        &self,
        first: Seq,
        last: Seq,
        pool: &Pool,
        see: &mut dyn FnMut(Seq, Slot) -> bool,
    ) {
        let mut read = Vec::new();
        let at = self.find(first / BLOCK).unwrap_or_else(|at| at);
        for block in self.blocks.range(at..) {
            if block.number > last / BLOCK {
                return;
            }
            let range = block.range(first, last);
            let slots = match (block.away, &pool.spill) {
                (Some(place), Some((_, spill))) if !range.is_empty() => {
                    spill.read(place, block.len.into(), &mut read);
                    &read
                }
                (Some(_), _) => continue,
                (None, _) => &block.slots,
            };
            for slot in range {
                if slots[slot].live() && !see(block.seq(slot), slots[slot]) {
                    return;
                }
            }
        }
    }

    /// Notes a count, if the message is live; true if so.
    pub(crate) fn count(&mut self, seq: Seq, count: u32, segment: u32, pool: &mut Pool) -> bool {
        if self.get(seq, pool).is_none() {
            return false;
        }
        let known = self.counts.get_or_insert_default().entry(seq);
        let known = known.or_insert(DeliveryCount { count, segment });
        if count >= known.count {
            *known = DeliveryCount { count, segment };
        }
        true
    }

    /// The counts of live messages, in no order.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Seq, DeliveryCount)> + '_ {
        let counts = self.counts.iter().flat_map(|counts| counts.iter());
        counts.map(|(seq, count)| (*seq, *count))
    }
}
