//! What a configuration value may look like: numbers, booleans, sizes with units, addresses.
//! Every function takes the text after `=` and says yes or no; which key accepts what is decided
//! in `keys`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadValue {
    /// It is not of the form the key's `accepts` text describes.
    Form,
    /// It is well formed and known, but cannot be honoured; the text says why.
    Because(&'static str),
}

/// Stores a parsed value, or passes the refusal on.
pub(super) fn put<T>(slot: &mut T, value: Result<T, BadValue>) -> Result<(), BadValue> {
    *slot = value?;
    Ok(())
}

/// A whole number between `low` and `high`.
pub(super) fn number<T: FromStr + PartialOrd>(text: &str, low: T, high: T) -> Result<T, BadValue> {
    let value = text.parse::<T>().map_err(|_| BadValue::Form)?;
    if value < low || value > high {
        Err(BadValue::Form)
    } else {
        Ok(value)
    }
}

/// A whole number of at least `low`, or `infinity` for no limit.
pub(super) fn number_or_infinity(text: &str, low: u32) -> Result<Option<u32>, BadValue> {
    if text == "infinity" {
        Ok(None)
    } else {
        number(text, low, u32::MAX).map(Some)
    }
}

/// A decimal fraction between `low` and `high`.
pub(super) fn fraction(text: &str, low: f64, high: f64) -> Result<f64, BadValue> {
    let value = text.parse::<f64>().map_err(|_| BadValue::Form)?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(BadValue::Form)
    }
}

/// `true` or `false`; `on` and `off` as RabbitMQ's flags know them.
pub(super) fn boolean(text: &str) -> Result<bool, BadValue> {
    match text {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        _ => Err(BadValue::Form),
    }
}

/// A text that must not be empty.
pub(super) fn text(value: &str) -> Result<String, BadValue> {
    if value.is_empty() {
        Err(BadValue::Form)
    } else {
        Ok(value.to_owned())
    }
}

/// Bytes with RabbitMQ's units: `kB MB GB TB PB` count in thousands, `KiB MiB ...` and the
/// single letters in 1024s. Letter case does not matter, except that none is needed at all.
pub(super) fn bytes(text: &str) -> Result<u64, BadValue> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (value, unit) = text.split_at(digits);
    let value = value.parse::<u64>().map_err(|_| BadValue::Form)?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "pb" => 1000_u64.pow(5),
        "k" | "kib" => 1024,
        "m" | "mib" => 1024_u64.pow(2),
        "g" | "gib" => 1024_u64.pow(3),
        "t" | "tib" => 1024_u64.pow(4),
        "p" | "pib" => 1024_u64.pow(5),
        _ => return Err(BadValue::Form),
    };
    value.checked_mul(factor).ok_or(BadValue::Form)
}

/// Milliseconds, as a number or with RabbitMQ's units `ms`, `s`, `m`, `h`, `d`, `w`.
pub(super) fn duration_ms(text: &str) -> Result<u64, BadValue> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (value, unit) = text.split_at(digits);
    let value = value.parse::<u64>().map_err(|_| BadValue::Form)?;
    let factor: u64 = match unit {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        "w" => 7 * 24 * 60 * 60 * 1000,
        _ => return Err(BadValue::Form),
    };
    value.checked_mul(factor).ok_or(BadValue::Form)
}

/// Where a listener binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// An IP address or a host name; `None` means every interface, IPv6 and IPv4.
    pub(crate) host: Option<String>,
    /// The TCP port; 0 lets the system choose one.
    pub(crate) port: u16,
}

impl ListenAddress {
    /// A port on every interface.
    pub(crate) const fn any(port: u16) -> Self {
        Self { host: None, port }
    }

    /// A port on one address or host name.
    pub(super) fn on(host: &str, port: u16) -> Self {
        Self {
            host: Some(host.to_owned()),
            port,
        }
    }

    /// This very socket address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            host: Some(address.ip().to_string()),
            port: address.port(),
        }
    }

    /// The socket addresses to try in this order, the first that binds being the listener. Every
    /// interface is `[::]` (to be bound without `IPV6_V6ONLY`, so that it takes IPv4 too), then
    /// `0.0.0.0` for systems without IPv6. A host name is looked up, which may block.
    pub(crate) fn candidates(&self) -> std::io::Result<Vec<SocketAddr>> {
        use std::net::{Ipv4Addr, ToSocketAddrs};
        match &self.host {
            Some(host) => Ok((host.as_str(), self.port).to_socket_addrs()?.collect()),
            None => Ok(vec![
                (Ipv6Addr::UNSPECIFIED, self.port).into(),
                (Ipv4Addr::UNSPECIFIED, self.port).into(),
            ]),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, "{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

/// `5672`, `127.0.0.1:5672`, `[::1]:5672`, RabbitMQ's `::1:5672`, or `name:5672`.
pub(super) fn listen_address(text: &str) -> Result<ListenAddress, BadValue> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(ListenAddress::any(port));
    }
    let (host, port) = text.rsplit_once(':').ok_or(BadValue::Form)?;
    let port = port.parse::<u16>().map_err(|_| BadValue::Form)?;
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok(ListenAddress::on(inner, port)),
        Some(_) => Err(BadValue::Form),
        None => Ok(ListenAddress::on(&bind_host(host)?, port)),
    }
}

/// An IP address or a plausible host name.
pub(super) fn bind_host(text: &str) -> Result<String, BadValue> {
    let plausible = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
    let is_name = !text.is_empty() && text.chars().all(plausible);
    if is_name || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(BadValue::Form)
    }
}

/// A text that must not show up in logs, error messages or `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_rabbitmqs_units() {
        for (text, bytes_expected) in [
            ("0", 0),
            ("50000000", 50_000_000),
            ("1kB", 1000),
            ("1K", 1024),
            ("2GB", 2_000_000_000),
            ("512MiB", 512 * 1024 * 1024),
            ("3g", 3 * 1024 * 1024 * 1024),
            ("1 TB", 1_000_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(bytes_expected), "{text}");
        }
        for text in [
            "",
            "GB",
            "-1",
            "1.5GB",
            "1XB",
            "99999999999999999999",
            "9999999PB",
        ] {
            assert_eq!(bytes(text), Err(BadValue::Form), "{text}");
        }
    }

    #[test]
    fn addresses_take_ports_ips_and_names() {
        assert_eq!(listen_address("5672"), Ok(ListenAddress::any(5672)));
        assert_eq!(
            listen_address("127.0.0.1:0"),
            Ok(ListenAddress::on("127.0.0.1", 0))
        );
        assert_eq!(
            listen_address("[::1]:5672"),
            Ok(ListenAddress::on("::1", 5672))
        );
        assert_eq!(
            listen_address("::1:5672"),
            Ok(ListenAddress::on("::1", 5672))
        );
        assert_eq!(
            listen_address("localhost:5672"),
            Ok(ListenAddress::on("localhost", 5672))
        );
        for text in [
            "",
            "70000",
            "a b:1",
            "127.0.0.1",
            "host:",
            ":5672",
            "[x]:1",
            "1:2:3",
        ] {
            assert_eq!(listen_address(text), Err(BadValue::Form), "{text}");
        }
    }

    #[test]
    fn an_address_prints_as_it_can_be_read_again() {
        for text in ["5672", "127.0.0.1:1", "[::1]:2", "localhost:3"] {
            assert_eq!(
                listen_address(text).map(|a| a.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn every_interface_tries_both_families() {
        let found = ListenAddress::any(7).candidates().unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].is_ipv6() && found[1].is_ipv4());
        let one = ListenAddress::on("127.0.0.1", 9).candidates().unwrap();
        assert_eq!(one, vec!["127.0.0.1:9".parse().unwrap()]);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(number("60", 0_u16, 65535), Ok(60));
        assert_eq!(number::<u16>("65536", 0, 65535), Err(BadValue::Form));
        assert_eq!(number::<u32>("4095", 4096, u32::MAX), Err(BadValue::Form));
        assert_eq!(number_or_infinity("infinity", 1), Ok(None));
        assert_eq!(number_or_infinity("0", 1), Err(BadValue::Form));
        assert_eq!(fraction("0.4", 0.0, 1.0), Ok(0.4));
        assert_eq!(fraction("NaN", 0.0, 1.0), Err(BadValue::Form));
        assert_eq!(boolean("yes"), Err(BadValue::Form));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }
}
