//! Section 3.2: the exchange types RabbitMQ has from plugins.

use crate::{
    dialogue::*,
    harness::{Broker, client, unique},
};

fn typed(e: &str, kind: &str, arguments: &[(&str, AMQPValue)]) -> exchange::Declare {
    exchange::Declare {
        arguments: table(arguments),
        auto_delete: true,
        ..declare_exchange(e, kind)
    }
}

fn mine(q: &str) -> queue::Declare {
    queue::Declare {
        exclusive: true,
        ..declare(q)
    }
}

/// An exchange with `n` queues bound by `key`.
fn with_queues(
    kind: &str,
    arguments: &[(&str, AMQPValue)],
    n: usize,
    key: &str,
) -> (Peer, String, Vec<String>) {
    let mut c = client();
    let e = unique(kind);
    c.call(1, typed(&e, kind, arguments));
    let queues: Vec<String> = (0..n).map(|_| unique("q")).collect();
    for q in &queues {
        c.call(1, mine(q));
        c.call(1, bind(q, &e, key));
    }
    (c, e, queues)
}

fn refused(kind: &str, arguments: &[(&str, AMQPValue)], text: &str) {
    let mut c = client();
    c.send(1, typed(&unique("refused"), kind, arguments));
    c.expect_channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"), (40, 10));
}

fn binding_refused(kind: &str, key: &str, text: &str) {
    let mut c = client();
    let (e, q) = (unique(kind), unique("q"));
    c.call(1, typed(&e, kind, &[]));
    c.call(1, mine(&q));
    c.send(1, bind(&q, &e, key));
    c.expect_channel_error(1, 406, &format!("PRECONDITION_FAILED - {text}"), (50, 20));
}

#[test]
fn s32_x_consistent_hash_keeps_a_key_together() {
    let (mut c, e, queues) = with_queues("x-consistent-hash", &[], 3, "2");
    for n in 0..90 {
        let key = format!("key {}", n % 30);
        c.publish(&e, &key, &key);
    }
    let found: Vec<Vec<String>> = queues.iter().map(|q| c.drain(q)).collect();
    assert_eq!(found.iter().map(Vec::len).sum::<usize>(), 90);
    for n in 0..30 {
        let key = format!("key {n}");
        let holders = found.iter().filter(|bodies| bodies.contains(&key)).count();
        assert_eq!(holders, 1, "{key} went to more than one queue");
    }
    assert!(found.iter().all(|bodies| !bodies.is_empty()));
}

#[test]
fn s32_x_consistent_hash_by_header_and_property() {
    let by_header = [("hash-header", string("h"))];
    let by_property = [("hash-property", string("message_id"))];
    for arguments in [by_header, by_property] {
        let (mut c, e, queues) = with_queues("x-consistent-hash", &arguments, 3, "1");
        for n in 0..60 {
            let id = format!("id {}", n % 20);
            let properties =
                with_headers(table(&[("h", string(&id))])).with_message_id(id.as_str().into());
            c.publish_with(1, publish(&e, &n.to_string()), &properties, id.as_bytes());
        }
        let found: Vec<Vec<String>> = queues.iter().map(|q| c.drain(q)).collect();
        for n in 0..20 {
            let id = format!("id {n}");
            let holders = found.iter().filter(|bodies| bodies.contains(&id)).count();
            assert_eq!(holders, 1, "{id} went to more than one queue");
        }
        assert!(found.iter().all(|bodies| !bodies.is_empty()));
    }
}

#[test]
fn s32_x_consistent_hash_errors() {
    let header = ("hash-header", string("h"));
    let property = ("hash-property", string("foo"));
    let kind = "x-consistent-hash";
    let only_property = std::slice::from_ref(&property);
    refused(kind, only_property, "Unsupported property: foo");
    refused(
        kind,
        &[header, property],
        "hash-header and hash-property are mutually exclusive",
    );
    binding_refused(
        kind,
        "abc",
        "The binding key must be an integer: <<\"abc\">>",
    );
    binding_refused(kind, "0", "The binding key must be greater than 0");
}

#[test]
fn s32_x_modulus_hash() {
    let (mut c, e, queues) = with_queues("x-modulus-hash", &[], 3, "ignored");
    for n in 0..60 {
        let key = format!("key {}", n % 30);
        c.publish(&e, &key, &key);
    }
    let found: Vec<Vec<String>> = queues.iter().map(|q| c.drain(q)).collect();
    assert_eq!(found.iter().map(Vec::len).sum::<usize>(), 60);
    assert!(found.iter().all(|bodies| bodies.len() % 2 == 0));
    assert!(found.iter().all(|bodies| !bodies.is_empty()));
}

#[test]
fn s32_x_random_and_x_local_random() {
    for kind in ["x-random", "x-local-random"] {
        let (mut c, e, queues) = with_queues(kind, &[], 2, "");
        for n in 0..200 {
            c.publish(&e, "same key", &n.to_string());
        }
        let found: Vec<usize> = queues.iter().map(|q| c.drain(q).len()).collect();
        assert_eq!(found.iter().sum::<usize>(), 200);
        assert!(found.iter().all(|n| *n > 40), "{found:?}");
    }
}

#[test]
fn s32_x_local_random_refuses_keys() {
    binding_refused(
        "x-local-random",
        "k",
        "Non empty binding 'k' key not permitted",
    );
}

#[test]
fn s32_x_recent_history() {
    let length = [("x-recent-history-length", int(2))];
    let mut c = client();
    let (e, early, late) = (unique("history"), unique("early"), unique("late"));
    c.call(1, typed(&e, "x-recent-history", &length));
    // Remembered although nobody is bound, and returned all the same.
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish(&e, "k")
    };
    c.publish_with(1, mandatory, &properties(), b"1");
    let returned: Message<basic::Return> = c.expect_message(1);
    assert_eq!(returned.method.reply_code, 312);
    for body in ["2", "3"] {
        c.publish(&e, "k", body);
    }
    let unstored = table(&[("x-recent-history-no-store", boolean(true))]);
    c.publish_with(1, publish(&e, "k"), &with_headers(unstored), b"not this");
    c.call(1, mine(&early));
    c.call(1, bind(&early, &e, ""));
    c.publish(&e, "k2", "4");
    assert_eq!(c.drain(&early), ["2", "3", "4"]);
    c.call(1, mine(&late));
    c.call(1, bind(&late, &e, ""));
    // The same binding again brings nothing.
    c.call(1, bind(&late, &e, ""));
    let first = c.take(&late, "3");
    assert_eq!(first.method.exchange.as_str(), e);
    assert_eq!(first.method.routing_key.as_str(), "k");
    assert_eq!(c.drain(&late), ["4"]);
}

#[test]
fn s32_x_recent_history_for_a_bound_exchange() {
    let mut c = client();
    let (e, next, q) = (unique("history"), unique("next"), unique("q"));
    c.call(1, typed(&e, "x-recent-history", &[]));
    c.call(1, typed(&next, "direct", &[]));
    c.call(1, mine(&q));
    c.call(1, bind(&q, &next, "yes"));
    c.publish(&e, "yes", "a");
    c.publish(&e, "no", "b");
    c.call(1, bind_exchange(&e, &next, ""));
    assert_eq!(c.drain(&q), ["a"]);
}

#[test]
fn s32_x_recent_history_errors() {
    refused(
        "x-recent-history",
        &[("x-recent-history-length", int(-1))],
        "Invalid argument -1, 'x-recent-history-length' must be a positive integer",
    );
}

fn delayed(delay: AMQPValue) -> BasicProperties {
    with_headers(table(&[("x-delay", delay), ("own", int(1))]))
}

const DELAYED: &str = "x-delayed-message";

fn delayed_direct() -> [(&'static str, AMQPValue); 1] {
    [("x-delayed-type", string("direct"))]
}

#[test]
fn s32_x_delayed_message() {
    let (mut c, e, queues) = with_queues(DELAYED, &delayed_direct(), 1, "k");
    let q = &queues[0];
    c.publish_with(1, publish(&e, "k"), &delayed(int(400)), b"later");
    c.publish_with(1, publish(&e, "k"), &delayed(long(200)), b"soon");
    c.publish_with(1, publish(&e, "k"), &delayed(int(0)), b"zero");
    c.publish_with(1, publish(&e, "k"), &delayed(int(-5)), b"negative");
    c.publish(&e, "k", "now");
    assert_eq!(c.drain(q), ["zero", "negative", "now"]);
    let soon = c.get_eventually(q);
    assert_eq!(soon.text(), "soon");
    assert_eq!(field(&soon.headers(), "x-delay"), &long(-200));
    assert_eq!(field(&soon.headers(), "own"), &int(1));
    assert_eq!(soon.method.exchange.as_str(), e);
    assert!(!soon.method.redelivered);
    let later = c.get_eventually(q);
    assert_eq!(later.text(), "later");
    assert_eq!(field(&later.headers(), "x-delay"), &int(-400));
    // Bindings count at the time it goes on.
    let other = unique("other");
    c.publish_with(
        1,
        publish(&e, "new"),
        &delayed(int(300)),
        b"bound meanwhile",
    );
    c.call(1, mine(&other));
    c.call(1, bind(&other, &e, "new"));
    assert_eq!(c.get_eventually(&other).text(), "bound meanwhile");
}

/// As with the plugin: what is delayed has not been routed, so it comes back, and goes on later.
#[test]
fn s32_x_delayed_message_mandatory_and_confirms() {
    let (mut c, e, queues) = with_queues(DELAYED, &delayed_direct(), 1, "k");
    c.call(1, confirm_select());
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish(&e, "k")
    };
    c.publish_with(1, mandatory, &delayed(int(100)), b"x");
    let returned: Message<basic::Return> = c.expect_message(1);
    assert_eq!(returned.method.reply_code, 312);
    assert_eq!(c.expect::<basic::Ack>(1).delivery_tag, 1);
    assert_eq!(c.get_eventually(&queues[0]).text(), "x");
}

#[test]
fn s32_x_delayed_message_goes_with_its_exchange() {
    let (mut c, e, queues) = with_queues(DELAYED, &delayed_direct(), 1, "k");
    c.publish_with(1, publish(&e, "k"), &delayed(int(200)), b"cancelled");
    c.call(1, delete_exchange(&e));
    c.call(1, typed(&e, DELAYED, &delayed_direct()));
    c.call(1, bind(&queues[0], &e, "k"));
    c.publish_with(1, publish(&e, "k"), &delayed(int(300)), b"of the new one");
    assert_eq!(c.get_eventually(&queues[0]).text(), "of the new one");
}

#[test]
fn s32_x_delayed_message_behind_another_exchange() {
    let (mut c, e, queues) = with_queues(DELAYED, &delayed_direct(), 1, "k");
    let source = unique("source");
    c.call(1, typed(&source, "fanout", &[]));
    c.call(1, bind_exchange(&source, &e, ""));
    c.publish_with(1, publish(&source, "k"), &delayed(int(100)), b"x");
    let got = c.get_eventually(&queues[0]);
    assert_eq!((got.text(), got.method.exchange.as_str()), ("x", &*source));
}

#[test]
fn s32_x_delayed_message_errors() {
    let existing = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
    refused(DELAYED, &[], existing);
    refused(DELAYED, &[("x-delayed-type", string("foo"))], existing);
    refused(
        DELAYED,
        &[("x-delayed-type", string(DELAYED))],
        "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
    );
}

/// Held messages survive an orderly restart and a kill, in order, whatever their delivery mode;
/// those of a deleted exchange do not come back.
#[test]
fn s32_x_delayed_message_survives_restart_and_kill() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    let durable = |e: &str| exchange::Declare {
        durable: true,
        auto_delete: false,
        ..typed(e, DELAYED, &delayed_direct())
    };
    for e in ["later", "gone"] {
        c.call(1, durable(e));
    }
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare("q")
        },
    );
    c.call(1, bind("q", "later", "k"));
    c.call(1, bind("q", "gone", "k"));
    c.call(1, confirm_select());
    let hour = int(3_600_000);
    c.publish_with(1, publish("gone", "k"), &delayed(int(1000)), b"deleted");
    c.publish_with(1, publish("later", "k"), &delayed(int(6000)), b"second");
    c.publish_with(1, publish("later", "k"), &delayed(int(3000)), b"first");
    c.publish_with(1, publish("later", "k"), &delayed(hour), b"much later");
    let mut confirmed = 0;
    while confirmed < 4 {
        let ack: basic::Ack = c.expect(1);
        confirmed = if ack.multiple {
            ack.delivery_tag
        } else {
            confirmed + 1
        };
    }
    c.call(1, delete_exchange("gone"));
    drop(c);
    broker.kill9();
    broker.start_again();
    broker.restart();
    let mut c = broker.client();
    let first = c.get_eventually("q");
    assert_eq!(first.text(), "first");
    assert_eq!(field(&first.headers(), "x-delay"), &int(-3000));
    assert_eq!(c.get_eventually("q").text(), "second");
    assert!(c.get("q").is_none());
}
