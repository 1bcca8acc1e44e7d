//! Messages whose time has not come: what a delayed exchange holds back, in the order it is due.
//!
//! The store of an exchange is a queue of its own that no client sees: it has a number, so that
//! what it holds stands in the commit log like any message. It is filed by due time, and only the
//! earliest of all its messages is known to the timers. Letting the messages go is done in
//! [`Broker::release`](crate::Broker); here they are only kept.

use std::collections::BTreeMap;

use warren_amqp::{
    FieldTable, Properties, TableBuilder, TableRef, ValueRef, encode_content_header,
    parse_content_header, parse_properties,
};
use warren_exchanges::delay_of;
use warren_storage::Seq;

use crate::message::{FLAG_BCC, FLAG_EXPIRES, FLAG_PERSISTENT, Message, Meta};
use crate::queue::Entry;

/// How the stores of delayed exchanges are called in the catalog; no client can declare such a
/// name.
pub(crate) const STORE_PREFIX: &str = "amq.delayed.";
/// The argument of a store that names its exchange.
const STORE_OF: &str = "x-delays-for";
const X_DELAY: &[u8] = b"x-delay";

/// The catalog's arguments of the store of `exchange`.
pub(crate) fn store_arguments(exchange: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        warren_amqp::short(STORE_OF),
        warren_amqp::AMQPValue::LongString(exchange.into()),
    );
    arguments
}

/// The exchange a queue of the catalog is the store of; `None` for all other queues.
pub(crate) fn store_of(name: &str, arguments: &FieldTable) -> Option<String> {
    if !name.starts_with(STORE_PREFIX) {
        return None;
    }
    match arguments.inner().get(STORE_OF) {
        Some(warren_amqp::AMQPValue::LongString(exchange)) => {
            Some(String::from_utf8_lossy(exchange.as_bytes()).into_owned())
        }
        _ => None,
    }
}

/// The messages of one delayed exchange.
#[derive(Default)]
pub(crate) struct DelayStore {
    /// By due time in Unix milliseconds, then in the order of arrival.
    waiting: BTreeMap<(u64, Seq), Entry>,
    /// The deadline the timers know.
    scheduled: Option<u64>,
    closed: bool,
}

impl DelayStore {
    /// A message for the store.
    pub(crate) fn entry(seq: Seq, message: Message, logged: bool) -> Entry {
        Entry {
            seq,
            message,
            logged,
            deliveries: 0,
            redelivered: false,
            release: false,
            level: 0,
            deadline_ms: u64::MAX,
        }
    }

    /// Keeps these; returns those that cannot be kept because the exchange is gone.
    pub(crate) fn keep(&mut self, entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
        if self.closed {
            return entries.collect();
        }
        let due = entries.map(|entry| ((due_ms(&entry.message), entry.seq), entry));
        self.waiting.extend(due);
        Vec::new()
    }

    /// The deadline to set, if an earlier one than before is due.
    pub(crate) fn plan(&mut self) -> Option<u64> {
        let next = self.waiting.first_key_value()?.0.0;
        if self.scheduled.is_some_and(|scheduled| scheduled <= next) {
            return None;
        }
        self.scheduled = Some(next);
        Some(next)
    }

    /// Takes what is due at `now_ms`, at most `limit` of them, earliest first.
    pub(crate) fn take_due(&mut self, now_ms: u64, limit: usize) -> Vec<Entry> {
        self.scheduled = None;
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now_ms
        {
            due.push(first.remove());
        }
        due
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Ends the store and returns what is in it.
    pub(crate) fn close(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.closed = true;
        std::mem::take(&mut self.waiting).into_values()
    }
}

/// When a message is due, Unix milliseconds.
fn due_ms(message: &Message) -> u64 {
    let properties = properties_of(message.header());
    let delay = properties.and_then(|properties| delay_of(properties.headers));
    message.enqueued_ms().saturating_add(delay.unwrap_or(0))
}

fn properties_of(header: &[u8]) -> Option<Properties<'_>> {
    let content = parse_content_header(header).ok()?;
    parse_properties(content.properties).ok()
}

/// A held message as it goes on: the header with the delay negated, which says that it is over,
/// and what the broker must know of it. `None` when it is not well formed.
pub(crate) fn released(message: &Message) -> Option<(Vec<u8>, Meta)> {
    let content = parse_content_header(message.header()).ok()?;
    let mut properties = parse_properties(content.properties).ok()?;
    let headers = properties.headers.unwrap_or(TableRef::empty());
    let table = negate_delay(headers);
    // After a restart all that was held back says it is to be stored; the publisher's wish counts.
    let held = message.meta();
    let stored = if properties.delivery_mode == Some(2) {
        FLAG_PERSISTENT
    } else {
        0
    };
    properties.headers = Some(TableRef::new(&table));
    let meta = Meta {
        flags: held.flags & (FLAG_EXPIRES | FLAG_BCC) | stored,
        ..held
    };
    Some((encode_content_header(content.body_size, &properties), meta))
}

/// The same headers with `x-delay` negated; the type stays where it has a sign.
fn negate_delay(headers: TableRef<'_>) -> Vec<u8> {
    let mut builder = TableBuilder::new();
    for (name, value) in headers.iter() {
        if name != X_DELAY {
            builder.raw(name, value);
            continue;
        }
        let negated = match value {
            ValueRef::I8(v) if v > 0 => ValueRef::I8(-v),
            ValueRef::I16(v) if v > 0 => ValueRef::I16(-v),
            ValueRef::I32(v) if v > 0 => ValueRef::I32(-v),
            ValueRef::F32(v) if v > 0.0 => ValueRef::F32(-v),
            ValueRef::F64(v) if v > 0.0 => ValueRef::F64(-v),
            other => {
                let one = Some(headers_with(other));
                let delay = one.as_ref().and_then(|t| delay_of(Some(TableRef::new(t))));
                match delay.and_then(|delay| i64::try_from(delay).ok()) {
                    Some(delay) => ValueRef::I64(-delay),
                    None => other,
                }
            }
        };
        builder.raw(name, negated);
    }
    builder.finish()
}

fn headers_with(delay: ValueRef<'_>) -> Vec<u8> {
    TableBuilder::new().raw(X_DELAY, delay).finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Chunk;

    fn message(delay: ValueRef<'_>, now_ms: u64) -> Message {
        let table = TableBuilder::new()
            .int("before", 1)
            .raw("x-delay", delay)
            .int("after", 2)
            .finish();
        let properties = Properties {
            headers: Some(TableRef::new(&table)),
            delivery_mode: Some(1),
            ..Properties::default()
        };
        let header = encode_content_header(0, &properties);
        let meta = Meta {
            flags: FLAG_PERSISTENT | FLAG_EXPIRES,
            expiration_ms: 7,
            ..Meta::default()
        };
        let chunk: Arc<Chunk> = Chunk::single(b"\x01e\x01k", &header, b"", meta, now_ms);
        Message::new(&chunk, 0)
    }

    fn entry(seq: Seq, delay: i64, now_ms: u64) -> Entry {
        DelayStore::entry(seq, message(ValueRef::I64(delay), now_ms), true)
    }

    #[test]
    fn s32_delayed_messages_come_out_in_the_order_they_are_due() {
        let mut store = DelayStore::default();
        store.keep([entry(1, 500, 1000), entry(2, 100, 1000)].into_iter());
        assert_eq!(store.plan(), Some(1100));
        assert_eq!(store.plan(), None);
        store.keep([entry(3, 50, 1000), entry(4, 50, 1000)].into_iter());
        assert_eq!(store.plan(), Some(1050));
        let seqs = |entries: Vec<Entry>| entries.iter().map(|e| e.seq).collect::<Vec<_>>();
        assert!(store.take_due(1049, 10).is_empty());
        assert_eq!(seqs(store.take_due(1100, 2)), [3, 4]);
        assert_eq!(store.plan(), Some(1100));
        assert_eq!(seqs(store.take_due(2000, 10)), [2, 1]);
        assert_eq!((store.len(), store.plan()), (0, None));
        // An exchange that is gone keeps nothing.
        store.keep([entry(5, 50, 1000)].into_iter());
        assert_eq!(store.close().count(), 1);
        assert_eq!(store.keep([entry(6, 50, 1000)].into_iter()).len(), 1);
    }

    #[test]
    fn s32_delayed_headers_say_that_the_delay_is_over() {
        let cases = [
            (ValueRef::I32(5000), ValueRef::I32(-5000)),
            (ValueRef::I64(5000), ValueRef::I64(-5000)),
            (ValueRef::U32(5000), ValueRef::I64(-5000)),
            (ValueRef::LongStr(b"5000"), ValueRef::I64(-5000)),
        ];
        for (delay, over) in cases {
            let (header, meta) = released(&message(delay, 0)).expect("well formed");
            let headers = properties_of(&header).and_then(|p| p.headers).expect("has");
            let all: Vec<_> = headers.iter().collect();
            assert_eq!(all[1], (&b"x-delay"[..], over));
            assert_eq!(all.len(), 3);
            // Stored while it waited, but the publisher did not ask for more.
            assert_eq!((meta.flags, meta.expiration_ms), (FLAG_EXPIRES, 7));
        }
    }

    #[test]
    fn stores_are_told_from_queues() {
        let arguments = store_arguments("e");
        assert_eq!(store_of("amq.delayed.7", &arguments), Some("e".to_owned()));
        assert_eq!(store_of("amq.gen-x", &arguments), None);
        assert_eq!(store_of("amq.delayed.7", &FieldTable::default()), None);
    }
}
