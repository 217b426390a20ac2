//! Sessions that others started: INVITE as a user agent server (RFC 3261 13.3).

use std::time::Instant;

use super::UserAgent;
use super::dialog::Dialog;
use super::interval;
use super::reliable::Reliable;
use super::session::{AwaitingAck, Change, Established, Offer, Phase, Ringing, Session, run_interval};
use crate::event::{Body, Event, ResponseParts, SessionId, UaConfig};
use crate::flow::Flow;
use crate::message::{Headers, Request};
use crate::timers::TimerKey;
use crate::transaction::TxId;
use crate::uri::NameAddr;

impl UserAgent {
    /// An INVITE outside of dialogs.
    pub(super) fn called(&mut self, tx: TxId, request: Request, source: Flow, now: Instant) {
        if let Some(refusal) = refusal(&request, &self.core.config) {
            self.core.respond(tx, refusal, now);
            return;
        }
        let replaces = match self.replacing(&request) {
            Ok(replaces) => replaces,
            Err(status) => return self.core.respond_status(tx, status, now),
        };
        let Some(transaction) = self.core.servers.get(tx) else { return };
        let local_tag = transaction.local_tag.clone();
        let id = SessionId(self.core.next_id());
        let call_id = request.headers.call_id().unwrap_or_default().to_owned();
        let user = request.uri.user().unwrap_or_default().into_owned();
        let has_offer = request.sdp().is_some();
        self.dialogs.insert((call_id.clone(), local_tag.clone()), super::DialogOwner::Session(id));
        let remote_tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let remote_cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let reliable = self.reliable_for(&request.headers);
        let (change, target) = (None, None);
        let ringing =
            Ringing { tx, call_id, local_tag, remote_tag, remote_cseq, source, user, has_offer, reliable, change, target };
        self.sessions.insert(id, Session { authorizer: None, phase: Phase::Ringing(Box::new(ringing)) });
        self.ringing.insert(tx, id);
        self.core.emit(Event::Incoming { session: id, request, flow: source, replaces });
    }

    fn reliable_for(&self, headers: &Headers) -> Reliable {
        let is_known = self.core.config.supported.iter().any(|known| known == "100rel");
        let mut reliable = Reliable::default();
        reliable.is_required = is_known && headers.lists("Require", "100rel");
        reliable.is_supported = reliable.is_required || is_known && headers.lists("Supported", "100rel");
        reliable
    }

    pub(super) fn answer(&mut self, id: SessionId, contact: NameAddr, sdp: String, headers: Headers, now: Instant) {
        let Some(Session { phase: Phase::Ringing(ringing), .. }) = self.sessions.get_mut(&id) else { return };
        if ringing.holds(&contact, &sdp, &headers) {
            return;
        }
        let (tx, has_offer, remote_cseq) = (ringing.tx, ringing.has_offer, ringing.remote_cseq);
        let (reliable, change, target) = (std::mem::take(&mut ringing.reliable), ringing.change, ringing.target.take());
        let Some(transaction) = self.core.servers.get(tx) else { return };
        let Some(mut dialog) = Dialog::as_callee(transaction, contact.clone()) else { return };
        let request = transaction.request.clone();
        let number = dialog.remote_cseq.unwrap_or_default();
        dialog.remote_cseq = Some(remote_cseq.max(number));
        dialog.target = target.unwrap_or(dialog.target);
        // What was described reliably is not described again (RFC 6337 3.1).
        let body = reliable.local_sdp.is_none().then(|| Body::sdp(sdp.clone()));
        let mut parts = ResponseParts { headers, body, ..ResponseParts::new(200) };
        parts.headers.set("Contact", contact);
        let granted = interval::grant(&request.headers, &mut parts.headers, &self.core.config);
        let early_answer = reliable.remote_sdp.clone().filter(|_| !has_offer);
        let remote_sdp = reliable.remote_sdp.or_else(|| request.sdp());
        let expects_answer = !has_offer && reliable.local_sdp.is_none();
        let wanted = reliable.local_sdp.as_ref().filter(|said| **said != sdp).map(|_| Offer::new(sdp.clone()));
        let mut established = Established::new(dialog, false, reliable.local_sdp.unwrap_or(sdp), remote_sdp, &request.headers);
        (established.interval, established.last_reliable, established.wanted) = (granted, reliable.last, wanted);
        established.change = Change::early(change);
        self.core.wire.timers.stop(TimerKey::Progress(id));
        self.core.wire.timers.stop(TimerKey::NoPrack(id));
        established.awaiting = self.send_answer(id, tx, parts, now).map(|(flow, bytes)| AwaitingAck {
            number,
            flow,
            bytes,
            pause: self.core.wire.times.t1,
            is_initial: true,
            expects_answer,
            early_answer,
        });
        run_interval(&mut self.core, id, granted, now);
        self.ringing.remove(&tx);
        self.sessions.insert(id, Session { authorizer: None, phase: Phase::Established(Box::new(established)) });
    }

    /// Sends a 2xx to an INVITE and starts to wait for its ACK (RFC 3261 13.3.1.4: over every transport).
    pub(super) fn send_answer(&mut self, id: SessionId, tx: TxId, parts: ResponseParts, now: Instant) -> Option<(Flow, Vec<u8>)> {
        let sent = self.core.respond(tx, parts, now)?;
        let wire = &mut self.core.wire;
        wire.timers.set(TimerKey::Answer(id), now + wire.times.t1);
        wire.timers.set(TimerKey::NoAck(id), now + wire.patience());
        Some(sent)
    }

    /// ACK is late: our 2xx again.
    pub(super) fn answer_again(&mut self, id: SessionId, now: Instant) {
        let Some(established) = self.sessions.get_mut(&id).and_then(Session::established_mut) else { return };
        let Some(awaiting) = &mut established.awaiting else { return };
        let wire = &mut self.core.wire;
        awaiting.pause = (awaiting.pause * 2).min(wire.times.t2);
        wire.transmit(awaiting.flow, awaiting.bytes.clone());
        wire.timers.set(TimerKey::Answer(id), now + awaiting.pause);
    }

    pub(super) fn refuse_call(&mut self, id: SessionId, parts: ResponseParts, now: Instant) {
        let Some(Session { phase: Phase::Ringing(ringing), .. }) = self.sessions.get(&id) else { return };
        let tx = ringing.tx;
        self.core.respond(tx, parts, now);
        self.forget(id, now);
    }

    /// CANCEL (RFC 3261 9.2); its own 200 is sent already.
    pub(super) fn cancelled(&mut self, invite: TxId, headers: Headers, now: Instant) {
        if !self.core.servers.is_open(invite) {
            return;
        }
        self.core.respond_status(invite, 487, now);
        match self.ringing.get(&invite).copied() {
            Some(session) => {
                self.forget(session, now);
                self.core.emit(Event::Cancelled { session, headers });
            }
            None => self.reinvite_cancelled(invite, now),
        }
    }
}

/// Whether a range of media types has session descriptions in it.
fn takes_sdp(range: &str) -> bool {
    let media_type = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(media_type.as_str(), "application/sdp" | "application/*" | "*/*" | "multipart/mixed" | "multipart/alternative")
}

/// Why an INVITE can't be taken, whoever is called.
fn refusal(request: &Request, config: &UaConfig) -> Option<ResponseParts> {
    let is_encoded = request.headers.get("Content-Encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    if is_encoded {
        // RFC 3261 8.2.3.
        return Some(ResponseParts::new(415).with("Accept", "application/sdp").with("Accept-Encoding", "identity"));
    }
    let describes = request.body.is_empty() || request.sdp().is_some();
    if !describes {
        return Some(ResponseParts::new(415).with("Accept", "application/sdp"));
    }
    if request.headers.contains("Accept") && !request.headers.list("Accept").into_iter().any(takes_sdp) {
        return Some(ResponseParts::new(406));
    }
    interval::refusal(&request.headers, config)
}
