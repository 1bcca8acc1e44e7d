//! The HTTP face: management API, start page and Prometheus text over the broker's own API.
//!
//! * `overview`, `health`: what `/api` answers so far;
//! * `auth`: who may ask, `reply`: how answers and errors look on the wire;
//! * `console`: the page at `/`;
//! * `prometheus`: the text of `/metrics`, on a listener of its own without passwords;
//! * `server`: from a listening socket to these routers.
//!
//! Paths, fields and texts are RabbitMQ's, so that its tools work. A field that would not be true
//! here is left out.

mod auth;
mod console;
mod health;
mod overview;
mod prometheus;
mod reply;
mod server;
#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::middleware::map_response;
use axum::routing::get;
use warren_broker::Broker;
use warren_broker::alarms::Monitor;

pub use axum::Router;
pub use server::{Accept, Plain, serve};

/// The level of RabbitMQ's API that clients may expect: the last one that also knows mirrored
/// classic queues.
pub const RABBITMQ_VERSION: &str = "3.13.7";

/// What our own name and version are in answers.
const PRODUCT: &str = "Warren";

/// What the program knows and the broker does not.
pub struct ServerInfo {
    /// The program's version.
    pub version: &'static str,
    /// The watch on memory and disk.
    pub monitor: Arc<Monitor>,
    /// Where AMQP is served.
    pub amqp: Vec<SocketAddr>,
    /// Where this API is served.
    pub management: Option<SocketAddr>,
    /// Where metrics are served.
    pub prometheus: Option<SocketAddr>,
    /// Where the same is served over TLS.
    pub tls: TlsAddresses,
    /// The path of the metrics there.
    pub prometheus_path: String,
}

/// Where something is served over TLS.
#[derive(Debug, Clone, Default)]
pub struct TlsAddresses {
    /// AMQP.
    pub amqp: Vec<SocketAddr>,
    /// This API.
    pub management: Option<SocketAddr>,
    /// Metrics.
    pub prometheus: Option<SocketAddr>,
}

/// What every handler works with.
struct App {
    broker: Arc<Broker>,
    info: Arc<ServerInfo>,
    started: Instant,
}

impl App {
    fn new(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            info,
            started: Instant::now(),
        })
    }
}

/// The management API under `/api` and the page at `/`. A login by a user who may only log in from
/// this machine needs the peer's address, which [`serve`] adds to each request; without it such a
/// login is refused.
pub fn router(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Router {
    let app = App::new(broker, info);
    let mut router = Router::new();
    for (path, handler) in [
        ("/api/overview", get(overview::overview)),
        ("/api/health/checks/alarms", get(health::alarms)),
        ("/api/health/checks/local-alarms", get(health::local_alarms)),
    ] {
        let handler = handler.options(reply::allowed_methods);
        // Client libraries write some paths with a slash at the end.
        router = router
            .route(path, handler.clone())
            .route(&format!("{path}/"), handler);
    }
    router
        .merge(console::routes())
        .fallback(reply::not_found)
        .layer(map_response(reply::protect))
        .with_state(app)
}

/// Prometheus metrics at [`ServerInfo::prometheus_path`].
pub fn metrics_router(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Router {
    let path = info.prometheus_path.clone();
    Router::new()
        .route(&path, get(prometheus::metrics))
        .fallback(reply::not_found)
        .layer(map_response(reply::protect))
        .with_state(App::new(broker, info))
}
