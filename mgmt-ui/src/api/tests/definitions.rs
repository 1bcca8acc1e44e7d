//! Export and import.

use serde_json::{Value, json};

use crate::testing::{GUEST, Node};

async fn export(node: &Node, path: &str) -> Value {
    let answer = node.get(path, Some(GUEST)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn import(node: &Node, path: &str, file: &Value) -> (u16, String) {
    let answer = node.send("POST", path, &file.to_string()).await;
    (answer.status, answer.body)
}

fn file() -> Value {
    json!({
        "users": [{"name": "bob", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["management"]}],
        "vhosts": [{"name": "shop", "description": "d"}],
        "permissions": [{"user": "bob", "vhost": "shop", "configure": "", "write": ".*", "read": ".*"}],
        "topic_permissions": [{"user": "bob", "vhost": "shop", "exchange": "x", "write": "^a", "read": ""}],
        "parameters": [
            {"vhost": "shop", "component": "operator_policy", "name": "cap", "value": {"pattern": ".*", "definition": {"max-length": 3}, "priority": 1, "apply-to": "queues"}},
            {"vhost": "shop", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 50}},
        ],
        "policies": [{"vhost": "shop", "name": "p", "pattern": "^q", "apply-to": "queues", "definition": {"message-ttl": 60000}, "priority": 0}],
        "global_parameters": [{"name": "g", "value": {"a": 1}}],
        "exchanges": [
            {"name": "x", "vhost": "shop", "type": "topic"},
            {"name": "amq.topic", "vhost": "shop", "type": "topic"},
            {"name": "t", "vhost": "shop", "type": "fanout", "durable": false},
        ],
        "queues": [
            {"name": "q", "vhost": "shop", "arguments": {"x-max-length": 7}},
            {"name": "t", "vhost": "shop", "durable": false},
        ],
        "bindings": [
            {"source": "x", "vhost": "shop", "destination": "q", "destination_type": "queue", "routing_key": "a.*", "arguments": {"k": 1}},
            {"source": "x", "vhost": "shop", "destination": "t", "destination_type": "queue", "routing_key": "t"},
            {"source": "t", "vhost": "shop", "destination": "x", "destination_type": "exchange", "routing_key": ""},
        ],
    })
}

#[tokio::test]
async fn o3_what_is_imported_runs_and_is_exported() {
    let node = Node::start().await;
    let dry = node
        .send("POST", "/api/definitions?dry_run=true", &file().to_string())
        .await;
    assert_eq!(dry.status, 200);
    let changed = dry.json()["changed"].to_string();
    assert!(changed.contains("queue 'q' in vhost 'shop'"), "{changed}");
    assert!(node.broker.vhost("shop").is_none());

    assert_eq!(
        import(&node, "/api/definitions", &file()).await,
        (204, String::new())
    );
    let vhost = node.broker.vhost("shop").unwrap();
    assert!(vhost.queue("q").unwrap().durable());
    assert!(!vhost.queue("t").unwrap().durable());
    node.permit("guest", "shop");
    let message = json!({"properties": {}, "routing_key": "a.b", "payload": "x", "payload_encoding": "string"});
    let answer = node
        .send(
            "POST",
            "/api/exchanges/shop/x/publish",
            &message.to_string(),
        )
        .await;
    assert_eq!(answer.body, "{\"routed\":true}");

    // The policy is in force on the queue that came with it.
    let queue = node.get("/api/queues/shop/q", Some(GUEST)).await.json();
    assert_eq!(queue["policy"], "p", "{queue}");
    assert_eq!(queue["operator_policy"], "cap", "{queue}");

    let all = export(&node, "/api/definitions").await;
    for (field, name) in [
        ("users", "bob"),
        ("vhosts", "shop"),
        ("global_parameters", "g"),
        ("exchanges", "x"),
        ("exchanges", "t"),
        ("queues", "q"),
        ("queues", "t"),
    ] {
        let list = all[field].as_array().unwrap();
        assert!(
            list.iter().any(|entry| entry["name"] == name),
            "{field} {name} {all}"
        );
    }
    assert_eq!(all["bindings"].as_array().unwrap().len(), 3, "{all}");
    let again = node
        .send("POST", "/api/definitions?dry_run=true", &all.to_string())
        .await;
    assert_eq!(
        again.json()["changed"],
        json!([]),
        "an export changes nothing"
    );

    let part = export(&node, "/api/definitions/shop").await;
    assert_eq!(part["queues"].as_array().unwrap().len(), 2);
    assert!(part["queues"][0].get("vhost").is_none() && part.get("users").is_none());
    node.send("PUT", "/api/vhosts/copy", "").await;
    assert_eq!(import(&node, "/api/definitions/copy", &part).await.0, 204);
    let copy = node.broker.vhost("copy").unwrap();
    assert!(copy.queue("q").is_ok() && copy.exchange("x").is_ok());
    assert_eq!(
        export(&node, "/api/definitions/copy").await["bindings"],
        part["bindings"]
    );
}

#[tokio::test]
async fn one_mistake_and_nothing_is_imported() {
    let node = Node::start().await;
    let before = export(&node, "/api/definitions").await;
    for (field, entry, wanted) in [
        (
            "queues",
            json!({"name": "q2", "vhost": "shop", "arguments": {"x-max-length": "a"}}),
            "x-max-length",
        ),
        (
            "queues",
            json!({"name": "q2", "vhost": "nope"}),
            "there is no vhost 'nope'",
        ),
        ("queues", json!({"name": "q2"}), "it has no vhost"),
        (
            "exchanges",
            json!({"name": "y", "vhost": "shop", "type": "nope"}),
            "unknown exchange type 'nope'",
        ),
        (
            "bindings",
            json!({"source": "x", "vhost": "shop", "destination": "no", "destination_type": "queue"}),
            "does not exist",
        ),
        (
            "permissions",
            json!({"user": "bob", "vhost": "shop", "configure": "(", "write": "", "read": ""}),
            "permission of user 'bob'",
        ),
        (
            "permissions",
            json!({"user": "eve", "vhost": "shop", "configure": "", "write": "", "read": ""}),
            "no user 'eve'",
        ),
        (
            "users",
            json!({"name": "eve", "hashing_algorithm": "x"}),
            "unknown hashing algorithm",
        ),
        ("users", json!({"name": 1}), "failed_to_parse_json"),
    ] {
        let mut file = file();
        file[field].as_array_mut().unwrap().push(entry.clone());
        let (status, body) = import(&node, "/api/definitions", &file).await;
        assert_eq!(status, 400, "{entry} {body}");
        assert!(body.contains(wanted), "{entry} {body}");
        assert!(node.broker.vhost("shop").is_none());
    }
    assert_eq!(export(&node, "/api/definitions").await, before);
}

#[tokio::test]
async fn what_is_there_is_kept() {
    let node = Node::start().await;
    node.send("PUT", "/api/queues/%2F/q", "{\"durable\":true}")
        .await;
    let file = json!({"queues": [{"name": "q", "vhost": "/", "arguments": {"x-max-length": 7}}]});
    assert_eq!(import(&node, "/api/definitions", &file).await.0, 204);
    let queue = node.broker.vhost("/").unwrap().queue("q").unwrap();
    assert!(queue.arguments().inner().is_empty());
}

#[tokio::test]
async fn files_come_in_many_wrappings() {
    let node = Node::start().await;
    for (path, body, status) in [
        ("/api/definitions", "", 204),
        ("/api/definitions", "{}", 204),
        ("/api/definitions", "\u{feff}{\"queues\":null}", 204),
        ("/api/definitions", "[1]", 400),
        ("/api/definitions", "{", 400),
        ("/api/definitions/nope", "{}", 404),
        ("/api/all-configuration", "{}", 204),
    ] {
        assert_eq!(
            node.send("POST", path, body).await.status,
            status,
            "{path} {body}"
        );
    }
    let unknown = node.get("/api/definitions/nope", Some(GUEST)).await;
    assert_eq!(unknown.status, 400);
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n\
        {\"vhosts\":[{\"name\":\"form\"}]}\r\n--b\r\n\
        Content-Disposition: form-data; name=\"redirect\"\r\n\r\n../#/\r\n--b--\r\n";
    let request = |kind: &str| {
        format!(
            "POST /api/definitions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {GUEST}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = node.raw(&request("multipart/form-data; boundary=b")).await;
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(answer.contains("location: ../#/"), "{answer}");
    assert!(node.broker.vhost("form").is_some());
    let answer = node.raw(&request("text/html")).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    let answer = node
        .get("/api/definitions?download=f.json", Some(GUEST))
        .await;
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=f.json")
    );
}

/// Not a benchmark: the promise is a second and three, on a machine that may be busy.
#[tokio::test]
async fn ten_thousand_queues_are_soon_imported_and_exported() {
    let node = Node::start().await;
    let queues: Vec<Value> = (0..10_000)
        .map(|n| json!({"name": format!("q{n}"), "vhost": "/", "arguments": {"x-max-length": 100}}))
        .collect();
    let started = std::time::Instant::now();
    let (status, body) = import(&node, "/api/definitions", &json!({"queues": queues})).await;
    println!("imported in {:?}", started.elapsed());
    assert_eq!(status, 204, "{body}");
    let started = std::time::Instant::now();
    let all = export(&node, "/api/definitions").await;
    println!("exported in {:?}", started.elapsed());
    assert_eq!(all["queues"].as_array().unwrap().len(), 10_000);
    assert_eq!(node.broker.vhost("/").unwrap().queue_count(), 10_000);
}
