//! What the API knows of the program around the broker, and what it may ask of it.

use std::sync::Arc;

use crate::ProgramLog;

/// The program, as the API sees it.
pub trait Program: Send + Sync {
    /// The certificates of the listeners over TLS as they are in use now.
    fn certificates(&self) -> Vec<ListenerCertificate>;

    /// Sets the lowest level that is logged, until the program ends. False when there is no such
    /// level.
    fn set_log_level(&self, level: &str) -> bool;

    /// The last lines of its log.
    fn log(&self) -> Arc<ProgramLog>;

    /// Opens its log files anew, for those that were moved away. The error is for people.
    fn rotate_logs(&self) -> Result<(), String>;

    /// Lets no new client in over AMQP; returns when that is so.
    fn suspend_listeners(&self);

    /// Lets clients in again. The error, for people, names a listener that cannot be opened.
    fn resume_listeners(&self) -> Result<(), String>;

    /// Whether it was told to let none in, or could not let all in again.
    fn keeps_clients_out(&self) -> bool;

    /// Ends the program as SIGTERM does.
    fn stop(&self);
}

/// A listener over TLS and how long its certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerCertificate {
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// RabbitMQ's name of what it serves, such as `amqp/ssl`.
    pub protocol: &'static str,
    /// Its own certificate and those that come with it.
    pub certfile: CertificateFile,
    /// Those of the authorities clients are checked with, if there are any.
    pub cacertfile: Option<CertificateFile>,
}

/// A file of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFile {
    /// Its path.
    pub path: String,
    /// When each of them expires, Unix seconds.
    pub expires_on_s: Vec<i64>,
}

/// What is fixed about a running program.
#[derive(Clone, Debug, Default)]
pub struct ProgramFacts {
    /// Configuration files that were read.
    pub config_files: Vec<String>,
    /// Where the log goes: paths, or `<stderr>`.
    pub log_files: Vec<String>,
    /// SASL mechanisms offered.
    pub auth_mechanisms: Vec<&'static str>,
    /// How long a delivery may stay unacknowledged by default, milliseconds; `None` is no limit.
    pub consumer_timeout_ms: Option<u64>,
    /// All settings in force, as they would be written in a file; secrets are hidden.
    pub settings: Vec<(String, String)>,
}
