//! What a queue was asked to be: the arguments of `queue.declare`, validated and typed.
//!
//! Arguments without an effect here (`x-queue-mode`, `x-queue-version`, locators) are validated
//! and stay with the queue as declared, as do those nobody knows; they have no field below.

use warren_amqp::{AMQPValue, FieldTable, ReplyError, arg_type_name};

use super::keys::{DEAD_LETTER_EXCHANGE, KEYS, QUEUE_TYPE};
use super::{erlang, queue_phrase, validate};

/// How a queue keeps its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum QueueType {
    /// One copy, every feature of AMQP 0-9-1.
    #[default]
    Classic,
    /// Replicated.
    Quorum,
    /// A log that keeps what was read.
    Stream,
}

impl QueueType {
    /// As `x-queue-type` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// The type `x-queue-type` means by `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Classic, Self::Quorum, Self::Stream]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// As explanations spell it.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
            Self::Stream => "rabbit_stream_queue",
        }
    }
}

/// Whether queues of this type can be declared on this node.
pub fn is_available(kind: QueueType) -> bool {
    kind != QueueType::Stream
}

/// What happens to a publish into a full queue (`x-overflow`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// The oldest message makes room.
    #[default]
    DropHead,
    /// The new message is refused.
    RejectPublish,
    /// The new message is refused and dead-lettered.
    RejectPublishDlx,
}

impl Overflow {
    /// What `x-overflow` means by a name that was checked.
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "reject-publish" => Self::RejectPublish,
            "reject-publish-dlx" => Self::RejectPublishDlx,
            _ => Self::DropHead,
        }
    }
}

/// How surely a dead letter arrives (`x-dead-letter-strategy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DeadLetterStrategy {
    /// Sent on without waiting for it to be safe.
    #[default]
    AtMostOnce,
    /// Kept until its new place has it.
    AtLeastOnce,
}

/// The arguments a queue acts on. `None` and the defaults mean not given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueArguments {
    /// `x-queue-type`.
    pub queue_type: QueueType,
    /// `x-message-ttl`: a message expires after so long in the queue, in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// `x-expires`: the queue goes after so long without use, in milliseconds, from 1.
    pub expires_ms: Option<u64>,
    /// `x-max-length`: ready messages.
    pub max_length: Option<u64>,
    /// `x-max-length-bytes`: body bytes of ready messages.
    pub max_length_bytes: Option<u64>,
    /// `x-overflow`.
    pub overflow: Overflow,
    /// `x-dead-letter-exchange`; empty means the default exchange.
    pub dead_letter_exchange: Option<String>,
    /// `x-dead-letter-routing-key`.
    pub dead_letter_routing_key: Option<String>,
    /// `x-dead-letter-strategy`.
    pub dead_letter_strategy: DeadLetterStrategy,
    /// `x-max-priority`: the highest priority told apart.
    pub max_priority: Option<u8>,
    /// `x-single-active-consumer`.
    pub single_active_consumer: bool,
    /// `x-delivery-limit`: how often a message may come back before it is dead-lettered; negative
    /// means no limit.
    pub delivery_limit: Option<i64>,
    /// `x-consumer-timeout`: how long a delivery may stay unacknowledged, in milliseconds.
    pub consumer_timeout_ms: Option<u64>,
}

impl QueueArguments {
    /// Whether dead letters that find no place are kept and tried again (row Q-67).
    pub(crate) fn dead_letters_at_least_once(&self) -> bool {
        self.queue_type == QueueType::Quorum
            && self.dead_letter_exchange.is_some()
            && self.dead_letter_strategy == DeadLetterStrategy::AtLeastOnce
            && self.overflow == Overflow::RejectPublish
    }
}

/// Parses the arguments of a queue that is about to be created. A redeclare of an existing queue
/// is [compared](super::check_queue_equivalent) instead, and its arguments not looked at further.
///
/// Errors: `PRECONDITION_FAILED` with RabbitMQ's text (rows and the table of queue
/// arguments).
pub fn parse_queue_arguments(
    queue: &str,
    vhost: &str,
    arguments: &FieldTable,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
) -> Result<QueueArguments, ReplyError> {
    let phrase = queue_phrase(queue, vhost);
    check_dead_letter_exchange(&phrase, arguments)?;
    let kind = requested_type(&phrase, arguments)?;
    if !is_available(kind) {
        return Err(unavailable(&phrase, kind));
    }
    check_values(&phrase, kind, arguments)?;
    check_properties(&phrase, kind, durable, exclusive, auto_delete)?;
    Ok(typed(kind, arguments))
}

/// RabbitMQ looks at this one before all others, with a text of its own.
fn check_dead_letter_exchange(phrase: &str, arguments: &FieldTable) -> Result<(), ReplyError> {
    match arguments.inner().get(DEAD_LETTER_EXCHANGE) {
        None | Some(AMQPValue::LongString(_)) => Ok(()),
        Some(other) => Err(ReplyError::precondition_failed(format!(
            "invalid type '{}' for arg '{DEAD_LETTER_EXCHANGE}' in {phrase}",
            arg_type_name(other)
        ))),
    }
}

fn requested_type(phrase: &str, arguments: &FieldTable) -> Result<QueueType, ReplyError> {
    let Some(value) = arguments.inner().get(QUEUE_TYPE) else {
        return Ok(QueueType::Classic);
    };
    let kind = validate::text(value).and_then(validate::queue_type);
    kind.map_err(|error| invalid(QUEUE_TYPE, phrase, &error))
}

/// The refusal of a type of queue that this version does not have. 406 in the manner of an
/// unknown type, not 540: it costs the client its channel, not its connection.
fn unavailable(phrase: &str, kind: QueueType) -> ReplyError {
    let text = format!(
        "queue type '{}' is not available on this node",
        kind.as_str()
    );
    invalid(QUEUE_TYPE, phrase, &erlang::string(&text))
}

/// First the values of what the type knows, then names that only other types know (row H-112's
/// rule for queues); names nobody knows are left alone.
fn check_values(phrase: &str, kind: QueueType, arguments: &FieldTable) -> Result<(), ReplyError> {
    for key in KEYS.iter().filter(|key| key.known_to(kind)) {
        if let Some(value) = arguments.inner().get(key.name) {
            validate::check(key.check, value, arguments)
                .map_err(|error| invalid(key.name, phrase, &error))?;
        }
    }
    for key in KEYS.iter().filter(|key| !key.known_to(kind)) {
        if arguments.contains_key(key.name) {
            return Err(ReplyError::precondition_failed(format!(
                "invalid arg '{}' for {phrase} of queue type {}",
                key.name,
                kind.module()
            )));
        }
    }
    Ok(())
}

/// Row Q-30.
fn check_properties(
    phrase: &str,
    kind: QueueType,
    durable: bool,
    exclusive: bool,
    auto_delete: bool,
) -> Result<(), ReplyError> {
    if kind == QueueType::Classic {
        return Ok(());
    }
    let offending = if auto_delete {
        "auto-delete"
    } else if exclusive {
        "exclusive-owner"
    } else if !durable {
        "non-durable"
    } else {
        return Ok(());
    };
    let text = format!("invalid property '{offending}' for {phrase}");
    Err(ReplyError::precondition_failed(text))
}

/// The `invalid arg` refusal; `error` is a printed term.
pub(super) fn invalid(key: &str, phrase: &str, error: &str) -> ReplyError {
    ReplyError::precondition_failed(format!("invalid arg '{key}' for {phrase}: {error}"))
}

/// Reads the values, which have passed their checks.
fn typed(kind: QueueType, arguments: &FieldTable) -> QueueArguments {
    let value = |key: &str| arguments.inner().get(key);
    let integer = |key| value(key).and_then(|v| validate::integer(v).ok());
    let unsigned = |key| integer(key).and_then(|n| u64::try_from(n).ok());
    let text = |key| {
        let bytes = value(key).and_then(erlang::bytes);
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    QueueArguments {
        queue_type: kind,
        message_ttl_ms: unsigned("x-message-ttl"),
        expires_ms: unsigned("x-expires"),
        max_length: unsigned("x-max-length"),
        max_length_bytes: unsigned("x-max-length-bytes"),
        overflow: match Overflow::from_name(text("x-overflow").as_deref().unwrap_or_default()) {
            // Row Q-31: quorum queues take it and do not do it.
            Overflow::RejectPublishDlx if kind == QueueType::Quorum => Overflow::DropHead,
            overflow => overflow,
        },
        dead_letter_exchange: text(DEAD_LETTER_EXCHANGE),
        dead_letter_routing_key: text("x-dead-letter-routing-key"),
        dead_letter_strategy: match text("x-dead-letter-strategy").as_deref() {
            Some("at-least-once") => DeadLetterStrategy::AtLeastOnce,
            _ => DeadLetterStrategy::AtMostOnce,
        },
        max_priority: integer("x-max-priority").and_then(|n| u8::try_from(n).ok()),
        single_active_consumer: matches!(
            value("x-single-active-consumer"),
            Some(AMQPValue::Boolean(true))
        ),
        delivery_limit: integer("x-delivery-limit"),
        consumer_timeout_ms: unsigned("x-consumer-timeout"),
    }
}

#[cfg(test)]
mod tests;
