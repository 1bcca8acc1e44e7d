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

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::spill::Spill;
use super::{QueueId, Seq};

/// Numbers per block.
pub(crate) const BLOCK: u64 = if cfg!(test) { 16 } else { 1024 };
/// Blocks kept for reuse.
const POOLED: usize = 256;
/// What a record has besides its weight, about: header, target, properties.
const OVERHEAD: u64 = 64;
/// Bits of `place` that hold the offset, which is a multiple of 4.
const OFFSET_BITS: u32 = 29;

/// Where one message stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// 0: nothing live here.
    segment: u32,
    /// Offset of the record in units of 4; above it how many targets share the record.
    place: u32,
    weight: u32,
}

impl Slot {
    /// `sharers` as in [`super::ops::sharers`].
    pub(crate) fn new(segment: u32, offset: u32, weight: u32, sharers: u8) -> Self {
        debug_assert!(segment != 0 && offset.is_multiple_of(4) && offset < 1 << 31);
        Self {
            segment,
            place: offset >> 2 | u32::from(sharers) << OFFSET_BITS,
            weight,
        }
    }

    pub(crate) fn live(self) -> bool {
        self.segment != 0
    }

    pub(crate) fn encode(self) -> [u8; 12] {
        let (segment, place) = (self.segment.to_le_bytes(), self.place.to_le_bytes());
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&segment);
        bytes[4..8].copy_from_slice(&place);
        bytes[8..].copy_from_slice(&self.weight.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; 12]) -> Self {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        Self {
            segment: word(0),
            place: word(4),
            weight: word(8),
        }
    }

    pub(crate) fn segment(self) -> u32 {
        self.segment
    }

    /// Where in the segment the record starts.
    pub(crate) fn offset(self) -> u32 {
        (self.place & ((1 << OFFSET_BITS) - 1)) << 2
    }

    /// As the caller gave it: bytes of the body.
    pub(crate) fn weight(self) -> u32 {
        self.weight
    }

    /// About how many bytes of the segment this target keeps.
    pub(crate) fn share(self) -> u64 {
        (u64::from(self.weight) + OVERHEAD) >> (self.place >> OFFSET_BITS)
    }
}

/// Memory of blocks not in use, and how much those in use take.
#[derive(Default)]
pub(crate) struct Pool {
    free: Vec<Vec<Slot>>,
    /// Slots allocated to blocks.
    slots: usize,
    /// Bytes the blocks in use may take, and where the others go.
    spill: Option<(usize, Spill)>,
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

    fn take(&mut self) -> Vec<Slot> {
        let slots = self.free.pop().unwrap_or_default();
        self.slots += slots.capacity();
        slots
    }

    fn give(&mut self, mut slots: Vec<Slot>) {
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

struct Block {
    /// Number of its first message / [`BLOCK`].
    number: u64,
    /// Number within the block of the first slot.
    first: u16,
    /// Slots at the front that are dead.
    head: u16,
    live: u16,
    /// With the slots in the scratch file: how many they are.
    len: u16,
    /// With the slots in the scratch file: their place there.
    away: Option<u32>,
    slots: Vec<Slot>,
}

impl Block {
    fn new(number: u64, first: u16, pool: &mut Pool) -> Self {
        let slots = pool.take();
        Self {
            number,
            first,
            head: 0,
            live: 0,
            len: 0,
            away: None,
            slots,
        }
    }

    fn seq(&self, at: usize) -> Seq {
        self.number * BLOCK + u64::from(self.first) + at as u64
    }

    /// Index of a number within the block, if there is a slot for it.
    fn at(&self, seq: Seq) -> Option<usize> {
        let at = (seq % BLOCK).checked_sub(self.first.into())? as usize;
        (at < self.slots.len()).then_some(at)
    }

    /// Brings the slots back from the scratch file.
    fn bring(&mut self, id: QueueId, pool: &mut Pool) {
        let Some(place) = self.away.take() else {
            return;
        };
        let mut slots = pool.take();
        let before = slots.capacity();
        if let Some((_, spill)) = &mut pool.spill {
            spill.read(place, self.len.into(), &mut slots);
            spill.free(place);
        }
        pool.slots += slots.capacity() - before;
        self.slots = slots;
        pool.cold.push_front((id, self.number));
    }

    /// Sends the slots to the scratch file.
    fn send(&mut self, pool: &mut Pool) {
        if self.away.is_none()
            && let Some((_, spill)) = &mut pool.spill
        {
            self.away = spill.write(&self.slots);
            if self.away.is_some() {
                self.len = self.slots.len() as u16;
                pool.give(std::mem::take(&mut self.slots));
            }
        }
    }

    /// Gives the memory back, or the place in the scratch file.
    fn release(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.slots));
        if let (Some(place), Some((_, spill))) = (self.away.take(), &mut pool.spill) {
            spill.free(place);
        }
    }

    /// Indexes of the slots from `first` to `last`.
    fn range(&self, first: Seq, last: Seq) -> std::ops::Range<usize> {
        let base = self.number * BLOCK + u64::from(self.first);
        let end = self.away.map_or(self.slots.len(), |_| self.len.into());
        let clamp = |n: u64| usize::try_from(n).unwrap_or(end).min(end);
        let from = clamp(first.saturating_sub(base)).max(self.head.into());
        let to = last
            .checked_sub(base)
            .map_or(0, |n| clamp(n.saturating_add(1)));
        from.min(to)..to
    }

    /// The slot of a number, made if there is none.
    fn slot(&mut self, seq: Seq, pool: &mut Pool) -> &mut Slot {
        let number = (seq % BLOCK) as u16;
        let before = self.slots.capacity();
        if self.slots.is_empty() {
            self.first = number;
        }
        if number < self.first {
            // Room for others that come late as well.
            let first = number.min(self.first / 2);
            let more = usize::from(self.first - first);
            self.slots
                .splice(0..0, std::iter::repeat_n(Slot::default(), more));
            (self.first, self.head) = (first, 0);
        }
        let mut at = usize::from(number - self.first);
        if at >= self.slots.len() {
            if at >= before && usize::from(self.head) * 2 >= self.slots.len() {
                // Rather than growing, forget what is settled.
                self.slots.drain(..usize::from(self.head));
                self.first += self.head;
                at -= usize::from(self.head);
                self.head = 0;
            }
            if at >= self.slots.capacity() {
                let wanted = (self.slots.capacity() * 2).clamp(at + 1, BLOCK as usize);
                self.slots.reserve_exact(wanted.max(4) - self.slots.len());
            }
            self.slots.resize(at + 1, Slot::default());
        }
        pool.slots += self.slots.capacity() - before;
        self.head = self.head.min(at as u16);
        &mut self.slots[at]
    }

    fn take(&mut self, at: usize) -> Option<Slot> {
        let slot = std::mem::take(&mut self.slots[at]);
        if !slot.live() {
            return None;
        }
        self.live -= 1;
        if at == usize::from(self.head) {
            let dead = self.slots[at..].iter().take_while(|slot| !slot.live());
            self.head += dead.count() as u16;
        }
        Some(slot)
    }
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::MemDisk;

    fn slot(n: u32) -> Slot {
        Slot::new(n + 1, n * 4, n, (n % 8) as u8)
    }

    #[test]
    fn a_slot_is_twelve_bytes_and_keeps_all_it_is_given() {
        assert_eq!(size_of::<Slot>(), 12);
        let slot = Slot::new(u32::MAX, (1 << 31) - 4, u32::MAX, 7);
        assert_eq!((slot.segment(), slot.offset()), (u32::MAX, (1 << 31) - 4));
        assert_eq!(slot.weight(), u32::MAX);
        assert_eq!(slot.share(), (u64::from(u32::MAX) + OVERHEAD) >> 7);
    }

    #[test]
    fn a_backlog_costs_twelve_bytes_a_message() {
        let (mut queue, mut pool) = (QueueIndex::new(QueueId(1)), Pool::default());
        for seq in 0..100_000 {
            queue.set(seq, slot(1), &mut pool);
        }
        assert!(pool.bytes() <= 12 * 100_000 + 12 * 1024);
    }

    #[test]
    fn what_comes_and_goes_takes_little_and_gives_it_back() {
        let (mut queue, mut pool) = (QueueIndex::new(QueueId(1)), Pool::default());
        for seq in 0..100_000u64 {
            queue.set(seq, slot(1), &mut pool);
            if seq >= 3 {
                queue.take_range(seq - 3, seq - 3, &mut pool, &mut |_, _| {});
            }
            assert!(pool.slots <= 32, "{} at {seq}", pool.slots);
        }
        queue.take_range(0, u64::MAX - 1, &mut pool, &mut |_, _| {});
        assert_eq!((queue.live(), queue.blocks.len(), pool.slots), (0, 0, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u64),
        Take(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let seq = || prop_oneof![0u64..40, 1000u64..1100, 0u64..9000];
        prop_oneof![
            3 => seq().prop_map(Step::Set),
            1 => (seq(), 0u64..3000).prop_map(|(first, len)| Step::Take(first, first + len)),
            1 => (seq(), 0u64..3).prop_map(|(first, len)| Step::Take(first, first + len)),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(step(), 0..200), spills: bool) {
            let mut queue = QueueIndex::new(QueueId(1));
            let disk = Arc::new(MemDisk::new());
            let mut pool = if spills {
                Pool::spilling(0, Spill::new(disk).unwrap())
            } else {
                Pool::default()
            };
            let mut model: BTreeMap<u64, Slot> = BTreeMap::new();
            for (n, step) in steps.iter().enumerate() {
                match *step {
                    Step::Set(seq) => {
                        let slot = slot(n as u32);
                        prop_assert_eq!(queue.set(seq, slot, &mut pool), model.insert(seq, slot));
                    }
                    Step::Take(first, last) => {
                        let mut taken = Vec::new();
                        queue.take_range(first, last, &mut pool, &mut |seq, slot| taken.push((seq, slot)));
                        let expected: Vec<_> = model.range(first..=last).map(|(k, v)| (*k, *v)).collect();
                        prop_assert_eq!(taken, expected);
                        model.retain(|seq, _| !(first..=last).contains(seq));
                    }
                }
                if n % 3 == 0 {
                    while let Some((_, number)) = pool.cold.pop_back() {
                        queue.spill(number, &mut pool);
                    }
                    let last = queue.blocks.len().saturating_sub(1);
                    let here = queue.blocks.iter().enumerate().filter(|(_, it)| it.away.is_none());
                    prop_assert!(!spills || here.into_iter().all(|(at, _)| at == 0 || at == last));
                }
                prop_assert_eq!(queue.live(), model.len() as u64);
                let mut all = Vec::new();
                queue.each(0, u64::MAX - 1, &pool, &mut |seq, slot| {
                    all.push((seq, slot));
                    true
                });
                prop_assert_eq!(all, model.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
                let capacity: usize = queue.blocks.iter().map(|block| block.slots.capacity()).sum();
                prop_assert_eq!(pool.slots, capacity);
                prop_assert!(queue.blocks.iter().all(|block| block.live > 0));
            }
            for seq in 0..9100 {
                prop_assert_eq!(queue.get(seq, &mut pool), model.get(&seq).copied());
            }
        }
    }
}
