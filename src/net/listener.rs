//! AMQP listeners: binding, accepting, one task per connection. What comes before AMQP (the PROXY
//! header, the TLS handshake) happens here, in the connection's own task.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::driver::Driver;
use super::outbox::Outbox;
use super::proxy;
use super::transport::Transport;
use crate::config::{ListenAddress, TcpOptions};
use crate::connection::Connection;
use crate::server::Context;
use crate::tls::{Secured, TlsServer};

/// How long accepting pauses after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What comes before AMQP on the connections of a listener.
#[derive(Clone, Default)]
pub(crate) struct Preface {
    /// A PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// The TLS handshake, which may take so long.
    pub(crate) tls: Option<(Arc<TlsServer>, Duration)>,
}

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
    preface: Preface,
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
                let context = Arc::clone(&context);
                let proxied = preface.proxy_protocol;
                // Two kinds of task, so that a plain connection does not carry the room for TLS.
                match preface.tls.clone() {
                    None => {
                        tokio::spawn(handle_plain(context, stream, peer, proxied));
                    }
                    Some(tls) => {
                        tokio::spawn(handle_tls(context, stream, peer, proxied, tls));
                    }
                }
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

async fn handle_plain(
    context: Arc<Context>,
    mut stream: TcpStream,
    peer: SocketAddr,
    proxied: bool,
) {
    let Some((peer, local)) = addresses(&context, &mut stream, peer, proxied).await else {
        return;
    };
    run(driver(context, stream, (peer, local), None)).await;
}

async fn handle_tls(
    context: Arc<Context>,
    mut stream: TcpStream,
    peer: SocketAddr,
    proxied: bool,
    (tls, time): (Arc<TlsServer>, Duration),
) {
    let Some((peer, local)) = addresses(&context, &mut stream, peer, proxied).await else {
        return;
    };
    // The handshake needs room that the connection does not: boxed, it is gone afterwards.
    match Box::pin(tls.accept(stream, time)).await {
        Ok(stream) => {
            let secured = Secured::new(stream.get_ref().1);
            let secured = Some(Box::new(secured));
            run(driver(context, stream, (peer, local), secured)).await;
        }
        // A load balancer that looks whether the port is open says nothing at all (C-6).
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!(%peer, %error, "TLS handshake");
        }
        Err(error) => tracing::warn!(%peer, "TLS handshake failed: {error}"),
    }
}

/// The client's address and ours; `None` when the connection is over before it began.
async fn addresses(
    context: &Context,
    stream: &mut TcpStream,
    peer: SocketAddr,
    proxied: bool,
) -> Option<(SocketAddr, SocketAddr)> {
    let own = (canonical(peer), canonical(stream.local_addr().ok()?));
    if !proxied {
        return Some(own);
    }
    match timeout(context.limits.handshake_timeout, proxy::read_header(stream)).await {
        Ok(Ok(Some((peer, local)))) => Some((canonical(peer), canonical(local))),
        Ok(Ok(None)) => Some(own),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Ok(Err(error)) => {
            tracing::warn!(%peer, "closed: {error}");
            None
        }
        Err(_) => {
            tracing::warn!(%peer, "closed: no PROXY protocol header in time");
            None
        }
    }
}

fn driver<S: Transport>(
    context: Arc<Context>,
    stream: S,
    (peer, local): (SocketAddr, SocketAddr),
    secured: Option<Box<Secured>>,
) -> Box<Driver<S>> {
    let outbox = Outbox::new();
    let timeout = context.limits.handshake_timeout;
    let connection = Connection::new(context, Arc::clone(&outbox), peer, local, secured);
    Box::new(Driver::new(stream, connection, outbox, timeout))
}

async fn run<S: Transport>(driver: Box<Driver<S>>) {
    let (driver, reason) = driver.run().await;
    let connection = driver.connection();
    let who = connection.described();
    if connection.vhost_name().is_empty() {
        tracing::debug!("closing AMQP connection {who} before it was open: {reason}");
    } else {
        tracing::info!("closing AMQP connection {who}: {reason}");
    }
}

/// IPv4 addresses that came in through an IPv6 socket, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn w44_small_frames_are_sent_at_once() {
        let listener = bind(&ListenAddress::any(0), 8).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        prepare(&server, &Config::default().tcp).unwrap();
        assert!(server.nodelay().unwrap());
        drop(client);
    }
}
