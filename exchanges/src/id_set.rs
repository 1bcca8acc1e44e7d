//! Small collections of ids: a counted set with cheap removal, and a set of things already seen.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// Beyond this many members a set is searched by hash instead of one by one.
const LINEAR_MAX: usize = 16;

/// A set of ids with a count each, iterated as fast as a list.
///
/// An id is a member as long as it was inserted more often than removed: two bindings to one
/// target with one key are two bindings of one member.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    members: SmallVec<[Member; 1]>,
    /// Where each id stands in `members`; there only when the set is large.
    places: Option<Box<FxHashMap<u32, u32>>>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    id: u32,
    count: u32,
}

impl IdSet {
    /// Counts `id` once more.
    pub(crate) fn insert(&mut self, id: u32) {
        if let Some(place) = self.place(id) {
            self.members[place].count += 1;
            return;
        }
        let place = self.members.len() as u32;
        self.members.push(Member { id, count: 1 });
        match &mut self.places {
            Some(places) => {
                places.insert(id, place);
            }
            None if self.members.len() > LINEAR_MAX => {
                let places = self
                    .members
                    .iter()
                    .zip(0..)
                    .map(|(member, place)| (member.id, place));
                self.places = Some(Box::new(places.collect()));
            }
            None => {}
        }
    }

    /// Counts `id` once less; it goes when its count reaches zero.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(place) = self.place(id) else { return };
        self.members[place].count -= 1;
        if self.members[place].count > 0 {
            return;
        }
        self.members.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&id);
            if let Some(moved) = self.members.get(place) {
                places.insert(moved.id, place as u32);
            }
        }
        self.shrink();
    }

    /// The members, each once.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.members.iter().map(|member| member.id)
    }

    /// The member at a place below [`IdSet::len`]; which one that is changes with every removal.
    pub(crate) fn at(&self, place: usize) -> u32 {
        self.members[place].id
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn place(&self, id: u32) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&id).map(|place| *place as usize),
            None => self.members.iter().position(|member| member.id == id),
        }
    }

    /// Gives memory back once few members are left of many.
    fn shrink(&mut self) {
        if self.places.is_some() && self.members.len() <= LINEAR_MAX / 2 {
            self.places = None;
        }
        if self.members.capacity() > 2 * LINEAR_MAX
            && self.members.len() < self.members.capacity() / 4
        {
            self.members.shrink_to_fit();
        }
    }
}

/// The ids met during one walk.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    order: SmallVec<[u32; LINEAR_MAX]>,
    hashed: FxHashSet<u32>,
}

impl Seen {
    /// Notes `id`; true when it is new.
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        if self.order.len() < LINEAR_MAX {
            if self.order.contains(&id) {
                return false;
            }
        } else {
            if self.hashed.is_empty() {
                self.hashed.extend(self.order.iter().copied());
            }
            if !self.hashed.insert(id) {
                return false;
            }
        }
        self.order.push(id);
        true
    }

    /// Everything noted, oldest first.
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_like_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..60), 0..400)) {
            let mut set = IdSet::default();
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for (insert, id) in steps {
                if insert {
                    set.insert(id);
                    *model.entry(id).or_default() += 1;
                } else {
                    set.remove(id);
                    if let Some(count) = model.get_mut(&id) {
                        *count -= 1;
                        if *count == 0 {
                            model.remove(&id);
                        }
                    }
                }
                let mut members: Vec<u32> = set.iter().collect();
                members.sort_unstable();
                prop_assert_eq!(members, model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len());
            }
        }

        #[test]
        fn seen_keeps_first_meetings(ids in prop::collection::vec(0u32..50, 0..200)) {
            let mut seen = Seen::default();
            let mut model: Vec<u32> = Vec::new();
            for id in ids {
                prop_assert_eq!(seen.insert(id), !model.contains(&id));
                if !model.contains(&id) {
                    model.push(id);
                }
                prop_assert_eq!(seen.as_slice(), model.as_slice());
            }
        }
    }
}
