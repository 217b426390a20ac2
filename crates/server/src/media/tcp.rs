//! WebRTC over TCP, for devices whose network lets no UDP through: ICE-TCP (RFC 6544), we being the passive side, each packet
//! with its length before it (RFC 4571).

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::timeout,
};

use super::{state::State, webrtc::Source};

/// Larger packets are none of ours, as with UDP.
const LARGEST: usize = 2048;
/// So many packets may wait for the other end to take them; more would come too late.
const WAITING: usize = 64;
/// Connections of one worker, those of strangers among them.
const MOST: usize = 1024;
/// Who connects says at once for whom.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// ICE looks after its connection every few seconds (RFC 7675): who is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// The open connections of a worker.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Rc<RefCell<BTreeMap<SocketAddr, mpsc::Sender<Bytes>>>>);

impl Streams {
    /// Sends, or drops the packet if there is no such connection or it is behind.
    pub(super) fn send(&self, to: SocketAddr, packet: &[u8]) {
        let Ok(length) = u16::try_from(packet.len()) else { return };
        let mut framed = BytesMut::with_capacity(packet.len() + 2);
        framed.put_u16(length);
        framed.put_slice(packet);
        if let Some(stream) = self.0.borrow().get(&to) {
            let _late = stream.try_send(framed.freeze());
        }
    }

    fn add(&self, from: SocketAddr) -> Option<mpsc::Receiver<Bytes>> {
        let mut all = self.0.borrow_mut();
        if all.len() >= MOST {
            return None;
        }
        let (sender, waiting) = mpsc::channel(WAITING);
        all.insert(from, sender);
        Some(waiting)
    }

    fn remove(&self, from: SocketAddr) {
        self.0.borrow_mut().remove(&from);
    }
}

/// A socket that takes connections for this very family of addresses.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of the server's last life don't keep its port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes connections, for ever.
pub(super) async fn accept(state: Rc<RefCell<State>>, listener: Rc<TcpListener>, streams: Streams) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match streams.add(from) {
                Some(waiting) => {
                    let (state, streams) = (Rc::clone(&state), streams.clone());
                    tokio::task::spawn_local(async move {
                        serve(&state, stream, from, waiting).await;
                        streams.remove(from);
                        state.borrow_mut().demultiplexer.forget(Source::tcp(from));
                    });
                }
                None => tracing::warn!("too many connections for WebRTC over TCP: one is refused"),
            },
            Err(error) => {
                // Out of descriptors, most likely: others close some of theirs meanwhile.
                tracing::warn!(%error, "a connection for WebRTC over TCP was not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Ends when either way ends.
async fn serve(state: &Rc<RefCell<State>>, stream: TcpStream, from: SocketAddr, waiting: mpsc::Receiver<Bytes>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "packets over TCP may be held back");
    }
    let (reading, writing) = stream.into_split();
    tokio::select! {
        () = read(state, reading, from) => {}
        () = write(writing, waiting) => {}
    }
}

async fn write(mut stream: OwnedWriteHalf, mut waiting: mpsc::Receiver<Bytes>) {
    while let Some(framed) = waiting.recv().await {
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

/// Hands packets on for as long as they are of a call.
async fn read(state: &Rc<RefCell<State>>, mut stream: OwnedReadHalf, from: SocketAddr) {
    let mut patience = FIRST_WORD;
    loop {
        let Ok(Ok(packet)) = timeout(patience, frame(&mut stream)).await else { return };
        if !state.borrow_mut().handle_webrtc_datagram(Source::tcp(from), &packet, Instant::now()) {
            tracing::debug!("a connection for WebRTC over TCP is of no call");
            return;
        }
        patience = SILENCE;
    }
}

/// RFC 4571 section 2.
async fn frame(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_have_their_length_before_them() {
        let mut bytes: &[u8] = &[0, 3, 1, 2, 3, 0, 0, 0, 1, 9];
        assert_eq!(frame(&mut bytes).await.unwrap(), [1, 2, 3]);
        assert!(frame(&mut bytes).await.unwrap().is_empty());
        assert_eq!(frame(&mut bytes).await.unwrap(), [9]);
        assert!(frame(&mut bytes).await.is_err(), "the end");
        let mut giant: &[u8] = &[0xff, 0xff, 1, 2];
        assert_eq!(frame(&mut giant).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut cut: &[u8] = &[0, 9, 1];
        assert_eq!(frame(&mut cut).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_connection_that_is_behind_loses_packets_and_nothing_else() {
        let streams = Streams::default();
        let from = SocketAddr::from(([192, 0, 2, 1], 4000));
        let mut waiting = streams.add(from).unwrap();
        for number in 0..WAITING + 10 {
            streams.send(from, &[u8::try_from(number).unwrap()]);
        }
        let taken: Vec<Bytes> = std::iter::from_fn(|| waiting.try_recv().ok()).collect();
        assert_eq!((taken.len(), &taken[1][..]), (WAITING, &[0, 1, 1][..]));
        streams.remove(from);
        streams.send(from, &[1]);
        assert!(waiting.try_recv().is_err());
    }

    #[test]
    fn connections_are_counted() {
        let streams = Streams::default();
        let kept: Vec<_> = (0..MOST).map(|n| streams.add(([192, 0, 2, 1], u16::try_from(n + 1).unwrap()).into())).collect();
        assert!(kept.iter().all(Option::is_some));
        assert!(streams.add(([192, 0, 2, 2], 1).into()).is_none());
        streams.remove(([192, 0, 2, 1], 1).into());
        assert!(streams.add(([192, 0, 2, 2], 1).into()).is_some());
    }
}
