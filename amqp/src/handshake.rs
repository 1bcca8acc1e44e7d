//! The first bytes of a connection: the protocol header, and what a client says at login.
//!
//! Only the reading of them. The order of start, tune and open is the connection's; whether the
//! credentials are right is the broker's.

use std::fmt;

use crate::table::{TableRef, ValueRef};

/// What a client of AMQP 0-9-1 sends first, and what is answered to anything else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// AMQP 0-9 as published: the same protocol for all that matters, and accepted as such.
const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// The verdict on the first bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderCheck {
    /// Fewer than 8 bytes so far.
    NeedMore,
    /// AMQP 0-9-1; the header is 8 bytes long.
    Accept,
    /// Write [`PROTOCOL_HEADER`] and close.
    Refuse(HeaderMistake),
}

/// What a refused client seems to be, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderMistake {
    /// A TLS client on the plain port.
    Tls,
    /// A browser or another HTTP client.
    Http,
    /// AMQP in a version we don't speak, such as 1.0 or 0-8.
    OtherVersion,
    /// Anything else.
    Garbage,
}

impl fmt::Display for HeaderMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "a TLS client on a plain AMQP port",
            Self::Http => "an HTTP client on an AMQP port",
            Self::OtherVersion => "a version of AMQP other than 0-9-1",
            Self::Garbage => "not an AMQP client",
        })
    }
}

/// Judges the first bytes a client sent. Eight are needed: shorter ones are never refused, so that
/// the mistake can be named whatever way the network cut them.
pub fn check_protocol_header(input: &[u8]) -> HeaderCheck {
    let Some(header) = input.first_chunk::<8>() else {
        return HeaderCheck::NeedMore;
    };
    if *header == PROTOCOL_HEADER || *header == PROTOCOL_HEADER_0_9 {
        return HeaderCheck::Accept;
    }
    HeaderCheck::Refuse(if header.starts_with(b"AMQP") {
        HeaderMistake::OtherVersion
    } else if header.starts_with(&[0x16, 0x03]) {
        HeaderMistake::Tls
    } else if looks_like_http(header) {
        HeaderMistake::Http
    } else {
        HeaderMistake::Garbage
    })
}

fn looks_like_http(header: &[u8; 8]) -> bool {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"PATCH ",
        b"TRACE ",
    ];
    METHODS.iter().any(|method| header.starts_with(method))
}

/// What a client offers to prove who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password, in the clear.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// Without the password: credentials end up in logs otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why a response cannot even be checked. The client is disconnected without a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SaslError {
    /// A mechanism other than PLAIN and AMQPLAIN.
    #[error("unknown authentication mechanism")]
    UnknownMechanism,
    /// A response that does not follow its mechanism's form.
    #[error("malformed authentication response")]
    Malformed,
}

/// Reads the response of `connection.start-ok`: PLAIN (`NUL user NUL password`, RFC 4616 with an
/// empty authorization identity) or AMQPLAIN (a field table without its length, with `LOGIN` and
/// `PASSWORD`).
///
/// # Errors
/// See [`SaslError`]. Names and passwords must be UTF-8.
pub fn parse_sasl(mechanism: &str, response: &[u8]) -> Result<Credentials, SaslError> {
    let pair = match mechanism {
        "PLAIN" => plain(response),
        "AMQPLAIN" => amqplain(response),
        _ => return Err(SaslError::UnknownMechanism),
    };
    let (user, password) = pair.ok_or(SaslError::Malformed)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| SaslError::Malformed);
    Ok(Credentials {
        user: text(user)?,
        password: text(password)?,
    })
}

fn plain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = response.strip_prefix(b"\0")?;
    let nul = rest.iter().position(|&octet| octet == 0)?;
    let (user, password) = (&rest[..nul], &rest[nul + 1..]);
    (!password.contains(&0)).then_some((user, password))
}

fn amqplain(response: &[u8]) -> Option<(&[u8], &[u8])> {
    let table = TableRef::parse(response).ok()?;
    let field = |key: &[u8]| match table.get(key)? {
        ValueRef::LongStr(text) | ValueRef::Bytes(text) => Some(text),
        _ => None,
    };
    Some((field(b"LOGIN")?, field(b"PASSWORD")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableBuilder;
    use proptest::prelude::*;

    #[test]
    fn rows_c_1_to_c_4_headers() {
        use HeaderCheck::{Accept, NeedMore, Refuse};
        let cases: [(&[u8], HeaderCheck); 11] = [
            (b"", NeedMore),
            (b"AMQP\0\0\x09", NeedMore),
            (b"AMQP\0\0\x09\x01", Accept),
            (b"AMQP\0\0\x09\x01more", Accept),
            (b"AMQP\x01\x01\0\x09", Accept),
            (b"AMQP\x01\x01\x08\0", Refuse(HeaderMistake::OtherVersion)),
            (b"AMQP\0\x01\0\0", Refuse(HeaderMistake::OtherVersion)),
            (b"AMQP\x03\x01\0\0", Refuse(HeaderMistake::OtherVersion)),
            (b"\x16\x03\x01\x02\0\x01\0\x01", Refuse(HeaderMistake::Tls)),
            (b"GET / HTTP/1.1\r\n", Refuse(HeaderMistake::Http)),
            (b"hello, world", Refuse(HeaderMistake::Garbage)),
        ];
        for (input, verdict) in cases {
            assert_eq!(check_protocol_header(input), verdict, "{input:?}");
        }
    }

    #[test]
    fn row_c_20_plain() {
        let ok = parse_sasl("PLAIN", b"\0guest\0se cret").expect("valid");
        assert_eq!(
            (ok.user.as_str(), ok.password.as_str()),
            ("guest", "se cret")
        );
        let empty = parse_sasl("PLAIN", b"\0\0").expect("valid");
        assert_eq!((empty.user.as_str(), empty.password.as_str()), ("", ""));
        for bad in [
            &b"guest\0guest"[..],
            b"",
            b"\0guest",
            b"id\0u\0p",
            b"\0u\0p\0x",
            b"\0u\0\xff",
        ] {
            assert_eq!(
                parse_sasl("PLAIN", bad),
                Err(SaslError::Malformed),
                "{bad:?}"
            );
        }
        assert_eq!(
            parse_sasl("plain", b"\0u\0p"),
            Err(SaslError::UnknownMechanism)
        );
    }

    #[test]
    fn row_c_21_amqplain() {
        let mut table = TableBuilder::new();
        table.longstr(b"LOGIN", b"guest");
        table.raw(b"PASSWORD", ValueRef::Bytes(b"pw"));
        let response = table.finish();
        let ok = parse_sasl("AMQPLAIN", &response).expect("valid");
        assert_eq!((ok.user.as_str(), ok.password.as_str()), ("guest", "pw"));
        for cut in 0..response.len() {
            assert!(parse_sasl("AMQPLAIN", &response[..cut]).is_err());
        }
        let mut table = TableBuilder::new();
        table.longstr(b"LOGIN", b"guest");
        table.long(b"PASSWORD", 1);
        assert_eq!(
            parse_sasl("AMQPLAIN", &table.finish()),
            Err(SaslError::Malformed)
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let credentials = Credentials {
            user: "u".into(),
            password: "secret".into(),
        };
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_response_is_answered(bytes: Vec<u8>) {
            let _ = parse_sasl("PLAIN", &bytes);
            let _ = parse_sasl("AMQPLAIN", &bytes);
            let _ = check_protocol_header(&bytes);
        }
    }
}
