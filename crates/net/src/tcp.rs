use std::{io, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::{ConnectionNumber, ConnectionNumbers};

/// Limits of a listening port.
#[derive(Debug, Clone, Copy)]
pub struct TcpConfig {
    /// A connection that brings nothing for so long is closed.
    pub idle: Duration,
    /// More connections at once are closed at their opening.
    pub max_connections: usize,
    /// Pieces that wait to be sent on one connection; a connection whose queue overflows is closed.
    pub send_queue: usize,
    /// A peer that takes nothing for so long while we write is cut off.
    pub write_timeout: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self { idle: Duration::from_secs(600), max_connections: 4096, send_queue: 256, write_timeout: Duration::from_secs(15) }
    }
}

/// What happens on the connections of a port. Of one connection: `Opened`, any number of `Received`, `Closed`.
#[derive(Debug)]
pub enum StreamEvent {
    /// Somebody connected.
    Opened {
        /// The connection.
        connection: ConnectionNumber,
        /// Our end, never the unspecified address.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
        /// To send on it.
        sender: StreamSender,
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

/// A listening port. Dropping it closes the port and its connections.
#[derive(Debug)]
pub struct TcpPort {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl TcpPort {
    /// Listens on `address` (port 0: any free one).
    ///
    /// # Errors
    /// As the system says, for example when the port is taken.
    pub async fn listen(
        address: SocketAddr,
        config: TcpConfig,
        numbers: ConnectionNumbers,
        events: mpsc::Sender<StreamEvent>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        Ok(Self { local, task: tokio::spawn(accept(listener, config, numbers, events)) })
    }

    /// The bound address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for TcpPort {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const READ_CHUNK: usize = 16 * 1024;

async fn accept(listener: TcpListener, config: TcpConfig, numbers: ConnectionNumbers, events: mpsc::Sender<StreamEvent>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(_) if connections.len() >= config.max_connections => tracing::warn!("too many TCP connections: one was refused"),
            Ok((stream, remote)) => {
                connections.spawn(run(stream, remote, config, numbers.next(), events.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely; give others time to close.
                tracing::warn!(%error, "accepting a TCP connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn run(
    stream: TcpStream,
    remote: SocketAddr,
    config: TcpConfig,
    connection: ConnectionNumber,
    events: mpsc::Sender<StreamEvent>,
) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let (queue, waiting) = mpsc::channel(config.send_queue);
    if events.send(StreamEvent::Opened { connection, local, remote, sender: StreamSender { queue } }).await.is_err() {
        return;
    }
    let (reading, writing) = stream.into_split();
    tokio::select! {
        () = read(reading, connection, config.idle, &events) => {}
        () = write(writing, waiting, config.write_timeout) => {}
    }
    // A closed channel means that nobody is left to be told.
    let _ = events.send(StreamEvent::Closed { connection }).await;
}

async fn read(mut stream: OwnedReadHalf, connection: ConnectionNumber, idle: Duration, events: &mpsc::Sender<StreamEvent>) {
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

async fn write(mut stream: OwnedWriteHalf, mut waiting: mpsc::Receiver<Bytes>, limit: Duration) {
    while let Some(bytes) = waiting.recv().await {
        match timeout(limit, stream.write_all(&bytes)).await {
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
    let _ = stream.shutdown().await;
}
