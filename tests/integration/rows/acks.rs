//! Section 2.6: delivery tags, settling, redelivery.

use crate::{
    dialogue::*,
    harness::{client, shared, unique},
};

/// A client with an exclusive queue holding these messages.
fn with_messages(name: &str, bodies: &[&str]) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    for body in bodies {
        c.put(&q, body);
    }
    (c, q)
}

#[test]
fn h80_tags_count_by_channel_over_all_deliveries() {
    let (mut c, q) = with_messages("h80", &["a", "b", "c", "d"]);
    assert_eq!(c.get(&q).unwrap().method.delivery_tag, 1);
    let no_ack = basic::Get {
        no_ack: true,
        ..get(&q)
    };
    assert_eq!(c.get_on(1, no_ack).unwrap().method.delivery_tag, 2);
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    assert_eq!(c.expect_bodies(&["c", "d"]), [3, 4]);
    c.open_channel(2);
    c.put(&q, "e");
    assert_eq!(c.expect_bodies(&["e"]), [5]);
    c.call(1, cancel("t"));
    c.put(&q, "f");
    c.call(1, qos(0));
    assert_eq!(c.get_on(2, get(&q)).unwrap().method.delivery_tag, 1);
}

/// `method` names the tag 7, which never was.
#[track_caller]
fn unknown_tag(method: impl Method, at: (u16, u16)) {
    let mut c = client();
    c.send(1, method);
    c.expect_channel_error(1, 406, "PRECONDITION_FAILED - unknown delivery tag 7", at);
}

#[test]
fn h81_unknown_delivery_tag() {
    unknown_tag(ack(7), (60, 80));
    unknown_tag(ack_up_to(7), (60, 80));
    unknown_tag(nack(7), (60, 120));
    unknown_tag(
        basic::Nack {
            multiple: true,
            ..nack(7)
        },
        (60, 120),
    );
    unknown_tag(reject(7, true), (60, 90));
    unknown_tag(reject(7, false), (60, 90));
}

#[test]
fn h81_tag_already_settled() {
    let (mut c, q) = with_messages("h81", &["a"]);
    let tag = c.get(&q).unwrap().method.delivery_tag;
    c.send(1, ack(tag));
    c.send(1, ack(tag));
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        (60, 80),
    );
}

#[test]
fn h81_no_ack_tags_cannot_be_acked() {
    let (mut c, q) = with_messages("h81n", &["a"]);
    c.get_on(
        1,
        basic::Get {
            no_ack: true,
            ..get(&q)
        },
    )
    .unwrap();
    c.send(1, ack(1));
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        (60, 80),
    );
}

#[test]
fn h81_tags_of_another_channel_are_unknown() {
    let (mut c, q) = with_messages("h81c", &["a"]);
    c.get(&q).unwrap();
    c.open_channel(2);
    c.send(2, ack(1));
    c.expect_channel_error(
        2,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        (60, 80),
    );
}

#[test]
fn h82_multiple_with_tag_zero_is_all() {
    let (mut c, q) = with_messages("h82", &["a", "b", "c"]);
    c.send(1, ack_up_to(0)); // none outstanding is fine
    for _ in 0..3 {
        c.get(&q).unwrap();
    }
    c.send(1, ack_up_to(0));
    c.send(1, ack_up_to(0));
    c.call(1, close_channel());
    c.open_channel(1);
    assert!(c.get(&q).is_none());
}

#[test]
fn h82_tag_zero_alone_is_unknown() {
    let (mut c, q) = with_messages("h82z", &["a"]);
    c.get(&q).unwrap();
    c.send(1, ack(0));
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 0",
        (60, 80),
    );
}

#[test]
fn h82_multiple_settles_up_to_the_tag() {
    let (mut c, q) = with_messages("h82m", &["a", "b", "c", "d"]);
    for _ in 0..4 {
        c.get(&q).unwrap();
    }
    c.send(1, ack_up_to(2));
    c.send(
        1,
        basic::Nack {
            multiple: true,
            ..nack(4)
        },
    );
    let back = [c.get_eventually(&q), c.get_eventually(&q)];
    assert_eq!([back[0].text(), back[1].text()], ["c", "d"]);
    assert!(c.get(&q).is_none());
}

#[test]
fn h83_requeue_goes_back_to_its_place() {
    let (mut c, q) = with_messages("h83", &["a", "b", "c", "d"]);
    let tags: Vec<u64> = (0..3)
        .map(|_| c.get(&q).unwrap().method.delivery_tag)
        .collect();
    c.send(1, nack(tags[1]));
    let again = c.get_eventually(&q);
    assert_eq!((again.text(), again.method.redelivered), ("b", true));
    c.send(1, nack(again.method.delivery_tag));
    c.send(1, reject(tags[0], true));
    c.send(1, nack(tags[2]));
    c.call(1, qos(0));
    let order: Vec<_> = (0..4)
        .map(|_| {
            let got = c.get_eventually(&q);
            (got.text().to_owned(), got.method.redelivered)
        })
        .collect();
    let expected = [("a", true), ("b", true), ("c", true), ("d", false)];
    assert_eq!(
        order,
        expected.map(|(body, again)| (body.to_owned(), again))
    );
}

#[test]
fn h84_without_requeue_it_is_gone() {
    let (mut c, q) = with_messages("h84", &["a", "b"]);
    let tags: Vec<u64> = (0..2)
        .map(|_| c.get(&q).unwrap().method.delivery_tag)
        .collect();
    c.send(1, reject(tags[0], false));
    c.send(
        1,
        basic::Nack {
            requeue: false,
            ..nack(tags[1])
        },
    );
    c.call(1, close_channel());
    c.open_channel(1);
    assert!(c.get(&q).is_none());
}

#[test]
fn h85_loss_of_a_connection_requeues_in_order() {
    let mut c = client();
    let q = unique("h85");
    c.call(1, declare(&q));
    for body in ["a", "b", "c"] {
        c.put(&q, body);
    }
    let mut lost = shared().client();
    lost.call(1, consume(&q, "t"));
    lost.expect_bodies(&["a", "b", "c"]);
    drop(lost);
    let order: Vec<_> = (0..3)
        .map(|_| {
            let got = c.get_eventually(&q);
            assert!(got.method.redelivered);
            got.text().to_owned()
        })
        .collect();
    assert_eq!(order, ["a", "b", "c"]);
    c.call(1, delete(&q));
}

#[test]
fn h86_recover() {
    let (mut c, q) = with_messages("h86", &["a", "b"]);
    c.call(1, consume(&q, "t"));
    assert_eq!(c.expect_bodies(&["a", "b"]), [1, 2]);
    c.send(1, ack(1));
    c.call(1, recover()); // recover-ok comes first
    let again = c.expect_deliver(1);
    let told = (
        again.text(),
        again.method.delivery_tag,
        again.method.redelivered,
    );
    assert_eq!(told, ("b", 3, true));
}

#[test]
fn h86_recover_async() {
    let (mut c, q) = with_messages("h86a", &["a"]);
    c.call(1, consume(&q, "t"));
    c.expect_bodies(&["a"]);
    c.send(1, basic::RecoverAsync { requeue: true });
    let again = c.expect_deliver(1);
    assert_eq!((again.text(), again.method.redelivered), ("a", true));
}

#[test]
fn h86_recover_without_requeue() {
    let text = "NOT_IMPLEMENTED - requeue=false";
    let mut c = client();
    c.send(1, basic::Recover { requeue: false });
    c.expect_connection_error(540, text, (60, 110));
    let mut c = client();
    c.send(1, basic::RecoverAsync { requeue: false });
    c.expect_connection_error(540, text, (60, 100));
}

#[test]
fn h87_ack_after_the_queue_is_gone() {
    let (mut c, q) = with_messages("h87", &["a", "b"]);
    c.get(&q).unwrap();
    c.get(&q).unwrap();
    c.call(1, delete(&q));
    c.send(1, ack(1));
    c.send(1, nack(2));
    c.call(1, qos(0));
}

#[test]
fn h88_purge_leaves_unacked() {
    let (mut c, q) = with_messages("h88", &["held", "b", "c"]);
    let tag = c.get(&q).unwrap().method.delivery_tag;
    assert_eq!(c.call(1, purge(&q)).message_count, 2);
    c.send(1, nack(tag));
    assert_eq!(c.get_eventually(&q).text(), "held");
}
