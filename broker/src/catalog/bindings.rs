//! The bindings of one vhost, found by destination and by source.

use std::collections::BTreeMap;

use super::command::BindingDef;
use super::exact;

/// A queue (true) or exchange (false) and its name.
type Destination = (bool, String);
/// Source, routing key and the JSON of the arguments: what tells bindings of one destination
/// apart.
type Tail = (String, String, Vec<u8>);

/// No binding is in it twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bindings {
    by_destination: BTreeMap<Destination, BTreeMap<Tail, BindingDef>>,
    /// For each source, how many bindings it has to each destination.
    by_source: BTreeMap<String, BTreeMap<Destination, usize>>,
}

impl Bindings {
    pub(super) fn iter(&self) -> impl Iterator<Item = &BindingDef> {
        self.by_destination.values().flat_map(BTreeMap::values)
    }

    pub(super) fn contains(&self, binding: &BindingDef) -> bool {
        let here = self.by_destination.get(&destination(binding));
        here.is_some_and(|here| here.contains_key(&tail(binding)))
    }

    /// Those with the same ends and routing key, whatever their arguments.
    pub(super) fn like(&self, binding: &BindingDef) -> impl Iterator<Item = &BindingDef> {
        let (source, key) = (binding.source.clone(), binding.routing_key.clone());
        let here = self.by_destination.get(&destination(binding)).into_iter();
        here.flat_map(move |here| {
            let (source, key) = (source.clone(), key.clone());
            here.range((source.clone(), key.clone(), Vec::new())..)
                .take_while(move |((s, k, _), _)| *s == source && *k == key)
                .map(|(_, binding)| binding)
        })
    }

    /// Whether it was not there before.
    pub(super) fn insert(&mut self, binding: BindingDef) -> bool {
        let destination = destination(&binding);
        let source = binding.source.clone();
        let here = self.by_destination.entry(destination.clone()).or_default();
        if here.insert(tail(&binding), binding).is_some() {
            return false;
        }
        *self
            .by_source
            .entry(source)
            .or_default()
            .entry(destination)
            .or_default() += 1;
        true
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, binding: &BindingDef) -> bool {
        let destination = destination(binding);
        let Some(here) = self.by_destination.get_mut(&destination) else {
            return false;
        };
        if here.remove(&tail(binding)).is_none() {
            return false;
        }
        if here.is_empty() {
            self.by_destination.remove(&destination);
        }
        if let Some(destinations) = self.by_source.get_mut(&binding.source) {
            if let Some(n) = destinations.get_mut(&destination) {
                *n -= 1;
                if *n == 0 {
                    destinations.remove(&destination);
                }
            }
            if destinations.is_empty() {
                self.by_source.remove(&binding.source);
            }
        }
        true
    }

    /// Takes out all bindings of a queue.
    pub(super) fn take_queue(&mut self, name: &str) -> Vec<BindingDef> {
        self.take_destination((true, name.to_owned()))
    }

    /// Takes out all bindings from and to an exchange.
    pub(super) fn take_exchange(&mut self, name: &str) -> Vec<BindingDef> {
        let mut taken = self.take_destination((false, name.to_owned()));
        let sourced: Vec<BindingDef> = self
            .by_source
            .get(name)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter_map(|destination| self.by_destination.get(destination))
            .flat_map(|here| {
                let first: Tail = (name.to_owned(), String::new(), Vec::new());
                here.range(first..)
                    .take_while(|((source, ..), _)| source == name)
            })
            .map(|(_, binding)| binding.clone())
            .collect();
        for binding in sourced {
            self.remove(&binding);
            taken.push(binding);
        }
        taken
    }

    fn take_destination(&mut self, destination: Destination) -> Vec<BindingDef> {
        let here = self.by_destination.get(&destination).into_iter();
        let taken: Vec<BindingDef> = here.flat_map(BTreeMap::values).cloned().collect();
        for binding in &taken {
            self.remove(binding);
        }
        taken
    }
}

fn destination(binding: &BindingDef) -> Destination {
    (binding.destination_is_queue, binding.destination.clone())
}

fn tail(binding: &BindingDef) -> Tail {
    (
        binding.source.clone(),
        binding.routing_key.clone(),
        exact::to_json(&binding.arguments),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_amqp::{AMQPValue, FieldTable};

    use super::super::testing::entry;
    use super::*;

    fn binding(source: &str, to_queue: bool, destination: &str, key: &str) -> BindingDef {
        BindingDef {
            source: source.to_owned(),
            destination: destination.to_owned(),
            destination_is_queue: to_queue,
            routing_key: key.to_owned(),
            arguments: FieldTable::default(),
        }
    }

    #[test]
    fn arguments_tell_bindings_apart() {
        let mut bindings = Bindings::default();
        let plain = binding("x", true, "q", "k");
        let other = BindingDef {
            arguments: entry("a", AMQPValue::LongLongInt(1)),
            ..plain.clone()
        };
        assert!(bindings.insert(plain.clone()) && bindings.insert(other.clone()));
        assert!(!bindings.insert(plain.clone()) && !bindings.insert(other));
        assert_eq!(bindings.iter().count(), 2);
        assert!(bindings.remove(&plain) && !bindings.remove(&plain));
        assert_eq!(bindings.take_queue("q").len(), 1);
        assert_eq!(bindings, Bindings::default());
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_list_without_duplicates(
            steps in prop::collection::vec((0..4u8, "[ab]", any::<bool>(), "[ab]", "[ab]?"), 0..40)
        ) {
            let mut bindings = Bindings::default();
            let mut model: Vec<BindingDef> = Vec::new();
            for (what, source, to_queue, destination, key) in steps {
                let binding = binding(&source, to_queue, &destination, &key);
                match what {
                    0 => {
                        let new = !model.contains(&binding);
                        prop_assert_eq!(bindings.insert(binding.clone()), new);
                        if new {
                            model.push(binding);
                        }
                    }
                    1 => {
                        let before = model.len();
                        model.retain(|known| *known != binding);
                        prop_assert_eq!(bindings.remove(&binding), model.len() < before);
                    }
                    2 => {
                        let before = model.len();
                        model.retain(|b| !b.destination_is_queue || b.destination != source);
                        prop_assert_eq!(bindings.take_queue(&source).len(), before - model.len());
                    }
                    _ => {
                        let before = model.len();
                        model.retain(|b| {
                            b.source != source
                                && (b.destination_is_queue || b.destination != source)
                        });
                        let taken = bindings.take_exchange(&source);
                        prop_assert_eq!(taken.len(), before - model.len());
                    }
                }
                prop_assert_eq!(bindings.iter().count(), model.len());
                prop_assert!(model.iter().all(|binding| bindings.contains(binding)));
            }
            for name in ["a", "b"] {
                bindings.take_queue(name);
                bindings.take_exchange(name);
            }
            prop_assert_eq!(bindings, Bindings::default());
        }
    }
}
