//! What a connection is carried by: a TCP socket, or TLS over one.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream of bytes to a client. The driver is compiled once for each.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Whether one read brings no more than a record of 16 KiB, however much waits: the driver
    /// then reads on until it has enough to be worth a round.
    const SMALL_READS: bool;
}

impl Transport for TcpStream {
    const SMALL_READS: bool = false;
}

impl Transport for TlsStream<TcpStream> {
    const SMALL_READS: bool = true;
}
