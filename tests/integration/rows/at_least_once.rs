//! Section 4.4: quorum queues whose dead letters must arrive (Q-67).

use std::net::SocketAddr;

use super::managed::{eventually, managed, managed_with, put, see};
use crate::{
    dialogue::*,
    harness::{Broker, client, unique},
};

/// A quorum queue that dead-letters at least once to `exchange` under `key`.
fn careful(q: &str, exchange: &str, key: &str, more: &[(&str, AMQPValue)]) -> queue::Declare {
    let mut all = vec![
        ("x-queue-type", string("quorum")),
        ("x-dead-letter-exchange", string(exchange)),
        ("x-dead-letter-routing-key", string(key)),
        ("x-dead-letter-strategy", string("at-least-once")),
        ("x-overflow", string("reject-publish")),
    ];
    all.extend_from_slice(more);
    queue::Declare {
        durable: true,
        ..declare_with(q, table(&all))
    }
}

fn durable(q: &str) -> queue::Declare {
    queue::Declare {
        durable: true,
        ..declare(q)
    }
}

/// Gets the next message of `q` and rejects it.
fn kill(c: &mut Peer, q: &str, body: &str) {
    let got = c.get_eventually(q);
    assert_eq!(got.text(), body);
    c.send(1, reject(got.method.delivery_tag, false));
}

fn retained(addr: SocketAddr, q: &str) -> (u64, u64, u64) {
    let queue = see(addr, &format!("/api/queues/%2F/{q}"));
    let number = |name: &str| queue[name].as_u64().expect("a number");
    (
        number("messages_dlx"),
        number("message_bytes_dlx"),
        number("messages"),
    )
}

/// Waits for the dead letter in `q`; the reason and count of its death.
fn dead(c: &mut Peer, q: &str, body: &str) -> (AMQPValue, AMQPValue) {
    let got = c.get_eventually(q);
    assert_eq!(got.text(), body);
    let headers = got.headers();
    let death = fields(&members(field(&headers, "x-death"))[0]).clone();
    c.send(1, ack(got.method.delivery_tag));
    (
        field(&death, "reason").clone(),
        field(&death, "count").clone(),
    )
}

#[test]
fn q67_dead_letters_without_a_route_wait_for_one() {
    let (broker, addr) = managed();
    let mut c = broker.client();
    c.call(
        1,
        careful("q", "", "later", &[("x-message-ttl", int(60_000))]),
    );
    for body in ["one", "two!"] {
        c.put("q", body);
        kill(&mut c, "q", body);
    }
    eventually("kept", || retained(addr, "q") == (2, 7, 2));
    // A purge is for ready messages.
    assert_eq!(c.call(1, purge("q")).message_count, 0);
    c.call(1, durable("later"));
    for body in ["one", "two!"] {
        assert_eq!(dead(&mut c, "later", body), (string("rejected"), long(1)));
    }
    eventually("gone", || retained(addr, "q") == (0, 0, 0));
}

#[test]
fn q67_dead_letters_wait_for_their_exchange_and_survive_a_kill() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, careful("q", "dlx", "k", &[("x-delivery-limit", int(0))]));
    c.put("q", "rejected");
    kill(&mut c, "q", "rejected");
    c.put("q", "returned");
    let tag = c.get_eventually("q").method.delivery_tag;
    c.send(1, reject(tag, true));
    c.call(1, durable("dead"));
    // What is confirmed is on disk, and so is all before it.
    c.call(1, confirm_select());
    c.put("q", "alive");
    c.expect::<basic::Ack>(1);
    drop(c);
    broker.kill9();
    broker.start_again();
    let mut c = broker.client();
    // Dead is dead: only what was alive can be had.
    assert_eq!(c.drain("q"), ["alive"]);
    let exchange = exchange::Declare {
        durable: true,
        ..declare_exchange("dlx", "direct")
    };
    c.call(1, exchange);
    c.call(1, bind("dead", "dlx", "k"));
    let deaths: Vec<AMQPValue> = ["rejected", "returned"]
        .iter()
        .map(|body| dead(&mut c, "dead", body).0)
        .collect();
    assert_eq!(deaths, [string("rejected"), string("delivery_limit")]);
}

#[test]
fn q67_dead_letters_wait_until_a_full_queue_has_room() {
    let mut c = client();
    let (q, full) = (unique("q67f"), unique("full"));
    let limited = [
        ("x-max-length", int(1)),
        ("x-overflow", string("reject-publish")),
    ];
    c.call(1, declare_with(&full, table(&limited)));
    c.put(&full, "in the way");
    c.call(1, careful(&q, "", &full, &[("x-message-ttl", int(1))]));
    c.put(&q, "expired");
    c.expect_nothing();
    assert_eq!(c.drain(&full), ["in the way"]);
    assert_eq!(dead(&mut c, &full, "expired").0, string("expired"));
    for q in [&q, &full] {
        c.call(1, delete(q));
    }
}

#[test]
fn q67_what_waits_counts_towards_the_limits_of_its_queue() {
    let mut c = client();
    let (q, later) = (unique("q67l"), unique("later"));
    c.call(1, careful(&q, "", &later, &[("x-max-length", int(1))]));
    c.call(1, confirm_select());
    c.put(&q, "first");
    c.expect::<basic::Ack>(1);
    kill(&mut c, &q, "first");
    c.expect_alive();
    c.put(&q, "refused");
    c.expect::<basic::Nack>(1);
    c.call(1, durable(&later));
    assert_eq!(dead(&mut c, &later, "first").0, string("rejected"));
    c.put(&q, "welcome");
    c.expect::<basic::Ack>(1);
    // A queue that is deleted takes with it what waits.
    for q in [&q, &later] {
        c.call(1, delete(q));
    }
}

#[test]
fn q67_without_reject_publish_dead_letters_go_at_most_once() {
    let (broker, addr) = managed_with(&["log.console.level = warning"]);
    let mut c = broker.client();
    let arguments = [
        ("x-queue-type", string("quorum")),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("nowhere")),
        ("x-dead-letter-strategy", string("at-least-once")),
    ];
    let declared = queue::Declare {
        durable: true,
        ..declare_with("q", table(&arguments))
    };
    c.call(1, declared);
    c.put("q", "dropped");
    kill(&mut c, "q", "dropped");
    c.expect_alive();
    eventually("dropped", || retained(addr, "q") == (0, 0, 0));
    // A policy makes it careful, and careless again: what waits is dropped then.
    let policy = |definition: &str| {
        let body = format!(r#"{{"pattern":"^q$","apply-to":"queues","definition":{definition}}}"#);
        put(addr, "/api/policies/%2F/careful", &body);
    };
    policy(r#"{"overflow":"reject-publish"}"#);
    c.put("q", "kept");
    kill(&mut c, "q", "kept");
    eventually("kept", || retained(addr, "q") == (1, 4, 1));
    policy(r#"{"overflow":"drop-head"}"#);
    eventually("given up", || retained(addr, "q") == (0, 0, 0));
}
