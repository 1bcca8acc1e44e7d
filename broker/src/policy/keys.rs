//! Every key a policy may have: what its value must be, which queue types support it, and what
//! becomes of it when policy and operator policy both have it (table 6.2).

use std::cmp::Ordering;

use serde_json::Value;

use super::mirroring;
use crate::arguments::QueueType;
use QueueType::{Classic as C, Quorum as Q, Stream as S};

/// What a value must be.
#[derive(Clone, Copy)]
pub(super) enum Check {
    /// A string.
    Text,
    /// An integer.
    Integer,
    /// An integer from this on.
    From(i64),
    /// An integer between these.
    Within(i64, i64),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// One of these integers.
    OneOfNumbers(&'static [i64]),
    /// A number and a unit of time.
    MaxAge,
    /// Checked with the other keys of mirroring.
    Mirroring,
}

impl Check {
    pub(super) fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::From(low) => value.as_i64().is_some_and(|n| n >= low),
            Self::Within(low, high) => value.as_i64().is_some_and(|n| (low..=high).contains(&n)),
            Self::OneOf(accepted) => value.as_str().is_some_and(|text| accepted.contains(&text)),
            Self::OneOfNumbers(accepted) => value.as_i64().is_some_and(|n| accepted.contains(&n)),
            Self::MaxAge => value.as_str().is_some_and(is_max_age),
            Self::Mirroring => true,
        }
    }
}

fn is_max_age(age: &str) -> bool {
    let number = age.strip_suffix(['Y', 'M', 'D', 'h', 'm', 's']);
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// What becomes of a key that both policies have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Merge {
    /// An operator policy may not have it.
    NotForOperators,
    /// The lesser number.
    Min,
    /// The greater number.
    Max,
    /// The lesser number, unless one is negative, which means unlimited.
    MinOfLimits,
    /// The operator's.
    Operator,
    /// Rule L-24.
    MirroringMode,
    /// Rule L-24.
    MirroringParams,
}

impl Merge {
    /// The value that counts. Both have passed their checks.
    pub(super) fn merge<'a>(self, own: &'a Value, operator: &'a Value) -> &'a Value {
        let compared = own.as_i64().cmp(&operator.as_i64());
        let lesser = |order: Ordering| if order.is_gt() { operator } else { own };
        match self {
            Self::NotForOperators | Self::Operator => operator,
            Self::Min => lesser(compared),
            Self::Max => lesser(compared.reverse()),
            Self::MinOfLimits => {
                let unlimited = |value: &Value| value.as_i64().is_some_and(|n| n < 0);
                if unlimited(own) || unlimited(operator) {
                    lesser(compared.reverse())
                } else {
                    lesser(compared)
                }
            }
            Self::MirroringMode => mirroring::merge_mode(own, operator),
            Self::MirroringParams => mirroring::merge_params(own, operator),
        }
    }
}

/// One key of a policy.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) check: Check,
    /// What a refusal says the value is no valid one of.
    pub(super) what: &'static str,
    /// Queue types that support it. A policy with a key its queue does not support does not apply
    /// to it at all (row L-4).
    types: &'static [QueueType],
    pub(super) merge: Merge,
}

impl Key {
    pub(super) fn supported_by(&self, kind: QueueType) -> bool {
        self.types.contains(&kind)
    }

    pub(super) fn for_operators(&self) -> bool {
        self.merge != Merge::NotForOperators
    }
}

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const ALL: &[QueueType] = &[C, Q, S];
const CLASSIC: &[QueueType] = &[C];
const QUORUM: &[QueueType] = &[Q];
const STREAM: &[QueueType] = &[S];
const NOT_STREAM: &[QueueType] = &[C, Q];

const fn key(
    name: &'static str,
    check: Check,
    what: &'static str,
    types: &'static [QueueType],
    merge: Merge,
) -> Key {
    Key {
        name,
        check,
        what,
        types,
        merge,
    }
}

use Merge::NotForOperators as NO;

/// All of them.
pub(super) const KEYS: &[Key] = &[
    key(
        "message-ttl",
        Check::From(0),
        "message TTL",
        NOT_STREAM,
        Merge::Min,
    ),
    key(
        "expires",
        Check::From(1),
        "queue expiry",
        NOT_STREAM,
        Merge::Min,
    ),
    key(
        "max-length",
        Check::From(0),
        "maximum length",
        NOT_STREAM,
        Merge::Min,
    ),
    key(
        "max-length-bytes",
        Check::From(0),
        "maximum length in bytes",
        ALL,
        Merge::Min,
    ),
    key(
        "max-in-memory-length",
        Check::From(0),
        "maximum memory in bytes",
        QUORUM,
        Merge::Min,
    ),
    key(
        "max-in-memory-bytes",
        Check::From(0),
        "maximum memory in bytes",
        QUORUM,
        Merge::Min,
    ),
    key(
        "delivery-limit",
        Check::Integer,
        "delivery limit",
        QUORUM,
        Merge::MinOfLimits,
    ),
    key(
        "overflow",
        Check::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
        "overflow value",
        NOT_STREAM,
        Merge::Operator,
    ),
    key(
        "queue-version",
        Check::OneOfNumbers(&[1, 2]),
        "queue version",
        CLASSIC,
        Merge::Operator,
    ),
    key(
        "dead-letter-exchange",
        Check::Text,
        "dead letter exchange name",
        NOT_STREAM,
        NO,
    ),
    key(
        "dead-letter-routing-key",
        Check::Text,
        "dead letter routing key",
        NOT_STREAM,
        NO,
    ),
    key(
        "dead-letter-strategy",
        Check::OneOf(&["at-most-once", "at-least-once"]),
        "dead letter strategy",
        QUORUM,
        NO,
    ),
    key(
        "alternate-exchange",
        Check::Text,
        "alternate exchange name",
        ALL,
        NO,
    ),
    key(
        "queue-mode",
        Check::OneOf(&["default", "lazy"]),
        "queue-mode value",
        CLASSIC,
        NO,
    ),
    key(
        "queue-leader-locator",
        Check::OneOf(&["client-local", "balanced", "random", "least-leaders"]),
        "queue leader locator value",
        ALL,
        NO,
    ),
    key(
        "queue-master-locator",
        Check::OneOf(&["min-masters", "client-local", "random"]),
        "queue-master-locator value",
        CLASSIC,
        Merge::Operator,
    ),
    key("max-age", Check::MaxAge, "max age", STREAM, NO),
    key(
        "stream-max-segment-size-bytes",
        Check::Within(0, 3_000_000_000),
        "segment size",
        STREAM,
        NO,
    ),
    key(
        "stream-filter-size-bytes",
        Check::Within(16, 255),
        "filter size. Valid range is 16-255",
        STREAM,
        NO,
    ),
    key(
        "initial-cluster-size",
        Check::From(0),
        "cluster size",
        STREAM,
        NO,
    ),
    key(
        "target-group-size",
        Check::From(1),
        "qq target count value",
        QUORUM,
        Merge::Max,
    ),
    key(
        "consumer-timeout",
        Check::From(0),
        "consumer timeout",
        ALL,
        NO,
    ),
    key(
        "consumer-disconnected-timeout",
        Check::From(0),
        "consumer disconnected timeout",
        QUORUM,
        NO,
    ),
    key(
        "delayed-retry-type",
        Check::OneOf(&["disabled", "all", "failed", "returned"]),
        "delayed retry type",
        QUORUM,
        Merge::Operator,
    ),
    key(
        "delayed-retry-min",
        Check::From(0),
        "delayed retry minimum",
        QUORUM,
        Merge::Max,
    ),
    key(
        "delayed-retry-max",
        Check::From(0),
        "delayed retry maximum",
        QUORUM,
        Merge::Min,
    ),
    key(
        "ha-mode",
        Check::Mirroring,
        "ha-mode value",
        CLASSIC,
        Merge::MirroringMode,
    ),
    key(
        "ha-params",
        Check::Mirroring,
        "ha-params value",
        CLASSIC,
        Merge::MirroringParams,
    ),
    key(
        "ha-sync-mode",
        Check::Mirroring,
        "ha-sync-mode value",
        CLASSIC,
        Merge::Operator,
    ),
    key("ha-sync-batch-size", Check::Mirroring, "", CLASSIC, NO),
    key("ha-promote-on-shutdown", Check::Mirroring, "", CLASSIC, NO),
    key("ha-promote-on-failure", Check::Mirroring, "", CLASSIC, NO),
    key(
        "federation-upstream",
        Check::Text,
        "federation upstream",
        ALL,
        NO,
    ),
    key(
        "federation-upstream-set",
        Check::Text,
        "federation upstream set",
        ALL,
        NO,
    ),
    key(
        "federation-upstream-pattern",
        Check::Text,
        "federation upstream pattern",
        ALL,
        NO,
    ),
    key(
        "shards-per-node",
        Check::From(0),
        "number of shards per node",
        ALL,
        NO,
    ),
    key("routing-key", Check::Text, "routing key", ALL, NO),
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
