//! What the broker reads in a client's certificate: subject, issuer, validity and alternative
//! names. Only certificates that the verifier has accepted come here; still nothing is believed
//! about their form, and one that cannot be read simply has no name.
//!
//! Names are written as RabbitMQ writes them: RFC 4514 order and escapes, RabbitMQ's attribute
//! keywords.

use super::der::{self, Reader};

/// The fields of an X.509 certificate that the broker uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Who it was given to.
    pub(crate) subject: Name,
    /// Who signed it.
    pub(crate) issuer: Name,
    /// `2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z`.
    pub(crate) validity: String,
    /// Other names of the subject, in their order.
    pub(crate) alternative_names: Vec<AlternativeName>,
}

/// A distinguished name: its parts in the order of the certificate, each of one attribute or more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Name(Vec<Vec<(Attribute, String)>>);

/// The type of a part of a name: an object identifier.
type Attribute = Vec<u64>;

/// An alternative name of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AlternativeName {
    /// rfc822Name.
    Email(String),
    /// dNSName.
    Dns(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress, as text.
    Ip(String),
    /// otherName holding a text.
    Other(String),
}

/// RabbitMQ's keywords for attributes.
const KEYWORDS: [(&[u64], &str); 17] = [
    (&[2, 5, 4, 4], "SN"),
    (&[2, 5, 4, 42], "GIVENNAME"),
    (&[2, 5, 4, 43], "INITIALS"),
    (&[2, 5, 4, 44], "GENERATIONQUALIFIER"),
    (COMMON_NAME, "CN"),
    (&[2, 5, 4, 7], "L"),
    (&[2, 5, 4, 8], "ST"),
    (&[2, 5, 4, 9], "STREET"),
    (&[2, 5, 4, 10], "O"),
    (&[2, 5, 4, 11], "OU"),
    (&[2, 5, 4, 12], "TITLE"),
    (&[2, 5, 4, 6], "C"),
    (&[2, 5, 4, 5], "SERIALNUMBER"),
    (&[2, 5, 4, 65], "PSEUDONYM"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 25], "DC"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 1], "UID"),
    (&[1, 2, 840, 113_549, 1, 9, 1], "EMAILADDRESS"),
];

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// The extension of alternative names, as encoded.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

impl Certificate {
    /// Reads a certificate in DER. `None` if it has not the form of one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut certificate = Reader::new(bytes).enter(der::SEQUENCE)?;
        let mut fields = certificate.enter(der::SEQUENCE)?;
        fields.skip_if(der::context(0));
        fields.next()?; // serial number
        fields.next()?; // signature algorithm
        let issuer = Name::read(fields.enter(der::SEQUENCE)?)?;
        let mut validity = fields.enter(der::SEQUENCE)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = Name::read(fields.enter(der::SEQUENCE)?)?;
        fields.next()?; // public key
        let mut alternative_names = Vec::new();
        while let Some((tag, content)) = fields.next() {
            if tag == der::context(3) {
                let mut extensions = Reader::new(content).enter(der::SEQUENCE)?;
                while let Some(extension) = extensions.enter(der::SEQUENCE) {
                    alternative_names.extend(alternative_names_in(extension));
                }
            }
        }
        Some(Self {
            subject,
            issuer,
            validity: format!("{not_before} - {not_after}"),
            alternative_names,
        })
    }

    /// When it expires, Unix seconds.
    pub(super) fn not_after_s(&self) -> Option<i64> {
        let (_, until) = self.validity.split_once(" - ")?;
        let part = |from: usize, to: usize| until.get(from..to)?.parse::<i64>().ok();
        let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
        let seconds = part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?;
        // Years begin in March here, so that the leap day is their last.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
        Some(days * 86_400 + seconds)
    }
}

impl Name {
    fn read(mut parts: Reader<'_>) -> Option<Self> {
        let mut name = Vec::new();
        while let Some(mut part) = parts.enter(der::SET) {
            let mut attributes = Vec::new();
            while let Some(mut attribute) = part.enter(der::SEQUENCE) {
                let oid = der::object_identifier(attribute.expect(der::OBJECT_IDENTIFIER)?)?;
                let (tag, value) = attribute.next()?;
                attributes.push((oid, der::text(tag, value)?));
            }
            name.push(attributes);
        }
        Some(Self(name))
    }

    /// The common names, separated by commas as RabbitMQ does; none if there is no such part.
    pub(crate) fn common_name(&self) -> Option<String> {
        let all = self.0.iter().flatten();
        let names: Vec<&str> = all
            .filter(|(attribute, _)| attribute == COMMON_NAME)
            .map(|(_, value)| value.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}

/// The last part first, as in RFC 4514: `CN=client,O=Example`.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, part) in self.0.iter().rev().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            for (index, (attribute, value)) in part.iter().enumerate() {
                f.write_str(if index > 0 { "+" } else { "" })?;
                write!(f, "{}={}", keyword(attribute), escaped(value))?;
            }
        }
        Ok(())
    }
}

fn keyword(attribute: &[u64]) -> String {
    let known = KEYWORDS.iter().find(|(oid, _)| *oid == attribute);
    known.map_or_else(
        || {
            let numbers: Vec<String> = attribute.iter().map(u64::to_string).collect();
            numbers.join(".")
        },
        |(_, keyword)| (*keyword).to_owned(),
    )
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (index == 0 && matches!(c, ' ' | '#'))
            || (index == last && c == ' ');
        if c.is_ascii_control() {
            out.push_str(&format!("\\{:02X}", u32::from(c)));
            continue;
        }
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The names in this extension, if it is the one of alternative names. Names of other kinds are
/// passed over: nobody can log in by them.
fn alternative_names_in(mut extension: Reader<'_>) -> Vec<AlternativeName> {
    let mut names = Vec::new();
    if extension.expect(der::OBJECT_IDENTIFIER) != Some(&SUBJECT_ALT_NAME) {
        return names;
    }
    extension.skip_if(der::BOOLEAN);
    let value = extension.expect(der::OCTET_STRING).unwrap_or_default();
    let Some(mut entries) = Reader::new(value).enter(der::SEQUENCE) else {
        return names;
    };
    while let Some((tag, content)) = entries.next() {
        names.extend(alternative_name(tag, content));
    }
    names
}

fn alternative_name(tag: u8, content: &[u8]) -> Option<AlternativeName> {
    let text = || String::from_utf8(content.to_vec()).ok();
    // Tags of GeneralName (RFC 5280, 4.2.1.6): constructed for otherName, primitive for the rest.
    Some(match tag {
        0xa0 => {
            let mut other = Reader::new(content);
            other.expect(der::OBJECT_IDENTIFIER)?;
            let (tag, value) = Reader::new(other.expect(der::context(0))?).next()?;
            AlternativeName::Other(der::text(tag, value)?)
        }
        0x81 => AlternativeName::Email(text()?),
        0x82 => AlternativeName::Dns(text()?),
        0x86 => AlternativeName::Uri(text()?),
        0x87 => AlternativeName::Ip(match content.len() {
            4 => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).to_string(),
            16 => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?).to_string(),
            _ => return None,
        }),
        _ => return None,
    })
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` as `YYYY-MM-DDThh:mm:ssZ`.
fn time(validity: &mut Reader<'_>) -> Option<String> {
    let (tag, content) = validity.next()?;
    let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let digits = match (tag, digits.len()) {
        (der::UTC_TIME, 12) if digits < "50" => format!("20{digits}"),
        (der::UTC_TIME, 12) => format!("19{digits}"),
        (der::GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Some(format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(parts: &[(DnType, &str)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2051, 3, 4);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn row_c_42_subject_issuer_and_validity() {
        let der = certificate(
            &[
                (DnType::OrganizationName, "Example, Inc."),
                (DnType::CommonName, "client-1"),
            ],
            Vec::new(),
        );
        let parsed = Certificate::parse(&der).unwrap();
        assert_eq!(parsed.subject.to_string(), "CN=client-1,O=Example\\, Inc.");
        assert_eq!(parsed.issuer, parsed.subject);
        assert_eq!(
            parsed.validity,
            "2026-01-02T00:00:00Z - 2051-03-04T00:00:00Z"
        );
        assert_eq!(parsed.subject.common_name().as_deref(), Some("client-1"));
    }

    #[test]
    fn the_end_of_its_validity_is_known_in_seconds() {
        let der = certificate(&[(DnType::CommonName, "c")], Vec::new());
        let certificate = Certificate::parse(&der).unwrap();
        assert_eq!(certificate.not_after_s(), Some(2_561_500_800));
        let moment = |validity: &str| Certificate {
            validity: validity.to_owned(),
            ..Certificate::default()
        };
        let cases = [
            ("x - 1970-01-01T00:00:00Z", Some(0)),
            ("x - 2000-02-29T23:59:59Z", Some(951_868_799)),
            ("x - 1969-12-31T23:59:59Z", Some(-1)),
            ("", None),
            ("x - y", None),
        ];
        for (validity, seconds) in cases {
            assert_eq!(moment(validity).not_after_s(), seconds, "{validity}");
        }
    }

    #[test]
    fn row_c_40_alternative_names() {
        let der = certificate(
            &[],
            vec![
                SanType::DnsName("broker.example".try_into().unwrap()),
                SanType::Rfc822Name("bob@example".try_into().unwrap()),
                SanType::URI("spiffe://x/y".try_into().unwrap()),
                SanType::IpAddress("10.1.2.3".parse().unwrap()),
                SanType::IpAddress("fe80::1".parse().unwrap()),
                SanType::OtherName((vec![1, 3, 6], "bob".into())),
            ],
        );
        let parsed = Certificate::parse(&der).unwrap();
        use AlternativeName as A;
        assert_eq!(
            parsed.alternative_names,
            [
                A::Dns("broker.example".into()),
                A::Email("bob@example".into()),
                A::Uri("spiffe://x/y".into()),
                A::Ip("10.1.2.3".into()),
                A::Ip("fe80::1".into()),
                A::Other("bob".into()),
            ]
        );
        assert_eq!(parsed.subject.to_string(), "");
        assert_eq!(parsed.subject.common_name(), None);
    }

    #[test]
    fn values_are_escaped_as_in_rfc_4514() {
        for (value, shown) in [
            ("plain", "plain"),
            (" a ", "\\ a\\ "),
            ("#x#", "\\#x#"),
            ("a,b+c\"d\\e<f>g;h", "a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h"),
            ("tab\there", "tab\\09here"),
            ("Jürgen", "Jürgen"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), shown);
        }
        assert_eq!(keyword(&[1, 2, 3]), "1.2.3");
    }

    #[test]
    fn cut_certificates_are_no_certificates() {
        let der = certificate(&[(DnType::CommonName, "x")], Vec::new());
        for cut in 0..der.len() {
            assert_eq!(Certificate::parse(&der[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn damaged_certificates_do_no_harm(at in 0usize..400, octet: u8) {
            let mut der = certificate(&[(DnType::CommonName, "x")], Vec::new());
            let at = at % der.len();
            der[at] = octet;
            let _ = Certificate::parse(&der);
        }

        #[test]
        fn any_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = Certificate::parse(&bytes);
        }
    }
}
