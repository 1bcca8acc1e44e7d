//! Who may do what, by tag. The columns: nobody, a user without a tag, management, policymaker,
//! monitoring, administrator. Monitoring has no permission in the vhost `shop`, the others do.

use crate::testing::{GUEST, Node, basic};

type Row = (&'static str, &'static str, &'static str, [u16; 6]);

const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;
const PUBLISH: &str =
    r#"{"properties":{},"routing_key":"q","payload":"m","payload_encoding":"string"}"#;
const GET: &str = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;

const ROWS: &[Row] = &[
    ("GET", "/overview", "", [401, 401, 200, 200, 200, 200]),
    ("GET", "/cluster-name", "", [401, 401, 200, 200, 200, 200]),
    ("GET", "/extensions", "", [401, 401, 200, 200, 200, 200]),
    ("GET", "/whoami", "", [401, 401, 200, 200, 200, 200]),
    (
        "GET",
        "/health/checks/alarms",
        "",
        [401, 401, 200, 200, 200, 200],
    ),
    ("PUT", "/vhosts/shop", "", [401, 401, 401, 401, 401, 204]),
    ("DELETE", "/vhosts/nope", "", [401, 401, 401, 401, 401, 404]),
    ("PUT", "/queues/shop/q", "", [401, 401, 204, 204, 401, 204]),
    (
        "PUT",
        "/exchanges/shop/x",
        "",
        [401, 401, 204, 204, 401, 204],
    ),
    (
        "POST",
        "/bindings/shop/e/x/q/q",
        "",
        [401, 401, 201, 201, 401, 201],
    ),
    (
        "POST",
        "/exchanges/shop/x/publish",
        PUBLISH,
        [401, 401, 200, 200, 401, 200],
    ),
    (
        "POST",
        "/queues/shop/q/get",
        GET,
        [401, 401, 200, 200, 401, 200],
    ),
    (
        "DELETE",
        "/queues/shop/q/contents",
        "",
        [401, 401, 204, 204, 401, 204],
    ),
    (
        "DELETE",
        "/queues/shop/nope",
        "",
        [401, 401, 404, 404, 401, 404],
    ),
    ("GET", "/users", "", [401, 401, 401, 401, 401, 200]),
    ("GET", "/users/guest", "", [401, 401, 401, 401, 401, 200]),
    (
        "PUT",
        "/users/new",
        "{\"tags\":\"\"}",
        [401, 401, 401, 401, 401, 201],
    ),
    ("GET", "/permissions", "", [401, 401, 401, 401, 401, 200]),
    (
        "GET",
        "/vhosts/shop/permissions",
        "",
        [401, 401, 401, 401, 401, 200],
    ),
    (
        "GET",
        "/users/guest/permissions",
        "",
        [401, 401, 401, 401, 401, 200],
    ),
    (
        "PUT",
        "/permissions/shop/guest",
        ALL,
        [401, 401, 401, 401, 401, 204],
    ),
    (
        "PUT",
        "/cluster-name",
        "{\"name\":\"n\"}",
        [401, 401, 401, 401, 401, 204],
    ),
    ("GET", "/definitions", "", [401, 401, 401, 401, 401, 200]),
    ("POST", "/definitions", "{}", [401, 401, 401, 401, 401, 204]),
    (
        "GET",
        "/definitions/shop",
        "",
        [401, 401, 401, 401, 401, 200],
    ),
    (
        "POST",
        "/queues/shop/q/actions",
        "{\"action\":\"sync\"}",
        [401, 401, 401, 401, 401, 204],
    ),
    (
        "POST",
        "/rebalance/queues",
        "",
        [401, 401, 401, 401, 401, 204],
    ),
    ("GET", "/feature-flags", "", [401, 401, 401, 401, 401, 200]),
    (
        "DELETE",
        "/connections/username/guest",
        "",
        [401, 401, 401, 401, 401, 204],
    ),
];

#[tokio::test]
async fn u2_every_tag_may_do_what_it_may_do_in_rabbitmq() {
    let node = Node::start().await;
    assert_eq!(node.send("PUT", "/api/vhosts/shop", "").await.status, 201);
    node.permit("guest", "shop");
    let mut who = vec![None];
    for tag in ["", "management", "policymaker", "monitoring"] {
        let name = format!("u{tag}");
        node.add_user(
            &name,
            if tag.is_empty() {
                &[]
            } else {
                std::slice::from_ref(&tag)
            },
        );
        if tag != "monitoring" {
            node.permit(&name, "shop");
        }
        who.push(Some(basic(&name, "pw")));
    }
    who.push(Some(GUEST.to_owned()));
    for path in ["/api/queues/shop/q", "/api/exchanges/shop/x"] {
        assert_eq!(node.send("PUT", path, "").await.status, 201);
    }
    for (method, path, body, statuses) in ROWS {
        for (who, status) in who.iter().zip(statuses) {
            let path = format!("/api{path}");
            let answer = node.send_as(method, &path, body, who.as_deref()).await;
            assert_eq!(
                answer.status, *status,
                "{method} {path} {who:?} {}",
                answer.body
            );
        }
    }
}

#[tokio::test]
async fn an_administrator_needs_a_permission_to_change_what_is_in_a_vhost() {
    let node = Node::start().await;
    assert_eq!(node.send("PUT", "/api/vhosts/shop", "").await.status, 201);
    let answer = node.send("PUT", "/api/queues/shop/q", "").await;
    assert_eq!(answer.status, 401);
    let wanted =
        r#"{"error":"not_authorised","reason":"User not authorised to access virtual host"}"#;
    assert_eq!(answer.body, wanted);
}

#[tokio::test]
async fn permissions_of_amqp_count_here_too() {
    let node = Node::start().await;
    node.add_user("bob", &["management"]);
    let permission = r#"{"configure":"^bob","write":"","read":""}"#;
    let path = "/api/permissions/%2F/bob";
    assert_eq!(node.send("PUT", path, permission).await.status, 201);
    let bob = basic("bob", "pw");
    let put = async |name: &str| {
        let path = format!("/api/queues/%2F/{name}");
        node.send_as("PUT", &path, "", Some(&bob)).await
    };
    assert_eq!(put("bob.q").await.status, 201);
    let refused = put("q").await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.body,
        r#"{"error":"not_authorised","reason":"Access refused."}"#
    );
}
