//! Section 4.3: time to live, queue expiry, length limits.

use crate::{
    dialogue::*,
    harness::{client, unique},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// A client and an exclusive queue with these arguments.
fn with_queue(name: &str, arguments: &[(&str, AMQPValue)]) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, table(arguments))
        },
    );
    (c, q)
}

fn put_expiring(c: &mut Peer, q: &str, body: &str, expiration: &str) {
    let props = properties().with_expiration(expiration.into());
    c.publish_with(1, publish("", q), &props, body.as_bytes());
}

/// Waits until `q` holds `count` ready messages.
fn await_count(c: &mut Peer, q: &str, count: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = c.call(1, declare_passive(q)).message_count;
        if now == count {
            return;
        }
        assert!(Instant::now() < deadline, "{q} holds {now}, not {count}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn q40_the_shorter_ttl_wins() {
    let (mut c, q) = with_queue("q40", &[("x-message-ttl", int(60_000))]);
    put_expiring(&mut c, &q, "soon", "50");
    await_count(&mut c, &q, 0);
    let (mut c, q) = with_queue("q40q", &[("x-message-ttl", int(50))]);
    put_expiring(&mut c, &q, "late", "60000");
    await_count(&mut c, &q, 0);
}

#[test]
fn q41_expired_messages_are_not_delivered() {
    let (mut c, q) = with_queue("q41", &[("x-message-ttl", int(100))]);
    for _ in 0..10 {
        c.put(&q, "x");
    }
    thread::sleep(Duration::from_millis(300));
    assert!(c.get(&q).is_none());
    c.call(1, consume(&q, "t"));
    c.expect_nothing();
}

#[test]
fn q41_queue_ttl_removes_by_itself() {
    let (mut c, q) = with_queue("q41t", &[("x-message-ttl", int(100))]);
    for _ in 0..10 {
        c.put(&q, "x");
    }
    await_count(&mut c, &q, 0);
}

#[test]
fn q41_unacked_messages_expire_when_requeued() {
    let (mut c, q) = with_queue("q41u", &[("x-message-ttl", int(200))]);
    c.put(&q, "held");
    let tag = c.get_eventually(&q).method.delivery_tag;
    thread::sleep(Duration::from_millis(400));
    c.send(1, nack(tag));
    await_count(&mut c, &q, 0);
    assert!(c.get(&q).is_none());
}

#[test]
fn q42_expiry_behind_a_longer_lived_head() {
    let (mut c, q) = with_queue("q42", &[]);
    c.put(&q, "head");
    put_expiring(&mut c, &q, "short", "50");
    thread::sleep(Duration::from_millis(200));
    c.take(&q, "head");
    assert!(c.get(&q).is_none(), "never delivered once expired");
}

#[test]
fn q43_ttl_zero() {
    let (mut c, q) = with_queue("q43", &[("x-message-ttl", int(0))]);
    c.call(1, confirm_select());
    c.put(&q, "nobody takes it");
    let _: basic::Ack = c.expect(1);
    await_count(&mut c, &q, 0);
    c.call(1, consume(&q, "t"));
    c.put(&q, "taken");
    let mut seen = Vec::new();
    for _ in 0..2 {
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_))) => seen.push("ack"),
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(d))) => {
                assert_eq!(c.expect_content(1, d).text(), "taken");
                seen.push("deliver");
            }
            other => panic!("{other:?}"),
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["ack", "deliver"]);
}

#[test]
fn q43_expiration_zero() {
    let (mut c, q) = with_queue("q43e", &[]);
    put_expiring(&mut c, &q, "gone", "0");
    await_count(&mut c, &q, 0);
    c.call(1, consume(&q, "t"));
    put_expiring(&mut c, &q, "taken", "0");
    c.expect_bodies(&["taken"]);
}

/// Waits until `q` is no more.
fn await_gone(c: &mut Peer, q: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        c.send(1, declare_exclusive(q));
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
                assert_eq!(close.reply_code, 404, "{close:?}");
                c.send(1, channel::CloseOk {});
                return c.open_channel(1);
            }
            Frame::Method(1, AMQPClass::Queue(queue::AMQPMethod::BindOk(_))) => {}
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < deadline, "{q} is still there");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Asks whether a queue exists without renewing its lease, as a declare would.
fn declare_exclusive(q: &str) -> queue::Bind {
    bind(q, "amq.direct", "is it there")
}

#[test]
fn q45_idle_queues_expire() {
    let (mut c, q) = with_queue("q45", &[("x-expires", int(150))]);
    await_gone(&mut c, &q);
}

#[test]
fn q45_consumers_declares_and_gets_keep_a_queue() {
    let (mut c, q) = with_queue("q45k", &[("x-expires", int(1500))]);
    c.call(1, consume(&q, "t"));
    thread::sleep(Duration::from_millis(2500));
    c.call(1, cancel("t"));
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(800));
        c.call(1, declare_passive(&q));
        thread::sleep(Duration::from_millis(800));
        assert!(c.get(&q).is_none());
    }
    await_gone(&mut c, &q);
}

#[test]
fn q47_length_counts_ready_messages_only() {
    let (mut c, q) = with_queue("q47", &[("x-max-length", int(2))]);
    c.put(&q, "held");
    c.get_eventually(&q);
    c.put(&q, "a");
    c.put(&q, "b");
    assert_eq!(c.drain(&q), ["a", "b"]);
}

#[test]
fn q47_bytes_count_bodies() {
    let (mut c, q) = with_queue("q47b", &[("x-max-length-bytes", int(10))]);
    let headers = with_headers(table(&[("big", string(&"x".repeat(100)))]));
    for body in ["aaaa", "bbbb", "cc"] {
        c.publish_with(1, publish("", &q), &headers, body.as_bytes());
    }
    c.put(&q, "d");
    assert_eq!(c.drain(&q), ["bbbb", "cc", "d"]);
}

#[test]
fn q48_drop_head() {
    let (mut c, q) = with_queue("q48", &[("x-max-length", int(3))]);
    c.call(1, confirm_select());
    for i in 1..=5 {
        c.put(&q, &i.to_string());
        let _: basic::Ack = c.expect(1);
    }
    assert_eq!(c.drain(&q), ["3", "4", "5"]);
}

#[test]
fn q48_length_zero() {
    let (mut c, q) = with_queue("q48z", &[("x-max-length", int(0))]);
    c.call(1, confirm_select());
    c.put(&q, "dropped");
    let _: basic::Ack = c.expect(1);
    assert!(c.get(&q).is_none());
}

#[test]
fn q49_reject_publish() {
    let limits = [
        ("x-max-length", int(2)),
        ("x-overflow", string("reject-publish")),
    ];
    let (mut c, q) = with_queue("q49", &limits);
    for i in 1..=3 {
        c.put(&q, &i.to_string()); // without confirms the third is dropped in silence
    }
    c.call(1, confirm_select());
    c.put(&q, "4");
    let refused: basic::Nack = c.expect(1);
    assert_eq!(refused.delivery_tag, 1);
    c.take(&q, "1");
    c.put(&q, "5");
    let taken: basic::Ack = c.expect(1);
    assert_eq!(taken.delivery_tag, 2);
    assert_eq!(c.drain(&q), ["2", "5"]);
}

#[test]
fn q49_reject_publish_by_bytes() {
    let limits = [
        ("x-max-length-bytes", int(5)),
        ("x-overflow", string("reject-publish")),
    ];
    let (mut c, q) = with_queue("q49b", &limits);
    c.call(1, confirm_select());
    c.put(&q, "12345");
    let _: basic::Ack = c.expect(1);
    c.put(&q, "6");
    let _: basic::Nack = c.expect(1);
    assert_eq!(c.drain(&q), ["12345"]);
}

#[test]
fn q50_reject_publish_dlx() {
    let mut c = client();
    let (q, dlq) = (unique("q50"), unique("q50d"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&dlq)
        },
    );
    let arguments = table(&[
        ("x-max-length", int(1)),
        ("x-overflow", string("reject-publish-dlx")),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dlq)),
    ]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    c.call(1, confirm_select());
    c.put(&q, "fits");
    let _: basic::Ack = c.expect(1);
    c.put(&q, "refused");
    let _: basic::Nack = c.expect(1);
    let dead = c.get_eventually(&dlq);
    assert_eq!(dead.text(), "refused");
    let death = fields(&members(field(&dead.headers(), "x-death"))[0]).clone();
    assert_eq!(field(&death, "reason"), &string("maxlen"));
    assert_eq!(c.drain(&q), ["fits"]);
}

#[test]
fn q46_nothing_expires_early() {
    let (mut c, q) = with_queue("q46", &[("x-message-ttl", int(400))]);
    let sent = Instant::now();
    c.put(&q, "x");
    while c.call(1, declare_passive(&q)).message_count == 1 {
        assert!(sent.elapsed() < PATIENCE, "it never expires");
        thread::sleep(Duration::from_millis(5));
    }
    // Both clocks count milliseconds, and the broker took it after we had sent it.
    assert!(
        sent.elapsed() >= Duration::from_millis(399),
        "gone after {:?}",
        sent.elapsed()
    );
}

#[test]
fn q51_a_full_queue_does_not_refuse_what_a_consumer_takes() {
    let limits = [
        ("x-max-length", int(1)),
        ("x-overflow", string("reject-publish")),
    ];
    let (mut c, q) = with_queue("q51", &limits);
    c.open_channel(2);
    let take = basic::Consume {
        no_ack: true,
        ..consume(&q, "t")
    };
    c.call(2, take);
    c.call(1, confirm_select());
    for n in 1..=5 {
        c.put(&q, &n.to_string());
        let (mut confirmed, mut delivered) = (false, false);
        while !(confirmed && delivered) {
            match c.next_frame() {
                Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_))) => confirmed = true,
                Frame::Method(2, AMQPClass::Basic(basic::AMQPMethod::Deliver(it))) => {
                    c.expect_content(2, it);
                    delivered = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
