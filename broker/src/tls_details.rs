//! What is known of a connection's encryption, for those who list connections. The encryption
//! itself is the program's.

/// TLS of a connection, in RabbitMQ's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsDetails {
    /// `tlsv1.3`: `ssl_protocol`.
    pub protocol: &'static str,
    /// `any` or `ecdhe_rsa`: `ssl_key_exchange`.
    pub key_exchange: &'static str,
    /// `aes_256_gcm`: `ssl_cipher`.
    pub cipher: &'static str,
    /// `aead`: `ssl_hash`.
    pub hash: &'static str,
    /// The client's certificate, if it sent one that was checked.
    pub peer_certificate: Option<PeerCertificate>,
}

/// What a client's certificate says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerCertificate {
    /// `CN=client,O=Example`: `peer_cert_subject`.
    pub subject: String,
    /// The same of who signed it: `peer_cert_issuer`.
    pub issuer: String,
    /// `2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z`: `peer_cert_validity`.
    pub validity: String,
}
