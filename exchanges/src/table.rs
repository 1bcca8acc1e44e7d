//! The routing table of a vhost: declaring, binding, removing and listing.
//!
//! Invariants: every binding's source, and its destination if that is an exchange, is in the
//! table; a target exists as long as a binding leads to it; each exchange's matcher holds exactly
//! the bindings listed as coming from it. Removing something costs as much as it has bindings,
//! never a walk over the vhost.

use std::collections::HashMap;
use std::hash::Hash;

use slab::Slab;
use warren_amqp::FieldTable;

use crate::bindings::{Binding, Bindings, Destination, Entry};
use crate::exchange_type::ExchangeType;
use crate::hashing::identity;
use crate::id_set::IdSet;
use crate::kind::ExchangeKind;
use crate::matcher::{Matcher, Rule};

/// Why a binding was not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BindError {
    /// The source exchange does not exist.
    #[error("no source exchange '{0}'")]
    NoSuchSource(String),
    /// The destination exchange does not exist.
    #[error("no destination exchange '{0}'")]
    NoSuchDestination(String),
    /// The key or the arguments mean nothing to the source's type (row X-30). The text is the one
    /// clients are told.
    #[error("{0}")]
    InvalidArguments(String),
}

/// What [`RoutingTable::unbind`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unbound {
    /// Whether there was such a binding.
    pub removed: bool,
    /// Whether it was its source's last one (an auto-delete exchange goes then, row X-12).
    pub source_now_empty: bool,
}

/// The routing state of one vhost: exchanges by name, their bindings, their alternates.
///
/// The default exchange is not special here: its implicit bindings to every queue are the
/// broker's to resolve, by name.
#[derive(Debug)]
pub struct RoutingTable<Q> {
    pub(crate) names: HashMap<Box<str>, u32>,
    pub(crate) exchanges: Slab<Exchange>,
    pub(crate) bindings: Bindings<Q>,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: Box<str>,
    exchange_type: ExchangeType,
    /// The exchange messages go to that find nothing here; it need not exist.
    pub(crate) alternate: Option<Box<str>>,
    pub(crate) matcher: Matcher,
    /// The bindings whose source this is.
    outgoing: IdSet,
}

impl Exchange {
    pub(crate) fn kind(&self) -> ExchangeKind {
        self.exchange_type.kind()
    }

    /// Whether it keeps messages for those bound later.
    pub(crate) fn remembers(&self) -> bool {
        self.exchange_type.history().is_some()
    }
}

impl<Q: Clone + Eq + Hash> Default for RoutingTable<Q> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Q: Clone + Eq + Hash> RoutingTable<Q> {
    /// A table without exchanges.
    pub fn new() -> Self {
        Self {
            names: HashMap::new(),
            exchanges: Slab::new(),
            bindings: Bindings::new(),
        }
    }

    /// Adds an exchange of a type without arguments. One that is there already stays as it is.
    pub fn add_exchange(&mut self, name: &str, kind: ExchangeKind, alternate: Option<&str>) {
        self.add_typed_exchange(name, ExchangeType::plain(kind), alternate);
    }

    /// Adds an exchange. One that is there already stays as it is.
    pub fn add_typed_exchange(
        &mut self,
        name: &str,
        exchange_type: ExchangeType,
        alternate: Option<&str>,
    ) {
        if self.names.contains_key(name) {
            return;
        }
        let id = self.exchanges.insert(Exchange {
            name: name.into(),
            alternate: alternate.map(Into::into),
            matcher: Matcher::new(&exchange_type),
            exchange_type,
            outgoing: IdSet::default(),
        });
        self.names.insert(name.into(), id as u32);
    }

    /// Whether the exchange is in the table.
    pub fn contains_exchange(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Changes the alternate exchange of `name` (row X-40); ignored when there is no such one.
    pub fn set_alternate(&mut self, name: &str, alternate: Option<&str>) {
        if let Some(id) = self.names.get(name) {
            self.exchanges[*id as usize].alternate = alternate.map(Into::into);
        }
    }

    /// Removes an exchange with every binding from and to it (row X-20). Returns the names of
    /// other exchanges that lost their last binding by this (for auto-delete, row X-12).
    pub fn remove_exchange(&mut self, name: &str) -> Vec<String> {
        let Some(id) = self.names.get(name).copied() else {
            return Vec::new();
        };
        let outgoing: Vec<u32> = self.exchanges[id as usize].outgoing.iter().collect();
        for binding in outgoing {
            self.bindings.remove(binding);
        }
        // Its own matcher goes as a whole. Bindings to itself are gone with the outgoing ones.
        self.exchanges[id as usize].outgoing = IdSet::default();
        let emptied = self.remove_bindings_to(&Destination::Exchange(name.to_owned()));
        self.exchanges.remove(id as usize);
        self.names.remove(name);
        emptied
    }

    /// Binds `destination` to `source`. The same source, destination, key and arguments twice is
    /// one binding (row X-15); returns whether it is new.
    pub fn bind(
        &mut self,
        source: &str,
        destination: Destination<Q>,
        routing_key: &str,
        arguments: &FieldTable,
    ) -> Result<bool, BindError> {
        let no_source = || BindError::NoSuchSource(source.to_owned());
        let source_id = *self.names.get(source).ok_or_else(no_source)?;
        let exchange = match &destination {
            Destination::Queue(_) => None,
            Destination::Exchange(name) => {
                let missing = || BindError::NoSuchDestination(name.clone());
                Some(*self.names.get(name.as_str()).ok_or_else(missing)?)
            }
        };
        self.exchanges[source_id as usize]
            .exchange_type
            .validate_binding(routing_key, arguments)
            .map_err(BindError::InvalidArguments)?;
        let identity = identity(&destination);
        let target = self.bindings.target_id_or_new(destination, exchange);
        if self
            .bindings
            .find(source_id, target, routing_key, arguments)
            .is_some()
        {
            return Ok(false);
        }
        let entry = Entry {
            source: source_id,
            target,
            key: routing_key.into(),
            arguments: arguments.clone(),
        };
        let binding = self.bindings.insert(entry);
        let exchange = &mut self.exchanges[source_id as usize];
        exchange.outgoing.insert(binding);
        exchange.matcher.insert(Rule {
            binding,
            target,
            identity,
            key: routing_key,
            arguments,
        });
        Ok(true)
    }

    /// Removes a binding. Nothing happens when there is no such one, or no such exchange.
    pub fn unbind(
        &mut self,
        source: &str,
        destination: &Destination<Q>,
        routing_key: &str,
        arguments: &FieldTable,
    ) -> Unbound {
        let source_id = self.names.get(source).copied();
        let target = self.bindings.target_id(destination);
        let (Some(source_id), Some(target)) = (source_id, target) else {
            return Unbound::default();
        };
        match self
            .bindings
            .find(source_id, target, routing_key, arguments)
        {
            Some(binding) => {
                self.remove_binding(binding);
                let source_now_empty = self.exchanges[source_id as usize].outgoing.is_empty();
                Unbound {
                    removed: true,
                    source_now_empty,
                }
            }
            None => Unbound::default(),
        }
    }

    /// Removes every binding to `queue` (row X-20). Returns the names of exchanges that lost
    /// their last binding by this.
    pub fn remove_queue(&mut self, queue: &Q) -> Vec<String> {
        self.remove_bindings_to(&Destination::Queue(queue.clone()))
    }

    /// Whether `name` is the source of a binding.
    pub fn has_bindings_from(&self, name: &str) -> bool {
        self.exchange(name)
            .is_some_and(|exchange| !exchange.outgoing.is_empty())
    }

    /// All bindings, in no particular order.
    pub fn bindings(&self) -> impl Iterator<Item = Binding<'_, Q>> {
        self.bindings.ids().map(|id| self.binding(id))
    }

    /// The bindings whose source is `name`.
    pub fn bindings_from(&self, name: &str) -> impl Iterator<Item = Binding<'_, Q>> + use<'_, Q> {
        let exchange = self.exchange(name);
        exchange
            .into_iter()
            .flat_map(|exchange| exchange.outgoing.iter())
            .map(|id| self.binding(id))
    }

    /// The bindings that lead to `destination`.
    pub fn bindings_to(
        &self,
        destination: &Destination<Q>,
    ) -> impl Iterator<Item = Binding<'_, Q>> + use<'_, Q> {
        self.bindings.to(destination).map(|id| self.binding(id))
    }

    fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.names.get(name).map(|id| &self.exchanges[*id as usize])
    }

    fn binding(&self, id: u32) -> Binding<'_, Q> {
        let entry = self.bindings.entry(id);
        Binding {
            source: &self.exchanges[entry.source as usize].name,
            destination: &self.bindings.target(entry.target).destination,
            routing_key: &entry.key,
            arguments: &entry.arguments,
        }
    }

    /// Removes a binding everywhere; returns its source's id.
    fn remove_binding(&mut self, binding: u32) -> u32 {
        let entry = self.bindings.remove(binding);
        let exchange = &mut self.exchanges[entry.source as usize];
        exchange.outgoing.remove(binding);
        exchange.matcher.remove(Rule {
            binding,
            target: entry.target,
            // Asked for when a binding comes only.
            identity: 0,
            key: &entry.key,
            arguments: &entry.arguments,
        });
        entry.source
    }

    fn remove_bindings_to(&mut self, destination: &Destination<Q>) -> Vec<String> {
        let incoming: Vec<u32> = self.bindings.to(destination).collect();
        let mut emptied = Vec::new();
        for binding in incoming {
            let source = self.remove_binding(binding);
            let exchange = &self.exchanges[source as usize];
            // Once per source: it has a last binding only once.
            if exchange.outgoing.is_empty() {
                emptied.push(exchange.name.to_string());
            }
        }
        emptied
    }
}

#[cfg(test)]
mod tests;
