//! Section 4.2: queue arguments, what is accepted and with which words the rest is refused.

use crate::{
    dialogue::*,
    harness::{client, is_oracle, unique},
};

/// Declares a queue with these arguments, which must be refused with 406 and this reason.
#[track_caller]
fn refused(arguments: &[(&str, AMQPValue)], name: &str, reason: &str) {
    let mut c = client();
    let q = unique("s42");
    c.send(
        1,
        queue::Declare {
            durable: true,
            ..declare_with(&q, table(arguments))
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/': {reason}"
    );
    c.expect_channel_error(1, 406, &text, (50, 10));
}

#[track_caller]
fn accepted(arguments: &[(&str, AMQPValue)]) {
    let mut c = client();
    let q = unique("s42ok");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, table(arguments))
        },
    );
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, table(arguments))
        },
    );
}

const INTEGERS: [&str; 4] = [
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
];

#[test]
fn s42_every_integer_type_is_taken() {
    for name in INTEGERS {
        for value in [
            AMQPValue::ShortShortInt(5),
            AMQPValue::ShortShortUInt(5),
            AMQPValue::ShortInt(5),
            AMQPValue::ShortUInt(5),
            AMQPValue::LongUInt(60_000),
            int(60_000),
            long(60_000),
        ] {
            accepted(&[(name, value)]);
        }
    }
}

#[test]
fn s42_integers_of_other_types() {
    for name in INTEGERS {
        refused(
            &[(name, string("5"))],
            name,
            "\"expected integer, got longstr\"",
        );
        refused(
            &[(name, boolean(true))],
            name,
            "\"expected integer, got bool\"",
        );
        refused(
            &[(name, AMQPValue::Double(1.5))],
            name,
            "\"expected integer, got double\"",
        );
        refused(&[(name, long(-1))], name, "{value_negative,-1}");
    }
}

#[test]
fn s42_bounds() {
    refused(&[("x-expires", int(0))], "x-expires", "{value_zero,0}");
    for name in ["x-message-ttl", "x-expires"] {
        accepted(&[(name, long(315_360_000_000))]);
        refused(
            &[(name, long(315_360_000_001))],
            name,
            "{value_too_large,315360000001}",
        );
    }
    accepted(&[("x-message-ttl", int(0))]);
    accepted(&[("x-max-length", int(0))]);
    accepted(&[("x-max-length-bytes", int(0))]);
}

#[test]
fn s42_overflow() {
    for value in ["drop-head", "reject-publish", "reject-publish-dlx"] {
        accepted(&[("x-overflow", string(value))]);
    }
    refused(
        &[("x-overflow", string("drop-tail"))],
        "x-overflow",
        "invalid_overflow",
    );
    refused(
        &[("x-overflow", long(5))],
        "x-overflow",
        "{unacceptable_type,long}",
    );
}

#[test]
fn s42_dead_letter_exchange() {
    accepted(&[("x-dead-letter-exchange", string(""))]);
    accepted(&[("x-dead-letter-exchange", string("not yet there"))]);
    accepted(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("k")),
    ]);
    let name = "x-dead-letter-routing-key";
    refused(
        &[(name, string("k"))],
        name,
        "routing_key_but_no_dlx_defined",
    );
    let mut c = client();
    let q = unique("s42d");
    c.send(
        1,
        declare_with(&q, table(&[("x-dead-letter-exchange", long(5))])),
    );
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'long' for arg 'x-dead-letter-exchange' in queue \
         '{q}' in vhost '/'"
    );
    c.expect_channel_error(1, 406, &text, (50, 10));
}

#[test]
fn s42_max_priority() {
    accepted(&[("x-max-priority", int(0))]);
    accepted(&[("x-max-priority", int(255))]);
    refused(
        &[("x-max-priority", int(256))],
        "x-max-priority",
        "{max_value_exceeded,256}",
    );
    refused(
        &[("x-max-priority", int(-1))],
        "x-max-priority",
        "{value_negative,-1}",
    );
    let reason = "\"expected integer, got longstr\"";
    refused(&[("x-max-priority", string("5"))], "x-max-priority", reason);
}

#[test]
fn s42_single_active_consumer() {
    accepted(&[("x-single-active-consumer", boolean(true))]);
    accepted(&[("x-single-active-consumer", boolean(false))]);
    let name = "x-single-active-consumer";
    refused(
        &[(name, string("true"))],
        name,
        "{unacceptable_type,longstr}",
    );
}

#[test]
fn s42_queue_type() {
    accepted(&[("x-queue-type", string("classic"))]);
    let name = "x-queue-type";
    refused(
        &[(name, string("foo"))],
        name,
        "\"unsupported queue type 'foo'\"",
    );
    refused(&[(name, long(5))], name, "{unacceptable_type,long}");
}

#[test]
fn s42_queue_mode_and_version() {
    accepted(&[("x-queue-mode", string("lazy"))]);
    accepted(&[("x-queue-mode", string("default"))]);
    let name = "x-queue-mode";
    refused(
        &[(name, string("foo"))],
        name,
        "\"unsupported queue mode 'foo'\"",
    );
    accepted(&[("x-queue-version", int(1))]);
    accepted(&[("x-queue-version", int(2))]);
    refused(
        &[("x-queue-version", int(3))],
        "x-queue-version",
        "\"unsupported queue version '3'\"",
    );
}

#[test]
fn s42_locators() {
    accepted(&[("x-queue-master-locator", string("min-masters"))]);
    accepted(&[("x-queue-master-locator", string("client-local"))]);
}

#[test]
fn s42_arguments_of_another_queue_type() {
    for (name, value) in [("x-delivery-limit", int(5)), ("x-max-age", string("1D"))] {
        let mut c = client();
        let q = unique("s42t");
        c.send(1, declare_with(&q, table(&[(name, value)])));
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/' of queue type \
             rabbit_classic_queue"
        );
        c.expect_channel_error(1, 406, &text, (50, 10));
    }
}

#[test]
fn s42_streams_are_not_taken_for_classic() {
    if is_oracle() {
        return; // it has them
    }
    let kind = "stream";
    let mut c = client();
    let q = unique("s42r");
    let arguments = table(&[("x-queue-type", string(kind))]);
    c.send(
        1,
        queue::Declare {
            durable: true,
            ..declare_with(&q, arguments)
        },
    );
    match c.next_frame() {
        Frame::Method(1, AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
            assert!(close.reply_text.as_str().contains(kind), "{close:?}");
        }
        Frame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(close))) => {
            assert!(close.reply_text.as_str().contains(kind), "{close:?}");
        }
        other => panic!("a {kind} queue was declared? {other:?}"),
    }
}
