//! Checking client certificates: rustls's verifier, with a limit on the length of the chain.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Refuses chains of more than `depth` certificates between the client's and its authority's.
#[derive(Debug)]
pub(super) struct LimitedDepth {
    /// Who checks the rest.
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    /// `ssl_options.depth`.
    pub(super) depth: usize,
}

impl ClientCertVerifier for LimitedDepth {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // An authority that a client sends along is none of those in between. What cannot be read
        // counts.
        let between = intermediates.iter().filter(|certificate| {
            super::certificate::Certificate::parse(certificate)
                .is_none_or(|certificate| certificate.subject != certificate.issuer)
        });
        if between.count() > self.depth {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.inner
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
