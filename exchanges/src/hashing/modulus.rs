//! `x-modulus-hash`: the hash of the routing keys, modulo the number of destinations.

use super::hash_keys;
use crate::matcher::Found;

/// The destinations in the order of their identities, so that the order they were bound in does
/// not matter.
#[derive(Debug, Default)]
pub(crate) struct ModulusHash {
    targets: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    identity: u64,
    target: u32,
    bindings: u32,
}

impl ModulusHash {
    /// Counts one binding to `target`, whose stable identity is `identity`.
    pub(crate) fn insert(&mut self, target: u32, identity: u64) {
        if let Some(member) = self.targets.iter_mut().find(|m| m.target == target) {
            member.bindings += 1;
            return;
        }
        let at = self.targets.partition_point(|m| m.identity < identity);
        let member = Member {
            identity,
            target,
            bindings: 1,
        };
        self.targets.insert(at, member);
    }

    /// Counts one binding less.
    pub(crate) fn remove(&mut self, target: u32) {
        let Some(at) = self.targets.iter().position(|m| m.target == target) else {
            return;
        };
        self.targets[at].bindings -= 1;
        if self.targets[at].bindings == 0 {
            self.targets.remove(at);
        }
    }

    /// Appends the one target of a message with these keys.
    pub(crate) fn find(&self, keys: &[&str], found: &mut Found) {
        if self.targets.is_empty() {
            return;
        }
        let at = hash_keys(keys) % self.targets.len() as u64;
        found.push(self.targets[at as usize].target);
    }
}
