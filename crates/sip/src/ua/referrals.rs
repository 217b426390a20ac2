//! Transfers: REFER and its reports (RFC 3515, RFC 4488) from either side. They may outlive the session they were asked in.

use std::time::{Duration, Instant};

use super::core::{Core, Owner, set_body};
use super::dialog::Dialog;
use super::session::{Phase, Session};
use super::{DialogOwner, UserAgent, dialog_key};
use crate::digest::{Authorizer, Challenged};
use crate::event::{Body, EndedBy, Event, IncomingId, ReferEnd, ReferralId, RequestFailure, ResponseParts, SessionId};
use crate::flow::Flow;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::params::Params;
use crate::refer::{Refer, ReferTo, SIPFRAG, fragment, fragment_status};
use crate::timers::TimerKey;
use crate::transaction::{TransactionFailure, TxId};
use crate::uri::NameAddr;

/// One REFER.
#[derive(Debug)]
pub(crate) struct Referral {
    /// The session it was asked in. Its dialog is used as long as it lives.
    session: Option<SessionId>,
    dialog: Dialog,
    authorizer: Option<Authorizer>,
    challenged: Challenged,
    role: Role,
}

#[derive(Debug)]
enum Role {
    /// We asked.
    Ours {
        /// Kept for a challenge.
        request: Box<Request>,
        /// The end was told; a last NOTIFY may still come.
        is_told: bool,
    },
    /// We were asked.
    Theirs {
        /// Event as it stands in our reports (RFC 3515 2.4.6).
        event: String,
        ends_at: Instant,
        status: u16,
        /// A NOTIFY waits for its response.
        in_flight: bool,
        /// `status` is not told yet.
        is_dirty: bool,
    },
}

/// How long a transfer may take. Whoever rings longer than that is not going to answer.
const PATIENCE: Duration = Duration::from_secs(300);

impl UserAgent {
    /// The peer of a session asks us to call somebody.
    pub(super) fn refer_received(&mut self, session: SessionId, tx: TxId, request: Request, now: Instant) {
        let is_alive = self.sessions.get(&session).and_then(Session::established).is_some() && !self.is_silent(session);
        if !self.core.config.takes_refer {
            self.core.respond_status(tx, 405, now);
        } else if !is_alive {
            self.core.respond_status(tx, 481, now);
        } else if let Ok(refer_to) = ReferTo::of(&request.headers) {
            self.core.emit(Event::Referred { session, id: IncomingId(tx.0), refer_to: Box::new(refer_to), request });
        } else {
            self.core.respond_status(tx, 400, now);
        }
    }

    pub(super) fn begin_referral(&mut self, id: IncomingId, now: Instant) -> Option<ReferralId> {
        let tx = TxId(id.0);
        let transaction = self.core.servers.get(tx).filter(|_| self.core.servers.is_open(tx))?;
        let request = transaction.request.clone();
        if request.method != Method::Refer {
            return None;
        }
        let session = self.session_of(&request);
        let (dialog, authorizer) = match session.and_then(|id| self.sessions.get(&id)) {
            Some(Session { phase: Phase::Established(established), authorizer }) => {
                (established.dialog.clone(), authorizer.clone())
            }
            Some(_) => return None,
            None => {
                let user = request.uri.user().unwrap_or_default().into_owned();
                (Dialog::as_callee(transaction, self.core.contact(transaction.source, &user))?, None)
            }
        };
        let referral = ReferralId(self.core.next_id());
        let parts = ResponseParts::new(202).with("Contact", &dialog.contact);
        if request.headers.get("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false")) {
            self.core.respond(tx, parts.with("Refer-Sub", "false"), now);
            return Some(referral);
        }
        self.core.respond(tx, parts, now);
        if session.is_none() {
            self.dialogs.insert(dialog.key(), DialogOwner::Remains);
        }
        let event = format!("refer;id={}", request.headers.cseq().map_or(0, |cseq| cseq.number));
        let role = Role::Theirs { event, ends_at: now + PATIENCE, status: 100, in_flight: false, is_dirty: true };
        self.core.wire.timers.set(TimerKey::Referral(referral), now + PATIENCE);
        self.referrals.insert(referral, Referral { session, dialog, authorizer, challenged: Challenged::default(), role });
        self.report_if_free(referral, now);
        Some(referral)
    }

    pub(super) fn report(&mut self, id: ReferralId, new: u16, now: Instant) {
        let Some(Referral { role: Role::Theirs { status, is_dirty, .. }, .. }) = self.referrals.get_mut(&id) else { return };
        if *status < 200 && *status != new {
            (*status, *is_dirty) = (new, true);
            self.report_if_free(id, now);
        }
    }

    /// One NOTIFY at a time, so that they can't overtake each other.
    fn report_if_free(&mut self, id: ReferralId, now: Instant) {
        let Some(referral) = self.referrals.get_mut(&id) else { return };
        let Role::Theirs { event, ends_at, status, in_flight: in_flight @ false, is_dirty: is_dirty @ true } = &mut referral.role
        else {
            return;
        };
        let rest = ends_at.saturating_duration_since(now).as_secs();
        let state = match (*status, rest) {
            (200.., _) => "terminated;reason=noresource".to_owned(),
            (_, 0) => "terminated;reason=timeout".to_owned(),
            (_, rest) => format!("active;expires={rest}"),
        };
        (*in_flight, *is_dirty) = (true, false);
        let dialog = dialog_of(&self.sessions, referral.session).unwrap_or(&referral.dialog);
        let mut request = dialog.request(Method::Notify);
        request.headers.push("Event", event);
        request.headers.push("Subscription-State", state);
        set_body(&mut request.headers, &mut request.body, Body::new(SIPFRAG, fragment(*status)));
        let flow = dialog.next_hop();
        self.core.authorize(referral.authorizer.as_mut(), &mut request);
        self.core.send(request, flow, Owner::Report(id), now);
    }

    pub(super) fn report_outcome(&mut self, id: ReferralId, result: &Result<Response, TransactionFailure>, now: Instant) {
        let Some(referral) = self.referrals.get_mut(&id) else { return };
        let Role::Theirs { ends_at, status, in_flight, is_dirty, .. } = &mut referral.role else { return };
        let goes_on = match result {
            Ok(response) if response.is_provisional() => return,
            Ok(response) if response.is_success() => *status < 200 && *ends_at > now || *is_dirty,
            Ok(response) if matches!(response.status, 401 | 407) => {
                *is_dirty = true;
                referral.authorizer.as_mut().is_some_and(|known| known.take_challenges(response, &mut referral.challenged))
            }
            Ok(_) | Err(_) => false,
        };
        *in_flight = false;
        if goes_on {
            self.report_if_free(id, now);
        } else {
            self.forget_referral(id);
        }
    }

    /// Asks the peer of a session to call somebody.
    pub(super) fn send_refer(&mut self, session: SessionId, refer: Refer, now: Instant) -> ReferralId {
        let id = ReferralId(self.core.next_id());
        let established = self.sessions.get(&session).filter(|_| !self.is_silent(session));
        let Some(Session { phase: Phase::Established(established), authorizer }) = established else {
            self.core.emit(Event::ReferEnded { referral: id, end: ReferEnd::Refused(RequestFailure::Transport) });
            return id;
        };
        let (dialog, authorizer) = (established.dialog.clone(), authorizer.clone());
        let mut request = dialog.request(Method::Refer);
        let referred_by = refer.referred_by.unwrap_or_else(|| NameAddr::new(dialog.local.uri.clone()));
        request.headers.push("Refer-To", refer.to);
        request.headers.push("Referred-By", referred_by);
        request.headers.extend(refer.headers);
        let role = Role::Ours { request: Box::new(request), is_told: false };
        let referral = Referral { session: Some(session), dialog, authorizer, challenged: Challenged::default(), role };
        self.referrals.insert(id, referral);
        self.core.wire.timers.set(TimerKey::Referral(id), now + PATIENCE);
        self.start_refer(id, now);
        id
    }

    fn start_refer(&mut self, id: ReferralId, now: Instant) {
        let Some(referral) = self.referrals.get_mut(&id) else { return };
        let Role::Ours { request, .. } = &mut referral.role else { return };
        let dialog = dialog_of(&self.sessions, referral.session).unwrap_or(&referral.dialog);
        self.core.authorize(referral.authorizer.as_mut(), request);
        self.core.send((**request).clone(), dialog.next_hop(), Owner::Refer(id), now);
    }

    pub(super) fn refer_outcome(&mut self, id: ReferralId, result: Result<Response, TransactionFailure>, now: Instant) {
        let Some(referral) = self.referrals.get_mut(&id) else { return };
        let failure = match result {
            Ok(response) if response.is_provisional() => return,
            Ok(response) if response.is_success() => {
                if response.headers.get("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false")) {
                    self.end_refer(id, ReferEnd::Unknown);
                } else {
                    self.core.emit(Event::ReferProgress { referral: id, status: 202 });
                }
                return;
            }
            Ok(response) if matches!(response.status, 401 | 407) && referral.take_challenges(&response) => {
                self.start_refer(id, now);
                return;
            }
            Ok(response) => RequestFailure::Refused(Box::new(response)),
            Err(failure) => failure.into(),
        };
        let session = referral.session;
        let is_lost = matches!(failure.status(), 408 | 481);
        self.end_refer(id, ReferEnd::Refused(failure));
        if let Some(session) = session.filter(|_| is_lost) {
            self.end_by_us(session, EndedBy::Timeout, now);
        }
    }

    /// NOTIFY of the event package `refer` with the tags of a session, or of one that is gone; false if it is none of a REFER of ours.
    pub(super) fn refer_notified(&mut self, tx: TxId, request: &Request, now: Instant) -> bool {
        if request.headers.event().as_deref() != Some("refer") {
            return false;
        }
        let Some(id) = self.our_referral(request) else { return false };
        self.core.respond_status(tx, 200, now);
        let state = request.headers.get("Subscription-State").unwrap_or_default();
        let is_over = state.trim_start().to_ascii_lowercase().starts_with("terminated");
        let status = fragment_status(&request.body);
        match status {
            Some(status) if status >= 200 => self.end_refer(id, ReferEnd::Final(status)),
            Some(status) if !is_over => self.core.emit(Event::ReferProgress { referral: id, status }),
            Some(_) | None => {}
        }
        if is_over {
            self.end_refer(id, ReferEnd::Unknown);
            self.forget_referral(id);
        }
        true
    }

    /// By the number in Event, else the oldest that is open in that dialog.
    fn our_referral(&self, notify: &Request) -> Option<ReferralId> {
        let key = dialog_key(notify)?;
        let event = notify.headers.get("Event").unwrap_or_default();
        let number =
            Params::parse(event.split_once(';').map_or("", |(_, params)| params)).get("id").and_then(|id| id.parse::<u32>().ok());
        let fits = |referral: &&Referral| match &referral.role {
            Role::Ours { request, .. } => {
                number.is_none_or(|number| request.headers.cseq().is_ok_and(|cseq| cseq.number == number))
            }
            Role::Theirs { .. } => false,
        };
        self.referrals.iter().find(|(_, referral)| referral.dialog.key() == key && fits(referral)).map(|(id, _)| *id)
    }

    fn end_refer(&mut self, id: ReferralId, end: ReferEnd) {
        let Some(Referral { role: Role::Ours { is_told, .. }, .. }) = self.referrals.get_mut(&id) else { return };
        if !std::mem::replace(is_told, true) {
            let is_over = !matches!(end, ReferEnd::Final(_));
            self.core.emit(Event::ReferEnded { referral: id, end });
            if is_over {
                self.forget_referral(id);
            }
        }
    }

    /// Its time is over.
    pub(super) fn referral_over(&mut self, id: ReferralId, now: Instant) {
        let Some(referral) = self.referrals.get_mut(&id) else { return };
        match &mut referral.role {
            Role::Ours { .. } => {
                self.end_refer(id, ReferEnd::Unknown);
                self.forget_referral(id);
            }
            Role::Theirs { is_dirty, ends_at, .. } => {
                (*is_dirty, *ends_at) = (true, now);
                self.core.wire.timers.set(TimerKey::ReferralGone(id), now + self.core.wire.patience() * 2);
                self.report_if_free(id, now);
            }
        }
    }

    /// SUBSCRIBE of the event package `refer`: a refresh, or the peer wants to hear no more (RFC 3515 2.4.4).
    pub(super) fn referral_subscribed(&mut self, tx: TxId, request: &Request, now: Instant) -> bool {
        let Some(key) = dialog_key(request).filter(|_| request.headers.event().as_deref() == Some("refer")) else { return false };
        let asked = request.headers.get("Event").unwrap_or_default();
        let is_it = |referral: &Referral| {
            let Role::Theirs { event, .. } = &referral.role else { return false };
            referral.dialog.key() == key && (!asked.contains(';') || event.eq_ignore_ascii_case(asked.trim()))
        };
        let Some((id, referral)) = self.referrals.iter_mut().find(|(_, referral)| is_it(referral)) else { return false };
        let (id, contact) = (*id, referral.dialog.contact.clone());
        let Role::Theirs { ends_at, is_dirty, .. } = &mut referral.role else { return false };
        let longest = u32::try_from(PATIENCE.as_secs()).unwrap_or(u32::MAX);
        let expires = request.headers.expires().unwrap_or(longest).min(longest);
        *is_dirty = true;
        *ends_at = now + Duration::from_secs(u64::from(expires));
        self.core.wire.timers.set(TimerKey::Referral(id), *ends_at);
        self.core.respond(tx, ResponseParts::new(200).with("Expires", expires).with("Contact", contact), now);
        self.report_if_free(id, now);
        true
    }

    /// A session goes; what was asked in it goes on in its dialog.
    pub(super) fn referrals_remain(&mut self, id: SessionId, session: &Session) {
        let Phase::Established(established) = &session.phase else { return };
        for referral in self.referrals.values_mut().filter(|referral| referral.session == Some(id)) {
            referral.dialog = established.dialog.clone();
            referral.session = None;
            self.dialogs.insert(referral.dialog.key(), DialogOwner::Remains);
        }
    }

    /// A request in the dialog of a session that is gone.
    pub(super) fn in_remains(&mut self, tx: TxId, request: &Request, source: Flow, now: Instant) {
        let Some(key) = dialog_key(request) else { return };
        let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let mut is_known = false;
        for referral in self.referrals.values_mut().filter(|r| r.dialog.key() == key && r.dialog.remote_tag() == tag) {
            referral.dialog.follow(request, source);
            is_known = true;
        }
        let is_taken = is_known
            && match request.method {
                Method::Notify => self.refer_notified(tx, request, now),
                Method::Subscribe => self.referral_subscribed(tx, request, now),
                Method::Invite
                | Method::Ack
                | Method::Cancel
                | Method::Bye
                | Method::Register
                | Method::Options
                | Method::Message
                | Method::Info
                | Method::Update
                | Method::Prack
                | Method::Refer
                | Method::Publish
                | Method::Other(_) => false,
            };
        if !is_taken {
            self.core.respond_status(tx, 481, now);
        }
    }

    pub(super) fn forget_referral(&mut self, id: ReferralId) {
        stop(&mut self.core, id);
        let Some(referral) = self.referrals.remove(&id) else { return };
        let key = referral.dialog.key();
        let is_last = !self.referrals.values().any(|other| other.session.is_none() && other.dialog.key() == key);
        if is_last && matches!(self.dialogs.get(&key), Some(DialogOwner::Remains)) {
            self.dialogs.remove(&key);
        }
    }
}

impl Referral {
    fn take_challenges(&mut self, response: &Response) -> bool {
        let Role::Ours { request, .. } = &mut self.role else { return false };
        let Some(authorizer) = &mut self.authorizer else { return false };
        if !authorizer.take_challenges(response, &mut self.challenged) {
            return false;
        }
        let number = self.dialog.next_number();
        request.headers.set("CSeq", format!("{number} REFER"));
        true
    }
}

fn dialog_of(sessions: &std::collections::BTreeMap<SessionId, Session>, id: Option<SessionId>) -> Option<&Dialog> {
    sessions.get(&id?).and_then(Session::established).map(|established| &established.dialog)
}

fn stop(core: &mut Core, id: ReferralId) {
    core.wire.timers.stop(TimerKey::Referral(id));
    core.wire.timers.stop(TimerKey::ReferralGone(id));
}
