//! Section 2.4: transactions on one channel. (Crashes are another module's.)

use crate::{
    dialogue::*,
    harness::{client, unique},
};

#[test]
fn h60_select_twice() {
    let mut c = client();
    c.call(1, tx::Select {});
    c.call(1, tx::Select {});
}

#[test]
fn h60_commit_and_rollback_need_select() {
    let text = "PRECONDITION_FAILED - channel is not transactional";
    let mut c = client();
    c.send(1, tx::Commit {});
    c.expect_channel_error(1, 406, text, (90, 20));
    c.open_channel(1);
    c.send(1, tx::Rollback {});
    c.expect_channel_error(1, 406, text, (90, 30));
}

/// A client in a transaction, with an exclusive queue.
fn begin(name: &str) -> (Peer, String) {
    let mut c = client();
    let q = unique(name);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, tx::Select {});
    c.open_channel(2);
    (c, q)
}

#[test]
fn h61_published_messages_appear_at_commit() {
    let (mut c, q) = begin("h61");
    c.put(&q, "one");
    c.put(&q, "two");
    assert!(c.get_on(2, get(&q)).is_none(), "not before commit");
    c.call(1, tx::Commit {});
    assert_eq!(c.call(2, declare_passive(&q)).message_count, 2);
    c.put(&q, "three");
    c.call(1, tx::Commit {});
    assert_eq!(c.drain(&q), ["one", "two", "three"]);
}

#[test]
fn h61_checks_are_made_at_publish() {
    let mut c = client();
    c.call(1, tx::Select {});
    let e = unique("h61e");
    c.publish(&e, "k", "x");
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (60, 40));
}

#[test]
fn h61_routes_are_taken_at_publish() {
    let (mut c, q) = begin("h61r");
    let e = unique("h61f");
    c.call(2, declare_exchange(&e, "fanout"));
    c.call(2, bind(&q, &e, ""));
    c.publish(&e, "", "routed");
    c.call(1, qos(0)); // the publish has been handled
    c.call(2, unbind(&q, &e, ""));
    c.call(1, tx::Commit {});
    c.take(&q, "routed");
    c.call(2, delete_exchange(&e));
}

#[test]
fn h62_returns_come_before_commit_ok() {
    let mut c = client();
    c.call(1, tx::Select {});
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("", &unique("h62"))
    };
    c.publish_with(1, mandatory, &properties(), b"back");
    c.expect_nothing();
    c.send(1, tx::Commit {});
    let returned: Message<basic::Return> = c.expect_message(1);
    assert_eq!(returned.text(), "back");
    let _: tx::CommitOk = c.expect(1);
}

#[test]
fn h63_acks_count_at_commit() {
    let (mut c, q) = begin("h63");
    c.publish_with(2, publish("", &q), &properties(), b"kept");
    c.call(2, qos(0));
    let got = c.get_eventually(&q);
    c.send(1, ack(got.method.delivery_tag));
    c.call(1, close_channel()); // no commit: the ack never was (H-68)
    c.open_channel(1);
    let again = c.get_eventually(&q);
    assert!(again.method.redelivered);
    c.call(1, tx::Select {});
    c.send(1, ack(again.method.delivery_tag));
    c.call(1, tx::Commit {});
    c.call(1, close_channel());
    assert!(c.get_on(2, get(&q)).is_none());
}

#[test]
fn h63_nack_requeues_at_commit() {
    let (mut c, q) = begin("h63n");
    c.publish_with(2, publish("", &q), &properties(), b"again");
    c.call(2, qos(0));
    let got = c.get_eventually(&q);
    c.send(1, nack(got.method.delivery_tag));
    assert!(c.get_on(2, get(&q)).is_none(), "not before commit");
    c.call(1, tx::Commit {});
    assert!(c.get_eventually(&q).method.redelivered);
}

#[test]
fn h64_rollback_drops_publishes_and_restores_unacked() {
    let (mut c, q) = begin("h64");
    c.publish_with(2, publish("", &q), &properties(), b"held");
    c.call(2, qos(0));
    let got = c.get_eventually(&q);
    c.put(&q, "never");
    c.send(1, ack(got.method.delivery_tag));
    c.call(1, tx::Rollback {});
    assert!(
        c.get_on(2, get(&q)).is_none(),
        "the publish is gone, the delivery not requeued"
    );
    // the tag is unacked again and can be acked for good
    c.send(1, ack(got.method.delivery_tag));
    c.call(1, tx::Commit {});
    c.call(1, close_channel());
    assert!(c.get_on(2, get(&q)).is_none());
}

#[test]
fn h64_tag_acked_twice_in_one_transaction() {
    let (mut c, q) = begin("h64t");
    c.publish_with(2, publish("", &q), &properties(), b"x");
    c.call(2, qos(0));
    let tag = c.get_eventually(&q).method.delivery_tag;
    c.send(1, ack(tag));
    c.send(1, ack(tag));
    let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
    c.expect_channel_error(1, 406, &text, (60, 80));
}

#[test]
fn h65_commit_covers_several_durable_queues() {
    let mut c = client();
    let names = [unique("h65a"), unique("h65b")];
    for q in &names {
        c.call(
            1,
            queue::Declare {
                durable: true,
                ..declare(q)
            },
        );
    }
    c.call(1, tx::Select {});
    for i in 0..10 {
        let persistent = properties().with_delivery_mode(2);
        c.publish_with(1, publish("", &names[i % 2]), &persistent, b"x");
    }
    c.call(1, tx::Commit {});
    for q in &names {
        assert_eq!(c.call(1, delete(q)).message_count, 5);
    }
}

#[test]
fn h66_refused_publish_at_commit() {
    let mut c = client();
    let q = unique("h66");
    let limits = table(&[
        ("x-max-length", int(0)),
        ("x-overflow", string("reject-publish")),
    ]);
    let exclusive = queue::Declare {
        exclusive: true,
        ..declare_with(&q, limits)
    };
    c.call(1, exclusive);
    c.call(1, tx::Select {});
    c.put(&q, "refused");
    c.send(1, tx::Commit {});
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - partial tx completion",
        (90, 20),
    );
}

#[test]
fn h68_close_is_rollback() {
    let (mut c, q) = begin("h68");
    c.put(&q, "never");
    c.call(1, close_channel());
    assert!(c.get_on(2, get(&q)).is_none());
}
