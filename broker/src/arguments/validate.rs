//! The checks a value of a queue argument can be put to. Errors are the terms RabbitMQ prints
//! after `invalid arg '...' for queue '...' in vhost '...': ` (docs/compatibility.md, queue
//! arguments).

use warren_amqp::{AMQPValue, FieldTable, arg_type_name};

use super::erlang;
use super::keys::DEAD_LETTER_EXCHANGE;
use super::queue::QueueType;

/// Ten years in milliseconds: the longest time a timer takes.
pub(super) const MAX_EXPIRY_MS: i64 = 315_360_000_000;

/// What a value must be.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// Any integer.
    Integer,
    /// An integer from zero.
    NonNegative,
    /// An integer from one.
    Positive,
    /// An integer from zero to this.
    AtMost(i64),
    /// An integer between these.
    Within(i64, i64),
    /// Milliseconds from zero to [`MAX_EXPIRY_MS`].
    Expiry,
    /// Milliseconds from one to [`MAX_EXPIRY_MS`].
    NonZeroExpiry,
    /// `true` or `false`.
    Bool,
    /// A long string.
    Text,
    /// A long string that makes sense only with a dead letter exchange.
    DeadLetterKey,
    /// One of these long strings, or the error.
    OneOf(&'static [&'static str], &'static str),
    /// A queue type.
    QueueType,
    /// `default` or `lazy`.
    QueueMode,
    /// 1 or 2.
    QueueVersion,
    /// A number and a unit, as in `7D`.
    MaxAge,
}

/// Puts `value`, which stands in `arguments`, to the check. The error is the printed term.
pub(super) fn check(check: Check, value: &AMQPValue, arguments: &FieldTable) -> Result<(), String> {
    match check {
        Check::Integer => integer(value).map(drop),
        Check::NonNegative => non_negative(value).map(drop),
        Check::Positive => non_zero(non_negative(value)?),
        Check::AtMost(limit) => at_most(non_negative(value)?, limit),
        Check::Within(low, high) => within(integer(value)?, low, high),
        Check::Expiry => expiry(integer(value)?),
        Check::NonZeroExpiry => {
            let ms = integer(value)?;
            non_zero(ms).and_then(|()| expiry(ms))
        }
        Check::Bool => match value {
            AMQPValue::Boolean(_) => Ok(()),
            other => Err(unacceptable(other)),
        },
        Check::Text => text(value).map(drop),
        Check::DeadLetterKey => {
            text(value)?;
            let has_exchange = arguments.contains_key(DEAD_LETTER_EXCHANGE);
            if has_exchange {
                Ok(())
            } else {
                Err("routing_key_but_no_dlx_defined".to_owned())
            }
        }
        Check::OneOf(accepted, error) => one_of(text(value)?, accepted, error),
        Check::QueueType => queue_type(text(value)?).map(drop),
        Check::QueueMode => {
            let mode = text(value)?;
            one_of(mode, &["default", "lazy"], "").map_err(|_| unsupported("mode", mode))
        }
        Check::QueueVersion => match non_negative(value)? {
            1 | 2 => Ok(()),
            version => Err(unsupported("version", &version.to_string())),
        },
        Check::MaxAge => max_age(text(value)?),
    }
}

/// The type a queue is asked to have.
pub(super) fn queue_type(name: &str) -> Result<QueueType, String> {
    QueueType::from_name(name).ok_or_else(|| unsupported("type", name))
}

/// An integer of any width; timestamps and decimals are none.
pub(super) fn integer(value: &AMQPValue) -> Result<i64, String> {
    let number = match value {
        AMQPValue::Timestamp(_) => None,
        other => erlang::integer(other).and_then(|n| i64::try_from(n).ok()),
    };
    number.ok_or_else(|| erlang::string(&format!("expected integer, got {}", arg_type_name(value))))
}

/// A long string. Bytes that are no UTF-8 name nothing, so they are as good as unknown.
pub(super) fn text(value: &AMQPValue) -> Result<&str, String> {
    match value {
        AMQPValue::LongString(text) => {
            Ok(std::str::from_utf8(text.as_bytes()).unwrap_or("\u{fffd}"))
        }
        other => Err(unacceptable(other)),
    }
}

/// The bounds of a time, as a term.
pub(super) fn expiry(ms: i64) -> Result<(), String> {
    if ms < 0 {
        return Err(format!("{{value_negative,{ms}}}"));
    }
    if ms > MAX_EXPIRY_MS {
        return Err(format!("{{value_too_large,{ms}}}"));
    }
    Ok(())
}

/// The error for a value of the wrong wire type where no integer is wanted.
pub(super) fn unacceptable(value: &AMQPValue) -> String {
    format!("{{unacceptable_type,{}}}", arg_type_name(value))
}

fn non_negative(value: &AMQPValue) -> Result<i64, String> {
    let n = integer(value)?;
    if n < 0 {
        Err(format!("{{value_negative,{n}}}"))
    } else {
        Ok(n)
    }
}

fn non_zero(n: i64) -> Result<(), String> {
    if n == 0 {
        Err("{value_zero,0}".to_owned())
    } else {
        Ok(())
    }
}

fn at_most(n: i64, limit: i64) -> Result<(), String> {
    if n > limit {
        Err(format!("{{max_value_exceeded,{n}}}"))
    } else {
        Ok(())
    }
}

fn within(n: i64, low: i64, high: i64) -> Result<(), String> {
    if (low..=high).contains(&n) {
        return Ok(());
    }
    Err(erlang::string(&format!(
        "expected an integer between {low} and {high}, got {n}"
    )))
}

fn one_of(text: &str, accepted: &[&str], error: &str) -> Result<(), String> {
    if accepted.contains(&text) {
        Ok(())
    } else {
        Err(error.to_owned())
    }
}

fn unsupported(what: &str, value: &str) -> String {
    erlang::string(&format!("unsupported queue {what} '{value}'"))
}

fn max_age(age: &str) -> Result<(), String> {
    let number = age.strip_suffix(['Y', 'M', 'D', 'h', 'm', 's']);
    let valid = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if valid {
        Ok(())
    } else {
        Err("invalid_max_age".to_owned())
    }
}
