//! Everything the program listens on: bound first, so that a port in use stops the start before
//! anything is opened, then served.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use warren_broker::Broker;
use warren_broker::alarms::Monitor;
use warren_mgmt_ui::{Accept, Plain, Program, Router, ServerInfo, TlsAddresses};

use crate::background;
use crate::config::{Config, ListenAddress, TlsOptions};
use crate::entrance::Entrance;
use crate::net::listener::{self, Preface};
use crate::net::workers::Workers;
use crate::server::Context;
use crate::tls::TlsServer;

/// The backlog of HTTP listeners.
const HTTP_BACKLOG: u32 = 128;

/// The bound sockets, with the TLS of those that have it.
pub(crate) struct Listeners {
    amqp: Vec<StdListener>,
    amqp_tls: Vec<StdListener>,
    tls: Option<Arc<TlsServer>>,
    management: Http,
    prometheus: Http,
}

/// An HTTP service's sockets.
struct Http {
    plain: Option<StdListener>,
    tls: Option<(StdListener, Arc<TlsServer>)>,
}

/// Where something is served, for the start-up message.
pub(crate) struct Bound {
    /// AMQP.
    pub(crate) amqp: Vec<SocketAddr>,
    /// The management API.
    pub(crate) management: Option<SocketAddr>,
    /// Metrics.
    pub(crate) prometheus: Option<SocketAddr>,
    /// The same over TLS.
    pub(crate) tls: TlsAddresses,
}

/// HTTP over TLS.
#[derive(Clone)]
struct OverTls {
    server: Arc<TlsServer>,
    handshake_timeout: Duration,
}

impl Accept for OverTls {
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        self.server.accept(stream, self.handshake_timeout).await
    }
}

impl Listeners {
    /// Binds everything and reads keys and certificates. The error is for the operator.
    pub(crate) fn bind(config: &Config) -> Result<Self, String> {
        let amqp = |addresses: &[ListenAddress], what: &str| {
            let backlog = config.tcp.backlog;
            let all = addresses.iter().map(|address| bind(address, backlog, what));
            all.collect::<Result<Vec<_>, String>>()
        };
        let tls = (!config.amqp_tls_listeners.is_empty()).then(|| tls_server(&config.tls));
        Ok(Self {
            tls: tls.transpose()?,
            amqp: amqp(&config.amqp_listeners, "AMQP")?,
            amqp_tls: amqp(&config.amqp_tls_listeners, "AMQP over TLS")?,
            management: Http::bind(&config.management, &config.management_tls, "management")?,
            prometheus: Http::bind(&config.prometheus, &config.prometheus_tls, "prometheus")?,
        })
    }

    /// Where they are.
    pub(crate) fn addresses(&self) -> Bound {
        let all = |listeners: &[StdListener]| listeners.iter().filter_map(address).collect();
        let plain = |http: &Http| http.plain.as_ref().and_then(address);
        let tls = |http: &Http| {
            http.tls
                .as_ref()
                .and_then(|(listener, _)| address(listener))
        };
        Bound {
            amqp: all(&self.amqp),
            management: plain(&self.management),
            prometheus: plain(&self.prometheus),
            tls: TlsAddresses {
                amqp: all(&self.amqp_tls),
                management: tls(&self.management),
                prometheus: tls(&self.prometheus),
            },
        }
    }

    /// The TLS of all of them, to be kept up to date with its files.
    pub(crate) fn tls_servers(&self) -> Vec<Arc<TlsServer>> {
        let http = [&self.management, &self.prometheus];
        let of_http = http.into_iter().filter_map(|http| http.tls.as_ref());
        let all = self.tls.iter().chain(of_http.map(|(_, server)| server));
        all.map(Arc::clone).collect()
    }

    /// What is served over TLS, by RabbitMQ's name of it, and where.
    pub(crate) fn tls_listeners(&self) -> Vec<(&'static str, SocketAddr, Arc<TlsServer>)> {
        let amqp = self.amqp_tls.iter().zip(self.tls.iter().cycle());
        let http = |protocol, http: &Http| {
            let (listener, server) = http.tls.as_ref()?;
            Some((protocol, address(listener)?, Arc::clone(server)))
        };
        let web = [
            http("https", &self.management),
            http("https/prometheus", &self.prometheus),
        ];
        amqp.filter_map(|(listener, server)| {
            Some(("amqp/ssl", address(listener)?, Arc::clone(server)))
        })
        .chain(web.into_iter().flatten())
        .collect()
    }

    /// Serves AMQP until the program stops or the entrance is shut.
    pub(crate) fn serve_amqp(
        &mut self,
        context: &Arc<Context>,
        workers: &Arc<Workers>,
        config: &Config,
    ) -> Entrance {
        let tls = self.tls.clone();
        let preface = Preface {
            proxy_protocol: config.proxy_protocol,
            tls: None,
        };
        let secured = Preface {
            tls: tls.map(|tls| (tls, config.tls_handshake_timeout)),
            ..preface.clone()
        };
        let with = |listeners: &mut Vec<StdListener>, preface: Preface| {
            let listeners = std::mem::take(listeners).into_iter();
            listeners.map(move |listener| (listener, preface.clone()))
        };
        let plain = with(&mut self.amqp, preface);
        let secured = with(&mut self.amqp_tls, secured);
        Entrance::open((context, workers), &config.tcp, plain.chain(secured))
    }

    /// Serves HTTP until the program stops.
    pub(crate) fn serve_http(
        self,
        broker: &Arc<Broker>,
        config: &Config,
        (bound, program): (&Bound, Arc<dyn Program>),
        monitor: Arc<Monitor>,
        stopped: &watch::Receiver<bool>,
    ) {
        let info = Arc::new(ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            monitor,
            amqp: bound.amqp.clone(),
            management: bound.management,
            prometheus: bound.prometheus,
            tls: bound.tls.clone(),
            prometheus_path: config.prometheus_path.clone(),
            http: config.http.clone(),
            facts: crate::program::facts(config),
            program,
        });
        let api = || warren_mgmt_ui::router(Arc::clone(broker), Arc::clone(&info));
        let metrics = || warren_mgmt_ui::metrics_router(Arc::clone(broker), Arc::clone(&info));
        self.management.serve(api, config, stopped);
        self.prometheus.serve(metrics, config, stopped);
    }
}

impl Http {
    fn bind(
        plain: &Option<ListenAddress>,
        tls: &Option<(ListenAddress, TlsOptions)>,
        what: &str,
    ) -> Result<Self, String> {
        let bind = |address: &ListenAddress| bind(address, HTTP_BACKLOG, what);
        let tls = tls.as_ref().map(|(address, options)| {
            let server = tls_server(options)?;
            Ok::<_, String>((bind(address)?, server))
        });
        Ok(Self {
            plain: plain.as_ref().map(bind).transpose()?,
            tls: tls.transpose()?,
        })
    }

    /// `router` is called for each socket there is.
    fn serve(self, router: impl Fn() -> Router, config: &Config, stopped: &watch::Receiver<bool>) {
        if let Some(listener) = self.plain {
            spawn_http(listener, Plain, router(), stopped);
        }
        if let Some((listener, server)) = self.tls {
            let handshake_timeout = config.tls_handshake_timeout;
            let accepting = OverTls {
                server,
                handshake_timeout,
            };
            spawn_http(listener, accepting, router(), stopped);
        }
    }
}

fn spawn_http(
    listener: StdListener,
    accepting: impl Accept,
    router: Router,
    stopped: &watch::Receiver<bool>,
) {
    background::start(
        "the serving of HTTP",
        (Arc::new(listener), accepting, router, stopped.clone()),
        |(listener, accepting, router, mut stopped)| async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let serve = async {
                let listener = listener.try_clone()?;
                warren_mgmt_ui::serve(listener, accepting, router, stop).await
            };
            if let Err(error) = serve.await {
                tracing::error!(%error, "HTTP is not served any more");
            }
        },
    );
}

fn tls_server(options: &TlsOptions) -> Result<Arc<TlsServer>, String> {
    TlsServer::new(options.clone())
        .map(Arc::new)
        .map_err(|error| format!("cannot serve TLS: {error}"))
}

fn bind(address: &ListenAddress, backlog: u32, what: &str) -> Result<StdListener, String> {
    listener::bind(address, backlog)
        .map_err(|error| format!("cannot serve {what} on {address}: {error}"))
}

fn address(listener: &StdListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}
