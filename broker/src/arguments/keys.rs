//! Every argument a queue type of RabbitMQ knows, with the types that know it and the check its
//! value must pass. The order is the one in which RabbitMQ looks at them.

use super::queue::QueueType;
use super::validate::Check;

/// One argument of `queue.declare`.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) check: Check,
    types: &'static [QueueType],
}

impl Key {
    /// Whether queues of this type know the argument.
    pub(super) fn known_to(&self, kind: QueueType) -> bool {
        self.types.contains(&kind)
    }
}

use QueueType::{Classic as C, Quorum as Q, Stream as S};

const CLASSIC: &[QueueType] = &[C];
const QUORUM: &[QueueType] = &[Q];
const STREAM: &[QueueType] = &[S];
const NOT_STREAM: &[QueueType] = &[C, Q];
const ALL: &[QueueType] = &[C, Q, S];

const fn key(name: &'static str, check: Check, types: &'static [QueueType]) -> Key {
    Key { name, check, types }
}

/// Names the type of a queue.
pub(super) const QUEUE_TYPE: &str = "x-queue-type";
/// How many priorities a queue tells apart.
pub(super) const MAX_PRIORITY: &str = "x-max-priority";
/// Needed by name in more than one place.
pub(super) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

/// All of them. A name that is not here is ignored and kept with the queue (row Q-6).
pub(super) const KEYS: &[Key] = &[
    key("x-expires", Check::NonZeroExpiry, NOT_STREAM),
    key("x-message-ttl", Check::Expiry, NOT_STREAM),
    key(DEAD_LETTER_EXCHANGE, Check::Text, NOT_STREAM),
    key(
        "x-dead-letter-routing-key",
        Check::DeadLetterKey,
        NOT_STREAM,
    ),
    key(
        "x-dead-letter-strategy",
        Check::OneOf(&["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
        QUORUM,
    ),
    key("x-max-length", Check::NonNegative, NOT_STREAM),
    key("x-max-length-bytes", Check::NonNegative, ALL),
    key("x-max-in-memory-length", Check::NonNegative, QUORUM),
    key("x-max-in-memory-bytes", Check::NonNegative, QUORUM),
    key(MAX_PRIORITY, Check::AtMost(255), CLASSIC),
    key(
        "x-overflow",
        Check::OneOf(
            &["drop-head", "reject-publish", "reject-publish-dlx"],
            "invalid_overflow",
        ),
        NOT_STREAM,
    ),
    key("x-queue-mode", Check::QueueMode, CLASSIC),
    key("x-queue-version", Check::QueueVersion, CLASSIC),
    key("x-single-active-consumer", Check::Bool, NOT_STREAM),
    key(QUEUE_TYPE, Check::QueueType, ALL),
    key("x-quorum-initial-group-size", Check::Positive, QUORUM),
    key("x-quorum-target-group-size", Check::Positive, QUORUM),
    key("x-delivery-limit", Check::Integer, QUORUM),
    key("x-max-age", Check::MaxAge, STREAM),
    key(
        "x-stream-max-segment-size-bytes",
        Check::NonNegative,
        STREAM,
    ),
    key("x-stream-filter-size-bytes", Check::Within(16, 255), STREAM),
    key("x-initial-cluster-size", Check::Positive, STREAM),
    // Classic queues know it since 4.0; clients send it whatever the type.
    key(
        "x-queue-leader-locator",
        Check::OneOf(
            &["client-local", "balanced", "random", "least-leaders"],
            "invalid_queue_locator_arg",
        ),
        ALL,
    ),
    key(
        "x-queue-master-locator",
        Check::OneOf(
            &["min-masters", "client-local", "random"],
            "invalid_queue_locator_arg",
        ),
        CLASSIC,
    ),
    key("x-consumer-timeout", Check::NonNegative, NOT_STREAM),
    key(
        "x-consumer-disconnected-timeout",
        Check::NonNegative,
        QUORUM,
    ),
    key(
        "x-delayed-retry-type",
        Check::OneOf(
            &["disabled", "all", "failed", "returned"],
            "invalid_delayed_retry_type",
        ),
        QUORUM,
    ),
    key("x-delayed-retry-min", Check::NonNegative, QUORUM),
    key("x-delayed-retry-max", Check::NonNegative, QUORUM),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice() {
        let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
    }
}
