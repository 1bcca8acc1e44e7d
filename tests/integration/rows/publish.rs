//! Sections 2.2 and 2.3: publishing and publisher confirms.

use crate::{
    dialogue::*,
    harness::{Broker, client, is_oracle, shared, unique},
};
use std::collections::BTreeSet;

/// Publishes on channel 1 with these properties; the channel must be closed for it.
#[track_caller]
fn refused(properties: &BasicProperties, text: &str) {
    let mut c = client();
    c.publish_with(1, publish("amq.fanout", "h2x"), properties, b"x");
    c.expect_channel_error(1, 406, text, (60, 40));
}

#[test]
fn h20_missing_exchange() {
    let mut c = client();
    let e = unique("h20");
    c.publish(&e, "k", "x");
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (60, 40));
}

#[test]
fn h20_internal_exchange() {
    let mut c = client();
    let e = unique("h20i");
    let internal = exchange::Declare {
        internal: true,
        ..declare_exchange(&e, "fanout")
    };
    c.call(1, internal);
    c.publish(&e, "k", "x");
    let text = format!("ACCESS_REFUSED - cannot publish to internal exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 403, &text, (60, 40));
    c.open_channel(1);
    c.call(1, delete_exchange(&e));
}

#[test]
fn h21_immediate() {
    let mut c = client();
    c.send(
        1,
        basic::Publish {
            immediate: true,
            ..publish("", "q")
        },
    );
    c.send_content(1, &properties(), b"x");
    c.expect_connection_error(540, "NOT_IMPLEMENTED - immediate=true", (60, 40));
}

#[test]
fn h22_h48_unroutable_mandatory_is_returned_before_the_ack() {
    let mut c = client();
    c.call(1, confirm_select());
    let nowhere = unique("h22");
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("amq.direct", &nowhere)
    };
    let props = properties()
        .with_content_type("text/plain".into())
        .with_delivery_mode(2)
        .with_headers(table(&[("n", int(1))]));
    c.publish_with(1, mandatory, &props, b"come back");
    let returned: Message<basic::Return> = c.expect_message(1);
    assert_eq!(returned.method.reply_code, 312);
    assert_eq!(returned.method.reply_text.as_str(), "NO_ROUTE");
    assert_eq!(returned.method.exchange.as_str(), "amq.direct");
    assert_eq!(returned.method.routing_key.as_str(), nowhere);
    assert_eq!(returned.properties(), props);
    assert_eq!(returned.text(), "come back");
    let confirmed: basic::Ack = c.expect(1);
    assert_eq!(confirmed.delivery_tag, 1);
}

#[test]
fn h22_mandatory_that_is_routed_is_not_returned() {
    let mut c = client();
    let q = unique("h22r");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, confirm_select());
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("", &q)
    };
    c.publish_with(1, mandatory, &properties(), b"x");
    let _: basic::Ack = c.expect(1);
}

#[test]
fn h23_unroutable_is_dropped_and_confirmed() {
    let mut c = client();
    c.call(1, confirm_select());
    c.put(&unique("h23"), "lost");
    let confirmed: basic::Ack = c.expect(1);
    assert_eq!(confirmed.delivery_tag, 1);
}

#[test]
fn h24_message_over_the_limit() {
    let broker = Broker::start(&["max_message_size = 1000"]);
    let mut c = broker.client();
    let q = unique("h24");
    c.call(1, declare(&q));
    c.publish_with(1, publish("", &q), &properties(), &[1; 1000]);
    let got = c.get_on(
        1,
        basic::Get {
            no_ack: true,
            ..get(&q)
        },
    );
    assert_eq!(got.unwrap().body.len(), 1000);
    c.publish_with(1, publish("", &q), &properties(), &[1; 1001]);
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
        (60, 40),
    );
    c.open_channel(1);
    assert!(
        c.get(&q).is_none(),
        "the connection goes on, the message is gone"
    );
}

#[test]
fn w06_the_whole_big_body_is_read_before_the_error() {
    let broker = Broker::start(&["max_message_size = 1000"]);
    let mut c = broker.client();
    c.publish_with(1, publish("amq.fanout", ""), &properties(), &[1; 1_000_000]);
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 406, "{close:?}");
    c.send(1, channel::CloseOk {});
    c.expect_alive();
}

#[test]
fn h25_expiration() {
    let refused = |expiration: &str, why: &str| {
        let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {why}");
        refused(&properties().with_expiration(expiration.into()), &text);
    };
    refused("abc", "no_integer");
    refused("", "no_integer");
    refused("-1", "{value_negative,-1}");
    refused("10 ", "{leftover_string,\" \"}");
    refused("315360000001", "{value_too_large,315360000001}");
}

#[test]
fn h25_longest_expiration() {
    let mut c = client();
    let q = unique("h25");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let props = properties().with_expiration("315360000000".into());
    c.publish_with(1, publish("", &q), &props, b"ten years");
    assert_eq!(c.take(&q, "ten years").properties(), props);
}

#[test]
fn h26_user_id() {
    let text = "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was \
                'guest'";
    refused(&properties().with_user_id("bob".into()), text);
    let mut c = client();
    c.call(1, confirm_select());
    let own = properties().with_user_id("guest".into());
    c.publish_with(1, publish("amq.fanout", ""), &own, b"x");
    let _: basic::Ack = c.expect(1);
    let mut c = shared().client_as(&Login::as_user("imp"));
    c.call(1, confirm_select());
    c.publish_with(1, publish("amq.fanout", ""), &own, b"x");
    let _: basic::Ack = c.expect(1);
}

#[test]
fn h27_other_delivery_modes() {
    let mut c = client();
    c.call(1, confirm_select());
    let odd = properties().with_delivery_mode(3);
    c.publish_with(1, publish("amq.fanout", ""), &odd, b"x");
    if is_oracle() {
        let text = "PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}";
        c.expect_channel_error(1, 406, text, (60, 40));
    } else {
        let _: basic::Ack = c.expect(1);
    }
}

#[test]
fn h28_any_priority_on_any_queue() {
    let mut c = client();
    let q = unique("h28");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    for priority in [0, 9, 255] {
        let props = properties().with_priority(priority);
        c.publish_with(1, publish("", &q), &props, b"x");
    }
    for priority in [0, 9, 255] {
        assert_eq!(c.take(&q, "x").properties().priority(), &Some(priority));
    }
}

#[test]
fn h29_properties_and_body_come_back_unchanged() {
    let mut c = client();
    let q = unique("h29");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let props = properties()
        .with_content_type("application/json".into())
        .with_content_encoding("gzip".into())
        .with_headers(table(&[("a", long(-1)), ("b", string("\u{e9}"))]))
        .with_delivery_mode(2)
        .with_priority(7)
        .with_correlation_id("c".into())
        .with_reply_to("r".into())
        .with_expiration("60000".into())
        .with_message_id("m".into())
        .with_timestamp(1_700_000_000)
        .with_type("t".into())
        .with_user_id("guest".into())
        .with_app_id("app".into());
    let body: Vec<u8> = (0..=255).collect();
    c.publish_with(1, publish("", &q), &props, &body);
    let got = c.get(&q).unwrap();
    assert_eq!(got.properties(), props);
    assert_eq!(got.body, body);
}

/// Reads acks until all tags up to `last` are confirmed, each exactly once.
fn await_confirms(c: &mut Peer, last: u64) {
    let mut open: BTreeSet<u64> = (1..=last).collect();
    while !open.is_empty() {
        let ack: basic::Ack = c.expect(1);
        if ack.multiple {
            let covered: Vec<u64> = open.range(..=ack.delivery_tag).copied().collect();
            assert!(!covered.is_empty(), "{ack:?} confirms nothing new");
            open.retain(|tag| *tag > ack.delivery_tag);
        } else {
            assert!(open.remove(&ack.delivery_tag), "{ack:?} repeats");
        }
    }
    c.expect_nothing();
}

#[test]
fn h40_select_twice_keeps_counting() {
    let mut c = client();
    c.call(1, confirm_select());
    c.publish("amq.fanout", "", "1");
    let first: basic::Ack = c.expect(1);
    assert_eq!(first.delivery_tag, 1);
    c.call(1, confirm_select());
    c.publish("amq.fanout", "", "2");
    let second: basic::Ack = c.expect(1);
    assert_eq!(second.delivery_tag, 2);
}

#[test]
fn h41_counting_starts_after_select_and_by_channel() {
    let mut c = client();
    let q = unique("h41");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.put(&q, "before");
    c.call(1, confirm_select());
    c.open_channel(2);
    c.call(2, confirm_select());
    c.put(&q, "after");
    let one: basic::Ack = c.expect(1);
    assert_eq!(one.delivery_tag, 1);
    c.publish_with(2, publish("", &q), &properties(), b"other");
    let two: basic::Ack = c.expect(2);
    assert_eq!(two.delivery_tag, 1);
}

#[test]
fn h42_each_tag_is_confirmed_once() {
    let mut c = client();
    let (durable, transient) = (unique("h42d"), unique("h42t"));
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&durable)
        },
    );
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&transient)
        },
    );
    c.call(1, confirm_select());
    let persistent = properties().with_delivery_mode(2);
    for i in 0..300 {
        let target = [durable.as_str(), &transient, "nowhere"][i % 3];
        c.publish_with(1, publish("", target), &persistent, b"x");
    }
    await_confirms(&mut c, 300);
    assert_eq!(c.call(1, delete(&durable)).message_count, 100);
}

#[test]
fn h45_fanout_is_confirmed_once() {
    let mut c = client();
    let (e, a, b) = (unique("h45"), unique("h45a"), unique("h45b"));
    c.call(
        1,
        exchange::Declare {
            durable: true,
            ..declare_exchange(&e, "fanout")
        },
    );
    for q in [&a, &b] {
        c.call(
            1,
            queue::Declare {
                durable: true,
                ..declare(q)
            },
        );
        c.call(1, bind(q, &e, ""));
    }
    c.call(1, confirm_select());
    for _ in 0..20 {
        c.publish_with(
            1,
            publish(&e, ""),
            &properties().with_delivery_mode(2),
            b"x",
        );
    }
    await_confirms(&mut c, 20);
    for q in [&a, &b] {
        assert_eq!(c.call(1, delete(q)).message_count, 20);
    }
    c.call(1, delete_exchange(&e));
}

#[test]
fn h45_queue_deleted_meanwhile_counts_as_confirmed() {
    let mut c = client();
    let q = unique("h45x");
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&q)
        },
    );
    c.call(1, confirm_select());
    c.send(
        1,
        queue::Delete {
            nowait: true,
            ..delete(&q)
        },
    );
    for _ in 0..10 {
        c.publish_with(
            1,
            publish("", &q),
            &properties().with_delivery_mode(2),
            b"x",
        );
    }
    await_confirms(&mut c, 10);
}

#[test]
fn h46_h47_nack_when_a_queue_refuses() {
    let mut c = client();
    let (e, full, roomy) = (unique("h46"), unique("h46f"), unique("h46r"));
    c.call(1, declare_exchange(&e, "fanout"));
    let limits = table(&[
        ("x-max-length", int(1)),
        ("x-overflow", string("reject-publish")),
    ]);
    c.call(1, declare_with(&full, limits));
    c.call(1, declare(&roomy));
    for q in [&full, &roomy] {
        c.call(1, bind(q, &e, ""));
    }
    c.call(1, confirm_select());
    c.publish(&e, "", "fits");
    let fits: basic::Ack = c.expect(1);
    assert_eq!(fits.delivery_tag, 1);
    c.publish(&e, "", "does not");
    let refused: basic::Nack = c.expect(1);
    assert_eq!((refused.delivery_tag, refused.requeue), (2, true));
    assert_eq!(c.drain(&full), ["fits"]);
    assert_eq!(
        c.drain(&roomy),
        ["fits", "does not"],
        "the other queue keeps it"
    );
    for q in [&full, &roomy] {
        c.call(1, delete(q));
    }
    c.call(1, delete_exchange(&e));
}

#[test]
fn h43_acks_never_cover_a_refused_publish() {
    let mut c = client();
    let (full, durable) = (unique("h43f"), unique("h43d"));
    let limits = table(&[
        ("x-max-length", int(0)),
        ("x-overflow", string("reject-publish")),
    ]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&full, limits)
        },
    );
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&durable)
        },
    );
    c.call(1, confirm_select());
    let persistent = properties().with_delivery_mode(2);
    let refused: BTreeSet<u64> = (1..=200).filter(|tag| tag % 7 == 0).collect();
    for tag in 1..=200 {
        let target = if refused.contains(&tag) {
            &full
        } else {
            &durable
        };
        c.publish_with(1, publish("", target), &persistent, b"x");
    }
    let mut open: BTreeSet<u64> = (1..=200).collect();
    let mut nacked = BTreeSet::new();
    while !open.is_empty() {
        let (tag, multiple, is_nack) = match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(it))) => {
                (it.delivery_tag, it.multiple, false)
            }
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Nack(it))) => {
                (it.delivery_tag, it.multiple, true)
            }
            other => panic!("{other:?}"),
        };
        let first = if multiple { 0 } else { tag };
        let tags: Vec<u64> = open.range(first..=tag).copied().collect();
        assert!(!tags.is_empty(), "{tag} settles nothing");
        for tag in tags {
            open.remove(&tag);
            if is_nack {
                nacked.insert(tag);
            }
        }
    }
    assert_eq!(nacked, refused);
    let kept = c.call(1, delete(&durable)).message_count;
    assert_eq!(kept as usize, 200 - refused.len());
}

#[test]
fn h49_confirm_and_tx_exclude_each_other() {
    let mut c = client();
    c.call(1, confirm_select());
    c.send(1, tx::Select {});
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    c.expect_channel_error(1, 406, text, (90, 10));
    c.open_channel(1);
    c.call(1, tx::Select {});
    c.send(1, confirm_select());
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    c.expect_channel_error(1, 406, text, (85, 10));
}

#[test]
fn h50_confirms_end_with_the_channel() {
    let mut c = client();
    let q = unique("h50");
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&q)
        },
    );
    c.call(1, confirm_select());
    c.publish_with(
        1,
        publish("", &q),
        &properties().with_delivery_mode(2),
        b"x",
    );
    c.send(1, close_channel());
    // a confirm may still come before close-ok, nothing after it
    loop {
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_))) => {}
            Frame::Method(1, AMQPClass::Channel(channel::AMQPMethod::CloseOk(_))) => break,
            other => panic!("{other:?}"),
        }
    }
    c.open_channel(1);
    c.expect_nothing();
    assert_eq!(c.call(1, delete(&q)).message_count, 1);
}

#[test]
fn h30_interceptors_write_on_every_message() {
    let set = |what: &str, overwrite: bool| {
        format!("message_interceptors.incoming.set_header_{what}.overwrite = {overwrite}")
    };
    let (timestamp, node) = (set("timestamp", false), set("routing_node", true));
    let broker = Broker::start(&[&timestamp, &node]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    // An exchange of headers sees what was written.
    let matches = queue::Bind {
        arguments: table(&[
            ("x-match", string("any-with-x")),
            ("x-routed-by", AMQPValue::Void),
        ]),
        ..bind("q", "amq.headers", "")
    };
    c.call(1, matches);
    let theirs = table(&[
        ("x-routed-by", string("elsewhere")),
        ("timestamp_in_ms", long(7)),
    ]);
    let large = "x".repeat(300_000);
    for (properties, body) in [
        (properties(), "plain"),
        (properties().with_delivery_mode(2), large.as_str()),
        (with_headers(theirs).with_timestamp(3), "theirs"),
    ] {
        c.publish_with(1, publish("amq.headers", ""), &properties, body.as_bytes());
        let got = c.get_eventually("q");
        assert_eq!(got.text(), body);
        let headers = got.headers();
        let AMQPValue::LongString(node) = field(&headers, "x-routed-by") else {
            panic!("{headers:?}");
        };
        assert!(text(node).contains('@') && text(node) != "elsewhere");
        let AMQPValue::LongLongInt(ms) = field(&headers, "timestamp_in_ms") else {
            panic!("{headers:?}");
        };
        let seconds = got.properties().timestamp().expect("a timestamp");
        match body {
            "theirs" => assert_eq!((*ms, seconds), (7, 3)),
            _ => assert_eq!(*ms as u64 / 1000, seconds),
        }
    }
}
