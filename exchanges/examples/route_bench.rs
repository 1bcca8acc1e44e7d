//! Prints the time per route for tables of several sizes. Run it with `--release`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use warren_amqp::{AMQPValue, FieldTable, TableRef, short, table_from_fields};
use warren_exchanges::{Destination, ExchangeKind, RoutingTable};

fn main() {
    for n in [1_000, 10_000] {
        let table = topic(n);
        let keys: Vec<String> = (0..n)
            .map(|i| format!("eu.{}.shop{i}.paid", i % 7))
            .collect();
        let route = |i: usize, out: &mut Vec<u32>| {
            table.route("e", &[&keys[i % keys.len()]], None, out);
        };
        report(&format!("topic, {n} bindings"), route);
    }
    let table = direct(100_000);
    let keys: Vec<String> = (0..100_000).map(|i| format!("key.{i}")).collect();
    report("direct, 100000 bindings", |i, out| {
        table.route("e", &[&keys[i % keys.len()]], None, out);
    });
    for n in [100, 10_000] {
        let table = headers(n);
        let messages: Vec<Vec<u8>> = (0..n)
            .map(|i| table_from_fields(&conditions(i as i32)))
            .collect();
        report(&format!("headers, {n} bindings"), |i, out| {
            let headers = TableRef::parse(&messages[i % messages.len()]).ok();
            table.route("e", &[""], headers, out);
        });
    }
}

fn topic(n: usize) -> RoutingTable<u32> {
    let mut table = RoutingTable::new();
    table.add_exchange("e", ExchangeKind::Topic, None);
    for i in 0..n {
        let key = match i % 4 {
            0 => format!("eu.*.shop{i}.paid"),
            1 => format!("eu.{}.shop{i}.#", i % 7),
            2 => format!("#.shop{i}.paid"),
            _ => format!("eu.{}.shop{i}.paid", i % 7),
        };
        bind(&mut table, i, &key, &FieldTable::default());
    }
    table
}

fn direct(n: usize) -> RoutingTable<u32> {
    let mut table = RoutingTable::new();
    table.add_exchange("e", ExchangeKind::Direct, None);
    for i in 0..n {
        bind(&mut table, i, &format!("key.{i}"), &FieldTable::default());
    }
    table
}

fn headers(n: usize) -> RoutingTable<u32> {
    let mut table = RoutingTable::new();
    table.add_exchange("e", ExchangeKind::Headers, None);
    for i in 0..n {
        bind(&mut table, i, "", &conditions(i as i32));
    }
    table
}

fn conditions(i: i32) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(short("format"), AMQPValue::LongString("pdf".into()));
    table.insert(short("customer"), AMQPValue::LongInt(i));
    table.insert(short("region"), AMQPValue::LongInt(i % 5));
    table
}

fn bind(table: &mut RoutingTable<u32>, queue: usize, key: &str, arguments: &FieldTable) {
    let queue = Destination::Queue(queue as u32);
    table
        .bind("e", queue, key, arguments)
        .expect("the exchange exists");
}

/// Runs `route` for about half a second.
fn report(what: &str, mut route: impl FnMut(usize, &mut Vec<u32>)) {
    let (mut out, mut n, mut found) = (Vec::new(), 0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(500) {
        for _ in 0..1000 {
            out.clear();
            route(n, &mut out);
            found += black_box(&out).len();
            n += 1;
        }
    }
    let nanos = start.elapsed().as_nanos() as f64 / n as f64;
    println!(
        "{what:<26} {nanos:>7.0} ns/route, {:.2} queues each",
        found as f64 / n as f64
    );
}
