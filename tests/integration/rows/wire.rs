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

fn method(method: impl Method) -> Vec<u8> {
    encode(METHOD, 1, &method_payload(&method.into_class()))
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
    let publish = method(publish("", "w14"));
    refused(
        &[publish.clone(), method(qos(1))].concat(),
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
        &[method(publish("", "w15")), header].concat(),
        505,
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        (60, 40),
    );
}

#[test]
fn w16_header_with_a_weight() {
    let header = encode(HEADER, 1, &raw_header_payload(60, 1, 1, &[0, 0]));
    refused(
        &[method(publish("", "w16")), header].concat(),
        505,
        NO_HEADER,
        (60, 40),
    );
}

#[test]
fn w17_method_instead_of_a_body() {
    refused(
        &[method(publish("", "w17")), header(5), method(qos(1))].concat(),
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

/// Publishes with these property bytes and gives the bytes that come back.
fn property_round_trip(flags_and_values: &[u8]) -> Vec<u8> {
    let mut c = client();
    let q = unique("props");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.send(1, publish("", &q));
    c.send_frame(HEADER, 1, &raw_header_payload(60, 0, 1, flags_and_values));
    c.send_frame(BODY, 1, b"x");
    c.get(&q).unwrap().header.raw_properties
}

#[test]
fn w27_bad_utf8_in_a_property_is_kept() {
    let content_type = [0x80, 0, 3, 0xFF, 0xC0, 0x80];
    assert_eq!(property_round_trip(&content_type), content_type);
}

/// Properties consisting of a headers table with this body.
fn headers_only(table: &[u8]) -> Vec<u8> {
    let length = u32::try_from(table.len()).unwrap().to_be_bytes();
    [&[0x20, 0][..], &length, table].concat()
}

#[test]
fn w28_headers_are_kept_byte_for_byte() {
    let properties = headers_only(b"\x03binS\0\0\0\x04\0\xFF\xFE\x80");
    assert_eq!(property_round_trip(&properties), properties);
}

#[test]
fn w29_every_field_type_is_kept() {
    let fields: [&[u8]; 17] = [
        b"\x01at\x01",
        b"\x01bb\xFF",
        b"\x01cB\xFF",
        b"\x01ds\x80\x00",
        b"\x01eu\xFF\xFF",
        b"\x01fI\x80\0\0\0",
        b"\x01gi\xFF\xFF\xFF\xFF",
        b"\x01hl\x80\0\0\0\0\0\0\0",
        b"\x01iL\x80\0\0\0\0\0\0\x01",
        b"\x01jf\x3F\xC0\0\0",
        b"\x01kd\x3F\xF8\0\0\0\0\0\0",
        b"\x01lD\x02\0\0\x01\x2C",
        b"\x01mS\0\0\0\x02hi",
        b"\x01nA\0\0\0\x05I\0\0\0\x01",
        b"\x01oT\0\0\0\0\x60\0\0\0",
        b"\x01pF\0\0\0\x04\x01at\0",
        b"\x01qx\0\0\0\x02\0\xFF",
    ];
    for field in fields {
        let properties = headers_only(field);
        assert_eq!(
            property_round_trip(&properties),
            properties,
            "field {field:?}"
        );
    }
    let all = headers_only(&[fields.concat(), b"\x01rV".to_vec()].concat());
    assert_eq!(property_round_trip(&all), all);
}

/// Publishes with broken property bytes; the broker must close the connection.
fn bad_properties(bytes: &[u8]) {
    let mut c = client();
    c.send(1, publish("amq.fanout", "w30"));
    c.send_frame(HEADER, 1, &raw_header_payload(60, 0, 0, bytes));
    let close: connection::Close = c.expect(0);
    if crate::harness::is_oracle() {
        assert_eq!(
            (close.reply_code, close.reply_text.as_str()),
            (541, "INTERNAL_ERROR")
        );
    } else {
        assert!(matches!(close.reply_code, 501 | 502), "{close:?}");
    }
    c.send(0, connection::CloseOk {});
    c.expect_eof();
}

#[test]
fn w30_broken_properties() {
    bad_properties(&headers_only(b"\x01aU\x00\x01"));
    bad_properties(&headers_only(b"\x01a?"));
    bad_properties(&[0x80, 0, 200, b'x']);
    bad_properties(&[0x20, 0, 0, 0, 0, 50, 1]);
}

#[test]
fn w33_duplicate_keys_are_kept() {
    let properties = headers_only(b"\x01at\x01\x01at\x00");
    assert_eq!(property_round_trip(&properties), properties);
}

#[test]
fn w34_cluster_id_is_echoed() {
    let cluster_id = [0, 0x04, 2, b'i', b'd'];
    assert_eq!(property_round_trip(&cluster_id), cluster_id);
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
fn w36_frames_after_connection_close_are_ignored() {
    let mut c = client();
    let more = [method(declare(&unique("w36"))), method(channel::Open {})].concat();
    c.send(0, close_connection());
    c.try_send_bytes(&more);
    let _: connection::CloseOk = c.expect(0);
    c.half_close();
    c.expect_eof();
}

#[test]
fn w37_frames_after_channel_close_are_ignored() {
    let mut c = client();
    let q = unique("w37");
    c.send(1, close_channel());
    // While close-ok is on its way everything on the channel is dropped; here it may already have
    // arrived, so only what RabbitMQ drops in any case is sent: nothing. The number is free again.
    let _: channel::CloseOk = c.expect(1);
    c.open_channel(1);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
}

#[test]
fn w38_nowait_has_no_answer() {
    let mut c = client();
    let (q, e, f) = (unique("w38q"), unique("w38e"), unique("w38f"));
    c.send(
        1,
        queue::Declare {
            nowait: true,
            ..declare(&q)
        },
    );
    c.send(
        1,
        exchange::Declare {
            nowait: true,
            ..declare_exchange(&e, "direct")
        },
    );
    c.send(
        1,
        exchange::Declare {
            nowait: true,
            ..declare_exchange(&f, "fanout")
        },
    );
    c.send(
        1,
        exchange::Bind {
            nowait: true,
            ..bind_exchange(&e, &f, "k")
        },
    );
    c.send(
        1,
        queue::Bind {
            nowait: true,
            ..bind(&q, &f, "")
        },
    );
    c.publish(&e, "k", "routed");
    c.take(&q, "routed");
    c.send(
        1,
        exchange::Unbind {
            nowait: true,
            ..unbind_exchange(&e, &f, "k")
        },
    );
    c.publish(&e, "k", "lost");
    assert!(c.get(&q).is_none());
    c.put(&q, "purged");
    c.send(
        1,
        queue::Purge {
            nowait: true,
            ..purge(&q)
        },
    );
    assert!(c.get(&q).is_none());
    c.send(
        1,
        basic::Consume {
            nowait: true,
            ..consume(&q, "t")
        },
    );
    c.put(&q, "delivered");
    assert_eq!(c.expect_deliver(1).text(), "delivered");
    c.send(
        1,
        basic::Cancel {
            nowait: true,
            ..cancel("t")
        },
    );
    c.send(1, confirm::Select { nowait: true });
    c.put(&q, "confirmed");
    let _: basic::Ack = c.expect(1);
    c.send(
        1,
        queue::Delete {
            nowait: true,
            ..delete(&q)
        },
    );
    c.send(
        1,
        exchange::Delete {
            nowait: true,
            ..delete_exchange(&e)
        },
    );
    c.send(
        1,
        exchange::Delete {
            nowait: true,
            ..delete_exchange(&f)
        },
    );
    c.send(1, declare_passive(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (50, 10));
}

#[test]
fn w39_qos_tx_and_recover_always_answer() {
    let mut c = client();
    c.call(1, qos(10));
    c.call(1, recover());
    c.call(1, tx::Select {});
    c.call(1, tx::Commit {});
    c.call(1, tx::Rollback {});
}

#[test]
fn w40_reserved_fields_are_ignored() {
    let mut c = client();
    // queue.declare with ticket 0xBEEF, an empty name, exclusive and all three reserved bits
    c.send_raw_method(1, 50, 10, &[0xBE, 0xEF, 0, 0b1110_0100, 0, 0, 0, 0]);
    let ok: queue::DeclareOk = c.expect(1);
    assert!(ok.queue.as_str().starts_with("amq.gen-"), "{ok:?}");
}

#[test]
fn w41_timestamp_is_seconds_and_echoed() {
    let timestamp = [0, 0x40, 0, 0, 0, 0, 0x65, 0, 0, 0xFF];
    assert_eq!(property_round_trip(&timestamp), timestamp);
}

#[test]
fn w42_deliveries_between_request_and_reply() {
    let mut c = client();
    let q = unique("w42");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    for i in 0..50 {
        c.put(&q, &i.to_string());
    }
    c.send(1, qos(0));
    let (mut deliveries, mut replies) = (0, 0);
    while deliveries < 50 || replies < 1 {
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::QosOk(_))) => replies += 1,
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(d))) => {
                deliveries += 1;
                let message = c.expect_content(1, d);
                assert_eq!(message.method.delivery_tag, deliveries);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn w43_half_close_requeues_at_once() {
    let mut c = client();
    let q = unique("w43");
    c.call(1, declare(&q));
    c.put(&q, "held");
    let mut holder = client();
    assert_eq!(holder.get(&q).unwrap().text(), "held");
    assert!(c.get(&q).is_none());
    holder.half_close();
    let got = c.get_eventually(&q);
    assert!(got.method.redelivered);
    c.call(1, delete(&q));
}
