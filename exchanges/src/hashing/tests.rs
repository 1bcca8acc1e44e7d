//! How the hash and random types spread messages, and what moves when destinations change.

use std::collections::BTreeMap;

use proptest::prelude::*;
use warren_amqp::{AMQPValue, FieldTable, TableRef, short, table_from_fields};

use crate::ExchangeKind::{ConsistentHash, Delayed, Direct, ModulusHash, Random, RecentHistory};
use crate::{Destination, Envelope, ExchangeKind, ExchangeType, Routes, RoutingTable};

fn exchange(kind: ExchangeKind, arguments: &[(&str, AMQPValue)]) -> RoutingTable<u32> {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(short(key), value.clone());
    }
    let mut routing = RoutingTable::new();
    let exchange_type = ExchangeType::new(kind, &table).expect("valid arguments");
    routing.add_typed_exchange("e", exchange_type, None);
    routing
}

fn bind(table: &mut RoutingTable<u32>, queue: u32, key: &str) {
    let queue = Destination::Queue(queue);
    table
        .bind("e", queue, key, &FieldTable::default())
        .expect("the exchange is there");
}

fn unbind(table: &mut RoutingTable<u32>, queue: u32, key: &str) {
    let queue = Destination::Queue(queue);
    table.unbind("e", &queue, key, &FieldTable::default());
}

fn one(table: &RoutingTable<u32>, envelope: &Envelope<'_>) -> Option<u32> {
    let mut routes = Routes::default();
    table.route_message("e", envelope, &mut routes);
    assert!(routes.queues.len() <= 1, "one destination at most");
    routes.queues.first().copied()
}

fn by_key(table: &RoutingTable<u32>, key: &str) -> Option<u32> {
    one(
        table,
        &Envelope {
            keys: &[key],
            ..Envelope::default()
        },
    )
}

fn shares(table: &RoutingTable<u32>, messages: u32) -> BTreeMap<u32, u32> {
    let mut shares = BTreeMap::new();
    for n in 0..messages {
        if let Some(queue) = by_key(table, &format!("key.{n}")) {
            *shares.entry(queue).or_default() += 1;
        }
    }
    shares
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Shares are those of the weights, within what chance allows.
    #[test]
    fn s32_consistent_hash_spreads_by_weight(weights in prop::collection::vec(1u32..8, 1..8)) {
        let mut table = exchange(ConsistentHash, &[]);
        for (queue, weight) in (0..).zip(&weights) {
            bind(&mut table, queue, &weight.to_string());
        }
        let (messages, total) = (8000.0, f64::from(weights.iter().sum::<u32>()));
        let shares = shares(&table, 8000);
        for (queue, weight) in (0..).zip(&weights) {
            let p = f64::from(*weight) / total;
            let got = f64::from(shares.get(&queue).copied().unwrap_or(0));
            // Six standard deviations.
            let slack = 6.0 * (messages * p * (1.0 - p)).sqrt() + 1.0;
            prop_assert!((got - messages * p).abs() <= slack, "{got} of {}", messages * p);
        }
    }

    /// A destination that comes takes its share, one that goes gives back its own; nothing moves
    /// between the others, whatever the order they were bound in.
    #[test]
    fn s32_consistent_hash_moves_as_little_as_possible(
        weights in prop::collection::vec(1u32..5, 2..10),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut table = exchange(ConsistentHash, &[]);
        for (queue, weight) in (0..).zip(&weights) {
            bind(&mut table, queue, &weight.to_string());
        }
        let gone = gone.index(weights.len()) as u32;
        let keys: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let before: Vec<_> = keys.iter().map(|key| by_key(&table, key)).collect();
        let weight = weights[gone as usize].to_string();
        unbind(&mut table, gone, &weight);
        for (key, before) in keys.iter().zip(&before) {
            let after = by_key(&table, key);
            prop_assert!(after.is_some() && after != Some(gone));
            if *before != Some(gone) {
                prop_assert_eq!(after, *before);
            }
        }
        bind(&mut table, gone, &weight);
        for (key, before) in keys.iter().zip(&before) {
            prop_assert_eq!(by_key(&table, key), *before);
        }
    }

    /// The order of binding does not matter, and everybody gets something.
    #[test]
    fn s32_modulus_hash_depends_on_keys_and_destinations_only(
        mut queues in prop::collection::btree_set(0u32..1000, 1..10)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut table = exchange(ModulusHash, &[]);
        queues.iter().for_each(|queue| bind(&mut table, *queue, "any"));
        let first = shares(&table, 2000);
        prop_assert_eq!(first.len(), queues.len());
        queues.reverse();
        let mut table = exchange(ModulusHash, &[]);
        queues.iter().for_each(|queue| bind(&mut table, *queue, "other"));
        prop_assert_eq!(shares(&table, 2000), first);
    }
}

#[test]
fn s32_consistent_hash_binding_again_with_another_weight_changes_nothing() {
    let mut table = exchange(ConsistentHash, &[]);
    bind(&mut table, 1, "1");
    bind(&mut table, 2, "1");
    let before = shares(&table, 1000);
    bind(&mut table, 2, "50");
    assert_eq!(shares(&table, 1000), before);
    // The first binding goes: the other one is the first now.
    unbind(&mut table, 2, "1");
    assert!(shares(&table, 1000)[&2] > 900);
}

#[test]
fn s32_consistent_hash_by_header_and_property() {
    let header = exchange(
        ConsistentHash,
        &[("hash-header", AMQPValue::LongString("h".into()))],
    );
    let property = |name: &str| {
        exchange(
            ConsistentHash,
            &[("hash-property", AMQPValue::LongString(name.into()))],
        )
    };
    let tables = [
        header,
        property("message_id"),
        property("correlation_id"),
        property("timestamp"),
    ];
    for mut table in tables {
        (1..=4).for_each(|queue| bind(&mut table, queue, "1"));
        let mut hit = BTreeMap::new();
        for n in 0u64..200 {
            let mut headers = FieldTable::default();
            headers.insert(short("h"), AMQPValue::LongLongInt(n as i64));
            let (bytes, id) = (table_from_fields(&headers), n.to_string());
            let envelope = |key| Envelope {
                keys: key,
                headers: Some(TableRef::new(&bytes)),
                correlation_id: Some(id.as_bytes()),
                message_id: Some(id.as_bytes()),
                timestamp: Some(n),
                draw: n,
            };
            let found = one(&table, &envelope(&["a"]));
            // The routing key does not matter.
            assert_eq!(one(&table, &envelope(&["b"])), found);
            *hit.entry(found).or_insert(0) += 1;
        }
        assert_eq!(hit.len(), 4, "{hit:?}");
        // Messages without it stay together.
        assert_eq!(by_key(&table, "a"), by_key(&table, "b"));
        let outcome = table.route("e", &["a"], None, &mut Vec::new());
        assert!(!outcome.cacheable);
    }
}

#[test]
fn s32_consistent_hash_by_key_may_be_remembered() {
    let mut table = exchange(ConsistentHash, &[]);
    bind(&mut table, 1, "1");
    assert!(table.route("e", &["a"], None, &mut Vec::new()).cacheable);
}

#[test]
fn s32_random_gives_everybody_the_same() {
    let mut table = exchange(Random, &[]);
    (0..5).for_each(|queue| bind(&mut table, queue, "ignored"));
    let mut hit = BTreeMap::new();
    for draw in 0..5000 {
        let envelope = Envelope {
            keys: &["k"],
            draw,
            ..Envelope::default()
        };
        *hit.entry(one(&table, &envelope)).or_insert(0) += 1;
    }
    assert_eq!(hit.len(), 5);
    assert!(hit.values().all(|n| (800..1200).contains(n)), "{hit:?}");
    assert!(!table.route("e", &["k"], None, &mut Vec::new()).cacheable);
}

#[test]
fn s32_empty_ones_route_nowhere() {
    for kind in [ConsistentHash, ModulusHash, Random] {
        assert_eq!(by_key(&exchange(kind, &[]), "k"), None);
    }
}

#[test]
fn s32_recent_history_names_who_remembers() {
    let mut table = exchange(RecentHistory, &[]);
    table.add_exchange("source", Direct, None);
    let e = Destination::Exchange("e".to_owned());
    table
        .bind("source", e, "k", &FieldTable::default())
        .expect("both exist");
    let envelope = Envelope {
        keys: &["k"],
        ..Envelope::default()
    };
    for from in ["e", "source"] {
        let mut routes = Routes::<u32>::default();
        assert!(table.route_message(from, &envelope, &mut routes).cacheable);
        assert_eq!(routes.remembering, [Box::from("e")]);
    }
}

#[test]
fn s32_delayed_holds_what_asks_for_it() {
    let mut table = exchange(
        Delayed,
        &[("x-delayed-type", AMQPValue::LongString("direct".into()))],
    );
    bind(&mut table, 1, "k");
    for (delay, held) in [(1000, true), (0, false), (-1000, false)] {
        let mut headers = FieldTable::default();
        headers.insert(short("x-delay"), AMQPValue::LongInt(delay));
        let bytes = table_from_fields(&headers);
        let envelope = Envelope {
            keys: &["k"],
            headers: Some(TableRef::new(&bytes)),
            ..Envelope::default()
        };
        let mut routes = Routes::default();
        assert!(!table.route_message("e", &envelope, &mut routes).cacheable);
        assert_eq!(routes.delaying.len(), usize::from(held));
        assert_eq!(routes.queues.len(), usize::from(!held));
    }
    assert_eq!(by_key(&table, "k"), Some(1));
    assert_eq!(by_key(&table, "other"), None);
}
