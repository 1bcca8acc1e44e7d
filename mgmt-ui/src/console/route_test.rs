//! `POST /api/console/route-test`: where a message would go and why, without publishing it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::http::{ApiError, Manager, blocking};

/// The message's address and headers.
#[derive(Deserialize)]
pub(crate) struct Asked {
    vhost: String,
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    headers: Map<String, Value>,
}

/// Answers `{"queues":[...],"hops":[...]}`.
pub(crate) async fn route_test(
    State(app): State<Context>,
    Manager(user): Manager,
    Json(asked): Json<Asked>,
) -> Result<Json<Value>, ApiError> {
    blocking(move || explain(&app, &user, &asked))
        .await?
        .map(Json)
}

fn explain(app: &Context, user: &AuthenticatedUser, asked: &Asked) -> Result<Value, ApiError> {
    let vhost = super::visible_vhosts(app, user)
        .into_iter()
        .find(|vhost| **vhost.name() == *asked.vhost)
        .ok_or(ApiError::NotFound)?;
    let exchange = if asked.exchange == "amq.default" {
        ""
    } else {
        &asked.exchange
    };
    let headers = warren_broker::catalog::table_from_json(&asked.headers).unwrap_or_default();
    let way = vhost.explain(exchange, &asked.routing_key, &headers);
    let hops: Vec<Value> = way
        .hops
        .iter()
        .map(|hop| {
            let bindings: Vec<Value> = hop
                .bindings
                .iter()
                .map(|b| {
                    json!({
                        "matched": b.matched,
                        "destination_type": if b.to_queue { "queue" } else { "exchange" },
                        "destination": b.destination,
                        "routing_key": b.routing_key,
                        "why": b.why,
                    })
                })
                .collect();
            json!({
                "exchange": hop.exchange,
                "type": hop.kind,
                "routing_key": asked.routing_key,
                "bindings": bindings,
                "note": hop.note,
            })
        })
        .collect();
    Ok(json!({ "queues": way.queues, "hops": hops }))
}
