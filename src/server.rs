//! The running program: opens the broker, binds everything, serves, and stops in order.

use std::net::SocketAddr;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::watch;
use warren_amqp::protocol::{AMQPClass, connection as conn_methods};
use warren_amqp::{AMQPValue, FieldTable, ReplyCode, ReplyError, put_method};
use warren_broker::alarms::Monitor;
use warren_broker::{Broker, Turn};

use crate::background;
use crate::boot;
use crate::clock;
use crate::config::{AuthMechanism, CertificateLogin, Config, Secret};
use crate::listeners::{Bound, Listeners};
use crate::logging::Levels;
use crate::net::driver::LOG_BACKLOG_MAX;
use crate::net::workers::Workers;
use crate::program::Running;
use crate::tls;

/// How long connections get to say goodbye when the program stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// Limits imposed on connections; see `config::Limits`.
pub(crate) struct Limits {
    /// Heartbeat proposed, seconds.
    pub(crate) heartbeat_s: u16,
    /// Largest frame proposed, bytes.
    pub(crate) frame_max: u32,
    /// Largest frame before tune-ok, bytes.
    pub(crate) initial_frame_max: u32,
    /// Channels per connection proposed.
    pub(crate) channel_max: u16,
    /// Channels of the node.
    pub(crate) channel_max_per_node: u32,
    /// Connections of the node.
    pub(crate) connection_max: Option<usize>,
    /// Consumers on one channel.
    pub(crate) consumer_max_per_channel: Option<usize>,
    /// How long a delivery may stay unacked by default, milliseconds; `None` is no limit.
    pub(crate) consumer_timeout_ms: Option<u64>,
    /// Prefetch of consumers that did not ask for one.
    pub(crate) default_prefetch: u32,
    /// From accept to open-ok.
    pub(crate) handshake_timeout: Duration,
    /// SASL mechanisms that may be offered.
    pub(crate) mechanisms: Vec<AuthMechanism>,
    /// Where EXTERNAL finds the user's name.
    pub(crate) certificate_login: CertificateLogin,
    /// Who ANONYMOUS logs in, and the password.
    pub(crate) anonymous: Option<(String, Secret)>,
}

impl Limits {
    fn offer(&self, mechanism: AuthMechanism, tls: bool) -> bool {
        match mechanism {
            AuthMechanism::Plain | AuthMechanism::AmqPlain => true,
            AuthMechanism::External => tls,
            AuthMechanism::Anonymous => self.anonymous.is_some(),
        }
    }
}

/// What all connections share.
pub(crate) struct Context {
    /// The engine.
    pub(crate) broker: Arc<Broker>,
    /// Limits of connections.
    pub(crate) limits: Limits,
    /// The frame of `connection.start`, without and with TLS: encoded once, sent to everyone.
    start: [Vec<u8>; 2],
    channels: AtomicU32,
    stop: watch::Receiver<bool>,
}

impl Context {
    fn new(config: &Config, broker: Arc<Broker>, stop: watch::Receiver<bool>) -> Self {
        let limits = limits(config);
        let start = [false, true].map(|tls| {
            let mut frame = Vec::new();
            put_method(&mut frame, 0, &start_method(config, &limits, tls));
            frame
        });
        Self {
            broker,
            limits,
            start,
            channels: AtomicU32::new(0),
            stop,
        }
    }

    /// The frame of `connection.start` as this broker says it.
    pub(crate) fn start_frame(&self, tls: bool) -> &[u8] {
        &self.start[usize::from(tls)]
    }

    /// The mechanism of this name, if it is offered.
    pub(crate) fn mechanism(&self, name: &str, tls: bool) -> Option<AuthMechanism> {
        let mut mechanisms = self.limits.mechanisms.iter().copied();
        mechanisms.find(|mechanism| mechanism.name() == name && self.limits.offer(*mechanism, tls))
    }

    /// User and password of those who log in without.
    pub(crate) fn anonymous(&self) -> Option<(&str, &str)> {
        let (user, password) = self.limits.anonymous.as_ref()?;
        Some((user, password.expose()))
    }

    /// A context whose broker has its data in `dir`, listening nowhere.
    #[cfg(test)]
    pub(crate) fn in_dir(dir: &std::path::Path) -> Arc<Self> {
        let dir = dir.as_os_str().to_owned();
        let args = ["warren".into(), "--data-dir".into(), dir];
        let config = crate::cli::load(args).unwrap_or_else(|_| unreachable!("valid arguments"));
        let broker = boot::open_broker(&config).unwrap_or_else(|error| panic!("{error}"));
        Arc::new(Self::new(
            &config,
            Arc::new(broker),
            watch::channel(false).1,
        ))
    }

    /// Counts a channel; false when the node's limit is reached.
    pub(crate) fn take_channel(&self) -> bool {
        let limit = self.limits.channel_max_per_node;
        if limit != 0 && self.channels.load(Ordering::Relaxed) >= limit {
            return false;
        }
        self.channels.fetch_add(1, Ordering::Relaxed);
        let counters = self.broker.counters();
        counters.channels.fetch_add(1, Ordering::Relaxed);
        counters.channels_opened.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A channel is gone.
    pub(crate) fn give_channel(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
        let counters = self.broker.counters();
        counters.channels.fetch_sub(1, Ordering::Relaxed);
        counters.channels_closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Completes when the program stops.
    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // An error means the sender is gone, which is a stop too.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// Runs the program until it is told to stop.
pub(crate) async fn run(config: Config, levels: Levels) -> ExitCode {
    match serve(config, levels).await {
        Ok(code) => code,
        Err(message) => {
            eprintln!("warren: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config, levels: Levels) -> Result<ExitCode, String> {
    let (signals, hang_ups) =
        Signals::install().map_err(|error| format!("cannot watch signals: {error}"))?;
    boot::raise_file_limit();
    let mut listeners = Listeners::bind(&config)?;
    let broker = Arc::new(open_broker(&config, &signals).await?);
    broker
        .start_pager(clock::now_ms)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    broker
        .start_notices(clock::now_ms)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    if config.detailed_rates {
        broker.stats().sampler().keep_pairs();
    }
    let (stop, stopped) = watch::channel(false);
    let context = Context::new(&config, Arc::clone(&broker), stopped.clone());
    let context = Arc::new(context);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers =
        Workers::start(cores).map_err(|error| format!("cannot start a thread: {error}"))?;
    let bound = listeners.addresses();
    let monitor = Arc::new(boot::monitor(&config));
    broker.set_alarms(|| monitor.sample(), clock::now_ms());
    start_background(&context, &workers, &monitor);
    background::start(
        "the watching of certificates",
        (listeners.tls_servers(), hang_ups.clone(), stopped.clone()),
        |(servers, hang_ups, stopped)| tls::watch_files(servers, hang_ups, stopped),
    );
    background::start(
        "the renewal of log files",
        (levels.clone(), hang_ups, stopped.clone()),
        |(levels, hang_ups, stopped)| levels.renew_on(hang_ups, stopped),
    );
    let program = Arc::new(Running {
        tls: listeners.tls_listeners(),
        levels,
        entrance: listeners.serve_amqp(&context, &workers, &config),
        stops: signals.sender.clone(),
    });
    listeners.serve_http(&broker, &config, (&bound, program), monitor, &stopped);
    banner(&config, &bound);
    signals.wait().await;
    tracing::info!(
        "stopping: telling {} connections",
        broker.connection_count()
    );
    let _ = stop.send(true);
    Ok(shut_down(&context, signals).await)
}

/// Starts what looks after the broker at its own pace. None of it keeps anything that it would not
/// find again, see `background`.
fn start_background(context: &Arc<Context>, workers: &Arc<Workers>, monitor: &Arc<Monitor>) {
    let stopped = context.stop.clone();
    let balanced = (Arc::clone(workers), stopped.clone());
    background::start(
        "the balancing of connections",
        balanced,
        |(workers, stopped)| workers.balance(stopped),
    );
    let timed = (Arc::clone(&context.broker), stopped.clone());
    background::start("expiry", timed.clone(), |(broker, stopped)| {
        run_timers(broker, stopped)
    });
    let timeout_ms = context.limits.consumer_timeout_ms;
    background::start(
        "the watching of deliveries",
        timed,
        move |(broker, stopped)| watch_deliveries(broker, timeout_ms, stopped),
    );
    let watched = (Arc::clone(&context.broker), Arc::clone(monitor), stopped);
    background::start(
        "the watching of memory and disk",
        watched.clone(),
        |(broker, monitor, stopped)| boot::watch_resources(broker, monitor, stopped),
    );
    background::start(
        "the sampling of statistics",
        watched,
        |(broker, monitor, stopped)| boot::sample_stats(broker, monitor, stopped),
    );
}

/// Recovers what is on disk. A signal meanwhile is obeyed once that is done, a second one at once:
/// recovery changes nothing that the next start could not find.
async fn open_broker(config: &Config, signals: &Signals) -> Result<Broker, String> {
    let config = config.clone();
    let opening = tokio::task::spawn_blocking(move || boot::open_broker(&config));
    tokio::select! {
        opened = opening => opened.map_err(|error| error.to_string())?,
        () = signals.twice() => {
            tracing::warn!("stopped during recovery by a second signal");
            std::process::exit(1);
        }
    }
}

/// Stops in order: connections are told and end, then the log is flushed. A second signal ends
/// everything at once.
async fn shut_down(context: &Arc<Context>, signals: Signals) -> ExitCode {
    let orderly = async {
        let text = "broker forced connection closure with reason 'shutdown'";
        let error = ReplyError::new(ReplyCode::ConnectionForced, text).without_method();
        context.broker.close_connections(&error, |_| true);
        let all_gone = async {
            // Those still in the handshake have nothing to lose and are not waited for.
            while context.broker.connection_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(GOODBYE, all_gone).await.is_err() {
            let left = context.broker.connection_count();
            tracing::warn!("{left} connections did not say goodbye");
        }
        let broker = Arc::clone(&context.broker);
        // Blocks on the disk; nobody else is left to be served.
        let _ = tokio::task::spawn_blocking(move || broker.close()).await;
    };
    tokio::select! {
        () = orderly => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        () = signals.wait() => {
            tracing::warn!("stopped at once by a second signal");
            std::process::exit(1);
        }
    }
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        heartbeat_s: limits.heartbeat_s,
        frame_max: limits.frame_max,
        initial_frame_max: limits.initial_frame_max,
        channel_max: limits.channel_max,
        channel_max_per_node: limits.channel_max_per_node.unwrap_or(0),
        connection_max: limits.connection_max.map(|limit| limit as usize),
        consumer_timeout_ms: limits.consumer_timeout_ms.map(u64::from),
        consumer_max_per_channel: limits.consumer_max_per_channel.map(|limit| limit as usize),
        default_prefetch: 0,
        handshake_timeout: limits.handshake_timeout,
        mechanisms: config.login.auth_mechanisms.clone(),
        certificate_login: config.login.certificate_login,
        anonymous: config.login.anonymous.clone(),
    }
}

fn start_method(config: &Config, limits: &Limits, tls: bool) -> AMQPClass {
    let mechanisms = limits.mechanisms.iter();
    let offered: Vec<&str> = mechanisms
        .filter(|mechanism| limits.offer(**mechanism, tls))
        .map(|mechanism| mechanism.name())
        .collect();
    let start = conn_methods::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: server_properties(config),
        mechanisms: offered.join(" ").as_str().into(),
        locales: "en_US".into(),
    };
    AMQPClass::Connection(conn_methods::AMQPMethod::Start(start))
}

/// Section 1.2: only capabilities that are true.
fn server_properties(config: &Config) -> FieldTable {
    let mut capabilities = FieldTable::default();
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    let mut text = |key: &str, value: &str| {
        properties.insert(key.into(), AMQPValue::LongString(value.into()));
    };
    text("cluster_name", &config.cluster_name);
    text("copyright", "Copyright (c) the Warren authors");
    text(
        "information",
        concat!("Warren ", env!("CARGO_PKG_VERSION"), ", Apache License 2.0"),
    );
    text("platform", concat!("Rust/", env!("CARGO_PKG_RUST_VERSION")));
    // Clients choose by these what they may use: kombu, for one, asks only "RabbitMQ" before 4.0 to
    // change the prefetch of running consumers. This is whose behaviour they get.
    text("product", "RabbitMQ");
    text("version", warren_mgmt_ui::RABBITMQ_VERSION);
    properties
}

/// Expires messages and queues when they are due.
async fn run_timers(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let earlier = Arc::new(Notify::new());
    let notify = Arc::clone(&earlier);
    broker
        .timers()
        .on_earlier(Box::new(move || notify.notify_one()));
    let mut turn = Turn::default().mark_deliveries(broker.log());
    loop {
        let wait = match broker.timers().next() {
            Some(deadline) => Duration::from_millis(deadline.saturating_sub(clock::now_ms())),
            None => Duration::from_secs(3600),
        };
        if wait.is_zero() && broker.log().buffered_bytes() > LOG_BACKLOG_MAX {
            // Dead letters come no faster than the log takes them.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if wait.is_zero() {
            turn.begin(clock::now_ms());
            broker.tick(&mut turn);
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = earlier.notified() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Looks for deliveries that were not acked in time, all connections in one go: neither a timer nor
/// a task for each. Small timeouts are looked after more often.
async fn watch_deliveries(
    broker: Arc<Broker>,
    timeout_ms: Option<u64>,
    mut stopped: watch::Receiver<bool>,
) {
    let every = (timeout_ms.unwrap_or(u64::MAX) / 4).clamp(500, 10_000);
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(every)) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        let now_ms = clock::now_ms();
        for connection in broker.connections() {
            connection.check_deliveries(now_ms);
        }
    }
}

/// The start-up message: where everything is and how to connect.
fn banner(config: &Config, bound: &Bound) {
    let user = &config.login.default_user;
    let mut lines = vec![format!("Warren {} is ready", env!("CARGO_PKG_VERSION"))];
    for address in &bound.amqp {
        let url = format!("amqp://{user}:<password>@{}/", reachable(*address));
        let url = match config.login.default_pass.expose() {
            "guest" => url.replace("<password>", "guest"),
            _ => url,
        };
        lines.push(format!("  AMQP        {address}   {url}"));
    }
    for address in &bound.tls.amqp {
        let url = format!("amqps://{user}:<password>@{}/", reachable(*address));
        lines.push(format!("  AMQPS       {address}   {url}"));
    }
    if let Some(address) = bound.tls.management {
        lines.push(format!("  Management  https://{}/", reachable(address)));
    }
    if let Some(address) = bound.tls.prometheus {
        let (address, path) = (reachable(address), &config.prometheus_path);
        lines.push(format!("  Prometheus  https://{address}{path}"));
    }
    if let Some(address) = bound.management {
        lines.push(format!("  Management  http://{}/", reachable(address)));
    }
    if let Some(address) = bound.prometheus {
        lines.push(format!(
            "  Prometheus  http://{}{}",
            reachable(address),
            config.prometheus_path
        ));
    }
    let data = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    lines.push(format!("  Data        {}", data.display()));
    lines.push(format!("  Node        {}", config.node_name));
    println_all(&lines);
    tracing::info!(node = config.node_name, "ready");
}

#[allow(clippy::print_stdout)]
fn println_all(lines: &[String]) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Nobody reads it when standard output is closed; that is no reason to stop.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// An address one can type: the loopback one for "every interface".
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("localhost:{}", address.port());
    }
    address.to_string()
}

/// SIGINT and SIGTERM, and what counts as them.
struct Signals {
    sender: watch::Sender<u32>,
    received: watch::Receiver<u32>,
    seen: AtomicU32,
}

impl Signals {
    /// Watches these, and counts SIGHUPs for those who load files anew: all before anything else
    /// begins, for a signal nobody watches ends the program.
    fn install() -> std::io::Result<(Self, watch::Receiver<u32>)> {
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (count, received) = watch::channel(0);
        let (hang_ups, hung_up) = watch::channel(0);
        let sender = count.clone();
        tokio::spawn(async move {
            loop {
                let which = tokio::select! {
                    _ = terminate.recv() => &count,
                    _ = interrupt.recv() => &count,
                    _ = hang_up.recv() => &hang_ups,
                };
                which.send_modify(|n| *n += 1);
            }
        });
        let signals = Self {
            sender,
            received,
            seen: AtomicU32::new(0),
        };
        Ok((signals, hung_up))
    }

    /// Completes when there have been two, whoever waited for them.
    async fn twice(&self) {
        let mut received = self.received.clone();
        let _ = received.wait_for(|n| *n >= 2).await;
    }

    /// Completes at the next signal not waited for yet.
    async fn wait(&self) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        let mut received = self.received.clone();
        let _ = received.wait_for(|n| *n > seen).await;
    }
}
