use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Request, Uri, header};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, interval, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        handshake::client::generate_key,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{Trust, tls};

/// A message; control frames are dealt with inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// UTF-8.
    Text(String),
    /// Anything.
    Binary(Bytes),
}

impl Frame {
    /// The payload, whichever kind it is.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// How to connect, and the limits of the connection.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Which certificates are accepted for `wss`.
    pub trust: Trust,
    /// The subprotocol to ask for (RFC 6455 section 1.9); the server must agree to it.
    pub protocol: Option<String>,
    /// From the look-up of the name to the end of the handshake.
    pub connect_timeout: Duration,
    /// A ping is sent that often.
    pub keepalive: Duration,
    /// A connection that brings nothing, not even pongs, for so long is lost.
    pub idle_timeout: Duration,
    /// A peer that takes nothing for so long while we write is cut off.
    pub write_timeout: Duration,
    /// Larger messages end the connection.
    pub max_message: usize,
    /// Messages that may wait in each direction.
    pub queue: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            trust: Trust::Platform,
            protocol: None,
            connect_timeout: Duration::from_secs(10),
            keepalive: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(45),
            write_timeout: Duration::from_secs(10),
            max_message: 256 * 1024,
            queue: 256,
        }
    }
}

/// Why no connection came to be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a `ws` or `wss` URL with a host, or a header that can't be sent.
    #[error("not a WebSocket address or header: {0}")]
    Invalid(String),
    /// `ws` to another machine.
    #[error("without encryption only this machine itself may be connected to")]
    Unencrypted,
    /// The name is unknown or nobody listens.
    #[error("can't reach the server")]
    Unreachable(#[source] io::Error),
    /// The certificate isn't trusted, or TLS broke.
    #[error("no secure connection")]
    Tls(#[source] io::Error),
    /// TLS can't be set up on this machine.
    #[error(transparent)]
    TlsSetup(#[from] tls::TlsError),
    /// The server answered with an HTTP status instead of a WebSocket; 401 means that the token isn't valid (any more).
    #[error("the server refused with status {status}")]
    Refused {
        /// The status.
        status: u16,
        /// `Retry-After` in seconds, if it was given as a number.
        retry_after: Option<u64>,
    },
    /// The server speaks something else, or not the asked subprotocol.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(String),
    /// It took too long.
    #[error("the server doesn't answer in time")]
    TimedOut,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// Our side closed it: `close()`, or every sender or the receiver was dropped.
    Local,
    /// The other side closed it.
    Remote {
        /// RFC 6455 section 7.4; 1005 if none was given.
        code: u16,
        /// For people; may be empty.
        reason: String,
    },
    /// Nothing came for too long, or the other side takes nothing.
    TimedOut,
    /// The connection broke.
    Lost(String),
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The queue is full.
    #[error("the connection's queue is full")]
    Full,
}

/// An open connection.
#[derive(Debug)]
pub struct WebSocket {
    /// To send.
    pub sender: WebSocketSender,
    /// What comes.
    pub receiver: WebSocketReceiver,
    /// Our end.
    pub local: SocketAddr,
    /// The server's end.
    pub remote: SocketAddr,
    /// Over TLS.
    pub secure: bool,
}

/// Sends messages. Dropping all clones closes the connection once everything is sent.
#[derive(Debug, Clone)]
pub struct WebSocketSender(mpsc::Sender<Order>);

impl WebSocketSender {
    /// Queues a message; waits while the queue is full.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub async fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.0.send(Order::Send(frame)).await.map_err(|_| SendError::Closed)
    }

    /// Queues a message without waiting.
    ///
    /// # Errors
    /// Where the connection is closed or the queue is full.
    pub fn try_send(&self, frame: Frame) -> Result<(), SendError> {
        self.0.try_send(Order::Send(frame)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }

    /// Closes the connection after what is queued; harmless if it is closed already.
    pub async fn close(&self) {
        let _ = self.0.send(Order::Close).await;
    }
}

/// Receives messages.
#[derive(Debug)]
pub struct WebSocketReceiver {
    frames: mpsc::Receiver<Frame>,
    reason: Arc<OnceLock<CloseReason>>,
}

impl WebSocketReceiver {
    /// The next message; `None` when the connection is closed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// Why it closed; known once `recv` gave `None`.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.reason.get()
    }
}

/// Connects to `url` (`wss://…`, or `ws://` to this machine itself) with these headers, such as `Authorization`.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str, headers: &[(&str, &str)], options: &ConnectOptions) -> Result<WebSocket, ConnectError> {
    let target = Target::parse(url)?;
    let request = request(&target, headers, options)?;
    timeout(options.connect_timeout, open(target, request, options)).await.map_err(|_| ConnectError::TimedOut)?
}

#[derive(Debug)]
enum Order {
    Send(Frame),
    Close,
}

struct Target {
    uri: Uri,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    secure: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let invalid = || ConnectError::Invalid("expected ws://HOST/PATH or wss://HOST/PATH".into());
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(invalid()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { uri, host, port, secure })
    }
}

fn request(target: &Target, headers: &[(&str, &str)], options: &ConnectOptions) -> Result<Request<()>, ConnectError> {
    let authority = target.uri.authority().map_or(target.host.as_str(), http::uri::Authority::as_str);
    // Never let credentials of the URL's user part go out in a header.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut request = Request::builder()
        .uri(target.uri.clone())
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    if let Some(protocol) = &options.protocol {
        request = request.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| ConnectError::Invalid(format!("header name {name:?}")))?;
        let mut value: HeaderValue = value.parse().map_err(|_| ConnectError::Invalid(format!("value of header {name}")))?;
        value.set_sensitive(name == header::AUTHORIZATION);
        request = request.header(name, value);
    }
    request.body(()).map_err(|e| ConnectError::Invalid(e.to_string()))
}

async fn open(target: Target, request: Request<()>, options: &ConnectOptions) -> Result<WebSocket, ConnectError> {
    let stream = reach(&target).await?;
    let addresses = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
    let (local, remote) = addresses.map_err(ConnectError::Unreachable)?;
    stream.set_nodelay(true).map_err(ConnectError::Unreachable)?;
    let (sender, receiver) = if target.secure {
        let connector = TlsConnector::from(Arc::new(tls::client_config(&options.trust)?));
        let name = ServerName::try_from(target.host).map_err(|e| ConnectError::Invalid(e.to_string()))?;
        let stream = connector.connect(name, stream).await.map_err(ConnectError::Tls)?;
        upgrade(stream, request, options).await?
    } else {
        upgrade(stream, request, options).await?
    };
    Ok(WebSocket { sender, receiver, local, remote, secure: target.secure })
}

/// Tries the addresses of the name in turn.
async fn reach(target: &Target) -> Result<TcpStream, ConnectError> {
    let addresses = tokio::net::lookup_host((target.host.as_str(), target.port)).await.map_err(ConnectError::Unreachable)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        if !target.secure && !address.ip().to_canonical().is_loopback() {
            return Err(ConnectError::Unencrypted);
        }
        match timeout(Duration::from_secs(4), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = e,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(ConnectError::Unreachable(last))
}

async fn upgrade<S>(
    stream: S,
    request: Request<()>,
    options: &ConnectOptions,
) -> Result<(WebSocketSender, WebSocketReceiver), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = WebSocketConfig::default().max_message_size(Some(options.max_message)).max_frame_size(Some(options.max_message));
    let (stream, response) = client_async_with_config(request, stream, Some(config)).await.map_err(refusal)?;
    let agreed = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    if options.protocol.is_some() && agreed != options.protocol.as_deref() {
        return Err(ConnectError::Handshake("the server doesn't speak the subprotocol".into()));
    }
    let (orders, waiting) = mpsc::channel(options.queue);
    let (inbound, frames) = mpsc::channel(options.queue);
    let reason = Arc::new(OnceLock::new());
    let (kept, options) = (Arc::clone(&reason), options.clone());
    tokio::spawn(async move {
        let ended = run(stream, waiting, &inbound, &options).await;
        // Set before `inbound` is dropped, so that whoever sees the end sees the reason.
        let _ = kept.set(ended);
    });
    Ok((WebSocketSender(orders), WebSocketReceiver { frames, reason }))
}

fn refusal(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Http(response) => ConnectError::Refused {
            status: response.status().as_u16(),
            retry_after: response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()),
        },
        tungstenite::Error::Io(e) => ConnectError::Unreachable(e),
        other @ (tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Tls(_)
        | tungstenite::Error::Capacity(_)
        | tungstenite::Error::Protocol(_)
        | tungstenite::Error::WriteBufferFull(_)
        | tungstenite::Error::Utf8(_)
        | tungstenite::Error::AttackAttempt
        | tungstenite::Error::Url(_)
        | tungstenite::Error::HttpFormat(_)) => ConnectError::Handshake(other.to_string()),
    }
}

async fn run<S>(
    mut stream: WebSocketStream<S>,
    mut orders: mpsc::Receiver<Order>,
    inbound: &mpsc::Sender<Frame>,
    options: &ConnectOptions,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut keepalive = interval(options.keepalive.max(Duration::from_millis(10)));
    keepalive.reset();
    let mut heard = Instant::now();
    // Room for the next message is had before it is read: a slow receiver slows the sender down.
    let mut room = None;
    loop {
        let outgoing = tokio::select! {
            permit = inbound.reserve(), if room.is_none() => match permit {
                Ok(permit) => { room = Some(permit); continue }
                Err(_) => return close(stream, options.write_timeout).await,
            },
            message = stream.next(), if room.is_some() => {
                heard = Instant::now();
                match received(message) {
                    Ok(Some(frame)) => { if let Some(room) = room.take() { room.send(frame) } continue }
                    Ok(None) => continue,
                    Err(reason) => {
                        // Lets the answering close frame out.
                        let _ = timeout(Duration::from_secs(1), async { while let Some(Ok(_)) = stream.next().await {} }).await;
                        return reason;
                    }
                }
            }
            order = orders.recv() => match order {
                Some(Order::Send(Frame::Text(text))) => Message::text(text),
                Some(Order::Send(Frame::Binary(bytes))) => Message::binary(bytes),
                Some(Order::Close) | None => return close(stream, options.write_timeout).await,
            },
            _ = keepalive.tick() => {
                if room.is_some() && heard.elapsed() > options.idle_timeout { return CloseReason::TimedOut }
                if inbound.is_closed() { return close(stream, options.write_timeout).await }
                Message::Ping(Bytes::new())
            }
        };
        match timeout(options.write_timeout, stream.send(outgoing)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return CloseReason::Lost(e.to_string()),
            Err(_) => return CloseReason::TimedOut,
        }
    }
}

/// `Ok(None)` for control frames, which the library answers.
fn received(message: Option<Result<Message, tungstenite::Error>>) -> Result<Option<Frame>, CloseReason> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(Frame::Text(text.as_str().to_owned()))),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(Frame::Binary(bytes))),
        Some(Ok(Message::Close(frame))) => Err(match frame {
            Some(frame) => CloseReason::Remote { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
            None => CloseReason::Remote { code: CloseCode::Status.into(), reason: String::new() },
        }),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Err(e)) => Err(CloseReason::Lost(e.to_string())),
        None => Err(CloseReason::Lost("the connection ended without a close frame".into())),
    }
}

async fn close<S>(mut stream: WebSocketStream<S>, limit: Duration) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // Whatever happens now, it is closed.
    let _ = timeout(limit, async {
        stream.close(Some(frame)).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, tungstenite::Error>(())
    })
    .await;
    CloseReason::Local
}
