//! Methods: their ids, and the reading of what clients send.
//!
//! - `hot`: publish and the acknowledgements, in place.
//! - `cold`: everything else, as `amq-protocol` types, behind our own checks.
//! - `names`: what people call them.
//! - `layout`: the arguments of every method RabbitMQ knows, for those checks.
//!
//! Which method is allowed where is not decided here.

mod cold;
mod hot;
mod layout;
mod names;

pub use cold::{ColdError, parse_method, put_method};
pub use hot::{
    Ack, Nack, Publish, Reject, make_address, parse_ack, parse_nack, parse_publish, parse_reject,
    split_address,
};
pub use names::method_name;

use amq_protocol::types::ShortString;

use crate::error::ReplyError;
use crate::octets;

/// Class `connection`.
pub const CLASS_CONNECTION: u16 = 10;
/// Class `channel`.
pub const CLASS_CHANNEL: u16 = 20;
/// Class `access`: deprecated, answered for old clients.
pub const CLASS_ACCESS: u16 = 30;
/// Class `exchange`.
pub const CLASS_EXCHANGE: u16 = 40;
/// Class `queue`.
pub const CLASS_QUEUE: u16 = 50;
/// Class `basic`.
pub const CLASS_BASIC: u16 = 60;
/// Class `confirm`, an extension of RabbitMQ's.
pub const CLASS_CONFIRM: u16 = 85;
/// Class `tx`.
pub const CLASS_TX: u16 = 90;

/// `connection.close`
pub const CONNECTION_CLOSE: u16 = 50;
/// `connection.close-ok`
pub const CONNECTION_CLOSE_OK: u16 = 51;
/// `channel.open`
pub const CHANNEL_OPEN: u16 = 10;
/// `channel.close`
pub const CHANNEL_CLOSE: u16 = 40;
/// `channel.close-ok`
pub const CHANNEL_CLOSE_OK: u16 = 41;
/// `basic.publish`
pub const BASIC_PUBLISH: u16 = 40;
/// `basic.return`
pub const BASIC_RETURN: u16 = 50;
/// `basic.deliver`
pub const BASIC_DELIVER: u16 = 60;
/// `basic.get`
pub const BASIC_GET: u16 = 70;
/// `basic.get-ok`
pub const BASIC_GET_OK: u16 = 71;
/// `basic.get-empty`
pub const BASIC_GET_EMPTY: u16 = 72;
/// `basic.ack`
pub const BASIC_ACK: u16 = 80;
/// `basic.reject`
pub const BASIC_REJECT: u16 = 90;
/// `basic.nack`, an extension of RabbitMQ's.
pub const BASIC_NACK: u16 = 120;

/// Class and method id at the start of a method's payload; `None` if it is shorter than 4 bytes.
pub fn method_ids(payload: &[u8]) -> Option<(u16, u16)> {
    let &[c0, c1, m0, m1] = payload.first_chunk()?;
    Some((u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1])))
}

/// A short string of `s`, cut at a character boundary if it is longer than 255 bytes.
pub fn short(s: &str) -> ShortString {
    let mut end = s.len().min(255);
    while !s.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(&s[..end])
}

/// 501 for arguments that don't follow the method's layout.
#[cold]
fn cannot_decode(class: u16, method: u16, args: &[u8]) -> ReplyError {
    ReplyError::frame_error(format!("cannot decode {}", octets::numbers(args))).at(class, method)
}

/// 501 for a short string that is not UTF-8.
#[cold]
fn malformed_utf8() -> ReplyError {
    ReplyError::frame_error("Malformed UTF-8 in shortstr").without_method()
}

#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests;
