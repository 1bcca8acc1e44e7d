//! Section 10: frames and content, in order and out of it.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

/// Sends `bytes` as they are and expects the connection to be closed for it.
#[track_caller]
fn refused(bytes: &[u8], code: u16, text: &str, at: (u16, u16)) {
    let mut c = client();
    c.send_bytes(bytes);
    c.expect_connection_error(code, text, at);
}

/// A header frame for a body of `size` bytes, no properties.
fn header(size: u64) -> Vec<u8> {
    encode(HEADER, 1, &raw_header_payload(60, 0, size, &[0, 0]))
}

fn body(bytes: &[u8]) -> Vec<u8> {
    encode(BODY, 1, bytes)
}

#[test]
fn w01_body_in_any_number_of_frames() {
    let mut c = client();
    let q = unique("w01");
    c.call(1, declare(&q));
    c.send(1, publish("", &q));
    c.send_bytes(&header(5));
    for part in ["", "h", "", "", "ell", "", "o"] {
        c.send_bytes(&body(part.as_bytes()));
    }
    c.take(&q, "hello");
    c.call(1, delete(&q));
}

#[test]
fn w02_empty_body_is_a_header_only() {
    let mut c = client();
    let q = unique("w02");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.put(&q, "");
    c.take(&q, "");
    c.put(&q, "");
    c.send_bytes(&body(b""));
    c.expect_connection_error(
        505,
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        (0, 0),
    );
}

#[test]
fn w03_big_bodies_come_in_frames_of_frame_max() {
    let mut c = client();
    let q = unique("w03");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let big: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    c.publish_with(1, publish("", &q), &properties(), &big);
    let got = c.get(&q).unwrap();
    assert_eq!(got.frames, [131_064, 131_064, 37_872]);
    assert!(got.body == big, "the body came back changed");
}

#[test]
fn w03_small_frame_max_is_kept() {
    let mut c = crate::harness::shared().client_as(&Login {
        frame_max: 4096,
        ..Login::default()
    });
    let q = unique("w03s");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.publish_with(1, publish("", &q), &properties(), &[7; 10_000]);
    let got = c.get(&q).unwrap();
    assert_eq!(got.frames, [4088, 4088, 1824]);
    assert_eq!(got.body, [7; 10_000]);
}

#[test]
fn w04_more_body_than_declared() {
    let mut c = client();
    c.send(1, publish("amq.fanout", "w04"));
    c.send_bytes(&[header(3), body(b"four")].concat());
    if crate::harness::is_oracle() {
        c.expect_alive();
        return;
    }
    c.expect_connection_error_like(501, "content body frame exceeds remaining content size");
}

#[test]
fn w05_declared_size_over_the_hard_cap() {
    let mut c = client();
    c.send(1, publish("amq.fanout", "w05"));
    c.send_bytes(&header(536_870_913));
    if crate::harness::is_oracle() {
        c.expect_nothing();
        return;
    }
    c.expect_connection_error_like(
        501,
        "content body size 536870913 exceeds maximum allowed size 536870912",
    );
}

#[test]
fn w07_frame_over_frame_max() {
    let mut c = client();
    let q = unique("w07");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.send(1, publish("", &q));
    c.send_bytes(&header(131_072));
    c.send_frame(BODY, 1, &[1; 131_072]);
    assert_eq!(
        c.get(&q).unwrap().body.len(),
        131_072,
        "8 over the legal size are tolerated"
    );
    c.send(1, publish("", &q));
    c.send_bytes(&header(131_073));
    c.send_frame(BODY, 1, &[1; 131_073]);
    c.expect_connection_error(
        501,
        "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}",
        (0, 0),
    );
}

#[test]
fn w09_frame_end_marker() {
    let mut frame = encode(METHOD, 1, &[0, 60, 0, 10]);
    *frame.last_mut().unwrap() = 0;
    refused(
        &frame,
        501,
        "FRAME_ERROR - type 1, all octets = <<0,60,0,10>>: {invalid_frame_end_marker,0}",
        (0, 0),
    );
}

#[test]
fn w10_unknown_frame_type() {
    refused(
        &encode(9, 1, b"abcd"),
        501,
        "FRAME_ERROR - type 9, all octets = <<\"abcd\">>: unknown_frame",
        (0, 0),
    );
}

#[test]
fn w11_heartbeat_on_a_channel() {
    let text = "UNEXPECTED_FRAME - type 8, all octets = <<>>";
    refused(&encode(HEARTBEAT, 1, b""), 505, text, (0, 0));
}

#[test]
fn w12_heartbeat_with_payload() {
    let mut c = client();
    c.send_frame(HEARTBEAT, 0, b"x");
    c.expect_connection_error_like(501, "unknown_frame");
}

#[test]
fn w13_content_without_a_publish() {
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    refused(&header(5), 505, text, (0, 0));
    refused(&body(b"hello"), 505, text, (0, 0));
}

const NO_HEADER: &str = "UNEXPECTED_FRAME - expected content header for class 60, got non content \
                         header frame instead";

#[test]
fn w14_method_instead_of_a_header() {
    let publish = method_frame(publish("", "w14"));
    refused(
        &[publish.clone(), method_frame(qos(1))].concat(),
        505,
        NO_HEADER,
        (60, 40),
    );
    refused(&[publish, body(b"x")].concat(), 505, NO_HEADER, (60, 40));
}

#[test]
fn w15_header_of_another_class() {
    let header = encode(HEADER, 1, &raw_header_payload(50, 0, 1, &[0, 0]));
    refused(
        &[method_frame(publish("", "w15")), header].concat(),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        (60, 40),
    );
}

#[test]
fn w16_header_with_a_weight() {
    let header = encode(HEADER, 1, &raw_header_payload(60, 1, 1, &[0, 0]));
    refused(
        &[method_frame(publish("", "w16")), header].concat(),
        505,
        NO_HEADER,
        (60, 40),
    );
}

#[test]
fn w17_method_instead_of_a_body() {
    refused(
        &[
            method_frame(publish("", "w17")),
            header(5),
            method_frame(qos(1)),
        ]
        .concat(),
        505,
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        (60, 40),
    );
}

#[test]
fn w18_contents_of_two_channels_interleaved() {
    let mut c = client();
    c.open_channel(2);
    let q = unique("w18");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.send(1, publish("", &q));
    c.send(2, publish("", &q));
    for (channel, text) in [(1, "first"), (2, "other")] {
        let header = raw_header_payload(60, 0, text.len() as u64, &[0, 0]);
        c.send_frame(HEADER, channel, &header);
    }
    c.send_frame(BODY, 1, b"fir");
    c.send_frame(BODY, 2, b"oth");
    c.send_frame(BODY, 1, b"st");
    c.send_frame(BODY, 2, b"er");
    c.call(2, qos(1)); // channels are only ordered each by itself
    let mut both = Vec::new();
    while both.len() < 2 {
        both.extend(c.drain(&q));
    }
    both.sort();
    assert_eq!(both, ["first", "other"]);
}

#[test]
fn w19_content_on_channel_zero() {
    let payload = raw_header_payload(60, 0, 5, &[0, 0]);
    let text = "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,5,0,0>>";
    refused(&encode(HEADER, 0, &payload), 505, text, (0, 0));
    let text = "UNEXPECTED_FRAME - type 3, all octets = <<\"hello\">>";
    refused(&encode(BODY, 0, b"hello"), 505, text, (0, 0));
}

#[test]
fn w20_channel_method_on_channel_zero() {
    let mut c = client();
    c.send(0, channel::Open {});
    c.expect_connection_error(
        504,
        "CHANNEL_ERROR - unexpected method in connection state running",
        (20, 10),
    );
}

#[test]
fn w21_connection_method_on_a_channel() {
    let mut c = client();
    c.send(1, close_connection());
    c.expect_connection_error(503, "COMMAND_INVALID - unimplemented method", (10, 50));
}

#[test]
fn w22_unknown_method() {
    for (class, method) in [(60, 999), (61, 10)] {
        let mut c = client();
        c.send_raw_method(1, class, method, &[]);
        c.expect_eof();
    }
}

#[test]
fn w23_undecodable_arguments() {
    let mut c = client();
    c.send_raw_method(1, 60, 10, &[0]);
    c.expect_connection_error(501, "FRAME_ERROR - cannot decode <<0>>", (60, 10));
}

#[test]
fn w23_undecodable_publish() {
    let mut c = client();
    c.send_raw_method(1, 60, 40, &[0, 0, 200, b'x']);
    c.expect_connection_error(501, "FRAME_ERROR - cannot decode <<0,0,200,120>>", (60, 40));
}

#[test]
fn w24_server_only_method() {
    let mut c = client();
    c.send(
        1,
        queue::DeclareOk {
            queue: "q".into(),
            message_count: 0,
            consumer_count: 0,
        },
    );
    c.expect_connection_error(503, "COMMAND_INVALID - unimplemented method", (50, 11));
}

#[test]
fn w26_longest_name() {
    let mut c = client();
    let q = format!("{:x<255}", unique("w26"));
    let ok = c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    assert_eq!(ok.queue.as_str(), q);
    c.put(&q, "reached");
    c.take(&q, "reached");
}

#[test]
fn w27_bad_utf8_in_a_name() {
    let mut c = client();
    // queue.declare with the name FF FE
    c.send_raw_method(1, 50, 10, &[0, 0, 2, 0xFF, 0xFE, 0, 0, 0, 0, 0]);
    c.expect_connection_error(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", (0, 0));
}

#[test]
fn w35_empty_contents_have_no_body_frame() {
    let mut c = client();
    let q = unique("w35");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("", &unique("nowhere"))
    };
    c.publish_with(1, mandatory, &properties(), b"");
    let returned: Message<basic::Return> = c.expect_message(1);
    assert_eq!(
        (returned.method.reply_code, returned.frames.len()),
        (312, 0)
    );
    c.put(&q, "");
    c.take(&q, "");
    c.put(&q, "");
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    assert!(c.expect_deliver(1).frames.is_empty());
    c.expect_alive();
}

#[test]
fn w8_headers_larger_than_a_frame_are_delivered() {
    let mut sender = client();
    let q = unique("w8");
    sender.call(1, declare(&q));
    let big = "h".repeat(10_000);
    let headers = with_headers(table(&[("big", string(&big))]));
    sender.publish_with(1, publish("", &q), &headers, b"x");
    let mut small = crate::harness::shared().client_as(&Login {
        frame_max: 4096,
        ..Login::default()
    });
    let got = small.get_eventually(&q);
    assert_eq!(field(&got.headers(), "big"), &string(&big));
    small.call(1, delete(&q));
}
