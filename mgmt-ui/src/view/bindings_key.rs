//! `properties_key`: the name of a binding between two given ends, for URLs.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warren_amqp::FieldTable;

use super::json::Json;

/// The routing key, and with arguments a hash of them behind a `~`.
pub(crate) fn properties_key(routing_key: &str, arguments: &FieldTable) -> String {
    if arguments.inner().is_empty() {
        return match routing_key {
            "" => "~".to_owned(),
            key => form_encoded(key),
        };
    }
    format!("{}~{}", form_encoded(routing_key), hash(arguments))
}

/// As HTML forms encode, and `~` too, which has a meaning here.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(byte.into()),
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// A hash of arguments that does not depend on their order and never changes. RabbitMQ's own is
/// Erlang's; nobody computes it elsewhere, it is only compared.
fn hash(arguments: &FieldTable) -> String {
    let mut fields: Vec<_> = arguments.inner().iter().collect();
    fields.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    // FNV-1a.
    let mut hash: u32 = 0x811c_9dc5;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    for (name, value) in fields {
        take(name.as_str().as_bytes());
        take(&[0]);
        take(&Json::from(value).to_bytes());
        take(&[0]);
    }
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use warren_amqp::AMQPValue;

    use super::*;

    #[test]
    fn keys_are_encoded_as_rabbitmq_does() {
        let none = FieldTable::default();
        assert_eq!(properties_key("", &none), "~");
        assert_eq!(
            properties_key("a~b/c d+e%é", &none),
            "a%7Eb%2Fc+d%2Be%25%C3%A9"
        );
    }

    #[test]
    fn arguments_add_a_hash() {
        let table = |value: i64| {
            let mut table = FieldTable::default();
            table.insert("k".into(), AMQPValue::LongLongInt(value));
            table
        };
        let key = properties_key("rk", &table(1));
        assert!(key.starts_with("rk~") && key.len() == 9, "{key}");
        assert_eq!(key, properties_key("rk", &table(1)));
        assert_ne!(key, properties_key("rk", &table(2)));
        assert!(properties_key("", &table(1)).starts_with('~'));
    }
}
