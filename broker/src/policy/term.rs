//! JSON values printed as the Erlang terms that stand in RabbitMQ's explanations.

use serde_json::Value;

use super::Definition;
use crate::arguments::erlang;

/// A value as `~p` prints what the JSON reader made of it.
pub(super) fn term(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => erlang::binary(text.as_bytes()),
        Value::Array(members) => {
            let members: Vec<String> = members.iter().map(term).collect();
            format!("[{}]", members.join(","))
        }
        Value::Object(object) => {
            let entries = object.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| {
                    format!("{} => {}", erlang::binary(key.as_bytes()), term(value))
                })
                .collect();
            format!("#{{{}}}", entries.join(","))
        }
    }
}

/// Keys and values as a property list.
pub(super) fn proplist<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let entries: Vec<String> = entries
        .map(|(key, value)| format!("{{{},{}}}", erlang::binary(key.as_bytes()), term(value)))
        .collect();
    format!("[{}]", entries.join(","))
}

/// A value that may be missing: `none` then.
pub(super) fn optional(definition: &Definition, key: &str) -> String {
    definition.get(key).map_or_else(|| "none".to_owned(), term)
}
