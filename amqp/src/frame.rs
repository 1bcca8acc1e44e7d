//! Frames: splitting them off a byte stream, and the constants of framing.
//!
//! ```text
//! +------+---------+---------+ +-------------+ +-----------+
//! | type | channel |  size   | |   payload   | | frame-end |
//! +------+---------+---------+ +-------------+ +-----------+
//!  octet    short     long      'size' octets     octet
//! ```
//! (AMQP 0-9-1, 2.3.5.) By hand rather than with a parser library: what matters here is which reply
//! code a bad frame gets, and that a frame is refused before anything waits for its payload. The
//! order of the checks, and the texts, are RabbitMQ's. Which frames may follow which is not
//! decided here.

use crate::error::ReplyError;
use crate::octets;

/// Frame type of a method.
pub const FRAME_METHOD: u8 = 1;
/// Frame type of a content header.
pub const FRAME_HEADER: u8 = 2;
/// Frame type of a piece of a content body.
pub const FRAME_BODY: u8 = 3;
/// Frame type of a heartbeat.
pub const FRAME_HEARTBEAT: u8 = 8;
/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// Every peer must accept frames of this size, in bytes; also the limit before tuning.
pub const FRAME_MIN_SIZE: u32 = 4096;
/// Bytes of a frame beside its payload.
pub const FRAME_OVERHEAD: usize = 8;
/// Bytes before the payload.
pub const FRAME_HEAD: usize = 7;

/// The largest payload taken when the peers agreed on no limit, in bytes: RabbitMQ's largest body.
const PAYLOAD_HARD_CAP: u32 = 512 * 1024 * 1024;
/// How many octets of an offending payload an error text shows.
const SNIPPET: usize = 16;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// A method; the payload is at least 4 bytes (the ids).
    Method,
    /// A content header; the payload is at least 12 bytes (the fixed fields).
    Header,
    /// A piece of a body, possibly empty.
    Body,
    /// A heartbeat, on channel 0 and without payload.
    Heartbeat,
}

impl FrameKind {
    /// The type octet on the wire.
    pub fn octet(self) -> u8 {
        match self {
            Self::Method => FRAME_METHOD,
            Self::Header => FRAME_HEADER,
            Self::Body => FRAME_BODY,
            Self::Heartbeat => FRAME_HEARTBEAT,
        }
    }
}

/// One complete frame, borrowed from the read buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// The bytes between head and frame-end.
    pub payload: &'a [u8],
}

/// Splits one frame off the front of `input`; returns it with its whole length in bytes, or `None`
/// if more bytes are needed.
///
/// A payload may be up to `frame_max` bytes, 8 over the legal maximum, as RabbitMQ tolerates; 0
/// means that no limit was agreed on (half a GiB still is one).
///
/// # Errors
/// 501 for a payload too large (as soon as the head is there), a wrong frame-end, an unknown type,
/// a payload too short for its type; 505 for a heartbeat on a channel. None belongs to a method.
pub fn split(input: &[u8], frame_max: u32) -> Result<Option<(Frame<'_>, usize)>, ReplyError> {
    let Some((head, rest)) = input.split_first_chunk::<FRAME_HEAD>() else {
        return Ok(None);
    };
    let &[kind, c0, c1, s0, s1, s2, s3] = head;
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    let limit = if frame_max == 0 {
        PAYLOAD_HARD_CAP
    } else {
        frame_max
    };
    if size > limit {
        return Err(too_large(kind, size, limit));
    }
    let size = size as usize;
    let Some(&end) = rest.get(size) else {
        return Ok(None);
    };
    let payload = &rest[..size];
    if end != FRAME_END {
        return Err(wrong_end(kind, payload, end));
    }
    let channel = u16::from_be_bytes([c0, c1]);
    let kind = classify(kind, channel, payload)?;
    Ok(Some((
        Frame {
            kind,
            channel,
            payload,
        },
        size + FRAME_OVERHEAD,
    )))
}

/// The channel and the length of the payload of a body frame whose head stands at the front of
/// `input`. For those that take a payload as it comes, once [`split`] has asked for more.
pub fn body_begun(input: &[u8]) -> Option<(u16, usize)> {
    match input.first_chunk::<FRAME_HEAD>()? {
        &[FRAME_BODY, c0, c1, ref size @ ..] => {
            let size = u32::from_be_bytes(*size) as usize;
            Some((u16::from_be_bytes([c0, c1]), size))
        }
        _ => None,
    }
}

/// Checks the octet that ends a frame, as [`split`] does.
///
/// # Errors
/// 501 if it is not [`FRAME_END`].
pub fn check_end(kind: FrameKind, payload: &[u8], end: u8) -> Result<(), ReplyError> {
    if end == FRAME_END {
        return Ok(());
    }
    Err(wrong_end(kind.octet(), payload, end))
}

fn classify(kind: u8, channel: u16, payload: &[u8]) -> Result<FrameKind, ReplyError> {
    match kind {
        FRAME_METHOD if payload.len() >= 4 => Ok(FrameKind::Method),
        FRAME_HEADER if payload.len() >= 12 => Ok(FrameKind::Header),
        FRAME_BODY => Ok(FrameKind::Body),
        FRAME_HEARTBEAT if payload.is_empty() && channel == 0 => Ok(FrameKind::Heartbeat),
        FRAME_HEARTBEAT if payload.is_empty() => Err(unexpected(kind, payload)),
        _ => Err(refuse(kind, payload, "unknown_frame")),
    }
}

/// 505: a header or body frame on channel 0, where no content can be.
pub fn unexpected_on_channel_zero(frame: &Frame<'_>) -> ReplyError {
    unexpected(frame.kind.octet(), frame.payload)
}

/// Appends a heartbeat frame.
pub fn put_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&[FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}

#[cold]
fn too_large(kind: u8, size: u32, limit: u32) -> ReplyError {
    let legal = u64::from(limit).saturating_sub(FRAME_OVERHEAD as u64);
    refuse(kind, &[], &format!("{{frame_too_large,{size},{legal}}}"))
}

#[cold]
fn wrong_end(kind: u8, payload: &[u8], end: u8) -> ReplyError {
    refuse(
        kind,
        payload,
        &format!("{{invalid_frame_end_marker,{end}}}"),
    )
}

#[cold]
fn refuse(kind: u8, payload: &[u8], what: &str) -> ReplyError {
    ReplyError::frame_error(format!("{}: {what}", describe(kind, payload))).without_method()
}

#[cold]
fn unexpected(kind: u8, payload: &[u8]) -> ReplyError {
    ReplyError::unexpected_frame(describe(kind, payload)).without_method()
}

fn describe(kind: u8, payload: &[u8]) -> String {
    let (which, shown) = match payload.get(..SNIPPET) {
        Some(first) if payload.len() > SNIPPET => ("first 16", first),
        _ => ("all", payload),
    };
    format!("type {kind}, {which} octets = {}", octets::pretty(shown))
}

#[cfg(test)]
mod tests;
