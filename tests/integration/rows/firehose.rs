//! Section 9.5: traced messages and events.

use super::managed::{eventually, managed, managed_with, put, remove, see};
use crate::{
    dialogue::*,
    harness::{Broker, is_oracle, unique},
};
use std::net::SocketAddr;

fn trace(http: SocketAddr, vhost: &str, on: bool) {
    let body = format!(r#"{{"tracing":{on}}}"#);
    put(http, &format!("/api/vhosts/{vhost}"), &body);
}

/// A client with a queue that gets everything `exchange` says.
fn listener(broker: &Broker, exchange: &str, key: &str) -> (Peer, String) {
    let mut c = broker.client();
    let q = unique("heard");
    c.call(1, declare(&q));
    c.call(1, bind(&q, exchange, key));
    (c, q)
}

#[test]
fn o20_o21_what_is_published_and_delivered_is_traced() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let (mut ear, heard) = listener(&broker, "amq.rabbitmq.trace", "#");
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, declare("two"));
    for q in ["q", "two"] {
        c.call(1, bind(q, "amq.direct", "k"));
    }
    c.publish("amq.direct", "k", "before");
    // Answered after the publish, which is not answered, and so before tracing begins.
    c.call(1, declare("q"));
    trace(http, "%2F", true);
    assert_eq!(see(http, "/api/vhosts/%2F")["tracing"], true);
    let props = properties()
        .with_content_type("text/plain".into())
        .with_delivery_mode(2)
        .with_headers(table(&[("CC", array(vec![string("other")]))]));
    c.publish_with(1, publish("amq.direct", "k"), &props, b"body");

    let published = ear.get_eventually(&heard);
    assert_eq!(published.text(), "body");
    assert_eq!(published.method.routing_key.as_str(), "publish.amq.direct");
    assert_eq!(published.method.exchange.as_str(), "amq.rabbitmq.trace");
    let headers = published.headers();
    assert_eq!(field(&headers, "exchange_name"), &string("amq.direct"));
    let keys = array(vec![string("k"), string("other")]);
    assert_eq!(field(&headers, "routing_keys"), &keys);
    assert_eq!(field(&headers, "vhost"), &string("/"));
    assert_eq!(field(&headers, "user"), &string("guest"));
    assert_eq!(field(&headers, "channel"), &int(1));
    let mut routed = members(field(&headers, "routed_queues")).to_vec();
    routed.sort_by_key(|name| format!("{name:?}"));
    assert_eq!(routed, [string("q"), string("two")]);
    let their = fields(field(&headers, "properties")).clone();
    assert_eq!(field(&their, "content_type"), &string("text/plain"));
    assert_eq!(field(&their, "delivery_mode"), &int(2));
    assert!(fields(field(&their, "headers")).contains_key("CC"));
    let node = see(http, "/api/overview")["node"].clone();
    assert_eq!(field(&headers, "node"), &string(node.as_str().unwrap()));

    // A get and a consumer are traced alike, and so is what comes again.
    c.take("q", "before");
    let got = c.get("q").expect("a message");
    c.send(1, nack(got.method.delivery_tag));
    c.call(1, consume("q", "t"));
    c.expect_bodies(&["body"]);
    let deliveries: Vec<_> = (0..3).map(|_| ear.get_eventually(&heard)).collect();
    for (delivery, again) in deliveries.iter().zip([0, 0, 1]) {
        assert_eq!(delivery.method.routing_key.as_str(), "deliver.q");
        let headers = delivery.headers();
        assert_eq!(field(&headers, "redelivered"), &int(again));
        assert_eq!(field(&headers, "exchange_name"), &string("amq.direct"));
        assert!(!headers.contains_key("routed_queues"));
    }
    // What the firehose says to its listeners is not traced in turn.
    assert!(ear.get(&heard).is_none());
    trace(http, "%2F", false);
    c.publish("amq.direct", "k", "after");
    c.expect_bodies(&["after"]);
    assert!(ear.get(&heard).is_none());
}

#[test]
fn o20_tracing_ends_with_the_node() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (mut broker, http) = managed();
    trace(http, "v1", true);
    broker.terminate();
    broker.start_again_with(&["--management-addr", "127.0.0.1:0"]);
    let http = broker.management_addr();
    assert_eq!(see(http, "/api/vhosts/v1")["tracing"], false);
}

/// Waits for an event with this key and these texts among its headers.
#[track_caller]
fn await_event(ear: &mut Peer, heard: &str, key: &str, texts: &[(&str, &str)]) -> FieldTable {
    let mut seen = Vec::new();
    let mut found = None;
    eventually(&format!("{key} {texts:?}"), || {
        while let Some(event) = ear.get(heard) {
            ear.send(1, ack(event.method.delivery_tag));
            let headers = event.headers();
            let name = event.method.routing_key.to_string();
            let fits = texts
                .iter()
                .all(|(key, value)| headers.inner().get(*key) == Some(&string(value)));
            if name == key && fits {
                assert!(event.body.is_empty());
                assert_eq!(event.properties().delivery_mode(), &Some(2));
                assert!(event.properties().timestamp().is_some());
                assert!(headers.contains_key("timestamp_in_ms"));
                found = Some(headers);
                return true;
            }
            seen.push(format!("{name} {headers:?}"));
        }
        false
    });
    found.unwrap_or_else(|| panic!("{seen:#?}"))
}

#[test]
fn o23_o24_events_are_published() {
    if is_oracle() {
        return; // its plugin is not on
    }
    let (broker, http) = managed_with(&["event_exchange.vhost = /"]);
    let (mut ear, heard) = listener(&broker, "amq.rabbitmq.event", "#");
    let mut expect = |key: &str, texts: &[(&str, &str)]| await_event(&mut ear, &heard, key, texts);
    let guest = ("user_who_performed_action", "guest");

    let mut c = broker.client();
    expect("user.authentication.success", &[("name", "guest")]);
    let created = expect(
        "connection.created",
        &[("user", "guest"), ("vhost", "/"), guest],
    );
    let AMQPValue::LongString(name) = field(&created, "name").clone() else {
        panic!("{created:?}");
    };
    let name = text(&name).to_owned();
    expect("channel.created", &[("connection", &name), guest]);
    c.call(1, declare("q"));
    expect("queue.created", &[("name", "q"), ("vhost", "/"), guest]);
    c.call(1, declare_exchange("x", "topic"));
    expect(
        "exchange.created",
        &[("name", "x"), ("type", "topic"), guest],
    );
    c.call(1, bind("q", "x", "k"));
    let bound = [
        ("source_name", "x"),
        ("destination_name", "q"),
        ("routing_key", "k"),
        guest,
    ];
    expect("binding.created", &bound);
    c.call(1, consume("q", "tag"));
    expect(
        "consumer.created",
        &[("consumer_tag", "tag"), ("queue", "q"), guest],
    );
    c.call(1, cancel("tag"));
    expect("consumer.deleted", &[("consumer_tag", "tag"), guest]);
    let policy = r#"{"pattern":"^q$","definition":{"max-length":5}}"#;
    put(http, "/api/policies/%2F/p", policy);
    let set = expect(
        "policy.set",
        &[("name", "p"), ("vhost", "/"), ("pattern", "^q$"), guest],
    );
    assert_eq!(
        field(fields(field(&set, "definition")), "max-length"),
        &long(5)
    );
    expect("queue.policy.updated", &[("name", "q"), ("policy", "p")]);
    remove(http, "/api/policies/%2F/p");
    expect("policy.cleared", &[("name", "p")]);
    expect("queue.policy.cleared", &[("name", "q")]);
    c.call(1, delete("q"));
    expect("binding.deleted", &bound);
    expect("queue.deleted", &[("name", "q"), guest]);
    c.call(1, delete_exchange("x"));
    expect("exchange.deleted", &[("name", "x"), guest]);

    put(http, "/api/vhosts/shop", r#"{"description":"d"}"#);
    expect(
        "vhost.created",
        &[("name", "shop"), ("description", "d"), guest],
    );
    put(http, "/api/vhost-limits/shop/max-queues", r#"{"value":7}"#);
    expect("vhost.limits.set", &[("name", "shop")]);
    put(
        http,
        "/api/users/ann",
        r#"{"password":"ann","tags":"management"}"#,
    );
    expect("user.created", &[("name", "ann"), guest]);
    expect("user.tags.set", &[("name", "ann")]);
    put(
        http,
        "/api/users/ann",
        r#"{"password":"new","tags":"management"}"#,
    );
    expect("user.password.changed", &[("name", "ann")]);
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    put(http, "/api/permissions/shop/ann", all);
    expect(
        "permission.created",
        &[("user", "ann"), ("vhost", "shop"), ("write", ".*")],
    );
    remove(http, "/api/permissions/shop/ann");
    expect("permission.deleted", &[("user", "ann"), ("vhost", "shop")]);
    let topic = r#"{"exchange":"amq.topic","write":"^a","read":"^b"}"#;
    put(http, "/api/topic-permissions/shop/ann", topic);
    expect(
        "topic.permission.created",
        &[("user", "ann"), ("exchange", "amq.topic")],
    );
    put(http, "/api/global-parameters/motto", r#"{"value":"run"}"#);
    expect("parameter.set", &[("name", "motto"), ("value", "run")]);
    remove(http, "/api/users/ann");
    expect("user.deleted", &[("name", "ann"), guest]);
    remove(http, "/api/vhosts/shop");
    expect("vhost.deleted", &[("name", "shop")]);

    let mut stranger = broker.peer();
    stranger.start();
    stranger.send(0, Login::as_user("nobody").start_ok());
    let failed = [("name", "nobody"), ("auth_mechanism", "PLAIN")];
    expect("user.authentication.failure", &failed);
    c.call(1, close_channel());
    expect("channel.closed", &[("connection", &name), guest]);
    c.call(0, close_connection());
    expect("connection.closed", &[("name", &name), guest]);
}

#[test]
fn o23_without_the_key_there_is_no_event_exchange() {
    let mut c = crate::harness::client();
    let passive = exchange::Declare {
        passive: true,
        ..declare_exchange("amq.rabbitmq.event", "topic")
    };
    c.send(1, passive);
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 404);
}

#[test]
fn o23_an_alarm_is_an_event() {
    if is_oracle() {
        return; // its plugin is not on
    }
    let (broker, http) = managed_with(&["event_exchange.vhost = /"]);
    let (mut ear, heard) = listener(&broker, "amq.rabbitmq.event", "alarm.*");
    let node = see(http, "/api/nodes")[0]["name"].clone();
    let limits = format!("/api/nodes/{}/limits", node.as_str().unwrap());
    put(http, &limits, r#"{"vm_memory_high_watermark_absolute":1}"#);
    await_event(&mut ear, &heard, "alarm.set", &[("source", "memory")]);
    put(http, &limits, r#"{"vm_memory_high_watermark":0.9}"#);
    await_event(&mut ear, &heard, "alarm.cleared", &[("source", "memory")]);
}
