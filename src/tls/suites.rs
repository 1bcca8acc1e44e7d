//! Cipher suites: their names in configurations, and what the management API says of them.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};
use warren_broker::TlsDetails;

/// A suite we can offer.
struct Suite {
    id: CipherSuite,
    /// The names of OpenSSL and IANA; one name where they agree.
    openssl: &'static str,
    iana: &'static str,
    key_exchange: &'static str,
    cipher: &'static str,
}

const fn suite(
    id: CipherSuite,
    openssl: &'static str,
    iana: &'static str,
    key_exchange: &'static str,
    cipher: &'static str,
) -> Suite {
    Suite {
        id,
        openssl,
        iana,
        key_exchange,
        cipher,
    }
}

const SUITES: [Suite; 9] = [
    suite(
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_256_GCM_SHA384",
        "any",
        "aes_256_gcm",
    ),
    suite(
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "any",
        "aes_128_gcm",
    ),
    suite(
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
        "any",
        "chacha20_poly1305",
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ecdhe_ecdsa",
        "aes_256_gcm",
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ecdhe_ecdsa",
        "aes_128_gcm",
    ),
    suite(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ecdhe_ecdsa",
        "chacha20_poly1305",
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ecdhe_rsa",
        "aes_256_gcm",
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ecdhe_rsa",
        "aes_128_gcm",
    ),
    suite(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ecdhe_rsa",
        "chacha20_poly1305",
    ),
];

/// OpenSSL's name of the suite called `name` by OpenSSL or IANA; `None` if we cannot offer it.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let found = SUITES
        .iter()
        .find(|suite| suite.openssl == name || suite.iana == name);
    found.map(|suite| suite.openssl)
}

/// The provider with these suites alone, in this order; with all of its own if none is named.
pub(super) fn provider(names: &[&str]) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    if !names.is_empty() {
        let all = std::mem::take(&mut provider.cipher_suites);
        let find = |name: &&str| {
            let id = SUITES.iter().find(|suite| suite.openssl == *name)?.id;
            all.iter().find(|offered| offered.suite() == id).copied()
        };
        provider.cipher_suites = names.iter().filter_map(find).collect();
    }
    provider
}

/// RabbitMQ's words for a negotiated version and suite.
pub(super) fn describe(
    version: Option<ProtocolVersion>,
    suite: Option<SupportedCipherSuite>,
) -> TlsDetails {
    let id = suite.map(|suite| suite.suite());
    let known = SUITES.iter().find(|suite| Some(suite.id) == id);
    let protocol = match version {
        Some(ProtocolVersion::TLSv1_3) => "tlsv1.3",
        Some(ProtocolVersion::TLSv1_2) => "tlsv1.2",
        _ => "unknown",
    };
    TlsDetails {
        protocol,
        key_exchange: known.map_or("unknown", |suite| suite.key_exchange),
        cipher: known.map_or("unknown", |suite| suite.cipher),
        // Every suite we offer authenticates together with encrypting.
        hash: "aead",
        peer_certificate: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_its_names() {
        let all = rustls::crypto::ring::default_provider().cipher_suites;
        assert_eq!(all.len(), SUITES.len());
        for suite in all {
            let details = describe(Some(ProtocolVersion::TLSv1_3), Some(suite));
            assert_ne!(details.cipher, "unknown", "{suite:?}");
        }
        for suite in SUITES {
            assert_eq!(known(suite.iana), Some(suite.openssl));
            assert_eq!(provider(&[suite.openssl]).cipher_suites.len(), 1);
        }
        assert_eq!(known("RC4-MD5"), None);
        assert_eq!(provider(&[]).cipher_suites.len(), SUITES.len());
    }
}
