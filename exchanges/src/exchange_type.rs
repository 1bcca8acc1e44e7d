//! An exchange type with its arguments, checked: what a matcher is made from.
//!
//! The errors are RabbitMQ's explanations of a 406 `PRECONDITION_FAILED`.

use warren_amqp::{AMQPValue, FieldTable, arg_as_i64};

use crate::hashing::{HashOn, weight_of};
use crate::headers::{term, validate_headers_arguments};
use crate::kind::ExchangeKind;

const HISTORY_LENGTH: &str = "x-recent-history-length";
const DELAYED_TYPE: &str = "x-delayed-type";
/// Messages a recent-history exchange remembers when it is not told how many.
const HISTORY_DEFAULT: usize = 20;

/// An exchange type as declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExchangeType {
    kind: ExchangeKind,
    /// How it chooses among its bindings; differs from `kind` for delayed exchanges.
    routes_as: ExchangeKind,
    hash_on: HashOn,
    history: usize,
}

impl ExchangeType {
    /// The type without arguments; a delayed one routes as `direct`.
    pub fn plain(kind: ExchangeKind) -> Self {
        let routes_as = match kind {
            ExchangeKind::Delayed => ExchangeKind::Direct,
            other => other,
        };
        Self {
            kind,
            routes_as,
            hash_on: HashOn::default(),
            history: HISTORY_DEFAULT,
        }
    }

    /// The type with the arguments of its declare. Arguments of other types are ignored.
    ///
    /// # Errors
    /// The explanation for the client.
    pub fn new(kind: ExchangeKind, arguments: &FieldTable) -> Result<Self, String> {
        let mut found = Self::plain(kind);
        if kind == ExchangeKind::Delayed {
            found.routes_as = delayed_type(arguments)?;
        }
        match found.routes_as {
            ExchangeKind::ConsistentHash => found.hash_on = HashOn::from_arguments(arguments)?,
            ExchangeKind::RecentHistory => found.history = history_length(arguments)?,
            _ => {}
        }
        Ok(found)
    }

    /// The type by name.
    pub fn kind(&self) -> ExchangeKind {
        self.kind
    }

    /// How it chooses among its bindings; differs from the kind for delayed exchanges.
    pub fn routes_as(&self) -> ExchangeKind {
        self.routes_as
    }

    /// How many messages it remembers; `None` for types that do not.
    pub fn history(&self) -> Option<usize> {
        (self.routes_as == ExchangeKind::RecentHistory).then_some(self.history)
    }

    pub(crate) fn hash_on(&self) -> &HashOn {
        &self.hash_on
    }

    /// Checks a binding whose source is of this type.
    ///
    /// # Errors
    /// The explanation for the client.
    pub fn validate_binding(&self, key: &str, arguments: &FieldTable) -> Result<(), String> {
        match self.routes_as {
            ExchangeKind::Headers => validate_headers_arguments(arguments),
            ExchangeKind::ConsistentHash => weight_of(key).map(|_| ()),
            ExchangeKind::LocalRandom if !key.is_empty() => {
                Err(format!("Non empty binding '{key}' key not permitted"))
            }
            _ => Ok(()),
        }
    }
}

fn delayed_type(arguments: &FieldTable) -> Result<ExchangeKind, String> {
    let name = match arguments.inner().get(DELAYED_TYPE) {
        Some(AMQPValue::LongString(name)) => std::str::from_utf8(name.as_bytes()).ok(),
        Some(AMQPValue::ShortString(name)) => Some(name.as_str()),
        _ => None,
    };
    match name.and_then(|name| name.parse().ok()) {
        Some(ExchangeKind::Delayed) => Err(
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'".to_owned(),
        ),
        Some(kind) => Ok(kind),
        None => {
            Err("Invalid argument, 'x-delayed-type' must be an existing exchange type".to_owned())
        }
    }
}

fn history_length(arguments: &FieldTable) -> Result<usize, String> {
    let Some(value) = arguments.inner().get(HISTORY_LENGTH) else {
        return Ok(HISTORY_DEFAULT);
    };
    let length = arg_as_i64(value).filter(|length| *length > 0);
    let length = length.and_then(|length| usize::try_from(length).ok());
    length.ok_or_else(|| {
        format!(
            "Invalid argument {}, '{HISTORY_LENGTH}' must be a positive integer",
            term(value)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExchangeKind::{ConsistentHash, Delayed, Headers, LocalRandom, RecentHistory};
    use warren_amqp::short;

    fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert(short(key), value.clone());
        }
        table
    }

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn error(kind: ExchangeKind, entries: &[(&str, AMQPValue)]) -> String {
        ExchangeType::new(kind, &table(entries)).unwrap_err()
    }

    #[test]
    fn s32_consistent_hash_arguments() {
        let header = ("hash-header", text("h"));
        assert!(ExchangeType::new(ConsistentHash, &table(std::slice::from_ref(&header))).is_ok());
        for property in ["correlation_id", "message_id", "timestamp"] {
            let arguments = table(&[("hash-property", text(property))]);
            assert!(ExchangeType::new(ConsistentHash, &arguments).is_ok());
        }
        let property = ("hash-property", text("foo"));
        assert_eq!(
            error(ConsistentHash, std::slice::from_ref(&property)),
            "Unsupported property: foo"
        );
        assert_eq!(
            error(ConsistentHash, &[header, property]),
            "hash-header and hash-property are mutually exclusive"
        );
    }

    #[test]
    fn s32_consistent_hash_weights() {
        let exchange = ExchangeType::plain(ConsistentHash);
        let check = |key| exchange.validate_binding(key, &FieldTable::default());
        assert_eq!(check("1"), Ok(()));
        assert_eq!(
            check("abc").unwrap_err(),
            "The binding key must be an integer: <<\"abc\">>"
        );
        assert_eq!(
            check("").unwrap_err(),
            "The binding key must be an integer: <<>>"
        );
        for key in ["0", "-3"] {
            assert_eq!(
                check(key).unwrap_err(),
                "The binding key must be greater than 0"
            );
        }
    }

    #[test]
    fn s32_recent_history_length() {
        let length = |value| [("x-recent-history-length", value)];
        assert_eq!(
            error(RecentHistory, &length(AMQPValue::LongInt(-1))),
            "Invalid argument -1, 'x-recent-history-length' must be a positive integer"
        );
        assert_eq!(
            error(RecentHistory, &length(text("x"))),
            "Invalid argument <<\"x\">>, 'x-recent-history-length' must be a positive integer"
        );
        let of = |entries: &[(&str, AMQPValue)]| {
            let made = ExchangeType::new(RecentHistory, &table(entries));
            made.expect("valid").history()
        };
        assert_eq!(of(&length(AMQPValue::LongInt(3))), Some(3));
        assert_eq!(of(&[]), Some(20));
    }

    #[test]
    fn s32_delayed_type() {
        let existing = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
        assert_eq!(error(Delayed, &[]), existing);
        assert_eq!(error(Delayed, &[("x-delayed-type", text("foo"))]), existing);
        assert_eq!(
            error(Delayed, &[("x-delayed-type", text("x-delayed-message"))]),
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"
        );
        let arguments = table(&[("x-delayed-type", text("headers"))]);
        let exchange = ExchangeType::new(Delayed, &arguments).expect("valid");
        assert_eq!((exchange.kind(), exchange.routes_as()), (Delayed, Headers));
        let bad = table(&[("x-match", text("some"))]);
        assert!(exchange.validate_binding("", &bad).is_err());
    }

    #[test]
    fn s32_local_random_keys_are_empty() {
        let exchange = ExchangeType::plain(LocalRandom);
        assert!(
            exchange
                .validate_binding("", &FieldTable::default())
                .is_ok()
        );
        assert_eq!(
            exchange
                .validate_binding("k", &FieldTable::default())
                .unwrap_err(),
            "Non empty binding 'k' key not permitted"
        );
    }
}
