//! Section 5: what a confirm and an ok promise, and what nobody promises.

use crate::{
    dialogue::*,
    harness::{Broker, client, is_oracle, unique},
};
use std::{fs, io::Write as _, path::PathBuf};

fn durable(q: &str) -> queue::Declare {
    queue::Declare {
        durable: true,
        ..declare(q)
    }
}

fn put_persistent(c: &mut Peer, exchange: &str, key: &str, body: &str) {
    let persistent = properties().with_delivery_mode(2);
    c.publish_with(1, publish(exchange, key), &persistent, body.as_bytes());
}

#[test]
fn p1_transient_messages_are_confirmed_and_gone_after_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("keeps"));
    c.call(1, declare("transient"));
    c.call(1, confirm_select());
    c.put("keeps", "transient message");
    let _: basic::Ack = c.expect(1);
    put_persistent(&mut c, "", "transient", "transient queue");
    let _: basic::Ack = c.expect(1);
    broker.restart();
    let mut c = broker.client();
    assert_eq!(c.call(1, declare_passive("keeps")).message_count, 0);
    c.send(1, declare_passive("transient"));
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 404);
}

#[test]
fn p4_what_is_consumed_at_once_is_confirmed_too() {
    let mut c = client();
    let q = unique("p4");
    c.call(1, durable(&q));
    c.open_channel(2);
    let take = basic::Consume {
        no_ack: true,
        ..consume(&q, "t")
    };
    c.call(2, take);
    c.call(1, confirm_select());
    for n in 1..=20 {
        put_persistent(&mut c, "", &q, &n.to_string());
    }
    let (mut delivered, mut confirmed) = (0, 0);
    while delivered < 20 || confirmed < 20 {
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack))) => {
                confirmed = ack.delivery_tag;
            }
            Frame::Method(2, AMQPClass::Basic(basic::AMQPMethod::Deliver(it))) => {
                c.expect_content(2, it);
                delivered += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    c.call(1, delete(&q));
}

#[test]
fn p8_p12_a_confirm_counts_for_all_queues_and_an_ok_for_the_definition() {
    if is_oracle() {
        return; // it does not sync before it confirms
    }
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    let x = exchange::Declare {
        durable: true,
        ..declare_exchange("x", "fanout")
    };
    c.call(1, x);
    for q in ["a", "b", "c"] {
        c.call(1, durable(q));
        c.call(1, bind(q, "x", ""));
    }
    c.call(1, confirm_select());
    put_persistent(&mut c, "x", "", "everywhere");
    let _: basic::Ack = c.expect(1);
    // What was answered last is there as well.
    c.call(1, durable("last"));
    c.call(1, bind("last", "x", ""));
    broker.kill9();
    broker.start_again();
    let mut c = broker.client();
    for q in ["a", "b", "c"] {
        c.take(q, "everywhere");
    }
    put_persistent(&mut c, "x", "", "after");
    for q in ["a", "b", "c", "last"] {
        assert_eq!(c.get_eventually(q).text(), "after");
    }
}

#[test]
fn p9_without_confirms_nothing_is_said() {
    let mut c = client();
    let q = unique("p9");
    c.call(1, durable(&q));
    for _ in 0..10 {
        put_persistent(&mut c, "", &q, "x");
    }
    c.expect_nothing();
    assert_eq!(c.call(1, purge(&q)).message_count, 10);
    c.call(1, delete(&q));
}

#[test]
fn p15_the_same_message_twice_is_two_messages() {
    let mut c = client();
    let q = unique("p15");
    c.call(1, declare(&q));
    let again = properties().with_message_id("the same".into());
    for _ in 0..2 {
        c.publish_with(1, publish("", &q), &again, b"x");
    }
    assert_eq!(c.drain(&q), ["x", "x"]);
    c.call(1, delete(&q));
}

/// The segment of the log that was written to last.
fn newest_segment(broker: &Broker) -> PathBuf {
    let log = fs::read_dir(broker.data_dir().join("log")).expect("the log");
    let segments = log.map(|entry| entry.expect("readable").path());
    let mut segments: Vec<PathBuf> = segments
        .filter(|path| path.extension().is_some_and(|end| end == "wlog"))
        .collect();
    segments.sort();
    segments.pop().expect("a segment")
}

#[test]
fn p16_a_torn_tail_is_cut_off() {
    if is_oracle() {
        return; // its files are its own
    }
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q"));
    c.call(1, confirm_select());
    for n in 0..10 {
        put_persistent(&mut c, "", "q", &n.to_string());
    }
    while c.expect::<basic::Ack>(1).delivery_tag < 10 {}
    broker.kill9();
    let segment = newest_segment(&broker);
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(segment)
        .expect("a segment");
    file.write_all(b"half a record that a power cut left")
        .expect("bytes are written");
    drop(file);
    broker.start_again();
    let mut c = broker.client();
    let all: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(c.drain("q"), all);
    put_persistent(&mut c, "", "q", "next");
    c.take("q", "next");
}
