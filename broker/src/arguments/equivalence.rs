//! Whether a declare asks for what is already there (rows ).
//!
//! The checks go in RabbitMQ's order and stop at the first difference, because its text is what
//! people see. Arguments that the type of the object does not know are not compared.

use warren_amqp::{AMQPValue, FieldTable, ReplyError, arg_type_name};

use super::exchange::ALTERNATE_EXCHANGE;
use super::keys::{KEYS, MAX_PRIORITY, QUEUE_TYPE};
use super::queue::QueueType;
use super::{erlang, exchange_phrase, queue_phrase};

/// What is compared of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueShape<'a> {
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Arguments as declared.
    pub arguments: &'a FieldTable,
}

/// What is compared of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeShape<'a> {
    /// Name of its type.
    pub kind: &'a str,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding as a source.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// Arguments as declared.
    pub arguments: &'a FieldTable,
}

/// Refuses a redeclare of queue `name` that asks for something else. The owner of an exclusive
/// queue is checked by the caller, before.
///
/// Errors: `PRECONDITION_FAILED` (row Q-5).
pub fn check_queue_equivalent(
    name: &str,
    vhost: &str,
    current: &QueueShape<'_>,
    wanted: &QueueShape<'_>,
) -> Result<(), ReplyError> {
    let phrase = queue_phrase(name, vhost);
    check_field("durable", &phrase, current.durable, wanted.durable)?;
    check_field(
        "auto_delete",
        &phrase,
        current.auto_delete,
        wanted.auto_delete,
    )?;
    let kind = queue_type(current.arguments);
    for key in KEYS.iter().filter(|key| key.known_to(kind)) {
        check_argument(key.name, &phrase, current.arguments, wanted.arguments)?;
    }
    Ok(())
}

/// Those of the arguments that decide what a queue is and never change: its type and how many
/// priorities it tells apart.
pub fn identity_arguments(arguments: &FieldTable) -> FieldTable {
    let mut identity = FieldTable::default();
    for (key, value) in arguments.inner() {
        if [QUEUE_TYPE, MAX_PRIORITY].contains(&key.as_str()) {
            identity.insert(key.clone(), value.clone());
        }
    }
    identity
}

/// Refuses a redeclare of exchange `name` that asks for something else.
///
/// Errors: `PRECONDITION_FAILED` (rows ).
pub fn check_exchange_equivalent(
    name: &str,
    vhost: &str,
    current: &ExchangeShape<'_>,
    wanted: &ExchangeShape<'_>,
) -> Result<(), ReplyError> {
    let phrase = exchange_phrase(name, vhost);
    check_field("type", &phrase, current.kind, wanted.kind)?;
    check_field("durable", &phrase, current.durable, wanted.durable)?;
    check_field(
        "auto_delete",
        &phrase,
        current.auto_delete,
        wanted.auto_delete,
    )?;
    check_field("internal", &phrase, current.internal, wanted.internal)?;
    check_argument(
        ALTERNATE_EXCHANGE,
        &phrase,
        current.arguments,
        wanted.arguments,
    )
}

fn queue_type(arguments: &FieldTable) -> QueueType {
    let name = arguments.inner().get(QUEUE_TYPE).and_then(erlang::bytes);
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    name.and_then(QueueType::from_name).unwrap_or_default()
}

fn check_field<T: PartialEq + std::fmt::Display>(
    key: &str,
    phrase: &str,
    current: T,
    wanted: T,
) -> Result<(), ReplyError> {
    if current == wanted {
        return Ok(());
    }
    Err(inequivalent(
        key,
        phrase,
        &format!("'{wanted}'"),
        &format!("'{current}'"),
    ))
}

fn check_argument(
    key: &str,
    phrase: &str,
    current: &FieldTable,
    wanted: &FieldTable,
) -> Result<(), ReplyError> {
    match (current.inner().get(key), wanted.inner().get(key)) {
        (None, None) => Ok(()),
        (Some(current), Some(wanted)) if same_value(current, wanted) => Ok(()),
        (Some(current), Some(wanted)) => {
            let quoted = |value| format!("'{}'", erlang::bare(value));
            Err(inequivalent(key, phrase, &quoted(wanted), &quoted(current)))
        }
        // A classic queue has this type whether or not anybody said so (row Q-7).
        (None, Some(value)) | (Some(value), None) if key == QUEUE_TYPE && is_classic(value) => {
            Ok(())
        }
        (current, wanted) => Err(inequivalent(
            key,
            phrase,
            &with_type(wanted),
            &with_type(current),
        )),
    }
}

fn is_classic(value: &AMQPValue) -> bool {
    erlang::bytes(value) == Some(QueueType::Classic.as_str().as_bytes())
}

/// Values are compared as Erlang holds them: integers of any width are one kind, and strings and
/// byte arrays another (row Q-6). An integer never equals a float.
fn same_value(a: &AMQPValue, b: &AMQPValue) -> bool {
    if let (Some(a), Some(b)) = (erlang::integer(a), erlang::integer(b)) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (erlang::float(a), erlang::float(b)) {
        return a == b || a.to_bits() == b.to_bits();
    }
    if let (Some(a), Some(b)) = (erlang::bytes(a), erlang::bytes(b)) {
        return a == b;
    }
    a == b
}

fn with_type(value: Option<&AMQPValue>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| {
            format!(
                "the value '{}' of type '{}'",
                erlang::bare(value),
                arg_type_name(value)
            )
        },
    )
}

fn inequivalent(key: &str, phrase: &str, received: &str, current: &str) -> ReplyError {
    ReplyError::precondition_failed(format!(
        "inequivalent arg '{key}' for {phrase}: received {received} but current is {current}"
    ))
}

#[cfg(test)]
mod tests {
    use warren_amqp::{ReplyCode, ShortString};

    use super::*;

    fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert(ShortString::from(*key), value.clone());
        }
        table
    }

    fn queue(arguments: &FieldTable) -> QueueShape<'_> {
        QueueShape {
            durable: true,
            auto_delete: false,
            arguments,
        }
    }

    fn compare(
        current: &[(&str, AMQPValue)],
        wanted: &[(&str, AMQPValue)],
    ) -> Result<(), ReplyError> {
        let (current, wanted) = (table(current), table(wanted));
        check_queue_equivalent("q1", "/", &queue(&current), &queue(&wanted))
    }

    fn text(result: Result<(), ReplyError>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code, ReplyCode::PreconditionFailed);
        error.explanation
    }

    fn long(n: i64) -> AMQPValue {
        AMQPValue::LongLongInt(n)
    }

    fn longstr(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    #[test]
    fn row_q_5_texts() {
        let none = FieldTable::default();
        let ttl = table(&[("x-message-ttl", long(1000))]);
        let durable = queue(&none);
        let transient = QueueShape {
            durable: false,
            auto_delete: true,
            arguments: &ttl,
        };
        assert_eq!(
            text(check_queue_equivalent("q1", "/", &transient, &durable)),
            "inequivalent arg 'durable' for queue 'q1' in vhost '/': \
             received 'true' but current is 'false'"
        );
        let auto_delete = QueueShape {
            auto_delete: true,
            ..queue(&ttl)
        };
        assert_eq!(
            text(check_queue_equivalent("q1", "/", &durable, &auto_delete)),
            "inequivalent arg 'auto_delete' for queue 'q1' in vhost '/': \
             received 'true' but current is 'false'"
        );
        assert_eq!(
            text(check_queue_equivalent("q1", "/", &durable, &queue(&ttl))),
            "inequivalent arg 'x-message-ttl' for queue 'q1' in vhost '/': \
             received the value '1000' of type 'long' but current is none"
        );
        assert_eq!(
            text(check_queue_equivalent("q1", "/", &queue(&ttl), &durable)),
            "inequivalent arg 'x-message-ttl' for queue 'q1' in vhost '/': \
             received none but current is the value '1000' of type 'long'"
        );
        assert_eq!(
            text(compare(
                &[("x-max-length", long(1))],
                &[("x-max-length", long(2))]
            )),
            "inequivalent arg 'x-max-length' for queue 'q1' in vhost '/': \
             received '2' but current is '1'"
        );
    }

    #[test]
    fn row_q_4_the_first_difference_in_order_is_told() {
        let wanted = [
            ("x-max-length", long(1)),
            ("x-expires", AMQPValue::LongInt(9)),
        ];
        assert_eq!(
            text(compare(&[], &wanted)),
            "inequivalent arg 'x-expires' for queue 'q1' in vhost '/': \
             received the value '9' of type 'signedint' but current is none"
        );
    }

    #[test]
    fn row_q_6_values_count_not_widths() {
        let narrow = [("x-max-length", AMQPValue::ShortShortUInt(5))];
        assert!(compare(&narrow, &[("x-max-length", long(5))]).is_ok());
        let float = [("x-max-length", AMQPValue::Double(5.0))];
        assert_eq!(
            text(compare(&narrow, &float)),
            "inequivalent arg 'x-max-length' for queue 'q1' in vhost '/': \
             received '5.0' but current is '5'"
        );
        assert!(compare(&[("x-own", long(1))], &[("x-own", longstr("other"))]).is_ok());
        // Known to quorum queues only, so it is nothing to a classic one.
        assert!(compare(&[], &[("x-delivery-limit", long(1))]).is_ok());
    }

    #[test]
    fn row_q_7_classic_is_the_same_as_no_type() {
        let classic = [("x-queue-type", longstr("classic"))];
        assert!(compare(&classic, &[]).is_ok());
        assert!(compare(&[], &classic).is_ok());
        assert_eq!(
            text(compare(&[], &[("x-queue-type", longstr("quorum"))])),
            "inequivalent arg 'x-queue-type' for queue 'q1' in vhost '/': \
             received the value 'quorum' of type 'longstr' but current is none"
        );
        assert_eq!(
            text(compare(&classic, &[("x-queue-type", longstr("stream"))])),
            "inequivalent arg 'x-queue-type' for queue 'q1' in vhost '/': \
             received 'stream' but current is 'classic'"
        );
    }

    fn exchange(arguments: &FieldTable) -> ExchangeShape<'_> {
        ExchangeShape {
            kind: "direct",
            durable: true,
            auto_delete: false,
            internal: false,
            arguments,
        }
    }

    fn against(current: &ExchangeShape<'_>, wanted: &ExchangeShape<'_>) -> Result<(), ReplyError> {
        check_exchange_equivalent("e1", "/", current, wanted)
    }

    #[test]
    fn row_x_8_texts_and_order() {
        let none = FieldTable::default();
        let current = exchange(&none);
        assert!(against(&current, &current).is_ok());
        let other = ExchangeShape {
            kind: "fanout",
            durable: false,
            ..current
        };
        assert_eq!(
            text(against(&current, &other)),
            "inequivalent arg 'type' for exchange 'e1' in vhost '/': \
             received 'fanout' but current is 'direct'"
        );
        for (key, other) in [
            (
                "durable",
                ExchangeShape {
                    durable: false,
                    auto_delete: true,
                    ..current
                },
            ),
            (
                "auto_delete",
                ExchangeShape {
                    auto_delete: true,
                    internal: true,
                    ..current
                },
            ),
            (
                "internal",
                ExchangeShape {
                    internal: true,
                    ..current
                },
            ),
        ] {
            let expected = format!("inequivalent arg '{key}' for exchange 'e1' in vhost '/'");
            assert!(text(against(&current, &other)).starts_with(&expected));
        }
    }

    #[test]
    fn row_x_9_only_the_alternate_exchange_is_compared() {
        let none = FieldTable::default();
        let a = table(&[("alternate-exchange", longstr("ae")), ("x-other", long(1))]);
        let b = table(&[("alternate-exchange", longstr("b")), ("x-other", long(2))]);
        assert_eq!(
            text(against(&exchange(&none), &exchange(&a))),
            "inequivalent arg 'alternate-exchange' for exchange 'e1' in vhost '/': \
             received the value 'ae' of type 'longstr' but current is none"
        );
        assert_eq!(
            text(against(&exchange(&a), &exchange(&b))),
            "inequivalent arg 'alternate-exchange' for exchange 'e1' in vhost '/': \
             received 'b' but current is 'ae'"
        );
        let unrelated = table(&[("x-other", long(2))]);
        assert!(against(&exchange(&none), &exchange(&unrelated)).is_ok());
    }
}
