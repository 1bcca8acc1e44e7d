//! Backlogs that do not fit in memory: queues keep 64 messages of them, the log has the rest.

use std::time::{Duration, Instant};

use crate::{dialogue::*, harness::Broker};

/// Messages of a backlog: many times what a queue keeps.
const MANY: usize = 1000;

fn small() -> Broker {
    Broker::start(&["queue_resident_messages = 64"])
}

fn durable(q: &str, arguments: FieldTable) -> queue::Declare {
    queue::Declare {
        durable: true,
        ..declare_with(q, arguments)
    }
}

fn none() -> FieldTable {
    table(&[])
}

/// Publishes what `of` gives for 0 to n and waits until it is confirmed.
fn fill(c: &mut Peer, q: &str, n: usize, of: impl Fn(usize) -> (BasicProperties, String)) {
    c.call(1, confirm_select());
    for i in 0..n {
        let (properties, body) = of(i);
        c.publish_with(1, publish("", q), &properties, body.as_bytes());
    }
    let mut confirmed = 0;
    while confirmed < n as u64 {
        let ack: basic::Ack = c.expect(1);
        confirmed = ack.delivery_tag.max(confirmed);
    }
}

fn numbered(i: usize) -> (BasicProperties, String) {
    (properties().with_delivery_mode(2), i.to_string())
}

/// Every third one is not persistent.
fn mixed(i: usize) -> (BasicProperties, String) {
    let mode = if i.is_multiple_of(3) { 1 } else { 2 };
    (properties().with_delivery_mode(mode), i.to_string())
}

fn numbers(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

fn ready(c: &mut Peer, q: &str) -> u32 {
    c.call(1, declare_passive(q)).message_count
}

/// Consumes until `n` deliveries came; their bodies.
fn deliveries(c: &mut Peer, n: usize) -> Vec<(String, bool)> {
    let take = |_| {
        let got = c.expect_deliver(1);
        (got.text().to_owned(), got.method.redelivered)
    };
    (0..n).map(take).collect()
}

#[test]
fn gets_come_in_order_and_never_find_it_empty() {
    let broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    fill(&mut c, "q", MANY, mixed);
    assert_eq!(ready(&mut c, "q") as usize, MANY);
    assert_eq!(c.drain("q"), numbers(0..MANY));
    assert_eq!(ready(&mut c, "q"), 0);
}

#[test]
fn a_consumer_gets_it_all_while_more_comes() {
    let broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    fill(&mut c, "q", MANY, mixed);
    let mut taker = broker.client();
    taker.call(1, qos(10));
    taker.call(1, consume("q", "t"));
    for i in MANY..2 * MANY {
        let (properties, body) = mixed(i);
        c.publish_with(1, publish("", "q"), &properties, body.as_bytes());
    }
    for i in 0..2 * MANY {
        let got = taker.expect_deliver(1);
        assert_eq!(
            (got.text(), got.method.redelivered),
            (&*i.to_string(), false)
        );
        taker.send(1, ack(got.method.delivery_tag));
    }
}

/// More than are taken apart at once.
#[test]
fn one_ack_settles_very_many_deliveries() {
    const VERY_MANY: usize = 70_000;
    let mut broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    fill(&mut c, "q", VERY_MANY, numbered);
    let mut taker = broker.client();
    taker.call(1, consume("q", "t"));
    let mut last = 0;
    for _ in 0..VERY_MANY {
        last = taker.expect_deliver(1).method.delivery_tag;
    }
    taker.send(1, ack_up_to(last - 1));
    taker.quiet();
    // All but one are gone, here and after a restart.
    drop(taker);
    let deadline = Instant::now() + Duration::from_secs(60);
    while ready(&mut c, "q") != 1 {
        assert!(
            Instant::now() < deadline,
            "the unacked one does not come back"
        );
    }
    drop(c);
    broker.restart();
    let mut c = broker.client();
    assert_eq!(c.drain("q"), numbers(VERY_MANY - 1..VERY_MANY));
}

#[test]
fn a_transient_queue_pages_too_and_forgets() {
    let mut broker = small();
    let mut c = broker.client();
    c.call(1, declare("transient"));
    c.call(1, durable("durable", none()));
    fill(&mut c, "transient", MANY, |i| (properties(), i.to_string()));
    assert_eq!(ready(&mut c, "transient") as usize, MANY);
    drop(c);
    let mut c = broker.client();
    fill(&mut c, "durable", MANY, mixed);
    drop(c);
    broker.restart();
    let mut c = broker.client();
    let persistent = (0..MANY).filter(|i| i % 3 != 0);
    assert_eq!(c.drain("durable"), numbers(persistent));
    // Its number is given out anew: nothing of the old one may show.
    c.call(1, declare("transient"));
    assert_eq!(ready(&mut c, "transient"), 0);
    drop(c);
    let mut c = broker.client();
    fill(&mut c, "transient", MANY, |i| (properties(), i.to_string()));
    assert_eq!(c.drain("transient"), numbers(0..MANY));
}

#[test]
fn what_was_requeued_comes_before_what_was_not() {
    let broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    fill(&mut c, "q", MANY, numbered);
    let mut taker = broker.client();
    // More unacked than a queue keeps the bytes of.
    taker.call(1, consume("q", "t"));
    let got = deliveries(&mut taker, 500);
    assert!(got.iter().all(|(_, redelivered)| !redelivered));
    drop(taker);
    let deadline = Instant::now() + PATIENCE;
    while (ready(&mut c, "q") as usize) < MANY {
        assert!(Instant::now() < deadline, "nothing came back");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut taker = broker.client();
    taker.call(1, qos(50));
    taker.call(1, consume("q", "t"));
    let mut fresh = false;
    for i in 0..MANY {
        let got = taker.expect_deliver(1);
        assert_eq!(got.text(), i.to_string());
        assert!(i >= 500 || got.method.redelivered);
        // First those that had been handed out, then the others.
        assert!(!fresh || !got.method.redelivered);
        fresh = !got.method.redelivered;
        taker.send(1, ack(got.method.delivery_tag));
    }
}

#[test]
fn rejected_messages_without_bytes_are_dead_lettered_with_them() {
    let broker = small();
    let mut c = broker.client();
    c.call(1, durable("dead", none()));
    let to_dead = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("dead")),
    ]);
    c.call(1, durable("q", to_dead));
    fill(&mut c, "q", MANY, numbered);
    let mut taker = broker.client();
    taker.call(1, consume("q", "t"));
    let got = deliveries(&mut taker, MANY);
    assert_eq!(got.len(), MANY);
    taker.send(
        1,
        basic::Nack {
            delivery_tag: 0,
            multiple: true,
            requeue: false,
        },
    );
    let deadline = Instant::now() + PATIENCE;
    while (ready(&mut c, "dead") as usize) < MANY {
        assert!(Instant::now() < deadline, "dead letters are missing");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(c.drain("dead"), numbers(0..MANY));
}

#[test]
fn priorities_are_kept_over_a_restart() {
    let mut broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", table(&[("x-max-priority", int(3))])));
    let prioritised = |i: usize| {
        let (properties, body) = numbered(i);
        (properties.with_priority((i % 5) as u8), body)
    };
    fill(&mut c, "q", MANY, prioritised);
    let level = |i: &usize| 3 - (i % 5).min(3);
    let mut expected: Vec<usize> = (0..MANY).collect();
    expected.sort_by_key(level);
    for body in numbers(expected[..100].iter().copied()) {
        let get = basic::Get {
            no_ack: true,
            ..get("q")
        };
        assert_eq!(c.get_on(1, get).expect("a message").text(), body);
    }
    drop(c);
    broker.restart();
    let mut c = broker.client();
    assert_eq!(c.drain("q"), numbers(expected[100..].iter().copied()));
}

#[test]
fn it_survives_kill_9_with_its_marks() {
    let mut broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    fill(&mut c, "q", MANY, numbered);
    let mut taker = broker.client();
    taker.call(1, qos(100));
    taker.call(1, consume("q", "t"));
    let got = deliveries(&mut taker, 100);
    assert_eq!(got[99].0, "99");
    broker.kill9();
    broker.start_again();
    let mut c = broker.client();
    assert_eq!(ready(&mut c, "q") as usize, MANY);
    for i in 0..MANY {
        let get = basic::Get {
            no_ack: true,
            ..get("q")
        };
        let got = c.get_on(1, get).expect("a message");
        assert_eq!(
            (got.text(), got.method.redelivered),
            (&*i.to_string(), i < 100)
        );
    }
}

#[test]
fn a_long_backlog_expires() {
    let broker = small();
    let mut c = broker.client();
    c.call(1, durable("q", table(&[("x-message-ttl", int(300))])));
    fill(&mut c, "q", MANY, mixed);
    let deadline = Instant::now() + PATIENCE;
    while ready(&mut c, "q") > 0 {
        assert!(Instant::now() < deadline, "it does not expire");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(c.get("q").is_none());
}

#[test]
fn limits_and_purges_count_what_is_paged() {
    let mut broker = small();
    let mut c = broker.client();
    c.call(1, durable("short", table(&[("x-max-length", int(500))])));
    c.call(1, durable("purged", none()));
    fill(&mut c, "short", MANY, mixed);
    assert_eq!(ready(&mut c, "short"), 500);
    drop(c);
    let mut c = broker.client();
    fill(&mut c, "purged", MANY, mixed);
    assert_eq!(c.call(1, purge("purged")).message_count as usize, MANY);
    assert!(c.get("purged").is_none());
    drop(c);
    broker.restart();
    let mut c = broker.client();
    assert!(c.get("purged").is_none());
    let kept = (500..MANY).filter(|i| i % 3 != 0);
    assert_eq!(c.drain("short"), numbers(kept));
}

/// Half a gigabyte of messages, persistent and not, beside what a broker takes anyway.
#[test]
fn a10_a_backlog_does_not_fill_memory() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q", none()));
    let before = broker.process().rss_bytes();
    let body = "x".repeat(1024);
    let large = |i: usize| (mixed(i).0, body.clone());
    fill(&mut c, "q", 500_000, large);
    let grown = broker.process().rss_bytes().saturating_sub(before);
    assert!(grown < 200_000_000, "grew by {} MB", grown / 1_000_000);
    assert_eq!(ready(&mut c, "q"), 500_000);
    assert_eq!(c.call(1, purge("q")).message_count, 500_000);
}
