//! The PROXY protocol, versions 1 and 2 (row C-18): what a load balancer says about a connection
//! before the client's first byte. Reads exactly the header and not a byte more.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included.
const LINE_MAX: usize = 107;

/// Bytes of the longest pair of addresses in version 2 that means something here.
const ADDRESSES_MAX: usize = 36;

/// The client's address and the one it connected to.
pub(crate) type Addresses = (SocketAddr, SocketAddr);

/// Reads the header. `None` when the connection is the load balancer's own (a health check) or
/// not one over IP: the socket's addresses hold then.
pub(crate) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Addresses>> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return read_version_2(stream).await;
    }
    if !start.starts_with(b"PROXY ") {
        return Err(invalid("there is no PROXY protocol header"));
    }
    // Lines cannot be shorter than these, so much is read in one go.
    let shortest = match start.get(6..10) {
        Some(b"TCP4") => "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".len(),
        Some(b"TCP6") => "PROXY TCP6 :: :: 0 0\r\n".len(),
        _ => "PROXY UNKNOWN\r\n".len(),
    };
    let mut line = start.to_vec();
    line.resize(shortest, 0);
    stream.read_exact(&mut line[start.len()..]).await?;
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_MAX {
            return Err(invalid("the PROXY line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    parse_line(&line).ok_or_else(|| invalid("the PROXY line cannot be read"))
}

/// `PROXY TCP4 198.51.100.22 203.0.113.7 35646 80` and its end.
fn parse_line(line: &[u8]) -> Option<Option<Addresses>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let ip = |text: &str, v6: bool| {
        let ip: IpAddr = text.parse().ok()?;
        (ip.is_ipv6() == v6).then_some(ip)
    };
    let v6 = match words.next()? {
        "TCP4" => false,
        "TCP6" => true,
        "UNKNOWN" => return Some(None),
        _ => return None,
    };
    let (from, to) = (ip(words.next()?, v6)?, ip(words.next()?, v6)?);
    let (from_port, to_port) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(Some((
        SocketAddr::new(from, from_port),
        SocketAddr::new(to, to_port),
    )))
}

async fn read_version_2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Addresses>> {
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    let mut addresses = [0; ADDRESSES_MAX];
    let kept = length.min(ADDRESSES_MAX);
    stream.read_exact(&mut addresses[..kept]).await?;
    skip(stream, length - kept).await?;
    let own = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(invalid("unknown version or command of the PROXY protocol")),
    };
    // Stream over IPv4 and IPv6; everything else is passed on by some balancers, and means
    // nothing here.
    let found = match family {
        0x11 => addresses_of::<4>(&addresses[..kept], |octets| Ipv4Addr::from(octets).into()),
        0x21 => addresses_of::<16>(&addresses[..kept], |octets| Ipv6Addr::from(octets).into()),
        _ => return Ok(None),
    };
    match found {
        _ if own => Ok(None),
        Some(addresses) => Ok(Some(addresses)),
        None => Err(invalid("the PROXY header is too short for its addresses")),
    }
}

/// Two addresses of `N` octets, then two ports.
fn addresses_of<const N: usize>(bytes: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<Addresses> {
    let (from, rest) = bytes.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk::<2>()?;
    let to_port = rest.first_chunk::<2>()?;
    Some((
        SocketAddr::new(ip(*from), u16::from_be_bytes(*from_port)),
        SocketAddr::new(ip(*to), u16::from_be_bytes(*to_port)),
    ))
}

/// Passes over what a balancer adds to the addresses.
async fn skip(stream: &mut (impl AsyncRead + Unpin), mut left: usize) -> io::Result<()> {
    let mut scratch = [0; 256];
    while left > 0 {
        let n = left.min(scratch.len());
        stream.read_exact(&mut scratch[..n]).await?;
        left -= n;
    }
    Ok(())
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these bytes, and what is left of them.
    async fn read(bytes: &[u8]) -> (Result<Option<String>, String>, Vec<u8>) {
        let mut input = bytes;
        let found = read_header(&mut input).await;
        let found = found
            .map(|found| found.map(|(from, to)| format!("{from} -> {to}")))
            .map_err(|error| error.to_string());
        (found, input.to_vec())
    }

    fn version_2(command: u8, family: u8, addresses: &[u8], more: &[u8]) -> Vec<u8> {
        let length = (addresses.len() + more.len()) as u16;
        let head = [&SIGNATURE[..], &[command, family], &length.to_be_bytes()].concat();
        [&head[..], addresses, more, b"AMQP"].concat()
    }

    #[tokio::test]
    async fn row_c_18_version_1() {
        for (line, found) in [
            (
                "PROXY TCP4 198.51.100.22 203.0.113.7 35646 80\r\n",
                Some("198.51.100.22:35646 -> 203.0.113.7:80"),
            ),
            (
                "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
                Some("1.1.1.1:1 -> 2.2.2.2:2"),
            ),
            ("PROXY TCP6 :: ::1 0 0\r\n", Some("[::]:0 -> [::1]:0")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        ] {
            let (got, rest) = read(format!("{line}AMQP\0\0\x09\x01").as_bytes()).await;
            assert_eq!(got, Ok(found.map(str::to_owned)), "{line}");
            assert_eq!(rest, b"AMQP\0\0\x09\x01");
        }
    }

    #[tokio::test]
    async fn row_c_18_version_2() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0x16, 0x28];
        let (got, rest) = read(&version_2(0x21, 0x11, &v4, &[])).await;
        assert_eq!(got, Ok(Some("192.0.2.1:4660 -> 192.0.2.2:5672".to_owned())));
        assert_eq!(rest, b"AMQP");
        // With extensions, which are passed over.
        let (got, rest) = read(&version_2(0x21, 0x11, &v4, &[7; 1000])).await;
        assert!(got.unwrap().is_some());
        assert_eq!(rest, b"AMQP");
        let mut v6 = vec![0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        let (got, _) = read(&version_2(0x21, 0x21, &v6, &[])).await;
        assert_eq!(got, Ok(Some("[::1]:3 -> [::2]:4".to_owned())));
        // The balancer's own connection, and one over a Unix socket.
        assert_eq!(read(&version_2(0x20, 0x00, &[], &[])).await.0, Ok(None));
        assert_eq!(read(&version_2(0x20, 0x11, &v4, &[])).await.0, Ok(None));
        let unix = read(&version_2(0x21, 0x31, &[0; 216], &[])).await;
        assert_eq!((unix.0, unix.1), (Ok(None), b"AMQP".to_vec()));
    }

    #[tokio::test]
    async fn row_c_18_anything_else_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        for bad in [
            &b"AMQP\0\0\x09\x01AMQP\0\0\x09\x01"[..],
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 70000\r\n",
            b"PROXY TCP4 ::1 2.2.2.2 1 2         \r\n",
            b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
            long.as_bytes(),
            &version_2(0x31, 0x11, &[0; 12], &[]),
            &version_2(0x21, 0x11, &[0; 11], &[]),
            b"PROXY",
        ] {
            assert!(read(bad).await.0.is_err(), "{bad:?}");
        }
    }
}
