//! What is written on every message that comes in, if the node is so configured (row H-30).

use warren_amqp::{Properties, TableBuilder, TableRef, encode_content_header};

const TIMESTAMP: &[u8] = b"timestamp_in_ms";
const ROUTED_BY: &[u8] = b"x-routed-by";

/// What to write; of each, whether it replaces what stands there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interceptors {
    /// When the message came: the header `timestamp_in_ms` and the property `timestamp`.
    pub timestamp: Option<bool>,
    /// Which node took it: the header `x-routed-by`.
    pub routing_node: Option<bool>,
}

impl Interceptors {
    /// Whether messages stay as they are.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The content header payload of a message with these properties, as it goes on.
    pub fn header(
        &self,
        properties: &Properties<'_>,
        body_size: u64,
        node: &str,
        now_ms: u64,
    ) -> Vec<u8> {
        let mut changed = *properties;
        let headers = properties.headers.unwrap_or(TableRef::empty());
        let writes = |overwrite: Option<bool>, key: &[u8]| {
            overwrite.is_some_and(|overwrite| overwrite || headers.get(key).is_none())
        };
        let timestamp = writes(self.timestamp, TIMESTAMP);
        let routing_node = writes(self.routing_node, ROUTED_BY);
        let mut gone: Vec<&[u8]> = Vec::new();
        gone.extend(timestamp.then_some(TIMESTAMP));
        gone.extend(routing_node.then_some(ROUTED_BY));
        let mut builder = TableBuilder::new();
        builder.copy_except(headers, &gone);
        if timestamp {
            builder.long(TIMESTAMP, now_ms as i64);
            if self.timestamp == Some(true) || changed.timestamp.is_none() {
                changed.timestamp = Some(now_ms / 1000);
            }
        }
        if routing_node {
            builder.longstr(ROUTED_BY, node.as_bytes());
        }
        let table = builder.finish();
        changed.headers = Some(TableRef::new(&table));
        encode_content_header(body_size, &changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::{parse_content_header, parse_properties};

    fn stamped(interceptors: Interceptors, properties: &Properties<'_>) -> (Option<i64>, u64) {
        let header = interceptors.header(properties, 7, "n@h", 1_500_999);
        let content = parse_content_header(&header).expect("well formed");
        assert_eq!(content.body_size, 7);
        let properties = parse_properties(content.properties).expect("well formed");
        let headers = properties.headers.expect("headers");
        let ms = headers.get(TIMESTAMP).and_then(|value| value.as_i64());
        (ms, properties.timestamp.unwrap_or_default())
    }

    #[test]
    fn h30_what_is_there_is_replaced_only_if_so_configured() {
        let table = TableBuilder::new().long(TIMESTAMP, 5).finish();
        let bare = Properties::default();
        let dated = Properties {
            timestamp: Some(3),
            ..bare
        };
        let both = Properties {
            headers: Some(TableRef::new(&table)),
            ..dated
        };
        let of = |overwrite| Interceptors {
            timestamp: Some(overwrite),
            routing_node: None,
        };
        assert_eq!(stamped(of(false), &bare), (Some(1_500_999), 1500));
        assert_eq!(stamped(of(false), &dated), (Some(1_500_999), 3));
        assert_eq!(stamped(of(false), &both), (Some(5), 3));
        assert_eq!(stamped(of(true), &both), (Some(1_500_999), 1500));
    }
}
