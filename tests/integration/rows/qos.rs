//! Section 2.5: prefetch.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

/// A client with an exclusive queue holding `n` messages "1", "2"...
fn with_messages(name: &str, n: u32) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    for i in 1..=n {
        c.put(&q, &i.to_string());
    }
    c.call(1, qos(0));
    (c, q)
}

#[test]
fn h70_prefetch_size() {
    let mut c = client();
    c.send_raw_method(1, 60, 10, &[0, 0, 0, 10, 0, 0, 0]);
    c.expect_connection_error(540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)", (60, 10));
}

#[test]
fn h71_limit_is_for_later_consumers_each() {
    let (mut c, q) = with_messages("h71", 10);
    c.call(1, qos(2));
    c.call(1, consume(&q, "two"));
    c.expect_bodies(&["1", "2"]);
    c.call(1, qos(3));
    c.expect_nothing();
    c.call(1, consume(&q, "three"));
    c.expect_bodies(&["3", "4", "5"]);
    c.expect_nothing();
}

#[test]
fn h72_global_limit_is_shared_and_applies_at_once() {
    let (mut c, q) = with_messages("h72", 10);
    c.call(
        1,
        basic::Qos {
            global: true,
            ..qos(3)
        },
    );
    c.call(1, consume(&q, "a"));
    let tags = c.expect_bodies(&["1", "2", "3"]);
    c.call(1, consume(&q, "b"));
    c.expect_nothing();
    c.send(1, ack(tags[0]));
    c.expect_bodies(&["4"]);
    c.call(
        1,
        basic::Qos {
            global: true,
            ..qos(4)
        },
    );
    c.expect_bodies(&["5"]);
    c.expect_nothing();
}

#[test]
fn h74_zero_is_no_limit() {
    let (mut c, q) = with_messages("h74", 500);
    c.call(1, consume(&q, "t"));
    for i in 1..=500 {
        assert_eq!(c.expect_deliver(1).method.delivery_tag, i);
    }
}

#[test]
fn h75_get_is_not_limited() {
    let (mut c, q) = with_messages("h75", 5);
    c.call(1, qos(1));
    c.call(
        1,
        basic::Qos {
            global: true,
            ..qos(1)
        },
    );
    for i in 1..=5 {
        assert_eq!(c.get(&q).unwrap().text(), i.to_string());
    }
}

#[test]
fn h75_no_ack_consumers_are_not_limited() {
    let (mut c, q) = with_messages("h75n", 5);
    c.call(1, qos(1));
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    c.expect_bodies(&["1", "2", "3", "4", "5"]);
}

#[test]
fn h76_one_comes_for_each_one_settled() {
    let (mut c, q) = with_messages("h76", 6);
    c.call(1, qos(2));
    c.call(1, consume(&q, "t"));
    let tags = c.expect_bodies(&["1", "2"]);
    c.send(1, ack(tags[0]));
    let third = c.expect_bodies(&["3"])[0];
    c.send(
        1,
        basic::Nack {
            requeue: false,
            ..nack(tags[1])
        },
    );
    let fourth = c.expect_bodies(&["4"])[0];
    c.send(1, reject(third, false));
    let fifth = c.expect_bodies(&["5"])[0];
    c.expect_nothing();
    c.send(1, ack_up_to(fifth));
    c.expect_bodies(&["6"]);
    assert!(fourth < fifth);
}

#[test]
fn h73_both_limits_hold() {
    let (mut c, q) = with_messages("h73", 10);
    c.call(1, qos(2));
    let shared = basic::Qos {
        global: true,
        ..qos(3)
    };
    c.call(1, shared);
    c.call(1, consume(&q, "a"));
    let tags = c.expect_bodies(&["1", "2"]); // its own limit
    c.expect_nothing();
    c.call(1, consume(&q, "b"));
    c.expect_bodies(&["3"]); // the channel's
    c.expect_nothing();
    c.send(1, ack(tags[0]));
    c.expect_bodies(&["4"]);
    c.expect_nothing();
}
