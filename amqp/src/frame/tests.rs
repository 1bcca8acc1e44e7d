//! Frames: RabbitMQ's verdict on bad ones, and that the way bytes arrive does not matter.

use amq_protocol::frame::AMQPFrame;
use proptest::prelude::*;

use super::*;
use crate::error::ReplyCode;
use crate::testing::generated_frame;

fn frame(kind: u8, channel: u16, payload: &[u8], end: u8) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(end);
    bytes
}

fn refused(bytes: &[u8]) -> ReplyError {
    split(bytes, 131_072).expect_err("must be refused")
}

#[track_caller]
fn assert_refused(bytes: &[u8], code: ReplyCode, explanation: &str) {
    let error = refused(bytes);
    assert_eq!(
        (error.code, error.explanation.as_str()),
        (code, explanation)
    );
    assert_eq!(error.method, Some((0, 0)));
}

#[test]
fn row_w_7_frame_too_large() {
    let largest = frame(FRAME_BODY, 1, &vec![0; 131_072], FRAME_END);
    let (split_off, used) = split(&largest, 131_072)
        .expect("tolerated")
        .expect("complete");
    assert_eq!((split_off.payload.len(), used), (131_072, largest.len()));

    let mut head = frame(FRAME_BODY, 1, &[], FRAME_END)[..7].to_vec();
    head[3..7].copy_from_slice(&131_073_u32.to_be_bytes());
    assert!(matches!(split(&head[..6], 131_072), Ok(None)));
    let text = "type 3, all octets = <<>>: {frame_too_large,131073,131064}";
    assert_refused(&head, ReplyCode::FrameError, text);
}

#[test]
fn no_limit_agreed_on_is_still_a_limit() {
    let mut head = [FRAME_BODY, 0, 1, 0, 0, 0, 0];
    head[3..].copy_from_slice(&PAYLOAD_HARD_CAP.to_be_bytes());
    assert!(matches!(split(&head, 0), Ok(None)));
    head[3..].copy_from_slice(&(PAYLOAD_HARD_CAP + 1).to_be_bytes());
    assert!(split(&head, 0).is_err());
}

#[test]
fn row_w_9_frame_end() {
    let text = "type 1, all octets = <<0,60,0,10>>: {invalid_frame_end_marker,0}";
    assert_refused(
        &frame(1, 1, &[0, 60, 0, 10], 0),
        ReplyCode::FrameError,
        text,
    );
    let text = "type 3, first 16 octets = <<\"aaaaaaaaaaaaaaaa\">>: {invalid_frame_end_marker,1}";
    assert_refused(&frame(3, 1, &[b'a'; 17], 1), ReplyCode::FrameError, text);
    let text = "type 3, all octets = <<\"aaaaaaaaaaaaaaaa\">>: {invalid_frame_end_marker,1}";
    assert_refused(&frame(3, 1, &[b'a'; 16], 1), ReplyCode::FrameError, text);
}

#[test]
fn row_w_10_unknown_type() {
    let text = "type 9, all octets = <<\"abcd\">>: unknown_frame";
    assert_refused(
        &frame(9, 1, b"abcd", FRAME_END),
        ReplyCode::FrameError,
        text,
    );
    assert_eq!(
        refused(&frame(9, 1, b"abcd", FRAME_END)).reply_text(),
        "FRAME_ERROR - type 9, all octets = <<\"abcd\">>: unknown_frame"
    );
}

#[test]
fn frames_too_short_for_their_type_are_unknown() {
    let text = "type 1, all octets = <<0,60,0>>: unknown_frame";
    assert_refused(
        &frame(FRAME_METHOD, 1, &[0, 60, 0], FRAME_END),
        ReplyCode::FrameError,
        text,
    );
    let text = "type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame";
    assert_refused(
        &frame(FRAME_HEADER, 1, &[0; 11], FRAME_END),
        ReplyCode::FrameError,
        text,
    );
}

#[test]
fn row_w_11_heartbeat_on_a_channel() {
    let bytes = frame(FRAME_HEARTBEAT, 1, &[], FRAME_END);
    assert_refused(
        &bytes,
        ReplyCode::UnexpectedFrame,
        "type 8, all octets = <<>>",
    );
}

#[test]
fn row_w_12_heartbeat_with_payload() {
    let text = "type 8, all octets = <<1>>: unknown_frame";
    for channel in [0, 1] {
        let bytes = frame(FRAME_HEARTBEAT, channel, &[1], FRAME_END);
        assert_refused(&bytes, ReplyCode::FrameError, text);
    }
}

#[test]
fn row_w_19_content_on_channel_zero() {
    let bytes = frame(
        FRAME_HEADER,
        0,
        &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        FRAME_END,
    );
    let (header, _) = split(&bytes, 0).expect("well formed").expect("complete");
    let error = unexpected_on_channel_zero(&header);
    assert_eq!(error.code, ReplyCode::UnexpectedFrame);
    assert_eq!(
        error.explanation,
        "type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,1,0,0>>"
    );
    assert_eq!(error.method, Some((0, 0)));
}

#[test]
fn heartbeats_are_written_as_read() {
    let mut out = vec![1];
    put_heartbeat(&mut out);
    assert_eq!(out[1..], generated_frame(&AMQPFrame::Heartbeat));
    let (heartbeat, used) = split(&out[1..], 4096)
        .expect("well formed")
        .expect("complete");
    assert_eq!(
        (heartbeat.kind, heartbeat.channel, used),
        (FrameKind::Heartbeat, 0, 8)
    );
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = || proptest::collection::vec(any::<u8>(), 12..60);
    prop_oneof![
        Just(frame(FRAME_HEARTBEAT, 0, &[], FRAME_END)),
        Just(frame(FRAME_BODY, 3, &[], FRAME_END)),
        (1..4_u8, any::<u16>(), payload()).prop_map(|(k, ch, p)| frame(k, ch, &p, FRAME_END)),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes: Vec<u8>, frame_max: u32) {
        if let Ok(Some((frame, used))) = split(&bytes, frame_max) {
            prop_assert_eq!(frame.payload.len() + FRAME_OVERHEAD, used);
            prop_assert!(used <= bytes.len());
        }
    }

    /// However the stream is cut, the same frames come out, and never one too early.
    #[test]
    fn cuts_do_not_matter(frames in proptest::collection::vec(any_frame(), 1..6)) {
        let stream = frames.concat();
        let mut at = 0;
        for bytes in &frames {
            for available in at..at + bytes.len() {
                prop_assert_eq!(split(&stream[at..available], 131_072), Ok(None));
            }
            let (frame, used) = split(&stream[at..], 131_072).expect("well formed").expect("whole");
            prop_assert_eq!(used, bytes.len());
            prop_assert_eq!(frame.kind.octet(), bytes[0]);
            prop_assert_eq!(frame.channel, u16::from_be_bytes([bytes[1], bytes[2]]));
            prop_assert_eq!(frame.payload, &bytes[7..bytes.len() - 1]);
            at += used;
        }
        prop_assert_eq!(at, stream.len());
    }

    #[test]
    fn amq_protocol_bodies_are_split(channel: u16, body: Vec<u8>) {
        let bytes = generated_frame(&AMQPFrame::Body(channel, body.clone()));
        let (frame, used) = split(&bytes, 0).expect("well formed").expect("complete");
        prop_assert_eq!((frame.kind, frame.channel, used), (FrameKind::Body, channel, bytes.len()));
        prop_assert_eq!(frame.payload, &body[..]);
    }
}
