//! Answers have the fields and types of RabbitMQ's: every answer recorded from a running 3.10.8 (cut
//! short) is asked for again, from a broker that holds the same objects. What is left out on purpose
//! is named here with its reason.

use serde_json::Value;

use super::{api, await_seen, encoded, start};
use crate::dialogue::*;
use crate::harness::{Broker, http_send};

/// Recorded answers that are not compared.
const NOT_COMPARED: &[(&str, &str)] = &[
    ("auth-hash-password", "came with 4.x, which answers"),
    ("deprecated-features", "came with 4.x, which answers"),
    ("extensions", "the console has no plug-ins in JavaScript"),
    (
        "global-parameter",
        "its 404 is that of a cluster without a name",
    ),
    ("queue-stream", "there are no streams"),
    ("shovels", "what shovels there are is not this test's"),
    ("traces", "there are no traces"),
    ("exchange-publish", "is a POST: see the client"),
    ("queue-get", "is a POST: see the client"),
];

/// Fields that are not there, wherever they would be.
const DROPPED: &[(&str, &str)] = &[
    ("io_read_avg_time", "Erlang's I/O"),
    ("io_read_avg_time_details", "Erlang's I/O"),
    ("io_write_avg_time", "Erlang's I/O"),
    ("io_write_avg_time_details", "Erlang's I/O"),
    ("io_sync_count", "Erlang's I/O"),
    ("io_sync_count_details", "Erlang's I/O"),
    ("io_sync_avg_time", "Erlang's I/O"),
    ("io_sync_avg_time_details", "Erlang's I/O"),
    ("io_seek_avg_time", "Erlang's I/O"),
    ("io_seek_avg_time_details", "Erlang's I/O"),
    ("ra_log_wal", "RabbitMQ's Raft"),
    ("ra_log_segment_writer", "RabbitMQ's Raft"),
    ("open_files", "RabbitMQ's Raft"),
    ("metrics_gc_queue_length", "Erlang's processes"),
    ("reductions_details", "Erlang's processes"),
    ("message_bytes_persistent", "queues do not count them apart"),
    ("messages_persistent", "queues do not count them apart"),
    ("next_deliver_seq_id", "of classic queues' files"),
    ("priority_lengths", "levels are not counted apart"),
    ("mirror_seen", "there are no mirrors"),
    ("mirror_senders", "there are no mirrors"),
    ("slave_nodes", "there are no mirrors"),
    ("synchronised_slave_nodes", "there are no mirrors"),
    (
        "user_who_performed_action",
        "nobody remembers who declared it",
    ),
    ("user_provided_name", "the recorded client's own"),
    ("rabbit@node1", "the recorded node's own"),
    ("socket_opts", "an object here, `[]` or an object there"),
];

/// Fields that are there, but hold what the recorded object held.
const OWN: &[&str] = &[
    "arguments",
    "client_properties",
    "definition",
    "effective_policy_definition",
    "value",
];

/// Numbers that are a fraction here and were a whole number when it was recorded.
const FRACTIONS: &[&str] = &["consumer_capacity", "consumer_utilisation"];

/// What one recorded answer has and ours has not.
const LEFT_OUT: &[(&str, &str)] = &[
    // A vhost's definitions are for any vhost; later versions leave these out too.
    ("definitions-vhost.parameters[0].vhost", "later versions"),
    ("definitions-vhost.policies[0].vhost", "later versions"),
];

/// Fields that come and go with what an object does: only what is idle says since when.
const COME_AND_GO: &[&str] = &["idle_since"];

const SAMPLES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/integration/management/samples"
);

/// A recorded answer.
struct Sample {
    name: String,
    /// Without `/api`.
    path: String,
    status: u64,
    body: Value,
}

/// All that are compared, by name.
fn samples() -> Vec<Sample> {
    let files = std::fs::read_dir(SAMPLES).unwrap();
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut recorded: Value = serde_json::from_str(&text).unwrap();
        let request = recorded["request"].as_str().unwrap();
        let path_in = request.split_once("/api").unwrap().1.to_owned();
        Sample {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            path: path_in,
            status: recorded["status"].as_u64().unwrap(),
            body: recorded["body"].take(),
        }
    };
    let mut all: Vec<Sample> = files.map(|file| read(file.unwrap().path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for (name, _) in NOT_COMPARED {
        assert!(all.iter().any(|sample| sample.name == *name), "{name}");
    }
    all.retain(|sample| NOT_COMPARED.iter().all(|(name, _)| sample.name != *name));
    all
}

/// Collects what `ours` lacks of `theirs` or has with another type.
fn compare(at: &str, theirs: &Value, ours: &Value, wrong: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                if DROPPED.iter().any(|(dropped, _)| name == dropped) {
                    continue;
                }
                let at = format!("{at}.{name}");
                match ours.get(name) {
                    Some(ours) if FRACTIONS.contains(&name.as_str()) => assert!(ours.is_f64()),
                    Some(_) if OWN.contains(&name.as_str()) => {}
                    Some(ours) => compare(&at, value, ours, wrong),
                    None if COME_AND_GO.contains(&name.as_str()) => {}
                    None if LEFT_OUT.iter().any(|(path, _)| *path == at) => {}
                    None => wrong.push(format!("{at} is missing")),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            // Items differ in what they are: the one most like theirs counts.
            let Some(theirs) = theirs.first() else { return };
            let tried = ours.iter().map(|ours| {
                let mut found = Vec::new();
                compare(&format!("{at}[0]"), theirs, ours, &mut found);
                found
            });
            wrong.extend(tried.min_by_key(Vec::len).unwrap_or_default());
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

fn put(broker: &mut Broker, method: &str, path: &str, body: &str) {
    let path = format!("/api{path}");
    let (status, answer) = http_send(broker.management_addr(), method, &path, Some("guest"), body);
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
}

/// The objects the recorded broker had, as far as the answers are about them.
fn objects(broker: &mut Broker) {
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    let limits = |name, limits: [(&str, &str); 2]| {
        limits.map(|(limit, value)| (format!("{name}/{limit}"), format!(r#"{{"value":{value}}}"#)))
    };
    for (path, body) in [
        ("/vhosts/shop", "{}"),
        (
            "/users/alice",
            r#"{"password":"alice","tags":"management"}"#,
        ),
        ("/users/orphan", r#"{"password_hash":"","tags":""}"#),
        ("/permissions/shop/guest", all),
        ("/permissions/shop/alice", all),
        (
            "/topic-permissions/shop/alice",
            r#"{"exchange":"amq.topic","write":"^a","read":".*"}"#,
        ),
        (
            "/exchanges/shop/orders",
            r#"{"type":"topic","durable":true}"#,
        ),
        (
            "/exchanges/shop/headers.x",
            r#"{"type":"headers","durable":true}"#,
        ),
        ("/queues/shop/orders.new", r#"{"durable":true}"#),
        ("/queues/shop/orders.audit", r#"{"durable":true}"#),
        (
            "/queues/shop/prio",
            r#"{"durable":true,"arguments":{"x-max-priority":5}}"#,
        ),
        (
            "/queues/shop/orders.quorum",
            r#"{"durable":true,"arguments":{"x-queue-type":"quorum"}}"#,
        ),
        (
            "/policies/shop/ha-orders",
            r#"{"pattern":"^orders\\.audit","apply-to":"queues","priority":5,"definition":{"max-length":9}}"#,
        ),
        (
            "/operator-policies/shop/cap",
            r#"{"pattern":"^orders","apply-to":"queues","priority":1,"definition":{"max-length":500000}}"#,
        ),
        (
            "/parameters/shovel/shop/sv1",
            r#"{"value":{"src-uri":"amqp://127.0.0.1:1","src-queue":"a","dest-uri":"amqp://127.0.0.1:1","dest-queue":"b","src-protocol":"amqp091","dest-protocol":"amqp091"}}"#,
        ),
        ("/global-parameters/colour", r#"{"value":{"1883":"shop"}}"#),
    ] {
        put(broker, "PUT", path, body);
    }
    let of_vhost = [("max-connections", "500"), ("max-queues", "5000")];
    let of_user = [("max-connections", "50"), ("max-channels", "200")];
    let limits = limits("/vhost-limits/shop", of_vhost)
        .into_iter()
        .chain(limits("/user-limits/alice", of_user));
    limits.for_each(|(path, body)| put(broker, "PUT", &path, &body));
    for (path, body) in [
        (
            "/bindings/shop/e/orders/q/orders.new",
            r##"{"routing_key":"new.#"}"##,
        ),
        (
            "/bindings/shop/e/orders/e/headers.x",
            r##"{"routing_key":"#"}"##,
        ),
        (
            "/bindings/shop/e/headers.x/q/orders.audit",
            r#"{"arguments":{"x-match":"all","kind":"audit"}}"#,
        ),
    ] {
        put(broker, "POST", path, body);
    }
}

/// A publisher and a consumer at work, by the names the recorded ones had.
fn traffic(broker: &mut Broker) -> (Vec<Peer>, [String; 2]) {
    let login = |user: &str| Login {
        user: user.to_owned(),
        password: user.to_owned(),
        vhost: "shop".to_owned(),
        ..Login::default()
    };
    let mut publisher = broker.client_as(&login("guest"));
    let mut consumer = broker.client_as(&login("alice"));
    publisher.call(1, confirm_select());
    publisher.publish("orders", "other", "x");
    publisher.expect::<basic::Ack>(1);
    for queue in ["orders.new", "orders.audit", "orders.quorum", "prio"] {
        publisher.publish("", queue, "x");
        publisher.expect::<basic::Ack>(1);
        consumer.call(1, consume(queue, queue));
        let tag = consumer.expect_deliver(1).method.delivery_tag;
        consumer.send(1, ack(tag));
        let acked = |queue: &Value| queue["message_stats"]["ack"] == 1;
        await_seen(broker, &format!("/queues/shop/{queue}"), acked);
    }
    let (_, connections) = api(broker, "/connections");
    let name = |user: &str| {
        let mut all = connections.as_array().unwrap().iter();
        let found = all.find(|connection| connection["user"] == user);
        found.unwrap()["name"].as_str().unwrap().to_owned()
    };
    let names = [name("guest"), name("alice")];
    (vec![publisher, consumer], names)
}

/// The path to ask for: with our node, connections and binding instead of the recorded ones.
fn translated(path: &str, node: &str, [publisher, consumer]: &[String; 2]) -> String {
    let recorded = |port: u16| encoded(&format!("127.0.0.1:{port} -> 127.0.0.1:5672"));
    path.replace("rabbit@node1", &encoded(node))
        .replace(&recorded(33372), &encoded(publisher))
        .replace(&recorded(33404), &encoded(consumer))
        .replace("<name>", &encoded(publisher))
}

#[test]
fn every_recorded_answer_is_given_with_its_fields_and_types() {
    let mut broker = start(&["collect_statistics_interval = 100"]);
    objects(&mut broker);
    let (_peers, names) = traffic(&mut broker);
    let (_, overview) = api(&mut broker, "/overview");
    let node = overview["node"].as_str().unwrap();
    let amqp = broker.addr().port();
    let mut wrong = Vec::new();
    let (failing, fine): (Vec<_>, Vec<_>) = samples()
        .into_iter()
        .partition(|sample| sample.name.ends_with("-failed"));
    let mut check = |broker: &mut Broker, sample: &Sample| {
        let mut path = translated(&sample.path, node, &names);
        path = path.replace("port-listener/5672", &format!("port-listener/{amqp}"));
        if sample.name == "binding-one" {
            let between = path.rsplit_once('/').unwrap().0.to_owned();
            let (_, bindings) = api(broker, &between);
            let key = bindings[0]["properties_key"].as_str().unwrap();
            path = format!("{between}/{}", encoded(key));
        }
        let (status, ours) = api(broker, &path);
        if u64::from(status) != sample.status {
            wrong.push(format!(
                "{}: {status}, theirs {}",
                sample.name, sample.status
            ));
        }
        compare(&sample.name, &sample.body, &ours, &mut wrong);
    };
    fine.iter().for_each(|sample| check(&mut broker, sample));
    let limits = format!("/nodes/{}/limits", encoded(node));
    let alarm = r#"{"vm_memory_high_watermark_absolute":1}"#;
    put(&mut broker, "PUT", &limits, alarm);
    assert_eq!(failing.len(), 3);
    failing.iter().for_each(|sample| check(&mut broker, sample));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
