//! Answers have the fields and types of RabbitMQ's, recorded from a running 3.10.8 and cut short.
//! What is left out on purpose is named here.

use serde_json::Value;

use super::{api, await_seen, encoded, see, start};
use crate::dialogue::*;

/// Fields of RabbitMQ's that mean nothing here.
const DROPPED: &[&str] = &[
    // Erlang's I/O and processes.
    "io_read_avg_time",
    "io_read_avg_time_details",
    "io_write_avg_time",
    "io_write_avg_time_details",
    "io_sync_count",
    "io_sync_count_details",
    "io_sync_avg_time",
    "io_sync_avg_time_details",
    "io_seek_avg_time",
    "io_seek_avg_time_details",
    "ra_log_wal",
    "ra_log_segment_writer",
    "metrics_gc_queue_length",
    "reductions_details",
    // Of classic queues and their files.
    "message_bytes_persistent",
    "messages_persistent",
    "next_deliver_seq_id",
    "slave_nodes",
    "synchronised_slave_nodes",
    // Nobody remembers who declared it.
    "user_who_performed_action",
    // Arguments of the recorded objects.
    "arguments",
    "effective_policy_definition",
    "client_properties",
    "user_provided_name",
    "rabbit@node1",
    "socket_opts",
];

fn sample(name: &str) -> Value {
    let path = format!(
        "{}/tests/integration/management/samples/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str::<Value>(&text).unwrap()["body"].clone()
}

/// Collects what `ours` lacks of `theirs` or has with another type.
fn compare(at: &str, theirs: &Value, ours: &Value, wrong: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                if DROPPED.contains(&name.as_str()) {
                    continue;
                }
                match ours.get(name) {
                    Some(ours) => compare(&format!("{at}.{name}"), value, ours, wrong),
                    None => wrong.push(format!("{at}.{name} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(theirs), Some(ours)) = (theirs.first(), ours.first()) {
                compare(&format!("{at}[0]"), theirs, ours, wrong);
            }
        }
        // Absent there does not say what it is when present, and the other way round.
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Number(theirs), Value::Number(ours)) => {
            if theirs.is_f64() != ours.is_f64() {
                wrong.push(format!("{at} is {ours}, theirs is {theirs}"));
            }
        }
        (theirs, ours) => {
            if std::mem::discriminant(theirs) != std::mem::discriminant(ours) {
                wrong.push(format!("{at} is {ours}, theirs is {theirs}"));
            }
        }
    }
}

#[test]
fn answers_have_rabbitmqs_fields_and_types() {
    let mut broker = start(&["collect_statistics_interval = 100"]);
    let mut c = broker.client();
    c.open_channel(2);
    c.call(1, confirm_select());
    c.call(1, declare("orders"));
    c.call(1, declare_exchange("x", "headers"));
    c.call(1, bind("orders", "x", ""));
    c.publish("x", "k", "x");
    c.expect::<basic::Ack>(1);
    c.publish("", "orders", "x");
    c.expect::<basic::Ack>(1);
    c.call(2, consume("orders", "t"));
    let tag = c.expect_deliver(2).method.delivery_tag;
    c.send(2, ack(tag));
    let node = see(&mut broker, "/overview")["node"]
        .as_str()
        .unwrap()
        .to_owned();
    let connection = see(&mut broker, "/connections")[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let (name, one, two) = (
        encoded(&connection),
        encoded(&format!("{connection} (1)")),
        encoded(&format!("{connection} (2)")),
    );
    await_seen(&mut broker, "/queues/%2F/orders", |q| {
        q["message_stats"]["ack"] == 1
    });
    let samples = "msg_rates_age=60&msg_rates_incr=20&lengths_age=60&lengths_incr=20\
        &data_rates_age=60&data_rates_incr=20";
    let mut wrong = Vec::new();
    for (recorded, path) in [
        ("overview-with-samples", format!("/overview?{samples}")),
        (
            "overview-disable-stats",
            "/overview?disable_stats=true".to_owned(),
        ),
        (
            "connection-with-samples",
            format!("/connections/{name}?{samples}"),
        ),
        (
            "connections-paginated",
            "/connections?page=1&page_size=2".to_owned(),
        ),
        (
            "connections-of-user",
            "/connections/username/guest".to_owned(),
        ),
        ("channel-publisher", format!("/channels/{one}")),
        ("channel-consumer", format!("/channels/{two}")),
        ("consumers", "/consumers".to_owned()),
        (
            "queue-classic-with-samples",
            format!("/queues/%2F/orders?{samples}"),
        ),
        (
            "queues-disable-stats",
            "/queues?disable_stats=true".to_owned(),
        ),
        (
            "queues-disable-stats-totals",
            "/queues?disable_stats=true&enable_queue_totals=true".to_owned(),
        ),
        ("exchange", "/exchanges/%2F/x".to_owned()),
        ("exchanges", "/exchanges".to_owned()),
        ("bindings", "/bindings".to_owned()),
        ("vhost", "/vhosts/%2F".to_owned()),
        ("node", format!("/nodes/{}", encoded(&node))),
        ("nodes", "/nodes".to_owned()),
        ("node-memory", format!("/nodes/{}/memory", encoded(&node))),
        (
            "auth-attempts",
            format!("/auth/attempts/{}", encoded(&node)),
        ),
    ] {
        let ours = see(&mut broker, &path);
        compare(recorded, &sample(recorded), &ours, &mut wrong);
    }
    for (recorded, path) in [
        ("page-out-of-range", "/queues?page=50&page_size=100"),
        ("bad-page", "/queues?page=0"),
        ("bad-range", "/overview?lengths_age=60000&lengths_incr=1"),
    ] {
        let (status, ours) = api(&mut broker, path);
        assert_eq!(status, 400);
        compare(recorded, &sample(recorded), &ours, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
