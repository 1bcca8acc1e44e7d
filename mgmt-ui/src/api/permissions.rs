//! What users may do in vhosts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::auth::check_pattern;
use warren_broker::catalog::{Command, PermissionDef, State as Definitions};

use super::vhosts::created;
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Path, Routes};

pub(super) fn routes() -> Routes {
    Routes::new("Permissions")
        .get("/permissions", "All permissions", list)
        .get("/permissions/{vhost}/{name}", "A user's in a vhost", one)
        .put(
            "/permissions/{vhost}/{name}",
            "Set a user's in a vhost",
            put,
        )
        .takes(&[
            (
                "configure",
                "string",
                "pattern of names that may be declared and deleted",
            ),
            (
                "write",
                "string",
                "pattern of names that may be published and bound to",
            ),
            (
                "read",
                "string",
                "pattern of names that may be consumed and bound from",
            ),
        ])
        .delete("/permissions/{vhost}/{name}", "Take a user's away", delete)
        .get("/vhosts/{vhost}/permissions", "Those in a vhost", of_vhost)
        .get("/users/{name}/permissions", "Those of a user", of_user)
}

fn describe(user: &str, vhost: &str, def: &PermissionDef) -> Value {
    json!({
        "user": user,
        "vhost": vhost,
        "configure": def.configure,
        "write": def.write,
        "read": def.read,
    })
}

/// All permissions, by vhost and user.
fn all(state: &Definitions) -> impl Iterator<Item = (&str, &str, &PermissionDef)> {
    state.vhosts().flat_map(|(vhost, _)| {
        let inside = state.permissions(vhost);
        inside.map(move |(user, def)| (user, vhost, def))
    })
}

async fn list(State(ctx): State<Context>, _: Administrator) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let listed = all(&state).map(|(user, vhost, def)| describe(user, vhost, def));
    Json(listed.collect())
}

async fn of_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(vhost): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = ctx.broker.catalog().read();
    if state.vhost(&vhost).is_none() {
        return Err(ApiError::NotFound);
    }
    let inside = state.permissions(&vhost);
    let listed = inside.map(|(user, def)| describe(user, &vhost, def));
    Ok(Json(listed.collect()))
}

async fn of_user(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let state = ctx.broker.catalog().read();
    if state.user(&name).is_none() {
        return Err(ApiError::NotFound);
    }
    let own = all(&state).filter(|(user, ..)| *user == name);
    let listed = own.map(|(user, vhost, def)| describe(user, vhost, def));
    Ok(Json(listed.collect()))
}

async fn one(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let state = ctx.broker.catalog().read();
    let def = state.permission(&user, &vhost).ok_or(ApiError::NotFound)?;
    Ok(Json(describe(&user, &vhost, def)))
}

async fn put(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let (new, known_vhost, known_user) = {
        let state = ctx.broker.catalog().read();
        (
            state.permission(&user, &vhost).is_none(),
            state.vhost(&vhost).is_some(),
            state.user(&user).is_some(),
        )
    };
    if !known_vhost {
        return Err(ApiError::missing("vhost_not_found"));
    }
    fields.require(&["configure", "write", "read"])?;
    if !known_user {
        return Err(ApiError::bad_request(format!("no_such_user: {user}")));
    }
    let pattern = |name| -> Result<String, ApiError> {
        let pattern = fields.text(name)?.unwrap_or_default();
        check_pattern(pattern)
            .map_err(|why| ApiError::bad_request(format!("invalid_regexp: {pattern}: {why}")))?;
        Ok(pattern.to_owned())
    };
    let command = Command::SetPermission {
        configure: pattern("configure")?,
        write: pattern("write")?,
        read: pattern("read")?,
        user,
        vhost,
    };
    ctx.propose(command).await?;
    Ok(created(new))
}

async fn delete(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let known = {
        let state = ctx.broker.catalog().read();
        state.permission(&user, &vhost).is_some()
    };
    if !known {
        return Err(ApiError::NotFound);
    }
    ctx.propose(Command::ClearPermission { user, vhost })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
