//! Reliable provisional responses (RFC 3262) and early dialogs, in both roles.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::UserAgent;
use super::core::{Owner, set_body};
use super::dialog::Dialog;
use super::session::{Calling, Phase, Ringing, Session};
use crate::event::{Body, EndedBy, Event, ResponseParts, SessionId};
use crate::flow::Flow;
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::{ClientOutcome, TxId, remote_tag};
use crate::uri::NameAddr;

/// A branch of a call of ours that rings.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    /// RSeq of the last reliable response.
    last: Option<u32>,
    /// The peer's description in a reliable response: the answer, or the offer if we made none. Or what it has offered since.
    pub(crate) remote_sdp: Option<String>,
    /// Our answer to its offer, in PRACK or to UPDATE.
    pub(crate) local_sdp: Option<String>,
}

/// What a callee has said reliably.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    /// The caller takes it; it may even insist.
    pub(crate) is_supported: bool,
    pub(crate) is_required: bool,
    /// RSeq of the last one.
    pub(crate) last: u32,
    unacknowledged: Option<Unacknowledged>,
    /// What waits for PRACK.
    queue: VecDeque<ResponseParts>,
    held: Option<Held>,
    /// Our description in a reliable response.
    pub(crate) local_sdp: Option<String>,
    /// The answer to it in PRACK, if it was an offer; or what the peer has offered since, in UPDATE.
    pub(crate) remote_sdp: Option<String>,
}

#[derive(Debug)]
struct Unacknowledged {
    flow: Flow,
    bytes: Vec<u8>,
    pause: Duration,
    has_sdp: bool,
}

/// An answer that has to wait for PRACK (RFC 3262 3).
#[derive(Debug)]
struct Held {
    contact: NameAddr,
    sdp: String,
    headers: Headers,
}

/// More branches than anybody forks to are not kept apart.
const MOST_BRANCHES: usize = 32;

/// Nobody has more to say before the first PRACK.
const MOST_QUEUED: usize = 8;

impl UserAgent {
    /// A provisional response above 100 to a call of ours.
    pub(super) fn progressed(&mut self, id: SessionId, tx: TxId, response: Response, now: Instant) {
        let Some((request, flow)) = self.core.clients.request(tx) else { return };
        let dialog = Dialog::as_caller(request, &response, flow);
        let Some(Session { phase: Phase::Calling(calling), .. }) = self.sessions.get_mut(&id) else { return };
        let tag = remote_tag(&response);
        if !tag.is_empty() && calling.early.len() < MOST_BRANCHES && !calling.early.contains_key(&tag) {
            calling.early.extend(dialog.map(|dialog| (tag.clone(), Early::new(dialog))));
        }
        let Some(number) = reliable_number(&response) else {
            self.core.emit(Event::Progress { session: id, response });
            return;
        };
        let Some(early) =
            calling.early.get_mut(&tag).filter(|early| early.last.is_none_or(|last| Some(number) == last.checked_add(1)))
        else {
            return;
        };
        early.last = Some(number);
        let sdp = response.sdp().filter(|_| early.remote_sdp.is_none());
        early.remote_sdp = early.remote_sdp.take().or_else(|| sdp.clone());
        let offer = sdp.filter(|_| !calling.has_offer);
        self.core.emit(Event::Progress { session: id, response });
        match offer {
            Some(sdp) => self.core.emit(Event::EarlyOffered { session: id, sdp }),
            None => self.acknowledge_progress(id, &tag, None, now),
        }
    }

    /// The caller answers the offer of a reliable response.
    pub(super) fn answer_early_offer(&mut self, id: SessionId, sdp: String, now: Instant) {
        let Some(Session { phase: Phase::Calling(calling), .. }) = self.sessions.get_mut(&id) else { return };
        if calling.has_offer {
            return;
        }
        let open = calling.early.iter_mut().find(|(_, early)| early.remote_sdp.is_some() && early.local_sdp.is_none());
        let Some((tag, early)) = open else { return };
        early.local_sdp = Some(sdp.clone());
        let tag = tag.clone();
        self.acknowledge_progress(id, &tag, Some(sdp), now);
    }

    fn acknowledge_progress(&mut self, id: SessionId, tag: &str, sdp: Option<String>, now: Instant) {
        let Some(Session { phase: Phase::Calling(calling), authorizer }) = self.sessions.get_mut(&id) else { return };
        let Some(Early { dialog, last: Some(last), .. }) = calling.early.get(tag) else { return };
        let mut prack = dialog.request(Method::Prack);
        prack.headers.push("RAck", format!("{last} {} INVITE", dialog.invite_number));
        if let Some(sdp) = sdp {
            set_body(&mut prack.headers, &mut prack.body, Body::sdp(sdp));
        }
        let flow = dialog.next_hop();
        self.core.authorize(authorizer.as_mut(), &mut prack);
        self.core.send(prack, flow, Owner::Prack(id), now);
    }

    /// Only a challenge matters: what PRACK failed to do shows in the INVITE.
    pub(super) fn prack_outcome(&mut self, id: SessionId, outcome: &ClientOutcome<Owner>, now: Instant) {
        let Ok(response) = &outcome.result else { return };
        let Some(session) = self.sessions.get_mut(&id).filter(|_| matches!(response.status, 401 | 407)) else { return };
        let (Some(authorizer), Phase::Calling(calling)) = (&mut session.authorizer, &mut session.phase) else { return };
        let Some((request, flow)) = self.core.clients.request(outcome.tx) else { return };
        let Some(early) = calling.early.get(&remote_tag(response)) else { return };
        if !authorizer.take_challenges(response, &mut calling.challenged) {
            return;
        }
        let mut request = request.clone();
        request.headers.remove("Via");
        request.headers.set("CSeq", format!("{} PRACK", early.dialog.next_number()));
        self.core.authorize(Some(authorizer), &mut request);
        self.core.send(request, flow, Owner::Prack(id), now);
    }

    /// Sends a provisional response as a callee, reliably if the caller insists, or if it carries something and the caller can.
    /// Not at all where the caller insists on an offer first that is not there yet.
    pub(super) fn send_progress(&mut self, id: SessionId, mut parts: ResponseParts, now: Instant) {
        let Some(Session { phase: Phase::Ringing(ringing), .. }) = self.sessions.get_mut(&id) else { return };
        if !(101..200).contains(&parts.status) || ringing.reliable.held.is_some() {
            return;
        }
        if !parts.headers.contains("Contact") {
            parts.headers.push("Contact", self.core.contact(ringing.source, &ringing.user));
        }
        let reliable = &mut ringing.reliable;
        // RFC 3262 5: to an INVITE without an offer the first reliable one makes it, or there is none.
        let describes = parts.body.as_ref().is_some_and(Body::is_sdp);
        let may_be_reliable = ringing.has_offer || describes || reliable.local_sdp.is_some();
        if reliable.is_required && !may_be_reliable {
            return;
        }
        let is_reliable = may_be_reliable && (reliable.is_required || reliable.is_supported && parts.body.is_some());
        if !is_reliable {
            let tx = ringing.tx;
            self.core.respond(tx, parts, now);
        } else if reliable.unacknowledged.is_none() {
            self.send_reliably(id, parts, now);
        } else if reliable.queue.len() < MOST_QUEUED {
            reliable.queue.push_back(parts);
        }
    }

    fn send_reliably(&mut self, id: SessionId, mut parts: ResponseParts, now: Instant) {
        let Some(Session { phase: Phase::Ringing(ringing), .. }) = self.sessions.get_mut(&id) else { return };
        let reliable = &mut ringing.reliable;
        let sdp = parts.body.as_ref().filter(|body| body.is_sdp()).map(|body| String::from_utf8_lossy(&body.data).into_owned());
        reliable.last += 1;
        parts.headers.push("Require", "100rel");
        parts.headers.push("RSeq", reliable.last);
        let has_sdp = sdp.is_some();
        reliable.local_sdp = sdp.or(reliable.local_sdp.take());
        let Some((flow, bytes)) = self.core.respond(ringing.tx, parts, now) else { return };
        let pause = self.core.wire.times.t1;
        reliable.unacknowledged = Some(Unacknowledged { flow, bytes, pause, has_sdp });
        self.core.wire.timers.set(TimerKey::Progress(id), now + pause);
        self.core.wire.timers.set(TimerKey::NoPrack(id), now + self.core.wire.patience());
    }

    /// PRACK is late: the response again.
    pub(super) fn progress_again(&mut self, id: SessionId, now: Instant) {
        let Some(Session { phase: Phase::Ringing(ringing), .. }) = self.sessions.get_mut(&id) else { return };
        let Some(unacknowledged) = &mut ringing.reliable.unacknowledged else { return };
        unacknowledged.pause *= 2;
        self.core.wire.transmit(unacknowledged.flow, unacknowledged.bytes.clone());
        self.core.wire.timers.set(TimerKey::Progress(id), now + unacknowledged.pause);
    }

    /// RFC 3262 3: no PRACK for 64*T1.
    pub(super) fn no_prack(&mut self, id: SessionId, now: Instant) {
        self.refuse_call(id, ResponseParts::new(504), now);
        self.core.emit(Event::Ended { session: id, by: EndedBy::Timeout, headers: Headers::new() });
    }

    pub(super) fn prack_received(&mut self, id: SessionId, tx: TxId, request: &Request, now: Instant) {
        let acknowledged = acknowledged_number(&request.headers);
        let known = match self.sessions.get_mut(&id).map(|session| &mut session.phase) {
            Some(Phase::Ringing(ringing)) if acknowledged.is_some_and(|(number, _)| number == ringing.reliable.last) => {
                ringing.reliable.unacknowledged.take().map(|_| ringing)
            }
            // The 2xx overtook it.
            Some(Phase::Established(established)) if acknowledged.is_some_and(|(n, _)| n <= established.last_reliable) => {
                self.core.respond_status(tx, 200, now);
                return;
            }
            Some(Phase::Ringing(_) | Phase::Calling(_) | Phase::Unacknowledged { .. } | Phase::Established(_)) | None => None,
        };
        let Some(ringing) = known else {
            self.core.respond_status(tx, 481, now);
            return;
        };
        let expects_answer = !ringing.has_offer && ringing.reliable.remote_sdp.is_none();
        if expects_answer {
            ringing.reliable.remote_sdp = request.sdp();
        }
        let (held, next) = (ringing.reliable.held.take(), ringing.reliable.queue.pop_front());
        self.core.wire.timers.stop(TimerKey::Progress(id));
        self.core.wire.timers.stop(TimerKey::NoPrack(id));
        if expects_answer || request.sdp().is_none() {
            self.core.respond_status(tx, 200, now);
        } else {
            // A new offer, as in UPDATE (RFC 3262 5). What it acknowledges is acknowledged, whatever becomes of it.
            self.early_change_received(id, tx, request, now);
        }
        match (held, next) {
            (Some(Held { contact, sdp, headers }), _) => self.answer(id, contact, sdp, headers, now),
            (None, Some(parts)) => self.send_reliably(id, parts, now),
            (None, None) => {}
        }
    }
}

impl Early {
    fn new(dialog: Dialog) -> Self {
        Self { dialog, last: None, remote_sdp: None, local_sdp: None }
    }
}

impl Calling {
    /// The dialog that a 2xx makes, with what its early one has seen; and the descriptions exchanged before, ours and the peer's.
    pub(crate) fn confirm(&mut self, mut dialog: Dialog) -> (Dialog, Option<String>, Option<String>) {
        let Some(early) = self.early.remove(dialog.remote_tag()) else { return (dialog, None, None) };
        dialog.succeed(&early.dialog);
        (dialog, early.local_sdp, early.remote_sdp)
    }
}

impl Reliable {
    /// What waits for PRACK is repeated there from now on.
    pub(crate) fn moves_to(&mut self, flow: Flow) {
        if let Some(unacknowledged) = &mut self.unacknowledged {
            unacknowledged.flow = flow;
        }
    }

    /// A description of ours waits for PRACK.
    pub(crate) fn waits(&self) -> bool {
        self.unacknowledged.as_ref().is_some_and(|unacknowledged| unacknowledged.has_sdp)
    }
}

impl Ringing {
    /// Keeps the answer back until PRACK came for a description of ours.
    pub(crate) fn holds(&mut self, contact: &NameAddr, sdp: &str, headers: &Headers) -> bool {
        let waits = self.reliable.waits();
        if waits {
            self.reliable.held = Some(Held { contact: contact.clone(), sdp: sdp.to_owned(), headers: headers.clone() });
        }
        waits
    }
}

/// RSeq of a response that wants PRACK.
fn reliable_number(response: &Response) -> Option<u32> {
    if !response.headers.lists("Require", "100rel") {
        return None;
    }
    response.headers.get("RSeq")?.trim().parse().ok()
}

/// RAck: the numbers of the response and of its INVITE.
fn acknowledged_number(headers: &Headers) -> Option<(u32, u32)> {
    let mut words = headers.get("RAck")?.split_ascii_whitespace();
    let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next() == Some("INVITE")).then_some(numbers)
}
