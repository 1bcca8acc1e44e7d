//! Bodies of requests: JSON objects, read as liberally as RabbitMQ reads them.
//!
//! `rabbitmqadmin` sends strings for booleans and numbers, and fields that belong elsewhere; a
//! body that is empty or `null` counts as `{}`. Unknown fields are ignored.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use super::reply::ApiError;

/// The JSON object in a request's body; any content type will do.
pub(crate) struct Body(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = read(request, state).await?;
        Fields::parse(&bytes).map(Self)
    }
}

/// All bytes of a body, up to the limit.
pub(crate) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state)
        .await
        .map_err(|refused| {
            if refused.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::bad_request("Exceeded HTTP request body size limit")
            } else {
                ApiError::bad_request(refused.body_text())
            }
        })
}

/// The fields of a JSON object.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Null) => Ok(Self::default()),
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::bad_request("the body is not a JSON object")),
            Err(_) => Err(ApiError::bad_request("not_json")),
        }
    }

    /// 400 with RabbitMQ's text unless all of these are there.
    pub(crate) fn require(&self, names: &[&str]) -> Result<(), ApiError> {
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !self.0.contains_key(**name))
            .map(|name| format!("{{key_missing,{name}}}"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ApiError::bad_request(format!("[{}]", missing.join(","))))
    }

    /// A field as it is; `null` counts as absent.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The whole object.
    pub(crate) fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A text, or `None` when absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", other)),
        }
    }

    /// A boolean, or `"true"` or `"false"`.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(wrong(name, "a boolean", other)),
        }
    }

    /// An integer, or a string that is one.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        number
            .map(Some)
            .ok_or_else(|| wrong(name, "an integer", value))
    }

    /// An object; absent, `null` or (as Erlang writes an empty one) `[]` is empty.
    pub(crate) fn object(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        match self.value(name) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
            Some(other) => Err(wrong(name, "an object", other)),
        }
    }

    /// Tags: an array of strings, or one string with commas.
    pub(crate) fn tags(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let split = |text: &str| -> Vec<String> {
            let tags = text.split(',').map(str::trim);
            tags.filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let tags = match value {
            Value::String(text) => Some(split(text)),
            Value::Array(list) => list
                .iter()
                .map(|tag| tag.as_str().map(|tag| tag.trim().to_owned()))
                .collect(),
            _ => None,
        };
        let mut tags =
            tags.ok_or_else(|| wrong(name, "an array of strings or one string", value))?;
        tags.retain(|tag| !tag.is_empty());
        Ok(Some(tags))
    }
}

fn wrong(name: &str, wanted: &str, found: &Value) -> ApiError {
    let mut found = found.to_string();
    if let Some((end, _)) = found.char_indices().nth(100) {
        found.truncate(end);
        found.push_str("...");
    }
    ApiError::bad_request(format!("{name} must be {wanted}, not {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rabbitmqadmin_sends_is_understood() {
        let text = br#"{"durable":"true","auto_delete":"false","count":"5","vhost":"/","x":null}"#;
        let fields = Fields::parse(text).unwrap();
        assert!(fields.boolean("durable", false).unwrap());
        assert!(!fields.boolean("auto_delete", true).unwrap());
        assert!(fields.boolean("x", true).unwrap());
        assert_eq!(fields.integer("count").unwrap(), Some(5));
        assert!(fields.boolean("count", true).is_err());
        assert!(fields.integer("durable").is_err());
        for empty in ["", " ", "null", "{}", "\u{feff}{}"] {
            assert!(Fields::parse(empty.as_bytes()).unwrap().0.is_empty());
        }
        for bad in ["[]", "1", "{", "\"x\"", "\u{0}"] {
            assert!(Fields::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_are_a_list_or_a_text() {
        let fields = Fields::parse(br#"{"a":"x, y,","b":["x"," y"],"c":[1],"d":""}"#).unwrap();
        let xy = Some(vec!["x".to_owned(), "y".to_owned()]);
        assert_eq!(fields.tags("a").unwrap(), xy);
        assert_eq!(fields.tags("b").unwrap(), xy);
        assert!(fields.tags("c").is_err());
        assert_eq!(fields.tags("d").unwrap(), Some(vec![]));
        assert_eq!(fields.tags("e").unwrap(), None);
    }

    #[test]
    fn missing_keys_are_listed_in_erlang() {
        let error = Fields::default().require(&["write", "read"]).unwrap_err();
        assert_eq!(
            error,
            ApiError::bad_request("[{key_missing,write},{key_missing,read}]")
        );
    }
}
