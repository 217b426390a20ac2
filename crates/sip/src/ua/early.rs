//! Changes of sessions that nobody has answered yet: UPDATE in early dialogs (RFC 3311) in both roles, and offers in PRACK
//! (RFC 3262 5).

use std::time::Instant;

use super::UserAgent;
use super::reliable::Early;
use super::session::{Calling, Change, Phase, Ringing, Session};
use crate::event::{Body, Event, ResponseParts, SessionId};
use crate::message::Request;
use crate::method::Method;
use crate::transaction::{ServerTransaction, TxId};
use crate::uri::NameAddr;

/// What both sides have said reliably, the peer first; else the status for an offer that comes too early (RFC 3311 5.2).
type Agreed = Result<(String, String), u16>;

impl UserAgent {
    /// UPDATE, or an INVITE before its time, in a dialog that nobody has answered yet. A new description is an offer like any
    /// other once the first exchange is over (RFC 3311 5.1); the same one gets the same answer.
    pub(super) fn early_change_received(&mut self, id: SessionId, tx: TxId, request: &Request, now: Instant) {
        let Some(session) = self.sessions.get(&id) else { return };
        let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let Some((contact, agreed)) = self.early_state(session, &tag) else {
            return self.core.respond_status(tx, 481, now);
        };
        let parts = match (request.sdp(), agreed) {
            (None, _) if request.method == Method::Update => ResponseParts::new(200),
            (_, Err(491)) => ResponseParts::new(491),
            (Some(offer), Ok((remote, local))) if matches!(request.method, Method::Update | Method::Prack) => {
                if offer != remote {
                    self.tell_identity(id, request);
                    return self.begin_early_change(id, (tx, tag), offer);
                }
                ResponseParts { body: Some(Body::sdp(local)), ..ResponseParts::new(200) }
            }
            (_, Ok(_) | Err(_)) => ResponseParts::new(500).with("Retry-After", 1),
        };
        let is_granted = parts.status == 200;
        self.core.respond(tx, if is_granted { parts.with("Contact", contact) } else { parts }, now);
        if is_granted {
            self.tell_identity(id, request);
        }
    }

    /// The peer says who it is now, if the request does.
    pub(super) fn tell_identity(&mut self, session: SessionId, request: &Request) {
        if ["P-Asserted-Identity", "Remote-Party-ID"].into_iter().any(|name| request.headers.contains(name)) {
            self.core.emit(Event::Updated { session, request: request.clone() });
        }
    }

    /// Our contact in the early dialog with that tag, and what is agreed on in it; `None` if there is none.
    fn early_state(&self, session: &Session, tag: &str) -> Option<(NameAddr, Agreed)> {
        match &session.phase {
            Phase::Ringing(ringing) => {
                let contact = self.core.contact(ringing.source, &ringing.user);
                Some((contact, ringing.agreed(self.core.servers.get(ringing.tx))))
            }
            Phase::Calling(calling) => {
                let early = calling.early.get(tag)?;
                Some((early.dialog.contact.clone(), calling.agreed(early)))
            }
            Phase::Unacknowledged { dialog, .. } => Some((dialog.contact.clone(), Err(500))),
            Phase::Established(established) => Some((established.dialog.contact.clone(), Err(500))),
        }
    }

    fn begin_early_change(&mut self, session: SessionId, (tx, tag): (TxId, String), offer: String) {
        let branch = match self.sessions.get_mut(&session).map(|session| &mut session.phase) {
            Some(Phase::Ringing(ringing)) => {
                ringing.change = Some(tx);
                None
            }
            Some(Phase::Calling(calling)) => {
                calling.change = Some((tx, tag.clone()));
                Some(tag)
            }
            Some(Phase::Unacknowledged { .. } | Phase::Established(_)) | None => return,
        };
        self.core.emit(Event::Reinvited { session, sdp: Some(offer), branch });
    }

    /// Our answer to an offer in an early dialog: both descriptions stand from now on.
    pub(super) fn accept_early_change(&mut self, id: SessionId, sdp: String, now: Instant) {
        let Some((tx, tag)) = self.take_early_change(id) else { return };
        let offer = self.core.servers.get(tx).and_then(|transaction| transaction.request.sdp());
        let contact = match self.sessions.get_mut(&id).map(|session| &mut session.phase) {
            Some(Phase::Ringing(ringing)) => {
                (ringing.reliable.remote_sdp, ringing.reliable.local_sdp) = (offer, Some(sdp.clone()));
                Some(self.core.contact(ringing.source, &ringing.user))
            }
            Some(Phase::Calling(calling)) => calling.early.get_mut(&tag).map(|early| {
                (early.remote_sdp, early.local_sdp) = (offer, Some(sdp.clone()));
                early.dialog.contact.clone()
            }),
            Some(Phase::Unacknowledged { .. } | Phase::Established(_)) | None => None,
        };
        let Some(contact) = contact else { return self.core.respond_status(tx, 481, now) };
        let parts = ResponseParts { body: Some(Body::sdp(sdp)), ..ResponseParts::new(200) };
        self.core.respond(tx, parts.with("Contact", contact), now);
    }

    pub(super) fn refuse_early_change(&mut self, id: SessionId, status: u16, now: Instant) {
        if let Some((tx, _)) = self.take_early_change(id) {
            self.core.respond_status(tx, status, now);
        }
    }

    fn take_early_change(&mut self, id: SessionId) -> Option<(TxId, String)> {
        match &mut self.sessions.get_mut(&id)?.phase {
            Phase::Ringing(ringing) => ringing.change.take().map(|tx| (tx, ringing.remote_tag.clone())),
            Phase::Calling(calling) => calling.change.take(),
            Phase::Unacknowledged { .. } | Phase::Established(_) => None,
        }
    }

    /// A call of ours is answered while an UPDATE waits for our answer: the session goes on with it, if its branch has won.
    pub(super) fn change_of_winner(&mut self, change: Option<(TxId, String)>, winner: &str, now: Instant) -> Change {
        match change {
            Some((tx, tag)) if tag == winner => Change::early(Some(tx)),
            Some((tx, _)) => {
                self.core.respond_status(tx, 481, now);
                Change::None
            }
            None => Change::None,
        }
    }

    /// Our INVITE is refused and sent again: what rang is over (RFC 3261 12.3), and so are its changes.
    pub(super) fn forget_branches(&mut self, id: SessionId, now: Instant) {
        let Some(Session { phase: Phase::Calling(calling), .. }) = self.sessions.get_mut(&id) else { return };
        calling.early.clear();
        if let Some((tx, _)) = calling.change.take() {
            self.core.respond_status(tx, 481, now);
        }
    }

    /// The session is over before we have answered (RFC 3261 15.1.2).
    pub(super) fn drop_early_change(&mut self, session: &Session, now: Instant) {
        let open = match &session.phase {
            Phase::Ringing(ringing) => ringing.change,
            Phase::Calling(calling) => calling.change.as_ref().map(|(tx, _)| *tx),
            Phase::Unacknowledged { .. } | Phase::Established(_) => None,
        };
        if let Some(tx) = open {
            self.core.respond_status(tx, 487, now);
        }
    }
}

impl Calling {
    fn agreed(&self, early: &Early) -> Agreed {
        let own = self.has_offer.then(|| String::from_utf8_lossy(&self.request.body).into_owned());
        let local = early.local_sdp.clone().or(own);
        let agreed = early.remote_sdp.clone().zip(local).ok_or(if self.has_offer { 491 } else { 500 });
        // RFC 3311 5.2: one at a time.
        if self.change.is_some() { Err(500) } else { agreed }
    }
}

impl Ringing {
    fn agreed(&self, transaction: Option<&ServerTransaction>) -> Agreed {
        let reliable = &self.reliable;
        let offered = || transaction.and_then(|transaction| transaction.request.sdp());
        let agreed = reliable.remote_sdp.clone().or_else(offered).zip(reliable.local_sdp.clone());
        let agreed = agreed.filter(|_| !reliable.waits() && self.change.is_none());
        agreed.ok_or(if reliable.waits() && !self.has_offer { 491 } else { 500 })
    }
}
