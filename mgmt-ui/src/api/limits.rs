//! Limits of vhosts and users.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::catalog::{Command, UserLimit, VhostLimit};
use warren_broker::check_limit;

use super::definition::{change, value};
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Manager, Path, Routes, VhostScope};

const LIMIT: &[(&str, &str, &str)] = &[("value", "integer", "the limit; negative for none")];

pub(super) fn routes() -> Routes {
    Routes::new("Limits")
        .get("/vhost-limits", "Limits of all vhosts", vhost_limits)
        .get("/vhost-limits/{vhost}", "Limits of a vhost", vhost_limits)
        .put(
            "/vhost-limits/{vhost}/{name}",
            "Set max-connections or max-queues",
            put_vhost_limit,
        )
        .takes(LIMIT)
        .delete(
            "/vhost-limits/{vhost}/{name}",
            "Remove a limit of a vhost",
            delete_vhost_limit,
        )
        .get("/user-limits", "Limits of all users", user_limits)
        .get("/user-limits/{name}", "Limits of a user", user_limits_of)
        .put(
            "/user-limits/{name}/{limit}",
            "Set max-connections or max-channels",
            put_user_limit,
        )
        .takes(LIMIT)
        .delete(
            "/user-limits/{name}/{limit}",
            "Remove a limit of a user",
            delete_user_limit,
        )
}

async fn vhost_limits(State(ctx): State<Context>, scope: VhostScope) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let limits = scope.vhosts.iter().filter_map(|vhost| {
        let limits = &state.vhost(vhost.name())?.limits;
        let some = !limits.is_empty();
        some.then(|| json!({"vhost": vhost.name().to_string(), "value": limits}))
    });
    Json(limits.collect())
}

async fn put_vhost_limit(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let limit = VhostLimit::from_name(&name);
    let value = check_limit("limits", limit.is_some(), &name, &value(&fields)?)
        .map_err(ApiError::bad_request)?;
    if let Some(limit) = limit {
        set_vhost_limit(ctx, vhost, limit, Some(value)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_vhost_limit(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if let Some(limit) = VhostLimit::from_name(&name) {
        set_vhost_limit(ctx, vhost, limit, None).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn set_vhost_limit(
    ctx: Context,
    vhost: String,
    limit: VhostLimit,
    value: Option<i64>,
) -> Result<bool, ApiError> {
    let command = Command::SetVhostLimit {
        vhost,
        limit,
        value,
    };
    change(ctx, command).await
}

async fn user_limits(State(ctx): State<Context>, _: Manager) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let limited = state.users().filter(|(_, user)| !user.limits.is_empty());
    Json(
        limited
            .map(|(name, user)| json!({"user": name, "value": user.limits}))
            .collect(),
    )
}

async fn user_limits_of(
    State(ctx): State<Context>,
    _: Manager,
    Path(user): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = ctx.broker.catalog().read();
    let found = state.user(&user).ok_or(ApiError::NotFound)?;
    let shown = match found.limits.is_empty() {
        true => json!([]),
        false => json!([{"user": user, "value": found.limits}]),
    };
    Ok(Json(shown))
}

async fn put_user_limit(
    State(ctx): State<Context>,
    _: Administrator,
    Path((user, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let limit = UserLimit::from_name(&name);
    let value = check_limit("user-limits", limit.is_some(), &name, &value(&fields)?)
        .map_err(ApiError::bad_request)?;
    if let Some(limit) = limit {
        set_user_limit(ctx, user, limit, Some(value)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_user_limit(
    State(ctx): State<Context>,
    _: Administrator,
    Path((user, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if let Some(limit) = UserLimit::from_name(&name) {
        set_user_limit(ctx, user, limit, None).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn set_user_limit(
    ctx: Context,
    user: String,
    limit: UserLimit,
    value: Option<i64>,
) -> Result<bool, ApiError> {
    if ctx.broker.catalog().read().user(&user).is_none() {
        return Err(ApiError::NotFound);
    }
    change(ctx, Command::SetUserLimit { user, limit, value }).await
}
