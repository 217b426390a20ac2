//! Ringing: one leg per device, who answers first, and what else can happen (the table in the architecture).

use aftertone_media::Codec;
use aftertone_model::{CallId, Now, Reason, Subscriber, SubscriberId};
use aftertone_sip::{Flow, Headers, Invite, NameAddr, RequestFailure, Response, SessionId, Uri, origin::Diversion};

use crate::{
    Described, Exchange, LegId, LegMedia, MediaCommand, MediaFailure,
    call::{Call, DeviceLeg, Partner, Referrer, State},
    ended::End,
    media::Purpose,
    requests::{call_headers, contact_of},
};

/// Why a leg that rings is given up: the `Reason` header of its CANCEL (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Another device answered; this one shows that, and not a missed call.
    AnsweredElsewhere,
    /// Another device declined.
    Declined,
    /// The ring time is over.
    Diverted,
    /// The caller hung up, or the call failed.
    CallerGone,
}

impl GivenUp {
    fn headers(self) -> Headers {
        match self {
            Self::AnsweredElsewhere => Headers::new().with("Reason", "SIP;cause=200;text=\"Call completed elsewhere\""),
            Self::Declined => Headers::new().with("Reason", "SIP;cause=603"),
            Self::Diverted => Headers::new().with("Reason", "SIP;cause=408;text=\"Diverted\""),
            Self::CallerGone => Headers::new(),
        }
    }
}

/// How a leg that rang came to nothing.
#[derive(Debug)]
enum Outcome {
    Busy,
    Declined,
    /// With the reason that the phone gives, as in Diversion.
    Moved(Vec<NameAddr>, String),
    /// Any other answer.
    Refused(u16),
    /// Nobody was there to answer.
    Unreachable,
}

impl Outcome {
    fn status(&self) -> u16 {
        match self {
            Self::Busy => 486,
            Self::Declined => 603,
            // Nobody follows a provider's redirection at somebody's cost.
            Self::Moved(..) => 480,
            Self::Refused(status) => *status,
            Self::Unreachable => 408,
        }
    }
}

impl Exchange {
    /// Opens a leg to each device of `owner`: first its offer is made.
    pub(crate) fn ring(&mut self, id: CallId, owner: SubscriberId, now: Now) {
        for binding in self.bindings.to_ring(owner) {
            let media = if binding.flow.transport.is_web_socket() { LegMedia::WebRtc } else { LegMedia::Rtp };
            let is_direct = self.calls.get(&id).is_some_and(|call| self.may_go_directly(call, binding.flow));
            let device = DeviceLeg {
                owner: Some(owner),
                line: None,
                flow: binding.flow,
                media,
                contact: binding.contact,
                path: binding.path,
                rings: false,
                session: None,
                codec: None,
                is_direct,
                offered: None,
                branch: None,
            };
            self.ring_device(id, device, now);
        }
    }

    fn ring_device(&mut self, id: CallId, device: DeviceLeg, now: Now) {
        let leg = self.new_leg();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (media, peer, prefer) = (device.media, device.flow.remote.ip().into(), call.preference());
        let own = call.caller.offer.clone().filter(|_| device.is_direct);
        call.legs.insert(leg, device);
        self.leg_calls.insert(leg, id);
        if let Some(sdp) = own {
            return self.ring_described(id, leg, Ok(Described { sdp, codecs: prefer }), now);
        }
        let request = self.ask_media(id, leg, Purpose::RingOffer, now);
        self.command(MediaCommand::Offer { request, call: self.media_call(id), leg, media, peer, prefer });
    }

    /// A leg's offer is made: its device is called.
    pub(crate) fn ring_described(&mut self, id: CallId, leg: LegId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(device) = call.legs.get(&leg) else { return };
        let Ok(described) = result else { return self.leg_is_done(id, leg, Outcome::Refused(488), now) };
        let flow = device.flow;
        let invite = match (device.line.and_then(|line| self.lines.get(&line)), call.callee()) {
            (Some(line), _) => self.trunk_invite(call, line, flow, device.contact.clone(), described.sdp),
            (None, Some(callee)) if device.line.is_none() => self.device_invite(call, callee, device, described.sdp),
            // The trunk was taken away in this moment.
            (None, _) => return self.leg_is_done(id, leg, Outcome::Unreachable, now),
        };
        let session = self.ua.invite(invite, flow, now.mono);
        self.sessions.insert(session, (id, leg));
        if let Some(device) = self.calls.get_mut(&id).and_then(|call| call.legs.get_mut(&leg)) {
            device.session = Some(session);
        }
    }

    fn device_invite(&self, call: &Call, callee: &Subscriber, device: &DeviceLeg, sdp: String) -> Invite {
        let to = Uri::sip(callee.user.as_str(), &self.config.domain);
        let mut headers = call_headers(call.id).with("Max-Forwards", call.hops);
        device.path.iter().for_each(|hop| headers.push("Route", hop));
        call.signatures.iter().for_each(|signed| headers.push("Identity", signed));
        if let Some(by) = call.referrer.as_ref().and_then(|referrer| self.referred_by(referrer)) {
            headers.push("Referred-By", by);
        }
        Invite {
            uri: device.contact.clone(),
            from: call.shown.clone(),
            to: NameAddr::new(to).with_display(&callee.display_name),
            contact: contact_of(device.flow, "call"),
            headers,
            sdp: Some(sdp),
            credentials: None,
        }
    }

    /// Who transferred the call, for our people's devices (RFC 3892).
    fn referred_by(&self, referrer: &Referrer) -> Option<NameAddr> {
        match referrer {
            Referrer::Person(person) => {
                let subscriber = &self.directory.person(*person)?.subscriber;
                let uri = Uri::sip(subscriber.extension.as_str(), &self.config.domain);
                Some(NameAddr::new(uri).with_display(&subscriber.display_name))
            }
            Referrer::Peer(said) => Some(said.clone()),
        }
    }

    /// The first device that rings makes the caller hear it.
    pub(crate) fn on_progress(&mut self, session: SessionId, response: &Response, now: Now) {
        let Some((id, leg)) = self.sessions.get(&session).copied() else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(device) = call.legs.get_mut(&leg) {
            device.rings = true;
        }
        if let Some(answer) = response.sdp() {
            let branch = response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned));
            self.early_media(id, leg, (answer, branch), now);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        if response.status >= 180 && !call.rings && matches!(call.state, State::Ringing) {
            call.rings = true;
            if call.caller.is_answered {
                self.report(id, 180, now);
            } else {
                let (session, line, flow) = (call.caller.session, call.caller.line, call.caller.flow);
                let headers = call_headers(id).with("Contact", self.contact_in_calls(line, flow));
                self.ua.ring(session, headers, now.mono);
            }
        }
    }

    /// A device answered: it has the call, the others are told so, its answer is applied.
    pub(crate) fn on_answered(&mut self, session: SessionId, sdp: Option<String>, now: Now) {
        let found = self.sessions.get(&session).copied().filter(|(id, _)| self.calls.contains_key(id));
        let Some((id, leg)) = found else { return self.ua.hang_up(session, Headers::new(), now.mono) };
        let Some(answer) = sdp else {
            self.ua.hang_up(session, Headers::new(), now.mono);
            return self.leg_is_done(id, leg, Outcome::Refused(488), now);
        };
        self.give_up_legs(id, Some(leg), GivenUp::AnsweredElsewhere, now);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(device) = call.legs.get(&leg) else { return };
        let (is_direct, described) = (device.is_direct, device.codec.filter(|_| device.offered.as_ref() == Some(&answer)));
        call.state = State::Deciding(Partner::Device { leg, owner: device.owner, answered_at: now.wall });
        if is_direct {
            return self.answered_directly(id, leg, answer, now);
        }
        if let Some(codec) = described {
            return self.device_answer_applied(id, leg, Ok(codec), now);
        }
        let request = self.ask_media(id, leg, Purpose::DeviceAnswer, now);
        self.command(MediaCommand::Apply { request, leg, answer });
    }

    /// The device's answer is applied: the caller gets theirs, with the same codec. If it can't be used, no other device is
    /// left to ring, and the caller shall not be lost: the mailbox takes the call.
    pub(crate) fn device_answer_applied(&mut self, id: CallId, leg: LegId, result: Result<Codec, MediaFailure>, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !call.is_partner(leg) {
            return;
        }
        match result {
            Ok(codec) => {
                if let Some(device) = call.legs.get_mut(&leg) {
                    device.codec = Some(codec);
                }
                match call.partner().filter(|_| call.caller.is_answered) {
                    Some(partner) => self.transferred(id, partner, now),
                    None => self.describe_caller(id, vec![codec], now),
                }
            }
            Err(_) => self.divert(id, Reason::NoAnswer, now),
        }
    }

    pub(crate) fn on_rejected(&mut self, session: SessionId, failure: &RequestFailure, now: Now) {
        let Some((id, leg)) = self.sessions.remove(&session) else { return };
        if matches!(failure, RequestFailure::Refused(response) if matches!(response.status, 415 | 488 | 606))
            && self.ring_with_webrtc(id, leg, now)
        {
            return;
        }
        let outcome = match failure {
            RequestFailure::Timeout | RequestFailure::Transport => Outcome::Unreachable,
            RequestFailure::Refused(response) => match response.status {
                486 | 600 => Outcome::Busy,
                603 => Outcome::Declined,
                300..=399 => Outcome::Moved(response.headers.contacts(), reason_of_move(response)),
                status => Outcome::Refused(status),
            },
        };
        self.leg_is_done(id, leg, outcome, now);
    }

    /// A device that doesn't accept RTP may be one that insists on ICE and DTLS-SRTP, which nothing tells before.
    fn ring_with_webrtc(&mut self, id: CallId, leg: LegId, now: Now) -> bool {
        let Some(call) = self.calls.get_mut(&id).filter(|call| matches!(call.state, State::Ringing)) else { return false };
        let is_phone = |device: &DeviceLeg| device.line.is_none() && device.media == LegMedia::Rtp;
        let Some(device) = call.legs.get_mut(&leg).filter(|device| is_phone(device)) else { return false };
        let (flow, contact, path) = (device.flow, device.contact.clone(), std::mem::take(&mut device.path));
        let (owner, media) = (device.owner, LegMedia::WebRtc);
        let again = DeviceLeg {
            owner,
            line: None,
            flow,
            media,
            contact,
            path,
            rings: false,
            session: None,
            codec: None,
            is_direct: false,
            offered: None,
            branch: None,
        };
        self.forget_leg(id, leg);
        self.ring_device(id, again, now);
        true
    }

    /// A leg's media is dead before anybody answered.
    pub(crate) fn ringing_leg_failed(&mut self, id: CallId, leg: LegId, now: Now) {
        if let Some(session) = self.calls.get(&id).and_then(|call| call.session(leg)) {
            self.ua.cancel(session, Headers::new(), now.mono);
        }
        self.leg_is_done(id, leg, Outcome::Refused(500), now);
    }

    pub(crate) fn ring_time_is_over(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(&id).filter(|call| matches!(call.state, State::Ringing)) else { return };
        match call.callee() {
            Some(_) => self.divert(id, Reason::NoAnswer, now),
            // Nobody outside has a mailbox here.
            None => self.finish(id, End::Refused(480), now),
        }
    }

    fn leg_is_done(&mut self, id: CallId, leg: LegId, outcome: Outcome, now: Now) {
        let Some(device) = self.calls.get(&id).and_then(|call| call.legs.get(&leg)) else { return };
        let (owner, line, flow) = (device.owner, device.line, device.flow);
        self.forget_leg(id, leg);
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !matches!(call.state, State::Ringing) {
            return;
        }
        if line.is_some() {
            return self.trunk_refused(id, outcome.status(), now);
        }
        match outcome {
            Outcome::Busy => call.tally.busy = true,
            Outcome::Refused(_) => call.tally.refused = true,
            Outcome::Unreachable => {}
            Outcome::Declined => return self.divert(id, Reason::Declined, now),
            Outcome::Moved(targets, reason) => {
                call.tally.refused = true;
                // Only the called person's own devices forward, and only once: no loops.
                let callee = call.callee().map(|callee| callee.id).filter(|callee| owner == Some(*callee));
                if callee.is_some_and(|callee| self.follow(id, callee, (&targets, &reason), flow, now)) {
                    return;
                }
            }
        }
        self.divert_if_alone(id, now);
    }

    /// Rings whom a 3xx names: people, and one number of the outside if the one who forwards may call it; or lets the mailbox take
    /// the call if it names that. Whether there is nothing left to decide.
    fn follow(&mut self, id: CallId, by: SubscriberId, (targets, reason): (&[NameAddr], &str), flow: Flow, now: Now) -> bool {
        for target in targets.iter().map(|target| &target.uri).filter(|uri| self.is_local(uri, flow)).cloned().collect::<Vec<_>>()
        {
            let user = target.user().unwrap_or_default();
            let mailbox = self.live_mailbox(&user);
            if user.eq_ignore_ascii_case(crate::MAILBOX_USER) || mailbox == Some(by) {
                self.divert(id, Reason::Declined, now);
                return true;
            }
            match self.person_at(&target, flow) {
                Some(person) => self.ring_also(id, person, now),
                None if mailbox.is_none() => self.forward_outside(id, by, (&user, reason), now),
                // A colleague's mailbox takes no calls that were for somebody else.
                None => {}
            }
        }
        false
    }

    /// Rings somebody else whom the called person's phone names.
    fn ring_also(&mut self, id: CallId, person: SubscriberId, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let is_in_it = Some(person) == call.callee().map(|callee| callee.id) || Some(person) == call.origin;
        if !is_in_it && call.forwarded.insert(person) {
            self.ring(id, person, now);
        }
    }

    /// When every device is done, the mailbox takes the call.
    pub(crate) fn divert_if_alone(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get(&id).filter(|call| matches!(call.state, State::Ringing)) else { return };
        if !call.legs.is_empty() {
            return;
        }
        let reason = match (call.tally.busy, call.tally.refused) {
            (true, _) => Reason::Busy,
            (false, true) => Reason::NoAnswer,
            (false, false) => Reason::Offline,
        };
        self.divert(id, reason, now);
    }

    /// The mailbox takes the call; devices stop ringing.
    pub(crate) fn divert(&mut self, id: CallId, reason: Reason, now: Now) {
        if self.calls.get(&id).is_some_and(|call| call.callee().is_none()) {
            // Nobody outside has a mailbox here.
            return self.finish(id, End::Failed, now);
        }
        let given_up = if reason == Reason::Declined { GivenUp::Declined } else { GivenUp::Diverted };
        self.give_up_legs(id, None, given_up, now);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.state = State::Deciding(Partner::Mailbox { reason });
        if call.caller.is_answered {
            return self.transferred(id, Partner::Mailbox { reason }, now);
        }
        self.describe_caller(id, Vec::new(), now);
    }

    /// Ends every leg to a device but one. A device that answers at this moment gets ACK and BYE.
    pub(crate) fn give_up_legs(&mut self, id: CallId, but: Option<LegId>, why: GivenUp, now: Now) {
        let Some(call) = self.calls.get(&id) else { return };
        let headers = if why == GivenUp::CallerGone { call.farewell.clone() } else { why.headers() };
        let legs: Vec<_> =
            call.legs.iter().filter(|(leg, _)| Some(**leg) != but).map(|(leg, device)| (*leg, device.session)).collect();
        for (leg, session) in legs {
            if let Some(session) = session {
                self.sessions.remove(&session);
                self.ua.cancel(session, headers.clone(), now.mono);
            }
            self.forget_leg(id, leg);
        }
    }

    /// The leg is over in every way but SIP's.
    pub(crate) fn forget_leg(&mut self, id: CallId, leg: LegId) {
        self.leg_calls.remove(&leg);
        let device = self.calls.get_mut(&id).and_then(|call: &mut Call| call.legs.remove(&leg));
        if device.is_some_and(|device| !device.is_direct) {
            self.command(MediaCommand::Close { leg });
        }
    }
}

/// Why a phone forwards, if it says so itself (RFC 5806 section 4).
fn reason_of_move(response: &Response) -> String {
    Diversion::all(&response.headers).into_iter().next().map_or_else(|| "unknown".into(), |told| told.reason)
}
