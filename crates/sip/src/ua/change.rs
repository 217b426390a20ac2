//! Changes of established sessions: re-INVITE and UPDATE from either side (RFC 3261 14, RFC 3311), refreshes (RFC 4028).

use std::time::{Duration, Instant};

use super::UserAgent;
use super::core::Owner;
use super::interval;
use super::session::{AwaitingAck, Change, Established, Offer, Session, run_interval};
use crate::event::{Body, EndedBy, Event, RequestFailure, ResponseParts, SessionId, UaConfig};
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::{ClientOutcome, TransactionFailure, TxId};

/// When a refresh could not be made, it is tried again until the session lapses.
const REFRESH_AGAIN: Duration = Duration::from_secs(5);

impl UserAgent {
    /// The caller wants to change the session.
    pub(super) fn want_offer(&mut self, id: SessionId, sdp: String, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        established.wanted = Some(Offer::new(sdp));
        self.offer_next(id, now);
    }

    /// The caller wants to change the session, or to tell something, by UPDATE.
    pub(super) fn want_update(&mut self, id: SessionId, sdp: Option<String>, headers: Headers, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        match sdp {
            Some(sdp) => {
                established.wanted = Some(Offer { headers, is_update: true, ..Offer::new(sdp) });
                self.offer_next(id, now);
            }
            None if established.ending.is_some() => {}
            None if established.knows_update => self.send_update(id, headers, now),
            None => self.tell_by_invite(id, headers, now),
        }
    }

    /// Tells something to a peer that knows no UPDATE: with what was described last, which changes nothing.
    fn tell_by_invite(&mut self, id: SessionId, headers: Headers, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        match &mut established.wanted {
            Some(waiting) => waiting.headers.extend(headers),
            nothing @ None => {
                let last = Offer::new(established.local_sdp.clone());
                *nothing = Some(Offer { headers, is_refresh: true, ..last });
            }
        }
        self.offer_next(id, now);
    }

    /// Sends the re-INVITE that waits, if nothing is in its way.
    pub(super) fn offer_next(&mut self, id: SessionId, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        let is_free =
            matches!(established.change, Change::None) && established.awaiting.is_none() && established.ending.is_none();
        if let Some(offer) = established.wanted.take_if(|_| is_free) {
            self.send_offer(id, offer, now);
        }
    }

    fn send_offer(&mut self, id: SessionId, offer: Offer, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let super::session::Phase::Established(established) = &mut session.phase else { return };
        let mut request = established.offer_request(&offer);
        interval::ask(&mut request.headers, &self.core.config, established.interval);
        self.core.authorize(session.authorizer.as_mut(), &mut request);
        if request.method == Method::Invite {
            established.dialog.note_credentials(&request);
        }
        let flow = established.dialog.next_hop();
        let tx = self.core.send(request, flow, Owner::Reinvite(id), now);
        established.change = Change::Ours(tx, offer);
    }

    pub(super) fn reinvite_outcome(&mut self, id: SessionId, outcome: ClientOutcome<Owner>, now: Instant) {
        let ClientOutcome { tx, result, .. } = outcome;
        match result {
            Ok(response) if response.is_provisional() => {}
            Ok(response) if response.is_success() => self.offer_answered(id, tx, response, now),
            Ok(response) => self.offer_refused(id, response, now),
            Err(TransactionFailure::Timeout) => self.end_by_us(id, EndedBy::Timeout, now),
            Err(TransactionFailure::Transport) => self.offer_failed(id, RequestFailure::Transport, now),
        }
    }

    fn offer_answered(&mut self, id: SessionId, tx: TxId, response: Response, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else {
            self.core.acknowledge_only(tx, &response);
            return;
        };
        if let Some(contact) = response.headers.contact() {
            established.dialog.target = contact.uri;
        }
        let number = response.headers.cseq().map_or(established.dialog.invite_number, |cseq| cseq.number);
        if response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Invite) {
            self.core.acknowledge(tx, &established.dialog, number, None);
        }
        let Change::Ours(_, offer) = std::mem::replace(&mut established.change, Change::None) else { return };
        let sdp = response.sdp();
        let is_news = !offer.is_refresh || sdp.is_some() && sdp != established.remote_sdp;
        established.local_sdp = offer.sdp;
        established.remote_sdp = sdp.clone().or(established.remote_sdp.take());
        established.interval = interval::granted(&response);
        run_interval(&mut self.core, id, established.interval, now);
        if is_news {
            let result = sdp.ok_or_else(|| RequestFailure::Refused(Box::new(response)));
            self.tell_answer(id, result);
        }
        self.offer_next(id, now);
    }

    fn offer_refused(&mut self, id: SessionId, response: Response, now: Instant) {
        match response.status {
            408 | 481 => self.end_by_us(id, EndedBy::Timeout, now),
            491 => self.offer_glared(id, now),
            401 | 407 if self.offer_with_credentials(id, &response, now) => {}
            422 if self.offer_with_longer_interval(id, &response, now) => {}
            405 | 501 if self.offer_by_invite(id, now) => {}
            _ => self.offer_failed(id, RequestFailure::Refused(Box::new(response)), now),
        }
    }

    /// Both offered at once: wait, the one who started the call longer (RFC 3261 14.1).
    fn offer_glared(&mut self, id: SessionId, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        let Change::Ours(_, offer) = std::mem::replace(&mut established.change, Change::None) else { return };
        let range = if established.is_caller { 2100..4000 } else { 0..2000 };
        established.change = Change::Glared(offer);
        let pause = Duration::from_millis(self.core.random_millis(range));
        self.core.wire.timers.set(TimerKey::Glare(id), now + pause);
    }

    pub(super) fn glare_over(&mut self, id: SessionId, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        match std::mem::replace(&mut established.change, Change::None) {
            // The newest wish counts.
            Change::Glared(offer) => {
                let offer = established.wanted.take().unwrap_or(offer);
                self.send_offer(id, offer, now);
            }
            other @ (Change::None | Change::Ours(..) | Change::Theirs { .. }) => established.change = other,
        }
    }

    fn offer_with_credentials(&mut self, id: SessionId, response: &Response, now: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let Session { authorizer: Some(authorizer), phase: super::session::Phase::Established(established) } = session else {
            return false;
        };
        let Change::Ours(_, offer) = &mut established.change else { return false };
        if !authorizer.take_challenges(response, &mut offer.challenged) {
            return false;
        }
        let offer = offer.clone();
        self.send_offer(id, offer, now);
        true
    }

    /// The peer wants the session refreshed less often (RFC 4028 7.3).
    fn offer_with_longer_interval(&mut self, id: SessionId, response: &Response, now: Instant) -> bool {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return false };
        let Change::Ours(_, offer) = &established.change else { return false };
        let offer = offer.clone();
        let is_longer = lengthen(established, response);
        if is_longer {
            self.send_offer(id, offer, now);
        }
        is_longer
    }

    /// The peer named UPDATE and does not take it.
    fn offer_by_invite(&mut self, id: SessionId, now: Instant) -> bool {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return false };
        let Change::Ours(_, offer) = &established.change else { return false };
        let offer = offer.clone();
        let was_update = offer.is_update && std::mem::replace(&mut established.knows_update, false);
        if was_update {
            self.send_offer(id, offer, now);
        }
        was_update
    }

    fn offer_failed(&mut self, id: SessionId, failure: RequestFailure, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        let Change::Ours(_, offer) = std::mem::replace(&mut established.change, Change::None) else { return };
        match (offer.is_refresh, offer.headers.is_empty()) {
            (true, true) => self.core.wire.timers.set(TimerKey::Refresh(id), now + REFRESH_AGAIN),
            // Who does not want to hear it has not heard it; the session timer has its own turn.
            (true, false) => {}
            (false, _) => self.tell_answer(id, Err(failure)),
        }
        self.offer_next(id, now);
    }

    fn tell_answer(&mut self, session: SessionId, result: Result<String, RequestFailure>) {
        if !self.is_silent(session) {
            self.core.emit(Event::ReinviteAnswered { session, result });
        }
    }

    /// INVITE or UPDATE came in an existing dialog.
    pub(super) fn change_received(&mut self, id: SessionId, tx: TxId, request: &Request, now: Instant) {
        let is_update = request.method == Method::Update;
        let has_offer = request.sdp().is_some();
        let is_silent = self.is_silent(id);
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else {
            return self.early_change_received(id, tx, request, now);
        };
        let refusal =
            if is_silent { Some(ResponseParts::new(481)) } else { change_refusal(established, request, &self.core.config) };
        if let Some(refusal) = refusal {
            self.core.respond(tx, refusal, now);
            return;
        }
        if is_update && !has_offer {
            self.grant_change(id, tx, None, now);
            self.tell_identity(id, request);
            return;
        }
        // A waiting offer of ours gives way; its wish is kept.
        if let Change::Glared(offer) = std::mem::replace(&mut established.change, Change::Theirs { tx, is_update, has_offer }) {
            self.core.wire.timers.stop(TimerKey::Glare(id));
            established.wanted = established.wanted.take().or((!offer.is_refresh).then_some(offer));
        }
        self.tell_identity(id, request);
        self.core.emit(Event::Reinvited { session: id, sdp: request.sdp(), branch: None });
    }

    pub(super) fn accept_change(&mut self, id: SessionId, sdp: String, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else {
            return self.accept_early_change(id, sdp, now);
        };
        let Change::Theirs { tx, is_update, has_offer } = established.change else { return };
        established.change = Change::None;
        established.local_sdp = sdp.clone();
        let Some((number, offer)) = self
            .core
            .servers
            .get(tx)
            .map(|transaction| (transaction.request.headers.cseq().map_or(0, |cseq| cseq.number), transaction.request.sdp()))
        else {
            return;
        };
        established.remote_sdp = offer.or(established.remote_sdp.take());
        let sent = self.grant_change(id, tx, Some(sdp), now);
        let Some((flow, bytes)) = sent.filter(|_| !is_update) else {
            self.offer_next(id, now);
            return;
        };
        let pause = self.core.wire.times.t1;
        let awaiting =
            AwaitingAck { number, flow, bytes, pause, is_initial: false, expects_answer: !has_offer, early_answer: None };
        if let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) {
            established.awaiting = Some(awaiting);
        }
    }

    /// 2xx to INVITE or UPDATE, with what it does to the session timer.
    fn grant_change(
        &mut self,
        id: SessionId,
        tx: TxId,
        sdp: Option<String>,
        now: Instant,
    ) -> Option<(crate::flow::Flow, Vec<u8>)> {
        let request = self.core.servers.get(tx)?.request.clone();
        let established = self.sessions.get_mut(&id)?.established_mut()?;
        let mut parts = ResponseParts::new(200).with("Contact", &established.dialog.contact);
        parts.body = sdp.map(Body::sdp);
        if request.method == Method::Prack {
            // It came before the answer, and refreshes nothing.
            return self.core.respond(tx, parts, now);
        }
        let granted = interval::grant(&request.headers, &mut parts.headers, &self.core.config);
        established.interval = granted;
        run_interval(&mut self.core, id, granted, now);
        if request.method == Method::Invite { self.send_answer(id, tx, parts, now) } else { self.core.respond(tx, parts, now) }
    }

    pub(super) fn refuse_change(&mut self, id: SessionId, status: u16, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else {
            return self.refuse_early_change(id, status, now);
        };
        let Change::Theirs { tx, .. } = established.change else { return };
        established.change = Change::None;
        self.core.respond_status(tx, status, now);
        self.offer_next(id, now);
    }

    /// The connection is gone on which the peer waited for our answer.
    pub(super) fn reinvite_lost(&mut self, id: SessionId) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        if matches!(established.change, Change::Theirs { .. }) {
            established.change = Change::None;
        }
    }

    /// 487 is sent already; the session goes on as before.
    pub(super) fn reinvite_cancelled(&mut self, invite: TxId, now: Instant) {
        let is_of = |session: &Session| matches!(session.established(), Some(Established { change: Change::Theirs { tx, .. }, .. }) if *tx == invite);
        let Some(id) = self.sessions.iter().find(|(_, session)| is_of(session)).map(|(id, _)| *id) else { return };
        if let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) {
            established.change = Change::None;
        }
        self.offer_next(id, now);
    }

    /// It is our turn to refresh: UPDATE if the peer knows it, else INVITE with what was offered last (RFC 4028 7.4).
    pub(super) fn refresh(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let super::session::Phase::Established(established) = &mut session.phase else { return };
        if established.ending.is_some() {
            return;
        }
        let is_free = matches!(established.change, Change::None) && established.awaiting.is_none();
        if !is_free {
            self.core.wire.timers.set(TimerKey::Refresh(id), now + REFRESH_AGAIN);
            return;
        }
        if !established.knows_update {
            let sdp = established.local_sdp.clone();
            self.send_offer(id, Offer { is_refresh: true, ..Offer::new(sdp) }, now);
            return;
        }
        self.send_update(id, Headers::new(), now);
    }

    /// UPDATE without an offer; a refresh of the session as well.
    fn send_update(&mut self, id: SessionId, headers: Headers, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let super::session::Phase::Established(established) = &mut session.phase else { return };
        let mut update = established.dialog.request(Method::Update);
        update.headers.extend(headers);
        interval::ask(&mut update.headers, &self.core.config, established.interval);
        update.headers.push("Supported", "timer");
        self.core.authorize(session.authorizer.as_mut(), &mut update);
        let flow = established.dialog.next_hop();
        self.core.send(update, flow, Owner::Refresh(id), now);
    }

    pub(super) fn refresh_outcome(&mut self, id: SessionId, outcome: ClientOutcome<Owner>, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        match outcome.result {
            Ok(response) if response.is_provisional() => {}
            Ok(response) if response.is_success() => {
                established.interval = interval::granted(&response);
                run_interval(&mut self.core, id, established.interval, now);
            }
            Ok(response) if matches!(response.status, 408 | 481) => self.end_by_us(id, EndedBy::Timeout, now),
            Ok(response) if response.status == 422 && lengthen(established, &response) => self.refresh(id, now),
            Ok(response) => {
                // Whatever it dislikes about UPDATE, INVITE it has to know.
                established.knows_update = established.knows_update && response.status == 491;
                self.core.wire.timers.set(TimerKey::Refresh(id), now + Duration::from_secs(2));
            }
            Err(TransactionFailure::Timeout) => self.end_by_us(id, EndedBy::Timeout, now),
            // Until it is over, the peer may come back on another connection.
            Err(TransactionFailure::Transport) => self.core.wire.timers.set(TimerKey::Refresh(id), now + REFRESH_AGAIN),
        }
    }
}

/// Takes the interval that a 422 asks for; false if it asks for no more than we did.
fn lengthen(established: &mut Established, response: &Response) -> bool {
    let current = established.interval.map_or(0, |interval| interval.seconds);
    let Some(seconds) = interval::raised(response).filter(|seconds| *seconds > current) else { return false };
    let we_refresh = established.interval.is_none_or(|interval| interval.we_refresh);
    established.interval = Some(super::session::Interval { seconds, we_refresh });
    true
}

/// Why a change can't be taken now (RFC 3261 14.2, RFC 3311 5.2, RFC 4028 9).
fn change_refusal(established: &Established, request: &Request, config: &UaConfig) -> Option<ResponseParts> {
    if let Some(refusal) = interval::refusal(&request.headers, config) {
        return Some(refusal);
    }
    if request.method == Method::Update && request.sdp().is_none() {
        return None;
    }
    match established.change {
        Change::Ours(..) => Some(ResponseParts::new(491)),
        Change::Theirs { .. } => Some(ResponseParts::new(500).with("Retry-After", 1)),
        Change::None | Change::Glared(_) if established.awaiting.is_some() => {
            Some(ResponseParts::new(500).with("Retry-After", 1))
        }
        Change::None | Change::Glared(_) => None,
    }
}
