use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{TxId, Wire};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Headers, Request, Response, Via};
use crate::method::Method;
use crate::timers::TimerKey;

/// The client transactions of a user agent. `O` tells whose they are.
///
/// ```text
/// INVITE                                        others
///  Trying --1xx--> Proceeding                    Trying --1xx--> Proceeding
///     |  \------------|                             |                |
///     |   2xx         | 300-699                     +-----200-699----+
///     v               v                                    v
///  Accepted       Completed (ACK again)                Completed
///     | M             | D                                  | K
/// ```
#[derive(Debug)]
pub(crate) struct ClientTransactions<O> {
    all: BTreeMap<TxId, ClientTransaction<O>>,
    /// By branch and method.
    matching: BTreeMap<(String, Method), TxId>,
}

#[derive(Debug)]
struct ClientTransaction<O> {
    /// As it was sent, Via and all.
    request: Request,
    bytes: Vec<u8>,
    branch: String,
    flow: Flow,
    owner: O,
    state: State,
    /// CANCEL has to wait for a provisional response (RFC 3261 9.1).
    cancel: Cancel,
    is_abandoned: bool,
}

#[derive(Debug)]
enum State {
    Trying {
        interval: Duration,
    },
    Proceeding {
        interval: Duration,
    },
    /// With the ACK of a refused INVITE.
    Completed {
        ack: Option<Vec<u8>>,
    },
    /// With the ACK for each branch that answered, by its tag (RFC 3261 13.2.2.4).
    Accepted {
        acks: BTreeMap<String, (Flow, Vec<u8>)>,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Cancel {
    No,
    Wanted(Headers),
    Sent,
}

/// A request to send.
#[derive(Debug)]
pub(crate) struct Outgoing<O> {
    /// Without Via.
    pub(crate) request: Request,
    pub(crate) via: Via,
    pub(crate) flow: Flow,
    pub(crate) owner: O,
}

/// Something the owner has to know.
#[derive(Debug)]
pub(crate) struct ClientOutcome<O> {
    pub(crate) tx: TxId,
    pub(crate) owner: O,
    pub(crate) result: Result<Response, TransactionFailure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionFailure {
    Timeout,
    Transport,
}

impl<O> Default for ClientTransactions<O> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), matching: BTreeMap::new() }
    }
}

impl<O: Clone> ClientTransactions<O> {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn start(&mut self, id: TxId, outgoing: Outgoing<O>, wire: &mut Wire, now: Instant) {
        let Outgoing { mut request, via, flow, owner } = outgoing;
        request.headers.push_front("Via", &via);
        let (bytes, branch) = (request.to_bytes(), via.branch().to_owned());
        wire.transmit(flow, bytes.clone());
        let interval = wire.times.t1;
        if !flow.transport.is_reliable() {
            wire.timers.set(TimerKey::ClientRetransmit(id), now + interval);
        }
        wire.timers.set(TimerKey::ClientEnd(id), now + wire.patience());
        self.matching.insert((branch.clone(), request.method.clone()), id);
        let state = State::Trying { interval };
        let (cancel, is_abandoned) = (Cancel::No, false);
        self.all.insert(id, ClientTransaction { request, bytes, branch, flow, owner, state, cancel, is_abandoned });
    }

    pub(crate) fn request(&self, id: TxId) -> Option<(&Request, Flow)> {
        self.all.get(&id).map(|tx| (&tx.request, tx.flow))
    }

    /// Gives up an INVITE. Returns the CANCEL to start now, if now is the time; later ones come from `handle_response`.
    pub(crate) fn cancel(&mut self, id: TxId, headers: Headers, wire: &mut Wire, now: Instant) -> Option<(Request, Via, Flow)> {
        let tx = self.all.get_mut(&id)?;
        match tx.state {
            State::Trying { .. } => {
                tx.cancel = Cancel::Wanted(headers);
                None
            }
            State::Proceeding { .. } => tx.cancel_now(id, headers, wire, now),
            State::Completed { .. } | State::Accepted { .. } => None,
        }
    }

    /// Nobody waits for the final response any more: the transaction must not wait for it for ever.
    pub(crate) fn give_up(&mut self, id: TxId, wire: &mut Wire, now: Instant) {
        if let Some(tx) = self.all.get_mut(&id) {
            tx.is_abandoned = true;
            if matches!(tx.state, State::Proceeding { .. }) {
                wire.timers.set(TimerKey::ClientEnd(id), now + wire.patience());
            }
        }
    }

    /// After a provisional response: the CANCEL that waited for it.
    pub(crate) fn waiting_cancel(&mut self, id: TxId, wire: &mut Wire, now: Instant) -> Option<(Request, Via, Flow)> {
        let tx = self.all.get_mut(&id)?;
        if !matches!(tx.state, State::Proceeding { .. }) {
            return None;
        }
        match std::mem::replace(&mut tx.cancel, Cancel::No) {
            Cancel::Wanted(headers) => tx.cancel_now(id, headers, wire, now),
            other @ (Cancel::No | Cancel::Sent) => {
                tx.cancel = other;
                None
            }
        }
    }

    /// Sends the ACK for a 2xx, and again whenever that 2xx comes again.
    pub(crate) fn acknowledge(&mut self, id: TxId, remote_tag: &str, flow: Flow, ack: Vec<u8>, wire: &mut Wire) {
        wire.transmit(flow, ack.clone());
        if let Some(ClientTransaction { state: State::Accepted { acks }, .. }) = self.all.get_mut(&id) {
            acks.insert(remote_tag.to_owned(), (flow, ack));
        }
    }

    pub(crate) fn handle_response(&mut self, response: Response, wire: &mut Wire, now: Instant) -> Option<ClientOutcome<O>> {
        let via = response.headers.top_via().ok()?;
        let method = response.headers.cseq().ok()?.method;
        let tx = *self.matching.get(&(via.branch().to_owned(), method))?;
        let transaction = self.all.get_mut(&tx)?;
        let is_for_owner = transaction.take_response(tx, &response, wire, now);
        let owner = is_for_owner.then(|| transaction.owner.clone());
        if matches!(transaction.state, State::Completed { .. }) && transaction.flow.transport.is_reliable() {
            self.remove(tx, wire);
        }
        owner.map(|owner| ClientOutcome { tx, owner, result: Ok(response) })
    }

    pub(crate) fn handle_retransmit(&mut self, id: TxId, wire: &mut Wire, now: Instant) {
        let Some(tx) = self.all.get_mut(&id) else { return };
        let is_invite = tx.request.method == Method::Invite;
        let interval = match &mut tx.state {
            State::Trying { interval } if is_invite => {
                *interval *= 2;
                *interval
            }
            State::Trying { interval } => {
                *interval = (*interval * 2).min(wire.times.t2);
                *interval
            }
            State::Proceeding { interval } if !is_invite => {
                *interval = wire.times.t2;
                *interval
            }
            State::Proceeding { .. } | State::Completed { .. } | State::Accepted { .. } => return,
        };
        wire.transmit(tx.flow, tx.bytes.clone());
        wire.timers.set(TimerKey::ClientRetransmit(id), now + interval);
    }

    pub(crate) fn handle_end(&mut self, id: TxId, wire: &mut Wire) -> Option<ClientOutcome<O>> {
        self.remove(id, wire)?.failed(id, TransactionFailure::Timeout)
    }

    pub(crate) fn handle_closed(&mut self, connection: ConnectionId, wire: &mut Wire) -> Vec<ClientOutcome<O>> {
        let gone: Vec<_> = self.all.iter().filter(|(_, tx)| tx.flow.connection == Some(connection)).map(|(id, _)| *id).collect();
        gone.into_iter().filter_map(|id| self.remove(id, wire)?.failed(id, TransactionFailure::Transport)).collect()
    }

    fn remove(&mut self, id: TxId, wire: &mut Wire) -> Option<ClientTransaction<O>> {
        wire.timers.stop(TimerKey::ClientRetransmit(id));
        wire.timers.stop(TimerKey::ClientEnd(id));
        let tx = self.all.remove(&id)?;
        self.matching.remove(&(tx.branch.clone(), tx.request.method.clone()));
        Some(tx)
    }
}

impl<O> ClientTransaction<O> {
    /// Whether the owner has to see it.
    fn take_response(&mut self, id: TxId, response: &Response, wire: &mut Wire, now: Instant) -> bool {
        match &mut self.state {
            State::Trying { interval } | State::Proceeding { interval } if response.is_provisional() => {
                let interval = *interval;
                self.proceed(id, interval, wire, now);
                true
            }
            State::Trying { .. } | State::Proceeding { .. } => {
                self.finish(id, response, wire, now);
                true
            }
            State::Completed { ack } => {
                if let Some(ack) = ack.clone().filter(|_| !response.is_provisional()) {
                    wire.transmit(self.flow, ack);
                }
                false
            }
            State::Accepted { acks } => {
                let tag = remote_tag(response);
                match acks.get(&tag) {
                    Some((flow, ack)) if response.is_success() => {
                        wire.transmit(*flow, ack.clone());
                        false
                    }
                    Some(_) => false,
                    None => response.is_success(),
                }
            }
        }
    }

    fn proceed(&mut self, id: TxId, interval: Duration, wire: &mut Wire, now: Instant) {
        if self.request.method == Method::Invite {
            wire.timers.stop(TimerKey::ClientRetransmit(id));
            if self.cancel != Cancel::Sent && !self.is_abandoned {
                wire.timers.stop(TimerKey::ClientEnd(id));
            }
        } else if !self.flow.transport.is_reliable() {
            wire.timers.set(TimerKey::ClientRetransmit(id), now + wire.times.t2);
        }
        self.state = State::Proceeding { interval };
    }

    fn finish(&mut self, id: TxId, response: &Response, wire: &mut Wire, now: Instant) {
        wire.timers.stop(TimerKey::ClientRetransmit(id));
        let is_invite = self.request.method == Method::Invite;
        let end = match (is_invite, response.is_success()) {
            (true, true) => {
                self.state = State::Accepted { acks: BTreeMap::new() };
                wire.patience()
            }
            (true, false) => {
                let ack = self.ack_for_refusal(response);
                wire.transmit(self.flow, ack.clone());
                self.state = State::Completed { ack: Some(ack) };
                wire.patience()
            }
            (false, _) => {
                self.state = State::Completed { ack: None };
                wire.times.t4
            }
        };
        wire.timers.set(TimerKey::ClientEnd(id), now + end);
    }

    /// RFC 3261 17.1.1.3.
    fn ack_for_refusal(&self, response: &Response) -> Vec<u8> {
        let mut ack = Request::new(Method::Ack, self.request.uri.clone());
        copy_for_same_branch(&self.request, &mut ack, response.headers.get("To"));
        ack.to_bytes()
    }

    fn cancel_now(&mut self, id: TxId, headers: Headers, wire: &mut Wire, now: Instant) -> Option<(Request, Via, Flow)> {
        self.cancel = Cancel::Sent;
        // RFC 3261 9.1: without a final response by then the INVITE is taken for cancelled.
        wire.timers.set(TimerKey::ClientEnd(id), now + wire.patience());
        let mut cancel = Request::new(Method::Cancel, self.request.uri.clone());
        copy_for_same_branch(&self.request, &mut cancel, self.request.headers.get("To"));
        cancel.headers.remove("Via");
        cancel.headers.extend(headers);
        Some((cancel, self.request.headers.top_via().ok()?, self.flow))
    }

    fn failed(self, tx: TxId, failure: TransactionFailure) -> Option<ClientOutcome<O>> {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => {
                Some(ClientOutcome { tx, owner: self.owner, result: Err(failure) })
            }
            State::Completed { .. } | State::Accepted { .. } => None,
        }
    }
}

pub(crate) fn remote_tag(response: &Response) -> String {
    response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned)).unwrap_or_default()
}

/// The headers that CANCEL and the ACK of a refusal share with their INVITE (RFC 3261 9.1, 17.1.1.3).
fn copy_for_same_branch(invite: &Request, request: &mut Request, to: Option<&str>) {
    let from = &invite.headers;
    if let Some(via) = from.get("Via") {
        request.headers.push("Via", via);
    }
    for route in from.all("Route") {
        request.headers.push("Route", route);
    }
    request.headers.push("Max-Forwards", 70);
    for (name, value) in [("From", from.get("From")), ("To", to), ("Call-ID", from.get("Call-ID"))] {
        request.headers.push(name, value.unwrap_or_default());
    }
    let number = from.cseq().map_or(0, |cseq| cseq.number);
    request.headers.push("CSeq", format!("{number} {}", request.method));
    if request.method == Method::Ack {
        for name in ["Authorization", "Proxy-Authorization"] {
            for value in from.all(name) {
                request.headers.push(name, value);
            }
        }
    }
}
