//! From a listening socket to a router. Bounded: so many connections at a time, so many bytes of
//! request head, so long to send it. A client that keeps to none of that costs the management
//! port a connection for a while, and AMQP nothing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::auth::Peer;

/// Connections at a time; later ones wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// Bytes of a request's head, and of what is read ahead.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// From the first byte, or the end of the last answer, to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How an accepted socket becomes a stream that HTTP is spoken over: at once, or by way of TLS.
pub trait Accept: Clone + Send + Sync + 'static {
    /// What HTTP is spoken over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Prepares the stream; runs in the connection's own task. An error ends the connection.
    fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// HTTP over the socket itself.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Accept for Plain {
    type Stream = TcpStream;

    async fn accept(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// Serves a router on a bound listener until `stop` completes; then requests in progress are cut.
/// Must be called within a tokio runtime. Fails only if the listener cannot be used at all.
pub async fn serve(
    listener: std::net::TcpListener,
    accepting: impl Accept,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return Ok(()),
            // Only forgets tasks that have ended.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let service = TowerToHyperService::new(router.clone());
                let accepting = accepting.clone();
                connections.spawn(async move {
                    match accepting.accept(stream).await {
                        Ok(stream) => serve_connection(stream, peer, service).await,
                        Err(error) => tracing::debug!(%peer, %error, "no HTTP connection"),
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Mostly too many open files: waiting is all that helps.
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: TowerToHyperService<Router>,
) {
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = router.call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "HTTP connection ended");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::testing::{GUEST, Node};

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request() {
        let node = Node::start().await;
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        for _ in 0..2 {
            stream
                .write_all(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
                .await
                .unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"HTTP/1.1 200 OK"));
        }
    }

    #[tokio::test]
    async fn nonsense_and_oversized_heads_are_refused() {
        let node = Node::start().await;
        let huge = format!(
            "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(2 * MAX_HEAD_BYTES)
        );
        for (request, status) in [
            ("AMQP\0\0\u{9}\u{1}\r\n\r\n", "400"),
            (huge.as_str(), "431"),
        ] {
            let answer = node.raw(request).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
        assert_eq!(node.get("/api/overview", Some(GUEST)).await.status, 200);
    }

    #[tokio::test]
    async fn stopping_ends_the_server() {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Plain, Router::new(), async {
            let _ = stopped.await;
        }));
        let mut idle = TcpStream::connect(address).await.unwrap();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or_default(), 0);
    }
}
