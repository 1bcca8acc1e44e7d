//! Policies and operator policies (sections 3 and 6 of the management specification).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use warren_broker::catalog::PolicyDef;
use warren_broker::policy::parse_policy;

use super::definition::{changing, put_status, refused};
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Path, PolicyVhost, Routes, VhostScope, blocking};

/// The fields of a policy, for the description.
const FIELDS: &[(&str, &str, &str)] = &[
    (
        "pattern",
        "string",
        "a regular expression searched in names",
    ),
    ("definition", "object", "the settings by key"),
    (
        "priority",
        "integer",
        "the highest one that matches applies; 0",
    ),
    (
        "apply-to",
        "string",
        "all, queues, exchanges, classic_queues, quorum_queues or streams",
    ),
];

pub(super) fn routes() -> Routes {
    let own = Routes::new("Policies")
        .get("/policies", "All policies", list::<false>)
        .get("/policies/{vhost}", "Policies of a vhost", list::<false>)
        .get("/policies/{vhost}/{name}", "One policy", one::<false>)
        .put("/policies/{vhost}/{name}", "Set a policy", put)
        .takes(FIELDS)
        .delete("/policies/{vhost}/{name}", "Delete a policy", delete);
    let operator = Routes::new("Policies")
        .get("/operator-policies", "All operator policies", list::<true>)
        .get(
            "/operator-policies/{vhost}",
            "Operator policies of a vhost",
            list::<true>,
        )
        .get(
            "/operator-policies/{vhost}/{name}",
            "One operator policy",
            one::<true>,
        )
        .put(
            "/operator-policies/{vhost}/{name}",
            "Set an operator policy",
            put_operator,
        )
        .takes(FIELDS)
        .delete(
            "/operator-policies/{vhost}/{name}",
            "Delete an operator policy",
            delete_operator,
        );
    own.merge(operator)
}

/// A policy as the API shows it.
fn shown(vhost: &str, name: &str, policy: &PolicyDef) -> Value {
    json!({
        "vhost": vhost,
        "name": name,
        "pattern": policy.pattern,
        "apply-to": policy.apply_to.as_str(),
        "definition": policy.definition,
        "priority": policy.priority,
    })
}

async fn list<const OPERATOR: bool>(State(ctx): State<Context>, scope: VhostScope) -> Json<Value> {
    let state = ctx.broker.catalog().read();
    let policies = scope.vhosts.iter().flat_map(|vhost| {
        let policies = state.policies(vhost.name(), OPERATOR);
        policies.map(|(name, policy)| shown(vhost.name(), name, policy))
    });
    Json(policies.collect())
}

async fn one<const OPERATOR: bool>(
    State(ctx): State<Context>,
    scope: VhostScope,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    drop(scope);
    let state = ctx.broker.catalog().read();
    let policy = state.policy(&vhost, &name, OPERATOR);
    policy
        .map(|policy| Json(shown(&vhost, &name, policy)))
        .ok_or(ApiError::NotFound)
}

async fn put(
    State(ctx): State<Context>,
    _: PolicyVhost,
    Path(path): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    fields.require(&["pattern", "definition"])?;
    set(ctx, path, fields.as_map().clone(), false).await
}

async fn put_operator(
    State(ctx): State<Context>,
    _: Administrator,
    Path(path): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    fields.require(&["pattern", "definition"])?;
    set(ctx, path, fields.as_map().clone(), true).await
}

async fn set(
    ctx: Context,
    (vhost, name): (String, String),
    fields: Map<String, Value>,
    operator: bool,
) -> Result<StatusCode, ApiError> {
    let policy = parse_policy(&name, &fields, operator).map_err(ApiError::bad_request)?;
    blocking(move || {
        let new = changing(&ctx, |turn| {
            ctx.broker.set_policy(&vhost, &name, operator, policy, turn)
        });
        new.map(put_status).map_err(refused)
    })
    .await?
}

async fn delete(
    State(ctx): State<Context>,
    _: PolicyVhost,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    clear(ctx, path, false).await
}

async fn delete_operator(
    State(ctx): State<Context>,
    _: Administrator,
    Path(path): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    clear(ctx, path, true).await
}

async fn clear(
    ctx: Context,
    (vhost, name): (String, String),
    operator: bool,
) -> Result<StatusCode, ApiError> {
    blocking(move || {
        let known = changing(&ctx, |turn| {
            ctx.broker.clear_policy(&vhost, &name, operator, turn)
        });
        super::definition::gone(known.map_err(|error| match error {
            warren_broker::catalog::CatalogError::NoSuchVhost(_) => ApiError::NotFound,
            other => refused(other),
        })?)
    })
    .await?
}
