//! Exchange types that choose one destination by a hash of the message.
//!
//! The hash is a fixed one, not the process's own: the same message finds the same destination
//! after a restart. Someone who wants all messages in one queue can have that by sending one key,
//! so nothing is gained by keying it.

mod consistent;
mod modulus;

use std::hash::{Hash, Hasher};

pub(crate) use consistent::{ConsistentHash, HashOn, weight_of};
pub(crate) use modulus::ModulusHash;

/// FNV-1a over 64 bits, finished so that every bit of the result counts.
pub(crate) struct Stable(u64);

impl Default for Stable {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// Spreads a number over all 64 bits (the finisher of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same number for the same thing, whenever and wherever it is asked for.
pub(crate) fn identity(thing: &impl Hash) -> u64 {
    let mut state = Stable::default();
    thing.hash(&mut state);
    state.finish()
}

/// A hash of all keys together.
fn hash_keys(keys: &[&str]) -> u64 {
    let mut state = Stable::default();
    for key in keys {
        state.write(key.as_bytes());
        // No UTF-8 text holds this byte: "ab" and "a", "b" differ.
        state.write(&[0xff]);
    }
    state.finish()
}

#[cfg(test)]
mod tests;
