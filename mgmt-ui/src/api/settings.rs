//! Parameters, global parameters, limits of vhosts and users, topic permissions; and what they
//! share with policies.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::auth::check_pattern;
use warren_broker::catalog::{
    CatalogError, Command, PolicyDef, State as Definitions, UserLimit, VhostLimit,
};
use warren_broker::{Turn, check_limit, check_parameter};

use crate::Context;
use crate::act::new_turn;
use crate::http::{
    Administrator, ApiError, Body, Manager, Path, PolicyVhost, Routes, VhostScope, blocking,
};

const VALUE: &[(&str, &str, &str)] = &[("value", "any", "the value")];
const LIMIT: &[(&str, &str, &str)] = &[("value", "integer", "the limit; negative for none")];

pub(super) fn routes() -> Routes {
    parameters()
        .merge(limits())
        .merge(topic_permission_routes())
}

fn parameters() -> Routes {
    Routes::new("Parameters")
        .get("/parameters", "All runtime parameters", all_parameters)
        .get(
            "/parameters/{component}",
            "Runtime parameters of a component",
            component_parameters,
        )
        .get(
            "/parameters/{component}/{vhost}",
            "Runtime parameters of a component in a vhost",
            vhost_parameters,
        )
        .get(
            "/parameters/{component}/{vhost}/{name}",
            "One runtime parameter",
            parameter,
        )
        .put(
            "/parameters/{component}/{vhost}/{name}",
            "Set a runtime parameter",
            put_parameter,
        )
        .takes(VALUE)
        .delete(
            "/parameters/{component}/{vhost}/{name}",
            "Delete a runtime parameter",
            delete_parameter,
        )
        .get("/global-parameters", "All global parameters", globals)
        .get("/global-parameters/{name}", "One global parameter", global)
        .put(
            "/global-parameters/{name}",
            "Set a global parameter",
            put_global,
        )
        .takes(VALUE)
        .delete(
            "/global-parameters/{name}",
            "Delete a global parameter",
            delete_global,
        )
}

fn limits() -> Routes {
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

fn topic_permission_routes() -> Routes {
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
        .post(
            "/vhosts/{vhost}/deletion/protection",
            "Protect a vhost from deletion",
            protect_vhost,
        )
        .delete(
            "/vhosts/{vhost}/deletion/protection",
            "Let a vhost be deleted again",
            unprotect_vhost,
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

/// Runs a change of the definitions and waits until it is on disk. Blocks.
pub(super) fn changing<T>(
    ctx: &Context,
    change: impl FnOnce(&mut Turn) -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    let mut turn = new_turn();
    let result = change(&mut turn)?;
    ctx.broker.finish(&mut turn);
    ctx.broker
        .catalog()
        .wait_durable(turn.take_catalog_index())?;
    Ok(result)
}

/// Proposes one command off the threads that serve connections. Whether it changed anything.
async fn change(ctx: Context, command: Command) -> Result<bool, ApiError> {
    blocking(move || changing(&ctx, |turn| ctx.broker.change(command, turn)).map_err(refused))
        .await?
}

/// 201 for what is new, 204 for what was there.
pub(super) fn put_status(new: bool) -> StatusCode {
    if new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    }
}

/// 204 for what was there, 404 for what was not.
pub(super) fn gone(was_there: bool) -> Result<StatusCode, ApiError> {
    if was_there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound)
    }
}

/// Refusals of the catalog as RabbitMQ's API words them.
pub(crate) fn refused(error: CatalogError) -> ApiError {
    match error {
        CatalogError::NoSuchVhost(_) => ApiError::missing("vhost_not_found"),
        CatalogError::Protected(_) => ApiError::precondition_failed(error.to_string()),
        CatalogError::Log(_) => ApiError::Internal,
        other => ApiError::bad_request(other.to_string()),
    }
}

fn value(fields: &crate::http::Fields) -> Result<Value, ApiError> {
    fields.require(&["value"])?;
    Ok(fields.as_map().get("value").cloned().unwrap_or_default())
}

/// The parameters of a vhost as the API lists them: limits and operator policies are among them.
fn parameters_of(state: &Definitions, vhost: &str) -> Vec<Value> {
    let shown = |component: &str, name: &str, value: &Value| json!({"value": value, "vhost": vhost, "component": component, "name": name});
    let mut all: Vec<Value> = state
        .parameters(vhost)
        .map(|(component, name, value)| shown(component, name, value))
        .collect();
    for (name, policy) in state.policies(vhost, true) {
        all.push(shown("operator_policy", name, &policy_value(policy)));
    }
    let limits = state.vhost(vhost).map(|def| &def.limits);
    if let Some(limits) = limits.filter(|limits| !limits.is_empty()) {
        all.push(shown("vhost-limits", "limits", &json!(limits)));
    }
    all
}

fn policy_value(policy: &PolicyDef) -> Value {
    json!({"pattern": policy.pattern, "definition": policy.definition,
        "priority": policy.priority, "apply-to": policy.apply_to.as_str()})
}

fn listed(ctx: &Context, scope: &VhostScope, component: Option<&str>) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let all = scope
        .vhosts
        .iter()
        .flat_map(|vhost| parameters_of(&state, vhost.name()));
    let wanted = |entry: &Value| component.is_none_or(|only| entry["component"] == only);
    Json(all.filter(wanted).collect())
}

/// Parameters are for administrators and policymakers (of their own vhosts).
fn check_policymaker(scope: &VhostScope) -> Result<(), ApiError> {
    if scope.user.may_set_policies() {
        return Ok(());
    }
    Err(ApiError::NotAuthorised(
        "User not authorised to access object",
    ))
}

async fn all_parameters(
    State(ctx): State<Context>,
    scope: VhostScope,
) -> Result<Json<Value>, ApiError> {
    check_policymaker(&scope)?;
    Ok(listed(&ctx, &scope, None))
}

async fn component_parameters(
    State(ctx): State<Context>,
    scope: VhostScope,
    Path(component): Path<String>,
) -> Result<Json<Value>, ApiError> {
    check_policymaker(&scope)?;
    Ok(listed(&ctx, &scope, Some(&component)))
}

async fn vhost_parameters(
    State(ctx): State<Context>,
    scope: VhostScope,
    Path((component, _)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    check_policymaker(&scope)?;
    Ok(listed(&ctx, &scope, Some(&component)))
}

async fn parameter(
    State(ctx): State<Context>,
    _: PolicyVhost,
    Path((component, vhost, name)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let all = parameters_of(&ctx.broker.catalog().read(), &vhost);
    let wanted = |entry: &Value| entry["component"] == *component && entry["name"] == *name;
    let found = all.into_iter().find(wanted);
    found.map(Json).ok_or(ApiError::NotFound)
}

async fn put_parameter(
    State(ctx): State<Context>,
    _: PolicyVhost,
    Path((component, vhost, name)): Path<(String, String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let value = value(&fields)?;
    check_parameter(&component, &name, &value).map_err(ApiError::bad_request)?;
    let new = {
        let state = ctx.broker.catalog().read();
        state.parameter(&vhost, &component, &name).is_none()
    };
    let command = Command::SetParameter {
        vhost,
        component,
        name,
        value,
    };
    change(ctx, command).await?;
    Ok(put_status(new))
}

async fn delete_parameter(
    State(ctx): State<Context>,
    _: PolicyVhost,
    Path((component, vhost, name)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let command = Command::ClearParameter {
        vhost,
        component,
        name,
    };
    gone(change(ctx, command).await?)
}

/// A user who may set policies somewhere may see and set what is for the whole cluster.
fn check_global(user: &warren_broker::auth::AuthenticatedUser) -> Result<(), ApiError> {
    if user.may_set_policies() {
        return Ok(());
    }
    Err(ApiError::NotAuthorised(
        "User not authorised to access object",
    ))
}

async fn globals(
    State(ctx): State<Context>,
    Manager(user): Manager,
) -> Result<Json<Value>, ApiError> {
    check_global(&user)?;
    let state = ctx.broker.catalog().read();
    let all = state.global_parameters();
    Ok(Json(
        all.map(|(name, value)| json!({"name": name, "value": value}))
            .collect(),
    ))
}

async fn global(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    check_global(&user)?;
    let state = ctx.broker.catalog().read();
    let found = state.global_parameter(&name);
    found
        .map(|value| Json(json!({"name": name, "value": value})))
        .ok_or(ApiError::NotFound)
}

async fn put_global(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    check_global(&user)?;
    let value = value(&fields)?;
    let new = ctx
        .broker
        .catalog()
        .read()
        .global_parameter(&name)
        .is_none();
    change(ctx, Command::SetGlobalParameter { name, value }).await?;
    Ok(put_status(new))
}

async fn delete_global(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    check_global(&user)?;
    gone(change(ctx, Command::ClearGlobalParameter { name }).await?)
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
        let value = Some(value);
        let command = Command::SetVhostLimit {
            vhost,
            limit,
            value,
        };
        change(ctx, command).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_vhost_limit(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if let Some(limit) = VhostLimit::from_name(&name) {
        let value = None;
        let command = Command::SetVhostLimit {
            vhost,
            limit,
            value,
        };
        change(ctx, command).await?;
    }
    Ok(StatusCode::NO_CONTENT)
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
        let value = Some(value);
        set_user_limit(ctx, user, limit, value).await?;
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

async fn protect_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let protected = true;
    change(ctx, Command::ProtectVhost { name, protected }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unprotect_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let protected = false;
    change(ctx, Command::ProtectVhost { name, protected }).await?;
    Ok(StatusCode::NO_CONTENT)
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
