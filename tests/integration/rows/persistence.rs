//! Section 5: what outlives an orderly restart. (Crashes are another module's.)

use crate::{dialogue::*, harness::Broker};

fn durable(q: &str) -> queue::Declare {
    queue::Declare {
        durable: true,
        ..declare(q)
    }
}

fn put_persistent(c: &mut Peer, exchange: &str, key: &str, body: &str) {
    let persistent = properties().with_delivery_mode(2);
    c.publish_with(1, publish(exchange, key), &persistent, body.as_bytes());
}

/// A passive declare of a queue says whether it exists; channel 1 is open again afterwards.
fn exists(c: &mut Peer, q: &str) -> bool {
    c.send(1, declare_passive(q));
    exists_answer(c)
}

fn exchange_exists(c: &mut Peer, e: &str) -> bool {
    c.send(
        1,
        exchange::Declare {
            passive: true,
            ..declare_exchange(e, "")
        },
    );
    exists_answer(c)
}

fn exists_answer(c: &mut Peer) -> bool {
    match c.next_frame() {
        Frame::Method(1, AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
            assert_eq!(close.reply_code, 404, "{close:?}");
            c.send(1, channel::CloseOk {});
            c.open_channel(1);
            false
        }
        Frame::Method(1, _) => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p10_x14_what_survives_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("keeps"));
    c.call(1, declare("transient"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..durable("mine")
        },
    );
    c.call(
        1,
        exchange::Declare {
            durable: true,
            ..declare_exchange("e-keeps", "topic")
        },
    );
    c.call(
        1,
        exchange::Declare {
            durable: true,
            ..declare_exchange("e-next", "fanout")
        },
    );
    c.call(1, declare_exchange("e-transient", "fanout"));
    c.call(1, bind("keeps", "e-next", ""));
    c.call(1, bind_exchange("e-keeps", "e-next", "a.*"));
    c.call(1, bind("keeps", "e-transient", ""));
    c.call(1, bind("keeps", "amq.direct", "k"));
    c.call(1, confirm_select());
    put_persistent(&mut c, "", "keeps", "persistent 1");
    c.put("keeps", "not persistent");
    put_persistent(&mut c, "", "keeps", "persistent 2");
    let mut confirmed = 0;
    while confirmed < 3 {
        let ack: basic::Ack = c.expect(1);
        confirmed = if ack.multiple {
            ack.delivery_tag
        } else {
            confirmed + 1
        };
    }
    drop(c);
    broker.restart();

    let mut c = broker.client();
    assert!(!exists(&mut c, "transient") && !exists(&mut c, "mine"));
    assert!(!exchange_exists(&mut c, "e-transient"), "X-14");
    assert_eq!(c.drain("keeps"), ["persistent 1", "persistent 2"]);
    c.publish("e-keeps", "a.b", "through both exchanges");
    c.publish("amq.direct", "k", "by key");
    assert_eq!(c.drain("keeps"), ["through both exchanges", "by key"]);
    // the binding from the transient exchange is gone with it
    c.call(1, declare_exchange("e-transient", "fanout"));
    c.publish("e-transient", "", "lost");
    assert!(c.get("keeps").is_none());
    // properties too
    c.send(1, declare("keeps"));
    let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'keeps' in vhost '/': \
                received 'false' but current is 'true'";
    c.expect_channel_error(1, 406, text, (50, 10));
}

#[test]
fn p10_arguments_survive_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    let limited = table(&[("x-max-length", int(2)), ("x-max-priority", int(3))]);
    let declared = queue::Declare {
        arguments: limited,
        ..durable("limited")
    };
    c.call(1, declared.clone());
    let ae = table(&[("alternate-exchange", string("amq.fanout"))]);
    let exchange = exchange::Declare {
        durable: true,
        ..declare_exchange("with-ae", "direct")
    };
    let exchange = exchange::Declare {
        arguments: ae,
        ..exchange
    };
    c.call(1, exchange.clone());
    let by_headers = table(&[("x-match", string("any")), ("n", long(1))]);
    c.call(
        1,
        queue::Bind {
            arguments: by_headers,
            ..bind("limited", "amq.headers", "")
        },
    );
    drop(c);
    broker.restart();

    let mut c = broker.client();
    c.call(1, declared);
    c.call(1, exchange);
    let matching = with_headers(table(&[("n", long(1))]));
    for (body, priority) in [("low", 0), ("mid", 1), ("high", 2)] {
        let props = matching.clone().with_priority(priority);
        c.publish_with(1, publish("amq.headers", ""), &props, body.as_bytes());
    }
    let kept = c.drain("limited");
    assert!(
        kept == ["high", "mid"] || kept == ["mid", "low"],
        "two, by priority: {kept:?}"
    );
    c.call(1, bind("limited", "amq.fanout", ""));
    c.publish("with-ae", "no such key", "by alternate");
    assert_eq!(c.drain("limited"), ["by alternate"]);
}

#[test]
fn p10_messages_keep_order_properties_and_bodies() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q"));
    let props = properties()
        .with_delivery_mode(2)
        .with_headers(table(&[
            ("n", long(-7)),
            ("bytes", AMQPValue::ByteArray([0, 255][..].into())),
        ]))
        .with_correlation_id("c".into())
        .with_timestamp(1_700_000_000);
    let big: Vec<u8> = (0..400_000u32).map(|i| (i % 253) as u8).collect();
    c.call(1, tx::Select {});
    for body in [&b"first"[..], &big, b"", b"last"] {
        c.publish_with(1, publish("", "q"), &props, body);
    }
    c.call(1, tx::Commit {});
    drop(c);
    broker.restart();

    let mut c = broker.client();
    for body in [&b"first"[..], &big, b"", b"last"] {
        let got = c.get("q").unwrap();
        assert!(
            got.body == body,
            "a body of {} bytes came back changed",
            body.len()
        );
        assert_eq!(got.properties(), props);
        assert!(!got.method.redelivered);
        assert_eq!(
            (
                got.method.exchange.as_str(),
                got.method.routing_key.as_str()
            ),
            ("", "q")
        );
    }
    assert!(c.get("q").is_none());
}

#[test]
fn p11_unacked_come_back_redelivered() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q"));
    for body in ["acked", "held", "waiting"] {
        put_persistent(&mut c, "", "q", body);
    }
    c.call(1, qos(2));
    c.call(1, consume("q", "t"));
    let tags = c.expect_bodies(&["acked", "held"]);
    c.send(1, ack(tags[0]));
    c.expect_bodies(&["waiting"]);
    c.send(1, nack(tags[1] + 1));
    c.expect_bodies(&["waiting"]);
    c.call(1, cancel("t"));
    c.call(1, qos(0));
    drop(c);
    broker.restart();

    let mut c = broker.client();
    for (body, redelivered) in [("held", true), ("waiting", true)] {
        let got = c.take("q", body);
        assert_eq!(got.method.redelivered, redelivered, "{body}");
    }
    assert!(c.get("q").is_none());
}

#[test]
fn p11_never_delivered_is_not_redelivered() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q"));
    c.call(1, tx::Select {});
    for body in ["delivered", "not"] {
        put_persistent(&mut c, "", "q", body);
    }
    c.call(1, tx::Commit {});
    assert_eq!(c.get("q").unwrap().text(), "delivered");
    drop(c);
    broker.restart();

    let mut c = broker.client();
    assert!(c.take("q", "delivered").method.redelivered);
    assert!(!c.take("q", "not").method.redelivered);
}

#[test]
fn p10_deleted_and_purged_stays_gone() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    for q in ["deleted", "purged", "unbound"] {
        c.call(1, durable(q));
        c.call(1, bind(q, "amq.fanout", ""));
    }
    c.call(
        1,
        exchange::Declare {
            durable: true,
            ..declare_exchange("e", "fanout")
        },
    );
    c.call(1, tx::Select {});
    put_persistent(&mut c, "amq.fanout", "", "x");
    c.call(1, tx::Commit {});
    c.call(1, delete("deleted"));
    c.call(1, purge("purged"));
    c.call(1, unbind("unbound", "amq.fanout", ""));
    c.call(1, delete_exchange("e"));
    drop(c);
    broker.restart();

    let mut c = broker.client();
    assert!(!exists(&mut c, "deleted") && !exchange_exists(&mut c, "e"));
    c.publish("amq.fanout", "", "again");
    assert_eq!(c.drain("purged"), ["again"]);
    assert_eq!(c.drain("unbound"), ["x"]);
    // a queue of the same name starts empty
    c.call(1, durable("deleted"));
    drop(c);
    broker.restart();
    assert!(broker.client().get("deleted").is_none());
}

#[test]
fn p10_durable_auto_delete_queue_survives() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(
        1,
        queue::Declare {
            auto_delete: true,
            ..durable("q")
        },
    );
    drop(c);
    broker.restart();
    let mut c = broker.client();
    c.call(1, consume("q", "t"));
    c.call(1, cancel("t"));
    assert!(!exists(&mut c, "q"));
}

#[test]
fn q40_ttl_goes_on_over_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("q"));
    c.call(1, tx::Select {});
    let props = properties()
        .with_delivery_mode(2)
        .with_expiration("400".into());
    c.publish_with(1, publish("", "q"), &props, b"short");
    c.call(1, tx::Commit {});
    put_persistent(&mut c, "", "q", "long");
    c.call(1, tx::Commit {});
    drop(c);
    broker.terminate();
    std::thread::sleep(std::time::Duration::from_millis(500));
    broker.start_again();
    assert_eq!(broker.client().drain("q"), ["long"]);
}

#[test]
fn q68_dead_letters_survive_a_restart() {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(1, durable("dead"));
    let arguments = table(&[
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("dead")),
    ]);
    c.call(
        1,
        queue::Declare {
            arguments,
            ..durable("q")
        },
    );
    c.call(1, tx::Select {});
    put_persistent(&mut c, "", "q", "x");
    c.call(1, tx::Commit {});
    let tag = c.get("q").unwrap().method.delivery_tag;
    c.send(1, reject(tag, false));
    c.call(1, tx::Commit {});
    drop(c);
    broker.restart();
    let mut c = broker.client();
    let dead = c.get("dead").unwrap();
    assert!(dead.headers().contains_key("x-death"), "{dead:?}");
    assert!(c.get("q").is_none());
}
