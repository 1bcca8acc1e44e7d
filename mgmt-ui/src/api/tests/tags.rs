//! Who may do what, by tag. The columns: nobody, a user without a tag, management, policymaker,
//! monitoring, administrator. Monitoring has no permission in the vhost `shop`, the others do.

use crate::testing::{GUEST, Node, basic};

type Row = (&'static str, &'static str, &'static str, [u16; 6]);

const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;
const PUBLISH: &str =
    r#"{"properties":{},"routing_key":"q","payload":"m","payload_encoding":"string"}"#;
const GET: &str = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;

/// Who has a tag.
const fn all(status: u16) -> [u16; 6] {
    [401, 401, status, status, status, status]
}

/// Who has a tag and a permission in the vhost.
const fn members(status: u16) -> [u16; 6] {
    [401, 401, status, status, 401, status]
}

const fn administrators(status: u16) -> [u16; 6] {
    [401, 401, 401, 401, 401, status]
}

const ROWS: &[Row] = &[
    ("GET", "/overview", "", all(200)),
    ("GET", "/cluster-name", "", all(200)),
    ("GET", "/extensions", "", all(200)),
    ("GET", "/whoami", "", all(200)),
    ("GET", "/health/checks/alarms", "", all(200)),
    ("PUT", "/vhosts/shop", "", administrators(204)),
    ("DELETE", "/vhosts/nope", "", administrators(404)),
    ("PUT", "/queues/shop/q", "", members(204)),
    ("PUT", "/exchanges/shop/x", "", members(204)),
    ("POST", "/bindings/shop/e/x/q/q", "", members(201)),
    ("POST", "/exchanges/shop/x/publish", PUBLISH, members(200)),
    ("POST", "/queues/shop/q/get", GET, members(200)),
    ("DELETE", "/queues/shop/q/contents", "", members(204)),
    ("DELETE", "/queues/shop/nope", "", members(404)),
    ("GET", "/users", "", administrators(200)),
    ("GET", "/users/guest", "", administrators(200)),
    ("PUT", "/users/new", "{\"tags\":\"\"}", administrators(201)),
    ("GET", "/permissions", "", administrators(200)),
    ("GET", "/vhosts/shop/permissions", "", administrators(200)),
    ("GET", "/users/guest/permissions", "", administrators(200)),
    ("PUT", "/permissions/shop/guest", ALL, administrators(204)),
    (
        "PUT",
        "/cluster-name",
        "{\"name\":\"n\"}",
        administrators(204),
    ),
    ("GET", "/definitions", "", administrators(200)),
    ("POST", "/definitions", "{}", administrators(204)),
    ("GET", "/definitions/shop", "", administrators(200)),
    (
        "POST",
        "/queues/shop/q/actions",
        "{\"action\":\"sync\"}",
        administrators(204),
    ),
    ("POST", "/rebalance/queues", "", administrators(204)),
    ("GET", "/feature-flags", "", administrators(200)),
    (
        "DELETE",
        "/connections/username/guest",
        "",
        administrators(204),
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
