//! From options to rustls's configuration: reading certificates and keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::certificate::Certificate;
use super::suites;
use super::verify::LimitedDepth;
use crate::config::{TlsOptions, TlsVersion};
use warren_mgmt_ui::CertificateFile;

/// What tells that a file has changed: when and as which file it was written, and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    inode: u64,
    length: u64,
}

/// How the files look now. A missing one is told apart from any other.
pub(super) fn stamps(options: &TlsOptions) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let files = [&options.certfile, &options.keyfile, &options.cacertfile];
    let stamp = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(data) => Stamp {
            modified: data.modified().ok(),
            inode: data.ino(),
            length: data.len(),
        },
        Err(_) => Stamp {
            modified: None,
            inode: 0,
            length: 0,
        },
    };
    files.into_iter().flatten().map(stamp).collect()
}

/// Reads the files. The error names the one that cannot be used.
pub(super) fn server_config(options: &TlsOptions) -> Result<ServerConfig, String> {
    let provider = Arc::new(suites::provider(&options.ciphers));
    let versions: Vec<_> = options.versions.iter().map(|v| version(*v)).collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| format!("TLS versions and ciphers do not go together: {error}"))?;
    let builder = if options.verify_peer {
        let path = named(options.cacertfile.as_ref(), "cacertfile")?;
        let verifier = WebPkiClientVerifier::builder_with_provider(authorities(path)?, provider);
        let verifier = if options.fail_if_no_peer_cert {
            verifier
        } else {
            verifier.allow_unauthenticated()
        };
        let inner = verifier
            .build()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let depth = options.depth;
        builder.with_client_cert_verifier(Arc::new(LimitedDepth { inner, depth }))
    } else {
        builder.with_no_client_auth()
    };
    let certfile = named(options.certfile.as_ref(), "certfile")?;
    let keyfile = named(options.keyfile.as_ref(), "keyfile")?;
    let mut config = builder
        .with_single_cert(certificates(certfile)?, key(keyfile)?)
        .map_err(|error| {
            let (certfile, keyfile) = (certfile.display(), keyfile.display());
            format!("{certfile} and {keyfile} cannot be used together: {error}")
        })?;
    config.ignore_client_order = options.honor_cipher_order;
    if !options.reuse_sessions {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// When the certificates of a file expire; one that cannot be read is left out.
pub(super) fn expiry(path: &Path) -> CertificateFile {
    let found = certificates(path).unwrap_or_default();
    let moments = found
        .iter()
        .filter_map(|der| Certificate::parse(der)?.not_after_s());
    CertificateFile {
        path: path.display().to_string(),
        expires_on_s: moments.collect(),
    }
}

fn version(version: TlsVersion) -> &'static rustls::SupportedProtocolVersion {
    match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    }
}

/// The configuration has been checked for it; this only turns `None` into words.
fn named<'a>(path: Option<&'a PathBuf>, what: &str) -> Result<&'a Path, String> {
    path.map(PathBuf::as_path)
        .ok_or_else(|| format!("TLS needs a {what}"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error| format!("cannot read certificates from {}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path)
        .map_err(unusable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(format!("there is no certificate in {}", path.display()));
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => format!(
            "there is no private key in {} (encrypted keys are not read)",
            path.display()
        ),
        error => format!("cannot read a private key from {}: {error}", path.display()),
    })
}

/// Authorities that cannot be read stop the start: a forgotten one would turn clients away.
fn authorities(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn options(dir: &Path) -> TlsOptions {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        TlsOptions {
            certfile: Some(dir.join("cert.pem")),
            keyfile: Some(dir.join("key.pem")),
            cacertfile: Some(dir.join("cert.pem")),
            ..TlsOptions::default()
        }
    }

    #[test]
    fn usable_files_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        assert!(server_config(&options).is_ok());
        let strict = TlsOptions {
            verify_peer: true,
            fail_if_no_peer_cert: true,
            reuse_sessions: false,
            ..options
        };
        assert_eq!(server_config(&strict).unwrap().send_tls13_tickets, 0);
    }

    #[test]
    fn unusable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let good = options(dir.path());
        let other_dir = tempfile::tempdir().unwrap();
        let other = options(other_dir.path());
        let complaint = |options: &TlsOptions| server_config(options).unwrap_err();
        let missing = TlsOptions {
            certfile: Some(dir.path().join("nothing.pem")),
            ..good.clone()
        };
        assert!(complaint(&missing).contains("nothing.pem"));
        let no_key = TlsOptions {
            keyfile: good.certfile.clone(),
            ..good.clone()
        };
        assert!(complaint(&no_key).contains("no private key in"));
        let mixed = TlsOptions {
            keyfile: other.keyfile,
            ..good.clone()
        };
        assert!(complaint(&mixed).contains("cannot be used together"));
        let no_authority = TlsOptions {
            cacertfile: good.keyfile.clone(),
            verify_peer: true,
            ..good.clone()
        };
        assert!(complaint(&no_authority).contains("there is no certificate in"));
        let only_new_suites = TlsOptions {
            ciphers: vec!["TLS_AES_128_GCM_SHA256"],
            versions: vec![TlsVersion::V1_2],
            ..good
        };
        assert!(complaint(&only_new_suites).contains("do not go together"));
    }

    #[test]
    fn row_c_41_a_changed_file_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        let before = stamps(&options);
        assert_eq!(stamps(&options), before);
        std::fs::remove_file(dir.path().join("key.pem")).unwrap();
        assert_ne!(stamps(&options), before);
    }
}
