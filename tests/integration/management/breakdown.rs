//! What passes between two objects, told apart with `management.rates_mode = detailed`; and the
//! stores of delayed exchanges, which are told to nobody.

use serde_json::Value;

use super::{await_seen, encoded, see, start};
use crate::dialogue::*;
use crate::harness::http_send;

#[test]
fn pairs_of_objects_are_told_apart_when_asked_for() {
    let interval = "collect_statistics_interval = 100";
    let mut broker = start(&[interval, "management.rates_mode = detailed"]);
    assert_eq!(see(&mut broker, "/overview")["rates_mode"], "detailed");
    let mut c = broker.client();
    c.call(1, confirm_select());
    for queue in ["q1", "q2"] {
        c.call(1, declare(queue));
        c.call(1, bind(queue, "amq.fanout", ""));
    }
    for (exchange, key) in [
        ("amq.fanout", ""),
        ("amq.fanout", ""),
        ("", "q1"),
        ("", "nope"),
    ] {
        c.publish(exchange, key, "x");
        c.expect::<basic::Ack>(1);
    }
    c.call(1, consume("q1", "t"));
    for _ in 0..3 {
        let tag = c.expect_deliver(1).method.delivery_tag;
        c.send(1, ack(tag));
    }
    c.get("q2").unwrap();
    let connection = see(&mut broker, "/connections")[0]["name"].clone();
    let channel = format!("{} (1)", connection.as_str().unwrap());
    let at = format!("/channels/{}", encoded(&channel));
    // What passed with the object named `other`, as a list of the channel, queue or exchange shows.
    let passed = |object: &Value, list: &str, other: &str, count: &str| {
        let entries = object[list].as_array().unwrap();
        let found = entries.iter().find(|entry| {
            let others = ["exchange", "queue", "channel_details"];
            others.iter().any(|kind| entry[*kind]["name"] == other)
        });
        let found = found.unwrap_or_else(|| panic!("{list} of {other}: {object:#}"));
        let rate = format!("{count}_details");
        assert!(found["stats"][rate]["rate"].is_f64(), "{found}");
        found["stats"][count].as_u64().unwrap()
    };
    let acked = |channel: &Value| {
        let deliveries = channel["deliveries"].as_array().unwrap();
        deliveries.iter().any(|entry| entry["stats"]["ack"] == 3)
    };
    let shown = await_seen(&mut broker, &at, acked);
    assert_eq!(passed(&shown, "publishes", "amq.fanout", "publish"), 2);
    assert_eq!(passed(&shown, "publishes", "", "publish"), 2);
    assert_eq!(passed(&shown, "publishes", "", "drop_unroutable"), 1);
    assert_eq!(passed(&shown, "deliveries", "q1", "deliver"), 3);
    assert_eq!(passed(&shown, "deliveries", "q2", "get"), 1);
    let queue = see(&mut broker, "/queues/%2F/q1");
    assert_eq!(passed(&queue, "incoming", "amq.fanout", "publish"), 2);
    assert_eq!(passed(&queue, "incoming", "", "publish"), 1);
    assert_eq!(passed(&queue, "deliveries", &channel, "ack"), 3);
    let exchange = see(&mut broker, "/exchanges/%2F/amq.fanout");
    assert_eq!(passed(&exchange, "incoming", &channel, "publish"), 2);
    assert_eq!(passed(&exchange, "outgoing", "q2", "publish"), 2);
}

#[test]
fn without_being_asked_for_they_are_not() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.put("q", "x");
    c.call(1, qos(0));
    assert_eq!(see(&mut broker, "/overview")["rates_mode"], "basic");
    let queue = see(&mut broker, "/queues/%2F/q");
    assert_eq!(queue["incoming"], serde_json::json!([]));
    let exchange = see(&mut broker, "/exchanges/%2F/amq.default");
    assert_eq!(exchange["outgoing"], serde_json::json!([]));
}

#[test]
fn the_stores_of_delayed_exchanges_are_not_shown() {
    let mut broker = start(&[]);
    let api = broker.management_addr();
    let send = |method: &str, path: &str, body: &str| {
        let (status, answer) = http_send(api, method, path, Some("guest"), body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    };
    let delayed =
        r#"{"type":"x-delayed-message","durable":true,"arguments":{"x-delayed-type":"fanout"}}"#;
    send("PUT", "/api/exchanges/%2F/later", delayed);
    send("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#);
    send("POST", "/api/bindings/%2F/e/later/q/q", "{}");
    let message = r#"{"properties":{"headers":{"x-delay":3600000}},"routing_key":"","payload":"x","payload_encoding":"string"}"#;
    send("POST", "/api/exchanges/%2F/later/publish", message);
    let exchange = see(&mut broker, "/exchanges/%2F/later");
    assert_eq!(exchange["messages_delayed"], 1);
    assert_eq!(see(&mut broker, "/queues").as_array().unwrap().len(), 1);
    assert_eq!(see(&mut broker, "/overview")["object_totals"]["queues"], 1);
    for path in ["/definitions", "/definitions/%2F", "/bindings", "/queues"] {
        let text = see(&mut broker, path).to_string();
        assert!(!text.contains("amq.delayed"), "{path}: {text}");
    }
    let metrics = broker.http_addr("Prometheus");
    let (_, text) = crate::harness::http_get(metrics, "/metrics/per-object", None);
    assert!(!text.contains("amq.delayed"), "{text}");
}
