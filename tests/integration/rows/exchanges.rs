//! Section 3.1: declaring and deleting exchanges.

use crate::{
    dialogue::*,
    harness::{client, is_oracle, shared, unique},
};

const NOT_ON_DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

#[track_caller]
fn refused(method: impl Method, code: u16, text: &str, at: (u16, u16)) {
    let mut c = client();
    c.send(1, method);
    c.expect_channel_error(1, code, text, at);
}

fn passive_exchange(name: &str) -> exchange::Declare {
    exchange::Declare {
        passive: true,
        ..declare_exchange(name, "direct")
    }
}

#[test]
fn x01_predeclared_exchanges() {
    for vhost in ["/", "v1"] {
        let mut c = shared().client_as(&Login::default().at(vhost));
        for (name, kind) in [
            ("amq.direct", "direct"),
            ("amq.fanout", "fanout"),
            ("amq.topic", "topic"),
            ("amq.headers", "headers"),
            ("amq.match", "headers"),
        ] {
            let same = exchange::Declare {
                durable: true,
                ..declare_exchange(name, kind)
            };
            c.call(1, same);
        }
        let trace = declare_exchange("amq.rabbitmq.trace", "topic");
        c.call(
            1,
            exchange::Declare {
                durable: true,
                internal: true,
                ..trace
            },
        );
    }
}

#[test]
fn x02_default_exchange_routes_to_the_named_queue() {
    let mut c = client();
    let q = unique("x02");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.put(&q, "by name");
    let got = c.take(&q, "by name");
    assert_eq!(
        (
            got.method.exchange.as_str(),
            got.method.routing_key.as_str()
        ),
        ("", q.as_str())
    );
}

#[test]
fn x02_default_exchange_is_not_for_anything_else() {
    refused(
        declare_exchange("", "direct"),
        403,
        NOT_ON_DEFAULT,
        (40, 10),
    );
    refused(passive_exchange(""), 403, NOT_ON_DEFAULT, (40, 10));
    refused(delete_exchange(""), 403, NOT_ON_DEFAULT, (40, 20));
    refused(
        bind_exchange("", "amq.fanout", ""),
        403,
        NOT_ON_DEFAULT,
        (40, 30),
    );
    refused(
        bind_exchange("amq.fanout", "", ""),
        403,
        NOT_ON_DEFAULT,
        (40, 30),
    );
    refused(
        unbind_exchange("", "amq.fanout", ""),
        403,
        NOT_ON_DEFAULT,
        (40, 40),
    );
    refused(
        unbind_exchange("amq.fanout", "", ""),
        403,
        NOT_ON_DEFAULT,
        (40, 40),
    );
    let mut c = client();
    let q = unique("x02b");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.send(1, bind(&q, "", "k"));
    c.expect_channel_error(1, 403, NOT_ON_DEFAULT, (50, 20));
    c.open_channel(1);
    c.send(1, unbind(&q, "", "k"));
    c.expect_channel_error(1, 403, NOT_ON_DEFAULT, (50, 50));
}

#[test]
fn x03_reserved_names() {
    let text = "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'";
    refused(declare_exchange("amq.foo", "direct"), 403, text, (40, 10));
}

#[test]
fn x04_system_exchanges_cannot_be_deleted() {
    let text = "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed";
    refused(delete_exchange("amq.direct"), 403, text, (40, 20));
}

#[test]
fn x05_line_ends_are_stripped_from_names() {
    let mut c = client();
    let (e, q) = (unique("x05e"), unique("x05q"));
    c.call(1, declare_exchange(&format!("{e}\r\n"), "fanout"));
    c.call(1, passive_exchange(&e));
    let ok = c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&format!("{q}\n"))
        },
    );
    assert_eq!(ok.queue.as_str(), q);
    c.call(1, bind(&format!("{q}\r"), &format!("{e}\n"), ""));
    c.publish(&e, "", "x");
    c.take(&q, "x");
    c.call(1, delete_exchange(&format!("{e}\n")));
    c.send(1, passive_exchange(&e));
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (40, 10));
}

#[test]
fn x06_any_characters_in_names() {
    let mut c = client();
    let odd = format!("{} \u{e4}\u{4e16} /?*#.'\"\t", unique("x06"));
    c.call(1, declare_exchange(&odd, "fanout"));
    let q = format!("{odd}q");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, bind(&q, &odd, &odd));
    c.publish(&odd, &odd, "x");
    assert_eq!(c.take(&q, "x").method.routing_key.as_str(), odd);
    c.call(1, delete_exchange(&odd));
}

#[test]
fn x07_unknown_type() {
    let mut c = client();
    c.send(1, declare_exchange(&unique("x07"), "x-no-such-type"));
    if is_oracle() {
        let text = "COMMAND_INVALID - unknown exchange type 'x-no-such-type'";
        c.expect_connection_error(503, text, (40, 10));
        return;
    }
    // 3.13 and 4.x say `invalid` or `unknown` by whether an atom of that name happens to exist
    let close: channel::Close = c.expect(1);
    assert_eq!(
        (close.reply_code, close.class_id, close.method_id),
        (406, 40, 10)
    );
    assert!(
        close
            .reply_text
            .as_str()
            .ends_with("exchange type 'x-no-such-type'"),
        "{close:?}"
    );
}

#[test]
fn x08_redeclare() {
    let mut c = client();
    let e = unique("x08");
    let first = declare_exchange(&e, "direct");
    c.call(1, first.clone());
    c.call(1, first.clone());
    let other_args = table(&[("x-anything", int(1))]);
    c.call(
        1,
        exchange::Declare {
            arguments: other_args,
            ..first.clone()
        },
    );
    for (second, arg, received, current) in [
        (
            exchange::Declare {
                kind: "fanout".into(),
                ..first.clone()
            },
            "type",
            "fanout",
            "direct",
        ),
        (
            exchange::Declare {
                durable: true,
                ..first.clone()
            },
            "durable",
            "true",
            "false",
        ),
        (
            exchange::Declare {
                auto_delete: true,
                ..first.clone()
            },
            "auto_delete",
            "true",
            "false",
        ),
        (
            exchange::Declare {
                internal: true,
                ..first.clone()
            },
            "internal",
            "true",
            "false",
        ),
    ] {
        c.send(1, second);
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg '{arg}' for exchange '{e}' in vhost '/': \
             received '{received}' but current is '{current}'"
        );
        c.expect_channel_error(1, 406, &text, (40, 10));
        c.open_channel(1);
    }
    c.call(1, delete_exchange(&e));
}

#[test]
fn x09_redeclare_with_another_alternate_exchange() {
    let mut c = client();
    let (plain, with) = (unique("x09"), unique("x09a"));
    let ae = |name: &str| table(&[("alternate-exchange", string(name))]);
    c.call(1, declare_exchange(&plain, "direct"));
    let redeclared = declare_exchange(&plain, "direct");
    c.send(
        1,
        exchange::Declare {
            arguments: ae("ae"),
            ..redeclared
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{plain}' in \
         vhost '/': received the value 'ae' of type 'longstr' but current is none"
    );
    c.expect_channel_error(1, 406, &text, (40, 10));
    c.open_channel(1);
    c.call(
        1,
        exchange::Declare {
            arguments: ae("a"),
            ..declare_exchange(&with, "direct")
        },
    );
    c.send(
        1,
        exchange::Declare {
            arguments: ae("b"),
            ..declare_exchange(&with, "direct")
        },
    );
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{with}' in \
         vhost '/': received 'b' but current is 'a'"
    );
    c.expect_channel_error(1, 406, &text, (40, 10));
    c.open_channel(1);
    c.call(1, delete_exchange(&plain));
    c.call(1, delete_exchange(&with));
}

#[test]
fn x10_passive_checks_existence_only() {
    let mut c = client();
    let e = unique("x10");
    c.call(1, declare_exchange(&e, "fanout"));
    let other = exchange::Declare {
        durable: true,
        internal: true,
        ..passive_exchange(&e)
    };
    c.call(1, other);
    c.call(
        1,
        exchange::Declare {
            kind: "nonsense".into(),
            ..passive_exchange(&e)
        },
    );
    c.call(1, delete_exchange(&e));
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.send(1, passive_exchange(&e));
    c.expect_channel_error(1, 404, &text, (40, 10));
    c.open_channel(1);
    c.send(
        1,
        exchange::Declare {
            nowait: true,
            ..passive_exchange(&e)
        },
    );
    c.expect_channel_error(1, 404, &text, (40, 10));
}

#[test]
fn x11_delete() {
    let mut c = client();
    let (e, q) = (unique("x11"), unique("x11q"));
    c.call(1, delete_exchange(&e)); // missing is fine
    c.call(1, declare_exchange(&e, "fanout"));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, bind(&q, &e, ""));
    c.send(
        1,
        exchange::Delete {
            if_unused: true,
            ..delete_exchange(&e)
        },
    );
    let text = format!("PRECONDITION_FAILED - exchange '{e}' in vhost '/' in use");
    c.expect_channel_error(1, 406, &text, (40, 20));
    c.open_channel(1);
    c.call(1, unbind(&q, &e, ""));
    c.call(
        1,
        exchange::Delete {
            if_unused: true,
            ..delete_exchange(&e)
        },
    );
}

fn expect_exchange_gone(c: &mut Peer, e: &str) {
    c.send(1, passive_exchange(e));
    let text = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    c.expect_channel_error(1, 404, &text, (40, 10));
    c.open_channel(1);
}

#[test]
fn x12_auto_delete_with_the_last_binding() {
    let mut c = client();
    let (e, q) = (unique("x12"), unique("x12q"));
    c.call(
        1,
        exchange::Declare {
            auto_delete: true,
            ..declare_exchange(&e, "direct")
        },
    );
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, unbind(&q, &e, "never")); // never before a first binding existed
    c.call(1, bind(&q, &e, "a"));
    c.call(1, bind(&q, &e, "b"));
    c.call(1, unbind(&q, &e, "a"));
    c.call(1, passive_exchange(&e));
    c.call(1, unbind(&q, &e, "b"));
    expect_exchange_gone(&mut c, &e);
}

#[test]
fn x12_being_a_destination_does_not_count() {
    let mut c = client();
    let (source, e) = (unique("x12s"), unique("x12d"));
    c.call(1, declare_exchange(&source, "fanout"));
    c.call(
        1,
        exchange::Declare {
            auto_delete: true,
            ..declare_exchange(&e, "fanout")
        },
    );
    c.call(1, bind_exchange(&source, &e, ""));
    c.call(1, unbind_exchange(&source, &e, ""));
    c.call(1, passive_exchange(&e));
    c.call(1, delete_exchange(&e));
    c.call(1, delete_exchange(&source));
}

#[test]
fn x20_deleting_a_queue_may_auto_delete_exchanges() {
    let mut c = client();
    let (e, q) = (unique("x20e"), unique("x20d"));
    c.call(
        1,
        exchange::Declare {
            auto_delete: true,
            ..declare_exchange(&e, "fanout")
        },
    );
    c.call(1, declare(&q));
    c.call(1, bind(&q, &e, ""));
    c.call(1, delete(&q));
    expect_exchange_gone(&mut c, &e);
}
