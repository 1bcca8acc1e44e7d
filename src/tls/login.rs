//! The user's name in a certificate: `ssl_cert_login_from` (rows C-22, C-40).

use super::certificate::{AlternativeName, Certificate};
use crate::config::{AlternativeNameKind, CertificateLogin};

/// Why a certificate gives no user name; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no name found in the client's certificate")]
pub(crate) struct NoName;

/// The name of the user this certificate stands for.
pub(crate) fn user_name(
    certificate: &Certificate,
    from: CertificateLogin,
) -> Result<String, NoName> {
    let name = match from {
        CertificateLogin::Subject => Some(certificate.subject.to_string()),
        CertificateLogin::CommonName => certificate.subject.common_name(),
        CertificateLogin::Alternative(kind, index) => {
            let names = certificate.alternative_names.iter();
            names.filter_map(|name| of_kind(name, kind)).nth(index)
        }
    };
    name.filter(|name| !name.is_empty()).ok_or(NoName)
}

fn of_kind(name: &AlternativeName, wanted: AlternativeNameKind) -> Option<String> {
    use AlternativeNameKind as Kind;
    let (kind, text) = match name {
        AlternativeName::Dns(text) => (Kind::Dns, text),
        AlternativeName::Ip(text) => (Kind::Ip, text),
        AlternativeName::Email(text) => (Kind::Email, text),
        AlternativeName::Uri(text) => (Kind::Uri, text),
        AlternativeName::Other(text) => (Kind::OtherName, text),
    };
    (kind == wanted).then(|| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_c_40_names_are_found_where_they_were_asked_for() {
        let certificate = Certificate {
            alternative_names: vec![
                AlternativeName::Email("bob@example".into()),
                AlternativeName::Dns("one.example".into()),
                AlternativeName::Dns("two.example".into()),
            ],
            ..Certificate::default()
        };
        let name =
            |kind, index| user_name(&certificate, CertificateLogin::Alternative(kind, index)).ok();
        use AlternativeNameKind as Kind;
        assert_eq!(name(Kind::Dns, 0).as_deref(), Some("one.example"));
        assert_eq!(name(Kind::Dns, 1).as_deref(), Some("two.example"));
        assert_eq!(name(Kind::Dns, 2), None);
        assert_eq!(name(Kind::Email, 0).as_deref(), Some("bob@example"));
        assert_eq!(name(Kind::Uri, 0), None);
        // An empty subject is nobody.
        let subject = user_name(&certificate, CertificateLogin::Subject);
        assert_eq!(subject, Err(NoName));
    }
}
