//! What the management API knows of this program, and what it may ask of it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use warren_mgmt_ui::{ListenerCertificate, Program, ProgramFacts, ProgramLog};

use crate::config::{Config, LogLevel, effective};
use crate::entrance::Entrance;
use crate::logging::Levels;
use crate::tls::TlsServer;

/// The running program.
pub(crate) struct Running {
    /// Listeners over TLS: what they serve and where.
    pub(crate) tls: Vec<(&'static str, SocketAddr, Arc<TlsServer>)>,
    /// Levels of the log.
    pub(crate) levels: Levels,
    /// The AMQP listeners.
    pub(crate) entrance: Entrance,
    /// Counts requests to stop.
    pub(crate) stops: watch::Sender<u32>,
}

impl Program for Running {
    fn certificates(&self) -> Vec<ListenerCertificate> {
        let listeners = self.tls.iter();
        listeners
            .map(|(protocol, address, server)| {
                let (certfile, cacertfile) = server.certificates();
                ListenerCertificate {
                    address: *address,
                    protocol,
                    certfile,
                    cacertfile,
                }
            })
            .collect()
    }

    fn set_log_level(&self, level: &str) -> bool {
        let level = LogLevel::parse(level);
        if let Some(level) = level {
            self.levels.set(level);
        }
        level.is_some()
    }

    fn log(&self) -> Arc<ProgramLog> {
        self.levels.kept()
    }

    fn rotate_logs(&self) -> Result<(), String> {
        self.levels.renew_files().map_err(|error| error.to_string())
    }

    fn suspend_listeners(&self) {
        self.entrance.suspend();
    }

    fn resume_listeners(&self) -> Result<(), String> {
        self.entrance.resume()
    }

    fn keeps_clients_out(&self) -> bool {
        self.entrance.is_suspended()
    }

    fn stop(&self) {
        self.stops.send_modify(|n| *n += 1);
    }
}

/// What is fixed about it.
pub(crate) fn facts(config: &Config) -> ProgramFacts {
    let console = config.log.console.map(|_| "<stderr>".to_owned());
    let file = config.log.file.as_ref();
    let mechanisms = config.login.auth_mechanisms.iter();
    let absolute = |path: &std::path::Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.display().to_string()
    };
    ProgramFacts {
        config_files: config.files.iter().map(|file| absolute(file)).collect(),
        log_files: console
            .into_iter()
            .chain(file.map(|(path, _)| absolute(path)))
            .collect(),
        auth_mechanisms: mechanisms.map(|mechanism| mechanism.name()).collect(),
        consumer_timeout_ms: config.limits.consumer_timeout_ms.map(u64::from),
        settings: effective(config),
    }
}
