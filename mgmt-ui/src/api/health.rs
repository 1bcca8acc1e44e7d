//! `GET /api/health/checks/...`: is the node fit to take messages?

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::Context;
use crate::http::{Manager, Routes};

pub(super) fn routes() -> Routes {
    Routes::new("Health checks")
        .get("/health/checks/alarms", "No alarm in the cluster", alarms)
        .get(
            "/health/checks/local-alarms",
            "No alarm on this node",
            local_alarms,
        )
}

/// No alarm anywhere in the cluster. A node alone is its cluster.
async fn alarms(State(ctx): State<Context>, _: Manager) -> (StatusCode, Json<Value>) {
    judge(&ctx, "There are alarms in effect in the cluster")
}

/// No alarm on this node.
async fn local_alarms(State(ctx): State<Context>, _: Manager) -> (StatusCode, Json<Value>) {
    judge(&ctx, "There are alarms in effect on the node")
}

fn judge(ctx: &Context, reason: &str) -> (StatusCode, Json<Value>) {
    let alarms = ctx.broker.alarms();
    if !alarms.any() {
        return (StatusCode::OK, Json(json!({ "status": "ok" })));
    }
    let node = &ctx.broker.settings().node_name;
    let named = alarms
        .resources()
        .map(|resource| json!({ "node": node, "resource": resource }));
    let body = json!({
        "status": "failed",
        "reason": reason,
        "alarms": named.collect::<Vec<_>>(),
    });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use warren_broker::alarms::Alarms;

    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn a_node_without_alarms_is_well() {
        let node = Node::start().await;
        for path in [
            "/api/health/checks/alarms",
            "/api/health/checks/local-alarms/",
        ] {
            let answer = node.get(path, Some(GUEST)).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, r#"{"status":"ok"}"#)
            );
            assert_eq!(node.get(path, None).await.status, 401);
        }
    }

    #[tokio::test]
    async fn alarms_are_named() {
        let node = Node::start().await;
        node.broker.set_alarms(Alarms {
            memory: true,
            disk: true,
        });
        let answer = node.get("/api/health/checks/alarms", Some(GUEST)).await;
        assert_eq!(answer.status, 503);
        let wanted = json!({
            "status": "failed",
            "reason": "There are alarms in effect in the cluster",
            "alarms": [
                { "node": "warren@test", "resource": "memory" },
                { "node": "warren@test", "resource": "disk" },
            ],
        });
        assert_eq!(answer.json(), wanted);
        let local = node
            .get("/api/health/checks/local-alarms", Some(GUEST))
            .await
            .json();
        assert_eq!(local["reason"], "There are alarms in effect on the node");
    }
}
