//! Transports: UDP, TCP, TLS and WebSocket; where a name leads (RFC 3263); what STUN and the machine say of addresses. Bytes only,
//! and what of them may be logged.
//!
//! It owns sockets, connection numbers, bounded queues, idle timeouts and size limits. It knows nothing of SIP, HTTP
//! resources or media, and imports nothing of ours: `client` and `server` give the bytes their meaning.

#![warn(missing_docs)]

mod log;
mod number;
mod places;
mod resolve;
mod stream;
pub mod stun;
pub mod tls;
mod udp;
mod watch;
mod websocket;

pub use log::log_to_stderr;
pub use number::{ConnectionNumber, ConnectionNumbers};
pub use places::{Place, Places};
pub use resolve::{Protocol, Question, Resolver, Target};
pub use rustls::pki_types::ServerName;
pub use stream::{Dial, StreamConfig, StreamEvent, StreamPort, StreamSender, dial};
pub use tls::{Fingerprint, InvalidFingerprint, ServerKeys, TlsError, Trust};
pub use udp::{Datagram, UdpPort};
pub use watch::{Change, NetworkWatch, route_to};
pub use websocket::{
    CloseReason, ConnectError, ConnectOptions, Frame, SendError, WebSocket, WebSocketReceiver, WebSocketSender, connect,
};
