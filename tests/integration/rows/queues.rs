//! Section 4.1: declaring, deleting, purging and getting.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

fn no_queue(q: &str) -> String {
    format!("NOT_FOUND - no queue '{q}' in vhost '/'")
}

#[test]
fn q01_declare_ok_counts_what_is_ready() {
    let mut c = client();
    let q = unique("q01");
    let first = c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let counts = (
        first.queue.as_str(),
        first.message_count,
        first.consumer_count,
    );
    assert_eq!(counts, (q.as_str(), 0, 0));
    for _ in 0..3 {
        c.put(&q, "x");
    }
    c.get(&q).unwrap(); // unacked
    let again = c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    assert_eq!((again.message_count, again.consumer_count), (2, 0));
    c.call(1, purge(&q));
    c.call(1, consume(&q, "t"));
    assert_eq!(c.call(1, declare_passive(&q)).consumer_count, 1);
}

#[test]
fn q02_empty_name_is_generated() {
    let mut c = client();
    let mut names = Vec::new();
    for _ in 0..2 {
        let ok = c.call(
            1,
            queue::Declare {
                exclusive: true,
                ..declare("")
            },
        );
        let name = ok.queue.as_str().to_owned();
        let rest = name.strip_prefix("amq.gen-").unwrap();
        assert!(rest.len() == 22, "{name}");
        assert!(
            rest.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            "{name}"
        );
        c.put(&name, "reached");
        c.take(&name, "reached");
        names.push(name);
    }
    assert_ne!(names[0], names[1]);
}

#[test]
fn q03_reserved_names() {
    let mut c = client();
    let generated = c
        .call(
            1,
            queue::Declare {
                exclusive: true,
                ..declare("")
            },
        )
        .queue;
    for name in ["amq.foo", generated.as_str()] {
        c.send(
            1,
            queue::Declare {
                exclusive: true,
                ..declare(name)
            },
        );
        let text = format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'");
        c.expect_channel_error(1, 403, &text, (50, 10));
        c.open_channel(1);
    }
    c.call(1, declare_passive(generated.as_str()));
}

/// Redeclares `q`, expecting 406 for property `arg`.
fn inequivalent(c: &mut Peer, again: queue::Declare, arg: &str, difference: &str) {
    let q = again.queue.clone();
    c.send(1, again);
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{q}' in vhost '/': {difference}"
    );
    c.expect_channel_error(1, 406, &text, (50, 10));
    c.open_channel(1);
}

#[test]
fn q05_inequivalent_durable() {
    let mut c = client();
    let q = unique("q05");
    c.call(1, declare(&q));
    let again = queue::Declare {
        durable: true,
        ..declare(&q)
    };
    inequivalent(
        &mut c,
        again,
        "durable",
        "received 'true' but current is 'false'",
    );
    c.call(1, delete(&q));
}

#[test]
fn q05_inequivalent_auto_delete() {
    let mut c = client();
    let q = unique("q05a");
    c.call(
        1,
        queue::Declare {
            auto_delete: true,
            ..declare(&q)
        },
    );
    let again = declare(&q);
    inequivalent(
        &mut c,
        again,
        "auto_delete",
        "received 'false' but current is 'true'",
    );
    c.call(1, delete(&q));
}

#[test]
fn q04_durable_is_checked_before_auto_delete_and_arguments() {
    let mut c = client();
    let q = unique("q04");
    c.call(1, declare(&q));
    let arguments = table(&[("x-max-length", int(1))]);
    let again = queue::Declare {
        durable: true,
        auto_delete: true,
        arguments,
        ..declare(&q)
    };
    let durable = "received 'true' but current is 'false'";
    inequivalent(&mut c, again.clone(), "durable", durable);
    let again = queue::Declare {
        durable: false,
        ..again
    };
    inequivalent(
        &mut c,
        again,
        "auto_delete",
        "received 'true' but current is 'false'",
    );
    c.call(1, delete(&q));
}

#[test]
fn q05_inequivalent_arguments() {
    let mut c = client();
    let q = unique("q05b");
    c.call(1, declare(&q));
    let again = declare_with(&q, table(&[("x-message-ttl", long(1000))]));
    let difference = "received the value '1000' of type 'long' but current is none";
    inequivalent(&mut c, again, "x-message-ttl", difference);
    c.call(1, delete(&q));
    c.call(1, declare_with(&q, table(&[("x-max-length", int(5))])));
    let again = declare_with(&q, table(&[("x-max-length", int(6))]));
    inequivalent(
        &mut c,
        again,
        "x-max-length",
        "received '6' but current is '5'",
    );
    let again = declare(&q);
    c.send(1, again);
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 406, "{close:?}");
    c.send(1, channel::CloseOk {});
    c.open_channel(1);
    c.call(1, delete(&q));
}

#[test]
fn q06_integers_compare_by_value_and_unknown_arguments_not_at_all() {
    let mut c = client();
    let q = unique("q06");
    c.call(
        1,
        declare_with(
            &q,
            table(&[("x-max-length", int(5)), ("x-mine", string("a"))]),
        ),
    );
    for same in [long(5), AMQPValue::ShortShortInt(5), AMQPValue::ShortInt(5)] {
        c.call(1, declare_with(&q, table(&[("x-max-length", same)])));
    }
    c.call(
        1,
        declare_with(&q, table(&[("x-max-length", int(5)), ("x-yours", int(1))])),
    );
    c.call(1, delete(&q));
}

#[test]
fn q07_classic_is_the_absent_type() {
    let mut c = client();
    let q = unique("q07");
    c.call(1, declare(&q));
    c.call(
        1,
        declare_with(&q, table(&[("x-queue-type", string("classic"))])),
    );
    c.call(1, delete(&q));
    c.call(
        1,
        declare_with(&q, table(&[("x-queue-type", string("classic"))])),
    );
    c.call(1, declare(&q));
    c.call(1, delete(&q));
}

#[test]
fn q08_exclusive_is_for_the_owner() {
    let mut owner = client();
    let q = unique("q08");
    owner.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    owner.open_channel(2);
    owner.call(2, declare_passive(&q)); // any channel of the connection
    owner.call(1, bind(&q, "amq.direct", &q));
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{q}' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration."
    );
    let mut c = client();
    let mut locked = |method: AMQPClass, at| {
        c.send_class(1, method);
        c.expect_channel_error(1, 405, &text, at);
        c.open_channel(1);
    };
    let exclusive = queue::Declare {
        exclusive: true,
        ..declare(&q)
    };
    locked(exclusive.into_class(), (50, 10));
    locked(declare(&q).into_class(), (50, 10));
    locked(declare_passive(&q).into_class(), (50, 10));
    locked(bind(&q, "amq.fanout", "").into_class(), (50, 20));
    locked(unbind(&q, "amq.direct", &q).into_class(), (50, 50));
    locked(consume(&q, "t").into_class(), (60, 20));
    locked(get(&q).into_class(), (60, 70));
    locked(purge(&q).into_class(), (50, 30));
    locked(delete(&q).into_class(), (50, 40));
    c.put(&q, "publishing is open to all");
    assert_eq!(owner.get_eventually(&q).text(), "publishing is open to all");
}

#[test]
fn q08_a_shared_queue_cannot_become_exclusive() {
    let mut c = client();
    let q = unique("q08s");
    c.call(1, declare(&q));
    c.send(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{q}' in vhost '/'. It \
         could be originally declared on another connection or the exclusive property value does \
         not match that of the original declaration."
    );
    c.expect_channel_error(1, 405, &text, (50, 10));
    c.open_channel(1);
    c.call(1, delete(&q));
}

#[test]
fn q09_exclusive_queues_go_with_the_connection() {
    let mut owner = client();
    let (q, dlq) = (unique("q09"), unique("q09d"));
    let mut c = client();
    c.call(1, declare(&dlq));
    let arguments = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dlq)),
    ]);
    let exclusive = queue::Declare {
        exclusive: true,
        durable: true,
        ..declare_with(&q, arguments)
    };
    owner.call(1, exclusive);
    owner.put(&q, "not dead-lettered");
    owner.call(0, close_connection());
    c.send(1, declare_passive(&q));
    c.expect_channel_error(1, 404, &no_queue(&q), (50, 10));
    c.open_channel(1);
    c.expect_nothing();
    assert_eq!(c.call(1, delete(&dlq)).message_count, 0);
}

fn expect_queue_gone(c: &mut Peer, q: &str) {
    c.send(1, declare_passive(q));
    c.expect_channel_error(1, 404, &no_queue(q), (50, 10));
    c.open_channel(1);
}

#[test]
fn q10_auto_delete_with_the_last_consumer() {
    let mut c = client();
    let q = unique("q10");
    c.call(
        1,
        queue::Declare {
            auto_delete: true,
            ..declare(&q)
        },
    );
    c.put(&q, "x");
    c.take(&q, "x"); // getting is not consuming
    c.call(1, declare_passive(&q));
    c.call(1, consume(&q, "a"));
    c.call(1, consume(&q, "b"));
    c.call(1, cancel("a"));
    c.call(1, declare_passive(&q));
    c.call(1, cancel("b"));
    expect_queue_gone(&mut c, &q);
}

#[test]
fn q10_auto_delete_with_the_channel() {
    let mut c = client();
    let q = unique("q10c");
    c.call(
        1,
        queue::Declare {
            auto_delete: true,
            ..declare(&q)
        },
    );
    c.open_channel(2);
    c.call(2, consume(&q, "t"));
    c.call(2, close_channel());
    expect_queue_gone(&mut c, &q);
}

#[test]
fn q11_passive_checks_existence_only() {
    let mut c = client();
    let q = unique("q11");
    c.call(1, declare(&q));
    let arguments = table(&[("x-max-length", int(1))]);
    let other = queue::Declare {
        durable: true,
        auto_delete: true,
        arguments,
        ..declare_passive(&q)
    };
    c.call(1, other);
    c.call(1, delete(&q));
    expect_queue_gone(&mut c, &q);
}

#[test]
fn q12_delete() {
    let mut c = client();
    let q = unique("q12");
    assert_eq!(c.call(1, delete(&q)).message_count, 0); // missing is fine
    c.call(1, declare(&q));
    for _ in 0..3 {
        c.put(&q, "x");
    }
    c.get(&q).unwrap();
    c.send(
        1,
        queue::Delete {
            if_empty: true,
            ..delete(&q)
        },
    );
    let text = format!("PRECONDITION_FAILED - queue '{q}' in vhost '/' not empty");
    c.expect_channel_error(1, 406, &text, (50, 40));
    c.open_channel(1);
    c.call(1, purge(&q));
    c.call(1, consume(&q, "t"));
    c.send(
        1,
        queue::Delete {
            if_unused: true,
            ..delete(&q)
        },
    );
    let text = format!("PRECONDITION_FAILED - queue '{q}' in vhost '/' in use");
    c.expect_channel_error(1, 406, &text, (50, 40));
    c.open_channel(1);
    c.put(&q, "y");
    assert_eq!(c.call(1, delete(&q)).message_count, 1);
}

#[test]
fn q12_delete_counts_ready_messages() {
    let mut c = client();
    let q = unique("q12c");
    c.call(1, declare(&q));
    for _ in 0..3 {
        c.put(&q, "x");
    }
    c.get(&q).unwrap();
    assert_eq!(c.call(1, delete(&q)).message_count, 2);
}

#[test]
fn q14_purge() {
    let mut c = client();
    let q = unique("q14");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    for _ in 0..5 {
        c.put(&q, "x");
    }
    c.get(&q).unwrap();
    assert_eq!(c.call(1, purge(&q)).message_count, 4);
    assert_eq!(c.call(1, purge(&q)).message_count, 0);
    let missing = unique("q14m");
    c.send(1, purge(&missing));
    c.expect_channel_error(1, 404, &no_queue(&missing), (50, 30));
}

#[test]
fn q15_deleted_and_purged_messages_are_not_dead_lettered() {
    let mut c = client();
    let (q, dlq) = (unique("q15"), unique("q15d"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&dlq)
        },
    );
    let arguments = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dlq)),
    ]);
    c.call(1, declare_with(&q, arguments));
    c.put(&q, "purged");
    c.call(1, purge(&q));
    c.put(&q, "deleted");
    c.call(1, delete(&q));
    c.expect_nothing();
    assert!(c.get(&dlq).is_none());
}

#[test]
fn q19_q20_get() {
    let mut c = client();
    let q = unique("q19");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    assert!(c.get(&q).is_none());
    assert_eq!(
        c.last_payload(),
        [0, 60, 0, 72, 0],
        "get-empty carries an empty name (Q-20)"
    );
    for body in ["a", "b", "c"] {
        c.put(&q, body);
    }
    let got = c.get(&q).unwrap();
    assert_eq!(got.text(), "a");
    assert_eq!(got.method.message_count, 2);
    assert_eq!(
        (got.method.exchange.as_str(), got.method.redelivered),
        ("", false)
    );
    let missing = unique("q19m");
    c.send(1, get(&missing));
    c.expect_channel_error(1, 404, &no_queue(&missing), (60, 70));
}

#[test]
fn q19_get_without_ack() {
    let mut c = client();
    let q = unique("q19n");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.put(&q, "x");
    c.get_on(
        1,
        basic::Get {
            no_ack: true,
            ..get(&q)
        },
    )
    .unwrap();
    c.call(1, close_channel());
    c.open_channel(1);
    assert!(c.get(&q).is_none());
}
