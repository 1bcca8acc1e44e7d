//! Section 4.8: direct reply-to.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn reply_consumer(c: &mut Peer) {
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(REPLY_TO, "replies")
        },
    );
}

#[test]
fn q100_reply_consumers_do_not_ack() {
    let mut c = client();
    c.send(1, consume(REPLY_TO, "t"));
    let text = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    c.expect_channel_error(1, 406, text, (60, 20));
}

#[test]
fn q100_one_reply_consumer_per_channel() {
    let mut c = client();
    reply_consumer(&mut c);
    c.send(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(REPLY_TO, "again")
        },
    );
    let text = "PRECONDITION_FAILED - reply consumer already set";
    c.expect_channel_error(1, 406, text, (60, 20));
}

#[test]
fn q101_reply_to_without_a_consumer() {
    let mut c = client();
    let props = properties().with_reply_to(REPLY_TO.into());
    c.publish_with(1, publish("amq.fanout", ""), &props, b"x");
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    c.expect_channel_error(1, 406, text, (60, 40));
}

/// A request from `c`, taken by `server`: the address to reply to.
fn request(c: &mut Peer, server: &mut Peer) -> String {
    let q = unique("requests");
    server.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let props = properties()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id("7".into());
    c.publish_with(1, publish("", &q), &props, b"question");
    let asked = server.get_eventually(&q);
    assert_eq!(asked.text(), "question");
    let props = asked.properties();
    assert_eq!(props.correlation_id().as_ref().unwrap().as_str(), "7");
    props.reply_to().as_ref().unwrap().as_str().to_owned()
}

#[test]
fn q101_q102_request_and_reply() {
    let (mut c, mut server) = (client(), client());
    reply_consumer(&mut c);
    let address = request(&mut c, &mut server);
    assert!(address.starts_with("amq.rabbitmq.reply-to."), "{address}");
    let props = properties().with_correlation_id("7".into());
    server.publish_with(1, publish("", &address), &props, b"answer");
    let reply = c.expect_deliver(1);
    assert_eq!(reply.text(), "answer");
    assert_eq!(reply.method.consumer_tag.as_str(), "replies");
    assert_eq!(reply.method.exchange.as_str(), "");
    assert_eq!(reply.method.routing_key.as_str(), address);
    assert_eq!(reply.properties(), props);
}

#[test]
fn q102_replies_to_nobody_are_dropped() {
    let (mut c, mut server) = (client(), client());
    reply_consumer(&mut c);
    let address = request(&mut c, &mut server);
    c.call(1, cancel("replies"));
    c.open_channel(2);
    server.call(1, confirm_select());
    server.publish("", &address, "too late");
    let _: basic::Ack = server.expect(1);
    c.expect_nothing();
    c.call(0, close_connection());
    server.publish("", &address, "much too late");
    let _: basic::Ack = server.expect(1);
}

#[test]
fn q103_declaring_the_pseudo_queue() {
    let (mut c, mut server) = (client(), client());
    let ok = c.call(1, declare_passive(REPLY_TO));
    assert_eq!((ok.message_count, ok.consumer_count), (0, 1));
    reply_consumer(&mut c);
    let address = request(&mut c, &mut server);
    server.call(1, declare_passive(&address));
    c.call(0, close_connection());
    server.send(1, declare_passive(&address));
    let text = format!("NOT_FOUND - no queue '{address}' in vhost '/'");
    let close: channel::Close = server.expect(1);
    assert_eq!(
        close.reply_code, 404,
        "wanted something like {text:?}: {close:?}"
    );
}

#[test]
fn q104_a_mandatory_reply_is_routed() {
    let (mut c, mut server) = (client(), client());
    reply_consumer(&mut c);
    let address = request(&mut c, &mut server);
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("", &address)
    };
    server.call(1, confirm_select());
    server.publish_with(1, mandatory, &properties(), b"answer");
    // No return before the confirm.
    let _: basic::Ack = server.expect(1);
    assert_eq!(c.expect_deliver(1).text(), "answer");
}

#[test]
fn q105_reply_queues_are_not_bound() {
    let (mut c, mut server) = (client(), client());
    reply_consumer(&mut c);
    let address = request(&mut c, &mut server);
    let text = "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue";
    for name in [REPLY_TO, &*address] {
        server.send(1, bind(name, "amq.direct", "k"));
        server.expect_channel_error(1, 403, text, (50, 20));
        server.open_channel(1);
        server.send(1, unbind(name, "amq.direct", "k"));
        server.expect_channel_error(1, 403, text, (50, 50));
        server.open_channel(1);
    }
}
