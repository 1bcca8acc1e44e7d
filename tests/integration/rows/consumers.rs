//! Section 2.7: consumers.

use crate::{
    dialogue::*,
    harness::{client, is_oracle, shared, unique},
};

fn client_with_queue(name: &str) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    (c, q)
}

fn is_generated(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("amq.ctag-") else {
        return false;
    };
    rest.len() == 22
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[test]
fn h100_empty_tag_is_generated() {
    let (mut c, q) = client_with_queue("h100");
    let one = c.call(1, consume(&q, "")).consumer_tag;
    let two = c.call(1, consume(&q, "")).consumer_tag;
    assert!(
        is_generated(one.as_str()) && is_generated(two.as_str()),
        "{one} {two}"
    );
    assert_ne!(one, two);
}

#[test]
fn h100_empty_tag_is_generated_with_nowait_too() {
    let (mut c, q) = client_with_queue("h100n");
    c.send(
        1,
        basic::Consume {
            nowait: true,
            ..consume(&q, "")
        },
    );
    c.put(&q, "x");
    let delivery = c.expect_deliver(1);
    assert!(
        is_generated(delivery.method.consumer_tag.as_str()),
        "{delivery:?}"
    );
}

#[test]
fn h101_duplicate_tag() {
    let (mut c, q) = client_with_queue("h101");
    c.call(1, consume(&q, "a"));
    c.open_channel(2);
    c.call(2, consume(&q, "a")); // tags are the channel's
    c.send(1, consume(&q, "a"));
    c.expect_connection_error(
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'a'",
        (60, 20),
    );
}

#[test]
fn h102_missing_queue() {
    let mut c = client();
    let q = unique("h102");
    c.send(1, consume(&q, "t"));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (60, 20));
}

#[test]
fn h103_consume_ok_comes_first() {
    let (mut c, q) = client_with_queue("h103");
    for _ in 0..10 {
        c.put(&q, "x");
    }
    assert_eq!(c.call(1, consume(&q, "t")).consumer_tag.as_str(), "t");
    for _ in 0..10 {
        assert_eq!(c.expect_deliver(1).method.consumer_tag.as_str(), "t");
    }
}

#[test]
fn h104_nothing_after_cancel_ok() {
    let (mut c, q) = client_with_queue("h104");
    c.call(1, consume(&q, "t"));
    c.put(&q, "held");
    let tag = c.expect_bodies(&["held"])[0];
    assert_eq!(c.call(1, cancel("t")).consumer_tag.as_str(), "t");
    c.put(&q, "later");
    c.expect_nothing();
    // what was delivered is still the channel's to settle
    assert_eq!(c.call(1, declare_passive(&q)).message_count, 1);
    c.send(1, ack(tag));
    c.take(&q, "later");
    c.call(1, consume(&q, "t")); // the tag is free again
}

#[test]
fn h105_cancel_of_an_unknown_tag() {
    let mut c = client();
    assert_eq!(c.call(1, cancel("nobody")).consumer_tag.as_str(), "nobody");
}

#[test]
fn h106_exclusive_consumer() {
    let mut c = client();
    let q = unique("h106");
    c.call(1, declare(&q));
    let mut other = client();
    c.call(
        1,
        basic::Consume {
            exclusive: true,
            ..consume(&q, "t")
        },
    );
    let text = format!("ACCESS_REFUSED - queue '{q}' in vhost '/' in exclusive use");
    other.send(1, consume(&q, "u"));
    other.expect_channel_error(1, 403, &text, (60, 20));
    c.open_channel(2);
    c.send(2, consume(&q, "v")); // the same connection is no better
    c.expect_channel_error(2, 403, &text, (60, 20));
    c.call(1, cancel("t"));
    other.open_channel(1);
    other.call(1, consume(&q, "u"));
    c.send(
        1,
        basic::Consume {
            exclusive: true,
            ..consume(&q, "t")
        },
    );
    c.expect_channel_error(1, 403, &text, (60, 20));
    other.call(1, delete(&q));
}

#[test]
fn h108_exclusive_on_a_single_active_consumer_queue() {
    let mut c = client();
    let q = unique("h108");
    let sac = declare_with(&q, table(&[("x-single-active-consumer", boolean(true))]));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..sac
        },
    );
    c.send(
        1,
        basic::Consume {
            exclusive: true,
            ..consume(&q, "t")
        },
    );
    let text = format!("ACCESS_REFUSED - queue '{q}' in vhost '/' in exclusive use");
    c.expect_channel_error(1, 403, &text, (60, 20));
}

#[test]
fn h109_no_local_is_ignored() {
    let (mut c, q) = client_with_queue("h109");
    c.call(
        1,
        basic::Consume {
            no_local: true,
            ..consume(&q, "t")
        },
    );
    c.put(&q, "own");
    c.expect_bodies(&["own"]);
}

#[test]
fn h110_round_robin() {
    let (mut c, q) = client_with_queue("h110");
    for tag in ["a", "b", "c"] {
        c.call(1, consume(&q, tag));
    }
    let mut taken = Vec::new();
    for i in 0..9 {
        c.put(&q, &i.to_string());
        taken.push(c.expect_deliver(1).method.consumer_tag.as_str().to_owned());
    }
    for turn in taken.chunks(3) {
        let mut turn = turn.to_vec();
        turn.sort();
        assert_eq!(turn, ["a", "b", "c"], "each once in {taken:?}");
    }
}

#[test]
fn h110_those_without_room_are_passed_over() {
    let (mut c, q) = client_with_queue("h110p");
    c.call(1, qos(1));
    c.call(1, consume(&q, "one"));
    c.call(1, qos(0));
    c.call(1, consume(&q, "many"));
    for i in 0..6 {
        c.put(&q, &i.to_string());
    }
    let tags: Vec<_> = (0..6)
        .map(|_| c.expect_deliver(1).method.consumer_tag)
        .collect();
    assert_eq!(
        tags.iter().filter(|tag| tag.as_str() == "one").count(),
        1,
        "{tags:?}"
    );
}

#[test]
fn h111_consumer_priority() {
    let (mut c, q) = client_with_queue("h111");
    let with_priority = |tag: &str, priority| basic::Consume {
        arguments: table(&[("x-priority", priority)]),
        ..consume(&q, tag)
    };
    c.call(1, qos(2));
    c.call(1, with_priority("low", int(-1)));
    c.call(1, with_priority("high", long(10)));
    c.call(1, consume(&q, "normal"));
    let mut tags = Vec::new();
    for i in 0..6 {
        c.put(&q, &i.to_string());
        tags.push(c.expect_deliver(1).method.consumer_tag.as_str().to_owned());
    }
    assert_eq!(tags, ["high", "high", "normal", "normal", "low", "low"]);
}

#[test]
fn h111_consumer_priority_of_a_wrong_type() {
    let (mut c, q) = client_with_queue("h111t");
    let arguments = table(&[("x-priority", string("high"))]);
    c.send(
        1,
        basic::Consume {
            arguments,
            ..consume(&q, "t")
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{q}' in vhost '/': \"expected \
         integer, got longstr\""
    );
    c.expect_channel_error(1, 406, &text, (60, 20));
}

#[test]
fn h112_consumer_argument_of_another_queue_type() {
    let (mut c, q) = client_with_queue("h112");
    let unknown = table(&[("x-mine", int(1))]);
    c.call(
        1,
        basic::Consume {
            arguments: unknown,
            ..consume(&q, "ignored")
        },
    );
    let arguments = table(&[("x-stream-offset", string("first"))]);
    c.send(
        1,
        basic::Consume {
            arguments,
            ..consume(&q, "t")
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{q}' in vhost '/' of queue \
         type rabbit_classic_queue"
    );
    c.expect_channel_error(1, 406, &text, (60, 20));
}

#[test]
fn h113_cancel_when_the_queue_is_deleted() {
    let mut c = client();
    let q = unique("h113");
    c.call(1, declare(&q));
    let mut watcher = shared().client();
    watcher.call(1, consume(&q, "t"));
    c.call(1, delete(&q));
    let told: basic::Cancel = watcher.expect(1);
    assert_eq!((told.consumer_tag.as_str(), told.nowait), ("t", true));
    if !is_oracle() {
        // 3.10 takes a cancel-ok for an unknown method; the protocol lets clients send it
        watcher.send(
            1,
            basic::CancelOk {
                consumer_tag: "t".into(),
            },
        );
    }
    watcher.call(1, qos(0));
}

/// The notice of the first consumer's end was taken for the second one's, which has the same tag:
/// it was told it had been cancelled, and stayed on its queue as a consumer nobody could reach.
#[test]
fn h113_a_late_notice_spares_the_next_consumer_of_that_tag() {
    let mut c = client();
    let (q1, q2) = (unique("h113a"), unique("h113b"));
    for q in [&q1, &q2] {
        c.call(1, declare(q));
    }
    c.call(1, consume(&q1, "t"));
    let frames = [
        method_frame(delete(&q1)),
        method_frame(cancel("t")),
        method_frame(consume(&q2, "t")),
    ];
    c.send_bytes(&frames.concat());
    let _: queue::DeleteOk = c.expect(1);
    let _: basic::CancelOk = c.expect(1);
    let _: basic::ConsumeOk = c.expect(1);
    c.put(&q2, "for the second");
    c.expect_bodies(&["for the second"]);
    c.call(1, cancel("t"));
    assert_eq!(c.call(1, declare_passive(&q2)).consumer_count, 0);
    c.call(1, delete(&q2));
}

#[test]
fn h113_no_cancel_without_the_capability() {
    let mut c = client();
    let q = unique("h113s");
    c.call(1, declare(&q));
    let login = Login::default().without("consumer_cancel_notify");
    let mut watcher = shared().client_as(&login);
    watcher.call(1, consume(&q, "t"));
    c.call(1, delete(&q));
    watcher.expect_nothing();
    watcher.call(1, qos(0));
}

#[test]
fn h115_no_ack_settles_on_sending() {
    let mut c = client();
    let q = unique("h115");
    c.call(1, declare(&q));
    c.put(&q, "gone");
    let mut taker = client();
    taker.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    taker.expect_bodies(&["gone"]);
    taker.call(0, close_connection());
    assert_eq!(c.call(1, delete(&q)).message_count, 0);
}
