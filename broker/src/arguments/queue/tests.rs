//! Every text of the table of queue arguments.

use proptest::prelude::*;
use warren_amqp::{ReplyCode, ShortString};

use super::*;

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(ShortString::from(*key), value.clone());
    }
    table
}

fn long(n: i64) -> AMQPValue {
    AMQPValue::LongLongInt(n)
}

fn longstr(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn parse(entries: &[(&str, AMQPValue)]) -> Result<QueueArguments, ReplyError> {
    parse_queue_arguments("q", "/", &table(entries), true, false, false)
}

/// The explanation of refusing one argument.
fn refusal(key: &str, value: AMQPValue) -> String {
    text(parse(&[(key, value)]).map(drop))
}

/// The same as if every queue type were available.
fn refusal_of(kind: QueueType, key: &str, value: AMQPValue) -> String {
    let entries = [("x-queue-type", longstr(kind.as_str())), (key, value)];
    text(check_values(
        "queue 'q' in vhost '/'",
        kind,
        &table(&entries),
    ))
}

fn text(result: Result<(), ReplyError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code, ReplyCode::PreconditionFailed);
    error.explanation
}

fn invalid_arg(key: &str, term: &str) -> String {
    format!("invalid arg '{key}' for queue 'q' in vhost '/': {term}")
}

#[test]
fn everything_a_classic_queue_knows_is_read() {
    let parsed = parse(&[
        ("x-queue-type", longstr("classic")),
        ("x-message-ttl", AMQPValue::LongInt(1000)),
        ("x-expires", AMQPValue::ShortShortUInt(1)),
        ("x-max-length", AMQPValue::ShortInt(0)),
        ("x-max-length-bytes", long(1 << 40)),
        ("x-overflow", longstr("reject-publish-dlx")),
        ("x-dead-letter-exchange", longstr("")),
        ("x-dead-letter-routing-key", longstr("dead")),
        ("x-max-priority", AMQPValue::ShortUInt(255)),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-consumer-timeout", AMQPValue::LongUInt(5)),
        ("x-queue-mode", longstr("lazy")),
        ("x-queue-version", long(2)),
        ("x-queue-leader-locator", longstr("balanced")),
        ("x-queue-master-locator", longstr("min-masters")),
        ("x-somebodys-own", AMQPValue::Void),
    ]);
    let expected = QueueArguments {
        queue_type: QueueType::Classic,
        message_ttl_ms: Some(1000),
        expires_ms: Some(1),
        max_length: Some(0),
        max_length_bytes: Some(1 << 40),
        overflow: Overflow::RejectPublishDlx,
        dead_letter_exchange: Some(String::new()),
        dead_letter_routing_key: Some("dead".to_owned()),
        dead_letter_strategy: DeadLetterStrategy::AtMostOnce,
        max_priority: Some(255),
        single_active_consumer: true,
        delivery_limit: None,
        consumer_timeout_ms: Some(5),
    };
    assert_eq!(parsed, Ok(expected));
    assert_eq!(parse(&[]), Ok(QueueArguments::default()));
}

#[test]
fn integers_of_the_wrong_type_or_size() {
    for key in [
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
    ] {
        let got = invalid_arg(key, "\"expected integer, got longstr\"");
        assert_eq!(refusal(key, longstr("5")), got);
        assert_eq!(
            refusal(key, long(-1)),
            invalid_arg(key, "{value_negative,-1}")
        );
    }
    let wrong_types = [
        (AMQPValue::Timestamp(5), "timestamp"),
        (AMQPValue::Double(5.0), "double"),
        (AMQPValue::Boolean(true), "bool"),
        (AMQPValue::Void, "void"),
    ];
    for (value, name) in wrong_types {
        let got = format!("\"expected integer, got {name}\"");
        assert_eq!(
            refusal("x-max-length", value),
            invalid_arg("x-max-length", &got)
        );
    }
    assert_eq!(
        refusal("x-expires", long(0)),
        invalid_arg("x-expires", "{value_zero,0}")
    );
    for key in ["x-message-ttl", "x-expires"] {
        let got = invalid_arg(key, "{value_too_large,315360000001}");
        assert_eq!(refusal(key, long(315_360_000_001)), got);
        assert!(parse(&[(key, long(315_360_000_000))]).is_ok());
    }
    let got = invalid_arg("x-max-priority", "{max_value_exceeded,256}");
    assert_eq!(refusal("x-max-priority", long(256)), got);
}

#[test]
fn strings_of_the_wrong_type_or_value() {
    let term = "{unacceptable_type,long}";
    for key in [
        "x-overflow",
        "x-queue-mode",
        "x-queue-type",
        "x-queue-leader-locator",
    ] {
        assert_eq!(refusal(key, long(1)), invalid_arg(key, term));
    }
    let entries = [
        ("x-dead-letter-exchange", longstr("d")),
        ("x-dead-letter-routing-key", long(1)),
    ];
    assert_eq!(
        text(parse(&entries).map(drop)),
        invalid_arg("x-dead-letter-routing-key", term)
    );
    for (key, term) in [
        ("x-overflow", "invalid_overflow"),
        ("x-queue-leader-locator", "invalid_queue_locator_arg"),
        ("x-queue-master-locator", "invalid_queue_locator_arg"),
        ("x-queue-mode", "\"unsupported queue mode 'foo'\""),
        ("x-queue-type", "\"unsupported queue type 'foo'\""),
    ] {
        assert_eq!(refusal(key, longstr("foo")), invalid_arg(key, term));
    }
    let got = invalid_arg("x-queue-version", "\"unsupported queue version '3'\"");
    assert_eq!(refusal("x-queue-version", long(3)), got);
    let got = invalid_arg("x-single-active-consumer", "{unacceptable_type,longstr}");
    assert_eq!(refusal("x-single-active-consumer", longstr("true")), got);
}

#[test]
fn dead_lettering() {
    assert_eq!(
        refusal("x-dead-letter-exchange", long(1)),
        "invalid type 'long' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    );
    assert_eq!(
        refusal("x-dead-letter-routing-key", longstr("k")),
        invalid_arg(
            "x-dead-letter-routing-key",
            "routing_key_but_no_dlx_defined"
        )
    );
}

#[test]
fn arguments_of_other_queue_types_are_refused() {
    for key in [
        "x-delivery-limit",
        "x-max-age",
        "x-quorum-initial-group-size",
    ] {
        assert_eq!(
            refusal(key, long(1)),
            format!(
                "invalid arg '{key}' for queue 'q' in vhost '/' of queue type rabbit_classic_queue"
            )
        );
    }
    assert_eq!(
        refusal_of(QueueType::Quorum, "x-max-priority", long(1)),
        "invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"
    );
}

#[test]
fn values_only_other_queue_types_look_at() {
    let quorum = |key, value| refusal_of(QueueType::Quorum, key, value);
    let stream = |key, value| refusal_of(QueueType::Stream, key, value);
    let key = "x-dead-letter-strategy";
    assert_eq!(
        quorum(key, longstr("x")),
        invalid_arg(key, "invalid_dlx_strategy")
    );
    let key = "x-quorum-initial-group-size";
    assert_eq!(quorum(key, long(0)), invalid_arg(key, "{value_zero,0}"));
    let key = "x-max-age";
    for age in ["", "s", "1", "1w", "-1s", "1.5h"] {
        assert_eq!(
            stream(key, longstr(age)),
            invalid_arg(key, "invalid_max_age")
        );
    }
    let valid = table(&[(key, longstr("7D"))]);
    assert!(check_values("queue 'q' in vhost '/'", QueueType::Stream, &valid).is_ok());
}

#[test]
fn types_this_version_does_not_have_are_refused() {
    let term = "\"queue type 'stream' is not available on this node\"";
    let got = invalid_arg("x-queue-type", term);
    assert_eq!(refusal("x-queue-type", longstr("stream")), got);
}

#[test]
fn row_q_30_properties() {
    let check = |kind, durable, exclusive, auto_delete| {
        check_properties(
            "queue 'q' in vhost '/'",
            kind,
            durable,
            exclusive,
            auto_delete,
        )
    };
    for kind in [QueueType::Quorum, QueueType::Stream] {
        assert!(check(kind, true, false, false).is_ok());
        for (result, name) in [
            (check(kind, false, false, false), "non-durable"),
            (check(kind, false, true, false), "exclusive-owner"),
            (check(kind, false, true, true), "auto-delete"),
        ] {
            let expected = format!("invalid property '{name}' for queue 'q' in vhost '/'");
            assert_eq!(text(result), expected);
        }
    }
    assert!(check(QueueType::Classic, false, true, true).is_ok());
}

fn any_value() -> impl Strategy<Value = AMQPValue> {
    prop_oneof![
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<Vec<u8>>().prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        Just(AMQPValue::Void),
    ]
}

proptest! {
    #[test]
    fn any_arguments_are_answered(
        entries in prop::collection::vec((0..KEYS.len(), any_value()), 0..4)
    ) {
        let mut arguments = FieldTable::default();
        for (key, value) in entries {
            arguments.insert(ShortString::from(KEYS[key].name), value);
        }
        if let Ok(parsed) = parse_queue_arguments("q", "/", &arguments, true, false, false) {
            prop_assert_ne!(parsed.expires_ms, Some(0));
            prop_assert!(parsed.message_ttl_ms.unwrap_or(0) <= 315_360_000_000);
            for key in ["x-max-length", "x-max-length-bytes", "x-max-priority"] {
                prop_assert!(
                    !arguments.contains_key(key) || parsed != QueueArguments::default()
                );
            }
        }
    }
}
