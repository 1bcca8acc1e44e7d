//! Tests of routing across exchanges.

use warren_amqp::{AMQPValue, FieldTable, TableRef, short, table_from_fields};

use crate::ExchangeKind::{Direct, Fanout, Headers, Topic};
use crate::{Destination, RouteOutcome, RoutingTable};

const NOTHING: [u32; 0] = [];

fn bind(table: &mut RoutingTable<u32>, source: &str, queue: u32, key: &str) {
    table
        .bind(
            source,
            Destination::Queue(queue),
            key,
            &FieldTable::default(),
        )
        .expect("exists");
}

fn chain(table: &mut RoutingTable<u32>, source: &str, to: &str, key: &str) {
    let to = Destination::Exchange(to.to_owned());
    table
        .bind(source, to, key, &FieldTable::default())
        .expect("both exist");
}

fn route(table: &RoutingTable<u32>, exchange: &str, keys: &[&str]) -> Vec<u32> {
    let mut out = Vec::new();
    assert!(table.route(exchange, keys, None, &mut out).exchange_exists);
    out.sort_unstable();
    out
}

#[test]
fn by_type() {
    let mut table = RoutingTable::new();
    for kind in [Direct, Fanout, Topic] {
        let name = kind.as_str();
        table.add_exchange(name, kind, None);
        for (queue, key) in [(1, "a.b"), (2, "a.*"), (3, "#"), (4, "")] {
            bind(&mut table, name, queue, key);
        }
    }
    assert_eq!(route(&table, "direct", &["a.b"]), [1]);
    assert_eq!(route(&table, "direct", &["a.*"]), [2]);
    assert_eq!(route(&table, "direct", &[""]), [4]);
    assert_eq!(route(&table, "direct", &["x"]), NOTHING);
    assert_eq!(route(&table, "fanout", &["x"]), [1, 2, 3, 4]);
    assert_eq!(route(&table, "topic", &["a.b"]), [1, 2, 3]);
    assert_eq!(route(&table, "topic", &[""]), [3, 4]);
}

#[test]
fn a_missing_exchange() {
    let table = RoutingTable::<u32>::new();
    let outcome = table.route("nope", &["k"], None, &mut Vec::new());
    assert_eq!(
        outcome,
        RouteOutcome {
            exchange_exists: false,
            cacheable: true
        }
    );
}

#[test]
fn x18_each_queue_once() {
    let mut table = RoutingTable::new();
    table.add_exchange("t", Topic, None);
    table.add_exchange("f", Fanout, None);
    for key in ["a", "*", "#", "b"] {
        bind(&mut table, "t", 1, key);
    }
    chain(&mut table, "t", "f", "#");
    bind(&mut table, "f", 1, "");
    bind(&mut table, "f", 2, "");
    assert_eq!(route(&table, "t", &["a"]), [1, 2]);
    assert_eq!(route(&table, "t", &["a", "b", "a"]), [1, 2]);
}

#[test]
fn what_is_in_the_list_already_stays() {
    let mut table = RoutingTable::new();
    table.add_exchange("f", Fanout, None);
    bind(&mut table, "f", 2, "");
    let mut out = vec![9];
    table.route("f", &[""], None, &mut out);
    assert_eq!(out, [9, 2]);
}

#[test]
fn x19_exchanges_route_on_by_their_own_type() {
    let mut table = RoutingTable::new();
    table.add_exchange("f", Fanout, None);
    table.add_exchange("d", Direct, None);
    table.add_exchange("t", Topic, None);
    chain(&mut table, "f", "d", "ignored");
    chain(&mut table, "d", "t", "k.1");
    bind(&mut table, "d", 1, "k.2");
    bind(&mut table, "t", 2, "k.*");
    assert_eq!(route(&table, "f", &["k.1"]), [2]);
    assert_eq!(route(&table, "f", &["k.2"]), [1]);
    assert_eq!(route(&table, "f", &["x"]), NOTHING);
}

#[test]
fn x19_cycles_are_visited_once() {
    let mut table = RoutingTable::new();
    let names: Vec<String> = (0..50).map(|n| format!("e{n}")).collect();
    for (name, queue) in names.iter().zip(0..) {
        table.add_exchange(name, Fanout, None);
        bind(&mut table, name, queue, "");
    }
    for a in &names {
        for b in &names {
            chain(&mut table, a, b, "");
        }
    }
    assert_eq!(route(&table, "e7", &[""]), (0..50).collect::<Vec<u32>>());
}

#[test]
fn x41_the_alternate_is_used_when_nothing_is_found() {
    let mut table = RoutingTable::new();
    table.add_exchange("d", Direct, Some("ae"));
    table.add_exchange("ae", Fanout, None);
    bind(&mut table, "d", 1, "k");
    bind(&mut table, "ae", 2, "");
    assert_eq!(route(&table, "d", &["k"]), [1]);
    assert_eq!(route(&table, "d", &["other"]), [2]);
    // One key that finds something is enough.
    assert_eq!(route(&table, "d", &["other", "k"]), [1]);
}

#[test]
fn x41_alternates_chain_and_loop() {
    let mut table = RoutingTable::new();
    table.add_exchange("a", Direct, Some("b"));
    table.add_exchange("b", Direct, Some("c"));
    table.add_exchange("c", Direct, Some("a"));
    assert_eq!(route(&table, "a", &["k"]), NOTHING);
    bind(&mut table, "c", 1, "k");
    assert_eq!(route(&table, "a", &["k"]), [1]);
    table.add_exchange("self", Direct, Some("self"));
    assert_eq!(route(&table, "self", &["k"]), NOTHING);
}

#[test]
fn x41_a_missing_alternate_is_ignored() {
    let mut table = RoutingTable::new();
    table.add_exchange("d", Direct, Some("later"));
    assert_eq!(route(&table, "d", &["k"]), NOTHING);
    table.add_exchange("later", Fanout, None);
    bind(&mut table, "later", 1, "");
    assert_eq!(route(&table, "d", &["k"]), [1]);
    table.remove_exchange("later");
    assert_eq!(route(&table, "d", &["k"]), NOTHING);
}

#[test]
fn x41_an_exchange_as_destination_is_something_found() {
    let mut table = RoutingTable::new();
    table.add_exchange("a", Fanout, Some("ae"));
    table.add_exchange("b", Direct, None);
    table.add_exchange("ae", Fanout, None);
    chain(&mut table, "a", "b", "");
    bind(&mut table, "ae", 1, "");
    // "b" finds nothing, but "a" did; only the alternate of "b" could help now.
    assert_eq!(route(&table, "a", &["k"]), NOTHING);
    table.set_alternate("b", Some("ae"));
    assert_eq!(route(&table, "a", &["k"]), [1]);
}

#[test]
fn x40_the_alternate_can_change() {
    let mut table = RoutingTable::new();
    table.add_exchange("d", Direct, None);
    table.add_exchange("ae", Fanout, None);
    bind(&mut table, "ae", 1, "");
    assert_eq!(route(&table, "d", &["k"]), NOTHING);
    table.set_alternate("d", Some("ae"));
    assert_eq!(route(&table, "d", &["k"]), [1]);
    table.set_alternate("d", None);
    assert_eq!(route(&table, "d", &["k"]), NOTHING);
    table.set_alternate("nope", Some("ae"));
}

/// Row X-42: to the caller a message taken by the alternate is routed like any other.
#[test]
fn x42_routed_by_the_alternate_is_routed() {
    let mut table = RoutingTable::new();
    table.add_exchange("d", Direct, Some("ae"));
    table.add_exchange("ae", Direct, None);
    bind(&mut table, "ae", 1, "k");
    let mut out = Vec::new();
    let outcome = table.route("d", &["k"], None, &mut out);
    assert_eq!(
        outcome,
        RouteOutcome {
            exchange_exists: true,
            cacheable: true
        }
    );
    assert_eq!(out, [1]);
    assert_eq!(route(&table, "d", &["other"]), NOTHING);
}

#[test]
fn x35_headers_exchanges_ignore_keys_and_forbid_remembering() {
    let mut table = RoutingTable::new();
    table.add_exchange("h", Headers, None);
    table.add_exchange("d", Direct, Some("h"));
    bind(&mut table, "d", 1, "k");
    let mut arguments = FieldTable::default();
    arguments.insert(short("a"), AMQPValue::LongInt(1));
    table
        .bind("h", Destination::Queue(2), "key", &arguments)
        .expect("exists");

    let bytes = table_from_fields(&arguments);
    let headers = Some(TableRef::parse(&bytes).expect("well formed"));
    let ask = |exchange, key, headers| {
        let mut out = Vec::new();
        let outcome = table.route(exchange, &[key], headers, &mut out);
        (out, outcome.cacheable)
    };
    assert_eq!(ask("h", "any key", headers), (vec![2], false));
    assert_eq!(ask("h", "key", None), (vec![], false));
    assert_eq!(ask("d", "k", headers), (vec![1], true));
    assert_eq!(ask("d", "other", headers), (vec![2], false));
}
