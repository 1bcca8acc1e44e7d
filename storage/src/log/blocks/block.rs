//! One block: up to [`BLOCK`] consecutive numbers of a queue.

use super::pool::Pool;
use super::slot::Slot;
use super::{BLOCK, QueueId, Seq};

pub(super) struct Block {
    /// Number of its first message / [`BLOCK`].
    pub(super) number: u64,
    /// Number within the block of the first slot.
    pub(super) first: u16,
    /// Slots at the front that are dead.
    pub(super) head: u16,
    pub(super) live: u16,
    /// With the slots in the scratch file: how many they are.
    pub(super) len: u16,
    /// With the slots in the scratch file: their place there.
    pub(super) away: Option<u32>,
    pub(super) slots: Vec<Slot>,
}

impl Block {
    pub(super) fn new(number: u64, first: u16, pool: &mut Pool) -> Self {
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

    pub(super) fn seq(&self, at: usize) -> Seq {
        self.number * BLOCK + u64::from(self.first) + at as u64
    }

    /// Index of a number within the block, if there is a slot for it.
    pub(super) fn at(&self, seq: Seq) -> Option<usize> {
        let at = (seq % BLOCK).checked_sub(self.first.into())? as usize;
        (at < self.slots.len()).then_some(at)
    }

    /// Brings the slots back from the scratch file.
    pub(super) fn bring(&mut self, id: QueueId, pool: &mut Pool) {
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
    pub(super) fn send(&mut self, pool: &mut Pool) {
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
    pub(super) fn release(&mut self, pool: &mut Pool) {
        pool.give(std::mem::take(&mut self.slots));
        if let (Some(place), Some((_, spill))) = (self.away.take(), &mut pool.spill) {
            spill.free(place);
        }
    }

    /// Indexes of the slots from `first` to `last`.
    pub(super) fn range(&self, first: Seq, last: Seq) -> std::ops::Range<usize> {
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
    pub(super) fn slot(&mut self, seq: Seq, pool: &mut Pool) -> &mut Slot {
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

    pub(super) fn take(&mut self, at: usize) -> Option<Slot> {
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
