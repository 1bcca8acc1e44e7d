//! Content headers: the fixed fields and the 14 properties, borrowed and validated in one pass.
//!
//! ```text
//! +----------+--------+-----------+----------------+------------+
//! | class-id | weight | body size | property flags | properties |   payload of a header frame
//! +----------+--------+-----------+----------------+------------+
//!    short     short    long long       short         one per flag, highest bit first
//! ```
//! (AMQP 0-9-1, 2.3.5.2.) A message is stored and delivered with the payload as it came;
//! [`encode_content_header`] is for those the broker changes. Flag bits beyond the 14 are ignored.
//! Short strings here are not checked to be UTF-8, as RabbitMQ does not either.

use nom::number::complete::{be_u64, u8};

use crate::error::ReplyError;
use crate::method::CLASS_BASIC;
use crate::octets;
use crate::table::TableError;
use crate::table::TableRef;
use crate::table::read::{self, Parsed, shortstr};

/// Bytes of a content header before the property flags.
const FIXED: usize = 12;

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const TYPE: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;

/// The fixed part of a content header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentHeader<'a> {
    /// The class of the method that announced the content: 60, basic.
    pub class_id: u16,
    /// Must be 0.
    pub weight: u16,
    /// How many bytes of body follow.
    pub body_size: u64,
    /// Flags and values, for [`parse_properties`].
    pub properties: &'a [u8],
}

impl ContentHeader<'_> {
    /// Checks that this is a header for a message: class basic, weight 0.
    ///
    /// # Errors
    /// 505 otherwise.
    pub fn expect_basic(&self) -> Result<(), ReplyError> {
        let got = match (self.class_id, self.weight) {
            (CLASS_BASIC, 0) => return Ok(()),
            (other, 0) => format!("got one for class {other} instead"),
            _ => "got non content header frame instead".to_owned(),
        };
        let text = format!("expected content header for class {CLASS_BASIC}, {got}");
        Err(ReplyError::unexpected_frame(text))
    }
}

/// Reads the payload of a header frame, but not its properties.
///
/// # Errors
/// 501 if it is too short, which [`crate::frame::split`] has ruled out.
pub fn parse_content_header(payload: &[u8]) -> Result<ContentHeader<'_>, ReplyError> {
    let Some((fixed, properties)) = payload.split_first_chunk::<FIXED>() else {
        let text = format!("cannot decode content header {}", octets::numbers(payload));
        return Err(ReplyError::frame_error(text).without_method());
    };
    let &[c0, c1, w0, w1, s0, s1, s2, s3, s4, s5, s6, s7] = fixed;
    Ok(ContentHeader {
        class_id: u16::from_be_bytes([c0, c1]),
        weight: u16::from_be_bytes([w0, w1]),
        body_size: u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        properties,
    })
}

/// The 14 properties of a message, each if it is there. Texts are as they came.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Properties<'a> {
    /// MIME type of the body.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding of the body.
    pub content_encoding: Option<&'a [u8]>,
    /// Headers, for applications and for routing.
    pub headers: Option<TableRef<'a>>,
    /// 2 = persistent, anything else transient.
    pub delivery_mode: Option<u8>,
    /// Higher goes first, in queues with priorities.
    pub priority: Option<u8>,
    /// Ties a reply to its request.
    pub correlation_id: Option<&'a [u8]>,
    /// Where to reply to.
    pub reply_to: Option<&'a [u8]>,
    /// Time to live in milliseconds, as decimal digits.
    pub expiration: Option<&'a [u8]>,
    /// An identifier of the application's.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970, of the application's clock.
    pub timestamp: Option<u64>,
    /// The property `type`, a name of the application's.
    pub type_: Option<&'a [u8]>,
    /// Who published; checked against the connection's user.
    pub user_id: Option<&'a [u8]>,
    /// Which application published.
    pub app_id: Option<&'a [u8]>,
    /// Deprecated; passed on.
    pub cluster_id: Option<&'a [u8]>,
}

/// Reads property flags and values, wholly validated: after this no walk over the headers can
/// fail.
///
/// # Errors
/// 501 for lengths beyond the end, unknown field types, nesting deeper than
/// [`crate::table::MAX_TABLE_DEPTH`], or bytes left over.
pub fn parse_properties(bytes: &[u8]) -> Result<Properties<'_>, ReplyError> {
    let Some((&flags, rest)) = bytes.split_first_chunk::<2>() else {
        return Err(refuse(TableError::Truncated));
    };
    let flags = u16::from_be_bytes(flags);
    // What most messages are like, and what the empty ones are.
    if flags == DELIVERY_MODE
        && let &[mode] = rest
    {
        return Ok(Properties {
            delivery_mode: Some(mode),
            ..Properties::default()
        });
    }
    parse_present(flags, rest).map_err(refuse)
}

fn parse_present(flags: u16, values: &[u8]) -> Result<Properties<'_>, TableError> {
    let mut values = Values {
        flags,
        rest: values,
    };
    // Fields of a struct literal are evaluated in the order written: the order of the wire.
    let properties = Properties {
        content_type: values.take(CONTENT_TYPE, shortstr)?,
        content_encoding: values.take(CONTENT_ENCODING, shortstr)?,
        headers: values.take(HEADERS, headers)?,
        delivery_mode: values.take(DELIVERY_MODE, u8)?,
        priority: values.take(PRIORITY, u8)?,
        correlation_id: values.take(CORRELATION_ID, shortstr)?,
        reply_to: values.take(REPLY_TO, shortstr)?,
        expiration: values.take(EXPIRATION, shortstr)?,
        message_id: values.take(MESSAGE_ID, shortstr)?,
        timestamp: values.take(TIMESTAMP, be_u64)?,
        type_: values.take(TYPE, shortstr)?,
        user_id: values.take(USER_ID, shortstr)?,
        app_id: values.take(APP_ID, shortstr)?,
        cluster_id: values.take(CLUSTER_ID, shortstr)?,
    };
    if values.rest.is_empty() {
        Ok(properties)
    } else {
        Err(TableError::Truncated)
    }
}

/// The values not read yet.
struct Values<'a> {
    flags: u16,
    rest: &'a [u8],
}

impl<'a> Values<'a> {
    #[inline]
    fn take<T>(
        &mut self,
        flag: u16,
        parser: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<Option<T>, TableError> {
        if self.flags & flag == 0 {
            return Ok(None);
        }
        let (rest, value) = parser(self.rest).map_err(read::fault)?;
        self.rest = rest;
        Ok(Some(value))
    }
}

fn headers(input: &[u8]) -> Parsed<'_, TableRef<'_>> {
    let (rest, table) = read::table(input)?;
    let table = TableRef::parse(table.as_bytes()).map_err(nom::Err::Failure)?;
    Ok((rest, table))
}

#[cold]
fn refuse(error: TableError) -> ReplyError {
    let why = match error {
        TableError::Truncated => "cannot decode content properties".to_owned(),
        other => format!("cannot decode content properties: {other}"),
    };
    ReplyError::frame_error(why)
}

/// The payload of a content header frame with these properties. A text longer than 255 bytes is
/// cut there.
pub fn encode_content_header(body_size: u64, p: &Properties<'_>) -> Vec<u8> {
    let headers_len = p.headers.map_or(0, |table| table.as_bytes().len());
    let mut out = Vec::with_capacity(FIXED + 2 + headers_len + 64);
    out.extend_from_slice(&CLASS_BASIC.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&body_size.to_be_bytes());
    out.extend_from_slice(&flags_of(p).to_be_bytes());
    put_shortstr(&mut out, p.content_type);
    put_shortstr(&mut out, p.content_encoding);
    if let Some(table) = p.headers {
        out.extend_from_slice(&(table.as_bytes().len() as u32).to_be_bytes());
        out.extend_from_slice(table.as_bytes());
    }
    out.extend(p.delivery_mode);
    out.extend(p.priority);
    put_shortstr(&mut out, p.correlation_id);
    put_shortstr(&mut out, p.reply_to);
    put_shortstr(&mut out, p.expiration);
    put_shortstr(&mut out, p.message_id);
    if let Some(seconds) = p.timestamp {
        out.extend_from_slice(&seconds.to_be_bytes());
    }
    for text in [p.type_, p.user_id, p.app_id, p.cluster_id] {
        put_shortstr(&mut out, text);
    }
    out
}

fn flags_of(p: &Properties<'_>) -> u16 {
    let mut flags = 0;
    for (present, flag) in [
        (p.content_type.is_some(), CONTENT_TYPE),
        (p.content_encoding.is_some(), CONTENT_ENCODING),
        (p.headers.is_some(), HEADERS),
        (p.delivery_mode.is_some(), DELIVERY_MODE),
        (p.priority.is_some(), PRIORITY),
        (p.correlation_id.is_some(), CORRELATION_ID),
        (p.reply_to.is_some(), REPLY_TO),
        (p.expiration.is_some(), EXPIRATION),
        (p.message_id.is_some(), MESSAGE_ID),
        (p.timestamp.is_some(), TIMESTAMP),
        (p.type_.is_some(), TYPE),
        (p.user_id.is_some(), USER_ID),
        (p.app_id.is_some(), APP_ID),
        (p.cluster_id.is_some(), CLUSTER_ID),
    ] {
        if present {
            flags |= flag;
        }
    }
    flags
}

fn put_shortstr(out: &mut Vec<u8>, text: Option<&[u8]>) {
    if let Some(text) = text {
        let text = &text[..text.len().min(255)];
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests;
