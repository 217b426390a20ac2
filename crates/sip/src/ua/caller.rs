//! Sessions that we started: INVITE as a user agent client (RFC 3261 13.2).

use std::collections::BTreeMap;
use std::time::Instant;

use super::UserAgent;
use super::core::{Owner, set_body};
use super::dialog::Dialog;
use super::interval;
use super::session::{Calling, Established, Phase, Session, request_key, run_interval};
use crate::digest::{Authorizer, Challenged};
use crate::event::{Body, Event, Invite, RequestFailure, SessionId};
use crate::flow::Flow;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::transaction::{ClientOutcome, TransactionFailure, TxId, remote_tag};

impl UserAgent {
    pub(super) fn start_call(&mut self, invite: Invite, flow: Flow, now: Instant) -> SessionId {
        let id = SessionId(self.core.next_id());
        let has_offer = invite.sdp.is_some();
        let authorizer = invite.credentials.clone().map(Authorizer::new);
        let request = self.invite_request(invite);
        self.dialogs.insert(request_key(&request), super::DialogOwner::Session(id));
        let tx = self.core.send(request.clone(), flow, Owner::Invite(id), now);
        let (early, change) = (BTreeMap::new(), None);
        let calling = Calling { tx, request, flow, challenged: Challenged::default(), has_offer, early, change };
        self.sessions.insert(id, Session { authorizer, phase: Phase::Calling(Box::new(calling)) });
        id
    }

    fn invite_request(&mut self, invite: Invite) -> Request {
        let mut request = Request::new(Method::Invite, invite.uri.without_headers());
        let tag = self.core.token();
        let headers = &mut request.headers;
        headers.push("From", invite.from.with_param("tag", Some(&tag)));
        headers.push("To", invite.to);
        headers.push("Call-ID", self.core.token());
        headers.push("CSeq", format!("{} INVITE", self.core.next_cseq()));
        headers.push("Contact", invite.contact);
        headers.extend(invite.headers);
        interval::ask(headers, &self.core.config, None);
        if let Some(sdp) = invite.sdp {
            set_body(&mut request.headers, &mut request.body, Body::sdp(sdp));
        }
        request
    }

    /// Something came of an INVITE that starts a session.
    pub(super) fn invite_outcome(&mut self, id: SessionId, outcome: ClientOutcome<Owner>, now: Instant) {
        let ClientOutcome { tx, result, .. } = outcome;
        let is_current =
            matches!(self.sessions.get(&id), Some(Session { phase: Phase::Calling(calling), .. }) if calling.tx == tx);
        match result {
            Ok(response) if response.is_provisional() => {
                self.core.send_waiting_cancel(tx, now);
                if is_current && response.status > 100 {
                    self.progressed(id, tx, response, now);
                }
            }
            Ok(response) if response.is_success() && is_current => self.answered(id, tx, response, now),
            Ok(response) if response.is_success() => self.answered_again(id, tx, &response, now),
            Ok(response) if is_current => self.refused(id, response, now),
            Err(failure) if is_current => self.call_failed(id, failure.into(), now),
            // The session was given up before.
            Ok(_) | Err(_) => {}
        }
    }

    fn answered(&mut self, id: SessionId, tx: TxId, response: Response, now: Instant) {
        let Some(Session { authorizer, phase: Phase::Calling(mut calling) }) = self.sessions.remove(&id) else { return };
        let dialog = self.core.clients.request(tx).and_then(|(request, flow)| Dialog::as_caller(request, &response, flow));
        let Some(dialog) = dialog else {
            self.dialogs.remove(&request_key(&calling.request));
            return;
        };
        let change = self.change_of_winner(calling.change.take(), dialog.remote_tag(), now);
        let (dialog, early_local, early_remote) = calling.confirm(dialog);
        // The first description is the one that counts (RFC 3261 13.2.1).
        let sdp = early_remote.or_else(|| response.sdp());
        let late_offer = !calling.has_offer && early_local.is_none() && sdp.is_some();
        let phase = if late_offer {
            Phase::Unacknowledged { tx, dialog: Box::new(dialog), response: Box::new(response.clone()) }
        } else {
            self.core.acknowledge(tx, &dialog, dialog.invite_number, None);
            let local = early_local.unwrap_or_else(|| String::from_utf8_lossy(&calling.request.body).into_owned());
            let established = self.begin(id, dialog, (local, sdp.clone()), &response, now);
            Phase::Established(Box::new(Established { change, ..established }))
        };
        self.sessions.insert(id, Session { authorizer, phase });
        self.core.emit(Event::Answered { session: id, response, sdp, late_offer });
    }

    fn begin(
        &mut self,
        id: SessionId,
        dialog: Dialog,
        (local_sdp, remote_sdp): (String, Option<String>),
        response: &Response,
        now: Instant,
    ) -> Established {
        let mut established = Established::new(dialog, true, local_sdp, remote_sdp, &response.headers);
        established.interval = interval::granted(response);
        run_interval(&mut self.core, id, established.interval, now);
        established
    }

    /// A 2xx while the session has its answer, or is gone: another branch won too, or the answer crossed our CANCEL.
    fn answered_again(&mut self, id: SessionId, tx: TxId, response: &Response, now: Instant) {
        let session = self.sessions.get(&id);
        if let Some(Session { phase: Phase::Unacknowledged { dialog, .. }, .. }) = session
            && dialog.remote_tag() == remote_tag(response)
        {
            return;
        }
        let authorizer = session.and_then(|session| session.authorizer.clone());
        self.core.decline_answer(tx, response, authorizer, now);
    }

    pub(super) fn answer_late_offer(&mut self, id: SessionId, sdp: String, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Unacknowledged { tx, dialog, response } = &session.phase else {
            self.answer_early_offer(id, sdp, now);
            return;
        };
        let (tx, dialog, response) = (*tx, (**dialog).clone(), response.clone());
        self.core.acknowledge(tx, &dialog, dialog.invite_number, Some(sdp.clone()));
        let established = self.begin(id, dialog, (sdp, response.sdp()), &response, now);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.phase = Phase::Established(Box::new(established));
        }
    }

    fn refused(&mut self, id: SessionId, response: Response, now: Instant) {
        let again = match response.status {
            401 | 407 => self.call_with_credentials(id, &response, now),
            422 => self.call_with_longer_interval(id, &response, now),
            _ => false,
        };
        if !again {
            self.call_failed(id, RequestFailure::Refused(Box::new(response)), now);
        }
    }

    fn call_with_credentials(&mut self, id: SessionId, response: &Response, now: Instant) -> bool {
        let Some(Session { authorizer: Some(authorizer), phase: Phase::Calling(calling) }) = self.sessions.get_mut(&id) else {
            return false;
        };
        if !authorizer.take_challenges(response, &mut calling.challenged) {
            return false;
        }
        self.core.authorize(Some(authorizer), &mut calling.request);
        self.call_again(id, now);
        true
    }

    fn call_with_longer_interval(&mut self, id: SessionId, response: &Response, now: Instant) -> bool {
        let Some(Session { phase: Phase::Calling(calling), .. }) = self.sessions.get_mut(&id) else { return false };
        let Some(seconds) = interval::raised(response).filter(|raised| asked_least(&calling.request) < *raised) else {
            return false;
        };
        calling.request.headers.set("Session-Expires", seconds);
        calling.request.headers.set("Min-SE", seconds);
        self.call_again(id, now);
        true
    }

    fn call_again(&mut self, id: SessionId, now: Instant) {
        self.forget_branches(id, now);
        let Some(Session { phase: Phase::Calling(calling), .. }) = self.sessions.get_mut(&id) else { return };
        calling.request.headers.set("CSeq", format!("{} INVITE", self.core.next_cseq()));
        calling.tx = self.core.send(calling.request.clone(), calling.flow, Owner::Invite(id), now);
    }

    fn call_failed(&mut self, session: SessionId, failure: RequestFailure, now: Instant) {
        self.forget(session, now);
        self.core.emit(Event::Rejected { session, failure });
    }
}

/// The Min-SE of a request of ours.
fn asked_least(request: &Request) -> u32 {
    request.headers.get("Min-SE").and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl From<TransactionFailure> for RequestFailure {
    fn from(failure: TransactionFailure) -> Self {
        match failure {
            TransactionFailure::Timeout => Self::Timeout,
            TransactionFailure::Transport => Self::Transport,
        }
    }
}
