//! AMQP listeners: binding, accepting, one task per connection. What comes before AMQP (the PROXY
//! header, the TLS handshake) happens here, in the connection's own task. Which thread runs it is
//! said by `workers`.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::driver::{Driver, Run};
use super::outbox::Outbox;
use super::proxy;
use super::socket::Socket;
use super::transport::Transport;
use super::workers::{Seat, Workers};
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
    let socket = socket2::Socket::new(
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

/// Accepts connections until the program stops, and runs them on `workers`; is to run there itself.
pub(crate) async fn serve(
    context: Arc<Context>,
    workers: Arc<Workers>,
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
                let accepted = Accepted {
                    context: Arc::clone(&context),
                    peer,
                    proxied: preface.proxy_protocol,
                };
                let mut socket = Socket::new(stream, options.sized());
                // Two kinds of task, so that a plain connection does not carry the room for TLS.
                match preface.tls.clone() {
                    None => {
                        tokio::spawn(handle_plain(accepted, socket, workers.seat()));
                    }
                    // The handshake is work: for whoever has the time.
                    Some(tls) => {
                        if let Err(error) = socket.leave() {
                            tracing::warn!(%peer, "closed: {error}");
                            continue;
                        }
                        let seat = workers.free_seat();
                        let place = Arc::clone(&seat);
                        place.follow(handle_tls(accepted, socket, seat, tls));
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

/// A connection that has said nothing in AMQP yet.
struct Accepted {
    context: Arc<Context>,
    peer: SocketAddr,
    /// It begins with a PROXY protocol header.
    proxied: bool,
}

async fn handle_plain(accepted: Accepted, mut socket: Socket, seat: Arc<Seat>) {
    let Some(addresses) = addresses(&accepted, &mut socket).await else {
        return;
    };
    carry(driver(accepted, socket, seat, addresses, None)).await;
}

async fn handle_tls(
    accepted: Accepted,
    mut socket: Socket,
    seat: Arc<Seat>,
    (tls, time): (Arc<TlsServer>, Duration),
) {
    let peer = accepted.peer;
    if let Err(error) = socket.arrive() {
        return tracing::warn!(%peer, "closed: {error}");
    }
    let Some(addresses) = addresses(&accepted, &mut socket).await else {
        return;
    };
    // The handshake needs room that the connection does not: boxed, it is gone afterwards.
    match Box::pin(tls.accept(socket, time)).await {
        Ok(stream) => {
            let secured = Secured::new(stream.get_ref().1);
            let secured = Some(Box::new(secured));
            carry(driver(accepted, stream, seat, addresses, secured)).await;
        }
        // A load balancer that looks whether the port is open says nothing at all (C-6).
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!(peer = %addresses.0, %error, "TLS handshake");
        }
        Err(error) => tracing::warn!(peer = %addresses.0, "TLS handshake failed: {error}"),
    }
}

/// The client's address and ours; `None` when the connection is over before it began.
async fn addresses(
    Accepted {
        context,
        peer,
        proxied,
    }: &Accepted,
    socket: &mut Socket,
) -> Option<(SocketAddr, SocketAddr)> {
    let own = (canonical(*peer), canonical(socket.local_addr().ok()?));
    if !proxied {
        return Some(own);
    }
    match timeout(context.limits.handshake_timeout, proxy::read_header(socket)).await {
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
    Accepted { context, .. }: Accepted,
    stream: S,
    seat: Arc<Seat>,
    (peer, local): (SocketAddr, SocketAddr),
    secured: Option<Box<Secured>>,
) -> Box<Driver<S>> {
    let outbox = Outbox::new();
    let timeout = context.limits.handshake_timeout;
    let connection = Connection::new(context, Arc::clone(&outbox), peer, local, secured);
    Box::new(Driver::new(stream, connection, outbox, seat, timeout))
}

/// Drives a connection to its end, or to where it goes on elsewhere.
async fn carry<S: Transport>(driver: Box<Driver<S>>) {
    let (driver, run) = driver.run().await;
    let reason = match run {
        Run::Over(reason) => reason,
        Run::Moving => {
            let seat = Arc::clone(driver.seat());
            return seat.follow(carried_on(driver));
        }
    };
    let connection = driver.connection();
    let who = connection.described();
    if connection.vhost_name().is_empty() {
        tracing::debug!("closing AMQP connection {who} before it was open: {reason}");
    } else {
        tracing::info!("closing AMQP connection {who}: {reason}");
    }
}

/// [`carry`], for itself: a future cannot contain its own type.
fn carried_on<S: Transport>(driver: Box<Driver<S>>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(carry(driver))
}

/// IPv4 addresses that came in through an IPv6 socket, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use futures_lite::StreamExt;

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

    /// However often a connection changes its thread, it goes on where it was.
    #[test]
    fn nothing_is_lost_on_the_move() {
        const MESSAGES: u32 = 20_000;
        let dir = tempfile::tempdir().unwrap();
        let context = Context::in_dir(dir.path());
        let workers = Workers::start(3).unwrap();
        let bound = bind(&ListenAddress::any(0), 8).unwrap();
        let port = bound.local_addr().unwrap().port();
        let accepting = Arc::clone(&workers);
        workers.spawn(async move {
            let listener = TcpListener::from_std(bound).unwrap();
            while let Ok((stream, peer)) = listener.accept().await {
                let accepted = Accepted {
                    context: Arc::clone(&context),
                    peer,
                    proxied: false,
                };
                let socket = Socket::new(stream, false);
                tokio::spawn(handle_plain(accepted, socket, accepting.seat()));
            }
        });
        let client = async {
            let uri = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
            let connect = || lapin::Connection::connect(&uri, Default::default());
            let (sender, receiver) = (connect().await?, connect().await?);
            let channel = receiver.create_channel().await?;
            let args = Default::default;
            let durable = lapin::options::QueueDeclareOptions::durable();
            channel.queue_declare("q".into(), durable, args()).await?;
            channel.basic_qos(500, Default::default()).await?;
            let tag = "c".into();
            let mut consumer = channel
                .basic_consume("q".into(), tag, Default::default(), args())
                .await?;
            let channel = sender.create_channel().await?;
            channel.confirm_select(Default::default()).await?;
            let publish = async {
                let mut confirms = Vec::new();
                for number in 0..MESSAGES {
                    let properties = lapin::BasicProperties::default().with_delivery_mode(2);
                    let body = number.to_be_bytes();
                    let options = Default::default();
                    let sent =
                        channel.basic_publish("".into(), "q".into(), options, &body, properties);
                    confirms.push(sent.await?);
                }
                for confirm in confirms {
                    assert!(confirm.await?.is_ack());
                }
                Ok::<_, lapin::Error>(())
            };
            let consume = async {
                for number in 0..MESSAGES {
                    let delivery = consumer.next().await.expect("the consumer goes on")?;
                    assert_eq!(delivery.data, number.to_be_bytes());
                    delivery.acker.ack(Default::default()).await?;
                }
                Ok::<_, lapin::Error>(())
            };
            tokio::try_join!(publish, consume).map(|_| ())
        };
        let mut visited = std::collections::BTreeSet::new();
        let moving = async {
            loop {
                visited.extend(workers.rotate());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            tokio::select! {
                done = timeout(Duration::from_secs(60), client) => done.unwrap().unwrap(),
                () = moving => {}
            }
        });
        assert_eq!(visited.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
