//! What a connection is carried by: a TCP socket, or TLS over one.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// A stream of bytes to a client. The driver is compiled once for each.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Whether one read brings no more than a record of 16 KiB, however much waits: the driver
    /// then reads on until it has enough to be worth a round.
    const SMALL_READS: bool;

    /// The socket below.
    fn socket(&mut self) -> &mut Socket;
}

impl Transport for Socket {
    const SMALL_READS: bool = false;

    fn socket(&mut self) -> &mut Socket {
        self
    }
}

impl Transport for TlsStream<Socket> {
    const SMALL_READS: bool = true;

    fn socket(&mut self) -> &mut Socket {
        self.get_mut().0
    }
}
