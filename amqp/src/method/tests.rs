//! Methods against `amq-protocol`: every one of them, both ways.

use amq_protocol::protocol::{AMQPClass, basic, parse_class, queue};
use amq_protocol::types::AMQPValue;
use proptest::prelude::*;

use super::layout::{Arg, layout};
use super::*;
use crate::error::ReplyCode;
use crate::frame::{self, FrameKind};
use crate::table::TableBuilder;
use crate::testing::{any_fields, any_short, generated_table, nested_arrays, parsed_frames};

/// All ids there are.
fn known() -> Vec<(u16, u16)> {
    let all = (0..=120).flat_map(|class| (0..=130).map(move |method| (class, method)));
    all.filter(|&(class, method)| layout(class, method).is_some())
        .collect()
}

fn payload(class: u16, method: u16, args: &[u8]) -> Vec<u8> {
    [&class.to_be_bytes()[..], &method.to_be_bytes(), args].concat()
}

fn any_arg(arg: Arg) -> BoxedStrategy<Vec<u8>> {
    let counted = |bytes: Vec<u8>| [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
    match arg {
        Arg::Fixed(len) => proptest::collection::vec(any::<u8>(), len).boxed(),
        Arg::Short => any_short()
            .prop_map(|s| [&[s.len() as u8], s.as_bytes()].concat())
            .boxed(),
        Arg::Long => any::<Vec<u8>>().prop_map(counted).boxed(),
        Arg::Table => any_fields()
            .prop_map(move |f| counted(generated_table(&f)))
            .boxed(),
    }
}

/// A well-formed payload of any known method.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(known()).prop_flat_map(|(class, method)| {
        let args = layout(class, method)
            .expect("known")
            .iter()
            .map(|&arg| any_arg(arg));
        args.collect::<Vec<_>>()
            .prop_map(move |args| payload(class, method, &args.concat()))
    })
}

fn reply(result: Result<AMQPClass, ColdError>) -> ReplyError {
    match result {
        Err(ColdError::Reply(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_501(error: &ReplyError, explanation: &str, method: (u16, u16)) {
    assert_eq!(
        (error.code, error.explanation.as_str()),
        (ReplyCode::FrameError, explanation)
    );
    assert_eq!(error.method, Some(method));
}

#[test]
fn the_layouts_are_those_of_amq_protocol() {
    for class in 0..=120 {
        for method in 0..=130 {
            // Zeros are valid arguments of any method; as many as it takes.
            let zeros = payload(class, method, &[0; 64]);
            let theirs = parse_class(&zeros[..])
                .ok()
                .map(|(rest, _)| zeros.len() - 4 - rest.len());
            let ours = layout(class, method).map(|args| {
                let sizes = args.iter().map(|arg| match arg {
                    Arg::Fixed(len) => *len,
                    Arg::Short => 1,
                    Arg::Long | Arg::Table => 4,
                });
                sizes.sum::<usize>()
            });
            assert_eq!(ours, theirs, "({class}, {method})");
        }
    }
    assert_eq!(known().len(), 66);
}

#[test]
fn row_w_22_unknown_ids_are_told_apart() {
    for (class, method) in [(0, 0), (60, 61), (61, 10), (65_535, 65_535), (90, 12)] {
        let expected = ColdError::UnknownMethod { class, method };
        assert_eq!(parse_method(&payload(class, method, &[])), Err(expected));
    }
    assert!(matches!(
        parse_method(&[0, 60, 0]),
        Err(ColdError::Reply(_))
    ));
}

#[test]
fn row_w_23_undecodable_arguments() {
    assert_501(
        &reply(parse_method(&payload(50, 10, &[0]))),
        "cannot decode <<0>>",
        (50, 10),
    );
    assert_501(
        &parse_publish(&[0]).expect_err("short"),
        "cannot decode <<0>>",
        (60, 40),
    );
    assert_501(
        &parse_ack(&[0]).expect_err("short"),
        "cannot decode <<0>>",
        (60, 80),
    );
    assert_501(
        &parse_nack(&[0]).expect_err("short"),
        "cannot decode <<0>>",
        (60, 120),
    );
    assert_501(
        &parse_reject(&[0; 10]).expect_err("long"),
        "cannot decode <<0,0,0,0,0,0,0,0,0,0>>",
        (60, 90),
    );
    assert_501(
        &parse_publish(&[]).expect_err("short"),
        "cannot decode <<>>",
        (60, 40),
    );
    // Printable octets are numbers too.
    assert_501(
        &reply(parse_method(&payload(20, 41, b"ab"))),
        "cannot decode <<97,98>>",
        (20, 41),
    );
    let long = reply(parse_method(&payload(20, 41, &[7; 100_000])));
    assert_eq!(long.reply_text().len(), 255);
    assert!(long.reply_text().ends_with("..."));
}

#[test]
fn row_w_27_texts_that_are_not_utf8() {
    let text = "Malformed UTF-8 in shortstr";
    let declare = payload(50, 10, b"\0\0\x01\xFF\0\0\0\0\0");
    assert_501(&reply(parse_method(&declare)), text, (0, 0));
    assert_501(
        &parse_publish(b"\0\0\x01\xFF\0\0").expect_err("name"),
        text,
        (0, 0),
    );
    assert_501(
        &parse_publish(b"\0\0\0\x02\xC3\x28\0").expect_err("key"),
        text,
        (0, 0),
    );
    // Each text by itself: two halves of a character are none.
    assert_501(
        &parse_publish(b"\0\0\x01\xC3\x01\xA9\0").expect_err("halves"),
        text,
        (0, 0),
    );
    // The name of an argument.
    let declare = payload(50, 10, b"\0\0\0\0\0\0\0\x03\x01\xFFV");
    assert_501(&reply(parse_method(&declare)), text, (0, 0));
}

#[test]
fn malformed_tables_are_named() {
    let declare = |table: &[u8]| {
        let len = (table.len() as u32).to_be_bytes();
        reply(parse_method(&payload(
            50,
            10,
            &[b"\0\0\0\0", &len[..], table].concat(),
        )))
    };
    assert_501(&declare(b"\x01kU\0\0"), "unknown field type 85", (50, 10));
    assert_501(&declare(b"\x01kI\0"), "truncated field table", (50, 10));
    let deep = "field table nested deeper than 32 levels";
    assert_501(&declare(&nested_arrays(32)), deep, (50, 10));
    assert_501(&declare(&nested_arrays(20_000)), deep, (50, 10));
}

#[test]
fn row_w_33_of_equal_names_the_first_counts() {
    let inner = TableBuilder::new().long("k", 1).long("k", 2).finish();
    let table = TableBuilder::new()
        .long("x", 1)
        .longstr("x", "second")
        .array_of_tables("a", [&inner])
        .finish();
    let len = (table.len() as u32).to_be_bytes();
    let bytes = payload(50, 10, &[b"\0\0\x01q\x02", &len[..], &table].concat());
    let Ok(AMQPClass::Queue(queue::AMQPMethod::Declare(declare))) = parse_method(&bytes) else {
        panic!("a declare")
    };
    assert_eq!((declare.queue.as_str(), declare.durable), ("q", true));
    let arguments = declare.arguments.inner();
    assert_eq!(arguments["x"], AMQPValue::LongLongInt(1));
    let AMQPValue::FieldArray(array) = &arguments["a"] else {
        panic!("an array")
    };
    let AMQPValue::FieldTable(inner) = &array.as_slice()[0] else {
        panic!("a table")
    };
    assert_eq!(inner.inner()["k"], AMQPValue::LongLongInt(1));
}

/// A frame of two-byte entries must not take quadratic time.
#[test]
fn many_equal_names_are_no_work() {
    let table = b"\0V".repeat(60_000);
    let len = (table.len() as u32).to_be_bytes();
    let bytes = payload(50, 10, &[b"\0\0\0\0", &len[..], &table].concat());
    let Ok(AMQPClass::Queue(queue::AMQPMethod::Declare(declare))) = parse_method(&bytes) else {
        panic!("a declare")
    };
    assert_eq!(declare.arguments.inner().len(), 1);
}

#[test]
fn short_never_exceeds_255_bytes() {
    assert_eq!(short("abc").as_str(), "abc");
    assert_eq!(short(&"x".repeat(300)).as_str().len(), 255);
    // 64 rabbits are 256 bytes.
    assert_eq!(short(&"\u{1F407}".repeat(64)).as_str().len(), 252);
}

#[test]
fn addresses() {
    let mut out = Vec::new();
    make_address(&mut out, "ex", "rk.1");
    assert_eq!(out, b"\x02ex\x04rk.1");
    assert_eq!(split_address(&out), (&b"ex"[..], &b"rk.1"[..]));
    for bad in [&b""[..], b"\x05ex", b"\x02ex\x09r"] {
        assert_eq!(split_address(bad).1, b"");
    }
    let mut out = Vec::new();
    make_address(&mut out, &"x".repeat(300), &"\u{e9}".repeat(200));
    let (exchange, routing_key) = split_address(&out);
    assert_eq!((exchange.len(), routing_key.len()), (255, 254));
}

proptest! {
    #[test]
    fn what_amq_protocol_reads_we_read(bytes in any_payload()) {
        let (rest, theirs) = parse_class(&bytes[..]).expect("well formed");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(parse_method(&bytes), Ok(theirs));
    }

    #[test]
    fn what_we_write_both_read(bytes in any_payload(), channel: u16) {
        let method = parse_method(&bytes).expect("well formed");
        let mut out = vec![0xEE];
        put_method(&mut out, channel, &method);
        prop_assert_eq!(out.remove(0), 0xEE);
        let (frame, used) = frame::split(&out, 0).expect("well formed").expect("complete");
        prop_assert_eq!((frame.kind, frame.channel, used), (FrameKind::Method, channel, out.len()));
        prop_assert_eq!(&parse_method(frame.payload), &Ok(method.clone()));
        let expected = amq_protocol::frame::AMQPFrame::Method(channel, method);
        prop_assert_eq!(parsed_frames(&out), [expected]);
    }

    #[test]
    fn every_truncation_is_refused(bytes in any_payload()) {
        for len in 4..bytes.len() {
            prop_assert!(matches!(parse_method(&bytes[..len]), Err(ColdError::Reply(_))));
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(matches!(parse_method(&longer), Err(ColdError::Reply(_))));
    }

    #[test]
    fn hot_and_cold_agree(
        ex in any_short(), rk in any_short(), tag: u64, bits: u8, args: Vec<u8>
    ) {
        let mut publish = vec![9, 9];
        make_address(&mut publish, &ex, &rk);
        let address = publish[2..].to_vec();
        publish.push(bits);
        let ours = parse_publish(&publish).expect("well formed");
        prop_assert_eq!(ours.address, &address[..]);
        prop_assert_eq!((ours.exchange(), ours.routing_key()), (ex.as_bytes(), rk.as_bytes()));
        assert_same_publish(&publish);
        assert_same_publish(&args);
        let acked = [&tag.to_be_bytes()[..], &[bits]].concat();
        assert_same_acks(&acked);
        assert_same_acks(&args);
    }

    #[test]
    fn arbitrary_bytes_are_answered(id in proptest::sample::select(known()), args: Vec<u8>) {
        let _ = parse_method(&args);
        let _ = method_ids(&args);
        let _ = split_address(&args);
        let bytes = payload(id.0, id.1, &args);
        if let Ok(method) = parse_method(&bytes) {
            let mut out = Vec::new();
            put_method(&mut out, 1, &method);
            prop_assert_eq!(parse_method(&out[7..out.len() - 1]), Ok(method));
        }
    }

    #[test]
    fn one_changed_byte_is_answered(bytes in any_payload(), at: usize, byte: u8) {
        let mut bytes = bytes;
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse_method(&bytes);
    }
}

fn assert_same_publish(args: &[u8]) {
    let cold = parse_method(&payload(CLASS_BASIC, BASIC_PUBLISH, args));
    match parse_publish(args) {
        Err(error) => assert_eq!(reply(cold), error),
        Ok(p) => {
            let text = |bytes| std::str::from_utf8(bytes).expect("checked").into();
            let expected = basic::Publish {
                exchange: text(p.exchange()),
                routing_key: text(p.routing_key()),
                mandatory: p.mandatory,
                immediate: p.immediate,
            };
            assert_eq!(
                cold,
                Ok(AMQPClass::Basic(basic::AMQPMethod::Publish(expected)))
            );
        }
    }
}

fn assert_same_acks(args: &[u8]) {
    let cold = |method| match parse_method(&payload(CLASS_BASIC, method, args)) {
        Ok(AMQPClass::Basic(method)) => Ok(method),
        Err(ColdError::Reply(error)) => Err(error),
        other => panic!("{other:?}"),
    };
    let ack = parse_ack(args).map(
        |Ack {
             delivery_tag,
             multiple,
         }| {
            basic::AMQPMethod::Ack(basic::Ack {
                delivery_tag,
                multiple,
            })
        },
    );
    assert_eq!(cold(BASIC_ACK), ack);
    let nack = parse_nack(args).map(
        |Nack {
             delivery_tag,
             multiple,
             requeue,
         }| {
            basic::AMQPMethod::Nack(basic::Nack {
                delivery_tag,
                multiple,
                requeue,
            })
        },
    );
    assert_eq!(cold(BASIC_NACK), nack);
    let reject = parse_reject(args).map(
        |Reject {
             delivery_tag,
             requeue,
         }| {
            basic::AMQPMethod::Reject(basic::Reject {
                delivery_tag,
                requeue,
            })
        },
    );
    assert_eq!(cold(BASIC_REJECT), reject);
}
