//! Sections 6 and 7: policies put in force live, limits, topic permissions; set over HTTP.

use super::managed::{eventually, managed, put, remove};
use crate::{
    dialogue::*,
    harness::{http_get, is_oracle, unique},
};
use std::net::SocketAddr;

fn set_policy(addr: SocketAddr, name: &str, pattern: &str, definition: &str) {
    let body = format!(r#"{{"pattern":"{pattern}","definition":{definition}}}"#);
    put(addr, &format!("/api/policies/%2F/{name}"), &body);
}

fn count(c: &mut Peer, q: &str) -> u32 {
    c.call(1, declare_passive(q)).message_count
}

#[test]
fn l5_policies_apply_live() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();

    // Length and dead letters.
    let (q, dead) = (unique("l5len"), unique("l5dead"));
    c.call(1, declare(&q));
    c.call(1, declare(&dead));
    for n in 0..5 {
        c.put(&q, &n.to_string());
    }
    assert_eq!(count(&mut c, &q), 5);
    let definition = format!(
        r#"{{"max-length":2,"dead-letter-exchange":"","dead-letter-routing-key":"{dead}"}}"#
    );
    set_policy(http, "len", &format!("^{q}$"), &definition);
    assert_eq!(c.drain(&q), ["3", "4"]);
    assert_eq!(c.drain(&dead), ["0", "1", "2"]);
    let (status, shown) = http_get(http, &format!("/api/queues/%2F/{q}"), Some("guest"));
    assert_eq!(status, 200);
    assert!(shown.contains(r#""policy":"len""#), "{shown}");
    assert!(shown.contains(r#""max-length":2"#), "{shown}");

    // An operator policy makes it stricter; without both, there is no limit.
    let body = format!(r#"{{"pattern":"^{q}$","definition":{{"max-length":1}}}}"#);
    put(http, "/api/operator-policies/%2F/op", &body);
    c.put(&q, "a");
    c.put(&q, "b");
    assert_eq!(c.drain(&q), ["b"]);
    remove(http, "/api/operator-policies/%2F/op");
    remove(http, "/api/policies/%2F/len");
    for n in 0..5 {
        c.put(&q, &n.to_string());
    }
    assert_eq!(count(&mut c, &q), 5);

    // Time to live, also for what is there.
    set_policy(http, "ttl", &format!("^{q}$"), r#"{"message-ttl":50}"#);
    eventually("the messages expire", || count(&mut c, &q) == 0);

    // Refusing publishes.
    set_policy(
        http,
        "ttl",
        &format!("^{q}$"),
        r#"{"max-length":1,"overflow":"reject-publish"}"#,
    );
    c.call(1, confirm_select());
    c.publish("", &q, "one");
    c.expect::<basic::Ack>(1);
    c.publish("", &q, "two");
    c.expect::<basic::Nack>(1);

    // An unused queue goes.
    set_policy(http, "ttl", &format!("^{q}$"), r#"{"expires":50}"#);
    let path = format!("/api/queues/%2F/{q}");
    eventually("the queue expires", || {
        http_get(http, &path, Some("guest")).0 == 404
    });
}

#[test]
fn l5_alternate_exchange_applies_live() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let (x, q) = (unique("l5x"), unique("l5ae"));
    c.call(1, declare_exchange(&x, "direct"));
    c.call(1, declare(&q));
    c.call(1, bind(&q, "amq.fanout", ""));
    c.publish(&x, "k", "before");
    assert_eq!(count(&mut c, &q), 0);
    let definition = r#"{"alternate-exchange":"amq.fanout"}"#;
    set_policy(http, "ae", &format!("^{x}$"), definition);
    c.publish(&x, "k", "with");
    c.take(&q, "with");
    remove(http, "/api/policies/%2F/ae");
    c.publish(&x, "k", "after");
    assert_eq!(count(&mut c, &q), 0);
}

#[test]
fn l5_policies_outlive_a_restart() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (mut broker, http) = managed();
    set_policy(http, "p", "^l5r", r#"{"max-length":1}"#);
    let mut c = broker.client();
    let q = unique("l5r");
    let durable = |q: &str| queue::Declare {
        durable: true,
        ..declare(q)
    };
    c.call(1, durable(&q));
    broker.restart();
    let mut c = broker.client();
    c.put(&q, "one");
    c.put(&q, "two");
    assert_eq!(c.drain(&q), ["two"]);
}

#[test]
fn q17_a_vhost_holds_so_many_queues() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    put(http, "/api/vhost-limits/%2F/max-queues", r#"{"value":1}"#);
    let mut c = broker.client();
    c.call(1, declare("first"));
    c.call(1, declare("first"));
    c.send(1, declare("second"));
    let text = "PRECONDITION_FAILED - cannot declare queue 'second': queue limit in vhost '/' (1) is \
                reached";
    c.expect_channel_error(1, 406, text, (50, 10));
}

#[test]
fn u22_a_vhost_has_so_many_connections() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    put(
        http,
        "/api/vhost-limits/v1/max-connections",
        r#"{"value":1}"#,
    );
    let login = || Login::default().at("v1");
    let first = broker.log_in(&login());
    let mut second = broker.peer();
    second.tune(&login());
    second.send(0, open_vhost("v1"));
    let text = "NOT_ALLOWED - access to vhost 'v1' refused for user 'guest': connection limit (1) is \
                reached";
    second.expect_connection_error(530, text, (10, 40));
    drop(first);
    remove(http, "/api/vhost-limits/v1/max-connections");
    broker.log_in(&login());
}

#[test]
fn u23_a_user_has_so_many_connections_and_channels() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    put(
        http,
        "/api/user-limits/guest/max-channels",
        r#"{"value":1}"#,
    );
    put(
        http,
        "/api/user-limits/guest/max-connections",
        r#"{"value":1}"#,
    );
    let mut c = broker.client();
    let mut other = broker.peer();
    other.tune(&Login::default());
    other.send(0, open_vhost("/"));
    let text =
        "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached";
    other.expect_connection_error(530, text, (10, 40));
    c.send(2, channel::Open {});
    c.expect_connection_error_like(530, "channels opened for user 'guest'");
}

#[test]
fn u10_topic_permissions_count_for_publish_and_bind() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let body = r#"{"exchange":"amq.topic","write":"^{username}\\.","read":"^free"}"#;
    put(http, "/api/topic-permissions/%2F/guest", body);
    let mut c = broker.client();
    let q = unique("u10");
    c.call(1, declare(&q));
    c.call(1, bind(&q, "amq.topic", "free.#"));
    c.publish("amq.topic", "guest.x", "fine");
    c.publish("amq.topic", "other.x", "refused");
    let prefix = |access: &str, key: &str| {
        format!(
            "ACCESS_REFUSED - {access} access to topic '{key}' in exchange 'amq.topic' in vhost \
             '/' refused for user 'guest'"
        )
    };
    c.expect_channel_error(1, 403, &prefix("write", "other.x"), (60, 40));
    let mut c = broker.client();
    c.send(1, bind(&q, "amq.topic", "#"));
    c.expect_channel_error(1, 403, &prefix("read", "#"), (50, 20));
    // Seen by those who are connected already.
    let mut c = broker.client();
    remove(http, "/api/topic-permissions/%2F/guest/amq.topic");
    c.publish("amq.topic", "other.x", "fine");
    c.expect_alive();
}

#[test]
fn u13_keys_in_headers_are_checked_too() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let body = r#"{"exchange":"amq.topic","write":"^free","read":".*"}"#;
    put(http, "/api/topic-permissions/%2F/guest", body);
    for header in ["CC", "BCC"] {
        for (key, allowed) in [("free.too", true), ("secret", false)] {
            let headers = table(&[(header, array(vec![string(key)]))]);
            let method = publish("amq.topic", "free.x");
            c.publish_with(1, method, &with_headers(headers), b"x");
            if allowed {
                c.expect_alive();
                continue;
            }
            let text = "ACCESS_REFUSED - write access to topic 'secret' in exchange 'amq.topic' in \
                        vhost '/' refused for user 'guest'";
            c.expect_channel_error(1, 403, text, (60, 40));
            c.open_channel(1);
        }
    }
}
