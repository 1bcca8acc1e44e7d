//! Which status and which body: one long story per object, a line per request.

use crate::testing::{GUEST, Node};

/// Method, path, body, status and what the answer's body must contain.
type Line = (&'static str, &'static str, &'static str, u16, &'static str);

async fn play(node: &Node, story: &[Line]) {
    for (method, path, body, status, wanted) in story {
        let answer = node.send(method, &format!("/api{path}"), body).await;
        assert_eq!(
            answer.status, *status,
            "{method} {path} {body}: {}",
            answer.body
        );
        if wanted.is_empty() {
            assert_eq!(answer.body, "", "{method} {path} {body}");
        } else {
            assert!(
                answer.body.contains(wanted),
                "{method} {path} {body}: {}",
                answer.body
            );
        }
    }
}

const NOT_FOUND: &str = r#"{"error":"Object Not Found","reason":"Not Found"}"#;
const NO_VHOST: &str = r#"{"error":"not_found","reason":"vhost_not_found"}"#;

#[tokio::test]
async fn vhosts() {
    let node = Node::start().await;
    play(
        &node,
        &[
            ("DELETE", "/vhosts/shop", "", 404, NOT_FOUND),
            ("PUT", "/vhosts/shop", "", 201, ""),
            (
                "PUT",
                "/vhosts/shop/",
                "{\"description\":\"d\",\"tags\":\"a, b\"}",
                204,
                "",
            ),
            ("PUT", "/vhosts/shop", "{\"tags\":1}", 400, "bad_request"),
            ("PUT", "/vhosts/shop", "[", 400, "not_json"),
            ("POST", "/vhosts/shop/start/warren@test", "", 204, ""),
            (
                "PUT",
                "/permissions/shop/guest",
                "{}",
                400,
                "[{key_missing,configure},{key_missing,write},{key_missing,read}]",
            ),
            ("PUT", "/permissions/shop/nobody", ALL, 400, "no_such_user"),
            ("PUT", "/permissions/nope/guest", ALL, 404, NO_VHOST),
            (
                "PUT",
                "/permissions/shop/guest",
                "{\"configure\":\"(\",\"write\":\"\",\"read\":\"\"}",
                400,
                "invalid_regexp",
            ),
            ("GET", "/permissions/shop/guest", "", 404, NOT_FOUND),
            ("PUT", "/permissions/shop/guest", ALL, 201, ""),
            ("PUT", "/permissions/shop/guest", ALL, 204, ""),
            (
                "GET",
                "/permissions/shop/guest",
                "",
                200,
                "\"configure\":\".*\"",
            ),
            ("GET", "/permissions/", "", 200, "shop"),
            ("GET", "/vhosts/shop/permissions", "", 200, "guest"),
            ("GET", "/users/guest/permissions", "", 200, "shop"),
            ("PUT", "/queues/shop/q", "{\"durable\":true}", 201, ""),
            ("DELETE", "/permissions/shop/guest", "", 204, ""),
            ("DELETE", "/permissions/shop/guest", "", 404, NOT_FOUND),
            ("DELETE", "/vhosts/shop", "", 204, ""),
            ("DELETE", "/vhosts/shop", "", 404, NOT_FOUND),
            ("PUT", "/vhosts/shop", "", 201, ""),
            ("PUT", "/permissions/shop/guest", ALL, 201, ""),
            ("DELETE", "/queues/shop/q", "", 404, NOT_FOUND),
        ],
    )
    .await;
}

const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;

#[tokio::test]
async fn users() {
    let node = Node::start().await;
    play(
        &node,
        &[
            ("GET", "/users/", "", 200, "guest"),
            ("GET", "/users/bob", "", 404, NOT_FOUND),
            (
                "PUT",
                "/users/bob",
                "{\"password\":\"x\"}",
                400,
                "tags_not_present",
            ),
            (
                "PUT",
                "/users/bob",
                "{\"tags\":\"\",\"password\":\"x\",\"password_hash\":\"\"}",
                400,
                "both_password_and_password_hash_are_provided",
            ),
            (
                "PUT",
                "/users/bob",
                "{\"tags\":\"\",\"password_hash\":\"?\"}",
                400,
                "not base64",
            ),
            (
                "PUT",
                "/users/bob",
                "{\"tags\":\"\",\"password_hash\":\"\",\"hashing_algorithm\":\"x\"}",
                400,
                "unknown hashing algorithm",
            ),
            (
                "PUT",
                "/users/bob",
                "{\"tags\":\"management, monitoring\",\"password\":\"x\"}",
                201,
                "",
            ),
            (
                "GET",
                "/users/bob",
                "",
                200,
                "\"tags\":[\"management\",\"monitoring\"]",
            ),
            ("GET", "/users/without-permissions", "", 200, "bob"),
            ("PUT", "/users/bob", "{\"tags\":[]}", 204, ""),
            ("GET", "/users/bob", "", 200, "\"password_hash\":\"\""),
            (
                "POST",
                "/users/bulk-delete",
                "{\"users\":[\"bob\",\"eve\"]}",
                400,
                "no_such_user",
            ),
            (
                "POST",
                "/users/bulk-delete",
                "{}",
                400,
                "[{key_missing,users}]",
            ),
            ("GET", "/users/bob", "", 200, "bob"),
            (
                "POST",
                "/users/bulk-delete",
                "{\"users\":[\"bob\"]}",
                204,
                "",
            ),
            ("DELETE", "/users/bob", "", 404, NOT_FOUND),
            ("PUT", "/users/bob", "{\"tags\":\"protected\"}", 201, ""),
            ("DELETE", "/users/bob", "", 400, "protected"),
            ("GET", "/auth/hash_password/x", "", 200, "\"ok\":\""),
            ("GET", "/users/bob/permissions", "", 200, "[]"),
            ("GET", "/users/eve/permissions", "", 404, NOT_FOUND),
        ],
    )
    .await;
}

#[tokio::test]
async fn exchanges() {
    let node = Node::start().await;
    play(
        &node,
        &[
            (
                "PUT",
                "/exchanges/%2F/x",
                "{\"type\":\"nope\"}",
                400,
                "unknown exchange type 'nope'",
            ),
            (
                "PUT",
                "/exchanges/%2F/x",
                "{\"type\":\"topic\",\"durable\":\"true\",\"name\":\"x\",\"vhost\":\"/\"}",
                201,
                "",
            ),
            (
                "PUT",
                "/exchanges/%2F/x",
                "{\"type\":\"topic\",\"durable\":true}",
                204,
                "",
            ),
            (
                "PUT",
                "/exchanges/%2F/x",
                "{\"type\":\"fanout\",\"durable\":true}",
                400,
                "inequivalent arg 'type' for exchange 'x' in vhost '/'",
            ),
            ("PUT", "/exchanges/%2F/amq.x", "{}", 401, "Access refused."),
            ("PUT", "/exchanges/nope/x", "{}", 404, NO_VHOST),
            (
                "DELETE",
                "/exchanges/%2F/amq.default",
                "",
                401,
                "Access refused.",
            ),
            ("DELETE", "/exchanges/%2F/nope", "", 404, NOT_FOUND),
            ("DELETE", "/exchanges/nope/x", "", 404, NOT_FOUND),
            ("PUT", "/queues/%2F/q", "", 201, ""),
            (
                "POST",
                "/bindings/%2F/e/x/q/q",
                "{\"routing_key\":\"k\"}",
                201,
                "",
            ),
            (
                "DELETE",
                "/exchanges/%2F/x?if-unused=true",
                "",
                400,
                "exchange 'x' in vhost '/' in use",
            ),
            ("DELETE", "/exchanges/%2F/x", "", 204, ""),
            (
                "PUT",
                "/exchanges/%2F/y",
                "{\"arguments\":{\"alternate-exchange\":1}}",
                400,
                "alternate-exchange",
            ),
            (
                "PUT",
                "/exchanges/%2F/y",
                "{\"arguments\":1}",
                400,
                "arguments must be an object",
            ),
            ("PUT", "/exchanges/%2F/y", "{\"arguments\":[]}", 201, ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn queues() {
    let node = Node::start().await;
    play(
        &node,
        &[
            ("PUT", "/queues/%2F/a%2Fb%20c", "{\"durable\":true,\"arguments\":{\"x-max-length\":5}}", 201, ""),
            ("PUT", "/queues/%2F/a%2Fb%20c", "{\"durable\":true,\"arguments\":{\"x-max-length\":5}}", 204, ""),
            ("PUT", "/queues/%2F/a%2Fb%20c", "{\"durable\":false}", 400, "inequivalent arg 'durable' for queue 'a/b c' in vhost '/'"),
            ("PUT", "/queues/%2F/a%2Fb%20c", "{\"durable\":true,\"arguments\":{\"x-max-length\":5,\"x-max-priority\":3}}", 400, "inequivalent arg 'x-max-priority' for queue 'a/b c' in vhost '/'"),
            ("PUT", "/queues/%2F/a%2Fb%20c", "{\"durable\":true,\"arguments\":{\"x-max-length\":7}}", 204, ""),
            ("GET", "/queues/%2F/a%2Fb%20c", "", 200, "\"x-max-length\":7"),
            ("PUT", "/queues/%2F/q", "{\"arguments\":{\"x-max-length\":\"abc\"}}", 400, "x-max-length"),
            ("PUT", "/queues/%2F/amq.q", "{}", 401, "Access refused."),
            ("PUT", "/queues/nope/q", "{}", 404, NO_VHOST),
            ("PUT", "/queues/%2F/", "{}", 405, ""),
            ("GET", "/queues/%2F/q/get", "", 405, ""),
            ("GET", "/queues/%2F/q/contents", "", 405, ""),
            ("PUT", "/queues/%2F/%0A", "{}", 400, "empty"),
            ("PUT", "/queues/%2F/%FF", "{}", 400, "bad_request"),
            ("DELETE", "/queues/%2F/q", "", 404, NOT_FOUND),
            ("POST", "/exchanges/%2F/amq.default/publish", "{\"properties\":{},\"routing_key\":\"a/b c\",\"payload\":\"m\",\"payload_encoding\":\"string\"}", 200, "{\"routed\":true}"),
            ("DELETE", "/queues/%2F/a%2Fb%20c?if-empty=true", "", 400, "queue 'a/b c' in vhost '/' not empty"),
            ("DELETE", "/queues/%2F/a%2Fb%20c/contents", "", 204, ""),
            ("DELETE", "/queues/%2F/nope/contents", "", 404, NOT_FOUND),
            ("POST", "/queues/%2F/a%2Fb%20c/actions", "{\"action\":\"sync\"}", 204, ""),
            ("POST", "/queues/%2F/a%2Fb%20c/actions", "{\"action\":\"x\"}", 400, "unknown action 'x'"),
            ("POST", "/queues/%2F/a%2Fb%20c/actions", "", 400, "key_missing,action"),
            ("POST", "/rebalance/queues", "", 204, ""),
            ("DELETE", "/queues/%2F/a%2Fb%20c?if-empty=true&if-unused=true", "", 204, ""),
        ],
    )
    .await;
    let long = "q".repeat(256);
    let answer = node
        .send("PUT", &format!("/api/queues/%2F/{long}"), "{}")
        .await;
    assert_eq!(answer.status, 400, "{}", answer.body);
}

#[tokio::test]
async fn bindings() {
    let node = Node::start().await;
    play(
        &node,
        &[
            ("PUT", "/exchanges/%2F/x", "{\"type\":\"headers\"}", 201, ""),
            ("PUT", "/queues/%2F/q", "", 201, ""),
            (
                "POST",
                "/bindings/%2F/e/x/q/nope",
                "{}",
                404,
                "{\"error\":\"not_found\",\"reason\":\"no queue 'nope' in vhost '/'\"}",
            ),
            (
                "POST",
                "/bindings/%2F/e/nope/q/q",
                "{}",
                404,
                "no exchange 'nope' in vhost '/'",
            ),
            (
                "POST",
                "/bindings/%2F/e/amq.default/q/q",
                "{}",
                401,
                "Access refused.",
            ),
            ("POST", "/bindings/%2F/e/x/q/q", "", 201, ""),
            ("POST", "/bindings/%2F/e/x/q/q", "", 201, ""),
            (
                "POST",
                "/bindings/%2F/e/x/e/amq.fanout",
                "{\"routing_key\":\"r k\"}",
                201,
                "",
            ),
            ("DELETE", "/bindings/%2F/e/x/q/q/nope", "", 404, NOT_FOUND),
            ("DELETE", "/bindings/%2F/e/x/q/q/~", "", 204, ""),
            ("DELETE", "/bindings/%2F/e/x/q/q/~", "", 404, NOT_FOUND),
            (
                "DELETE",
                "/bindings/%2F/e/x/e/amq.fanout/r%2Bk",
                "",
                204,
                "",
            ),
        ],
    )
    .await;
    // Where it says the binding is, it is.
    for body in [
        "{\"routing_key\":\"a~b/c d+e%\u{e9}\"}",
        "{\"routing_key\":\"k\",\"arguments\":{\"k\":\"v\",\"x-match\":\"any\",\"n\":1}}",
        "{\"arguments\":{\"k\":[1,{\"a\":null}]}}",
    ] {
        let made = node.send("POST", "/api/bindings/%2F/e/x/q/q", body).await;
        assert_eq!(made.status, 201, "{body}");
        let location = made.header("location").unwrap();
        assert!(location.starts_with("q/"), "{location}");
        let path = format!("/api/bindings/%2F/e/x/q/{location}");
        assert_eq!(node.send("DELETE", &path, "").await.status, 204, "{path}");
        assert_eq!(node.send("DELETE", &path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_rest() {
    let node = Node::start().await;
    play(
        &node,
        &[
            (
                "GET",
                "/whoami",
                "",
                200,
                "{\"is_internal_user\":true,\"name\":\"guest\",\"tags\":[\"administrator\"]}",
            ),
            ("GET", "/cluster-name/", "", 200, "test-cluster"),
            ("PUT", "/cluster-name", "{\"name\":\"new\"}", 204, ""),
            ("PUT", "/cluster-name", "{}", 400, "key_missing,name"),
            ("GET", "/cluster-name", "", 200, "{\"name\":\"new\"}"),
            ("GET", "/extensions", "", 200, "[]"),
            ("GET", "/feature-flags", "", 200, "drop_unroutable_metric"),
            (
                "PUT",
                "/feature-flags/drop_unroutable_metric/enable",
                "",
                204,
                "",
            ),
            ("PUT", "/feature-flags/nope/enable", "", 400, "unsupported"),
            ("GET", "/deprecated-features/used", "", 200, "[]"),
            (
                "DELETE",
                "/connections/1.2.3.4:5%20-%3E%206.7.8.9:10",
                "",
                404,
                NOT_FOUND,
            ),
            ("DELETE", "/connections/username/nobody", "", 204, ""),
            (
                "POST",
                "/login",
                "username=guest&password=guest",
                200,
                "\"ok\"",
            ),
            (
                "POST",
                "/login",
                "username=guest&password=x",
                401,
                "Login failed",
            ),
        ],
    )
    .await;
    for path in ["/api/version", "/api/auth"] {
        assert_eq!(node.get(path, None).await.status, 200, "{path}");
    }
    assert_eq!(node.get("/api/whoami/", Some(GUEST)).await.status, 200);
}
