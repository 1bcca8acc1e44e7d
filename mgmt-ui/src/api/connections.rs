//! Closing connections.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use warren_amqp::ReplyError;
use warren_broker::ConnectionHandle;
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::act::new_turn;
use crate::http::{ApiError, Manager, Path, Routes};

pub(super) fn routes() -> Routes {
    Routes::new("Connections")
        .delete("/connections/{name}", "Close a connection", close)
        .delete(
            "/connections/username/{name}",
            "Close all connections of a user",
            close_of_user,
        )
}

async fn close(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut connections = ctx.broker.connections();
    connections.retain(|connection| connection.name() == name);
    let Some(connection) = connections.pop() else {
        return Err(ApiError::NotFound);
    };
    may_close(&user, &connection.user())?;
    hang_up(&ctx, &connection, &headers);
    Ok(StatusCode::NO_CONTENT)
}

async fn close_of_user(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    may_close(&user, &name)?;
    for connection in ctx.broker.connections() {
        if connection.user() == name {
            hang_up(&ctx, &connection, &headers);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Everybody their own, administrators all.
fn may_close(user: &AuthenticatedUser, owner: &str) -> Result<(), ApiError> {
    if user.is_administrator() || user.name == owner {
        return Ok(());
    }
    Err(ApiError::NotAuthorised(
        "User not authorised to access object",
    ))
}

/// The client learns the reason given in the header `X-Reason`.
fn hang_up(ctx: &Context, connection: &Arc<dyn ConnectionHandle>, headers: &HeaderMap) {
    let reason = headers.get("x-reason");
    let reason = reason.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let reason = reason.filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or_else(|| "Closed via management plugin".to_owned());
    let place = (connection.vhost(), connection.name());
    let details = format!("of user {}: {reason}", connection.user());
    let place = (place.0.as_str(), place.1.as_str());
    ctx.broker
        .note_action("connection.closed", place, details, &new_turn());
    connection.close(ReplyError::connection_forced(reason));
}
