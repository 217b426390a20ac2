//! Where bytes come from and go to.

use std::fmt;
use std::net::SocketAddr;

/// A transport protocol of SIP (RFC 3261 18, RFC 7118).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; the only transport over which this crate retransmits.
    Udp,
    /// A plain stream.
    Tcp,
    /// An encrypted stream.
    Tls,
    /// A WebSocket: one message of SIP per message of the socket.
    Ws,
    /// An encrypted WebSocket.
    Wss,
}

impl Transport {
    /// Whether lost bytes are the transport's concern and not ours.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// Whether messages have to be cut out of a stream by their Content-Length.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether this is a WebSocket, encrypted or not.
    #[must_use]
    pub fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The name in a Via header.
    #[must_use]
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter (RFC 7118 5.2: `ws` for both kinds of WebSocket).
    #[must_use]
    pub fn uri_name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// The port that stands for "no port" in a Via header (RFC 3261 18.2.2, RFC 7118 5.4).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_name())
    }
}

/// A stream or WebSocket connection. The caller chooses the number and never uses it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A way to a peer: requests of a session and responses stay on it.
///
/// `local` should be the address under which the peer reaches us; it is written into Via and into
/// Contacts made here. When it is unspecified (`0.0.0.0`), a name under `.invalid` is written instead
/// (RFC 7118 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// The connection, on every transport but UDP.
    pub connection: Option<ConnectionId>,
}

impl Flow {
    /// A flow of datagrams.
    #[must_use]
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { transport: Transport::Udp, local, remote, connection: None }
    }
}
