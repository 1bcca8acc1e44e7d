//! Certificates made for a test, and TLS over a blocking socket.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// A certificate authority with a folder of its own.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate, with those between it and its authority, and its key: both PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let params = authority_params("Test authority");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            dir: TempDir::new().expect("a temporary directory"),
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A server's certificate for 127.0.0.1, its common name as given.
    pub(crate) fn server(&self, common_name: &str) -> Identity {
        let mut params = params(common_name);
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        params.subject_alt_names = vec![address];
        self.sign(&params)
    }

    /// A client's certificate.
    pub(crate) fn client(&self, common_name: &str) -> Identity {
        self.sign(&params(common_name))
    }

    /// A client's certificate with these alternative names, and an organization.
    pub(crate) fn client_with(&self, common_name: &str, names: Vec<SanType>) -> Identity {
        let mut params = params(common_name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Test, Inc.");
        params.subject_alt_names = names;
        self.sign(&params)
    }

    /// A client's certificate signed by an authority that this one has signed.
    pub(crate) fn client_of_intermediate(&self, common_name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let middle = authority_params("Authority in between");
        let certificate = middle.signed_by(&key, &self.issuer).expect("a certificate");
        let issuer = Issuer::new(middle, key);
        let key = KeyPair::generate().expect("a key");
        let own = params(common_name)
            .signed_by(&key, &issuer)
            .expect("a certificate");
        Identity {
            chain: own.pem() + &certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes what a server needs under `name`: `name.pem`, `name.key`, and the authority as
    /// `ca.pem`. Each file appears at once, complete.
    pub(crate) fn install(&self, name: &str, identity: &Identity) {
        let put = |file: &str, text: &str| {
            let fresh = self.path(&format!("{file}.new"));
            fs::write(&fresh, text).expect("a file");
            fs::rename(fresh, self.path(file)).expect("a file");
        };
        put(&format!("{name}.key"), &identity.key);
        put(&format!("{name}.pem"), &identity.chain);
        put("ca.pem", &self.pem);
    }

    /// Configuration lines of a TLS listener on any port, beside the plain one: `prefix` is
    /// `ssl_options` or its like.
    pub(crate) fn options(&self, prefix: &str) -> Vec<String> {
        self.install("server", &self.server("first"));
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            format!("{prefix}.certfile = {}", file("server.pem")),
            format!("{prefix}.keyfile = {}", file("server.key")),
            format!("{prefix}.cacertfile = {}", file("ca.pem")),
        ]
    }

    /// What a client needs that trusts this authority, and shows `identity` if there is one.
    pub(crate) fn client_config(&self, identity: Option<&Identity>) -> ClientConfig {
        self.client_config_for(identity, rustls::ALL_VERSIONS)
    }

    /// The same with these versions of TLS.
    pub(crate) fn client_config_for(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificates(&self.pem).remove(0))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
                builder
                    .with_client_auth_cert(certificates(&identity.chain), key)
                    .expect("an identity")
            }
        }
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes());
    all.collect::<Result<_, _>>().expect("certificates")
}

pub(crate) type TlsSocket = StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands. With TLS 1.3 a client whose certificate is refused learns of it
/// only when it reads.
pub(crate) fn connect(addr: SocketAddr, config: ClientConfig) -> io::Result<TlsSocket> {
    let stream = TcpStream::connect_timeout(&addr, crate::dialogue::PATIENCE)?;
    stream.set_read_timeout(Some(crate::dialogue::PATIENCE))?;
    stream.set_write_timeout(Some(crate::dialogue::PATIENCE))?;
    over(stream, config)
}

/// Shakes hands over a socket.
pub(crate) fn over(mut stream: TcpStream, config: ClientConfig) -> io::Result<TlsSocket> {
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// The common name in the certificate the server showed.
pub(crate) fn server_certificate(socket: &TlsSocket) -> Vec<u8> {
    let certificates = socket.conn.peer_certificates().expect("a certificate");
    certificates[0].to_vec()
}

/// Whether `der` is the first certificate of a PEM file.
pub(crate) fn is_in(der: &[u8], path: &Path) -> bool {
    let pem = fs::read_to_string(path).expect("a file");
    certificates(&pem)[0].as_ref() == der
}
