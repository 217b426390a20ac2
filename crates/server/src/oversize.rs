//! Requests that are too large for a datagram go over TCP instead (RFC 3261 section 18.1.1), and what follows in the same
//! transaction, its CANCEL and ACK, goes the same way.
//!
//! ```text
//!            too large            open
//!  nothing -----------> dialling ------> open: sent there --(closed)--> nothing
//!                        |    | refused
//!   a second has passed  |    v
//!   what waits goes as   |  refused: sent as a datagram after all, for ten minutes
//!   datagrams            v
//!                       late: sent as a datagram, until it is open or refused
//! ```

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftertone_sip::ConnectionId;
use bytes::Bytes;

/// What a datagram may hold where nothing is known of the path, in bytes.
const LIMIT: usize = 1300;
/// A peer that drops connections silently shall not hold up a call: most paths take fragments.
const PATIENCE: Duration = Duration::from_secs(1);
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// No transaction lasts longer without an answer (RFC 3261 section 17.1.1.2, 64*T1).
const REMEMBERED: Duration = Duration::from_secs(32);
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
    /// Transactions that began as datagrams although they were too large: they go on so.
    as_datagrams: Recent,
    last: u64,
}

#[derive(Debug)]
enum Peer {
    Dialling { since: Instant, waiting: Vec<Bytes> },
    Late,
    Open { connection: ConnectionId, transactions: Recent, sent: Recent },
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
        if bytes.starts_with(b"SIP/2.0 ") {
            return How::Datagram(bytes);
        }
        let (transaction, is_large) = (transaction_of(&bytes), bytes.len() > LIMIT);
        if self.as_datagrams.contains(transaction, now) {
            return How::Datagram(bytes);
        }
        match self.peers.get_mut(&remote) {
            Some(Peer::Open { connection, transactions, sent }) if is_large || transactions.contains(transaction, now) => {
                transactions.add(transaction, now);
                // Over TCP none is repeated.
                if sent.add(request_of(&bytes), now) { How::Over(*connection, over_tcp(&bytes)) } else { How::Nothing }
            }
            _ if !is_large => How::Datagram(bytes),
            Some(Peer::Dialling { waiting, .. }) => {
                if waiting.len() < MOST_WAITING && !waiting.contains(&bytes) {
                    waiting.push(bytes);
                }
                How::Nothing
            }
            Some(Peer::Refused(until)) if *until <= now => self.dial(remote, bytes, now),
            None => self.dial(remote, bytes, now),
            Some(Peer::Late | Peer::Refused(_) | Peer::Open { .. }) => {
                self.as_datagrams.add(transaction, now);
                How::Datagram(bytes)
            }
        }
    }

    fn dial(&mut self, remote: SocketAddr, bytes: Bytes, now: Instant) -> How {
        if self.peers.len() >= MOST_PEERS {
            self.peers.retain(|_, peer| !matches!(peer, Peer::Refused(_)));
        }
        self.last += 1;
        let token = TOKENS | self.last;
        self.tokens.insert(token, remote);
        self.peers.insert(remote, Peer::Dialling { since: now, waiting: vec![bytes] });
        How::Dial(token)
    }

    /// When [`Oversize::overdue`] has something to send.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |peer: &Peer| match peer {
            Peer::Dialling { since, .. } => Some(*since + PATIENCE),
            Peer::Late | Peer::Open { .. } | Peer::Refused(_) => None,
        };
        self.peers.values().filter_map(due).min()
    }

    /// What has waited long enough for its connection: to be sent as datagrams.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(SocketAddr, Bytes)> {
        let mut overdue = Vec::new();
        for (remote, peer) in &mut self.peers {
            let Peer::Dialling { since, waiting } = peer else { continue };
            if *since + PATIENCE <= now {
                overdue.extend(std::mem::take(waiting).into_iter().map(|bytes| (*remote, bytes)));
                *peer = Peer::Late;
            }
        }
        for (_, bytes) in &overdue {
            self.as_datagrams.add(transaction_of(bytes), now);
        }
        overdue
    }

    /// A connection is open: what waited for it, to be sent there.
    pub(crate) fn opened(&mut self, token: u64, connection: ConnectionId, now: Instant) -> Vec<Bytes> {
        let Some(remote) = self.tokens.remove(&token) else { return Vec::new() };
        let waited = match self.peers.remove(&remote) {
            Some(Peer::Dialling { waiting, .. }) => waiting,
            Some(Peer::Late | Peer::Open { .. } | Peer::Refused(_)) | None => Vec::new(),
        };
        let (mut transactions, mut sent) = (Recent::default(), Recent::default());
        for bytes in &waited {
            transactions.add(transaction_of(bytes), now);
            sent.add(request_of(bytes), now);
        }
        self.peers.insert(remote, Peer::Open { connection, transactions, sent });
        waited.iter().map(over_tcp).collect()
    }

    /// No connection: what waited for it goes as datagrams to the returned address.
    pub(crate) fn failed(&mut self, token: u64, now: Instant) -> Option<(SocketAddr, Vec<Bytes>)> {
        let remote = self.tokens.remove(&token)?;
        match self.peers.insert(remote, Peer::Refused(now + REFUSED_FOR)) {
            Some(Peer::Dialling { waiting, .. }) => {
                waiting.iter().for_each(|bytes| {
                    self.as_datagrams.add(transaction_of(bytes), now);
                });
                Some((remote, waiting))
            }
            Some(Peer::Late | Peer::Open { .. } | Peer::Refused(_)) | None => None,
        }
    }

    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.peers.retain(|_, peer| !matches!(peer, Peer::Open { connection: open, .. } if *open == connection));
    }
}

/// Hashes of what was there less than [`REMEMBERED`] ago.
#[derive(Debug, Default)]
struct Recent(BTreeMap<u64, Instant>);

impl Recent {
    /// Whether it is new.
    fn add(&mut self, hash: u64, now: Instant) -> bool {
        let is_new = !self.contains(hash, now);
        if is_new {
            self.0.retain(|_, at| now < *at + REMEMBERED);
            self.0.insert(hash, now);
        }
        is_new
    }

    fn contains(&self, hash: u64, now: Instant) -> bool {
        self.0.get(&hash).is_some_and(|at| now < *at + REMEMBERED)
    }
}

/// A transaction's requests have one branch in their topmost Via (RFC 3261 section 17.1.3). It is ours, so nobody else
/// chooses what is hashed.
fn transaction_of(bytes: &[u8]) -> u64 {
    const BRANCH: &[u8] = b"branch=";
    let branch = bytes.windows(BRANCH.len()).position(|window| window == BRANCH).map(|at| &bytes[at + BRANCH.len()..]);
    let value = branch.and_then(|rest| rest.split(|byte| matches!(byte, b';' | b'\r' | b'\n' | b',' | b' ')).next());
    hash(value.unwrap_or(bytes))
}

/// One request of it.
fn request_of(bytes: &[u8]) -> u64 {
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    hash(&(transaction_of(bytes), method))
}

fn hash<T: Hash + ?Sized>(of: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
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
        message("INVITE", branch, padding)
    }

    fn message(method: &str, branch: &str, padding: usize) -> Bytes {
        let padding = "x".repeat(padding);
        format!("{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch={branch}\r\nSubject: {padding}\r\n\r\n").into()
    }

    #[test]
    fn large_requests_wait_for_a_connection_and_are_sent_once() {
        let (mut oversize, now) = (Oversize::default(), Instant::now());
        let (small, large) = (request("1", 100), request("2", 1300));
        assert_eq!(oversize.route(remote(), small.clone(), now), How::Datagram(small));
        let How::Dial(token) = oversize.route(remote(), large.clone(), now) else { panic!() };
        assert_eq!(oversize.route(remote(), large.clone(), now), How::Nothing, "a repetition");
        let sent = oversize.opened(token, CONNECTION, now);
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
    fn who_drops_tcp_silently_holds_nobody_up() {
        let (mut oversize, now) = (Oversize::default(), Instant::now());
        let (first, second, third) = (request("1", 1300), request("2", 1300), request("3", 1300));
        let How::Dial(token) = oversize.route(remote(), first.clone(), now) else { panic!() };
        let due = oversize.deadline().unwrap();
        assert_eq!(due, now + PATIENCE);
        assert_eq!(oversize.overdue(now), []);
        assert_eq!(oversize.overdue(due), [(remote(), first.clone())]);
        assert_eq!((oversize.deadline(), oversize.overdue(due)), (None, Vec::new()));
        assert_eq!(oversize.route(remote(), second.clone(), due), How::Datagram(second));
        // It opens after all: what began as a datagram goes on so, what begins now goes over it.
        assert_eq!(oversize.opened(token, CONNECTION, due), Vec::<Bytes>::new());
        assert_eq!(oversize.route(remote(), first.clone(), due), How::Datagram(first));
        assert!(matches!(oversize.route(remote(), third, due), How::Over(CONNECTION, _)));
    }

    #[test]
    fn a_transaction_keeps_its_way() {
        let (mut oversize, now) = (Oversize::default(), Instant::now());
        let How::Dial(token) = oversize.route(remote(), request("1", 1300), now) else { panic!() };
        oversize.opened(token, CONNECTION, now);
        for method in ["CANCEL", "ACK"] {
            let How::Over(CONNECTION, bytes) = oversize.route(remote(), message(method, "1", 10), now) else {
                panic!("{method}")
            };
            assert!(bytes.windows(3).any(|window| window == b"TCP"));
        }
        let other = message("BYE", "2", 10);
        assert_eq!(oversize.route(remote(), other.clone(), now), How::Datagram(other));
        let late = message("CANCEL", "1", 20);
        assert_eq!(oversize.route(remote(), late.clone(), now + REMEMBERED), How::Datagram(late), "nothing is kept for ever");
    }

    #[test]
    fn responses_go_where_the_request_came_from() {
        let response = Bytes::from(format!("SIP/2.0 200 OK\r\nSubject: {}\r\n\r\n", "x".repeat(2000)));
        assert_eq!(Oversize::default().route(remote(), response.clone(), Instant::now()), How::Datagram(response));
    }
}
