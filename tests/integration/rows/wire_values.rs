//! Section 10: properties and field tables, byte for byte.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

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
fn w29_w32_every_field_type_is_kept() {
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
fn w41_timestamp_is_seconds_and_echoed() {
    let timestamp = [0, 0x40, 0, 0, 0, 0, 0x65, 0, 0, 0xFF];
    assert_eq!(property_round_trip(&timestamp), timestamp);
}
