use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{ConnectionNumber, ConnectionNumbers, Places};

/// Limits of a listening port, and of the connections that are opened from here.
#[derive(Debug, Clone, Copy)]
pub struct StreamConfig {
    /// A connection that brings nothing for so long is closed: longer than anybody registers for, so that a phone that keeps
    /// silent stays reachable. Whoever knows what hangs on a connection closes others sooner.
    pub idle: Duration,
    /// More connections at once are closed at their opening.
    pub max_connections: usize,
    /// More connections at once from one address (not this machine's) are closed at their opening.
    pub max_connections_of_address: usize,
    /// Pieces that wait to be sent on one connection; a connection whose queue overflows is closed.
    pub send_queue: usize,
    /// A peer that takes nothing for so long while we write is cut off.
    pub write_timeout: Duration,
    /// What opening may take, the handshake of TLS included.
    pub open_timeout: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7200),
            max_connections: 4096,
            max_connections_of_address: 512,
            send_queue: 256,
            write_timeout: Duration::from_secs(15),
            open_timeout: Duration::from_secs(8),
        }
    }
}

/// What happens on connections. Of one connection: `Opened`, any number of `Received`, `Closed`; or `Failed`.
#[derive(Debug)]
pub enum StreamEvent {
    /// Somebody connected, or we did.
    Opened {
        /// The connection.
        connection: ConnectionNumber,
        /// Our end, never the unspecified address.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
        /// Over TLS.
        secure: bool,
        /// What they have shown of themselves, if it was they who connected, and their authority is trusted.
        certificate: Option<CertificateDer<'static>>,
        /// What [`dial`] was asked with, if it was we who connected.
        dialled: Option<u64>,
        /// To send on it.
        sender: StreamSender,
    },
    /// What [`dial`] was asked for could not be opened.
    Failed {
        /// What it was asked with.
        dialled: u64,
        /// The other end was there, but its certificate isn't trusted, or it doesn't speak TLS.
        untrusted: bool,
    },
    /// Bytes came, cut anywhere.
    Received {
        /// The connection.
        connection: ConnectionNumber,
        /// The bytes.
        bytes: Bytes,
    },
    /// It is closed, by whichever side.
    Closed {
        /// The connection.
        connection: ConnectionNumber,
    },
}

/// Sends on one connection. Dropping all clones closes the connection once everything is sent.
#[derive(Debug, Clone)]
pub struct StreamSender {
    queue: mpsc::Sender<Bytes>,
}

impl StreamSender {
    /// Queues bytes without waiting; false if the connection is closed or its queue is full (then it should be dropped).
    #[must_use]
    pub fn try_send(&self, bytes: Bytes) -> bool {
        self.queue.try_send(bytes).is_ok()
    }
}

/// A listening port for TCP, or for TLS over it. Dropping it closes the port and its connections.
#[derive(Debug)]
pub struct StreamPort {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl StreamPort {
    /// Listens on `address` (port 0: any free one); with `tls`, connections must begin with its handshake.
    ///
    /// # Errors
    /// As the system says, for example when the port is taken.
    pub async fn listen(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        config: StreamConfig,
        numbers: ConnectionNumbers,
        events: mpsc::Sender<StreamEvent>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let outlet = Outlet { config, numbers, events };
        Ok(Self { local, task: tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), outlet)) })
    }

    /// The bound address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for StreamPort {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whom to connect to.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Where.
    pub address: SocketAddr,
    /// Over TLS: whose certificate is expected (SNI), and what is trusted.
    pub tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    /// Comes back with [`StreamEvent::Opened`] or [`StreamEvent::Failed`].
    pub token: u64,
}

/// Opens a connection from here; what becomes of it comes by `events`.
pub fn dial(dial: Dial, config: StreamConfig, numbers: ConnectionNumbers, events: mpsc::Sender<StreamEvent>) {
    let outlet = Outlet { config, numbers, events };
    tokio::spawn(async move {
        let token = dial.token;
        let reached = timeout(config.open_timeout, TcpStream::connect(dial.address)).await;
        let opened = match reached.map_err(io::Error::from).flatten() {
            Ok(stream) => open(stream, dial, &outlet).await,
            Err(error) => Err(error),
        };
        if let Err(error) = opened {
            tracing::debug!(%error, "a connection could not be opened");
            let untrusted = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
            let _nobody_left = outlet.events.send(StreamEvent::Failed { dialled: token, untrusted }).await;
        }
    });
}

async fn open(stream: TcpStream, dial: Dial, outlet: &Outlet) -> io::Result<()> {
    let ends = Ends { local: stream.local_addr()?, remote: dial.address, dialled: Some(dial.token) };
    stream.set_nodelay(true)?;
    let Some((name, config)) = dial.tls else {
        outlet.run(stream, ends, false, None).await;
        return Ok(());
    };
    let stream = timeout(outlet.config.open_timeout, TlsConnector::from(config).connect(name, stream)).await??;
    outlet.run(stream, ends, true, None).await;
    Ok(())
}

const READ_CHUNK: usize = 16 * 1024;

#[derive(Debug, Clone)]
struct Outlet {
    config: StreamConfig,
    numbers: ConnectionNumbers,
    events: mpsc::Sender<StreamEvent>,
}

struct Ends {
    local: SocketAddr,
    remote: SocketAddr,
    dialled: Option<u64>,
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, outlet: Outlet) {
    let mut connections = JoinSet::new();
    let places = Places::new(outlet.config.max_connections, outlet.config.max_connections_of_address);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, remote)) => match places.take_for(remote.ip()) {
                None => tracing::warn!("too many TCP connections: one was refused"),
                Some(place) => {
                    let greeting = greet(stream, remote, tls.clone(), outlet.clone());
                    connections.spawn(async move {
                        greeting.await;
                        drop(place);
                    });
                }
            },
            Err(error) => {
                // Out of file descriptors, most likely; give others time to close.
                tracing::warn!(%error, "accepting a TCP connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn greet(stream: TcpStream, remote: SocketAddr, tls: Option<TlsAcceptor>, outlet: Outlet) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    // A port for both families sees IPv4 in its mapped form; everybody else knows only the plain one.
    let ends = Ends { local: canonical(local), remote: canonical(remote), dialled: None };
    let Some(tls) = tls else { return outlet.run(stream, ends, false, None).await };
    match timeout(outlet.config.open_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let shown = shown.map(|certificate| certificate.clone().into_owned());
            outlet.run(stream, ends, true, shown).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Outlet {
    async fn run<S>(&self, stream: S, ends: Ends, secure: bool, certificate: Option<CertificateDer<'static>>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let connection = self.numbers.next();
        let (queue, waiting) = mpsc::channel(self.config.send_queue);
        let Ends { local, remote, dialled } = ends;
        let sender = StreamSender { queue };
        let opened = StreamEvent::Opened { connection, local, remote, secure, certificate, dialled, sender };
        if self.events.send(opened).await.is_err() {
            return;
        }
        let (reading, writing) = tokio::io::split(stream);
        tokio::select! {
            () = read(reading, connection, self.config.idle, &self.events) => {}
            () = write(writing, waiting, self.config.write_timeout) => {}
        }
        // A closed channel means that nobody is left to be told.
        let _ = self.events.send(StreamEvent::Closed { connection }).await;
    }
}

async fn read<S: AsyncRead>(
    mut stream: ReadHalf<S>,
    connection: ConnectionNumber,
    idle: Duration,
    events: &mpsc::Sender<StreamEvent>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_CHUNK);
        match timeout(idle, stream.read_buf(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => {}
            Ok(_) => return,
            Err(_) => {
                tracing::debug!(connection = connection.0, "an idle TCP connection is closed");
                return;
            }
        }
        if events.send(StreamEvent::Received { connection, bytes: buffer.split().freeze() }).await.is_err() {
            return;
        }
    }
}

async fn write<S: AsyncWrite>(mut stream: WriteHalf<S>, mut waiting: mpsc::Receiver<Bytes>, limit: Duration) {
    while let Some(bytes) = waiting.recv().await {
        let write = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        match timeout(limit, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "TCP write failed");
                return;
            }
            Err(_) => {
                tracing::debug!("a TCP peer takes nothing: cut off");
                return;
            }
        }
    }
    let _ = timeout(limit, stream.shutdown()).await;
}
