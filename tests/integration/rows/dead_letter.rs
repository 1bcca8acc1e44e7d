//! Section 4.4: where dead messages go and what is written on them.

use crate::{
    dialogue::*,
    harness::{client, is_oracle, unique},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// A client, an exclusive queue whose dead messages go to another one, and that one.
fn with_dead_letters(name: &str, more: &[(&str, AMQPValue)]) -> (Peer, String, String) {
    let mut c = client();
    let (q, dlq) = (unique(name), unique("dead"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&dlq)
        },
    );
    let mut arguments = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dlq)),
    ]);
    for (key, value) in more {
        arguments.insert((*key).into(), value.clone());
    }
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    (c, q, dlq)
}

/// Gets the next message of `q` and rejects it.
fn kill(c: &mut Peer, q: &str) {
    let tag = c.get_eventually(q).method.delivery_tag;
    c.send(1, reject(tag, false));
}

fn deaths(message: &Message<basic::GetOk>) -> Vec<FieldTable> {
    let headers = message.headers();
    members(field(&headers, "x-death"))
        .iter()
        .map(|death| fields(death).clone())
        .collect()
}

fn texts(entries: &[(&str, &str)]) -> Vec<(String, AMQPValue)> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), string(value)))
        .collect()
}

#[track_caller]
fn expect_fields(table: &FieldTable, entries: &[(&str, &str)]) {
    for (key, value) in texts(entries) {
        assert_eq!(field(table, &key), &value, "{key} in {table:?}");
    }
}

#[test]
fn q60_rejected() {
    let (mut c, q, dlq) = with_dead_letters("q60r", &[]);
    c.put(&q, "by reject");
    kill(&mut c, &q);
    expect_fields(
        &deaths(&c.get_eventually(&dlq))[0],
        &[("reason", "rejected")],
    );
    c.put(&q, "by nack");
    let tag = c.get_eventually(&q).method.delivery_tag;
    c.send(
        1,
        basic::Nack {
            requeue: false,
            ..nack(tag)
        },
    );
    expect_fields(
        &deaths(&c.get_eventually(&dlq))[0],
        &[("reason", "rejected")],
    );
}

#[test]
fn q60_expired() {
    let (mut c, q, dlq) = with_dead_letters("q60e", &[("x-message-ttl", int(30))]);
    c.put(&q, "x");
    expect_fields(
        &deaths(&c.get_eventually(&dlq))[0],
        &[("reason", "expired"), ("queue", &q)],
    );
}

#[test]
fn q60_maxlen() {
    let (mut c, q, dlq) = with_dead_letters("q60m", &[("x-max-length", int(1))]);
    c.put(&q, "oldest");
    c.put(&q, "newest");
    let dead = c.get_eventually(&dlq);
    assert_eq!(dead.text(), "oldest");
    expect_fields(&deaths(&dead)[0], &[("reason", "maxlen")]);
}

#[test]
fn q61_q73_new_exchange_and_key() {
    let (mut c, q, dlq) = with_dead_letters("q61", &[]);
    c.call(1, bind(&q, "amq.direct", &q));
    c.publish("amq.direct", &q, "x");
    kill(&mut c, &q);
    let dead = c.get_eventually(&dlq);
    assert_eq!(dead.method.exchange.as_str(), "");
    assert_eq!(dead.method.routing_key.as_str(), dlq);
    assert!(!dead.method.redelivered, "a new message there (Q-73)");
}

#[test]
fn q61_own_key_without_a_dead_letter_key() {
    let mut c = client();
    let (e, q, dlq) = (unique("q61e"), unique("q61q"), unique("q61d"));
    c.call(1, declare_exchange(&e, "direct"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&dlq)
        },
    );
    c.call(1, bind(&dlq, &e, &q));
    let arguments = table(&[("x-dead-letter-exchange", string(&e))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    c.put(&q, "x");
    kill(&mut c, &q);
    let dead = c.get_eventually(&dlq);
    assert_eq!(
        (
            dead.method.exchange.as_str(),
            dead.method.routing_key.as_str()
        ),
        (&*e, &*q)
    );
    c.call(1, delete_exchange(&e));
}

#[test]
fn q61_cc_and_bcc_keys_count_too() {
    let mut c = client();
    let (q, other) = (unique("q61c"), unique("q61o"));
    let dlx = unique("q61x");
    c.call(1, declare_exchange(&dlx, "direct"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&other)
        },
    );
    c.call(1, bind(&other, &dlx, "copy"));
    let arguments = table(&[("x-dead-letter-exchange", string(&dlx))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    let headers = with_headers(table(&[("CC", array(vec![string("copy")]))]));
    c.publish_with(1, publish("", &q), &headers, b"x");
    kill(&mut c, &q);
    let dead = c.get_eventually(&other);
    assert_eq!(
        field(&dead.headers(), "CC"),
        &array(vec![string("copy")]),
        "kept (Q-62)"
    );
    c.call(1, delete_exchange(&dlx));
}

#[test]
fn q62_cc_goes_when_there_is_a_dead_letter_key() {
    let (mut c, q, dlq) = with_dead_letters("q62", &[]);
    let headers = with_headers(table(&[("CC", array(vec![string("copy")]))]));
    c.publish_with(1, publish("", &q), &headers, b"x");
    kill(&mut c, &q);
    let dead = c.get_eventually(&dlq);
    assert!(!dead.headers().contains_key("CC"), "{dead:?}");
    let keys = array(vec![string(&q), string("copy")]);
    assert_eq!(field(&deaths(&dead)[0], "routing-keys"), &keys);
}

#[test]
fn q63_expiration_is_taken_off() {
    let (mut c, q, dlq) = with_dead_letters("q63", &[]);
    let props = properties()
        .with_expiration("30".into())
        .with_content_type("a/b".into());
    c.publish_with(1, publish("", &q), &props, b"x");
    let dead = c.get_eventually(&dlq);
    assert_eq!(dead.properties().expiration(), &None);
    assert_eq!(
        dead.properties().content_type().as_ref().unwrap().as_str(),
        "a/b"
    );
    expect_fields(
        &deaths(&dead)[0],
        &[("original-expiration", "30"), ("reason", "expired")],
    );
}

#[test]
fn q64_missing_dead_letter_exchange() {
    let mut c = client();
    let q = unique("q64");
    let arguments = table(&[("x-dead-letter-exchange", string(&unique("nowhere")))]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    c.put(&q, "x");
    kill(&mut c, &q);
    c.call(1, qos(0));
    assert!(c.get(&q).is_none());
    c.put(&q, "goes on");
    c.take(&q, "goes on");
}

#[test]
fn q66_order_is_kept() {
    let (mut c, q, dlq) = with_dead_letters("q66", &[("x-max-length", int(0))]);
    let bodies: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    for body in &bodies {
        c.put(&q, body);
    }
    for body in &bodies {
        let dead = c.get_eventually(&dlq);
        assert_eq!(dead.text(), body);
    }
}

#[test]
fn q68_x_death() {
    let (mut c, q, dlq) = with_dead_letters("q68", &[]);
    let before = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    c.call(1, bind(&q, "amq.direct", &q));
    let own = with_headers(table(&[("own", int(1))]));
    c.publish_with(1, publish("amq.direct", &q), &own, b"body");
    kill(&mut c, &q);
    let dead = c.get_eventually(&dlq);
    assert_eq!(dead.text(), "body");
    let headers = dead.headers();
    assert_eq!(field(&headers, "own"), &int(1));
    expect_fields(
        &headers,
        &[
            ("x-first-death-queue", &q),
            ("x-first-death-reason", "rejected"),
            ("x-first-death-exchange", "amq.direct"),
        ],
    );
    if !is_oracle() {
        expect_fields(
            &headers,
            &[
                ("x-last-death-queue", &q),
                ("x-last-death-reason", "rejected"),
                ("x-last-death-exchange", "amq.direct"),
            ],
        );
    }
    let deaths = deaths(&dead);
    assert_eq!(deaths.len(), 1);
    let death = &deaths[0];
    assert_eq!(field(death, "count"), &long(1));
    expect_fields(
        death,
        &[
            ("reason", "rejected"),
            ("queue", &q),
            ("exchange", "amq.direct"),
        ],
    );
    assert_eq!(field(death, "routing-keys"), &array(vec![string(&q)]));
    let AMQPValue::Timestamp(time) = field(death, "time") else {
        panic!("{death:?}")
    };
    assert!(
        (before..before + 60).contains(time),
        "seconds: {time}, not near {before}"
    );
    assert_eq!(death.inner().len(), 6, "no other fields: {death:?}");
}

#[test]
fn q69_a_second_death_counts_and_moves_to_the_front() {
    let mut c = client();
    let (a, b) = (unique("q69a"), unique("q69b"));
    for (q, next) in [(&a, &b), (&b, &a)] {
        let arguments = table(&[
            ("x-dead-letter-exchange", string("")),
            ("x-dead-letter-routing-key", string(next)),
        ]);
        c.call(
            1,
            queue::Declare {
                exclusive: true,
                ..declare_with(q, arguments)
            },
        );
    }
    c.put(&a, "x");
    kill(&mut c, &a);
    kill(&mut c, &b);
    kill(&mut c, &a);
    let dead = c.get_eventually(&b);
    let deaths = deaths(&dead);
    let told: Vec<_> = deaths
        .iter()
        .map(|d| (field(d, "queue"), field(d, "count")))
        .collect();
    assert_eq!(told, [(&string(&a), &long(2)), (&string(&b), &long(1))]);
    expect_fields(&dead.headers(), &[("x-first-death-queue", &a)]);
}

#[test]
fn q71_cycles_without_a_rejection_are_broken() {
    let mut c = client();
    let q = unique("q71");
    let arguments = table(&[
        ("x-message-ttl", int(30)),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&q)),
    ]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    c.put(&q, "round and round");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(
        c.get(&q).is_none(),
        "dropped instead of going round for ever"
    );
}

#[test]
fn q71_cycles_with_a_rejection_go_on() {
    let mut c = client();
    let q = unique("q71r");
    let arguments = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&q)),
    ]);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare_with(&q, arguments)
        },
    );
    c.put(&q, "again");
    for _ in 0..3 {
        kill(&mut c, &q);
    }
    let back = c.get_eventually(&q);
    assert_eq!(field(&deaths(&back)[0], "count"), &long(3));
}
