//! Accepts HTTP connections, plain or over TLS, and serves the router on them.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use aftertone_net::Places;
use axum::{Router, extract::Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// The connection that a request came over; in every request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Our end, never the unspecified address.
    pub(crate) local: SocketAddr,
    /// Their end.
    pub(crate) remote: SocketAddr,
    /// Over TLS.
    pub(crate) secure: bool,
}

/// A port that serves HTTP until `stopping` says true.
#[derive(Debug)]
pub(crate) struct HttpPort {
    pub(crate) local: SocketAddr,
    task: JoinHandle<()>,
}

impl HttpPort {
    pub(crate) async fn listen(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        router: Router,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        Ok(Self { local, task: tokio::spawn(accept(listener, tls, router, stopping)) })
    }

    /// Waits until the connections have ended after `stopping`.
    pub(crate) async fn finished(self) {
        // A panic in there was logged where it happened.
        let _ = self.task.await;
    }
}

/// Waits until the server stops.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender gone means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

const MAX_CONNECTIONS: usize = 4096;
/// An office behind one address has a few for each of its people.
const MAX_CONNECTIONS_OF_ADDRESS: usize = 512;
/// Who takes nothing of an answer for so long is cut off.
const WRITE: Duration = Duration::from_secs(30);
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(20);
/// What running requests get after the word to stop.
const LINGER: Duration = Duration::from_secs(2);

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, mut stopping: watch::Receiver<bool>) {
    let places = Places::new(MAX_CONNECTIONS, MAX_CONNECTIONS_OF_ADDRESS);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.take_for(remote.ip()) else {
            tracing::warn!("too many HTTP connections: one was refused");
            continue;
        };
        let connection = serve(stream, remote, tls.clone(), router.clone(), stopping.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(LINGER, async { while connections.join_next().await.is_some() {} }).await;
}

async fn serve(stream: TcpStream, remote: SocketAddr, tls: Option<TlsAcceptor>, router: Router, stopping: watch::Receiver<bool>) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let peer = Peer { local, remote, secure: tls.is_some() };
    let Some(acceptor) = tls else { return requests(stream, peer, router, stopping).await };
    match timeout(TLS_HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, peer, router, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn requests<S>(stream: S, peer: Peer, router: Router, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router.oneshot(request.map(axum::body::Body::new) as Request).await.unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}
