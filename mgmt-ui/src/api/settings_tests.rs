//! Policies, parameters, limits and topic permissions over HTTP: statuses, bodies, tags.

use serde_json::json;

use crate::testing::{GUEST, Node, basic};

async fn refused(node: &Node, path: &str, body: &str) -> (u16, String) {
    let answer = node.send("PUT", path, body).await;
    let reason = answer.json()["reason"].as_str().unwrap().to_owned();
    (answer.status, reason)
}

#[tokio::test]
async fn l7_policies_are_put_listed_and_deleted() {
    let node = Node::start().await;
    let path = "/api/policies/%2F/p";
    let body = r#"{"pattern":"^a","definition":{"max-length":5},"priority":3,"apply-to":"queues"}"#;
    assert_eq!(node.send("PUT", path, body).await.status, 201);
    assert_eq!(node.send("PUT", path, body).await.status, 204);
    let shown = json!({"vhost": "/", "name": "p", "pattern": "^a", "apply-to": "queues",
        "definition": {"max-length": 5}, "priority": 3});
    assert_eq!(node.get(path, Some(GUEST)).await.json(), shown);
    let all = node.get("/api/policies", Some(GUEST)).await.json();
    assert_eq!(all, json!([shown]));
    let none = node.get("/api/operator-policies", Some(GUEST)).await;
    assert_eq!(none.json(), json!([]));
    assert_eq!(node.send("DELETE", path, "").await.status, 204);
    assert_eq!(node.send("DELETE", path, "").await.status, 404);
    assert_eq!(node.get(path, Some(GUEST)).await.status, 404);
    assert_eq!(
        refused(&node, path, r#"{"pattern":"","definition":{"foo":1}}"#).await,
        (
            400,
            "Validation failed\n\n[{<<\"foo\">>,1}] are not recognised policy settings\n"
                .to_owned()
        )
    );
    assert_eq!(
        refused(&node, path, "{}").await,
        (
            400,
            "[{key_missing,pattern},{key_missing,definition}]".to_owned()
        )
    );
    let nowhere = "/api/policies/nope/p";
    assert_eq!(
        refused(&node, nowhere, body).await,
        (404, "vhost_not_found".to_owned())
    );
}

#[tokio::test]
async fn policymakers_set_policies_and_administrators_operator_policies() {
    let node = Node::start().await;
    for (name, member) in [
        ("policymaker", true),
        ("management", true),
        ("stranger", false),
    ] {
        let tag = if member { name } else { "policymaker" };
        node.add_user(name, &[tag]);
        if member {
            node.permit(name, "/");
        }
    }
    let body = r#"{"pattern":"","definition":{"max-length":5}}"#;
    for (user, policy, operator) in [
        ("policymaker", 201, 401),
        ("management", 401, 401),
        ("stranger", 401, 401),
    ] {
        let login = basic(user, "pw");
        let send = |path| node.send_as("PUT", path, body, Some(&login));
        assert_eq!(send("/api/policies/%2F/p").await.status, policy, "{user}");
        let status = send("/api/operator-policies/%2F/p").await.status;
        assert_eq!(status, operator, "{user}");
    }
    let path = "/api/operator-policies/%2F/p";
    assert_eq!(node.send("PUT", path, body).await.status, 201);
    let parameters = node.get("/api/parameters", Some(GUEST)).await.json();
    assert_eq!(parameters[0]["component"], "operator_policy");
}

#[tokio::test]
async fn l50_l51_parameters_are_put_listed_and_deleted() {
    let node = Node::start().await;
    let path = "/api/parameters/shovel/%2F/s";
    let body = r#"{"value":{"src-uri":"amqp://"}}"#;
    assert_eq!(node.send("PUT", path, body).await.status, 201);
    let shown = json!({"value": {"src-uri": "amqp://"}, "vhost": "/", "component": "shovel",
        "name": "s"});
    assert_eq!(node.get(path, Some(GUEST)).await.json(), shown);
    let list = node.get("/api/parameters/shovel/%2F", Some(GUEST)).await;
    assert_eq!(list.json(), json!([shown]));
    let list = node.get("/api/parameters/nope", Some(GUEST)).await;
    assert_eq!(list.json(), json!([]));
    assert_eq!(node.send("DELETE", path, "").await.status, 204);
    assert_eq!(node.send("DELETE", path, "").await.status, 404);
    assert_eq!(
        refused(&node, "/api/parameters/nope/%2F/s", body).await,
        (
            400,
            "Validation failed\n\ncomponent nope not found\n".to_owned()
        )
    );
    let path = "/api/global-parameters/mqtt_port_to_vhost_mapping";
    assert_eq!(
        node.send("PUT", path, r#"{"value":{"1883":"/"}}"#)
            .await
            .status,
        201
    );
    let list = node.get("/api/global-parameters", Some(GUEST)).await.json();
    assert_eq!(list[0]["value"], json!({"1883": "/"}));
    assert_eq!(node.send("DELETE", path, "").await.status, 204);
    assert_eq!(node.get(path, Some(GUEST)).await.status, 404);
}

#[tokio::test]
async fn u22_u23_limits_are_put_listed_and_deleted() {
    let node = Node::start().await;
    for (path, list, key, owner, limit) in [
        (
            "/api/vhost-limits/%2F",
            "/api/vhost-limits",
            "vhost",
            "/",
            "max-queues",
        ),
        (
            "/api/user-limits/guest",
            "/api/user-limits",
            "user",
            "guest",
            "max-channels",
        ),
    ] {
        let one = format!("{path}/{limit}");
        assert_eq!(node.send("PUT", &one, r#"{"value":5}"#).await.status, 204);
        let shown = json!([{key: owner, "value": {limit: 5}}]);
        assert_eq!(node.get(list, Some(GUEST)).await.json(), shown);
        assert_eq!(node.get(path, Some(GUEST)).await.json(), shown);
        let (status, reason) = refused(&node, &one, r#"{"value":"x"}"#).await;
        assert_eq!(status, 400);
        assert!(reason.contains("should be a number"), "{reason}");
        let (status, _) = refused(&node, &format!("{path}/max-fun"), r#"{"value":1}"#).await;
        assert_eq!(status, 400);
        assert_eq!(node.send("DELETE", &one, "").await.status, 204);
        assert_eq!(node.send("DELETE", &one, "").await.status, 204);
        assert_eq!(node.get(list, Some(GUEST)).await.json(), json!([]));
    }
}

#[tokio::test]
async fn u10_topic_permissions_are_put_listed_and_deleted() {
    let node = Node::start().await;
    let path = "/api/topic-permissions/%2F/guest";
    assert_eq!(node.get(path, Some(GUEST)).await.status, 404);
    let body = r#"{"exchange":"amq.topic","write":"^a","read":".*"}"#;
    assert_eq!(node.send("PUT", path, body).await.status, 201);
    assert_eq!(node.send("PUT", path, body).await.status, 204);
    let shown = json!([{"user": "guest", "vhost": "/", "exchange": "amq.topic", "write": "^a",
        "read": ".*"}]);
    for list in [
        path,
        "/api/topic-permissions",
        "/api/vhosts/%2F/topic-permissions",
        "/api/users/guest/topic-permissions",
    ] {
        assert_eq!(node.get(list, Some(GUEST)).await.json(), shown, "{list}");
    }
    let (status, _) = refused(
        &node,
        path,
        r#"{"exchange":"amq.topic","write":"(","read":""}"#,
    )
    .await;
    assert_eq!(status, 400);
    let one = format!("{path}/amq.topic");
    assert_eq!(node.send("DELETE", &one, "").await.status, 204);
    assert_eq!(node.send("DELETE", path, "").await.status, 404);
}

#[tokio::test]
async fn u20_vhosts_are_protected() {
    let node = Node::start().await;
    let path = "/api/vhosts/%2F/deletion/protection";
    assert_eq!(node.send("POST", path, "").await.status, 204);
    let vhost = node.get("/api/vhosts/%2F", Some(GUEST)).await.json();
    assert_eq!(vhost["protected_from_deletion"], true);
    assert_eq!(node.send("DELETE", path, "").await.status, 204);
    let vhost = node.get("/api/vhosts/%2F", Some(GUEST)).await.json();
    assert_eq!(vhost["protected_from_deletion"], false);
}
