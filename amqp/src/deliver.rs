//! The hot encoders: everything the broker writes once per message.
//!
//! Each appends to an outbox, reserves once and allocates nothing else. The stored address
//! (exchange and routing key as they came) and the stored content header go out verbatim, so a
//! message's properties are never re-encoded. Nothing here refuses: a consumer tag or text longer
//! than a short string is cut at 255 bytes.

use crate::frame::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, FRAME_OVERHEAD};
use crate::method::{
    BASIC_ACK, BASIC_DELIVER, BASIC_GET_OK, BASIC_NACK, BASIC_RETURN, CLASS_BASIC,
};

/// The class and method ids at the start of a method's payload.
const IDS: usize = 4;
/// Bit of `basic.nack` that says whether the other side requeues; a broker always sets it.
const NACK_REQUEUE: u8 = 0b10;

/// Appends `basic.deliver` and the content header frame.
///
/// `address` is exchange and routing key as short strings, `header` the payload of a content header
/// frame (class, weight, body size, flags, properties).
pub fn put_deliver_head(
    out: &mut Vec<u8>,
    channel: u16,
    consumer_tag: &[u8],
    delivery_tag: u64,
    redelivered: bool,
    address: &[u8],
    header: &[u8],
) {
    let tag = shortstr(consumer_tag);
    let size = IDS + 1 + tag.len() + 8 + 1 + address.len();
    out.reserve(size + header.len() + 2 * FRAME_OVERHEAD);
    put_method_head(out, channel, size, BASIC_DELIVER);
    out.push(tag.len() as u8);
    out.extend_from_slice(tag);
    put_tag_and_flags(out, delivery_tag, u8::from(redelivered));
    out.extend_from_slice(address);
    put_header(out, channel, header);
}

/// Appends `basic.get-ok` and the content header frame. `message_count` is what remains ready in
/// the queue; for the rest see [`put_deliver_head`].
pub fn put_get_ok_head(
    out: &mut Vec<u8>,
    channel: u16,
    delivery_tag: u64,
    redelivered: bool,
    address: &[u8],
    message_count: u32,
    header: &[u8],
) {
    let size = IDS + 8 + 1 + address.len() + 4;
    out.reserve(size + header.len() + 2 * FRAME_OVERHEAD);
    put_method_head(out, channel, size, BASIC_GET_OK);
    put_tag_and_flags(out, delivery_tag, u8::from(redelivered));
    out.extend_from_slice(address);
    out.extend_from_slice(&message_count.to_be_bytes());
    put_header(out, channel, header);
}

/// Appends `basic.return` and the content header frame; for `address` and `header` see
/// [`put_deliver_head`].
pub fn put_return_head(
    out: &mut Vec<u8>,
    channel: u16,
    code: u16,
    text: &str,
    address: &[u8],
    header: &[u8],
) {
    let text = shortstr(text.as_bytes());
    let size = IDS + 2 + 1 + text.len() + address.len();
    out.reserve(size + header.len() + 2 * FRAME_OVERHEAD);
    put_method_head(out, channel, size, BASIC_RETURN);
    out.extend_from_slice(&code.to_be_bytes());
    out.push(text.len() as u8);
    out.extend_from_slice(text);
    out.extend_from_slice(address);
    put_header(out, channel, header);
}

/// Appends `body` in frames of at most `frame_max` bytes (payload at most `frame_max` - 8); nothing
/// for an empty body. 0 = no limit agreed on, one frame.
pub fn put_body(out: &mut Vec<u8>, channel: u16, frame_max: u32, body: &[u8]) {
    let payload_max = body_payload_max(frame_max);
    out.reserve(body.len() + body.len().div_ceil(payload_max) * FRAME_OVERHEAD);
    for piece in body.chunks(payload_max) {
        put_body_frame_head(out, channel, piece.len() as u32);
        out.extend_from_slice(piece);
        put_frame_end(out);
    }
}

/// The largest payload of a body frame under this `frame_max`, in bytes; at least 1.
pub fn body_payload_max(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

/// Appends what comes before the payload of a body frame of `len` bytes, for bodies written to the
/// socket from where they are. [`put_frame_end`] must follow the payload.
pub fn put_body_frame_head(out: &mut Vec<u8>, channel: u16, len: u32) {
    out.extend_from_slice(&frame_head(FRAME_BODY, channel, len));
}

/// Appends the octet that ends a frame.
pub fn put_frame_end(out: &mut Vec<u8>) {
    out.push(FRAME_END);
}

/// Appends a confirm: `basic.ack`.
pub fn put_ack(out: &mut Vec<u8>, channel: u16, tag: u64, multiple: bool) {
    put_confirm(out, channel, BASIC_ACK, tag, u8::from(multiple));
}

/// Appends a refused confirm: `basic.nack`. The requeue bit is set, as RabbitMQ has it; clients
/// ignore it.
pub fn put_nack(out: &mut Vec<u8>, channel: u16, tag: u64, multiple: bool) {
    put_confirm(
        out,
        channel,
        BASIC_NACK,
        tag,
        u8::from(multiple) | NACK_REQUEUE,
    );
}

fn put_confirm(out: &mut Vec<u8>, channel: u16, method: u16, tag: u64, flags: u8) {
    const SIZE: usize = IDS + 8 + 1;
    let mut frame = [0; SIZE + FRAME_OVERHEAD];
    frame[..7].copy_from_slice(&frame_head(FRAME_METHOD, channel, SIZE as u32));
    frame[7..9].copy_from_slice(&CLASS_BASIC.to_be_bytes());
    frame[9..11].copy_from_slice(&method.to_be_bytes());
    frame[11..19].copy_from_slice(&tag.to_be_bytes());
    frame[19] = flags;
    frame[20] = FRAME_END;
    out.extend_from_slice(&frame);
}

/// The frame head and ids of a method of class basic.
fn put_method_head(out: &mut Vec<u8>, channel: u16, size: usize, method: u16) {
    let mut head = [0; 11];
    head[..7].copy_from_slice(&frame_head(FRAME_METHOD, channel, size as u32));
    head[7..9].copy_from_slice(&CLASS_BASIC.to_be_bytes());
    head[9..].copy_from_slice(&method.to_be_bytes());
    out.extend_from_slice(&head);
}

fn put_tag_and_flags(out: &mut Vec<u8>, tag: u64, flags: u8) {
    let mut fixed = [0; 9];
    fixed[..8].copy_from_slice(&tag.to_be_bytes());
    fixed[8] = flags;
    out.extend_from_slice(&fixed);
}

/// Ends the method frame and appends the content header frame.
fn put_header(out: &mut Vec<u8>, channel: u16, header: &[u8]) {
    let mut between = [FRAME_END; 8];
    between[1..].copy_from_slice(&frame_head(FRAME_HEADER, channel, header.len() as u32));
    out.extend_from_slice(&between);
    out.extend_from_slice(header);
    out.push(FRAME_END);
}

fn frame_head(kind: u8, channel: u16, size: u32) -> [u8; 7] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = size.to_be_bytes();
    [kind, c0, c1, s0, s1, s2, s3]
}

fn shortstr(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(255)]
}

#[cfg(test)]
mod tests;
