//! Questions to the media plane, and what their answers set going.

use std::{collections::BTreeMap, time::Duration};

use aftertone_media::{Codec, dtmf::Digit, sdp};
use aftertone_model::{CallId, CallRecord, Direction, EndReason, Envelope, MessageId, Now, Subscriber};
use aftertone_sip::{Request, SessionId};

use crate::{
    DepositOrder, Described, Event, Exchange, LegId, LegMedia, MediaCommand, MediaFailure, MediaRequestId,
    call::{Call, Called, MEDIA_WAIT, Partner, State},
    ended::End,
    incoming::media_of,
    requests::call_headers,
    timers::Timer,
};

/// Why something was asked of the media plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The offer for a device.
    RingOffer,
    /// Applying the answer of the device that answered first.
    DeviceAnswer,
    /// The answer (or the late offer) for the caller.
    CallerDescription,
    /// Applying the caller's answer to our late offer.
    CallerAnswer,
    /// The description for a re-INVITE.
    Reinvite,
    /// The answer for an INVITE that takes the place of a leg.
    Replacement,
    /// Applying the answer to our offer in a re-INVITE.
    ReinviteAnswer,
    /// Applying what a trunk answers before the call is answered.
    EarlyAnswer,
    /// The caller's answer before the call is answered.
    EarlyDescription,
    /// The offer for a leg whose media were direct.
    Return,
    /// Applying its answer.
    ReturnAnswer,
    /// The offer that tells where the sound of a call has moved to.
    Moved,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    call: CallId,
    leg: LegId,
    purpose: Purpose,
}

impl Pending {
    pub(crate) fn is_of(&self, call: CallId) -> bool {
        self.call == call
    }

    /// Whether it brings the leg's media back to the server.
    pub(crate) fn is_return_of(&self, leg: LegId) -> bool {
        self.leg == leg && matches!(self.purpose, Purpose::Return | Purpose::ReturnAnswer)
    }
}

impl Exchange {
    pub(crate) fn command(&mut self, command: MediaCommand) {
        self.events(Event::Media(command));
    }

    /// Under which call the media plane knows the legs of this one.
    pub(crate) fn media_call(&self, id: CallId) -> CallId {
        self.calls.get(&id).map_or(id, |call| call.media)
    }

    pub(crate) fn ask_media(&mut self, call: CallId, leg: LegId, purpose: Purpose, now: Now) -> MediaRequestId {
        self.last_request += 1;
        let request = MediaRequestId(self.last_request);
        self.pending.insert(request, Pending { call, leg, purpose });
        self.timers.set(now.mono + MEDIA_WAIT, Timer::Media(request));
        request
    }

    pub(crate) fn on_described(&mut self, request: MediaRequestId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(Pending { call, leg, purpose }) = self.pending.remove(&request) else { return };
        match purpose {
            Purpose::RingOffer => self.ring_described(call, leg, result, now),
            Purpose::CallerDescription => self.caller_described(call, result, now),
            Purpose::Reinvite => self.reinvite_described(call, leg, result, now),
            Purpose::Moved => self.moved_described(call, leg, result, now),
            Purpose::Replacement => self.replacement_described(call, leg, result, now),
            Purpose::Return => self.return_described(call, leg, result, now),
            Purpose::EarlyDescription => self.early_described(call, result, now),
            // The plane has answered another question than we asked.
            Purpose::DeviceAnswer
            | Purpose::CallerAnswer
            | Purpose::EarlyAnswer
            | Purpose::ReinviteAnswer
            | Purpose::ReturnAnswer => {
                self.applied(call, leg, purpose, Err(MediaFailure::Failed("a description came instead of a codec".into())), now);
            }
        }
    }

    pub(crate) fn on_applied(&mut self, request: MediaRequestId, result: Result<Codec, MediaFailure>, now: Now) {
        if let Some(Pending { call, leg, purpose }) = self.pending.remove(&request) {
            self.applied(call, leg, purpose, result, now);
        }
    }

    fn applied(&mut self, call: CallId, leg: LegId, purpose: Purpose, result: Result<Codec, MediaFailure>, now: Now) {
        match purpose {
            Purpose::DeviceAnswer => self.device_answer_applied(call, leg, result, now),
            Purpose::CallerAnswer => self.caller_answer_applied(call, result, now),
            // Where that fails, the session goes on as it was; media that were direct have nothing to go back to.
            Purpose::ReinviteAnswer | Purpose::ReturnAnswer => self.returned(call, leg, result, now),
            Purpose::EarlyAnswer => self.early_applied(call, leg, result, now),
            Purpose::RingOffer
            | Purpose::CallerDescription
            | Purpose::EarlyDescription
            | Purpose::Reinvite
            | Purpose::Return
            | Purpose::Moved
            | Purpose::Replacement => {}
        }
    }

    /// The plane did not answer in time.
    pub(crate) fn media_is_late(&mut self, request: MediaRequestId, now: Now) {
        let Some(pending) = self.pending.get(&request).copied() else { return };
        let failure = MediaFailure::Failed("no answer in time".into());
        match pending.purpose {
            Purpose::RingOffer
            | Purpose::CallerDescription
            | Purpose::EarlyDescription
            | Purpose::Reinvite
            | Purpose::Return
            | Purpose::Moved
            | Purpose::Replacement => {
                self.on_described(request, Err(failure), now);
            }
            Purpose::DeviceAnswer
            | Purpose::CallerAnswer
            | Purpose::EarlyAnswer
            | Purpose::ReinviteAnswer
            | Purpose::ReturnAnswer => {
                self.on_applied(request, Err(failure), now);
            }
        }
    }

    /// Asks for the caller's description: an answer, or an offer if the caller waits for one.
    pub(crate) fn describe_caller(&mut self, id: CallId, mut prefer: Vec<Codec>, now: Now) {
        let Some(call) = self.calls.get(&id) else { return };
        let peer = self.towards(call.caller.line, call.caller.flow);
        let (leg, media, offer) = (call.caller.leg, call.caller.media, call.caller.offer.clone());
        if offer.is_none() && !prefer.is_empty() {
            prefer.extend(Codec::ALL.into_iter().filter(|codec| !prefer.contains(codec)).collect::<Vec<_>>());
        }
        if let Some(sdp) = call.caller.early.clone() {
            // It was answered already (RFC 3261 section 13.2.1): the same again.
            let codecs = call.caller.codec.into_iter().collect();
            return self.caller_described(id, Ok(Described { sdp, codecs }), now);
        }
        let request = self.ask_media(id, leg, Purpose::CallerDescription, now);
        if let Some(call) = self.calls.get_mut(&id) {
            call.caller.has_media = true;
        }
        self.command(match offer {
            Some(offer) => MediaCommand::Answer { request, call: self.media_call(id), leg, media, peer, offer, prefer },
            None => MediaCommand::Offer { request, call: self.media_call(id), leg, media, peer, prefer },
        });
    }

    /// The caller is answered, for a device or for the mailbox.
    fn caller_described(&mut self, id: CallId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Deciding(partner) = call.state else { return };
        let described = match result {
            Ok(described) => described,
            Err(failure) => return self.finish(id, End::NoMedia(failure), now),
        };
        call.state = State::Accepted(partner);
        let is_late = call.caller.offer.is_none();
        if !is_late {
            call.caller.codec = described.codecs.first().copied();
        }
        let (session, a) = (call.caller.session, call.caller.leg);
        let (line, flow) = (call.caller.line, call.caller.flow);
        let contact = self.contact_in_calls(line, flow);
        let mut headers = call_headers(id);
        headers.extend(self.connected_line(id, a));
        self.ua.accept(session, contact, described.sdp, headers, now.mono);
        if let (Partner::Device { leg: b, .. }, false) = (partner, is_late) {
            self.command(MediaCommand::Bridge { a, b });
        }
    }

    /// The caller's ACK.
    pub(crate) fn on_confirmed(&mut self, session: SessionId, sdp: Option<String>, now: Now) {
        let Some((id, leg)) = self.sessions.get(&session).copied() else { return };
        let Some(call) = self.calls.get(&id) else { return };
        match (call.caller.offer.is_some(), sdp) {
            (true, _) => self.run(id, now),
            (false, Some(answer)) => {
                let request = self.ask_media(id, leg, Purpose::CallerAnswer, now);
                self.command(MediaCommand::Apply { request, leg, answer });
            }
            (false, None) => self.finish(id, End::Failed, now),
        }
    }

    fn caller_answer_applied(&mut self, id: CallId, result: Result<Codec, MediaFailure>, now: Now) {
        let Ok(codec) = result else { return self.finish(id, End::Failed, now) };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.caller.codec = Some(codec);
        if let Some(Partner::Device { leg: b, .. }) = call.partner() {
            let a = call.caller.leg;
            self.command(MediaCommand::Bridge { a, b });
        }
        self.run(id, now);
    }

    pub(crate) fn run(&mut self, id: CallId, now: Now) {
        let message = MessageId::from_random(self.random_bits());
        let Some(call) = self.calls.get_mut(&id) else { return };
        let State::Accepted(partner) = call.state else { return };
        call.state = State::Running(partner);
        let Some(call) = self.calls.get(&id) else { return };
        if let Called::Menu(visitor) = call.called {
            let (leg, menu) = (call.caller.leg, self.menu_order(call, visitor));
            return self.command(MediaCommand::Menu { leg, menu });
        }
        if let (Partner::Mailbox { reason }, Some(callee)) = (partner, call.callee()) {
            let menu = self.menu_of_mailbox(call);
            let (greeting, longest) = self.answer_of(call, callee.id, reason, now);
            let spoken_name = if greeting.is_none() { self.spoken_name_of(callee.id) } else { None };
            let keys = self.keys_of(callee.id);
            let order = deposit_order(call, callee, message, reason, now);
            let deposit = Box::new(DepositOrder { greeting, spoken_name, longest, menu, keys, ..order });
            let leg = call.caller.leg;
            self.command(MediaCommand::Deposit { leg, deposit });
        }
    }

    /// A phone holds, resumes or moves its media, or changes them before the answer: its leg is described anew, and only that.
    /// `branch`: of a call over a trunk that was not answered yet.
    pub(crate) fn on_reinvited(&mut self, session: SessionId, offer: Option<String>, branch: Option<String>, now: Now) {
        let found = self.sessions.get(&session).copied();
        let Some((id, leg)) = found else { return self.ua.reject_reinvite(session, 481, now.mono) };
        let Some(call) = self.calls.get(&id) else { return self.ua.reject_reinvite(session, 481, now.mono) };
        let prefer: Vec<_> = other_codec(call, leg).into_iter().collect();
        let media = call.legs.get(&leg).map_or(call.caller.media, |device| device.media);
        let flow = self.ua.session_flow(session).unwrap_or(call.caller.flow);
        let peer = self.towards(call.line(leg), flow);
        self.offered_anew(id, leg, now);
        if let Some(offer) = &offer {
            if !self.take_early_offer(id, leg, offer, branch) {
                return self.ua.reject_reinvite(session, 488, now.mono);
            }
            self.go_on_without_ack(id, now);
            self.note_hold(id, leg, offer);
        }
        let request = self.ask_media(id, leg, Purpose::Reinvite, now);
        self.command(match offer {
            Some(offer) => {
                let media = sdp::parse(&offer).map_or(LegMedia::Rtp, |session| media_of(&session));
                MediaCommand::Answer { request, call: self.media_call(id), leg, media, peer, offer, prefer }
            }
            None => MediaCommand::Offer { request, call: self.media_call(id), leg, media, peer, prefer },
        });
    }

    fn reinvite_described(&mut self, id: CallId, leg: LegId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(session) = self.calls.get(&id).and_then(|call| call.session(leg)) else { return };
        match result {
            Ok(described) => {
                self.note_early_change(id, leg, &described);
                self.ua.accept_reinvite(session, described.sdp, now.mono);
                // Where the offer was ours, the answer is still to come.
                if let [codec] = described.codecs[..] {
                    self.returned(id, leg, Ok(codec), now);
                }
            }
            Err(failure) => {
                self.ua.reject_reinvite(session, 488, now.mono);
                self.returned(id, leg, Err(failure), now);
            }
        }
    }

    /// A key that was pressed, as RFC 6086's INFO tells it: for the mailbox, or for the other party.
    pub(crate) fn on_info(&mut self, session: SessionId, request: &Request) {
        let Some((id, leg)) = self.sessions.get(&session).copied() else { return };
        let Some(digit) = pressed(request) else { return };
        let to_mailbox = self
            .calls
            .get(&id)
            .is_some_and(|call| leg == call.caller.leg && matches!(call.state, State::Running(Partner::Mailbox { .. })));
        if let Some(leg) = if to_mailbox { Some(leg) } else { self.other_leg(id, leg) } {
            self.command(MediaCommand::Press { leg, digit });
        }
    }

    pub(crate) fn on_reinvite_confirmed(&mut self, session: SessionId, sdp: Option<String>, now: Now) {
        let (Some((id, leg)), Some(answer)) = (self.sessions.get(&session).copied(), sdp) else { return };
        self.note_hold(id, leg, &answer);
        let request = self.ask_media(id, leg, Purpose::ReinviteAnswer, now);
        self.command(MediaCommand::Apply { request, leg, answer });
    }
}

/// The key in an INFO's body: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`), as most makes send them.
fn pressed(request: &Request) -> Option<Digit> {
    let kind = request.headers.get("Content-Type")?.split(';').next()?.trim().to_ascii_lowercase();
    let body = std::str::from_utf8(&request.body).ok()?;
    let signal = match kind.as_str() {
        "application/dtmf" => body,
        "application/dtmf-relay" => {
            let signals = body.lines().filter_map(|line| line.split_once('='));
            signals.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))?.1
        }
        _ => return None,
    };
    match signal.trim() {
        "10" => Digit::from_char('*'),
        "11" => Digit::from_char('#'),
        key => Digit::from_char(Some(key).filter(|key| key.len() == 1)?.chars().next()?),
    }
}

/// What the leg's partner speaks.
fn other_codec(call: &Call, leg: LegId) -> Option<Codec> {
    if leg != call.caller.leg {
        return call.caller.codec;
    }
    match call.partner() {
        Some(Partner::Device { leg, .. }) => call.legs.get(&leg)?.codec,
        Some(Partner::Mailbox { .. }) => call.caller.codec,
        None => call.legs.get(&call.early?)?.codec,
    }
}

fn deposit_order(
    call: &Call,
    callee: &Subscriber,
    message: MessageId,
    reason: aftertone_model::Reason,
    now: Now,
) -> DepositOrder {
    let envelope = Envelope {
        id: message,
        call: call.id,
        mailbox: callee.id,
        caller: call.party.clone(),
        received_at: call.started_at,
        reason,
        urgent: false,
        private: false,
        call_back: None,
        test: call.is_test,
    };
    let record = CallRecord {
        call: call.id,
        owner: callee.id,
        direction: Direction::Incoming,
        party: call.party.clone(),
        started_at: call.started_at,
        answered_at: None,
        ended_at: now.wall,
        end: EndReason::Diverted,
        diverted: Some(reason),
        message: None,
        figures: None,
    };
    DepositOrder {
        envelope,
        record,
        language: callee.language,
        greeting: None,
        spoken_name: None,
        longest: Duration::ZERO,
        menu: None,
        keys: BTreeMap::new(),
        choices: true,
    }
}
