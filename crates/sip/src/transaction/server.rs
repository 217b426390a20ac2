use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{TxId, Wire};
use crate::flow::{ConnectionId, Flow, Transport};
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::uri::Uri;

/// The server transactions of a user agent.
///
/// ```text
/// INVITE                                          others
///  Proceeding --300-699--> Completed --ACK--> Confirmed     Trying --1xx--> Proceeding
///     | 2xx                    | H                | I          |               |
///     v                                                        +---200-699-----+
///  Accepted (2xx again is the session's affair)                        v
///     | L                                                          Completed | J
/// ```
#[derive(Debug, Default)]
pub(crate) struct ServerTransactions {
    all: BTreeMap<TxId, ServerTransaction>,
    /// By branch, sent-by and method (RFC 3261 17.2.3).
    matching: BTreeMap<Key, TxId>,
    /// By what stays the same when a request comes over two ways (RFC 3261 8.2.2.2).
    merging: BTreeMap<String, TxId>,
    /// What all of it takes, more or less.
    bytes: usize,
}

/// RFC 3261 17.2.1. Not at once: a refusal or a challenge that comes within that time needs no 100 before it, and
/// simple callers expect none.
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// RFC 3261 8.1.1.7.
const MAGIC_COOKIE: &str = "z9hG4bK";

type Key = (String, String, Method);

/// A request that came in, and what was answered.
#[derive(Debug)]
pub(crate) struct ServerTransaction {
    /// With its topmost Via completed.
    pub(crate) request: Request,
    /// Where it came from.
    pub(crate) source: Flow,
    /// The tag in To of our responses, unless the request had one.
    pub(crate) local_tag: String,
    /// Where responses go.
    reply: Flow,
    /// That connection is gone, and another one is being opened: until then nothing can be sent.
    is_cut_off: bool,
    key: Key,
    merge_key: Option<String>,
    state: State,
    bytes: usize,
}

#[derive(Debug)]
enum State {
    Proceeding { last: Option<Vec<u8>> },
    Completed { last: Vec<u8>, interval: Duration },
    Confirmed,
    Accepted,
}

/// What an ACK was for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AckOutcome {
    /// A refusal; nobody else has to know.
    Absorbed,
    /// A 2xx, so the session has to know.
    ForSession,
}

impl ServerTransaction {
    /// After the answer only its key is compared with what comes again: for the 32 s of timer J the rest needs no memory.
    /// How many bytes that sets free.
    fn forget_request(&mut self, answer: usize) -> usize {
        self.request.headers = Headers::default();
        self.request.body = Vec::new();
        let left = self.bytes.min(KEEPING + answer);
        std::mem::replace(&mut self.bytes, left) - left
    }
}

impl ServerTransactions {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// What all requests and answers take of the memory, more or less.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, id: TxId) -> Option<&ServerTransaction> {
        self.all.get(&id)
    }

    /// Whether a final response may still be given.
    pub(crate) fn is_open(&self, id: TxId) -> bool {
        self.all.get(&id).is_some_and(|tx| matches!(tx.state, State::Proceeding { .. }))
    }

    /// The transaction that a CANCEL means (RFC 3261 9.2).
    pub(crate) fn cancelled_by(&self, cancel: &Request) -> Option<TxId> {
        self.matching.get(&key(cancel, Method::Invite)?).copied()
    }

    /// Whether the request was seen before; its answer, if any, is sent again.
    pub(crate) fn absorb(&mut self, request: &Request, wire: &mut Wire) -> bool {
        let Some(id) = key(request, request.method.clone()).and_then(|key| self.matching.get(&key)) else { return false };
        let Some(tx) = self.all.get(id) else { return false };
        let again = match &tx.state {
            State::Proceeding { last } => last.clone(),
            State::Completed { last, .. } => Some(last.clone()),
            State::Confirmed | State::Accepted => None,
        };
        if let Some(bytes) = again.filter(|_| !tx.is_cut_off) {
            wire.transmit(tx.reply, bytes);
        }
        true
    }

    /// Whether the same request is being served that came by another way.
    pub(crate) fn is_merged(&self, request: &Request) -> bool {
        merge_key(request).is_some_and(|key| self.merging.contains_key(&key))
    }

    pub(crate) fn handle_ack(&mut self, ack: &Request, wire: &mut Wire, now: Instant) -> AckOutcome {
        let Some(id) = key(ack, Method::Invite).and_then(|key| self.matching.get(&key)).copied() else {
            return AckOutcome::ForSession;
        };
        let Some(tx) = self.all.get_mut(&id) else { return AckOutcome::ForSession };
        match tx.state {
            State::Accepted => return AckOutcome::ForSession,
            State::Proceeding { .. } | State::Confirmed => return AckOutcome::Absorbed,
            State::Completed { .. } => {}
        }
        tx.state = State::Confirmed;
        wire.timers.stop(TimerKey::ServerRetransmit(id));
        if tx.reply.transport.is_reliable() {
            self.remove(id, wire);
        } else {
            wire.timers.set(TimerKey::ServerEnd(id), now + wire.times.t4);
        }
        AckOutcome::Absorbed
    }

    pub(crate) fn start(&mut self, id: TxId, request: Request, source: Flow, local_tag: String, wire: &mut Wire, now: Instant) {
        let Some(key) = key(&request, request.method.clone()) else { return };
        if request.method == Method::Invite {
            wire.timers.set(TimerKey::Trying(id), now + TRYING_AFTER);
        } else {
            // Whoever should answer forgot it.
            wire.timers.set(TimerKey::ServerEnd(id), now + wire.patience());
        }
        let merge_key = merge_key(&request);
        self.matching.insert(key.clone(), id);
        if let Some(merge_key) = merge_key.clone() {
            self.merging.insert(merge_key, id);
        }
        let (reply, state) = (reply_flow(&request, source), State::Proceeding { last: None });
        let bytes = size(&request);
        self.bytes += bytes;
        let is_cut_off = false;
        self.all.insert(id, ServerTransaction { request, source, local_tag, reply, is_cut_off, key, merge_key, state, bytes });
    }

    /// Sends a response, and again as the transaction's state demands. Nothing happens after a final response.
    pub(crate) fn respond(&mut self, id: TxId, response: &Response, wire: &mut Wire, now: Instant) -> Option<(Flow, Vec<u8>)> {
        let tx = self.all.get_mut(&id).filter(|tx| matches!(tx.state, State::Proceeding { .. }))?;
        let (bytes, reply, is_cut_off) = (response.to_bytes(), tx.reply, tx.is_cut_off);
        wire.timers.stop(TimerKey::Trying(id));
        if !is_cut_off {
            wire.transmit(reply, bytes.clone());
        }
        if response.is_provisional() {
            tx.state = State::Proceeding { last: Some(bytes.clone()) };
            return Some((reply, bytes));
        }
        wire.timers.set(TimerKey::ServerEnd(id), now + wire.patience());
        let is_invite = tx.request.method == Method::Invite;
        if is_invite && response.is_success() {
            tx.state = State::Accepted;
            return Some((reply, bytes));
        }
        // A challenge costs nothing to keep if it isn't kept: asked again, we challenge again (RFC 3261 26.3.2.4).
        let is_said = reply.transport.is_reliable() || matches!(response.status, 401 | 407);
        if !is_invite && is_said && !is_cut_off {
            self.remove(id, wire);
            return Some((reply, bytes));
        }
        tx.state = State::Completed { last: bytes.clone(), interval: wire.times.t1 };
        if is_invite && !reply.transport.is_reliable() {
            wire.timers.set(TimerKey::ServerRetransmit(id), now + wire.times.t1);
        }
        if !is_invite && !is_cut_off {
            self.bytes -= tx.forget_request(bytes.len());
        }
        Some((reply, bytes))
    }

    pub(crate) fn handle_retransmit(&mut self, id: TxId, wire: &mut Wire, now: Instant) {
        let Some(ServerTransaction { state: State::Completed { last, interval }, reply, .. }) = self.all.get_mut(&id) else {
            return;
        };
        *interval = (*interval * 2).min(wire.times.t2);
        wire.timers.set(TimerKey::ServerRetransmit(id), now + *interval);
        wire.transmit(*reply, last.clone());
    }

    pub(crate) fn handle_end(&mut self, id: TxId, wire: &mut Wire) {
        self.remove(id, wire);
    }

    /// A connection is gone. What is not answered yet over TCP waits for another one, to the addresses that are returned
    /// (RFC 3261 18.2.2), but for what came in dialogs, which know other ways: from where the request came, at the port in
    /// Via; with each the URI of the host that is named there, for whoever finds nobody at the address. TLS has nothing to show there, and nobody listens behind a WebSocket.
    pub(crate) fn handle_closed(&mut self, connection: ConnectionId, wire: &mut Wire) -> BTreeMap<SocketAddr, Option<Uri>> {
        let over = |tx: &ServerTransaction| tx.source.connection == Some(connection);
        let mut reopened = BTreeMap::new();
        for tx in self.all.values_mut().filter(|tx| over(tx)) {
            let is_open = tx.merge_key.is_some() && matches!(tx.state, State::Proceeding { .. });
            if tx.source.transport == Transport::Tcp && is_open {
                tx.is_cut_off = true;
                tx.reply = Flow { remote: listens_at(&tx.request, tx.source), ..tx.source };
                reopened.insert(tx.reply.remote, named_by(&tx.request));
            }
        }
        let gone: Vec<_> = self.all.iter().filter(|(_, tx)| over(tx) && !tx.is_cut_off).map(|(id, _)| *id).collect();
        for id in gone {
            self.remove(id, wire);
        }
        reopened
    }

    /// Where the connection leads that a request waits for, if it does.
    pub(crate) fn cut_off_from(&self, id: TxId) -> Option<SocketAddr> {
        self.all.get(&id).filter(|tx| tx.is_cut_off).map(|tx| tx.reply.remote)
    }

    /// There is another connection to `remote` in the place of `closed`, or none: what waited for it goes on over that, and what
    /// was said last is said there, or is over.
    pub(crate) fn handle_reopened(&mut self, closed: ConnectionId, remote: SocketAddr, flow: Option<Flow>, wire: &mut Wire) {
        let waits = |tx: &ServerTransaction| tx.is_cut_off && tx.source.connection == Some(closed) && tx.reply.remote == remote;
        for id in self.all.iter().filter(|(_, tx)| waits(tx)).map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some((tx, flow)) = self.all.get_mut(&id).zip(flow) else {
                self.remove(id, wire);
                continue;
            };
            (tx.source, tx.reply, tx.is_cut_off) = (flow, flow, false);
            let is_over = match &tx.state {
                State::Proceeding { last: Some(bytes) } => {
                    wire.transmit(flow, bytes.clone());
                    false
                }
                State::Completed { last, .. } => {
                    wire.transmit(flow, last.clone());
                    tx.request.method != Method::Invite
                }
                State::Proceeding { last: None } | State::Confirmed | State::Accepted => false,
            };
            if is_over {
                self.remove(id, wire);
            }
        }
    }

    fn remove(&mut self, id: TxId, wire: &mut Wire) {
        for key in [TimerKey::Trying, TimerKey::ServerRetransmit, TimerKey::ServerEnd] {
            wire.timers.stop(key(id));
        }
        let Some(tx) = self.all.remove(&id) else { return };
        self.bytes -= tx.bytes;
        self.matching.remove(&tx.key);
        if let Some(merge_key) = tx.merge_key {
            self.merging.remove(&merge_key);
        }
    }
}

/// What a transaction costs beside its messages: its keys, its timers.
const KEEPING: usize = 512;

/// A request and an answer that repeats most of its headers, with what keeping them costs.
fn size(request: &Request) -> usize {
    let headers: usize = request.headers.iter().map(|header| header.name.len() + header.value.len() + size_of_val(header)).sum();
    KEEPING + 2 * headers + request.body.len()
}

/// Where responses to a request go (RFC 3261 18.2.2, RFC 3581 4): the same connection, or what Via says.
pub(crate) fn reply_flow(request: &Request, source: Flow) -> Flow {
    if source.transport.is_reliable() {
        return source;
    }
    let default_port = source.transport.default_port();
    let remote = request.headers.top_via().map_or(source.remote, |via| via.response_target(source.remote, default_port));
    Flow { remote, ..source }
}

/// Where whoever sent a request takes connections.
fn listens_at(request: &Request, source: Flow) -> SocketAddr {
    let port = request.headers.top_via().ok().and_then(|via| via.port).filter(|port| *port != 0);
    let mut remote = source.remote;
    remote.set_port(port.unwrap_or(source.transport.default_port()));
    remote
}

/// The host that the topmost Via names, if it is a name (RFC 3263 5).
fn named_by(request: &Request) -> Option<Uri> {
    let via = request.headers.top_via().ok()?;
    let uri = Uri::sip("", &via.host).with_param("transport", Some(Transport::Tcp.uri_name()));
    let uri = via.port.map_or_else(|| uri.clone(), |port| uri.clone().with_port(port));
    uri.host_ip().is_none().then_some(uri)
}

/// RFC 3261 17.2.3; a branch without the cookie of RFC 3261 is no identity, so other headers stand in.
fn key(request: &Request, method: Method) -> Option<Key> {
    let via = request.headers.top_via().ok()?;
    let sent_by = via.sent_by();
    // The cookie alone names nothing (RFC 4475 3.2.1).
    if via.branch().len() > MAGIC_COOKIE.len() && via.branch().starts_with(MAGIC_COOKIE) {
        return Some((via.branch().to_owned(), sent_by, method));
    }
    let from = request.headers.from().ok()?;
    let number = request.headers.cseq().ok()?.number;
    let identity = format!("{} {} {number}", request.headers.call_id().ok()?, from.tag().unwrap_or_default());
    Some((identity, sent_by, method))
}

fn merge_key(request: &Request) -> Option<String> {
    let headers = &request.headers;
    if headers.to().ok()?.tag().is_some() {
        return None;
    }
    let from = headers.from().ok()?;
    Some(format!("{} {} {}", headers.call_id().ok()?, from.tag()?, headers.cseq().ok()?))
}
