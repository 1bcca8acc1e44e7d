//! What can be said about TLS: `ssl_options` and their like of the HTTP listeners.

use std::path::PathBuf;

/// TLS of one kind of listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsOptions {
    /// Certificate authorities (PEM) that client certificates must come from.
    pub(crate) cacertfile: Option<PathBuf>,
    /// The node's certificate and those between it and its authority (PEM).
    pub(crate) certfile: Option<PathBuf>,
    /// Its private key (PEM, not encrypted).
    pub(crate) keyfile: Option<PathBuf>,
    /// Whether clients are asked for a certificate, and theirs is checked.
    pub(crate) verify_peer: bool,
    /// Whether a client without a certificate is turned away.
    pub(crate) fail_if_no_peer_cert: bool,
    /// Certificates allowed between a client's and its authority.
    pub(crate) depth: usize,
    /// Versions offered; never empty.
    pub(crate) versions: Vec<TlsVersion>,
    /// Cipher suites offered, by the names of OpenSSL or IANA, in the order of preference; all
    /// when empty.
    pub(crate) ciphers: Vec<&'static str>,
    /// Whether the node's order of cipher suites counts more than the client's.
    pub(crate) honor_cipher_order: bool,
    /// Whether clients may resume sessions.
    pub(crate) reuse_sessions: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    /// `tlsv1.2`.
    V1_2,
    /// `tlsv1.3`.
    V1_3,
}

/// `ssl_cert_login_from`: where the EXTERNAL mechanism finds the user's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum CertificateLogin {
    /// The whole subject, as in `CN=bob,O=Example`.
    #[default]
    Subject,
    /// Its common name.
    CommonName,
    /// An alternative name of a kind, the one at this place among them.
    Alternative(AlternativeNameKind, usize),
}

/// Kinds of alternative names a user's name may be taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AlternativeNameKind {
    /// `dns`.
    #[default]
    Dns,
    /// `ip`.
    Ip,
    /// `email`.
    Email,
    /// `uri`.
    Uri,
    /// `other_name`.
    OtherName,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            cacertfile: None,
            certfile: None,
            keyfile: None,
            verify_peer: false,
            fail_if_no_peer_cert: false,
            depth: 10,
            versions: vec![TlsVersion::V1_3, TlsVersion::V1_2],
            ciphers: Vec::new(),
            honor_cipher_order: false,
            reuse_sessions: true,
        }
    }
}

impl TlsOptions {
    /// What is missing or contradictory, where `prefix` is what the keys begin with.
    pub(super) fn complaint(&self, prefix: &str) -> Option<String> {
        if self.certfile.is_none() || self.keyfile.is_none() {
            return Some(format!("TLS needs {prefix}.certfile and {prefix}.keyfile"));
        }
        if self.verify_peer && self.cacertfile.is_none() {
            return Some(format!(
                "{prefix}.verify = verify_peer needs {prefix}.cacertfile"
            ));
        }
        if self.fail_if_no_peer_cert && !self.verify_peer {
            return Some(format!(
                "{prefix}.fail_if_no_peer_cert needs {prefix}.verify = verify_peer"
            ));
        }
        None
    }
}
