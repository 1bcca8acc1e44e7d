//! `GET /api/console/search?q=`: queues, exchanges, connections and users whose names contain a
//! text, for the command palette. Those that begin with it come first.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::http::{ApiError, Manager, blocking};

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Asked {
    q: String,
    #[serde(default = "twenty")]
    limit: usize,
}

fn twenty() -> usize {
    20
}

/// Answers `{"items":[{"kind","name","vhost"?}]}`.
pub(crate) async fn search(
    State(app): State<Context>,
    Manager(user): Manager,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    blocking(move || find(&app, &user, &asked)).await.map(Json)
}

fn find(app: &Context, user: &AuthenticatedUser, asked: &Asked) -> Value {
    let wanted = asked.q.to_lowercase();
    let mut found: Vec<(bool, usize, Value)> = Vec::new();
    let mut see = |kind: &str, name: &str, label: Option<&str>, vhost: Option<&str>| {
        let lower = match label {
            Some(label) => format!("{label} {name}").to_lowercase(),
            None => name.to_lowercase(),
        };
        if !lower.contains(&wanted) || found.len() > 5000 {
            return;
        }
        let mut item = json!({ "kind": kind, "name": name });
        if let Some(label) = label {
            item["label"] = label.into();
        }
        if let Some(vhost) = vhost {
            item["vhost"] = vhost.into();
        }
        found.push((!lower.starts_with(&wanted), name.len(), item));
    };
    for vhost in super::visible_vhosts(app, user) {
        for queue in vhost.queues() {
            see("queue", queue.name(), None, Some(vhost.name()));
        }
        for exchange in vhost.exchanges() {
            see("exchange", &exchange.name, None, Some(vhost.name()));
        }
    }
    for connection in app.broker.connections() {
        if user.may_monitor() || connection.user() == user.name {
            let given = connection.live().info.given_name();
            see("connection", &connection.name(), given.as_deref(), None);
        }
    }
    if user.is_administrator() {
        for (name, _) in app.broker.catalog().read().users() {
            see("user", name, None, None);
        }
    }
    found.sort_by_key(|(inside, length, _)| (*inside, *length));
    let items: Vec<Value> = found
        .into_iter()
        .take(asked.limit.min(100))
        .map(|(_, _, item)| item)
        .collect();
    json!({ "items": items })
}
