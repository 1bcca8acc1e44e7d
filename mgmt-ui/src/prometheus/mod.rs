//! Metrics for Prometheus, under RabbitMQ's names, so that its dashboards and alerts work.
//!
//! Written by hand: the numbers already live on the broker's objects, and a registry would only
//! count them twice. Without a login on a listener of their own, with one on the management port.
//!
//! * `node`: the node and its totals;
//! * `objects`: families that exist in total and per object;
//! * `text`: the format.

mod node;
mod objects;
mod text;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use objects::Scope;
use text::Text;

use crate::Context;
use crate::http::Monitor;

/// The routes below `path`, for everybody.
pub(crate) fn public_routes(path: &str) -> Router<Context> {
    let path = path.trim_end_matches('/');
    Router::new()
        .route(path, get(async |State(ctx): State<Context>| totals(ctx)))
        .route(
            &format!("{path}/per-object"),
            get(async |State(ctx): State<Context>| per_object(ctx)),
        )
        .route(
            &format!("{path}/detailed"),
            get(async |State(ctx): State<Context>, asked: Asked| detailed(ctx, asked)),
        )
}

/// The same at `/metrics` of the management API, for those who may monitor.
pub(crate) fn guarded_routes() -> Router<Context> {
    Router::new()
        .route(
            "/metrics",
            get(async |State(ctx): State<Context>, _: Monitor| totals(ctx)),
        )
        .route(
            "/metrics/per-object",
            get(async |State(ctx): State<Context>, _: Monitor| per_object(ctx)),
        )
        .route(
            "/metrics/detailed",
            get(async |State(ctx): State<Context>, _: Monitor, asked: Asked| detailed(ctx, asked)),
        )
}

/// Parameters of a query, each as often as it was given.
type Asked = Query<Vec<(String, String)>>;

/// Everything, objects of a kind added up.
fn totals(ctx: Context) -> impl IntoResponse {
    write("rabbitmq_", move |text| {
        node::identity(&ctx, text, "aggregated");
        node::write(&ctx, text);
        objects::totals(&ctx, text);
    })
}

/// Everything, each object for itself.
fn per_object(ctx: Context) -> impl IntoResponse {
    write("rabbitmq_", move |text| {
        node::identity(&ctx, text, "per-object");
        node::write(&ctx, text);
        objects::each(&ctx, text, &Scope::all());
    })
}

/// The families asked for, of the vhosts asked for.
fn detailed(ctx: Context, Query(asked): Asked) -> impl IntoResponse {
    let values = |name: &str| {
        let given = asked.iter().filter(|(given, _)| given == name);
        given.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let scope = Scope::of(values("family"), values("vhost"));
    write("rabbitmq_detailed_", move |text| {
        node::identity(&ctx, text, "detailed");
        node::write_detailed(&ctx, text, &scope);
        objects::each(&ctx, text, &scope);
    })
}

/// A text written on a thread that may block, and sent as it comes into being.
fn write(
    prefix: &'static str,
    work: impl FnOnce(&mut Text) + Send + 'static,
) -> ([(axum::http::HeaderName, &'static str); 1], Body) {
    let (mut text, body) = Text::new(prefix);
    tokio::task::spawn_blocking(move || {
        work(&mut text);
        text.finish();
    });
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], body)
}

#[cfg(test)]
mod tests;
