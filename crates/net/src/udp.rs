use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
};

use crate::stream::canonical;

/// What came in.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// The address that the port is bound to; may be the unspecified one.
    pub local: SocketAddr,
    /// Who sent it; an IPv4 address is never in its mapped form.
    pub remote: SocketAddr,
    /// Its payload.
    pub bytes: Bytes,
}

/// A bound UDP port. Dropping it closes the port.
#[derive(Debug)]
pub struct UdpPort {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    waiting: mpsc::Sender<(SocketAddr, Bytes)>,
    tasks: [JoinHandle<()>; 2],
}

impl UdpPort {
    /// Binds `address` (port 0: any free one); what comes in goes to `inbound`, and is dropped while that is full.
    ///
    /// # Errors
    /// As the system says, for example when the port is taken.
    pub async fn bind(address: SocketAddr, inbound: mpsc::Sender<Datagram>) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(address).await?);
        let local = socket.local_addr()?;
        let (waiting, queue) = mpsc::channel(SEND_QUEUE);
        let tasks =
            [tokio::spawn(receive(Arc::clone(&socket), local, inbound)), tokio::spawn(send_waiting(Arc::clone(&socket), queue))];
        Ok(Self { socket, local, waiting, tasks })
    }

    /// The bound address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a datagram without waiting. What doesn't fit into the queue is lost, as the network may lose it.
    pub fn send(&self, remote: SocketAddr, bytes: Bytes) {
        let remote = self.spelled(remote);
        match self.socket.try_send_to(&bytes, remote) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if self.waiting.try_send((remote, bytes)).is_err() {
                    tracing::warn!("UDP send queue is full: datagram dropped");
                }
            }
            Err(error) => tracing::debug!(%error, "UDP send failed"),
        }
    }

    /// As the socket wants it: one for both families takes IPv4 in its mapped form alone.
    fn spelled(&self, remote: SocketAddr) -> SocketAddr {
        match (self.local, remote) {
            (SocketAddr::V6(_), SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            (SocketAddr::V4(_) | SocketAddr::V6(_), _) => remote,
        }
    }
}

impl Drop for UdpPort {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

const SEND_QUEUE: usize = 1024;
/// No UDP payload is larger.
const MAX_DATAGRAM: usize = 65_535;

async fn receive(socket: Arc<UdpSocket>, local: SocketAddr, inbound: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (length, remote) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // An ICMP error of an earlier datagram; must never become a busy loop.
                tracing::debug!(%error, "UDP receive failed");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        match inbound.try_send(Datagram { local, remote: canonical(remote), bytes }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => tracing::debug!("UDP receive queue is full: datagram dropped"),
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

async fn send_waiting(socket: Arc<UdpSocket>, mut queue: mpsc::Receiver<(SocketAddr, Bytes)>) {
    while let Some((remote, bytes)) = queue.recv().await {
        if let Err(error) = socket.send_to(&bytes, remote).await {
            tracing::debug!(%error, "UDP send failed");
        }
    }
}
