//! The phone's private half: what it says over SIP, and what it makes of what it hears.

use aftertone_model::{CallId, Caller, Direction, EndReason, Now};
use aftertone_sip::{
    self as sip, EndedBy, Headers, Invite, Method, NameAddr, OutgoingRequest, Request, RequestFailure, Response, ResponseParts,
    SessionId, Uri,
};
use rand::Rng;

use crate::{
    CallPhase, CallSnapshot, Describe, Event, MediaRequestId, Output, Phone,
    call::{Call, Renewal, State},
    hold,
    registration::{self, Registration},
    target,
};

/// Joins a call's ringing, log and message on all devices.
const CALL_HEADER: &str = "Aftertone-Call";
/// Of an INVITE to a number that was not dialled.
const CALL_BACK_HEADER: &str = "Aftertone-Call-Back";
/// Why the account makes no call.
const REFUSAL_HEADER: &str = "Aftertone-Refusal";

impl Phone {
    /// Takes everything out of the user agent and acts on it, until nothing comes any more.
    pub(crate) fn settle(&mut self, now: Now) {
        loop {
            match self.ua.poll_output() {
                sip::Output::Timeout(at) => {
                    self.ua_timeout = at;
                    return;
                }
                sip::Output::Transmit { flow, bytes } => {
                    if let Some(connection) = flow.connection {
                        self.out.push_back(Output::Transmit { connection, bytes });
                    }
                }
                sip::Output::Event(event) => self.heard(event, now),
            }
        }
    }

    pub(crate) fn next_request(&mut self) -> MediaRequestId {
        self.last_request += 1;
        MediaRequestId(self.last_request)
    }

    pub(crate) fn tell(&mut self, id: CallId) {
        if let Some(call) = self.calls.get(&id) {
            self.out.push_back(Output::Event(Event::Call(call.snapshot.clone())));
        }
    }

    /// Forgets a call and tells how it ended; its session is over or was ended before.
    pub(crate) fn end(&mut self, id: CallId, reason: EndReason) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        for media in call.state.media() {
            self.out.push_back(Output::Event(Event::CloseMedia { media }));
        }
        call.snapshot.phase = CallPhase::Ended(reason);
        self.out.push_back(Output::Event(Event::Call(call.snapshot)));
    }

    pub(crate) fn hang_up_because(&mut self, id: CallId, reason: EndReason, now: Now) {
        if let Some(session) = self.calls.get(&id).and_then(|call| call.state.session()) {
            self.ua.hang_up(session, Headers::new(), now.mono);
        }
        self.end(id, reason);
    }

    pub(crate) fn register(&mut self, now: Now) {
        let Some(flow) = self.flow else { return };
        let request = self.register_request(self.expires);
        let (failures, was_registered) = (self.registration.failures(), self.registration.has_binding());
        let request = self.ua.request(request, flow, None, now.mono);
        self.registration = Registration::Asking { request, failures, was_registered };
    }

    pub(crate) fn register_request(&self, expires: u32) -> OutgoingRequest {
        let domain = Uri::sip("", &self.config.domain);
        let aor = NameAddr::new(Uri::sip(&self.config.user, &self.config.domain));
        let contact =
            self.contact_address().with_param("+sip.instance", Some(&format!("\"<urn:uuid:{}>\"", self.config.instance)));
        let mut request = OutgoingRequest::new(Method::Register, domain, aor.clone(), aor);
        request.call_id = Some(self.registration_call_id.clone());
        request.headers = Headers::new().with("Contact", contact).with("Expires", expires);
        request
    }

    pub(crate) fn invite(&mut self, id: CallId, (uri, is_back): (Uri, bool), media: MediaRequestId, sdp: String, now: Now) {
        let Some(flow) = self.flow else { return self.end(id, EndReason::Failed) };
        let from = NameAddr::new(Uri::sip(&self.config.user, &self.config.domain)).with_display(&self.config.display_name);
        let mut headers = Headers::new().with(CALL_HEADER, id);
        if is_back {
            headers.push(CALL_BACK_HEADER, 1);
        }
        let invite = Invite {
            to: NameAddr::new(uri.clone()),
            uri,
            from,
            contact: self.contact_address(),
            headers,
            sdp: Some(sdp),
            credentials: None,
        };
        let session = self.ua.invite(invite, flow, now.mono);
        if let Some(call) = self.calls.get_mut(&id) {
            call.state = State::Calling { session, media };
        }
    }

    pub(crate) fn accept(&mut self, id: CallId, session: SessionId, media: MediaRequestId, sdp: String, now: Now) {
        self.ua.accept(session, self.contact_address(), sdp, Headers::new(), now.mono);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let offered = std::mem::replace(&mut call.state, State::Active { session, media, change: None, renewal: None });
        call.snapshot.phase = CallPhase::Active;
        call.snapshot.answered_at = Some(now.wall);
        self.tell(id);
        // With a late offer the media wait for the answer in the ACK.
        if !matches!(offered, State::Answering { late_offer: true, .. }) {
            self.out.push_back(Output::Event(Event::UseMedia { media, call: id }));
        }
    }

    pub(crate) fn contact_address(&self) -> NameAddr {
        NameAddr::new(self.contact.clone())
    }

    fn heard(&mut self, event: sip::Event, now: Now) {
        match event {
            sip::Event::Incoming { session, request, .. } => self.incoming(session, &request, now),
            sip::Event::Progress { session, response } => self.progress(session, &response),
            sip::Event::Answered { session, response, sdp, .. } => self.answered(session, &response, sdp, now),
            sip::Event::Confirmed { session, sdp } | sip::Event::ReinviteConfirmed { session, sdp } => {
                self.confirmed(session, sdp)
            }
            sip::Event::Rejected { session, failure } => {
                self.note_refusal(session, &failure);
                self.ended(session, |call| rejected(call, &failure));
            }
            sip::Event::Cancelled { session, headers } => self.ended(session, |_| cancelled(&headers)),
            sip::Event::Ended { session, by, .. } => self.ended(session, |call| ended_by(call, by)),
            sip::Event::Reinvited { session, sdp, .. } => self.reinvited(session, sdp, now),
            sip::Event::Request { id, request, .. } => {
                // The lamp's NOTIFY is as good as any doorbell, and the doorbell rings anyway.
                let understood = matches!(request.method, Method::Options | Method::Notify);
                let status = if understood { 200 } else { 405 };
                self.ua.respond(id, ResponseParts::new(status), now.mono);
            }
            sip::Event::Updated { session, request } => self.renamed(session, &request.headers),
            sip::Event::Response { id, result } => self.registered(id, result, now),
            sip::Event::ReinviteAnswered { session, result } => self.renewed(session, result.ok()),
            sip::Event::Info { .. }
            | sip::Event::Message { .. }
            | sip::Event::Resubscribed { .. }
            | sip::Event::EarlyOffered { .. }
            | sip::Event::Referred { .. }
            | sip::Event::ReferProgress { .. }
            | sip::Event::ReferEnded { .. }
            | sip::Event::Notified { .. }
            | sip::Event::Unwatched { .. }
            | sip::Event::Unsubscribed { .. }
            // Nothing calls this phone over TCP.
            | sip::Event::Reopen { .. }
            | sip::Event::Unframeable { .. } => {}
        }
    }

    fn of_session(&self, session: SessionId) -> Option<CallId> {
        self.calls.values().find(|call| call.state.session() == Some(session)).map(|call| call.snapshot.id)
    }

    fn note_refusal(&mut self, session: SessionId, failure: &RequestFailure) {
        let RequestFailure::Refused(response) = failure else { return };
        let refusal = response.headers.get(REFUSAL_HEADER).and_then(|said| said.parse().ok());
        if let Some(call) = self.of_session(session).and_then(|id| self.calls.get_mut(&id)) {
            call.snapshot.refusal = refusal;
        }
    }

    fn ended(&mut self, session: SessionId, reason: impl FnOnce(&CallSnapshot) -> EndReason) {
        let Some(id) = self.of_session(session) else { return };
        let Some(reason) = self.calls.get(&id).map(|call| reason(&call.snapshot)) else { return };
        self.end(id, reason);
    }

    fn incoming(&mut self, session: SessionId, request: &Request, now: Now) {
        let named = account_id(&request.headers);
        let id = named.unwrap_or_else(|| {
            let high = u128::from(self.rng.next_u64());
            CallId::from_random(high << 64 | u128::from(self.rng.next_u64()))
        });
        if self.calls.contains_key(&id) {
            // The own call, come back: an exchange that rings all devices of its caller.
            self.ua.reject(session, 486, Headers::new(), now.mono);
            return;
        }
        let snapshot = CallSnapshot {
            id,
            account_id: named,
            direction: Direction::Incoming,
            party: self.caller(request),
            phase: CallPhase::Ringing,
            started_at: now.wall,
            answered_at: None,
            muted: false,
            held: false,
            held_by_other: false,
            refusal: None,
        };
        self.ua.ring(session, Headers::new().with("Contact", self.contact_address()), now.mono);
        self.calls.insert(id, Call { snapshot, state: State::Ringing { session, offer: request.sdp() } });
        self.tell(id);
    }

    fn caller(&self, request: &Request) -> Caller {
        let from = request.headers.from().ok();
        from.map_or_else(|| Caller { number: String::new(), name: None }, |from| self.party(from))
    }

    fn party(&self, address: NameAddr) -> Caller {
        let number = target::number(&address.uri, &self.config.domain);
        let name = address.display.filter(|name| !name.trim().is_empty() && !number.is_empty());
        Caller { number, name }
    }

    /// The account says who is at the other end by now (RFC 3325): somebody outside has transferred the call.
    fn renamed(&mut self, session: SessionId, headers: &Headers) {
        let Some(id) = self.of_session(session) else { return };
        let Some(named) = headers.addresses("P-Asserted-Identity").into_iter().next() else { return };
        let party = self.party(named);
        let Some(call) = self.calls.get_mut(&id).filter(|call| call.snapshot.party != party) else { return };
        call.snapshot.party = party;
        self.tell(id);
    }

    fn progress(&mut self, session: SessionId, response: &Response) {
        let Some(id) = self.of_session(session) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.snapshot.account_id = account_id(&response.headers).or(call.snapshot.account_id);
        // 180 rings; 181 (being forwarded), 182 (queued) and 183 don't (RFC 3261 section 21.1).
        if response.status == 180 && call.snapshot.phase == CallPhase::Dialing {
            call.snapshot.phase = CallPhase::Ringing;
            self.tell(id);
        }
    }

    fn answered(&mut self, session: SessionId, response: &Response, sdp: Option<String>, now: Now) {
        let Some(id) = self.of_session(session) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Calling { media, .. } = call.state else { return };
        let Some(answer) = sdp else { return self.hang_up_because(id, EndReason::Failed, now) };
        call.state = State::Active { session, media, change: None, renewal: None };
        call.snapshot.account_id = account_id(&response.headers).or(call.snapshot.account_id);
        call.snapshot.phase = CallPhase::Active;
        call.snapshot.answered_at = Some(now.wall);
        self.renamed(session, &response.headers);
        self.tell(id);
        self.out.push_back(Output::Event(Event::ApplyMedia { media, call: id, answer }));
    }

    /// An ACK came; with an SDP it answers an offer of ours.
    fn confirmed(&mut self, session: SessionId, sdp: Option<String>) {
        let Some(id) = self.of_session(session) else { return };
        if let Some(State::Active { media, .. }) = self.calls.get(&id).map(|call| &call.state)
            && let Some(answer) = sdp
        {
            let media = *media;
            self.out.push_back(Output::Event(Event::ApplyMedia { media, call: id, answer }));
        }
    }

    /// Sound from the address that the machine has now: every call offers it. Until the answer comes, the old media stay, for
    /// they may still work.
    pub(crate) fn renew_media(&mut self) {
        let active = |call: &&Call| matches!(call.state, State::Active { .. });
        for id in self.calls.values().filter(active).map(|call| call.snapshot.id).collect::<Vec<_>>() {
            self.renew(id);
        }
    }

    /// Offers new media for a call that goes on. Where an offer is out already, its answer comes first.
    pub(crate) fn renew(&mut self, id: CallId) {
        let request = self.next_request();
        let Some(Call { state: State::Active { renewal, .. }, .. }) = self.calls.get_mut(&id) else { return };
        if renewal.is_some_and(|renewal| renewal.offered) {
            return;
        }
        if let Some(earlier) = renewal.replace(Renewal { media: request, offered: false, held: false }) {
            self.out.push_back(Output::Event(Event::CloseMedia { media: earlier.media }));
        }
        self.out.push_back(Output::Event(Event::DescribeMedia { request, call: id, describe: Describe::Offer }));
    }

    /// Our re-INVITE was answered, or refused: then the call goes on with the media that it has.
    fn renewed(&mut self, session: SessionId, answer: Option<String>) {
        let Some(id) = self.of_session(session) else { return };
        let Some(Call { state: State::Active { media, renewal, .. }, snapshot }) = self.calls.get_mut(&id) else { return };
        let Some(Renewal { media: newer, held, .. }) = renewal.take_if(|renewal| renewal.offered) else { return };
        // Held or taken up again while the offer was out.
        let again = answer.is_some() && held != snapshot.held;
        let over = match answer {
            Some(answer) => {
                self.out.push_back(Output::Event(Event::ApplyMedia { media: newer, call: id, answer }));
                std::mem::replace(media, newer)
            }
            None => newer,
        };
        self.out.push_back(Output::Event(Event::CloseMedia { media: over }));
        if again {
            self.renew(id);
        }
    }

    fn reinvited(&mut self, session: SessionId, sdp: Option<String>, now: Now) {
        let request = self.next_request();
        let id = self.of_session(session);
        let call = id.and_then(|id| self.calls.get_mut(&id));
        let Some((id, Call { state: State::Active { change, .. }, snapshot })) = id.zip(call) else {
            self.ua.reject_reinvite(session, 488, now.mono);
            return;
        };
        let by_other = sdp.as_deref().is_some_and(hold::is_hold);
        let is_news = std::mem::replace(&mut snapshot.held_by_other, by_other) != by_other;
        if let Some(earlier) = change.replace(request) {
            self.out.push_back(Output::Event(Event::CloseMedia { media: earlier }));
        }
        if is_news {
            self.tell(id);
        }
        let describe = sdp.map_or(Describe::Offer, |offer| Describe::Answer { offer });
        self.out.push_back(Output::Event(Event::DescribeMedia { request, call: id, describe }));
    }

    fn registered(&mut self, id: sip::RequestId, result: Result<Response, RequestFailure>, now: Now) {
        let Registration::Asking { request, failures, was_registered } = &self.registration else { return };
        if *request != id {
            return;
        }
        let (failures, was_registered) = (*failures + 1, *was_registered);
        match result {
            Ok(response) => {
                let granted = self.granted(&response);
                let renew_at = now.mono + registration::renewal(granted, self.spread());
                self.registration = Registration::Registered { renew_at };
                if !was_registered {
                    self.out.push_back(Output::Event(Event::Registered));
                }
            }
            Err(failure) if self.asks_for_longer(&failure) => self.register(now),
            Err(failure) => {
                let asked = retry_after(&failure);
                let retry_in = registration::retry_delay(failures, asked, self.spread());
                self.registration = Registration::Waiting { retry_at: now.mono + retry_in, failures };
                self.out.push_back(Output::Event(Event::NotRegistered { status: failure.status(), retry_in }));
            }
        }
    }

    /// RFC 3261 section 10.2.8: a registrar that finds the interval too brief says what it takes.
    fn asks_for_longer(&mut self, failure: &RequestFailure) -> bool {
        let RequestFailure::Refused(response) = failure else { return false };
        let shortest = response.headers.get("Min-Expires").and_then(|value| value.trim().parse::<u32>().ok());
        let longer = shortest.filter(|shortest| response.status == 423 && *shortest > self.expires);
        self.expires = longer.unwrap_or(self.expires);
        longer.is_some()
    }

    /// From 0 to 1.
    fn spread(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    /// The lifetime of our own binding in an answer to REGISTER, in seconds (RFC 3261 section 10.2.4).
    fn granted(&self, response: &Response) -> u32 {
        let contacts = response.headers.contacts();
        let ours = contacts
            .iter()
            .find(|contact| contact.uri.user() == self.contact.user() && contact.uri.host() == self.contact.host());
        ours.and_then(NameAddr::expires).or_else(|| response.headers.expires()).unwrap_or(600)
    }
}

fn account_id(headers: &Headers) -> Option<CallId> {
    headers.get(CALL_HEADER)?.parse().ok()
}

/// How a refused call of ours ended.
fn rejected(call: &CallSnapshot, failure: &RequestFailure) -> EndReason {
    debug_assert_eq!(call.direction, Direction::Outgoing, "only calls that we make are rejected");
    match failure {
        RequestFailure::Timeout | RequestFailure::Transport => EndReason::Failed,
        RequestFailure::Refused(response) => match response.status {
            486 | 600 => EndReason::Busy,
            603 => EndReason::Declined,
            408 | 480 => EndReason::NoAnswer,
            487 => EndReason::Cancelled,
            _ => EndReason::Failed,
        },
    }
}

/// Why a call stopped ringing here: the Reason of the CANCEL (RFC 3326).
fn cancelled(headers: &Headers) -> EndReason {
    let sip_reason = |reason: &&str| reason.trim_start().get(..3).is_some_and(|protocol| protocol.eq_ignore_ascii_case("SIP"));
    let cause = headers.list("Reason").into_iter().find(sip_reason).and_then(|reason| {
        let params = reason.split(';').skip(1).filter_map(|param| param.split_once('='));
        params
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("cause"))
            .find_map(|(_, cause)| cause.trim().parse::<u16>().ok())
    });
    match cause {
        Some(200) => EndReason::AnsweredElsewhere,
        Some(600 | 603) => EndReason::Declined,
        Some(408) => EndReason::Diverted,
        Some(_) | None => EndReason::Cancelled,
    }
}

fn ended_by(call: &CallSnapshot, by: EndedBy) -> EndReason {
    match by {
        EndedBy::Remote if call.answered_at.is_some() => EndReason::RemoteHangup,
        EndedBy::Remote => EndReason::Cancelled,
        EndedBy::Timeout | EndedBy::Transport => EndReason::Failed,
    }
}

/// How long a refusal asks to be left alone (RFC 3261 section 20.33).
fn retry_after(failure: &RequestFailure) -> Option<std::time::Duration> {
    let RequestFailure::Refused(response) = failure else { return None };
    let value = response.headers.get("Retry-After")?;
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(std::time::Duration::from_secs)
}
