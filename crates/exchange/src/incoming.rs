//! Whether a call is taken, from whom it is, and whom it is for.

use aftertone_media::{Codec, sdp};
use aftertone_model::{CallId, CallRecord, Caller, Direction, EndReason, Now, Reason, SubscriberId};
use aftertone_rules::Action;
use aftertone_sip::{Flow, Headers, NameAddr, Request, ResponseParts, SessionId, Uri, origin::SignedIdentity};

use crate::{
    Event, Exchange, LegMedia,
    call::{Call, Called, CallerLeg, Partner, RING_OUTSIDE, State, Tally},
    dialplan::{Number, Reach},
    direct::Way,
    diversion::{Diversion, diversions, reason_of},
    identity::Identity,
    party,
    requests::{ALLOW, challenge},
    timers::Timer,
    trunks::LineId,
};

/// After so many seconds a caller who met a full exchange may try again.
pub(crate) const RETRY_AFTER: u32 = 30;

/// Of a request that doesn't say (RFC 3261 section 8.1.1.6).
pub(crate) const MAX_FORWARDS: u8 = 70;

/// Who calls, as far as it is proven.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender {
    Person(Identity),
    /// The peer of a trunk, which is believed.
    Trunk(LineId),
    /// A peer that is believed.
    Trusted,
    Stranger,
}

pub(crate) enum Target {
    Person {
        person: SubscriberId,
        /// The mailbox is asked for, without ringing.
        direct: Option<Reason>,
    },
    Outside(Number),
    /// The phone menu, by the number for one's own devices or by that for mailbox and PIN.
    Menu {
        own: bool,
    },
}

pub(crate) struct Offer {
    pub(crate) sdp: Option<String>,
    pub(crate) media: LegMedia,
    codecs: Vec<Codec>,
}

impl Exchange {
    pub(crate) fn on_incoming(
        &mut self,
        session: SessionId,
        request: &Request,
        flow: Flow,
        replaces: Option<SessionId>,
        now: Now,
    ) {
        let allowed = self.limited(flow, now.mono);
        if let (Ok(()), Some(old)) = (&allowed, replaces) {
            return self.on_replacing(session, request, flow, old, now);
        }
        let taken = allowed.and_then(|()| self.take_call(session, request, flow, now));
        if let Err(refusal) = taken {
            self.ua.reject(session, refusal.status, refusal.headers, now.mono);
        }
    }

    fn take_call(&mut self, session: SessionId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        let is_test = flow.connection.is_some_and(|connection| self.testers.contains(&connection));
        // Whatever trunks lead to this machine, the server's own call is none of theirs.
        let sender = if is_test { Sender::Trusted } else { self.sender(request, &from, flow, now)? };
        let hops = request.headers.max_forwards().unwrap_or(MAX_FORWARDS).checked_sub(1).ok_or(ResponseParts::new(483))?;
        let origin = match sender {
            Sender::Person(identity) => Some(identity.person),
            Sender::Trusted => self.person_at(&from.uri, flow),
            Sender::Trunk(_) | Sender::Stranger => None,
        };
        let (called, direct) = match self.called(request, sender, origin, flow) {
            Ok(called) => called,
            Err(refusal) => {
                // A challenged phone comes back.
                if refusal.status != 401 {
                    self.log_unknown(origin, &request.uri, now);
                }
                return Err(refusal);
            }
        };
        let is_emergency = matches!(&called, Called::Outside(outside) if outside.number.reach == Reach::Emergency);
        if (self.draining || self.overloaded || self.calls.len() >= self.config.max_calls) && !is_emergency {
            return Err(full());
        }
        let offer = offer_of(request, flow)?;
        let party = self.party(request, &from, sender, origin, is_emergency);
        let shown = party::address(&party, &from, &self.config.domain);
        let stranger = matches!(sender, Sender::Stranger).then(|| flow.remote.ip());
        let line = match sender {
            Sender::Trunk(line) => Some(line),
            Sender::Person(_) | Sender::Trusted | Sender::Stranger => None,
        };
        let mut call = self.new_call(session, flow, offer, called, (party, shown), now);
        call.caller.line = line;
        let signatures =
            if matches!(sender, Sender::Trunk(_) | Sender::Trusted) { signatures(request, &call.party) } else { Vec::new() };
        let is_proven = matches!(sender, Sender::Person(_));
        self.start(Call { origin, is_proven, is_test, stranger, hops, signatures, ..call }, direct, now);
        Ok(())
    }

    /// Whom the call is for, and why it goes to the mailbox at once, if it does.
    fn called(
        &mut self,
        request: &Request,
        sender: Sender,
        origin: Option<SubscriberId>,
        flow: Flow,
    ) -> Result<(Called, Option<Reason>), ResponseParts> {
        match self.target(request, sender, flow).ok_or(ResponseParts::new(404))? {
            Target::Person { person, direct } => {
                let callee = self.directory.person(person).ok_or(ResponseParts::new(404))?.subscriber.clone();
                let direct = direct.or((origin == Some(callee.id)).then_some(Reason::Direct));
                Ok((Called::Person(Box::new(callee)), direct))
            }
            Target::Menu { own } => Ok((Called::Menu(Self::visitor(own, sender)), None)),
            Target::Outside(number) => match sender {
                Sender::Person(identity) => {
                    let is_back = request.headers.contains(crate::CALL_BACK_HEADER);
                    let way = if is_back { Self::way_back } else { Self::way_out };
                    Ok((Called::Outside(way(self, identity.person, number)?), None))
                }
                // Nobody calls at somebody's cost because of where they are.
                Sender::Trusted | Sender::Trunk(_) | Sender::Stranger => Err(ResponseParts::new(404)),
            },
        }
    }

    /// Nobody learns from a refusal here whether the called name exists.
    pub(crate) fn sender(&mut self, request: &Request, from: &NameAddr, flow: Flow, now: Now) -> Result<Sender, ResponseParts> {
        let has_connection = flow.connection.is_some_and(|id| matches!(self.connections.get(&id), Some(Some(_))));
        let claims_us = self.is_local(&from.uri, flow);
        let has_proof = request.headers.contains("Authorization") || request.headers.contains("Proxy-Authorization");
        if !has_connection && !has_proof {
            if let Some(line) = self.line_of(&request.uri, flow, claims_us) {
                return Ok(Sender::Trunk(line));
            }
            if self.is_trusted(flow) {
                // Who calls at the account's cost, or listens to a mailbox, must be known, wherever the phone stands.
                let may_be_ours = claims_us || party::is_anonymous(from);
                let target = self.target(request, Sender::Trusted, flow).filter(|_| may_be_ours);
                return if matches!(target, Some(Target::Outside(_) | Target::Menu { own: true })) {
                    self.identify(request, flow, now.mono).map_err(challenge).map(|_| Sender::Trusted)
                } else {
                    Ok(Sender::Trusted)
                };
            }
        }
        // A phone that withholds its number says who it is where only we see it (RFC 3325 section 9.2), or when it is asked.
        let prefers_us = || request.headers.addresses("P-Preferred-Identity").iter().any(|own| self.is_local(&own.uri, flow));
        let is_hidden = party::is_anonymous(from) && (!self.config.open || prefers_us());
        if has_connection || has_proof || claims_us || is_hidden {
            let identity = self.identify(request, flow, now.mono).map_err(challenge)?;
            let is_theirs = self.person_at(&from.uri, flow) == Some(identity.person) || party::is_anonymous(from);
            return if is_theirs { Ok(Sender::Person(identity)) } else { Err(ResponseParts::new(403)) };
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

    /// The mailbox, a person's address, or a number of the outside.
    pub(crate) fn target(&self, request: &Request, sender: Sender, flow: Flow) -> Option<Target> {
        let uri = &request.uri;
        let is_believed = matches!(sender, Sender::Trusted | Sender::Trunk(_));
        let diversions = if is_believed { diversions(request) } else { Vec::new() };
        let user = uri.user().unwrap_or_default();
        if user.eq_ignore_ascii_case(crate::MAILBOX_USER) && self.is_local(uri, flow) {
            return self.mailbox_target(uri, sender, &diversions, flow);
        }
        // An emergency comes before whatever else has this number.
        let number = self.config.dial_plan.number(&user).filter(|_| self.is_local(uri, flow));
        let number = number.or_else(|| self.config.dial_plan.service(&uri.to_string()));
        if let (Some(number), Sender::Person(_)) = (&number, sender)
            && number.reach == Reach::Emergency
        {
            return Some(Target::Outside(number.clone()));
        }
        if let Some(own) = self.menu_number(request, sender, flow) {
            return Some(Target::Menu { own });
        }
        let live = match sender {
            Sender::Trunk(line) => self.trunk_mailbox(line, request),
            Sender::Person(_) | Sender::Trusted | Sender::Stranger => {
                self.live_mailbox(&user).filter(|_| self.is_local(uri, flow))
            }
        };
        if let Some(person) = live {
            return Some(Target::Person { person, direct: Some(Reason::Direct) });
        }
        let person = match sender {
            Sender::Trunk(line) => self.trunk_target(line, request),
            Sender::Person(_) | Sender::Trusted | Sender::Stranger => self.person_at(uri, flow),
        };
        match person {
            Some(person) => Some(Target::Person { person, direct: self.did_not_answer(person, &diversions) }),
            None => number.filter(|_| !self.lines.is_empty()).map(Target::Outside),
        }
    }

    /// The mailbox, of its `target` (RFC 4458), of who was called before (RFC 5806, RFC 7044), or the caller's own.
    fn mailbox_target(&self, uri: &Uri, sender: Sender, diversions: &[Diversion], flow: Flow) -> Option<Target> {
        if uri.params().contains("target") {
            let (person, reason) = self.mailbox_named(uri, None, flow)?;
            return Some(Target::Person { person, direct: Some(reason) });
        }
        let cause = uri.param("cause").and_then(|cause| reason_of(&cause));
        let of = |diversion: &Diversion| Some((self.diverted_person(diversion)?, diversion.reason));
        let (person, reason) = match sender {
            Sender::Person(identity) => (identity.person, None),
            Sender::Trusted | Sender::Trunk(_) | Sender::Stranger => diversions.iter().find_map(of)?,
        };
        Some(Target::Person { person, direct: Some(reason.or(cause).unwrap_or(Reason::Direct)) })
    }

    /// Whose mailbox a URI names by its `target`, and why by its `cause` (RFC 4458); else that of `own`.
    pub(crate) fn mailbox_named(&self, uri: &Uri, own: Option<SubscriberId>, flow: Flow) -> Option<(SubscriberId, Reason)> {
        let person = match uri.param("target") {
            Some(owner) => self.person_at(&owner.parse().ok()?, flow)?,
            None => own?,
        };
        let cause = uri.param("cause").and_then(|cause| reason_of(&cause));
        Some((person, cause.unwrap_or(Reason::Direct)))
    }

    /// Whether an exchange in front has rung this person's phones already, and how that ended.
    fn did_not_answer(&self, person: SubscriberId, diversions: &[Diversion]) -> Option<Reason> {
        let last = diversions.first()?;
        last.reason.filter(|_| self.diverted_person(last) == Some(person))
    }

    /// The exchange in front has its own domain, but our people's numbers.
    fn diverted_person(&self, diversion: &Diversion) -> Option<SubscriberId> {
        let user = diversion.by.user()?;
        let named = self.directory.find(&user).map(|person| person.subscriber.id);
        named.or_else(|| self.lines.values().find_map(|line| self.trunk_number(line, &user)))
    }

    /// How the caller is shown. Our people may withhold their number (RFC 3323), except in an emergency.
    pub(crate) fn party(
        &self,
        request: &Request,
        from: &NameAddr,
        sender: Sender,
        origin: Option<SubscriberId>,
        is_emergency: bool,
    ) -> Caller {
        let withholds = !is_emergency && (party::wants_privacy(request) || party::is_anonymous(from));
        match origin.and_then(|id| self.directory.person(id)) {
            Some(_) if withholds => party::withheld(),
            Some(person) => party::person(&person.subscriber),
            None => match sender {
                Sender::Trunk(_) => self.trunk_caller(party::vouched(request, from)),
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
        called: Called,
        by: (Caller, NameAddr),
        now: Now,
    ) -> Call {
        let Offer { sdp, media, codecs } = offer;
        let leg = self.new_leg();
        let caller = CallerLeg {
            leg,
            session,
            line: None,
            flow,
            media,
            offer: sdp,
            codecs,
            early: None,
            has_media: false,
            is_answered: false,
            is_released: false,
            codec: None,
        };
        let id = CallId::from_random(self.random_bits());
        Call {
            id,
            media: id,
            caller,
            called,
            party: by.0,
            shown: by.1,
            origin: None,
            is_proven: false,
            is_test: false,
            by_pin: false,
            stranger: None,
            hops: MAX_FORWARDS,
            started_at: now.wall,
            rings: false,
            legs: std::collections::BTreeMap::new(),
            forwarded: std::collections::BTreeSet::new(),
            forward: None,
            tally: Tally::default(),
            state: State::Ringing,
            early: None,
            way: Way::default(),
            held_by: std::collections::BTreeSet::new(),
            logged: std::collections::BTreeSet::new(),
            transfer: None,
            lender: None,
            referrer: None,
            signatures: Vec::new(),
            referral: None,
            connected: std::collections::BTreeMap::new(),
            farewell: Headers::new(),
        }
    }

    fn start(&mut self, call: Call, direct: Option<Reason>, now: Now) {
        let id = call.id;
        self.leg_calls.insert(call.caller.leg, id);
        self.sessions.insert(call.caller.session, (id, call.caller.leg));
        self.calls.insert(id, call);
        self.begin(id, direct, now);
    }

    /// The called person's devices ring, or a trunk is tried.
    pub(crate) fn begin(&mut self, id: CallId, direct: Option<Reason>, now: Now) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if matches!(call.called, Called::Menu(_)) {
            call.state = State::Deciding(Partner::Mailbox { reason: Reason::Direct });
            if call.caller.is_answered {
                return self.transferred(id, Partner::Mailbox { reason: Reason::Direct }, now);
            }
            return self.describe_caller(id, Vec::new(), now);
        }
        let Some(call) = self.calls.get(&id) else { return };
        let Some(callee) = call.callee() else {
            self.timers.set(now.mono + RING_OUTSIDE, Timer::RingTime(id));
            return self.dial_out(id, now);
        };
        let (owner, ring_time) = (callee.id, std::time::Duration::from_secs(callee.ring_s.into()));
        let ring_time = match self.screened(call, owner, ring_time, now) {
            Action::Ring(time) | Action::Through(time) => Some(time),
            Action::Mailbox => None,
        };
        if let Some(reason) = direct {
            self.divert(id, reason, now);
            return;
        }
        // Nobody is to be disturbed by this call.
        let Some(ring_time) = ring_time else { return self.divert(id, Reason::Dnd, now) };
        if self.bindings.of(owner).is_empty() {
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
            figures: None,
        }));
    }
}

/// More than a provider and some diversions sign for nobody reads.
const MOST_SIGNATURES: usize = 4;

/// Who has signed for the caller (RFC 8224). Whoever withholds their number has it in no signature either.
fn signatures(request: &Request, caller: &Caller) -> Vec<String> {
    let all = SignedIdentity::all(&request.headers).into_iter().take(MOST_SIGNATURES);
    if caller.number.is_empty() { Vec::new() } else { all.map(|signed| signed.raw).collect() }
}

fn full() -> ResponseParts {
    ResponseParts::new(503).with("Retry-After", RETRY_AFTER)
}

/// The description of an INVITE, or why there is nothing to talk about.
pub(crate) fn offer_of(request: &Request, flow: Flow) -> Result<Offer, ResponseParts> {
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
    // Without a key that we can use, what must be encrypted would be answered in clear; a stranger's codec not at all.
    let has_no_key = media == LegMedia::Rtp && audio.is_secure() && audio.crypto().is_empty();
    if codecs.is_empty() || has_no_key { Err(not_acceptable()) } else { Ok(Offer { sdp: Some(text), media, codecs }) }
}

pub(crate) fn media_of(session: &sdp::Session) -> LegMedia {
    if session.is_webrtc() { LegMedia::WebRtc } else { LegMedia::Rtp }
}
