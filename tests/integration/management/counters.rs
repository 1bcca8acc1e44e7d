//! Every counter equals what happened.

use serde_json::{Value, json};

use super::{await_seen, encoded, see, start};
use crate::{dialogue::*, harness::unique};

/// The counters of `message_stats`, without details and the disk.
fn counts(object: &Value) -> Value {
    let stats = object["message_stats"].as_object().unwrap();
    let plain = stats
        .iter()
        .filter(|(name, _)| !name.ends_with("_details") && !name.starts_with("disk_"));
    plain.map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Adds numbers field by field.
fn sum(a: &Value, b: &Value) -> Value {
    let of = |v: &Value, k: &str| v.get(k).and_then(Value::as_u64).unwrap_or(0);
    let keys = a
        .as_object()
        .unwrap()
        .keys()
        .chain(b.as_object().unwrap().keys());
    keys.map(|k| (k.clone(), json!(of(a, k) + of(b, k))))
        .collect()
}

#[test]
fn every_counter_equals_what_happened() {
    let mut broker = start(&["collect_statistics_interval = 100"]);
    let (q, empty) = (unique("counted"), unique("empty"));
    let mut c = broker.client();
    c.open_channel(2);
    c.open_channel(3);
    c.call(1, declare(&q));
    c.call(1, declare(&empty));
    c.call(1, declare(&q));
    c.call(1, confirm_select());
    // Channel 1: 5 confirmed publishes, 3 returned, 2 dropped.
    for body in ["1", "2", "3", "4", "5"] {
        c.put(&q, body);
        c.expect::<basic::Ack>(1);
    }
    for _ in 0..3 {
        let mandatory = basic::Publish {
            mandatory: true,
            ..publish("", "nowhere")
        };
        c.publish_with(1, mandatory, &properties(), b"x");
        let _: Message<basic::Return> = c.expect_message(1);
        c.expect::<basic::Ack>(1);
    }
    for _ in 0..2 {
        c.publish("", "nowhere", "x");
        c.expect::<basic::Ack>(1);
    }
    // Channel 2: 5 publishes; gets: 2 to be acked, 1 not, 1 in vain; 7 deliveries, of which 4 are
    // acked and 1 comes again.
    for body in ["6", "7", "8", "9", "10"] {
        c.publish_with(2, publish("", &q), &properties(), body.as_bytes());
    }
    c.call(2, qos(100));
    let first = c.get_on(2, get(&q)).unwrap().method.delivery_tag;
    let second = c.get_on(2, get(&q)).unwrap().method.delivery_tag;
    assert!(
        c.get_on(
            2,
            basic::Get {
                no_ack: true,
                ..get(&q)
            }
        )
        .is_some()
    );
    assert!(c.get_on(2, get(&empty)).is_none());
    c.send(2, ack(first));
    c.send(2, ack(second));
    c.call(2, consume(&q, "taker"));
    let tags: Vec<u64> = (0..7)
        .map(|_| c.expect_deliver(2).method.delivery_tag)
        .collect();
    c.send(2, ack_up_to(tags[3]));
    c.send(2, nack(tags[4]));
    assert!(c.expect_deliver(2).method.redelivered);
    // Channel 3: 2 publishes committed, then nothing committed, 1 rolled back.
    c.call(3, tx::Select {});
    for _ in 0..2 {
        c.publish_with(3, publish("", &empty), &properties(), b"x");
    }
    c.call(3, tx::Commit {});
    c.call(3, tx::Commit {});
    c.publish_with(3, publish("", &empty), &properties(), b"x");
    c.call(3, tx::Rollback {});

    let queue = see(&mut broker, &format!("/queues/%2F/{q}"));
    let taken = json!({
        "deliver": 8, "deliver_no_ack": 0, "get": 2, "get_no_ack": 1, "get_empty": 0,
        "deliver_get": 11, "redeliver": 1, "ack": 6,
    });
    assert_eq!(counts(&queue), sum(&taken, &json!({ "publish": 10 })));
    assert_eq!(queue["messages_unacknowledged"], 3);
    assert_eq!(queue["messages_ready"], 0);
    assert_eq!(queue["consumers"], 1);
    let other = see(&mut broker, &format!("/queues/%2F/{empty}"));
    assert_eq!(other["message_stats"]["get_empty"], 1);
    assert_eq!(other["message_stats"]["publish"], 2);
    assert_eq!(other["messages_ready"], 2);

    let name = see(&mut broker, "/connections")[0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut channel = |n: u16| {
        see(
            &mut broker,
            &format!("/channels/{}", encoded(&format!("{name} ({n})"))),
        )
    };
    let one = channel(1);
    let published = json!({
        "publish": 10, "confirm": 10, "return_unroutable": 3, "drop_unroutable": 2,
    });
    assert_eq!(counts(&one), published);
    assert_eq!(one["confirm"], true);
    assert_eq!(one["messages_unconfirmed"], 0);
    let two = channel(2);
    let fine = json!({
        "publish": 5, "confirm": 0, "return_unroutable": 0, "drop_unroutable": 0,
    });
    let in_vain = json!({ "get_empty": 1 });
    let all_taken = sum(&taken, &in_vain);
    assert_eq!(counts(&two), sum(&fine, &all_taken));
    assert_eq!(two["messages_unacknowledged"], 3);
    assert_eq!(two["consumer_count"], 1);
    assert_eq!(two["prefetch_count"], 100);
    assert_eq!(two["consumer_details"][0]["consumer_tag"], "taker");
    let three = channel(3);
    assert_eq!(three["message_stats"]["publish"], 2);
    assert_eq!(three["transactional"], true);
    assert_eq!(three["messages_uncommitted"], 0);

    let exchange = see(&mut broker, "/exchanges/%2F/amq.default");
    assert_eq!(exchange["message_stats"]["publish_in"], 17);
    assert_eq!(exchange["message_stats"]["publish_out"], 12);

    // The vhost and the node have seen it all.
    let all = sum(
        &all_taken,
        &json!({
            "publish": 17, "confirm": 10, "return_unroutable": 3, "drop_unroutable": 2,
        }),
    );
    assert_eq!(counts(&see(&mut broker, "/vhosts/%2F")), all);
    let overview = see(&mut broker, "/overview");
    assert_eq!(counts(&overview), all);
    assert_eq!(overview["queue_totals"]["messages"], 5);
    assert_eq!(overview["queue_totals"]["messages_ready"], 2);
    assert_eq!(overview["queue_totals"]["messages_unacknowledged"], 3);
    assert_eq!(overview["churn_rates"]["queue_created"], 2);
    assert_eq!(overview["churn_rates"]["queue_declared"], 3);
    assert_eq!(overview["churn_rates"]["channel_created"], 3);
    assert_eq!(overview["object_totals"]["consumers"], 1);

    // And remember it when the objects are gone.
    c.call(2, cancel("taker"));
    c.call(1, delete(&q));
    c.call(1, delete(&empty));
    c.call(0, close_connection());
    let gone = |overview: &Value| overview["object_totals"]["connections"] == 0;
    let overview = await_seen(&mut broker, "/overview", gone);
    assert_eq!(counts(&overview), all);
    assert_eq!(overview["queue_totals"]["messages"], 0);
    assert_eq!(overview["churn_rates"]["queue_deleted"], 2);
    assert_eq!(overview["churn_rates"]["connection_closed"], 1);
}

#[test]
fn persistent_messages_are_counted_as_written() {
    let mut broker = start(&[]);
    let q = unique("written");
    let mut c = broker.client();
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&q)
        },
    );
    let persistent = properties().with_delivery_mode(2);
    for _ in 0..3 {
        c.publish_with(1, publish("", &q), &persistent, b"x");
    }
    c.put(&q, "transient");
    c.call(1, qos(0));
    let queue = see(&mut broker, &format!("/queues/%2F/{q}"));
    assert_eq!(queue["message_stats"]["publish"], 4);
    assert_eq!(queue["message_stats"]["disk_writes"], 3);
    let overview = see(&mut broker, "/overview");
    assert_eq!(overview["message_stats"]["disk_writes"], 3);
}

/// What a backlog keeps in memory and what only the log has, ready and unacknowledged.
#[test]
fn what_is_only_on_disk_is_told_apart() {
    let mut broker = start(&["queue_resident_messages = 64"]);
    let q = unique("paged");
    let mut c = broker.client();
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare(&q)
        },
    );
    let persistent = properties().with_delivery_mode(2);
    for _ in 0..1000 {
        c.publish_with(1, publish("", &q), &persistent, b"four");
    }
    let number = |queue: &Value, name: &str| queue[name].as_u64().unwrap_or(u64::MAX);
    let path = format!("/queues/%2F/{q}");
    // `queue.declare` has all publishes before it handled.
    assert_eq!(c.call(1, declare_passive(&q)).message_count, 1000);
    let queue = see(&mut broker, &path);
    let (ram, paged) = (
        number(&queue, "messages_ram"),
        number(&queue, "messages_paged_out"),
    );
    assert!((1..=64).contains(&ram), "{ram}");
    assert_eq!(ram + paged, 1000);
    assert_eq!(number(&queue, "messages_ready_ram"), ram);
    assert_eq!(number(&queue, "message_bytes_ram"), 4 * ram);
    assert_eq!(number(&queue, "message_bytes_paged_out"), 4 * paged);
    assert_eq!(queue["message_stats"]["disk_writes"], 1000);

    // A client that takes them all and settles nothing does not bring them back into memory.
    c.call(1, consume(&q, "t"));
    let last = (0..1000).map(|_| c.expect_deliver(1)).last();
    let last = last.expect("a delivery").method.delivery_tag;
    let taken = |queue: &Value| number(queue, "messages_unacknowledged") == 1000;
    let queue = await_seen(&mut broker, &path, taken);
    let (ram, paged) = (
        number(&queue, "messages_unacknowledged_ram"),
        number(&queue, "messages_paged_out"),
    );
    assert!(ram <= 128, "{ram}");
    assert_eq!((ram + paged, number(&queue, "messages_ram")), (1000, ram));
    assert_eq!(number(&queue, "message_bytes_paged_out"), 4 * paged);
    assert!(queue["message_stats"]["disk_reads"].as_u64() >= Some(900));
    c.send(
        1,
        basic::Ack {
            delivery_tag: last,
            multiple: true,
        },
    );
    let empty = |queue: &Value| number(queue, "messages") == 0;
    let queue = await_seen(&mut broker, &path, empty);
    for name in [
        "messages_ram",
        "messages_paged_out",
        "message_bytes_paged_out",
    ] {
        assert_eq!(number(&queue, name), 0, "{name}");
    }
}

#[test]
fn rates_rise_with_traffic_and_fall_to_zero() {
    let mut broker = start(&["collect_statistics_interval = 100"]);
    let q = unique("rated");
    let mut c = broker.client();
    c.call(1, declare(&q));
    let path = format!("/queues/%2F/{q}");
    let rate = |queue: &Value| {
        let details = &queue["message_stats"]["publish_details"];
        details["rate"].as_f64().unwrap_or_default()
    };
    assert_eq!(rate(&see(&mut broker, &path)), 0.0);
    // Published until a sample shows it: the interval is short, so the rate lasts briefly.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut seen = see(&mut broker, &path);
    while rate(&seen) == 0.0 {
        assert!(std::time::Instant::now() < deadline, "{seen:#}");
        for _ in 0..20 {
            c.put(&q, "x");
        }
        c.call(1, qos(0));
        seen = see(&mut broker, &path);
    }
    let seen = await_seen(&mut broker, &path, |queue| rate(queue) == 0.0);
    let total = seen["message_stats"]["publish"].as_u64().unwrap();
    let idle = await_seen(&mut broker, &path, |queue| queue["idle_since"].is_string());
    assert_eq!(idle["messages"], total);
    let sampled = format!("{path}?msg_rates_age=2&msg_rates_incr=1&lengths_age=2&lengths_incr=1");
    let all_in =
        |queue: &Value| queue["message_stats"]["publish_details"]["samples"][0]["sample"] == total;
    let queue = await_seen(&mut broker, &sampled, all_in);
    let samples = queue["messages_details"]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3);
    let times: Vec<u64> = samples
        .iter()
        .map(|s| s["timestamp"].as_u64().unwrap())
        .collect();
    assert!(times.iter().all(|time| time % 1000 == 0));
    assert!(times[0] == times[1] + 1000 && times[1] == times[2] + 1000);
    assert!(queue["messages_details"]["avg"].is_f64());
}
