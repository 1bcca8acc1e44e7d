//! Section 4.5: priority queues and single active consumer.

use crate::{
    dialogue::*,
    harness::{client, shared, unique},
};

fn put_with_priority(c: &mut Peer, q: &str, priority: Option<u8>) {
    let body = priority.map_or("none".to_owned(), |p| p.to_string());
    let props = priority.map_or_else(properties, |p| properties().with_priority(p));
    c.publish_with(1, publish("", q), &props, body.as_bytes());
}

#[test]
fn q80_priority_order() {
    let mut c = client();
    let q = unique("q80");
    let arguments = table(&[("x-max-priority", int(5))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    for priority in [Some(0), Some(9), Some(3), Some(5), Some(1), Some(200), None] {
        put_with_priority(&mut c, &q, priority);
    }
    assert_eq!(c.drain(&q), ["9", "5", "200", "3", "1", "0", "none"]);
}

#[test]
fn q80_requeue_keeps_the_priority() {
    let mut c = client();
    let q = unique("q80r");
    let arguments = table(&[("x-max-priority", int(5))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    for priority in [1, 2] {
        put_with_priority(&mut c, &q, Some(priority));
    }
    let first = c.get_eventually(&q);
    assert_eq!(first.text(), "2");
    put_with_priority(&mut c, &q, Some(2));
    c.send(1, nack(first.method.delivery_tag));
    assert!(
        c.get_eventually(&q).method.redelivered,
        "the older one of its priority comes first"
    );
}

#[test]
fn q81_length_limit_drops_what_would_be_delivered_next() {
    let mut c = client();
    let q = unique("q81");
    let arguments = table(&[("x-max-priority", int(5)), ("x-max-length", int(2))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    for priority in [3, 1, 2] {
        put_with_priority(&mut c, &q, Some(priority));
    }
    // RabbitMQ drops from the head, and the head is the highest priority.
    assert_eq!(c.drain(&q), ["2", "1"]);
}

/// A client and an exclusive single-active-consumer queue.
fn with_sac(name: &str) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    let arguments = table(&[("x-single-active-consumer", boolean(true))]);
    c.call(1, declare_with(&q, arguments));
    (c, q)
}

#[test]
fn q83_single_active_consumer() {
    let (mut c, q) = with_sac("q83");
    c.call(1, consume(&q, "first"));
    c.call(1, consume(&q, "second"));
    for i in 0..5 {
        c.put(&q, &i.to_string());
        assert_eq!(c.expect_deliver(1).method.consumer_tag.as_str(), "first");
    }
    c.call(1, cancel("first"));
    c.put(&q, "after");
    assert_eq!(c.expect_deliver(1).method.consumer_tag.as_str(), "second");
    c.call(1, delete(&q));
}

#[test]
fn q83_single_active_consumer_takes_over_on_loss() {
    let (mut c, q) = with_sac("q83l");
    let mut first = shared().client();
    first.call(1, consume(&q, "first"));
    c.call(1, consume(&q, "second"));
    c.put(&q, "held");
    first.expect_bodies(&["held"]);
    drop(first);
    let again = c.expect_deliver(1);
    assert_eq!((again.text(), again.method.redelivered), ("held", true));
    c.call(1, delete(&q));
}

#[test]
fn q83_get_is_allowed() {
    let (mut c, q) = with_sac("q83g");
    c.put(&q, "x");
    c.take(&q, "x");
    c.call(1, delete(&q));
}
