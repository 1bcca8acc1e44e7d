//! Which messages a person wants to see: words like `key:orders.*`, `header.tenant:acme`,
//! `bytes>1000` or `body~timeout`, and conditions on JSON bodies like `$.order.id = 7`; all must
//! hold. A word without a field is looked for in routing key and body. Bodies that were compressed
//! are looked into as they were before.

use std::borrow::Cow;

use serde_json::Value;
use warren_broker::message::Message;

use super::decoded::readable;
use super::json_path::JsonCondition;
use super::message_json::{Parsed, parse};
use crate::view::words::{like, next_word};

/// Bytes of a body that are looked into at most.
const LOOKED_INTO: usize = 4 << 20;

/// A condition on one message.
#[derive(Debug, PartialEq)]
enum Condition {
    /// The routing key, with `*` for any characters.
    Key(String),
    /// The exchange, likewise.
    Exchange(String),
    /// A header's value, likewise; or, without a value, that it is there.
    Header(String, Option<String>),
    /// A property's value, likewise.
    Property(String, String),
    /// Text in the body.
    Body(String),
    /// What a JSON body says.
    Json(JsonCondition),
    /// More (`true`) or fewer bytes than this.
    Bytes(bool, usize),
    /// Text anywhere.
    Anywhere(String),
}

/// A parsed filter; the empty one lets everything through.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Filter(Vec<Condition>);

impl Filter {
    /// Reads a filter; the error says which word makes no sense.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut conditions, mut rest) = (Vec::new(), text.trim_start());
        while !rest.is_empty() {
            if rest.starts_with('$') {
                let (condition, left) = JsonCondition::parse(rest)?;
                conditions.push(Condition::Json(condition));
                rest = left.trim_start();
                continue;
            }
            let Some((word, left)) = next_word(rest) else {
                break;
            };
            conditions.push(condition(&word)?);
            rest = left.trim_start();
        }
        Ok(Self(conditions))
    }

    /// Whether nothing is filtered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the message fulfils all conditions.
    pub(crate) fn fits(&self, message: &Message) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut seen = Seen {
            message,
            parsed: parse(message),
            body: None,
            json: None,
        };
        self.0.iter().all(|condition| condition.holds(&mut seen))
    }
}

/// A message as far as conditions have looked into it.
struct Seen<'a> {
    message: &'a Message,
    parsed: Parsed,
    body: Option<Cow<'a, [u8]>>,
    json: Option<Option<Value>>,
}

impl Seen<'_> {
    fn body(&mut self) -> &[u8] {
        self.body.get_or_insert_with(|| {
            let encoding = self.parsed.text("content_encoding");
            readable(encoding, self.message.body(), LOOKED_INTO)
        })
    }

    /// The body as JSON, if it is that.
    fn json(&mut self) -> Option<&Value> {
        if self.json.is_none() {
            let body = self.body();
            let small = body.len() <= LOOKED_INTO;
            let json = small.then(|| serde_json::from_slice(body).ok()).flatten();
            self.json = Some(json);
        }
        self.json.as_ref()?.as_ref()
    }
}

impl Condition {
    fn holds(&self, seen: &mut Seen<'_>) -> bool {
        let (message, parsed) = (seen.message, &seen.parsed);
        let text_of = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self {
            Self::Key(pattern) => like(message.routing_key(), pattern),
            Self::Exchange(pattern) => like(message.exchange(), pattern),
            Self::Header(name, wanted) => parsed.header(name).is_some_and(|value| {
                wanted
                    .as_ref()
                    .is_none_or(|wanted| like(&text_of(value), wanted))
            }),
            Self::Property(name, wanted) => {
                let value = parsed.properties.get(name);
                value.is_some_and(|value| like(&text_of(value), wanted))
            }
            Self::Body(text) => contains(seen.body(), text),
            Self::Json(condition) => seen.json().is_some_and(|body| condition.holds(body)),
            Self::Bytes(true, limit) => message.body_len() > *limit,
            Self::Bytes(false, limit) => message.body_len() < *limit,
            Self::Anywhere(text) => {
                message.routing_key().contains(text.as_str()) || contains(seen.body(), text)
            }
        }
    }
}

fn condition(word: &str) -> Result<Condition, String> {
    let bytes = |number: &str| {
        number
            .parse()
            .map_err(|_| format!("{word}: not a number of bytes"))
    };
    if let Some(number) = word.strip_prefix("bytes>") {
        return Ok(Condition::Bytes(true, bytes(number)?));
    }
    if let Some(number) = word.strip_prefix("bytes<") {
        return Ok(Condition::Bytes(false, bytes(number)?));
    }
    if let Some(text) = word
        .strip_prefix("body~")
        .or_else(|| word.strip_prefix("body:"))
    {
        return Ok(Condition::Body(text.to_owned()));
    }
    let Some((field, value)) = word.split_once(':') else {
        return Ok(Condition::Anywhere(word.to_owned()));
    };
    Ok(match field {
        "key" => Condition::Key(value.to_owned()),
        "exchange" => Condition::Exchange(value.to_owned()),
        _ => match field.split_once('.') {
            Some(("header", name)) => {
                Condition::Header(name.to_owned(), (value != "*").then(|| value.to_owned()))
            }
            Some(("property", name)) => Condition::Property(name.to_owned(), value.to_owned()),
            _ => {
                return Err(format!(
                    "{field} is no field: there are key, exchange, header.NAME, property.NAME, body~, bytes>, bytes<, and $.path for JSON"
                ));
            }
        },
    })
}

fn contains(body: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_conditions() {
        let filter = Filter::parse("key:a.* header.x:1 bytes>10 body~\"two words\" loose").unwrap();
        assert_eq!(filter.0.len(), 5);
        assert_eq!(filter.0[3], Condition::Body("two words".to_owned()));
        assert!(Filter::parse("").unwrap().is_empty());
        assert!(Filter::parse("nope:1").is_err());
        assert!(Filter::parse("bytes>x").is_err());
        let filter = Filter::parse(r#"key:a $.b[0] = "two words" $.c body~x"#).unwrap();
        assert_eq!(filter.0.len(), 4);
        assert_eq!(filter.0[3], Condition::Body("x".to_owned()));
        assert!(Filter::parse("$.a ==").unwrap_err().contains("missing"));
    }
}
