//! Sections 1.6, 7 and 8: what operators do to clients that are connected, and what they see of
//! them.

use super::managed::{eventually, managed, managed_with, put, remove, see};
use crate::{
    dialogue::*,
    harness::{Broker, http_get, http_send, http_send_with, is_oracle, unique},
};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The name of the only connection of `user`, as operators see it.
fn connection_name(http: SocketAddr, user: &str) -> String {
    let connections = see(http, "/api/connections");
    let all = connections.as_array().expect("a list");
    let mine = all.iter().find(|connection| connection["user"] == user);
    mine.expect("a connection")["name"]
        .as_str()
        .expect("a name")
        .to_owned()
}

fn encoded(name: &str) -> String {
    name.replace(' ', "%20").replace('>', "%3E")
}

/// A client of its own broker with this name and password, who may do everything in `vhost`.
fn newcomer(broker: &Broker, http: SocketAddr, name: &str, vhost: &str) -> Peer {
    let body = format!(r#"{{"password":"{name}","tags":""}}"#);
    put(http, &format!("/api/users/{name}"), &body);
    put(http, &format!("/api/vhosts/{vhost}"), "{}");
    let path = format!("/api/permissions/{vhost}/{name}");
    put(
        http,
        &path,
        r#"{"configure":".*","write":".*","read":".*"}"#,
    );
    broker.client_as(&Login::as_user(name).at(vhost))
}

#[test]
fn c37_c39_operators_close_connections_by_name() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    for (headers, reason) in [
        ("", "Closed via management plugin"),
        ("X-Reason: too greedy\r\n", "too greedy"),
    ] {
        let mut c = broker.client_as(&Login::as_user("bob").at("v1"));
        let name = connection_name(http, "bob");
        let (peer, local) = name.split_once(" -> ").expect("two ends");
        peer.parse::<SocketAddr>().expect("the client's address");
        assert_eq!(local, broker.addr().to_string());
        let path = format!("/api/connections/{}", encoded(&name));
        let (status, _) = http_send_with(http, ("DELETE", &path), Some("guest"), headers, "");
        assert_eq!(status, 204);
        c.expect_connection_error(320, &format!("CONNECTION_FORCED - {reason}"), (0, 0));
    }
}

#[test]
fn c38_u21_deleting_a_vhost_closes_its_connections() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut gone: Vec<Peer> = (0..3)
        .map(|n| newcomer(&broker, http, &format!("u{n}"), "doomed"))
        .collect();
    let mut c = broker.client();
    gone[0].call(1, declare("q"));
    remove(http, "/api/vhosts/doomed");
    for c in &mut gone {
        let text = "CONNECTION_FORCED - vhost 'doomed' is deleted";
        c.expect_connection_error(320, text, (0, 0));
    }
    c.expect_alive();
    let mut late = broker.peer();
    late.tune(&Login::as_user("u0"));
    late.send(0, open_vhost("doomed"));
    late.expect_connection_error_like(530, "vhost doomed not found");
}

#[test]
fn c38_u3_deleting_a_user_closes_their_connections() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let name = "J\u{fc}rgen \u{2713}";
    put(
        http,
        "/api/users/J%C3%BCrgen%20%E2%9C%93",
        &format!(r#"{{"password":"{name}","tags":""}}"#),
    );
    let mut jurgen = newcomer(&broker, http, "plain", "v1");
    let mut c = broker.client();
    remove(http, "/api/users/plain");
    jurgen.expect_connection_error(320, "CONNECTION_FORCED - user 'plain' is deleted", (0, 0));
    c.expect_alive();
    // Any UTF-8 names a user (U-3).
    let mut c = broker.peer();
    c.tune(&Login::as_user(name));
    remove(http, "/api/users/J%C3%BCrgen%20%E2%9C%93");
}

#[test]
fn c38_a_node_that_stops_says_so() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    let stopping = std::thread::spawn(move || broker.terminate());
    let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    c.expect_connection_error(320, text, (0, 0));
    assert!(stopping.join().expect("it stops").success());
}

#[test]
fn u5_a_new_password_closes_nothing() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = newcomer(&broker, http, "ann", "v1");
    put(http, "/api/users/ann", r#"{"password":"new","tags":""}"#);
    c.call(1, declare("still-here"));
    let mut refused = broker.peer();
    refused.start();
    refused.send(0, Login::as_user("ann").start_ok());
    refused.expect_connection_error_like(403, "ACCESS_REFUSED");
    let new = Login {
        password: "new".into(),
        ..Login::as_user("ann").at("v1")
    };
    broker.client_as(&new).expect_alive();
}

#[test]
fn u26_h3_limits_refuse_newcomers_and_keep_who_is_there() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = newcomer(&broker, http, "ann", "shop");
    c.open_channel(2);
    put(
        http,
        "/api/vhost-limits/shop/max-connections",
        r#"{"value":1}"#,
    );
    put(http, "/api/user-limits/ann/max-channels", r#"{"value":1}"#);
    // Two channels stay open although one is allowed now; a third does not come.
    c.call(2, declare("q"));
    let mut late = broker.peer();
    late.tune(&Login::as_user("ann"));
    late.send(0, open_vhost("shop"));
    late.expect_connection_error_like(
        530,
        "access to vhost 'shop' refused for user 'ann': connection limit (1) is reached",
    );
    c.send(3, channel::Open {});
    c.expect_connection_error(
        530,
        "NOT_ALLOWED - number of channels opened for user 'ann' has reached the maximum allowed \
         user limit of (1)",
        (0, 0),
    );
}

#[test]
fn h114_x21_limits_of_the_node() {
    if is_oracle() {
        return; // 3.10 has neither
    }
    let broker = Broker::start(&[
        "consumer_max_per_channel = 2",
        "cluster_exchange_limit = 15",
    ]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    // Two vhosts with seven each.
    c.call(1, declare_exchange("first", "fanout"));
    c.call(1, declare_exchange("first", "fanout"));
    c.send(1, declare_exchange("second", "fanout"));
    c.expect_channel_error(
        1,
        406,
        "PRECONDITION_FAILED - cannot declare exchange 'second' in vhost '/': exchange limit of \
         15 is reached",
        (40, 10),
    );
    c.open_channel(1);
    c.call(1, consume("q", "a"));
    c.call(1, consume("q", "b"));
    c.send(1, consume("q", "c"));
    c.expect_connection_error_like(530, "reached maximum (2) of consumers per channel");
}

#[test]
fn a7_the_reason_stays_when_a_second_alarm_starts() {
    if is_oracle() {
        return; // its alarms cannot be set from here
    }
    // The memory alarm is on; the disk's follows when the log is large enough to notice, so what
    // is tested is that no second connection.blocked ever comes while both are on.
    let broker = Broker::start(&[
        "vm_memory_high_watermark.absolute = 1000000",
        "disk_free_limit.absolute = 1000000GB",
    ]);
    let mut c = broker.client();
    c.publish("amq.fanout", "", "x");
    let blocked: connection::Blocked = c.expect(0);
    assert_eq!(blocked.reason.as_str(), "low on disk & memory");
    c.expect_nothing();
}

#[test]
fn a8_connections_show_what_they_do() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let state = |wanted: &str| {
        eventually(wanted, || {
            see(http, "/api/connections")[0]["state"] == wanted
        });
    };
    state("running");
    c.call(1, qos(1));
    let (broker, http) = managed_with(&["vm_memory_high_watermark.absolute = 1000000"]);
    let mut c = broker.client();
    let state = |wanted: &str| {
        eventually(wanted, || {
            see(http, "/api/connections")[0]["state"] == wanted
        });
    };
    state("blocking"); // nothing published yet
    c.publish("amq.fanout", "", "x");
    let _: connection::Blocked = c.expect(0);
    state("blocked");
}

#[test]
fn q85_consumers_say_whether_they_are_served() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let (plain, single) = (unique("q85"), unique("q85s"));
    c.call(1, declare(&plain));
    let arguments = table(&[("x-single-active-consumer", boolean(true))]);
    c.call(1, declare_with(&single, arguments));
    c.call(1, consume(&plain, "alone"));
    c.call(1, consume(&single, "first"));
    c.call(1, consume(&single, "second"));
    let shown = |tag: &str| -> (Value, Value) {
        let all = see(http, "/api/consumers");
        let mut all = all.as_array().expect("a list").iter();
        let found = all.find(|consumer| consumer["consumer_tag"] == tag);
        let found = found.expect("a consumer");
        (found["active"].clone(), found["activity_status"].clone())
    };
    assert_eq!(shown("alone"), (json!(true), json!("up")));
    assert_eq!(shown("first"), (json!(true), json!("single_active")));
    assert_eq!(shown("second"), (json!(false), json!("waiting")));
    c.call(1, cancel("first"));
    assert_eq!(shown("second"), (json!(true), json!("single_active")));
}

#[test]
fn q44_a_ttl_set_by_policy_counts_for_what_is_there() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let q = unique("q44");
    c.call(1, declare(&q));
    c.put(&q, "old");
    let body = format!(r#"{{"pattern":"^{q}$","definition":{{"message-ttl":60000}}}}"#);
    put(http, "/api/policies/%2F/ttl", &body);
    // Far from expired: nothing happens to it.
    assert_eq!(c.call(1, declare_passive(&q)).message_count, 1);
    let body = format!(r#"{{"pattern":"^{q}$","definition":{{"message-ttl":1}}}}"#);
    put(http, "/api/policies/%2F/ttl", &body);
    eventually("it expires", || {
        c.call(1, declare_passive(&q)).message_count == 0
    });
}

#[test]
fn o1_exports_hold_what_others_can_use() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    let exclusive = queue::Declare {
        exclusive: true,
        ..declare("mine")
    };
    c.call(1, exclusive);
    c.call(1, declare("transient"));
    c.call(1, bind("transient", "amq.direct", "k"));
    c.call(1, bind("mine", "amq.direct", "k"));
    c.put("transient", "no message is exported");
    let all = see(http, "/api/definitions");
    let names = |part: &str| -> Vec<String> {
        let list = all[part].as_array().expect("a list").iter();
        list.map(|entry| entry["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names("queues"), ["transient"]);
    assert_eq!(names("exchanges"), Vec::<String>::new(), "none of amq.*");
    let bindings = all["bindings"].as_array().expect("a list");
    assert_eq!(bindings.len(), 1, "{bindings:?}");
    assert_eq!(bindings[0]["source"], "amq.direct");
    assert_eq!(bindings[0]["destination"], "transient");
}

#[test]
fn o34_o35_o37_families_of_objects_are_there() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, consume("q", "t"));
    let (status, text) = http_get(http, "/metrics/per-object", Some("guest"));
    assert_eq!(status, 200);
    let queue = "messages messages_ready messages_unacked consumers messages_bytes \
        messages_ready_bytes messages_unacked_bytes disk_reads_total disk_writes_total \
        messages_published_total messages_delivered_total messages_acked_total";
    let channel = "messages_published_total messages_confirmed_total messages_unacked \
        messages_unconfirmed messages_uncommitted messages_delivered_total \
        messages_delivered_ack_total messages_redelivered_total messages_acked_total \
        messages_unroutable_returned_total messages_unroutable_dropped_total get_total \
        get_ack_total get_empty_total prefetch consumers";
    let connection = "incoming_bytes_total outgoing_bytes_total incoming_packets_total \
        outgoing_packets_total channels pending_packets";
    for (kind, label, names) in [
        ("queue", "{vhost=\"/\",queue=\"q\"} ", queue),
        ("channel", "{connection=", channel),
        ("connection", "{connection=", connection),
    ] {
        for name in names.split_whitespace() {
            let start = format!("rabbitmq_{kind}_{name}{label}");
            let found = text.lines().any(|line| line.starts_with(&start));
            assert!(found, "no {start} in {text}");
        }
    }
    // What the machine did is known from the first sample on.
    for name in [
        "rabbitmq_auth_attempts_total",
        "rabbitmq_auth_attempts_succeeded_total",
        "rabbitmq_auth_attempts_failed_total",
        "rabbitmq_io_read_bytes_total",
        "rabbitmq_io_write_ops_total",
    ] {
        eventually(name, || {
            let (_, text) = http_get(http, "/metrics", Some("guest"));
            text.contains(&format!("\n{name}"))
        });
    }
}

#[test]
fn q18_transient_queues_are_for_everybody() {
    let mut c = crate::harness::client();
    let q = unique("q18");
    c.call(1, declare(&q));
    crate::harness::client().put(&q, "from elsewhere");
    assert_eq!(c.get_eventually(&q).text(), "from elsewhere");
    c.call(1, delete(&q));
}

#[test]
fn u2_no_tag_means_amqp_only() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed();
    broker.client_as(&Login::as_user("bob").at("v1"));
    let (status, _) = http_send(http, "GET", "/api/overview", Some("bob"), "");
    assert_eq!(status, 401);
}

#[test]
fn a_queues_arguments_change_in_place_through_the_api() {
    if is_oracle() {
        return; // it refuses
    }
    let (broker, http) = managed();
    let mut c = broker.client();
    put(http, "/api/queues/%2F/q", r#"{"durable":false}"#);
    for n in 0..5 {
        c.put("q", &n.to_string());
    }
    let body = r#"{"durable":false,"arguments":{"x-max-length":3}}"#;
    put(http, "/api/queues/%2F/q", body);
    assert_eq!(c.drain("q"), ["2", "3", "4"]);
    let shown = see(http, "/api/queues/%2F/q");
    assert_eq!(shown["arguments"], json!({"x-max-length": 3}));
    // What a queue is does not change.
    let body = r#"{"durable":false,"arguments":{"x-queue-type":"quorum"}}"#;
    let (status, answer) = http_send(http, "PUT", "/api/queues/%2F/q", Some("guest"), body);
    assert_eq!(status, 400);
    assert!(
        answer.contains("inequivalent arg 'x-queue-type'"),
        "{answer}"
    );
    // A client that declares it must know the arguments as they are now.
    c.send(1, declare("q"));
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 406);
}

#[test]
fn u6_u25_new_vhosts_begin_as_the_configuration_says() {
    if is_oracle() {
        return; // its management plugin is not on
    }
    let (broker, http) = managed_with(&[
        "default_limits.vhosts.1.pattern = ^dev",
        "default_limits.vhosts.1.max_queues = 2",
        "default_policies.operator.cap.vhost_pattern = ^dev",
        "default_policies.operator.cap.max_length = 3",
        "default_users.devs.vhost_pattern = ^dev",
        "default_users.devs.password = devs",
        "default_queue_type = quorum",
    ]);
    for vhost in ["dev-1", "prod"] {
        put(http, &format!("/api/vhosts/{vhost}"), "{}");
    }
    let limits = see(http, "/api/vhost-limits/dev-1");
    assert_eq!(limits[0]["value"], json!({"max-queues": 2}), "{limits}");
    assert_eq!(see(http, "/api/vhost-limits/prod"), json!([]));
    let policy = see(http, "/api/operator-policies/dev-1/cap");
    assert_eq!(policy["definition"], json!({"max-length": 3}));
    let mut c = broker.client_as(&Login::as_user("devs").at("dev-1"));
    let durable = |name: &str| queue::Declare {
        durable: true,
        ..declare(name)
    };
    c.call(1, durable("q"));
    let q = see(http, "/api/queues/dev-1/q");
    assert_eq!(
        (&q["type"], &q["operator_policy"]),
        (&json!("quorum"), &json!("cap"))
    );
    c.call(1, durable("q")); // the same again
    c.call(1, declare("transient"));
    assert_eq!(see(http, "/api/queues/dev-1/transient")["type"], "classic");
    let mut refused = broker.peer();
    refused.tune(&Login::as_user("devs"));
    refused.send(0, open_vhost("prod"));
    refused.expect_connection_error_like(530, "refused for user 'devs'");
}
