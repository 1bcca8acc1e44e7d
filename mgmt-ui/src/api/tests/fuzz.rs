//! Whatever is sent, the API answers and never with a 500.

use axum::body::Body;
use axum::http::{Request, header::AUTHORIZATION};
use proptest::prelude::*;
use tower::ServiceExt;

use crate::http::auth::Peer;
use crate::testing::{GUEST, Node};

/// Parts of paths: words the API knows, names, and nonsense.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "queues", "exchanges", "bindings", "vhosts", "users", "permissions", "definitions",
            "connections", "channels", "consumers", "overview", "nodes", "whoami", "get",
            "publish", "contents", "actions", "bulk-delete", "cluster-name", "policies",
            "parameters", "e", "q", "username", "feature-flags", "enable", "health", "checks",
        ]).prop_map(str::to_owned),
        4 => prop::sample::select(vec!["%2F", "q", "x", "amq.default", "amq.topic", "guest", "~", "", "%00", "%FF", "%0A", "%E2%82%AC"])
            .prop_map(str::to_owned),
        1 => "[a-z%0-9.~+-]{0,12}",
    ]
}

/// Paths that mostly lead somewhere.
fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(
        super::super::routes()
            .described()
            .into_keys()
            .collect::<Vec<_>>(),
    );
    let filled = (known, prop::collection::vec(part(), 4)).prop_map(|(route, parts)| {
        let mut parts = parts.into_iter();
        let segments = route
            .split('/')
            .map(|segment| match segment.starts_with('{') {
                true => parts.next().unwrap_or_default(),
                false => segment.to_owned(),
            });
        segments.collect::<Vec<_>>().join("/")
    });
    let made_up =
        prop::collection::vec(part(), 0..6).prop_map(|parts| format!("/{}", parts.join("/")));
    prop_oneof![3 => filled, 1 => made_up]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,20}".prop_map(Into::into),
        prop::sample::select(vec![
            "true",
            "auto",
            "string",
            "base64",
            "topic",
            "classic",
            "(",
            ".*",
            "ack_requeue_true",
            "/"
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let field = prop::sample::select(vec![
            "name",
            "vhost",
            "durable",
            "arguments",
            "type",
            "properties",
            "headers",
            "payload",
            "payload_encoding",
            "routing_key",
            "count",
            "ackmode",
            "encoding",
            "tags",
            "password",
            "password_hash",
            "configure",
            "write",
            "read",
            "users",
            "vhosts",
            "queues",
            "exchanges",
            "bindings",
            "source",
            "destination",
            "destination_type",
            "value",
            "pattern",
            "definition",
            "x-max-length",
            "x-queue-type",
            "expiration",
            "priority",
            "truncate",
            "action",
            "description",
        ])
        .prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((field, inner), 0..8)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => Just(Vec::new()),
    ]
}

#[test]
fn nothing_sent_gives_a_500() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(Node::start());
    let router = node.router();
    let method = prop::sample::select(vec![
        "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH",
    ]);
    let query = prop_oneof![
        Just(String::new()),
        "[a-z_]{1,8}=[a-z0-9%]{0,6}".prop_map(|query| format!("?{query}")),
        prop::sample::select(vec![
            "?page=0",
            "?page=1&page_size=9999",
            "?sort=a.b.c",
            "?columns=a,b.c",
            "?dry_run=true",
            "?name=(&use_regex=true&page=1",
            "?lengths_age=60&lengths_incr=5",
            "?if-empty=true",
        ])
        .prop_map(str::to_owned),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1500,
        ..ProptestConfig::default()
    });
    runner
        .run(
            &(method, path(), query, body()),
            |(method, path, query, body)| {
                let Ok(request) = Request::builder()
                    .method(method)
                    .uri(format!("/api{path}{query}"))
                    .header(AUTHORIZATION, GUEST)
                    .extension(Peer("127.0.0.1:1".parse().unwrap()))
                    .body(Body::from(body))
                else {
                    return Ok(());
                };
                // The one who asks must stay an administrator.
                let harmful = path.contains("users") || path.contains("permissions");
                if harmful && method != "GET" || path == "/vhosts/%2F" && method == "DELETE" {
                    return Ok(());
                }
                let answer = runtime.block_on(router.clone().oneshot(request)).unwrap();
                prop_assert!(
                    // Health checks say 503 when something is not well.
                    answer.status().as_u16() < 500
                        || path.starts_with("/health/") && answer.status() == 503,
                    "{} {}",
                    answer.status(),
                    path
                );
                Ok(())
            },
        )
        .unwrap_or_else(|why| panic!("{why}"));
}
