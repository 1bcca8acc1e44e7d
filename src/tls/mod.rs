//! TLS of the listeners: keys and certificates from files, loaded anew when the files change, and
//! what a client's certificate says about it.
//!
//! * `certificate` and `der` read certificates, `verify` checks those of clients;
//! * `suites` knows cipher suites by name;
//! * `files` turns options into rustls's configuration;
//! * `login` finds a user's name in a certificate (the EXTERNAL mechanism).

mod certificate;
mod der;
mod files;
mod login;
mod suites;
mod verify;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::{CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use warren_broker::{PeerCertificate, TlsDetails};
use warren_mgmt_ui::CertificateFile;

use crate::config::TlsOptions;
use certificate::Certificate;
use files::Stamp;

pub(crate) use login::user_name;
pub(crate) use suites::known as known_suite;

/// How often the files are looked at (row C-41).
const LOOK: Duration = Duration::from_secs(2);

/// The TLS side of one kind of listener. New connections use the newest files that were usable.
pub(crate) struct TlsServer {
    options: TlsOptions,
    current: RwLock<Loaded>,
    /// What the files looked like when they were last read, usable or not.
    seen: Mutex<Vec<Stamp>>,
}

/// What was read from the files.
struct Loaded {
    config: Arc<ServerConfig>,
    certfile: CertificateFile,
    cacertfile: Option<CertificateFile>,
}

/// A client's certificate as the login needs it, and what the management API shows.
pub(crate) struct Secured {
    /// For the management API.
    pub(crate) details: Arc<TlsDetails>,
    /// The client's certificate, checked; none if it has not sent one.
    pub(crate) certificate: Option<Certificate>,
}

impl TlsServer {
    /// Reads the files. The error names the file and what is wrong with it.
    pub(crate) fn new(options: TlsOptions) -> Result<Self, String> {
        let seen = files::stamps(&options);
        let loaded = Loaded::read(&options)?;
        Ok(Self {
            options,
            current: RwLock::new(loaded),
            seen: Mutex::new(seen),
        })
    }

    /// The certificates in use, and those of the authorities clients are checked with.
    pub(crate) fn certificates(&self) -> (CertificateFile, Option<CertificateFile>) {
        let current = self.current.read();
        (current.certfile.clone(), current.cacertfile.clone())
    }

    /// Reads the files again if they have changed, or at any rate when `force`d. Running
    /// connections keep what they have; when the files cannot be used, so do new ones.
    pub(crate) fn reload(&self, force: bool) {
        let stamps = files::stamps(&self.options);
        if std::mem::replace(&mut *self.seen.lock(), stamps.clone()) == stamps && !force {
            return;
        }
        match Loaded::read(&self.options) {
            Ok(loaded) => {
                *self.current.write() = loaded;
                tracing::info!("TLS certificates loaded: new connections use them");
            }
            Err(error) => {
                tracing::error!("TLS certificates not loaded, the old ones stay in use: {error}");
            }
        }
    }

    /// The server side of the handshake, which may take `time`.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        time: Duration,
    ) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.current.read().config);
        let accepting = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(time, accepting)
            .await
            .unwrap_or_else(|_| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "TLS handshake timeout",
                ))
            })
    }
}

impl Loaded {
    fn read(options: &TlsOptions) -> Result<Self, String> {
        let authorities = options.cacertfile.as_deref();
        Ok(Self {
            config: Arc::new(files::server_config(options)?),
            certfile: files::expiry(options.certfile.as_deref().unwrap_or(Path::new(""))),
            cacertfile: authorities.map(files::expiry),
        })
    }
}

impl Secured {
    /// What a finished handshake brought.
    pub(crate) fn new(session: &CommonState) -> Self {
        let certificates = session.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().and_then(|der| Certificate::parse(der));
        let mut details = suites::describe(
            session.protocol_version(),
            session.negotiated_cipher_suite(),
        );
        details.peer_certificate = certificate.as_ref().map(|certificate| PeerCertificate {
            subject: certificate.subject.to_string(),
            issuer: certificate.issuer.to_string(),
            validity: certificate.validity.clone(),
        });
        Self {
            details: Arc::new(details),
            certificate,
        }
    }
}

/// Loads changed files until the program stops: soon after they change, and on SIGHUP.
pub(crate) async fn watch_files(
    servers: Vec<Arc<TlsServer>>,
    mut hang_ups: watch::Receiver<u32>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let force = tokio::select! {
            Ok(()) = hang_ups.changed() => true,
            () = tokio::time::sleep(LOOK), if !servers.is_empty() => false,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let servers = servers.clone();
        // Files may be on a slow disk.
        let reload = move || servers.iter().for_each(|server| server.reload(force));
        if let Err(error) = tokio::task::spawn_blocking(reload).await {
            tracing::error!(%error, "certificates were not looked at");
        }
    }
}
