//! AMQP listeners: binding, accepting, one task per connection.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::driver::Driver;
use super::outbox::Outbox;
use crate::config::{ListenAddress, TcpOptions};
use crate::connection::Connection;
use crate::server::Context;

/// How long accepting pauses after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Binds the first address of `address` that can be bound.
pub(crate) fn bind(address: &ListenAddress, backlog: u32) -> io::Result<StdListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in address.candidates()? {
        match bind_one(candidate, backlog) {
            Ok(listener) => return Ok(listener),
            // Taken is taken: another family on the same port would hide it.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_one(address: SocketAddr, backlog: u32) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts connections until the program stops.
pub(crate) async fn serve(
    context: Arc<Context>,
    listener: StdListener,
    options: TcpOptions,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.stopping() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = prepare(&stream, &options) {
                    tracing::debug!(%peer, %error, "socket options");
                }
                tokio::spawn(handle(Arc::clone(&context), stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream, options: &TcpOptions) -> io::Result<()> {
    stream.set_nodelay(options.nodelay)?;
    let socket = SockRef::from(stream);
    socket.set_keepalive(options.keepalive)?;
    if let Some(bytes) = options.sndbuf_bytes {
        socket.set_send_buffer_size(bytes as usize)?;
    }
    if let Some(bytes) = options.recbuf_bytes {
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    Ok(())
}

async fn handle(context: Arc<Context>, stream: TcpStream, peer: SocketAddr) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let (peer, local) = (canonical(peer), canonical(local));
    let outbox = Outbox::new();
    let timeout = context.limits.handshake_timeout;
    let connection = Connection::new(context, Arc::clone(&outbox), peer, local);
    tracing::debug!(connection = connection.name(), "accepting AMQP connection");
    let (connection, reason) = Driver::new(stream, connection, outbox, timeout).run().await;
    if connection.vhost_name().is_empty() {
        tracing::debug!(
            connection = connection.name(),
            "closed before it was open: {reason}"
        );
    } else {
        tracing::info!(
            connection = connection.name(),
            vhost = connection.vhost_name(),
            "closing AMQP connection: {reason}"
        );
    }
}

/// IPv4 addresses that came in through an IPv6 socket, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
