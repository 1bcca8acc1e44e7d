//! Who is asking whom: the user, the cluster, the version, and what the API can do.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use warren_broker::auth::login;
use warren_broker::catalog::Command;

use crate::http::body::read;
use crate::http::{Administrator, ApiError, Body, Manager, Monitor, Path, Routes};
use crate::{Context, RABBITMQ_VERSION};

pub(super) fn routes() -> Routes {
    Routes::new("Identity")
        .get("/whoami", "The user asking", whoami)
        .get("/cluster-name", "The cluster's name", cluster_name)
        .put("/cluster-name", "Rename the cluster", rename_cluster)
        .takes(&[("name", "string", "the new name")])
        .get("/version", "The RabbitMQ whose API this is", version)
        .public()
        .get("/auth", "How to log in", auth)
        .public()
        .post("/login", "Check a name and a password", log_in)
        .takes(&[("username", "string", ""), ("password", "string", "")])
        .public()
        .delete(
            "/login",
            "Forget a login; there is nothing to forget",
            log_out,
        )
        .public()
        .get("/extensions", "Plug-ins of the console", extensions)
        .get(
            "/feature-flags",
            "Features a cluster agrees on",
            feature_flags,
        )
        .put(
            "/feature-flags/{name}/enable",
            "Enable one",
            enable_feature_flag,
        )
        .get(
            "/deprecated-features",
            "Features on their way out",
            no_features,
        )
        .get("/deprecated-features/used", "Those in use", no_features)
        .get("/shovels", "Shovels; there are none", no_plugins)
        .get(
            "/shovels/{vhost}",
            "Shovels of a vhost; there are none",
            no_plugins,
        )
        .get(
            "/federation-links",
            "Federation links; there are none",
            no_plugins,
        )
        .get(
            "/federation-links/{vhost}",
            "Federation links of a vhost; there are none",
            no_plugins,
        )
}

async fn whoami(Manager(user): Manager) -> Json<Value> {
    Json(json!({ "name": user.name, "tags": user.tags, "is_internal_user": true }))
}

async fn cluster_name(State(ctx): State<Context>, _: Manager) -> Json<Value> {
    Json(json!({ "name": ctx.broker.cluster_name() }))
}

async fn rename_cluster(
    State(ctx): State<Context>,
    _: Administrator,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    fields.require(&["name"])?;
    let name = fields.text("name")?.unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::bad_request("name is empty"));
    }
    ctx.propose(Command::SetGlobalParameter {
        name: "cluster_name".to_owned(),
        value: name.into(),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn version() -> Json<&'static str> {
    Json(RABBITMQ_VERSION)
}

/// There is nothing to log in with but names and passwords.
async fn auth() -> Json<Value> {
    Json(json!({
        "oauth_enabled": false,
        "enable_uaa": false,
        "uaa_client_id": "",
        "uaa_location": "",
    }))
}

/// A form with a name and a password; says only whether they are right.
async fn log_in(
    State(ctx): State<Context>,
    request: axum::extract::Request,
) -> Result<Json<&'static str>, ApiError> {
    let peer = request
        .extensions()
        .get::<crate::http::auth::Peer>()
        .copied();
    let body = read(request, &()).await?;
    let (mut name, mut password) = (String::new(), String::new());
    for (key, value) in form_urlencoded::parse(&body) {
        match &*key {
            "username" => name = value.into_owned(),
            "password" => password = value.into_owned(),
            _ => {}
        }
    }
    let is_loopback = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    let users = &ctx.broker.settings().loopback_users;
    let user = login(ctx.broker.catalog(), &name, &password, is_loopback, users)
        .map_err(|_| ApiError::LoginFailed)?;
    if !user.may_manage() {
        return Err(ApiError::NotAuthorised("Not management user"));
    }
    Ok(Json("ok"))
}

/// A login leaves nothing behind: every request brings its credentials.
async fn log_out() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn extensions(_: Manager) -> Json<Value> {
    Json(json!([]))
}

/// Those of RabbitMQ's that clients look for and that are true here. All are for good.
const FEATURE_FLAGS: [(&str, &str); 7] = [
    (
        "classic_queue_type_delivery_support",
        "Bug fix for classic queue deliveries using mixed versions",
    ),
    (
        "detailed_queues_endpoint",
        "Add a detailed queues HTTP API endpoint",
    ),
    (
        "direct_exchange_routing_v2",
        "v2 direct exchange routing implementation",
    ),
    (
        "drop_unroutable_metric",
        "Count unroutable publishes to be dropped in stats",
    ),
    (
        "empty_basic_get_metric",
        "Count AMQP basic.get on empty queues in stats",
    ),
    (
        "implicit_default_bindings",
        "Default bindings are now implicit, instead of being stored in the database",
    ),
    (
        "virtual_host_metadata",
        "Virtual host metadata (description, tags, etc)",
    ),
];

async fn feature_flags(_: Administrator) -> Json<Value> {
    let flags = FEATURE_FLAGS.map(|(name, description)| {
        json!({
            "name": name,
            "desc": description,
            "doc_url": "",
            "state": "enabled",
            "stability": "stable",
            "provided_by": "rabbit",
        })
    });
    Json(flags.as_slice().into())
}

async fn enable_feature_flag(
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    match FEATURE_FLAGS.iter().any(|(known, _)| *known == name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::bad_request("unsupported")),
    }
}

async fn no_features(_: Manager) -> Json<Value> {
    Json(json!([]))
}

async fn no_plugins(_: Monitor) -> Json<Value> {
    Json(json!([]))
}
