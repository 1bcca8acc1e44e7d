//! `GET /api/console/audit`: who changed what, the latest first.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_broker::Change;

use crate::Context;
use crate::http::{ApiError, Monitor, Query, blocking};
use crate::view::words::words;

/// Changes of one answer, unless asked otherwise.
const LISTED: usize = 200;

/// Answers `{"items":[...],"total"}`; `filter` is words that must all be somewhere in a change.
pub(crate) async fn audit(
    State(app): State<Context>,
    Monitor(_): Monitor,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let wanted = words(&query.get("filter").unwrap_or_default().to_lowercase());
    let limit = query.get("limit").and_then(|limit| limit.parse().ok());
    let limit: usize = limit.unwrap_or(LISTED);
    blocking(move || {
        let changes = app.broker.changes();
        let total = changes.len();
        let fitting = changes.iter().filter(|change| fits(change, &wanted));
        let items: Vec<Value> = fitting.take(limit).map(shown).collect();
        Json(json!({ "items": items, "total": total }))
    })
    .await
}

fn fits(change: &Change, words: &[String]) -> bool {
    let parts = [
        change.user.as_str(),
        change.face.name(),
        change.action,
        &change.vhost,
        &change.name,
        &change.details,
    ];
    let text = parts.join(" ").to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn shown(change: &Change) -> Value {
    json!({
        "number": change.number,
        "at_ms": change.at_ms,
        "user": change.user,
        "over": change.face.name(),
        "action": change.action,
        "vhost": change.vhost,
        "name": change.name,
        "details": change.details,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node, basic};

    #[tokio::test]
    async fn changes_and_actions_are_told_to_those_who_monitor() {
        let node = Node::start().await;
        node.add_user("ann", &["administrator"]);
        node.permit("ann", "/");
        let ann = basic("ann", "pw");
        let put = node
            .send_as(
                "PUT",
                "/api/queues/%2F/orders",
                r#"{"durable":true}"#,
                Some(&ann),
            )
            .await;
        assert_eq!(put.status, 201);
        let path = "/api/queues/%2F/orders/contents";
        assert_eq!(node.send("DELETE", path, "").await.status, 204);
        let users = r#"{"password":"top-secret","tags":"management"}"#;
        node.send("PUT", "/api/users/bob", users).await;

        let all = node.get("/api/console/audit", Some(GUEST)).await;
        assert!(!all.body.contains("secret") && !all.body.contains("hash"));
        let items = all.json()["items"].as_array().unwrap().clone();
        let told: Vec<_> = items
            .iter()
            .take(3)
            .map(|item| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                format!("{} {} {}", text("user"), text("action"), text("name"))
            })
            .collect();
        assert_eq!(
            told,
            [
                "guest user.set bob",
                "guest queue.purged orders",
                "ann queue.declared orders"
            ]
        );
        assert_eq!(items[0]["over"], "http");
        let path = "/api/console/audit?filter=ann+declared";
        let found = node.get(path, Some(GUEST)).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), 1);

        let bob = basic("bob", "top-secret");
        let refused = node.get("/api/console/audit", Some(&bob)).await;
        assert_eq!(refused.status, 401);
    }
}
