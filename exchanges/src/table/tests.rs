//! Tests of binding, unbinding and removing, row by row and against a plain list of bindings.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use warren_amqp::{AMQPValue, FieldTable, short};

use super::*;
use crate::ExchangeKind::{Direct, Fanout, Headers, Topic};

type Table = RoutingTable<u32>;

fn none() -> FieldTable {
    FieldTable::default()
}

fn args(entries: &[(&str, i32)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(short(key), AMQPValue::LongInt(*value));
    }
    table
}

fn exchange(name: &str) -> Destination<u32> {
    Destination::Exchange(name.to_owned())
}

fn route(table: &Table, exchange: &str, key: &str) -> Vec<u32> {
    let mut out = Vec::new();
    table.route(exchange, &[key], None, &mut out);
    out.sort_unstable();
    out
}

#[test]
fn x15_the_same_binding_twice_is_one() {
    let mut table = Table::new();
    table.add_exchange("e", Direct, None);
    let queue = Destination::Queue(1);
    assert_eq!(
        table.bind("e", queue.clone(), "k", &args(&[("a", 1), ("b", 2)])),
        Ok(true)
    );
    assert_eq!(
        table.bind("e", queue.clone(), "k", &args(&[("b", 2), ("a", 1)])),
        Ok(false)
    );
    // Other arguments, another key, another queue: other bindings.
    assert_eq!(table.bind("e", queue.clone(), "k", &none()), Ok(true));
    assert_eq!(table.bind("e", queue.clone(), "l", &none()), Ok(true));
    assert_eq!(
        table.bind("e", Destination::Queue(2), "k", &none()),
        Ok(true)
    );
    assert_eq!(table.bindings().count(), 4);
    assert_eq!(table.bindings_to(&queue).count(), 3);
    // The route by "k" lives until the last of both bindings to queue 1 is gone.
    assert!(table.unbind("e", &queue, "k", &none()).removed);
    assert_eq!(route(&table, "e", "k"), [1, 2]);
    assert!(
        table
            .unbind("e", &queue, "k", &args(&[("a", 1), ("b", 2)]))
            .removed
    );
    assert_eq!(route(&table, "e", "k"), [2]);
}

#[test]
fn x15_a_binding_with_a_nan_can_be_removed() {
    let mut table = Table::new();
    table.add_exchange("e", Fanout, None);
    let mut nan = none();
    nan.insert(short("a"), AMQPValue::Double(f64::NAN));
    assert_eq!(table.bind("e", Destination::Queue(1), "", &nan), Ok(true));
    assert_eq!(table.bind("e", Destination::Queue(1), "", &nan), Ok(false));
    assert!(table.unbind("e", &Destination::Queue(1), "", &nan).removed);
}

#[test]
fn x15_unbinding_what_is_missing_is_nothing() {
    let mut table = Table::new();
    table.add_exchange("e", Direct, None);
    table
        .bind("e", Destination::Queue(1), "k", &none())
        .expect("exists");
    for (source, queue, key) in [("nope", 1, "k"), ("e", 2, "k"), ("e", 1, "l")] {
        let unbound = table.unbind(source, &Destination::Queue(queue), key, &none());
        assert_eq!(unbound, Unbound::default());
    }
    assert_eq!(table.bindings().count(), 1);
}

#[test]
fn x16_missing_ends() {
    let mut table = Table::new();
    table.add_exchange("e", Direct, None);
    let missing = table.bind("nope", Destination::Queue(1), "", &none());
    assert_eq!(missing, Err(BindError::NoSuchSource("nope".into())));
    let missing = table.bind("e", exchange("nope"), "", &none());
    assert_eq!(missing, Err(BindError::NoSuchDestination("nope".into())));
    assert_eq!(table.bindings_to(&exchange("nope")).count(), 0);
}

#[test]
fn x30_refused_arguments_make_no_binding() {
    let mut table = Table::new();
    table.add_exchange("e", Headers, None);
    let refused = table.bind("e", Destination::Queue(1), "", &args(&[("x-match", 5)]));
    assert!(matches!(refused, Err(BindError::InvalidArguments(_))));
    assert!(!table.has_bindings_from("e"));
}

#[test]
fn x12_the_last_binding_of_a_source() {
    let mut table = Table::new();
    table.add_exchange("e", Direct, None);
    assert!(!table.has_bindings_from("e"));
    for key in ["k", "l"] {
        table
            .bind("e", Destination::Queue(1), key, &none())
            .expect("exists");
    }
    let unbound = table.unbind("e", &Destination::Queue(1), "k", &none());
    assert_eq!(
        unbound,
        Unbound {
            removed: true,
            source_now_empty: false
        }
    );
    let unbound = table.unbind("e", &Destination::Queue(1), "l", &none());
    assert_eq!(
        unbound,
        Unbound {
            removed: true,
            source_now_empty: true
        }
    );
    assert!(!table.has_bindings_from("e"));
    // Never before there was one.
    let unbound = table.unbind("e", &Destination::Queue(1), "l", &none());
    assert_eq!(unbound, Unbound::default());
}

#[test]
fn x20_removing_a_queue() {
    let mut table = Table::new();
    for name in ["a", "b", "c"] {
        table.add_exchange(name, Fanout, None);
    }
    for (source, queue, key) in [("a", 1, ""), ("a", 1, "k"), ("b", 1, ""), ("b", 2, "")] {
        table
            .bind(source, Destination::Queue(queue), key, &none())
            .expect("exists");
    }
    assert_eq!(table.remove_queue(&1), ["a"]);
    assert_eq!(route(&table, "b", ""), [2]);
    assert_eq!(table.remove_queue(&1), Vec::<String>::new());
    assert_eq!(table.bindings().count(), 1);
}

#[test]
fn x20_removing_an_exchange() {
    let mut table = Table::new();
    for name in ["up", "up2", "x", "down"] {
        table.add_exchange(name, Fanout, None);
    }
    table
        .bind("up", exchange("x"), "", &none())
        .expect("exists");
    table
        .bind("up2", exchange("x"), "", &none())
        .expect("exists");
    table
        .bind("up2", Destination::Queue(9), "", &none())
        .expect("exists");
    table
        .bind("x", exchange("down"), "", &none())
        .expect("exists");
    table.bind("x", exchange("x"), "", &none()).expect("exists");
    table
        .bind("x", Destination::Queue(1), "", &none())
        .expect("exists");
    table
        .bind("down", Destination::Queue(2), "", &none())
        .expect("exists");
    assert_eq!(route(&table, "up2", ""), [1, 2, 9]);
    // "x" itself is not named: it is gone.
    assert_eq!(table.remove_exchange("x"), ["up"]);
    assert!(!table.contains_exchange("x"));
    assert_eq!(route(&table, "up2", ""), [9]);
    assert_eq!(table.bindings().count(), 2);
    assert_eq!(table.remove_exchange("x"), Vec::<String>::new());
    // A new one of the same name starts without bindings.
    table.add_exchange("x", Direct, None);
    assert!(!table.has_bindings_from("x"));
    assert_eq!(table.bindings_to(&exchange("x")).count(), 0);
}

#[test]
fn adding_again_changes_nothing() {
    let mut table = Table::new();
    table.add_exchange("e", Fanout, None);
    table
        .bind("e", Destination::Queue(1), "k", &none())
        .expect("exists");
    table.add_exchange("e", Direct, Some("other"));
    assert_eq!(route(&table, "e", "another key"), [1]);
}

#[test]
fn listings_show_every_binding() {
    let mut table = Table::new();
    table.add_exchange("a", Topic, None);
    table.add_exchange("b", Fanout, None);
    table
        .bind("a", exchange("b"), "x.#", &args(&[("n", 1)]))
        .expect("exists");
    table
        .bind("b", Destination::Queue(1), "", &none())
        .expect("exists");
    let listed: Vec<_> = table.bindings_from("a").collect();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].source, listed[0].routing_key), ("a", "x.#"));
    assert_eq!(listed[0].destination, &exchange("b"));
    assert_eq!(listed[0].arguments, &args(&[("n", 1)]));
    assert_eq!(table.bindings_from("nope").count(), 0);
}

/// Removing from a crowd must not search it: a quadratic implementation takes minutes here.
#[test]
fn large_crowds_come_and_go() {
    let mut table = Table::new();
    for kind in [Direct, Fanout, Topic, Headers] {
        table.add_exchange(kind.as_str(), kind, None);
        for n in 0..20_000 {
            let arguments = args(&[("n", n as i32)]);
            let new = table.bind(kind.as_str(), Destination::Queue(n), "one.key", &arguments);
            assert_eq!(new, Ok(true));
            let new = table.bind(kind.as_str(), Destination::Queue(1), "one.key", &arguments);
            assert_eq!(new, Ok(n != 1));
        }
    }
    for n in (0..20_000).rev() {
        table.remove_queue(&n);
    }
    assert_eq!(table.bindings().count(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    RemoveExchange(usize),
    RemoveQueue(u32),
    Bind(usize, Destination<u32>, &'static str, i32),
    Unbind(usize, Destination<u32>, &'static str, i32),
}

const NAMES: [&str; 4] = ["direct", "fanout", "topic", "headers"];

fn destination() -> impl Strategy<Value = Destination<u32>> {
    prop_oneof![
        (0u32..4).prop_map(Destination::Queue),
        (0usize..4).prop_map(|n| exchange(NAMES[n])),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop_oneof![Just("a"), Just("*"), Just("")];
    prop_oneof![
        2 => (0usize..4).prop_map(Step::Add),
        1 => (0usize..4).prop_map(Step::RemoveExchange),
        1 => (0u32..4).prop_map(Step::RemoveQueue),
        8 => (0usize..4, destination(), key(), 0..2).prop_map(|(s, d, k, a)| Step::Bind(s, d, k, a)),
        5 => (0usize..4, destination(), key(), 0..2).prop_map(|(s, d, k, a)| Step::Unbind(s, d, k, a)),
    ]
}

type ModelBinding = (String, String, String, i32);

/// The obvious implementation.
#[derive(Default)]
struct Model {
    exchanges: BTreeSet<&'static str>,
    bindings: BTreeSet<ModelBinding>,
}

impl Model {
    fn has_from(&self, name: &str) -> bool {
        self.bindings.iter().any(|(source, ..)| source == name)
    }

    fn remove(&mut self, gone: impl Fn(&ModelBinding) -> bool) -> BTreeSet<String> {
        let sources: BTreeSet<String> = self
            .bindings
            .iter()
            .filter(|b| gone(b))
            .map(|b| b.0.clone())
            .collect();
        self.bindings.retain(|binding| !gone(binding));
        sources
            .into_iter()
            .filter(|name| !self.has_from(name))
            .collect()
    }

    /// The queues by routing key "a" and no headers.
    fn route(&self, first: &str) -> BTreeSet<String> {
        let (mut work, mut queues) = (vec![first.to_owned()], BTreeSet::new());
        let mut seen = BTreeSet::new();
        while let Some(name) = work.pop() {
            if !self.exchanges.contains(name.as_str()) || !seen.insert(name.clone()) {
                continue;
            }
            for (source, to, key, argument) in &self.bindings {
                let matched = match name.as_str() {
                    "direct" => key == "a",
                    "topic" => key == "a" || key == "*",
                    "headers" => *argument == 0,
                    _ => true,
                };
                if *source == name && matched {
                    match to.strip_prefix("Exchange ") {
                        Some(exchange) => work.push(exchange.to_owned()),
                        None => _ = queues.insert(to.clone()),
                    }
                }
            }
        }
        queues
    }
}

fn label(destination: &Destination<u32>) -> String {
    match destination {
        Destination::Queue(n) => format!("Queue {n}"),
        Destination::Exchange(name) => format!("Exchange {name}"),
    }
}

/// Argument 0 is no argument.
fn step_args(argument: i32) -> FieldTable {
    if argument == 0 {
        none()
    } else {
        args(&[("h", argument)])
    }
}

fn apply(table: &mut Table, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Add(n) => {
            table.add_exchange(NAMES[n], NAMES[n].parse().expect("a type's name"), None);
            model.exchanges.insert(NAMES[n]);
        }
        Step::RemoveExchange(n) => {
            let emptied: BTreeSet<String> = table.remove_exchange(NAMES[n]).into_iter().collect();
            model.exchanges.remove(NAMES[n]);
            let this = format!("Exchange {}", NAMES[n]);
            let mut expected = model.remove(|(source, to, ..)| source == NAMES[n] || *to == this);
            expected.remove(NAMES[n]);
            prop_assert_eq!(emptied, expected);
        }
        Step::RemoveQueue(n) => {
            let emptied: BTreeSet<String> = table.remove_queue(&n).into_iter().collect();
            let this = format!("Queue {n}");
            prop_assert_eq!(emptied, model.remove(|(_, to, ..)| *to == this));
        }
        Step::Bind(source, to, key, argument) => {
            let label = label(&to);
            let known = model.exchanges.contains(NAMES[source])
                && match &to {
                    Destination::Queue(_) => true,
                    Destination::Exchange(name) => model.exchanges.contains(name.as_str()),
                };
            let new = table.bind(NAMES[source], to, key, &step_args(argument));
            prop_assert_eq!(new.is_ok(), known);
            if known {
                let binding = (NAMES[source].to_owned(), label, key.to_owned(), argument);
                prop_assert_eq!(new, Ok(model.bindings.insert(binding)));
            }
        }
        Step::Unbind(source, to, key, argument) => {
            let unbound = table.unbind(NAMES[source], &to, key, &step_args(argument));
            let binding = (
                NAMES[source].to_owned(),
                label(&to),
                key.to_owned(),
                argument,
            );
            let removed = model.bindings.remove(&binding);
            let source_now_empty = removed && !model.has_from(NAMES[source]);
            prop_assert_eq!(
                unbound,
                Unbound {
                    removed,
                    source_now_empty
                }
            );
        }
    }
    Ok(())
}

fn listed<'a>(bindings: impl Iterator<Item = Binding<'a, u32>>) -> BTreeMap<ModelBinding, usize> {
    let mut counts = BTreeMap::new();
    for b in bindings {
        let argument = i32::from(!b.arguments.inner().is_empty());
        let binding = (
            b.source.to_owned(),
            label(b.destination),
            b.routing_key.to_owned(),
            argument,
        );
        *counts.entry(binding).or_default() += 1;
    }
    counts
}

fn check(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    let expect = |keep: &dyn Fn(&ModelBinding) -> bool| -> BTreeMap<ModelBinding, usize> {
        model
            .bindings
            .iter()
            .filter(|b| keep(b))
            .map(|b| (b.clone(), 1))
            .collect()
    };
    prop_assert_eq!(listed(table.bindings()), expect(&|_| true));
    for name in NAMES {
        prop_assert_eq!(listed(table.bindings_from(name)), expect(&|b| b.0 == name));
        let to = exchange(name);
        prop_assert_eq!(
            listed(table.bindings_to(&to)),
            expect(&|b| b.1 == label(&to))
        );
        prop_assert_eq!(table.has_bindings_from(name), model.has_from(name));
        prop_assert_eq!(
            table.contains_exchange(name),
            model.exchanges.contains(name)
        );
        let mut out = Vec::new();
        let outcome = table.route(name, &["a"], None, &mut out);
        prop_assert_eq!(outcome.exchange_exists, model.exchanges.contains(name));
        let found: Vec<String> = out.iter().map(|n| format!("Queue {n}")).collect();
        let distinct: BTreeSet<String> = found.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), found.len());
        prop_assert_eq!(distinct, model.route(name));
    }
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_a_list_of_bindings(steps in prop::collection::vec(step(), 0..120)) {
        let mut table = Table::new();
        let mut model = Model::default();
        for n in 0..4 {
            apply(&mut table, &mut model, Step::Add(n))?;
        }
        for step in steps {
            apply(&mut table, &mut model, step)?;
            check(&table, &model)?;
        }
    }
}
