//! Established sessions: ACK, BYE, INFO, OPTIONS and their ends.

use std::time::Instant;

use super::UserAgent;
use super::core::{Farewell, Owner, set_body};
use super::session::{Change, Phase, Session, stop_all};
use crate::digest::Challenged;
use crate::event::{Body, EndedBy, Event, IncomingId, ResponseParts, SessionId};
use crate::flow::Flow;
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::{ClientOutcome, TransactionFailure, TxId};

impl UserAgent {
    /// A request with the tags of a session.
    pub(super) fn in_session(&mut self, id: SessionId, tx: TxId, request: Request, source: Flow, now: Instant) {
        if let Some(status) = self.follow_dialog(id, &request, source) {
            let retry = ResponseParts::new(status);
            self.core.respond(tx, if status == 500 { retry.with("Retry-After", 1) } else { retry }, now);
            return;
        }
        match request.method {
            Method::Bye => self.bye_received(id, tx, request.headers, now),
            Method::Invite | Method::Update => self.change_received(id, tx, &request, now),
            Method::Options => self.core.respond_status(tx, 200, now),
            Method::Info => {
                self.core.respond_status(tx, 200, now);
                if !self.is_silent(id) {
                    self.core.emit(Event::Info { session: id, request });
                }
            }
            Method::Prack => self.prack_received(id, tx, &request, now),
            Method::Notify if self.refer_notified(tx, &request, now) => {}
            Method::Subscribe if self.referral_subscribed(tx, &request, now) => {}
            Method::Notify | Method::Subscribe => self.core.respond_status(tx, 489, now),
            Method::Refer => self.refer_received(id, tx, request, now),
            Method::Message if self.is_silent(id) => self.core.respond_status(tx, 481, now),
            Method::Message if !self.core.config.takes_texts => self.core.respond_status(tx, 405, now),
            Method::Message => self.core.emit(Event::Message { session: id, id: IncomingId(tx.0), request }),
            Method::Publish | Method::Register => self.core.respond_status(tx, 405, now),
            Method::Ack | Method::Cancel | Method::Other(_) => self.core.respond_status(tx, 501, now),
        }
    }

    /// Tag and number must fit; the status of the refusal if not (RFC 3261 12.2.2). The dialog follows the peer.
    fn follow_dialog(&mut self, id: SessionId, request: &Request, source: Flow) -> Option<u16> {
        let session = self.sessions.get_mut(&id)?;
        let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let dialog = match &mut session.phase {
            Phase::Established(established) => &mut established.dialog,
            Phase::Unacknowledged { dialog, .. } => &mut **dialog,
            Phase::Calling(calling) => match calling.early.get_mut(&tag) {
                Some(early) => &mut early.dialog,
                None => return Some(481),
            },
            Phase::Ringing(ringing) => {
                let status = if tag != ringing.remote_tag { Some(481) } else { (number <= ringing.remote_cseq).then_some(500) };
                ringing.remote_cseq = ringing.remote_cseq.max(number);
                if status.is_none() && request.method == Method::Update {
                    ringing.target = request.headers.contact().map(|contact| contact.uri).or(ringing.target.take());
                }
                return status;
            }
        };
        if tag != dialog.remote_tag() {
            return Some(481);
        }
        if dialog.remote_cseq.is_some_and(|last| number <= last) {
            return Some(500);
        }
        dialog.remote_cseq = Some(number);
        dialog.follow(request, source);
        self.core.wire.timers.stop(TimerKey::Detached(id));
        None
    }

    pub(super) fn ack_received(&mut self, ack: &Request, now: Instant) {
        let Some(id) = self.session_of(ack) else { return };
        let number = ack.headers.cseq().map_or(0, |cseq| cseq.number);
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        let Some(awaiting) = established.awaiting.take_if(|awaiting| awaiting.number == number) else { return };
        self.core.wire.timers.stop(TimerKey::Answer(id));
        self.core.wire.timers.stop(TimerKey::NoAck(id));
        let sdp = ack.sdp().filter(|_| awaiting.expects_answer).or(awaiting.early_answer);
        if let Some(sdp) = &sdp {
            established.remote_sdp = Some(sdp.clone());
        }
        if let Some(headers) = established.ending.take() {
            self.say_bye(id, headers, now);
            return;
        }
        let event = if awaiting.is_initial {
            Event::Confirmed { session: id, sdp }
        } else {
            Event::ReinviteConfirmed { session: id, sdp }
        };
        self.core.emit(event);
        self.offer_next(id, now);
    }

    fn bye_received(&mut self, id: SessionId, tx: TxId, headers: Headers, now: Instant) {
        let silent = self.is_silent(id);
        self.core.respond_status(tx, 200, now);
        let Some(session) = self.sessions.get(&id) else { return };
        let event = match &session.phase {
            // RFC 3261 15.1.2: the pending INVITE is answered 487.
            Phase::Ringing(ringing) => {
                let invite = ringing.tx;
                self.core.respond_status(invite, 487, now);
                Event::Cancelled { session: id, headers }
            }
            Phase::Calling(_) => return,
            Phase::Unacknowledged { tx, dialog, .. } => {
                let (tx, dialog) = (*tx, dialog.clone());
                self.core.acknowledge(tx, &dialog, dialog.invite_number, None);
                Event::Ended { session: id, by: EndedBy::Remote, headers }
            }
            Phase::Established(_) => Event::Ended { session: id, by: EndedBy::Remote, headers },
        };
        self.drop_their_change(id, now);
        self.forget(id, now);
        if !silent {
            self.core.emit(event);
        }
    }

    /// Ends a session in whatever state; nothing is told of it afterwards.
    pub(super) fn end_quietly(&mut self, id: SessionId, headers: Headers, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.phase {
            Phase::Calling(calling) => {
                let tx = calling.tx;
                self.forget(id, now);
                self.core.cancel(tx, headers, now);
            }
            Phase::Ringing(_) => self.refuse_call(id, ResponseParts { headers, ..ResponseParts::new(603) }, now),
            Phase::Unacknowledged { tx, dialog, .. } => {
                let (tx, dialog) = (*tx, (**dialog).clone());
                let authorizer = session.authorizer.clone();
                self.core.acknowledge(tx, &dialog, dialog.invite_number, None);
                self.forget(id, now);
                self.core.bye(Farewell { dialog, authorizer, headers, challenged: Challenged::default() }, now);
            }
            Phase::Established(established) if established.awaiting.as_ref().is_some_and(|awaiting| awaiting.is_initial) => {
                established.ending.get_or_insert(headers);
            }
            Phase::Established(_) => self.say_bye(id, headers, now),
        }
    }

    pub(super) fn say_bye(&mut self, id: SessionId, headers: Headers, now: Instant) {
        self.drop_their_change(id, now);
        let Some(Session { authorizer, phase: Phase::Established(established) }) = self.forget(id, now) else { return };
        self.core.bye(established.farewell(authorizer, headers), now);
    }

    /// The session can't go on: BYE, and the caller is told.
    pub(super) fn end_by_us(&mut self, id: SessionId, by: EndedBy, now: Instant) {
        let silent = self.is_silent(id);
        let headers =
            self.sessions.get_mut(&id).and_then(Session::established_mut).and_then(|e| e.ending.take()).unwrap_or_default();
        if !self.sessions.contains_key(&id) {
            return;
        }
        self.say_bye(id, headers, now);
        if !silent {
            self.core.emit(Event::Ended { session: id, by, headers: Headers::new() });
        }
    }

    pub(super) fn bye_outcome(&mut self, mut farewell: Farewell, result: Result<Response, TransactionFailure>, now: Instant) {
        let Ok(response) = result else { return };
        let Some(authorizer) = farewell.authorizer.as_mut().filter(|_| matches!(response.status, 401 | 407)) else { return };
        if authorizer.take_challenges(&response, &mut farewell.challenged) {
            self.core.bye(farewell, now);
        }
    }

    pub(super) fn send_info(&mut self, id: SessionId, body: Body, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Established(established) = &mut session.phase else { return };
        if established.ending.is_some() {
            return;
        }
        let mut info = established.dialog.request(Method::Info);
        set_body(&mut info.headers, &mut info.body, body);
        self.core.authorize(session.authorizer.as_mut(), &mut info);
        let flow = established.dialog.next_hop();
        self.core.send(info, flow, Owner::Info(id), now);
    }

    /// INFO is not repeated after a challenge, but a dialog that the peer does not know is over (RFC 3261 12.2.1.2).
    pub(super) fn info_outcome(&mut self, id: SessionId, outcome: &ClientOutcome<Owner>, now: Instant) {
        if matches!(&outcome.result, Ok(response) if response.status == 481) {
            self.end_by_us(id, EndedBy::Timeout, now);
        }
    }

    pub(super) fn session_of(&self, request: &Request) -> Option<SessionId> {
        match self.dialogs.get(&super::dialog_key(request)?)? {
            super::DialogOwner::Session(id) => Some(*id),
            super::DialogOwner::Subscription(_) | super::DialogOwner::Watch(_) | super::DialogOwner::Remains => None,
        }
    }

    /// Whether `hang_up` was called and only ACK is awaited.
    pub(super) fn is_silent(&self, id: SessionId) -> bool {
        self.sessions.get(&id).and_then(Session::established).is_some_and(|established| established.ending.is_some())
    }

    /// A re-INVITE of the peer's that nobody will answer any more.
    fn drop_their_change(&mut self, id: SessionId, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        if let Change::Theirs { tx, .. } = established.change {
            established.change = Change::None;
            self.core.respond_status(tx, 487, now);
        }
    }

    /// Takes a session out of everything that leads to it.
    pub(super) fn forget(&mut self, id: SessionId, now: Instant) -> Option<Session> {
        stop_all(&mut self.core, id);
        let session = self.sessions.remove(&id)?;
        self.dialogs.remove(&session.key());
        self.referrals_remain(id, &session);
        self.drop_early_change(&session, now);
        match &session.phase {
            Phase::Ringing(ringing) => {
                self.ringing.remove(&ringing.tx);
            }
            Phase::Established(established) => {
                if let Change::Ours(tx, _) = &established.change {
                    self.core.clients.give_up(*tx, &mut self.core.wire, now);
                }
            }
            Phase::Calling(_) | Phase::Unacknowledged { .. } => {}
        }
        Some(session)
    }
}
