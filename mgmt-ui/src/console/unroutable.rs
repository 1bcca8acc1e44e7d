//! `GET /api/console/unroutable`: what reached no queue lately, by exchange and routing key.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;
use warren_broker::{Unroutable, Vhost};

use crate::Context;
use crate::http::{ApiError, Manager, blocking};

/// Answers `{"items":[...]}`, the latest first.
pub(crate) async fn unroutable(
    State(app): State<Context>,
    Manager(user): Manager,
) -> Result<Json<Value>, ApiError> {
    blocking(move || list(&app, &user)).await.map(Json)
}

fn list(app: &Context, user: &AuthenticatedUser) -> Value {
    let vhosts = super::visible_vhosts(app, user);
    let mut all: Vec<(&Vhost, Unroutable)> = Vec::new();
    for vhost in &vhosts {
        let recent = vhost.stats().unroutable().into_iter();
        all.extend(recent.map(|place| (&**vhost, place)));
    }
    all.sort_by_key(|(_, place)| std::cmp::Reverse(place.last_ms));
    let items = all.iter().map(|(vhost, place)| {
        let connection = place.publisher.and_then(|id| app.broker.connection(id));
        let info = connection
            .as_ref()
            .map(|connection| &connection.live().info);
        json!({
            "vhost": &**vhost.name(),
            "exchange": place.exchange,
            "routing_key": place.routing_key,
            "returned": place.returned,
            "messages": place.messages,
            "first_ms": place.first_ms,
            "last_ms": place.last_ms,
            "connection": info.map(|info| &info.name),
            "user": info.map(|info| &info.user),
        })
    });
    json!({ "items": items.collect::<Vec<_>>() })
}
