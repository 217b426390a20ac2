//! Transfers: a party of a call asks us to connect the other one with somebody else (RFC 3515, RFC 3891, RFC 5589).
//!
//! ```text
//!  blind      X -- call -- Y       X: REFER to T        Y, lent to a new call, hears music while T rings
//!                                                       T answers: Y belongs to the new call, X is hung up on
//!                                                       T fails outside, and X has stayed: X and Y talk again
//!  attended   X -- call -- Y       X: REFER to Z, which replaces X's call with Z
//!             X -- call -- Z       Y takes X's place in the second call, X is hung up on twice
//! ```
//!
//! The other party learns nothing but a new sound: its session with us stays. Who transfers pays with their own rights.

use std::collections::{BTreeMap, BTreeSet};

use aftertone_media::{Codec, sdp};
use aftertone_model::{CallId, Caller, Now, Reason, SubscriberId};
use aftertone_sip::{Flow, Headers, IncomingId, NameAddr, Params, ReferTo, Request, ResponseParts, SessionId, Uri};

use crate::{
    Described, Exchange, LegId, LegMedia, MediaCommand, MediaFailure, Sound,
    call::{Call, Called, CallerLeg, DeviceLeg, Outside, Partner, Referrer, State, Tally},
    dialplan::{Number, Reach},
    direct::{Deferred, Way},
    ended::{End, called_party},
    incoming::{MAX_FORWARDS, Sender, offer_of},
    media::Purpose,
    menu::Visitor,
    party,
    requests::call_headers,
    ringing::GivenUp,
    trunks::LineId,
};

/// Whose a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    person: Option<SubscriberId>,
    line: Option<LineId>,
}

/// A leg on its way from one call to another.
#[derive(Debug, Clone)]
struct Moved {
    leg: LegId,
    session: SessionId,
    flow: Flow,
    media: LegMedia,
    codec: Option<Codec>,
    holder: Holder,
    party: Caller,
    shown: NameAddr,
}

/// An INVITE that takes the place of a leg, while its answer is being made.
#[derive(Debug)]
pub(crate) struct Replacement {
    old: LegId,
    new: Moved,
}

impl Exchange {
    pub(crate) fn on_referred(&mut self, session: SessionId, id: IncomingId, to: &ReferTo, by: Option<NameAddr>, now: Now) {
        // Only media that are here can be connected with others.
        let other = to.replaces.as_ref().and_then(|replaces| self.ua.replaced(replaces));
        for concerned in [Some(session), other].into_iter().flatten() {
            let call = self.sessions.get(&concerned).map(|(call, _)| *call);
            let deferred = || Deferred::Refer { session, id, to: Box::new(to.clone()), by: by.clone() };
            if call.is_some_and(|call| self.defer(call, deferred, now)) {
                return;
            }
        }
        if let Err(refusal) = self.refer(session, id, to, by, now) {
            self.ua.respond(id, refusal, now.mono);
        }
    }

    fn refer(
        &mut self,
        session: SessionId,
        id: IncomingId,
        to: &ReferTo,
        referred_by: Option<NameAddr>,
        now: Now,
    ) -> Result<(), ResponseParts> {
        let (call, by) = self.sessions.get(&session).copied().ok_or(ResponseParts::new(481))?;
        self.go_on_without_ack(call, now);
        let rest = self.other_leg(call, by).filter(|_| self.calls.get(&call).is_some_and(|call| call.transfer.is_none()));
        let rest = rest.ok_or(ResponseParts::new(603))?;
        match &to.replaces {
            Some(replaces) => {
                let other = self.ua.replaced(replaces).and_then(|session| self.sessions.get(&session).copied());
                self.join(id, (call, by), rest, other.ok_or(ResponseParts::new(603))?, now)
            }
            None => self.transfer(id, (call, by), rest, (&to.uri, referred_by), now),
        }
    }

    /// Both sides have answered and hear each other; what is missing is the caller's ACK, which whoever was called is not told
    /// of. What they want of the call is done all the same.
    pub(crate) fn go_on_without_ack(&mut self, id: CallId, now: Now) {
        let is_answered = self
            .calls
            .get(&id)
            .is_some_and(|call| matches!(call.state, State::Accepted(Partner::Device { .. })) && call.caller.offer.is_some());
        if is_answered {
            self.run(id, now);
        }
    }

    /// The other side of a running call between two parties.
    pub(crate) fn other_leg(&self, id: CallId, leg: LegId) -> Option<LegId> {
        let call = self.calls.get(&id)?;
        match call.state {
            State::Running(Partner::Device { leg: partner, .. }) => {
                Some(if leg == call.caller.leg { partner } else { call.caller.leg })
            }
            State::Running(Partner::Mailbox { .. }) | State::Ringing | State::Deciding(_) | State::Accepted(_) => None,
        }
    }

    /// A blind transfer: the other party is lent to a new call, which rings `target`.
    fn transfer(
        &mut self,
        id: IncomingId,
        (call_id, by): (CallId, LegId),
        rest: LegId,
        (target, referred_by): (&Uri, Option<NameAddr>),
        now: Now,
    ) -> Result<(), ResponseParts> {
        let call = self.calls.get(&call_id).ok_or(ResponseParts::new(481))?;
        let moved = self.moved(call, rest).ok_or(ResponseParts::new(481))?;
        let (called, direct) = self.transfer_target(holder(call, by), target, moved.flow)?;
        // RFC 3892 section 2.1: what is known counts for more than what is said.
        let referrer = match holder(call, by).person {
            Some(person) => Some(Referrer::Person(person)),
            None => referred_by.map(|said| Referrer::Peer(NameAddr { uri: said.uri.bare(), params: Params::new(), ..said })),
        };
        let Some(referral) = self.ua.accept_referral(id, now.mono) else { return Ok(()) };
        let new = CallId::from_random(self.random_bits());
        let Some(call) = self.calls.get_mut(&call_id) else { return Ok(()) };
        call.transfer = Some(new);
        let media = call.media;
        self.command(MediaCommand::Play { leg: rest, sound: Sound::HoldMusic, repeat: true });
        let (party, shown, origin) = (moved.party.clone(), moved.shown.clone(), moved.holder.person);
        let call = Call {
            id: new,
            media,
            caller: moved.into_caller(),
            called,
            party,
            shown,
            origin,
            is_proven: false,
            is_test: false,
            by_pin: false,
            stranger: None,
            hops: MAX_FORWARDS,
            started_at: now.wall,
            rings: false,
            legs: BTreeMap::new(),
            forwarded: BTreeSet::new(),
            forward: None,
            tally: Tally::default(),
            state: State::Ringing,
            early: None,
            way: Way::default(),
            held_by: BTreeSet::new(),
            logged: BTreeSet::new(),
            transfer: None,
            lender: Some(call_id),
            referrer,
            signatures: Vec::new(),
            referral: Some(referral),
            connected: BTreeMap::new(),
            farewell: Headers::new(),
        };
        self.calls.insert(new, call);
        self.begin(new, direct, now);
        Ok(())
    }

    /// Whom a transfer is for, with the rights of who asks for it, and why it goes to the mailbox at once, if it does.
    fn transfer_target(&self, by: Holder, uri: &Uri, flow: Flow) -> Result<(Called, Option<Reason>), ResponseParts> {
        let user = uri.user().unwrap_or_default();
        let is_local = self.is_local(uri, flow);
        if is_local && user.eq_ignore_ascii_case(crate::MAILBOX_USER) {
            let (person, reason) = self.mailbox_named(uri, by.person, flow).ok_or(ResponseParts::new(404))?;
            let person = self.directory.person(person).ok_or(ResponseParts::new(404))?;
            return Ok((Called::Person(Box::new(person.subscriber.clone())), Some(reason)));
        }
        if is_local && self.names_menu(&user).is_some() {
            // Whoever is connected with it is not the one who has connected them: they enter mailbox and PIN.
            return Ok((Called::Menu(Visitor::Anybody), None));
        }
        let number = self.config.dial_plan.number(&user);
        let mailbox = self.live_mailbox(&user).filter(|_| is_local);
        let person = mailbox.or_else(|| self.person_at(uri, flow)).and_then(|person| self.directory.person(person));
        let called = match (person, by) {
            (Some(person), _) => Ok(Called::Person(Box::new(person.subscriber.clone()))),
            (None, Holder { person: Some(caller), .. }) => {
                let number = number.filter(|_| is_local).ok_or(ResponseParts::new(404))?;
                Ok(Called::Outside(self.way_out(caller, number)?))
            }
            // The peer of a trunk may connect with its own people, but with nobody at our cost over another trunk.
            (None, Holder { line: Some(line), .. }) if !user.is_empty() => {
                let dialled = user.into_owned();
                let number = number.unwrap_or(Number { normal: dialled.clone(), dialled, reach: Reach::National });
                Ok(Called::Outside(Outside { number, routes: [line].into(), status: 503 }))
            }
            (None, Holder { .. }) => Err(ResponseParts::new(403)),
        };
        Ok((called?, mailbox.map(|_| Reason::Direct)))
    }

    /// An attended transfer: the other party takes the transferor's place in the transferor's second call.
    fn join(
        &mut self,
        id: IncomingId,
        first: (CallId, LegId),
        rest: LegId,
        second: (CallId, LegId),
        now: Now,
    ) -> Result<(), ResponseParts> {
        let found = self.calls.get(&first.0).zip(self.calls.get(&second.0)).filter(|_| first.0 != second.0);
        let (call, other) = found.ok_or(ResponseParts::new(603))?;
        let (by, also_by) = (holder(call, first.1), holder(other, second.1));
        let is_known = by.person.is_some() || by.line.is_some();
        let is_talking = self.other_leg(second.0, second.1).is_some();
        let rings = second.1 == other.caller.leg && matches!(other.state, State::Ringing) && other.lender.is_none();
        if by != also_by || !is_known || other.transfer.is_some() || !(is_talking || rings) {
            return Err(ResponseParts::new(603));
        }
        let codecs = call.codec_of(rest).zip(self.other_leg(second.0, second.1).and_then(|leg| other.codec_of(leg)));
        if codecs.is_some_and(|(one, another)| !one.meets(another)) {
            return Err(ResponseParts::new(488));
        }
        let moved = self.moved(call, rest).ok_or(ResponseParts::new(481))?;
        let Some(referral) = self.ua.accept_referral(id, now.mono) else { return Ok(()) };
        self.ua.report_referral(referral, 200, now.mono);
        self.release(first.0, rest, now);
        self.take_place(second.0, second.1, moved, now);
        Ok(())
    }

    /// A leg belongs to another call from now on: the other party of its former call is hung up on, and that is logged.
    fn release(&mut self, id: CallId, leg: LegId, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.transfer = None;
        if leg == call.caller.leg {
            call.caller.is_released = true;
            self.finish(id, End::CalleeGone, now);
        } else {
            call.legs.remove(&leg);
            let session = call.caller.session;
            self.ua.hang_up(session, Headers::new(), now.mono);
            self.finish(id, End::CallerGone, now);
        }
    }

    /// A transferred leg belongs to its new call, and its former call is over.
    pub(crate) fn adopt(&mut self, id: CallId, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (leg, session) = (call.caller.leg, call.caller.session);
        let Some(lender) = call.lender.take() else { return };
        self.release(lender, leg, now);
        self.sessions.insert(session, (id, leg));
        self.leg_calls.insert(leg, id);
    }

    /// The target of a transfer answers, or its mailbox does.
    pub(crate) fn transferred(&mut self, id: CallId, partner: Partner, now: Now) {
        self.report(id, 200, now);
        self.adopt(id, now);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let a = call.caller.leg;
        self.command(MediaCommand::StopPlaying { leg: a });
        match partner {
            Partner::Device { leg: b, .. } => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.state = State::Running(partner);
                }
                self.command(MediaCommand::Bridge { a, b });
            }
            Partner::Mailbox { .. } => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.state = State::Accepted(partner);
                }
                self.run(id, now);
            }
        }
    }

    /// Tells the transferor how it goes; a final status is the last word.
    pub(crate) fn report(&mut self, id: CallId, status: u16, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let referral = if status >= 200 { call.referral.take() } else { call.referral };
        if let Some(referral) = referral {
            self.ua.report_referral(referral, status, now.mono);
        }
    }

    /// The transferor hangs up before the target answers: the transfer goes on. Whether this was it.
    pub(crate) fn transferor_left(&mut self, id: CallId, leg: LegId, now: Now) -> bool {
        let Some(to) = self.calls.get(&id).and_then(|call| call.transfer) else { return false };
        let is_lent = self.calls.get(&to).is_none_or(|to| to.caller.leg == leg);
        if !is_lent {
            self.adopt(to, now);
        }
        !is_lent
    }

    /// A call is over that had lent a leg to another: that one has nobody to connect any more.
    pub(crate) fn abort_transfer(&mut self, to: CallId, now: Now) {
        self.report(to, 487, now);
        if let Some(call) = self.calls.get_mut(&to) {
            call.lender = None;
            call.caller.is_released = true;
        }
        self.finish(to, End::CallerGone, now);
    }

    /// A transfer came to nothing while the transferor waited: the two talk again.
    pub(crate) fn give_back(&mut self, lender: CallId) {
        let Some(call) = self.calls.get_mut(&lender) else { return };
        let Some(Partner::Device { leg: b, .. }) = call.partner() else { return };
        call.transfer = None;
        let a = call.caller.leg;
        let listening: Vec<_> = [(a, b), (b, a)].into_iter().filter(|(_, other)| !call.held_by.contains(other)).collect();
        for (leg, _) in listening {
            self.command(MediaCommand::StopPlaying { leg });
        }
        self.command(MediaCommand::Bridge { a, b });
    }

    /// `new` takes the place of the leg `old`, which is hung up on.
    fn take_place(&mut self, id: CallId, old: LegId, new: Moved, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.held_by.remove(&old);
        let (leg, session, person) = (new.leg, new.session, new.holder.person);
        self.log_leaving(id, old, now);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let left = if old == call.caller.leg {
            (call.origin, call.by_pin) = (person, false);
            let left = std::mem::replace(&mut call.caller, new.into_caller());
            (Some(left.session), left.has_media)
        } else {
            let left = call.legs.remove(&old).and_then(|device| device.session);
            call.legs.insert(leg, new.into_device());
            if let State::Running(Partner::Device { answered_at, .. }) = call.state {
                call.state = State::Running(Partner::Device { leg, owner: person, answered_at });
            }
            (left, true)
        };
        self.leg_calls.remove(&old);
        if let Some(session) = left.0 {
            self.sessions.remove(&session);
            self.ua.hang_up(session, Headers::new(), now.mono);
        }
        if left.1 {
            self.command(MediaCommand::Close { leg: old });
        }
        self.sessions.insert(session, (id, leg));
        self.leg_calls.insert(leg, id);
        self.connect_moved(id, leg);
    }

    fn connect_moved(&mut self, id: CallId, leg: LegId) {
        let Some(call) = self.calls.get(&id) else { return };
        match call.state {
            State::Running(Partner::Device { leg: b, .. }) => {
                let a = call.caller.leg;
                self.command(MediaCommand::StopPlaying { leg: a });
                self.command(MediaCommand::StopPlaying { leg: b });
                self.command(MediaCommand::Bridge { a, b });
            }
            State::Ringing | State::Deciding(_) | State::Accepted(_) | State::Running(Partner::Mailbox { .. }) => {
                self.command(MediaCommand::Play { leg, sound: Sound::RingBack, repeat: true });
            }
        }
    }

    /// An INVITE that replaces a leg of ours, at once or when the other leg's media are here.
    pub(crate) fn on_replacing(&mut self, session: SessionId, request: &Request, flow: Flow, old: SessionId, now: Now) {
        let call = self.sessions.get(&old).map(|(call, _)| *call);
        let deferred = || Deferred::Replace { session, request: Box::new(request.clone()), flow, old };
        if call.is_some_and(|call| self.defer(call, deferred, now)) {
            return;
        }
        if let Err(refusal) = self.replace(session, request, flow, old, now) {
            self.ua.reject(session, refusal.status, refusal.headers, now.mono);
        }
    }

    /// An INVITE that replaces a leg of ours (RFC 3891): from people and believed peers only. Whoever knows of a call that rings
    /// may pick it up, but nobody takes a running one from a colleague.
    fn replace(
        &mut self,
        session: SessionId,
        request: &Request,
        flow: Flow,
        old: SessionId,
        now: Now,
    ) -> Result<(), ResponseParts> {
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        let holder = match self.sender(request, &from, flow, now)? {
            Sender::Person(identity) => Holder { person: Some(identity.person), line: None },
            Sender::Trunk(line) => Holder { person: None, line: Some(line) },
            Sender::Trusted => Holder { person: None, line: None },
            Sender::Stranger => return Err(ResponseParts::new(403)),
        };
        let (call, old) = self.sessions.get(&old).copied().ok_or(ResponseParts::new(481))?;
        self.go_on_without_ack(call, now);
        let other = self.other_leg(call, old);
        if other.is_none() && !self.may_be_picked_up(call, old) {
            return Err(ResponseParts::new(481));
        }
        let owner = self.calls.get(&call).and_then(|call| self::holder(call, old).person);
        if other.is_some() && holder.person.zip(owner).is_some_and(|(person, owner)| person != owner) {
            return Err(ResponseParts::new(403));
        }
        let offer = offer_of(request, flow)?;
        let Some(text) = offer.sdp else { return Err(ResponseParts::new(488)) };
        let party = party::vouched(request, &from);
        let shown = party::address(&party, &from, &self.config.domain);
        let leg = self.new_leg();
        let new = Moved { leg, session, flow, media: offer.media, codec: None, holder, party, shown };
        let prefer = self.calls.get(&call).map_or_else(Vec::new, |call| match other {
            Some(other) => call.codec_of(other).into_iter().collect(),
            None => call.preference(),
        });
        let (media, peer) = (new.media, self.towards(new.holder.line, flow));
        self.replacements.insert(leg, Replacement { old, new });
        let request = self.ask_media(call, leg, Purpose::Replacement, now);
        self.command(MediaCommand::Answer { request, call: self.media_call(call), leg, media, peer, offer: text, prefer });
        Ok(())
    }

    pub(crate) fn replacement_described(&mut self, id: CallId, leg: LegId, result: Result<Described, MediaFailure>, now: Now) {
        let Some(Replacement { old, mut new }) = self.replacements.remove(&leg) else { return };
        let picks_up = self.may_be_picked_up(id, old);
        let is_there = picks_up || self.other_leg(id, old).is_some();
        let described = result.map_err(|_| 488).and_then(|described| if is_there { Ok(described) } else { Err(481) });
        let described = match described {
            Ok(described) if self.ua.session_flow(new.session).is_some() => described,
            Ok(_) => return self.command(MediaCommand::Close { leg }),
            Err(status) => {
                self.ua.reject(new.session, status, Headers::new(), now.mono);
                return self.command(MediaCommand::Close { leg });
            }
        };
        new.codec = described.codecs.first().copied();
        let contact = self.contact_in_calls(new.holder.line, new.flow);
        self.ua.accept(new.session, contact, described.sdp, call_headers(id), now.mono);
        if picks_up {
            self.pick_up(id, new, now);
        } else {
            self.take_place(id, old, new, now);
        }
    }

    /// Whether this leg is a device of ours that rings.
    fn may_be_picked_up(&self, id: CallId, leg: LegId) -> bool {
        let ringing = self.calls.get(&id).filter(|call| matches!(call.state, State::Ringing));
        ringing.and_then(|call| call.legs.get(&leg)).is_some_and(|device| device.owner.is_some())
    }

    /// A call that rings is answered by who picks it up (RFC 5359 section 2.11): as if it had rung there.
    fn pick_up(&mut self, id: CallId, new: Moved, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (leg, session, owner, codec) = (new.leg, new.session, new.holder.person, new.codec);
        call.legs.insert(leg, new.into_device());
        // It stands in their call log, too.
        let is_known = owner == call.origin || owner == call.callee().map(|callee| callee.id);
        call.forwarded.extend(owner.filter(|_| !is_known));
        self.sessions.insert(session, (id, leg));
        self.leg_calls.insert(leg, id);
        self.give_up_legs(id, Some(leg), GivenUp::AnsweredElsewhere, now);
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.state = State::Deciding(Partner::Device { leg, owner, answered_at: now.wall });
        let codec = codec.ok_or_else(|| MediaFailure::Failed("nothing was chosen".into()));
        self.device_answer_applied(id, leg, codec, now);
    }

    /// A party holds the call or takes it up again, as its description says: the other one hears music meanwhile.
    pub(crate) fn note_hold(&mut self, id: CallId, leg: LegId, description: &str) {
        let Some(other) = self.other_leg(id, leg) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let changed = if is_hold(description) { call.held_by.insert(leg) } else { call.held_by.remove(&leg) };
        let (holds, lent) = (call.held_by.contains(&leg), call.transfer.is_some());
        if !changed || lent {
            return;
        }
        self.command(if holds {
            MediaCommand::Play { leg: other, sound: Sound::HoldMusic, repeat: true }
        } else {
            MediaCommand::StopPlaying { leg: other }
        });
    }

    /// A leg with everything that another call needs of it.
    fn moved(&self, call: &Call, leg: LegId) -> Option<Moved> {
        let session = call.session(leg)?;
        let flow = self.ua.session_flow(session)?;
        let holder = holder(call, leg);
        let (media, codec, party, shown) = if leg == call.caller.leg {
            (call.caller.media, call.caller.codec, call.party.clone(), call.shown.clone())
        } else {
            let device = call.legs.get(&leg)?;
            let media = device.media;
            let party = match holder.person.and_then(|person| self.directory.person(person)) {
                Some(person) => party::person(&person.subscriber),
                None => called_party(call),
            };
            let from = NameAddr::new(Uri::sip(&party.number, &self.config.domain));
            let shown = party::address(&party, &from, &self.config.domain);
            (media, device.codec, party, shown)
        };
        Some(Moved { leg, session, flow, media, codec, holder, party, shown })
    }
}

impl Moved {
    fn into_caller(self) -> CallerLeg {
        CallerLeg {
            leg: self.leg,
            session: self.session,
            line: self.holder.line,
            flow: self.flow,
            media: self.media,
            offer: Some(String::new()),
            codecs: self.codec.into_iter().collect(),
            early: None,
            has_media: true,
            is_answered: true,
            is_released: false,
            codec: self.codec,
        }
    }

    fn into_device(self) -> DeviceLeg {
        DeviceLeg {
            owner: self.holder.person,
            line: self.holder.line,
            flow: self.flow,
            media: self.media,
            contact: self.shown.uri,
            path: Vec::new(),
            rings: true,
            session: Some(self.session),
            codec: self.codec,
            is_direct: false,
            offered: None,
            branch: None,
        }
    }
}

fn holder(call: &Call, leg: LegId) -> Holder {
    match call.legs.get(&leg) {
        Some(device) => Holder { person: device.owner, line: device.line },
        None => Holder { person: call.origin.filter(|_| !call.by_pin), line: call.caller.line },
    }
}

/// Whether the sender of a description wants to hear nothing (RFC 3264 section 8.4, and the older way of a zero address).
fn is_hold(description: &str) -> bool {
    let Ok(session) = sdp::parse(description) else { return false };
    let Some((_, audio)) = session.audio() else { return false };
    // WebRTC names no address there (RFC 8829 section 5.2.1): its addresses are candidates.
    let is_rtp = crate::incoming::media_of(&session) == LegMedia::Rtp;
    let is_nowhere = is_rtp && session.address(audio).is_some_and(|address| address.is_unspecified());
    is_nowhere || !session.direction(audio).receives()
}
