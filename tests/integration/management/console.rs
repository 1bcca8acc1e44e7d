//! What the console needs beyond RabbitMQ's API, with clients connected: who holds what, the hand
//! on the tap, what went nowhere, words as filters.

use serde_json::{Value, json};

use super::{api, await_seen, see, start};
use crate::dialogue::*;
use crate::harness::{Broker, http_send};

fn post(broker: &mut Broker, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("/api/console{path}");
    let body = body.to_string();
    let (status, text) = http_send(
        broker.management_addr(),
        "POST",
        &path,
        Some("guest"),
        &body,
    );
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// What is done to the consumer `tag` of `q`, on the channel that is shown for it.
fn operate(broker: &mut Broker, action: &str, tag: &str) -> u16 {
    let shown = see(broker, "/console/queues/%2F/q/unacked");
    let consumers = shown["consumers"].as_array().unwrap();
    let one = consumers.iter().find(|c| c["consumer_tag"] == tag).unwrap();
    let body = json!({ "action": action, "channel": one["channel"], "consumer_tag": tag });
    post(broker, "/queues/%2F/q/consumers", &body).0
}

#[test]
fn what_consumers_hold_is_shown_with_its_holder() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, qos(2));
    c.call(1, consume("q", "mine"));
    for body in ["a", "bb", "ccc"] {
        c.put("q", body);
    }
    c.expect_bodies(&["a", "bb"]);
    let seen = see(&mut broker, "/console/queues/%2F/q/unacked");
    assert_eq!(seen["total"], 2);
    let held = seen["held"].as_array().unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(held[0]["consumer_tag"], "mine");
    assert_eq!(held[0]["delivery_tag"], 1);
    assert_eq!(held[1]["bytes"], 2);
    assert_eq!(held[1]["routing_key"], "q");
    assert!(held[0]["channel"].as_str().unwrap().ends_with("(1)"));
    let consumer = &seen["consumers"][0];
    assert_eq!(
        (&consumer["in_flight"], &consumer["prefetch"]),
        (&json!(2), &json!(2))
    );
    c.send(1, ack_up_to(2));
    c.expect_deliver(1);
    let held = |seen: &Value| seen["held"].as_array().map_or(9, Vec::len);
    let seen = await_seen(&mut broker, "/console/queues/%2F/q/unacked", |seen| {
        held(seen) == 1 && seen["consumers"][0]["settled"] == 2
    });
    assert_eq!(seen["held"][0]["delivery_tag"], 3);
}

#[test]
fn a_paused_queue_keeps_its_messages_until_it_goes_on() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, consume("q", "mine"));
    let (status, answer) = post(
        &mut broker,
        "/queues/%2F/q/delivery",
        &json!({ "paused": true }),
    );
    assert_eq!((status, &answer["paused"]), (200, &json!(true)));
    c.put("q", "held back");
    c.call(1, qos(0));
    let page = see(&mut broker, "/queues?page=1&filter=is:paused%20ready%3E0");
    assert_eq!(page["items"][0]["name"], "q");
    assert_eq!(page["items"][0]["paused"], true);
    let attention = see(&mut broker, "/console/attention");
    assert_eq!(attention["items"][0]["kind"], "paused");
    // basic.get is served all the same.
    let got = c.get_on(1, get("q")).expect("ready");
    c.send(1, reject(got.method.delivery_tag, true));
    post(
        &mut broker,
        "/queues/%2F/q/delivery",
        &json!({ "paused": false }),
    );
    assert_eq!(c.expect_deliver(1).text(), "held back");
    let (status, _) = post(&mut broker, "/queues/%2F/q/delivery", &json!({}));
    assert_eq!(status, 400);
    let (status, _) = post(
        &mut broker,
        "/queues/%2F/nope/delivery",
        &json!({ "paused": true }),
    );
    assert_eq!(status, 404);
}

#[test]
fn a_paused_consumer_leaves_its_share_to_the_others() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, consume("q", "first"));
    c.call(1, consume("q", "second"));
    assert_eq!(operate(&mut broker, "pause", "first"), 200);
    for _ in 0..4 {
        c.put("q", "x");
    }
    for _ in 0..4 {
        let tag = c.expect_deliver(1).method.consumer_tag;
        assert_eq!(tag.as_str(), "second");
    }
    let consumers = see(&mut broker, "/consumers?page=1&filter=is:paused");
    assert_eq!(consumers["items"][0]["consumer_tag"], "first");
    assert_eq!(operate(&mut broker, "resume", "first"), 200);
    assert_eq!(operate(&mut broker, "pause", "second"), 200);
    c.put("q", "y");
    let tag = c.expect_deliver(1).method.consumer_tag;
    assert_eq!(tag.as_str(), "first");
}

#[test]
fn a_consumer_ended_by_an_operator_is_told() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, consume("q", "mine"));
    c.put("q", "held");
    let held = c.expect_deliver(1);
    assert_eq!(operate(&mut broker, "cancel", "mine"), 200);
    let told: basic::Cancel = c.expect(1);
    assert_eq!(told.consumer_tag.as_str(), "mine");
    c.put("q", "waits");
    // What it held it may still settle.
    c.send(1, ack(held.method.delivery_tag));
    let queue = await_seen(&mut broker, "/queues/%2F/q", |queue| {
        queue["consumers"] == 0 && queue["messages_unacknowledged"] == 0
    });
    assert_eq!(queue["messages_ready"], 1);
    let gone = json!({ "action": "cancel", "channel": "nobody (1)", "consumer_tag": "mine" });
    assert_eq!(post(&mut broker, "/queues/%2F/q/consumers", &gone).0, 404);
    let wrong = json!({ "action": "shoot", "channel": "c", "consumer_tag": "t" });
    assert_eq!(post(&mut broker, "/queues/%2F/q/consumers", &wrong).0, 400);
}

#[test]
fn what_reached_no_queue_is_remembered() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    for _ in 0..3 {
        c.publish("amq.direct", "nowhere", "lost");
    }
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish("amq.topic", "back.to.sender")
    };
    c.publish_with(1, mandatory, &properties(), b"returned");
    let _: Message<basic::Return> = c.expect_message(1);
    let seen = await_seen(&mut broker, "/console/unroutable", |seen| {
        seen["items"]
            .as_array()
            .is_some_and(|items| items.len() == 2)
    });
    let items = seen["items"].as_array().unwrap();
    let of = |exchange: &str| items.iter().find(|i| i["exchange"] == exchange).unwrap();
    let dropped = of("amq.direct");
    assert_eq!(
        (&dropped["routing_key"], &dropped["messages"]),
        (&json!("nowhere"), &json!(3))
    );
    assert_eq!(dropped["returned"], false);
    assert_eq!(dropped["user"], "guest");
    assert!(dropped["connection"].as_str().unwrap().contains(" -> "));
    assert_eq!(of("amq.topic")["returned"], true);
    let attention = see(&mut broker, "/console/attention");
    let kinds = attention["items"].as_array().unwrap().iter();
    assert!(kinds.into_iter().any(|item| item["kind"] == "unroutable"));
}

#[test]
fn lists_are_filtered_by_words() {
    let mut broker = start(&[]);
    let mut c = broker.client();
    for (name, messages) in [("orders.eu", 3), ("orders.us", 0), ("invoices", 5)] {
        c.call(1, declare(name));
        for _ in 0..messages {
            c.put(name, "x");
        }
    }
    c.call(1, consume("orders.us", ""));
    c.call(1, qos(0));
    for (filter, wanted) in [
        ("orders", vec!["orders.eu", "orders.us"]),
        ("ready%3E2", vec!["invoices", "orders.eu"]),
        ("ready%3E2%20orders", vec!["orders.eu"]),
        ("no:consumers%20-orders", vec!["invoices"]),
        ("has:consumers", vec!["orders.us"]),
        ("name:*.us", vec!["orders.us"]),
        ("~%5Einv", vec!["invoices"]),
        ("type:quorum", vec![]),
    ] {
        let page = see(
            &mut broker,
            &format!("/queues?page=1&columns=name&filter={filter}"),
        );
        let items = page["items"].as_array().unwrap().iter();
        let names: Vec<_> = items.map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, wanted, "{filter}");
        assert_eq!(page["total_count"], 3);
    }
    let (status, error) = api(&mut broker, "/queues?page=1&filter=ready%3Emany");
    assert_eq!(status, 400);
    assert!(
        error["reason"]
            .as_str()
            .unwrap()
            .contains("a number is missing")
    );
    let page = see(
        &mut broker,
        "/connections?page=1&filter=user:guest%20channels%3E0",
    );
    assert_eq!(page["filtered_count"], 1);
}
