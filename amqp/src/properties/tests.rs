//! Content headers against `amq-protocol`, and RabbitMQ's tolerance.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::BasicProperties;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::error::ReplyCode;
use crate::table::{MAX_TABLE_DEPTH, TableBuilder, ValueRef, fields_from_table};
use crate::testing::{any_fields, any_short, generated_frame, nested_arrays, parsed_frames};

/// The payload of the header frame `amq-protocol` writes.
fn generated(body_size: u64, properties: BasicProperties) -> Vec<u8> {
    let header = AMQPContentHeader {
        class_id: 60,
        body_size,
        properties,
    };
    let frame = generated_frame(&AMQPFrame::Header(1, header));
    frame[7..frame.len() - 1].to_vec()
}

fn text(value: &Option<amq_protocol::types::ShortString>) -> Option<&[u8]> {
    value.as_ref().map(|text| text.as_str().as_bytes())
}

fn assert_same(ours: &Properties<'_>, theirs: &BasicProperties) {
    assert_eq!(ours.content_type, text(theirs.content_type()));
    assert_eq!(ours.content_encoding, text(theirs.content_encoding()));
    assert_eq!(&ours.headers.map(fields_from_table), theirs.headers());
    assert_eq!(&ours.delivery_mode, theirs.delivery_mode());
    assert_eq!(&ours.priority, theirs.priority());
    assert_eq!(ours.correlation_id, text(theirs.correlation_id()));
    assert_eq!(ours.reply_to, text(theirs.reply_to()));
    assert_eq!(ours.expiration, text(theirs.expiration()));
    assert_eq!(ours.message_id, text(theirs.message_id()));
    assert_eq!(&ours.timestamp, theirs.timestamp());
    assert_eq!(ours.type_, text(theirs.kind()));
    assert_eq!(ours.user_id, text(theirs.user_id()));
    assert_eq!(ours.app_id, text(theirs.app_id()));
    assert_eq!(ours.cluster_id, text(theirs.cluster_id()));
}

fn any_properties() -> impl Strategy<Value = BasicProperties> {
    let texts = proptest::collection::vec(option::of(any_short()), 10);
    let numbers = (
        option::of(any::<u8>()),
        option::of(any::<u8>()),
        option::of(any::<u64>()),
    );
    (texts, option::of(any_fields()), numbers).prop_map(|(texts, headers, (mode, prio, time))| {
        type Set = fn(BasicProperties, amq_protocol::types::ShortString) -> BasicProperties;
        const SETTERS: [Set; 10] = [
            BasicProperties::with_content_type,
            BasicProperties::with_content_encoding,
            BasicProperties::with_correlation_id,
            BasicProperties::with_reply_to,
            BasicProperties::with_expiration,
            BasicProperties::with_message_id,
            BasicProperties::with_type,
            BasicProperties::with_user_id,
            BasicProperties::with_app_id,
            BasicProperties::with_cluster_id,
        ];
        let mut p = BasicProperties::default();
        for (set, text) in SETTERS.iter().zip(texts) {
            p = text.into_iter().fold(p, |p, text| set(p, text.into()));
        }
        p = headers.into_iter().fold(p, BasicProperties::with_headers);
        p = mode
            .into_iter()
            .fold(p, BasicProperties::with_delivery_mode);
        p = prio.into_iter().fold(p, BasicProperties::with_priority);
        time.into_iter().fold(p, BasicProperties::with_timestamp)
    })
}

/// All 14 properties, as flags and values.
fn full() -> Vec<u8> {
    let headers = TableBuilder::new().longstr("h", "v").finish();
    let p = Properties {
        content_type: Some(b"text/plain"),
        content_encoding: Some(b"gzip"),
        headers: Some(TableRef::new(&headers)),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(b"c"),
        reply_to: Some(b"r"),
        expiration: Some(b"60000"),
        message_id: Some(b"m"),
        timestamp: Some(1_700_000_000),
        type_: Some(b"t"),
        user_id: Some(b"guest"),
        app_id: Some(b"a"),
        cluster_id: Some(b"cl"),
    };
    let payload = encode_content_header(5, &p);
    assert_eq!(parse_properties(&payload[FIXED..]), Ok(p));
    payload[FIXED..].to_vec()
}

#[test]
fn the_fixed_fields() {
    let payload = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0x10, 0, 2];
    let header = parse_content_header(&payload).expect("long enough");
    assert_eq!(
        (header.class_id, header.weight, header.body_size),
        (60, 0, 258)
    );
    assert_eq!(header.expect_basic(), Ok(()));
    let mode_only = Properties {
        delivery_mode: Some(2),
        ..Properties::default()
    };
    assert_eq!(parse_properties(header.properties), Ok(mode_only));
    assert_eq!(parse_properties(&[0, 0]), Ok(Properties::default()));
    assert!(parse_content_header(&payload[..11]).is_err());
}

#[test]
fn rows_w_15_and_w_16_headers_that_are_not_for_messages() {
    let refused = |class_id, weight| {
        let header = ContentHeader {
            class_id,
            weight,
            body_size: 0,
            properties: &[],
        };
        header.expect_basic().expect_err("refused").reply_text()
    };
    let prefix = "UNEXPECTED_FRAME - expected content header for class 60, got";
    assert_eq!(refused(50, 0), format!("{prefix} one for class 50 instead"));
    assert_eq!(
        refused(60, 1),
        format!("{prefix} non content header frame instead")
    );
}

#[test]
fn row_w_30_malformed_properties_are_501() {
    let full = full();
    for len in 0..full.len() {
        let error = parse_properties(&full[..len]).expect_err("truncated");
        assert_eq!(error.code, ReplyCode::FrameError);
    }
    let mut longer = full;
    longer.push(0);
    assert!(parse_properties(&longer).is_err());

    let unknown_type = b"\x20\0\0\0\0\x05\x01kU\0\x01";
    let error = parse_properties(unknown_type).expect_err("refused");
    assert_eq!(
        error.reply_text(),
        "FRAME_ERROR - cannot decode content properties: unknown field type 85"
    );
}

#[test]
fn deep_headers_are_501() {
    for (levels, fits) in [
        (MAX_TABLE_DEPTH - 1, true),
        (MAX_TABLE_DEPTH, false),
        (20_000, false),
    ] {
        let table = nested_arrays(levels);
        let mut bytes = vec![0x20, 0];
        bytes.extend_from_slice(&(table.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&table);
        match parse_properties(&bytes) {
            Ok(_) => assert!(fits),
            Err(error) => assert_eq!((error.code, fits), (ReplyCode::FrameError, false)),
        }
    }
}

#[test]
fn row_w_34_flags_beyond_the_fourteen_are_ignored() {
    let mut bytes = full();
    let expected = full();
    bytes[1] |= 0b11;
    let properties = parse_properties(&bytes).expect("tolerated");
    assert_eq!(Ok(properties), parse_properties(&expected));
    assert_eq!(properties.cluster_id, Some(&b"cl"[..]));
    assert_eq!(encode_content_header(5, &properties)[FIXED..], expected);
}

#[test]
fn edits_keep_the_rest() {
    let before = full();
    let old = parse_properties(&before).expect("valid");
    let headers = TableBuilder::new()
        .copy_except(old.headers.expect("present"), &[b"x-death"])
        .long("x-death", 1)
        .finish();
    let new = Properties {
        headers: Some(TableRef::new(&headers)),
        expiration: None,
        ..old
    };
    let payload = encode_content_header(5, &new);
    let read = parse_properties(&payload[FIXED..]).expect("valid");
    assert_eq!(read, new);
    let table = read.headers.expect("present");
    assert_eq!(table.get(b"h"), Some(ValueRef::LongStr(b"v")));
    assert_eq!(table.get(b"x-death"), Some(ValueRef::I64(1)));
}

#[test]
fn texts_too_long_are_cut() {
    let long = [b'x'; 300];
    let payload = encode_content_header(
        0,
        &Properties {
            app_id: Some(&long),
            ..Default::default()
        },
    );
    let read = parse_properties(&payload[FIXED..]).expect("valid");
    assert_eq!(read.app_id, Some(&long[..255]));
}

proptest! {
    #[test]
    fn what_amq_protocol_writes_we_read(theirs in any_properties(), size: u64) {
        let payload = generated(size, theirs.clone());
        let header = parse_content_header(&payload).expect("valid");
        prop_assert_eq!(header.body_size, size);
        let ours = parse_properties(header.properties).expect("valid");
        assert_same(&ours, &theirs);
        prop_assert_eq!(encode_content_header(size, &ours), payload);
    }

    #[test]
    fn what_we_write_amq_protocol_reads(theirs in any_properties(), size: u64) {
        let payload = generated(0, theirs.clone());
        let ours = parse_properties(&payload[FIXED..]).expect("valid");
        let payload = encode_content_header(size, &ours);
        let mut out = Vec::new();
        crate::deliver::put_return_head(&mut out, 1, 312, "NO_ROUTE", &[0, 0], &payload);
        let expected = AMQPContentHeader { class_id: 60, body_size: size, properties: theirs };
        prop_assert_eq!(&parsed_frames(&out)[1], &AMQPFrame::Header(1, expected));
    }

    #[test]
    fn arbitrary_bytes_are_answered(flags: u16, bytes: Vec<u8>) {
        let _ = parse_content_header(&bytes);
        let _ = parse_properties(&bytes);
        let flagged = [&flags.to_be_bytes()[..], &bytes].concat();
        if let Ok(properties) = parse_properties(&flagged) {
            prop_assert_eq!(&encode_content_header(0, &properties)[FIXED + 2..], &bytes[..]);
        }
    }
}
