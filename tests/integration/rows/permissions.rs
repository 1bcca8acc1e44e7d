//! Section 7: what users may do. Bob may, in `v1`: configure `^(own|conf)`, write `^(own|write)`,
//! read `^(own|read)`.

use crate::{
    dialogue::*,
    harness::{shared, unique},
};

fn guest() -> Peer {
    shared().client_as(&Login::default().at("v1"))
}

fn bob() -> Peer {
    shared().client_as(&Login::as_user("bob").at("v1"))
}

/// Bob does this and is refused `access` (configure, write or read) to `what`.
fn refused(method: impl Method, access: &str, what: &str, at: (u16, u16)) {
    let mut c = bob();
    c.send(1, method);
    expect_refused(&mut c, access, what, at);
}

fn expect_refused(c: &mut Peer, access: &str, what: &str, at: (u16, u16)) {
    let prefix = differs_on_rabbitmq_3_10(format!("{access} "), String::new());
    let text =
        format!("ACCESS_REFUSED - {prefix}access to {what} in vhost 'v1' refused for user 'bob'");
    c.expect_channel_error(1, 403, &text, at);
}

#[test]
fn s72_configure() {
    refused(declare("read-q"), "configure", "queue 'read-q'", (50, 10));
    refused(delete("read-q"), "configure", "queue 'read-q'", (50, 40));
    let e = declare_exchange("write-e", "fanout");
    refused(e, "configure", "exchange 'write-e'", (40, 10));
    refused(
        delete_exchange("write-e"),
        "configure",
        "exchange 'write-e'",
        (40, 20),
    );
    let q = unique("conf");
    let mut c = bob();
    c.call(1, declare(&q));
    c.call(1, delete(&q));
    c.call(1, declare_exchange(&q, "fanout"));
    c.call(1, delete_exchange(&q));
}

#[test]
fn s72_generated_names_are_checked_too() {
    let mut c = bob();
    c.send(
        1,
        queue::Declare {
            exclusive: true,
            ..declare("")
        },
    );
    let close: channel::Close = c.expect(1);
    assert_eq!(close.reply_code, 403);
    assert!(
        close
            .reply_text
            .as_str()
            .contains("access to queue 'amq.gen-"),
        "{close:?}"
    );
}

#[test]
fn s72_passive_declare_is_free() {
    let mut g = guest();
    let q = unique("secret");
    g.call(
        1,
        queue::Declare {
            auto_delete: true,
            ..declare(&q)
        },
    );
    bob().call(1, declare_passive(&q));
    let passive = exchange::Declare {
        passive: true,
        ..declare_exchange("amq.fanout", "fanout")
    };
    bob().call(1, passive);
    g.call(1, delete(&q));
}

#[test]
fn s72_publish() {
    let mut c = bob();
    c.put("own-q", "x");
    expect_refused(&mut c, "write", "exchange 'amq.default'", (60, 40));
    let mut g = guest();
    let (open, shut) = (unique("write"), unique("read"));
    g.call(1, declare_exchange(&open, "fanout"));
    g.call(1, declare_exchange(&shut, "fanout"));
    c.open_channel(1);
    c.call(1, confirm_select());
    c.publish(&open, "", "x");
    let _: basic::Ack = c.expect(1);
    c.publish(&shut, "", "x");
    let what = format!("exchange '{shut}'");
    expect_refused(&mut c, "write", &what, (60, 40));
    g.call(1, delete_exchange(&open));
    g.call(1, delete_exchange(&shut));
}

#[test]
fn s72_publish_permission_comes_before_existence() {
    let mut c = bob();
    c.publish("no-such-exchange", "", "x");
    expect_refused(&mut c, "write", "exchange 'no-such-exchange'", (60, 40));
}

#[test]
fn s72_read() {
    refused(get("conf-q"), "read", "queue 'conf-q'", (60, 70));
    refused(consume("conf-q", "t"), "read", "queue 'conf-q'", (60, 20));
    refused(purge("write-q"), "read", "queue 'write-q'", (50, 30));
    let mut g = guest();
    let q = unique("read");
    g.call(1, declare(&q));
    let mut c = bob();
    assert!(c.get(&q).is_none());
    c.call(1, consume(&q, "t"));
    c.call(1, purge(&q));
    g.call(1, delete(&q));
}

#[test]
fn s72_bind() {
    let bind_to = |q, e| bind(q, e, "");
    refused(
        bind_to("read-q", "own-e"),
        "write",
        "queue 'read-q'",
        (50, 20),
    );
    refused(
        bind_to("own-q", "write-e"),
        "read",
        "exchange 'write-e'",
        (50, 20),
    );
    refused(
        unbind("read-q", "own-e", ""),
        "write",
        "queue 'read-q'",
        (50, 50),
    );
    refused(
        unbind("own-q", "write-e", ""),
        "read",
        "exchange 'write-e'",
        (50, 50),
    );
    let e2e = bind_exchange("own-e", "read-e", "");
    refused(e2e, "write", "exchange 'read-e'", (40, 30));
    let e2e = bind_exchange("write-e", "own-e", "");
    refused(e2e, "read", "exchange 'write-e'", (40, 30));
    let e2e = unbind_exchange("write-e", "own-e", "");
    refused(e2e, "read", "exchange 'write-e'", (40, 40));
}

#[test]
fn x43_alternate_exchange_needs_read_and_write() {
    let with_ae = |e: &str, ae: &str| exchange::Declare {
        arguments: table(&[("alternate-exchange", string(ae))]),
        ..declare_exchange(e, "fanout")
    };
    refused(
        with_ae("conf-e", "write-ae"),
        "read",
        "exchange 'conf-e'",
        (40, 10),
    );
    refused(
        with_ae("own-e", "read-ae"),
        "write",
        "exchange 'read-ae'",
        (40, 10),
    );
}

#[test]
fn q65_dead_letter_exchange_needs_read_and_write() {
    let with_dlx =
        |q: &str, dlx: &str| declare_with(q, table(&[("x-dead-letter-exchange", string(dlx))]));
    refused(
        with_dlx("conf-q", "write-dlx"),
        "read",
        "queue 'conf-q'",
        (50, 10),
    );
    refused(
        with_dlx("own-q", "read-dlx"),
        "write",
        "exchange 'read-dlx'",
        (50, 10),
    );
}

#[test]
fn s72_the_rest_needs_nothing() {
    let mut c = bob();
    c.call(1, qos(1));
    c.call(1, cancel("t"));
    c.call(1, recover());
    c.call(1, tx::Select {});
    c.call(1, tx::Commit {});
    c.open_channel(2);
    c.call(2, confirm_select());
}

#[test]
fn u21_vhosts_are_apart() {
    let (mut here, mut there) = (guest(), shared().client());
    let q = unique("apart");
    there.call(1, declare(&q));
    there.put(&q, "there");
    let text = format!("NOT_FOUND - no queue '{q}' in vhost 'v1'");
    here.send(1, declare_passive(&q));
    here.expect_channel_error(1, 404, &text, (50, 10));
    here.open_channel(1);
    here.call(1, declare(&q));
    assert!(here.get(&q).is_none());
    here.call(1, delete(&q));
    there.take(&q, "there");
    there.call(1, delete(&q));
}
