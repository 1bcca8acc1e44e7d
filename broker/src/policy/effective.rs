//! What a queue does: its arguments and the policy that applies to it, made one (table 4.2,
//! column "both set").

use serde_json::Value;
use warren_amqp::FieldTable;

use super::Definition;
use crate::arguments::{DeadLetterStrategy, Overflow, QueueArguments, QueueType};

/// The settings in force for a queue declared with `arguments`, which were parsed to `declared`,
/// under a policy.
pub fn effective_settings(
    declared: &QueueArguments,
    arguments: &FieldTable,
    policy: Option<&Definition>,
) -> QueueArguments {
    let mut settings = declared.clone();
    let Some(policy) = policy else {
        return settings;
    };
    let given = |key: &str| arguments.contains_key(key);
    let number = |key: &str| policy.get(key).and_then(Value::as_i64);
    let unsigned = |key: &str| number(key).and_then(|n| u64::try_from(n).ok());
    let text = |key: &str| policy.get(key).and_then(Value::as_str);
    let kind = declared.queue_type;

    settings.message_ttl_ms = least(settings.message_ttl_ms, unsigned("message-ttl"));
    settings.expires_ms = least(settings.expires_ms, unsigned("expires"));
    settings.max_length = least(settings.max_length, unsigned("max-length"));
    settings.max_length_bytes = match (unsigned("max-length-bytes"), kind) {
        (Some(bytes), QueueType::Stream) => Some(bytes),
        (bytes, _) => least(settings.max_length_bytes, bytes),
    };
    let policy_wins = kind != QueueType::Classic || !given("x-overflow");
    if let Some(overflow) = text("overflow").filter(|_| policy_wins) {
        settings.overflow = Overflow::from_name(overflow);
    }
    let or_policy = |own: Option<String>, key: &str| own.or_else(|| text(key).map(str::to_owned));
    settings.dead_letter_exchange =
        or_policy(settings.dead_letter_exchange, "dead-letter-exchange");
    settings.dead_letter_routing_key =
        or_policy(settings.dead_letter_routing_key, "dead-letter-routing-key");
    if !given("x-dead-letter-strategy") && text("dead-letter-strategy") == Some("at-least-once") {
        settings.dead_letter_strategy = DeadLetterStrategy::AtLeastOnce;
    }
    settings.delivery_limit = match (settings.delivery_limit, number("delivery-limit")) {
        (Some(own), Some(policy)) if own < 0 || policy < 0 => Some(own.max(policy)),
        (Some(own), Some(policy)) => Some(own.min(policy)),
        (own, policy) => own.or(policy),
    };
    settings.consumer_timeout_ms =
        least(settings.consumer_timeout_ms, unsigned("consumer-timeout"));
    settings
}

fn least(own: Option<u64>, policy: Option<u64>) -> Option<u64> {
    match (own, policy) {
        (Some(own), Some(policy)) => Some(own.min(policy)),
        (own, policy) => own.or(policy),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use warren_amqp::AMQPValue;

    use super::*;
    use crate::arguments::parse_queue_arguments;

    fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert((*key).into(), value.clone());
        }
        table
    }

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn effective(arguments: &[(&str, AMQPValue)], policy: Value) -> QueueArguments {
        let arguments = table(arguments);
        let declared = parse_queue_arguments("q", "/", &arguments, true, false, false).unwrap();
        effective_settings(&declared, &arguments, policy.as_object())
    }

    #[test]
    fn l6_of_numbers_the_lesser_counts() {
        let arguments = [
            ("x-message-ttl", AMQPValue::LongInt(10)),
            ("x-expires", AMQPValue::LongInt(10)),
            ("x-max-length", AMQPValue::LongInt(10)),
            ("x-consumer-timeout", AMQPValue::LongInt(10)),
        ];
        let policy = json!({"message-ttl": 5, "expires": 20, "max-length": 0,
            "max-length-bytes": 7, "consumer-timeout": 3});
        let settings = effective(&arguments, policy);
        assert_eq!(settings.message_ttl_ms, Some(5));
        assert_eq!(settings.expires_ms, Some(10));
        assert_eq!(settings.max_length, Some(0));
        assert_eq!(settings.max_length_bytes, Some(7));
        assert_eq!(settings.consumer_timeout_ms, Some(3));
    }

    #[test]
    fn l6_of_texts_the_argument_counts() {
        let policy = json!({"overflow": "drop-head", "dead-letter-exchange": "p",
            "dead-letter-routing-key": "pk"});
        let settings = effective(
            &[
                ("x-overflow", text("reject-publish")),
                ("x-dead-letter-exchange", text("a")),
            ],
            policy.clone(),
        );
        assert_eq!(settings.overflow, Overflow::RejectPublish);
        assert_eq!(settings.dead_letter_exchange.as_deref(), Some("a"));
        assert_eq!(settings.dead_letter_routing_key.as_deref(), Some("pk"));
        let settings = effective(&[], policy);
        assert_eq!(settings.dead_letter_exchange.as_deref(), Some("p"));
        assert_eq!(
            effective(&[], json!({"overflow": "reject-publish-dlx"})).overflow,
            Overflow::RejectPublishDlx
        );
    }

    #[test]
    fn l6_quorum_queues_and_streams_differ() {
        let declared = QueueArguments {
            queue_type: QueueType::Quorum,
            delivery_limit: Some(5),
            ..QueueArguments::default()
        };
        let arguments = table(&[("x-overflow", text("drop-head"))]);
        let policy = json!({"overflow": "reject-publish", "delivery-limit": -1,
            "dead-letter-strategy": "at-least-once"});
        let settings = effective_settings(&declared, &arguments, policy.as_object());
        assert_eq!(settings.overflow, Overflow::RejectPublish);
        assert_eq!(settings.delivery_limit, Some(5));
        assert_eq!(
            settings.dead_letter_strategy,
            DeadLetterStrategy::AtLeastOnce
        );
        let declared = QueueArguments {
            queue_type: QueueType::Stream,
            max_length_bytes: Some(5),
            ..QueueArguments::default()
        };
        let policy = json!({"max-length-bytes": 9});
        let settings = effective_settings(&declared, &FieldTable::default(), policy.as_object());
        assert_eq!(settings.max_length_bytes, Some(9));
    }

    #[test]
    fn l5_without_a_policy_the_arguments_stand() {
        let declared = QueueArguments {
            max_length: Some(3),
            ..QueueArguments::default()
        };
        let settings = effective_settings(&declared, &FieldTable::default(), None);
        assert_eq!(settings, declared);
    }
}
