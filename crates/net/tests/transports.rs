//! The transports against real sockets on the loopback interface.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use aftertone_net::{
    CloseReason, ConnectError, ConnectOptions, ConnectionNumbers, Datagram, Fingerprint, Frame, StreamConfig, StreamEvent,
    StreamPort, Trust, UdpPort, connect,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

const LOOPBACK: &str = "127.0.0.1:0";

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.expect("within five seconds")
}

#[tokio::test]
async fn udp_goes_both_ways() {
    let (inbound, mut received) = mpsc::channel(8);
    let port = UdpPort::bind(LOOPBACK.parse().unwrap(), inbound).await.unwrap();
    let peer = UdpSocket::bind(LOOPBACK).await.unwrap();
    peer.send_to(b"there", port.local_addr()).await.unwrap();
    let Datagram { local, remote, bytes } = soon(received.recv()).await.unwrap();
    assert_eq!((local, remote, &bytes[..]), (port.local_addr(), peer.local_addr().unwrap(), &b"there"[..]));
    port.send(remote, Bytes::from_static(b"and back"));
    let mut buffer = [0; 16];
    let (length, _) = soon(peer.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..length], b"and back");
}

async fn tcp(config: StreamConfig) -> (StreamPort, mpsc::Receiver<StreamEvent>) {
    let (events, received) = mpsc::channel(64);
    let port = StreamPort::listen(LOOPBACK.parse().unwrap(), None, config, ConnectionNumbers::default(), events).await.unwrap();
    (port, received)
}

#[tokio::test]
async fn tcp_opens_carries_and_closes() {
    let (port, mut events) = tcp(StreamConfig::default()).await;
    let mut peer = TcpStream::connect(port.local_addr()).await.unwrap();
    let StreamEvent::Opened { connection, local, remote, sender, .. } = soon(events.recv()).await.unwrap() else { panic!() };
    assert_eq!((local, remote), (port.local_addr(), peer.local_addr().unwrap()));
    peer.write_all(b"there").await.unwrap();
    let StreamEvent::Received { connection: of, bytes } = soon(events.recv()).await.unwrap() else { panic!() };
    assert_eq!((of, &bytes[..]), (connection, &b"there"[..]));
    assert!(sender.try_send(Bytes::from_static(b"and back")));
    let mut buffer = [0; 8];
    soon(peer.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"and back");
    drop(peer);
    assert!(matches!(soon(events.recv()).await.unwrap(), StreamEvent::Closed { connection: of } if of == connection));
}

#[tokio::test]
async fn dropping_the_sender_closes_after_what_is_queued() {
    let (port, mut events) = tcp(StreamConfig::default()).await;
    let mut peer = TcpStream::connect(port.local_addr()).await.unwrap();
    let StreamEvent::Opened { sender, .. } = soon(events.recv()).await.unwrap() else { panic!() };
    assert!(sender.try_send(Bytes::from_static(b"last words")));
    drop(sender);
    let mut all = Vec::new();
    soon(peer.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all, b"last words");
}

#[tokio::test]
async fn an_idle_connection_and_one_too_many_are_closed() {
    let config = StreamConfig { idle: Duration::from_millis(50), max_connections: 1, ..StreamConfig::default() };
    let (port, mut events) = tcp(config).await;
    let mut first = TcpStream::connect(port.local_addr()).await.unwrap();
    let StreamEvent::Opened { sender: _kept, .. } = soon(events.recv()).await.unwrap() else { panic!() };
    let mut second = TcpStream::connect(port.local_addr()).await.unwrap();
    assert_eq!(soon(second.read(&mut [0])).await.unwrap_or(0), 0, "one too many");
    assert_eq!(soon(first.read(&mut [0])).await.unwrap(), 0, "idle");
    assert!(matches!(soon(events.recv()).await.unwrap(), StreamEvent::Closed { .. }));
}

/// A server that greets, echoes until "bye" comes, and then closes with 4000.
async fn echo(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        match tls {
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            }
            None => serve(stream).await,
        }
    });
    address
}

async fn serve<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(stream: S) {
    use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
    let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
    stream.send(Message::text("hello")).await.unwrap();
    while let Some(Ok(message)) = stream.next().await {
        if message == Message::text("bye") {
            let frame = CloseFrame { code: CloseCode::from(4000), reason: "as you say".into() };
            let _ = stream.close(Some(frame)).await;
        } else if message.is_binary() || message.is_text() {
            stream.send(message).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_websocket_carries_frames_and_says_why_it_closed() {
    let address = echo(None).await;
    let mut socket =
        connect(&format!("ws://{address}/x"), &[("authorization", "Bearer t")], &ConnectOptions::default()).await.unwrap();
    assert_eq!((socket.remote, socket.secure), (address, false));
    assert_eq!(soon(socket.receiver.recv()).await, Some(Frame::Text("hello".into())));
    socket.sender.send(Frame::Binary(Bytes::from_static(&[0, 255]))).await.unwrap();
    assert_eq!(soon(socket.receiver.recv()).await, Some(Frame::Binary(Bytes::from_static(&[0, 255]))));
    socket.sender.send(Frame::Text("bye".into())).await.unwrap();
    assert_eq!(soon(socket.receiver.recv()).await, None);
    let expect = CloseReason::Remote { code: 4000, reason: "as you say".into() };
    assert_eq!(socket.receiver.close_reason(), Some(&expect));
    assert!(socket.sender.send(Frame::Text("late".into())).await.is_err());
}

#[tokio::test]
async fn closing_here_is_a_local_close() {
    let address = echo(None).await;
    let mut socket = connect(&format!("ws://{address}/"), &[], &ConnectOptions::default()).await.unwrap();
    socket.sender.close().await;
    while soon(socket.receiver.recv()).await.is_some() {}
    assert_eq!(socket.receiver.close_reason(), Some(&CloseReason::Local));
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Never read from again: no pongs.
        let _stream = tokio_tungstenite::accept_async(stream).await.unwrap();
        std::future::pending::<()>().await;
    });
    let options = ConnectOptions {
        keepalive: Duration::from_millis(20),
        idle_timeout: Duration::from_millis(60),
        ..ConnectOptions::default()
    };
    let mut socket = connect(&format!("ws://{address}/"), &[], &options).await.unwrap();
    assert_eq!(soon(socket.receiver.recv()).await, None);
    assert_eq!(socket.receiver.close_reason(), Some(&CloseReason::TimedOut));
}

fn certificate() -> (TlsAcceptor, Fingerprint) {
    let made = rcgen::generate_simple_self_signed(["somebody.example".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("net-test-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = aftertone_net::ServerKeys::load(&certificate, &key).unwrap().http_config().unwrap();
    let fingerprint = Fingerprint::of_pem_file(&certificate).unwrap();
    assert_eq!(fingerprint, Fingerprint::of(made.cert.der()));
    std::fs::remove_dir_all(folder).unwrap();
    (TlsAcceptor::from(Arc::new(config)), fingerprint)
}

#[tokio::test]
async fn a_pinned_certificate_is_trusted_and_no_other() {
    let (acceptor, fingerprint) = certificate();
    let address = echo(Some(acceptor.clone())).await;
    let pinned = |fingerprint| ConnectOptions { trust: Trust::Pinned(fingerprint), ..ConnectOptions::default() };
    let mut socket = connect(&format!("wss://{address}/"), &[], &pinned(fingerprint)).await.unwrap();
    assert!(socket.secure);
    assert_eq!(soon(socket.receiver.recv()).await, Some(Frame::Text("hello".into())));

    let address = echo(Some(acceptor.clone())).await;
    let other = connect(&format!("wss://{address}/"), &[], &pinned(Fingerprint::of(b"another"))).await;
    assert!(matches!(other, Err(ConnectError::Tls(_))), "{other:?}");

    let address = echo(Some(acceptor)).await;
    let platform = connect(&format!("wss://{address}/"), &[], &ConnectOptions::default()).await;
    assert!(matches!(platform, Err(ConnectError::Tls(_) | ConnectError::TlsSetup(_))), "{platform:?}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 2048];
        let _ = stream.read(&mut buffer).await.unwrap();
        let answer = b"HTTP/1.1 401 Unauthorized\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let options = ConnectOptions::default();
    let refused = connect(&format!("ws://{address}/"), &[], &options).await;
    assert!(matches!(refused, Err(ConnectError::Refused { status: 401, retry_after: Some(7) })), "{refused:?}");

    let closed = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let nobody = connect(&format!("ws://{closed}/"), &[], &options).await;
    assert!(matches!(nobody, Err(ConnectError::Unreachable(_))), "{nobody:?}");
    let plain = connect("ws://192.0.2.1/", &[], &options).await;
    assert!(matches!(plain, Err(ConnectError::Unencrypted)), "{plain:?}");
    let other = connect("https://127.0.0.1/", &[], &options).await;
    assert!(matches!(other, Err(ConnectError::Invalid(_))), "{other:?}");
}

#[test]
fn fingerprints_are_read_with_and_without_colons() {
    let fingerprint = Fingerprint::of(b"x");
    let text = fingerprint.to_string();
    let pairs: Vec<_> = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap().to_uppercase()).collect();
    assert_eq!(text.parse(), Ok(fingerprint));
    assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
    assert!(text[1..].parse::<Fingerprint>().is_err());
    assert!(text.replace(['a', '0'], "g").parse::<Fingerprint>().is_err());
}
