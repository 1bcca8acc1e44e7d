//! Section 3.1: bindings, of queues and of exchanges.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

#[test]
fn x13_internal_exchange_as_a_destination() {
    let mut c = client();
    let (e, q) = (unique("x13"), unique("x13q"));
    c.call(
        1,
        exchange::Declare {
            internal: true,
            ..declare_exchange(&e, "fanout")
        },
    );
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let key = unique("key");
    c.call(1, bind_exchange("amq.direct", &e, &key));
    c.call(1, bind(&q, &e, ""));
    c.publish("amq.direct", &key, "through");
    c.take(&q, "through");
    c.call(1, delete_exchange(&e));
}

#[test]
fn x15_the_same_binding_is_one_binding() {
    let mut c = client();
    let q = unique("x15");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let key = unique("key");
    c.call(1, bind(&q, "amq.direct", &key));
    c.call(1, bind(&q, "amq.direct", &key));
    c.publish("amq.direct", &key, "once");
    assert_eq!(c.drain(&q), ["once"]);
    c.call(1, unbind(&q, "amq.direct", &key));
    c.publish("amq.direct", &key, "gone");
    assert!(c.get(&q).is_none());
}

#[test]
fn x15_bindings_differ_by_arguments() {
    let mut c = client();
    let q = unique("x15a");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    let key = unique("key");
    let with_args = table(&[("a", int(1))]);
    c.call(1, bind(&q, "amq.direct", &key));
    c.call(
        1,
        queue::Bind {
            arguments: with_args,
            ..bind(&q, "amq.direct", &key)
        },
    );
    c.call(1, unbind(&q, "amq.direct", &key));
    c.publish("amq.direct", &key, "still bound");
    c.take(&q, "still bound");
}

#[test]
fn x15_unbind_of_what_is_missing() {
    let mut c = client();
    let q = unique("x15u");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, unbind(&q, "amq.direct", "never"));
    c.call(1, unbind(&unique("noq"), "amq.direct", "k"));
    c.call(1, unbind(&q, &unique("noe"), "k"));
    c.call(1, unbind_exchange("amq.direct", "amq.fanout", &unique("k")));
    c.call(1, unbind_exchange(&unique("noe"), "amq.fanout", "k"));
}

#[test]
fn x16_bind_of_what_is_missing() {
    let mut c = client();
    let (q, e) = (unique("x16q"), unique("x16e"));
    let no_queue = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    let no_exchange = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.send(1, bind(&q, "amq.direct", "k"));
    c.expect_channel_error(1, 404, &no_queue, (50, 20));
    c.open_channel(1);
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.send(1, bind(&q, &e, "k"));
    c.expect_channel_error(1, 404, &no_exchange, (50, 20));
    c.open_channel(1);
    c.send(1, bind_exchange(&e, "amq.fanout", ""));
    c.expect_channel_error(1, 404, &no_exchange, (40, 30));
    c.open_channel(1);
    c.send(1, bind_exchange("amq.fanout", &e, ""));
    c.expect_channel_error(1, 404, &no_exchange, (40, 30));
}

#[test]
fn x17_exchange_unbind_ok_is_51() {
    let mut c = client();
    c.call(
        1,
        unbind_exchange("amq.direct", "amq.fanout", &unique("x17")),
    );
    assert_eq!(c.last_payload(), [0, 40, 0, 51]);
}

#[test]
fn x18_once_per_queue_however_many_bindings() {
    let mut c = client();
    let (e, q) = (unique("x18"), unique("x18q"));
    c.call(1, declare_exchange(&e, "topic"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    for key in ["#", "*", "a", "a.#"] {
        c.call(1, bind(&q, &e, key));
    }
    c.publish(&e, "a", "once");
    assert_eq!(c.drain(&q), ["once"]);
    c.call(1, delete_exchange(&e));
}

#[test]
fn x19_exchange_to_exchange() {
    let mut c = client();
    let names: Vec<String> = ["x19a", "x19b", "x19c", "x19q"].map(unique).into();
    let [a, b, end, q] = &names[..] else {
        unreachable!()
    };
    c.call(1, declare_exchange(a, "direct"));
    c.call(1, declare_exchange(b, "topic"));
    c.call(1, declare_exchange(end, "fanout"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(q)
        },
    );
    c.call(1, bind_exchange(a, b, "k.1"));
    c.call(1, bind_exchange(b, end, "k.*"));
    c.call(1, bind_exchange(end, a, "")); // a cycle: each exchange is visited once
    c.call(1, bind(q, end, ""));
    c.publish(a, "k.1", "all the way");
    assert_eq!(c.drain(q), ["all the way"]);
    for e in [a, b, end] {
        c.call(1, delete_exchange(e));
    }
}

#[test]
fn x20_deleting_drops_bindings_both_ways() {
    let mut c = client();
    let (a, b, q) = (unique("x20a"), unique("x20b"), unique("x20q"));
    c.call(1, declare_exchange(&a, "fanout"));
    c.call(1, declare_exchange(&b, "fanout"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, bind_exchange(&a, &b, ""));
    c.call(1, bind(&q, &b, ""));
    c.call(1, delete_exchange(&b));
    c.call(1, declare_exchange(&b, "fanout"));
    c.publish(&a, "", "lost");
    c.publish(&b, "", "lost");
    assert!(c.get(&q).is_none());
    c.call(
        1,
        exchange::Delete {
            if_unused: true,
            ..delete_exchange(&a)
        },
    );
    c.call(1, delete_exchange(&b));
}
