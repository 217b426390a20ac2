//! From bytes to whoever they concern.

use std::net::SocketAddr;
use std::time::Instant;

use super::session::{Phase, Session};
use super::{DialogOwner, UserAgent, dialog_key};
use crate::event::{EndedBy, Event, IncomingId, ResponseParts, SessionId};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Framed, Headers, MAX_MESSAGE, Received, Request, receive};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::AckOutcome;
use crate::uri::NameAddr;

/// After so many seconds the transactions that fill the memory are over (RFC 3261 section 17.2: 64*T1).
const OVERLOADED_S: u32 = 32;

impl UserAgent {
    pub(super) fn stream_received(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        let Some(connection) = flow.connection else { return };
        let pieces = self.streams.entry(connection).or_default().push(bytes);
        for piece in pieces {
            match piece {
                Framed::Message(message) => self.message_received(flow, &message, now),
                Framed::Ping => self.core.wire.transmit(flow, b"\r\n".to_vec()),
                Framed::TooLarge(head) => self.refuse_unread(flow, &head, 513),
                Framed::Unmeasured(head) => self.refuse_unread(flow, &head, 400),
                Framed::Broken => self.core.emit(Event::Unframeable { connection }),
            }
        }
    }

    /// A datagram or a WebSocket message: a whole message, or a keepalive (RFC 5626 3.5.1, RFC 7118 6).
    pub(super) fn packet_received(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b'\0' | b' ')) {
            if flow.transport.is_web_socket() && bytes == b"\r\n\r\n" {
                self.core.wire.transmit(flow, b"\r\n".to_vec());
            }
            return;
        }
        if bytes.len() > MAX_MESSAGE {
            self.refuse_unread(flow, bytes, 513);
        } else {
            self.message_received(flow, bytes, now);
        }
    }

    /// Of a message that is too large, or whose length is unknown, the headers are enough for a refusal.
    fn refuse_unread(&mut self, flow: Flow, bytes: &[u8], status: u16) {
        let head = bytes.get(..MAX_MESSAGE).unwrap_or(bytes);
        if let Received::Request(request) | Received::BadRequest(request, _) = receive(head)
            && request.method != Method::Ack
        {
            let request = with_source(request, flow);
            self.core.respond_stateless(&request, flow, ResponseParts::new(status));
        }
    }

    fn message_received(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        match receive(bytes) {
            Received::Request(request) => self.request_received(with_source(request, flow), flow, now),
            Received::BadRequest(request, rejection) => {
                let parts = ResponseParts { reason: Some(rejection.reason), ..ResponseParts::new(rejection.status) };
                self.core.respond_stateless(&with_source(request, flow), flow, parts);
            }
            Received::Response(response) => {
                if let Some(outcome) = self.core.clients.handle_response(response, &mut self.core.wire, now) {
                    self.client_outcome(outcome, now);
                }
            }
            Received::Garbage => {}
        }
    }

    fn request_received(&mut self, request: Request, flow: Flow, now: Instant) {
        if request.method == Method::Ack {
            if self.core.servers.handle_ack(&request, &mut self.core.wire, now) == AckOutcome::ForSession {
                self.ack_received(&request, now);
            }
            return;
        }
        if self.core.servers.absorb(&request, &mut self.core.wire) {
            return;
        }
        if request.method == Method::Cancel {
            self.cancel_received(request, flow, now);
            return;
        }
        if self.core.servers.is_merged(&request) {
            self.core.respond_stateless(&request, flow, ResponseParts::new(482));
            return;
        }
        let is_new = request.headers.to().is_ok_and(|to| to.tag().is_none());
        if is_new && self.core.servers.bytes() >= self.core.config.max_served_bytes {
            let parts = ResponseParts::new(503).with("Retry-After", OVERLOADED_S);
            self.core.respond_stateless(&request, flow, parts);
            return;
        }
        let tx = self.core.serve(request.clone(), flow, now);
        let unsupported = self.unsupported(&request.headers);
        if !unsupported.is_empty() {
            self.core.respond(tx, ResponseParts::new(420).with("Unsupported", unsupported.join(", ")), now);
            return;
        }
        match dialog_key(&request) {
            Some(key) => match self.dialogs.get(&key).copied() {
                Some(DialogOwner::Session(id)) => self.in_session(id, tx, request, flow, now),
                Some(DialogOwner::Subscription(id)) => self.in_subscription(id, tx, &request, flow, now),
                Some(DialogOwner::Watch(id)) => self.in_watch(id, tx, request, flow, now),
                Some(DialogOwner::Remains) => self.in_remains(tx, &request, flow, now),
                None => self.in_unknown_dialog(IncomingId(tx.0), request, flow, now),
            },
            None => self.outside_dialogs(IncomingId(tx.0), request, flow, now),
        }
    }

    fn outside_dialogs(&mut self, id: IncomingId, request: Request, flow: Flow, now: Instant) {
        let tx = crate::transaction::TxId(id.0);
        let makes_dialog = matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer);
        if makes_dialog && request.headers.contact().is_none() {
            // RFC 3261 8.1.1.8: without it nothing could be asked in the dialog.
            let reason = Some("Bad Request: header Contact is missing".to_owned());
            self.core.respond(tx, ResponseParts { reason, ..ResponseParts::new(400) }, now);
            return;
        }
        match request.method {
            Method::Invite => self.called(tx, request, flow, now),
            Method::Bye | Method::Update | Method::Prack | Method::Info => self.core.respond_status(tx, 481, now),
            Method::Ack | Method::Cancel | Method::Other(_) => self.core.respond_status(tx, 501, now),
            Method::Refer if !self.core.config.takes_refer => self.core.respond_status(tx, 405, now),
            Method::Register
            | Method::Options
            | Method::Subscribe
            | Method::Notify
            | Method::Message
            | Method::Refer
            | Method::Publish => self.core.emit(Event::Request { id, request, flow }),
        }
    }

    /// Subscriptions of ours live with the caller, so NOTIFY goes there; some clients put tags where none belong.
    fn in_unknown_dialog(&mut self, id: IncomingId, request: Request, flow: Flow, now: Instant) {
        match request.method {
            Method::Notify | Method::Register | Method::Message | Method::Publish => {
                self.core.emit(Event::Request { id, request, flow });
            }
            Method::Invite
            | Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Options
            | Method::Subscribe
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Other(_) => self.core.respond_status(crate::transaction::TxId(id.0), 481, now),
        }
    }

    fn cancel_received(&mut self, cancel: Request, flow: Flow, now: Instant) {
        let invite = self.core.servers.cancelled_by(&cancel);
        let headers = cancel.headers.clone();
        let tx = self.core.serve(cancel, flow, now);
        self.core.respond_status(tx, if invite.is_some() { 200 } else { 481 }, now);
        if let Some(invite) = invite {
            self.cancelled(invite, headers, now);
        }
    }

    /// What Require asks for and we don't have (RFC 3261 8.2.2.3).
    fn unsupported(&self, headers: &Headers) -> Vec<String> {
        let known = |option: &&str| self.core.config.supported.iter().any(|known| known.eq_ignore_ascii_case(option));
        headers.list("Require").into_iter().filter(|option| !known(option)).map(str::to_owned).collect()
    }

    /// A connection went away under sessions.
    pub(super) fn sessions_closed(&mut self, connection: ConnectionId, now: Instant) {
        let on_it: Vec<SessionId> =
            self.sessions.iter().filter(|(_, s)| s.flow().connection == Some(connection)).map(|(id, _)| *id).collect();
        for id in on_it {
            let Some(session) = self.sessions.get(&id) else { continue };
            match session.phase {
                Phase::Established(_) => {
                    self.reinvite_lost(id);
                    let at = now + self.core.wire.patience();
                    self.core.wire.timers.set(TimerKey::Detached(id), at);
                }
                Phase::Ringing(ref ringing) if self.core.servers.cut_off_from(ringing.tx).is_some() => {}
                Phase::Ringing(_) | Phase::Unacknowledged { .. } | Phase::Calling(_) => {
                    self.forget(id, now);
                    self.core.emit(Event::Ended { session: id, by: EndedBy::Transport, headers: Headers::new() });
                }
            }
        }
    }

    /// Sessions whose caller's connection went away have another one, or are over.
    pub(super) fn reopened(&mut self, closed: ConnectionId, remote: SocketAddr, flow: Option<Flow>, now: Instant) {
        let is_on_it = |session: &Session| match &session.phase {
            Phase::Ringing(ringing) => self.core.servers.cut_off_from(ringing.tx) == Some(remote),
            Phase::Established(established) => {
                established.awaiting.as_ref().is_some_and(|awaiting| awaiting.flow.remote == remote)
            }
            Phase::Calling(_) | Phase::Unacknowledged { .. } => false,
        };
        let over_closed = self.sessions.iter().filter(|(_, session)| session.flow().connection == Some(closed));
        let waiting: Vec<_> = over_closed.filter(|(_, session)| is_on_it(session)).map(|(id, _)| *id).collect();
        self.core.servers.handle_reopened(closed, remote, flow, &mut self.core.wire);
        for id in waiting {
            match flow {
                Some(flow) => self.goes_on_over(id, flow),
                None => self.is_lost(id, now),
            }
        }
    }

    fn goes_on_over(&mut self, id: SessionId, flow: Flow) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.phase {
            Phase::Ringing(ringing) => {
                ringing.source = flow;
                ringing.reliable.moves_to(flow);
            }
            Phase::Established(established) => {
                established.dialog.flow = flow;
                if let Some(awaiting) = &mut established.awaiting {
                    awaiting.flow = flow;
                    self.core.wire.transmit(flow, awaiting.bytes.clone());
                }
                self.core.wire.timers.stop(TimerKey::Detached(id));
            }
            Phase::Calling(_) | Phase::Unacknowledged { .. } => {}
        }
    }

    fn is_lost(&mut self, id: SessionId, now: Instant) {
        match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Established(_)) => self.end_by_us(id, EndedBy::Transport, now),
            Some(Phase::Ringing(_) | Phase::Calling(_) | Phase::Unacknowledged { .. }) => {
                self.forget(id, now);
                self.core.emit(Event::Ended { session: id, by: EndedBy::Transport, headers: Headers::new() });
            }
            None => {}
        }
    }

    pub(super) fn session_moves(&mut self, id: SessionId, flow: Flow, contact: Option<NameAddr>) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        established.dialog.flow = flow;
        if let Some(contact) = contact {
            established.dialog.contact = contact;
        }
        self.core.wire.timers.stop(TimerKey::Detached(id));
    }
}

/// Completes the topmost Via (RFC 3261 18.2.1).
fn with_source(mut request: Request, flow: Flow) -> Request {
    if let Ok(mut via) = request.headers.top_via() {
        via.note_source(flow.remote);
        request.headers.replace_top_via(&via);
    }
    request
}
