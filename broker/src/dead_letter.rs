//! What dead-lettering does to a message: pure functions on content headers.
//!
//! When a message dies in a queue it is published again, and its headers tell the story (rows
//! `x-death` is an array of tables, one per (queue, reason), newest first;
//! `x-first-death-*` is written once, `x-last-death-*` each time. Deciding that a message dies,
//! and publishing it again, is not done here. Here too: the CC and BCC headers (row X-50), which
//! are routing keys a message carries in its headers.
//!
//! An `x-death` a client sent is taken for ours and extended, as RabbitMQ 3 does (row Q-72):
//! nothing in a message tells the two apart. What is no table in it is dropped.

use std::borrow::Cow;

use warren_amqp::{
    ReplyError, TableBuilder, TableRef, ValueRef, encode_content_header, parse_content_header,
    parse_properties,
};

const CC: &[u8] = b"CC";
const BCC: &[u8] = b"BCC";
const X_DEATH: &[u8] = b"x-death";
const FIRST_DEATH: [&[u8]; 3] = [
    b"x-first-death-exchange",
    b"x-first-death-queue",
    b"x-first-death-reason",
];
const LAST_DEATH: [&[u8]; 3] = [
    b"x-last-death-exchange",
    b"x-last-death-queue",
    b"x-last-death-reason",
];

/// Why a message died (row Q-60).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeathReason {
    /// A consumer rejected it without requeueing.
    Rejected,
    /// Its time to live ran out.
    Expired,
    /// The queue was full.
    MaxLen,
    /// It was delivered too often.
    DeliveryLimit,
}

impl DeathReason {
    /// The reason as headers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// One message's death.
#[derive(Clone, Copy, Debug)]
pub struct Death<'a> {
    /// The queue it died in.
    pub queue: &'a str,
    /// Why.
    pub reason: DeathReason,
    /// When, in seconds since the epoch.
    pub time: u64,
    /// The exchange it was published to before it died.
    pub exchange: &'a str,
    /// The routing key it was published with.
    pub routing_key: &'a str,
    /// Whether the queue has an `x-dead-letter-routing-key`: then CC is removed (row Q-62).
    pub has_dead_letter_key: bool,
}

/// Routing keys a message carries in its headers (row X-50).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExtraKeys {
    /// Keys of the CC header; receivers see it.
    pub cc: Vec<String>,
    /// Keys of the BCC header; it is removed before delivery.
    pub bcc: Vec<String>,
}

/// The content header payload of the dead-lettered message.
///
/// The death is noted in `x-death`, `x-first-death-*` and `x-last-death-*` (rows );
/// the expiration property is removed and kept there as `original-expiration` (row Q-63); BCC is
/// removed, CC too if `death` says so (row Q-62). All else stays as it was.
///
/// # Errors
/// What the parsers say about a `header` that is not well formed.
pub fn dead_letter_header(header: &[u8], death: &Death<'_>) -> Result<Vec<u8>, ReplyError> {
    let content = parse_content_header(header)?;
    let mut properties = parse_properties(content.properties)?;
    let headers = properties.headers.unwrap_or(TableRef::empty());
    let expiration = properties.expiration.take();
    let table = rewrite(headers, expiration, death);
    properties.headers = Some(TableRef::new(&table));
    Ok(encode_content_header(content.body_size, &properties))
}

/// Whether giving the dead message to `target_queue` would close a loop that no consumer takes
/// part in (row Q-71): it died there before and nobody rejected it since. `header` is the content
/// header after [`dead_letter_header`]; one that is not well formed closes no loop.
pub fn is_cycle(header: &[u8], target_queue: &str) -> bool {
    let Some(headers) = headers_of(header) else {
        return false;
    };
    for entry in deaths(headers) {
        if longstr(entry, b"reason") == Some(b"rejected") {
            return false;
        }
        if longstr(entry, b"queue") == Some(target_queue.as_bytes()) {
            return true;
        }
    }
    false
}

/// The content header payload without the BCC header; `None` when there is nothing to remove.
pub fn strip_bcc(header: &[u8]) -> Option<Vec<u8>> {
    let content = parse_content_header(header).ok()?;
    let mut properties = parse_properties(content.properties).ok()?;
    let headers = properties.headers?;
    headers.get(BCC)?;
    let mut builder = TableBuilder::new();
    builder.copy_except(headers, &[BCC]);
    let table = builder.finish();
    properties.headers = Some(TableRef::new(&table));
    Some(encode_content_header(content.body_size, &properties))
}

/// The routing keys in a message's CC and BCC headers; `Ok(None)` when it has neither. Members
/// that are no strings are ignored.
///
/// # Errors
/// 406 when one of the headers is no array.
pub fn extra_keys(headers: Option<TableRef<'_>>) -> Result<Option<ExtraKeys>, ReplyError> {
    let Some(headers) = headers else {
        return Ok(None);
    };
    let (cc, bcc) = (headers.get(CC), headers.get(BCC));
    if cc.is_none() && bcc.is_none() {
        return Ok(None);
    }
    Ok(Some(ExtraKeys {
        cc: keys_in("CC", cc)?,
        bcc: keys_in("BCC", bcc)?,
    }))
}

fn keys_in(name: &str, value: Option<ValueRef<'_>>) -> Result<Vec<String>, ReplyError> {
    match value {
        None => Ok(Vec::new()),
        Some(ValueRef::Array(array)) => {
            let keys = array.iter().filter_map(|item| match item {
                ValueRef::LongStr(key) => Some(String::from_utf8_lossy(key).into_owned()),
                _ => None,
            });
            Ok(keys.collect())
        }
        Some(other) => Err(ReplyError::precondition_failed(format!(
            "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
            other.type_name()
        ))),
    }
}

/// The headers with the death noted; what is new stands at the end.
fn rewrite(headers: TableRef<'_>, expiration: Option<&[u8]>, death: &Death<'_>) -> Vec<u8> {
    let mut gone = vec![BCC, X_DEATH];
    gone.extend(LAST_DEATH);
    if death.has_dead_letter_key {
        gone.push(CC);
    }
    let mut builder = TableBuilder::new();
    builder.copy_except(headers, &gone);
    let entries = new_deaths(headers, expiration, death);
    builder.array_of_tables(X_DEATH, &entries);
    let values = [death.exchange, death.queue, death.reason.as_str()];
    if FIRST_DEATH.iter().all(|key| headers.get(key).is_none()) {
        for (key, value) in FIRST_DEATH.iter().zip(values) {
            builder.longstr(key, value.as_bytes());
        }
    }
    for (key, value) in LAST_DEATH.iter().zip(values) {
        builder.longstr(key, value.as_bytes());
    }
    builder.finish()
}

/// The entries of `x-death` with this death first. The entry of an earlier death for the same
/// reason in the same queue moves there and keeps all but its count (row Q-69).
fn new_deaths<'a>(
    headers: TableRef<'a>,
    expiration: Option<&[u8]>,
    death: &Death<'_>,
) -> Vec<Cow<'a, [u8]>> {
    let same = |entry: &TableRef<'a>| {
        longstr(*entry, b"queue") == Some(death.queue.as_bytes())
            && longstr(*entry, b"reason") == Some(death.reason.as_str().as_bytes())
    };
    let first = match deaths(headers).find(same) {
        Some(entry) => repeated_death(entry),
        None => first_death(headers, expiration, death),
    };
    let others = deaths(headers).filter(|entry| !same(entry));
    let others = others.map(|entry| Cow::Borrowed(entry.as_bytes()));
    std::iter::once(Cow::Owned(first)).chain(others).collect()
}

fn first_death(headers: TableRef<'_>, expiration: Option<&[u8]>, death: &Death<'_>) -> Vec<u8> {
    let mut keys = vec![death.routing_key.as_bytes()];
    if let Some(ValueRef::Array(cc)) = headers.get(CC) {
        keys.extend(cc.iter().filter_map(|item| match item {
            ValueRef::LongStr(key) => Some(key),
            _ => None,
        }));
    }
    let mut builder = TableBuilder::new();
    builder.long(b"count", 1);
    builder.longstr(b"reason", death.reason.as_str().as_bytes());
    builder.longstr(b"queue", death.queue.as_bytes());
    builder.timestamp(b"time", death.time);
    builder.longstr(b"exchange", death.exchange.as_bytes());
    builder.array_of_longstr(b"routing-keys", &keys);
    if let Some(expiration) = expiration {
        builder.longstr(b"original-expiration", expiration);
    }
    builder.finish()
}

fn repeated_death(entry: TableRef<'_>) -> Vec<u8> {
    // An entry without a count stands for one death.
    let count = entry
        .get(b"count")
        .and_then(|count| count.as_i64())
        .unwrap_or(1);
    let mut builder = TableBuilder::new();
    builder.long(b"count", count.saturating_add(1));
    builder.copy_except(entry, &[b"count"]);
    builder.finish()
}

/// The entries of `x-death`, newest first.
fn deaths<'a>(headers: TableRef<'a>) -> impl Iterator<Item = TableRef<'a>> {
    let array = match headers.get(X_DEATH) {
        Some(ValueRef::Array(array)) => Some(array),
        _ => None,
    };
    let items = array.into_iter().flat_map(|array| array.iter());
    items.filter_map(|item| match item {
        ValueRef::Table(entry) => Some(entry),
        _ => None,
    })
}

fn longstr<'a>(table: TableRef<'a>, key: &[u8]) -> Option<&'a [u8]> {
    match table.get(key) {
        Some(ValueRef::LongStr(value)) => Some(value),
        _ => None,
    }
}

fn headers_of(header: &[u8]) -> Option<TableRef<'_>> {
    let content = parse_content_header(header).ok()?;
    parse_properties(content.properties).ok()?.headers
}

#[cfg(test)]
mod cycle_tests;
#[cfg(test)]
mod tests;
