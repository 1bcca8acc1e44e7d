//! What we write, read by `amq-protocol`.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic};
use proptest::prelude::*;

use super::*;
use crate::method::make_address;
use crate::properties::{Properties, encode_content_header};
use crate::testing::{any_short, parsed_frames};

fn address(exchange: &str, routing_key: &str) -> Vec<u8> {
    let mut out = Vec::new();
    make_address(&mut out, exchange, routing_key);
    out
}

fn method(frame: &AMQPFrame, on: u16) -> &basic::AMQPMethod {
    match frame {
        AMQPFrame::Method(channel, AMQPClass::Basic(method)) if *channel == on => method,
        other => panic!("{other:?}"),
    }
}

fn assert_header(frame: &AMQPFrame, on: u16, body_size: u64) {
    match frame {
        AMQPFrame::Header(channel, header) => {
            assert_eq!(
                (*channel, header.class_id, header.body_size),
                (on, 60, body_size)
            );
            assert_eq!(header.properties.delivery_mode(), &Some(2));
        }
        other => panic!("{other:?}"),
    }
}

fn header(body_size: u64) -> Vec<u8> {
    encode_content_header(
        body_size,
        &Properties {
            delivery_mode: Some(2),
            ..Default::default()
        },
    )
}

proptest! {
    #[test]
    fn deliver(ch: u16, tag in any_short(), n: u64, again: bool, ex in any_short(), rk in any_short()) {
        let mut out = Vec::new();
        put_deliver_head(&mut out, ch, tag.as_bytes(), n, again, &address(&ex, &rk), &header(7));
        let frames = parsed_frames(&out);
        prop_assert_eq!(frames.len(), 2);
        let expected = basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: tag.into(), delivery_tag: n, redelivered: again,
            exchange: ex.into(), routing_key: rk.into(),
        });
        prop_assert_eq!(method(&frames[0], ch), &expected);
        assert_header(&frames[1], ch, 7);
    }

    #[test]
    fn get_ok(ch: u16, n: u64, again: bool, left: u32, ex in any_short(), rk in any_short()) {
        let mut out = Vec::new();
        put_get_ok_head(&mut out, ch, n, again, &address(&ex, &rk), left, &header(0));
        let frames = parsed_frames(&out);
        prop_assert_eq!(frames.len(), 2);
        let expected = basic::AMQPMethod::GetOk(basic::GetOk {
            delivery_tag: n, redelivered: again, exchange: ex.into(), routing_key: rk.into(),
            message_count: left,
        });
        prop_assert_eq!(method(&frames[0], ch), &expected);
        assert_header(&frames[1], ch, 0);
    }

    #[test]
    fn returned(ch: u16, code: u16, text in any_short(), ex in any_short(), rk in any_short()) {
        let mut out = Vec::new();
        put_return_head(&mut out, ch, code, &text, &address(&ex, &rk), &header(1));
        let frames = parsed_frames(&out);
        prop_assert_eq!(frames.len(), 2);
        let expected = basic::AMQPMethod::Return(basic::Return {
            reply_code: code, reply_text: text.into(), exchange: ex.into(), routing_key: rk.into(),
        });
        prop_assert_eq!(method(&frames[0], ch), &expected);
        assert_header(&frames[1], ch, 1);
    }

    #[test]
    fn confirms(ch: u16, n: u64, multiple: bool) {
        let mut out = Vec::new();
        put_ack(&mut out, ch, n, multiple);
        put_nack(&mut out, ch, n, multiple);
        let frames = parsed_frames(&out);
        let ack = basic::AMQPMethod::Ack(basic::Ack { delivery_tag: n, multiple });
        let nack = basic::Nack { delivery_tag: n, multiple, requeue: true };
        prop_assert_eq!(method(&frames[0], ch), &ack);
        prop_assert_eq!(method(&frames[1], ch), &basic::AMQPMethod::Nack(nack));
        prop_assert_eq!(frames.len(), 2);
    }

    #[test]
    fn bodies_come_back_whole(ch: u16, frame_max in 9..200_u32, body: Vec<u8>) {
        let mut out = Vec::new();
        put_body(&mut out, ch, frame_max, &body);
        let mut read = Vec::new();
        for frame in parsed_frames(&out) {
            let AMQPFrame::Body(channel, piece) = frame else { panic!("{frame:?}") };
            prop_assert_eq!(channel, ch);
            prop_assert!(!piece.is_empty() && piece.len() + 8 <= frame_max as usize);
            read.extend(piece);
        }
        prop_assert_eq!(read, body);
    }
}

#[test]
fn row_w_3_a_large_body_is_cut_at_frame_max() {
    let mut out = Vec::new();
    put_body(&mut out, 1, 131_072, &vec![7; 300_000]);
    let lengths: Vec<_> = parsed_frames(&out)
        .iter()
        .map(|frame| {
            if let AMQPFrame::Body(1, piece) = frame {
                piece.len()
            } else {
                0
            }
        })
        .collect();
    assert_eq!(lengths, [131_064, 131_064, 37_872]);
}

#[test]
fn row_w_35_an_empty_body_has_no_frames() {
    let mut out = Vec::new();
    put_body(&mut out, 1, 131_072, &[]);
    put_body(&mut out, 1, 0, &[]);
    assert!(out.is_empty());
}

#[test]
fn without_frame_max_a_body_is_one_frame() {
    let body = vec![1; 200_000];
    let mut out = Vec::new();
    put_body(&mut out, 9, 0, &body);
    let mut by_hand = Vec::new();
    put_body_frame_head(&mut by_hand, 9, body.len() as u32);
    by_hand.extend_from_slice(&body);
    put_frame_end(&mut by_hand);
    assert_eq!(out, by_hand);
}

#[test]
fn a_frame_max_without_room_does_not_loop() {
    let mut out = Vec::new();
    put_body(&mut out, 1, 3, b"ab");
    assert_eq!(parsed_frames(&out).len(), 2);
}

#[test]
fn too_long_texts_are_cut() {
    let mut out = Vec::new();
    put_deliver_head(
        &mut out,
        1,
        &[b'x'; 300],
        1,
        false,
        &address("", ""),
        &header(0),
    );
    assert_eq!(parsed_frames(&out).len(), 2);
}
