//! Methods that come once per message, read in place.
//!
//! `args` is always the payload after the four bytes of ids.

use super::{
    BASIC_ACK, BASIC_NACK, BASIC_PUBLISH, BASIC_REJECT, CLASS_BASIC, cannot_decode, is_utf8,
    malformed_utf8, short,
};
use crate::error::ReplyError;
use crate::table::read::shortstr;

/// `basic.publish`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Exchange and routing key as they stand on the wire: two short strings, length bytes
    /// included. Both are UTF-8.
    pub address: &'a [u8],
    /// Return the message if it reaches no queue.
    pub mandatory: bool,
    /// Not supported by RabbitMQ since 3.0: 540.
    pub immediate: bool,
}

impl<'a> Publish<'a> {
    /// The exchange's name.
    pub fn exchange(&self) -> &'a [u8] {
        split_address(self.address).0
    }

    /// The routing key.
    pub fn routing_key(&self) -> &'a [u8] {
        split_address(self.address).1
    }
}

/// Exchange and routing key of an address; empty where the bytes are not an address.
pub fn split_address(address: &[u8]) -> (&[u8], &[u8]) {
    let Ok((rest, exchange)) = shortstr(address) else {
        return (&[], &[]);
    };
    match shortstr(rest) {
        Ok((_, routing_key)) => (exchange, routing_key),
        Err(_) => (exchange, &[]),
    }
}

/// Appends the address of exchange and routing key, each cut at a character boundary if it is
/// longer than 255 bytes.
pub fn make_address(out: &mut Vec<u8>, exchange: &str, routing_key: &str) {
    for text in [exchange, routing_key] {
        let text = short(text);
        out.push(text.as_str().len() as u8);
        out.extend_from_slice(text.as_str().as_bytes());
    }
}

/// Reads the arguments of `basic.publish`.
///
/// # Errors
/// 501 for a layout not the method's, and for names that are not UTF-8.
pub fn parse_publish(args: &[u8]) -> Result<Publish<'_>, ReplyError> {
    let Some((publish, utf8)) = publish(args) else {
        return Err(cannot_decode(CLASS_BASIC, BASIC_PUBLISH, args));
    };
    if utf8 {
        Ok(publish)
    } else {
        Err(malformed_utf8())
    }
}

#[inline]
fn publish(args: &[u8]) -> Option<(Publish<'_>, bool)> {
    let (_ticket, rest) = args.split_first_chunk::<2>()?;
    let (after, exchange) = shortstr(rest).ok()?;
    let (after, routing_key) = shortstr(after).ok()?;
    let &[bits] = after else { return None };
    let publish = Publish {
        address: &rest[..rest.len() - 1],
        mandatory: bits & 1 != 0,
        immediate: bits & 2 != 0,
    };
    Some((publish, is_utf8(exchange) && is_utf8(routing_key)))
}

/// `basic.ack`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// The delivery; 0 with `multiple` = all so far.
    pub delivery_tag: u64,
    /// All deliveries up to this one.
    pub multiple: bool,
}

/// `basic.nack`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nack {
    /// The delivery; 0 with `multiple` = all so far.
    pub delivery_tag: u64,
    /// All deliveries up to this one.
    pub multiple: bool,
    /// Back into the queue, rather than dropped or dead-lettered.
    pub requeue: bool,
}

/// `basic.reject`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reject {
    /// The delivery.
    pub delivery_tag: u64,
    /// Back into the queue, rather than dropped or dead-lettered.
    pub requeue: bool,
}

/// Reads the arguments of `basic.ack`.
///
/// # Errors
/// 501 for a layout not the method's.
pub fn parse_ack(args: &[u8]) -> Result<Ack, ReplyError> {
    let (delivery_tag, bits) = tag_and_bits(args, BASIC_ACK)?;
    Ok(Ack {
        delivery_tag,
        multiple: bits & 1 != 0,
    })
}

/// Reads the arguments of `basic.nack`.
///
/// # Errors
/// 501 for a layout not the method's.
pub fn parse_nack(args: &[u8]) -> Result<Nack, ReplyError> {
    let (delivery_tag, bits) = tag_and_bits(args, BASIC_NACK)?;
    Ok(Nack {
        delivery_tag,
        multiple: bits & 1 != 0,
        requeue: bits & 2 != 0,
    })
}

/// Reads the arguments of `basic.reject`.
///
/// # Errors
/// 501 for a layout not the method's.
pub fn parse_reject(args: &[u8]) -> Result<Reject, ReplyError> {
    let (delivery_tag, bits) = tag_and_bits(args, BASIC_REJECT)?;
    Ok(Reject {
        delivery_tag,
        requeue: bits & 1 != 0,
    })
}

#[inline]
fn tag_and_bits(args: &[u8], method: u16) -> Result<(u64, u8), ReplyError> {
    match args.split_first_chunk::<8>() {
        Some((tag, &[bits])) => Ok((u64::from_be_bytes(*tag), bits)),
        _ => Err(cannot_decode(CLASS_BASIC, method, args)),
    }
}
