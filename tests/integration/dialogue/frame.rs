//! Frames as a test sees them: bytes in, [`Frame`] out, and the other way round.
//!
//! Built on `amq-protocol`, which shares no code with the broker's own hot path.

use amq_protocol::{
    frame::{SerializeFn, WriteContext},
    protocol::{AMQPClass, basic, gen_class, parse_class},
};

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 8;
pub(crate) const END: u8 = 0xCE;

/// One frame from the broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Method(u16, AMQPClass),
    Header(u16, ContentHeader),
    Body(u16, Vec<u8>),
    Heartbeat,
}

/// A content header with its properties as they stood on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContentHeader {
    pub(crate) body_size: u64,
    /// Property flags and values.
    pub(crate) raw_properties: Vec<u8>,
}

impl ContentHeader {
    pub(crate) fn properties(&self) -> basic::AMQPProperties {
        let (rest, properties) = basic::parse_properties(self.raw_properties.as_slice())
            .expect("the broker wrote properties that parse");
        assert!(rest.is_empty(), "bytes after the properties: {rest:?}");
        properties
    }
}

/// Takes one frame off the front of `input`; `None` when it is not all there yet.
pub(crate) fn take(input: &mut Vec<u8>) -> Option<Frame> {
    let head: [u8; 7] = input.get(..7)?.try_into().ok()?;
    let channel = u16::from_be_bytes([head[1], head[2]]);
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let end = *input.get(7 + size)?;
    assert_eq!(end, END, "frame end of a type {} frame", head[0]);
    let payload = input[7..7 + size].to_vec();
    input.drain(..size + 8);
    Some(decode(head[0], channel, payload))
}

fn decode(kind: u8, channel: u16, payload: Vec<u8>) -> Frame {
    match kind {
        METHOD => {
            let (rest, method) = parse_class(payload.as_slice())
                .unwrap_or_else(|e| panic!("the broker wrote a bad method {payload:?}: {e}"));
            assert!(rest.is_empty(), "bytes after {method:?}: {rest:?}");
            Frame::Method(channel, method)
        }
        HEADER => {
            assert_eq!(
                payload[..4],
                [0, 60, 0, 0],
                "class and weight of a content header"
            );
            let body_size = u64::from_be_bytes(payload[4..12].try_into().expect("eight bytes"));
            let raw_properties = payload[12..].to_vec();
            Frame::Header(
                channel,
                ContentHeader {
                    body_size,
                    raw_properties,
                },
            )
        }
        BODY => Frame::Body(channel, payload),
        HEARTBEAT => {
            assert_eq!(
                (channel, payload.len()),
                (0, 0),
                "a heartbeat is empty, on channel 0"
            );
            Frame::Heartbeat
        }
        other => panic!("the broker wrote a frame of type {other}"),
    }
}

/// The bytes of one frame around `payload`.
pub(crate) fn encode(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("test payloads are small");
    let mut out = Vec::with_capacity(payload.len() + 8);
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend(size.to_be_bytes());
    out.extend(payload);
    out.push(END);
    out
}

/// The payload of a method frame: class id, method id, arguments.
pub(crate) fn method_payload(method: &AMQPClass) -> Vec<u8> {
    generate(gen_class(method))
}

/// The payload of a content header for a body of `body_size` bytes.
pub(crate) fn header_payload(body_size: u64, properties: &basic::AMQPProperties) -> Vec<u8> {
    let properties = generate(basic::gen_properties(properties));
    raw_header_payload(60, 0, body_size, &properties)
}

/// A content header from its parts, so that a test can get any of them wrong.
pub(crate) fn raw_header_payload(class: u16, weight: u16, size: u64, properties: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(class.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(size.to_be_bytes());
    out.extend(properties);
    out
}

fn generate(write: impl SerializeFn<Vec<u8>>) -> Vec<u8> {
    write(WriteContext::from(Vec::new()))
        .expect("memory takes every write")
        .into_inner()
        .0
}
