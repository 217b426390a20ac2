//! Whether a call is taken, from whom it is, and whom it is for.

use aftertone_media::{Codec, sdp};
use aftertone_model::{CallId, CallRecord, Caller, Direction, EndReason, Now, Reason, Subscriber, SubscriberId};
use aftertone_sip::{Flow, NameAddr, Request, ResponseParts, SessionId, Uri};

use crate::{
    Event, Exchange, LegMedia,
    call::{Call, CallerLeg, State, Tally},
    party,
    requests::{ALLOW, challenge},
    timers::Timer,
};

/// After so many seconds a caller who met a full exchange may try again.
const RETRY_AFTER: u32 = 30;

/// Of a request that doesn't say (RFC 3261 section 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// Who calls, as far as it is proven.
#[derive(Debug, Clone, Copy)]
enum Sender {
    Person(SubscriberId),
    /// A peer that is believed.
    Trusted,
    Stranger,
}

struct Target {
    person: SubscriberId,
    /// The mailbox is asked for, without ringing.
    direct: Option<Reason>,
}

struct Offer {
    sdp: Option<String>,
    media: LegMedia,
    codecs: Vec<Codec>,
}

impl Exchange {
    pub(crate) fn on_incoming(&mut self, session: SessionId, request: &Request, flow: Flow, now: Now) {
        if let Err(refusal) = self.take_call(session, request, flow, now) {
            self.ua.reject(session, refusal.status, refusal.headers, now.mono);
        }
    }

    fn take_call(&mut self, session: SessionId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        if self.draining || self.calls.len() >= self.config.max_calls {
            return Err(full());
        }
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        let sender = self.sender(request, &from, flow, now)?;
        let hops = request.headers.max_forwards().unwrap_or(MAX_FORWARDS).checked_sub(1).ok_or(ResponseParts::new(483))?;
        let origin = match sender {
            Sender::Person(person) => Some(person),
            Sender::Trusted => self.person_at(&from.uri, flow),
            Sender::Stranger => None,
        };
        let target = self.target(&request.uri, flow);
        let callee =
            target.as_ref().and_then(|target| self.directory.person(target.person)).map(|person| person.subscriber.clone());
        let (Some(target), Some(callee)) = (target, callee) else {
            self.log_unknown(origin, &request.uri, now);
            return Err(ResponseParts::new(404));
        };
        let offer = offer_of(request, flow)?;
        let party = self.party(request, &from, sender, origin);
        let shown = party::address(&party, &from, &self.config.domain);
        let direct = target.direct.or((origin == Some(callee.id)).then_some(Reason::Direct));
        let stranger = matches!(sender, Sender::Stranger).then(|| flow.remote.ip());
        let call = self.new_call(session, flow, offer, callee, (party, shown), now);
        self.start(Call { origin, stranger, hops, ..call }, direct, now);
        Ok(())
    }

    /// Nobody learns from a refusal here whether the called name exists.
    fn sender(&mut self, request: &Request, from: &NameAddr, flow: Flow, now: Now) -> Result<Sender, ResponseParts> {
        let has_connection = flow.connection.is_some_and(|id| matches!(self.connections.get(&id), Some(Some(_))));
        if !has_connection && self.is_trusted(flow.remote.ip()) {
            return Ok(Sender::Trusted);
        }
        let claims_us = self.is_local(&from.uri, flow);
        let has_proof = request.headers.contains("Authorization") || request.headers.contains("Proxy-Authorization");
        if has_connection || has_proof || claims_us {
            let identity = self.identify(request, flow, now.mono).map_err(challenge)?;
            let is_theirs = self.person_at(&from.uri, flow) == Some(identity.person);
            return if is_theirs { Ok(Sender::Person(identity.person)) } else { Err(ResponseParts::new(403)) };
        }
        if !self.config.open {
            return Err(ResponseParts::new(403));
        }
        let ip = flow.remote.ip();
        if self.calls.values().filter(|call| call.stranger == Some(ip)).count() >= self.config.max_calls_of_stranger {
            return Err(full());
        }
        Ok(Sender::Stranger)
    }

    /// A person's address, or the mailbox with its owner as `target` (RFC 4458).
    fn target(&self, uri: &Uri, flow: Flow) -> Option<Target> {
        if !self.is_local(uri, flow) {
            return None;
        }
        let user = uri.user()?;
        match uri.param("target") {
            Some(owner) if user.eq_ignore_ascii_case(crate::MAILBOX_USER) => {
                let person = self.person_at(&owner.parse().ok()?, flow)?;
                Some(Target { person, direct: Some(reason_of(uri.param("cause").as_deref())) })
            }
            Some(_) | None => Some(Target { person: self.person_at(uri, flow)?, direct: None }),
        }
    }

    fn party(&self, request: &Request, from: &NameAddr, sender: Sender, origin: Option<SubscriberId>) -> Caller {
        match origin.and_then(|id| self.directory.person(id)) {
            Some(person) => party::person(&person.subscriber),
            None => match sender {
                Sender::Trusted => party::vouched(request, from),
                Sender::Person(_) | Sender::Stranger => party::outsider(from),
            },
        }
    }

    fn new_call(
        &mut self,
        session: SessionId,
        flow: Flow,
        offer: Offer,
        callee: Subscriber,
        by: (Caller, NameAddr),
        now: Now,
    ) -> Call {
        let Offer { sdp, media, codecs } = offer;
        let leg = self.new_leg();
        let caller = CallerLeg { leg, session, flow, media, offer: sdp, codecs, has_media: false, codec: None };
        Call {
            id: CallId::from_random(self.random_bits()),
            caller,
            callee,
            party: by.0,
            shown: by.1,
            origin: None,
            stranger: None,
            hops: MAX_FORWARDS,
            started_at: now.wall,
            rings: false,
            legs: std::collections::BTreeMap::new(),
            forwarded: std::collections::BTreeSet::new(),
            tally: Tally::default(),
            state: State::Ringing,
        }
    }

    fn start(&mut self, call: Call, direct: Option<Reason>, now: Now) {
        let (id, owner) = (call.id, call.callee.id);
        let ring_time = std::time::Duration::from_secs(call.callee.ring_s.into());
        self.leg_calls.insert(call.caller.leg, id);
        self.sessions.insert(call.caller.session, (id, call.caller.leg));
        self.calls.insert(id, call);
        if let Some(reason) = direct {
            self.divert(id, reason, now);
        } else if self.bindings.of(owner).is_empty() {
            self.divert(id, Reason::Offline, now);
        } else if ring_time.is_zero() {
            self.divert(id, Reason::NoAnswer, now);
        } else {
            self.timers.set(now.mono + ring_time, Timer::RingTime(id));
            self.ring(id, owner, now);
        }
    }

    /// Our people find in their call log what they dialled in vain.
    fn log_unknown(&mut self, origin: Option<SubscriberId>, dialled: &Uri, now: Now) {
        let Some(owner) = origin else { return };
        let call = CallId::from_random(self.random_bits());
        self.events(Event::Logged(CallRecord {
            call,
            owner,
            direction: Direction::Outgoing,
            party: party::dialled(dialled),
            started_at: now.wall,
            answered_at: None,
            ended_at: now.wall,
            end: EndReason::Failed,
            diverted: None,
            message: None,
        }));
    }
}

fn full() -> ResponseParts {
    ResponseParts::new(503).with("Retry-After", RETRY_AFTER)
}

/// The description of an INVITE, or why there is nothing to talk about.
fn offer_of(request: &Request, flow: Flow) -> Result<Offer, ResponseParts> {
    let Some(text) = request.sdp() else {
        if !request.body.is_empty() {
            return Err(ResponseParts::new(415).with("Accept", "application/sdp").with("Allow", ALLOW));
        }
        let media = if flow.transport.is_web_socket() { LegMedia::WebRtc } else { LegMedia::Rtp };
        return Ok(Offer { sdp: None, media, codecs: Vec::new() });
    };
    let not_acceptable = || ResponseParts::new(488);
    let session = sdp::parse(&text).map_err(|_| not_acceptable())?;
    let (_, audio) = session.audio().ok_or_else(not_acceptable)?;
    let mut codecs: Vec<Codec> = Vec::new();
    for codec in audio.formats().iter().filter_map(sdp::Format::codec) {
        if !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    let media = media_of(&session);
    // SDES-SRTP would be answered in clear, and a stranger's codec not at all.
    let is_sdes = media == LegMedia::Rtp && audio.protocol.to_ascii_uppercase().contains("SAVP");
    if codecs.is_empty() || is_sdes { Err(not_acceptable()) } else { Ok(Offer { sdp: Some(text), media, codecs }) }
}

pub(crate) fn media_of(session: &sdp::Session) -> LegMedia {
    if session.is_webrtc() { LegMedia::WebRtc } else { LegMedia::Rtp }
}

/// RFC 4458 section 2: why a peer sends a call to the mailbox.
fn reason_of(cause: Option<&str>) -> Reason {
    match cause {
        Some("486") => Reason::Busy,
        Some("408") => Reason::NoAnswer,
        Some("487") => Reason::Declined,
        Some("480" | "503") => Reason::Offline,
        Some(_) | None => Reason::Direct,
    }
}
