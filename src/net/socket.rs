//! A TCP socket that can change from one worker's poller to another's.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pace::Buffers;

/// See the module documentation.
pub(crate) struct Socket {
    place: Place,
    /// The configuration says how large its buffers are.
    sized: bool,
}

enum Place {
    /// Known to the poller of the thread it is used on.
    Here(TcpStream),
    /// Known to none.
    Between(std::net::TcpStream),
    /// Lost: the system refused the change.
    Nowhere,
}

impl Socket {
    /// A socket known to this thread's poller. `sized`: the configuration says how large its
    /// buffers are.
    pub(crate) fn new(stream: TcpStream, sized: bool) -> Self {
        let place = Place::Here(stream);
        Self { place, sized }
    }

    /// Limits what the system buffers, unless the configuration has said how much.
    pub(crate) fn limit_buffers(&self, buffers: &Buffers) -> io::Result<()> {
        if let (Place::Here(stream), false) = (&self.place, self.sized) {
            let socket = SockRef::from(stream);
            socket.set_recv_buffer_size(buffers.receive)?;
            socket.set_send_buffer_size(buffers.send)?;
        }
        Ok(())
    }

    /// Leaves its poller. Until [`Socket::arrive`] everything fails.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Here(stream) => Place::Between(stream.into_std()?),
            other => other,
        };
        Ok(())
    }

    /// Makes itself known to this thread's poller.
    pub(crate) fn arrive(&mut self) -> io::Result<()> {
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Between(stream) => Place::Here(TcpStream::from_std(stream)?),
            other => other,
        };
        Ok(())
    }

    /// Our address.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.place {
            Place::Here(stream) => stream.local_addr(),
            Place::Between(stream) => stream.local_addr(),
            Place::Nowhere => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        match &mut self.place {
            Place::Here(stream) => Ok(Pin::new(stream)),
            Place::Between(_) | Place::Nowhere => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.here()?.poll_read(context, space)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(context)
    }

    /// Nothing: the socket is closed directly afterwards, which says the same to the client.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
