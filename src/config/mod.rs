//! What the broker can be told: one plain [`Config`] with every setting and its default, filled
//! from rabbitmq.conf files, the environment and the command line, then handed down. There is no
//! global.
//!
//! * `conf_file` reads the text form, `value` the values;
//! * `effective` tells what is in force;
//! * `keys` is the table of keys: name, default, meaning, setter. docs/configuration.md is
//!   checked against it;
//! * `refused` names the RabbitMQ keys this version cannot honour: none is read and ignored.
//!
//! The order of precedence and the flags themselves live in `cli`.

mod conf_file;
#[cfg(test)]
mod docs;
mod draft;
mod effective;
mod files;
mod keys;
mod refused;
mod suggest;
mod tls;
mod value;
mod vhosts;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use draft::Draft;
pub(crate) use effective::effective;
pub(crate) use files::{Origin, Problem, Setting, read_settings};
pub(crate) use tls::{AlternativeNameKind, CertificateLogin, TlsOptions, TlsVersion};
pub(crate) use value::{ListenAddress, Secret};
use warren_broker::alarms::ResourceLimits;
use warren_broker::auth::PasswordRules;
use warren_broker::{Durability, Interceptors, PagingSettings};
use warren_mgmt_ui::HttpSettings;

/// `PORT`, `HOST:PORT` or `[IPV6]:PORT`; `None` for anything else.
pub(crate) fn listen_address(text: &str) -> Option<ListenAddress> {
    value::listen_address(text).ok()
}

/// Every setting of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `name@host`, shown in the API and the log.
    pub(crate) node_name: String,
    /// What clients are told the cluster is called; the node name unless set.
    pub(crate) cluster_name: String,
    /// Folder of everything that outlives the process.
    pub(crate) data_dir: PathBuf,
    /// Where AMQP is served; empty means nowhere.
    pub(crate) amqp_listeners: Vec<ListenAddress>,
    /// Where AMQP over TLS is served; empty means nowhere.
    pub(crate) amqp_tls_listeners: Vec<ListenAddress>,
    /// TLS of those listeners; complete if there are any.
    pub(crate) tls: TlsOptions,
    /// Time a client has for the TLS handshake.
    pub(crate) tls_handshake_timeout: Duration,
    /// Whether connections to the AMQP listeners begin with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// Socket options of AMQP listeners and connections.
    pub(crate) tcp: TcpOptions,
    /// Limits negotiated with, or imposed on, connections.
    pub(crate) limits: Limits,
    /// Who may log in, and what a new node starts with.
    pub(crate) login: Login,
    /// When a message counts as durable and is confirmed.
    pub(crate) durability: Durability,
    /// When publishers are blocked.
    pub(crate) resources: ResourceLimits,
    /// How backlogs are kept.
    pub(crate) paging: PagingSettings,
    /// A definitions file (JSON) to import at every start.
    pub(crate) definitions: Option<PathBuf>,
    /// Where the log goes.
    pub(crate) log: LogConfig,
    /// Where the management API and console are served, if anywhere.
    pub(crate) management: Option<ListenAddress>,
    /// Where the same is served over TLS, if anywhere, and how.
    pub(crate) management_tls: Option<(ListenAddress, TlsOptions)>,
    /// Where Prometheus metrics are served, if anywhere.
    pub(crate) prometheus: Option<ListenAddress>,
    /// Where the same is served over TLS, if anywhere, and how.
    pub(crate) prometheus_tls: Option<(ListenAddress, TlsOptions)>,
    /// Settings of the management API itself.
    pub(crate) http: HttpSettings,
    /// Path of the Prometheus metrics on these listeners.
    pub(crate) prometheus_path: String,
    /// How often counters are sampled for rates and history.
    pub(crate) sample_interval: Duration,
    /// Whether what passes between two objects is counted too.
    pub(crate) detailed_rates: bool,
    /// How many vhosts, queues and exchanges there may be.
    pub(crate) node_limits: warren_broker::NodeLimits,
    /// The files it was read from.
    pub(crate) files: Vec<PathBuf>,
    /// Keys that were given and their values, secrets included; flags as the keys they stand for.
    pub(crate) given: Vec<(String, String)>,
    /// The vhost with the event exchange.
    pub(crate) event_vhost: Option<String>,
    /// What is written on messages that come in.
    pub(crate) interceptors: Interceptors,
    /// What new vhosts begin with.
    pub(crate) vhost_defaults: warren_broker::VhostDefaults,
}

/// `tcp_listen_options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    /// Connections the system may keep waiting to be accepted.
    pub(crate) backlog: u32,
    /// TCP_NODELAY: send small frames at once.
    pub(crate) nodelay: bool,
    /// SO_KEEPALIVE.
    pub(crate) keepalive: bool,
    /// SO_SNDBUF in bytes; `None` leaves it to us and the system.
    pub(crate) sndbuf_bytes: Option<u32>,
    /// SO_RCVBUF in bytes; `None` leaves it to us and the system.
    pub(crate) recbuf_bytes: Option<u32>,
}

impl TcpOptions {
    /// Whether they say how large a socket's buffers are.
    pub(crate) fn sized(&self) -> bool {
        self.sndbuf_bytes.is_some() || self.recbuf_bytes.is_some()
    }
}

/// Limits of connections, channels, consumers and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Heartbeat proposed to clients, in seconds; 0 proposes none.
    pub(crate) heartbeat_s: u16,
    /// Largest frame proposed to clients, in bytes; 0 means no limit.
    pub(crate) frame_max: u32,
    /// Largest frame accepted before the client has logged in and tuned, in bytes.
    pub(crate) initial_frame_max: u32,
    /// Channels per connection proposed to clients; 0 means as many as the protocol can number.
    pub(crate) channel_max: u16,
    /// Connections of the whole node; `None` is no limit.
    pub(crate) connection_max: Option<u32>,
    /// Channels of the whole node; `None` is no limit.
    pub(crate) channel_max_per_node: Option<u32>,
    /// Consumers on one channel; `None` is no limit.
    pub(crate) consumer_max_per_channel: Option<u32>,
    /// How long a delivery may stay unacknowledged, in milliseconds; `None` is no limit.
    pub(crate) consumer_timeout_ms: Option<u32>,
    /// Largest message body, in bytes.
    pub(crate) max_message_size: u64,
    /// Time a client has from connecting to connection.open-ok.
    pub(crate) handshake_timeout: Duration,
}

/// Logging in, and the user and vhost of a new node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Login {
    /// Created on the first start of a node without definitions.
    pub(crate) default_user: String,
    /// Its password.
    pub(crate) default_pass: Secret,
    /// The vhost created with it.
    pub(crate) default_vhost: String,
    /// Its tags.
    pub(crate) default_user_tags: Vec<String>,
    /// Its permissions in that vhost.
    pub(crate) default_permissions: Permissions,
    /// Users that may log in from this machine only.
    pub(crate) loopback_users: BTreeSet<String>,
    /// SASL mechanisms offered, in this order; never empty.
    pub(crate) auth_mechanisms: Vec<AuthMechanism>,
    /// What new passwords must be like, and how they are stored.
    pub(crate) passwords: PasswordRules,
    /// Where EXTERNAL finds the user's name in a certificate.
    pub(crate) certificate_login: CertificateLogin,
    /// Who logs in by ANONYMOUS, with which password; nobody unless set.
    pub(crate) anonymous: Option<(String, Secret)>,
}

/// Three patterns, as `set_permissions` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// What may be declared and deleted.
    pub(crate) configure: String,
    /// What may be published to and bound.
    pub(crate) write: String,
    /// What may be consumed and bound to.
    pub(crate) read: String,
}

/// A SASL mechanism this version can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMechanism {
    /// `\0user\0password`.
    Plain,
    /// A field table with LOGIN and PASSWORD.
    AmqPlain,
    /// The client's certificate says who it is; offered over TLS only.
    External,
    /// Anybody, as the user configured for it; offered only if there is one.
    Anonymous,
}

impl AuthMechanism {
    /// The name in connection.start and start-ok.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
        }
    }
}

/// The two log sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// The console (standard error), unless turned off.
    pub(crate) console: Option<LogSink>,
    /// The log file with its sink, if one is wanted.
    pub(crate) file: Option<(PathBuf, LogSink)>,
}

/// What a log sink shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSink {
    /// Lines below this level are not written.
    pub(crate) level: LogLevel,
    /// Form of a line.
    pub(crate) format: LogFormat,
}

/// RabbitMQ's log levels, the chattiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Everything.
    Debug,
    /// The default.
    Info,
    /// Above what operators call information; Warren writes nothing at exactly this level.
    Notice,
    /// Things to look at.
    Warning,
    /// Things that failed.
    Error,
    /// Things that stop the node; Warren writes these as errors.
    Critical,
    /// Nothing at all.
    None,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `2026-11-21 03:27:29.098926+00:00 [info] text`.
    Plaintext,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let node_name = files::default_node_name();
        Self {
            cluster_name: node_name.clone(),
            node_name,
            data_dir: PathBuf::from("./warren-data"),
            amqp_listeners: vec![ListenAddress::any(5672)],
            amqp_tls_listeners: Vec::new(),
            tls: TlsOptions::default(),
            tls_handshake_timeout: Duration::from_millis(5000),
            proxy_protocol: false,
            tcp: TcpOptions {
                backlog: 128,
                nodelay: true,
                keepalive: false,
                sndbuf_bytes: None,
                recbuf_bytes: None,
            },
            limits: Limits::default(),
            login: Login::default(),
            durability: Durability::Fsync,
            resources: ResourceLimits::default(),
            paging: PagingSettings::default(),
            definitions: None,
            log: LogConfig {
                console: Some(LogSink::default()),
                file: None,
            },
            management: Some(ListenAddress::any(15672)),
            management_tls: None,
            prometheus: Some(ListenAddress::any(15692)),
            prometheus_tls: None,
            http: HttpSettings::default(),
            prometheus_path: "/metrics".to_owned(),
            sample_interval: Duration::from_secs(5),
            detailed_rates: false,
            node_limits: warren_broker::NodeLimits::default(),
            files: Vec::new(),
            given: Vec::new(),
            event_vhost: None,
            interceptors: Interceptors::default(),
            vhost_defaults: warren_broker::VhostDefaults::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heartbeat_s: 60,
            frame_max: 131_072,
            initial_frame_max: 4096,
            channel_max: 2047,
            connection_max: None,
            channel_max_per_node: None,
            consumer_max_per_channel: None,
            consumer_timeout_ms: Some(30 * 60 * 1000),
            max_message_size: 134_217_728,
            handshake_timeout: Duration::from_millis(10_000),
        }
    }
}

impl Default for Login {
    fn default() -> Self {
        let all = || ".*".to_owned();
        Self {
            default_user: "guest".to_owned(),
            default_pass: Secret::new("guest"),
            default_vhost: "/".to_owned(),
            default_user_tags: vec!["administrator".to_owned()],
            default_permissions: Permissions {
                configure: all(),
                write: all(),
                read: all(),
            },
            loopback_users: BTreeSet::from(["guest".to_owned()]),
            auth_mechanisms: vec![
                AuthMechanism::Plain,
                AuthMechanism::AmqPlain,
                AuthMechanism::Anonymous,
            ],
            passwords: PasswordRules::default(),
            certificate_login: CertificateLogin::default(),
            anonymous: None,
        }
    }
}

impl Default for LogSink {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Plaintext,
        }
    }
}

impl LogLevel {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::None => "none",
        }
    }

    /// The level with this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "notice" => Some(Self::Notice),
            "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            "critical" => Some(Self::Critical),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}
