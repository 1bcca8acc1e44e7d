//! The bindings of a vhost as a list: each once, found by value, by source and by destination.
//!
//! Matching is not done here; see the matchers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use warren_amqp::FieldTable;

use crate::args::{hash_table, same_table};
use crate::id_set::IdSet;

/// A binding's target.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Destination<Q> {
    /// A queue.
    Queue(Q),
    /// An exchange, by name: messages are routed on there.
    Exchange(String),
}

/// One binding as listed.
#[derive(Debug)]
pub struct Binding<'a, Q> {
    /// The exchange messages come from.
    pub source: &'a str,
    /// Where they go.
    pub destination: &'a Destination<Q>,
    /// The binding key; what it means depends on the source's type.
    pub routing_key: &'a str,
    /// The binding's arguments.
    pub arguments: &'a FieldTable,
}

// Written out because deriving would ask for `Q: Clone` although only references are copied.
impl<Q> Clone for Binding<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Binding<'_, Q> {}

/// A destination that has at least one binding.
#[derive(Debug)]
pub(crate) struct Target<Q> {
    /// Where messages go.
    pub(crate) destination: Destination<Q>,
    /// The exchange's id when the destination is one.
    pub(crate) exchange: Option<u32>,
    /// The bindings that lead here.
    bindings: IdSet,
}

/// A binding as stored.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The source exchange's id.
    pub(crate) source: u32,
    /// The target's id.
    pub(crate) target: u32,
    /// The binding key.
    pub(crate) key: Box<str>,
    /// The arguments.
    pub(crate) arguments: FieldTable,
}

/// All bindings of a vhost.
#[derive(Debug)]
pub(crate) struct Bindings<Q> {
    entries: Slab<Entry>,
    targets: Slab<Target<Q>>,
    target_ids: HashMap<Destination<Q>, u32>,
    /// Bindings by the hash of all that makes one unique. The hash is keyed, so that clients
    /// cannot produce equal ones at will.
    identities: FxHashMap<u64, SmallVec<[u32; 2]>>,
    hash_key: RandomState,
}

impl<Q: Clone + Eq + Hash> Bindings<Q> {
    /// No bindings.
    pub(crate) fn new() -> Self {
        Self {
            entries: Slab::new(),
            targets: Slab::new(),
            target_ids: HashMap::new(),
            identities: FxHashMap::default(),
            hash_key: RandomState::new(),
        }
    }

    /// The id of a destination that has bindings.
    pub(crate) fn target_id(&self, destination: &Destination<Q>) -> Option<u32> {
        self.target_ids.get(destination).copied()
    }

    /// The id of `destination`, made if it has none. `exchange` is its id if it is an exchange.
    pub(crate) fn target_id_or_new(
        &mut self,
        destination: Destination<Q>,
        exchange: Option<u32>,
    ) -> u32 {
        if let Some(id) = self.target_ids.get(&destination) {
            return *id;
        }
        let target = Target {
            destination: destination.clone(),
            exchange,
            bindings: IdSet::default(),
        };
        let id = self.targets.insert(target) as u32;
        self.target_ids.insert(destination, id);
        id
    }

    /// The target with this id.
    pub(crate) fn target(&self, id: u32) -> &Target<Q> {
        &self.targets[id as usize]
    }

    /// The binding with this id.
    pub(crate) fn entry(&self, id: u32) -> &Entry {
        &self.entries[id as usize]
    }

    /// The binding with exactly these values.
    pub(crate) fn find(
        &self,
        source: u32,
        target: u32,
        key: &str,
        arguments: &FieldTable,
    ) -> Option<u32> {
        let identity = self.identity(source, target, key, arguments);
        self.identities.get(&identity)?.iter().copied().find(|id| {
            let entry = self.entry(*id);
            entry.source == source
                && entry.target == target
                && &*entry.key == key
                && same_table(&entry.arguments, arguments)
        })
    }

    /// Adds a binding that is not there yet; returns its id.
    pub(crate) fn insert(&mut self, entry: Entry) -> u32 {
        let identity = self.identity(entry.source, entry.target, &entry.key, &entry.arguments);
        let target = entry.target as usize;
        let id = self.entries.insert(entry) as u32;
        self.identities.entry(identity).or_default().push(id);
        self.targets[target].bindings.insert(id);
        id
    }

    /// Takes a binding away, and its target if that was its last.
    pub(crate) fn remove(&mut self, id: u32) -> Entry {
        let entry = self.entries.remove(id as usize);
        let identity = self.identity(entry.source, entry.target, &entry.key, &entry.arguments);
        if let Some(ids) = self.identities.get_mut(&identity) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.identities.remove(&identity);
            }
        }
        let target = &mut self.targets[entry.target as usize];
        target.bindings.remove(id);
        if target.bindings.is_empty() {
            let target = self.targets.remove(entry.target as usize);
            self.target_ids.remove(&target.destination);
        }
        entry
    }

    /// The ids of the bindings that lead to `destination`.
    pub(crate) fn to(
        &self,
        destination: &Destination<Q>,
    ) -> impl Iterator<Item = u32> + use<'_, Q> {
        let target = self.target_id(destination);
        target
            .into_iter()
            .flat_map(|id| self.target(id).bindings.iter())
    }

    /// All bindings' ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().map(|(id, _)| id as u32)
    }

    fn identity(&self, source: u32, target: u32, key: &str, arguments: &FieldTable) -> u64 {
        let mut state = self.hash_key.build_hasher();
        source.hash(&mut state);
        target.hash(&mut state);
        key.hash(&mut state);
        hash_table(arguments, &mut state);
        state.finish()
    }
}
