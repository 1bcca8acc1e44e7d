//! Topic permissions.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::auth::check_pattern;
use warren_broker::catalog::Command;

use super::definition::{change, gone, put_status};
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Path, Routes};

pub(super) fn routes() -> Routes {
    Routes::new("Topic permissions")
        .get("/topic-permissions", "All topic permissions", topics)
        .get(
            "/topic-permissions/{vhost}/{name}",
            "Topic permissions of a user in a vhost",
            topics_in_vhost,
        )
        .put(
            "/topic-permissions/{vhost}/{name}",
            "Set a topic permission",
            put_topic,
        )
        .takes(&[
            ("exchange", "string", "the topic exchange"),
            ("write", "string", "routing keys that may be published with"),
            ("read", "string", "routing keys that may be bound"),
        ])
        .delete(
            "/topic-permissions/{vhost}/{name}",
            "Delete a user's topic permissions in a vhost",
            delete_topics,
        )
        .delete(
            "/topic-permissions/{vhost}/{name}/{exchange}",
            "Delete a topic permission",
            delete_topic,
        )
        .get(
            "/vhosts/{vhost}/topic-permissions",
            "Topic permissions in a vhost",
            topics_of_vhost,
        )
        .get(
            "/users/{name}/topic-permissions",
            "Topic permissions of a user",
            topics_of_user,
        )
}

/// Topic permissions that `wanted` (vhost and user) chooses.
fn shown_topics(ctx: &Context, wanted: impl Fn(&str, &str) -> bool) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let mut all = Vec::new();
    for (vhost, _) in state.vhosts() {
        for (user, exchange, def) in state.topic_permissions(vhost) {
            if wanted(vhost, user) {
                all.push(json!({"user": user, "vhost": vhost, "exchange": exchange,
                    "write": def.write, "read": def.read}));
            }
        }
    }
    Json(Value::Array(all))
}

async fn topics(State(ctx): State<Context>, _: Administrator) -> Json<Value> {
    shown_topics(&ctx, |_, _| true)
}

async fn topics_in_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    check_vhost_and_user(&ctx, Some(&vhost), Some(&user))?;
    let shown = shown_topics(&ctx, |v, u| v == vhost && u == user);
    if shown.0.as_array().is_some_and(Vec::is_empty) {
        return Err(ApiError::NotFound);
    }
    Ok(shown)
}

async fn topics_of_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(vhost): Path<String>,
) -> Result<Json<Value>, ApiError> {
    check_vhost_and_user(&ctx, Some(&vhost), None)?;
    Ok(shown_topics(&ctx, |v, _| v == vhost))
}

async fn topics_of_user(
    State(ctx): State<Context>,
    _: Administrator,
    Path(user): Path<String>,
) -> Result<Json<Value>, ApiError> {
    check_vhost_and_user(&ctx, None, Some(&user))?;
    Ok(shown_topics(&ctx, |_, u| u == user))
}

fn check_vhost_and_user(
    ctx: &Context,
    vhost: Option<&str>,
    user: Option<&str>,
) -> Result<(), ApiError> {
    let state = ctx.broker.catalog().read();
    let known = vhost.is_none_or(|vhost| state.vhost(vhost).is_some())
        && user.is_none_or(|user| state.user(user).is_some());
    if known {
        Ok(())
    } else {
        Err(ApiError::NotFound)
    }
}

async fn put_topic(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    fields.require(&["exchange", "write", "read"])?;
    let text = |name| Ok::<_, ApiError>(fields.text(name)?.unwrap_or_default().to_owned());
    let (exchange, write, read) = (text("exchange")?, text("write")?, text("read")?);
    for pattern in [&write, &read] {
        check_pattern(pattern).map_err(|why| {
            ApiError::bad_request(format!("invalid regular expression '{pattern}': {why}"))
        })?;
    }
    let new = {
        let state = ctx.broker.catalog().read();
        let mut known = state.topic_permissions(&vhost);
        !known.any(|(u, x, _)| u == user && x == exchange)
    };
    let command = Command::SetTopicPermission {
        user,
        vhost,
        exchange,
        write,
        read,
    };
    change(ctx, command).await?;
    Ok(put_status(new))
}

async fn delete_topics(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    clear_topics(ctx, vhost, user, None).await
}

async fn delete_topic(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    clear_topics(ctx, vhost, user, Some(exchange)).await
}

async fn clear_topics(
    ctx: Context,
    vhost: String,
    user: String,
    exchange: Option<String>,
) -> Result<StatusCode, ApiError> {
    check_vhost_and_user(&ctx, Some(&vhost), Some(&user))?;
    let command = Command::ClearTopicPermission {
        user,
        vhost,
        exchange,
    };
    gone(change(ctx, command).await?)
}
