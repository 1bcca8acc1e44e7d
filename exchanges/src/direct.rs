//! Direct and fanout matching.

use std::collections::HashMap;

use crate::id_set::IdSet;
use crate::matcher::Found;

/// Binding keys and the targets of each: the routing key must be equal.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    targets: HashMap<Box<str>, IdSet>,
}

impl Direct {
    /// Adds one binding.
    pub(crate) fn insert(&mut self, key: &str, target: u32) {
        match self.targets.get_mut(key) {
            Some(targets) => targets.insert(target),
            None => self.targets.entry(key.into()).or_default().insert(target),
        }
    }

    /// Takes one binding away.
    pub(crate) fn remove(&mut self, key: &str, target: u32) {
        let Some(targets) = self.targets.get_mut(key) else {
            return;
        };
        targets.remove(target);
        if targets.is_empty() {
            self.targets.remove(key);
        }
    }

    /// Appends the targets of `key`.
    pub(crate) fn find(&self, key: &str, found: &mut Found) {
        if let Some(targets) = self.targets.get(key) {
            found.extend(targets.iter());
        }
    }
}
