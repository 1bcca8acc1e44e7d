//! Publishing and getting.

use serde_json::{Value, json};

use crate::testing::Node;

async fn publish(node: &Node, body: Value) -> (u16, String) {
    let path = "/api/exchanges/%2F/amq.default/publish";
    let answer = node.send("POST", path, &body.to_string()).await;
    (answer.status, answer.body)
}

async fn get(node: &Node, body: Value) -> Value {
    let answer = node
        .send("POST", "/api/queues/%2F/q/get", &body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn what_is_published_comes_back_with_its_properties() {
    let node = Node::start().await;
    node.send("PUT", "/api/queues/%2F/q", "{\"durable\":true}")
        .await;
    let properties = json!({
        "content_type": "text/plain", "content_encoding": "utf-8", "correlation_id": "c",
        "reply_to": "r", "expiration": "60000", "message_id": "m", "type": "t",
        "user_id": "guest", "app_id": "a", "cluster_id": "c", "delivery_mode": 2, "priority": 3,
        "timestamp": 1_700_000_000,
        "headers": {"s": "x", "i": -5, "f": 1.5, "b": true, "n": null, "l": [1, "a"], "t": {"k": {}}},
    });
    let message = json!({"properties": properties, "routing_key": "q", "payload": "h\u{e9}", "payload_encoding": "string"});
    assert_eq!(
        publish(&node, message).await,
        (200, "{\"routed\":true}".to_owned())
    );
    for redelivered in [false, true] {
        let got = get(
            &node,
            json!({"count": "5", "ackmode": "ack_requeue_true", "encoding": "auto"}),
        )
        .await;
        let wanted = json!([{
            "payload_bytes": 3, "redelivered": redelivered, "exchange": "", "routing_key": "q",
            "message_count": 0, "properties": properties, "payload": "h\u{e9}",
            "payload_encoding": "string",
        }]);
        assert_eq!(got, wanted);
    }
    let got = get(
        &node,
        json!({"count": 1, "ackmode": "reject_requeue_true", "encoding": "base64"}),
    )
    .await;
    assert_eq!(got[0]["payload"], "aMOp");
    assert_eq!(got[0]["payload_encoding"], "base64");
    // Cut within a character it is no text any more.
    let got = get(
        &node,
        json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto", "truncate": 2}),
    )
    .await;
    assert_eq!(got[0]["payload"], "aMM=");
    assert_eq!(got[0]["payload_bytes"], 3);
    let got = get(
        &node,
        json!({"count": 1, "requeue": false, "encoding": "auto"}),
    )
    .await;
    assert_eq!(got, json!([]));
}

#[tokio::test]
async fn without_properties_there_is_an_empty_object() {
    let node = Node::start().await;
    node.send("PUT", "/api/queues/%2F/q", "").await;
    let message = json!({"properties": {}, "routing_key": "q", "payload": "AP8=", "payload_encoding": "base64"});
    for _ in 0..3 {
        assert_eq!(publish(&node, message.clone()).await.0, 200);
    }
    let got = get(
        &node,
        json!({"count": 2, "ackmode": "reject_requeue_false", "encoding": "auto"}),
    )
    .await;
    assert_eq!(got[0]["properties"], json!({}));
    assert_eq!(got[0]["payload"], "AP8=");
    assert_eq!(got[0]["payload_encoding"], "base64");
    assert_eq!(got[0]["message_count"], 2);
    assert_eq!(got[1]["message_count"], 1);
    let got = get(
        &node,
        json!({"count": 5, "ackmode": "ack_requeue_false", "encoding": "auto"}),
    )
    .await;
    assert_eq!(got.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_rabbitmqs_words() {
    let node = Node::start().await;
    let full = "{\"arguments\":{\"x-max-length\":0,\"x-overflow\":\"reject-publish\"}}";
    assert_eq!(
        node.send("PUT", "/api/queues/%2F/full", full).await.status,
        201
    );
    let with = |field: &str, value: Value| {
        let mut message = json!({"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"});
        message[field] = value;
        message
    };
    assert_eq!(
        publish(&node, with("x", json!(1))).await,
        (200, "{\"routed\":false}".to_owned())
    );
    for (message, wanted) in [
        (
            json!({}),
            "[{key_missing,properties},{key_missing,routing_key},{key_missing,payload},{key_missing,payload_encoding}]",
        ),
        (with("payload", json!(1)), "payload_not_string"),
        (
            with("payload_encoding", json!("hex")),
            "unsupported_encoding: hex",
        ),
        (
            with("properties", json!([1])),
            "properties must be an object",
        ),
        (with("properties", json!({"priority": "1"})), "not_int"),
        (with("properties", json!({"priority": 256})), "at most 255"),
        (with("properties", json!({"type": 1})), "not_string"),
        (with("properties", json!({"headers": [1]})), "not_object"),
        (
            with("properties", json!({"user_id": "bob"})),
            "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
        ),
        (
            with("properties", json!({"expiration": "x"})),
            "406 PRECONDITION_FAILED - ",
        ),
        (
            with("routing_key", json!("full")),
            "rejected Unable to publish message. Check queue limits.",
        ),
    ] {
        let (status, body) = publish(&node, message.clone()).await;
        assert_eq!(status, 400, "{message} {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(
            body["reason"].as_str().unwrap().contains(wanted),
            "{message} {body}"
        );
    }
    let body = with("x", json!(1)).to_string();
    let answer = node
        .send("POST", "/api/exchanges/%2F/nope/publish", &body)
        .await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("404 NOT_FOUND - no exchange 'nope' in vhost '/'"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn what_cannot_be_got_is_refused() {
    let node = Node::start().await;
    node.send("PUT", "/api/queues/%2F/q", "").await;
    for (body, wanted) in [
        (
            "{}",
            "[{key_missing,count},{key_missing,ackmode},{key_missing,encoding}]",
        ),
        (
            "{\"count\":1,\"ackmode\":\"x\",\"encoding\":\"auto\"}",
            "unknown ackmode 'x'",
        ),
        (
            "{\"count\":-1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}",
            "negative",
        ),
        (
            "{\"count\":1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"x\"}",
            "unsupported_encoding",
        ),
    ] {
        let answer = node.send("POST", "/api/queues/%2F/q/get", body).await;
        assert_eq!(answer.status, 400, "{body} {}", answer.body);
        assert!(answer.body.contains(wanted), "{}", answer.body);
    }
    let fine = "{\"count\":1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}";
    let answer = node.send("POST", "/api/queues/%2F/nope/get", fine).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("no queue 'nope' in vhost '/'"));
}
