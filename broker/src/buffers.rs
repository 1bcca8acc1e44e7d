//! The memory of large messages, used again rather than freed.
//!
//! Freed memory goes back to the system at once (crate `warren-allocator`), and new memory is
//! cleared and mapped page by page when it is first written to. For a message of a mebibyte that
//! costs more than all else that is done for it. So the last few buffers are kept for those that
//! come next; what lies unused is given back.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

/// Memory for a message smaller than this is left to the allocator, which has it at hand.
pub const LARGE: usize = 32 * 1024;

/// Buffers larger than this are rare, and few would fit.
const LARGEST: usize = 4 * 1024 * 1024;

/// Memory that lies ready at most.
const READY_BYTES: usize = 8 * 1024 * 1024;

static POOL: Mutex<Pool> = Mutex::new(Pool::new());

/// Bytes that grow.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Its memory is to be used again.
    large: bool,
}

impl Buffer {
    /// An empty buffer with room for so many bytes, whatever they are.
    pub fn with_capacity(room: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(room),
            large: false,
        }
    }

    /// An empty buffer with room for one message of so many bytes. If that is [`LARGE`], it takes
    /// the memory of one that is gone, as long as one of about that size was left.
    pub fn for_message(room: usize) -> Self {
        if room < LARGE {
            return Self::with_capacity(room);
        }
        let left = POOL.lock().take(room);
        Self {
            bytes: left.unwrap_or_else(|| Vec::with_capacity(room)),
            large: true,
        }
    }

    /// Makes room for so many bytes of its message in all.
    pub fn make_room(&mut self, room: usize) {
        if room > self.bytes.capacity() {
            let mut larger = Self::for_message(room);
            larger.bytes.extend_from_slice(&self.bytes);
            *self = larger;
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.large && self.bytes.capacity() <= LARGEST {
            let bytes = std::mem::take(&mut self.bytes);
            // What has no place is freed after the lock.
            let _too_many = POOL.lock().give(bytes);
        }
    }
}

/// Frees the buffers that nobody has wanted since the last call but one.
pub fn free_unused() {
    let _unused = POOL.lock().end_round();
}

/// What lies ready.
struct Pool {
    /// With the round they came in, oldest first.
    ready: VecDeque<(u32, Vec<u8>)>,
    /// Their capacities together.
    bytes: usize,
    round: u32,
}

impl Pool {
    const fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            bytes: 0,
            round: 0,
        }
    }

    /// The youngest that has this much room, and not much more: the message may stay for long.
    fn take(&mut self, room: usize) -> Option<Vec<u8>> {
        let fits = room..=room + room / 4;
        let found = self
            .ready
            .iter()
            .rposition(|(_, bytes)| fits.contains(&bytes.capacity()))?;
        let (_, bytes) = self.ready.remove(found)?;
        self.bytes -= bytes.capacity();
        Some(bytes)
    }

    /// Takes a buffer back; returns those it takes the place of.
    fn give(&mut self, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        bytes.clear();
        self.bytes += bytes.capacity();
        self.ready.push_back((self.round, bytes));
        let mut out = Vec::new();
        while self.bytes > READY_BYTES {
            out.extend(self.drop_oldest());
        }
        out
    }

    fn end_round(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some((round, _)) = self.ready.front()
            && *round != self.round
        {
            out.extend(self.drop_oldest());
        }
        self.round = self.round.wrapping_add(1);
        out
    }

    fn drop_oldest(&mut self) -> Option<Vec<u8>> {
        let (_, bytes) = self.ready.pop_front()?;
        self.bytes -= bytes.capacity();
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn buffer(room: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(room);
        bytes.push(1);
        bytes
    }

    #[test]
    fn a_message_takes_the_memory_of_one_about_as_large() {
        let mut pool = Pool::new();
        let bytes = buffer(MIB);
        let place = bytes.as_ptr();
        assert!(pool.give(bytes).is_empty());
        assert_eq!(pool.take(MIB + 1), None);
        assert_eq!(pool.take(MIB / 2), None);
        let again = pool.take(MIB - MIB / 8).expect("fits");
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert_eq!(pool.take(MIB), None);
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut pool = Pool::new();
        let dropped: usize = (0..20).map(|_| pool.give(buffer(MIB)).len()).sum();
        assert_eq!((dropped, pool.bytes), (12, READY_BYTES));
        assert_eq!(pool.give(buffer(LARGEST)).len(), 4);
    }

    #[test]
    fn what_nobody_wants_is_freed() {
        let mut pool = Pool::new();
        pool.give(buffer(MIB));
        pool.give(buffer(2 * MIB));
        assert!(pool.end_round().is_empty());
        let wanted = pool.take(MIB).expect("lies ready");
        pool.give(wanted);
        assert_eq!(pool.end_round().len(), 1);
        assert!(pool.take(2 * MIB).is_none());
        assert_eq!(pool.end_round().len(), 1);
        assert_eq!((pool.ready.len(), pool.bytes), (0, 0));
    }
}
