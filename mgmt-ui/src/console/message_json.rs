//! A message as JSON for people: properties, headers, body, and the story of its deaths.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use warren_amqp::{Properties, fields_from_table, parse_properties};
use warren_broker::Browsed;
use warren_broker::catalog::json_from_table;
use warren_broker::message::Message;

use super::decoded::Encoding;

/// Properties of a message as JSON.
pub(crate) struct Parsed {
    pub(crate) properties: Map<String, Value>,
}

impl Parsed {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&Value> {
        self.properties.get("headers")?.get(name)
    }

    /// A property that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }
}

/// Where a message was published before it died first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) queue: String,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
}

/// Reads the properties; a message whose properties make no sense has none.
pub(crate) fn parse(message: &Message) -> Parsed {
    let header = message.delivered_header();
    let properties = parse_properties(header.get(12..).unwrap_or_default());
    Parsed {
        properties: properties.map(|p| to_json(&p)).unwrap_or_default(),
    }
}

/// The origin by the first entry of `x-death` ever made, which is the last of the list.
pub(crate) fn origin(parsed: &Parsed) -> Option<Origin> {
    let first = parsed.header("x-death")?.as_array()?.last()?;
    let text = |name: &str| first[name].as_str().map(str::to_owned);
    Some(Origin {
        queue: text("queue")?,
        exchange: text("exchange")?,
        routing_key: first["routing-keys"][0].as_str()?.to_owned(),
    })
}

/// The message with at most so many bytes of its body.
pub(crate) fn describe(browsed: &Browsed, position: u64, max_bytes: usize) -> Value {
    let message = &browsed.message;
    let parsed = parse(message);
    let body = message.body();
    let shown = &body[..body.len().min(max_bytes)];
    let (payload, encoding) = as_text(shown, shown.len() < body.len());
    json!({
        "seq": browsed.seq,
        "position": position,
        "exchange": message.exchange(),
        "routing_key": message.routing_key(),
        "redelivered": browsed.redelivered,
        "deliveries": browsed.deliveries,
        "enqueued_ms": message.enqueued_ms(),
        "bytes": body.len(),
        "payload_bytes": shown.len(),
        "truncated": shown.len() < body.len(),
        "payload": payload,
        "payload_encoding": encoding,
        "decoded": decoded(&parsed, body, max_bytes),
        "death": death(&parsed),
        "properties": parsed.properties,
    })
}

/// A body as text where it is one, else in base64; `cut`: there is more of it.
fn as_text(bytes: &[u8], cut: bool) -> (String, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), "string"),
        // A letter that was cut in two makes no binary of a text.
        Err(error) if error.error_len().is_none() && cut => {
            let whole = &bytes[..error.valid_up_to()];
            (String::from_utf8_lossy(whole).into_owned(), "string")
        }
        Err(_) => (STANDARD.encode(bytes), "base64"),
    }
}

/// What a compressed body stands for.
fn decoded(parsed: &Parsed, body: &[u8], max_bytes: usize) -> Option<Value> {
    let encoding = Encoding::of(parsed.text("content_encoding"), body)?;
    let (bytes, cut) = encoding.decode(body, max_bytes)?;
    let (payload, payload_encoding) = as_text(&bytes, cut);
    Some(json!({
        "from": encoding.name(),
        "payload": payload,
        "payload_encoding": payload_encoding,
        "payload_bytes": bytes.len(),
        "truncated": cut,
    }))
}

fn death(parsed: &Parsed) -> Value {
    let Some(entries) = parsed.header("x-death").and_then(Value::as_array) else {
        return Value::Null;
    };
    let listed: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "reason": entry["reason"],
                "queue": entry["queue"],
                "count": entry["count"],
                "time": entry["time"],
            })
        })
        .collect();
    let origin = origin(parsed).map(|origin| {
        json!({ "queue": origin.queue, "exchange": origin.exchange, "routing_key": origin.routing_key })
    });
    let reason = entries
        .first()
        .map_or(Value::Null, |entry| entry["reason"].clone());
    json!({ "reason": reason, "origin": origin, "entries": listed })
}

fn to_json(properties: &Properties<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    let texts = [
        ("content_type", properties.content_type),
        ("content_encoding", properties.content_encoding),
        ("correlation_id", properties.correlation_id),
        ("reply_to", properties.reply_to),
        ("expiration", properties.expiration),
        ("message_id", properties.message_id),
        ("type", properties.type_),
        ("user_id", properties.user_id),
        ("app_id", properties.app_id),
        ("cluster_id", properties.cluster_id),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            object.insert(name.to_owned(), String::from_utf8_lossy(value).into());
        }
    }
    let numbers = [
        ("delivery_mode", properties.delivery_mode.map(u64::from)),
        ("priority", properties.priority.map(u64::from)),
        ("timestamp", properties.timestamp),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            object.insert(name.to_owned(), value.into());
        }
    }
    if let Some(headers) = properties.headers {
        let headers = json_from_table(&fields_from_table(headers));
        object.insert("headers".to_owned(), headers.into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_the_first_death() {
        let death = json!([
            {"queue": "second", "exchange": "dlx", "routing-keys": ["k2"], "reason": "expired"},
            {"queue": "first", "exchange": "orders", "routing-keys": ["k1", "cc"], "reason": "rejected"},
        ]);
        let mut properties = Map::new();
        properties.insert("headers".to_owned(), json!({ "x-death": death }));
        let found = origin(&Parsed { properties }).unwrap();
        assert_eq!(
            (found.exchange.as_str(), found.routing_key.as_str()),
            ("orders", "k1")
        );
        assert_eq!(
            origin(&Parsed {
                properties: Map::new()
            }),
            None
        );
    }
}
