//! Requests that are too large for a datagram go over TCP instead (RFC 3261 section 18.1.1).
//!
//! ```text
//!            too large            open
//!  nothing -----------> dialling ------> open: sent there --(closed)--> nothing
//!                          | refused
//!                          v
//!                       refused: sent as a datagram after all, for ten minutes
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftertone_sip::ConnectionId;
use bytes::Bytes;

/// What a datagram may hold where nothing is known of the path, in bytes.
const LIMIT: usize = 1300;
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// Requests that wait for one connection.
const MOST_WAITING: usize = 16;
/// Peers that are remembered.
const MOST_PEERS: usize = 4096;
/// Tokens of connections that are opened for this; others have smaller ones.
const TOKENS: u64 = 1 << 63;

#[derive(Debug, Default)]
pub(crate) struct Oversize {
    peers: BTreeMap<SocketAddr, Peer>,
    tokens: BTreeMap<u64, SocketAddr>,
    last: u64,
}

#[derive(Debug)]
enum Peer {
    Dialling(Vec<Bytes>),
    /// With the requests that went over it: over TCP none is repeated.
    Open(ConnectionId, BTreeSet<Bytes>),
    Refused(Instant),
}

/// How a message goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum How {
    Datagram(Bytes),
    Over(ConnectionId, Bytes),
    /// Open a connection, told with this token; it waits until then.
    Dial(u64),
    /// It waits, or went already.
    Nothing,
}

impl Oversize {
    /// Whether a connection is opened for this.
    pub(crate) fn dialled(token: u64) -> bool {
        token & TOKENS != 0
    }

    /// What is to be done with a message that is meant for a datagram to `remote`.
    pub(crate) fn route(&mut self, remote: SocketAddr, bytes: Bytes, now: Instant) -> How {
        if bytes.len() <= LIMIT || bytes.starts_with(b"SIP/2.0 ") {
            return How::Datagram(bytes);
        }
        let over_tcp = over_tcp(&bytes);
        match self.peers.get_mut(&remote) {
            Some(Peer::Refused(until)) if now < *until => How::Datagram(bytes),
            Some(Peer::Open(connection, sent)) => {
                if sent.insert(over_tcp.clone()) {
                    How::Over(*connection, over_tcp)
                } else {
                    How::Nothing
                }
            }
            Some(Peer::Dialling(waiting)) => {
                if waiting.len() < MOST_WAITING && !waiting.contains(&bytes) {
                    waiting.push(bytes);
                }
                How::Nothing
            }
            Some(Peer::Refused(_)) | None => {
                if self.peers.len() >= MOST_PEERS {
                    self.peers.retain(|_, peer| !matches!(peer, Peer::Refused(_)));
                }
                self.last += 1;
                let token = TOKENS | self.last;
                self.tokens.insert(token, remote);
                self.peers.insert(remote, Peer::Dialling(vec![bytes]));
                How::Dial(token)
            }
        }
    }

    /// A connection is open: what waited for it, to be sent there.
    pub(crate) fn opened(&mut self, token: u64, connection: ConnectionId) -> Vec<Bytes> {
        let Some(remote) = self.tokens.remove(&token) else { return Vec::new() };
        let waited = match self.peers.remove(&remote) {
            Some(Peer::Dialling(waiting)) => waiting.iter().map(over_tcp).collect(),
            Some(Peer::Open(..) | Peer::Refused(_)) | None => Vec::new(),
        };
        self.peers.insert(remote, Peer::Open(connection, waited.iter().cloned().collect()));
        waited
    }

    /// No connection: what waited for it goes as datagrams to the returned address.
    pub(crate) fn failed(&mut self, token: u64, now: Instant) -> Option<(SocketAddr, Vec<Bytes>)> {
        let remote = self.tokens.remove(&token)?;
        match self.peers.insert(remote, Peer::Refused(now + REFUSED_FOR)) {
            Some(Peer::Dialling(waiting)) => Some((remote, waiting)),
            Some(Peer::Open(..) | Peer::Refused(_)) | None => None,
        }
    }

    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.peers.retain(|_, peer| !matches!(peer, Peer::Open(open, _) if *open == connection));
    }
}

/// The same with TCP in its topmost Via.
fn over_tcp(bytes: &Bytes) -> Bytes {
    const UDP: &[u8] = b"SIP/2.0/UDP";
    match bytes.windows(UDP.len()).position(|window| window == UDP) {
        Some(at) => [&bytes[..at], b"SIP/2.0/TCP", &bytes[at + UDP.len()..]].concat().into(),
        None => bytes.clone(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const CONNECTION: ConnectionId = ConnectionId(7);

    fn remote() -> SocketAddr {
        "192.0.2.1:5060".parse().unwrap()
    }

    fn request(branch: &str, padding: usize) -> Bytes {
        let padding = "x".repeat(padding);
        format!("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch={branch}\r\nSubject: {padding}\r\n\r\n").into()
    }

    #[test]
    fn large_requests_wait_for_a_connection_and_are_sent_once() {
        let (mut oversize, now) = (Oversize::default(), Instant::now());
        let (small, large) = (request("1", 100), request("2", 1300));
        assert_eq!(oversize.route(remote(), small.clone(), now), How::Datagram(small));
        let How::Dial(token) = oversize.route(remote(), large.clone(), now) else { panic!() };
        assert_eq!(oversize.route(remote(), large.clone(), now), How::Nothing, "a repetition");
        let sent = oversize.opened(token, CONNECTION);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].starts_with(b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;"));
        assert_eq!(oversize.route(remote(), large.clone(), now), How::Nothing, "TCP repeats nothing");
        assert!(matches!(oversize.route(remote(), request("3", 1300), now), How::Over(CONNECTION, _)));
        oversize.closed(CONNECTION);
        assert!(matches!(oversize.route(remote(), large, now), How::Dial(_)));
    }

    #[test]
    fn who_takes_no_tcp_gets_datagrams_after_all() {
        let (mut oversize, now) = (Oversize::default(), Instant::now());
        let large = request("2", 1300);
        let How::Dial(token) = oversize.route(remote(), large.clone(), now) else { panic!() };
        assert_eq!(oversize.failed(token, now), Some((remote(), vec![large.clone()])));
        assert_eq!(oversize.route(remote(), large.clone(), now), How::Datagram(large.clone()));
        assert!(matches!(oversize.route(remote(), large, now + REFUSED_FOR), How::Dial(_)), "asked again later");
    }

    #[test]
    fn responses_go_where_the_request_came_from() {
        let response = Bytes::from(format!("SIP/2.0 200 OK\r\nSubject: {}\r\n\r\n", "x".repeat(2000)));
        assert_eq!(Oversize::default().route(remote(), response.clone(), Instant::now()), How::Datagram(response));
    }
}
