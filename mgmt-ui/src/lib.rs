//! The HTTP face: management API, start page and Prometheus text over the broker's own API.
//!
//! * `act`: changing the broker on behalf of a request;
//! * `api`: the endpoints under `/api`, one module per area;
//! * `monitor`: those of them that only look; `view`: how they show what they see;
//! * `http`: what they rely on: routes, logins, names, bodies, errors, the server;
//! * `program`, `program_log`: what they know of the program around the broker; `utc`: how its log
//! * `utc`: how the log and they write points in time;
//! * `console`: the page at `/`;
//! * `prometheus`: the text of `/metrics`, on a listener of its own without passwords.
//!
//! Paths, fields and texts are RabbitMQ's, so that its tools work. A field that would not be true
//! here is left out.

mod act;
mod api;
mod console;
#[allow(
    dead_code,
    unused_imports,
    reason = "policies will need what is left over"
)]
mod http;
mod monitor;
mod program;
mod program_log;
mod prometheus;
#[cfg(test)]
mod testing;
mod utc;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use tower_http::compression::CompressionLayer;
use warren_broker::Broker;
use warren_broker::alarms::Monitor;

use http::{front, reply};

pub use axum::Router;
pub use http::server::{Accept, Plain, serve};
pub use program::{CertificateFile, ListenerCertificate, Program, ProgramFacts};
pub use program_log::{LogLine, ProgramLog, Severity};
pub use utc::write_time;

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
    /// Settings of this API.
    pub http: HttpSettings,
    /// What else is fixed about it.
    pub facts: ProgramFacts,
    /// What can be asked of it.
    pub program: Arc<dyn Program>,
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

/// What an operator can set about the management API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// What comes before `/` and `/api`, such as `/rabbitmq`; empty for nothing.
    pub path_prefix: String,
    /// Origins whose scripts may use the API with a login; `*` allows all, without one.
    pub cors_allow_origins: Vec<String>,
    /// How long a browser may remember that, in seconds.
    pub cors_max_age_s: u32,
    /// Largest request body, bytes.
    pub max_body_size: usize,
    /// Whether the tag monitoring suffices to read the objects of all vhosts.
    pub monitoring_reads_all_vhosts: bool,
    /// Where the console's files are read from, at each request, instead of from the binary; a
    /// file that is not there comes from the binary all the same.
    pub console_directory: Option<PathBuf>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            path_prefix: String::new(),
            cors_allow_origins: Vec::new(),
            cors_max_age_s: 1800,
            max_body_size: 20_000_000,
            monitoring_reads_all_vhosts: false,
            console_directory: None,
        }
    }
}

/// What every handler works with; cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) broker: Arc<Broker>,
    pub(crate) info: Arc<ServerInfo>,
    started: Instant,
    pub(crate) console: Arc<console::Console>,
    /// The router itself, for requests from within.
    router: Arc<OnceLock<Router>>,
}

impl Context {
    fn new(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Self {
        Self {
            broker,
            info,
            started: Instant::now(),
            console: Arc::default(),
            router: Arc::default(),
        }
    }
}

/// The management API under `/api` and the page at `/`. A login by a user who may only log in from
/// this machine needs the peer's address, which [`serve`] adds to each request; without it such a
/// login is refused.
pub fn router(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Router {
    let prefix = info.http.path_prefix.trim_end_matches('/').to_owned();
    let max_body_size = info.http.max_body_size;
    let ctx = Context::new(broker, info);
    let to = |path: &str| {
        let target = format!("{prefix}{path}");
        axum::routing::get(move || async move {
            let status = axum::http::StatusCode::MOVED_PERMANENTLY;
            (status, [(axum::http::header::LOCATION, target)])
        })
    };
    let routes = api::routes()
        .into_router()
        .merge(console::files())
        .merge(prometheus::guarded_routes())
        .route("/mgmt", to("/"))
        .route("/api", to("/api/index.html"))
        .fallback(reply::not_found)
        .layer(from_fn(http::actor::with_actor))
        .layer(from_fn_with_state(ctx.clone(), front::cross_origin))
        .layer(map_response(reply::protect))
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(max_body_size))
        .with_state(ctx.clone());
    // Set once: there is one router of each `Context`. It knows no prefix.
    let _ = ctx.router.set(routes.clone());
    front::behind_prefix(routes, &prefix)
}

/// Prometheus metrics at [`ServerInfo::prometheus_path`].
pub fn metrics_router(broker: Arc<Broker>, info: Arc<ServerInfo>) -> Router {
    let path = info.prometheus_path.clone();
    prometheus::public_routes(&path)
        .fallback(reply::not_found)
        .layer(map_response(reply::protect))
        .layer(CompressionLayer::new())
        .with_state(Context::new(broker, info))
}
