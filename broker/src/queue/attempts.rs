//! How often a message of a quorum queue came back: counted, told to its receiver, and limited.

use std::borrow::Cow;

use warren_amqp::{
    TableBuilder, TableRef, encode_content_header, parse_content_header, parse_properties,
};

use super::entry::Entry;
use super::state::Effects;

/// Tells a receiver how often the message came back before.
const X_DELIVERY_COUNT: &[u8] = b"x-delivery-count";

/// Returns a message may have when nothing else is said.
const LIMIT_DEFAULT: i64 = 20;

/// Counts that `entries` came back; returns those that did so more than `limit` times: they die. A
/// negative limit is none.
pub(super) fn count_returns(
    limit: Option<i64>,
    entries: &mut Vec<Entry>,
    fx: &mut Effects,
) -> Vec<Entry> {
    let mut dead = Vec::new();
    let limit = u16::try_from(limit.unwrap_or(LIMIT_DEFAULT)).ok();
    entries.retain_mut(|entry| {
        entry.deliveries = entry.deliveries.saturating_add(1);
        if limit.is_some_and(|limit| entry.deliveries > limit) {
            dead.push(entry.clone());
            return false;
        }
        if entry.logged() {
            fx.counts.push((entry.seq, u32::from(entry.deliveries)));
        }
        true
    });
    dead
}

impl Entry {
    /// The content header payload as a receiver gets it: without BCC, and with the number of times
    /// the message came back where that is counted (row H-89).
    pub fn delivered_header(&self) -> Cow<'_, [u8]> {
        let header = self.message.delivered_header();
        if self.deliveries == 0 {
            return header;
        }
        match with_count(&header, self.deliveries) {
            Some(counted) => Cow::Owned(counted),
            None => header,
        }
    }
}

fn with_count(header: &[u8], count: u16) -> Option<Vec<u8>> {
    let content = parse_content_header(header).ok()?;
    let mut properties = parse_properties(content.properties).ok()?;
    let mut builder = TableBuilder::new();
    let headers = properties.headers.unwrap_or(TableRef::empty());
    builder.copy_except(headers, &[X_DELIVERY_COUNT]);
    builder.long(X_DELIVERY_COUNT, i64::from(count));
    let table = builder.finish();
    properties.headers = Some(TableRef::new(&table));
    Some(encode_content_header(content.body_size, &properties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Chunk, Message, Meta};
    use warren_amqp::Properties;

    fn entry(seq: u64, deliveries: u16) -> Entry {
        let header = encode_content_header(0, &Properties::default());
        let chunk = Chunk::single(b"\x01e\x01k", &header, b"", Meta::default(), 0);
        Entry {
            seq,
            message: Message::new(&chunk, 0),
            logged: seq != 3,
            deliveries,
            redelivered: true,
            release: false,
            level: 0,
            deadline_ms: u64::MAX,
        }
    }

    #[test]
    fn q60_delivery_limit_ends_the_returns() {
        let mut entries = vec![entry(1, 1), entry(2, 2), entry(3, 0)];
        let mut fx = Effects::default();
        let dead = count_returns(Some(2), &mut entries, &mut fx);
        assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(dead.iter().map(|e| e.seq).collect::<Vec<_>>(), [2]);
        // What is not in the log is not counted there.
        assert_eq!(fx.counts, [(1, 2)]);
    }

    #[test]
    fn q60_a_negative_delivery_limit_is_none() {
        let mut entries = vec![entry(1, u16::MAX)];
        let dead = count_returns(Some(-1), &mut entries, &mut Effects::default());
        assert_eq!((dead.len(), entries.len()), (0, 1));
    }

    #[test]
    fn h89_the_count_is_told_from_the_second_delivery_on() {
        let count = |entry: &Entry| {
            let header = entry.delivered_header().into_owned();
            let content = parse_content_header(&header).expect("well formed");
            let properties = parse_properties(content.properties).expect("well formed");
            let headers = properties.headers?;
            headers.get(X_DELIVERY_COUNT)?.as_i64()
        };
        assert_eq!(count(&entry(1, 0)), None);
        assert_eq!(count(&entry(1, 3)), Some(3));
    }
}
