//! Runtime parameters and global parameters.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::catalog::{Command, PolicyDef, State as Definitions};
use warren_broker::check_parameter;

use super::definition::{change, gone, put_status, value};
use crate::Context;
use crate::http::{ApiError, Body, Manager, Path, PolicyVhost, Routes, VhostScope};

const VALUE: &[(&str, &str, &str)] = &[("value", "any", "the value")];

pub(super) fn routes() -> Routes {
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
