//! JSON values for answers: built once, written once. Names of fields are not copied, so that a
//! list of ten thousand objects does not allocate half a million strings.

use std::borrow::Cow;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use warren_amqp::{AMQPValue, FieldTable};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer that may be negative.
    Int(i64),
    /// An integer that is not.
    Uint(u64),
    /// Any other number; infinities and NaN become `null`.
    Float(f64),
    /// A string.
    Text(Cow<'static, str>),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A JSON object; its fields stay in the order they were put in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(Vec<(Cow<'static, str>, Json)>);

impl Object {
    /// An object without fields.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a field whose name is not taken yet.
    pub(crate) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Json>) {
        self.0.push((name.into(), value.into()));
    }

    /// The field of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// The same fields at the end of another object.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl From<&serde_json::Map<String, serde_json::Value>> for Object {
    fn from(fields: &serde_json::Map<String, serde_json::Value>) -> Self {
        let fields = fields.iter();
        Self(
            fields
                .map(|(name, value)| (Cow::Owned(name.clone()), value.into()))
                .collect(),
        )
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::Uint))
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or_default())),
            Value::String(text) => Self::Text(Cow::Owned(text.clone())),
            Value::Array(members) => Self::List(members.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::Object(fields.into()),
        }
    }
}

impl Json {
    /// The value at the end of a path of names.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        let mut value = self;
        for name in path.split('.') {
            let Self::Object(object) = value else {
                return None;
            };
            value = object.get(name)?;
        }
        Some(value)
    }

    /// Written out.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        self.write_to(&mut bytes);
        bytes
    }

    /// Written at the end of `bytes`.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        // Memory does not refuse, and every value has a JSON form.
        let _ = serde_json::to_writer(bytes, self);
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name.as_ref(), value)?;
        }
        map.end()
    }
}

/// JSON that is written already.
pub(crate) struct Written(pub(crate) Vec<u8>);

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        Written(self.to_bytes()).into_response()
    }
}

macro_rules! from {
    ($($from:ty => $make:expr),* $(,)?) => {$(
        impl From<$from> for Json {
            fn from(value: $from) -> Self {
                $make(value)
            }
        }
    )*};
}

from! {
    bool => Json::Bool,
    u64 => Json::Uint,
    u32 => |n| Json::Uint(u64::from(n)),
    u16 => |n| Json::Uint(u64::from(n)),
    usize => |n| Json::Uint(n as u64),
    i64 => Json::Int,
    f64 => Json::Float,
    &'static str => |text| Json::Text(Cow::Borrowed(text)),
    String => |text| Json::Text(Cow::Owned(text)),
    Vec<Json> => Json::List,
    Object => Json::Object,
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A table as JSON: what clients sent as arguments or properties.
impl From<&FieldTable> for Json {
    fn from(table: &FieldTable) -> Self {
        let fields = table.inner().iter();
        let fields = fields.map(|(name, value)| (name.to_string().into(), value.into()));
        Self::Object(Object(fields.collect()))
    }
}

impl From<&AMQPValue> for Json {
    fn from(value: &AMQPValue) -> Self {
        match value {
            AMQPValue::Boolean(v) => Self::Bool(*v),
            AMQPValue::ShortShortInt(v) => Self::Int((*v).into()),
            AMQPValue::ShortShortUInt(v) => Self::Uint((*v).into()),
            AMQPValue::ShortInt(v) => Self::Int((*v).into()),
            AMQPValue::ShortUInt(v) => Self::Uint((*v).into()),
            AMQPValue::LongInt(v) => Self::Int((*v).into()),
            AMQPValue::LongUInt(v) => Self::Uint((*v).into()),
            AMQPValue::LongLongInt(v) => Self::Int(*v),
            AMQPValue::Timestamp(v) => Self::Uint(*v),
            AMQPValue::Float(v) => Self::Float((*v).into()),
            AMQPValue::Double(v) => Self::Float(*v),
            AMQPValue::DecimalValue(v) => {
                Self::Float(f64::from(v.value) / 10f64.powi(i32::from(v.scale)))
            }
            AMQPValue::ShortString(v) => v.to_string().into(),
            AMQPValue::LongString(v) => String::from_utf8_lossy(v.as_bytes()).into_owned().into(),
            AMQPValue::ByteArray(v) => String::from_utf8_lossy(v.as_slice()).into_owned().into(),
            AMQPValue::FieldArray(v) => Self::List(v.as_slice().iter().map(Self::from).collect()),
            AMQPValue::FieldTable(v) => v.into(),
            AMQPValue::Void => Self::Null,
        }
    }
}
