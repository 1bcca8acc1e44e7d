//! Keys of TLS: the AMQP listeners' (`ssl_options`), and the same of the two HTTP listeners. Keys
//! of RabbitMQ that rustls has no use for are in `refused`, or accept the one value that is true.

use std::path::PathBuf;
use std::time::Duration;

use super::Key;
use super::network::ADDRESS;
use crate::config::tls::{AlternativeNameKind, CertificateLogin, TlsVersion};
use crate::config::value::{BadValue, boolean, listen_address, number, put, text};
use crate::tls::known_suite;

const PEM: &str = "the path of a PEM file";

/// The options of one kind of listener: `$prefix` begins the keys, `$at` leads to the draft's part.
macro_rules! options {
    ($prefix:literal, $at:ident) => {
        [
            Key {
                name: concat!($prefix, ".certfile"),
                default: "(none)",
                accepts: PEM,
                doc: "The node's certificate, followed by those between it and its authority.",
                set: |d, _, v| put(&mut d.$at.options.certfile, path(v)),
            },
            Key {
                name: concat!($prefix, ".keyfile"),
                default: "(none)",
                accepts: PEM,
                doc: "The private key of that certificate, not encrypted.",
                set: |d, _, v| put(&mut d.$at.options.keyfile, path(v)),
            },
            Key {
                name: concat!($prefix, ".cacertfile"),
                default: "(none)",
                accepts: PEM,
                doc: "Authorities that clients' certificates must come from.",
                set: |d, _, v| put(&mut d.$at.options.cacertfile, path(v)),
            },
            Key {
                name: concat!($prefix, ".verify"),
                default: "verify_none",
                accepts: "`verify_peer` or `verify_none`",
                doc: "`verify_peer` asks clients for a certificate and checks it.",
                set: |d, _, v| put(&mut d.$at.options.verify_peer, verify(v)),
            },
            Key {
                name: concat!($prefix, ".fail_if_no_peer_cert"),
                default: "false",
                accepts: "`true` or `false`",
                doc: "Turns clients away that have no certificate. Needs `verify_peer`.",
                set: |d, _, v| put(&mut d.$at.options.fail_if_no_peer_cert, boolean(v)),
            },
            Key {
                name: concat!($prefix, ".depth"),
                default: "10",
                accepts: "a number from 0 to 255",
                doc: "Certificates allowed between a client's and its authority.",
                set: |d, _, v| put(&mut d.$at.options.depth, number(v, 0, 255)),
            },
            Key {
                name: concat!($prefix, ".versions.<n>"),
                default: "(tlsv1.3, tlsv1.2)",
                accepts: "`tlsv1.3` or `tlsv1.2`",
                doc: "Versions of TLS offered. When any is named, only those.",
                set: |d, n, v| {
                    d.$at.versions.insert(n.to_owned(), version(v)?);
                    Ok(())
                },
            },
            Key {
                name: concat!($prefix, ".ciphers.<n>"),
                default: "(all nine)",
                accepts: "a cipher suite of TLS 1.3, or of TLS 1.2 with ECDHE and AES-GCM or \
                          ChaCha20, by its name in OpenSSL or IANA, with a number for <n>",
                doc: "Cipher suites offered, in the order of <n>. When any is named, only those.",
                set: |d, n, v| {
                    let n = number(n, 0, u32::MAX)?;
                    d.$at
                        .ciphers
                        .insert(n, known_suite(v).ok_or(BadValue::Form)?);
                    Ok(())
                },
            },
            Key {
                name: concat!($prefix, ".honor_cipher_order"),
                default: "false",
                accepts: "`true` or `false`",
                doc: "Whether the node's order of cipher suites counts, not the client's.",
                set: |d, _, v| put(&mut d.$at.options.honor_cipher_order, boolean(v)),
            },
            Key {
                name: concat!($prefix, ".reuse_sessions"),
                default: "true",
                accepts: "`true` or `false`",
                doc: "Whether clients may resume a session without the whole handshake.",
                set: |d, _, v| put(&mut d.$at.options.reuse_sessions, boolean(v)),
            },
            Key {
                name: concat!($prefix, ".client_renegotiation"),
                default: "false",
                accepts: "`false`: renegotiation does not exist here",
                doc: "Says what is always so.",
                set: |_, _, v| only(v, "false"),
            },
            Key {
                name: concat!($prefix, ".secure_renegotiate"),
                default: "true",
                accepts: "`true`: there is no other renegotiation, indeed none at all",
                doc: "Says what is always so.",
                set: |_, _, v| only(v, "true"),
            },
        ]
    };
}

/// TLS of the AMQP listeners.
pub(super) const KEYS: &[Key] = &{
    let [a, b, c, d, e, f, g, h, i, j, k, l] = options!("ssl_options", tls);
    [
        Key {
            name: "listeners.ssl.default",
            default: "(none)",
            accepts: ADDRESS,
            doc: "Where AMQP over TLS is served; 5671 by convention. Needs `ssl_options.certfile` \
                  and `ssl_options.keyfile`.",
            set: |d, _, v| {
                d.tls_listeners
                    .insert("default".to_owned(), listen_address(v)?);
                Ok(())
            },
        },
        Key {
            name: "listeners.ssl.<n>",
            default: "(none)",
            accepts: ADDRESS,
            doc: "Further listeners.",
            set: |d, name, v| {
                d.tls_listeners.insert(name.to_owned(), listen_address(v)?);
                Ok(())
            },
        },
        Key {
            name: "listeners.ssl",
            default: "none",
            accepts: "`none`",
            doc: "`none` opens no TLS listener, whatever other lines say.",
            set: |d, _, v| {
                only(v, "none")?;
                put(&mut d.no_tls_listeners, Ok(true))
            },
        },
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        j,
        k,
        l,
        Key {
            name: "ssl_handshake_timeout",
            default: "5000",
            accepts: "milliseconds, 1 to 4294967295",
            doc: "Time a client has for the TLS handshake.",
            set: |d, _, v| {
                let time = number(v, 1, u32::MAX).map(|ms| Duration::from_millis(ms.into()));
                put(&mut d.config.tls_handshake_timeout, time)
            },
        },
        Key {
            name: "ssl_cert_login_from",
            default: "distinguished_name",
            accepts: "`distinguished_name`, `common_name` or `subject_alternative_name` (`subject_alt_name`)",
            doc: "Where the mechanism EXTERNAL finds the user's name in a client's certificate.",
            set: |d, _, v| put(&mut d.certificate_login, login_from(v)),
        },
        Key {
            name: "ssl_cert_login_san_type",
            default: "dns",
            accepts: "`dns`, `ip`, `email`, `uri` or `other_name`",
            doc: "The kind of alternative name meant.",
            set: |d, _, v| put(&mut d.alternative_name.0, kind(v)),
        },
        Key {
            name: "ssl_cert_login_san_index",
            default: "0",
            accepts: "a number from 0 to 1000",
            doc: "Which alternative name of that kind, counted from 0.",
            set: |d, _, v| put(&mut d.alternative_name.1, number(v, 0, 1000)),
        },
    ]
};

/// TLS of the management listener.
pub(super) const MANAGEMENT: &[Key] = &options!("management.ssl", management_tls);

/// TLS of the metrics listener.
pub(super) const PROMETHEUS: &[Key] = &options!("prometheus.ssl", prometheus_tls);

fn path(value: &str) -> Result<Option<PathBuf>, BadValue> {
    Ok(Some(PathBuf::from(text(value)?)))
}

fn only(value: &str, accepted: &str) -> Result<(), BadValue> {
    if value == accepted {
        Ok(())
    } else {
        Err(BadValue::Form)
    }
}

fn verify(value: &str) -> Result<bool, BadValue> {
    match value {
        "verify_peer" => Ok(true),
        "verify_none" => Ok(false),
        _ => Err(BadValue::Form),
    }
}

fn version(value: &str) -> Result<TlsVersion, BadValue> {
    match value {
        "tlsv1.3" => Ok(TlsVersion::V1_3),
        "tlsv1.2" => Ok(TlsVersion::V1_2),
        "tlsv1.1" | "tlsv1" | "sslv3" => Err(BadValue::Because("TLS 1.2 is the oldest version")),
        _ => Err(BadValue::Form),
    }
}

fn login_from(value: &str) -> Result<CertificateLogin, BadValue> {
    match value {
        "distinguished_name" => Ok(CertificateLogin::Subject),
        "common_name" => Ok(CertificateLogin::CommonName),
        "subject_alternative_name" | "subject_alt_name" => {
            let kind = AlternativeNameKind::default();
            Ok(CertificateLogin::Alternative(kind, 0))
        }
        _ => Err(BadValue::Form),
    }
}

fn kind(value: &str) -> Result<AlternativeNameKind, BadValue> {
    match value {
        "dns" => Ok(AlternativeNameKind::Dns),
        "ip" => Ok(AlternativeNameKind::Ip),
        "email" => Ok(AlternativeNameKind::Email),
        "uri" => Ok(AlternativeNameKind::Uri),
        "other_name" => Ok(AlternativeNameKind::OtherName),
        _ => Err(BadValue::Form),
    }
}
