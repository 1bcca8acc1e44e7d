//! Arguments of `basic.consume`.

use warren_amqp::{FieldTable, ReplyError};

use super::queue::{QueueType, invalid};
use super::{queue_phrase, validate};

/// The arguments a consumer of a classic queue acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConsumerArguments {
    /// `x-priority`: consumers with more are served first. May be negative.
    pub priority: i64,
    /// `x-consumer-timeout`: how long a delivery may stay unacknowledged, in milliseconds; 0 for
    /// as long as it likes.
    pub timeout_ms: Option<u64>,
}

const TIMEOUT: &str = "x-consumer-timeout";

/// Known to stream queues only.
const STREAM_ONLY: [&str; 3] = [
    "x-stream-offset",
    "x-stream-filter",
    "x-stream-match-unfiltered",
];

/// Parses the arguments of a consumer on a classic queue (rows H-111, H-112).
///
/// Errors: `PRECONDITION_FAILED` with RabbitMQ's text.
pub fn parse_consumer_arguments(
    queue: &str,
    vhost: &str,
    arguments: &FieldTable,
) -> Result<ConsumerArguments, ReplyError> {
    let phrase = queue_phrase(queue, vhost);
    let refused = |key| move |error: String| (key, error);
    let parsed = priority(arguments)
        .map_err(refused("x-priority"))
        .and_then(|priority| {
            cancel_on_failover(arguments).map_err(refused("x-cancel-on-ha-failover"))?;
            let timeout_ms = timeout(arguments).map_err(refused(TIMEOUT))?;
            Ok(ConsumerArguments {
                priority,
                timeout_ms,
            })
        });
    let parsed = parsed.map_err(|(key, error)| invalid(key, &phrase, &error))?;
    match STREAM_ONLY
        .into_iter()
        .find(|key| arguments.contains_key(key))
    {
        None => Ok(parsed),
        Some(key) => Err(ReplyError::precondition_failed(format!(
            "invalid arg '{key}' for {phrase} of queue type {}",
            QueueType::Classic.module()
        ))),
    }
}

fn priority(arguments: &FieldTable) -> Result<i64, String> {
    arguments
        .inner()
        .get("x-priority")
        .map_or(Ok(0), validate::integer)
}

fn timeout(arguments: &FieldTable) -> Result<Option<u64>, String> {
    let Some(value) = arguments.inner().get(TIMEOUT) else {
        return Ok(None);
    };
    let ms = validate::integer(value)?;
    let ms = u64::try_from(ms).map_err(|_| format!("{{value_negative,{ms}}}"))?;
    Ok(Some(ms))
}

/// Accepted for the sake of older clients; a single node never fails over.
fn cancel_on_failover(arguments: &FieldTable) -> Result<(), String> {
    let value = arguments.inner().get("x-cancel-on-ha-failover");
    value.map_or(Ok(()), |value| {
        validate::check(validate::Check::Bool, value, arguments)
    })
}

#[cfg(test)]
mod tests {
    use warren_amqp::{AMQPValue, ReplyCode, ShortString};

    use super::*;

    fn parse(key: &str, value: AMQPValue) -> Result<ConsumerArguments, ReplyError> {
        let mut arguments = FieldTable::default();
        arguments.insert(ShortString::from(key), value);
        parse_consumer_arguments("q", "/", &arguments)
    }

    fn refusal(key: &str, value: AMQPValue) -> String {
        let error = parse(key, value).unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
        error.explanation
    }

    #[test]
    fn row_h_111_takes_any_integer_type() {
        let none = parse_consumer_arguments("q", "/", &FieldTable::default());
        assert_eq!(
            none,
            Ok(ConsumerArguments {
                priority: 0,
                timeout_ms: None
            })
        );
        for value in [
            AMQPValue::ShortShortInt(-5),
            AMQPValue::ShortInt(-5),
            AMQPValue::LongInt(-5),
            AMQPValue::LongLongInt(-5),
        ] {
            assert_eq!(
                parse("x-priority", value),
                Ok(ConsumerArguments {
                    priority: -5,
                    timeout_ms: None
                })
            );
        }
        for value in [
            AMQPValue::ShortShortUInt(5),
            AMQPValue::ShortUInt(5),
            AMQPValue::LongUInt(5),
        ] {
            assert_eq!(
                parse("x-priority", value),
                Ok(ConsumerArguments {
                    priority: 5,
                    timeout_ms: None
                })
            );
        }
    }

    #[test]
    fn row_h_111_text() {
        assert_eq!(
            refusal("x-priority", AMQPValue::LongString("5".into())),
            "invalid arg 'x-priority' for queue 'q' in vhost '/': \
             \"expected integer, got longstr\""
        );
    }

    #[test]
    fn row_h_112_refuses_what_only_streams_know() {
        assert_eq!(
            refusal("x-stream-offset", AMQPValue::LongString("first".into())),
            "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type \
             rabbit_classic_queue"
        );
        assert_eq!(
            refusal("x-cancel-on-ha-failover", AMQPValue::LongLongInt(1)),
            "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': \
             {unacceptable_type,long}"
        );
        assert!(parse("x-own-thing", AMQPValue::Void).is_ok());
    }
}
