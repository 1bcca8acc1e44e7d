//! Section 2.1: opening, closing and breaking channels.

use crate::{
    dialogue::*,
    harness::{client, shared, unique},
};

const NOT_OPEN: &str = "CHANNEL_ERROR - expected 'channel.open'";

#[test]
fn h01_numbers_may_exceed_channel_max() {
    let mut c = shared().log_in(&Login {
        channel_max: 2,
        ..Login::default()
    });
    c.open_channel(5);
    c.open_channel(65_535);
}

#[test]
fn h02_one_channel_too_many() {
    let mut c = shared().log_in(&Login {
        channel_max: 2,
        ..Login::default()
    });
    c.open_channel(1);
    c.open_channel(2);
    c.send(3, channel::Open {});
    c.expect_connection_error(
        530,
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
        (0, 0),
    );
}

#[test]
fn h04_method_on_a_channel_never_opened() {
    let mut c = client();
    c.send(7, qos(1));
    c.expect_connection_error(504, NOT_OPEN, (60, 10));
    let mut c = client();
    c.send(7, close_channel());
    c.expect_connection_error(504, NOT_OPEN, (20, 40));
    let mut c = client();
    c.send(7, channel::CloseOk {});
    c.expect_connection_error(504, NOT_OPEN, (20, 41));
}

#[test]
fn h04_content_on_a_channel_never_opened() {
    let mut c = client();
    c.send_frame(HEADER, 7, &raw_header_payload(60, 0, 0, &[0, 0]));
    let (code, text) = differs_on_rabbitmq_3_10(
        (504, NOT_OPEN),
        (
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        ),
    );
    c.expect_connection_error(code, text, (0, 0));
    // What is no content header at all is a broken frame before it is anything else.
    let mut c = client();
    c.send_frame(HEADER, 7, &[]);
    let text = "FRAME_ERROR - type 2, all octets = <<>>: unknown_frame";
    c.expect_connection_error(501, text, (0, 0));
}

#[test]
fn h05_second_open() {
    let mut c = client();
    c.send(1, channel::Open {});
    c.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10));
}

#[test]
fn h06_open_ok_carries_an_empty_id() {
    let mut c = client();
    c.open_channel(2);
    assert_eq!(c.last_payload(), [0, 20, 0, 11, 0, 0, 0, 0]);
}

/// Breaks channel 1 with an unknown delivery tag; the close is read, not answered.
fn break_channel(c: &mut Peer) {
    c.send(1, ack(9));
    let close: channel::Close = c.expect(1);
    assert_eq!(
        close.reply_text.as_str(),
        "PRECONDITION_FAILED - unknown delivery tag 9"
    );
}

#[test]
fn h07_nothing_is_done_on_a_broken_channel() {
    let mut c = client();
    let q = unique("h07");
    c.call(1, declare(&q));
    break_channel(&mut c);
    c.put(&q, "lost");
    c.send(1, declare(&unique("h07x")));
    c.send(1, channel::CloseOk {});
    c.open_channel(1);
    assert_eq!(c.call(1, delete(&q)).message_count, 0);
}

#[test]
fn h07_other_channels_go_on() {
    let mut c = client();
    c.open_channel(2);
    break_channel(&mut c);
    c.call(2, qos(1));
    c.send(1, channel::CloseOk {});
    c.expect_alive();
}

#[test]
fn h08_closes_that_cross() {
    let mut c = client();
    break_channel(&mut c);
    let _: channel::CloseOk = c.call(1, close_channel());
    c.send(1, channel::CloseOk {});
    c.open_channel(1);
}

#[test]
fn h09_open_before_close_ok() {
    let mut c = client();
    break_channel(&mut c);
    c.send(1, channel::Open {});
    c.expect_connection_error(504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10));
}

#[test]
fn h10_numbers_are_free_after_close_ok() {
    let mut c = client();
    for _ in 0..20 {
        c.call(1, close_channel());
        c.open_channel(1);
        break_channel(&mut c);
        c.send(1, channel::CloseOk {});
        c.open_channel(1);
    }
}

#[test]
fn h11_close_requeues_unacked_and_ends_consumers() {
    let mut c = client();
    let q = unique("h11");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.open_channel(2);
    c.call(2, consume(&q, "t"));
    c.put(&q, "held");
    assert!(!c.expect_deliver(2).method.redelivered);
    c.call(2, close_channel());
    let ok = c.call(1, declare_passive(&q));
    assert_eq!(ok.consumer_count, 0);
    assert!(c.get_eventually(&q).method.redelivered);
}

#[test]
fn h12_flow() {
    let mut c = client();
    assert!(c.call(1, channel::Flow { active: true }).active);
    c.send(1, channel::Flow { active: false });
    c.expect_connection_error(540, "NOT_IMPLEMENTED - active=false", (20, 20));
}

#[test]
fn h13_access_request() {
    let mut c = client();
    let request = access::Request {
        realm: "/data".into(),
        exclusive: false,
        passive: true,
        active: true,
        write: true,
        read: true,
    };
    c.call(1, request);
    assert_eq!(c.last_payload(), [0, 30, 0, 11, 0, 1]);
}

#[test]
fn h14_methods_no_channel_handles() {
    let text = "COMMAND_INVALID - unimplemented method";
    let mut c = client();
    c.send(
        1,
        queue::DeclareOk {
            queue: "q".into(),
            message_count: 0,
            consumer_count: 0,
        },
    );
    c.expect_connection_error(503, text, (50, 11));
    let mut c = client();
    c.send(1, close_connection());
    c.expect_connection_error(503, text, (10, 50));
}

#[test]
fn h15_empty_queue_name_is_the_last_declared() {
    let mut c = shared().client_as(&Login::default().without("consumer_cancel_notify"));
    let q = unique("h15");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, bind("", "amq.direct", ""));
    c.publish("amq.direct", &q, "by its own name");
    c.take("", "by its own name");
    c.call(1, unbind("", "amq.direct", ""));
    c.publish("amq.direct", &q, "lost");
    assert!(c.get("").is_none());
    c.put(&q, "purged");
    assert_eq!(c.call(1, purge("")).message_count, 1);
    c.call(1, consume("", "t"));
    c.put(&q, "consumed");
    assert_eq!(c.expect_deliver(1).text(), "consumed");
    c.call(1, delete(""));
    c.send(1, declare_passive(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (50, 10));
}

#[test]
fn h15_empty_queue_name_with_a_key_keeps_the_key() {
    let mut c = client();
    let q = unique("h15k");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let key = unique("key");
    c.call(1, bind("", "amq.direct", &key));
    c.publish("amq.direct", &key, "by key");
    c.take(&q, "by key");
}

#[test]
fn h15_no_queue_declared() {
    let text = "NOT_FOUND - no previously declared queue";
    let mut c = client();
    c.send(1, get(""));
    c.expect_channel_error(1, 404, text, (60, 70));
    c.open_channel(1);
    c.send(1, bind("", "amq.direct", "k"));
    c.expect_channel_error(1, 404, text, (50, 20));
    c.open_channel(1);
    c.send(1, consume("", "t"));
    c.expect_channel_error(1, 404, text, (60, 20));
}

#[test]
fn h16_pipelined_requests_are_answered_in_order() {
    let mut c = client();
    let q = unique("h16");
    for _ in 0..20 {
        c.send(
            1,
            queue::Declare {
                exclusive: true,
                ..declare(&q)
            },
        );
        c.send(1, bind(&q, "amq.fanout", ""));
        c.send(1, qos(1));
        c.send(1, delete(&q));
    }
    for _ in 0..20 {
        let _: queue::DeclareOk = c.expect(1);
        let _: queue::BindOk = c.expect(1);
        let _: basic::QosOk = c.expect(1);
        let _: queue::DeleteOk = c.expect(1);
    }
}

#[test]
fn h17_nowait_still_raises_errors() {
    let mut c = client();
    let q = unique("h17");
    c.send(
        1,
        queue::Declare {
            nowait: true,
            ..declare_passive(&q)
        },
    );
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (50, 10));
    c.open_channel(1);
    c.send(
        1,
        basic::Consume {
            nowait: true,
            ..consume(&q, "t")
        },
    );
    c.expect_channel_error(1, 404, &text, (60, 20));
}
