//! Sections 3.2 to 3.4: routing by type, headers matching, alternate exchanges, CC and BCC.

use crate::{
    dialogue::*,
    harness::{client, unique},
};

/// A client, a fresh exchange of type `kind`, and an exclusive queue.
fn with_exchange(kind: &str) -> (Peer, String, String) {
    let mut c = client();
    let (e, q) = (unique(kind), unique("q"));
    c.call(
        1,
        exchange::Declare {
            auto_delete: true,
            ..declare_exchange(&e, kind)
        },
    );
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    (c, e, q)
}

#[test]
fn s32_direct() {
    let (mut c, e, q) = with_exchange("direct");
    c.call(1, bind(&q, &e, "a.b"));
    c.call(1, bind(&q, &e, ""));
    for key in ["a.b", "a.*", "A.B", "", "a.b "] {
        c.publish(&e, key, key);
    }
    assert_eq!(c.drain(&q), ["a.b", ""]);
}

#[test]
fn s32_fanout() {
    let (mut c, e, q) = with_exchange("fanout");
    c.call(1, bind(&q, &e, "ignored"));
    c.publish(&e, "something else", "x");
    assert_eq!(c.drain(&q), ["x"]);
}

#[test]
fn s32_topic() {
    let cases: [(&str, &[&str], &[&str]); 9] = [
        ("#", &["", "a", "a.b.c", ".."], &[]),
        ("*", &["a", "#", "*"], &["", "a.b", "."]),
        ("a.*", &["a.b", "a."], &["a", "a.b.c", "b.a"]),
        ("*.*", &[".", "a.", ".b", "a.b"], &["", "a", "a.b.c"]),
        ("a.#", &["a", "a.b", "a.b.c", "a."], &["", "b", "aa.b"]),
        ("#.b", &["b", "a.b", "a.a.b", ".b"], &["b.a", ""]),
        (
            "a.#.b",
            &["a.b", "a.x.b", "a.x.y.b"],
            &["a", "b", "a.b.c", "ab"],
        ),
        ("a.b", &["a.b"], &["a", "a.b.c", "a.*", "A.b"]),
        ("", &[""], &["a"]),
    ];
    for (pattern, matching, others) in cases {
        let (mut c, e, q) = with_exchange("topic");
        c.call(1, bind(&q, &e, pattern));
        for key in matching.iter().chain(others) {
            c.publish(&e, key, key);
        }
        assert_eq!(c.drain(&q), matching, "binding {pattern:?}");
    }
}

/// Which of these headers reach a queue bound to a headers exchange with `binding`?
fn reached(binding: &FieldTable, headers: &[(&str, FieldTable)]) -> Vec<String> {
    let (mut c, e, q) = with_exchange("headers");
    c.call(
        1,
        queue::Bind {
            arguments: binding.clone(),
            ..bind(&q, &e, "")
        },
    );
    for (name, headers) in headers {
        let props = with_headers(headers.clone());
        c.publish_with(1, publish(&e, "ignored"), &props, name.as_bytes());
    }
    c.drain(&q)
}

fn sample_headers() -> [(&'static str, FieldTable); 6] {
    let entries = [("a", int(1)), ("b", string("x"))];
    [
        ("none", table(&[])),
        ("a", table(&entries[..1])),
        ("b", table(&entries[1..])),
        ("ab", table(&entries)),
        (
            "ab+",
            table(&[entries[0].clone(), entries[1].clone(), ("c", boolean(true))]),
        ),
        ("other a", table(&[("a", int(2)), ("b", string("y"))])),
    ]
}

#[test]
fn x30_x_match() {
    let want = |mode: Option<&str>| {
        let mut binding = table(&[("a", int(1)), ("b", string("x"))]);
        if let Some(mode) = mode {
            binding.insert("x-match".into(), string(mode));
        }
        reached(&binding, &sample_headers())
    };
    assert_eq!(want(None), ["ab", "ab+"]);
    assert_eq!(want(Some("all")), ["ab", "ab+"]);
    assert_eq!(want(Some("any")), ["a", "b", "ab", "ab+"]);
    assert_eq!(want(Some("all-with-x")), ["ab", "ab+"]);
    assert_eq!(want(Some("any-with-x")), ["a", "b", "ab", "ab+"]);
}

#[test]
fn x30_bad_x_match() {
    let (mut c, e, q) = with_exchange("headers");
    for (value, why) in [
        (
            string("some"),
            "Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
        ),
        (
            long(5),
            "Invalid x-match field type long (value 5); expected longstr",
        ),
    ] {
        let arguments = table(&[("x-match", value)]);
        c.send(
            1,
            queue::Bind {
                arguments,
                ..bind(&q, &e, "")
            },
        );
        let text = format!("PRECONDITION_FAILED - {why}");
        c.expect_channel_error(1, 406, &text, (50, 20));
        c.open_channel(1);
    }
}

#[test]
fn x31_keys_beginning_with_x() {
    let headers = [
        ("right", table(&[("x-a", int(1)), ("b", int(1))])),
        ("wrong", table(&[("x-a", int(2)), ("b", int(1))])),
    ];
    let binding = |mode| table(&[("x-match", string(mode)), ("x-a", int(1)), ("b", int(1))]);
    assert_eq!(reached(&binding("all"), &headers), ["right", "wrong"]);
    assert_eq!(reached(&binding("all-with-x"), &headers), ["right"]);
    let binding = |mode| table(&[("x-match", string(mode)), ("x-a", int(1)), ("c", int(1))]);
    assert_eq!(reached(&binding("any"), &headers), Vec::<String>::new());
    assert_eq!(reached(&binding("any-with-x"), &headers), ["right"]);
}

#[test]
fn x32_empty_bindings() {
    let all = ["none", "a", "b", "ab", "ab+", "other a"];
    assert_eq!(reached(&table(&[]), &sample_headers()), all);
    assert_eq!(
        reached(&table(&[("x-match", string("all"))]), &sample_headers()),
        all
    );
    let any = table(&[("x-match", string("any"))]);
    assert_eq!(reached(&any, &sample_headers()), Vec::<String>::new());
    let skipped = |mode| table(&[("x-match", string(mode)), ("x-other", int(1))]);
    assert_eq!(reached(&skipped("all"), &sample_headers()), all);
    assert_eq!(
        reached(&skipped("any"), &sample_headers()),
        Vec::<String>::new()
    );
}

#[test]
fn x33_void_matches_presence() {
    let binding = table(&[("a", AMQPValue::Void)]);
    assert_eq!(
        reached(&binding, &sample_headers()),
        ["a", "ab", "ab+", "other a"]
    );
}

#[test]
fn x34_values_compare_not_wire_types() {
    let matches = |bound: AMQPValue, sent: AMQPValue| {
        !reached(&table(&[("v", bound)]), &[("hit", table(&[("v", sent)]))]).is_empty()
    };
    assert!(matches(long(1), int(1)));
    assert!(matches(AMQPValue::ShortShortUInt(1), long(1)));
    assert!(matches(
        string("abc"),
        AMQPValue::ByteArray(b"abc".to_vec().into())
    ));
    assert!(!matches(string("1"), int(1)));
    assert!(!matches(int(1), int(2)));
    assert!(matches(boolean(true), boolean(true)));
    assert!(!matches(boolean(true), boolean(false)));
    let number_kinds_mix = matches(int(1), AMQPValue::Double(1.0));
    assert_eq!(
        number_kinds_mix,
        differs_on_rabbitmq_3_10(false, true),
        "strict since 3.13"
    );
}

#[test]
fn x35_headers_ignore_the_routing_key() {
    let (mut c, e, q) = with_exchange("headers");
    c.call(1, bind(&q, &e, "one key"));
    c.publish(&e, "another key", "x");
    assert_eq!(c.drain(&q), ["x"]);
}

fn declare_with_ae(e: &str, kind: &str, ae: AMQPValue) -> exchange::Declare {
    let arguments = table(&[("alternate-exchange", ae)]);
    exchange::Declare {
        arguments,
        ..declare_exchange(e, kind)
    }
}

#[test]
fn x36_timestamps_compare_by_value() {
    let at = |seconds| table(&[("at", AMQPValue::Timestamp(seconds))]);
    let headers = [
        ("same", at(1_700_000_000)),
        ("later", at(1_700_000_001)),
        ("a number", table(&[("at", long(1_700_000_000))])),
    ];
    assert_eq!(reached(&at(1_700_000_000), &headers), ["same"]);
}

#[test]
fn x40_alternate_exchange_of_a_wrong_type() {
    let mut c = client();
    let e = unique("x40");
    c.send(1, declare_with_ae(&e, "direct", long(5)));
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'long' for arg 'alternate-exchange' in exchange '{e}' \
         in vhost '/'"
    );
    c.expect_channel_error(1, 406, &text, (40, 10));
}

#[test]
fn x41_x42_alternates_are_followed() {
    let (mut c, last, q) = with_exchange("fanout");
    c.call(1, bind(&q, &last, ""));
    let (first, second) = (unique("x41a"), unique("x41b"));
    c.call(1, declare_with_ae(&first, "direct", string(&second)));
    c.call(1, declare_with_ae(&second, "direct", string(&last)));
    let mandatory = basic::Publish {
        mandatory: true,
        ..publish(&first, "key")
    };
    c.publish_with(1, mandatory, &properties(), b"x");
    let got = c.take(&q, "x"); // routed, so not returned
    assert_eq!(
        (
            got.method.exchange.as_str(),
            got.method.routing_key.as_str()
        ),
        (&*first, "key")
    );
    c.call(1, delete_exchange(&first));
    c.call(1, delete_exchange(&second));
}

#[test]
fn x41_alternates_that_are_missing_or_go_round() {
    let mut c = client();
    let (missing, a, b) = (unique("x41m"), unique("x41x"), unique("x41y"));
    c.call(
        1,
        declare_with_ae(&missing, "direct", string(&unique("nowhere"))),
    );
    c.call(1, declare_with_ae(&a, "direct", string(&b)));
    c.call(1, declare_with_ae(&b, "direct", string(&a)));
    for e in [&missing, &a] {
        let mandatory = basic::Publish {
            mandatory: true,
            ..publish(e, "k")
        };
        c.publish_with(1, mandatory, &properties(), b"back");
        let returned: Message<basic::Return> = c.expect_message(1);
        assert_eq!(
            returned.method.exchange.as_str(),
            e,
            "the original exchange (X-42)"
        );
    }
    for e in [&missing, &a, &b] {
        c.call(1, delete_exchange(e));
    }
}

#[test]
fn x41_alternate_is_not_used_when_routed() {
    let (mut c, ae, caught) = with_exchange("fanout");
    c.call(1, bind(&caught, &ae, ""));
    let (e, q) = (unique("x41r"), unique("x41q"));
    c.call(1, declare_with_ae(&e, "direct", string(&ae)));
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(1, bind(&q, &e, "k"));
    c.publish(&e, "k", "routed");
    assert_eq!(c.drain(&q), ["routed"]);
    assert!(c.get(&caught).is_none());
    c.call(1, delete_exchange(&e));
}

#[test]
fn x50_x51_cc_and_bcc() {
    let mut c = client();
    let names: Vec<String> = ["x50a", "x50b", "x50c"].map(unique).into();
    for q in &names {
        c.call(
            1,
            queue::Declare {
                exclusive: true,
                ..declare(q)
            },
        );
    }
    let headers = table(&[
        ("CC", array(vec![string(&names[1]), int(5)])),
        ("BCC", array(vec![string(&names[2])])),
        ("own", int(1)),
    ]);
    c.publish_with(
        1,
        publish("", &names[0]),
        &with_headers(headers.clone()),
        b"x",
    );
    for q in &names {
        let got = c.take(q, "x");
        assert_eq!(
            got.method.routing_key.as_str(),
            names[0],
            "the published key"
        );
        let mut kept = headers.inner().clone();
        kept.remove("BCC");
        assert_eq!(got.headers(), kept.into(), "CC stays, BCC goes");
    }
}

#[test]
fn x50_cc_must_be_an_array() {
    let mut c = client();
    let headers = with_headers(table(&[("CC", string("q"))]));
    c.publish_with(1, publish("amq.fanout", ""), &headers, b"x");
    let close: channel::Close = c.expect(1);
    assert_eq!(
        (close.reply_code, close.class_id, close.method_id),
        (406, 60, 40)
    );
    let text = close.reply_text.as_str();
    assert!(
        text.contains("{unacceptable_type_in_header,\"CC\",longstr}"),
        "{text}"
    );
}
