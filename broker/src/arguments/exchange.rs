//! Arguments of `exchange.declare`.

use warren_amqp::{AMQPValue, FieldTable, ReplyError, arg_type_name};

use super::exchange_phrase;

/// The one argument every exchange type knows.
pub(super) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// The exchange that takes what this one cannot route, if one is named (row X-40).
///
/// Errors: `PRECONDITION_FAILED` when the argument is not a long string.
pub fn alternate_exchange(
    name: &str,
    vhost: &str,
    arguments: &FieldTable,
) -> Result<Option<String>, ReplyError> {
    match arguments.inner().get(ALTERNATE_EXCHANGE) {
        None => Ok(None),
        Some(AMQPValue::LongString(text)) => {
            Ok(Some(String::from_utf8_lossy(text.as_bytes()).into_owned()))
        }
        Some(other) => Err(ReplyError::precondition_failed(format!(
            "invalid type '{}' for arg '{ALTERNATE_EXCHANGE}' in {}",
            arg_type_name(other),
            exchange_phrase(name, vhost)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use warren_amqp::{ReplyCode, ShortString};

    use super::*;

    #[test]
    fn row_x_40_wants_a_long_string() {
        let mut arguments = FieldTable::default();
        assert_eq!(alternate_exchange("e2", "/", &arguments), Ok(None));
        arguments.insert(
            ShortString::from(ALTERNATE_EXCHANGE),
            AMQPValue::LongString("ae".into()),
        );
        assert_eq!(
            alternate_exchange("e2", "/", &arguments),
            Ok(Some("ae".to_owned()))
        );
        arguments.insert(
            ShortString::from(ALTERNATE_EXCHANGE),
            AMQPValue::LongLongInt(5),
        );
        let error = alternate_exchange("e2", "/", &arguments).unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
        assert_eq!(
            error.explanation,
            "invalid type 'long' for arg 'alternate-exchange' in exchange 'e2' in vhost '/'"
        );
    }
}
