//! Section 10: what is answered, what is not, and in which order.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

#[test]
fn w36_frames_after_connection_close_are_ignored() {
    let mut c = client();
    let more = [
        method_frame(declare(&unique("w36"))),
        method_frame(channel::Open {}),
    ];
    c.send(0, close_connection());
    c.try_send_bytes(&more.concat());
    let _: connection::CloseOk = c.expect(0);
    c.half_close();
    c.expect_eof();
}

#[test]
fn w37_frames_after_channel_close_are_ignored() {
    let mut c = client();
    let q = unique("w37");
    for _ in 0..20 {
        let declared = queue::Declare {
            nowait: true,
            ..declare(&q)
        };
        c.send_bytes(&[method_frame(close_channel()), method_frame(declared)].concat());
        let _: channel::CloseOk = c.expect(1);
        c.open_channel(1);
        c.send(1, declare_passive(&q));
        let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
        c.expect_channel_error(1, 404, &text, (50, 10));
        c.open_channel(1);
    }
}

#[test]
fn w38_nowait_has_no_answer() {
    let mut c = client();
    let (q, e, f) = (unique("w38q"), unique("w38e"), unique("w38f"));
    c.send(
        1,
        queue::Declare {
            nowait: true,
            ..declare(&q)
        },
    );
    c.send(
        1,
        exchange::Declare {
            nowait: true,
            ..declare_exchange(&e, "direct")
        },
    );
    c.send(
        1,
        exchange::Declare {
            nowait: true,
            ..declare_exchange(&f, "fanout")
        },
    );
    c.send(
        1,
        exchange::Bind {
            nowait: true,
            ..bind_exchange(&e, &f, "k")
        },
    );
    c.send(
        1,
        queue::Bind {
            nowait: true,
            ..bind(&q, &f, "")
        },
    );
    c.publish(&e, "k", "routed");
    c.take(&q, "routed");
    c.send(
        1,
        exchange::Unbind {
            nowait: true,
            ..unbind_exchange(&e, &f, "k")
        },
    );
    c.publish(&e, "k", "lost");
    assert!(c.get(&q).is_none());
    c.put(&q, "purged");
    c.send(
        1,
        queue::Purge {
            nowait: true,
            ..purge(&q)
        },
    );
    assert!(c.get(&q).is_none());
    c.send(
        1,
        basic::Consume {
            nowait: true,
            ..consume(&q, "t")
        },
    );
    c.put(&q, "delivered");
    assert_eq!(c.expect_deliver(1).text(), "delivered");
    c.send(
        1,
        basic::Cancel {
            nowait: true,
            ..cancel("t")
        },
    );
    c.send(1, confirm::Select { nowait: true });
    c.put(&q, "confirmed");
    let _: basic::Ack = c.expect(1);
    c.send(
        1,
        queue::Delete {
            nowait: true,
            ..delete(&q)
        },
    );
    c.send(
        1,
        exchange::Delete {
            nowait: true,
            ..delete_exchange(&e)
        },
    );
    c.send(
        1,
        exchange::Delete {
            nowait: true,
            ..delete_exchange(&f)
        },
    );
    c.send(1, declare_passive(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (50, 10));
}

#[test]
fn w39_qos_tx_and_recover_always_answer() {
    let mut c = client();
    c.call(1, qos(10));
    c.call(1, recover());
    c.call(1, tx::Select {});
    c.call(1, tx::Commit {});
    c.call(1, tx::Rollback {});
}

#[test]
fn w40_reserved_fields_are_ignored() {
    let mut c = client();
    // queue.declare with ticket 0xBEEF, an empty name, exclusive and all three reserved bits
    c.send_raw_method(1, 50, 10, &[0xBE, 0xEF, 0, 0b1110_0100, 0, 0, 0, 0]);
    let ok: queue::DeclareOk = c.expect(1);
    assert!(ok.queue.as_str().starts_with("amq.gen-"), "{ok:?}");
}

#[test]
fn w42_deliveries_between_request_and_reply() {
    let mut c = client();
    let q = unique("w42");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(
        1,
        basic::Consume {
            no_ack: true,
            ..consume(&q, "t")
        },
    );
    for i in 0..50 {
        c.put(&q, &i.to_string());
    }
    c.send(1, qos(0));
    let (mut deliveries, mut replies) = (0, 0);
    while deliveries < 50 || replies < 1 {
        match c.next_frame() {
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::QosOk(_))) => replies += 1,
            Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(d))) => {
                deliveries += 1;
                let message = c.expect_content(1, d);
                assert_eq!(message.method.delivery_tag, deliveries);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn w43_half_close_requeues_at_once() {
    let mut c = client();
    let q = unique("w43");
    c.call(1, declare(&q));
    c.put(&q, "held");
    let mut holder = client();
    assert_eq!(holder.get(&q).unwrap().text(), "held");
    assert!(c.get(&q).is_none());
    holder.half_close();
    let got = c.get_eventually(&q);
    assert!(got.method.redelivered);
    c.call(1, delete(&q));
}
