//! Queues of type quorum on one node: what they refuse, what they store, how returns are counted.

use crate::{
    dialogue::*,
    harness::{Broker, client, unique},
};

fn quorum(q: &str, arguments: &[(&str, AMQPValue)]) -> queue::Declare {
    let mut all = vec![("x-queue-type", string("quorum"))];
    all.extend_from_slice(arguments);
    queue::Declare {
        durable: true,
        ..declare_with(q, table(&all))
    }
}

fn delivery_count(headers: &FieldTable) -> Option<AMQPValue> {
    headers.inner().get("x-delivery-count").cloned()
}

#[test]
fn q30_quorum_queues_are_durable_shared_and_permanent() {
    for name in ["non-durable", "exclusive-owner", "auto-delete"] {
        let mut c = client();
        let q = unique("q30");
        let mut declared = quorum(&q, &[]);
        match name {
            "non-durable" => declared.durable = false,
            "exclusive-owner" => declared.exclusive = true,
            _ => declared.auto_delete = true,
        }
        c.send(1, declared);
        let text =
            format!("PRECONDITION_FAILED - invalid property '{name}' for queue '{q}' in vhost '/'");
        c.expect_channel_error(1, 406, &text, (50, 10));
    }
}

#[test]
fn q02_quorum_queues_are_not_named_by_the_server() {
    let mut c = client();
    c.send(1, quorum("", &[]));
    let text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type \
                rabbit_quorum_queue";
    c.expect_channel_error(1, 406, text, (50, 10));
}

#[test]
fn q32_max_priority_is_not_for_quorum_queues() {
    let mut c = client();
    let q = unique("q32");
    c.send(1, quorum(&q, &[("x-max-priority", int(5))]));
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '{q}' in vhost '/' of queue \
         type rabbit_quorum_queue"
    );
    c.expect_channel_error(1, 406, &text, (50, 10));
}

#[test]
fn q31_reject_publish_dlx_drops_the_head() {
    let mut c = client();
    let q = unique("q31");
    let limits = [
        ("x-max-length", int(1)),
        ("x-overflow", string("reject-publish-dlx")),
    ];
    c.call(1, quorum(&q, &limits));
    c.put(&q, "old");
    c.put(&q, "new");
    assert_eq!(c.drain(&q), ["new"]);
    c.call(1, delete(&q));
}

#[test]
fn q05_a_quorum_queue_is_not_redeclared_as_classic() {
    let mut c = client();
    let q = unique("q5");
    c.call(1, quorum(&q, &[]));
    c.call(1, quorum(&q, &[]));
    c.send(
        1,
        queue::Declare {
            durable: true,
            ..declare(&q)
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{q}' in vhost '/': \
         received none but current is the value 'quorum' of type 'longstr'"
    );
    c.expect_channel_error(1, 406, &text, (50, 10));
    c.open_channel(1);
    c.call(1, delete(&q));
}

#[test]
fn q13_conditions_of_a_delete_are_not_supported() {
    for unused in [true, false] {
        let mut c = client();
        let q = unique("q13");
        c.call(1, quorum(&q, &[]));
        c.send(
            1,
            queue::Delete {
                if_unused: unused,
                if_empty: !unused,
                ..delete(&q)
            },
        );
        let flag = if unused { "if-unused" } else { "if-empty" };
        let text = format!(
            "NOT_IMPLEMENTED - cannot delete queue '{q}' in vhost '/'. queue.delete operations \
             with {flag} flag set are not supported by quorum queues"
        );
        c.expect_connection_error(540, &text, (50, 40));
        client().call(1, delete(&q));
    }
}

#[test]
fn h78_global_qos_is_not_supported() {
    let mut c = client();
    let q = unique("h78");
    c.call(1, quorum(&q, &[]));
    c.call(
        1,
        basic::Qos {
            global: true,
            ..qos(10)
        },
    );
    c.send(1, consume(&q, ""));
    let text = format!("NOT_IMPLEMENTED - queue '{q}' in vhost '/' does not support global qos");
    c.expect_connection_error(540, &text, (60, 20));
    client().call(1, delete(&q));
}

#[test]
fn h107_exclusive_consumers_are_shared() {
    let mut c = client();
    let q = unique("h107");
    c.call(1, quorum(&q, &[]));
    for tag in ["a", "b"] {
        c.call(
            1,
            basic::Consume {
                exclusive: true,
                ..consume(&q, tag)
            },
        );
    }
    c.call(1, delete(&q));
}

#[test]
fn q19_get_and_single_active_consumer() {
    let mut c = client();
    let q = unique("q19");
    c.call(
        1,
        quorum(&q, &[("x-single-active-consumer", boolean(true))]),
    );
    c.send(1, get(&q));
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain access to locked queue '{q}' in vhost '/'. basic.get \
         operations are not supported by quorum queues with single active consumer"
    );
    c.expect_channel_error(1, 405, &text, (60, 70));
    c.open_channel(1);
    c.call(1, delete(&q));
}

#[test]
fn h89_redeliveries_are_counted() {
    let mut c = client();
    let q = unique("h89");
    c.call(1, quorum(&q, &[]));
    c.put(&q, "x");
    for count in 0..4 {
        let got = c.get_eventually(&q);
        let expected = (count > 0).then(|| long(count));
        assert_eq!(delivery_count(&got.headers()), expected);
        assert_eq!(got.method.redelivered, count > 0);
        c.send(1, reject(got.method.delivery_tag, true));
    }
    // Losing the channel counts too.
    let got = c.get_eventually(&q);
    assert_eq!(delivery_count(&got.headers()), Some(long(4)));
    c.call(1, close_channel());
    c.open_channel(1);
    let got = c.get_eventually(&q);
    assert_eq!(delivery_count(&got.headers()), Some(long(5)));
    c.call(1, delete(&q));
}

#[test]
fn q60_delivery_limit() {
    let mut c = client();
    let (q, dead) = (unique("q60"), unique("dead"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&dead)
        },
    );
    let arguments = [
        ("x-delivery-limit", int(2)),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dead)),
    ];
    c.call(1, quorum(&q, &arguments));
    c.put(&q, "poison");
    for _ in 0..3 {
        let got = c.get_eventually(&q);
        c.send(1, reject(got.method.delivery_tag, true));
    }
    let got = c.get_eventually(&dead);
    let headers = got.headers();
    let death = fields(&members(field(&headers, "x-death"))[0]);
    assert_eq!(field(death, "reason"), &string("delivery_limit"));
    assert_eq!(field(death, "queue"), &string(&q));
    assert_eq!(delivery_count(&headers), None);
    assert!(c.get(&q).is_none());
    c.call(1, delete(&q));
}

#[test]
fn q60_delivery_limit_is_20_unless_lifted() {
    let mut c = client();
    for (arguments, deliveries) in [(vec![], 21), (vec![("x-delivery-limit", int(-1))], 30)] {
        let q = unique("q60d");
        c.call(1, quorum(&q, &arguments));
        c.put(&q, "poison");
        for _ in 0..deliveries {
            let got = c.get_eventually(&q);
            c.send(1, reject(got.method.delivery_tag, true));
        }
        let left = c.get(&q).is_some();
        assert_eq!(left, !arguments.is_empty());
        c.call(1, delete(&q));
    }
}

/// All messages are stored, whatever their delivery mode, and counts survive a kill.
#[test]
fn p05_quorum_queues_store_everything() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, quorum("q", &[("x-delivery-limit", int(3))]));
    c.call(1, confirm_select());
    for body in ["transient", "other"] {
        c.put("q", body);
        c.expect::<basic::Ack>(1);
    }
    for _ in 0..2 {
        let got = c.get_eventually("q");
        assert_eq!(got.text(), "transient");
        c.send(1, reject(got.method.delivery_tag, true));
    }
    // A durable definition is answered when all before it is on disk.
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare("barrier")
        },
    );
    drop(c);
    broker.terminate();
    broker.start_again();
    broker.kill9();
    broker.start_again();
    let mut c = broker.client();
    let got = c.get_eventually("q");
    assert_eq!(got.text(), "transient");
    assert!(got.method.redelivered);
    assert_eq!(delivery_count(&got.headers()), Some(long(2)));
    assert_eq!(c.get_eventually("q").text(), "other");
}

#[test]
fn q84_a_single_active_consumer_hands_over_to_one_of_higher_priority() {
    let mut c = client();
    for channel in [2, 3] {
        c.open_channel(channel);
    }
    let q = unique("q84");
    c.call(
        1,
        quorum(&q, &[("x-single-active-consumer", boolean(true))]),
    );
    let with_priority = |tag: &str, priority: i32| basic::Consume {
        arguments: table(&[("x-priority", int(priority))]),
        ..consume(&q, tag)
    };
    c.call(2, with_priority("low", 1));
    c.put(&q, "first");
    let first = c.expect_deliver(2);
    assert_eq!(first.text(), "first");
    c.call(3, with_priority("high", 5));
    // The same priority or a lower one is no reason to hand over, and nothing is delivered to
    // either while the active one holds something.
    c.put(&q, "second");
    c.expect_nothing();
    c.send(2, ack(first.method.delivery_tag));
    let second = c.expect_deliver(3);
    assert_eq!(
        (second.text(), &*second.method.consumer_tag.to_string()),
        ("second", "high")
    );
    c.send(3, ack(second.method.delivery_tag));
    // When it goes, the one that is left is active again.
    c.call(3, cancel("high"));
    c.put(&q, "third");
    let third = c.expect_deliver(2);
    c.send(2, ack(third.method.delivery_tag));
    c.open_channel(4);
    c.call(4, with_priority("equal", 1));
    c.put(&q, "fourth");
    assert_eq!(c.expect_deliver(2).text(), "fourth");
    c.call(1, delete(&q));
}
