//! Prometheus metrics after traffic.

use super::start;
use crate::{
    dialogue::*,
    harness::{http_get, unique},
};

/// The value of a series, which must be there.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {series} in {text}"));
    line.parse().unwrap()
}

#[test]
fn series_equal_what_happened() {
    let mut broker = start(&[]);
    let q = unique("metered");
    let mut c = broker.client();
    c.call(1, declare(&q));
    c.call(1, confirm_select());
    for body in ["x", "yy", "zzz"] {
        c.put(&q, body);
        c.expect::<basic::Ack>(1);
    }
    let big = "b".repeat(5000);
    c.put(&q, &big);
    c.expect::<basic::Ack>(1);
    c.call(1, consume(&q, "t"));
    c.expect_bodies(&["x", "yy", "zzz", &big]);
    c.send(1, ack(1));
    c.call(1, qos(0));
    let addr = broker.http_addr("Prometheus");
    let text = http_get(addr, "/metrics", None).1;
    let global = |name: &str, queue: bool| {
        let queue = if queue {
            ",queue_type=\"rabbit_classic_queue\""
        } else {
            ""
        };
        let labels = format!("{{protocol=\"amqp091\"{queue}}}");
        value(
            &text,
            &format!("rabbitmq_global_messages_{name}_total{labels}"),
        )
    };
    assert_eq!(global("received", false), 4.0);
    assert_eq!(global("received_confirm", false), 4.0);
    assert_eq!(global("routed", false), 4.0);
    assert_eq!(global("confirmed", false), 4.0);
    assert_eq!(global("delivered", true), 4.0);
    assert_eq!(global("delivered_consume_manual_ack", true), 4.0);
    assert_eq!(global("acknowledged", true), 1.0);
    assert_eq!(value(&text, "rabbitmq_queue_messages_unacked"), 3.0);
    assert_eq!(value(&text, "rabbitmq_channel_messages_unacked"), 3.0);
    assert_eq!(
        value(&text, "rabbitmq_global_publishers{protocol=\"amqp091\"}"),
        1.0
    );
    assert_eq!(
        value(&text, "rabbitmq_global_consumers{protocol=\"amqp091\"}"),
        1.0
    );
    let bucket = |le: &str| {
        let name = "rabbitmq_message_size_bytes_bucket";
        value(
            &text,
            &format!("{name}{{protocol=\"amqp091\",le=\"{le}\"}}"),
        )
    };
    assert_eq!(
        (bucket("100.0"), bucket("1000.0"), bucket("10000.0")),
        (3.0, 3.0, 4.0)
    );
    assert_eq!(bucket("+Inf"), 4.0);
    let sum = value(
        &text,
        "rabbitmq_message_size_bytes_sum{protocol=\"amqp091\"}",
    );
    assert_eq!(sum, 5006.0);
    let text = http_get(addr, "/metrics/per-object", None).1;
    let published = format!("rabbitmq_queue_messages_published_total{{vhost=\"/\",queue=\"{q}\"}}");
    assert_eq!(value(&text, &published), 4.0);
    let path = "/metrics/detailed?vhost=%2F&family=queue_coarse_metrics";
    let text = http_get(addr, path, None).1;
    let unacked = format!("rabbitmq_detailed_queue_messages_unacked{{vhost=\"/\",queue=\"{q}\"}}");
    assert_eq!(value(&text, &unacked), 3.0);
    assert!(!text.contains("published_total"));
}
