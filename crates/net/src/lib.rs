//! Transports: UDP, TCP, TLS and WebSocket. Bytes only.
//!
//! It owns sockets, connection numbers, bounded queues, idle timeouts and size limits. It knows nothing of SIP, HTTP
//! resources or media, and imports nothing of ours: `client` and `server` give the bytes their meaning.

#![warn(missing_docs)]

mod number;
mod tcp;
pub mod tls;
mod udp;
mod websocket;

pub use number::{ConnectionNumber, ConnectionNumbers};
pub use tcp::{StreamEvent, StreamSender, TcpConfig, TcpPort};
pub use tls::{Fingerprint, InvalidFingerprint, TlsError, Trust};
pub use udp::{Datagram, UdpPort};
pub use websocket::{
    CloseReason, ConnectError, ConnectOptions, Frame, SendError, WebSocket, WebSocketReceiver, WebSocketSender, connect,
};
